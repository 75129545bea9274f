//! Show 4: what providers send that cannot be right, each with its exact message; and who may come at all.

use identity::provider::{Kind, NewProvider, from_toml};
use identity::{Client, Error, Finished, Identity, Returned, SsoCode};
use serde_json::{Value, json};
use store::TenantScope;

use crate::fake::{Fake, by_secret, unsigned};
use crate::{World, page};

const NOW: i64 = 1_700_000_000;
const CALLBACK: &str = "http://notes.example.org/auth/callback";

async fn corp(identity: &Identity, scope: &TenantScope, fake: &Fake, more: &str) {
    let text = format!("issuer = \"{}\"\nclient_id = \"us\"\nclient_secret = \"secret\"\n{more}", fake.issuer());
    let kind = Kind::read("OIDC", &from_toml(&text).unwrap()).unwrap();
    let new = NewProvider { uid: "corp".into(), title: "Corp".into(), identifier_filter: String::new(), kind };
    identity.create_provider(scope, "command", new).await.unwrap();
}

/// A sign-in under way: what the browser keeps, and what the provider was told.
struct Underway {
    cookie: String,
    state: String,
    nonce: String,
}

async fn begin(world: &World, scope: &TenantScope) -> Underway {
    let begun = world.identity.begin_flow(scope, "corp", CALLBACK, "/", None).await.unwrap();
    let asked = |name: &str| {
        let part = begun.location.split(&format!("{name}=")).nth(1).unwrap();
        part.split('&').next().unwrap().to_owned()
    };
    assert!(begun.location.contains("code_challenge_method=S256"));
    Underway { state: asked("state"), nonce: asked("nonce"), cookie: begun.cookie }
}

fn claims(fake: &Fake, nonce: &str) -> Value {
    json!({"iss": fake.issuer(), "aud": "us", "sub": "s-1", "nonce": nonce, "iat": NOW, "exp": NOW + 300,
           "preferred_username": "pat", "name": "Pat", "email": "pat@example.org", "email_verified": true, "groups": ["all"]})
}

async fn finish(world: &World, scope: &TenantScope, underway: &Underway, returned: Returned) -> Result<String, String> {
    let outcome = world.identity.finish_flow(scope, Some(&underway.cookie), &returned, None, &Client::default()).await;
    match outcome {
        Ok((Finished::SignedIn(session), _)) => Ok(session.member.username),
        Ok((Finished::Linked(_), _)) => panic!("nothing was to be linked"),
        Err(error) => Err(error.to_string()),
    }
}

fn answer(underway: &Underway) -> Returned {
    Returned { state: underway.state.clone(), code: "c".into(), iss: None, error: None }
}

/// One sign-in whose ID token is what `make` makes of the right claims.
async fn tried(world: &World, fake: &Fake, make: impl FnOnce(Value) -> String) -> Result<String, String> {
    let underway = begin(world, &world.a).await;
    let token = make(claims(fake, &underway.nonce));
    fake.give(&token);
    finish(world, &world.a, &underway, answer(&underway)).await
}

