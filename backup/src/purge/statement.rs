//! What is signed when the keys of a deleted tenant went: what was removed, and what is left of it elsewhere.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use store::Remainder;
use store::control::points::dump::Model as Row;
use time::{Duration, OffsetDateTime};

use crate::error::Error;
use crate::keys::{Signature, Signer};
use crate::snapshot::rfc3339;

/// What was done, as it is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// How the tenant was called.
    pub tenant: String,
    /// Its id.
    pub tenant_id: String,
    /// When its rows were removed.
    pub deleted_at: String,
    /// When its keys were gone from every store.
    pub purged_at: String,
    /// Ids of its keys.
    pub keys: Vec<String>,
    /// Every store, and what was removed there.
    pub stores: Vec<PurgedStore>,
    /// Points of it that are in the stores and will not open again.
    pub points: u64,
    /// `deleted`; or `deleting` while something of it is left: copies, files, dumps of the whole database.
    pub state: String,
    /// Tenants that hold its rows, restored from its points or kept by a swap: they are tenants of their own and do not go
    /// with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<LeftCopy>,
    /// What became of its files; absent in statements from before those were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<PurgedFiles>,
    /// Dumps that still hold its rows: they do not follow a tenant's key. Prune removes them when their days are over.
    pub dumps: Vec<String>,
    /// When the last of those dumps may go: prune removes it from then on, in every version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dumps_expire_at: Option<String>,
    /// One of them is the newest of its database, which stays until there is a newer one.
    #[serde(default)]
    pub newer_dump_needed: bool,
    /// When dumps went and the certificate was made anew; absent on the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed_at: Option<String>,
}

impl Statement {
    /// Says what is left.
    pub(super) fn hold(&mut self, held: Held) {
        let files_left = self.files.as_ref().is_some_and(|files| !files.gone);
        let left = files_left || !held.copies.is_empty() || !held.dumps.is_empty();
        self.state = String::from(if left { "deleting" } else { "deleted" });
        self.copies = held.copies;
        self.dumps = held.dumps;
        self.dumps_expire_at = held.expire_at.map(rfc3339);
        self.newer_dump_needed = held.newer_needed;
    }

    /// What an operator does so that nothing is left, in sentences.
    pub fn next(&self) -> Vec<String> {
        let mut next: Vec<String> = self.copies.iter().map(|copy| copy.next(&self.tenant)).collect();
        if let Some(files) = self.files.as_ref().filter(|files| !files.gone) {
            next.push(format!(
                "files of {} are left in {}: {}; the worker and `holdfast backup prune --yes` try again",
                self.tenant,
                files.location,
                files.why.as_deref().unwrap_or("they could not be removed")
            ));
        }
        next
    }
}

/// A tenant that holds rows of one that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftCopy {
    /// How it is called.
    pub tenant: String,
    /// Its id.
    pub tenant_id: String,
    /// Its state; `points_open` when its rows are gone, too, and its own points open still.
    pub state: String,
}

/// In place of a state: what is left of the copy are its points.
const POINTS_OPEN: &str = "points_open";

impl LeftCopy {
    fn next(&self, of: &str) -> String {
        let Self { tenant, state, .. } = self;
        if state == POINTS_OPEN {
            return format!(
                "points of {tenant} hold rows of {of} and open still: `holdfast key purge --tenant {tenant} --yes`"
            );
        }
        format!(
            "tenant {tenant} ({state}) holds rows of {of}: `holdfast tenant delete {tenant} --yes --grace 0d`, then \
             `holdfast key purge --tenant {tenant} --yes`; or keep it, and the certificate says so"
        )
    }
}

/// What became of a tenant's files in the file store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgedFiles {
    /// Where that is.
    pub location: String,
    /// No version of any is left there.
    pub gone: bool,
    /// What stopped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What still holds a tenant's rows.
#[derive(Debug, Default)]
pub(super) struct Held {
    copies: Vec<LeftCopy>,
    dumps: Vec<String>,
    expire_at: Option<OffsetDateTime>,
    newer_needed: bool,
}

