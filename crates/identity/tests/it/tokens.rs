//! Personal access tokens.

use identity::{Actor, Client, Error, MemberActor, NewToken, SignIn, TokenScope};

use crate::{PASSWORD, World, bearer};

async fn bo(world: &World) -> MemberActor {
    let who = SignIn { username: "bo", password: PASSWORD };
    let made = world.identity.sign_in(&world.a, who, &Client::default()).await.unwrap();
    match world.identity.authenticate(&world.a, &bearer(&made.access_token)).await.unwrap() {
        Actor::Member(actor) => actor,
        Actor::Anonymous => panic!("signed in"),
    }
}

#[tokio::test]
async fn a_token_is_made_used_listed_and_revoked() {
    let world = World::new().await;
    let bo = bo(&world).await;
    let new = NewToken { description: "on the laptop", days: 1, scope: TokenScope::Admin };
    let made = world.identity.create_token(&world.a, &bo, new).await.unwrap();
    assert!(made.secret.starts_with("memos_pat_") && made.secret.len() == 42, "{}", made.secret.len());
    assert_eq!(world.who(&world.a, &bearer(&made.secret)).await.as_deref(), Some("bo"));
    assert_eq!(world.who(&world.b, &bearer(&made.secret)).await, None);
    let listed = world.identity.list_tokens(&world.a, &bo.member).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert!(!format!("{listed:?}").contains(&made.secret));
    let other = crate::member(1, "ana", domain::member::Role::Owner, false);
    assert!(!world.identity.revoke_token(&world.a, &other, &made.row.token_id).await.unwrap(), "not hers");
    assert!(world.identity.revoke_token(&world.a, &bo.member, &made.row.token_id).await.unwrap());
    assert!(!world.identity.revoke_token(&world.a, &bo.member, &made.row.token_id).await.unwrap());
    assert_eq!(world.who(&world.a, &bearer(&made.secret)).await, None);
    let told = world.audit().await;
    assert_eq!(told.get(1..).unwrap(), ["member:bo token.created bo", "member:bo token.revoked bo"]);
}

#[tokio::test]
async fn tokens_end() {
    let world = World::new().await;
    let bo = bo(&world).await;
    let made = world
        .identity
        .create_token(&world.a, &bo, NewToken { description: "", days: 1, scope: TokenScope::Admin })
        .await
        .unwrap();
    let ever = world
        .identity
        .create_token(&world.a, &bo, NewToken { description: "", days: 0, scope: TokenScope::Admin })
        .await
        .unwrap();
    world.clock.advance(86_400);
    assert_eq!(world.who(&world.a, &bearer(&made.secret)).await, None);
    assert_eq!(world.who(&world.a, &bearer(&ever.secret)).await.as_deref(), Some("bo"));
    let long = NewToken { description: &"x".repeat(600), days: 1, scope: TokenScope::Admin };
    assert!(matches!(world.identity.create_token(&world.a, &bo, long).await, Err(Error::UnfitToken(_))));
}

#[tokio::test]
async fn the_last_use_is_written_once_a_minute() {
    let world = World::new().await;
    let bo = bo(&world).await;
    let made = world
        .identity
        .create_token(&world.a, &bo, NewToken { description: "", days: 0, scope: TokenScope::Admin })
        .await
        .unwrap();
    let used = async || {
        for _ in 0..100 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            let row = world.identity.list_tokens(&world.a, &bo.member).await.unwrap().remove(0);
            if row.last_used_ns.is_some_and(|at| at == world.clock.nanos()) {
                return true;
            }
        }
        false
    };
    world.who(&world.a, &bearer(&made.secret)).await.unwrap();
    assert!(used().await);
    let first = world.clock.nanos();
    world.clock.advance(30);
    world.who(&world.a, &bearer(&made.secret)).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let row = world.identity.list_tokens(&world.a, &bo.member).await.unwrap().remove(0);
    assert_eq!(row.last_used_ns, Some(first));
    world.clock.advance(30);
    world.who(&world.a, &bearer(&made.secret)).await.unwrap();
    assert!(used().await);
}
