//! How the managed Postgres is configured.

use std::path::Path;

use super::Address;

/// Written once into the data directory; an operator may change it.
pub(super) const TUNABLES: &str = "\
# Written by holdfast when the database was created; change what you need.
# Sockets, fsync, full_page_writes and synchronous_commit are given on the command line and cannot be changed here.
max_connections = 100
# A dump of a database with thousands of tenants locks every table of it.
max_locks_per_transaction = 1024
shared_buffers = 128MB
max_wal_size = 1GB
jit = off
recovery_init_sync_method = syncfs
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
log_checkpoints = off
";

/// Only the socket, whose folder is private, and nobody has a password.
pub(super) const ACCESS: &str = "local all all trust\n";

/// Arguments of the server: what no file may change.
pub(super) fn arguments(directory: &Path, address: &Address, durable: bool) -> Vec<String> {
    let safe = if durable { "on" } else { "off" };
    let mut arguments = vec!["-D".to_owned(), directory.display().to_string()];
    let set = [
        ("listen_addresses", String::new()),
        ("unix_socket_directories", address.socket_dir.display().to_string()),
        ("unix_socket_permissions", "0700".to_owned()),
        ("port", address.port.to_string()),
        ("fsync", safe.to_owned()),
        ("full_page_writes", safe.to_owned()),
        ("synchronous_commit", safe.to_owned()),
        ("logging_collector", "off".to_owned()),
    ];
    for (name, value) in set {
        arguments.push("-c".to_owned());
        arguments.push(format!("{name}={value}"));
    }
    arguments
}
