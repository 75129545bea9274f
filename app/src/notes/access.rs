//! Who may read what.
//!
//! A comment follows the note at the top of its thread, which its card's `parent` carries; and whoever wrote a comment
//! may always read it.

use domain::id::MemberId;
use domain::note::{CardEnd, Note, Visibility};
use identity::Actor;

use super::{Desk, Error};

/// What decides whether someone may read a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Its creator.
    pub creator_id: MemberId,
    /// Who may read it.
    pub visibility: Visibility,
    /// Archived notes are seen by their creator only.
    pub archived: bool,
}

impl From<&CardEnd> for Gate {
    fn from(end: &CardEnd) -> Self {
        Self { creator_id: end.creator_id, visibility: end.visibility, archived: end.archived }
    }
}

impl Gate {
    fn admits(self, actor: &Actor) -> Result<(), Error> {
        let owns = actor.member_id() == Some(self.creator_id);
        if self.archived && !owns {
            return Err(Error::no_note());
        }
        match (self.visibility, actor) {
            (Visibility::Public, _) | (Visibility::Protected, Actor::Member(_)) => Ok(()),
            (_, Actor::Anonymous) => Err(Error::NotSignedIn),
            (Visibility::Private, Actor::Member(_)) if owns => Ok(()),
            (Visibility::Private, Actor::Member(_)) => Err(Error::Denied),
        }
    }
}

/// Whether the caller may read a note with this gate, below `parent` when it is a comment.
pub fn admit(desk: &Desk<'_>, own: Gate, parent: Option<&CardEnd>) -> Result<(), Error> {
    desk.enter()?;
    if desk.actor.member_id() == Some(own.creator_id) {
        return Ok(());
    }
    own_or_thread(desk.actor, own, parent)
}

fn own_or_thread(actor: &Actor, own: Gate, parent: Option<&CardEnd>) -> Result<(), Error> {
    match parent {
        None => own.admits(actor),
        Some(_) if own.archived => Err(Error::no_note()),
        Some(parent) => Gate::from(parent).admits(actor),
    }
}

/// Whether the caller may read `note`.
pub fn may_read(desk: &Desk<'_>, note: &Note) -> Result<(), Error> {
    let own = Gate { creator_id: note.creator_id, visibility: note.visibility, archived: note.archived };
    admit(desk, own, note.card.parent.as_ref())
}

/// Whether the caller may see what hangs on `note`, and react to it: whoever may read it, and admins, who may change it.
pub fn may_see_parts(desk: &Desk<'_>, note: &Note) -> Result<(), Error> {
    match may_read(desk, note) {
        Err(Error::Denied) if desk.actor.is_admin() => Ok(()),
        other => other,
    }
}

/// Whether the caller may change or delete `note`: its creator and admins, and a guest only his own comments.
pub fn may_change(desk: &Desk<'_>, note: &Note) -> Result<(), Error> {
    let member = desk.member()?;
    let owns = member.id == note.creator_id;
    let comment = note.card.parent.is_some();
    let allowed = if desk.actor.may_write_notes() { owns || desk.actor.is_admin() } else { owns && comment };
    if allowed { Ok(()) } else { Err(Error::Denied) }
}

/// Whether the viewer may know of a relation's other end. An archived one is shown as any other: as recorded.
pub fn sees_end(viewer: Option<MemberId>, end: &CardEnd) -> bool {
    match end.visibility {
        Visibility::Public => true,
        Visibility::Protected => viewer.is_some(),
        Visibility::Private => viewer == Some(end.creator_id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::member::{Member, Role};
    use identity::{MemberActor, Via};

    fn actor(id: i64) -> Actor {
        let member = Member {
            id: MemberId(id),
            username: format!("m{id}"),
            role: Role::Member,
            archived: false,
            email: String::new(),
            display_name: String::new(),
            avatar: String::new(),
            description: String::new(),
            created_ts: 0,
            updated_ts: 0,
        };
        Actor::Member(MemberActor { member, via: Via::Command })
    }

    #[test]
    fn the_matrix_of_visibility() {
        use Visibility::{Private, Protected, Public};
        let gate = |visibility, archived| Gate { creator_id: MemberId(1), visibility, archived };
        let word = |result: Result<(), Error>| result.map_or_else(|error| error.to_string(), |()| "ok".to_owned());
        for (who, visibility, archived, expected) in [
            (Actor::Anonymous, Public, false, "ok"),
            (Actor::Anonymous, Protected, false, "user not authenticated"),
            (Actor::Anonymous, Private, false, "user not authenticated"),
            (Actor::Anonymous, Public, true, "memo not found"),
            (actor(2), Public, false, "ok"),
            (actor(2), Protected, false, "ok"),
            (actor(2), Private, false, "permission denied"),
            (actor(2), Public, true, "memo not found"),
            (actor(1), Private, false, "ok"),
            (actor(1), Private, true, "ok"),
        ] {
            assert_eq!(word(gate(visibility, archived).admits(&who)), expected, "{who:?} {visibility:?} {archived}");
        }
    }
}
