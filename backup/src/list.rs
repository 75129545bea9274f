//! `backup list` and `backup show`: what the log of points knows, and what a manifest says.

use domain::id::TenantId;
use objects::keys as layout;
use serde::Serialize;
use store::control::points::point::Model as Row;

use crate::context::Backup;
use crate::error::Error;
use crate::format::hash::{Hash, Measure};
use crate::format::manifest::{Kind, Manifest};
use crate::format::sealed::Sealed;
use crate::snapshot::{PointReport, object_reports, rfc3339};
use crate::verify::{Problem, ProblemKind};

/// A line of `backup list`.
#[derive(Clone, Debug, Serialize)]
pub struct PointLine {
    /// Its name.
    pub point: String,
    /// The tenant's slug then.
    pub tenant: String,
    /// The tenant's lasting id.
    pub tenant_id: String,
    /// When it was begun.
    pub created_at: String,
    /// The instant it shows.
    pub snapshot: String,
    /// `complete`, `verified`, `proven` or `damaged`.
    pub state: String,
    /// Why it was taken.
    pub trigger: String,
    /// Rows of all tables.
    pub rows: i64,
    /// Notes in it.
    pub notes: i64,
    /// Attached files in it.
    pub files: i64,
    /// Bytes in the store.
    pub bytes_stored: i64,
    /// It holds every note as a Markdown file.
    pub markdown: bool,
    /// When it was last read back without a problem.
    pub verified_at: Option<String>,
    /// When it was last restored and compared.
    pub proven_at: Option<String>,
    /// Not to be removed before.
    pub kept_until: Option<String>,
    /// Why it is kept.
    pub kept_reason: Option<String>,
}

impl From<Row> for PointLine {
    fn from(row: Row) -> Self {
        Self {
            tenant_id: TenantId(row.tenant_id).to_string(),
            created_at: rfc3339(row.created_at),
            snapshot: rfc3339(row.snapshot_at),
            verified_at: row.verified_at.map(rfc3339),
            proven_at: row.proven_at.map(rfc3339),
            kept_until: row.kept_until.map(rfc3339),
            point: row.point,
            tenant: row.slug,
            state: row.state,
            trigger: row.trigger,
            rows: row.rows,
            notes: row.notes,
            files: row.files,
            bytes_stored: row.bytes_stored,
            markdown: row.has_markdown,
            kept_reason: row.kept_reason,
        }
    }
}

impl Backup {
    /// Points, newest first; of one tenant or of all.
    pub async fn list_points(&self, tenant: Option<TenantId>, limit: u64) -> Result<Vec<PointLine>, Error> {
        let rows = self.store.control().list_points(tenant, limit).await?;
        Ok(rows.into_iter().map(PointLine::from).collect())
    }

    /// Whose points are meant by a slug: a tenant's, or one's that is gone and had points under that slug.
    pub async fn tenant_id(&self, slug: &str) -> Result<TenantId, Error> {
        if let Some(tenant) = self.store.registry().by_slug(slug).await? {
            return Ok(tenant.id);
        }
        self.store.control().tenant_of_points(slug).await?.ok_or_else(|| Error::NoTenant(slug.to_owned()))
    }

    /// The point meant by a name or by `latest` (the tenant's newest that is not damaged).
    pub async fn resolve(&self, point: &str, tenant: Option<&str>) -> Result<String, Error> {
        if point != "latest" {
            let row = self.store.control().find_point(point).await?.ok_or_else(|| Error::NoPoint(point.to_owned()))?;
            if let Some(slug) = tenant
                && self.tenant_id(slug).await?.0 != row.tenant_id
            {
                return Err(Error::Refused(format!("point {point} is not of tenant {slug} but of {}", row.slug)));
            }
            return Ok(row.point);
        }
        let slug = tenant.ok_or_else(|| Error::WhichTenant)?;
        let tenant = self.tenant_id(slug).await?;
        let newest = self.store.control().newest_point(tenant, &["complete", "verified", "proven"]).await?;
        newest.map(|row| row.point).ok_or_else(|| Error::NoUsablePoint(slug.to_owned(), "usable"))
    }

    /// A point in full, from its manifest; plain lengths only where the key is at hand.
    pub async fn show_point(&self, point: &str) -> Result<PointReport, Error> {
        let (expected, row) = self.expected(point).await?;
        let stored = self.objects.get(&layout::manifest(expected.tenant, point)).await?;
        let measure = Measure { bytes: stored.len() as u64, sha256: Hash::of(&stored) };
        if measure.sha256.to_string() != row.manifest_sha256 {
            let at = layout::manifest(expected.tenant, point);
            let message = "it is not the manifest that the log of points knows".to_owned();
            let problems = vec![Problem::new(&at, Kind::Manifest, ProblemKind::Altered, message)];
            return Err(Error::Damaged { point: point.to_owned(), problems });
        }
        let manifest = Manifest::read(&stored).map_err(|source| Error::Manifest { point: point.to_owned(), source })?;
        // where the key lies now: after a rotation that is not where the manifest says
        let wrapped = expected.keys.get(&manifest.clear.key).unwrap_or(&manifest.clear.keys);
        let sealed = match self.unwrap_key(&self.source(), wrapped).await {
            Ok(key) => manifest.unseal(&key).ok(),
            Err(_) => None,
        };
        let objects = object_reports(&manifest.clear, sealed.as_ref());
        let mut report = PointReport::new(manifest.clear, &sealed.unwrap_or_else(Sealed::default), measure);
        report.objects = objects;
        report.state = row.state;
        report.rows = row.rows.unsigned_abs();
        report.notes = row.notes.unsigned_abs();
        report.files = row.files.unsigned_abs();
        report.markdown = row.has_markdown;
        report.bytes_plain = row.bytes_plain.unsigned_abs();
        report.bytes_sent = row.bytes_sent.unsigned_abs();
        report.requests = row.requests.unsigned_abs();
        report.seconds = row.seconds;
        Ok(report)
    }
}
