//! An operator brings a team back in the console alone: looks at its points, restores one beside the live tenant, sees what
//! differs in words, swaps, and takes the swap back.

use std::time::Duration;

use serde_json::json;

use super::process::until;
use crate::identity::browser::Browser;
use crate::support::{Answer, Http, Installation, Server};

const PASSWORD: &str = "Correct-Horse-1!";

/// The operator "root" at the console.
struct Operator<'a> {
    browser: Browser,
    server: &'a Server,
}

impl Operator<'_> {
    fn get(&mut self, path: &str) -> Answer {
        self.browser.ask("GET", &format!("http://{}{path}", self.server.address), None)
    }

    fn page(&mut self, path: &str) -> String {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.text()
    }

    fn send(&mut self, path: &str, form: &str) -> Answer {
        self.browser.ask("POST", &format!("http://{}{path}", self.server.address), Some(form))
    }

    /// Sends a form that leads elsewhere.
    fn does(&mut self, path: &str, form: &str) -> String {
        let answer = self.send(path, form);
        assert_eq!(answer.status, 303, "{path}: {}", answer.text());
        answer.header("location").unwrap().to_owned()
    }

    /// Waits until nothing on the page is under way any more, and none of it has failed.
    fn waits(&mut self, path: &str) -> String {
        let mut last = String::new();
        until(Duration::from_secs(60), path, || {
            last = self.page(path);
            !last.contains("data-events=")
        });
        assert!(!last.contains("badge failed"), "{path}: {last}");
        last
    }
}

/// The first name of a point on a page.
fn point_on(page: &str) -> String {
    let at = page.find("/console/points/").expect("a link to a point") + "/console/points/".len();
    page[at..].chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '-').collect()
}

/// The texts of a member's notes.
fn texts(http: &Http, token: &str) -> Vec<String> {
    let listed = http.call("GET", "/api/v1/memos?pageSize=50", Some(token), None);
    assert_eq!(listed.status, 200, "{}", listed.text());
    let notes = listed.json()["memos"].as_array().cloned().unwrap_or_default();
    let mut texts: Vec<String> = notes.iter().map(|note| note["content"].as_str().unwrap().to_owned()).collect();
    texts.sort();
    texts
}

