//! Every row of the members' route table that is no door: pages, forms, files.

use testkit::fixtures::fixture;
use web::{Audit, Caller as Who, Route};

use super::callers::foreign_and_garbage;
use super::world::{World, essence, form_type, marker};
use crate::support::{Answer, Http};

/// The test's own table: a real path and, for forms, what is sent. No path: the rows of the RPCs stand for the door.
struct Sample {
    path: Option<&'static str>,
    /// What foreigners send.
    form: &'static str,
    /// What is sent at home; `{password}` is the owner's.
    own_form: &'static str,
    /// Whether the page at home shows the tenant's word.
    marked: bool,
    /// The right statuses at home.
    own: &'static [u16],
}

fn sample(route: &Route) -> Option<Sample> {
    let row = |path, form, own| Some(Sample { path: Some(path), form, own_form: form, marked: false, own });
    let shows = |path| Some(Sample { path: Some(path), form: "", own_form: "", marked: true, own: &[200] });
    let door = Some(Sample { path: None, form: "", own_form: "", marked: false, own: &[] });
    match (route.method.as_ref().map_or("*", |method| method.as_str()), route.path) {
        // Bearer tokens only; `live` and `mcp` have tests of their own.
        ("GET", "/api/v1/sse") => row("/api/v1/sse", "", &[401]),
        ("*", "/mcp") => row("/mcp", "", &[405]),
        ("GET", "/explore/rss.xml") => shows("/explore/rss.xml"),
        ("GET", "/explore/atom.xml") => shows("/explore/atom.xml"),
        ("GET", "/u/{username}/rss.xml") => shows("/u/maria/rss.xml"),
        ("GET", "/u/{username}/atom.xml") => shows("/u/maria/atom.xml"),
        ("GET", "/robots.txt") => row("/robots.txt", "", &[200]),
        ("GET", "/sitemap.xml") => row("/sitemap.xml", "", &[200]),
        ("GET", "/api/v1/openapi.json") => row("/api/v1/openapi.json", "", &[200]),
        ("*", "/api/v1/{path:.*}" | "/memos.api.v1.{path:.*}") => door,
        // Nothing of the API is below it: not found, for everyone.
        ("*", "/file/{path:.*}") => row("/file/nothing", "", &[404]),
        ("GET", "/") => shows("/"),
        ("POST", "/notes") => row("/notes", "content=isolation&visibility=PRIVATE", &[303]),
        ("GET", "/memos/{uid}") => shows("/memos/zoo-headings"),
        ("GET", "/m/{uid}") => row("/m/zoo-headings", "", &[301, 302, 303, 307, 308]),
        ("GET", "/u/{username}") => row("/u/maria", "", &[303]),
        ("POST", "/memos/{uid}/comments") => row("/memos/zoo-headings/comments", "content=a+comment", &[303]),
        ("POST", "/memos/{uid}/react") => row("/memos/zoo-headings/react", "reaction=%F0%9F%91%8D", &[303]),
        ("POST", "/memos/{uid}/put") => row("/memos/zoo-tasks-done/put", "place=pin", &[303]),
        ("GET", "/memos/{uid}/edit") => shows("/memos/zoo-tasks-done/edit"),
        ("POST", "/memos/{uid}/edit") => {
            row("/memos/zoo-tasks-done/edit", "content=changed&visibility=PRIVATE", &[303, 409])
        }
        ("POST", "/memos/{uid}/delete") => row("/memos/zoo-tasks-done/delete", "", &[303]),
        ("GET", "/signin") => row("/signin", "", &[200, 303]),
        ("POST", "/signin") => Some(Sample {
            path: Some("/signin"),
            // Without a name and a password, which would count as a wrong one.
            form: "",
            own_form: "username=maria&password={password}",
            marked: false,
            own: &[303],
        }),
        ("POST", "/signout") => row("/signout", "", &[303]),
        // Nothing is under way, no such provider: the same sentences for everyone.
        ("POST", "/signin/code") => row("/signin/code", "code=000000", &[422]),
        ("GET", "/auth/start/{uid}") => row("/auth/start/nope", "", &[422]),
        ("GET", "/auth/callback") => row("/auth/callback", "", &[422]),
        ("POST", "/auth/logout/{uid}") => row("/auth/logout/nope", "logout_token=x", &[400]),
        ("POST", "/account/sessions/{id}/revoke") => row("/account/sessions/no-such-session/revoke", "", &[303, 404]),
        ("POST", "/account/sessions/revoke") => row("/account/sessions/revoke", "", &[303]),
        ("POST", "/account/links/{uid}") => row("/account/links/nope", "", &[422]),
        ("POST", "/account/links/{uid}/remove") => row("/account/links/nope/remove", "", &[303, 404]),
        ("POST", "/account/factor") => Some(Sample {
            path: Some("/account/factor"),
            form: "",
            own_form: "password={password}",
            marked: false,
            own: &[200],
        }),
        ("POST", "/account/factor/confirm") => row("/account/factor/confirm", "code=000000", &[422]),
        ("POST", "/account/factor/end") => Some(Sample {
            path: Some("/account/factor/end"),
            form: "",
            own_form: "password={password}",
            marked: false,
            own: &[303],
        }),
        ("GET", "/account/webhooks") => row("/account/webhooks", "", &[200]),
        ("GET", "/settings/signin") => row("/settings/signin", "", &[200]),
        ("POST", "/settings/signin") => row("/settings/signin", "title=x&settings=y", &[422]),
        ("GET", "/settings/signin/{uid}") => row("/settings/signin/nope", "", &[404]),
        ("POST", "/settings/signin/{uid}") => row("/settings/signin/nope", "title=x&settings=y", &[404]),
        ("POST", "/settings/signin/{uid}/test") => row("/settings/signin/nope/test", "", &[404]),
        ("POST", "/settings/signin/{uid}/remove") => row("/settings/signin/nope/remove", "", &[303, 404]),
        ("GET", "/account") => row("/account", "", &[200]),
        ("POST", "/account/password") => row("/account/password", "old=wrong&new=Other-Pass-1!", &[422]),
        ("POST", "/account/tokens") => row("/account/tokens", "description=isolation&days=30", &[200]),
        ("POST", "/account/tokens/{id}/revoke") => row("/account/tokens/no-such-token/revoke", "", &[303, 404]),
        (_, "/file/attachments/{uid}/{name:.+}") => {
            row("/file/attachments/3SP9kPoRyyPQyj4tNheEAu/big%20picture.jpg", "", &[200])
        }
        (_, "/file/resources/{uid}/{name:.+}") => {
            row("/file/resources/3SP9kPoRyyPQyj4tNheEAu/big%20picture.jpg", "", &[200])
        }
        (_, "/file/resources/{uid}") => row("/file/resources/3SP9kPoRyyPQyj4tNheEAu", "", &[200]),
        (_, "/o/r/{uid}") => row("/o/r/3SP9kPoRyyPQyj4tNheEAu", "", &[200]),
        (_, "/o/r/{uid}/{name:.+}") => row("/o/r/3SP9kPoRyyPQyj4tNheEAu/big%20picture.jpg", "", &[200]),
        (_, "/file/users/{username}/avatar") => row("/file/users/maria/avatar", "", &[200]),
        _ => None,
    }
}

