//! Operators and their sessions.

use identity::{Client, Error, PROVED_SECONDS, SignIn};

use crate::{PASSWORD, World, page};

#[tokio::test]
async fn operators_are_nobody_at_a_tenant_and_members_none_at_the_console() {
    let world = World::new().await;
    let hash = world.identity.passwords().hash("console secret").await.unwrap();
    let tx = world.store.control().begin().await.unwrap();
    tx.insert_operator("root", &hash).await.unwrap();
    tx.commit().await.unwrap();
    let client = Client::default();
    let made = world
        .identity
        .operator_sign_in(SignIn { username: "root", password: "console secret" }, &client)
        .await
        .unwrap();
    let cookies = [made.cookie.clone()];
    assert_eq!(world.identity.authenticate_operator(&cookies).await.unwrap().unwrap().name, "root");
    assert_eq!(world.who(&world.a, &page(&made.cookie)).await, None);
    let bo = SignIn { username: "bo", password: PASSWORD };
    let member = world.identity.sign_in_page(&world.a, bo, &client).await.unwrap();
    assert!(world.identity.authenticate_operator(&[member.cookie]).await.unwrap().is_none());
    for who in [bo, SignIn { username: "root", password: PASSWORD }, SignIn { username: "", password: "" }] {
        assert!(matches!(world.identity.operator_sign_in(who, &client).await, Err(Error::Unmatched)));
    }
    world.identity.operator_sign_out(&made.operator, &cookies).await.unwrap();
    assert!(world.identity.authenticate_operator(&cookies).await.unwrap().is_none());
    let told = world.audit().await;
    assert_eq!(told.first().unwrap(), "operator:root operator.signin.made root");
    assert_eq!(told.last().unwrap(), "operator:root operator.signout.made root");
}

#[tokio::test]
async fn guesses_at_an_operator_are_counted_by_all_processes() {
    let world = World::new().await;
    let hash = world.identity.passwords().hash("console secret").await.unwrap();
    let tx = world.store.control().begin().await.unwrap();
    tx.insert_operator("root", &hash).await.unwrap();
    tx.commit().await.unwrap();
    let other = identity::Identity::new(world.store.clone(), world.clock.clone(), domain::chance::Chance::System);
    let client = Client { address: Some([192, 0, 2, 1].into()), ..Client::default() };
    let (right, wrong) =
        (SignIn { username: "root", password: "console secret" }, SignIn { username: "root", password: "guessed" });
    for _ in 0..5 {
        for identity in [&world.identity, &other] {
            assert!(matches!(identity.operator_sign_in(wrong, &client).await, Err(Error::Unmatched)));
        }
    }
    for identity in [&world.identity, &other] {
        let refused = identity.operator_sign_in(right, &client).await;
        assert!(matches!(refused, Err(Error::Throttled { seconds: 300 })));
    }
    world.clock.advance(301);
    other.operator_sign_in(right, &client).await.unwrap();
}

#[tokio::test]
async fn an_operators_session_ends_after_a_working_day() {
    let world = World::new().await;
    let hash = world.identity.passwords().hash("console secret").await.unwrap();
    let tx = world.store.control().begin().await.unwrap();
    tx.insert_operator("root", &hash).await.unwrap();
    tx.commit().await.unwrap();
    let who = SignIn { username: "root", password: "console secret" };
    let made = world.identity.operator_sign_in(who, &Client::default()).await.unwrap();
    world.clock.advance(12 * 3600 + 1);
    assert!(world.identity.authenticate_operator(&[made.cookie]).await.unwrap().is_none());
}

#[tokio::test]
async fn an_operator_is_asked_once_more_after_ten_minutes_and_confirms_for_himself_only() {
    let world = World::new().await;
    let hash = world.identity.passwords().hash("console secret").await.unwrap();
    let tx = world.store.control().begin().await.unwrap();
    for name in ["root", "other"] {
        tx.insert_operator(name, &hash).await.unwrap();
    }
    tx.commit().await.unwrap();
    let client = Client::default();
    let enter = async |username: &'static str| {
        let who = SignIn { username, password: "console secret" };
        world.identity.operator_sign_in(who, &client).await.unwrap().cookie
    };
    let cookies = [enter("root").await, enter("other").await];
    let proved = async |cookie: &String| {
        let found = world.identity.authenticate_operator(std::slice::from_ref(cookie)).await.unwrap();
        found.unwrap().proved
    };
    world.clock.advance(PROVED_SECONDS);
    assert!(proved(&cookies[0]).await);
    world.clock.advance(1);
    assert!(!proved(&cookies[0]).await);
    let root = world.identity.authenticate_operator(&cookies).await.unwrap().unwrap();
    let wrong = world.identity.operator_confirm(&root, &cookies, "wrong", &client).await;
    assert!(matches!(wrong, Err(Error::Unmatched)));
    assert!(!proved(&cookies[0]).await);
    world.identity.operator_confirm(&root, &cookies, "console secret", &client).await.unwrap();
    assert!(proved(&cookies[0]).await);
    assert!(!proved(&cookies[1]).await, "the other cookie in the same browser is somebody else's");
}
