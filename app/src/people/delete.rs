//! Removing a member for good, with everything he wrote.

use domain::member::{Member, Role};
use identity::MemberActor;
use serde_json::json;
use store::AuditEvent;
use store::tenant::{cards, leaving, members};

use super::Error;
use super::service::audit_actor;
use crate::notes::Desk;

/// Deletes the member of this name: himself, or an admin; an owner only himself or another owner, and never the last
/// one. His notes with their threads, his comments, reactions, files, shares, tokens and preferences go with him. Audit:
/// `member.deleted`.
///
/// # Errors
/// Not found, no permission, the last owner.
pub async fn delete(desk: &Desk<'_>, me: &MemberActor, username: &str) -> Result<(), Error> {
    let mut tx = desk.begin();
    tx.touch().await?;
    cards::lock_many(&mut tx).await?;
    let member = members::find_member_by_name(&mut tx, username).await?;
    may(me, member.as_ref())?;
    let member = member.ok_or(Error::NotFound)?;
    let owners = members::lock_owners(&mut tx).await?;
    if member.role == Role::Owner && !member.archived && owners.all <= 1 {
        return Err(Error::Refused("the last owner cannot be deleted; make somebody else an owner first"));
    }
    let gone = leaving::delete_works(&mut tx, member.id).await?;
    members::delete_member(&mut tx, member.id).await?;
    identity::provider::keep_a_way_in(&mut tx, owners).await?;
    let actor = audit_actor(desk);
    let detail = json!({"notes": gone.notes, "attachments": gone.attachments});
    tx.audit(&AuditEvent { actor: &actor, event: "member.deleted", object: &member.username, detail }).await?;
    Ok(tx.commit().await?)
}

/// Strangers to the account learn nothing of who exists.
fn may(me: &MemberActor, target: Option<&Member>) -> Result<(), Error> {
    let admin = me.member.role.is_admin();
    let Some(target) = target else { return if admin { Err(Error::NotFound) } else { Err(Error::DENIED) } };
    if me.id() != target.id && !admin {
        return Err(Error::DENIED);
    }
    if target.role == Role::Owner && me.member.role != Role::Owner {
        return Err(Error::Denied("permission denied: only an owner may delete an owner"));
    }
    Ok(())
}
