//! The rows of `setting` (of the tenant) and `member_setting` (of one member): a key and a JSON value.

use domain::id::MemberId;
use serde_json::Value;

use crate::{Error, TenantTx, Type};

/// The key that holds the signing secret. It is never shown to anyone.
pub const BASIC: &str = "BASIC";

/// The value of a tenant's setting.
pub async fn find_setting(tx: &mut TenantTx, key: &str) -> Result<Option<Value>, Error> {
    let row = tx.query_opt("SELECT value FROM setting WHERE key = $1", &[(&key, Type::TEXT)]).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// The values of several settings, by key; those that are not set are left out.
pub async fn list_settings(tx: &mut TenantTx, keys: &[String]) -> Result<Vec<(String, Value)>, Error> {
    let rows = tx.query("SELECT key, value FROM setting WHERE key = ANY($1)", &[(&keys, Type::TEXT_ARRAY)]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Sets a tenant's setting, whether or not it was set.
pub async fn put_setting(tx: &mut TenantTx, key: &str, value: &Value) -> Result<(), Error> {
    let sql = "INSERT INTO setting (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    tx.query(sql, &[(&key, Type::TEXT), (&value, Type::JSONB)]).await.map(|_| ())
}

/// Removes a tenant's setting: it reads as its default again.
pub async fn delete_setting(tx: &mut TenantTx, key: &str) -> Result<(), Error> {
    tx.execute("DELETE FROM setting WHERE key = $1", &[(&key, Type::TEXT)]).await.map(|_| ())
}

/// The signing secret; none when the tenant has none yet.
pub async fn find_signing_secret(tx: &mut TenantTx) -> Result<Option<String>, Error> {
    let sql = "SELECT value->>'secretKey' FROM setting WHERE key = 'BASIC' AND coalesce(value->>'secretKey', '') <> ''";
    let row = tx.query_opt(sql, &[]).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// Sets the signing secret if there is none; of two that come at once the first stays.
pub async fn insert_signing_secret(tx: &mut TenantTx, fresh: &str) -> Result<(), Error> {
    let sql = "INSERT INTO setting AS s (key, value) VALUES ('BASIC', jsonb_build_object('secretKey', $1::text)) \
               ON CONFLICT (key) DO UPDATE SET value = s.value || excluded.value \
               WHERE coalesce(s.value->>'secretKey', '') = ''";
    tx.query(sql, &[(&fresh, Type::TEXT)]).await.map(|_| ())
}

/// The value of a member's setting.
pub async fn find_member_setting(tx: &mut TenantTx, member: MemberId, key: &str) -> Result<Option<Value>, Error> {
    let sql = "SELECT value FROM member_setting WHERE member_id = $1 AND key = $2";
    let row = tx.query_opt(sql, &[(&member.0, Type::INT8), (&key, Type::TEXT)]).await?;
    row.map(|row| Ok(row.try_get(0)?)).transpose()
}

/// All settings of a member, by key.
pub async fn list_member_settings(tx: &mut TenantTx, member: MemberId) -> Result<Vec<(String, Value)>, Error> {
    let sql = "SELECT key, value FROM member_setting WHERE member_id = $1 ORDER BY key";
    let rows = tx.query(sql, &[(&member.0, Type::INT8)]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Sets a member's setting, whether or not it was set.
pub async fn put_member_setting(tx: &mut TenantTx, member: MemberId, key: &str, value: &Value) -> Result<(), Error> {
    let sql = "INSERT INTO member_setting (member_id, key, value) VALUES ($1, $2, $3) \
               ON CONFLICT (member_id, key) DO UPDATE SET value = excluded.value";
    tx.query(sql, &[(&member.0, Type::INT8), (&key, Type::TEXT), (&value, Type::JSONB)]).await.map(|_| ())
}
