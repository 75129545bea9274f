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

    // A list with a filter is planned once on each connection, too, whatever it asks for.
    let filtered = |number: u64| format!("{url}?pageSize=20&filter=tag%20in%20%5B%22tag{}%22%5D", number % 7);
    flights(&team, &client, 40, filtered).await;
    let found = flights(&team, &client, 50, filtered).await;
    println!("50 lists with a filter: {found} flights");
    assert!(found <= 2 * 50 + 10, "50 lists with a filter took {found} flights");

    // A plain change is one flight after the check, as a plain new note is; what is told to other processes is gathered.
    let listed: serde_json::Value =
        client.get(&url).bearer_auth(&team.token).send().await.unwrap().json().await.unwrap();
    let names: Vec<&str> =
        listed["memos"].as_array().unwrap().iter().filter_map(|memo| memo["name"].as_str()).collect();
    let written = async |changing: bool, count: usize| {
        let before = team.proxy.flights();
        for number in 0..count {
            let name = names[number % names.len()].trim_start_matches("memos/");
            let request = if changing { client.patch(format!("{url}/{name}")) } else { client.post(&url) };
            let body = json!({"content": format!("written {number} #tag"), "pinned": number % 3 == 0});
            let answer = request.bearer_auth(&team.token).json(&body).send().await.unwrap();
            assert_eq!(answer.status(), 200);
        }
        team.proxy.flights() - before
    };
    written(false, 30).await;
    written(true, 30).await;
    // The least of three: while a machine is busy, more of what the server does for itself falls between two requests.
    let least = async |changing: bool| {
        let mut least = u64::MAX;
        for _ in 0..3 {
            least = least.min(written(changing, 50).await);
        }
        least
    };
    let (made, changed) = (least(false).await, least(true).await);
    println!("50 new notes: {made} flights; 50 changes: {changed}");
    assert!(changed <= made + 25, "50 new notes took {made} flights, 50 changes {changed}");

    // What is read ahead is read with the check, never instead of it.
    let list = || client.get(format!("{url}?pageSize=20")).bearer_auth(&team.token).send();
    let listed: serde_json::Value = list().await.unwrap().json().await.unwrap();
    assert_eq!(listed["memos"].as_array().unwrap().len(), 20);
    team.installation.must(&["token", "revoke", &team.token_id, "--tenant", "team", "--user", "anna"]);
    assert_eq!(list().await.unwrap().status(), 401, "a revoked token is refused at the next request");
}

/// A change, and how it is made: by a request to the server that is asked, to another one, or by hand.
struct Change<'a> {
    what: &'a str,
    how: How<'a>,
}

