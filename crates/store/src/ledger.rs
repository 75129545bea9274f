//! The content-free ledger: what was revoked, erased or archived after a point must stay so when the point comes back.

use std::collections::HashSet;

use domain::id::{SchemaId, TenantId};
use domain::tenant::Tenant;
use time::OffsetDateTime;
use tokio_postgres::Client;

use crate::error::Error;
use crate::store::Store;
use crate::tenant::cards;

/// What a replay changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Replayed {
    /// Tokens that are revoked again.
    pub tokens: u64,
    /// Share links that are revoked again.
    pub shares: u64,
    /// Members that are erased again, with everything of theirs.
    pub erased: u64,
    /// Members whose archiving (or its end) was done again.
    pub archived: u64,
}

/// Everything that goes with a member, in this order; `gone` is a temporary table of their numbers.
const ERASE: &str = "\
    CREATE TEMPORARY TABLE gone_note ON COMMIT DROP AS WITH RECURSIVE tree AS ( \
      SELECT n.id FROM note n WHERE n.creator_id IN (SELECT id FROM gone) \
      UNION SELECT c.id FROM note c JOIN tree ON c.parent_id = tree.id) SELECT id FROM tree; \
    DELETE FROM attachment WHERE creator_id IN (SELECT id FROM gone) OR note_id IN (SELECT id FROM gone_note); \
    DELETE FROM reaction WHERE creator_id IN (SELECT id FROM gone) OR note_id IN (SELECT id FROM gone_note); \
    DELETE FROM note_relation WHERE note_id IN (SELECT id FROM gone_note) OR related_id IN (SELECT id FROM gone_note); \
    DELETE FROM note_share WHERE creator_id IN (SELECT id FROM gone) OR note_id IN (SELECT id FROM gone_note); \
    DELETE FROM notification WHERE receiver_id IN (SELECT id FROM gone) OR sender_id IN (SELECT id FROM gone) \
      OR note_id IN (SELECT id FROM gone_note) OR related_id IN (SELECT id FROM gone_note); \
    DELETE FROM note WHERE id IN (SELECT id FROM gone_note); \
    DELETE FROM access_token WHERE member_id IN (SELECT id FROM gone); \
    DELETE FROM session WHERE member_id IN (SELECT id FROM gone); \
    DELETE FROM member_setting WHERE member_id IN (SELECT id FROM gone); \
    DELETE FROM member_identity WHERE member_id IN (SELECT id FROM gone); \
    DELETE FROM member WHERE id IN (SELECT id FROM gone); \
    UPDATE note SET card = '{}' WHERE card <> '{}'";

/// Share link `s` was revoked; the ledger knows it by the hash of its token.
const REVOKED: &str = "encode(sha256(convert_to(s.token, 'UTF8')), 'hex') IN \
    (SELECT ref FROM holdfast.ledger WHERE tenant_id = $1 AND at >= $2 AND kind = 'share')";

impl Store {
    /// Does again in `tenant` what happened to tenant `of` after `since`. The tenant must not be in use.
    pub async fn replay_ledger(&self, tenant: &Tenant, of: TenantId, since: OffsetDateTime) -> Result<Replayed, Error> {
        let connection = self.pools().owner.get().await?;
        let client = &connection.client;
        client.batch_execute("BEGIN").await?;
        let replayed = replay(client, &tenant.schema, of, since).await;
        client.batch_execute(if replayed.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        replayed
    }

    /// Which of these share links somebody revoked after `since`: rows of a point that must not come back.
    pub async fn revoked_shares(
        &self,
        of: TenantId,
        since: OffsetDateTime,
        tokens: &[String],
    ) -> Result<HashSet<String>, Error> {
        let connection = self.pools().owner.get().await?;
        let sql = format!("SELECT s.token FROM unnest($3::text[]) AS s (token) WHERE {REVOKED}");
        let rows = connection.client.query(&sql, &[&of.0, &since, &tokens]).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
}

/// The same within a transaction of the owning role.
pub(crate) async fn replay(
    client: &Client,
    schema: &SchemaId,
    of: TenantId,
    since: OffsetDateTime,
) -> Result<Replayed, Error> {
    client.batch_execute(&format!("SET LOCAL search_path TO {schema}")).await?;
    let tokens = client
        .execute(
            "DELETE FROM access_token WHERE token_id IN \
             (SELECT ref FROM holdfast.ledger WHERE tenant_id = $1 AND at >= $2 AND kind = 'token')",
            &[&of.0, &since],
        )
        .await?;
    let shares = client.execute(&format!("DELETE FROM note_share s WHERE {REVOKED}"), &[&of.0, &since]).await?;
    let archived = client
        .execute(
            "UPDATE member m SET archived = (l.kind = 'archived') FROM (SELECT DISTINCT ON (ref) ref, kind FROM holdfast.ledger \
             WHERE tenant_id = $1 AND at >= $2 AND kind IN ('archived', 'unarchived') ORDER BY ref, seq DESC) l \
             WHERE m.id = l.ref::bigint AND m.archived <> (l.kind = 'archived')",
            &[&of.0, &since],
        )
        .await?;
    let erased = client
        .query(
            "SELECT id FROM member WHERE id::text IN \
             (SELECT ref FROM holdfast.ledger WHERE tenant_id = $1 AND at >= $2 AND kind = 'erased')",
            &[&of.0, &since],
        )
        .await?;
    if !erased.is_empty() {
        let ids: Vec<i64> = erased.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        let list = ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        client
            .batch_execute(&format!(
                "CREATE TEMPORARY TABLE gone ON COMMIT DROP AS SELECT unnest(ARRAY[{list}]::bigint[]) AS id; {ERASE}"
            ))
            .await?;
        client.batch_execute(cards::REBUILD_ALL).await?;
    }
    Ok(Replayed { tokens, shares, archived, erased: erased.len() as u64 })
}
