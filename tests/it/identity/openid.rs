//! OpenID Connect and OAuth2 with a real provider.

use serde_json::json;
use testkit::fixtures::fixture;
use testkit::oidc::Provider;

use super::browser::Browser;
use super::{PASSWORD, events, me, set, tenant};
use crate::support::{Installation, Server};

/// What the tenant "alpha" knows of the provider.
fn corp(issuer: &str) -> String {
    format!(
        "kind = \"oidc\"\nid = \"corp\"\ntitle = \"Corp\"\nissuer = \"{issuer}\"\nclient_id = \"holdfast\"\n\
         client_secret = \"holdfast-secret\"\n[[roles]]\ngroup = \"admins\"\nrole = \"admin\"\n\
         [[roles]]\ngroup = \"sales\"\nrole = \"guest\"\n"
    )
}

fn root(server: &Server) -> String {
    format!("http://{}/t/alpha", server.address)
}

/// A tenant, a server, and a provider that the tenant knows.
struct House {
    installation: Installation,
    server: Server,
    provider: Provider,
}

impl House {
    async fn build() -> Option<Self> {
        let installation = Installation::create().await;
        tenant(&installation, "alpha");
        let server = installation.serve();
        let provider = Provider::start(0, &[root(&server)])?;
        set(&installation, "alpha", &corp(&provider.issuer));
        Some(Self { installation, server, provider })
    }
}

