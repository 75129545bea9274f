//! Every key layout, in one file. Keys stay within 115 bytes, so that they fit every store we know.
//!
//! ```text
//! t/<tenant>/p/<point>/manifest.json   a restore point: written last, without it nothing counts
//! t/<tenant>/p/<point>/pack            its small members in one object
//! t/<tenant>/c/<2>/<sha256>            chunks of tables, shared between points of one tenant
//! t/<tenant>/f/<2>/<keyed hash>        attachments' bytes in the backup store, once per content
//! l/<tenant>/<name>                    the append-only log of point hashes
//! e/<tenant>/<name>                    the content-free ledger (erasures, revocations, archived members)
//! k/<tenant>/<name>                    wrapped tenant keys: objects of their own, so that they can be purged
//! d/<database>/<point>.dump.age        pg_dump, with .globals.sql.age and, last, .json
//! f/<tenant>/<2>/<keyed hash>          live attachments in the file store (another store, never this bucket)
//! .holdfast-probe/<name>               what the probe writes and removes
//! ```

use std::fmt;

use domain::id::TenantId;

use crate::Error;

/// What the probe writes under.
pub const PROBE: &str = ".holdfast-probe/";

/// What keys in a backup store begin with.
pub(crate) const KINDS: [&str; 5] = ["t/", "l/", "e/", "k/", "d/"];

/// Where directory stores keep unfinished writes; listings leave it out.
pub(crate) const UNFINISHED: &str = ".holdfast-tmp";

/// Whose points: a tenant's, or the control plane's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A tenant.
    Tenant(TenantId),
    /// Registry, operators, settings and audit.
    Control,
}

impl From<TenantId> for Owner {
    fn from(id: TenantId) -> Self {
        if id.is_control() { Self::Control } else { Self::Tenant(id) }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(id) => id.fmt(f),
            Self::Control => f.write_str("_control"),
        }
    }
}

/// Refuses what cannot be a key in every kind of store: no empty, `.` or `..` segment, none above 255 bytes, no control
/// character or backslash, 1024 bytes in all.
pub fn check(key: &str) -> Result<(), Error> {
    let reason = if key.is_empty() {
        "it is empty"
    } else if key.len() > 1024 {
        "it has more than 1024 bytes"
    } else if key.chars().any(|c| c.is_control() || c == '\\') {
        "it has a control character or a backslash"
    } else if key.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        "it has an empty, . or .. segment"
    } else if key.split('/').any(|segment| segment.len() > 255) {
        "it has a segment of more than 255 bytes"
    } else if key.split('/').next() == Some(UNFINISHED) {
        "it begins with the name kept for unfinished writes"
    } else {
        return Ok(());
    };
    Err(Error::InvalidKey { key: key.to_owned(), reason })
}

/// Everything of one owner: `t/<tenant>/`.
pub fn owned(owner: impl Into<Owner>) -> String {
    format!("t/{}/", owner.into())
}

/// All points of an owner: `t/<tenant>/p/`.
pub fn points(owner: impl Into<Owner>) -> String {
    format!("t/{}/p/", owner.into())
}

/// One point's own objects: `t/<tenant>/p/<point>/`.
pub fn point(owner: impl Into<Owner>, point: &str) -> String {
    format!("t/{}/p/{point}/", owner.into())
}

/// A point's manifest.
pub fn manifest(owner: impl Into<Owner>, point: &str) -> String {
    format!("t/{}/p/{point}/manifest.json", owner.into())
}

/// The owner's name and the point's, read back from a manifest's key.
pub fn parse_manifest(key: &str) -> Option<(&str, &str)> {
    let (owner, rest) = key.strip_prefix("t/")?.split_once("/p/")?;
    let point = rest.strip_suffix("/manifest.json")?;
    (!owner.contains('/') && !point.contains('/')).then_some((owner, point))
}

/// A point's pack of small members.
pub fn pack(owner: impl Into<Owner>, point: &str) -> String {
    format!("t/{}/p/{point}/pack", owner.into())
}

/// All chunks of an owner.
pub fn chunks(owner: impl Into<Owner>) -> String {
    format!("t/{}/c/", owner.into())
}

/// A chunk, by a hash in hex.
pub fn chunk(owner: impl Into<Owner>, hash: &str) -> String {
    format!("t/{}/c/{}/{hash}", owner.into(), fan(hash))
}

/// All attachment bytes of an owner in the backup store.
pub fn files(owner: impl Into<Owner>) -> String {
    format!("t/{}/f/", owner.into())
}

/// Attachment bytes in the backup store, by a keyed hash in hex.
pub fn file(owner: impl Into<Owner>, hash: &str) -> String {
    format!("t/{}/f/{}/{hash}", owner.into(), fan(hash))
}

/// All entries of an owner's log of point hashes.
pub fn log(owner: impl Into<Owner>) -> String {
    format!("l/{}/", owner.into())
}

/// One entry of an owner's log of point hashes.
pub fn log_entry(owner: impl Into<Owner>, name: &str) -> String {
    format!("l/{}/{name}", owner.into())
}

