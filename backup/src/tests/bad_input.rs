//! What is wrong from outside, or goes wrong in the middle: one error that says which, nothing half, and the next run is clean.

use domain::chance::Chance;
use runtime::exit::Code;
use store::Returning;
use testkit::faults::Fault;

use super::instance::empty_machine;
use super::{Lab, ThroughS3};
use crate::restore::{PHASES, RestoreOptions, Stopwatch};
use crate::run::Watched;
use crate::snapshot::PointOptions;
use crate::{Backup, Error};

/// What the store says when somebody has revoked the credentials, or deleted the bucket.
const ENDS: [(u16, &str, Code); 2] =
    [(403, "AccessDenied", Code::Unauthorised), (404, "NoSuchBucket", Code::Unreachable)];

fn options(slug: &str) -> RestoreOptions {
    RestoreOptions { slug: slug.parse().unwrap(), dry_run: false, actor: "command".to_owned() }
}

async fn take(backup: &Backup, lab: &Lab) -> Result<String, Error> {
    backup.forget_keys();
    let options = PointOptions { trigger: "command", actor: "command".to_owned(), markdown: true };
    let point = Box::pin(backup.take_point(&lab.scope(), &options)).await?.point;
    Box::pin(backup.verify_point(&point, "command")).await?;
    Ok(point)
}

/// After every single request of a point and of a restore in turn, the store gives no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_lost_in_the_middle_costs_the_run_and_nothing_else() {
    let lab = Lab::new().await;
    lab.fill(5, &Chance::seeded(120)).await;
    let s3 = ThroughS3::before(&lab).await;
    let mut backup = lab.backup.clone();
    backup.objects = s3.store.clone();
    for (status, code, exit) in ENDS {
        let mut after = 0;
        loop {
            s3.relay.set(Fault::Refuse { after, status, code });
            let taken = take(&backup, &lab).await;
            if s3.relay.set(Fault::None) == 0 {
                taken.unwrap();
                break;
            }
            let error = taken.expect_err("a point without its store");
            assert_eq!(error.exit(), exit, "{code} after {after} requests: {error}");
            let states = "SELECT coalesce(string_agg(DISTINCT state, ','), '') FROM holdfast.point";
            assert!(
                !lab.sql_text(states).await.contains("damaged"),
                "{code} after {after}: what cannot be read is not damaged"
            );
            after += 1;
        }
        assert!(after > 5, "a point is more requests than {after}");
        println!("{code} after each of {after} requests of a point");
    }
    let control = backup.store.control();
    for row in control.list_points(Some(lab.tenant.id), 1000).await.unwrap() {
        let read = backup.verify_point(&row.point, "command").await.unwrap();
        assert!(read.problems.is_empty(), "{}: what is listed is whole: {:?}", row.point, read.problems);
    }

    let point = take(&backup, &lab).await.unwrap();
    for (status, code, exit) in ENDS {
        let slug = format!("copy-{status}");
        let mut after = 0;
        loop {
            backup.forget_keys();
            s3.relay.set(Fault::Refuse { after, status, code });
            let restored = backup.restore_point(&point, &options(&slug)).await;
            if s3.relay.set(Fault::None) == 0 {
                assert_eq!(restored.unwrap().notes, 5);
                break;
            }
            let error = restored.expect_err("a restore without its store");
            assert_eq!(error.exit(), exit, "{code} after {after} requests: {error}");
            assert!(backup.store.registry().by_slug(&slug).await.unwrap().is_none(), "no tenant is left");
            after += 1;
        }
        println!("{code} after each of {after} requests of a restore");
    }
}

/// Whoever was killed lets go of its tenant when its connection is gone; until then its name is taken.
async fn once_the_name_is_free<T, F: Future<Output = Result<T, Error>>>(work: impl Fn() -> F) -> T {
    for _ in 0..200 {
        match work().await {
            Err(error) => assert_eq!(error.exit(), Code::Conflict, "{error}"),
            Ok(done) => return done,
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the name stays taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_is_killed_in_any_phase_leaves_the_name_free() {
    let lab = Lab::new().await;
    lab.fill(5, &Chance::seeded(121)).await;
    let point = lab.point().await.point;
    lab.backup.verify_point(&point, "command").await.unwrap();
    for phase in 0..=PHASES.len() {
        let (backup, point) = (&lab.backup, &point);
        once_the_name_is_free(move || {
            let (backup, point) = (backup.clone(), point.clone());
            async move {
                let killed = tokio::spawn(async move {
                    // no clean-up of ours runs after this, as after a kill
                    let die = move |done: &[crate::restore::Phase]| assert!(done.len() != phase, "killed");
                    let watch = Stopwatch::telling(Box::new(die));
                    backup.restore_watched(&point, &options("copy"), watch, &Watched::default()).await.map(drop)
                });
                match killed.await {
                    Err(ended) => {
                        assert!(ended.is_panic(), "after {phase} phases");
                        Ok(())
                    }
                    Ok(refused) => refused,
                }
            }
        })
        .await;
    }
    let wanted = options("copy");
    let report = once_the_name_is_free(|| lab.backup.restore_point(&point, &wanted)).await;
    assert_eq!(report.notes, 5, "the next run is clean");
    let tenants = "SELECT string_agg(slug || ' ' || state, ', ' ORDER BY slug) FROM holdfast.tenant";
    assert_eq!(lab.sql_text(tenants).await, "copy closed, team active");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_point_of_a_newer_format_is_passed_over_by_name() {
    let lab = Lab::new().await;
    lab.fill(3, &Chance::seeded(122)).await;
    let point = lab.point().await;
    lab.backup.verify_point(&point.point, "command").await.unwrap();
    let newer = "20991231T235959Z-0a1b2c3d";
    let text = std::fs::read_to_string(lab.file_of(&point.manifest)).unwrap();
    let text = text.replacen("\"format\":1", "\"format\":2", 1).replace(&point.point, newer);
    let at = lab.file_of(&objects::keys::manifest(lab.tenant.id, newer));
    std::fs::create_dir_all(at.parent().unwrap()).unwrap();
    std::fs::write(at, text).unwrap();
    let stranger = empty_machine(&lab, "stranger").await;
    let tenant = Returning { id: lab.tenant.id, slug: "team".to_owned(), state: "active".to_owned() };
    let mut warnings = Vec::new();
    let points = stranger.points_of_returning(&tenant, "test", &mut warnings).await.unwrap();
    assert_eq!(points, [point.point], "the others count");
    let told = warnings.join("; ");
    assert!(told.contains(newer) && told.contains("format 2") && told.contains("newer"), "{told}");
}
