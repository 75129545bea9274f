//! The rows of `member_totp`: the second factor of a local account.

use domain::id::MemberId;
use serde_json::Value;

use crate::tx::Param;
use crate::{Error, TenantTx, Type};

/// A member's second factor.
#[derive(Clone, Debug, PartialEq)]
pub struct Totp {
    /// The shared secret, base32.
    pub secret: String,
    /// When the first code proved that the member has it, in seconds since 1970; none: it is being set up.
    pub confirmed_ts: Option<i64>,
    /// The newest time step whose code was taken.
    pub last_step: i64,
    /// Hashes (hex) of the recovery codes that are left.
    pub recovery: Vec<String>,
}

/// The member's second factor, being set up or in force. The row stays as it is until the unit of work ends.
pub async fn find_totp(tx: &mut TenantTx, member: MemberId) -> Result<Option<Totp>, Error> {
    let sql = "SELECT secret, confirmed_ts, last_step, recovery FROM member_totp WHERE member_id = $1";
    let row = tx.query_opt(sql, &[(&member.0, Type::INT8)]).await?;
    row.map(|row| {
        let recovery: Value = row.try_get(3)?;
        Ok(Totp {
            secret: row.try_get(0)?,
            confirmed_ts: row.try_get(1)?,
            last_step: row.try_get(2)?,
            recovery: serde_json::from_value(recovery).unwrap_or_default(),
        })
    })
    .transpose()
}

/// Begins to set up a second factor; one in force stays. False when one is in force.
pub async fn begin_totp(tx: &mut TenantTx, member: MemberId, secret: &str) -> Result<bool, Error> {
    let sql = "INSERT INTO member_totp AS t (member_id, secret) VALUES ($1, $2) ON CONFLICT (member_id) \
               DO UPDATE SET secret = excluded.secret, last_step = 0 WHERE t.confirmed_ts IS NULL";
    Ok(tx.execute(sql, &[(&member.0, Type::INT8), (&secret, Type::TEXT)]).await? > 0)
}

/// Puts the second factor in force, with its recovery codes.
pub async fn confirm_totp(
    tx: &mut TenantTx,
    member: MemberId,
    step: i64,
    recovery: &Value,
    now_ts: i64,
) -> Result<(), Error> {
    let sql = "UPDATE member_totp SET confirmed_ts = $2, last_step = $3, recovery = $4 WHERE member_id = $1";
    let params: [Param<'_>; 4] =
        [(&member.0, Type::INT8), (&now_ts, Type::INT8), (&step, Type::INT8), (&recovery, Type::JSONB)];
    tx.execute(sql, &params).await.map(|_| ())
}

/// Uses up a time step; false when it, or a later one, was used before: of two that come at once, one wins.
pub async fn take_step(tx: &mut TenantTx, member: MemberId, step: i64) -> Result<bool, Error> {
    let sql = "UPDATE member_totp SET last_step = $2 WHERE member_id = $1 AND last_step < $2";
    Ok(tx.execute(sql, &[(&member.0, Type::INT8), (&step, Type::INT8)]).await? > 0)
}

/// Uses up a recovery code; false when it is none of those left.
pub async fn take_recovery(tx: &mut TenantTx, member: MemberId, hash: &str) -> Result<bool, Error> {
    let sql = "UPDATE member_totp SET recovery = recovery - $2 WHERE member_id = $1 AND recovery ? $2";
    Ok(tx.execute(sql, &[(&member.0, Type::INT8), (&hash, Type::TEXT)]).await? > 0)
}

/// Ends the second factor; false when there was none.
pub async fn delete_totp(tx: &mut TenantTx, member: MemberId) -> Result<bool, Error> {
    Ok(tx.execute("DELETE FROM member_totp WHERE member_id = $1", &[(&member.0, Type::INT8)]).await? > 0)
}
