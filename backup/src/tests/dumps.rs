//! `pg_dump` into the store: restored with stock tools, and never half there.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use domain::chance::Chance;
use objects::keys as layout;
use runtime::postgres::{Cluster, Spec};
use store::{Config, Removal, Store, TenantScope, WalArchiving};
use testkit::pg::{SUPERUSER, server};

use super::{Lab, ThroughS3};
use crate::DumpSource;
use crate::compare::compare;
use crate::restore::Place;

fn source(lab: &Lab) -> DumpSource {
    DumpSource {
        programs: None,
        host: server().socket.display().to_string(),
        port: server().port,
        user: SUPERUSER.to_owned(),
        database: lab.database.name.clone(),
        password_file: None,
        ca_file: None,
        superuser: true,
    }
}

/// Opens a stored dump with the drill identity and age's own program.
fn opened(lab: &Lab, key: &str, to: &Path) {
    let identity = lab.folder.path().join("keys/drill.key");
    let done = Command::new("age").args(["-d", "-i"]).arg(identity).arg("-o").arg(to).arg(lab.file_of(key)).status();
    assert!(done.unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_and_its_roles_restore_with_stock_tools_into_an_empty_cluster() {
    let lab = Lab::new().await;
    lab.fill(25, &Chance::seeded(20)).await;
    let point = lab.point().await;
    let sealed = lab.backup.open_point(&lab.backup.source(), &point.point).await.unwrap().sealed;
    let report = lab.backup.dump(&source(&lab), "command").await.unwrap();
    assert_eq!(report.key, layout::dump(&lab.database.name, &report.dump, layout::DumpPart::Dump));
    let listed = lab.backup.store.control().list_dumps(10).await.unwrap();
    assert_eq!((listed.len(), listed[0].sha256_stored.clone()), (1, report.sha256_stored.to_string()));

    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (dump, globals) = (folder.path().join("dump"), folder.path().join("globals.sql"));
    opened(&lab, &report.key, &dump);
    opened(&lab, &report.globals_key, &globals);
    let cluster = Cluster::open(Spec::scratch(folder.path(), None)).await.unwrap();
    let address = cluster.address();
    let tool = |name: &str, arguments: &[&str]| {
        let mut command = Command::new(name);
        command.arg("-h").arg(&address.socket_dir).args(["-p", &address.port.to_string(), "-U", &address.superuser]);
        command.args(arguments).output().unwrap()
    };
    tool("psql", &["-q", "-d", "postgres", "-f", globals.to_str().unwrap()]);
    assert!(tool("createdb", &["back"]).status.success());
    let restored = tool("pg_restore", &["-d", "back", "--exit-on-error", dump.to_str().unwrap()]);
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));

    let config = Config {
        host: address.socket_dir.display().to_string(),
        port: address.port,
        database: "back".to_owned(),
        ..lab.database.config.clone()
    };
    let store = Store::connect(config).await.unwrap();
    store.attach().await.unwrap();
    let tenant = store.registry().by_slug("team").await.unwrap().unwrap();
    let scope = TenantScope::for_command(tenant, "test");
    let tables = compare(&store, &scope, &sealed, &Place::Exact).await.unwrap();
    assert!(tables.len() > 10 && tables.iter().all(|table| table.equal), "{tables:?}");
    drop(store);
    cluster.stop().await.unwrap();
    archiving_is_seen(folder.path(), &lab).await;
}

/// The same cluster, with its log handed on, and then failing to be.
async fn archiving_is_seen(folder: &Path, lab: &Lab) {
    let settings = folder.join("pg/postgresql.auto.conf");
    let set = |command: &str| {
        std::fs::write(&settings, format!("archive_mode = on\narchive_command = '{command}'\n")).unwrap();
    };
    set("test -f %p # pgbackrest archive-push");
    let cluster = Cluster::open(Spec::scratch(folder, None)).await.unwrap();
    let address = cluster.address();
    let config = Config {
        host: address.socket_dir.display().to_string(),
        port: address.port,
        database: "back".to_owned(),
        ..lab.database.config.clone()
    };
    let run = |sql: &str| {
        let mut command = Command::new("psql");
        command.arg("-h").arg(&address.socket_dir).args(["-p", &address.port.to_string(), "-U", &address.superuser]);
        assert!(command.args(["-qXo", "/dev/null", "-d", "postgres", "-c", sql]).status().unwrap().success());
    };
    let store = Store::connect(config).await.unwrap();
    run("CREATE TABLE noise AS SELECT 1 AS one");
    run("SELECT pg_switch_wal()");
    let seen = until(&store, |seen| seen.archived > 0).await;
    assert!(seen.on && seen.command.contains("pgbackrest") && seen.last_archived_seconds.is_some(), "{seen:?}");
    set("false");
    run("SELECT pg_reload_conf()");
    // the archiver hears of it a little later
    let seen = until(&store, |seen| {
        run("SELECT pg_logical_emit_message(true, 'one', 'more')");
        run("SELECT pg_switch_wal()");
        seen.failed > 0
    })
    .await;
    assert!(seen.last_failed_seconds.is_some(), "{seen:?}");
    drop(store);
    cluster.stop().await.unwrap();
}

