//! Signing out, both ways: a provider tells us that somebody is gone, and we lead somebody who leaves us to his provider.

use std::sync::PoisonError;

use domain::id::MemberId;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Map, Value, json};
use store::tenant::sessions::{self, Logout};
use store::{AuditEvent, TenantScope};

use super::known::{Known, STRANGERS_PAUSE};
use super::{unreachable, verify};
use crate::error::{Refusal, Why};
use crate::provider::{Kind, Oidc, Provider};
use crate::{Error, Identity};

/// The event that a logout token must name.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// How old a logout token may be, in seconds.
const OLDEST: i64 = 300;
/// The longest logout token, in bytes.
const LONGEST: usize = 16 * 1024;
/// Logout tokens remembered.
const SEEN: usize = 20_000;

fn refuse(reason: &'static str) -> Error {
    Refusal::new(Why::Invalid, format!("the logout token was refused: {reason}")).because(reason).into()
}

impl Identity {
    /// Ends the sessions that a provider's logout token names: how many members were signed out. Audit: `session.revoked`
    /// for each of them; `signin.failed` when the token is refused.
    pub async fn back_channel_logout(&self, scope: &TenantScope, uid: &str, token: &str) -> Result<usize, Error> {
        let provider = self.provider(scope, uid).await?;
        let outcome = self.logout_claims(scope, &provider, token).await;
        let (claims, oidc) = match outcome {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(provider = provider.uid, %error, "a logout token was refused");
                return Err(error);
            }
        };
        let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (session, subject) = (text("sid"), text("sub"));
        let issued = claims.get("iat").and_then(Value::as_i64).unwrap_or_default();
        let logout = Logout {
            provider: &provider.uid,
            issuer: &oidc.issuer,
            session: &session,
            subject: &subject,
            until_ns: (issued + oidc.clock_skew_seconds).saturating_mul(1_000_000_000),
        };
        let mut tx = self.store.begin(scope);
        tx.touch().await?;
        let gone = sessions::delete_sessions_through(&mut tx, logout).await?;
        let actor = format!("provider:{}", provider.uid);
        for username in &gone {
            let detail = json!({"by": "back-channel logout"});
            tx.audit(&AuditEvent { actor: &actor, event: "session.revoked", object: username, detail }).await?;
        }
        tx.commit().await?;
        Ok(gone.len())
    }

    async fn logout_claims(
        &self,
        scope: &TenantScope,
        provider: &Provider,
        token: &str,
    ) -> Result<(Map<String, Value>, Oidc), Error> {
        let Kind::Oidc(oidc) = &provider.kind else { return Err(refuse("this provider sends none")) };
        if token.len() > LONGEST {
            return Err(refuse("it is longer than 16 KiB"));
        }
        let header = verify::header(token).ok_or_else(|| refuse("it cannot be read"))?;
        let kind = header.get("typ").and_then(Value::as_str).unwrap_or("logout+jwt");
        if !kind.eq_ignore_ascii_case("logout+jwt") && !kind.eq_ignore_ascii_case("jwt") {
            return Err(refuse("it is a token of another kind"));
        }
        let key = (scope.tenant().id, provider.uid.clone());
        let known = self.known(&key, oidc).await.map_err(|failure| unreachable(provider, &failure))?;
        let claims = match signed(&known, oidc, token) {
            Ok(claims) => claims,
            Err(reason) => {
                let newer = self.newer_keys(&key, oidc, STRANGERS_PAUSE).await;
                let newer = newer.map_err(|failure| unreachable(provider, &failure))?;
                let known = newer.ok_or_else(|| refuse(reason))?;
                signed(&known, oidc, token).map_err(refuse)?
            }
        };
        let now = self.clock.seconds();
        check(&claims, now, oidc.clock_skew_seconds).map_err(refuse)?;
        let id = claims.get("jti").and_then(Value::as_str).unwrap_or_default();
        if !self.is_new(&format!("{}\n{}\n{id}", scope.tenant().id.0, provider.uid), now) {
            return Err(refuse("it came before"));
        }
        Ok((claims, oidc.clone()))
    }

    fn is_new(&self, id: &str, now: i64) -> bool {
        let mut seen = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= SEEN {
            seen.retain(|_, until| *until > now);
        }
        seen.insert(id.to_owned(), now + 2 * OLDEST).is_none()
    }

    /// Where a member who signs out here signs out at his provider, too; none when that is not wished or not known.
    /// `back` is where the provider sends him afterwards.
    pub async fn end_session_url(
        &self,
        scope: &TenantScope,
        member: MemberId,
        session_id: &str,
        back: &str,
    ) -> Result<Option<(String, String)>, Error> {
        let mut tx = self.store.begin(scope);
        let through = sessions::find_through(&mut tx, member, session_id).await?;
        tx.commit().await?;
        let Some((uid, id_token)) = through.filter(|(uid, _)| !uid.is_empty()) else { return Ok(None) };
        let Ok(provider) = self.provider(scope, &uid).await else { return Ok(None) };
        let Kind::Oidc(oidc) = &provider.kind else { return Ok(None) };
        if !oidc.sign_out_there {
            return Ok(None);
        }
        let Ok(known) = self.known(&(scope.tenant().id, uid), oidc).await else { return Ok(None) };
        let Some(mut url) = known.end_session_endpoint().and_then(|url| url::Url::parse(&url).ok()) else {
            return Ok(None);
        };
        url.query_pairs_mut().append_pair("client_id", &oidc.client_id).append_pair("post_logout_redirect_uri", back);
        if !id_token.is_empty() {
            url.query_pairs_mut().append_pair("id_token_hint", &id_token);
        }
        Ok(Some((url.into(), provider.title)))
    }
}

