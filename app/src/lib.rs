//! The members' side: API, pages, files.
//!
//! A feature is a folder; a rule of it is one function in its service modules, which every door calls. The doors are
//! [`rpc`] (REST, Connect, gRPC-Web), [`grpc`] and the pages and files of the features.

pub mod error;
pub mod feeds;
pub mod files;
pub mod grpc;
pub mod instance;
pub mod links;
pub mod live;
pub mod mail;
pub mod mcp;
pub mod notes;
pub mod outbound;
mod pages;
pub mod people;
pub mod room;
pub mod rpc;
pub mod speech;
pub mod state;
pub mod webhooks;

pub use state::AppState;

/// Every row of this side: API, files, pages.
pub fn routes() -> Vec<web::Route> {
    let mut routes = live::routes();
    routes.extend(rpc::document::routes());
    routes.extend(rpc::mount::routes());
    routes.extend(mcp::routes());
    routes.extend(feeds::routes());
    routes.extend(files::routes::routes());
    routes.extend(pages::routes());
    routes
}
