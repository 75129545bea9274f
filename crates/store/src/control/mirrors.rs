//! Live Markdown mirrors: which tenants have one, and what lies in it.

use domain::id::TenantId;
use sea_orm::{ConnectionTrait, QueryResult};
use time::OffsetDateTime;

use super::{Control, statement};
use crate::audit::AuditEvent;
use crate::error::Error;

/// For how long a run holds a mirror unless it says that it is still there, in seconds.
pub const MIRROR_LEASE: f64 = 30.0;

/// A mirror as stored.
#[derive(Clone, Debug)]
pub struct MirrorRow {
    /// Whose.
    pub tenant: TenantId,
    /// How the tenant was called when the mirror was switched on.
    pub slug: String,
    /// Where it is.
    pub place: String,
    /// When it was switched on.
    pub created_at: OffsetDateTime,
    /// Which schema it shows.
    pub schema: String,
    /// Changes marked with this generation or an older one are in it.
    pub generation: i64,
    /// The last run came to its end.
    pub clean: bool,
    /// The instant that it shows.
    pub mirrored_at: Option<OffsetDateTime>,
    /// When everything in it was last compared.
    pub full_at: Option<OffsetDateTime>,
    /// Notes in it.
    pub notes: i64,
    /// Files in it.
    pub files: i64,
    /// How long the last run took.
    pub seconds: f64,
    /// Why the last run failed.
    pub problem: Option<String>,
    /// Somebody is at it.
    pub held: bool,
    /// The tenant is gone for good.
    pub gone: bool,
}

/// What a run has brought about.
#[derive(Clone, Debug)]
pub struct Mirrored<'a> {
    /// Which schema it shows.
    pub schema: &'a str,
    /// Changes marked with this generation or an older one are in it.
    pub generation: i64,
    /// The instant that it shows.
    pub at: OffsetDateTime,
    /// Everything was compared.
    pub full: bool,
    /// Notes in it.
    pub notes: i64,
    /// Files in it.
    pub files: i64,
    /// How long it took.
    pub seconds: f64,
}

/// Which rows an entry stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A note.
    Note,
    /// An attached file.
    File,
}

impl EntryKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::File => "file",
        }
    }
}

/// A file in a mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorEntry {
    /// Number of the row.
    pub id: i64,
    /// The version of the row that it shows.
    pub version: String,
    /// Where it lies.
    pub path: String,
    /// How long it is.
    pub bytes: i64,
}

const COLUMNS: &str = "m.tenant_id, m.slug, m.place, m.created_at, m.schema_id, m.generation, m.clean, m.mirrored_at, m.full_at, m.notes, \
    m.files, m.seconds, m.problem, m.holder IS NOT NULL AND m.held_until > now() AS held, \
    EXISTS (SELECT 1 FROM holdfast.tenant_deletion d WHERE d.tenant_id = m.tenant_id) \
    AND NOT EXISTS (SELECT 1 FROM holdfast.tenant t WHERE t.id = m.tenant_id) \
    AND NOT EXISTS (SELECT 1 FROM holdfast.tenant_return r WHERE r.id = m.tenant_id AND r.done_at IS NULL) AS gone";

