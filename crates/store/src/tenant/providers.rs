//! The rows of `identity_provider`.

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
    /// `OAUTH2`, `OIDC` or `LDAP`.
    pub kind: String,
    /// A regular expression that an identifier must match; empty: any.
    pub identifier_filter: String,
    /// Its settings, for `OAUTH2` as Memos keeps them (`clientId`, `clientSecret`, `authUrl`, …). Holds a secret.
    pub config: Value,
}

/// The columns of [`provider_of`].
macro_rules! provider_columns {
    () => {
        "id, uid, name, kind, identifier_filter, config"
    };
}

pub(super) fn provider_of(row: &Row) -> Result<Provider, Error> {
    Ok(Provider {
        id: row.try_get(0)?,
        uid: row.try_get(1)?,
        name: row.try_get(2)?,
        kind: row.try_get(3)?,
        identifier_filter: row.try_get(4)?,
        config: row.try_get(5)?,
    })
}

/// All providers, the oldest first.
pub async fn list_providers(tx: &mut TenantTx) -> Result<Vec<Provider>, Error> {
    let sql = concat!("SELECT ", provider_columns!(), " FROM identity_provider ORDER BY id");
    tx.query(sql, &[]).await?.iter().map(provider_of).collect()
}

pub(super) const LIST_DIRECTORIES: &str =
    concat!("SELECT ", provider_columns!(), " FROM identity_provider WHERE kind = 'LDAP' ORDER BY id");

/// The directories among the providers, the oldest first.
pub async fn list_directories(tx: &mut TenantTx) -> Result<Vec<Provider>, Error> {
    tx.query(LIST_DIRECTORIES, &[]).await?.iter().map(provider_of).collect()
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

/// Removes a provider; accounts linked to it are removed by their own module.
pub async fn delete_provider(tx: &mut TenantTx, uid: &str) -> Result<(), Error> {
    let gone = tx.execute("DELETE FROM identity_provider WHERE uid = $1", &[(&uid, Type::TEXT)]).await?;
    if gone == 0 { Err(Error::NotFound("identity provider")) } else { Ok(()) }
}