/// The claims of a token that one of the provider's keys signed for us.
fn signed(known: &Known, oidc: &Oidc, token: &str) -> Result<Map<String, Value>, &'static str> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| "it is not signed in a way that is allowed")?;
    if matches!(header.alg, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) {
        return Err("it is signed in a way that is not allowed");
    }
    let keys = serde_json::to_value(known.keys.as_ref()).map_err(|_| "the provider's keys cannot be read")?;
    let mut keys: JwkSet = serde_json::from_value(keys).map_err(|_| "the provider's keys cannot be read")?;
    if header.kid.is_some() {
        keys.keys.retain(|key| key.common.key_id == header.kid);
    }
    let mut rules = Validation::new(header.alg);
    rules.validate_exp = false;
    rules.set_required_spec_claims(&["iss", "aud"]);
    rules.set_issuer(&[&oidc.issuer]);
    rules.set_audience(&[&oidc.client_id]);
    let mut reason = "it is signed with an unknown key";
    for key in &keys.keys {
        let Ok(key) = DecodingKey::from_jwk(key) else { continue };
        match decode::<Map<String, Value>>(token, &key, &rules) {
            Ok(data) => return Ok(data.claims),
            Err(error) => {
                use jsonwebtoken::errors::ErrorKind;
                reason = match error.kind() {
                    ErrorKind::InvalidIssuer => "it was issued by somebody else",
                    ErrorKind::InvalidAudience => "it was made for another application",
                    _ => "its signature is wrong",
                };
            }
        }
    }
    Err(reason)
}

/// What a logout token must and must not say.
fn check(claims: &Map<String, Value>, now: i64, skew: i64) -> Result<(), &'static str> {
    let number = |name: &str| claims.get(name).and_then(Value::as_i64);
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    match number("iat") {
        Some(issued) if issued > now + skew => return Err("it is not valid yet"),
        Some(issued) if issued + OLDEST < now - skew => return Err("it is out of date"),
        Some(_) => {}
        None => return Err("it does not say when it was issued"),
    }
    if number("exp").is_some_and(|end| end <= now - skew) {
        return Err("it is out of date");
    }
    if claims.get("events").and_then(|events| events.get(EVENT)).is_none_or(|event| !event.is_object()) {
        return Err("it does not say that somebody signed out");
    }
    if claims.contains_key("nonce") {
        return Err("it is an ID token");
    }
    if text("jti").is_empty() {
        return Err("it has no id of its own");
    }
    if text("sid").is_empty() && text("sub").is_empty() {
        return Err("it does not say who signed out");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(change: impl Fn(&mut Map<String, Value>)) -> Result<(), &'static str> {
        let mut claims =
            json!({"iat": 1000, "jti": "a", "sub": "s", "events": {EVENT: {}}}).as_object().cloned().unwrap();
        change(&mut claims);
        check(&claims, 1000, 60)
    }

    #[test]
    fn a_logout_token_says_what_it_must_and_nothing_else() {
        assert_eq!(said(|_| {}), Ok(()));
        assert_eq!(said(|claims| drop(claims.remove("jti"))), Err("it has no id of its own"));
        assert_eq!(said(|claims| drop(claims.remove("events"))), Err("it does not say that somebody signed out"));
        assert_eq!(said(|claims| drop(claims.remove("sub"))), Err("it does not say who signed out"));
        assert_eq!(said(|claims| drop(claims.remove("iat"))), Err("it does not say when it was issued"));
        assert_eq!(said(|claims| drop(claims.insert("nonce".into(), json!("x")))), Err("it is an ID token"));
        assert_eq!(said(|claims| drop(claims.insert("iat".into(), json!(1061)))), Err("it is not valid yet"));
        assert_eq!(said(|claims| drop(claims.insert("iat".into(), json!(600)))), Err("it is out of date"));
        assert_eq!(said(|claims| drop(claims.insert("exp".into(), json!(900)))), Err("it is out of date"));
    }
}
