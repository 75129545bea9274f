//! The rows of `member`: who belongs to the tenant, and the hash of each one's password.
//!
//! Password hashes never leave this module inside a [`Member`]; they are asked for by name.

use domain::id::MemberId;
use domain::member::Member;

use crate::ahead::Value;
use crate::check::{Check, CheckProof};
use crate::tx::Param;
use crate::{Error, Row, Store, TenantScope, TenantTx, Type};

/// The columns of [`member_of`], of a table called `m`.
macro_rules! columns {
    () => {
        "m.id, m.username, m.role, m.archived, m.email, m.display_name, m.avatar, m.description, m.created_ts, m.updated_ts"
    };
}

/// The same, but of a picture kept as a `data:` URI only [`PICTURE`]: hundreds of kilobytes that most readers never look
/// at. Lengths are known without unpacking the value.
macro_rules! shown_columns {
    () => {
        "m.id, m.username, m.role, m.archived, m.email, m.display_name, \
         CASE WHEN octet_length(m.avatar) > 1024 THEN 'data:' ELSE m.avatar END, \
         m.description, m.created_ts, m.updated_ts"
    };
}
pub(super) use {columns, shown_columns};

/// What stands in [`Member::avatar`] for a large picture where members are only listed or recognised.
pub const PICTURE: &str = "data:";

/// The constraint that a taken username hits.
pub const USERNAME_KEY: &str = "member_username_key";

/// A member from the first ten columns of a row.
pub(super) fn member_of(row: &Row) -> Result<Member, Error> {
    let id: i64 = row.try_get(0)?;
    let role: &str = row.try_get(2)?;
    Ok(Member {
        id: MemberId(id),
        username: row.try_get(1)?,
        role: role.parse().map_err(|_| Error::Corrupt {
            table: "member",
            id: id.to_string(),
            what: format!("role {role}"),
        })?,
        archived: row.try_get(3)?,
        email: row.try_get(4)?,
        display_name: row.try_get(5)?,
        avatar: row.try_get(6)?,
        description: row.try_get(7)?,
        created_ts: row.try_get(8)?,
        updated_ts: row.try_get(9)?,
    })
}

/// The member with this number.
pub async fn find_member(tx: &mut TenantTx, id: MemberId) -> Result<Option<Member>, Error> {
    let sql = concat!("SELECT ", columns!(), " FROM member m WHERE m.id = $1");
    tx.query_opt(sql, &[(&id.0, Type::INT8)]).await?.as_ref().map(member_of).transpose()
}

/// The member with exactly this username.
pub async fn find_member_by_name(tx: &mut TenantTx, username: &str) -> Result<Option<Member>, Error> {
    let sql = concat!("SELECT ", columns!(), " FROM member m WHERE m.username = $1");
    tx.query_opt(sql, &[(&username, Type::TEXT)]).await?.as_ref().map(member_of).transpose()
}

/// The member with exactly this username, or not found.
pub async fn get_member_by_name(tx: &mut TenantTx, username: &str) -> Result<Member, Error> {
    find_member_by_name(tx, username).await?.ok_or(Error::NotFound("member"))
}

/// What a password sign-in is checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithPassword {
    /// The member.
    pub member: Member,
    /// The stored hash of the password; empty: none was set.
    pub hash: String,
    /// Whether a second factor is in force.
    pub second_factor: bool,
}

pub(super) const FIND_WITH_PASSWORD: &str = concat!(
    "SELECT ",
    columns!(),
    ", m.password_hash, EXISTS (SELECT 1 FROM member_totp t WHERE t.member_id = m.id AND t.confirmed_ts IS NOT NULL)",
    " FROM member m WHERE m.username = $1"
);

pub(super) fn with_password_of(row: &Row) -> Result<WithPassword, Error> {
    Ok(WithPassword { member: member_of(row)?, hash: row.try_get(10)?, second_factor: row.try_get(11)? })
}

/// The member with exactly this username, with what his password is checked against.
pub async fn find_with_password(tx: &mut TenantTx, username: &str) -> Result<Option<WithPassword>, Error> {
    let row = tx.query_opt(FIND_WITH_PASSWORD, &[(&username, Type::TEXT)]).await?;
    row.as_ref().map(with_password_of).transpose()
}

/// The members with these usernames, in no order; unknown names are passed over. Large pictures are [`PICTURE`].
pub async fn list_members_by_name(tx: &mut TenantTx, usernames: &[String]) -> Result<Vec<Member>, Error> {
    let sql = concat!("SELECT ", shown_columns!(), " FROM member m WHERE m.username = ANY($1)");
    tx.query(sql, &[(&usernames, Type::TEXT_ARRAY)]).await?.iter().map(member_of).collect()
}

