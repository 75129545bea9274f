//! A list over HTTP speaks to the database at most twice: who asks, and the list.

use serde_json::json;
use testkit::pg::server;
use testkit::proxy::CountingProxy;

use super::support::Installation;

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_at_most_two_flights() {
    let mut installation = Installation::create().await;
    let password = installation.folder.path().join("password");
    std::fs::write(&password, "a-long-password\n").unwrap();
    installation.must(&["tenant", "create", "team", "--owner", "anna", "--password-file", password.to_str().unwrap()]);
    let token = installation.must(&["token", "create", "--tenant", "team", "--user", "anna"])["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let proxy = CountingProxy::start(&server().socket, server().port);
    installation.reach_database_by(proxy.folder());
    let running = installation.serve();
    let client = reqwest_client();
    let url = format!("http://{}/t/team/api/v1/memos", running.address);
    for number in 0..20 {
        let body = json!({"content": format!("note {number} #tag"), "visibility": "PRIVATE"});
        let made = client.post(&url).bearer_auth(&token).json(&body).send().await.unwrap();
        assert_eq!(made.status(), 200);
    }
    let list = async || {
        let answer = client.get(format!("{url}?pageSize=20")).bearer_auth(&token).send().await.unwrap();
        let listed: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(listed["memos"].as_array().unwrap().len(), 20);
    };
    // Every connection of the pool must have planned both reads before they are counted.
    for _ in 0..30 {
        list().await;
    }
    let before = proxy.flights();
    for _ in 0..50 {
        list().await;
    }
    let flights = proxy.flights() - before;
    println!("50 lists: {flights} flights");
    // The server looks at its own health now and then: a handful of flights that no list causes.
    assert!(flights <= 2 * 50 + 10, "50 lists took {flights} flights");
}

fn reqwest_client() -> reqwest::Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder().timeout(std::time::Duration::from_secs(30)).build().unwrap()
}
