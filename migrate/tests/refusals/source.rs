//! What is wrong with a source itself: its files, its pages, its place.

use std::path::Path;

use domain::chance::Chance;
use migrate::{Error, Source, check};
use rusqlite::Connection;

use crate::{refused, sample};

#[tokio::test]
async fn what_is_not_a_memos_folder_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let (code, message) = refused(&dir.path().join("nowhere")).await;
    assert_eq!(code, "not_found");
    assert!(message.contains("nowhere") && message.contains("data folder"), "{message}");
    let (code, message) = refused(dir.path()).await;
    assert_eq!(code, "not_memos");
    assert!(message.contains("memos_prod.db"), "{message}");
    std::fs::write(dir.path().join("memos_prod.db"), b"").unwrap();
    assert_eq!(refused(dir.path()).await.0, "empty_file");
    std::fs::write(dir.path().join("memos_prod.db"), b"this is some other kind of file").unwrap();
    assert_eq!(refused(dir.path()).await.0, "not_sqlite");
    // Encrypted: nothing but noise, from the first byte on.
    let chance = Chance::seeded(8);
    let noise: Vec<u8> = (0..64 * 1024).map(|_| chance.below(256) as u8).collect();
    std::fs::write(dir.path().join("memos_prod.db"), noise).unwrap();
    let (code, message) = refused(dir.path()).await;
    assert_eq!(code, "not_sqlite");
    assert!(message.contains("encrypted"), "{message}");
    std::fs::remove_file(dir.path().join("memos_prod.db")).unwrap();
    Connection::open(dir.path().join("memos_prod.db")).unwrap().execute_batch("CREATE TABLE song (id)").unwrap();
    let (code, message) = refused(dir.path()).await;
    assert_eq!(code, "not_memos");
    assert!(message.contains("song"), "{message}");
    std::fs::rename(dir.path().join("memos_prod.db"), dir.path().join("a.db")).unwrap();
    std::fs::copy(dir.path().join("a.db"), dir.path().join("b.db")).unwrap();
    let (code, message) = refused(dir.path()).await;
    assert_eq!(code, "several_databases");
    assert!(message.contains("a.db, b.db"), "{message}");
}

#[tokio::test]
async fn a_damaged_database_is_refused_and_salvaged_only_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let path = dir.path().join("memos_prod.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE")
        .unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let page: i64 = Connection::open(&path)
        .unwrap()
        .query_row("SELECT rootpage FROM sqlite_master WHERE name = 'reaction'", [], |row| row.get(0))
        .unwrap();
    let at = (page as usize - 1) * 4096;
    bytes[at..at + 4096].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let (code, message) = refused(dir.path()).await;
    assert_eq!(code, "damaged");
    assert!(message.contains("--salvage"), "{message}");
    let data = tempfile::tempdir().unwrap();
    let report = check(&Source::new(dir.path(), data.path(), true)).await.unwrap();
    assert!(report.passed(), "{:?}", report.errors);
    assert!(report.warnings.iter().any(|w| w.code == "damaged"));
    assert_eq!(report.mapped["note"], 236);
}

#[tokio::test]
async fn cut_files_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let path = dir.path().join("memos_prod.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE")
        .unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let data = tempfile::tempdir().unwrap();
    let mut saved = Vec::new();
    for part in 1..12 {
        std::fs::write(&path, &bytes[..bytes.len() * part / 12]).unwrap();
        for salvage in [false, true] {
            let report = check(&Source::new(dir.path(), data.path(), salvage)).await.unwrap();
            assert!(salvage || !report.passed(), "a cut file is refused");
            if report.passed() {
                assert!(report.warnings.iter().any(|w| w.code == "damaged"), "{:?}", report.warnings);
                saved.push((part, report.mapped.get("note").copied().unwrap_or_default()));
            } else if salvage {
                assert!(!report.errors[0].message.contains("with --salvage"), "{:?}", report.errors);
            }
        }
    }
    eprintln!("twelfths of the file, and notes saved: {saved:?}");
    assert!(saved.len() >= 4 && saved.iter().any(|(_, notes)| *notes > 50), "what is left is read: {saved:?}");
}

