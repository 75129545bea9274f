//! The rows of `session`: a sign-in that lasts, by refresh token or by page cookie.
//!
//! A row holds the hash of the newest secret only, so a secret that was rotated away opens nothing.

use domain::id::MemberId;
use domain::member::Member;

use super::members::{member_of, shown_columns};
use crate::ahead::Value;
use crate::check::Check;
use crate::tx::Param;
use crate::{Error, Row, Store, TenantScope, TenantTx, Type};

/// A sign-in that lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The id inside the refresh token or cookie.
    pub session_id: String,
    /// Whose it is.
    pub member_id: MemberId,
    /// What the client called itself at sign-in.
    pub user_agent: String,
    /// Where it came from; of sessions with a refresh token, where that was last renewed.
    pub address: String,
    /// Nanoseconds since 1970.
    pub created_ns: i64,
    /// Nanoseconds since 1970.
    pub expires_ns: i64,
    /// Nanoseconds since 1970.
    pub last_used_ns: i64,
    /// The identity provider it came through; empty: by password.
    pub provider: String,
}

/// What the provider behind a sign-in said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Through {
    /// The provider's session, to which its logout messages refer; may be empty.
    pub session: String,
    /// The ID token, a hint when the member signs out there; may be empty.
    pub id_token: String,
}

/// What a credential that names a session is checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownSession {
    /// Whose it is, as he is now.
    pub member: Member,
    /// The session.
    pub session: Session,
    /// Hash (hex) of the one secret that opens it; empty: its member has signed out.
    pub token_hash: String,
    /// Hash (hex) of the secret before that one.
    pub previous_hash: String,
    /// The tenant's signing secret; empty when it has none.
    pub signing_secret: String,
}

fn session_of(row: &Row, from: usize) -> Result<Session, Error> {
    Ok(Session {
        session_id: row.try_get(from)?,
        member_id: MemberId(row.try_get(from + 1)?),
        user_agent: row.try_get(from + 2)?,
        address: row.try_get(from + 3)?,
        created_ns: row.try_get(from + 4)?,
        expires_ns: row.try_get(from + 5)?,
        last_used_ns: row.try_get(from + 6)?,
        provider: row.try_get(from + 7)?,
    })
}

/// The member's sessions, the last used first.
pub async fn list_sessions(tx: &mut TenantTx, member: MemberId) -> Result<Vec<Session>, Error> {
    let sql = "SELECT session_id, member_id, user_agent, address, created_ns, expires_ns, last_used_ns, provider \
               FROM session WHERE member_id = $1 AND token_hash <> '' ORDER BY last_used_ns DESC, session_id";
    tx.query(sql, &[(&member.0, Type::INT8)]).await?.iter().map(|row| session_of(row, 0)).collect()
}

/// Adds a session; `hash` is what [`KnownSession::token_hash`] will be.
pub async fn insert_session(tx: &mut TenantTx, session: &Session, hash: &str, through: &Through) -> Result<(), Error> {
    let sql = "INSERT INTO session (session_id, member_id, token_hash, user_agent, address, created_ns, expires_ns, \
               last_used_ns, provider, provider_session, id_token) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let params: [Param<'_>; 11] = [
        (&session.session_id, Type::TEXT),
        (&session.member_id.0, Type::INT8),
        (&hash, Type::TEXT),
        (&session.user_agent, Type::TEXT),
        (&session.address, Type::TEXT),
        (&session.created_ns, Type::INT8),
        (&session.expires_ns, Type::INT8),
        (&session.last_used_ns, Type::INT8),
        (&session.provider, Type::TEXT),
        (&through.session, Type::TEXT),
        (&through.id_token, Type::TEXT),
    ];
    tx.query(sql, &params).await.map(|_| ())
}

/// The provider and the ID token of one of the member's sessions.
pub async fn find_through(
    tx: &mut TenantTx,
    member: MemberId,
    session_id: &str,
) -> Result<Option<(String, String)>, Error> {
    let sql = "SELECT provider, id_token FROM session WHERE member_id = $1 AND session_id = $2";
    let row = tx.query_opt(sql, &[(&member.0, Type::INT8), (&session_id, Type::TEXT)]).await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
}

/// Which sessions a provider's logout message ends.
#[derive(Clone, Copy, Debug)]
pub struct Logout<'a> {
    /// The provider's public id.
    pub provider: &'a str,
    /// Who vouches for the subject.
    pub issuer: &'a str,
    /// The provider's session; empty: every session of the subject.
    pub session: &'a str,
    /// The account there; empty: whoever has that session.
    pub subject: &'a str,
    /// Only sessions made up to here, in nanoseconds since 1970.
    pub until_ns: i64,
}

