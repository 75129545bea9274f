//! Access tokens, refresh tokens, page sessions; and that nothing of one tenant is worth anything at another.

use identity::{Client, Credentials, Error, PageSession, SignIn, SignedIn};

use crate::{PASSWORD, World, bearer, page, refresh};

const BO: SignIn<'static> = SignIn { username: "bo", password: PASSWORD };

async fn signed_in(world: &World) -> SignedIn {
    world.identity.sign_in(&world.a, BO, &Client::default()).await.unwrap()
}

async fn on_a_page(world: &World) -> PageSession {
    world.identity.sign_in_page(&world.a, BO, &Client::default()).await.unwrap()
}

#[tokio::test]
async fn access_tokens_end_and_stay_at_home() {
    let world = World::new().await;
    let made = signed_in(&world).await;
    assert_eq!(world.who(&world.a, &bearer(&made.access_token)).await.as_deref(), Some("bo"));
    assert_eq!(world.who(&world.b, &bearer(&made.access_token)).await, None, "the same secret, another tenant");
    assert_eq!(world.who(&world.a, &bearer(&made.refresh_token)).await, None, "a refresh token is no bearer token");
    world.clock.advance(900);
    assert_eq!(world.who(&world.a, &bearer(&made.access_token)).await, None);
}

#[tokio::test]
async fn a_refresh_token_works_once() {
    let world = World::new().await;
    let made = signed_in(&world).await;
    let first = refresh(&made.refresh_token);
    let next = world.identity.refresh(&world.a, &first, &Client::default()).await.unwrap();
    assert_ne!(next.refresh_token, made.refresh_token);
    assert_eq!(world.who(&world.a, &bearer(&next.access_token)).await.as_deref(), Some("bo"));
    let again = world.identity.refresh(&world.a, &first, &Client::default()).await.unwrap_err();
    assert_eq!(again.to_string(), "invalid refresh token: refresh token revoked");
    world.identity.refresh(&world.a, &refresh(&next.refresh_token), &Client::default()).await.unwrap();
}

#[tokio::test]
async fn an_old_refresh_token_is_a_second_try_only_from_the_same_place_and_soon() {
    let world = World::new().await;
    let from = |address: &str| Client { address: Some(address.parse().unwrap()), ..Client::default() };
    let (home, away) = (from("192.0.2.1"), from("198.51.100.9"));
    for (wait, client, ends) in [(0, &home, false), (9, &home, false), (0, &away, true), (11, &home, true)] {
        let made = world.identity.sign_in(&world.a, BO, &home).await.unwrap();
        let old = refresh(&made.refresh_token);
        let next = world.identity.refresh(&world.a, &old, &home).await.unwrap();
        world.clock.advance(wait);
        let again = world.identity.refresh(&world.a, &old, client).await.unwrap_err();
        assert_eq!(again.to_string(), "invalid refresh token: refresh token revoked");
        let lasts = world.who(&world.a, &bearer(&next.access_token)).await.is_some();
        assert_eq!(lasts, !ends, "after {wait} s from {:?}", client.address);
        let renewed = world.identity.refresh(&world.a, &refresh(&next.refresh_token), &home).await;
        assert_eq!(renewed.is_ok(), !ends);
    }
    // Of two renewals, the token before the last is a copy however soon it comes.
    let made = world.identity.sign_in(&world.a, BO, &home).await.unwrap();
    let first = refresh(&made.refresh_token);
    let next = world.identity.refresh(&world.a, &first, &home).await.unwrap();
    let last = world.identity.refresh(&world.a, &refresh(&next.refresh_token), &home).await.unwrap();
    assert!(world.identity.refresh(&world.a, &first, &home).await.is_err());
    assert_eq!(world.who(&world.a, &bearer(&last.access_token)).await, None);
}

#[tokio::test]
async fn of_two_that_refresh_at_once_one_wins() {
    let world = World::new().await;
    let made = signed_in(&world).await;
    let shown = refresh(&made.refresh_token);
    let client = Client::default();
    let (one, two) = tokio::join!(
        world.identity.refresh(&world.a, &shown, &client),
        world.identity.refresh(&world.a, &shown, &client)
    );
    assert_eq!([one, two].iter().filter(|answer| answer.is_ok()).count(), 1);
}