#[tokio::test]
async fn a_source_that_stays_locked_is_refused_in_time() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let path = dir.path().join("memos_prod.db");
    // The locks of another process are what is looked for; those of our own are not seen.
    let mut holder = std::process::Command::new("sqlite3")
        .arg(&path)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the program sqlite3");
    let mut asking = holder.stdin.take().unwrap();
    let sql = "PRAGMA wal_checkpoint(TRUNCATE);\nPRAGMA journal_mode = DELETE;\nBEGIN EXCLUSIVE;\nSELECT 'holding';\n";
    std::io::Write::write_all(&mut asking, sql.as_bytes()).unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(holder.stdout.take().unwrap()));
    assert!(lines.map(Result::unwrap).any(|line| line == "holding"));
    let data = tempfile::tempdir().unwrap();
    let mut source = Source::new(dir.path(), data.path(), false);
    source.options.patience = Some(std::time::Duration::from_millis(200));
    let report = check(&source).await.unwrap();
    assert_eq!(report.errors[0].code, "source_locked", "{:?}", report.errors);
    assert!(report.errors[0].message.contains("stop Memos"), "{:?}", report.errors);
    drop(asking);
    holder.wait().unwrap();
    assert!(check(&source).await.unwrap().passed(), "and it can be read when it is free");
}

/// A folder with room for so many KiB, in a mount namespace of its own, and what a command says there.
fn in_little_room(kib: u32, script: &str) -> Option<std::process::Output> {
    let dir = tempfile::tempdir().unwrap();
    let wrapped = format!("mount -t tmpfs -o size={kib}k tmpfs {0} && cd {0} && {script}", dir.path().display());
    let output = std::process::Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", &wrapped])
        .output()
        .ok()?;
    Some(output)
}

#[test]
fn a_full_disk_is_said_so() {
    // The copy is made by ourselves, below a folder that is full: this very test program is run again there.
    const ROLE: &str = "HOLDFAST_TEST_FULL_DISK";
    if let Ok(place) = std::env::var(ROLE) {
        let (source, staging) = place.split_once(':').unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let failed = runtime.block_on(check(&Source::new(source, Path::new(staging), false)));
        let Err(Error::File { source: why, path, .. }) = &failed else { panic!("{failed:?}") };
        assert_eq!(why.kind(), std::io::ErrorKind::StorageFull, "{failed:?}");
        assert!(path.starts_with(staging), "{failed:?}");
        let left: Vec<_> = std::fs::read_dir(Path::new(staging).join("staging")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let own = std::env::current_exe().unwrap();
    let script = format!(
        "{ROLE}={}:$PWD {} --exact source::a_full_disk_is_said_so --nocapture && echo it-was-said",
        dir.path().display(),
        own.display()
    );
    match in_little_room(64, &script) {
        Some(output) if String::from_utf8_lossy(&output.stderr).contains("mount:") => {
            eprintln!("skipped a_full_disk_is_said_so: no mounts here: {}", String::from_utf8_lossy(&output.stderr));
        }
        Some(output) => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(said.contains("it-was-said"), "{said}{}", String::from_utf8_lossy(&output.stderr));
        }
        None => eprintln!("skipped a_full_disk_is_said_so: no unshare program"),
    }
}

#[test]
fn a_folder_without_rights_is_said_so() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    const ROLE: &str = "HOLDFAST_TEST_NO_RIGHTS";
    if let Ok(source) = std::env::var(ROLE) {
        let data = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let report = runtime.block_on(check(&Source::new(&source, data.path(), false))).unwrap();
        let error = &report.errors[0];
        assert!(["not_readable", "not_found"].contains(&error.code.as_str()), "{error:?}");
        assert!(error.message.contains("ermission denied"), "{error:?}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let closed = |path: &Path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o000)).unwrap();
    let run = || {
        let mut command = std::process::Command::new("/proc/self/exe");
        command.args(["--exact", "source::a_folder_without_rights_is_said_so"]).env(ROLE, dir.path()).current_dir("/");
        command.env("TMPDIR", "/tmp");
        // Root may read anything: somebody else must ask.
        if nix_root() {
            command.uid(65_534).gid(65_534);
        }
        command.output().unwrap()
    };
    closed(&dir.path().join("memos_prod.db"));
    let output = run();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o000)).unwrap();
    let output = run();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn nix_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

#[tokio::test]
async fn flipped_bytes_never_panic_and_never_pass_unseen() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path());
    let path = dir.path().join("memos_prod.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE")
        .unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let data = tempfile::tempdir().unwrap();
    let chance = Chance::seeded(11);
    let mut whole = 0;
    for _ in 0..40 {
        let mut altered = bytes.clone();
        for _ in 0..=chance.below(8) {
            let at = chance.below(altered.len() as u64) as usize;
            altered[at] ^= 1 << chance.below(8);
        }
        std::fs::write(&path, &altered).unwrap();
        let salvage = chance.below(2) == 0;
        let report = check(&Source::new(dir.path(), data.path(), salvage)).await.unwrap();
        if report.passed() && report.warnings.is_empty() {
            assert_eq!(report.mapped["note"], report.tables["memo"], "every memo read was mapped");
            whole += 1;
        }
    }
    eprintln!("{whole} of 40 altered files read whole");
}
