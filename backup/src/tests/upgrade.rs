//! Schema steps with a point before each, and back.

use domain::chance::Chance;
use domain::tenant::TenantState;
use store::{TenantScope, TenantStep};

use super::Lab;
use super::drills::options as drilling;
use super::instance::empty_machine;
use crate::{Error, RestoreOptions, Verdict};

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
    let mut lab = Lab::new().await;
    lab.backup.steps = one_more().into();
    lab.fill(7, &Chance::seeded(95)).await;
    for slug in ["apple", "berry", "zebra"] {
        lab.backup.store.build_tenant(&slug.parse().unwrap(), TenantState::Active).await.unwrap();
    }
    // the third in order: apple, berry, team, zebra
    lab.sql("CREATE TABLE mood_seen (other text PRIMARY KEY)").await;
    lab.sql(&format!("GRANT SELECT ON mood_seen TO {}", lab.tenant.schema)).await;
    let report = lab.backup.apply_steps("command").await.unwrap();
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
    let again = lab.backup.apply_steps("command").await.unwrap();
    assert_eq!(again.tenants.len(), 1);
    assert_eq!(count(&lab, "team", "SELECT count(mood) FROM note").await.unwrap(), 7);
    assert!(lab.backup.apply_steps("command").await.unwrap().tenants.is_empty(), "nothing is left to do");

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

/// A step that counts what notes say, makes a table of its own, and lets sign-ins remember more.
const COUNTING: &str = "ALTER TABLE note ADD COLUMN letters integer;
UPDATE note SET letters = char_length(content);
ALTER TABLE note ALTER COLUMN letters SET NOT NULL, ALTER COLUMN letters SET DEFAULT 0;
CREATE TABLE counted (id bigint PRIMARY KEY);
INSERT INTO counted SELECT id FROM note;
ALTER TABLE session ADD COLUMN device text NOT NULL DEFAULT '';
";

/// The steps of this executable and these.
fn and(more: &[&str]) -> Vec<TenantStep> {
    let later = more.iter().zip(store::TENANT_VERSION + 1..);
    let later = later.map(|(sql, version)| TenantStep { version, sql: (*sql).to_owned() });
    TenantStep::all().into_iter().chain(later).collect()
}

fn to(slug: &str) -> RestoreOptions {
    RestoreOptions { slug: slug.parse().unwrap(), dry_run: false, actor: "command".to_owned() }
}

async fn version(lab: &Lab, slug: &str) -> i32 {
    let sql = format!("SELECT version::text FROM holdfast.tenant WHERE slug = '{slug}'");
    lab.sql_text(&sql).await.parse().unwrap()
}