/// All entries of an owner's ledger.
pub fn ledger(owner: impl Into<Owner>) -> String {
    format!("e/{}/", owner.into())
}

/// One entry of an owner's ledger.
pub fn ledger_entry(owner: impl Into<Owner>, name: &str) -> String {
    format!("e/{}/{name}", owner.into())
}

/// All wrapped keys of an owner.
pub fn wrapped_keys(owner: impl Into<Owner>) -> String {
    format!("k/{}/", owner.into())
}

/// One wrapped key of an owner.
pub fn wrapped_key(owner: impl Into<Owner>, name: &str) -> String {
    format!("k/{}/{name}", owner.into())
}

/// The three objects of a dump, in the order in which they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DumpPart {
    /// `pg_dump -Fc`.
    Dump,
    /// Roles and settings of the whole server.
    Globals,
    /// What the dump is; written last.
    Description,
}

/// All dumps of all databases.
pub const DUMPS: &str = "d/";

/// All dumps of a database.
pub fn dumps(database: &str) -> String {
    format!("d/{}/", plain(database))
}

/// One object of a dump.
pub fn dump(database: &str, point: &str, part: DumpPart) -> String {
    let ending = match part {
        DumpPart::Dump => "dump.age",
        DumpPart::Globals => "globals.sql.age",
        DumpPart::Description => "json",
    };
    format!("d/{}/{point}.{ending}", plain(database))
}

/// All live attachments of a tenant in the file store.
pub fn live_files(tenant: TenantId) -> String {
    format!("f/{tenant}/")
}

/// A live attachment in the file store, by a keyed hash in hex.
pub fn live_file(tenant: TenantId, hash: &str) -> String {
    format!("f/{tenant}/{}/{hash}", fan(hash))
}

/// Where a live attachment is written before its hash is known.
pub fn live_upload(tenant: TenantId, name: &str) -> String {
    format!("f/{tenant}/tmp/{name}")
}

/// The folder of files that were set aside.
pub(crate) const ASIDE: &str = "aside";

/// Where a live attachment waits before it is removed.
pub fn live_aside(storage_key: &str) -> String {
    let mut parts = storage_key.splitn(3, '/');
    let (kind, tenant, rest) =
        (parts.next().unwrap_or("f"), parts.next().unwrap_or("none"), parts.next().unwrap_or("x"));
    format!("{kind}/{tenant}/{ASIDE}/{}", rest.replace('/', "-"))
}

/// The first two letters of a hash: folders stay small.
fn fan(hash: &str) -> &str {
    hash.get(..2).unwrap_or("xx")
}

/// A database's name as one key segment: letters, digits, `_` and `-` stay, anything else becomes `=` and its hex.
fn plain(name: &str) -> String {
    use fmt::Write;
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            out.push(byte as char);
        } else {
            let _ = write!(out, "={byte:02x}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINT: &str = "20261122T143500Z-0a1b2c3d";

    fn tenant() -> TenantId {
        "0192f000-0000-7000-8000-00000000002a".parse().unwrap()
    }

    #[test]
    fn keys_are_short_and_valid() {
        let hash = "ab".repeat(32);
        let database = "d".repeat(63);
        for key in [
            manifest(tenant(), POINT),
            manifest(Owner::Control, POINT),
            pack(tenant(), POINT),
            chunk(tenant(), &hash),
            file(tenant(), &hash),
            log_entry(tenant(), &format!("{POINT}.json")),
            ledger_entry(tenant(), &hash),
            wrapped_key(tenant(), "0001.age"),
            dump(&database, POINT, DumpPart::Dump),
            dump(&database, POINT, DumpPart::Globals),
            live_file(tenant(), &hash),
            live_upload(tenant(), &"x".repeat(22)),
        ] {
            assert!(key.len() <= 115, "{key} has {} bytes", key.len());
            check(&key).unwrap();
        }
    }

    #[test]
    fn layouts_are_those_people_script_against() {
        let id = "0192f000000070008000".to_owned() + "00000000002a";
        assert_eq!(manifest(tenant(), POINT), format!("t/{id}/p/{POINT}/manifest.json"));
        assert_eq!(dump("holdfast", POINT, DumpPart::Dump), format!("d/holdfast/{POINT}.dump.age"));
        assert_eq!(dumps("a/b"), "d/a=2fb/");
        assert_eq!(parse_manifest(&manifest(tenant(), POINT)), Some((id.as_str(), POINT)));
        assert_eq!(parse_manifest(&pack(tenant(), POINT)), None);
    }

    #[test]
    fn keys_that_could_leave_a_directory_are_refused() {
        let long = format!("a/{}", "x".repeat(256));
        for bad in
            ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\0b", "a\\b", &"x/".repeat(600), &long, ".holdfast-tmp/a"]
        {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "a/b.c", "ä/ö", "a..b", ".hidden/x"] {
            check(good).unwrap();
        }
    }
}
