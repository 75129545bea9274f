//! What a mirror of a tenant needs to know: whether anything has changed, and which rows have which version.

use std::collections::HashMap;

use domain::id::{SchemaId, TenantId};
use domain::note::Note;
use time::OffsetDateTime;

use crate::control::mirrors::MirrorRow;
use crate::error::Error;
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::tenant::notes::{columns, note_of};

/// Tenants asked about in one statement: each adds two tables to it.
const TOGETHER: usize = 250;

/// A version is `xmin`, which every change of a row changes, and what of the tenant's rows the file depends on beside it. What it
/// depends on beyond them, the tenant's addresses, is added by who writes the file.
const NOTES: &str = "SELECT n.id, concat_ws('/', n.xmin, n.updated_ts, m.username) FROM note n \
    LEFT JOIN member m ON m.id = n.creator_id WHERE n.id > $1 ORDER BY n.id LIMIT $2";
const WITH_IDS: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM note n LEFT JOIN member m ON m.id = n.creator_id WHERE n.id = ANY($1) ORDER BY n.id"
);
const FILES: &str = "SELECT id, concat_ws('/', storage_key, uid, filename), uid, filename, storage_key FROM attachment \
    WHERE id > $1 AND storage_key <> '' ORDER BY id LIMIT $2";

/// How a mirror stands to its tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MirrorLag {
    /// It does not show what the tenant holds.
    pub behind: bool,
    /// The oldest change that it lacks, as far as that is known; never later than it was.
    pub since: Option<OffsetDateTime>,
}

/// An attached file of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileVersion {
    /// Number of its row.
    pub id: i64,
    /// Which version.
    pub version: String,
    /// Public id.
    pub uid: String,
    /// File name as uploaded.
    pub filename: String,
    /// Where its bytes are.
    pub storage_key: String,
}

impl Store {
    /// How these mirrors stand, asked for all together. One without a tenant is left out.
    pub async fn mirrors_behind(&self, mirrors: &[MirrorRow]) -> Result<HashMap<TenantId, MirrorLag>, Error> {
        let connection = self.pools().owner.get().await?;
        let client = &connection.client;
        let ids: Vec<uuid::Uuid> = mirrors.iter().map(|mirror| mirror.tenant.0).collect();
        let sql = "SELECT id, schema_id FROM holdfast.tenant WHERE id = ANY($1) AND state <> 'provisioning'";
        let (mut out, mut asked) = (HashMap::new(), Vec::new());
        for row in client.query(sql, &[&ids]).await? {
            let (id, schema): (uuid::Uuid, String) = (row.try_get(0)?, row.try_get(1)?);
            let Some(mirror) = mirrors.iter().find(|mirror| mirror.tenant.0 == id) else { continue };
            if mirror.schema != schema || !mirror.clean {
                let since = Some(mirror.mirrored_at.unwrap_or(mirror.created_at));
                out.insert(mirror.tenant, MirrorLag { behind: true, since });
            } else if schema.parse::<SchemaId>().is_ok() {
                let known = mirror.generation;
                asked.push(format!(
                    "SELECT '{id}'::uuid AS id, (SELECT max(generation) FROM {schema}.point_state) > {known} + 1 AS raised, \
                     (SELECT min(since) FROM {schema}.change_mark WHERE generation > {known}) AS since"
                ));
            }
        }
        for some in asked.chunks(TOGETHER) {
            for row in client.query(&some.join(" UNION ALL "), &[]).await? {
                let tenant = TenantId(row.try_get(0)?);
                // a point was taken meanwhile, which may have taken away the mark of a change
                let raised: Option<bool> = row.try_get(1)?;
                let marked: Option<OffsetDateTime> = row.try_get(2)?;
                let mirrored = mirrors.iter().find(|mirror| mirror.tenant == tenant).and_then(|one| one.mirrored_at);
                let raised = raised.unwrap_or(true);
                let since = if raised { mirrored.or(marked) } else { marked };
                out.insert(tenant, MirrorLag { behind: raised || marked.is_some(), since });
            }
        }
        Ok(out)
    }
}

impl Snapshot {
    /// Numbers and versions of notes with a higher number than `after`, by number.
    pub async fn note_versions(&mut self, after: i64, limit: i64) -> Result<Vec<(i64, String)>, Error> {
        let rows = self.client()?.query(NOTES, &[&after, &limit]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// The notes with these numbers.
    pub async fn notes_with(&mut self, ids: &[i64]) -> Result<Vec<Note>, Error> {
        let rows = self.client()?.query(WITH_IDS, &[&ids]).await?;
        rows.iter().map(note_of).collect()
    }

    /// Attached files whose bytes are ours, with a higher number than `after`, by number.
    pub async fn file_versions(&mut self, after: i64, limit: i64) -> Result<Vec<FileVersion>, Error> {
        let rows = self.client()?.query(FILES, &[&after, &limit]).await?;
        rows.iter()
            .map(|row| {
                Ok(FileVersion {
                    id: row.try_get(0)?,
                    version: row.try_get(1)?,
                    uid: row.try_get(2)?,
                    filename: row.try_get(3)?,
                    storage_key: row.try_get(4)?,
                })
            })
            .collect()
    }
}
