//! Memos' messages in our words, their JSON, and the table of its RPCs with their REST bindings.
//!
//! Messages are generated from `proto/` with their binary form (prost) and their JSON form (pbjson). What serde writes is
//! the form of REST: every scalar, list and map is there, unset messages are left out. [`sparse`] writes the form of
//! Connect, in which defaults are left out too. [`rest`] turns path, query and body of a REST request into a message.

mod descriptor;
mod empty;
pub mod mask;
pub mod openapi;
pub mod page;
pub mod rest;
mod rpcs;
pub mod scalars;
pub mod schema;
pub mod sparse;
pub mod table;
pub mod template;
pub mod timestamp;

pub use empty::Empty;
pub use mask::FieldMask;
pub use timestamp::Timestamp;

pub use descriptor::{encoded_descriptors, method, pool};

/// Messages of other packages that Memos' messages use.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction, reason = "generated")]
pub mod google {
    pub mod r#type {
        include!(concat!(env!("OUT_DIR"), "/google.r#type.rs"));
        include!(concat!(env!("OUT_DIR"), "/google.r#type.serde.rs"));
    }
}

/// Messages of package `memos.api.v1`, as version 0.30 of Memos has them.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction, reason = "generated")]
pub mod memos {
    pub mod api {
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/memos.api.v1.rs"));
            include!(concat!(env!("OUT_DIR"), "/memos.api.v1.serde.rs"));
        }
    }
}

/// Messages of gRPC's own services: health and reflection.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction, reason = "generated")]
pub mod grpc {
    pub mod health {
        include!(concat!(env!("OUT_DIR"), "/grpc.health.v1.rs"));
    }
    pub mod reflection {
        include!(concat!(env!("OUT_DIR"), "/grpc.reflection.v1.rs"));
    }
}

pub use google::r#type::Color;
pub use memos::api::v1;
