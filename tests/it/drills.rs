//! Drills with the real executable serving the copy, and copies that were changed behind the drill's back.

use std::path::PathBuf;
use std::sync::Arc;

use backup::drill::{Copy, Tamper};
use backup::{Backup, DrillOptions, DrillReport, KeyDirectory, PointOptions, Verdict};
use domain::chance::Chance;
use domain::tenant::{Tenant, TenantState};
use objects::{FileStore, ObjectStore, PutOptions};
use store::TenantScope;
use testkit::pg::TestDatabase;

struct Lab {
    backup: Backup,
    point: String,
    folder: tempfile::TempDir,
}

const ROWS: &str = "
    INSERT INTO member (id, username, role, created_ts, updated_ts) VALUES (1, 'ann', 'owner', 1, 1), (2, 'bob', 'member', 1, 1);
    UPDATE member SET archived = true WHERE id = 2;
    INSERT INTO note (id, uid, creator_id, created_ts, updated_ts, visibility, content, archived)
    SELECT g, 'n-' || g, 1 + g % 2, g, g, 'PRIVATE', E'Note number ' || g || E'\\n\\nÜber *all*\\t', g % 5 = 0 FROM generate_series(10, 39) g;
    INSERT INTO reaction VALUES (50, 11, 1, 'ok', 1);
    INSERT INTO note_share VALUES (60, 'secret', 11, 1, 1, NULL);
    INSERT INTO access_token VALUES ('t', 1, 'hash', '', 1, NULL, NULL);
    SELECT setval('id_seq', 100);";

/// At least two rows in further tables.
const MORE: &str = r#"
    UPDATE member SET display_name = username || ' of the copy';
    INSERT INTO reaction VALUES (51, 12, 2, 'heart', 1), (52, 13, 1, 'ok', 1);
    INSERT INTO note_relation VALUES (10, 11, 'REFERENCE'), (12, 13, 'REFERENCE'), (14, 15, 'REFERENCE');
    INSERT INTO note_share VALUES (61, 'another', 12, 1, 1, NULL), (62, 'third', 13, 1, 1, NULL);
    INSERT INTO member_setting VALUES (1, 'GENERAL', '{"locale": "en-GB"}'), (2, 'GENERAL', '{"locale": "de-AT"}');
    INSERT INTO notification VALUES (70, 1, 1, 2, false, 'MEMO_COMMENT', 11, 10), (71, 1, 2, 1, false, 'MEMO_MENTION', 12, 12);
    INSERT INTO import_base VALUES ('memo', 0, '\x00112233445566778899'), ('memo', 1, '\xffeeddccbbaa'), ('user', 0, '\x0102');"#;

async fn lab() -> Lab {
    lab_with("").await
}

async fn lab_with(more: &str) -> Lab {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    let folder = tempfile::tempdir().unwrap();
    let objects = ObjectStore::directory(folder.path().join("s3")).unwrap();
    let files = FileStore::over(ObjectStore::directory(folder.path().join("files")).unwrap());
    let (keys, _) = KeyDirectory::open(&folder.path().join("keys")).unwrap();
    let tenant = store.build_tenant(&"team".parse().unwrap(), TenantState::Active).await.unwrap();
    let backup = Backup::new(store, objects, files, keys);
    fill(&backup, &database, &tenant).await;
    database.superuser().await.batch_execute(&format!("SET search_path TO {}; {more}", tenant.schema)).await.unwrap();
    let options = PointOptions { trigger: "command", actor: "command".to_owned(), markdown: false };
    let report = backup.take_point(&TenantScope::for_command(tenant, "test"), &options).await.unwrap();
    backup.verify_point(&report.point, "command").await.unwrap();
    Lab { backup, point: report.point, folder }
}

async fn fill(backup: &Backup, database: &TestDatabase, tenant: &Tenant) {
    let bytes = b"the bytes of a file".to_vec();
    let hash = hex_of(&bytes);
    let key = objects::keys::live_file(tenant.id, &hash);
    let size = bytes.len();
    backup.files.objects().put(&key, bytes, PutOptions::default()).await.unwrap();
    let attachment = format!(
        "INSERT INTO attachment (id, uid, creator_id, created_ts, updated_ts, filename, size, sha256, storage_key) \
         VALUES (5, 'a-5', 1, 1, 1, 'f.bin', {size}, '{hash}', '{key}')"
    );
    let sql = format!("SET search_path TO {}; {ROWS} {attachment}", tenant.schema);
    database.superuser().await.batch_execute(&sql).await.unwrap();
}

