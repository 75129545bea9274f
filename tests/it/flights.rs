//! A list over HTTP speaks to the database at most twice, who asks and the list; a repeated one once.

use serde_json::json;
use testkit::pg::server;
use testkit::proxy::CountingProxy;

use super::support::Installation;

struct Team {
    installation: Installation,
    proxy: CountingProxy,
    token: String,
    token_id: String,
}

async fn team() -> Team {
    let mut installation = Installation::create().await;
    let password = installation.folder.path().join("password");
    std::fs::write(&password, "a-long-password\n").unwrap();
    installation.must(&["tenant", "create", "team", "--owner", "anna", "--password-file", password.to_str().unwrap()]);
    let made = installation.must(&["token", "create", "--tenant", "team", "--user", "anna"]);
    let text = |field: &str| made[field].as_str().unwrap_or_default().to_owned();
    let (token, token_id) = (text("token"), text("id"));
    let proxy = CountingProxy::start(&server().socket, server().port);
    installation.reach_database_by(proxy.folder());
    Team { installation, proxy, token, token_id }
}

/// Flights of `count` requests, each to the URL that `url` makes of its number.
async fn flights(team: &Team, client: &reqwest::Client, count: u64, url: impl Fn(u64) -> String) -> u64 {
    let before = team.proxy.flights();
    for number in 0..count {
        let answer = client.get(url(number)).bearer_auth(&team.token).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    team.proxy.flights() - before
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_at_most_two_flights_and_one_when_repeated() {
    let team = team().await;
    let running = team.installation.serve();
    let client = reqwest_client();
    let url = format!("http://{}/t/team/api/v1/memos", running.address);
    for number in 0..20 {
        let body = json!({"content": format!("note {number} #tag"), "visibility": "PRIVATE"});
        let made = client.post(&url).bearer_auth(&team.token).json(&body).send().await.unwrap();
        assert_eq!(made.status(), 200);
    }
    // Every connection of the pool must have planned both reads before they are counted.
    flights(&team, &client, 60, |_| format!("{url}?pageSize=20")).await;
    // The server looks at its own health now and then: a handful of flights that no list causes.
    let fresh = flights(&team, &client, 50, |number| format!("{url}?pageSize=20&unused={number}")).await;
    let repeated = flights(&team, &client, 50, |_| format!("{url}?pageSize=20")).await;
    println!("50 lists never asked before: {fresh} flights; 50 repeated ones: {repeated}");
    assert!(fresh <= 2 * 50 + 10, "50 lists took {fresh} flights");
    assert!(repeated <= 50 + 10, "50 repeated lists took {repeated} flights");

    // What is read ahead is read with the check, never instead of it.
    let list = || client.get(format!("{url}?pageSize=20")).bearer_auth(&team.token).send();
    let listed: serde_json::Value = list().await.unwrap().json().await.unwrap();
    assert_eq!(listed["memos"].as_array().unwrap().len(), 20);
    team.installation.must(&["token", "revoke", &team.token_id, "--tenant", "team", "--user", "anna"]);
    assert_eq!(list().await.unwrap().status(), 401, "a revoked token is refused at the next request");
}

fn reqwest_client() -> reqwest::Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder().timeout(std::time::Duration::from_secs(30)).build().unwrap()
}
