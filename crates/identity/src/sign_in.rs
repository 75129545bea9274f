//! Signing in, staying signed in, signing out, and changing the password.

use std::net::IpAddr;
use std::sync::Arc;

use domain::member::Member;
use serde_json::{Value, json};
use store::tenant::sessions::Through;
use store::tenant::throttle::{self, ForSignIn};
use store::tenant::{members, sessions, settings};
use store::{AuditEvent, TenantScope, TenantTx};
use time::OffsetDateTime;

use crate::actor::MemberActor;
use crate::signing::{ACCESS_SECONDS, SESSION_SECONDS, SigningKey};
use crate::throttle::refuse;
use crate::totp::factor_missing;
use crate::{Error, Identity};

pub(crate) const SECRET_ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// From where somebody signs in, as his list of sessions shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// The address, when it is known.
    pub address: Option<IpAddr>,
    /// What the client calls itself.
    pub user_agent: String,
}

/// A name and a password.
#[derive(Clone, Copy)]
pub struct SignIn<'a> {
    /// The name; case matters.
    pub username: &'a str,
    /// The password.
    pub password: &'a str,
}

/// What a client gets that signs in over the API.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who it is.
    pub member: Member,
    /// The signed access token.
    pub access_token: String,
    /// Its end.
    pub access_expires: OffsetDateTime,
    /// The value of the refresh cookie.
    pub refresh_token: String,
    /// Its end.
    pub refresh_expires: OffsetDateTime,
}

/// What a client gets for a refresh token.
#[derive(Clone, Debug)]
pub struct Refreshed {
    /// The signed access token.
    pub access_token: String,
    /// Its end.
    pub access_expires: OffsetDateTime,
    /// The value of the refresh cookie that takes the place of the one shown.
    pub refresh_token: String,
    /// Its end.
    pub refresh_expires: OffsetDateTime,
}

/// What a browser gets that signs in on a page.
#[derive(Clone, Debug)]
pub struct PageSession {
    /// Who it is.
    pub member: Member,
    /// The value of the page cookie.
    pub cookie: String,
    /// Its end.
    pub expires: OffsetDateTime,
}

/// Who has shown who he is.
#[derive(Clone, Debug)]
pub(crate) struct Proven {
    pub(crate) member: Member,
    /// The provider he came through; empty: by password.
    pub(crate) provider: String,
    pub(crate) through: Through,
}

impl Proven {
    pub(crate) fn by_password(member: Member) -> Self {
        Self { member, provider: String::new(), through: Through::default() }
    }
}

impl Identity {
    /// Signs in over the API. With a second factor, its code stands at the end of the password. Audit: `signin.made` or
    /// `signin.failed`.
    pub async fn sign_in(&self, scope: &TenantScope, who: SignIn<'_>, client: &Client) -> Result<SignedIn, Error> {
        let proven = match self.check_password(scope, who, client).await {
            Err(Error::SecondFactorNeeded { .. }) => {
                let refused = self.tell_failure(scope, who.username, client, "second factor missing").await;
                refused?;
                return Err(factor_missing());
            }
            other => other?,
        };
        self.enter(scope, proven, client).await
    }

    /// Opens a session of the API.
    pub(crate) async fn enter(&self, scope: &TenantScope, proven: Proven, client: &Client) -> Result<SignedIn, Error> {
        let key = self.signing_key(scope).await?;
        let now = self.clock.seconds();
        let session_id = self.chance.uuid().to_string();
        let refresh_token = key.sign_refresh(proven.member.id, &session_id, &self.chance.uid(), now)?;
        self.open_session(scope, &proven, &session_id, &refresh_token, client).await?;
        let member = proven.member;
        Ok(SignedIn {
            access_token: key.sign_access(&member, &session_id, now, ACCESS_SECONDS)?,
            access_expires: self.at(ACCESS_SECONDS),
            refresh_token,
            refresh_expires: self.at(SESSION_SECONDS),
            member,
        })
    }

    /// Signs in on a page. Audit: `signin.made` or `signin.failed`.
    ///
    /// # Errors
    /// [`Error::SecondFactorNeeded`] after a right password, when a code is still to come: see
    /// [`second_factor_page`](Self::second_factor_page).
    pub async fn sign_in_page(
        &self,
        scope: &TenantScope,
        who: SignIn<'_>,
        client: &Client,
    ) -> Result<PageSession, Error> {
        let proven = self.check_password(scope, who, client).await?;
        self.enter_page(scope, proven, client).await
    }