/// Ends the sessions that a provider's logout message names: the usernames of their members, each once.
pub async fn delete_sessions_through(tx: &mut TenantTx, logout: Logout<'_>) -> Result<Vec<String>, Error> {
    let sql = "WITH gone AS (DELETE FROM session s WHERE s.provider = $1 AND ($3 = '' OR s.provider_session = $3) \
               AND ($4 = '' OR s.member_id IN (SELECT i.member_id FROM member_identity i \
               WHERE i.provider = $1 AND i.issuer = $2 AND i.extern_uid = $4)) AND s.created_ns <= $5 \
               RETURNING s.member_id) \
               SELECT DISTINCT m.username FROM gone JOIN member m ON m.id = gone.member_id ORDER BY 1";
    let params: [Param<'_>; 5] = [
        (&logout.provider, Type::TEXT),
        (&logout.issuer, Type::TEXT),
        (&logout.session, Type::TEXT),
        (&logout.subject, Type::TEXT),
        (&logout.until_ns, Type::INT8),
    ];
    tx.query(sql, &params).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Ends a session, whoever's it is; its member when there was one.
pub async fn delete_session_of_anyone(tx: &mut TenantTx, session_id: &str) -> Result<Option<MemberId>, Error> {
    let sql = "DELETE FROM session WHERE session_id = $1 RETURNING member_id";
    let row = tx.query_opt(sql, &[(&session_id, Type::TEXT)]).await?;
    row.map(|row| Ok(MemberId(row.try_get(0)?))).transpose()
}

/// A change of a session's secret.
#[derive(Clone, Copy, Debug)]
pub struct Rotation<'a> {
    /// Which session.
    pub session_id: &'a str,
    /// Hash of the secret that was shown.
    pub old_hash: &'a str,
    /// Hash of the one that takes its place.
    pub new_hash: &'a str,
    /// Where it came from.
    pub address: &'a str,
    /// Now, in nanoseconds since 1970.
    pub now_ns: i64,
    /// The new end, in nanoseconds since 1970.
    pub expires_ns: i64,
}

/// Puts a new secret in the place of the one that was shown. False when that one is not the newest any more, or the
/// session is over: of two clients that show the same secret at once, one wins.
pub async fn rotate_session(tx: &mut TenantTx, change: Rotation<'_>) -> Result<bool, Error> {
    let sql = "UPDATE session SET token_hash = $3, previous_hash = token_hash, last_used_ns = $4, expires_ns = $5, \
               address = $6 WHERE session_id = $1 AND token_hash = $2 AND expires_ns > $4";
    let params: [Param<'_>; 6] = [
        (&change.session_id, Type::TEXT),
        (&change.old_hash, Type::TEXT),
        (&change.new_hash, Type::TEXT),
        (&change.now_ns, Type::INT8),
        (&change.expires_ns, Type::INT8),
        (&change.address, Type::TEXT),
    ];
    Ok(tx.execute(sql, &params).await? > 0)
}

/// Moves the end of a session that is in use.
pub async fn extend_session(tx: &mut TenantTx, session_id: &str, now_ns: i64, expires_ns: i64) -> Result<(), Error> {
    let sql = "UPDATE session SET last_used_ns = $2, expires_ns = $3 WHERE session_id = $1 AND last_used_ns < $2";
    let params: [Param<'_>; 3] = [(&session_id, Type::TEXT), (&now_ns, Type::INT8), (&expires_ns, Type::INT8)];
    tx.execute(sql, &params).await.map(|_| ())
}

/// Closes the member's session: nothing opens it any more, and at `until_ns` its last access token ends. False when he has
/// none of that id.
pub async fn close_session(
    tx: &mut TenantTx,
    member: MemberId,
    session_id: &str,
    until_ns: i64,
) -> Result<bool, Error> {
    let sql = "UPDATE session SET token_hash = '', previous_hash = '', id_token = '', expires_ns = least(expires_ns, $3) \
               WHERE member_id = $1 AND session_id = $2 AND token_hash <> ''";
    let params: [Param<'_>; 3] = [(&member.0, Type::INT8), (&session_id, Type::TEXT), (&until_ns, Type::INT8)];
    Ok(tx.execute(sql, &params).await? > 0)
}

/// Ends the member's session; false when he has none of that id.
pub async fn delete_session(tx: &mut TenantTx, member: MemberId, session_id: &str) -> Result<bool, Error> {
    let sql = "DELETE FROM session WHERE member_id = $1 AND session_id = $2";
    Ok(tx.execute(sql, &[(&member.0, Type::INT8), (&session_id, Type::TEXT)]).await? > 0)
}

/// Ends every session of the member but `spare` (empty: every one).
pub async fn delete_sessions_of(tx: &mut TenantTx, member: MemberId, spare: &str) -> Result<u64, Error> {
    let sql = "DELETE FROM session WHERE member_id = $1 AND session_id <> $2";
    tx.execute(sql, &[(&member.0, Type::INT8), (&spare, Type::TEXT)]).await
}

/// Removes the member's sessions that are over, so that they do not pile up.
pub async fn delete_expired_sessions(tx: &mut TenantTx, member: MemberId, now_ns: i64) -> Result<u64, Error> {
    let sql = "DELETE FROM session WHERE member_id = $1 AND expires_ns <= $2";
    tx.execute(sql, &[(&member.0, Type::INT8), (&now_ns, Type::INT8)]).await
}

/// The sessions with these ids and their members: one flight. A browser may send more than one cookie of a name.
pub async fn read_sessions(store: &Store, scope: &TenantScope, ids: &[String]) -> Result<Vec<KnownSession>, Error> {
    const CHECK: Check = Check {
        name: "sessions",
        text: concat!(
            "SELECT ",
            shown_columns!(),
            ", s.session_id, s.member_id, s.user_agent, s.address, s.created_ns, s.expires_ns, s.last_used_ns, s.provider,",
            " s.token_hash, s.previous_hash,",
            " coalesce((SELECT b.value->>'secretKey' FROM {s}.setting b WHERE b.key = 'BASIC'), '')",
            " FROM {s}.session s JOIN {s}.member m ON m.id = s.member_id WHERE s.session_id = ANY($1)"
        ),
        proof: None,
    };
    let rows = store.read_check(scope, CHECK, &[Value::Texts(ids.to_vec())]).await?;
    rows.iter()
        .map(|row| {
            Ok(KnownSession {
                member: member_of(row)?,
                session: session_of(row, 10)?,
                token_hash: row.try_get(18)?,
                previous_hash: row.try_get(19)?,
                signing_secret: row.try_get(20)?,
            })
        })
        .collect()
}
