//! Finding members and adding them.

use domain::filter;
use domain::id::{MemberId, is_username};
use domain::member::{Member, Role};
use identity::Identity;
use serde_json::json;
use store::tenant::members;
use store::{AuditEvent, TenantTx};
use wire::page::Page;

use super::Error;
use crate::instance::settings;
use crate::notes::Desk;

/// The most members in one batch.
const LARGEST_BATCH: usize = 100;

/// The member of this name.
///
/// # Errors
/// Not found.
pub async fn get(desk: &Desk<'_>, username: &str) -> Result<Member, Error> {
    let mut tx = desk.begin();
    let found = find(&mut tx, desk, username).await?;
    tx.commit().await?;
    found.ok_or(Error::NotFound)
}

/// The member of this name. Where nobody has it, a number means the member with that number, as clients of Memos up to
/// 0.26 write it; only members may ask so.
pub(crate) async fn find(tx: &mut TenantTx, desk: &Desk<'_>, username: &str) -> Result<Option<Member>, store::Error> {
    let found = members::find_member_by_name(tx, username).await?;
    match filter::member_number(username) {
        Some(number) if found.is_none() && desk.actor.member().is_some() => {
            members::find_member(tx, MemberId(number)).await
        }
        _ => Ok(found),
    }
}

/// Members, the newest first, and whether more follow. `only` asks for one name. For admins.
///
/// # Errors
/// The caller is no admin.
pub async fn list(desk: &Desk<'_>, page: Page, only: Option<&str>) -> Result<(Vec<Member>, bool), Error> {
    if !desk.actor.is_admin() {
        return Err(Error::DENIED);
    }
    let mut tx = desk.begin();
    let mut found = match only {
        None => members::list_members(&mut tx, page.limit + 1, page.offset).await?,
        Some(name) => {
            members::find_member_by_name(&mut tx, name).await?.into_iter().skip(page.offset as usize).collect()
        }
    };
    tx.commit().await?;
    let more = found.len() as i64 > page.limit;
    found.truncate(page.limit as usize);
    Ok((found, more))
}

/// The members of these names who are not archived, each once, the newest first; unknown names are passed over.
///
/// # Errors
/// More than 100 names.
pub async fn batch(desk: &Desk<'_>, usernames: &[String]) -> Result<Vec<Member>, Error> {
    if usernames.len() > LARGEST_BATCH {
        return Err(Error::Invalid("too many usernames (max 100)".to_owned()));
    }
    if usernames.is_empty() {
        return Ok(Vec::new());
    }
    let mut tx = desk.begin();
    let mut found = members::list_members_by_name(&mut tx, usernames).await?;
    tx.commit().await?;
    found.retain(|member| !member.archived);
    found.sort_by_key(|member| std::cmp::Reverse(member.id));
    Ok(found)
}

/// A member to be added.
#[derive(Clone, Debug, Default)]
pub struct NewMember {
    /// Name to sign in with.
    pub username: String,
    /// Password.
    pub password: String,
    /// Whether an admin is wanted; only admins may want that.
    pub admin: bool,
    /// May be empty.
    pub email: String,
    /// May be empty.
    pub display_name: String,
    /// May be empty.
    pub avatar: String,
    /// May be empty.
    pub description: String,
    /// Only tell what would be made.
    pub dry: bool,
}

/// Adds a member: the first of all becomes the owner, admins add whom they want, others add themselves where the tenant
/// allows it. Audit: `member.created`.
///
/// # Errors
/// A name or password that cannot be, a taken name, no permission.
pub async fn create(desk: &Desk<'_>, identity: &Identity, new: NewMember) -> Result<Member, Error> {
    if !is_username(&new.username) {
        return Err(Error::Invalid(format!("invalid username \"{}\"", new.username)));
    }
    let mut tx = desk.begin();
    let first = members::count_members(&mut tx).await? == 0;
    let general = settings::general(&mut tx).await?;
    tx.commit().await?;
    if !first && !desk.actor.is_admin() {
        if general.disallow_user_registration {
            return Err(Error::Denied("user registration is not allowed"));
        }
        if general.disallow_password_auth {
            return Err(Error::Denied("password signin is not allowed"));
        }
    }
    if new.password.is_empty() {
        return Err(Error::Invalid("password must not be empty".to_owned()));
    }
    super::avatar::check(&new.avatar)?;
    let role = match (first, desk.actor.is_admin() && new.admin) {
        (true, _) => Role::Owner,
        (false, true) => Role::Admin,
        (false, false) => Role::Member,
    };
    let now = desk.now();
    let mut member = Member {
        id: MemberId(0),
        username: new.username,
        role,
        archived: false,
        email: new.email,
        display_name: new.display_name,
        avatar: new.avatar,
        description: new.description,
        created_ts: now,
        updated_ts: now,
    };
    if new.dry {
        return Ok(member);
    }
    let hash = identity.passwords().hash(&new.password).await?;
    let mut tx = desk.begin();
    tx.touch().await?;
    member.id = MemberId(tx.next_id().await?);
    taken(members::insert_member(&mut tx, &member, &hash).await, &member.username)?;
    let actor = audit_actor(desk);
    let detail = json!({"role": member.role.as_str()});
    tx.audit(&AuditEvent { actor: &actor, event: "member.created", object: &member.username, detail }).await?;
    tx.commit().await?;
    Ok(member)
}

/// A conflict on the username is its own error.
pub(super) fn taken(result: Result<(), store::Error>, username: &str) -> Result<(), Error> {
    match result {
        Err(error) if error.is_conflict(members::USERNAME_KEY) => Err(Error::Taken(username.to_owned())),
        other => Ok(other?),
    }
}

/// Who acts, as the audit writes it.
pub fn audit_actor(desk: &Desk<'_>) -> String {
    desk.actor.member().map_or_else(|| "stranger".to_owned(), |member| format!("member:{}", member.username))
}
