//! The dump of the instance and the Markdown of a point, read with stock tools only.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::cluster::{Cluster, newest_programs};
use super::kills::{children, signal};
use super::process::{Installation, Service, listing, program, tool, wait};
use super::reading::{Superuser, open_point, sample, sha256};

/// Two tenants on the embedded default, one of them full, and a server that keeps the database running.
fn furnished(place: &Installation) -> Service {
    let (folder, _) = sample(place, 31);
    let imported = place.run(&["migrate", "run", folder.to_str().unwrap(), "--tenant", "acme", "--open"]);
    assert!(matches!(imported.code, 0 | 3), "{imported:?}");
    place.tenant("other");
    place.serve(&["--embedded", "--no-worker"])
}

#[test]
fn stock_tools_restore_the_dump_and_read_the_markdown() {
    for name in ["age", "zstd", "psql", "pg_restore", "tar"] {
        if program(name).is_none() {
            return;
        }
    }
    let place = Installation::embedded();
    let _server = furnished(&place);
    let store = place.data().join("s3/holdfast");
    let identity = place.data().join("keys/drill.key");
    let source = Superuser::of(&place.data());

    let dump = place.run(&["backup", "dump"]).ok();
    let key = dump["key"].as_str().unwrap();
    assert!(key.starts_with("d/holdfast/") && key.ends_with(".dump.age"), "{dump}");
    let bytes = std::fs::read(store.join(key)).unwrap();
    assert_eq!(
        (dump["bytes"].as_u64(), dump["sha256_stored"].as_str()),
        (Some(bytes.len() as u64), Some(sha256(&bytes).as_str()))
    );
    let base = key.strip_suffix(".dump.age").unwrap();
    assert!(store.join(format!("{base}.json")).is_file(), "the description comes last");
    let before = source.fingerprints("^(t_|control|public)");
    assert!(before.iter().any(|line| line.contains(".note|2")), "{before:?}");
    restored_with_stock_tools(&place, &store, base, &identity, &before);

    markdown_equals_every_note(&place, &store, &identity, &source);
}

fn restored_with_stock_tools(place: &Installation, store: &Path, base: &str, identity: &Path, before: &[String]) {
    let plain = |ending: &str| {
        let target = place.path(&format!("plain{ending}"));
        let from = store.join(format!("{base}{ending}.age"));
        tool(Command::new("age").arg("-d").arg("-i").arg(identity).arg("-o").arg(&target).arg(from));
        target
    };
    let (globals, dump) = (plain(".globals.sql"), plain(".dump"));
    let empty = Cluster::start(&newest_programs());
    // The cluster's own superuser is there already, so that line may fail.
    tool(empty.superuser.command("psql").args(["-d", "postgres", "-Xq", "-f"]).arg(globals));
    tool(empty.superuser.command("pg_restore").args(["-d", "postgres", "--create", "--exit-on-error"]).arg(dump));
    let copy = Superuser { database: "holdfast".to_owned(), ..empty.superuser.clone() };
    assert_eq!(before, copy.fingerprints("^(t_|control|public)"), "every table of every tenant is equal");
    assert!(copy.sql("SELECT count(*) FROM pg_roles WHERE rolname ~ '^t_'").parse::<u32>().unwrap() >= 2);
}

/// The tar of `<uid>.md`: front matter, then the text byte for byte.
fn markdown_equals_every_note(place: &Installation, store: &Path, identity: &Path, source: &Superuser) {
    let point = place.run(&["backup", "run", "--tenant", "acme"]).ok();
    let opened = open_point(place, store, point["manifest"].as_str().unwrap(), "drill", identity);
    let markdown = opened.sealed["markdown"].as_str().expect("a Markdown stream");
    let tar = place.path("notes.tar");
    std::fs::write(&tar, &opened.streams[markdown]).unwrap();
    let folder = place.path("notes");
    std::fs::create_dir(&folder).unwrap();
    tool(Command::new("tar").arg("-xf").arg(&tar).arg("-C").arg(&folder));

    let schema = place.run(&["tenant", "show", "acme"]).ok()["schema"].as_str().unwrap().to_owned();
    let rows = source.sql(&format!("SELECT uid, encode(convert_to(content, 'UTF8'), 'hex') FROM {schema}.note"));
    let notes: BTreeMap<&str, Vec<u8>> = rows
        .lines()
        .map(|row| row.split_once('|').unwrap())
        .map(|(uid, text)| (uid, hex::decode(text).unwrap()))
        .collect();
    assert_eq!(
        std::fs::read_dir(&folder).unwrap().count(),
        notes.len(),
        "a file for every note, comments and archived ones too"
    );
    assert_eq!(point["notes"].as_u64(), Some(notes.len() as u64));
    for (uid, text) in &notes {
        let file = std::fs::read(folder.join(format!("{uid}.md"))).unwrap();
        assert!(file.starts_with(b"---\n"), "{uid}: front matter");
        assert!(file.ends_with(text), "{uid}: its text byte for byte");
        let head = String::from_utf8(file[..file.len() - text.len()].to_vec()).unwrap();
        assert!(head.trim_end().ends_with("---") && head.contains(uid), "{uid}: {head}");
    }
    println!("{} notes equal", notes.len());
}

