//! The error of every door of the members' side.
//!
//! Features have error enums of their own; each becomes an [`ApiError`] by `From`, in the feature's `error.rs`.

pub use web::error::{Code, Error as ApiError};
