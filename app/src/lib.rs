//! The members' side: API, pages, files.

pub mod error;
pub mod rpc;
pub mod state;
