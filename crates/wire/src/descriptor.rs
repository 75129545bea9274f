//! What the messages look like, for everything that has to walk a message by name.

use std::sync::OnceLock;

use prost_reflect::{DescriptorPool, MessageDescriptor, MethodDescriptor};

/// The compiled `FileDescriptorSet`, as gRPC reflection hands it out.
pub fn encoded_descriptors() -> &'static [u8] {
    include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"))
}

/// Descriptors of all messages and services.
pub fn pool() -> &'static DescriptorPool {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    // The bytes are made by our own build; were they broken, the pool is empty and the table's test fails.
    POOL.get_or_init(|| DescriptorPool::decode(encoded_descriptors()).unwrap_or_default())
}

/// The method `Service/Method` of package `memos.api.v1`.
pub fn method(service: &str, name: &str) -> Option<MethodDescriptor> {
    let service = pool().get_service_by_name(&format!("{}.{service}", crate::table::PACKAGE))?;
    service.methods().find(|m| m.name() == name)
}

/// The request message of `Service/Method`.
pub(crate) fn request(service: &str, name: &str) -> Option<MessageDescriptor> {
    method(service, name).map(|m| m.input())
}
