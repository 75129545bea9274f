//! Names and passwords.

use identity::{Client, Error, SignIn};
use serde_json::json;
use store::tenant::{members, settings};

use crate::{PASSWORD, World, bearer, page};

fn as_user(username: &'static str, password: &'static str) -> SignIn<'static> {
    SignIn { username, password }
}

#[tokio::test]
async fn the_right_password_opens_and_is_told() {
    let world = World::new().await;
    let client = Client { address: Some([192, 0, 2, 1].into()), user_agent: "a browser".to_owned() };
    let made = world.identity.sign_in(&world.a, as_user("bo", PASSWORD), &client).await.unwrap();
    assert_eq!(made.member.username, "bo");
    assert_eq!(made.access_expires.unix_timestamp(), 1_700_000_900);
    assert_eq!(world.who(&world.a, &bearer(&made.access_token)).await.as_deref(), Some("bo"));
    assert_eq!(world.audit().await, ["member:bo signin.made bo"]);
}

#[tokio::test]
async fn wrong_names_and_passwords_are_one_answer() {
    let world = World::new().await;
    for (name, password) in [("bo", "wrong"), ("nobody", PASSWORD), ("Bo", PASSWORD), ("", ""), ("b\0o", PASSWORD)] {
        let refused = world.identity.sign_in(&world.a, as_user(name, password), &Client::default()).await;
        assert!(matches!(refused, Err(Error::Unmatched)), "{name:?}");
        world.identity.settled().await;
    }
    // Only names that exist are written down: people type passwords into the wrong field.
    let told = world.audit().await;
    assert_eq!(told.first().unwrap(), "stranger signin.failed bo");
    assert!(told.iter().skip(1).all(|line| line == "stranger signin.failed "), "{told:?}");
    assert_eq!(told.len(), 2, "names that do not exist have one line a minute between them");
}

#[tokio::test]
async fn no_answer_waits_for_the_audit_of_a_known_name() {
    let world = World::new().await;
    let holder = world.database.superuser().await;
    holder.batch_execute("BEGIN; LOCK TABLE holdfast.audit_event IN ACCESS EXCLUSIVE MODE").await.unwrap();
    for name in ["bo", "nobody"] {
        let refused = world.identity.sign_in(&world.a, as_user(name, "wrong"), &Client::default()).await;
        assert!(matches!(refused, Err(Error::Unmatched)), "{name}");
    }
    holder.batch_execute("COMMIT").await.unwrap();
    world.identity.settled().await;
    let mut told = world.audit().await;
    told.sort();
    assert_eq!(told, ["stranger signin.failed ", "stranger signin.failed bo"]);
}

#[tokio::test]
async fn archived_members_and_switched_off_passwords_are_refused() {
    let world = World::new().await;
    let client = Client::default();
    let refused = world.identity.sign_in(&world.a, as_user("old", PASSWORD), &client).await;
    assert_eq!(refused.unwrap_err().to_string(), "user has been archived with username old");
    let mut tx = world.store.begin(&world.a);
    tx.touch().await.unwrap();
    settings::put_setting(&mut tx, "GENERAL", &json!({"disallowPasswordAuth": true})).await.unwrap();
    tx.commit().await.unwrap();
    let refused = world.identity.sign_in(&world.a, as_user("bo", PASSWORD), &client).await;
    assert!(matches!(refused, Err(Error::PasswordSignInOff)));
    world.identity.sign_in(&world.a, as_user("ana", PASSWORD), &client).await.expect("admins always may");
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let world = World::new().await;
    let client = Client { address: Some([192, 0, 2, 1].into()), ..Client::default() };
    for _ in 0..10 {
        world.identity.sign_in(&world.a, as_user("bo", "wrong"), &client).await.unwrap_err();
    }
    let refused = world.identity.sign_in(&world.a, as_user("bo", PASSWORD), &client).await;
    assert!(matches!(refused, Err(Error::Throttled { seconds: 300 })), "{refused:?}");
    world.identity.sign_in(&world.b, as_user("bo", PASSWORD), &client).await.expect("another tenant's account");
    world.clock.advance(301);
    world.identity.sign_in(&world.a, as_user("bo", PASSWORD), &client).await.unwrap();
}

