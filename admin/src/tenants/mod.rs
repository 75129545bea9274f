//! The life of a tenant: made, shown, changed, opened, suspended, deleted.

mod service;
mod view;

pub use service::{NewTenant, create, delete, find, list, open, rename, resume, set, show, suspend};
pub use view::TenantView;
