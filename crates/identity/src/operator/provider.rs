//! Operators by their OpenID provider: the code of members' sign-ins, with one group at least that must be had.

use domain::id::is_username;
use serde_json::{Map, Value, json};
use store::AuditEvent;
use store::control::ControlTx;
use store::control::operators::OperatorRow;

use super::{NOWHERE, OperatorActor, OperatorSession};
use crate::accounts::{Person, admit, denied, fitting_name, names_like};
use crate::error::{Refusal, Why};
use crate::flow::{Begun, Returned, Underway, refuse};
use crate::oidc::claims;
use crate::provider::{Kind, Oidc, Provider};
use crate::sign_in::{SECRET_ALPHABET, address};
use crate::signing::SigningKey;
use crate::{Client, Error, Identity};

/// The setting of the control plane from which the console's key is made.
const KEY: &str = "console_key";
/// The cookie of an operator's sign-in under way.
pub const OPERATOR_FLOW_COOKIE: &str = "holdfast_operator_flow";
const PURPOSE: &str = "operator sign-in flow";

/// How a visit of an operator at the provider ended.
#[derive(Clone, Debug)]
pub enum OperatorFinished {
    /// He is signed in.
    SignedIn(OperatorSession),
    /// He has shown once more who he is.
    Confirmed,
}

fn no_provider() -> Error {
    Refusal::new(Why::NotFound, "operators sign in by password here; no provider is set").into()
}

impl Identity {
    /// What the operators' provider is called; none when there is none.
    pub fn operators_provider(&self) -> Option<&str> {
        self.operators.as_deref().map(Provider::title)
    }

    /// The groups of which an operator must be in one there.
    pub fn operators_groups(&self) -> &[String] {
        let rules = self.operators.as_deref().and_then(Provider::rules);
        rules.map_or(&[], |rules| rules.required_groups.as_slice())
    }

    /// Leads an operator's browser to the provider: to sign in, or, with `again`, to show once more who he is.
    pub async fn begin_operator(
        &self,
        redirect_uri: &str,
        next: &str,
        again: Option<&OperatorActor>,
    ) -> Result<Begun, Error> {
        let provider = self.operators.as_deref().ok_or_else(no_provider)?;
        let key = self.console_key().await?;
        let mut underway = self.underway(provider, redirect_uri, next);
        underway.again = again.map(|operator| operator.name.clone()).unwrap_or_default();
        let location = self.location(NOWHERE, provider, &underway, &key).await.map_err(for_operators)?;
        self.sealed(location, PURPOSE, &underway, &key)
    }

    /// Ends what the provider has answered: how, and where to go next. Without a required group nobody comes in. Audit:
    /// `operator.signin.made`, `operator.created`, `operator.confirmed`; `operator.signin.failed` when it is refused.
    pub async fn finish_operator(
        &self,
        cookie: Option<&str>,
        returned: &Returned,
        asking: Option<(&OperatorActor, &[String])>,
        client: &Client,
    ) -> Result<(OperatorFinished, String), Error> {
        let provider = self.operators.as_deref().ok_or_else(no_provider)?;
        let key = self.console_key().await?;
        let underway = self.opened(cookie, PURPOSE, &key)?;
        let outcome = self.operator_returned(provider, &underway, &key, returned).await;
        let outcome = match outcome {
            Ok(person) if underway.again.is_empty() => {
                self.operator_enters(provider, &person, client).await.map(OperatorFinished::SignedIn)
            }
            Ok(person) => self.operator_again(&person, &underway, asking, client).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(finished) => Ok((finished, underway.next)),
            Err(error) => {
                self.tell_operator_refused(provider, &error, client).await?;
                Err(for_operators(error))
            }
        }
    }

    async fn operator_returned(
        &self,
        provider: &Provider,
        underway: &Underway,
        key: &SigningKey,
        returned: &Returned,
    ) -> Result<Person, Error> {
        let Kind::Oidc(oidc) = &provider.kind else { return Err(no_provider()) };
        let possession = self.possession(NOWHERE, provider, underway, key, returned).await?;
        let code = possession.code(returned, underway);
        let proof = self.prove(&(NOWHERE, provider.uid.clone()), provider, code).await?;
        if !underway.again.is_empty() {
            signed_in_again(&proof.claims, underway.begun, oidc)?;
        }
        let person = claims::person(&proof, oidc, &provider.uid);
        admit(provider, &person)?;
        if oidc.rules.admits(&person.groups).is_none() {
            let message = format!("{} did not say which groups you are in; operators must be in one", provider.title());
            return Err(denied(message, "a group is required, and groups were not told"));
        }
        Ok(person)
    }