#[test]
fn a_pg_dump_that_dies_leaves_nothing_that_counts() {
    let (url, _) = super::reading::database();
    let mut place = Installation::on(&url);
    place.tenant("acme");
    let tools = place.path("tools");
    std::fs::create_dir(&tools).unwrap();
    let script = tools.join("pg_dump");
    std::fs::write(&script, "#!/bin/sh\nhead -c 300000 /dev/zero\nkill -KILL $$\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink(program("pg_dumpall").expect("pg_dumpall"), tools.join("pg_dumpall")).unwrap();
    place.set("postgres_bin", tools.display());
    let ran = place.run(&["backup", "dump"]);
    assert!(ran.failed(1).contains("pg_dump"), "{ran:?}");
    let left: Vec<_> = match place.path("store/d").exists() {
        true => super::process::listing(&place.path("store/d")).into_iter().filter(|entry| entry.0.is_file()).collect(),
        false => Vec::new(),
    };
    assert!(left.is_empty(), "nothing of it is in the store: {left:?}");
}

/// What gzip cannot make much smaller, in so many notes.
fn noise(database: &Superuser, schema: &str, notes: u32) {
    database.sql(&format!(
        "INSERT INTO {schema}.note (id, uid, creator_id, created_ts, updated_ts, visibility, content)
         SELECT g, 'noise-' || g, (SELECT min(id) FROM {schema}.member), g, g, 'PRIVATE',
                (SELECT string_agg(encode(sha512((g || '-' || k)::bytea), 'base64'), '') FROM generate_series(1, 400) k)
         FROM generate_series(1000001, 1000000 + {notes}) g"
    ));
}

/// Names and bytes of what a store on this disk holds, unfinished uploads and drafts included.
fn held(store: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    listing(store).into_iter().filter(|entry| entry.0.is_file()).map(|entry| (entry.0, entry.3)).collect()
}

/// Starts a dump and stops its `pg_dump`, the real one, as soon as it has written so many bytes; the command and the
/// process that was stopped.
fn stopped_midway(place: &Installation, bytes: u64) -> (std::process::Child, i32) {
    let mut command = place.command(&["backup", "dump", "--json"]);
    let mut dumping = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let by = dumping.id().cast_signed();
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(dumping.try_wait().unwrap().is_none(), "the dump ended before it could be stopped");
        assert!(Instant::now() < until, "pg_dump has not written {bytes} bytes");
        // It is asked for its version first; that one ends at once.
        let dumps = |process: &i32| {
            let line = std::fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
            let mut words = line.split('\0');
            words.next().is_some_and(|program| program.ends_with("/pg_dump")) && words.any(|word| word == "-Fc")
        };
        if let Some(process) = children(by).into_iter().find(dumps) {
            let told = std::fs::read_to_string(format!("/proc/{process}/io")).unwrap_or_default();
            let written = told.lines().find_map(|line| line.strip_prefix("wchar: ")?.parse::<u64>().ok());
            if written.is_some_and(|written| written >= bytes) {
                signal(process, nix::sys::signal::SIGSTOP);
                return (dumping, process);
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_pg_dump_killed_midway_leaves_nothing_that_counts() {
    for name in ["age", "pg_restore"] {
        if program(name).is_none() {
            return;
        }
    }
    let place = Installation::embedded();
    place.tenant("acme");
    let server = place.serve(&["--embedded", "--no-worker"]);
    let database = Superuser::of(&place.data());
    let schema = place.run(&["tenant", "show", "acme"]).ok()["schema"].as_str().unwrap().to_owned();
    noise(&database, &schema, 1000);
    let store = place.data().join("s3");
    let before = held(&store);

    // More than one part of an upload, and less than all.
    let (mut dumping, process) = stopped_midway(&place, 10_000_000);
    let copying = "SELECT query FROM pg_stat_activity WHERE application_name = 'holdfast dump'";
    let copying = database.sql(copying);
    assert!(copying.starts_with(&format!("COPY {schema}.note ")), "it is in the middle of the notes: {copying}");
    super::process::until(Duration::from_secs(20), "a part of it is in the store", || {
        held(&store).len() > before.len() + 1
    });
    signal(process, nix::sys::signal::SIGKILL);
    let ended = wait(&mut dumping, Duration::from_secs(60)).expect("the command ends with it");
    let said = String::from_utf8(printed_by(dumping)).unwrap();
    assert_eq!(ended.code(), Some(1), "{said}");
    assert!(said.contains("pg_dump ended with signal: 9"), "{said}");

    let after = held(&store);
    let names = |all: &[(PathBuf, Vec<u8>)]| all.iter().map(|entry| entry.0.clone()).collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after), "no object, no part and no draft of it is left");
    assert!(before == after, "the bytes of the others stay");
    assert_eq!(database.sql("SELECT count(*) FROM holdfast.dump"), "0", "none is in the books");
    assert_eq!(database.sql("SELECT count(*) FROM holdfast.audit_event WHERE event = 'dump.taken'"), "0");
    let listed = place.run(&["backup", "prune"]).ok();
    assert!(listed["dumps_kept"].as_array().is_none_or(Vec::is_empty), "none is listed: {listed}");

    let dump = place.run(&["backup", "dump"]).ok();
    let listed = place.run(&["backup", "prune"]).ok();
    assert_eq!(listed["dumps_kept"][0]["dump"], dump["dump"], "{listed}");
    let plain = place.path("plain.dump");
    let stored = store.join("holdfast").join(dump["key"].as_str().unwrap());
    tool(
        Command::new("age")
            .arg("-d")
            .arg("-i")
            .arg(place.data().join("keys/drill.key"))
            .arg("-o")
            .arg(&plain)
            .arg(stored),
    );
    let rows = tool(Command::new("pg_restore").args(["-f", "-", "-a", "-n", &schema, "-t", "note"]).arg(&plain));
    let rows = String::from_utf8(rows).unwrap();
    assert_eq!(rows.lines().filter(|row| row.contains("\tnoise-")).count(), 1000, "the next one is whole");
    server.stop();
}

/// What an ended command had printed.
fn printed_by(mut ended: std::process::Child) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut ended.stdout.take().unwrap(), &mut bytes).unwrap();
    bytes
}

