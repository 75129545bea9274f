//! Sessions: opened, renewed, listed, ended.

use domain::id::MemberId;
use domain::member::Member;
use serde_json::json;
use store::tenant::sessions::{self, KnownSession, Rotation, Session};
use store::{AuditEvent, TenantScope};

use crate::actor::{MemberActor, Via};
use crate::credentials::Credentials;
use crate::sign_in::{Client, Proven, Refreshed, address, audit};
use crate::signing::{ACCESS_SECONDS, MALFORMED, SESSION_SECONDS, claimed_session, session_hash};
use crate::{Error, Identity};

const SECOND_NS: i64 = 1_000_000_000;

/// For how long the refresh token just renewed is taken for a second try and not for a theft, in nanoseconds, when it comes
/// from where the renewal came from: a client that did not hear the answer, or two tabs of one browser. It opens nothing in
/// that time either. From anywhere else, and any token older than that one, it is a copy at once.
const SECOND_TRY_NS: i64 = 10 * SECOND_NS;

impl Identity {
    pub(crate) async fn open_session(
        &self,
        scope: &TenantScope,
        proven: &Proven,
        session_id: &str,
        secret: &str,
        client: &Client,
    ) -> Result<(), Error> {
        let now = self.clock.nanos();
        let member = &proven.member;
        let session = Session {
            session_id: session_id.to_owned(),
            member_id: member.id,
            user_agent: client.user_agent.chars().filter(|letter| *letter != '\0').take(256).collect(),
            address: address(client),
            created_ns: now,
            expires_ns: now + SESSION_SECONDS * SECOND_NS,
            last_used_ns: now,
            provider: proven.provider.clone(),
        };
        let mut tx = self.store.begin(scope);
        tx.touch().await?;
        sessions::delete_expired_sessions(&mut tx, member.id, now).await?;
        let hash = session_hash(scope.tenant().id, secret);
        sessions::insert_session(&mut tx, &session, &hash, &proven.through).await?;
        let detail = if proven.provider.is_empty() {
            json!({"address": address(client)})
        } else {
            json!({"address": address(client), "provider": proven.provider})
        };
        audit(&mut tx, member, "signin.made", detail).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Gives a new access token for a refresh token, which is worth nothing from then on. One that was worth nothing before
    /// and comes again is a copy: its whole session ends. Audit: `session.reused` then; else none, the sign-in is in it.
    pub async fn refresh(
        &self,
        scope: &TenantScope,
        credentials: &Credentials,
        client: &Client,
    ) -> Result<Refreshed, Error> {
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
        let revoked = Error::BadRefreshToken("refresh token revoked");
        let Some(known) = known.into_iter().next() else { return Err(revoked) };
        let old_hash = session_hash(tenant, token);
        if known.token_hash != old_hash {
            self.suspect(scope, &known, &old_hash, client).await?;
            return Err(revoked);
        }
        let member = known.member;
        if member.archived {
            return Err(Error::Archived { username: member.username });
        }
        let refresh_token = key.sign_refresh(member.id, &session_id, &self.chance.uid(), now)?;
        let new_hash = session_hash(tenant, &refresh_token);
        let now_ns = self.clock.nanos();
        let mut tx = self.store.begin(scope);
        tx.touch().await?;
        let change = Rotation {
            session_id: &session_id,
            old_hash: &old_hash,
            address: &address(client),
            new_hash: &new_hash,
            now_ns,
            expires_ns: now_ns + SESSION_SECONDS * SECOND_NS,
        };
        // Two clients that show the same token at the same moment: one wins, and nobody is suspected.
        if !sessions::rotate_session(&mut tx, change).await? {
            return Err(revoked);
        }
        tx.commit().await?;
        Ok(Refreshed {
            access_token: key.sign_access(&member, &session_id, now, ACCESS_SECONDS)?,
            access_expires: self.at(ACCESS_SECONDS),
            refresh_token,
            refresh_expires: self.at(SESSION_SECONDS),
        })
    }

    /// A refresh token of ours came that is not the newest of its session: somebody kept a copy. Ends the session, unless
    /// the member has signed out of it, or it is a second try with the token just renewed.
    async fn suspect(
        &self,
        scope: &TenantScope,
        known: &KnownSession,
        shown_hash: &str,
        client: &Client,
    ) -> Result<(), Error> {
        let session = &known.session;
        let fresh = self.clock.nanos().saturating_sub(session.last_used_ns) < SECOND_TRY_NS;
        let second_try = fresh && known.previous_hash == shown_hash && session.address == address(client);
        if known.token_hash.is_empty() || second_try {
            return Ok(());
        }
        let mut tx = self.store.begin(scope);
        tx.touch().await?;
        if sessions::delete_session_of_anyone(&mut tx, &session.session_id).await?.is_some() {
            let (was, now) = (&session.address, address(client));
            let detail = json!({"session": short(&session.session_id), "from": was, "address": now});
            let object = &known.member.username;
            tx.audit(&AuditEvent { actor: "stranger", event: "session.reused", object, detail }).await?;
        }
        tx.commit().await?;
        tracing::warn!(member = known.member.username, "an old refresh token came again; its session is ended");
        Ok(())
    }

    /// Why a refresh token that names no session is worth nothing.
    async fn bad_refresh(&self, scope: &TenantScope, credentials: &Credentials) -> Error {
        let token = credentials.refresh.first().map_or("", String::as_str);
        match self.signing_key(scope).await {
            Ok(key) => bad(key.check_refresh(token, self.clock.seconds()).err().unwrap_or(MALFORMED)),
            Err(error) => error,
        }
    }

    /// Closes the sessions whose refresh tokens came with the request and ends that of the page cookie, as far as they are
    /// the member's own. The last access token of a closed one lives out its quarter of an hour, as clients of Memos
    /// expect. Audit: `signout.made` when there was one.
    pub async fn sign_out(
        &self,
        scope: &TenantScope,
        actor: &MemberActor,
        credentials: &Credentials,
    ) -> Result<(), Error> {
        let ids: Vec<String> = credentials.refresh.iter().filter_map(|token| claimed_session(token)).collect();
        let page = match &actor.via {
            Via::PageSession(id) => Some(id),
            _ => None,
        };
        if ids.is_empty() && page.is_none() {
            return Ok(());
        }
        let until = self.clock.nanos() + ACCESS_SECONDS * SECOND_NS;
        let mut tx = self.store.begin(scope);
        tx.touch().await?;
        let mut ended = false;
        for id in &ids {
            ended |= sessions::close_session(&mut tx, actor.id(), id, until).await?;
        }
        if let Some(id) = page {
            ended |= sessions::delete_session(&mut tx, actor.id(), id).await?;
        }
        if ended {
            audit(&mut tx, &actor.member, "signout.made", json!({})).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// The member's sessions, the last used first.
    pub async fn list_sessions(&self, scope: &TenantScope, member: MemberId) -> Result<Vec<Session>, Error> {
        let mut tx = self.store.begin(scope);
        let mut list = sessions::list_sessions(&mut tx, member).await?;
        tx.commit().await?;
        let now = self.clock.nanos();
        list.retain(|session| session.expires_ns > now);
        Ok(list)
    }

    /// Whether the member's session lasts.
    pub async fn session_lasts(&self, scope: &TenantScope, member: MemberId, session_id: &str) -> Result<bool, Error> {
        let list = self.list_sessions(scope, member).await?;
        Ok(list.iter().any(|session| session.session_id == session_id))
    }

    /// Ends one of the member's sessions: from the next request on it opens nothing, nor do its access tokens. False when he
    /// has none of that id. Audit: `session.revoked`.
    pub async fn revoke_session(&self, scope: &TenantScope, member: &Member, session_id: &str) -> Result<bool, Error> {
        let mut tx = self.store.begin(scope);
        tx.touch().await?;
        let gone = sessions::delete_session(&mut tx, member.id, session_id).await?;
        if gone {
            audit(&mut tx, member, "session.revoked", json!({"session": short(session_id)})).await?;
        }
        tx.commit().await?;
        Ok(gone)
    }

    /// Ends every session of the member but `spare` (empty: every one); how many there were. Audit: `session.revoked`.
    pub async fn revoke_sessions(&self, scope: &TenantScope, member: &Member, spare: &str) -> Result<u64, Error> {
        let mut tx = self.store.begin(scope);
        tx.touch().await?;
        let gone = sessions::delete_sessions_of(&mut tx, member.id, spare).await?;
        audit(&mut tx, member, "session.revoked", json!({"sessions": gone})).await?;
        tx.commit().await?;
        Ok(gone)
    }
}

/// As much of a session's id as tells sessions apart.
fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
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