async fn until(store: &Store, done: impl Fn(&WalArchiving) -> bool) -> WalArchiving {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let seen = store.wal_archiving().await.unwrap();
        if done(&seen) {
            return seen;
        }
        assert!(std::time::Instant::now() < deadline, "{seen:?}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_that_ends_badly_leaves_nothing_that_counts() {
    let lab = Lab::new().await;
    let programs = tempfile::tempdir().unwrap();
    let tool = programs.path().join("pg_dump");
    std::fs::write(&tool, "#!/bin/sh\nhead -c 12000000 /dev/zero\necho lost the connection >&2\nkill -9 $$\n").unwrap();
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    let broken = DumpSource { programs: Some(programs.path().to_owned()), ..source(&lab) };
    let error = lab.backup.dump(&broken, "command").await.unwrap_err();
    assert!(error.to_string().contains("signal: 9") && error.to_string().contains("lost the connection"), "{error}");
    assert!(lab.backup.objects.list("d/").await.unwrap().is_empty());
    assert!(lab.backup.store.control().list_dumps(10).await.unwrap().is_empty());
    let nothing = DumpSource { database: "no_such_database".to_owned(), ..source(&lab) };
    let error = lab.backup.dump(&nothing, "command").await.unwrap_err();
    assert!(error.to_string().contains("no_such_database"), "{error}");
}

/// As if everything had been dumped some days earlier.
async fn back_in_time(lab: &Lab, dump: &str, days: u32) {
    let sql =
        format!("UPDATE holdfast.dump SET created_at = created_at - interval '{days} days' WHERE dump = '{dump}'");
    lab.sql(&sql).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dumps_go_after_their_days_and_the_certificate_of_a_deleted_tenant_follows() {
    let lab = Lab::new().await;
    lab.fill(2, &Chance::seeded(21)).await;
    let (first, second) =
        (lab.backup.dump(&source(&lab), "test").await.unwrap(), lab.backup.dump(&source(&lab), "test").await.unwrap());
    back_in_time(&lab, &first.dump, 9).await;
    back_in_time(&lab, &second.dump, 8).await;
    lab.backup.store.remove_tenant(lab.tenant.id, Removal::Ordered, None).await.unwrap();
    lab.backup.purge_deleted(Some("team"), "command").await.unwrap();
    let said = async || lab.backup.certificates(Some("team")).await.unwrap()[0].read().unwrap();
    let deleting = said().await;
    assert_eq!((deleting.state.as_str(), deleting.dumps.len(), deleting.newer_dump_needed), ("deleting", 2, true));
    let rows = lab.backup.store.control().list_dumps(9).await.unwrap();
    let day = rows[0].created_at + time::Duration::days(7);
    assert_eq!(deleting.dumps_expire_at, Some(crate::snapshot::rfc3339(day)), "the newer of the two names the day");

    // half a dump of a killed process, and one that somebody else took
    let half = layout::dump(&lab.database.name, "20200101T000000Z-00000000", layout::DumpPart::Globals);
    let strange = layout::dump("elsewhere", "20200101T000000Z-00000000", layout::DumpPart::Description);
    for key in [&half, &strange] {
        lab.backup.objects.put(key, "x", objects::PutOptions::default()).await.unwrap();
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3 * 86_400);
        std::fs::File::options().write(true).open(lab.file_of(key)).unwrap().set_modified(old).unwrap();
    }
    let dry = lab.backup.prune(None, true, "command").await.unwrap();
    assert_eq!((dry.dumps_removed[0].dump.as_str(), dry.dumps_removed.len()), (first.dump.as_str(), 1));
    assert_eq!(dry.dumps_kept[0].reasons, ["the newest good one"]);
    assert_eq!(lab.backup.objects.list("d/").await.unwrap().len(), 8, "dry");
    assert!(dry.warnings[0].contains("d/elsewhere/"), "{dry:?}");
    let done = lab.backup.prune(None, false, "command").await.unwrap();
    assert_eq!((done.dumps_removed.len(), done.dumps_kept.len(), done.swept), (1, 1, 1), "{done:?}");
    assert!(!lab.file_of(&first.key).exists() && !lab.file_of(&half).exists() && lab.file_of(&second.key).exists());
    let fewer = said().await;
    assert_eq!((fewer.state.as_str(), fewer.dumps), ("deleting", vec![second.dump.clone()]));

    // the newest does not read whole: the one before it stays
    let third = lab.backup.dump(&source(&lab), "test").await.unwrap();
    let bytes = std::fs::read(lab.file_of(&third.key)).unwrap();
    std::fs::write(lab.file_of(&third.key), &bytes[1..]).unwrap();
    let done = lab.backup.prune(None, false, "command").await.unwrap();
    assert!(done.dumps_removed.is_empty(), "{done:?}");
    assert!(!said().await.newer_dump_needed, "there is one, if a bad one");
    std::fs::write(lab.file_of(&third.key), &bytes).unwrap();
    let done = lab.backup.prune(None, false, "command").await.unwrap();
    assert_eq!(done.dumps_removed[0].dump, second.dump);
    let gone = lab.backup.certificates(Some("team")).await.unwrap();
    let last = gone[0].read().unwrap();
    assert!(gone[0].is_good() && last.state == "deleted" && last.renewed_at.is_some(), "{last:?}");
    assert_eq!((last.purged_at, last.keys, last.dumps_expire_at), (deleting.purged_at, deleting.keys, None));
    let events = lab.sql_text("SELECT string_agg(event, ' ' ORDER BY seq) FROM holdfast.audit_event").await;
    assert_eq!(events.matches("dump.removed").count(), 2, "{events}");
    assert!(events.ends_with("key.certificate_renewed"), "{events}");
}

/// Other bytes in the middle of an object, and no fewer; what was there.
fn overwritten(lab: &Lab, key: &str) -> Vec<u8> {
    let bytes = std::fs::read(lab.file_of(key)).unwrap();
    let mut other = bytes.clone();
    let middle = other.len() / 2;
    other[middle..middle + 4].iter_mut().for_each(|byte| *byte ^= 0x55);
    std::fs::write(lab.file_of(key), &other).unwrap();
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_dump_goes_for_a_newer_one_that_does_not_read_back() {
    let lab = Lab::new().await;
    lab.fill(2, &Chance::seeded(22)).await;
    let take = async || lab.backup.dump(&source(&lab), "test").await.unwrap();
    let (first, second) = (take().await, take().await);
    back_in_time(&lab, &first.dump, 9).await;
    let bytes = overwritten(&lab, &second.key);
    // also before anything is removed: a dry run reads what it would rely on, and writes nothing down
    for dry in [true, false] {
        let report = lab.backup.prune(None, dry, "command").await.unwrap();
        assert!(report.dumps_removed.is_empty(), "{report:?}");
        let kept = report.dumps_kept.iter().find(|kept| kept.dump == first.dump).unwrap();
        assert_eq!(kept.reasons, ["the newest good one"], "dry: {dry}");
        assert!(report.warnings[0].contains(&second.dump) && report.warnings[0].contains("altered"), "{report:?}");
        let noted = lab.backup.store.control().find_dump(&second.dump).await.unwrap().unwrap();
        assert_eq!((noted.problem.is_some(), noted.read_at.is_some()), (!dry, !dry));
    }
    // mended, and that is seen by reading it back alone
    std::fs::write(lab.file_of(&second.key), &bytes).unwrap();
    let still = lab.backup.prune(None, false, "command").await.unwrap();
    assert!(still.dumps_removed.is_empty() && still.warnings.len() == 1, "{still:?}");
    let good = lab.backup.verify_dump(&second.dump, true, "command").await.unwrap().unwrap();
    assert_eq!((good.state, good.seen.problems.len()), ("verified", 0), "{good:?}");
    assert!(good.seen.bytes > second.bytes, "roles, too");

    // its roles are damaged meanwhile: what was read lately counts, and a week later it is read again
    overwritten(&lab, &second.globals_key);
    lab.sql("UPDATE holdfast.dump SET read_at = read_at - interval '8 days'").await;
    let report = lab.backup.prune(None, false, "command").await.unwrap();
    assert!(report.dumps_removed.is_empty() && report.warnings[0].contains("globals"), "{report:?}");
    let bad = lab.backup.verify_dump(&second.dump, false, "command").await.unwrap().unwrap();
    assert_eq!((bad.state, bad.seen.problems[0].problem), ("damaged", crate::ProblemKind::Altered), "{bad:?}");
    assert!(lab.backup.verify_dump("20200101T000000Z-00000000", false, "command").await.unwrap().is_none());
    // with a good one that is newer, the older ones go by their age, damaged or not
    back_in_time(&lab, &second.dump, 8).await;
    let third = take().await;
    let done = lab.backup.prune(None, false, "command").await.unwrap();
    assert_eq!((done.dumps_removed.len(), done.dumps_kept[0].dump.as_str()), (2, third.dump.as_str()), "{done:?}");
    let events = lab.sql_text("SELECT string_agg(event, ' ') FROM holdfast.audit_event").await;
    assert_eq!(events.matches("dump.verified").count(), 7, "{events}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_stays_in_the_books_while_a_store_holds_it() {
    let mut lab = Lab::new().await;
    let (first, _) =
        (lab.backup.dump(&source(&lab), "test").await.unwrap(), lab.backup.dump(&source(&lab), "test").await.unwrap());
    back_in_time(&lab, &first.dump, 8).await;
    let second = ThroughS3::before(&lab).await;
    second.relay.set(testkit::faults::Fault::Refuse { after: 0, status: 403, code: "AccessDenied" });
    lab.backup.copies = vec![second.store.clone()];
    let report = lab.backup.prune(None, false, "command").await.unwrap();
    assert!(report.dumps_removed.is_empty() && report.warnings[0].contains(&first.dump), "{report:?}");
    assert_eq!(lab.backup.store.control().list_dumps(9).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pg_dump_older_than_the_server_is_refused_before_anything_is_sent() {
    let lab = Lab::new().await;
    let programs = tempfile::tempdir().unwrap();
    let tool = programs.path().join("pg_dump");
    std::fs::write(&tool, "#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n").unwrap();
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    let old = DumpSource { programs: Some(programs.path().to_owned()), ..source(&lab) };
    let refused = lab.backup.dump(&old, "command").await.unwrap_err();
    assert!(matches!(refused, crate::Error::Refused(_)), "{refused}");
    assert!(refused.to_string().contains("pg_dump is of PostgreSQL 9 and the server of PostgreSQL 1"), "{refused}");
    assert!(lab.backup.objects.list("d/").await.unwrap().is_empty());
}

/// As if an object had been written some days earlier.
fn aged(lab: &Lab, key: &str) {
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3 * 86_400);
    std::fs::File::options().write(true).open(lab.file_of(key)).unwrap().set_modified(old).unwrap();
}

/// A store of its own behind a relay.
struct Elsewhere {
    store: objects::ObjectStore,
    relay: testkit::faults::FaultyStore,
}

async fn bucket_elsewhere(root: &Path) -> (Elsewhere, runtime::s3::S3Server) {
    std::fs::create_dir(root).unwrap();
    let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let server = runtime::s3::S3Server::start(root, listen, "access", "not so secret").await.unwrap();
    let target = server.url().trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
    let relay = testkit::faults::FaultyStore::before(target);
    let config = objects::S3Config::new(format!("http://{}", relay.address), "copies", "access", "not so secret");
    let store = objects::ObjectStore::s3(objects::S3Config { attempts: 1, ..config }).unwrap();
    store.create().await.unwrap();
    (Elsewhere { store, relay }, server)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_is_brought_to_every_store_and_goes_from_all() {
    let mut lab = Lab::new().await;
    let nas = tempfile::tempdir().unwrap();
    let folder = objects::ObjectStore::directory(nas.path().join("folder")).unwrap();
    let (second, _server) = bucket_elsewhere(&nas.path().join("s3")).await;
    lab.backup.copies = vec![folder.clone(), second.store.clone()];
    second.relay.set(testkit::faults::Fault::Refuse { after: 0, status: 403, code: "AccessDenied" });
    let first = lab.backup.dump(&source(&lab), "test").await.unwrap();
    assert!(first.warnings.len() == 1 && first.warnings[0].contains(&second.store.location()), "{:?}", first.warnings);
    let same = async |store: &objects::ObjectStore, key: &str| {
        store.get(key).await.ok() == Some(lab.backup.objects.get(key).await.unwrap())
    };
    let description = layout::dump(&first.database, &first.dump, layout::DumpPart::Description);
    let all = [&first.key, &first.globals_key, &description];
    for key in all {
        assert!(same(&folder, key).await, "{key}");
    }
    // the store that was away gets it with the next prune, and what a store holds in part is brought again
    second.relay.set(testkit::faults::Fault::None);
    folder.put(&first.key, "half", objects::PutOptions::default()).await.unwrap();
    let pruned = lab.backup.prune(None, false, "test").await.unwrap();
    assert!(pruned.warnings.is_empty(), "{pruned:?}");
    for key in all {
        assert!(same(&folder, key).await && same(&second.store, key).await, "{key}");
    }
    // what arrives damaged is told, and does not count
    second.relay.set(testkit::faults::Fault::Flip(".dump.age"));
    let damaged = lab.backup.dump(&source(&lab), "test").await.unwrap();
    assert!(damaged.warnings.len() == 1 && damaged.warnings[0].contains("read back"), "{:?}", damaged.warnings);
    let described = layout::dump(&damaged.database, &damaged.dump, layout::DumpPart::Description);
    assert!(!second.store.exists(&described).await.unwrap());
    second.relay.set(testkit::faults::Fault::None);
    // and it goes from all of them
    back_in_time(&lab, &first.dump, 8).await;
    let pruned = lab.backup.prune(None, false, "test").await.unwrap();
    assert_eq!(pruned.dumps_removed.len(), 1, "{pruned:?}");
    for store in [&lab.backup.objects, &folder, &second.store] {
        let left: Vec<String> = store.list("d/").await.unwrap().into_iter().map(|object| object.key).collect();
        assert!(left.len() == 3 && left.iter().all(|key| key.contains(&damaged.dump)), "{left:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_that_the_books_have_lost_comes_back_into_them_and_nobody_elses_does() {
    let lab = Lab::new().await;
    let (ours, other) =
        (lab.backup.dump(&source(&lab), "test").await.unwrap(), lab.backup.dump(&source(&lab), "test").await.unwrap());
    let books = async || lab.backup.store.control().list_dumps(9).await.unwrap();
    let before = books().await.into_iter().find(|row| row.dump == ours.dump).unwrap();
    // as after a loss, when the control plane came back from an older point; the other's description was changed since
    lab.sql("DELETE FROM holdfast.dump").await;
    let described = |dump: &str| layout::dump(&lab.database.name, dump, layout::DumpPart::Description);
    let changed = described(&other.dump);
    let text = String::from_utf8(lab.backup.objects.get(&changed).await.unwrap().to_vec()).unwrap();
    let later = text.replace(&other.created_at, "2031-01-01T00:00:00Z");
    assert_ne!(text, later);
    lab.backup.objects.put(&changed, later, objects::PutOptions::default()).await.unwrap();
    let young = lab.backup.prune(None, false, "test").await.unwrap();
    assert!(young.dumps_found.is_empty() && young.warnings.is_empty(), "it may be about to enter the books: {young:?}");
    for dump in [&ours.dump, &other.dump] {
        aged(&lab, &described(dump));
    }
    let dry = lab.backup.prune(None, true, "test").await.unwrap();
    assert_eq!((dry.dumps_found.len(), books().await.len()), (1, 0), "{dry:?}");
    let done = lab.backup.prune(None, false, "test").await.unwrap();
    assert_eq!(done.dumps_found[0].dump, ours.dump);
    assert_eq!(done.dumps_kept[0].reasons[0], "the newest good one", "and the rules go for it: {done:?}");
    assert!(done.warnings.len() == 1 && done.warnings[0].contains("signed by somebody else"), "{done:?}");
    assert!(lab.file_of(&other.key).exists(), "what is not ours stays");
    let row = books().await.pop().unwrap();
    assert_eq!(
        (&row.dump, &row.key, row.bytes, &row.sha256_stored),
        (&before.dump, &before.key, before.bytes, &before.sha256_stored)
    );
    assert!((row.created_at - before.created_at).abs() < time::Duration::seconds(1));
    let events = lab.sql_text("SELECT string_agg(event, ' ') FROM holdfast.audit_event").await;
    assert_eq!(events.matches("dump.found").count(), 1, "{events}");
    // its objects are not all there: named, and not taken
    lab.sql("DELETE FROM holdfast.dump").await;
    lab.backup.objects.delete(&ours.globals_key).await.unwrap();
    let done = lab.backup.prune(None, false, "test").await.unwrap();
    assert!(done.dumps_found.is_empty() && done.warnings.len() == 2, "{done:?}");
}