/// Nothing of a dump is put aside on the way: the disk of the data folder and of temporary files is far smaller than it.
#[test]
#[ignore = "200 MB: make soak"]
fn soak_a_dump_needs_no_disk() {
    let (url, superuser) = super::reading::database();
    let mut place = Installation::on(&url);
    place.tenant("acme");
    let schema = place.run(&["tenant", "show", "acme"]).ok()["schema"].as_str().unwrap().to_owned();
    noise(&superuser, &schema, 8000);
    let small = place.path("small");
    std::fs::create_dir(&small).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=10m", "tmpfs"]).arg(&small).output();
    if !mounted.is_ok_and(|done| done.status.success()) {
        super::process::skipped("mounting is not permitted here");
        return;
    }
    tool(Command::new("cp").arg("-r").arg(place.data().join("keys")).arg(&small));
    place.settings.push(("TMPDIR".to_owned(), small.display().to_string()));
    place.set("data", small.display());
    let ran = place.run(&["backup", "dump"]);
    Command::new("umount").arg(&small).status().unwrap();
    let dump = ran.ok();
    assert!(dump["bytes"].as_u64() > Some(190_000_000), "{dump}");
    println!("{} bytes dumped beside a disk of 10 MB in {} s", dump["bytes"], dump["seconds"]);
}
