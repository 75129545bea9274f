//! Deletion taken back, deletion carried out, files swept; and what an old proof is worth.

use std::sync::Arc;

use domain::clock::Clock;
use domain::tenant::{Tenant, TenantState};
use objects::{FileStore, ObjectStore, PutOptions};
use store::control::drills::{Linked, NewDrill};
use store::{AuditEvent, Removal};
use testkit::pg::{TestDatabase, server};
use testkit::proxy::CountingProxy;

use crate::recovery::{recoveries, recovery_of};
use crate::{Admin, By, sweep, tenants};

struct Lab {
    admin: Admin,
    database: TestDatabase,
    _folder: tempfile::TempDir,
}

async fn lab() -> Lab {
    let database = TestDatabase::create().await;
    let folder = tempfile::tempdir().unwrap();
    let files = FileStore::over(ObjectStore::directory(folder.path()).unwrap());
    let admin = Admin::new(database.store().await, files);
    Lab { admin, database, _folder: folder }
}

impl Lab {
    async fn tenant(&self, slug: &str, state: TenantState) -> Arc<Tenant> {
        self.admin.store.build_tenant(&slug.parse().unwrap(), state).await.unwrap()
    }

    async fn put(&self, key: &str) {
        self.admin.files.objects().put(key, "bytes", PutOptions::default()).await.unwrap();
    }

    async fn there(&self, key: &str) -> bool {
        self.admin.files.exists(key).await.unwrap()
    }

