//! The rows of `member_identity`: which account elsewhere opens for which member.

use domain::id::MemberId;
use domain::member::Member;
use serde_json::Value;

use super::members::{columns, member_of};
use crate::tx::Param;
use crate::{Error, Row, TenantTx, Type};

/// The constraint that an account hits which is linked to somebody already.
pub const EXTERN_KEY: &str = "member_identity_extern_key";

/// The constraint that a second account of a member at one provider hits.
pub const MEMBER_KEY: &str = "member_identity_member_key";

/// A member's account at a provider.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberIdentity {
    /// Row number.
    pub id: i64,
    /// Whose it is.
    pub member_id: MemberId,
    /// The provider's public id.
    pub provider: String,
    /// The member's id there.
    pub extern_uid: String,
    /// Seconds since 1970.
    pub created_ts: i64,
    /// Seconds since 1970.
    pub updated_ts: i64,
    /// Who vouches for `extern_uid`: an issuer, a directory; empty for `OAUTH2`.
    pub issuer: String,
    /// What the last sign-in told: groups, role, why.
    pub rights: Value,
}

/// An account as a provider names it.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// The provider's public id.
    pub provider: &'a str,
    /// Who vouches for it.
    pub issuer: &'a str,
    /// The id there.
    pub subject: &'a str,
}

/// The columns of [`identity_of`], of a table called `i`.
macro_rules! identity_columns {
    () => {
        "i.id, i.member_id, i.provider, i.extern_uid, i.created_ts, i.updated_ts, i.issuer, i.rights"
    };
}

fn identity_of(row: &Row, from: usize) -> Result<MemberIdentity, Error> {
    Ok(MemberIdentity {
        id: row.try_get(from)?,
        member_id: MemberId(row.try_get(from + 1)?),
        provider: row.try_get(from + 2)?,
        extern_uid: row.try_get(from + 3)?,
        created_ts: row.try_get(from + 4)?,
        updated_ts: row.try_get(from + 5)?,
        issuer: row.try_get(from + 6)?,
        rights: row.try_get(from + 7)?,
    })
}

/// The accounts that a member has linked.
pub async fn list_identities(tx: &mut TenantTx, member: MemberId) -> Result<Vec<MemberIdentity>, Error> {
    let sql = concat!("SELECT ", identity_columns!(), " FROM member_identity i WHERE i.member_id = $1 ORDER BY i.id");
    tx.query(sql, &[(&member.0, Type::INT8)]).await?.iter().map(|row| identity_of(row, 0)).collect()
}

/// Whose account this is, and the member; his row stays as it is until the unit of work ends.
pub async fn find_by_account(
    tx: &mut TenantTx,
    account: Account<'_>,
) -> Result<Option<(Member, MemberIdentity)>, Error> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        ", ",
        identity_columns!(),
        " FROM member_identity i JOIN member m ON m.id = i.member_id",
        " WHERE i.provider = $1 AND i.issuer = $2 AND i.extern_uid = $3 FOR UPDATE OF m"
    );
    let params: [Param<'_>; 3] =
        [(&account.provider, Type::TEXT), (&account.issuer, Type::TEXT), (&account.subject, Type::TEXT)];
    let row = tx.query_opt(sql, &params).await?;
    row.as_ref().map(|row| Ok((member_of(row)?, identity_of(row, 10)?))).transpose()
}

/// Whether the provider's account was linked under another issuer: the provider was led elsewhere since.
pub async fn is_of_another_issuer(tx: &mut TenantTx, account: Account<'_>) -> Result<bool, Error> {
    let sql = "SELECT 1 FROM member_identity WHERE provider = $1 AND issuer <> $2 AND extern_uid = $3 LIMIT 1";
    let params: [Param<'_>; 3] =
        [(&account.provider, Type::TEXT), (&account.issuer, Type::TEXT), (&account.subject, Type::TEXT)];
    Ok(tx.query_opt(sql, &params).await?.is_some())
}

/// Links an account. Linked to somebody already: conflict on [`EXTERN_KEY`]; a second one of the same member at that
/// provider: on [`MEMBER_KEY`].
pub async fn insert_identity(tx: &mut TenantTx, identity: &MemberIdentity) -> Result<(), Error> {
    let sql = "INSERT INTO member_identity (id, member_id, provider, extern_uid, created_ts, updated_ts, issuer, rights) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let params: [Param<'_>; 8] = [
        (&identity.id, Type::INT8),
        (&identity.member_id.0, Type::INT8),
        (&identity.provider, Type::TEXT),
        (&identity.extern_uid, Type::TEXT),
        (&identity.created_ts, Type::INT8),
        (&identity.updated_ts, Type::INT8),
        (&identity.issuer, Type::TEXT),
        (&identity.rights, Type::JSONB),
    ];
    tx.query(sql, &params).await.map(|_| ())
}

