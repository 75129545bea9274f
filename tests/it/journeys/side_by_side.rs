//! Two servers on one database while a schema step goes over the tenants: those at the old version and those at the new one are
//! served all the while, the one whose step fails stays as it was, and one goes back.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use backup::{Backup, DrillOptions, KeyDirectory, Verdict};
use objects::{FileStore, ObjectStore};
use serde_json::json;
use store::TenantStep;

use super::http::Client;
use super::process::{Installation, until};
use super::reading::database;

const TENANTS: [&str; 4] = ["apple", "berry", "cherry", "zebra"];

/// What was answered: tenant and name of the note, or status.
type Answers = Arc<Mutex<Vec<(String, Result<String, u16>)>>>;

/// The steps of this executable and one that only adds, as every step of ours begins.
fn one_more() -> Vec<TenantStep> {
    let mut steps = TenantStep::all();
    let version = store::TENANT_VERSION + 1;
    let sql = "ALTER TABLE note ADD COLUMN mood text NOT NULL DEFAULT 'calm';\nCREATE TABLE mood_seen (id bigint PRIMARY KEY);\n";
    steps.push(TenantStep { version, sql: sql.to_owned() });
    steps
}

/// Writes and lists on every tenant, by turns at either server.
fn write_on(servers: &[String], tokens: &[(String, String)], stop: &AtomicBool, answers: &Answers) {
    std::thread::scope(|scope| {
        for (slug, token) in tokens {
            scope.spawn(move || {
                for turn in 0_usize.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let client = Client::new(format!("{}/t/{slug}", servers[turn % servers.len()]), Some(token));
                    let body = json!({"content": format!("turn {turn}"), "visibility": "PRIVATE"});
                    let answer = client.send("POST", "/api/v1/memos", Some(&body)).unwrap();
                    let told = match answer.status {
                        200 => Ok(answer.json()["name"].as_str().unwrap().to_owned()),
                        status => Err(status),
                    };
                    answers.lock().unwrap().push((slug.clone(), told));
                    let listed = client.send("GET", "/api/v1/memos?pageSize=5", None).unwrap();
                    if listed.status != 200 {
                        answers.lock().unwrap().push((slug.clone(), Err(listed.status)));
                    }
                }
            });
        }
    });
}

#[test]
fn tenants_of_two_versions_are_served_by_two_servers() {
    let (url, database) = database();
    let place = Installation::on(&url);
    let tokens: Vec<_> = TENANTS.iter().map(|slug| ((*slug).to_owned(), place.tenant(slug))).collect();
    let schema = |slug: &str| place.run(&["tenant", "show", slug]).ok()["schema"].as_str().unwrap().to_owned();
    let third = schema("cherry");
    database.sql(&format!(
        "CREATE TABLE {third}.mood_seen (other text PRIMARY KEY); GRANT SELECT ON {third}.mood_seen TO {third}"
    ));
    let servers = [place.serve(&["--no-worker"]), place.serve(&["--no-worker"])];
    let urls: Vec<String> = servers.iter().map(super::process::Service::url).collect();
    let (stop, answers) = (Arc::new(AtomicBool::new(false)), Answers::default());
    let writing = {
        let (stop, answers, tokens) = (Arc::clone(&stop), Arc::clone(&answers), tokens.clone());
        std::thread::spawn(move || write_on(&urls, &tokens, &stop, &answers))
    };
    let written = || answers.lock().unwrap().len();
    let more = |what: &str| {
        let known = written();
        until(std::time::Duration::from_secs(60), what, || written() > known + 40);
    };
    more("writing goes on before the step");

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let backup = runtime.block_on(async {
        let store = store::Store::connect(store::Config::from_url(&url, None, None).unwrap()).await.unwrap();
        store.attach().await.unwrap();
        let files = FileStore::over(ObjectStore::directory(place.path("files")).unwrap());
        let objects = ObjectStore::directory(place.path("store")).unwrap();
        let mut backup = Backup::new(store, objects, files, KeyDirectory::open(&place.data().join("keys")).unwrap().0);
        backup.steps = one_more().into();
        backup
    });
    let report = runtime.block_on(backup.apply_steps("test")).unwrap();
    let failed: Vec<_> =
        report.tenants.iter().filter(|one| one.problem.is_some()).map(|one| one.tenant.as_str()).collect();
    assert_eq!((report.tenants.len(), failed), (4, vec!["cherry"]), "{report:?}");
    more("writing goes on at both versions");

    // one goes back to where it was, beside tenants that stay
    let before = runtime.block_on(backup.roll_back("berry", "test")).unwrap();
    more("writing goes on after the way back");
    stop.store(true, Ordering::Relaxed);
    writing.join().unwrap();
    let all = answers.lock().unwrap().clone();
    let refused: Vec<_> = all.iter().filter(|(slug, told)| slug != "berry" && told.is_err()).collect();
    assert!(refused.is_empty(), "nobody else noticed anything: {refused:?}");
    let at_swap = all.iter().filter(|(slug, told)| slug == "berry" && told.is_err()).count();
    for (slug, token) in &tokens {
        let client = Client::new(format!("{}/t/{slug}", servers[0].url()), Some(token));
        let there: Vec<String> = client
            .pages("/api/v1/memos", "memos")
            .iter()
            .map(|note| note["name"].as_str().unwrap().to_owned())
            .collect();
        let mut kept = there.into_iter().collect::<BTreeSet<_>>();
        if slug == "berry" {
            // what was written since the step is beside, told, and not lost
            let beside = schema(&before.swap.other);
            kept.extend(database.sql(&format!("SELECT 'memos/' || uid FROM {beside}.note")).lines().map(str::to_owned));
            assert!(!before.written_since.is_empty(), "{before:?}");
        }
        let lost =
            all.iter().filter(|(whose, told)| whose == slug && told.as_ref().is_ok_and(|name| !kept.contains(name)));
        assert_eq!(lost.count(), 0, "{slug}");
    }
    let versions = database.sql("SELECT slug || ' ' || version FROM holdfast.tenant WHERE slug IN ('apple','berry','cherry','zebra') ORDER BY slug");
    let (old, new) = (store::TENANT_VERSION, store::TENANT_VERSION + 1);
    assert_eq!(versions, format!("apple {new}\nberry {old}\ncherry {old}\nzebra {new}"));
    // a point from before the step is proven on the version after it
    let options = DrillOptions {
        faults: Vec::new(),
        ..DrillOptions::full(env!("CARGO_BIN_EXE_holdfast").into(), place.path("reports"))
    };
    let drill = runtime.block_on(backup.drill(&before.point, &options)).unwrap();
    assert_eq!(drill.verdict, Verdict::Pass, "{:?}", drill.differences);
    println!("{} answers, {at_swap} of berry refused while it was swapped", all.len());
    servers.into_iter().for_each(super::process::Service::stop);
}