fn role(server: &Server, browser: &mut Browser) -> String {
    let page = browser.ask("GET", &format!("{}/account", root(server)), None);
    assert_eq!(page.status, 200, "{}", page.text());
    page.text()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_sign_in_makes_a_member_and_groups_give_the_role() {
    let Some(House { installation, server, provider }) = House::build().await else { return };

    let page = server.by_path("alpha").send("GET", "/signin", &[], None);
    assert!(page.text().contains("Sign in by Corp"), "{}", page.text());
    let mut browser = Browser::default();
    let (at, _) = browser.follow(&format!("{}/auth/start/corp?next=/account", root(&server)));
    assert_eq!(at, format!("{}/account", root(&server)));
    assert!(role(&server, &mut browser).contains("You sign in as <strong>alice</strong>"));
    let list = installation.must(&["user", "list", "--tenant", "alpha"]);
    let role_of = |list: &serde_json::Value, name: &str| {
        list["items"].as_array().unwrap().iter().find(|user| user["username"] == name).map(|user| user["role"].clone())
    };
    assert_eq!(role_of(&list, "alice"), Some(json!("admin")));
    let told = events(&installation);
    for event in
        ["provider:corp member.created alice", "provider:corp identity.linked alice", "member:alice signin.made alice"]
    {
        assert!(told.iter().any(|line| line == event), "{event} is not in {told:?}");
    }

    // Other groups at the provider, another role at the next sign-in; none told, the same role.
    provider.set(r#"{"groups":["sales"]}"#);
    Browser::default().follow(&format!("{}/auth/start/corp", root(&server)));
    let list = installation.must(&["user", "list", "--tenant", "alpha"]);
    assert_eq!(role_of(&list, "alice"), Some(json!("guest")));
    provider.set(r#"{"groups":null,"hide":["groups"]}"#);
    Browser::default().follow(&format!("{}/auth/start/corp", root(&server)));
    let list = installation.must(&["user", "list", "--tenant", "alpha"]);
    assert_eq!(role_of(&list, "alice"), Some(json!("guest")));
    let ladder = installation.must(&["identity", "test", "oidc", "--tenant", "alpha", "--user", "alice"]);
    let why = ladder["rungs"].as_array().unwrap().last().unwrap()["found"].as_str().unwrap().to_owned();
    assert!(why.contains("role guest because the provider sent no groups; the role stays as it was"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_may_change_and_providers_may_be_away() {
    let Some(House { installation, server, provider }) = House::build().await else { return };

    // Keys change between start and callback.
    let mut browser = Browser::default();
    let callback = browser
        .follow_until(&format!("{}/auth/start/corp", root(&server)), &format!("{}/auth/callback", root(&server)));
    provider.rotate();
    let answer = browser.ask("GET", &callback, None);
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert!(browser.has(server.address, "holdfast_session"));
    // The same answer again is used up.
    let again = browser.ask("GET", &callback, None);
    assert_eq!(again.status, 422);
    assert!(again.text().contains("This sign-in was begun elsewhere, is used up, or took too long; begin again."));

    // The provider is away when we start: passwords work, and it is used again when it is back, without a restart.
    let (issuer, port) = (provider.issuer.clone(), provider.address.port());
    drop(provider);
    let second = installation.serve();
    second.by_path("alpha").sign_in("maria", PASSWORD);
    let away = Browser::default().ask("GET", &format!("{}/auth/start/corp", root(&second)), None);
    assert_eq!(away.status, 422);
    assert!(
        away.text().contains("Corp does not answer at present; try again, or sign in another way."),
        "{}",
        away.text()
    );
    let Some(back) = Provider::start(port, &[root(&second)]) else { return };
    assert_eq!(back.issuer, issuer);
    let mut browser = Browser::default();
    let (at, _) = browser.follow(&format!("{}/auth/start/corp", root(&second)));
    assert_eq!(at, format!("{}/", root(&second)));
    assert!(browser.has(second.address, "holdfast_session"));
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_there_signs_out_here_at_once() {
    let Some(House { installation, server, provider }) = House::build().await else { return };
    let mut browser = Browser::default();
    browser.follow(&format!("{}/auth/start/corp", root(&server)));
    role(&server, &mut browser);
    // Our own way out leads to the provider's, which tells all applications; ours is told by the back channel.
    let mut elsewhere = Browser::default();
    elsewhere.follow(&format!("{}/auth/start/corp", root(&server)));
    let out = elsewhere.ask("POST", &format!("{}/signout", root(&server)), Some(""));
    assert_eq!(out.status, 200);
    let page = out.text();
    assert!(page.contains("You are being led to Corp"), "{page}");
    let link = page.split("href=\"http").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let link = format!("http{}", link.replace("&amp;", "&").replace("&#38;", "&"));
    let form = elsewhere.ask("GET", &link, None).text();
    let hidden = form.split("name=\"xsrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let confirm = format!("{}/session/end/confirm", provider.issuer);
    let done = elsewhere.ask("POST", &confirm, Some(&format!("xsrf={hidden}&logout=yes")));
    assert_eq!(done.status, 303, "{}", done.text());

    // And the first browser: it signs out at the provider alone.
    let form = browser.ask("GET", &format!("{}/session/end", provider.issuer), None).text();
    let hidden = form.split("name=\"xsrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    browser.ask("POST", &confirm, Some(&format!("xsrf={hidden}&logout=yes")));
    let page = browser.ask("GET", &format!("{}/account", root(&server)), None);
    assert_eq!(page.status, 303, "the session is over: {}", page.text());
    let told = events(&installation);
    assert!(told.iter().any(|line| line == "provider:corp session.revoked alice"), "{told:?}");
    let forged =
        Browser::default().ask("POST", &format!("{}/auth/logout/corp", root(&server)), Some("logout_token=a.b.c"));
    assert_eq!(forged.status, 400);
    assert_eq!(forged.json()["message"], "the logout token was refused: it cannot be read");
}

/// A code of the provider for a client of the API: what Memos' own pages do.
fn code(provider: &Provider, redirect: &str) -> String {
    let encoded: String = redirect.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let url = format!(
        "{}/auth?client_id=holdfast&redirect_uri={encoded}&response_type=code&scope=openid%20email%20profile&state=s\
         &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256",
        provider.issuer
    );
    let at = Browser::default().follow_until(&url, redirect);
    at.split("code=").nth(1).and_then(|rest| rest.split('&').next()).unwrap().to_owned()
}

/// The verifier of the challenge above (RFC 7636, appendix B).
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_provider_signs_its_linked_member_in() {
    let Some(memos) = fixture("memos-0.30.0") else { return };
    let installation = Installation::create().await;
    installation.import(&memos, "alpha");
    let server = installation.serve();
    let http = server.by_path("alpha");
    let Some(provider) = Provider::start(0, &[root(&server)]) else { return };
    let truth: serde_json::Value = serde_json::from_slice(&std::fs::read(memos.join("truth.json")).unwrap()).unwrap();
    let password = |name: &str| {
        let users = truth["users"].as_array().unwrap().iter();
        users.filter(|user| user["username"] == name).find_map(|user| user["password"].as_str()).unwrap().to_owned()
    };
    let (owner, _) = http.sign_in("maria", &password("maria"));
    // The imported row keeps its id and secret; its addresses now lead to the provider that stands in for the company's.
    let name = "identity-providers/FPprrHj2Geo7hGcZyue9x6";
    let config = json!({"title": "Company SSO", "config": {"oauth2Config": {
        "clientId": "holdfast", "clientSecret": "holdfast-secret", "authUrl": format!("{}/auth", provider.issuer),
        "tokenUrl": format!("{}/token", provider.issuer), "userInfoUrl": format!("{}/me", provider.issuer),
        "scopes": ["openid", "email", "profile"],
        "fieldMapping": {"identifier": "preferred_username", "displayName": "name", "email": "email"}}}});
    let changed = http.call("PATCH", &format!("/api/v1/{name}?updateMask=config"), Some(&owner), Some(&config));
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(changed.json()["config"]["oauth2Config"]["clientSecret"], "");

    // A member links his account, and from then on it signs him in, over REST and over Connect.
    let redirect = format!("{}/auth/callback", root(&server));
    let (member, _) = http.sign_in("li-lei", &password("li-lei"));
    let link =
        json!({"idpName": name, "code": code(&provider, &redirect), "redirectUri": redirect, "codeVerifier": VERIFIER});
    let linked = http.call("POST", "/api/v1/users/li-lei/linkedIdentities", Some(&member), Some(&link));
    assert_eq!(linked.status, 200, "{}", linked.text());
    assert_eq!(linked.json()["externUid"], "alice");
    let sso = |verifier: &str| {
        json!({"ssoCredentials": {"idpName": name, "code": code(&provider, &redirect),
        "redirectUri": redirect, "codeVerifier": verifier}})
    };
    for path in ["/api/v1/auth/signin", "/memos.api.v1.AuthService/SignIn"] {
        let answer = http.call("POST", path, None, Some(&sso(VERIFIER)));
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(answer.json()["user"]["username"], "li-lei");
        let token = answer.json()["accessToken"].as_str().unwrap().to_owned();
        assert_eq!(me(&http, &token)["username"], "li-lei");
    }
    // A wrong proof of possession, a code used up, an account linked to somebody already.
    let wrong =
        http.call("POST", "/api/v1/auth/signin", None, Some(&sso("wrong-wrong-wrong-wrong-wrong-wrong-wrong-wrong")));
    assert_eq!(
        (wrong.status, wrong.json()["message"].as_str().unwrap()),
        (400, "Company SSO does not take this sign-in any more; begin again")
    );
    let once = sso(VERIFIER);
    assert_eq!(http.call("POST", "/api/v1/auth/signin", None, Some(&once)).status, 200);
    assert_eq!(http.call("POST", "/api/v1/auth/signin", None, Some(&once)).status, 400);
    let (zoe, _) = http.sign_in("zoe", &password("zoe"));
    let again =
        json!({"idpName": name, "code": code(&provider, &redirect), "redirectUri": redirect, "codeVerifier": VERIFIER});
    let taken = http.call("POST", "/api/v1/users/zoe/linkedIdentities", Some(&zoe), Some(&again));
    assert_eq!(
        (taken.status, taken.json()["message"].as_str().unwrap()),
        (409, "this account is linked to another member already")
    );
    // Whoever the filter does not know, and a provider that is not there.
    let filtered = json!({"identifierFilter": "^nobody$"});
    http.call("PATCH", &format!("/api/v1/{name}"), Some(&owner), Some(&filtered));
    let refused = http.call("POST", "/api/v1/auth/signin", None, Some(&sso(VERIFIER)));
    assert_eq!(
        (refused.status, refused.json()["message"].as_str().unwrap()),
        (403, "access denied: alice is not among those who may sign in by Company SSO")
    );
    // Unlinked, the account is a stranger's.
    http.call("PATCH", &format!("/api/v1/{name}"), Some(&owner), Some(&json!({"identifierFilter": ""})));
    let gone = http.call("DELETE", "/api/v1/users/li-lei/linkedIdentities/FPprrHj2Geo7hGcZyue9x6", Some(&member), None);
    assert_eq!(gone.status, 200, "{}", gone.text());
    let stranger = http.call("POST", "/api/v1/auth/signin", None, Some(&sso(VERIFIER)));
    assert_eq!(stranger.json()["user"]["username"], "alice", "{}", stranger.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_not_taken_over_by_address_name_or_another_provider() {
    let Some(House { installation, server, provider }) = House::build().await else { return };
    let Some(other) = Provider::start(0, &[root(&server)]) else { return };
    set(&installation, "alpha", &corp(&other.issuer).replace("\"corp\"", "\"other\"").replace("\"Corp\"", "\"Other\""));
    let http = server.by_path("alpha");
    let (owner, _) = http.sign_in("maria", PASSWORD);
    let user = json!({"email": "alice@example.org"});
    let path = "/api/v1/users/maria?updateMask=email";
    assert_eq!(http.call("PATCH", path, Some(&owner), Some(&user)).status, 200);
    let signed_in = |uid: &str| {
        let mut browser = Browser::default();
        browser.follow(&format!("{}/auth/start/{uid}", root(&server)));
        let page = browser.ask("GET", &format!("{}/account", root(&server)), None).text();
        page.split("You sign in as <strong>")
            .nth(1)
            .and_then(|rest| rest.split('<').next())
            .unwrap_or_default()
            .to_owned()
    };
    // The owner's verified address, then his username: a new member each time, never the owner.
    assert_eq!(signed_in("corp"), "alice");
    provider.set(r#"{"user":"bob","name":"maria","groups":["admins"]}"#);
    assert_eq!(signed_in("corp"), "maria-2");
    // The same subject of another provider is another account.
    assert_eq!(signed_in("other"), "alice-2");
    // The provider is led elsewhere: its old subjects open nothing.
    set(&installation, "alpha", &corp(&other.issuer));
    let (_, page) = Browser::default().follow(&format!("{}/auth/start/corp", root(&server)));
    assert_eq!(page.status, 422);
    let sentence = "This account was linked when Corp was another server; ask an owner to link it again.";
    assert!(page.text().contains(sentence), "{}", page.text());
    assert!(events(&installation).iter().any(|line| line.starts_with("stranger signin.failed")));
}