fn changed(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

/// How many members tenant a has.
async fn members(world: &World) -> i64 {
    let client = world.database.superuser().await;
    let sql = format!("SELECT count(*) FROM {}.member", world.a.tenant().schema);
    client.query_one(sql.as_str(), &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn every_bad_id_token_is_refused_with_its_sentence() {
    let world = World::new().await;
    let fake = Fake::start();
    corp(&world.identity, &world.a, &fake, "").await;
    let refused = |why: &str| Err(format!("the answer of Corp was refused: {why}"));
    let with = |name: &'static str, value: Value| {
        let fake = fake.clone();
        move |claims: Value| fake.sign("k1", &changed(claims, name, value))
    };
    assert_eq!(
        tried(&world, &fake, with("nonce", json!("another"))).await,
        refused("its ID token belongs to another sign-in")
    );
    assert_eq!(
        tried(&world, &fake, with("aud", json!("them"))).await,
        refused("its ID token was made for another application")
    );
    assert_eq!(
        tried(&world, &fake, with("aud", json!(["us", "them"]))).await,
        refused("its ID token was made for another application")
    );
    assert_eq!(
        tried(&world, &fake, with("azp", json!("them"))).await,
        refused("its ID token was made for another application")
    );
    assert_eq!(
        tried(&world, &fake, with("iss", json!("https://evil.example"))).await,
        refused("its ID token was issued by somebody else")
    );
    assert_eq!(
        tried(&world, &fake, with("exp", json!(NOW - 61))).await,
        refused("its ID token is out of date; look at both clocks")
    );
    assert_eq!(
        tried(&world, &fake, with("iat", json!(NOW + 61))).await,
        refused("its ID token is not valid yet; look at both clocks")
    );
    assert_eq!(
        tried(&world, &fake, with("nbf", json!(NOW + 61))).await,
        refused("its ID token is not valid yet; look at both clocks")
    );
    assert_eq!(tried(&world, &fake, with("sub", json!(""))).await, refused("its ID token has no subject"));
    assert_eq!(
        tried(&world, &fake, with("filler", json!("x".repeat(70_000)))).await,
        refused("it is longer than 64 KiB")
    );
    assert_eq!(
        tried(&world, &fake, |claims| unsigned(&json!({"alg": "none"}), &claims)).await,
        refused("its ID token is not signed")
    );
    assert_eq!(
        tried(&world, &fake, |claims| by_secret("secret", &claims)).await,
        refused("its ID token is signed in a way that is not allowed")
    );
    assert_eq!(tried(&world, &fake, |_| "garbage".to_owned()).await, refused("its ID token cannot be read"));
    assert_eq!(tried(&world, &fake, |_| String::new()).await, refused("it says nobody's name: there is no ID token"));
    world.clock.advance(5);
    assert_eq!(
        tried(&world, &fake, |claims| fake.sign("unknown", &claims)).await,
        refused("its ID token is signed with an unknown key")
    );
    world.clock.advance(5);
    let forged = tried(&world, &fake, |claims| {
        let other = Fake::start();
        other.sign("k1", &claims)
    });
    assert_eq!(forged.await, refused("the signature of its ID token is wrong"));
    // Nobody was made, and refusals are in the audit, of which those of nobody in particular may be one a minute.
    let told = world.audit().await;
    assert!(told.iter().any(|line| line.starts_with("stranger signin.failed")), "{told:?}");
    assert_eq!(members(&world).await, 3, "no account was made");
    // And then the right one comes in; keys that changed meanwhile are fetched once more.
    fake.change_key();
    fake.publish("k2");
    world.clock.advance(5);
    assert_eq!(tried(&world, &fake, |claims| fake.sign("k2", &claims)).await, Ok("pat".to_owned()));
}

#[tokio::test]
async fn an_answer_that_is_not_ours_is_refused() {
    let world = World::new().await;
    let fake = Fake::start();
    for scope in [&world.a, &world.b] {
        corp(&world.identity, scope, &fake, "").await;
    }
    let used_up = "this sign-in was begun elsewhere, is used up, or took too long; begin again";
    let underway = begin(&world, &world.a).await;
    fake.give(&fake.sign("k1", &claims(&fake, &underway.nonce)));
    let state = Returned { state: "another".into(), ..answer(&underway) };
    assert_eq!(
        finish(&world, &world.a, &underway, state).await,
        Err("this answer does not belong to the sign-in that you began; begin again".to_owned())
    );
    // What one tenant sealed is worth nothing at another that was made from the same data.
    assert_eq!(finish(&world, &world.b, &underway, answer(&underway)).await, Err(used_up.to_owned()));
    let none = world.identity.finish_flow(&world.a, None, &answer(&underway), None, &Client::default()).await;
    assert_eq!(none.unwrap_err().to_string(), used_up);
    let from = Returned { iss: Some("https://evil.example".into()), ..answer(&underway) };
    assert_eq!(
        finish(&world, &world.a, &underway, from).await,
        Err("the answer came from another provider than the one you chose; begin again".to_owned())
    );
    // Used once, also to be refused.
    assert_eq!(finish(&world, &world.a, &underway, answer(&underway)).await, Err(used_up.to_owned()));
    let underway = begin(&world, &world.a).await;
    let cancelled = Returned { code: String::new(), error: Some("access_denied".into()), ..answer(&underway) };
    assert_eq!(
        finish(&world, &world.a, &underway, cancelled).await,
        Err("the sign-in at Corp was cancelled".to_owned())
    );
    let underway = begin(&world, &world.a).await;
    let empty = Returned { code: String::new(), ..answer(&underway) };
    assert_eq!(
        finish(&world, &world.a, &underway, empty).await,
        Err("the provider's answer holds no code; begin again".to_owned())
    );
    let underway = begin(&world, &world.a).await;
    world.clock.advance(601);
    assert_eq!(finish(&world, &world.a, &underway, answer(&underway)).await, Err(used_up.to_owned()));
    // A provider that always says who it is and does not this time.
    fake.describe(&json!({"authorization_response_iss_parameter_supported": true}));
    let underway = begin(&world, &world.a).await;
    assert_eq!(
        finish(&world, &world.a, &underway, answer(&underway)).await,
        Err("the answer came from another provider than the one you chose; begin again".to_owned())
    );
}

/// Two providers that know us by the same id: what one says is worth nothing at the other, in one tenant and across two.
#[tokio::test]
async fn providers_are_not_mixed_up() {
    let world = World::new().await;
    let (ours, theirs) = (Fake::start(), Fake::start());
    corp(&world.identity, &world.a, &ours, "").await;
    corp(&world.identity, &world.b, &theirs, "").await;
    let refused = |why: &str| Err(format!("the answer of Corp was refused: {why}"));
    // A token of the other tenant's provider, whole and right there.
    let issued = tried(&world, &ours, |claims| theirs.sign("k1", &changed(claims, "iss", json!(theirs.issuer()))));
    assert_eq!(issued.await, refused("its ID token was issued by somebody else"));
    // The same, pretending to be ours.
    world.clock.advance(5);
    let pretending = tried(&world, &ours, |claims| theirs.sign("k1", &claims));
    assert_eq!(pretending.await, refused("the signature of its ID token is wrong"));
    // A sign-in that was begun at one provider and answered by another goes to the first one's token endpoint only.
    let underway = begin(&world, &world.a).await;
    ours.put("/token", 400, r#"{"error":"invalid_grant"}"#);
    theirs.give(&theirs.sign("k1", &claims(&theirs, &underway.nonce)));
    assert_eq!(
        finish(&world, &world.a, &underway, answer(&underway)).await,
        Err("Corp does not take this sign-in any more; begin again".to_owned())
    );
    let named = begin(&world, &world.a).await;
    let from = Returned { iss: Some(theirs.issuer()), ..answer(&named) };
    assert_eq!(
        finish(&world, &world.a, &named, from).await,
        Err("the answer came from another provider than the one you chose; begin again".to_owned())
    );
    assert_eq!(members(&world).await, 3, "no account was made");
}

#[tokio::test]
async fn a_provider_that_is_slow_is_not_waited_for() {
    let mut world = World::new().await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let issuer = format!("http://{}", silent.local_addr().unwrap());
    let text = format!("issuer = \"{issuer}\"\nclient_id = \"us\"\nclient_secret = \"secret\"\n");
    let kind = Kind::read("OIDC", &from_toml(&text).unwrap()).unwrap();
    let new = NewProvider { uid: "corp".into(), title: "Corp".into(), identifier_filter: String::new(), kind };
    world.identity = world.identity.waiting(std::time::Duration::from_millis(200));
    world.identity.create_provider(&world.a, "command", new).await.unwrap();
    let begun = world.identity.begin_flow(&world.a, "corp", CALLBACK, "/", None).await.unwrap_err();
    let Error::Refused(refusal) = &begun else { panic!("{begun}") };
    assert_eq!(refusal.message, "Corp does not answer at present; try again, or sign in another way");
    assert_eq!(refusal.why, identity::Why::Precondition, "no 5xx: docs/memos-compatibility.md says so");
    let description = format!("{issuer}/.well-known/openid-configuration does not answer: it took too long");
    assert_eq!(refusal.reason, description);
    // Whoever has a password is not locked out meanwhile.
    let ana = identity::SignIn { username: "ana", password: crate::PASSWORD };
    world.identity.sign_in(&world.a, ana, &Client::default()).await.unwrap();
}

#[tokio::test]
async fn garbage_and_silence_are_told_apart() {
    let world = World::new().await;
    let fake = Fake::start();
    corp(&world.identity, &world.a, &fake, "").await;
    let set_up = "Corp is not set up rightly; tell an owner of this workspace";
    let begun = |world: &World| {
        let (identity, scope) = (world.identity.clone(), world.a.clone());
        async move { identity.begin_flow(&scope, "corp", CALLBACK, "/", None).await.map(|_| ()).map_err(|e| e.to_string()) }
    };
    fake.put("/.well-known/openid-configuration", 200, "<html>");
    assert_eq!(begun(&world).await, Err(set_up.to_owned()));
    fake.describe(&json!({"issuer": "https://evil.example"}));
    assert_eq!(begun(&world).await, Err(set_up.to_owned()));
    // A bad answer is not kept.
    fake.put("/.well-known/openid-configuration", 503, "{}");
    assert_eq!(
        begun(&world).await,
        Err("Corp does not answer at present; try again, or sign in another way".to_owned())
    );
    fake.put("/.well-known/openid-configuration", 200, &"x".repeat(1_100_000));
    assert_eq!(
        begun(&world).await,
        Err("Corp answered more than can be right; tell an owner of this workspace".to_owned())
    );
    fake.describe(&json!({}));
    assert_eq!(begun(&world).await, Ok(()));
    let cannot = "Corp answered what cannot be understood; try again, or tell an owner of this workspace";
    for (status, body, sentence) in [
        (200, "<html>", cannot),
        (200, "{}", cannot),
        (500, "{}", cannot),
        (400, r#"{"error":"invalid_grant"}"#, "Corp does not take this sign-in any more; begin again"),
        (401, r#"{"error":"invalid_client"}"#, "Corp does not know this workspace; tell an owner of it"),
        (400, r#"{"error":"server_error"}"#, "Corp refused the sign-in; begin again"),
    ] {
        let underway = begin(&world, &world.a).await;
        fake.put("/token", status, body);
        assert_eq!(finish(&world, &world.a, &underway, answer(&underway)).await, Err(sentence.to_owned()), "{body}");
    }
    // What only its answer about the person says must be about the same person.
    for (body, sentence) in [
        (json!({"groups": ["x"]}), "the answer of Corp was refused: its answer about the person has no subject"),
        (json!({"sub": "s-2"}), "the answer of Corp was refused: its answer about the person is about another one"),
    ] {
        let underway = begin(&world, &world.a).await;
        let mut few = claims(&fake, &underway.nonce);
        few.as_object_mut().unwrap().remove("groups");
        fake.give(&fake.sign("k1", &few));
        fake.put("/me", 200, &body.to_string());
        assert_eq!(finish(&world, &world.a, &underway, answer(&underway)).await, Err(sentence.to_owned()));
    }
}

#[tokio::test]
async fn who_may_come_is_decided_by_what_is_vouched_for() {
    let world = World::new().await;
    let fake = Fake::start();
    let rules = "allowed_domains = [\"example.org\"]\nrequired_groups = [\"all\"]\nsign_up = false\n";
    corp(&world.identity, &world.a, &fake, rules).await;
    let with = |name: &'static str, value: Value| {
        let fake = fake.clone();
        move |claims: Value| fake.sign("k1", &changed(claims, name, value))
    };
    let domain = "Corp does not vouch for an address of yours in a domain that may sign in here".to_owned();
    assert_eq!(tried(&world, &fake, with("email", json!("pat@evil.org"))).await, Err(domain.clone()));
    assert_eq!(tried(&world, &fake, with("email_verified", json!(false))).await, Err(domain));
    assert_eq!(
        tried(&world, &fake, with("groups", json!([]))).await,
        Err("you are in none of the groups at Corp that may sign in here".to_owned())
    );
    assert_eq!(
        tried(&world, &fake, with("groups", json!({}))).await,
        Err("Corp did not say which groups you are in; ask an owner of this workspace".to_owned())
    );
    let unknown = "nobody here is known by this account of Corp; ask an owner to invite you".to_owned();
    assert_eq!(tried(&world, &fake, with("name", json!("Pat"))).await, Err(unknown));
    // A client of the API without a proof of possession.
    let code = SsoCode { provider: "identity-providers/corp", code: "c", redirect_uri: CALLBACK, verifier: "" };
    let refused = world.identity.sign_in_sso(&world.a, code, &Client::default()).await;
    assert!(
        matches!(&refused, Err(Error::Refused(refusal)) if refusal.message == "this provider is used with PKCE only: send the code verifier")
    );
    let code = SsoCode { provider: "nope", ..code };
    let refused = world.identity.sign_in_sso(&world.a, code, &Client::default()).await;
    assert_eq!(refused.unwrap_err().to_string(), "identity provider not found");
}

#[tokio::test]
async fn a_logout_token_ends_sessions_once() {
    let world = World::new().await;
    let fake = Fake::start();
    corp(&world.identity, &world.a, &fake, "").await;
    let underway = begin(&world, &world.a).await;
    fake.give(&fake.sign("k1", &changed(claims(&fake, &underway.nonce), "sid", json!("there-1"))));
    let returned = answer(&underway);
    let outcome =
        world.identity.finish_flow(&world.a, Some(&underway.cookie), &returned, None, &Client::default()).await;
    let (Finished::SignedIn(session), _) = outcome.unwrap() else { panic!("signed in") };
    assert_eq!(world.who(&world.a, &page(&session.cookie)).await.as_deref(), Some("pat"));
    let event = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    let logout =
        json!({"iss": fake.issuer(), "aud": "us", "iat": NOW, "jti": "l-1", "sid": "there-1", "events": event});
    let send = |token: String| {
        let (identity, scope) = (world.identity.clone(), world.a.clone());
        async move { identity.back_channel_logout(&scope, "corp", &token).await.map_err(|error| error.to_string()) }
    };
    let refused = |why: &str| Err(format!("the logout token was refused: {why}"));
    for (name, value, why) in [
        ("aud", json!("them"), "it was made for another application"),
        ("iss", json!("https://evil.example"), "it was issued by somebody else"),
        ("nonce", json!("x"), "it is an ID token"),
        ("events", json!({}), "it does not say that somebody signed out"),
        ("iat", json!(NOW - 400), "it is out of date"),
    ] {
        world.clock.advance(0);
        assert_eq!(send(fake.sign("k1", &changed(logout.clone(), name, value))).await, refused(why), "{name}");
    }
    assert_eq!(
        send(unsigned(&json!({"alg": "none"}), &logout)).await,
        refused("it is not signed in a way that is allowed")
    );
    assert_eq!(send(by_secret("secret", &logout)).await, refused("it is signed in a way that is not allowed"));
    assert_eq!(world.who(&world.a, &page(&session.cookie)).await.as_deref(), Some("pat"));
    let token = fake.sign("k1", &logout);
    assert_eq!(send(token.clone()).await, Ok(1));
    assert_eq!(world.who(&world.a, &page(&session.cookie)).await, None);
    assert_eq!(send(token).await, refused("it came before"));
}