    /// Opens a session of pages.
    pub(crate) async fn enter_page(
        &self,
        scope: &TenantScope,
        proven: Proven,
        client: &Client,
    ) -> Result<PageSession, Error> {
        let session_id = self.chance.uuid().simple().to_string();
        let secret = self.chance.text(SECRET_ALPHABET, 43);
        self.open_session(scope, &proven, &session_id, &secret, client).await?;
        let cookie = format!("{session_id}.{secret}");
        Ok(PageSession { member: proven.member, cookie, expires: self.at(SESSION_SECONDS) })
    }

    /// Sets the member's own password, after he has given the old one; ends all his other sessions. Audit:
    /// `password.changed`. A wrong old password counts as a wrong guess.
    pub async fn change_password(
        &self,
        scope: &TenantScope,
        actor: &MemberActor,
        old: &str,
        new: &str,
        client: &Client,
    ) -> Result<(), Error> {
        let member = self.confirm_password(scope, actor, old, client).await?;
        let mut tx = self.store.begin(scope);
        tx.touch().await?;
        self.put_password(&mut tx, &member, new, actor.session_id().unwrap_or_default()).await?;
        audit(&mut tx, &actor.member, "password.changed", json!({"by": actor.member.username})).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Writes the hash of a new password within a unit of work that has been touched, and ends the member's sessions but
    /// `spare` (empty: all). The caller decides who may, and writes the audit event `password.changed`.
    pub async fn put_password(&self, tx: &mut TenantTx, member: &Member, new: &str, spare: &str) -> Result<(), Error> {
        let hash = self.passwords.hash(new).await?;
        members::update_password(tx, member.id, &hash, self.clock.seconds()).await?;
        sessions::delete_sessions_of(tx, member.id, spare).await?;
        Ok(())
    }

    /// Whether this is the local password of whoever asks: before he changes how he signs in. A wrong one counts as a wrong
    /// guess.
    pub async fn confirm_password(
        &self,
        scope: &TenantScope,
        actor: &MemberActor,
        password: &str,
        client: &Client,
    ) -> Result<Member, Error> {
        let username = actor.member.username.as_str();
        let (attempt, count) = self.begin_attempt(scope, username, client.address).await?;
        let mut tx = self.store.begin(scope);
        let found = members::find_with_password(&mut tx, username).await?;
        tx.commit().await?;
        let right = self.passwords.verify(password, found.as_ref().map(|found| found.hash.as_str())).await?;
        let found = found.filter(|found| right && found.member.id == actor.id());
        let outcome = found.map(|found| found.member).ok_or(Error::Unmatched);
        self.end_attempt(scope, &attempt, count, &outcome).await?;
        outcome
    }

    /// The member behind a name and password, local or of a directory, with everything that stands against it: the
    /// throttle, archived members, password sign-in switched off, a second factor.
    async fn check_password(&self, scope: &TenantScope, who: SignIn<'_>, client: &Client) -> Result<Proven, Error> {
        let attempt = self.throttle.begin(scope.tenant().id, who.username, client.address);
        let attempt = attempt.map_err(|seconds| Error::Throttled { seconds })?;
        // Postgres knows no NUL, and no member has such a name; it costs what another name costs.
        let username = if who.username.contains('\0') { "" } else { who.username };
        let counted = attempt.counted(self.clock.seconds());
        let known = throttle::find_for_sign_in(self.store.begin(scope), username, &counted).await?;
        refuse(known.count)?;
        let count = known.count;
        // The name is written down only when it is one: people type passwords into the wrong field.
        let name = if known.found.is_some() { who.username } else { "" };
        let outcome = self.proven(scope, who, client, known).await;
        let ended = self.end_attempt(scope, &attempt, count, &outcome).await;
        if matches!(outcome, Err(Error::Unmatched)) {
            self.tell_unmatched(scope, name, client).await;
        }
        ended?;
        outcome
    }

    async fn proven(
        &self,
        scope: &TenantScope,
        who: SignIn<'_>,
        client: &Client,
        ForSignIn { found, general, directories, .. }: ForSignIn,
    ) -> Result<Proven, Error> {
        let (right, with_code) = self.is_local(who.password, found.as_ref()).await?;
        let Some(found) = found.filter(|_| right) else {
            if let Some(proven) = self.by_directory(scope, &directories, who, client).await? {
                return Ok(proven);
            }
            return Err(Error::Unmatched);
        };
        let member = found.member;
        let off = general.as_ref().and_then(|value| value.get("disallowPasswordAuth")).and_then(Value::as_bool);
        if off == Some(true) && !member.role.is_admin() {
            self.tell_failure(scope, &member.username, client, "password sign-in is off").await?;
            return Err(Error::PasswordSignInOff);
        }
        if member.archived {
            self.tell_failure(scope, &member.username, client, "archived").await?;
            return Err(Error::Archived { username: member.username });
        }
        if found.second_factor {
            let Some(code) = with_code else {
                return Err(Error::SecondFactorNeeded { pending: self.pending(scope, &member).await? });
            };
            self.take_code(scope, &member, code, client).await?;
        }
        Ok(Proven::by_password(member))
    }

    /// Whether the password is the local one; with a second factor its code may stand at the end of it.
    async fn is_local<'a>(
        &self,
        password: &'a str,
        found: Option<&members::WithPassword>,
    ) -> Result<(bool, Option<&'a str>), Error> {
        let hash = found.map(|found| found.hash.as_str());
        let split = crate::totp::split_code(password);
        let has_factor = found.is_some_and(|found| found.second_factor);
        if has_factor
            && let Some((before, code)) = split
            && self.passwords.verify(before, hash).await?
        {
            return Ok((true, Some(code)));
        }
        let right = self.passwords.verify(password, hash).await?;
        if let Some((before, _)) = split.filter(|_| !right && !has_factor) {
            // What is wrong costs the same whether or not the account is there and has a second factor.
            self.passwords.verify(before, None).await?;
        }
        Ok((right, None))
    }