/// Writes down what a sign-in told.
pub async fn update_rights(tx: &mut TenantTx, id: i64, rights: &Value, now_ts: i64) -> Result<(), Error> {
    let sql = "UPDATE member_identity SET rights = $2, updated_ts = $3 WHERE id = $1";
    tx.execute(sql, &[(&id, Type::INT8), (&rights, Type::JSONB), (&now_ts, Type::INT8)]).await.map(|_| ())
}

/// Unlinks an account; false when none was linked.
pub async fn delete_identity(tx: &mut TenantTx, member: MemberId, provider: &str) -> Result<bool, Error> {
    let sql = "DELETE FROM member_identity WHERE member_id = $1 AND provider = $2";
    Ok(tx.execute(sql, &[(&member.0, Type::INT8), (&provider, Type::TEXT)]).await? > 0)
}

/// Unlinks every account at a provider; how many there were.
pub async fn delete_identities_at(tx: &mut TenantTx, provider: &str) -> Result<u64, Error> {
    tx.execute("DELETE FROM member_identity WHERE provider = $1", &[(&provider, Type::TEXT)]).await
}

/// A standing invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Row number.
    pub id: i64,
    /// The address, in lower case.
    pub email: String,
    /// The role of a new member: admin, member or guest.
    pub role: String,
    /// The member whose account it becomes; none: a new one.
    pub member_id: Option<MemberId>,
    /// Seconds since 1970.
    pub created_ts: i64,
    /// Seconds since 1970.
    pub expires_ts: i64,
    /// Who invited.
    pub invited_by: String,
}

fn invitation_of(row: &Row) -> Result<Invitation, Error> {
    Ok(Invitation {
        id: row.try_get(0)?,
        email: row.try_get(1)?,
        role: row.try_get(2)?,
        member_id: row.try_get::<_, Option<i64>>(3)?.map(MemberId),
        created_ts: row.try_get(4)?,
        expires_ts: row.try_get(5)?,
        invited_by: row.try_get(6)?,
    })
}

/// Invites an address; an older invitation of it is replaced.
pub async fn put_invitation(tx: &mut TenantTx, new: &Invitation) -> Result<(), Error> {
    let sql = "INSERT INTO invitation (id, email, role, member_id, created_ts, expires_ts, invited_by) \
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (email) DO UPDATE SET role = excluded.role, \
               member_id = excluded.member_id, created_ts = excluded.created_ts, expires_ts = excluded.expires_ts, \
               invited_by = excluded.invited_by";
    let member = new.member_id.map(|id| id.0);
    let params: [Param<'_>; 7] = [
        (&new.id, Type::INT8),
        (&new.email, Type::TEXT),
        (&new.role, Type::TEXT),
        (&member, Type::INT8),
        (&new.created_ts, Type::INT8),
        (&new.expires_ts, Type::INT8),
        (&new.invited_by, Type::TEXT),
    ];
    tx.query(sql, &params).await.map(|_| ())
}

/// Invitations that stand, the newest first.
pub async fn list_invitations(tx: &mut TenantTx, now_ts: i64) -> Result<Vec<Invitation>, Error> {
    let sql = "SELECT id, email, role, member_id, created_ts, expires_ts, invited_by FROM invitation \
               WHERE expires_ts > $1 ORDER BY id DESC";
    tx.query(sql, &[(&now_ts, Type::INT8)]).await?.iter().map(invitation_of).collect()
}

/// Takes the invitation of this address (in lower case) that stands: it is used up.
pub async fn take_invitation(tx: &mut TenantTx, email: &str, now_ts: i64) -> Result<Option<Invitation>, Error> {
    let sql = "DELETE FROM invitation WHERE email = $1 AND expires_ts > $2 \
               RETURNING id, email, role, member_id, created_ts, expires_ts, invited_by";
    let row = tx.query_opt(sql, &[(&email, Type::TEXT), (&now_ts, Type::INT8)]).await?;
    row.as_ref().map(invitation_of).transpose()
}

/// Takes an invitation back; false when there is none of that number.
pub async fn delete_invitation(tx: &mut TenantTx, id: i64) -> Result<bool, Error> {
    Ok(tx.execute("DELETE FROM invitation WHERE id = $1", &[(&id, Type::INT8)]).await? > 0)
}
