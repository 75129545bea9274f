//! From credentials to an actor: one flight to the database, none without credentials.

use std::hash::Hash;
use std::sync::PoisonError;

use domain::member::{Member, Role};
use domain::tenant::TenantState;
use store::TenantScope;
use store::tenant::sessions::KnownSession;
use store::tenant::{members, sessions, tokens};

use crate::actor::{Actor, MemberActor, TokenScope, Via};
use crate::credentials::Credentials;
use crate::signing::{SESSION_SECONDS, SigningKey, claimed_member, claimed_session, session_hash, token_hash};
use crate::{Error, Identity};

const SECOND_NS: i64 = 1_000_000_000;

/// How often at most the last use of a token is written down, in nanoseconds.
const NOTE_TOKEN_NS: i64 = 60 * SECOND_NS;

/// How often at most the end of a page session in use is moved, in nanoseconds.
const NOTE_SESSION_NS: i64 = 3600 * SECOND_NS;

/// How many last uses are remembered before those that are over are forgotten.
const NOTED: usize = 20_000;

enum Used {
    Token(String),
    Session(String),
}

impl Identity {
    /// Who is behind these credentials at this tenant. Whatever is wrong, expired, archived or from elsewhere is
    /// [`Actor::Anonymous`]; an error means that the database did not answer.
    pub async fn authenticate(&self, scope: &TenantScope, credentials: &Credentials) -> Result<Actor, store::Error> {
        let known = match &credentials.bearer {
            Some(bearer) => self.by_bearer(scope, bearer).await?,
            None if credentials.page.is_empty() && credentials.refresh.is_empty() => None,
            None => self.by_cookie(scope, credentials).await?,
        };
        Ok(match known {
            Some((member, via)) if !member.archived => Actor::Member(MemberActor { member, via }),
            _ => Actor::Anonymous,
        })
    }

    /// A scope that reads ahead what the last request like this one led to. Without credentials there is no check to read
    /// ahead of. `asked`: method, path and query; `whole`: there is no body.
    pub fn foresee(&self, scope: TenantScope, credentials: &Credentials, asked: impl Hash, whole: bool) -> TenantScope {
        if credentials.bearer.is_none() && !credentials.has_cookies() {
            return scope;
        }
        self.store.foresee(&scope, (credentials, asked), whole)
    }

    /// A signed access token, or else whatever stands in the table of personal tokens (those of old Memos releases have
    /// other shapes than today's).
    async fn by_bearer(&self, scope: &TenantScope, bearer: &str) -> Result<Option<(Member, Via)>, store::Error> {
        let tenant = scope.tenant().id;
        if let Some((claimed, session)) = claimed_member(bearer) {
            let now = self.clock.nanos();
            let known = members::read_member_and_secret(&self.store, scope, claimed, &session, now).await?;
            let Some((member, secret, lasts)) = known else { return Ok(None) };
            let key = SigningKey::derive(&secret, tenant);
            let valid = key.is_some_and(|key| key.check_access(bearer, self.clock.seconds()).is_ok());
            let valid = valid && (lasts || session.is_empty());
            return Ok(valid.then_some((member, Via::AccessToken(session))));
        }
        let Some((mut member, token)) = tokens::read_token(&self.store, scope, &token_hash(bearer)).await? else {
            return Ok(None);
        };
        let now = self.clock.nanos();
        if token.expires_ns.is_some_and(|end| end <= now) {
            return Ok(None);
        }
        if now.saturating_sub(token.last_used_ns.unwrap_or(0)) >= NOTE_TOKEN_NS {
            self.note(scope, Used::Token(token.token_id.clone()), now);
        }
        let scope = token.scope.parse().unwrap_or(TokenScope::Read);
        if scope != TokenScope::Admin && member.role.is_admin() {
            // What the token may not, nobody who looks at the role must have to know.
            member.role = Role::Member;
        }
        Ok(Some((member, Via::PersonalToken { id: token.token_id, scope })))
    }

