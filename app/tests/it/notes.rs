//! The rules of notes.

use app::notes::service::{self, Draft, ListInput, Tongue};
use app::notes::update::{self, Change};
use app::notes::view::{self, Detail};
use app::notes::{Error, attachments, comments, notifications, reactions, relations, shares};
use domain::note::Visibility::{Private, Protected, Public};
use domain::note::{Location, Note};
use identity::Actor;
use store::tenant::{cards, members, notes as stored};
use wire::page::Page;

use crate::house::{House, actor, draft};

const FIRST: Page = Page { limit: 50, offset: 0 };

fn why<T>(result: Result<T, Error>) -> String {
    result.err().map_or_else(|| "ok".to_owned(), |error| error.to_string())
}

fn uids(notes: &[Note]) -> Vec<&str> {
    notes.iter().map(|note| note.uid.as_str()).collect()
}

fn list(order_by: &'static str, filter: &'static str) -> ListInput<'static> {
    ListInput { page: FIRST, archived: false, order_by, filter, tongue: Tongue::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_is_written_read_changed_and_deleted() {
    let house = House::build(1).await;
    let (mia, max, guest, nobody) = (actor(1), actor(2), actor(3), Actor::Anonymous);
    let desk = house.desk(&mia);
    let note = service::create(&desk, &draft("n-1", "# Head\n\nbody #tag", Protected)).await.unwrap();
    assert_eq!((note.derived.title.as_str(), note.creator.as_str(), note.created_ts), ("Head", "mia", 1_700_000_000));
    assert_eq!(service::get(&house.desk(&max), "n-1").await.unwrap(), note);
    assert_eq!(why(service::get(&house.desk(&nobody), "n-1").await), "user not authenticated");
    assert_eq!(why(service::create(&desk, &draft("n-1", "x", Public)).await), "memo with ID \"n-1\" already exists");
    assert_eq!(why(service::create(&house.desk(&guest), &draft("g", "x", Public)).await), "permission denied");
    assert_eq!(why(service::create(&desk, &draft("", "nul \0", Public)).await).split(' ').next(), Some("content"));
    let long = "z".repeat(8193);
    assert_eq!(why(service::create(&desk, &draft("", &long, Public)).await), "content too long (max 8192 characters)");

    let place = Location { placeholder: "Bern".to_owned(), latitude: 46.9, longitude: 7.4 };
    let change = Change {
        content: Some("new #other".to_owned()),
        visibility: Some(Private),
        pinned: Some(true),
        location: Some(Some(place)),
        ..Change::default()
    };
    let changed = update::update(&desk, "n-1", &change).await.unwrap();
    assert_eq!(service::get(&desk, "n-1").await.unwrap(), changed);
    assert_eq!((changed.derived.tags.as_slice(), changed.updated_ts), (&["other".to_owned()][..], 1_700_000_000));
    assert_eq!(why(service::get(&house.desk(&max), "n-1").await), "permission denied");
    assert_eq!(why(update::update(&house.desk(&max), "n-1", &change).await), "permission denied");
    assert!(
        update::update(&house.desk(&actor(0)), "n-1", &change).await.is_ok(),
        "admins change what they cannot read"
    );
    assert_eq!(why(service::get(&house.desk(&actor(0)), "n-1").await), "permission denied");

    service::delete(&desk, "n-1").await.unwrap();
    assert_eq!(why(service::get(&desk, "n-1").await), "memo not found");
    assert_eq!(why(service::delete(&desk, "n-1").await), "memo not found");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_show_what_the_viewer_may_see_in_order() {
    let house = House::build(2).await;
    let (mia, max, nobody) = (actor(1), actor(2), Actor::Anonymous);
    for (uid, visibility, who) in
        [("a", Public, &mia), ("b", Protected, &mia), ("c", Private, &mia), ("d", Private, &max)]
    {
        service::create(&house.desk(who), &draft(uid, &format!("{uid} #t{uid}"), visibility)).await.unwrap();
        house.clock.advance(10);
    }
    comments::create(&house.desk(&max), "a", &draft("k", "a comment", Public)).await.unwrap();
    let seen = |found: service::Listed| uids(&found.notes).join("");
    assert_eq!(seen(service::list(&house.desk(&nobody), &list("", "")).await.unwrap()), "a");
    assert_eq!(seen(service::list(&house.desk(&mia), &list("", "")).await.unwrap()), "cba");
    assert_eq!(seen(service::list(&house.desk(&max), &list("create_time asc", "")).await.unwrap()), "abd");
    assert_eq!(seen(service::list(&house.desk(&actor(0)), &list("", "")).await.unwrap()), "ba");
    assert_eq!(seen(service::list(&house.desk(&mia), &list("", "\"tb\" in tags")).await.unwrap()), "b");
    assert_eq!(
        seen(service::list(&house.desk(&mia), &list("", "creator == \"users/mia\" && !pinned")).await.unwrap()),
        "cba"
    );
    assert_eq!(
        why(service::list(&house.desk(&mia), &list("", "bogus == 1")).await).split(':').next(),
        Some("invalid filter")
    );
    update::update(&house.desk(&mia), "a", &Change { pinned: Some(true), ..Change::default() }).await.unwrap();
    assert_eq!(seen(service::list(&house.desk(&mia), &list("pinned, create_time desc", "")).await.unwrap()), "acb");

    let page = ListInput { page: Page { limit: 2, offset: 0 }, ..list("", "") };
    let first = service::list(&house.desk(&mia), &page).await.unwrap();
    assert_eq!((uids(&first.notes).join("").as_str(), first.next_page_token.as_str()), ("cb", "CAIQAg=="));
    let page = ListInput { page: Page::read(0, &first.next_page_token).unwrap(), ..list("", "") };
    let second = service::list(&house.desk(&mia), &page).await.unwrap();
    assert_eq!((uids(&second.notes).join("").as_str(), second.next_page_token.as_str()), ("a", ""));

    update::update(&house.desk(&mia), "b", &Change { archived: Some(true), ..Change::default() }).await.unwrap();
    let archive = ListInput { archived: true, ..list("", "") };
    assert_eq!(seen(service::list(&house.desk(&mia), &archive).await.unwrap()), "b");
    assert_eq!(seen(service::list(&house.desk(&max), &archive).await.unwrap()), "");
    assert_eq!(seen(service::list(&house.desk(&nobody), &archive).await.unwrap()), "");
    assert_eq!(why(service::get(&house.desk(&max), "b").await), "memo not found");
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_follow_their_thread() {
    let house = House::build(3).await;
    let (mia, max, guest) = (actor(1), actor(2), actor(3));
    service::create(&house.desk(&mia), &draft("p", "parent", Protected)).await.unwrap();
    let comment = comments::create(&house.desk(&guest), "p", &draft("c1", "hello @mia @max", Public)).await.unwrap();
    assert_eq!(comment.visibility, Protected);
    let nested = comments::create(&house.desk(&mia), "c1", &draft("c2", "nested", Public)).await.unwrap();
    let shown = view::memo(&nested, None, Detail::Created);
    assert_eq!((shown.parent.as_deref(), shown.visibility()), (None, wire::v1::Visibility::Protected));
    assert_eq!(uids(&comments::list(&house.desk(&max), "p", FIRST).await.unwrap().notes), ["c1"]);

    let told = |found: Vec<store::tenant::notifications::Notification>| {
        found.into_iter().map(|one| one.kind).collect::<Vec<_>>()
    };
    assert_eq!(told(notifications::list(&house.desk(&mia)).await.unwrap()), ["MEMO_COMMENT"]);
    assert_eq!(told(notifications::list(&house.desk(&max)).await.unwrap()), ["MEMO_MENTION"]);

    let hide = Change { visibility: Some(Private), ..Change::default() };
    update::update(&house.desk(&mia), "p", &hide).await.unwrap();
    for uid in ["c1", "c2"] {
        assert_eq!(why(service::get(&house.desk(&max), uid).await), "permission denied", "{uid}");
        assert!(service::get(&house.desk(&mia), uid).await.is_ok(), "{uid}");
    }
    assert!(service::get(&house.desk(&guest), "c1").await.is_ok(), "whoever wrote it may read it");
    assert_eq!(why(service::get(&house.desk(&guest), "c2").await), "permission denied");
    assert_eq!(why(comments::create(&house.desk(&max), "p", &Draft::default()).await), "permission denied");
    service::delete(&house.desk(&mia), "p").await.unwrap();
    assert!(house.all_notes().await.is_empty(), "comments go with their note");
}

#[tokio::test(flavor = "multi_thread")]
async fn relations_and_reactions_stand_on_both_cards() {
    let house = House::build(4).await;
    let (mia, max) = (actor(1), actor(2));
    for (uid, who, visibility) in [("a", &mia, Public), ("b", &mia, Public), ("c", &max, Private), ("d", &max, Public)]
    {
        service::create(&house.desk(who), &draft(uid, &format!("text {uid}"), visibility)).await.unwrap();
    }
    let to = |uids: &[&str]| uids.iter().map(|uid| (*uid).to_owned()).collect::<Vec<_>>();
    relations::set(&house.desk(&mia), "a", &to(&["b", "d", "a"])).await.unwrap();
    relations::set(&house.desk(&max), "c", &to(&["a"])).await.unwrap();
    let with_file = Change { attachments: Some(to(&["nope"])), ..Change::default() };
    assert_eq!(
        why(update::update(&house.desk(&mia), "a", &with_file).await),
        "failed to set memo attachments: rpc error: code = NotFound desc = attachment not found: nope"
    );
    assert_eq!(why(relations::set(&house.desk(&mia), "a", &to(&["c"])).await), "memo not found");
    assert_eq!(why(relations::set(&house.desk(&mia), "a", &to(&["nope"])).await), "memo not found");
    let ends = |note: &Note, who: &Actor| {
        view::relations(note, who.member_id(), Detail::Full)
            .iter()
            .map(|one| format!("{}>{}", one.memo.as_ref().unwrap().name, one.related_memo.as_ref().unwrap().name))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let note = service::get(&house.desk(&mia), "a").await.unwrap();
    assert_eq!(ends(&note, &mia), "memos/a>memos/b memos/a>memos/d");
    assert_eq!(ends(&note, &max), "memos/a>memos/b memos/a>memos/d memos/c>memos/a");
    let edit = Change { content: Some("edited".to_owned()), ..Change::default() };
    update::update(&house.desk(&mia), "b", &edit).await.unwrap();
    let note = service::get(&house.desk(&mia), "a").await.unwrap();
    assert_eq!(note.card.relations[0].other.snippet, "edited");

    let first = reactions::upsert(&house.desk(&max), "a", "👍").await.unwrap();
    assert_eq!(reactions::upsert(&house.desk(&max), "a", "👍").await.unwrap(), first);
    assert_eq!(why(reactions::upsert(&house.desk(&mia), "c", "👍").await), "permission denied");
    // An admin, who may change what he cannot read, sees what hangs on it and may react.
    let olga = actor(0);
    assert_eq!(why(service::get(&house.desk(&olga), "c").await), "permission denied");
    reactions::upsert(&house.desk(&olga), "c", "👍").await.unwrap();
    assert_eq!(reactions::list(&house.desk(&olga), "c").await.unwrap().card.reactions.len(), 1);
    assert!(attachments::list(&house.desk(&olga), "c").await.is_ok());
    assert_eq!(why(attachments::list(&house.desk(&mia), "c").await), "permission denied");
    // Relations of what is put away are seen from both ends or from none.
    update::update(&house.desk(&max), "d", &Change { archived: Some(true), ..Change::default() }).await.unwrap();
    let archived = relations::list(&house.desk(&mia), "d").await.unwrap().expect("the note");
    assert_eq!(ends(&archived, &mia), "memos/a>memos/d");
    assert_eq!(why(reactions::list(&house.desk(&mia), "d").await), "memo not found");
    assert_eq!(why(reactions::upsert(&house.desk(&actor(3)), "a", "👍").await), "permission denied");
    assert_eq!(why(reactions::delete(&house.desk(&mia), "a", first.id).await), "permission denied");
    let mut tx = house.store.begin(&house.scope);
    tx.touch().await.unwrap();
    let mut renamed = members::get_member_by_name(&mut tx, "max").await.unwrap();
    renamed.username = "maximilian".to_owned();
    members::update_member(&mut tx, "max", &renamed).await.unwrap();
    tx.commit().await.unwrap();
    let note = service::get(&house.desk(&mia), "a").await.unwrap();
    assert_eq!(note.card.reactions[0].creator, "maximilian");
    reactions::delete(&house.desk(&max), "a", first.id).await.unwrap();
    assert_eq!(why(reactions::delete(&house.desk(&max), "a", first.id).await), "permission denied");
    service::delete(&house.desk(&max), "c").await.unwrap();
    check_cards(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_open_one_note_until_they_end() {
    let house = House::build(5).await;
    let (mia, max, nobody) = (actor(1), actor(2), Actor::Anonymous);
    service::create(&house.desk(&mia), &draft("s", "shared", Private)).await.unwrap();
    let desk = house.desk(&mia);
    let lasting = shares::create(&desk, "s", None).await.unwrap();
    let brief = shares::create(&desk, "s", Some(1_700_000_100)).await.unwrap();
    assert!(shares::create(&desk, "s", Some(1_699_999_999)).await.is_err());
    assert_eq!(why(shares::create(&house.desk(&max), "s", None).await), "permission denied");
    assert_eq!(shares::get_shared(&house.desk(&nobody), &lasting.token).await.unwrap().uid, "s");
    house.clock.advance(200);
    assert_eq!(why(shares::get_shared(&house.desk(&nobody), &brief.token).await), "not found");
    assert_eq!(shares::list(&desk, "s").await.unwrap().len(), 2);
    shares::delete(&desk, "s", &lasting.token).await.unwrap();
    assert_eq!(why(shares::get_shared(&house.desk(&nobody), &lasting.token).await), "not found");

    // A comment may be shared, and is shown without its thread; what is put away may be shared, and is not shown.
    comments::create(&desk, "s", &draft("k", "a comment", Public)).await.unwrap();
    let comment = shares::create(&desk, "k", None).await.unwrap();
    let shown = shares::get_shared(&house.desk(&nobody), &comment.token).await.unwrap();
    let shown = view::memo(&shown, None, Detail::Shared);
    assert_eq!((shown.name.as_str(), shown.parent, shown.relations.len()), ("memos/k", None, 0));
    update::update(&desk, "s", &Change { archived: Some(true), ..Change::default() }).await.unwrap();
    let away = shares::create(&desk, "s", None).await.unwrap();
    assert_eq!(why(shares::get_shared(&house.desk(&nobody), &away.token).await), "not found");
}

/// Every card is what the tables make of it.
async fn check_cards(house: &House) {
    let stored = house.all_notes().await;
    let mut tx = house.store.begin(&house.scope);
    tx.touch().await.unwrap();
    cards::rebuild_all(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    for (stored, rebuilt) in stored.iter().zip(house.all_notes().await) {
        assert_eq!(stored.card, rebuilt.card, "{}", stored.uid);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_two_numbers_or_none() {
    let house = House::build(7).await;
    let mia = actor(1);
    let desk = house.desk(&mia);
    service::create(&desk, &draft("kept", "as it was", Public)).await.unwrap();
    service::create(&desk, &draft("talked-of", "as it was", Public)).await.unwrap();
    comments::create(&desk, "talked-of", &draft("", "said", Public)).await.unwrap();
    let refused = "invalid location: latitude and longitude must be finite numbers";
    for (latitude, longitude) in [(f64::NAN, 1.0), (1.0, f64::INFINITY), (f64::NEG_INFINITY, f64::NAN)] {
        let place = Some(Location { placeholder: "nowhere".to_owned(), latitude, longitude });
        let odd = Draft { location: place.clone(), ..draft("", "x", Public) };
        assert_eq!(why(service::create(&desk, &odd).await), refused);
        assert_eq!(why(comments::create(&desk, "kept", &odd).await), refused);
        let change = Change { content: Some("changed".to_owned()), location: Some(place), ..Change::default() };
        for uid in ["kept", "talked-of"] {
            assert_eq!(why(update::update(&desk, uid, &change).await), refused);
            assert_eq!(service::get(&desk, uid).await.unwrap().content, "as it was");
        }
    }
    // What was stored before that was refused: JSON writes such a number as null.
    let far = Location { placeholder: "far".to_owned(), latitude: f64::NAN, longitude: 1.0 };
    let mut tx = house.store.begin(&house.scope);
    tx.touch().await.unwrap();
    let old = stored::NewNote {
        uid: "of-old",
        creator_id: domain::id::MemberId(2),
        parent_id: None,
        created_ts: 1,
        updated_ts: 1,
        visibility: Public,
        content: "of old",
        derived: &domain::note::Derived::default(),
        location: Some(&far),
    };
    stored::insert_note(&mut tx, &old).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(service::get(&desk, "of-old").await.unwrap().location, None);
    let found = service::list(&desk, &list("", "")).await.unwrap();
    assert!(uids(&found.notes).contains(&"of-old"), "{:?}", uids(&found.notes));
    assert_eq!(house.all_notes().await.len(), 4);
    service::delete(&desk, "of-old").await.unwrap();
}

/// A step of one of eight writers that work on the same few notes.
async fn step(house: &House, who: usize, at: u64) {
    let me = actor(who);
    let desk = house.desk(&me);
    let uid = format!("n{}", house.chance.below(6));
    let other = format!("n{}", house.chance.below(6));
    let done = match at % 6 {
        0 => reactions::upsert(&desk, &uid, ["👍", "🎉", "❤️"][house.chance.below(3) as usize]).await.map(drop),
        1 => comments::create(&desk, &uid, &Draft { content: format!("c{at}"), ..Draft::default() }).await.map(drop),
        2 => relations::set(&desk, &uid, &[other]).await,
        3 => {
            let visibility = [Public, Protected, Private][house.chance.below(3) as usize];
            let change = Change { content: Some(format!("t{at}")), visibility: Some(visibility), ..Change::default() };
            update::update(&desk, &uid, &change).await.map(drop)
        }
        4 => attachments::set(&desk, &uid, &[]).await,
        _ => {
            let thread = comments::list(&desk, &uid, FIRST).await;
            match thread.ok().and_then(|found| found.notes.first().map(|note| note.uid.clone())) {
                Some(comment) => service::delete(&desk, &comment).await,
                None => Ok(()),
            }
        }
    };
    // Rules may refuse a step; the database must not.
    if let Err(error) = done {
        assert!(!matches!(error, Error::Store(_)), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cards_stay_true_under_writers_at_the_same_time() {
    let house = std::sync::Arc::new(House::build(6).await);
    for at in 0..6 {
        let who = actor(at % 3);
        service::create(&house.desk(&who), &draft(&format!("n{at}"), "start", Public)).await.unwrap();
    }
    let writers: Vec<_> = (0..8_u64)
        .map(|writer| {
            let house = std::sync::Arc::clone(&house);
            tokio::spawn(async move {
                for at in 0..24 {
                    step(&house, (writer % 3) as usize, writer + at * 7).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    check_cards(&house).await;
}
