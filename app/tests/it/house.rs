//! A tenant with members, and desks for them to speak from.

use std::sync::Arc;

use app::live::Live;
use app::notes::Desk;
use app::notes::service::Draft;
use domain::chance::Chance;
use domain::clock::Clock;
use domain::id::{MemberId, NoteId};
use domain::member::{Member, Role};
use domain::note::{Note, Visibility};
use domain::tenant::{Tenant, TenantState};
use identity::{Actor, MemberActor, Via};
use objects::{FileStore, ObjectStore};
use store::tenant::members;
use store::{Store, TenantScope};
use testkit::pg::TestDatabase;

/// A database with one tenant, four members and a file store.
pub(crate) struct House {
    pub(crate) store: Store,
    pub(crate) scope: TenantScope,
    pub(crate) clock: Clock,
    pub(crate) chance: Chance,
    pub(crate) files: FileStore,
    live: Live,
    _folder: tempfile::TempDir,
    _database: TestDatabase,
}

/// Owner, two members, a guest.
pub(crate) const NAMES: [(&str, Role); 4] =
    [("olga", Role::Owner), ("mia", Role::Member), ("max", Role::Member), ("gus", Role::Guest)];

impl House {
    pub(crate) async fn build(seed: u64) -> Self {
        let database = TestDatabase::create().await;
        let store = database.store().await;
        let tenant = store.build_tenant(&"house".parse().unwrap(), TenantState::Active).await.unwrap();
        let tenant = Tenant { public_url: Some("https://notes.example.org".to_owned()), ..(*tenant).clone() };
        let scope = TenantScope::for_request(Arc::new(tenant));
        let folder = tempfile::tempdir().unwrap();
        let files = FileStore::over(ObjectStore::directory(folder.path()).unwrap());
        let chance = Chance::seeded(seed);
        let house = Self {
            live: Live::start(&store, &chance),
            store,
            scope,
            clock: Clock::fixed(1_700_000_000),
            chance,
            files,
            _folder: folder,
            _database: database,
        };
        house.add_members().await;
        house
    }

    async fn add_members(&self) {
        let mut tx = self.store.begin(&self.scope);
        tx.touch().await.unwrap();
        for (at, _) in NAMES.iter().enumerate() {
            members::insert_member(&mut tx, &member(at), "").await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// The desk of someone.
    pub(crate) fn desk<'a>(&'a self, actor: &'a Actor) -> Desk<'a> {
        let Self { store, scope, clock, chance, live, .. } = self;
        Desk { store, scope, actor, clock, chance, live }
    }

    /// Every note and comment with its card.
    pub(crate) async fn all_notes(&self) -> Vec<Note> {
        let mut snapshot = self.store.open_snapshot(&self.scope).await.unwrap();
        let notes = snapshot.notes_after(NoteId(0), 10_000).await.unwrap();
        snapshot.finish().await.unwrap();
        notes
    }
}

fn member(at: usize) -> Member {
    let (name, role) = NAMES[at];
    Member {
        id: MemberId(at as i64 + 1),
        username: name.to_owned(),
        role,
        archived: false,
        email: String::new(),
        display_name: String::new(),
        avatar: String::new(),
        description: String::new(),
        created_ts: 0,
        updated_ts: 0,
    }
}

/// One of [`NAMES`] as an actor.
pub(crate) fn actor(at: usize) -> Actor {
    Actor::Member(MemberActor { member: member(at), via: Via::Command })
}

/// A draft with this text.
pub(crate) fn draft(uid: &str, content: &str, visibility: Visibility) -> Draft {
    Draft { uid: uid.to_owned(), content: content.to_owned(), visibility: Some(visibility), ..Draft::default() }
}
