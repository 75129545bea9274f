//! The rows of `access_token`: personal access tokens, of which only the SHA-256 is kept.

use domain::id::MemberId;
use domain::member::Member;

use super::members::{member_of, shown_columns};
use crate::ahead::Value;
use crate::check::{Check, CheckProof};
use crate::tx::Param;
use crate::{Error, Row, Store, TenantScope, TenantTx, Type};

/// A personal access token as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// Public id.
    pub token_id: String,
    /// Whose it is.
    pub member_id: MemberId,
    /// What the owner called it.
    pub description: String,
    /// Nanoseconds since 1970.
    pub created_ns: i64,
    /// Nanoseconds since 1970; none: never.
    pub expires_ns: Option<i64>,
    /// Nanoseconds since 1970; none: not yet.
    pub last_used_ns: Option<i64>,
    /// How much of what its owner may it may: `read`, `write` or `admin` (everything).
    pub scope: String,
}

fn token_of(row: &Row) -> Result<AccessToken, Error> {
    Ok(AccessToken {
        token_id: row.try_get(0)?,
        member_id: MemberId(row.try_get(1)?),
        description: row.try_get(2)?,
        created_ns: row.try_get(3)?,
        expires_ns: row.try_get(4)?,
        last_used_ns: row.try_get(5)?,
        scope: row.try_get(6)?,
    })
}

/// The member's tokens, the newest first.
pub async fn list_tokens(tx: &mut TenantTx, member: MemberId) -> Result<Vec<AccessToken>, Error> {
    let sql = "SELECT token_id, member_id, description, created_ns, expires_ns, last_used_ns, scope FROM access_token \
               WHERE member_id = $1 ORDER BY created_ns DESC, token_id";
    tx.query(sql, &[(&member.0, Type::INT8)]).await?.iter().map(token_of).collect()
}

/// Adds a token; `hash` is the SHA-256 of its text in hex.
pub async fn insert_token(tx: &mut TenantTx, token: &AccessToken, hash: &str) -> Result<(), Error> {
    let sql = "INSERT INTO access_token (token_id, member_id, token_hash, description, created_ns, expires_ns, last_used_ns, \
               scope) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let params: [Param<'_>; 8] = [
        (&token.token_id, Type::TEXT),
        (&token.member_id.0, Type::INT8),
        (&hash, Type::TEXT),
        (&token.description, Type::TEXT),
        (&token.created_ns, Type::INT8),
        (&token.expires_ns, Type::INT8),
        (&token.last_used_ns, Type::INT8),
        (&token.scope, Type::TEXT),
    ];
    tx.query(sql, &params).await.map(|_| ())
}

/// Removes the member's token; false when he has none of that id.
pub async fn delete_token(tx: &mut TenantTx, member: MemberId, token_id: &str) -> Result<bool, Error> {
    let sql = "DELETE FROM access_token WHERE member_id = $1 AND token_id = $2";
    Ok(tx.execute(sql, &[(&member.0, Type::INT8), (&token_id, Type::TEXT)]).await? > 0)
}

/// Removes all tokens of a member.
pub async fn delete_tokens_of(tx: &mut TenantTx, member: MemberId) -> Result<u64, Error> {
    tx.execute("DELETE FROM access_token WHERE member_id = $1", &[(&member.0, Type::INT8)]).await
}

/// Notes that the token was used, unless a later use is noted already.
pub async fn mark_token_used(tx: &mut TenantTx, token_id: &str, at_ns: i64) -> Result<(), Error> {
    let sql = "UPDATE access_token SET last_used_ns = $2 WHERE token_id = $1 AND coalesce(last_used_ns, 0) < $2";
    tx.execute(sql, &[(&token_id, Type::TEXT), (&at_ns, Type::INT8)]).await.map(|_| ())
}

/// The member and token behind the SHA-256 (hex) of a token's text: one flight.
pub async fn read_token(
    store: &Store,
    scope: &TenantScope,
    hash: &str,
) -> Result<Option<(Member, AccessToken)>, Error> {
    const CHECK: Check = Check {
        name: "token",
        text: concat!(
            "SELECT ",
            shown_columns!(),
            ", t.token_id, t.description, t.created_ns, t.expires_ns, t.last_used_ns, t.scope, t.xmin, m.xmin",
            " FROM {s}.access_token t JOIN {s}.member m ON m.id = t.member_id WHERE t.token_hash = $1"
        ),
        proof: Some(CheckProof {
            text: "SELECT 0::bigint, t.xmin, m.xmin FROM {s}.access_token t JOIN {s}.member m ON m.id = t.member_id \
                   WHERE t.token_hash = $1",
            pairs: 1,
            same: 1,
        }),
    };
    let rows = store.read_check(scope, CHECK, &[Value::Text(hash.to_owned())]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let member = member_of(row)?;
    let token = AccessToken {
        token_id: row.try_get(10)?,
        member_id: member.id,
        description: row.try_get(11)?,
        created_ns: row.try_get(12)?,
        expires_ns: row.try_get(13)?,
        last_used_ns: row.try_get(14)?,
        scope: row.try_get(15)?,
    };
    Ok(Some((member, token)))
}
