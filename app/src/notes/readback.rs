//! A note as the API shows it to its author, for an import that wants to see what members will see.

use domain::chance::Chance;
use domain::clock::Clock;
use domain::id::MemberId;
use identity::{Actor, MemberActor, Via};
use serde_json::Value;
use store::tenant::members::find_member;
use store::{Store, TenantScope};

use super::view::{self, Detail};
use super::{Desk, Error, service};
use crate::live::Live;

/// The answer of `GET /api/v1/memos/{uid}` to this member.
///
/// # Errors
/// As the API's: `NotFound` for what the member may not know of.
pub async fn shown_to(store: &Store, scope: &TenantScope, member: MemberId, uid: &str) -> Result<Value, Error> {
    let mut tx = store.begin(scope);
    let found = find_member(&mut tx, member).await?;
    tx.commit().await?;
    let actor = Actor::Member(MemberActor { member: found.ok_or(Error::SignInFirst)?, via: Via::Command });
    let (clock, chance) = (Clock::System, Chance::System);
    let live = Live::start(store, &chance);
    let desk = Desk { store, scope, actor: &actor, clock: &clock, chance: &chance, live: &live };
    let note = service::get(&desk, uid).await?;
    Ok(serde_json::to_value(view::memo(&note, Some(member), Detail::Full)).unwrap_or_default())
}
