//! OpenID Connect: discovery, tokens, claims, logout.

pub(crate) mod claims;
pub(crate) mod known;
pub(crate) mod logout;
pub(crate) mod verify;

use serde_json::{Map, Value};

use crate::error::{Refusal, Why};
use crate::exchange::{self, Exchange, Tokens};
use crate::outbound::Failure;
use crate::provider::{Oidc, Provider};
use crate::{Error, Identity};

pub use known::Known;

/// What a sign-in proved.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    /// Every claim: of the ID token, and of the provider's answer about the person.
    pub(crate) claims: Map<String, Value>,
    /// Who vouches for it.
    pub(crate) issuer: String,
    /// The ID token.
    pub(crate) id_token: String,
}

/// What is sent along with a code.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_field_names, reason = "the code is the code in every text about OAuth")]
pub(crate) struct Code<'a> {
    /// The code.
    pub(crate) code: &'a str,
    /// To where it came.
    pub(crate) redirect_uri: &'a str,
    /// The proof that whoever began is whoever ends; empty where a client did not use one.
    pub(crate) verifier: &'a str,
    /// What the ID token must repeat; none where a client began without one.
    pub(crate) nonce: Option<&'a str>,
}

impl Identity {
    /// Turns a code into what it proves.
    pub(crate) async fn prove(&self, key: &known::Key, provider: &Provider, code: Code<'_>) -> Result<Proof, Error> {
        let crate::provider::Kind::Oidc(oidc) = &provider.kind else {
            return Err(Refusal::new(Why::Invalid, "this provider does not speak OpenID Connect").into());
        };
        let known = self.known(key, oidc).await.map_err(|failure| unreachable(provider, &failure))?;
        let exchange = Exchange {
            token_url: known.token_endpoint(),
            client_id: &oidc.client_id,
            client_secret: &oidc.client_secret,
            basic: known.takes_basic(),
            ca_pem: &oidc.ca_pem,
        };
        let tokens = exchange::tokens(&self.outbound, exchange, &code, provider.title()).await?;
        let Some(id_token) = tokens.id_token.clone().filter(|token| !token.is_empty()) else {
            return Err(distrusted(provider, "it says nobody's name: there is no ID token"));
        };
        let mut claims = self.verified(key, provider, oidc, &id_token, code.nonce).await?;
        self.add_user_info(&known, provider, oidc, &tokens, &mut claims).await?;
        Ok(Proof { claims, issuer: oidc.issuer.clone(), id_token })
    }

    /// Adds what only the provider's answer about the person says.
    async fn add_user_info(
        &self,
        known: &Known,
        provider: &Provider,
        oidc: &Oidc,
        tokens: &Tokens,
        claims: &mut Map<String, Value>,
    ) -> Result<(), Error> {
        let wanted = [&oidc.claims.name, &oidc.claims.email, &oidc.claims.groups, &oidc.claims.display_name];
        let all_there = wanted.iter().all(|path| claims::at(claims, path).is_some());
        let Some(url) = known.userinfo_endpoint().filter(|_| !all_there) else { return Ok(()) };
        let told =
            exchange::user_info(&self.outbound, &url, &tokens.access_token, &oidc.ca_pem, provider.title()).await?;
        let subject = claims.get("sub").and_then(Value::as_str);
        match told.get("sub").and_then(Value::as_str) {
            None => return Err(distrusted(provider, "its answer about the person has no subject")),
            Some(other) if Some(other) != subject => {
                return Err(distrusted(provider, "its answer about the person is about another one"));
            }
            Some(_) => {}
        }
        for (name, value) in told {
            claims.entry(name).or_insert(value);
        }
        Ok(())
    }
}

/// The provider cannot be asked.
pub(crate) fn unreachable(provider: &Provider, failure: &Failure) -> Error {
    exchange::silent(provider.title(), failure)
}

/// What the provider sent cannot be believed.
pub(crate) fn distrusted(provider: &Provider, reason: impl std::fmt::Display) -> Error {
    let message = format!("the answer of {} was refused: {reason}", provider.title());
    Refusal::new(Why::Invalid, message).because(reason).into()
}