    /// Writes down a wrong name or password after the answer: known names are always written down, unknown ones are not, and
    /// the time of the answer must not tell which one it was.
    async fn tell_unmatched(&self, scope: &TenantScope, username: &str, client: &Client) {
        let (identity, username, client) = (self.clone(), username.to_owned(), client.clone());
        let scope = TenantScope::for_request(Arc::clone(scope.tenant()));
        let work = async move {
            if let Err(error) = identity.tell_failure(&scope, &username, &client, "unmatched").await {
                tracing::error!(tenant = %scope.tenant().slug, %error, "a failed sign-in is not in the audit");
            }
        };
        self.later.run(work).await;
    }

    pub(crate) async fn tell_failure(
        &self,
        scope: &TenantScope,
        username: &str,
        client: &Client,
        why: &str,
    ) -> Result<(), Error> {
        let mut detail = json!({"address": address(client), "reason": why});
        if username.is_empty() {
            // Every audit event waits for one lock: strangers guessing names get one line a minute between them.
            let Some(unwritten) = self.stranger_is_told(scope.tenant().id) else { return Ok(()) };
            if let Some(detail) = detail.as_object_mut().filter(|_| unwritten > 0) {
                detail.insert("unwritten_before".to_owned(), unwritten.into());
            }
        }
        let event = AuditEvent { actor: "stranger", event: "signin.failed", object: username, detail };
        let mut tx = self.store.begin(scope);
        tx.audit(&event).await?;
        tx.commit().await?;
        Ok(())
    }

    /// How many failures of unknown names were not written down before this one; none when this one is not either.
    pub(crate) fn stranger_is_told(&self, tenant: domain::id::TenantId) -> Option<u64> {
        let now = self.clock.seconds();
        let mut strangers = self.strangers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (at, unwritten) = strangers.entry(tenant).or_insert((now - 60, 0));
        if now - *at < 60 {
            *unwritten += 1;
            return None;
        }
        *at = now;
        Some(std::mem::take(unwritten))
    }

    /// The tenant's key; a tenant without a signing secret gets one.
    pub(crate) async fn signing_key(&self, scope: &TenantScope) -> Result<SigningKey, Error> {
        let mut tx = self.store.begin(scope);
        let found = settings::find_signing_secret(&mut tx).await?;
        tx.commit().await?;
        let secret = match found {
            Some(secret) => secret,
            None => {
                let mut tx = self.store.begin(scope);
                tx.touch().await?;
                settings::insert_signing_secret(&mut tx, &self.chance.uuid().to_string()).await?;
                let secret = settings::find_signing_secret(&mut tx).await?;
                tx.commit().await?;
                secret.unwrap_or_default()
            }
        };
        SigningKey::derive(&secret, scope.tenant().id)
            .ok_or_else(|| Error::Crypto("the tenant has no signing secret".into()))
    }

    pub(crate) fn at(&self, seconds: i64) -> OffsetDateTime {
        self.clock.now() + time::Duration::seconds(seconds)
    }
}

/// Writes an event of a member about himself.
pub(crate) async fn audit(tx: &mut TenantTx, member: &Member, event: &str, detail: Value) -> Result<(), store::Error> {
    let actor = format!("member:{}", member.username);
    tx.audit(&AuditEvent { actor: &actor, event, object: &member.username, detail }).await
}

pub(crate) fn address(client: &Client) -> String {
    client.address.map_or_else(String::new, |address| address.to_string())
}
