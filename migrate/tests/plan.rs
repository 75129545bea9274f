//! Runs that were broken off. A plan of forty folders is a journey through the executable (tests/it/journeys/plan.rs).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod common;

use common::house;
use domain::chance::Chance;
use domain::tenant::TenantState;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_was_killed_is_taken_up_again() {
    let (root, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let house = house(data.path()).await;
    migrate::sample::write_sample(root.path(), &Chance::seeded(4)).unwrap();
    let run = common::run_of(root.path(), data.path());
    // What a killed process leaves: a tenant in the making, some of its files, no rows.
    let report = migrate::run(&house, &run).await.unwrap();
    let tenant = house.store.registry().by_slug("acme").await.unwrap().unwrap();
    let event = store::AuditEvent { actor: "test", event: "test", object: "acme", detail: serde_json::json!({}) };
    let change = store::TenantChange::State(TenantState::Provisioning);
    house.store.registry().change(tenant.id, &change, &event).await.unwrap();
    let files = house.files.list(tenant.id).await.unwrap();
    for gone in files.iter().take(files.len() / 2) {
        house.files.delete(&gone.key).await.unwrap();
    }
    let again = migrate::run(&house, &run).await.unwrap();
    assert_eq!(again.mapped, report.mapped);
    let after = house.store.registry().by_slug("acme").await.unwrap().unwrap();
    assert_eq!((after.id, after.state), (tenant.id, TenantState::Closed), "the same tenant, complete");
    assert_eq!(house.files.list(tenant.id).await.unwrap().len(), files.len());
    let taken = migrate::run(&house, &run).await;
    assert!(matches!(taken, Err(migrate::Error::SlugTaken(_))), "{taken:?}");
}
