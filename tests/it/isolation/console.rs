//! The operators' pages and actions refuse strangers, members and owners; below a tenant there are none.

use testkit::fixtures::fixture;
use web::{Access, Caller as Who, Route};

use super::world::{OPERATOR, World, cookie_of, essence, form_type};
use crate::support::http::Header;
use crate::support::{Answer, Http};

/// The test's own table: a real path for each row of the console.
fn sample(route: &Route) -> Option<(&'static str, &'static str)> {
    let method = route.method.as_ref().map_or("*", |method| method.as_str());
    Some(match (method, route.path) {
        ("GET", "/console/signin") => ("/console/signin", ""),
        ("POST", "/console/signin") => ("/console/signin", "name=nobody&password=wrong"),
        ("POST", "/console/signout") => ("/console/signout", ""),
        ("GET", "/console") => ("/console", ""),
        ("GET", "/console/audit") => ("/console/audit", ""),
        ("GET", "/console/tenants/{slug}") => ("/console/tenants/alpha", ""),
        ("POST", "/console/tenants/{slug}/backup") => ("/console/tenants/alpha/backup", ""),
        ("POST", "/console/tenants/{slug}/drill") => ("/console/tenants/alpha/drill", ""),
        ("GET", "/console/drills/{drill}") => ("/console/drills/00000000-0000-0000-0000-000000000000", ""),
        ("GET", "/console/operators") => ("/console/operators", ""),
        ("GET", "/console/confirm") => ("/console/confirm", ""),
        ("POST", "/console/confirm") => ("/console/confirm", "password=Warden-of-the-gate-7"),
        ("GET", "/console/auth/start") => ("/console/auth/start", ""),
        ("GET", "/console/auth/callback") => ("/console/auth/callback?state=x&code=y", ""),
        (_, "/console/tenants/{slug}/suspend") => ("/console/tenants/nobodys/suspend", ""),
        (_, "/console/tenants/{slug}/resume") => ("/console/tenants/nobodys/resume", ""),
        (_, "/console/tenants/{slug}/delete") => ("/console/tenants/nobodys/delete", "word=nobodys&days=30"),
        (_, "/console/operators/{name}/disable") => ("/console/operators/nobody/disable", ""),
        (_, "/console/operators/{name}/enable") => ("/console/operators/nobody/enable", ""),
        ("GET", "/console/tenants/{slug}/points") => ("/console/tenants/alpha/points", ""),
        ("POST", "/console/tenants/{slug}/survey") => ("/console/tenants/alpha/survey", ""),
        (_, "/console/tenants/{slug}/compare/{other}") => ("/console/tenants/alpha/compare/bravo", ""),
        ("GET", "/console/points/{point}") => ("/console/points/20260101T000000Z-00000000", ""),
        ("POST", "/console/points/{point}/verify") => ("/console/points/20260101T000000Z-00000000/verify", ""),
        ("POST", "/console/points/{point}/keep") => {
            ("/console/points/20260101T000000Z-00000000/keep", "reason=x&until=30")
        }
        (_, "/console/points/{point}/restore") => ("/console/points/20260101T000000Z-00000000/restore", "slug=copy"),
        (_, "/console/points/{point}/part") => ("/console/points/20260101T000000Z-00000000/part", "what=note&name=n-1"),
        (_, "/console/runs/{id}/part") => ("/console/runs/999999/part", ""),
        ("POST", "/console/runs/{id}/cancel") => ("/console/runs/999999/cancel", ""),
        (_, "/console/tenants/{slug}/swap/{other}") => ("/console/tenants/alpha/swap/bravo", "days=30"),
        (_, "/console/tenants/{slug}/undo") => ("/console/tenants/alpha/undo", "days=30"),
        ("GET", "/console/runs/{id}") => ("/console/runs/999999", ""),
        ("GET", "/console/jobs/{id}/events") => ("/console/jobs/999999/events", ""),
        _ => return None,
    })
}

fn is_operators(route: &Route) -> bool {
    matches!(route.access, Access::Operator | Access::Deed)
}