async fn house() -> (Installation, Server) {
    let installation = Installation::create().await;
    let file = installation.folder.path().join("password");
    std::fs::write(&file, PASSWORD).unwrap();
    let file = file.display().to_string();
    installation.must(&["tenant", "create", "team", "--owner", "ann", "--password-file", &file]);
    installation.must(&["operator", "create", "root", "--password-file", &file]);
    let server = installation.serve();
    (installation, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_comes_back_and_goes_again_in_the_console_alone() {
    let (installation, server) = house().await;
    let worker = installation.work("backup,drill,verify,survey,restore,part,compare,swap");
    let http = server.by_path("team");
    let (token, _) = http.sign_in("ann", PASSWORD);
    let write = |text: &str| {
        let body = json!({"content": text, "visibility": "PRIVATE"});
        let made = http.call("POST", "/api/v1/memos", Some(&token), Some(&body));
        made.json()["name"].as_str().unwrap().to_owned()
    };
    let (edited, deleted) = (write("one two three four"), write("to be deleted by mistake"));

    let mut root = Operator { browser: Browser::default(), server: &server };
    root.does("/console/signin", &format!("name=root&password={PASSWORD}"));
    assert_eq!(root.does("/console/tenants/team/backup", ""), "/console/tenants/team");
    let point = point_on(&root.waits("/console/tenants/team"));
    looks_at_the_point(&mut root, &point);

    // what goes wrong meanwhile
    let body = json!({"content": "one two 3 four"});
    assert_eq!(
        http.call("PATCH", &format!("/api/v1/{edited}?updateMask=content"), Some(&token), Some(&body)).status,
        200
    );
    assert_eq!(http.call("DELETE", &format!("/api/v1/{deleted}"), Some(&token), None).status, 200);
    let now = ["new since then", "one two 3 four"];
    write(now[0]);

    restores_beside(&installation, &mut root, &point).await;
    assert_eq!(root.does("/console/tenants/team/compare/copy", ""), "/console/tenants/team/compare/copy");
    let compared = root.waits("/console/tenants/team/compare/copy");
    for told in [
        "3 notes differ",
        "<del>3</del>",
        "<ins>three</ins>",
        "<ins>to be deleted by mistake</ins>",
        "All 1 are the same.",
    ] {
        assert!(compared.contains(told), "{told}: {compared}");
    }
    let part = root.page("/console/tenants/team/compare/copy?show=deleted");
    assert!(part.contains("<del>new since then</del>") && !part.contains("by mistake"), "{part}");

    let plan = root.page("/console/tenants/team/swap/copy");
    assert!(plan.contains("Notes: 1 only in copy, 1 changed, 1 only in team"), "{plan}");
    assert_eq!(root.send("/console/tenants/team/swap/copy", "days=3").status, 422);
    assert_eq!(texts(&http, &token), now, "nothing has happened yet");
    let run = root.does("/console/tenants/team/swap/copy", "days=30");
    assert!(root.waits(&run).contains("Take it back"), "the run leads on");
    assert_eq!(texts(&http, &token), ["one two three four", "to be deleted by mistake"]);
    assert!(root.page("/console/tenants/team").contains("Something else took its place"));
    assert_eq!(root.send("/console/tenants/team/swap/copy", "days=30").status, 422, "copy is not closed any more");

    let run = root.does("/console/tenants/team/undo", "days=7");
    root.waits(&run);
    assert_eq!(texts(&http, &token), now);
    assert_eq!(root.send("/console/tenants/team/undo", "days=7").status, 404, "there is nothing more to take back");
    brings_one_note_back(&mut root, &point, &deleted);
    assert_eq!(texts(&http, &token), [now[0], now[1], "to be deleted by mistake"]);
    drills(&mut root);
    super::metrics::everything_is_measured(server.ops, worker.ops, &["team", "copy"]);
    drop(worker);
    cancels(&mut root);
    every_action_is_in_the_audit(&installation);
}

/// The note that is missed, by its old link: looked at first, then brought.
fn brings_one_note_back(root: &mut Operator<'_>, point: &str, deleted: &str) {
    let path = format!("/console/points/{point}/part");
    assert!(root.page(&path).contains("Look what would come back"));
    assert_eq!(root.send(&path, "what=note&name=+").status, 422);
    let looked =
        root.does(&path, &format!("what=note&name=https%3A%2F%2Fnotes.example.org%2F{}", deleted.replace('/', "%2F")));
    let page = root.waits(&looked);
    assert!(page.contains("1 note would come back; nothing was written"), "{page}");
    let plan = root.page(&format!("{looked}/part"));
    assert!(plan.contains("Nobody is notified") && plan.contains("Comes back</dt><dd>1 note</dd>"), "{plan}");
    let run = root.does(&format!("{looked}/part"), "");
    let page = root.waits(&run);
    assert!(page.contains("1 note came back") && page.contains("holdfast restore note"), "{page}");
    let nothing = root.does(&path, "what=member&name=ann");
    let page = root.waits(&nothing);
    assert!(page.contains("nothing would come back") && !page.contains(&format!("{nothing}/part")), "{page}");
    assert_eq!(root.get(&format!("{nothing}/part")).status, 404, "there is nothing to be brought");
    assert_eq!(root.get(&format!("{run}/part")).status, 404, "that was done");
}

/// A rehearsal by the worker.
fn drills(root: &mut Operator<'_>) {
    assert_eq!(root.does("/console/tenants/team/drill", ""), "/console/tenants/team");
    until(Duration::from_secs(180), "the point is proven", || {
        root.page("/console/tenants/team").contains("notes matched")
    });
}

/// Nobody works: what waits can be cancelled, once.
fn cancels(root: &mut Operator<'_>) {
    root.does("/console/tenants/team/survey", "");
    let list = root.page("/console/tenants/team/points");
    let at = list.find("/console/runs/").expect("the run that waits") + "/console/runs/".len();
    let run: String = list[at..].chars().take_while(char::is_ascii_digit).collect();
    let run = format!("/console/runs/{run}");
    assert!(root.page(&run).contains("Cancel it"));
    assert_eq!(root.does(&format!("{run}/cancel"), ""), run);
    let page = root.page(&run);
    assert!(page.contains("Cancelled before it had begun.") && page.contains("cancelled by root"), "{page}");
    assert!(!page.contains("Cancel it"), "{page}");
    assert_eq!(root.does(&format!("{run}/cancel"), ""), run);
    assert!(root.page(&run).contains("Too late"));
}

/// Its page, what it depends on, read back, kept.
fn looks_at_the_point(root: &mut Operator<'_>, point: &str) {
    let page = format!("/console/points/{point}");
    assert!(root.page(&page).contains("Not looked up yet"), "nobody has looked what it depends on");
    assert_eq!(root.does("/console/tenants/team/survey", ""), "/console/tenants/team/points");
    let list = root.waits("/console/tenants/team/points");
    assert!(list.contains("stands alone") && list.contains("no point is proven yet"), "{list}");
    assert_eq!(root.does(&format!("{page}/verify"), ""), page);
    root.waits(&page);
    assert_eq!(root.send(&format!("{page}/keep"), "reason=&until=30").status, 422, "a reason is needed");
    assert_eq!(root.does(&format!("{page}/keep"), "reason=before+the+move&until=30"), page);
    let kept = root.page(&page);
    assert!(kept.contains("before the move") && kept.contains("It stands alone."), "{kept}");
    assert_eq!(root.get("/console/points/20260101T000000Z-00000000").status, 404);
}

/// The plan, once more who one is, and the run.
async fn restores_beside(installation: &Installation, root: &mut Operator<'_>, point: &str) {
    let path = format!("/console/points/{point}/restore");
    let client = installation.database.superuser().await;
    let sql = "UPDATE holdfast.operator_session SET proved_at = proved_at - interval '601 seconds'";
    client.execute(sql, &[]).await.unwrap();
    assert_eq!(root.does(&path, "slug=copy"), format!("/console/confirm?next={path}"), "nothing is done unasked");
    assert_eq!(root.does("/console/confirm", &format!("password={PASSWORD}&next={path}")), path);
    let plan = root.page(&path);
    assert!(plan.contains("2 notes") && plan.contains("closed and quiet") && plan.contains("not measured"), "{plan}");
    assert_eq!(root.send(&path, "slug=team").status, 422, "the name is taken");
    assert_eq!(root.send(&path, "slug=No+Slug").status, 422);
    let run = root.does(&path, "slug=copy");
    let ended = root.waits(&run);
    assert!(ended.contains("every table equal") && ended.contains("Compare team with copy"), "{ended}");
    assert_eq!(installation.must(&["tenant", "show", "copy"])["state"], "closed");
    assert!(root.page("/console/tenants/team").contains("Restored beside it"));
}

fn every_action_is_in_the_audit(installation: &Installation) {
    let events = installation.must(&["audit", "tail"])["items"].as_array().cloned().unwrap_or_default();
    let by_root: Vec<&str> = events
        .iter()
        .filter(|event| event["actor"] == "operator:root")
        .filter_map(|event| event["event"].as_str())
        .collect();
    for event in [
        "backup.asked",
        "point.taken",
        "points.survey.asked",
        "point.verify.asked",
        "point.verified",
        "point.kept",
        "restore.asked",
        "restore.part.looked",
        "restore.part.asked",
        "restore.part",
        "run.cancel.asked",
        "tenant.restored",
        "compare.asked",
        "swap.asked",
        "tenant.swapped",
        "swap.undo.asked",
        "tenant.swap.undone",
    ] {
        assert!(by_root.contains(&event), "{event} is not in {by_root:?}");
    }
}
