//! Wrong passwords as all processes count them, and what a sign-in is checked against, in one flight.

use serde_json::Value;

use super::members::{FIND_WITH_PASSWORD, WithPassword, with_password_of};
use super::providers::{LIST_DIRECTORIES, Provider, provider_of};
use crate::tx::{Param, Statement};
use crate::{Error, Row, TenantTx, Type};

/// Under which keys a try is counted, and over which span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Keys: hashes, the narrower first.
    pub keys: Vec<String>,
    /// Wrong tries under each key before one must wait.
    pub bounds: Vec<i32>,
    /// Seconds since 1970.
    pub now: i64,
    /// Seconds over which tries are counted.
    pub span: i64,
}

/// What was counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Seconds to wait; 0: none.
    pub seconds: i64,
    /// The most wrong tries under any of the keys.
    pub wrong: i32,
}

/// What a sign-in is checked against.
#[derive(Clone, Debug)]
pub struct ForSignIn {
    /// The member with that name.
    pub found: Option<WithPassword>,
    /// The tenant's general setting.
    pub general: Option<Value>,
    /// Its directories, the oldest first.
    pub directories: Vec<Provider>,
    /// How often it was tried before.
    pub count: Count,
}

const WAIT: &str = "SELECT seconds, wrong FROM holdfast_throttle.wait($1, $2, $3, $4)";

fn wait_params(counted: &Counted) -> [Param<'_>; 4] {
    [
        (&counted.keys, Type::TEXT_ARRAY),
        (&counted.bounds, Type::INT4_ARRAY),
        (&counted.now, Type::INT8),
        (&counted.span, Type::INT8),
    ]
}

fn count_of(rows: &[Row]) -> Result<Count, Error> {
    let Some(row) = rows.first() else { return Ok(Count::default()) };
    Ok(Count { seconds: row.try_get(0)?, wrong: row.try_get(1)? })
}

/// Everything that a name and a password are checked against, in one flight.
pub async fn find_for_sign_in(tx: TenantTx, username: &str, counted: &Counted) -> Result<ForSignIn, Error> {
    let wait = wait_params(counted);
    let name: [Param<'_>; 1] = [(&username, Type::TEXT)];
    let answers = tx
        .read_all_once(&[
            Statement { sql: WAIT, params: &wait },
            Statement { sql: FIND_WITH_PASSWORD, params: &name },
            Statement { sql: "SELECT value FROM setting WHERE key = 'GENERAL'", params: &[] },
            Statement { sql: LIST_DIRECTORIES, params: &[] },
        ])
        .await?;
    let [count, found, general, directories] = answers.as_slice() else { return Err(Error::NotFound("answer")) };
    Ok(ForSignIn {
        count: count_of(count)?,
        found: found.first().map(with_password_of).transpose()?,
        general: general.first().map(|row| row.try_get(0)).transpose()?,
        directories: directories.iter().map(provider_of).collect::<Result<_, _>>()?,
    })
}

/// How often it was tried before.
pub async fn read_count(tx: TenantTx, counted: &Counted) -> Result<Count, Error> {
    count_of(&tx.read_once(WAIT, &wait_params(counted)).await?)
}

/// Counts a wrong try under every key.
pub async fn count_wrong(tx: TenantTx, counted: &Counted) -> Result<(), Error> {
    let params: [Param<'_>; 3] =
        [(&counted.keys, Type::TEXT_ARRAY), (&counted.now, Type::INT8), (&counted.span, Type::INT8)];
    tx.read_once("SELECT holdfast_throttle.failed($1, $2, $3)", &params).await.map(|_| ())
}

/// Forgets what was counted under a key.
pub async fn forget(tx: TenantTx, key: &str) -> Result<(), Error> {
    tx.read_once("SELECT holdfast_throttle.forget($1)", &[(&key, Type::TEXT)]).await.map(|_| ())
}
