//! The rows of `identity_provider` and of `member_identity`, which links a member to an account there.

use domain::id::MemberId;
use serde_json::Value;

use crate::tx::Param;
use crate::{Error, Row, TenantTx, Type};

/// An identity provider of the tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// Row number.
    pub id: i64,
    /// Public id.
    pub uid: String,
    /// What the sign-in page calls it.
    pub name: String,
    /// `OAUTH2`.
    pub kind: String,
    /// A regular expression that an identifier must match; empty: any.
    pub identifier_filter: String,
    /// Its settings as Memos keeps them (`clientId`, `clientSecret`, `authUrl`, …). Holds a secret.
    pub config: Value,
}

/// A member's account at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberIdentity {
    /// Row number.
    pub id: i64,
    /// Whose it is.
    pub member_id: MemberId,
    /// The provider's public id.
    pub provider: String,
    /// The member's id there.
    pub extern_uid: String,
    /// Seconds since 1970.
    pub created_ts: i64,
    /// Seconds since 1970.
    pub updated_ts: i64,
}

/// The columns of [`provider_of`].
macro_rules! provider_columns {
    () => {
        "id, uid, name, kind, identifier_filter, config"
    };
}

fn provider_of(row: &Row) -> Result<Provider, Error> {
    Ok(Provider {
        id: row.try_get(0)?,
        uid: row.try_get(1)?,
        name: row.try_get(2)?,
        kind: row.try_get(3)?,
        identifier_filter: row.try_get(4)?,
        config: row.try_get(5)?,
    })
}

fn identity_of(row: &Row) -> Result<MemberIdentity, Error> {
    Ok(MemberIdentity {
        id: row.try_get(0)?,
        member_id: MemberId(row.try_get(1)?),
        provider: row.try_get(2)?,
        extern_uid: row.try_get(3)?,
        created_ts: row.try_get(4)?,
        updated_ts: row.try_get(5)?,
    })
}

/// All providers, the oldest first.
pub async fn list_providers(tx: &mut TenantTx) -> Result<Vec<Provider>, Error> {
    let sql = concat!("SELECT ", provider_columns!(), " FROM identity_provider ORDER BY id");
    tx.query(sql, &[]).await?.iter().map(provider_of).collect()
}

/// The provider with this public id.
pub async fn find_provider(tx: &mut TenantTx, uid: &str) -> Result<Option<Provider>, Error> {
    let sql = concat!("SELECT ", provider_columns!(), " FROM identity_provider WHERE uid = $1");
    tx.query_opt(sql, &[(&uid, Type::TEXT)]).await?.as_ref().map(provider_of).transpose()
}

/// Adds a provider. A taken public id is a conflict on `identity_provider_uid_key`.
pub async fn insert_provider(tx: &mut TenantTx, provider: &Provider) -> Result<(), Error> {
    let sql = "INSERT INTO identity_provider (id, uid, name, kind, identifier_filter, config) VALUES ($1, $2, $3, $4, $5, $6)";
    tx.query(sql, &provider_params(provider)).await.map(|_| ())
}

/// Writes every column of a provider but its ids.
pub async fn update_provider(tx: &mut TenantTx, provider: &Provider) -> Result<(), Error> {
    let sql = "UPDATE identity_provider SET uid = $2, name = $3, kind = $4, identifier_filter = $5, config = $6 WHERE id = $1";
    let changed = tx.execute(sql, &provider_params(provider)).await?;
    if changed == 0 { Err(Error::NotFound("identity provider")) } else { Ok(()) }
}

fn provider_params(provider: &Provider) -> [Param<'_>; 6] {
    [
        (&provider.id, Type::INT8),
        (&provider.uid, Type::TEXT),
        (&provider.name, Type::TEXT),
        (&provider.kind, Type::TEXT),
        (&provider.identifier_filter, Type::TEXT),
        (&provider.config, Type::JSONB),
    ]
}

/// Removes a provider; accounts linked to it stay, for the case that it comes back.
pub async fn delete_provider(tx: &mut TenantTx, uid: &str) -> Result<(), Error> {
    let gone = tx.execute("DELETE FROM identity_provider WHERE uid = $1", &[(&uid, Type::TEXT)]).await?;
    if gone == 0 { Err(Error::NotFound("identity provider")) } else { Ok(()) }
}

/// The accounts that a member has linked.
pub async fn list_identities(tx: &mut TenantTx, member: MemberId) -> Result<Vec<MemberIdentity>, Error> {
    let sql = "SELECT id, member_id, provider, extern_uid, created_ts, updated_ts FROM member_identity \
               WHERE member_id = $1 ORDER BY id";
    tx.query(sql, &[(&member.0, Type::INT8)]).await?.iter().map(identity_of).collect()
}

/// Whose account at the provider this is.
pub async fn find_identity(
    tx: &mut TenantTx,
    provider: &str,
    extern_uid: &str,
) -> Result<Option<MemberIdentity>, Error> {
    let sql = "SELECT id, member_id, provider, extern_uid, created_ts, updated_ts FROM member_identity \
               WHERE provider = $1 AND extern_uid = $2";
    let row = tx.query_opt(sql, &[(&provider, Type::TEXT), (&extern_uid, Type::TEXT)]).await?;
    row.as_ref().map(identity_of).transpose()
}

/// Links an account. Taken by another member: conflict on `member_identity_extern_key`; a second one of the same member
/// at that provider: on `member_identity_member_key`.
pub async fn insert_identity(tx: &mut TenantTx, identity: &MemberIdentity) -> Result<(), Error> {
    let sql = "INSERT INTO member_identity (id, member_id, provider, extern_uid, created_ts, updated_ts) \
               VALUES ($1, $2, $3, $4, $5, $6)";
    let params: [Param<'_>; 6] = [
        (&identity.id, Type::INT8),
        (&identity.member_id.0, Type::INT8),
        (&identity.provider, Type::TEXT),
        (&identity.extern_uid, Type::TEXT),
        (&identity.created_ts, Type::INT8),
        (&identity.updated_ts, Type::INT8),
    ];
    tx.query(sql, &params).await.map(|_| ())
}

/// Unlinks an account; false when none was linked.
pub async fn delete_identity(tx: &mut TenantTx, member: MemberId, provider: &str) -> Result<bool, Error> {
    let sql = "DELETE FROM member_identity WHERE member_id = $1 AND provider = $2";
    Ok(tx.execute(sql, &[(&member.0, Type::INT8), (&provider, Type::TEXT)]).await? > 0)
}