impl Held {
    /// Copies; and of all dumps, newest first, those begun before the last of the rows went, a copy's included.
    pub(super) fn of(remains: &[Remainder], rows: &[Row], deleted_at: OffsetDateTime, days: u32) -> Self {
        let (mut held, mut databases) = (Self::default(), HashSet::new());
        let left = remains.iter().filter_map(|one| {
            let state = one.state.as_deref().or(one.points_open.then_some(POINTS_OPEN))?;
            Some(LeftCopy { tenant: one.slug.clone(), tenant_id: one.tenant.to_string(), state: state.to_owned() })
        });
        held.copies = left.collect();
        let lives = remains.iter().any(|one| one.state.is_some());
        let last = remains.iter().filter_map(|one| one.deleted_at).fold(deleted_at, OffsetDateTime::max);
        for row in rows {
            let newest = databases.insert(row.database.as_str());
            if row.created_at > last && !lives {
                continue;
            }
            held.newer_needed |= newest;
            held.expire_at = held.expire_at.max(row.created_at.checked_add(Duration::days(i64::from(days))));
            held.dumps.push(row.dump.clone());
        }
        held
    }
}

/// What was removed in one store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgedStore {
    /// Where it is.
    pub location: String,
    /// Wrapped keys.
    pub objects: u64,
    /// Versions of them.
    pub versions: u64,
}

/// A statement with its signature, over the text of the statement byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The statement as JSON, as it was signed.
    pub statement: String,
    /// By the appliance.
    #[serde(flatten)]
    pub signature: Signature,
}

impl Certificate {
    /// The certificate, and how it is kept.
    pub(super) fn signed(signer: &Signer, statement: &Statement) -> Result<(Self, String), Error> {
        let refused = |error: serde_json::Error| Error::Refused(error.to_string());
        let text = serde_json::to_string(statement).map_err(refused)?;
        let certificate = Self { signature: signer.sign(text.as_bytes()), statement: text };
        let kept = serde_json::to_string(&certificate).map_err(refused)?;
        Ok((certificate, kept))
    }

    /// Whether it is what was signed.
    pub fn is_good(&self) -> bool {
        self.signature.is_of(self.statement.as_bytes())
    }

    /// What it says.
    pub fn read(&self) -> Option<Statement> {
        serde_json::from_str(&self.statement).ok()
    }
}

#[cfg(test)]
mod tests {
    use domain::id::TenantId;

    use super::*;

    fn day(number: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::days(number)
    }

    fn copy(slug: &str, state: Option<&str>, deleted: Option<i64>, points_open: bool) -> Remainder {
        Remainder {
            tenant: TenantId(uuid::Uuid::nil()),
            slug: slug.to_owned(),
            state: state.map(str::to_owned),
            deleted_at: deleted.map(day),
            points_open,
        }
    }

    #[test]
    fn dumps_count_for_as_long_as_a_copy_of_the_tenant_was_in_the_database() {
        let dump = |number: i64| Row {
            dump: format!("dump-{number}"),
            database: "one".to_owned(),
            created_at: day(number),
            key: String::new(),
            bytes: 1,
            sha256_stored: String::new(),
            seconds: 1.0,
            read_at: None,
            problem: None,
        };
        let dumps = [dump(9), dump(7), dump(5)];
        let held = |remains: &[Remainder]| Held::of(remains, &dumps, day(6), 30);
        let alone = held(&[]);
        assert_eq!((alone.dumps, alone.newer_needed), (vec!["dump-5".to_owned()], false));
        let gone = held(&[copy("copy", None, Some(8), false)]);
        assert_eq!(gone.dumps, ["dump-7", "dump-5"], "the one taken while the copy was there holds the same rows");
        assert!(gone.copies.is_empty());
        let open = held(&[copy("copy", None, Some(8), true)]);
        assert_eq!(open.copies[0].state, "points_open");
        let lives = held(&[copy("copy", Some("closed"), None, false)]);
        assert_eq!((lives.dumps.len(), lives.newer_needed, lives.copies[0].state.as_str()), (3, true, "closed"));
    }
}