/// The members with these numbers, in no order. Large pictures are [`PICTURE`].
pub async fn list_members_by_id(tx: &mut TenantTx, ids: &[i64]) -> Result<Vec<Member>, Error> {
    let sql = concat!("SELECT ", shown_columns!(), " FROM member m WHERE m.id = ANY($1)");
    tx.query(sql, &[(&ids, Type::INT8_ARRAY)]).await?.iter().map(member_of).collect()
}

/// Members, the newest first: at most `limit` after the first `offset`. Large pictures are [`PICTURE`].
pub async fn list_members(tx: &mut TenantTx, limit: i64, offset: i64) -> Result<Vec<Member>, Error> {
    let sql =
        concat!("SELECT ", shown_columns!(), " FROM member m ORDER BY m.created_ts DESC, m.id DESC LIMIT $1 OFFSET $2");
    tx.query(sql, &[(&limit, Type::INT8), (&offset, Type::INT8)]).await?.iter().map(member_of).collect()
}

/// The newest owner or admin who is not archived: whom the instance profile names.
pub async fn find_newest_admin(tx: &mut TenantTx) -> Result<Option<Member>, Error> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM member m WHERE m.role IN ('owner', 'admin') AND NOT m.archived ORDER BY m.created_ts DESC, m.id DESC LIMIT 1"
    );
    tx.query_opt(sql, &[]).await?.as_ref().map(member_of).transpose()
}

/// Locks a member's row, so that changes of what hangs on him come one after the other.
pub async fn lock_member(tx: &mut TenantTx, id: MemberId) -> Result<(), Error> {
    tx.query("SELECT 1 FROM member WHERE id = $1 FOR UPDATE", &[(&id.0, Type::INT8)]).await.map(|_| ())
}

/// How many members there are, archived ones included.
pub async fn count_members(tx: &mut TenantTx) -> Result<i64, Error> {
    let row = tx.query_opt("SELECT count(*) FROM member", &[]).await?;
    row.map_or(Ok(0), |row| Ok(row.try_get(0)?))
}

/// Owners, as those must know who would take one away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owners {
    /// How many are not archived.
    pub all: i64,
    /// How many of them can sign in: by a password, or by an account at a provider that is there.
    pub can_enter: i64,
}

/// Counts the owners who are not archived, and keeps others from changing any of them until the unit of work ends: two
/// owners who demote each other at once wait for one another.
pub async fn lock_owners(tx: &mut TenantTx) -> Result<Owners, Error> {
    let sql = "SELECT id FROM member WHERE role = 'owner' AND NOT archived ORDER BY id FOR UPDATE";
    tx.query(sql, &[]).await?;
    // A row that was locked may have been changed by whoever held it before: counted again, by a new snapshot.
    let sql = "SELECT count(*), count(*) FILTER (WHERE password_hash <> '' OR EXISTS (SELECT 1 FROM member_identity i \
               JOIN identity_provider p ON p.uid = i.provider WHERE i.member_id = m.id)) \
               FROM member m WHERE role = 'owner' AND NOT archived";
    let row = tx.query_opt(sql, &[]).await?;
    row.map_or(Ok(Owners { all: 0, can_enter: 0 }), |row| {
        Ok(Owners { all: row.try_get(0)?, can_enter: row.try_get(1)? })
    })
}

/// Adds a member with the hash of his password. A taken username is a conflict on [`USERNAME_KEY`].
pub async fn insert_member(tx: &mut TenantTx, member: &Member, password_hash: &str) -> Result<(), Error> {
    let sql = "INSERT INTO member (id, username, role, archived, email, display_name, avatar, description, \
               password_hash, created_ts, updated_ts) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let role = member.role.as_str();
    let params: [Param<'_>; 11] = [
        (&member.id.0, Type::INT8),
        (&member.username, Type::TEXT),
        (&role, Type::TEXT),
        (&member.archived, Type::BOOL),
        (&member.email, Type::TEXT),
        (&member.display_name, Type::TEXT),
        (&member.avatar, Type::TEXT),
        (&member.description, Type::TEXT),
        (&password_hash, Type::TEXT),
        (&member.created_ts, Type::INT8),
        (&member.updated_ts, Type::INT8),
    ];
    tx.query(sql, &params).await.map(|_| ())
}

