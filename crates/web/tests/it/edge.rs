//! Faces of errors, headers, proxies, limits.

use serde_json::{Value, json};
use web::TrustedProxies;

use crate::{World, client, options};

#[tokio::test]
async fn an_error_has_the_face_of_its_door() {
    let world = World::new().await;
    let rest = world.get("/api/v1/missing").await;
    assert_eq!(rest.status(), 404);
    assert_eq!(rest.json::<Value>().await.unwrap(), json!({"code": 5, "message": "note not found", "details": []}));
    let connect = client().post(world.url("/memos.api.v1.X/Missing")).send().await.unwrap();
    assert_eq!(connect.json::<Value>().await.unwrap(), json!({"code": "not_found", "message": "note not found"}));
    let gate = world.get("/api/v1/x").await;
    assert_eq!(gate.status(), 401);
    assert_eq!(gate.headers()["content-type"], "text/plain; charset=utf-8");
    assert!(!gate.headers().contains_key("www-authenticate"));
    assert_eq!(gate.text().await.unwrap(), "{\"code\": 16, \"message\": \"authentication required\"}\n");
    let page = world.get("/nothing/here").await;
    assert_eq!(page.status(), 404);
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    assert!(page.text().await.unwrap().contains("Nothing here"));
    assert_eq!(client().post(world.url("/boom")).send().await.unwrap().status(), 405);
    assert_eq!(client().post(world.url("/signin")).body("no form").send().await.unwrap().status().as_u16() / 100, 4);
    let odd = world.get("/t/beta/%ff%00").await;
    assert_eq!(odd.status(), 404);
    // Nothing has a NUL in its name, so no route is asked; the shape is that of the door.
    let nul = world.get("/api/v1/x%00").await;
    assert_eq!(nul.status(), 404);
    assert_eq!(nul.json::<Value>().await.unwrap(), json!({"code": 5, "message": "Not Found", "details": []}));
}

#[tokio::test]
async fn what_is_our_fault_tells_the_number_and_not_the_cause() {
    let world = World::new().await;
    let answer = world.get("/boom").await;
    assert_eq!(answer.status(), 500);
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let text = answer.text().await.unwrap();
    assert!(text.contains(&id) && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn every_answer_is_locked_down() {
    let world = World::new().await;
    for path in ["/", "/nothing", "/healthz", "/api/v1/x", "/boom", "/t/nobody/"] {
        let answer = world.get(path).await;
        let headers = answer.headers();
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["x-frame-options"], "DENY", "{path}");
        assert_eq!(headers["referrer-policy"], "same-origin", "{path}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}");
        assert!(!policy.contains("unsafe"), "{path}");
        assert!(headers.contains_key("x-request-id"), "{path}");
        assert!(!headers.contains_key("strict-transport-security"), "{path}");
    }
}

#[tokio::test]
async fn other_origins_may_use_the_api_without_cookies() {
    let world = World::new().await;
    let asked = client().request(reqwest::Method::OPTIONS, world.url("/api/v1/memos"));
    let asked = asked.header("origin", "https://widget.example").header("access-control-request-method", "PATCH");
    let answer = asked.header("access-control-request-headers", "authorization").send().await.unwrap();
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.headers()["access-control-allow-origin"], "https://widget.example");
    assert_eq!(answer.headers()["access-control-allow-headers"], "authorization");
    assert!(!answer.headers().contains_key("access-control-allow-credentials"));
    let own = format!("http://{}", world.server.address().unwrap());
    let answer = client().get(world.url("/api/v1/missing")).header("origin", own).send().await.unwrap();
    assert_eq!(answer.headers()["access-control-allow-credentials"], "true");
    assert_eq!(answer.headers()["vary"], "Origin");
    let page = client().get(world.url("/")).header("origin", "https://widget.example").send().await.unwrap();
    assert!(!page.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn forwarding_headers_count_only_from_trusted_proxies() {
    for (networks, address, https) in
        [(vec![], "127.0.0.1", false), (vec!["127.0.0.0/8".parse().unwrap()], "203.0.113.9", true)]
    {
        let world = World::with(web::Options { proxies: TrustedProxies::new(networks), ..options() }).await;
        let token = world.token(&world.a, "bo").await;
        let request = client().get(world.url("/api/v1/x")).bearer_auth(token).header("x-forwarded-for", "203.0.113.9");
        let request = request.header("x-forwarded-proto", "https").header("x-request-id", "from-the-proxy");
        let answer = request.header("x-forwarded-host", "nobody.example").send().await.unwrap();
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        assert_eq!(answer.headers().contains_key("strict-transport-security"), https);
        let told: Value = answer.json().await.unwrap();
        assert_eq!((told["address"].as_str(), told["https"].as_bool()), (Some(address), Some(https)));
        assert_eq!(id == "from-the-proxy", https);
        assert_eq!(told["path"], "/api/v1/x");
    }
}

#[tokio::test]
async fn bodies_have_limits() {
    let world = World::new().await;
    let long = vec![b'x'; web::FORM_LIMIT + 1];
    let cookie = world.sign_in("/", "bo").await;
    let form = client().post(world.url("/account")).header("cookie", &cookie).body(long.clone()).send().await.unwrap();
    assert_eq!(form.status(), 413);
    let token = world.token(&world.a, "bo").await;
    let api = client().post(world.url("/api/v1/x")).bearer_auth(token).body(long).send().await.unwrap();
    assert_eq!(api.json::<Value>().await.unwrap()["bytes"], web::FORM_LIMIT + 1);
}

#[tokio::test]
async fn health_and_assets_need_no_tenant() {
    let world = World::new().await;
    let health = world.get("/healthz").await;
    assert_eq!((health.status().as_u16(), health.text().await.unwrap().as_str()), (200, "Service ready."));
    let path = web::assets::url("favicon.svg");
    let asset = world.get(&path).await;
    assert_eq!(asset.status(), 200);
    assert_eq!(asset.headers()["content-type"], "image/svg+xml");
    assert!(asset.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    let tag = asset.headers()["etag"].to_str().unwrap().to_owned();
    let again = client().get(world.url(&path)).header("if-none-match", tag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    assert_eq!(world.get("/assets/none/favicon.svg").await.status(), 404);
    assert_eq!(world.get("/assets/none/../../Cargo.toml").await.status(), 404);
    let head = client().head(world.url("/")).send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.text().await.unwrap().as_str()), (200, ""));
}