fn hex_of(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Lab {
    async fn drill(&self, tamper: Option<Tamper>, faults: Vec<backup::Fault>) -> DrillReport {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_holdfast"));
        let full = DrillOptions::full(program, self.folder.path().join("reports"));
        self.backup.drill(&self.point, &DrillOptions { tamper, faults, ..full }).await.unwrap()
    }
}

/// Runs statements as the copy's tenant.
fn sql(statements: &'static [&'static str]) -> Tamper {
    Arc::new(move |copy: Copy| {
        Box::pin(async move {
            let scope = TenantScope::for_command(Arc::clone(&copy.tenant), "tamper");
            let mut tx = copy.store.begin(&scope);
            for statement in statements {
                assert_eq!(tx.execute(statement, &[]).await.unwrap(), 1, "{statement}");
            }
            tx.commit().await.unwrap();
            for entry in walk(copy.files) {
                let mut bytes = std::fs::read(&entry).unwrap();
                bytes[0] ^= 1;
                std::fs::write(&entry, bytes).unwrap();
            }
        })
    })
}

fn walk(folder: PathBuf) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { out.extend(walk(path)) } else { out.push(path) }
    }
    out
}

fn names(report: &DrillReport, what: &str) -> bool {
    report.differences.iter().any(|line| line.contains(what))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_copy_passes_and_changed_ones_fail_by_name() {
    let lab = lab().await;
    let honest = lab.drill(None, backup::Fault::ALL.to_vec()).await;
    assert_eq!(honest.verdict, Verdict::Pass, "{:?}", honest.differences);
    assert_eq!((honest.notes_compared, honest.files_compared, honest.faults.len()), (30, 1, 6));
    assert!(honest.faults.iter().all(|fault| fault.detected) && honest.control_accepted == Some(true));
    assert!(honest.rto_seconds.is_some_and(|seconds| seconds > 0.0));
    let row = lab.backup.store.control().find_point(&lab.point).await.unwrap().unwrap();
    assert_eq!(row.state, "proven");
    let format = &time::format_description::well_known::Rfc3339;
    let began = time::OffsetDateTime::parse(&honest.started_at, format).unwrap();
    let apart = (row.verified_at.unwrap() - began).abs();
    assert!(apart < time::Duration::milliseconds(1), "read from its beginning on, not when it ended: {apart}");

    let tampered = sql(&[
        "DELETE FROM note WHERE id = 12",
        "INSERT INTO note_relation VALUES (10, 11, 'REFERENCE')",
        "UPDATE member SET role = 'admin' WHERE id = 2",
        "UPDATE attachment SET filename = 'F.bin'",
        "INSERT INTO setting VALUES ('TAGS', '{}')",
    ]);
    let report = lab.drill(Some(tampered), Vec::new()).await;
    assert_eq!((report.verdict, report.control_accepted), (Verdict::Fail, None));
    for what in [
        "table note ",
        "note n-12",
        "table note_relation",
        "table member",
        "table attachment",
        "table setting",
        "file f/",
    ] {
        assert!(names(&report, what), "{what} is not named: {:?}", report.differences);
    }
    let tampered = sql(&[
        "UPDATE note SET content = content || ' ' WHERE id = 13",
        "DELETE FROM reaction",
        "UPDATE note_share SET token = 'Secret'",
        "UPDATE access_token SET token_hash = 'Hash'",
    ]);
    let report = lab.drill(Some(tampered), Vec::new()).await;
    assert_eq!(report.verdict, Verdict::Fail);
    for what in
        ["table note ", "note n-13 is not what it was", "table reaction", "table note_share", "table access_token"]
    {
        assert!(names(&report, what), "{what} is not named: {:?}", report.differences);
    }
    let untouched: Vec<_> = report.tables.iter().filter(|table| table.equal).map(|table| table.name.as_str()).collect();
    assert!(untouched.contains(&"member") && untouched.contains(&"setting"), "{untouched:?}");
    assert!(
        std::fs::read_dir(lab.folder.path().join("scratch")).unwrap().next().is_none(),
        "nothing of a copy is left"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_whose_lists_show_nothing_passes_only_where_nothing_is_to_be_shown() {
    let listed = |report: &DrillReport| report.checks.iter().find(|check| check.name == "list").unwrap().passed;
    let lab = lab().await;
    let hide: Tamper = Arc::new(|copy: Copy| {
        Box::pin(async move {
            let scope = TenantScope::for_command(Arc::clone(&copy.tenant), "tamper");
            let mut tx = copy.store.begin(&scope);
            tx.execute("UPDATE note SET archived = true", &[]).await.unwrap();
            tx.commit().await.unwrap();
        })
    });
    let hidden = lab.drill(Some(hide), Vec::new()).await;
    assert!(hidden.verdict == Verdict::Fail && !listed(&hidden), "{:?}", hidden.checks);
    let archived = lab_with("UPDATE note SET archived = true").await;
    let all = archived.drill(None, Vec::new()).await;
    assert!(all.verdict == Verdict::Pass && listed(&all), "{:?} {:?}", all.checks, all.differences);
}

/// What is done to one row of the copy.
#[derive(Clone, Copy, Debug)]
enum Deed {
    /// It is gone.
    Deleted,
    /// One letter of this column is another.
    Letter(&'static str),
    /// One letter of this value of a JSON column.
    LetterIn(&'static str, &'static str),
    /// One bit of these bytes, or of this number.
    Bit(&'static str),
    BitOfNumber(&'static str),
}

/// Ten kinds of a changed row; which row and which letter or byte is drawn.
const KINDS: [(&str, Deed); 10] = [
    ("note", Deed::Letter("content")),
    ("note", Deed::Deleted),
    ("member", Deed::Letter("display_name")),
    ("attachment", Deed::Deleted),
    ("reaction", Deed::Letter("reaction")),
    ("note_relation", Deed::Deleted),
    ("note_share", Deed::BitOfNumber("created_ts")),
    ("member_setting", Deed::LetterIn("value", "locale")),
    ("notification", Deed::Deleted),
    ("import_base", Deed::Bit("hashes")),
];

/// The statement that does it to one row.
fn statement(table: &str, deed: Deed, chance: &Chance) -> String {
    let (row, at) = (chance.below(1_000_000), chance.below(1_000_000));
    let row = format!(
        "ctid = (SELECT ctid FROM {table} ORDER BY ctid OFFSET (SELECT {row} % count(*) FROM {table}) LIMIT 1)"
    );
    let other = |text: &str| {
        let place = format!("1 + {at} % length({text})");
        let letter = format!("CASE substr({text}, {place}, 1) WHEN 'x' THEN 'y' ELSE 'x' END");
        format!("overlay({text} PLACING {letter} FROM {place} FOR 1)")
    };
    let set = match deed {
        Deed::Deleted => return format!("DELETE FROM {table} WHERE {row}"),
        Deed::Letter(column) => format!("{column} = {}", other(column)),
        Deed::LetterIn(column, name) => {
            let changed = other(&format!("({column} ->> '{name}')"));
            format!("{column} = jsonb_set({column}, '{{{name}}}', to_jsonb({changed}))")
        }
        Deed::Bit(column) => {
            let place = format!("{at} % length({column})");
            format!("{column} = set_byte({column}, {place}, get_byte({column}, {place}) # {})", 1 << chance.below(8))
        }
        Deed::BitOfNumber(column) => format!("{column} = {column} # {}", 1 << chance.below(31)),
    };
    format!("UPDATE {table} SET {set} WHERE {row}")
}

/// A drill of its own for one change.
async fn drilled(lab: &Lab, statement: String) -> DrillReport {
    let tamper: Tamper = Arc::new(move |copy: Copy| {
        let statement = statement.clone();
        Box::pin(async move {
            let scope = TenantScope::for_command(Arc::clone(&copy.tenant), "tamper");
            let mut tx = copy.store.begin(&scope);
            assert_eq!(tx.execute(&statement, &[]).await.unwrap(), 1, "{statement}");
            tx.commit().await.unwrap();
        })
    });
    lab.drill(Some(tamper), Vec::new()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_kinds_of_a_changed_row_fail_a_drill_each() {
    let (lab, seed) = (lab_with(MORE).await, 20_261_123);
    println!("seed {seed}");
    let chance = Chance::seeded(seed);
    for two in KINDS.chunks(2) {
        let [one, other] = [two[0], two[1]].map(|(table, deed)| (table, statement(table, deed, &chance)));
        let reports = tokio::join!(drilled(&lab, one.1.clone()), drilled(&lab, other.1.clone()));
        for ((table, statement), report) in [(one, reports.0), (other, reports.1)] {
            assert_eq!(report.verdict, Verdict::Fail, "{statement}: {:?}", report.differences);
            let unequal: Vec<_> = report.tables.iter().filter(|found| !found.equal).map(|found| &found.name).collect();
            assert_eq!(unequal, [table], "{statement}");
            let told = format!("table {table} is not equal to the point");
            assert!(names(&report, &told), "{statement}: {:?}", report.differences);
            if table == "note" {
                assert!(names(&report, "note n-"), "which note: {statement}: {:?}", report.differences);
            }
        }
    }
    let state = async || lab.backup.store.control().find_point(&lab.point).await.unwrap().unwrap().state;
    assert_eq!(state().await, "verified", "none of them proved anything");
    let honest = lab.drill(None, Vec::new()).await;
    assert_eq!(honest.verdict, Verdict::Pass, "{:?}", honest.differences);
    assert_eq!(state().await, "proven");
}
