//! A real installation: our executable, a database of its own, folders as stores.

pub(crate) mod grpc;
pub(crate) mod http;
mod installation;
mod listener;
mod sink;

pub(crate) use http::{Answer, Http};
pub(crate) use installation::{Installation, Server};
pub(crate) use listener::Listener;
pub(crate) use sink::{Mode, Received, Sink};