const COUNTED: &str = "SELECT count(*) FROM note JOIN counted USING (id) WHERE letters = char_length(content)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_point_from_before_a_step_takes_it_and_a_rollback_does_not() {
    let mut lab = Lab::new().await;
    lab.fill(7, &Chance::seeded(96)).await;
    let old = lab.point().await.point;
    lab.backup.verify_point(&old, "command").await.unwrap();
    lab.backup.take_control_point(&super::instance::options()).await.unwrap();
    let (first, second) = (store::TENANT_VERSION, store::TENANT_VERSION + 1);

    // beside the live tenant, which is at the first version still
    lab.backup.steps = and(&[COUNTING]).into();
    let report = lab.backup.restore_point(&old, &to("copy")).await.unwrap();
    assert_eq!((report.point_version, report.schema_version), (first, second));
    assert!(report.tables.iter().all(|table| table.equal && table.name != "counted"), "{:?}", report.tables);
    assert_eq!((version(&lab, "copy").await, version(&lab, "team").await), (second, first));
    assert_eq!(count(&lab, "copy", COUNTED).await.unwrap(), 7, "the step went over the rows of the point");

    // on another machine, and in a drill
    let mut place = empty_machine(&lab, "newer").await;
    place.steps = lab.backup.steps.clone();
    let back = place.restore_instance("command", |_| ()).await.unwrap();
    assert!(back.tenants.iter().all(|one| one.problem.is_none()) && back.tenants.len() == 1, "{back:?}");
    let scope = TenantScope::for_command(place.tenant("team").await.unwrap(), "test");
    let counted: i64 = place.store.begin(&scope).read_once(COUNTED, &[]).await.unwrap()[0].get(0);
    assert_eq!((counted, place.store.tenants_behind(second).await.unwrap().len()), (7, 0));
    let drill = lab.backup.drill(&old, &drilling(&lab)).await.unwrap();
    assert_eq!(drill.differences, ["the copy cannot be served: no executable was given"]);
    assert!(drill.tables.len() > 10 && drill.tables.iter().all(|table| table.equal), "{:?}", drill.tables);
    assert!(drill.phases.iter().any(|phase| phase.name == "steps"), "{:?}", drill.phases);

    // the live tenant takes it and goes back, and whoever signed in meanwhile stays so
    let applied = lab.backup.apply_steps("command").await.unwrap();
    assert_eq!(applied.tenants.iter().map(|one| one.to).collect::<Vec<_>>(), [second]);
    lab.sql(
        "INSERT INTO session (session_id, member_id, token_hash, created_ns, expires_ns, last_used_ns, device) VALUES ('s', 1, 'h', 1, 9, 1, 'phone')",
    )
    .await;
    let newer = lab.point().await.point;
    let back = lab.backup.roll_back("team", "command").await.unwrap();
    assert_eq!((version(&lab, "team").await, version(&lab, &back.swap.other).await), (first, second));
    assert_eq!((back.written_since.len(), back.deleted_since.len()), (0, 0), "{back:?}");
    assert!(count(&lab, "team", COUNTED).await.is_err(), "as before the step");
    assert_eq!(count(&lab, "team", "SELECT count(*) FROM session WHERE token_hash = 'h'").await.unwrap(), 1);
    lab.backup.undo_swap("team", 1, "command").await.unwrap();
    assert_eq!((version(&lab, "team").await, count(&lab, "team", COUNTED).await.unwrap()), (second, 7));

    // whoever does not know the step refuses what has taken it
    lab.backup.steps = TenantStep::all().into();
    let told = format!("has schema version {second}, and this version knows up to {first}; use a newer holdfast");
    let refused = lab.backup.restore_point(&newer, &to("other")).await.unwrap_err();
    assert!(matches!(refused, Error::Refused(_)) && refused.to_string().contains(&told), "{refused}");
    let drill = lab.backup.drill(&newer, &drilling(&lab)).await.unwrap();
    assert!(drill.verdict == Verdict::Incomplete && drill.differences[0].contains(&told), "{:?}", drill.differences);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_fails_on_a_copy_leaves_nothing_of_it() {
    let mut lab = Lab::new().await;
    lab.fill(3, &Chance::seeded(97)).await;
    let old = lab.point().await.point;
    lab.backup.steps = and(&[COUNTING, "UPDATE note SET letters = letters / (id - id)"]).into();
    let failed = lab.backup.restore_point(&old, &to("copy")).await.unwrap_err();
    let first = store::TENANT_VERSION;
    let told = format!("schema version {first}, and step {} failed", first + 2);
    assert!(failed.to_string().contains(&told), "{failed}");
    assert!(lab.backup.tenant("copy").await.is_err(), "nothing is left of it");
    lab.backup.steps = and(&[COUNTING, "UPDATE note SET letters = letters + 1"]).into();
    let report = lab.backup.restore_point(&old, &to("copy")).await.unwrap();
    assert_eq!((report.schema_version, version(&lab, "copy").await), (first + 2, first + 2), "two steps in a row");
    let both = "SELECT count(*) FROM note WHERE letters = char_length(content) + 1";
    assert_eq!(count(&lab, "copy", both).await.unwrap(), 3);
}
