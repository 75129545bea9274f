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
    /// Whether there is a password.
    pub by_password: bool,
    /// Whether an account at the operators' provider is known as this operator.
    pub by_provider: bool,
}

/// A sign-in that is good.
#[derive(Clone, Debug)]
pub struct OperatorSessionRow {
    /// Whose it is.
    pub operator: OperatorRow,
    /// When he last showed who he is.
    pub proved_at: OffsetDateTime,
    /// Whether he came by the operators' provider.
    pub by_provider: bool,
}

/// A sign-in to be added.
#[derive(Clone, Copy, Debug)]
pub struct NewOperatorSession<'a> {
    /// SHA-256 (hex) of the cookie's secret.
    pub token_hash: &'a str,
    /// Whose it is.
    pub operator: &'a str,
    /// Whether he came by the operators' provider.
    pub by_provider: bool,
    /// Now: he has just shown who he is.
    pub now: OffsetDateTime,
    /// Its end.
    pub expires_at: OffsetDateTime,
}

/// The columns of an [`OperatorRow`], of the table `o`.
const SHOWN: &str = "o.name, o.disabled, o.created_at, o.password_hash <> '' AS by_password, \
                     EXISTS (SELECT 1 FROM holdfast.operator_identity i WHERE i.operator = o.name) AS has_account";

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
        self.end_operator_sessions(name).await?;
        Ok(changed == 1)
    }

    /// Removes the sign-ins that are over.
    pub async fn delete_expired_operator_sessions(&self, now: OffsetDateTime) -> Result<u64, Error> {
        let sql = "DELETE FROM holdfast.operator_session WHERE expires_at <= $1";
        Ok(self.tx.execute_raw(statement(sql, vec![now.into()])).await?.rows_affected())
    }

    /// Adds a sign-in.
    pub async fn insert_operator_session(&self, new: NewOperatorSession<'_>) -> Result<(), Error> {
        let sql = "INSERT INTO holdfast.operator_session (token_hash, operator, by_provider, proved_at, expires_at) \
                   VALUES ($1, $2, $3, $4, $5)";
        let values = vec![
            new.token_hash.into(),
            new.operator.into(),
            new.by_provider.into(),
            new.now.into(),
            new.expires_at.into(),
        ];
        self.tx.execute_raw(statement(sql, values)).await?;
        Ok(())
    }

    /// Notes that the operator has just shown who he is, if the sign-in is his.
    pub async fn prove_operator_session(
        &self,
        token_hash: &str,
        operator: &str,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        let sql = "UPDATE holdfast.operator_session SET proved_at = $3 WHERE token_hash = $1 AND operator = $2";
        self.tx.execute_raw(statement(sql, vec![token_hash.into(), operator.into(), now.into()])).await?;
        Ok(())
    }

    /// Lets an operator in no more, ending every sign-in of his, or lets him in again; false when there is none of that name.
    pub async fn set_operator_disabled(&self, name: &str, disabled: bool) -> Result<bool, Error> {
        let sql = "UPDATE holdfast.operator SET disabled = $2 WHERE name = $1";
        let changed = self.tx.execute_raw(statement(sql, vec![name.into(), disabled.into()])).await?.rows_affected();
        if disabled {
            self.end_operator_sessions(name).await?;
        }
        Ok(changed == 1)
    }

    /// Makes an account at the operators' provider known as this operator.
    ///
    /// # Errors
    /// `Conflict` when it is known as somebody already.
    pub async fn insert_operator_identity(&self, issuer: &str, subject: &str, operator: &str) -> Result<(), Error> {
        let sql = "INSERT INTO holdfast.operator_identity (issuer, subject, operator) VALUES ($1, $2, $3)";
        self.tx.execute_raw(statement(sql, vec![issuer.into(), subject.into(), operator.into()])).await?;
        Ok(())
    }

    async fn end_operator_sessions(&self, name: &str) -> Result<(), Error> {
        let sql = "DELETE FROM holdfast.operator_session WHERE operator = $1";
        self.tx.execute_raw(statement(sql, vec![name.into()])).await?;
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
        let sql = format!("SELECT {SHOWN} FROM holdfast.operator o ORDER BY o.name");
        self.db.query_all_raw(statement(&sql, Vec::new())).await?.iter().map(read).collect()
    }

    /// The operator and their password hash.
    pub async fn find_operator(&self, name: &str) -> Result<Option<(OperatorRow, String)>, Error> {
        let sql = format!("SELECT {SHOWN}, o.password_hash FROM holdfast.operator o WHERE o.name = $1");
        let row = self.db.query_one_raw(statement(&sql, vec![name.into()])).await?;
        row.map(|row| Ok((read(&row)?, row.try_get("", "password_hash")?))).transpose()
    }

    /// The operator as whom an account at the operators' provider is known.
    pub async fn find_operator_by_account(&self, issuer: &str, subject: &str) -> Result<Option<OperatorRow>, Error> {
        let sql = format!(
            "SELECT {SHOWN} FROM holdfast.operator_identity a JOIN holdfast.operator o ON o.name = a.operator \
             WHERE a.issuer = $1 AND a.subject = $2"
        );
        let row = self.db.query_one_raw(statement(&sql, vec![issuer.into(), subject.into()])).await?;
        row.as_ref().map(read).transpose()
    }

    /// The sign-in, while it and the account are good.
    pub async fn find_operator_session(
        &self,
        token_hash: &str,
        now: OffsetDateTime,
    ) -> Result<Option<OperatorSessionRow>, Error> {
        let sql = format!(
            "SELECT {SHOWN}, s.proved_at, s.by_provider FROM holdfast.operator_session s \
             JOIN holdfast.operator o ON o.name = s.operator \
             WHERE s.token_hash = $1 AND s.expires_at > $2 AND NOT o.disabled"
        );
        let row = self.db.query_one_raw(statement(&sql, vec![token_hash.into(), now.into()])).await?;
        let session = |row: QueryResult| {
            Ok(OperatorSessionRow {
                operator: read(&row)?,
                proved_at: row.try_get("", "proved_at")?,
                by_provider: row.try_get("", "by_provider")?,
            })
        };
        row.map(session).transpose()
    }
}

fn read(row: &QueryResult) -> Result<OperatorRow, Error> {
    Ok(OperatorRow {
        name: row.try_get("", "name")?,
        disabled: row.try_get("", "disabled")?,
        created_at: row.try_get("", "created_at")?,
        by_password: row.try_get("", "by_password")?,
        by_provider: row.try_get("", "has_account")?,
    })
}
