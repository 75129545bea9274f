//! Operators and their sessions.

use identity::{Client, Error, SignIn};

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
