//! Signing in, staying signed in, signing out, and changing the password.

use std::net::IpAddr;

use domain::member::Member;
use serde_json::{Value, json};
use store::tenant::sessions::{Rotation, Session};
use store::tenant::{members, sessions, settings};
use store::{AuditEvent, TenantScope, TenantTx};
use time::OffsetDateTime;

use crate::actor::MemberActor;
use crate::credentials::Credentials;
use crate::signing::{ACCESS_SECONDS, MALFORMED, SESSION_SECONDS, SigningKey, claimed_session, session_hash};
use crate::{Error, Identity};

const SECOND_NS: i64 = 1_000_000_000;
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

impl Identity {
    /// Signs in over the API. Audit: `signin.made` or `signin.failed`.
    pub async fn sign_in(&self, scope: &TenantScope, who: SignIn<'_>, client: &Client) -> Result<SignedIn, Error> {
        let member = self.check_password(scope, who, client).await?;
        let key = self.signing_key(scope).await?;
        let now = self.clock.seconds();
        let session_id = self.chance.uuid().to_string();
        let refresh_token = key.sign_refresh(member.id, &session_id, &self.chance.uid(), now)?;
        self.open_session(scope, &member, &session_id, &refresh_token, client).await?;
        Ok(SignedIn {
            access_token: key.sign_access(&member, now, ACCESS_SECONDS)?,
            access_expires: self.at(ACCESS_SECONDS),
            refresh_token,
            refresh_expires: self.at(SESSION_SECONDS),
            member,
        })
    }

    /// Signs in on a page. Audit: `signin.made` or `signin.failed`.
    pub async fn sign_in_page(
        &self,
        scope: &TenantScope,
        who: SignIn<'_>,
        client: &Client,
    ) -> Result<PageSession, Error> {
        let member = self.check_password(scope, who, client).await?;
        let session_id = self.chance.uuid().simple().to_string();
        let secret = self.chance.text(SECRET_ALPHABET, 43);
        self.open_session(scope, &member, &session_id, &secret, client).await?;
        Ok(PageSession { member, cookie: format!("{session_id}.{secret}"), expires: self.at(SESSION_SECONDS) })
    }

    /// Gives a new access token for a refresh token, which is worth nothing from then on. Audit: none, the sign-in is
    /// in it.
    pub async fn refresh(&self, scope: &TenantScope, credentials: &Credentials) -> Result<Refreshed, Error> {
        let tenant = scope.tenant().id;
        let claimed = credentials.refresh.iter().find_map(|token| Some((token, claimed_session(token)?)));
        let Some((token, session_id)) = claimed else {
            let none = credentials.refresh.is_empty();
            return Err(if none { Error::NoRefreshToken } else { self.bad_refresh(scope, credentials).await });
        };
        let known = sessions::read_sessions(&self.store, scope, std::slice::from_ref(&session_id)).await?;
        let key = self.signing_key(scope).await?;
        let now = self.clock.seconds();
        key.check_refresh(token, now).map_err(bad)?;
        let known = known.into_iter().next().filter(|known| known.token_hash == session_hash(tenant, token));
        let member = known.ok_or(Error::BadRefreshToken("refresh token revoked"))?.member;
        if member.archived {
            return Err(Error::Archived { username: member.username });
        }
        let refresh_token = key.sign_refresh(member.id, &session_id, &self.chance.uid(), now)?;
        let (old_hash, new_hash) = (session_hash(tenant, token), session_hash(tenant, &refresh_token));
        let now_ns = self.clock.nanos();
        let mut tx = self.store.begin(scope);
        tx.touch().await?;
        let change = Rotation {
            session_id: &session_id,
            old_hash: &old_hash,
            new_hash: &new_hash,
            now_ns,
            expires_ns: now_ns + SESSION_SECONDS * SECOND_NS,
        };
        if !sessions::rotate_session(&mut tx, change).await? {
            return Err(Error::BadRefreshToken("refresh token revoked"));
        }
        tx.commit().await?;
        Ok(Refreshed {
            access_token: key.sign_access(&member, now, ACCESS_SECONDS)?,
            access_expires: self.at(ACCESS_SECONDS),
            refresh_token,
            refresh_expires: self.at(SESSION_SECONDS),
        })
    }

    /// Why a refresh token that names no session is worth nothing.
    async fn bad_refresh(&self, scope: &TenantScope, credentials: &Credentials) -> Error {
        let token = credentials.refresh.first().map_or("", String::as_str);
        match self.signing_key(scope).await {
            Ok(key) => bad(key.check_refresh(token, self.clock.seconds()).err().unwrap_or(MALFORMED)),
            Err(error) => error,
        }
    }

