//! From our sign-in page to a provider and back. What is under way is kept in the browser, sealed with the tenant's key:
//! state, nonce and the proof of possession are made from it, so a stranger's visit writes nothing.

mod client;

use std::sync::PoisonError;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::id::{MemberId, TenantId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::TenantScope;
use store::tenant::providers;
use store::tenant::sessions::Through;
use time::OffsetDateTime;

use crate::accounts::Person;
use crate::actor::MemberActor;
use crate::error::{Refusal, Why};
use crate::oidc::{Code, claims, unreachable};
use crate::provider::{Kind, Provider};
use crate::sign_in::{Client, PageSession, Proven, SECRET_ALPHABET};
use crate::signing::SigningKey;
use crate::{Error, Identity};

pub use client::SsoCode;

/// The cookie of a sign-in under way.
pub const FLOW_COOKIE: &str = "holdfast_flow";
/// How long a member may take at the provider, in seconds.
const FLOW_SECONDS: i64 = 600;
/// Finished sign-ins remembered.
const USED: usize = 20_000;
const PURPOSE: &str = "sign-in flow";
const USED_UP: &str = "this sign-in was begun elsewhere, is used up, or took too long; begin again";

/// What the browser keeps of a sign-in under way.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Underway {
    pub(crate) provider: String,
    pub(crate) secret: String,
    pub(crate) next: String,
    pub(crate) redirect_uri: String,
    /// The member to whom the account is to be linked; none: signing in.
    pub(crate) member: Option<i64>,
    /// When it began, in seconds since 1970.
    #[serde(default)]
    pub(crate) begun: i64,
    /// The operator who shows once more who he is; empty: signing in.
    #[serde(default)]
    pub(crate) again: String,
}

/// What is sent along with a code, made from the secret that the browser kept.
pub(crate) struct Possession {
    verifier: String,
    nonce: String,
}

impl Possession {
    /// The provider's code with everything that proves it to be ours.
    pub(crate) fn code<'a>(&'a self, returned: &'a Returned, underway: &'a Underway) -> Code<'a> {
        let redirect_uri = &underway.redirect_uri;
        Code { code: &returned.code, redirect_uri, verifier: &self.verifier, nonce: Some(&self.nonce) }
    }
}

/// Where a browser goes, and what it keeps meanwhile.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The provider's address.
    pub location: String,
    /// The value of [`FLOW_COOKIE`].
    pub cookie: String,
    /// Its end.
    pub expires: OffsetDateTime,
}

/// What a provider's answer brought along.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Returned {
    /// What we sent.
    pub state: String,
    /// The code; empty when it was refused.
    pub code: String,
    /// Who answers, where it says so.
    pub iss: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
}

/// How a sign-in through a provider ended.
#[derive(Clone, Debug)]
pub enum Finished {
    /// Somebody is signed in.
    SignedIn(PageSession),
    /// An account is linked to this member.
    Linked(String),
}

impl Underway {
    fn part(&self, key: &SigningKey, name: &str) -> String {
        URL_SAFE_NO_PAD.encode(key.code(name, &self.secret))
    }
}

pub(crate) fn refuse(message: &'static str) -> Error {
    Refusal::new(Why::Invalid, message).into()
}

impl Identity {
    /// The provider of this public id.
    pub async fn provider(&self, scope: &TenantScope, name: &str) -> Result<Provider, Error> {
        let uid = name.strip_prefix("identity-providers/").unwrap_or(name);
        let mut tx = self.store.begin(scope);
        let row = if uid.contains('\0') { None } else { providers::find_provider(&mut tx, uid).await? };
        tx.commit().await?;
        let row = row.ok_or_else(|| Refusal::new(Why::Invalid, "identity provider not found"))?;
        Provider::read(&row).map_err(|unfit| {
            let message = format!("{} is not set up rightly; tell an owner of this workspace", row.name);
            Refusal::new(Why::Unavailable, message).because(unfit).into()
        })
    }

    /// Where an OpenID provider signs people in; none for others, and while it cannot be asked.
    pub async fn authorization_endpoint(&self, scope: &TenantScope, provider: &Provider) -> Option<String> {
        let Kind::Oidc(oidc) = &provider.kind else { return None };
        let known = self.known(&(scope.tenant().id, provider.uid.clone()), oidc).await;
        known.map(|known| known.authorization_endpoint()).ok()
    }