    async fn operator_enters(
        &self,
        provider: &Provider,
        person: &Person,
        client: &Client,
    ) -> Result<OperatorSession, Error> {
        let control = self.store.control();
        let found = control.find_operator_by_account(&person.issuer, &person.subject).await?;
        let tx = control.begin().await?;
        let (name, has_password) = match found {
            Some(OperatorRow { disabled: true, name, .. }) => {
                let message = format!("the operator {name} may not sign in at present");
                return Err(denied(message, "the operator is disabled"));
            }
            Some(row) => (row.name, row.by_password),
            None => (self.new_operator(&tx, provider, person).await?, false),
        };
        let operator = OperatorActor { name, proved: true, by_provider: true, has_password };
        let detail = json!({"address": address(client), "provider": provider.uid, "subject": person.subject});
        self.open_operator_session(tx, operator, detail).await
    }

    /// Makes an operator without a password of somebody who comes for the first time. An operator who is there already is
    /// never taken for him, whatever they are called.
    async fn new_operator(&self, tx: &ControlTx, provider: &Provider, person: &Person) -> Result<String, Error> {
        let mut name = self.chance.uuid().to_string();
        for tried in names_like(&fitting_name(&person.username)) {
            if is_username(&tried) && self.store.control().find_operator(&tried).await?.is_none() {
                name = tried;
                break;
            }
        }
        tx.insert_operator(&name, "").await?;
        tx.insert_operator_identity(&person.issuer, &person.subject, &name).await?;
        let actor = format!("provider:{}", provider.uid);
        let detail = json!({"issuer": person.issuer, "subject": person.subject});
        tx.audit(None, &AuditEvent { actor: &actor, event: "operator.created", object: &name, detail }).await?;
        Ok(name)
    }

    async fn operator_again(
        &self,
        person: &Person,
        underway: &Underway,
        asking: Option<(&OperatorActor, &[String])>,
        client: &Client,
    ) -> Result<OperatorFinished, Error> {
        let asking = asking.filter(|(operator, _)| operator.name == underway.again);
        let Some((operator, cookies)) = asking else {
            return Err(refuse("somebody else is signed in now than when this was begun; begin again"));
        };
        let known = self.store.control().find_operator_by_account(&person.issuer, &person.subject).await?;
        if known.is_none_or(|row| row.name != operator.name) {
            return Err(denied("that is the account of somebody else".to_owned(), "confirmed by another account"));
        }
        self.prove_operator(operator, cookies, json!({"address": address(client), "by": "provider"})).await?;
        Ok(OperatorFinished::Confirmed)
    }

    async fn tell_operator_refused(&self, provider: &Provider, error: &Error, client: &Client) -> Result<(), Error> {
        let Error::Refused(refusal) = error else { return Ok(()) };
        let reason = &refusal.reason;
        tracing::info!(provider = provider.uid, reason, "a sign-in of an operator was refused");
        // Every audit event waits for one lock: strangers get one line a minute between them.
        let Some(unwritten) = self.stranger_is_told(NOWHERE) else { return Ok(()) };
        let detail = json!({"address": address(client), "reason": reason, "unwritten_before": unwritten});
        let event = AuditEvent { actor: "stranger", event: "operator.signin.failed", object: "", detail };
        Ok(self.store.control().audit(None, &event).await?)
    }

    /// The key that seals what browsers keep on the way to the provider: one for every process of the appliance.
    async fn console_key(&self) -> Result<SigningKey, Error> {
        let fresh = Value::from(self.chance.text(SECRET_ALPHABET, 43));
        let control = self.store.control();
        let secret = match control.setting(KEY).await? {
            Some(secret) => secret,
            None => control.settle_setting(KEY, &fresh).await?,
        };
        SigningKey::derive(secret.as_str().unwrap_or_default(), NOWHERE)
            .ok_or_else(|| Error::Crypto("the console has no key".into()))
    }
}

/// Whether the provider says that he signed in there after we sent him, and not only that he was signed in.
fn signed_in_again(claims: &Map<String, Value>, begun: i64, oidc: &Oidc) -> Result<(), Error> {
    match claims.get("auth_time").and_then(Value::as_i64) {
        Some(at) if at >= begun - oidc.clock_skew_seconds => Ok(()),
        Some(_) => Err(refuse("you did not sign in there once more; begin again")),
        None => Err(refuse("the provider does not say when you signed in there; confirm by password instead")),
    }
}

/// Sentences that send members to an owner send operators to the log.
fn for_operators(error: Error) -> Error {
    match error {
        Error::Refused(mut refusal) if refusal.message.contains("owner of") => {
            let head = refusal.message.split(';').next().unwrap_or_default();
            refusal.message = format!("{head}; the server's log says why").into();
            Error::Refused(refusal)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_sign_in_there_is_no_new_one() {
        let oidc = Oidc::default();
        let said = |claims: Value| {
            let refused = signed_in_again(claims.as_object().unwrap(), 1_000, &oidc);
            refused.map_err(|error| error.to_string())
        };
        assert_eq!(said(json!({"auth_time": 1_000})), Ok(()));
        assert_eq!(said(json!({"auth_time": 900})), Err("you did not sign in there once more; begin again".to_owned()));
        assert!(said(json!({})).is_err());
    }
}
