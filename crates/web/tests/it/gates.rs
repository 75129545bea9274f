//! Accesses, the cross-site check, and the console.

use domain::chance::Chance;
use identity::{Client, OPERATOR_COOKIE, SignIn};

use crate::{World, client};

#[tokio::test]
async fn strangers_are_led_to_the_sign_in_page_and_back() {
    let world = World::new().await;
    let page = world.get("/t/beta/account?tab=tokens").await;
    assert_eq!(page.status(), 303);
    assert_eq!(page.headers()["location"], "/t/beta/signin?next=/account%3Ftab%3Dtokens");
    assert_eq!(client().post(world.url("/account")).send().await.unwrap().status(), 401);
    let file = world.get("/file/x").await;
    assert_eq!(
        (file.status().as_u16(), file.text().await.unwrap().as_str()),
        (401, r#"{"message":"authentication required"}"#)
    );
}

#[tokio::test]
async fn admins_only() {
    let world = World::new().await;
    for (name, status) in [("ana", 200), ("bo", 403)] {
        let cookie = world.sign_in("/", name).await;
        let answer = client().get(world.url("/admins")).header("cookie", &cookie).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{name}");
    }
}

#[tokio::test]
async fn another_site_cannot_send_our_forms() {
    let world = World::new().await;
    let cookie = world.sign_in("/", "bo").await;
    let host = world.server.address().unwrap().to_string();
    let own = format!("http://{host}");
    for (headers, status) in [
        (vec![("origin", own.as_str())], 200),
        (vec![("sec-fetch-site", "same-origin")], 200),
        (vec![("sec-fetch-site", "none")], 200),
        (vec![], 200),
        (vec![("origin", "https://evil.example")], 403),
        (vec![("origin", "null")], 403),
        (vec![("sec-fetch-site", "cross-site")], 403),
        (vec![("sec-fetch-site", "same-site"), ("origin", own.as_str())], 403),
    ] {
        for path in ["/account", "/api/v1/x"] {
            let mut request = client().post(world.url(path)).header("cookie", &cookie);
            for (name, value) in &headers {
                request = request.header(*name, *value);
            }
            assert_eq!(request.send().await.unwrap().status().as_u16(), status, "{path} {headers:?}");
        }
    }
    let form = [("username", "bo"), ("password", crate::PASSWORD)];
    let sign_in = client().post(world.url("/signin")).header("origin", "https://evil.example").form(&form);
    assert_eq!(sign_in.send().await.unwrap().status(), 403, "nobody is signed in as somebody else by another site");
    let token = world.token(&world.a, "bo").await;
    let api = client().post(world.url("/api/v1/x")).header("origin", "https://widget.example").bearer_auth(token);
    assert_eq!(api.send().await.unwrap().status(), 200, "a bearer token is not sent by a browser itself");
}

#[tokio::test]
async fn the_console_is_for_operators() {
    let world = World::new().await;
    let hash = world.identity.passwords().hash("console secret").await.unwrap();
    let tx = world.store.control().begin().await.unwrap();
    tx.insert_operator("root", &hash).await.unwrap();
    tx.commit().await.unwrap();
    let who = SignIn { username: "root", password: "console secret" };
    let made = world.identity.operator_sign_in(who, &Client::default()).await.unwrap();
    let operator = format!("{OPERATOR_COOKIE}={}", made.cookie);
    let ask = async |path: &str, cookie: &str| {
        let answer = client().get(world.url(path)).header("cookie", cookie).send().await.unwrap();
        (answer.status().as_u16(), answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned()))
    };
    assert_eq!(ask("/console", &operator).await.0, 200);
    let to_sign_in = (303, Some("/console/signin?next=/console".to_owned()));
    let owner = world.sign_in("/", "ana").await;
    let stolen = format!("{OPERATOR_COOKIE}={}", owner.split_once('=').unwrap().1);
    let random = format!("{OPERATOR_COOKIE}={}", Chance::System.uid());
    for cookie in ["", owner.as_str(), stolen.as_str(), random.as_str()] {
        assert_eq!(ask("/console", cookie).await, to_sign_in, "{cookie}");
        let post = client().post(world.url("/console")).header("cookie", cookie).send().await.unwrap();
        assert_eq!(post.status(), 401, "{cookie}");
    }
    let token = world.token(&world.a, "ana").await;
    let bearer = client().get(world.url("/console")).bearer_auth(token).send().await.unwrap();
    assert_eq!(bearer.status(), 303);
    assert_eq!(ask("/console/signin", "").await.0, 200);
    for elsewhere in ["/t/alpha/console", "/t/beta/console/signin"] {
        assert_eq!(ask(elsewhere, &operator).await.0, 404, "{elsewhere}");
    }
    let host = client().get(world.url("/console")).header("host", "beta.example").header("cookie", &operator);
    assert_eq!(host.send().await.unwrap().status(), 404);
    let cross =
        client().post(world.url("/console")).header("cookie", &operator).header("origin", "https://evil.example");
    assert_eq!(cross.send().await.unwrap().status(), 403);
    assert_eq!(ask("/account", &operator).await.0, 303, "an operator is nobody at a tenant");
}