enum How<'a> {
    Here(reqwest::Method, &'a str, serde_json::Value),
    There(reqwest::Method, &'a str, serde_json::Value),
    ByHand(&'a str),
}

fn changes() -> Vec<Change<'static>> {
    use reqwest::Method;
    let change = |what, how| Change { what, how };
    vec![
        change(
            "edited here",
            How::Here(Method::PATCH, "memos/first?updateMask=content", json!({"content": "edited #here"})),
        ),
        change(
            "edited there",
            How::There(Method::PATCH, "memos/second?updateMask=content", json!({"content": "edited"})),
        ),
        change("pinned", How::There(Method::PATCH, "memos/first?updateMask=pinned", json!({"pinned": true}))),
        change(
            "reaction",
            How::There(
                Method::POST,
                "memos/first/reactions",
                json!({"reaction": {"contentId": "memos/first", "reactionType": "👍"}}),
            ),
        ),
        change("comment", How::There(Method::POST, "memos/first/comments", json!({"content": "a word"}))),
        change(
            "relation",
            How::Here(
                Method::PATCH,
                "memos/second/relations",
                json!({"relations": [{"memo": {"name": "memos/second"}, "relatedMemo": {"name": "memos/first"}, "type": "REFERENCE"}]}),
            ),
        ),
        change(
            "new",
            How::There(Method::POST, "memos?memoId=third", json!({"content": "third", "visibility": "PRIVATE"})),
        ),
        change("gone again", How::There(Method::DELETE, "memos/third", json!(null))),
        change("by hand", How::ByHand("UPDATE note SET content = 'by hand' WHERE uid = 'first'")),
        change("another name", How::ByHand("UPDATE member SET username = 'annabel'")),
        change("made private to another", How::ByHand("UPDATE note SET creator_id = -1 WHERE uid = 'second'")),
        change("deleted by hand", How::ByHand("DELETE FROM note WHERE uid = 'second'")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_answer_is_never_older_than_what_it_shows() {
    let team = team().await;
    let (here, there) = (team.installation.serve(), team.installation.serve());
    let client = reqwest_client();
    let api = |server: &std::net::SocketAddr, path: &str| format!("http://{server}/t/team/api/v1/{path}");
    let ask = async |method: reqwest::Method, url: String, body: &serde_json::Value| {
        let request = client.request(method, url).bearer_auth(&team.token);
        let request = if body.is_null() { request } else { request.json(body) };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let get = async |path: String| ask(reqwest::Method::GET, api(&here.address, &path), &json!(null)).await;
    for uid in ["first", "second"] {
        let body = json!({"content": uid, "visibility": "PRIVATE"});
        let (status, text) =
            ask(reqwest::Method::POST, api(&here.address, &format!("memos?memoId={uid}")), &body).await;
        assert_eq!(status, 200, "{text}");
    }
    let database = team.installation.database.superuser().await;
    let schema: String =
        database.query_one("SELECT schema_id FROM holdfast.tenant WHERE slug = 'team'", &[]).await.unwrap().get(0);
    database.batch_execute(&format!("SET search_path = {schema}")).await.unwrap();
    for (number, change) in changes().into_iter().enumerate() {
        for path in ["memos?pageSize=20", "memos/first", "memos/second"] {
            for _ in 0..3 {
                get(path.to_owned()).await;
            }
        }
        let (status, text) = match change.how {
            How::Here(method, path, body) => ask(method, api(&here.address, path), &body).await,
            How::There(method, path, body) => ask(method, api(&there.address, path), &body).await,
            How::ByHand(sql) => (database.batch_execute(sql).await.map_or(0, |()| 200), String::new()),
        };
        assert_eq!(status, 200, "{}: {text}", change.what);
        for path in ["memos?pageSize=20", "memos/first", "memos/second"] {
            let fresh = get(format!("{path}{}unused={number}", if path.contains('?') { '&' } else { '?' })).await;
            for _ in 0..3 {
                assert_eq!(get(path.to_owned()).await, fresh, "{path} after: {}", change.what);
            }
        }
    }
}

/// The check of the caller is proven like an answer is: whatever makes it come out differently must be seen at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_answer_is_refused_to_whom_the_check_refuses() {
    let team = team().await;
    let running = team.installation.serve();
    let client = reqwest_client();
    let url = format!("http://{}/t/team/api/v1", running.address);
    let credentials = json!({"passwordCredentials": {"username": "anna", "password": "a-long-password"}});
    let signed_in = client.post(format!("{url}/auth/signin")).json(&credentials).send().await.unwrap();
    let signed_in: serde_json::Value = signed_in.json().await.unwrap();
    let session = signed_in["accessToken"].as_str().unwrap().to_owned();
    let body = json!({"content": "kept", "visibility": "PRIVATE"});
    let made = client.post(format!("{url}/memos?memoId=kept")).bearer_auth(&session).json(&body).send().await.unwrap();
    assert_eq!(made.status(), 200);
    let status = async |token: &str| {
        let asked = client.get(format!("{url}/memos/kept")).bearer_auth(token).send().await.unwrap();
        asked.status().as_u16()
    };
    let database = team.installation.database.superuser().await;
    let schema: String =
        database.query_one("SELECT schema_id FROM holdfast.tenant WHERE slug = 'team'", &[]).await.unwrap().get(0);
    database.batch_execute(&format!("SET search_path = {schema}")).await.unwrap();
    // What is done, what undoes it, and to whom it matters: the personal token, the session's token.
    let secret = "UPDATE setting SET value = jsonb_set(value, '{secretKey}', '\"another, as long as the one before was\"') \
                  WHERE key = 'BASIC'";
    let doings = [
        ("UPDATE member SET archived = true", "UPDATE member SET archived = false", [true, true]),
        ("UPDATE access_token SET expires_ns = 1", "UPDATE access_token SET expires_ns = NULL", [true, false]),
        ("UPDATE access_token SET member_id = -1", "SELECT 1", [true, false]),
        ("UPDATE session SET expires_ns = 1", "UPDATE session SET expires_ns = 9000000000000000000", [false, true]),
        (secret, "SELECT 1", [false, true]),
    ];
    for (sql, undo, [token, of_session]) in doings {
        for _ in 0..3 {
            status(&team.token).await;
            status(&session).await;
        }
        let before = (status(&team.token).await, status(&session).await);
        database.batch_execute(sql).await.unwrap();
        let seen = (status(&team.token).await, status(&session).await);
        let now = |was: u16, refused: bool| if refused { 401 } else { was };
        assert_eq!(seen, (now(before.0, token), now(before.1, of_session)), "after {sql}; before: {before:?}");
        database.batch_execute(undo).await.unwrap();
    }
}

fn reqwest_client() -> reqwest::Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder().timeout(std::time::Duration::from_secs(30)).build().unwrap()
}