    /// As if it were so many days later.
    fn later(&self, days: i64) -> Admin {
        let seconds = Clock::System.seconds() + days * 86_400;
        Admin { clock: Clock::fixed(seconds), ..self.admin.clone() }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_nobody_opened_stays_quiet_when_its_deletion_is_taken_back() {
    let lab = lab().await;
    for (slug, state) in [("quiet", TenantState::Closed), ("busy", TenantState::Active)] {
        lab.tenant(slug, state).await;
        tenants::delete(&lab.admin, &By::Command, slug, 30).await.unwrap();
        // once more: the state before is still the first one
        tenants::delete(&lab.admin, &By::Command, slug, 10).await.unwrap();
        let back = tenants::resume(&lab.admin, &By::Command, slug).await.unwrap();
        assert_eq!(back.state, state, "{slug}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_was_taken_back_is_not_carried_out_and_not_audited() {
    let lab = lab().await;
    let tenant = lab.tenant("team", TenantState::Active).await;
    tenants::delete(&lab.admin, &By::Command, "team", 30).await.unwrap();
    tenants::resume(&lab.admin, &By::Command, "team").await.unwrap();
    let event =
        AuditEvent { actor: "job:deletion", event: "tenant.removed", object: "", detail: serde_json::json!({}) };
    // the list of what is due was read before it was taken back
    assert!(!lab.admin.store.remove_tenant(tenant.id, Removal::Due, Some(&event)).await.unwrap());
    assert!(tenants::find(&lab.admin, "team").await.is_ok());
    let told = lab.admin.store.control().audit_newest(None, 10).await.unwrap();
    assert!(told.iter().all(|row| row.event != "tenant.removed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_takes_rows_and_files_and_tells_it_once() {
    let lab = lab().await;
    let tenant = lab.tenant("team", TenantState::Active).await;
    let key = objects::keys::live_file(tenant.id, "abcdef");
    lab.put(&key).await;
    // the process ended between rows and files
    lab.admin.store.discard_tenant(tenant.id).await.unwrap();
    assert!(lab.there(&key).await);
    assert_eq!(sweep::deleted_tenants(&lab.admin).await.unwrap(), 1);
    assert!(!lab.there(&key).await);
    assert_eq!(sweep::deleted_tenants(&lab.admin).await.unwrap(), 0);
    lab.tenant("team", TenantState::Active).await;
    tenants::delete(&lab.admin, &By::Command, "team", 0).await.unwrap();
    let told = lab.admin.store.control().audit_newest(None, 10).await.unwrap();
    assert_eq!(told.iter().filter(|row| row.event == "tenant.deleted").count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_without_a_row_goes_after_a_week_and_no_sooner() {
    let lab = lab().await;
    let tenant = lab.tenant("team", TenantState::Active).await;
    let (kept, idle, again, draft) = (
        objects::keys::live_file(tenant.id, "aa01"),
        objects::keys::live_file(tenant.id, "bb02"),
        objects::keys::live_file(tenant.id, "cc03"),
        objects::keys::live_upload(tenant.id, "half"),
    );
    for key in [&kept, &idle, &again, &draft] {
        lab.put(key).await;
    }
    let refer = |id: i64, key: &str| {
        format!(
            "INSERT INTO {}.attachment (id, uid, creator_id, created_ts, updated_ts, storage_key) VALUES ({id}, 'u{id}', 1, 1, 1, '{key}')",
            tenant.schema
        )
    };
    let client = lab.database.superuser().await;
    client.batch_execute(&refer(1, &kept)).await.unwrap();
    sweep::files_without_rows(&lab.admin).await.unwrap();
    sweep::files_without_rows(&lab.later(6)).await.unwrap();
    for key in [&kept, &idle, &again, &draft] {
        assert!(lab.there(key).await, "{key} after six days");
    }
    assert_eq!(sweep::files_without_rows(&lab.later(8)).await.unwrap(), 0);
    assert!(!lab.there(&idle).await, "set aside");
    // its content was uploaded in the very moment in which it was set aside: the row came after
    client.batch_execute(&refer(2, &again)).await.unwrap();
    sweep::files_without_rows(&lab.later(8)).await.unwrap();
    assert!(lab.there(&again).await, "brought back");
    assert_eq!(sweep::files_without_rows(&lab.later(10)).await.unwrap(), 2);
    assert!(lab.there(&kept).await && lab.there(&again).await);
    let left = lab.admin.files.list(tenant.id).await.unwrap();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_proof_is_overdue() {
    let lab = lab().await;
    let tenant = lab.tenant("team", TenantState::Active).await;
    let now = Clock::System.now();
    let client = lab.database.superuser().await;
    client
        .batch_execute(&format!(
            "INSERT INTO holdfast.point (point, tenant_id, slug, created_at, snapshot_at, generation, schema_version, trigger, state, \
             manifest_sha256, manifest_bytes, rows, notes, files, bytes_plain, bytes_stored, bytes_sent, requests, has_markdown, seconds) \
             VALUES ('p', '{}', 'team', now(), now(), 1, 1, 'command', 'proven', '', 1, 1, 1, 1, 1, 1, 1, 1, false, 1)",
            tenant.id.0
        ))
        .await
        .unwrap();
    let new = NewDrill {
        drill: "d".to_owned(),
        tenant: tenant.id,
        slug: "team".to_owned(),
        point: "p".to_owned(),
        started_at: now,
        finished_at: now,
        verdict: "pass".to_owned(),
        notes: 1,
        rpo_seconds: Some(0.0),
        rto_seconds: Some(1.0),
    };
    let event = AuditEvent { actor: "command", event: "drill.run", object: "d", detail: serde_json::json!({}) };
    let link = |_: &str| Linked { report: "{}".to_owned(), hash: "h".to_owned() };
    lab.admin.store.control().append_drill(&new, &event, link).await.unwrap();
    assert_eq!(recovery_of(&lab.admin, &tenant).await.status, "ok");
    assert_eq!(recovery_of(&lab.later(8), &tenant).await.status, "overdue");
    // drills once a month: then a proof may be as old as two months
    lab.admin.store.control().set_schedule("drill", None, "0 0 3 1 * *", now).await.unwrap();
    assert_eq!(recovery_of(&lab.later(8), &tenant).await.status, "ok");
    client.batch_execute("UPDATE holdfast.point SET missing = 1").await.unwrap();
    assert_eq!(recovery_of(&lab.admin, &tenant).await.status, "degraded");
}

/// A store over a relay that counts how often the database is spoken to.
async fn counted(lab: &Lab) -> (Admin, CountingProxy) {
    let proxy = CountingProxy::start(&server().socket, server().port);
    let mut config = lab.database.config.clone();
    config.host = proxy.folder().display().to_string();
    config.limits.stock = 0;
    let store = store::Store::connect(config).await.unwrap();
    store.attach().await.unwrap();
    (Admin { store, ..lab.admin.clone() }, proxy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_tenants_together_are_seen_as_each_alone_and_asked_about_at_once() {
    let lab = lab().await;
    let states = [TenantState::Closed, TenantState::Closed, TenantState::Active, TenantState::Suspended];
    let clock = Clock::fixed(lab.admin.clock.seconds() + 60);
    let mut flights = Vec::new();
    let mut all = Vec::new();
    for number in 0..24 {
        let state = states[if number < 4 { number % 2 } else { 2 + number % 2 }];
        let tenant = lab.tenant(&format!("team{number}"), state).await;
        if number % 3 == 0 {
            let hold = format!("DELETE FROM {}.change_mark", tenant.schema);
            lab.database.superuser().await.batch_execute(&hold).await.unwrap();
        }
        if number == 7 || number == 23 {
            let (admin, proxy) = counted(&lab).await;
            let admin = Admin { clock: clock.clone(), ..admin };
            recoveries(&admin).await.unwrap();
            let before = proxy.flights();
            all = recoveries(&admin).await.unwrap();
            flights.push(proxy.flights() - before);
        }
    }
    // those that are not in use are asked one by one, and both times they are the same four
    assert!(flights[1] <= flights[0] + 2, "{flights:?} flights for 4 and for 20 tenants in use");
    let admin = Admin { clock, ..lab.admin.clone() };
    assert_eq!(all.len(), 24);
    for (tenant, recovery) in all {
        let alone = recovery_of(&admin, &tenant).await;
        assert_eq!(serde_json::json!(recovery), serde_json::json!(alone), "{}", tenant.slug);
    }
}
