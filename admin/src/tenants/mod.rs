//! The life of a tenant: made, shown, changed, opened, suspended, deleted.

mod limits;
mod service;
mod view;

pub use limits::{WantedLimits, limit};
pub use service::{NewTenant, create, delete, delete_due, find, list, open, rename, resume, set, show, suspend};
pub use view::TenantView;