    /// Leads a browser to a provider: to sign in, or, with `member`, to link an account. `redirect_uri` is our callback.
    pub async fn begin_flow(
        &self,
        scope: &TenantScope,
        provider: &str,
        redirect_uri: &str,
        next: &str,
        member: Option<MemberId>,
    ) -> Result<Begun, Error> {
        let provider = self.provider(scope, provider).await?;
        let key = self.signing_key(scope).await?;
        let mut underway = self.underway(&provider, redirect_uri, next);
        underway.member = member.map(|id| id.0);
        let location = self.location(scope.tenant().id, &provider, &underway, &key).await?;
        self.sealed(location, PURPOSE, &underway, &key)
    }

    /// A sign-in that begins now.
    pub(crate) fn underway(&self, provider: &Provider, redirect_uri: &str, next: &str) -> Underway {
        Underway {
            provider: provider.uid.clone(),
            secret: self.chance.text(SECRET_ALPHABET, 43),
            next: next.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            begun: self.clock.seconds(),
            ..Underway::default()
        }
    }

    /// What the browser gets of a sign-in that begins.
    pub(crate) fn sealed(
        &self,
        location: String,
        purpose: &str,
        underway: &Underway,
        key: &SigningKey,
    ) -> Result<Begun, Error> {
        let text = serde_json::to_string(underway).map_err(|cause| Error::Crypto(Box::new(cause)))?;
        let cookie = key.seal(purpose, self.clock.seconds() + FLOW_SECONDS, &text);
        Ok(Begun { location, cookie, expires: self.at(FLOW_SECONDS) })
    }

    /// What the browser kept of a sign-in, if it is ours and not over.
    pub(crate) fn opened(&self, cookie: Option<&str>, purpose: &str, key: &SigningKey) -> Result<Underway, Error> {
        let opened = cookie.and_then(|sealed| key.open(purpose, self.clock.seconds(), sealed));
        opened.and_then(|text| serde_json::from_str(&text).ok()).ok_or_else(|| refuse(USED_UP))
    }