fn send(door: &Http, route: &Route, sample: (&str, &str), headers: &[Header]) -> Answer {
    let mut headers = headers.to_vec();
    if !route.writes() {
        return door.send("GET", sample.0, &headers, None);
    }
    headers.push(form_type());
    door.send("POST", sample.0, &headers, Some(sample.1.as_bytes()))
}

fn cookie(text: String) -> Vec<Header> {
    vec![("Cookie".to_owned(), text)]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_is_for_operators_only() {
    let Some(memos) = fixture("memos-0.30.0") else { return };
    let world = World::build(&memos).await;
    let routes = admin::routes();
    let missing: Vec<&str> = routes.iter().filter(|route| sample(route).is_none()).map(|route| route.path).collect();
    assert!(missing.is_empty(), "no row in the test's table for {missing:?}");

    let bare = world.bare();
    let mut callers: Vec<(String, Vec<Header>)> =
        vec![("stranger".to_owned(), vec![]), ("garbage".to_owned(), cookie("holdfast_operator=garbage".to_owned()))];
    for username in ["li-lei", "zoe", "maria"] {
        let keys = world.keys(&world.doors("alpha")[0], username);
        callers.push((
            format!("{username}'s token"),
            vec![("Authorization".to_owned(), format!("Bearer {}", keys.access))],
        ));
        callers.push((
            format!("{username}'s personal token"),
            vec![("Authorization".to_owned(), format!("Bearer {}", keys.token))],
        ));
        callers.push((format!("{username}'s session"), cookie(format!("holdfast_session={}", keys.page))));
        callers.push((
            format!("{username}'s session as an operator's"),
            cookie(format!("holdfast_operator={}", keys.page)),
        ));
    }
    let mut problems = Vec::new();
    for route in &routes {
        let sample = sample(route).unwrap();
        let stranger = send(&bare, route, sample, &[]);
        for (name, headers) in &callers {
            let answer = send(&bare, route, sample, headers);
            let expected = route.expected(Who::Stranger);
            if is_operators(route) && !expected.contains(&answer.status) {
                problems.push(format!("{} {name}: {} where {expected:?} is right", route.path, answer.status));
            }
            if is_operators(route) && essence(&answer) != essence(&stranger) {
                problems.push(format!("{} {name}: another answer than a stranger gets", route.path));
            }
        }
        for door in world.doors("alpha") {
            let answer = send(&door, route, sample, &callers.last().unwrap().1);
            if answer.status != 404 {
                problems.push(format!("{} below a tenant: {}", route.path, answer.status));
            }
        }
    }
    let form = format!("name={}&password={}", OPERATOR.0, OPERATOR.1);
    let signed = bare.send("POST", "/console/signin", &[form_type()], Some(form.as_bytes()));
    assert_eq!(signed.status, 303, "{}", signed.text());
    let operator = cookie(format!("holdfast_operator={}", cookie_of(&signed, "holdfast_operator")));
    for route in routes.iter().filter(|route| is_operators(route) && !route.path.ends_with("/signout")) {
        let answer = send(&bare, route, sample(route).unwrap(), &operator);
        let right: &[u16] = if !route.writes() {
            &[200, 404]
        } else if route.access == Access::Deed
            || route.path.starts_with("/console/points/")
            || route.path.starts_with("/console/runs/")
        {
            // nobody's tenant, nobody's point, nobody's run
            &[404]
        } else {
            &[303]
        };
        if !right.contains(&answer.status) {
            problems.push(format!("{} the operator: {}", route.path, answer.status));
        }
    }
    for door in world.doors("alpha") {
        let answer = door.send("GET", "/account", &operator, None);
        if answer.status != 303 {
            problems.push(format!("an operator's cookie at a tenant: {}", answer.status));
        }
    }
    println!("console: {} routes × {} callers", routes.len(), callers.len() + 1);
    assert!(problems.is_empty(), "{} problems:\n  {}", problems.len(), problems.join("\n  "));
}
