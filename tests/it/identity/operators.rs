//! Operators: by a real OpenID provider with a required group, and once more before what is dangerous.

use std::net::TcpListener;

use testkit::oidc::Provider;

use super::browser::Browser;
use super::{PASSWORD, events, tenant};
use crate::support::{Answer, Installation, Server};

struct House {
    installation: Installation,
    server: Server,
    port: u16,
}

impl House {
    /// An appliance whose operators may come by a provider that is not there yet, with the operator "root".
    async fn build() -> Self {
        let mut installation = Installation::create().await;
        tenant(&installation, "alpha");
        let folder = installation.folder.path().to_owned();
        std::fs::write(folder.join("oidc-secret"), "holdfast-secret\n").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        for (name, value) in [
            ("ISSUER", format!("http://127.0.0.1:{port}")),
            ("CLIENT_ID", "holdfast".to_owned()),
            ("CLIENT_SECRET_FILE", folder.join("oidc-secret").display().to_string()),
            ("GROUPS", "keepers, admins".to_owned()),
            ("TITLE", "Corp".to_owned()),
        ] {
            installation.set(&format!("HOLDFAST_OPERATOR_OIDC_{name}"), &value);
        }
        let password = folder.join("password").display().to_string();
        installation.must(&["operator", "create", "root", "--password-file", &password]);
        // A name that somebody at the provider has, too.
        installation.must(&["operator", "create", "alice", "--password-file", &password]);
        let server = installation.serve();
        Self { installation, server, port }
    }

    fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address)
    }

    fn provider(&self) -> Option<Provider> {
        Provider::start(self.port, &[self.at("/console")])
    }

    /// From now on everybody signed in long ago.
    async fn age(&self) {
        let client = self.installation.database.superuser().await;
        let sql = "UPDATE holdfast.operator_session SET proved_at = proved_at - interval '601 seconds'";
        client.execute(sql, &[]).await.unwrap();
    }

    fn by_password(&self) -> Browser {
        let mut browser = Browser::default();
        let form = format!("name=root&password={PASSWORD}");
        let answer = browser.ask("POST", &self.at("/console/signin"), Some(&form));
        assert_eq!(answer.status, 303, "{}", answer.text());
        browser
    }

    fn state(&self) -> String {
        self.installation.must(&["tenant", "list"])["items"][0]["state"].as_str().unwrap_or_default().to_owned()
    }
}

fn led_to(answer: &Answer) -> &str {
    assert_eq!(answer.status, 303, "{}", answer.text());
    answer.header("location").unwrap_or_default()
}

