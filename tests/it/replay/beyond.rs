//! Recorded exchanges beyond the RPCs: MCP, and what event streams were told during writes.

use serde_json::Value;
use testkit::fixtures::fixture;

use super::recording::{Exchange, group};
use super::run::{Callers, Tally, truth};
use crate::support::{Http, Installation, Listener, Server};

struct Ready {
    _installation: Installation,
    _server: Server,
    http: Http,
    callers: Callers,
    recordings: std::path::PathBuf,
}

async fn ready() -> Option<Ready> {
    let (memos, recordings) = (fixture("memos-0.30.0")?, fixture("recordings-0.30.0")?);
    let installation = Installation::create().await;
    installation.import(&memos, "rec");
    let place = ["--public-url", "https://notes.example.com", "--host", "notes.example.com"];
    installation.must(&[&["tenant", "set", "rec"], &place[..]].concat());
    let server = installation.serve();
    let http = server.by_host("notes.example.com");
    let callers = Callers::sign_in(&http, &truth(&memos));
    Some(Ready { _installation: installation, _server: server, http, callers, recordings })
}

#[tokio::test(flavor = "multi_thread")]
async fn mcp_answers_as_recorded() {
    let Some(ready) = ready().await else { return };
    let mut tally = Tally::default();
    tally.replay(&ready.http, &ready.callers, "mcp", &group(&ready.recordings, "write-mcp"));
    tally.conclude("mcp");
    tally.check();
    assert_eq!(tally.equal, tally.asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn event_streams_are_told_what_was_recorded() {
    let Some(ready) = ready().await else { return };
    let mut before = Tally::default();
    let mut earlier = group(&ready.recordings, "write-memo-create");
    // The one exchange of another group that a recorded answer shows.
    earlier.retain(|exchange| exchange.request.path.ends_with("memoId=rec-a14"));
    before.replay(&ready.http, &ready.callers, "before", &earlier);
    let mut tally = Tally::default();
    tally.replay(&ready.http, &ready.callers, "sse", &group(&ready.recordings, "write-sse"));
    let writes: Vec<Exchange> = group(&ready.recordings, "write-sse-writes");
    let text = std::fs::read(ready.recordings.join("write-sse-writes.json")).unwrap();
    let recorded: Vec<Value> = serde_json::from_slice(&text).unwrap();
    let mut listeners: Vec<(&str, Listener)> =
        ["member", "owner", "admin"].map(|who| (who, Listener::open(&ready.http, &ready.callers.0[who]))).into();
    let mut problems = Vec::new();
    for (exchange, row) in writes.iter().zip(&recorded) {
        tally.replay(&ready.http, &ready.callers, &exchange.id, std::slice::from_ref(exchange));
        for (who, listener) in &mut listeners {
            for line in row["events"][*who].as_array().into_iter().flatten() {
                let heard = listener.next_event();
                if heard.as_deref() != line.as_str() {
                    problems.push(format!("{} {who}: expected {line}, heard {heard:?}", exchange.id));
                }
            }
        }
    }
    for (who, listener) in &mut listeners {
        let more = listener.waiting();
        if !more.is_empty() {
            problems.push(format!("{who} heard more: {more:?}"));
        }
    }
    tally.conclude("events");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    tally.check();
    assert_eq!(tally.equal, tally.asked);
}
