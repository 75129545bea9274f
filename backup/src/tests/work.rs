//! Points and dumps asked for as jobs.

use std::path::PathBuf;
use std::time::Duration;

use domain::chance::Chance;
use jobs::{BackupTenant, DrillTenant, Runner, Trigger, enqueue};
use tokio::sync::watch;

use super::Lab;
use crate::DumpSource;

/// No database to dump.
pub(super) fn nowhere() -> DumpSource {
    DumpSource {
        programs: None,
        host: String::new(),
        port: 0,
        user: String::new(),
        database: String::new(),
        password_file: None,
        ca_file: None,
        superuser: false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_point_asked_for_as_a_job_is_taken_and_verified() {
    let lab = Lab::new().await;
    lab.fill(5, &Chance::seeded(30)).await;
    let store = lab.backup.store.clone();
    let handlers =
        crate::handlers(&lab.backup, PathBuf::from("/nowhere"), lab.folder.path().join("reports"), nowhere());
    assert_eq!(handlers.len(), 10);
    let trigger = Trigger::Operator { name: "olga".to_owned() };
    enqueue(&store, &BackupTenant { tenant: lab.tenant.id, trigger: trigger.clone() }).await.unwrap().unwrap();
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(Runner::new(store.clone(), handlers, 1, &Chance::System).run(stopped));
    let mut point = None;
    for _ in 0..200 {
        point = store.control().newest_point(lab.tenant.id, &["verified"]).await.unwrap();
        if point.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let point = point.expect("a verified point within 20 s");
    assert_eq!((point.trigger.as_str(), point.notes, point.has_markdown), ("console", 5, true));
    // a tenant without a usable point cannot be drilled, and says so
    let other = store.build_tenant(&"empty".parse().unwrap(), domain::tenant::TenantState::Active).await.unwrap();
    let error = lab.backup.resolve("latest", Some(other.slug.as_str())).await.unwrap_err();
    assert!(error.to_string().contains("backup run --tenant empty"), "{error}");
    assert!(enqueue(&store, &DrillTenant { tenant: other.id, trigger }).await.unwrap().is_some());
    stop.send(true).unwrap();
    running.await.unwrap();
}