    pub(crate) async fn location(
        &self,
        tenant: TenantId,
        provider: &Provider,
        underway: &Underway,
        key: &SigningKey,
    ) -> Result<String, Error> {
        let (address, client_id, scopes, nonce) = match &provider.kind {
            Kind::OAuth2(oauth2) => (oauth2.auth_url.clone(), &oauth2.client_id, oauth2.scopes.join(" "), None),
            Kind::Oidc(oidc) => {
                let known = self.known(&(tenant, provider.uid.clone()), oidc).await;
                let known = known.map_err(|failure| unreachable(provider, &failure))?;
                let nonce = underway.part(key, "nonce");
                (known.authorization_endpoint(), &oidc.client_id, oidc.asked_scopes(), Some(nonce))
            }
            Kind::Ldap(_) => return Err(refuse("this directory takes your password on our own sign-in page")),
        };
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(underway.part(key, "verifier")));
        let mut url = url::Url::parse(&address).map_err(|cause| {
            let message = format!("{} is not set up rightly; tell an owner of this workspace", provider.title());
            Error::from(Refusal::new(Why::Unavailable, message).because(cause))
        })?;
        url.query_pairs_mut()
            .append_pair("client_id", client_id)
            .append_pair("redirect_uri", &underway.redirect_uri)
            .append_pair("state", &underway.part(key, "state"))
            .append_pair("response_type", "code")
            .append_pair("scope", &scopes)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        if let Some(nonce) = nonce {
            url.query_pairs_mut().append_pair("nonce", &nonce);
        }
        if !underway.again.is_empty() {
            url.query_pairs_mut().append_pair("prompt", "login").append_pair("max_age", "0");
        }
        Ok(url.into())
    }

    /// Ends a sign-in that a provider has answered: how, and where to go next. Audit: `signin.made` or `signin.failed`,
    /// `identity.linked`.
    pub async fn finish_flow(
        &self,
        scope: &TenantScope,
        cookie: Option<&str>,
        returned: &Returned,
        asking: Option<&MemberActor>,
        client: &Client,
    ) -> Result<(Finished, String), Error> {
        let key = self.signing_key(scope).await?;
        let underway = self.opened(cookie, PURPOSE, &key)?;
        let provider = self.provider(scope, &underway.provider).await?;
        let outcome = self.person_returned(scope, &provider, &underway, &key, returned).await;
        let (person, through) = self.told(scope, &provider, client, outcome).await?;
        if let Some(id) = underway.member {
            let Some(actor) = asking.filter(|actor| actor.id().0 == id) else {
                return Err(refuse("somebody else is signed in now than when the linking was begun; begin again"));
            };
            let outcome = self.link(scope, &actor.member, &provider, &person).await;
            self.told(scope, &provider, client, outcome).await?;
            return Ok((Finished::Linked(provider.title), underway.next));
        }
        let member = self.member_for(scope, &provider, &person, client).await?;
        let proven = Proven { member, provider: provider.uid, through };
        Ok((Finished::SignedIn(self.enter_page(scope, proven, client).await?), underway.next))
    }

    async fn person_returned(
        &self,
        scope: &TenantScope,
        provider: &Provider,
        underway: &Underway,
        key: &SigningKey,
        returned: &Returned,
    ) -> Result<(Person, Through), Error> {
        let possession = self.possession(scope.tenant().id, provider, underway, key, returned).await?;
        self.person(scope.tenant().id, provider, possession.code(returned, underway)).await
    }

    /// Whether a provider's answer is the one to what was begun, and what its code is sent along with.
    pub(crate) async fn possession(
        &self,
        tenant: TenantId,
        provider: &Provider,
        underway: &Underway,
        key: &SigningKey,
        returned: &Returned,
    ) -> Result<Possession, Error> {
        if returned.state.is_empty() || returned.state != underway.part(key, "state") {
            return Err(refuse("this answer does not belong to the sign-in that you began; begin again"));
        }
        if !self.is_first_use(&underway.secret) {
            return Err(refuse(USED_UP));
        }
        self.check_issuer(tenant, provider, returned).await?;
        if let Some(error) = returned.error.as_deref().filter(|error| !error.is_empty()) {
            let message = match error {
                "access_denied" => format!("the sign-in at {} was cancelled", provider.title()),
                _ => format!("{} refused the sign-in; begin again", provider.title()),
            };
            let reason: String = error.chars().take(100).collect();
            return Err(Refusal::new(Why::Denied, message).because(format!("the provider says {reason}")).into());
        }
        if returned.code.is_empty() {
            return Err(refuse("the provider's answer holds no code; begin again"));
        }
        Ok(Possession { verifier: underway.part(key, "verifier"), nonce: underway.part(key, "nonce") })
    }

    /// An answer that says from whom it is must be from the provider that was chosen.
    async fn check_issuer(&self, tenant: TenantId, provider: &Provider, returned: &Returned) -> Result<(), Error> {
        let Kind::Oidc(oidc) = &provider.kind else { return Ok(()) };
        let known = self.known(&(tenant, provider.uid.clone()), oidc).await;
        let known = known.map_err(|failure| unreachable(provider, &failure))?;
        let right = match returned.iss.as_deref() {
            Some(issuer) => issuer == oidc.issuer,
            None => !known.names_itself(),
        };
        if right {
            return Ok(());
        }
        let reason = format!("mix-up: the answer is from {}", returned.iss.as_deref().unwrap_or("nobody"));
        let message = "the answer came from another provider than the one you chose; begin again";
        Err(Refusal::new(Why::Invalid, message).because(reason).into())
    }

    /// Remembers a finished sign-in until it would be over anyway.
    fn is_first_use(&self, secret: &str) -> bool {
        let now = self.clock.seconds();
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= USED {
            used.retain(|_, until| *until > now);
        }
        used.insert(secret.to_owned(), now + FLOW_SECONDS).is_none()
    }

    /// Whom a code is about.
    pub(crate) async fn person(
        &self,
        tenant: TenantId,
        provider: &Provider,
        code: Code<'_>,
    ) -> Result<(Person, Through), Error> {
        match &provider.kind {
            Kind::OAuth2(oauth2) => Ok((self.oauth2_person(provider, oauth2, code).await?, Through::default())),
            Kind::Oidc(oidc) => {
                let key = (tenant, provider.uid.clone());
                let proof = self.prove(&key, provider, code).await?;
                let person = claims::person(&proof, oidc, &provider.uid);
                let session = claims::text(&proof.claims, "sid");
                Ok((person, Through { session, id_token: proof.id_token }))
            }
            Kind::Ldap(_) => Err(refuse("a directory takes a password and no code")),
        }
    }
}