/// Extra rows that a feature may have are told apart by method and path.
fn key(route: &Route) -> String {
    format!("{} {}", route.method.as_ref().map_or("*", |method| method.as_str()), route.path)
}

fn send(door: &Http, route: &Route, path: &str, form: &str, headers: &[(String, String)]) -> Answer {
    let mut headers = headers.to_vec();
    if route.method.is_none() || !route.writes() {
        return door.send("GET", path, &headers, None);
    }
    headers.push(form_type());
    door.send("POST", path, &headers, Some(form.as_bytes()))
}

fn session(cookie: &str) -> Vec<(String, String)> {
    vec![("Cookie".to_owned(), format!("holdfast_session={cookie}"))]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_and_file_is_the_callers_own() {
    let Some(memos) = fixture("memos-0.30.0") else { return };
    let world = World::build(&memos).await;
    let routes = app::routes();
    let missing: Vec<String> = routes.iter().filter(|route| sample(route).is_none()).map(key).collect();
    assert!(missing.is_empty(), "no row in the test's table for {missing:?}");
    let rows: Vec<(&Route, Sample)> = routes
        .iter()
        .map(|route| (route, sample(route).unwrap()))
        .filter(|(_, sample)| sample.path.is_some())
        .collect();
    let mut problems = Vec::new();
    let asked = refused_like_garbage(&world, &rows, &mut problems).await;
    reads_at_home(&world, &rows, &mut problems);
    writes_at_home(&world, &rows, &mut problems).await;
    println!(
        "isolation: {} pages, forms and files × stranger and 6 foreign credentials at 2 doors: {asked} answers",
        rows.len()
    );
    assert!(problems.is_empty(), "{} problems:\n  {}", problems.len(), problems.join("\n  "));
}

/// A session of A at B is answered like garbage, as the row expects, and changes nothing.
async fn refused_like_garbage(world: &World, rows: &[(&Route, Sample)], problems: &mut Vec<String>) -> usize {
    let mut asked = 0;
    let keys = world.keys(&world.doors("alpha")[0], "maria");
    let before = world.fingerprint("bravo").await;
    for (route, sample) in rows {
        let path = sample.path.unwrap();
        for door in world.doors("bravo") {
            let stranger = send(&door, route, path, sample.form, &[]);
            asked += 1;
            let expected = route.expected(Who::Stranger);
            if !expected.is_empty() && !expected.contains(&stranger.status) {
                problems.push(format!("{}: a stranger gets {}, {expected:?} expected", key(route), stranger.status));
            }
            for (foreign, garbage) in foreign_and_garbage(&keys) {
                let one = send(&door, route, path, sample.form, &foreign.headers);
                let other = send(&door, route, path, sample.form, &garbage.headers);
                asked += 1;
                let expected = route.expected(Who::Foreigner);
                if essence(&one) != essence(&other) || (!expected.is_empty() && !expected.contains(&one.status)) {
                    problems.push(format!(
                        "{}: {} gets {}, garbage {}",
                        key(route),
                        foreign.name,
                        one.status,
                        other.status
                    ));
                }
                if one.text().contains(&marker("alpha")) {
                    problems.push(format!("{}: shows the other tenant's text", key(route)));
                }
            }
        }
    }
    if world.fingerprint("bravo").await != before {
        problems.push("a session of another tenant has changed something".to_owned());
    }
    asked
}

/// Pages at both tenants show what is their own.
fn reads_at_home(world: &World, rows: &[(&Route, Sample)], problems: &mut Vec<String>) {
    for (slug, other) in [("alpha", "bravo"), ("bravo", "alpha")] {
        for door in world.doors(slug) {
            let cookie = session(&world.keys(&door, "maria").page);
            for (route, sample) in rows.iter().filter(|(route, _)| route.method.is_none() || !route.writes()) {
                let answer = send(&door, route, sample.path.unwrap(), "", &cookie);
                // An image asks with the cookie of the API.
                let by_cookie = route.path.starts_with("/file") && answer.status == 401;
                if !sample.own.contains(&answer.status) && !by_cookie {
                    problems.push(format!("{} at home: {}", key(route), answer.status));
                }
                let text = answer.text();
                if text.contains(&marker(other)) || (sample.marked && !text.contains(&marker(slug))) {
                    problems.push(format!(
                        "{} at {slug} does not show {slug}'s own text ({})",
                        key(route),
                        answer.status
                    ));
                }
            }
        }
    }
}

/// Forms at A do what they say, leave the event that they declare, and change nothing at B.
async fn writes_at_home(world: &World, rows: &[(&Route, Sample)], problems: &mut Vec<String>) {
    let before = world.fingerprint("bravo").await;
    let door = &world.doors("alpha")[0];
    let password = &world.passwords.iter().find(|(name, _)| name == "maria").unwrap().1;
    for (route, sample) in rows.iter().filter(|(route, _)| route.method.is_some() && route.writes()) {
        let cookie = session(&world.keys(door, "maria").page);
        let seq = world.audit_head().await;
        let form = sample.own_form.replace("{password}", password);
        let answer = send(door, route, sample.path.unwrap(), &form, &cookie);
        if !sample.own.contains(&answer.status) {
            let text: String = answer.text().chars().take(200).collect();
            problems.push(format!("{} at home: {} {text}", key(route), answer.status));
        }
        if let Audit::Event(event) = route.audit
            && answer.status < 400
            && !sample.own.contains(&404)
        {
            let left = world.events_after(seq).await;
            if !left.iter().any(|found| found == event) {
                problems.push(format!("{}: declares the event {event}, left {left:?}", key(route)));
            }
        }
    }
    if world.fingerprint("bravo").await != before {
        problems.push("writing at alpha has changed bravo".to_owned());
    }
}