impl Control {
    /// Every mirror, by slug.
    pub async fn mirrors(&self) -> Result<Vec<MirrorRow>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM holdfast.mirror m ORDER BY m.slug, m.tenant_id");
        self.db.query_all_raw(statement(&sql, Vec::new())).await?.iter().map(read).collect()
    }

    /// The mirror of a tenant.
    pub async fn find_mirror(&self, tenant: TenantId) -> Result<Option<MirrorRow>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM holdfast.mirror m WHERE m.tenant_id = $1");
        self.db.query_one_raw(statement(&sql, vec![tenant.0.into()])).await?.as_ref().map(read).transpose()
    }

    /// Switches a mirror on. False when the tenant has one.
    pub async fn add_mirror(
        &self,
        tenant: TenantId,
        slug: &str,
        place: &str,
        event: &AuditEvent<'_>,
    ) -> Result<bool, Error> {
        let tx = self.begin().await?;
        let sql = "INSERT INTO holdfast.mirror (tenant_id, slug, place) VALUES ($1, $2, $3) ON CONFLICT (tenant_id) DO NOTHING";
        let added = tx.tx.execute_raw(statement(sql, vec![tenant.0.into(), slug.into(), place.into()])).await?;
        if added.rows_affected() == 0 {
            return Ok(false);
        }
        tx.audit(Some(tenant), event).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Forgets a mirror that is held by `holder`.
    pub async fn remove_mirror(&self, tenant: TenantId, holder: &str, event: &AuditEvent<'_>) -> Result<bool, Error> {
        let tx = self.begin().await?;
        let sql = "DELETE FROM holdfast.mirror WHERE tenant_id = $1 AND holder = $2";
        if tx.tx.execute_raw(statement(sql, vec![tenant.0.into(), holder.into()])).await?.rows_affected() == 0 {
            return Ok(false);
        }
        let entries = "DELETE FROM holdfast.mirror_entry WHERE tenant_id = $1";
        tx.tx.execute_raw(statement(entries, vec![tenant.0.into()])).await?;
        tx.audit(Some(tenant), event).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Takes a mirror for a run, unless somebody is at it.
    pub async fn take_mirror(&self, tenant: TenantId, holder: &str) -> Result<bool, Error> {
        let sql = "UPDATE holdfast.mirror SET holder = $2, held_until = now() + make_interval(secs => $3::double precision) \
                   WHERE tenant_id = $1 AND (holder IS NULL OR held_until <= now())";
        let values = vec![tenant.0.into(), holder.into(), MIRROR_LEASE.into()];
        Ok(self.db.execute_raw(statement(sql, values)).await?.rows_affected() == 1)
    }

    /// Says that the run is still there; false when somebody else has taken the mirror since.
    pub async fn hold_mirror(&self, tenant: TenantId, holder: &str) -> Result<bool, Error> {
        let sql = "UPDATE holdfast.mirror SET held_until = now() + make_interval(secs => $3::double precision) \
                   WHERE tenant_id = $1 AND holder = $2";
        let values = vec![tenant.0.into(), holder.into(), MIRROR_LEASE.into()];
        Ok(self.db.execute_raw(statement(sql, values)).await?.rows_affected() == 1)
    }

    /// Before anything is written: from now on there may be files that no entry knows. With `forget`, what is known of the
    /// files is forgotten, because it is of other rows.
    pub async fn begin_mirror(&self, tenant: TenantId, holder: &str, forget: bool) -> Result<(), Error> {
        let tx = self.begin().await?;
        let sql = "UPDATE holdfast.mirror SET clean = false WHERE tenant_id = $1 AND holder = $2";
        tx.tx.execute_raw(statement(sql, vec![tenant.0.into(), holder.into()])).await?;
        if forget {
            let entries = "DELETE FROM holdfast.mirror_entry WHERE tenant_id = $1";
            tx.tx.execute_raw(statement(entries, vec![tenant.0.into()])).await?;
        }
        tx.commit().await
    }

    /// Ends a run well.
    pub async fn finish_mirror(&self, tenant: TenantId, holder: &str, done: &Mirrored<'_>) -> Result<bool, Error> {
        let sql = "UPDATE holdfast.mirror SET schema_id = $3, generation = $4, mirrored_at = $5, \
                   full_at = CASE WHEN $6 THEN $5 ELSE full_at END, notes = $7, files = $8, seconds = $9, \
                   clean = true, problem = NULL, holder = NULL, held_until = NULL WHERE tenant_id = $1 AND holder = $2";
        let values = vec![
            tenant.0.into(),
            holder.into(),
            done.schema.into(),
            done.generation.into(),
            done.at.into(),
            done.full.into(),
            done.notes.into(),
            done.files.into(),
            done.seconds.into(),
        ];
        Ok(self.db.execute_raw(statement(sql, values)).await?.rows_affected() == 1)
    }

    /// Ends a run that failed.
    pub async fn fail_mirror(&self, tenant: TenantId, holder: &str, problem: &str) -> Result<(), Error> {
        let sql = "UPDATE holdfast.mirror SET problem = $3, holder = NULL, held_until = NULL WHERE tenant_id = $1 AND holder = $2";
        self.db.execute_raw(statement(sql, vec![tenant.0.into(), holder.into(), problem.into()])).await?;
        Ok(())
    }

    /// What lies in a mirror for rows with numbers above `after` and up to `upto`, by number.
    pub async fn mirror_entries(
        &self,
        tenant: TenantId,
        kind: EntryKind,
        after: i64,
        upto: i64,
    ) -> Result<Vec<MirrorEntry>, Error> {
        let sql = "SELECT id, version, path, bytes FROM holdfast.mirror_entry \
                   WHERE tenant_id = $1 AND kind = $2 AND id > $3 AND id <= $4 ORDER BY id";
        let values = vec![tenant.0.into(), kind.as_str().into(), after.into(), upto.into()];
        let rows = self.db.query_all_raw(statement(sql, values)).await?;
        rows.iter()
            .map(|row| {
                Ok(MirrorEntry {
                    id: row.try_get("", "id")?,
                    version: row.try_get("", "version")?,
                    path: row.try_get("", "path")?,
                    bytes: row.try_get("", "bytes")?,
                })
            })
            .collect()
    }

    /// Notes files that lie in the mirror now.
    pub async fn put_mirror_entries(
        &self,
        tenant: TenantId,
        kind: EntryKind,
        entries: &[MirrorEntry],
    ) -> Result<(), Error> {
        let sql = "INSERT INTO holdfast.mirror_entry (tenant_id, kind, id, version, path, bytes) \
                   SELECT $1, $2, e.id, e.version, e.path, e.bytes \
                   FROM unnest($3::bigint[], $4::text[], $5::text[], $6::bigint[]) AS e (id, version, path, bytes) \
                   ON CONFLICT (tenant_id, kind, id) DO UPDATE SET version = excluded.version, path = excluded.path, bytes = excluded.bytes";
        let ids: Vec<i64> = entries.iter().map(|entry| entry.id).collect();
        let versions: Vec<String> = entries.iter().map(|entry| entry.version.clone()).collect();
        let paths: Vec<String> = entries.iter().map(|entry| entry.path.clone()).collect();
        let bytes: Vec<i64> = entries.iter().map(|entry| entry.bytes).collect();
        let values =
            vec![tenant.0.into(), kind.as_str().into(), ids.into(), versions.into(), paths.into(), bytes.into()];
        self.db.execute_raw(statement(sql, values)).await?;
        Ok(())
    }

    /// Forgets files that are not in the mirror any more.
    pub async fn forget_mirror_entries(&self, tenant: TenantId, kind: EntryKind, ids: Vec<i64>) -> Result<(), Error> {
        let sql = "DELETE FROM holdfast.mirror_entry WHERE tenant_id = $1 AND kind = $2 AND id = ANY($3)";
        self.db.execute_raw(statement(sql, vec![tenant.0.into(), kind.as_str().into(), ids.into()])).await?;
        Ok(())
    }
}

fn read(row: &QueryResult) -> Result<MirrorRow, Error> {
    Ok(MirrorRow {
        tenant: TenantId(row.try_get("", "tenant_id")?),
        slug: row.try_get("", "slug")?,
        place: row.try_get("", "place")?,
        created_at: row.try_get("", "created_at")?,
        schema: row.try_get("", "schema_id")?,
        generation: row.try_get("", "generation")?,
        clean: row.try_get("", "clean")?,
        mirrored_at: row.try_get("", "mirrored_at")?,
        full_at: row.try_get("", "full_at")?,
        notes: row.try_get("", "notes")?,
        files: row.try_get("", "files")?,
        seconds: row.try_get("", "seconds")?,
        problem: row.try_get("", "problem")?,
        held: row.try_get("", "held")?,
        gone: row.try_get("", "gone")?,
    })
}
