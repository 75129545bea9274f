//! Schema steps with a point before each, and back.

use domain::chance::Chance;
use domain::tenant::TenantState;
use store::{TenantScope, TenantStep};

use super::Lab;
use crate::Error;

/// The steps of this executable and one more, which fails where a table is in its way.
fn one_more() -> Vec<TenantStep> {
    let mut steps = TenantStep::all();
    let version = store::TENANT_VERSION + 1;
    let sql = "ALTER TABLE note ADD COLUMN mood text NOT NULL DEFAULT 'calm';\nCREATE TABLE mood_seen (id bigint PRIMARY KEY);\n";
    steps.push(TenantStep { version, sql: sql.to_owned() });
    steps
}

async fn count(lab: &Lab, slug: &str, sql: &str) -> Result<i64, store::Error> {
    let tenant = lab.backup.tenant(slug).await.unwrap();
    let scope = TenantScope::for_command(tenant, "test");
    Ok(lab.backup.store.begin(&scope).read_once(sql, &[]).await?[0].get(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_fails_on_one_tenant_leaves_it_and_the_others_alone() {
    let lab = Lab::new().await;
    lab.fill(7, &Chance::seeded(95)).await;
    for slug in ["apple", "berry", "zebra"] {
        lab.backup.store.build_tenant(&slug.parse().unwrap(), TenantState::Active).await.unwrap();
    }
    // the third in order: apple, berry, team, zebra
    lab.sql("CREATE TABLE mood_seen (other text PRIMARY KEY)").await;
    lab.sql(&format!("GRANT SELECT ON mood_seen TO {}", lab.tenant.schema)).await;
    let report = lab.backup.apply_steps(&one_more(), "command").await.unwrap();
    let told: Vec<_> =
        report.tenants.iter().map(|one| (one.tenant.as_str(), one.to, one.canary, one.problem.is_some())).collect();
    let (old, new) = (store::TENANT_VERSION, store::TENANT_VERSION + 1);
    assert_eq!(
        told,
        [
            ("apple", new, true, false),
            ("berry", new, false, false),
            ("team", old, false, true),
            ("zebra", new, false, false)
        ]
    );
    assert!(report.tenants.iter().all(|one| one.point.is_some()), "each has a verified point from before");
    assert_eq!(count(&lab, "zebra", "SELECT count(mood) FROM note").await.unwrap(), 0, "serves on the new step");
    assert_eq!(count(&lab, "team", "SELECT count(*) FROM note").await.unwrap(), 7, "the failed one is untouched");
    assert!(count(&lab, "team", "SELECT count(mood) FROM note").await.is_err());
    let nothing = lab.backup.roll_back("team", "command").await.unwrap_err();
    assert!(matches!(nothing, Error::Refused(_)), "{nothing}");

    // what was in the way goes, and it is taken up where it was left
    lab.sql("DROP TABLE mood_seen").await;
    let again = lab.backup.apply_steps(&one_more(), "command").await.unwrap();
    assert_eq!(again.tenants.len(), 1);
    assert_eq!(count(&lab, "team", "SELECT count(mood) FROM note").await.unwrap(), 7);
    assert!(lab.backup.apply_steps(&one_more(), "command").await.unwrap().tenants.is_empty(), "nothing is left to do");

    // and back, with what was written since told and kept
    lab.sql(
        "INSERT INTO note (id, uid, creator_id, created_ts, updated_ts, visibility, content) VALUES (700, 'since', 1, 9, 9, 'PRIVATE', 'new'); \
         UPDATE note SET content = 'other' WHERE uid = 'n-11'; DELETE FROM note WHERE uid = 'n-12'",
    )
    .await;
    let back = lab.backup.roll_back("team", "command").await.unwrap();
    assert_eq!((back.written_since.len(), back.deleted_since.len()), (2, 1), "{back:?}");
    assert!(count(&lab, "team", "SELECT count(mood) FROM note").await.is_err(), "as before the step");
    assert_eq!(count(&lab, "team", "SELECT count(*) FROM note").await.unwrap(), 7);
    assert_eq!(count(&lab, &back.swap.other, "SELECT count(*) FROM note").await.unwrap(), 7, "kept beside");
}
