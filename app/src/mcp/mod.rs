//! The Model Context Protocol at `/mcp`: streamable HTTP, stateless, tools only.
//!
//! A tool is an RPC: its arguments become the REST request, its result is the REST answer. So who may do what, and what
//! is wrong with a request, is decided in one place for both. Speaking the protocol by hand is what lets answers equal
//! those of Memos to the byte of a status line; it is small, because there are neither sessions nor streams.

mod call;
mod mount;
mod protocol;
mod tools;

pub use mount::routes;
