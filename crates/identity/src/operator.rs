//! Operators run the appliance. They have accounts of their own; no role in any tenant ever makes an operator, and an
//! operator's cookie is worth nothing at any tenant.

use domain::id::TenantId;
use serde_json::json;
use store::AuditEvent;
use time::OffsetDateTime;

use crate::sign_in::{SECRET_ALPHABET, address};
use crate::signing::token_hash;
use crate::{Client, Error, Identity, SignIn};

/// The cookie of an operator's session; its path is [`OPERATOR_PATH`].
pub const OPERATOR_COOKIE: &str = "holdfast_operator";

/// Below which path the console lives, and the only one that sees the cookie.
pub const OPERATOR_PATH: &str = "/console";

/// How long an operator stays signed in, in seconds: a working day, whatever he does.
const OPERATOR_SECONDS: i64 = 12 * 60 * 60;

/// An operator who has signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorActor {
    /// The name he signs in with, as the audit shows it.
    pub name: String,
}

impl OperatorActor {
    /// Who acts, as the audit writes it.
    pub fn audit_actor(&self) -> String {
        format!("operator:{}", self.name)
    }
}

/// What a browser gets that signs in at the console.
#[derive(Clone, Debug)]
pub struct OperatorSession {
    /// Who it is.
    pub operator: OperatorActor,
    /// The value of [`OPERATOR_COOKIE`].
    pub cookie: String,
    /// Its end.
    pub expires: OffsetDateTime,
}

impl Identity {
    /// Signs an operator in. Audit: `operator.signin.made` or `operator.signin.failed`.
    pub async fn operator_sign_in(&self, who: SignIn<'_>, client: &Client) -> Result<OperatorSession, Error> {
        let nowhere = TenantId(uuid::Uuid::nil());
        let attempt = self.throttle.begin(nowhere, who.username, client.address);
        let attempt = attempt.map_err(|seconds| Error::Throttled { seconds })?;
        let control = self.store.control();
        let found = if who.username.contains('\0') { None } else { control.find_operator(who.username).await? };
        let right = self.passwords.verify(who.password, found.as_ref().map(|(_, hash)| hash.as_str())).await?;
        let known = found.is_some();
        let Some((row, _)) = found.filter(|(row, _)| right && !row.disabled) else {
            let object = if known { who.username } else { "" };
            let detail = json!({"address": address(client)});
            let event = AuditEvent { actor: "stranger", event: "operator.signin.failed", object, detail };
            control.audit(None, &event).await?;
            return Err(Error::Unmatched);
        };
        self.throttle.succeeded(&attempt);
        let operator = OperatorActor { name: row.name };
        let cookie = self.chance.text(SECRET_ALPHABET, 43);
        let expires = self.clock.now() + time::Duration::seconds(OPERATOR_SECONDS);
        let tx = control.begin().await?;
        tx.delete_expired_operator_sessions(self.clock.now()).await?;
        tx.insert_operator_session(&token_hash(&cookie), &operator.name, expires).await?;
        let detail = json!({"address": address(client)});
        let actor = operator.audit_actor();
        let event = AuditEvent { actor: &actor, event: "operator.signin.made", object: &operator.name, detail };
        tx.audit(None, &event).await?;
        tx.commit().await?;
        Ok(OperatorSession { operator, cookie, expires })
    }

    /// The operator behind the values of [`OPERATOR_COOKIE`]; none when they are worth nothing.
    pub async fn authenticate_operator(&self, cookies: &[String]) -> Result<Option<OperatorActor>, store::Error> {
        for cookie in cookies {
            let found = self.store.control().find_operator_session(&token_hash(cookie), self.clock.now()).await?;
            if let Some(row) = found {
                return Ok(Some(OperatorActor { name: row.name }));
            }
        }
        Ok(None)
    }

    /// Ends the operator's sessions whose cookies came with the request. Audit: `operator.signout.made`.
    pub async fn operator_sign_out(&self, operator: &OperatorActor, cookies: &[String]) -> Result<(), Error> {
        let tx = self.store.control().begin().await?;
        for cookie in cookies {
            tx.delete_operator_session(&token_hash(cookie)).await?;
        }
        let actor = operator.audit_actor();
        let event =
            AuditEvent { actor: &actor, event: "operator.signout.made", object: &operator.name, detail: json!({}) };
        tx.audit(None, &event).await?;
        tx.commit().await?;
        Ok(())
    }
}
