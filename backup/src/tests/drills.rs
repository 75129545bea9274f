//! Drills as far as they go without the executable: restored into a Postgres of their own and compared.

use std::path::PathBuf;
use std::sync::Arc;

use domain::chance::Chance;

use super::Lab;
use crate::drill::{Copy, DrillOptions, Fault, Tamper, Verdict};
use crate::keys::read_identity;

pub(super) fn options(lab: &Lab) -> DrillOptions {
    let reports = lab.folder.path().join("reports");
    // the database of the copy runs as another user, who must be able to get there
    let scratch = PathBuf::from("/tmp");
    DrillOptions { program: None, scratch, seed: Some(3), ..DrillOptions::full(PathBuf::new(), reports) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_compared_and_the_chain_of_reports_holds() {
    let lab = Lab::new().await;
    lab.fill(20, &Chance::seeded(9)).await;
    let point = lab.point().await;
    lab.backup.verify_point(&point.point, "command").await.unwrap();
    let first = lab.backup.drill(&point.point, &options(&lab)).await.unwrap();
    // without an executable the copy is not served, so nothing is proven
    assert_eq!(first.verdict, Verdict::Incomplete, "{:?}", first.differences);
    assert!(first.tables.len() > 10 && first.tables.iter().all(|table| table.equal), "{:?}", first.tables);
    assert_eq!((first.files_compared, first.rpo_seconds), (2, Some(0.0)));
    assert_eq!((first.own_hash(), first.previous_hash.as_str()), (first.hash.clone(), ""));
    let second = lab.backup.drill(&point.point, &options(&lab)).await.unwrap();
    assert_eq!(second.previous_hash, first.hash);
    let kept = std::fs::read_to_string(lab.folder.path().join(format!("reports/drill-{}.json", second.drill))).unwrap();
    assert_eq!(serde_json::from_str::<crate::DrillReport>(&kept).unwrap(), second);
    let row = lab.backup.store.control().find_point(&point.point).await.unwrap().unwrap();
    assert_eq!(row.state, "verified");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_is_refused_by_name() {
    let lab = Lab::new().await;
    lab.fill(6, &Chance::seeded(10)).await;
    for round in 0..3 {
        let point = lab.point().await;
        lab.backup.verify_point(&point.point, "command").await.unwrap();
        let opened = lab.backup.open_point(&lab.backup.source(), &point.point).await.unwrap();
        let chance = Chance::seeded(round);
        for fault in Fault::ALL {
            let result = crate::drill::try_fault(&lab.backup, &opened, fault, &chance).await.unwrap();
            assert!(result.detected, "round {round}: {result:?}");
        }
    }
    let mut blind = lab.backup.clone();
    blind.check = crate::format::hash::HashCheck::PassThrough;
    let point = lab.point().await;
    let opened = blind.open_point(&blind.source(), &point.point).await.unwrap();
    let unseen = crate::drill::try_fault(&blind, &opened, Fault::Swap, &Chance::seeded(1)).await.unwrap();
    assert!(!unseen.detected, "without hashes a swap goes unseen: {unseen:?}");
    let sheet = lab.folder.path().join("sheet");
    std::fs::write(&sheet, &lab.sheet).unwrap();
    let by_sheet = lab.backup.clone().with_identity(Some(read_identity(&sheet).unwrap()));
    let result = crate::drill::try_fault(&by_sheet, &opened, Fault::WrongKey, &Chance::seeded(1)).await.unwrap();
    assert!(result.detected, "{result:?}");
}

/// A change to the copy, and what the report must name.
fn tampers(schema: &str) -> Vec<(String, &'static str)> {
    [
        ("DELETE FROM note WHERE id = 12", "note"),
        ("UPDATE note SET content = content || ' ' WHERE id = 13", "note"),
        ("UPDATE note SET visibility = 'PUBLIC' WHERE id = 11", "note"),
        ("INSERT INTO note_relation VALUES (10, 11, 'REFERENCE')", "note_relation"),
        ("UPDATE member SET role = 'admin' WHERE id = 2", "member"),
        ("UPDATE attachment SET filename = 'F5.bin' WHERE id = 5", "attachment"),
        ("DELETE FROM attachment", "attachment"),
        ("INSERT INTO setting VALUES ('BASIC', '{}')", "setting"),
        ("CREATE TABLE sneaked (id bigint PRIMARY KEY); INSERT INTO sneaked VALUES (1); GRANT SELECT ON sneaked TO SCHEMA", "sneaked"),
        ("ALTER TABLE reaction DROP COLUMN reaction", "reaction"),
    ]
    .into_iter()
    .map(|(sql, named)| (sql.replace("SCHEMA", schema), named))
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_kinds_of_change_to_the_copy_are_named() {
    use crate::compare::compare;
    use crate::restore::{Place, RestoreOptions};
    let lab = Lab::new().await;
    lab.fill(8, &Chance::seeded(12)).await;
    let point = lab.point().await;
    let opened = lab.backup.open_point(&lab.backup.source(), &point.point).await.unwrap();
    for at in 0..10 {
        let slug = format!("copy-{at}");
        let restore = RestoreOptions { slug: slug.parse().unwrap(), dry_run: false, actor: "command".to_owned() };
        lab.backup.restore_point(&point.point, &restore).await.unwrap();
        let tenant = lab.backup.tenant(&slug).await.unwrap();
        let (sql, named) = tampers(tenant.schema.as_str()).swap_remove(at);
        let client = lab.database.superuser().await;
        client.batch_execute(&format!("SET search_path TO {}; {sql}", tenant.schema)).await.unwrap();
        let place = Place::beside(tenant.id);
        let scope = store::TenantScope::for_command(tenant, "test");
        let tables = compare(&lab.backup.store, &scope, &opened.sealed, &place).await.unwrap();
        let wrong: Vec<_> = tables.iter().filter(|table| !table.equal).map(|table| table.name.as_str()).collect();
        assert_eq!(wrong, [named], "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_file_of_the_copy_is_named() {
    let lab = Lab::new().await;
    lab.fill(3, &Chance::seeded(13)).await;
    let point = lab.point().await;
    let tamper: Tamper = Arc::new(|copy: Copy| {
        Box::pin(async move {
            let mut folders = vec![copy.files];
            while let Some(folder) = folders.pop() {
                for entry in std::fs::read_dir(folder).unwrap() {
                    let path = entry.unwrap().path();
                    if path.is_dir() {
                        folders.push(path);
                    } else if std::fs::metadata(&path).unwrap().len() == 10 {
                        std::fs::write(path, b"Small file").unwrap();
                    }
                }
            }
        })
    });
    let report = lab.backup.drill(&point.point, &DrillOptions { tamper: Some(tamper), ..options(&lab) }).await.unwrap();
    assert!(report.differences.iter().any(|line| line.starts_with("file f/")), "{:?}", report.differences);
}
