//! The table of keys: name, default, what it is for. A new setting is a row here and a field in `Settings`.

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Text, number or yes/no.
    One,
    /// A list in TOML, or text with commas.
    Many,
    /// A path; in the file, relative to the file's folder.
    Path,
    /// A list of paths.
    Paths,
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Name in the file; with `HOLDFAST_` and upper case in the environment.
    pub name: &'static str,
    /// Value when nobody gives one.
    pub default: Option<&'static str>,
    /// How it is written.
    pub shape: Shape,
    /// What it is for.
    pub about: &'static str,
}

const fn key(name: &'static str, shape: Shape, default: Option<&'static str>, about: &'static str) -> Key {
    Key { name, default, shape, about }
}

/// Every setting, in the order of the documentation.
pub const KEYS: &[Key] = &[
    key("data", Shape::Path, Some("./holdfast-data"), "folder of the embedded database, store, keys and reports"),
    key("postgres_bin", Shape::Path, None, "folder with postgres and initdb for the embedded database"),
    key("database_url", Shape::One, None, "postgres://user@host:port/database, without a password"),
    key("database_password_file", Shape::Path, None, "file with the database password"),
    key(
        "database_ca_file",
        Shape::Path,
        None,
        "certificate authority of the database (PEM); turns on TLS with full verification",
    ),
    key("store_endpoint", Shape::One, None, "S3 endpoint of the backup store"),
    key("store_bucket", Shape::One, Some("holdfast"), "bucket of the backup store"),
    key("store_region", Shape::One, Some("us-east-1"), "region for signatures"),
    key("store_path_style", Shape::One, Some("true"), "endpoint/bucket/key instead of bucket.endpoint/key"),
    key(
        "store_lock_days",
        Shape::One,
        Some("0"),
        "days for which points cannot be removed from the store (S3 object lock, governance mode); 0: not locked",
    ),
    key(
        "store_lock_dumps",
        Shape::One,
        Some("false"),
        "lock dumps of whole databases, too, for keep_dumps_for, in stores that lock",
    ),
    key("store_access_key_file", Shape::Path, None, "file with the store's access key"),
    key("store_secret_key_file", Shape::Path, None, "file with the store's secret key"),
    key(
        "drill_store_access_key_file",
        Shape::Path,
        None,
        "file with an access key of the store that may only read: for drills",
    ),
    key("drill_store_secret_key_file", Shape::Path, None, "file with the secret key that belongs to it"),
    key("store_ca_file", Shape::Path, None, "certificate authority of the store (PEM), beside those of the system"),
    key("store_directory", Shape::Path, None, "a folder as backup store, instead of S3"),
    key(
        "store_copies",
        Shape::Many,
        None,
        "further stores for every point: file:///folder or https://host/bucket?access_key_file=…&secret_key_file=…",
    ),
    key("files_url", Shape::One, None, "where attachments are: file:///folder or s3://bucket/prefix"),
    key("keys_directory", Shape::Path, None, "folder of recipients and the drill identity; keys below data when unset"),
    key("reports_directory", Shape::Path, None, "folder of import and drill reports; reports below data when unset"),
    key(
        "retention",
        Shape::One,
        Some("within=2d,hourly=48,daily=14,weekly=8,monthly=12,yearly=5"),
        "how long points stay",
    ),
    key(
        "keep_dumps_for",
        Shape::One,
        Some("7"),
        "days for which dumps of the whole database stay; the newest good one always does",
    ),
    key(
        "purge_keys_after",
        Shape::One,
        Some("7"),
        "days after its deletion at which a tenant's keys are purged and none of its points opens any more",
    ),
    key(
        "backup_changed_after",
        Shape::One,
        Some("15"),
        "seconds after which a changed tenant, and the control plane at once, get a point by themselves; 0: only by schedule",
    ),
    key("listen", Shape::One, Some("127.0.0.1:5230"), "address of members and operators, or unix:PATH"),
    key("grpc_listen", Shape::One, Some("127.0.0.1:5231"), "address of native gRPC"),
    key("ops_listen", Shape::One, Some("127.0.0.1:5232"), "address of metrics and health"),
    key("worker_ops_listen", Shape::One, None, "address of metrics and health of `holdfast worker`; unset: none"),
    key("default_tenant", Shape::One, None, "slug of the tenant at / when no host name matches"),
    key("trusted_proxies", Shape::Many, None, "networks whose forwarded headers are believed"),
    key("webhook_allow", Shape::Many, None, "private networks that webhooks may reach"),
    key("tenant_requests", Shape::One, Some("256"), "requests of one workspace that a process answers at a time"),
    key("tenant_searches", Shape::One, None, "searches of one workspace that a process runs at a time"),
    key("tenant_stored_bytes", Shape::One, Some("0"), "bytes that a workspace may hold, such as 10G; 0: any number"),
    key("free_space_floor", Shape::One, Some("256M"), "free space on our disks below which nothing more is stored"),
    key(
        "identity_networks",
        Shape::Many,
        None,
        "networks in which identity providers and directories may be; unset: everywhere but link-local",
    ),
    key("operator_oidc_issuer", Shape::One, None, "issuer of the OpenID provider by which operators may sign in"),
    key("operator_oidc_client_id", Shape::One, None, "our id there"),
    key("operator_oidc_client_secret_file", Shape::Path, None, "file with our secret there"),
    key("operator_oidc_groups", Shape::Many, None, "of these groups an operator must be in one"),
    key("operator_oidc_groups_claim", Shape::One, Some("groups"), "claim that names the groups"),
    key("operator_oidc_name_claim", Shape::One, Some("preferred_username"), "claim that names the operator"),
    key("operator_oidc_scopes", Shape::Many, Some("openid,profile,email"), "what is asked for there"),
    key("operator_oidc_title", Shape::One, Some("single sign-on"), "what the console's sign-in page calls it"),
    key("operator_oidc_ca_file", Shape::Path, None, "its certificate authority (PEM), beside those of the system"),
    key("tls_cert", Shape::Paths, None, "certificate chains (PEM)"),
    key("tls_key", Shape::Paths, None, "keys of the chains, in the same order"),
    key("log_format", Shape::One, Some("human"), "human or json"),
    key("log_filter", Shape::One, Some("info"), "which log lines are written, such as info,store=debug"),
];

/// The row of a key.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The known key most like a misspelt one, when one is near enough to be meant.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase().replace('-', "_");
    let best = KEYS.iter().map(|key| (distance(&name, key.name), key.name)).min()?;
    let limit = (name.len() / 3).max(2);
    (best.0 <= limit).then_some(best.1)
}

/// Edits (insert, delete, replace one character) from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_key_and_nonsense_finds_none() {
        assert_eq!(nearest("databse_url"), Some("database_url"));
        assert_eq!(nearest("store-bucket"), Some("store_bucket"));
        assert_eq!(nearest("LISTEN"), Some("listen"));
        assert_eq!(nearest("colour_of_the_sky"), None);
    }
}