/// Writes every column of the member but the password; `was` is the name he had. A new name is carried into the notes'
/// cards, which show it beside reactions.
pub async fn update_member(tx: &mut TenantTx, was: &str, member: &Member) -> Result<(), Error> {
    let sql = "UPDATE member SET username = $2, role = $3, archived = $4, email = $5, display_name = $6, avatar = $7, \
               description = $8, updated_ts = $9 WHERE id = $1";
    let role = member.role.as_str();
    let params: [Param<'_>; 9] = [
        (&member.id.0, Type::INT8),
        (&member.username, Type::TEXT),
        (&role, Type::TEXT),
        (&member.archived, Type::BOOL),
        (&member.email, Type::TEXT),
        (&member.display_name, Type::TEXT),
        (&member.avatar, Type::TEXT),
        (&member.description, Type::TEXT),
        (&member.updated_ts, Type::INT8),
    ];
    if tx.execute(sql, &params).await? == 0 {
        return Err(Error::NotFound("member"));
    }
    if was != member.username {
        super::cards::rename_member(tx, member.id).await?;
    }
    Ok(())
}

/// Replaces the stored hash of the password.
pub async fn update_password(tx: &mut TenantTx, id: MemberId, hash: &str, now_ts: i64) -> Result<(), Error> {
    let sql = "UPDATE member SET password_hash = $2, updated_ts = $3 WHERE id = $1";
    let changed = tx.execute(sql, &[(&id.0, Type::INT8), (&hash, Type::TEXT), (&now_ts, Type::INT8)]).await?;
    if changed == 0 { Err(Error::NotFound("member")) } else { Ok(()) }
}

/// Replaces the stored hash by one of a better kind for the same password, unless it changed meanwhile.
pub async fn upgrade_password(tx: &mut TenantTx, id: MemberId, old: &str, new: &str) -> Result<(), Error> {
    let sql = "UPDATE member SET password_hash = $3 WHERE id = $1 AND password_hash = $2";
    tx.execute(sql, &[(&id.0, Type::INT8), (&old, Type::TEXT), (&new, Type::TEXT)]).await.map(|_| ())
}

/// Removes the member's row and what only he could use: tokens, sessions, settings, identities, notifications. His notes
/// and files are removed by their own modules first.
pub async fn delete_member(tx: &mut TenantTx, id: MemberId) -> Result<(), Error> {
    for sql in [
        "DELETE FROM access_token WHERE member_id = $1",
        "DELETE FROM session WHERE member_id = $1",
        "DELETE FROM member_setting WHERE member_id = $1",
        "DELETE FROM member_identity WHERE member_id = $1",
        "DELETE FROM member_totp WHERE member_id = $1",
        "DELETE FROM invitation WHERE member_id = $1",
        "DELETE FROM notification WHERE receiver_id = $1",
    ] {
        tx.execute(sql, &[(&id.0, Type::INT8)]).await?;
    }
    let gone = tx.execute("DELETE FROM member WHERE id = $1", &[(&id.0, Type::INT8)]).await?;
    if gone == 0 { Err(Error::NotFound("member")) } else { Ok(()) }
}

/// A member, the setting with the signing secret, and the session of his that lasts.
macro_rules! member_and_secret {
    () => {
        " FROM {s}.member m LEFT JOIN {s}.setting s ON s.key = 'BASIC'
         LEFT JOIN {s}.session l ON l.session_id = $2 AND l.member_id = m.id AND l.expires_ns > $3"
    };
}

/// The member named by an access token, with the tenant's signing secret (empty when it has none), and whether his
/// session `session` lasts at `now_ns`: one flight. A large picture is [`PICTURE`].
pub async fn read_member_and_secret(
    store: &Store,
    scope: &TenantScope,
    id: MemberId,
    session: &str,
    now_ns: i64,
) -> Result<Option<(Member, String, bool)>, Error> {
    const CHECK: Check = Check {
        name: "member_and_secret",
        text: concat!(
            "SELECT ",
            shown_columns!(),
            ", coalesce(s.value->>'secretKey', ''), l.session_id IS NOT NULL, m.xmin, s.xmin, l.xmin, NULL::xid",
            member_and_secret!(),
            " WHERE m.id = $1"
        ),
        proof: Some(CheckProof {
            text: concat!(
                "SELECT 0::bigint, pair.* FROM (SELECT m.xmin AS m, s.xmin AS s, l.xmin AS l",
                member_and_secret!(),
                " WHERE m.id = $1) v CROSS JOIN LATERAL (VALUES (v.m, v.s), (v.l, NULL)) pair WHERE pair.column1 IS NOT NULL"
            ),
            pairs: 2,
            same: 2,
        }),
    };
    let asked = [Value::Number(id.0), Value::Text(session.to_owned()), Value::Number(now_ns)];
    let rows = store.read_check(scope, CHECK, &asked).await?;
    rows.first().map(|row| Ok((member_of(row)?, row.try_get(10)?, row.try_get(11)?))).transpose()
}