    /// A page session, else a refresh cookie where the door takes one.
    async fn by_cookie(
        &self,
        scope: &TenantScope,
        credentials: &Credentials,
    ) -> Result<Option<(Member, Via)>, store::Error> {
        let pages: Vec<_> = credentials.page.iter().filter_map(|cookie| cookie.split_once('.')).collect();
        let mut ids: Vec<String> = pages.iter().map(|(id, _)| (*id).to_owned()).collect();
        ids.extend(credentials.refresh.iter().filter_map(|token| claimed_session(token)));
        ids.retain(|id| id.len() <= 64);
        if ids.is_empty() {
            return Ok(None);
        }
        let known = sessions::read_sessions(&self.store, scope, &ids).await?;
        let now = self.clock.nanos();
        let tenant = scope.tenant().id;
        for (id, secret) in pages {
            let Some(row) = find(&known, id, now) else { continue };
            if !row.token_hash.is_empty() && row.token_hash == session_hash(tenant, secret) {
                if now.saturating_sub(row.session.last_used_ns) >= NOTE_SESSION_NS {
                    self.note(scope, Used::Session(id.to_owned()), now);
                }
                return Ok(Some((row.member.clone(), Via::PageSession(id.to_owned()))));
            }
        }
        for token in &credentials.refresh {
            if let Some(row) = check_refresh(scope, &known, token, now) {
                return Ok(Some((row.member.clone(), Via::RefreshCookie(row.session.session_id.clone()))));
            }
        }
        Ok(None)
    }

    /// Writes a last use down beside the request, which does not wait for it.
    fn note(&self, scope: &TenantScope, used: Used, now: i64) {
        if scope.tenant().state != TenantState::Active || !self.is_due(scope, &used, now) {
            return;
        }
        let (store, scope) = (self.store.clone(), scope.clone());
        tokio::spawn(async move {
            let mut tx = store.begin(&scope);
            let written: Result<(), store::Error> = async {
                tx.touch().await?;
                match &used {
                    Used::Token(id) => tokens::mark_token_used(&mut tx, id, now).await?,
                    Used::Session(id) => {
                        sessions::extend_session(&mut tx, id, now, now + SESSION_SECONDS * SECOND_NS).await?;
                    }
                }
                tx.commit().await
            }
            .await;
            if let Err(cause) = written {
                tracing::debug!(error = %cause, "the last use of a credential was not written down");
            }
        });
    }

    /// Of the requests that come at once with a credential only the first writes.
    fn is_due(&self, scope: &TenantScope, used: &Used, now: i64) -> bool {
        let (key, pause) = match used {
            Used::Token(id) => (id, NOTE_TOKEN_NS),
            Used::Session(id) => (id, NOTE_SESSION_NS),
        };
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() >= NOTED {
            noted.retain(|_, at| now.saturating_sub(*at) < NOTE_TOKEN_NS);
        }
        let last = noted.entry((scope.tenant().id, key.clone())).or_insert(i64::MIN);
        let due = now.saturating_sub(*last) >= pause;
        if due {
            *last = now;
        }
        due
    }

    /// A signed access token for a member, good for `seconds`: for commands and rehearsals that act as somebody.
    pub async fn mint_access_token(&self, scope: &TenantScope, member: &Member, seconds: i64) -> Result<String, Error> {
        self.signing_key(scope).await?.sign_access(member, "", self.clock.seconds(), seconds)
    }
}

/// The row of this session, unless it is over.
fn find<'a>(known: &'a [KnownSession], id: &str, now: i64) -> Option<&'a KnownSession> {
    known.iter().find(|row| row.session.session_id == id && row.session.expires_ns > now)
}

/// The row that this refresh token opens.
fn check_refresh<'a>(
    scope: &TenantScope,
    known: &'a [KnownSession],
    token: &str,
    now: i64,
) -> Option<&'a KnownSession> {
    let row = find(known, &claimed_session(token)?, now)?;
    let key = SigningKey::derive(&row.signing_secret, scope.tenant().id)?;
    key.check_refresh(token, now / SECOND_NS).ok()?;
    (row.token_hash == session_hash(scope.tenant().id, token)).then_some(row)
}
