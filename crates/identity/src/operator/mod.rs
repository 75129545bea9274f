//! Operators run the appliance. They have accounts of their own; no role in any tenant ever makes an operator, and an
//! operator's cookie is worth nothing at any tenant.

mod provider;

use domain::id::TenantId;
use serde_json::{Value, json};
use store::AuditEvent;
use store::control::ControlTx;
use store::control::operators::NewOperatorSession;
use time::OffsetDateTime;

use crate::sign_in::{SECRET_ALPHABET, address};
use crate::signing::token_hash;
use crate::throttle::refuse;
use crate::{Client, Error, Identity, SignIn};

pub use provider::{OPERATOR_FLOW_COOKIE, OperatorFinished};

/// The cookie of an operator's session; its path is [`OPERATOR_PATH`].
pub const OPERATOR_COOKIE: &str = "holdfast_operator";

/// Below which path the console lives, and the only one that sees the cookie.
pub const OPERATOR_PATH: &str = "/console";

/// How long an operator stays signed in, in seconds: a working day, whatever he does.
const OPERATOR_SECONDS: i64 = 12 * 60 * 60;

/// How long after he showed who he is an operator may do what cannot be undone easily, in seconds.
pub const PROVED_SECONDS: i64 = 600;

/// In the place of a tenant where there is none.
const NOWHERE: TenantId = TenantId(uuid::Uuid::nil());

/// An operator who has signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorActor {
    /// The name he signs in with, as the audit shows it.
    pub name: String,
    /// Whether he showed who he is within the last [`PROVED_SECONDS`].
    pub proved: bool,
    /// Whether he came by the operators' provider.
    pub by_provider: bool,
    /// Whether he has a password.
    pub has_password: bool,
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
        let operator = self.check_operator(who, client, "operator.signin.failed").await?;
        let tx = self.store.control().begin().await?;
        self.open_operator_session(tx, operator, json!({"address": address(client)})).await
    }

    /// The operator of this name and password, with the throttle before it. A failure is written down as `failed`.
    async fn check_operator(&self, who: SignIn<'_>, client: &Client, failed: &str) -> Result<OperatorActor, Error> {
        let attempt = self.throttle.begin(NOWHERE, who.username, client.address);
        let attempt = attempt.map_err(|seconds| Error::Throttled { seconds })?;
        let control = self.store.control();
        let counted = attempt.counted(self.clock.seconds());
        let count = control.operator_count(&counted).await?;
        refuse(count)?;
        let found = if who.username.contains('\0') { None } else { control.find_operator(who.username).await? };
        let right = self.passwords.verify(who.password, found.as_ref().map(|(_, hash)| hash.as_str())).await?;
        let known = found.is_some();
        let Some((row, _)) = found.filter(|(row, _)| right && !row.disabled) else {
            let object = if known { who.username } else { "" };
            let detail = json!({"address": address(client)});
            let event = AuditEvent { actor: "stranger", event: failed, object, detail };
            control.audit(None, &event).await?;
            control.count_operator_wrong(&counted).await?;
            return Err(Error::Unmatched);
        };
        self.throttle.succeeded(&attempt);
        if count.wrong > 0 {
            control.forget_operator_count(counted.keys.first().map_or("", String::as_str)).await?;
        }
        Ok(OperatorActor { name: row.name, proved: true, by_provider: false, has_password: true })
    }

    /// Opens a session for an operator who has shown who he is, in the transaction that found him.
    async fn open_operator_session(
        &self,
        tx: ControlTx,
        operator: OperatorActor,
        detail: Value,
    ) -> Result<OperatorSession, Error> {
        let cookie = self.chance.text(SECRET_ALPHABET, 43);
        let now = self.clock.now();
        let expires = now + time::Duration::seconds(OPERATOR_SECONDS);
        tx.delete_expired_operator_sessions(now).await?;
        let (token_hash, by_provider) = (token_hash(&cookie), operator.by_provider);
        let operator_name = operator.name.as_str();
        let new = NewOperatorSession {
            token_hash: &token_hash,
            operator: operator_name,
            by_provider,
            now,
            expires_at: expires,
        };
        tx.insert_operator_session(new).await?;
        let actor = operator.audit_actor();
        let event = AuditEvent { actor: &actor, event: "operator.signin.made", object: operator_name, detail };
        tx.audit(None, &event).await?;
        tx.commit().await?;
        Ok(OperatorSession { operator, cookie, expires })
    }

    /// Takes the operator's password once more: for the next minutes he may do what cannot be undone easily. A wrong one
    /// counts as a wrong guess. Audit: `operator.confirmed` or `operator.confirm.failed`.
    pub async fn operator_confirm(
        &self,
        operator: &OperatorActor,
        cookies: &[String],
        password: &str,
        client: &Client,
    ) -> Result<(), Error> {
        let who = SignIn { username: &operator.name, password };
        self.check_operator(who, client, "operator.confirm.failed").await?;
        self.prove_operator(operator, cookies, json!({"address": address(client), "by": "password"})).await
    }

    async fn prove_operator(&self, operator: &OperatorActor, cookies: &[String], detail: Value) -> Result<(), Error> {
        let tx = self.store.control().begin().await?;
        for cookie in cookies {
            tx.prove_operator_session(&token_hash(cookie), &operator.name, self.clock.now()).await?;
        }
        let actor = operator.audit_actor();
        let event = AuditEvent { actor: &actor, event: "operator.confirmed", object: &operator.name, detail };
        tx.audit(None, &event).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The operator behind the values of [`OPERATOR_COOKIE`]; none when they are worth nothing.
    pub async fn authenticate_operator(&self, cookies: &[String]) -> Result<Option<OperatorActor>, store::Error> {
        let now = self.clock.now();
        for cookie in cookies {
            let found = self.store.control().find_operator_session(&token_hash(cookie), now).await?;
            if let Some(row) = found {
                return Ok(Some(OperatorActor {
                    name: row.operator.name,
                    proved: now - row.proved_at <= time::Duration::seconds(PROVED_SECONDS),
                    by_provider: row.by_provider,
                    has_password: row.operator.by_password,
                }));
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
