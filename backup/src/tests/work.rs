//! Points and dumps asked for as jobs.

use std::path::PathBuf;
use std::time::Duration;

use domain::chance::Chance;
use domain::clock::Clock;
use domain::tenant::TenantState;
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
    let other = store.build_tenant(&"empty".parse().unwrap(), TenantState::Active).await.unwrap();
    let error = lab.backup.resolve("latest", Some(other.slug.as_str())).await.unwrap_err();
    assert!(error.to_string().contains("backup run --tenant empty"), "{error}");
    assert!(enqueue(&store, &DrillTenant { tenant: other.id, trigger }).await.unwrap().is_some());
    stop.send(true).unwrap();
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_a_day_every_tenant_gets_a_point_with_everything_in_it() {
    let lab = Lab::new().await;
    lab.fill(5, &Chance::seeded(31)).await;
    let store = lab.backup.store.clone();
    let by_hand = lab.point().await;
    for (slug, state) in [("young", TenantState::Active), ("quiet", TenantState::Closed)] {
        store.build_tenant(&slug.parse().unwrap(), state).await.unwrap();
    }
    let hours_later = |hours: i64| Clock::fixed(Clock::System.seconds() + hours * 3600);
    assert_eq!(crate::pick_up_nightly(&store, &hours_later(21)).await.unwrap(), 0, "none is a day old");
    assert_eq!(crate::pick_up_nightly(&store, &hours_later(25)).await.unwrap(), 2, "of those that are served");
    assert_eq!(crate::pick_up_nightly(&store, &hours_later(25)).await.unwrap(), 0, "asked for once");

    let handlers =
        crate::handlers(&lab.backup, PathBuf::from("/nowhere"), lab.folder.path().join("reports"), nowhere());
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(Runner::new(store.clone(), handlers, 1, &Chance::System).run(stopped));
    let begun = std::time::Instant::now();
    let point = loop {
        let newest = store.control().newest_point(lab.tenant.id, &["verified"]).await.unwrap();
        if let Some(point) = newest.filter(|point| point.trigger == "nightly") {
            break point;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "a verified daily point");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    stop.send(true).unwrap();
    running.await.unwrap();
    assert_eq!((point.notes, point.has_markdown, point.rows), (5, true, by_hand.rows.cast_signed()), "all is in it");
    assert_eq!(crate::pick_up_nightly(&store, &hours_later(21)).await.unwrap(), 0, "a day has not passed again");
    // and it says how far the audit had come
    let head = lab.backup.show_point(&point.point).await.unwrap().audit.expect("the end of the audit chain");
    let event = store.control().audit_after(head.seq - 1, 1).await.unwrap().remove(0);
    assert_eq!((event.seq, event.hash), (head.seq, head.hash));
}