#[tokio::test]
async fn what_is_no_refresh_token_says_so() {
    let world = World::new().await;
    let made = signed_in(&world).await;
    let say = async |credentials: Credentials| {
        world.identity.refresh(&world.a, &credentials, &Client::default()).await.unwrap_err().to_string()
    };
    assert_eq!(say(Credentials::default()).await, "refresh token not found");
    let garbage = "invalid refresh token: invalid refresh token: token is malformed: token contains an invalid number of segments";
    assert_eq!(say(refresh("garbage")).await, garbage);
    let access = "invalid refresh token: invalid refresh token: token has invalid claims: token has invalid audience";
    assert_eq!(say(refresh(&made.access_token)).await, access);
    let elsewhere = world.identity.refresh(&world.b, &refresh(&made.refresh_token), &Client::default()).await;
    assert!(matches!(elsewhere, Err(Error::BadRefreshToken(_))));
}

#[tokio::test]
async fn signing_out_ends_the_refresh_token_only_for_its_owner() {
    let world = World::new().await;
    let made = signed_in(&world).await;
    let shown = refresh(&made.refresh_token);
    let other = SignIn { username: "ana", password: PASSWORD };
    let other = world.identity.sign_in(&world.a, other, &Client::default()).await.unwrap();
    for (token, still) in [(&other.access_token, true), (&made.access_token, false)] {
        let identity::Actor::Member(actor) = world.identity.authenticate(&world.a, &bearer(token)).await.unwrap()
        else {
            panic!("signed in");
        };
        world.identity.sign_out(&world.a, &actor, &shown).await.unwrap();
        assert_eq!(world.who(&world.a, &shown).await.is_some(), still);
    }
    assert!(world.identity.refresh(&world.a, &shown, &Client::default()).await.is_err());
    assert_eq!(world.audit().await.last().unwrap(), "member:bo signout.made bo");
}

#[tokio::test]
async fn page_sessions_stay_at_home_and_end() {
    let world = World::new().await;
    let made = on_a_page(&world).await;
    assert_eq!(world.who(&world.a, &page(&made.cookie)).await.as_deref(), Some("bo"));
    assert_eq!(world.who(&world.b, &page(&made.cookie)).await, None);
    let both = Credentials { page: vec!["nothing.x".to_owned(), made.cookie.clone()], ..Credentials::default() };
    assert_eq!(world.who(&world.a, &both).await.as_deref(), Some("bo"), "the second cookie of the name");
    let bad = Credentials { bearer: Some("garbage".to_owned()), ..page(&made.cookie) };
    assert_eq!(world.who(&world.a, &bad).await, None, "a bearer token silences cookies");
    world.clock.advance(31 * 86_400);
    assert_eq!(world.who(&world.a, &page(&made.cookie)).await, None);
}

#[tokio::test]
async fn a_copy_of_the_rows_in_another_tenant_opens_for_nobody() {
    let world = World::new().await;
    let made = on_a_page(&world).await;
    let client = world.database.superuser().await;
    let (from, to) = (&world.a.tenant().schema, &world.b.tenant().schema);
    client.execute(&format!("INSERT INTO {to}.session SELECT * FROM {from}.session"), &[]).await.unwrap();
    assert_eq!(world.who(&world.b, &page(&made.cookie)).await, None);
    let id = made.cookie.split_once('.').unwrap().0;
    for wrong in [format!("{id}."), format!("{id}.x"), id.to_owned(), "'; DROP TABLE session; --.x".to_owned()] {
        assert_eq!(world.who(&world.a, &page(&wrong)).await, None, "{wrong}");
    }
}

#[tokio::test]
async fn archived_members_are_nobody_at_once() {
    let world = World::new().await;
    let made = signed_in(&world).await;
    let client = world.database.superuser().await;
    let schema = &world.a.tenant().schema;
    client.execute(&format!("UPDATE {schema}.member SET archived = true WHERE id = 2"), &[]).await.unwrap();
    assert_eq!(world.who(&world.a, &bearer(&made.access_token)).await, None);
    assert!(world.identity.refresh(&world.a, &refresh(&made.refresh_token), &Client::default()).await.is_err());
}

#[tokio::test]
async fn large_pictures_do_not_travel_with_every_request() {
    let world = World::new().await;
    let made = signed_in(&world).await;
    let session = on_a_page(&world).await;
    let client = world.database.superuser().await;
    let schema = &world.a.tenant().schema;
    let picture =
        format!("UPDATE {schema}.member SET avatar = 'data:image/png;base64,' || repeat('A', 100000) WHERE id = 2");
    client.execute(&picture, &[]).await.unwrap();
    for credentials in [bearer(&made.access_token), page(&session.cookie)] {
        let actor = world.identity.authenticate(&world.a, &credentials).await.unwrap();
        assert_eq!(actor.member().unwrap().avatar, store::tenant::members::PICTURE);
    }
}
