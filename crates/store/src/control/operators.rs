//! Operator accounts and their sign-ins.

use sea_orm::{ConnectionTrait, QueryResult};
use time::OffsetDateTime;

use super::{Control, ControlTx, statement};
use crate::error::Error;

/// An operator as stored.
#[derive(Clone, Debug)]
pub struct OperatorRow {
    /// The name to sign in with.
    pub name: String,
    /// Disabled operators cannot sign in.
    pub disabled: bool,
    /// When the account was made.
    pub created_at: OffsetDateTime,
}

impl ControlTx {
    /// Adds an operator.
    ///
    /// # Errors
    /// `Conflict` when the name is taken.
    pub async fn insert_operator(&self, name: &str, password_hash: &str) -> Result<(), Error> {
        let sql = "INSERT INTO holdfast.operator (name, password_hash) VALUES ($1, $2)";
        self.tx.execute_raw(statement(sql, vec![name.into(), password_hash.into()])).await?;
        Ok(())
    }

    /// Sets another password and ends every sign-in of the operator; false when there is none of that name.
    pub async fn reset_operator(&self, name: &str, password_hash: &str) -> Result<bool, Error> {
        let sql = "UPDATE holdfast.operator SET password_hash = $2 WHERE name = $1";
        let changed =
            self.tx.execute_raw(statement(sql, vec![name.into(), password_hash.into()])).await?.rows_affected();
        self.tx
            .execute_raw(statement("DELETE FROM holdfast.operator_session WHERE operator = $1", vec![name.into()]))
            .await?;
        Ok(changed == 1)
    }

    /// Removes the sign-ins that are over.
    pub async fn delete_expired_operator_sessions(&self, now: OffsetDateTime) -> Result<u64, Error> {
        let sql = "DELETE FROM holdfast.operator_session WHERE expires_at <= $1";
        Ok(self.tx.execute_raw(statement(sql, vec![now.into()])).await?.rows_affected())
    }

    /// Adds a sign-in.
    pub async fn insert_operator_session(
        &self,
        token_hash: &str,
        operator: &str,
        expires_at: OffsetDateTime,
    ) -> Result<(), Error> {
        let sql = "INSERT INTO holdfast.operator_session (token_hash, operator, expires_at) VALUES ($1, $2, $3)";
        self.tx.execute_raw(statement(sql, vec![token_hash.into(), operator.into(), expires_at.into()])).await?;
        Ok(())
    }

    /// Ends a sign-in.
    pub async fn delete_operator_session(&self, token_hash: &str) -> Result<(), Error> {
        self.tx
            .execute_raw(statement(
                "DELETE FROM holdfast.operator_session WHERE token_hash = $1",
                vec![token_hash.into()],
            ))
            .await?;
        Ok(())
    }
}

impl Control {
    /// Every operator.
    pub async fn list_operators(&self) -> Result<Vec<OperatorRow>, Error> {
        let sql = "SELECT name, disabled, created_at FROM holdfast.operator ORDER BY name";
        self.db.query_all_raw(statement(sql, Vec::new())).await?.iter().map(read).collect()
    }

    /// The operator and their password hash.
    pub async fn find_operator(&self, name: &str) -> Result<Option<(OperatorRow, String)>, Error> {
        let sql = "SELECT name, disabled, created_at, password_hash FROM holdfast.operator WHERE name = $1";
        let row = self.db.query_one_raw(statement(sql, vec![name.into()])).await?;
        row.map(|row| Ok((read(&row)?, row.try_get("", "password_hash")?))).transpose()
    }

    /// The operator a sign-in belongs to, while it and the account are good.
    pub async fn find_operator_session(
        &self,
        token_hash: &str,
        now: OffsetDateTime,
    ) -> Result<Option<OperatorRow>, Error> {
        let sql = "SELECT o.name, o.disabled, o.created_at FROM holdfast.operator_session s JOIN holdfast.operator o ON o.name = s.operator \
            WHERE s.token_hash = $1 AND s.expires_at > $2 AND NOT o.disabled";
        let row = self.db.query_one_raw(statement(sql, vec![token_hash.into(), now.into()])).await?;
        row.as_ref().map(read).transpose()
    }
}

fn read(row: &QueryResult) -> Result<OperatorRow, Error> {
    Ok(OperatorRow {
        name: row.try_get("", "name")?,
        disabled: row.try_get("", "disabled")?,
        created_at: row.try_get("", "created_at")?,
    })
}
