//! What `backup run` and `backup show` tell of a point.

use domain::id::TenantId;
use serde::Serialize;
use store::control::points::NewPoint;
use time::OffsetDateTime;

use crate::format::hash::{Hash, Measure};
use crate::format::manifest::{AuditHead, Clear, Kind, SnapshotFacts};
use crate::format::sealed::Sealed;

/// A point in numbers.
#[derive(Clone, Debug, Serialize)]
pub struct PointReport {
    /// Its name.
    pub point: String,
    /// The tenant's slug then.
    pub tenant: String,
    /// The tenant's lasting id.
    pub tenant_id: TenantId,
    /// When it was begun.
    pub created_at: String,
    /// The instant it shows.
    pub snapshot: SnapshotFacts,
    /// `complete`, `verified`, `proven` or `damaged`.
    pub state: String,
    /// Why it was taken.
    pub trigger: String,
    /// The tenant's point before it.
    pub previous: Option<String>,
    /// The end of the audit chain then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditHead>,
    /// The good point before it, whose objects it refers to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rests_on: Option<String>,
    /// Where the manifest is.
    pub manifest: String,
    /// Of the manifest as stored.
    pub manifest_sha256: Hash,
    /// Length of the manifest.
    pub manifest_bytes: u64,
    /// Everything stored that it needs.
    pub objects: Vec<ObjectReport>,
    /// Rows of all tables.
    pub rows: u64,
    /// Notes, comments and archived ones included; none when the key is not at hand.
    pub notes: u64,
    /// Attached files.
    pub files: u64,
    /// Attached files that were already missing, or not what they should be, when it was taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// It holds every note as a Markdown file.
    pub markdown: bool,
    /// Before compression.
    pub bytes_plain: u64,
    /// In the store, referenced objects included.
    pub bytes_stored: u64,
    /// Sent for this point.
    pub bytes_sent: u64,
    /// Requests it took.
    pub requests: u64,
    /// Rows that left the database for it; the others were taken over from the point before.
    pub rows_read: u64,
    /// How long it took.
    pub seconds: f64,
    /// What someone should look at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One stored object.
#[derive(Clone, Debug, Serialize)]
pub struct ObjectReport {
    /// Its key in the store.
    pub key: String,
    /// What it holds.
    pub kind: Kind,
    /// Rows in it, where it holds rows.
    pub rows: Option<u64>,
    /// Before compression; none when the key is not at hand.
    pub bytes_plain: Option<u64>,
    /// In the store.
    pub bytes_stored: u64,
    /// As `sha256sum` tells it.
    pub sha256_stored: Hash,
    /// An older point sent it.
    pub referenced: bool,
}

impl PointReport {
    /// From both parts of a manifest; what only the taking knows is left at nothing.
    pub(crate) fn new(clear: Clear, sealed: &Sealed, manifest: Measure) -> Self {
        let objects = objects(&clear, Some(sealed));
        Self {
            manifest: objects::keys::manifest(clear.tenant, clear.point.as_str()),
            manifest_sha256: manifest.sha256,
            manifest_bytes: manifest.bytes,
            tenant: clear.slug,
            tenant_id: clear.tenant,
            created_at: clear.created_at,
            snapshot: clear.snapshot,
            state: "complete".to_owned(),
            trigger: clear.trigger,
            previous: clear.previous.map(|previous| previous.point.to_string()),
            audit: clear.audit,
            rests_on: None,
            rows: sealed.tables.iter().map(|table| table.rows).sum(),
            notes: sealed.notes,
            files: sealed.files.len() as u64,
            missing: sealed.missing.iter().chain(&sealed.altered).cloned().collect(),
            markdown: sealed.markdown.is_some(),
            bytes_plain: sealed.plain.values().map(|plain| plain.bytes).sum(),
            bytes_stored: objects.iter().map(|object| object.bytes_stored).sum::<u64>() + manifest.bytes,
            bytes_sent: 0,
            requests: 0,
            rows_read: 0,
            seconds: 0.0,
            warnings: Vec::new(),
            point: clear.point.to_string(),
            objects,
        }
    }

    /// The row that the control plane keeps of it.
    pub(crate) fn row(&self, created_at: OffsetDateTime, snapshot_at: OffsetDateTime) -> NewPoint {
        NewPoint {
            point: self.point.clone(),
            tenant: self.tenant_id,
            slug: self.tenant.clone(),
            created_at,
            snapshot_at,
            generation: self.snapshot.generation,
            schema_version: self.snapshot.schema_version,
            trigger: self.trigger.clone(),
            previous: self.previous.clone(),
            manifest_sha256: self.manifest_sha256.to_string(),
            manifest_bytes: self.manifest_bytes as i64,
            rows: self.rows as i64,
            notes: self.notes as i64,
            files: self.files as i64,
            missing: self.missing.len() as i64,
            bytes_plain: self.bytes_plain as i64,
            bytes_stored: self.bytes_stored as i64,
            bytes_sent: self.bytes_sent as i64,
            requests: self.requests as i64,
            has_markdown: self.markdown,
            seconds: self.seconds,
        }
    }
}

/// The objects of a manifest; plain lengths where the sealed part is open.
pub(crate) fn objects(clear: &Clear, sealed: Option<&Sealed>) -> Vec<ObjectReport> {
    let plain = |name: &str| sealed.and_then(|sealed| sealed.plain.get(name)).map(|plain| plain.bytes);
    clear
        .objects
        .iter()
        .map(|object| {
            let (rows, bytes_plain) = if object.members.is_empty() {
                (object.rows, plain(&object.name))
            } else {
                (
                    Some(object.members.iter().filter(|m| m.kind == Kind::Rows).filter_map(|m| m.rows).sum()),
                    object.members.iter().map(|member| plain(&member.name)).sum(),
                )
            };
            ObjectReport {
                key: object.key.clone(),
                kind: object.kind,
                rows,
                bytes_plain,
                bytes_stored: object.bytes_stored,
                sha256_stored: object.sha256_stored,
                referenced: object.referenced,
            }
        })
        .collect()
}
