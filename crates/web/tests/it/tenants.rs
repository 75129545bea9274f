//! Which tenant a request reaches, and that nothing of one is worth anything at another.

use domain::tenant::TenantState;
use store::TenantChange;

use crate::{World, client};

#[tokio::test]
async fn by_host_by_path_or_the_default() {
    let world = World::new().await;
    let at = async |host: &str, path: &str| {
        let answer = client().get(world.url(path)).header("host", host).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(at("localhost", "/").await, (200, "alpha stranger".to_owned()));
    assert_eq!(at("localhost", "/t/beta/").await, (200, "beta stranger".to_owned()));
    assert_eq!(at("localhost", "/t/alpha/").await, (200, "alpha stranger".to_owned()));
    assert_eq!(at("Beta.Example:8080", "/").await, (200, "beta stranger".to_owned()));
    assert_eq!(at("beta.example", "/t/alpha/").await.0, 404, "a host of its own shows no other tenant");
    assert_eq!(at("localhost", "/t/nobody/").await.0, 404);
    assert_eq!(at("localhost", "/t/Beta/").await.0, 404);
    let bare = world.get("/t/beta?x=1").await;
    assert_eq!((bare.status().as_u16(), bare.headers()["location"].to_str().unwrap()), (308, "/t/beta/"));
}

#[tokio::test]
async fn states_are_told_apart() {
    let world = World::new().await;
    for (state, status, word) in [
        (TenantState::Closed, 503, "not opened it yet"),
        (TenantState::Suspended, 403, "suspended"),
        (TenantState::PendingDeletion, 403, "deleted"),
        (TenantState::Tombstone, 404, "no workspace"),
        (TenantState::ReadOnly, 200, "beta"),
        (TenantState::Active, 200, "beta"),
    ] {
        world.change(&world.b, TenantChange::State(state)).await;
        for path in ["/t/beta/", "/t/beta/api/v1/missing"] {
            let answer = world.get(path).await;
            let expected = if status == 200 && path != "/t/beta/" { 404 } else { status };
            assert_eq!(answer.status().as_u16(), expected, "{state:?} {path}");
            assert_eq!(answer.headers().contains_key("retry-after"), status == 503, "{state:?}");
            if expected == status {
                assert!(answer.text().await.unwrap().contains(word), "{state:?} {path}");
            }
        }
        assert_eq!(world.get("/").await.status(), 200, "the other tenant goes on");
    }
}

#[tokio::test]
async fn cookies_and_tokens_of_one_are_garbage_at_the_other() {
    let world = World::new().await;
    let cookie = world.sign_in("/", "bo").await;
    let token = world.token(&world.a, "bo").await;
    let ask = async |path: &str, name: &'static str, value: &str| {
        let answer = client().get(world.url(path)).header(name, value).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let bearer = format!("Bearer {token}");
    assert_eq!(ask("/account", "cookie", &cookie).await, (200, "alpha bo".to_owned()));
    assert_eq!(ask("/account", "authorization", &bearer).await, (200, "alpha bo".to_owned()));
    let garbage_cookie = "holdfast_session=0123456789abcdef0123456789abcdef.garbage";
    for (name, value, garbage) in
        [("cookie", cookie.as_str(), garbage_cookie), ("authorization", bearer.as_str(), "Bearer memos_pat_garbage")]
    {
        for path in ["/t/beta/account", "/t/beta/api/v1/x", "/t/beta/file/x", "/t/beta/admins", "/t/beta/"] {
            let foreign = ask(path, name, value).await;
            let garbage = ask(path, name, garbage).await;
            let strip = |(status, text): (u16, String)| (status, without_id(&text));
            assert_eq!(strip(foreign), strip(garbage), "{name} {path}");
        }
    }
    let both = format!("{}; {cookie}", world.sign_in("/t/beta/", "ana").await);
    assert_eq!(ask("/t/beta/account", "cookie", &both).await, (200, "beta ana".to_owned()));
    assert_eq!(ask("/account", "cookie", &both).await, (200, "alpha bo".to_owned()));
}

/// A page without the number of its request.
fn without_id(text: &str) -> String {
    text.split("request <code>").next().unwrap_or_default().to_owned()
}