    /// Ends the sessions whose refresh tokens or cookies came with the request, as far as they are the member's own.
    /// Audit: `signout.made` when one was ended.
    pub async fn sign_out(
        &self,
        scope: &TenantScope,
        actor: &MemberActor,
        credentials: &Credentials,
    ) -> Result<(), Error> {
        let mut ids: Vec<String> = credentials.refresh.iter().filter_map(|token| claimed_session(token)).collect();
        ids.extend(actor.session_id().map(str::to_owned));
        if ids.is_empty() {
            return Ok(());
        }
        let mut tx = self.store.begin(scope);
        tx.touch().await?;
        let mut ended = false;
        for id in &ids {
            ended |= sessions::delete_session(&mut tx, actor.id(), id).await?;
        }
        if ended {
            audit(&mut tx, &actor.member, "signout.made", json!({})).await?;
        }
        tx.commit().await?;
        Ok(())
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
        let who = SignIn { username: &actor.member.username, password: old };
        let member = self.check_password(scope, who, client).await?;
        if member.id != actor.id() {
            return Err(Error::Unmatched);
        }
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

    /// The member behind a name and password, with everything that stands against it: the throttle, archived members,
    /// password sign-in switched off.
    async fn check_password(&self, scope: &TenantScope, who: SignIn<'_>, client: &Client) -> Result<Member, Error> {
        let tenant = scope.tenant().id;
        let attempt = match self.throttle.begin(tenant, who.username, client.address) {
            Ok(attempt) => attempt,
            Err(seconds) => return Err(Error::Throttled { seconds }),
        };
        let mut tx = self.store.begin(scope);
        let found =
            if who.username.contains('\0') { None } else { members::find_with_password(&mut tx, who.username).await? };
        let general = settings::find_setting(&mut tx, "GENERAL").await?;
        tx.commit().await?;
        let right = self.passwords.verify(who.password, found.as_ref().map(|(_, hash)| hash.as_str())).await?;
        let known = found.is_some();
        let Some((member, _)) = found.filter(|_| right) else {
            // The name is written down only when it is one: people type passwords into the wrong field.
            self.tell_failure(scope, if known { who.username } else { "" }, client, "unmatched").await?;
            return Err(Error::Unmatched);
        };
        self.throttle.succeeded(&attempt);
        let off = general.as_ref().and_then(|value| value.get("disallowPasswordAuth")).and_then(Value::as_bool);
        if off == Some(true) && !member.role.is_admin() {
            self.tell_failure(scope, &member.username, client, "password sign-in is off").await?;
            return Err(Error::PasswordSignInOff);
        }
        if member.archived {
            self.tell_failure(scope, &member.username, client, "archived").await?;
            return Err(Error::Archived { username: member.username });
        }
        Ok(member)
    }

    async fn tell_failure(&self, scope: &TenantScope, username: &str, client: &Client, why: &str) -> Result<(), Error> {
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
    fn stranger_is_told(&self, tenant: domain::id::TenantId) -> Option<u64> {
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

    async fn open_session(
        &self,
        scope: &TenantScope,
        member: &Member,
        session_id: &str,
        secret: &str,
        client: &Client,
    ) -> Result<(), Error> {
        let now = self.clock.nanos();
        let session = Session {
            session_id: session_id.to_owned(),
            member_id: member.id,
            user_agent: client.user_agent.chars().filter(|letter| *letter != '\0').take(256).collect(),
            address: address(client),
            created_ns: now,
            expires_ns: now + SESSION_SECONDS * SECOND_NS,
            last_used_ns: now,
        };
        let mut tx = self.store.begin(scope);
        tx.touch().await?;
        sessions::delete_expired_sessions(&mut tx, member.id, now).await?;
        sessions::insert_session(&mut tx, &session, &session_hash(scope.tenant().id, secret)).await?;
        audit(&mut tx, member, "signin.made", json!({"address": address(client)})).await?;
        tx.commit().await?;
        Ok(())
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

    fn at(&self, seconds: i64) -> OffsetDateTime {
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

/// The two layers of words that Memos puts before a parser's reason.
fn bad(reason: &'static str) -> Error {
    Error::BadRefreshToken(match reason {
        MALFORMED => "invalid refresh token: token is malformed: token contains an invalid number of segments",
        "token has invalid claims: token has invalid audience" => {
            "invalid refresh token: token has invalid claims: token has invalid audience"
        }
        "token has invalid claims: token is expired" => {
            "invalid refresh token: token has invalid claims: token is expired"
        }
        _ => "invalid refresh token: token signature is invalid",
    })
}