fn told(installation: &Installation, event: &str) {
    let told = events(installation);
    assert!(told.iter().any(|line| line == event), "{event} is not in {told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dangerous_asks_once_more_who_it_is() {
    let house = House::build().await;
    let mut root = house.by_password();
    let delete = house.at("/console/tenants/alpha/delete");
    // Signed in a moment ago: not asked again, but the name must be typed.
    let page = root.ask("GET", &delete, None);
    assert_eq!(page.status, 200);
    assert!(page.text().contains("Delete alpha?"), "{}", page.text());
    let untyped = root.ask("POST", &delete, Some("word=alfa&days=30"));
    assert_eq!(untyped.status, 422);
    assert!(untyped.text().contains("Type alpha to confirm that it is the one you mean."));
    // Ten minutes later the page and the form lead to the question, and nothing is done.
    house.age().await;
    let question = "/console/confirm?next=/console/tenants/alpha/delete";
    assert_eq!(led_to(&root.ask("GET", &delete, None)), question);
    assert_eq!(led_to(&root.ask("POST", &delete, Some("word=alpha&days=30"))), question);
    for path in ["/console/tenants/alpha/suspend", "/console/operators/alice/disable"] {
        let answer = root.ask("POST", &house.at(path), Some(""));
        assert_eq!(led_to(&answer), format!("/console/confirm?next={path}"));
    }
    assert_eq!(house.state(), "active");
    // What is not dangerous goes on.
    assert_eq!(root.ask("GET", &house.at("/console/tenants/alpha"), None).status, 200);
    assert_eq!(
        led_to(&root.ask("POST", &house.at("/console/tenants/alpha/backup"), Some(""))),
        "/console/tenants/alpha"
    );
    let confirm = house.at("/console/confirm");
    let wrong = root.ask("POST", &confirm, Some("password=wrong&next=/console/tenants/alpha/delete"));
    assert_eq!(wrong.status, 422);
    assert!(wrong.text().contains("The password is wrong."), "{}", wrong.text());
    told(&house.installation, "stranger operator.confirm.failed root");
    let form = format!("password={PASSWORD}&next=/console/tenants/alpha/delete");
    assert_eq!(led_to(&root.ask("POST", &confirm, Some(&form))), "/console/tenants/alpha/delete");
    told(&house.installation, "operator:root operator.confirmed root");
    assert_eq!(led_to(&root.ask("POST", &delete, Some("word=alpha&days=30"))), "/console/tenants/alpha");
    assert_eq!(house.state(), "pending_deletion");
    told(&house.installation, "operator:root tenant.deleted alpha");
    assert_eq!(
        led_to(&root.ask("POST", &house.at("/console/tenants/alpha/resume"), Some(""))),
        "/console/tenants/alpha"
    );
    assert_eq!(house.state(), "active");
    // Nobody shuts himself out; another one is shut out at once. Commands are asked nothing.
    let own = root.ask("POST", &house.at("/console/operators/root/disable"), Some(""));
    assert_eq!(own.status, 422);
    assert!(own.text().contains("Nobody disables himself; another operator does, or a command."), "{}", own.text());
    assert_eq!(
        led_to(&root.ask("POST", &house.at("/console/operators/alice/disable"), Some(""))),
        "/console/operators"
    );
    let mut alice = Browser::default();
    let form = format!("name=alice&password={PASSWORD}");
    assert_eq!(alice.ask("POST", &house.at("/console/signin"), Some(&form)).status, 422);
    house.installation.must(&["operator", "enable", "alice"]);
    assert_eq!(alice.ask("POST", &house.at("/console/signin"), Some(&form)).status, 303);
    house.installation.must(&["operator", "disable", "alice"]);
    assert!(led_to(&alice.ask("GET", &house.at("/console"), None)).starts_with("/console/signin"));
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_come_by_a_provider_that_names_their_group() {
    let house = House::build().await;
    let start = house.at("/console/auth/start?next=/console/audit");
    // The provider is away: the password works, and it says so.
    let away = Browser::default().ask("GET", &start, None);
    assert_eq!(away.status, 422);
    assert!(
        away.text().contains("Corp does not answer at present; try again, or sign in another way."),
        "{}",
        away.text()
    );
    house.by_password();
    let Some(provider) = house.provider() else { return };
    // No group, no entry.
    provider.set(r#"{"user":"bob"}"#);
    let (_, refused) = Browser::default().follow(&start);
    assert_eq!(refused.status, 422);
    assert!(
        refused.text().contains("You are in none of the groups at Corp that may sign in here."),
        "{}",
        refused.text()
    );
    provider.set(r#"{"hide":["groups"]}"#);
    let (_, untold) = Browser::default().follow(&start);
    assert!(
        untold.text().contains("Corp did not say which groups you are in; operators must be in one."),
        "{}",
        untold.text()
    );
    told(&house.installation, "stranger operator.signin.failed ");
    let names = |house: &House| {
        let list = house.installation.must(&["operator", "list"]);
        let list = list["items"].as_array().cloned().unwrap_or_default();
        list.iter().map(|row| format!("{} {}", row["name"], row["signs_in_by"]).replace('"', "")).collect::<Vec<_>>()
    };
    assert_eq!(names(&house), ["alice password", "root password"]);
    // With the group he comes in, as somebody new: a name opens nobody's account.
    provider.set(r#"{"user":"alice","hide":[]}"#);
    let mut browser = Browser::default();
    let (at, page) = browser.follow(&start);
    assert_eq!((at, page.status), (house.at("/console/audit"), 200));
    assert_eq!(names(&house), ["alice password", "alice-2 provider", "root password"]);
    told(&house.installation, "provider:console operator.created alice-2");
    told(&house.installation, "operator:alice-2 operator.signin.made alice-2");
    let (_, _) = Browser::default().follow(&start);
    assert_eq!(names(&house).len(), 3, "the second time it is the same one");
    // The group is looked at each time.
    provider.set(r#"{"groups":["sales"]}"#);
    assert_eq!(Browser::default().follow(&start).1.status, 422);
    provider.set(r#"{"groups":["admins"]}"#);
    // Once more, at the provider: another account there is not him.
    house.age().await;
    let suspend = house.at("/console/tenants/alpha/suspend");
    assert_eq!(led_to(&browser.ask("GET", &suspend, None)), "/console/confirm?next=/console/tenants/alpha/suspend");
    let page = browser.ask("GET", &house.at("/console/confirm?next=/console/tenants/alpha/suspend"), None).text();
    assert!(page.contains("Sign in once more by Corp") && !page.contains("type=\"password\""), "{page}");
    let again = house.at("/console/auth/start?again=true&next=/console/tenants/alpha/suspend");
    provider.set(r#"{"user":"bob"}"#);
    browser.forget(provider.address);
    let (_, other) = browser.follow(&again);
    assert_eq!(other.status, 422);
    assert!(other.text().contains("That is the account of somebody else."), "{}", other.text());
    assert_eq!(browser.ask("GET", &suspend, None).status, 303);
    provider.set(r#"{"user":"alice"}"#);
    browser.forget(provider.address);
    let (at, page) = browser.follow(&again);
    assert_eq!((at, page.status), (suspend.clone(), 200), "{}", page.text());
    assert_eq!(led_to(&browser.ask("POST", &suspend, Some(""))), "/console/tenants/alpha");
    assert_eq!(house.state(), "suspended");
    told(&house.installation, "operator:alice-2 operator.confirmed alice-2");
    // Disabled, he stays out, whatever the provider says.
    house.installation.must(&["operator", "disable", "alice-2"]);
    assert_eq!(browser.ask("GET", &house.at("/console"), None).status, 303);
    let (_, shut) = Browser::default().follow(&start);
    assert!(shut.text().contains("The operator alice-2 may not sign in at present."), "{}", shut.text());
    // An answer that was used, and one that nobody began.
    let callback = house.at("/console/auth/callback?state=x&code=y");
    let unknown = Browser::default().ask("GET", &callback, None);
    assert_eq!(unknown.status, 422);
    assert!(unknown.text().contains("This sign-in was begun elsewhere, is used up, or took too long; begin again."));
}
