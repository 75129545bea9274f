//! The index for searching the texts of large tenants: made beside everything else, never at a start.
//!
//! A rare word is found in it instead of in every note; common ones are among the newest notes, where a list looks first.
//! Small tenants have none: an index costs planning and writing.

use domain::id::SchemaId;

use crate::error::Error;
use crate::store::Store;

/// One process at a time.
const LOCK: &str = "SELECT pg_try_advisory_lock(7235419881123003)";
const UNLOCK: &str = "RESET statement_timeout; SELECT pg_advisory_unlock(7235419881123003)";

/// The largest tenant in use that has at least `$1` notes, as far as statistics know, and lacks it; none where trigrams are
/// not installed.
const NEXT: &str = "SELECT t.schema_id FROM holdfast.tenant t
    JOIN pg_class c ON c.relnamespace = to_regnamespace(t.schema_id) AND c.relname = 'note'
    WHERE t.state IN ('active', 'read_only') AND c.reltuples >= $1
      AND EXISTS (SELECT FROM pg_opclass o JOIN pg_namespace n ON n.oid = o.opcnamespace
                  WHERE n.nspname = 'ext' AND o.opcname = 'gin_trgm_ops')
      AND NOT EXISTS (SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
                      WHERE i.indrelid = c.oid AND x.relname = 'note_content_trgm_idx' AND i.indisvalid)
    ORDER BY c.reltuples DESC LIMIT 1";

impl Store {
    /// Makes the index of one tenant with at least `least` notes that lacks it; tells of which, if any. Reading and writing
    /// go on meanwhile.
    pub async fn build_search_index(&self, least: f32) -> Result<Option<SchemaId>, Error> {
        let connection = self.pools().owner.get().await?;
        let client = &connection.client;
        if !client.query_one(LOCK, &[]).await?.try_get::<_, bool>(0)? {
            return Ok(None);
        }
        let outcome = build(client, least).await;
        client.batch_execute(UNLOCK).await?;
        metrics::gauge!("holdfast_search_index_failing").set(f64::from(u8::from(outcome.is_err())));
        outcome
    }
}

async fn build(client: &tokio_postgres::Client, least: f32) -> Result<Option<SchemaId>, Error> {
    let Some(row) = client.query_opt(NEXT, &[&least]).await? else { return Ok(None) };
    let text: String = row.try_get(0)?;
    let Ok(schema) = text.parse::<SchemaId>() else { return Ok(None) };
    client.batch_execute("SET statement_timeout = 0").await?;
    // What a build that broke off has left.
    client.batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS {schema}.note_content_trgm_idx")).await?;
    // Of the collation in which filters compare.
    let build = format!(
        "CREATE INDEX CONCURRENTLY note_content_trgm_idx ON {schema}.note USING gin (content COLLATE \"C\" ext.gin_trgm_ops) \
         WITH (gin_pending_list_limit = 256)"
    );
    client.batch_execute(&build).await?;
    Ok(Some(schema))
}