#[tokio::test]
async fn every_process_counts_what_the_others_counted() {
    let world = World::new().await;
    let other = identity::Identity::new(world.store.clone(), world.clock.clone(), domain::chance::Chance::System);
    let client = Client { address: Some([192, 0, 2, 1].into()), ..Client::default() };
    for _ in 0..5 {
        world.identity.sign_in(&world.a, as_user("bo", "wrong"), &client).await.unwrap_err();
        other.sign_in(&world.a, as_user("bo", "wrong"), &client).await.unwrap_err();
    }
    for identity in [&world.identity, &other] {
        let refused = identity.sign_in(&world.a, as_user("bo", PASSWORD), &client).await;
        assert!(matches!(refused, Err(Error::Throttled { seconds: 300 })), "{refused:?}");
    }
    other.sign_in(&world.b, as_user("bo", PASSWORD), &client).await.expect("another tenant's account");
    let elsewhere = Client { address: Some([192, 0, 2, 2].into()), ..Client::default() };
    other.sign_in(&world.a, as_user("bo", PASSWORD), &elsewhere).await.expect("from another address");
    // A process that begins anew knows of it; a right password forgets it.
    world.clock.advance(301);
    other.sign_in(&world.a, as_user("bo", "wrong"), &client).await.unwrap_err();
    world.identity.sign_in(&world.a, as_user("bo", PASSWORD), &client).await.unwrap();
    let rows = world.database.superuser().await.query("SELECT max(wrong) FROM holdfast.sign_in_failure", &[]).await;
    assert_eq!(rows.unwrap()[0].get::<_, Option<i32>>(0), Some(1), "of the account alone; that of the pair is gone");
}

#[tokio::test]
async fn an_unknown_name_costs_the_work_of_a_known_one() {
    let world = World::new().await;
    let bcrypt = bcrypt::hash_with_result("secret", 10).unwrap().format_for_version(bcrypt::Version::TwoA);
    let mut tx = world.store.begin(&world.a);
    tx.touch().await.unwrap();
    members::update_password(&mut tx, domain::id::MemberId(3), &bcrypt, 1_700_000_000).await.unwrap();
    tx.commit().await.unwrap();
    let schema = &world.a.tenant().schema;
    let factor =
        format!("INSERT INTO {schema}.member_totp (member_id, secret, confirmed_ts) VALUES (1, 'JBSWY3DP', 1)");
    world.database.superuser().await.batch_execute(&factor).await.unwrap();
    for password in ["wrong", "wrong123456"] {
        let mut work = Vec::new();
        for name in ["nobody", "bo", "old", "ana"] {
            let before = world.identity.passwords().computed();
            world.identity.sign_in(&world.a, as_user(name, password), &Client::default()).await.unwrap_err();
            work.push(world.identity.passwords().computed() - before);
        }
        assert!(work.iter().all(|done| *done == work[0] && *done > 0), "{password}: {work:?}");
    }
}

#[tokio::test]
async fn hashes_that_memos_made_open() {
    let world = World::new().await;
    let real = bcrypt::hash_with_result("secret", 4).unwrap().format_for_version(bcrypt::Version::TwoA);
    let mut tx = world.store.begin(&world.a);
    tx.touch().await.unwrap();
    members::update_password(&mut tx, domain::id::MemberId(2), &real, 1_700_000_000).await.unwrap();
    tx.commit().await.unwrap();
    world.identity.sign_in(&world.a, as_user("bo", "secret"), &Client::default()).await.unwrap();
    world.identity.sign_in(&world.a, as_user("bo", PASSWORD), &Client::default()).await.unwrap_err();
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let world = World::new().await;
    let client = Client::default();
    let here = world.identity.sign_in_page(&world.a, as_user("bo", PASSWORD), &client).await.unwrap();
    let there = world.identity.sign_in_page(&world.a, as_user("bo", PASSWORD), &client).await.unwrap();
    let actor = match world.identity.authenticate(&world.a, &page(&here.cookie)).await.unwrap() {
        identity::Actor::Member(actor) => actor,
        identity::Actor::Anonymous => panic!("signed in"),
    };
    let wrong = world.identity.change_password(&world.a, &actor, "wrong", "a new one", &client).await;
    assert!(matches!(wrong, Err(Error::Unmatched)));
    let empty = world.identity.change_password(&world.a, &actor, PASSWORD, "", &client).await;
    assert!(matches!(empty, Err(Error::UnfitPassword)));
    world.identity.change_password(&world.a, &actor, PASSWORD, "a new one", &client).await.unwrap();
    assert_eq!(world.who(&world.a, &page(&here.cookie)).await.as_deref(), Some("bo"));
    assert_eq!(world.who(&world.a, &page(&there.cookie)).await, None);
    world.identity.sign_in(&world.a, as_user("bo", PASSWORD), &client).await.unwrap_err();
    world.identity.sign_in(&world.a, as_user("bo", "a new one"), &client).await.unwrap();
    assert!(world.audit().await.contains(&"member:bo password.changed bo".to_owned()));
}
