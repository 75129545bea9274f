//! How we speak HTTP: the server, the edge every request passes, the route table and its gates, the one error type,
//! pages and assets.
//!
//! A request goes: [`server`] → [`edge`] (request id, client address, tenant, security headers, the error's face) →
//! route → [`gate`] (cross-site check, actor, access) → handler of a roof.

pub mod assets;
mod crowd;
pub mod edge;
pub mod error;
pub mod gate;
pub mod health;
pub mod ops;
pub mod page;
pub mod route;
pub mod server;
pub mod visit;

pub use edge::Called;
pub use edge::facts::Facts;
pub use edge::proxies::TrustedProxies;
pub use error::{Code, Error, Face, Result};
pub use route::{API_LIMIT, Access, Audit, Caller, Expect, FORM_LIMIT, Handler, Route};
pub use server::{Listen, Options, Running, Site, start};
pub use visit::{OperatorVisit, Signed, Visit};
