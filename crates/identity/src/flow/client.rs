//! Signing in and linking with a code that a client of the API brings: what Memos' own pages do.

use store::TenantScope;
use store::tenant::identities::MemberIdentity;
use store::tenant::members;
use store::tenant::sessions::Through;

use super::refuse;
use crate::accounts::Person;
use crate::actor::{MemberActor, Via};
use crate::error::{Refusal, Why};
use crate::oidc::Code;
use crate::provider::{Kind, Provider};
use crate::sign_in::{Client, Proven, SignedIn};
use crate::{Error, Identity};

/// How old a sign-in may be for linking an account without a password, in seconds.
const FRESH_SECONDS: i64 = 600;

/// A code that a client of the API brought.
#[derive(Clone, Copy, Debug)]
pub struct SsoCode<'a> {
    /// `identity-providers/{uid}` or the public id.
    pub provider: &'a str,
    /// The code.
    pub code: &'a str,
    /// To where it came.
    pub redirect_uri: &'a str,
    /// The proof of possession; empty where the client used none.
    pub verifier: &'a str,
}

impl Identity {
    /// Signs in over the API with a provider's code. Audit: `signin.made` or `signin.failed`.
    pub async fn sign_in_sso(&self, scope: &TenantScope, sso: SsoCode<'_>, client: &Client) -> Result<SignedIn, Error> {
        let provider = self.provider(scope, sso.provider).await?;
        let outcome = self.person_by_client(scope, &provider, sso).await;
        let (person, through) = self.told(scope, &provider, client, outcome).await?;
        let member = self.member_for(scope, &provider, &person, client).await?;
        self.enter(scope, Proven { member, provider: provider.uid, through }, client).await
    }

    async fn person_by_client(
        &self,
        scope: &TenantScope,
        provider: &Provider,
        sso: SsoCode<'_>,
    ) -> Result<(Person, Through), Error> {
        if sso.code.is_empty() {
            return Err(refuse("the code is missing"));
        }
        if matches!(provider.kind, Kind::Oidc(_)) && sso.verifier.is_empty() {
            return Err(refuse("this provider is used with PKCE only: send the code verifier"));
        }
        let code = Code { code: sso.code, redirect_uri: sso.redirect_uri, verifier: sso.verifier, nonce: None };
        self.person(scope.tenant().id, provider, code).await
    }

    /// Links the account that a provider's code is about to the member, who has signed in himself a moment ago. Audit:
    /// `identity.linked`.
    pub async fn link_sso(
        &self,
        scope: &TenantScope,
        actor: &MemberActor,
        sso: SsoCode<'_>,
        client: &Client,
    ) -> Result<MemberIdentity, Error> {
        let provider = self.provider(scope, sso.provider).await?;
        self.fresh(scope, actor).await?;
        let outcome = self.person_by_client(scope, &provider, sso).await;
        let (person, _) = self.told(scope, &provider, client, outcome).await?;
        let mut tx = self.store.begin(scope);
        let member = members::find_member(&mut tx, actor.id()).await?;
        tx.commit().await?;
        let member = member.ok_or(Error::Unmatched)?;
        let outcome = self.link(scope, &member, &provider, &person).await;
        self.told(scope, &provider, client, outcome).await
    }

    /// Refuses whoever did not sign in himself within the last minutes: before he changes how he signs in.
    pub async fn fresh(&self, scope: &TenantScope, actor: &MemberActor) -> Result<(), Error> {
        if actor.is_token() {
            let message = "a personal access token may not change how its owner signs in; sign in yourself";
            return Err(Refusal::new(Why::Denied, message).into());
        }
        if actor.via == Via::Command {
            return Ok(());
        }
        let id = actor.session_id().unwrap_or_default();
        let sessions = self.list_sessions(scope, actor.id()).await?;
        let made = sessions.iter().find(|session| session.session_id == id).map(|session| session.created_ns);
        let age = made.map(|made| self.clock.nanos().saturating_sub(made) / 1_000_000_000);
        if age.is_some_and(|age| age <= FRESH_SECONDS) {
            return Ok(());
        }
        Err(Refusal::new(Why::Precondition, "your sign-in is not recent; sign in again, then repeat this").into())
    }
}
