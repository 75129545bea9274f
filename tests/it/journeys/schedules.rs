//! Schedules with several workers: every due time once, and what was missed is caught up once.

use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::process::{Installation, Service, until};
use super::reading::database;

const EVERY_5_S: &str = "*/5 * * * * *";

/// Due times (seconds since 1970) with their outcomes, oldest first.
fn runs(place: &Installation) -> Vec<(i64, String)> {
    let all = place.run(&["schedule", "list"]).ok();
    let mut runs: Vec<(i64, String)> = all["items"][0]["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| {
            let due = OffsetDateTime::parse(run["due_at"].as_str().unwrap(), &Rfc3339).unwrap();
            (due.unix_timestamp(), run["outcome"].as_str().unwrap().to_owned())
        })
        .collect();
    runs.sort();
    runs
}

fn points(place: &Installation) -> Vec<Value> {
    place.run(&["backup", "list", "--tenant", "acme"]).ok()["points"].as_array().unwrap().clone()
}

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// Two workers for so many seconds, then one that was away for two due times.
fn exactly_once(seconds: u64) {
    let (url, _) = database();
    let place = Installation::on(&url);
    place.tenant("acme");
    let workers: Vec<Service> = (0..2).map(|_| place.worker(&[])).collect();
    let set = place.run(&["schedule", "set", "backup", "--all", "--cron", EVERY_5_S]).ok();
    assert_eq!(set["kind"], "backup");
    std::thread::sleep(Duration::from_secs(seconds));
    let id = set["id"].as_i64().unwrap().to_string();
    place.run(&["schedule", "pause", &id]).ok();

    let ran = runs(&place);
    assert!(ran.len() as u64 >= seconds / 5 - 1, "{} due times in {seconds} s: {ran:?}", ran.len());
    for pair in ran.windows(2) {
        assert_eq!(pair[1].0 - pair[0].0, 5, "each due time once, none left out: {ran:?}");
    }
    assert!(ran.iter().all(|(_, outcome)| outcome == "enqueued"), "{ran:?}");
    until(Duration::from_secs(30), "every run has become a point", || points(&place).len() >= ran.len());
    std::thread::sleep(Duration::from_secs(1));
    let made = points(&place);
    assert_eq!(made.len(), ran.len(), "one point for each due time: {made:?}");
    assert!(made.iter().all(|point| point["state"] == "verified"), "{made:?}");

    // Away for at least two due times.
    place.run(&["schedule", "resume", &id]).ok();
    until(Duration::from_secs(30), "it is due again", || runs(&place).len() > ran.len());
    workers.into_iter().for_each(Service::stop);
    let before = runs(&place);
    let last = before.last().unwrap().0;
    until(Duration::from_secs(30), "two due times have passed", || now() > last + 10);
    let worker = place.worker(&[]);
    until(Duration::from_secs(60), "it is due again", || runs(&place).len() >= before.len() + 3);
    place.run(&["schedule", "pause", &id]).ok();
    let after: Vec<_> = runs(&place).into_iter().filter(|(due, _)| *due > last).collect();
    let outcomes: Vec<&str> = after.iter().map(|(_, outcome)| outcome.as_str()).collect();
    let missed = outcomes.iter().take_while(|outcome| **outcome == "missed").count();
    assert!(missed >= 1 && after[0].0 == last + 5, "the first that passed is recorded as missed: {after:?}");
    assert_eq!(outcomes[missed], "caught_up", "the last that passed is caught up: {after:?}");
    assert!(outcomes[missed + 1..].iter().all(|outcome| *outcome == "enqueued"), "caught up once: {after:?}");
    for pair in after.windows(2) {
        assert_eq!(pair[1].0 - pair[0].0, 5, "none left out: {after:?}");
    }
    worker.stop();
}

#[test]
fn two_workers_do_every_run_once() {
    exactly_once(16);
}

#[test]
#[ignore = "a minute: make soak"]
fn soak_two_workers_do_every_run_once() {
    exactly_once(60);
}

/// Drills by their schedule, with two workers: one drill for each due time, each a whole one of its own.
#[test]
fn a_schedule_of_drills_has_every_drill_done_once() {
    let (url, database) = database();
    let mut place = Installation::on(&url);
    place.set("backup_changed_after", 0);
    place.tenant("acme");
    let point = place.run(&["backup", "run", "--tenant", "acme"]).ok();
    let workers: Vec<Service> = (0..2).map(|_| place.worker(&[])).collect();
    let set = place.run(&["schedule", "set", "drill", "--tenant", "acme", "--cron", "*/4 * * * * *"]).ok();
    until(Duration::from_secs(30), "it was due twice", || runs(&place).len() >= 2);
    place.run(&["schedule", "pause", &set["id"].to_string()]).ok();
    let ran = runs(&place);
    for pair in ran.windows(2) {
        assert_eq!(pair[1].0 - pair[0].0, 4, "each due time once, none left out: {ran:?}");
    }
    assert!(ran.iter().all(|(_, outcome)| outcome == "enqueued"), "{ran:?}");

    let left = "SELECT count(*) FROM holdfast.job WHERE kind = 'drill' AND state IN ('queued', 'running')";
    until(Duration::from_secs(120), "every drill has ended", || database.sql(left) == "0");
    let drills = place.run(&["drill", "list", "--tenant", "acme"]).ok()["drills"].as_array().unwrap().clone();
    assert_eq!(drills.len(), ran.len(), "one drill for each due time: {drills:?}");
    for drill in &drills {
        assert_eq!((&drill["verdict"], &drill["point"]), (&"pass".into(), &point["point"]), "{drill}");
        let report = place.run(&["drill", "show", drill["drill"].as_str().unwrap()]).ok();
        assert_eq!(report["trigger"], "job:schedule");
        let refused = report["faults"].as_array().unwrap().iter().filter(|fault| fault["detected"] == true).count();
        assert_eq!((refused, &report["control_accepted"]), (6, &true.into()), "{}", report["faults"]);
    }
    // each due time has its own job, which was begun once and is one of these drills
    let jobs = "SELECT count(DISTINCT run.job_id) || ' ' || count(DISTINCT job.result ->> 'drill') || ' ' || max(job.attempts) \
                FROM holdfast.schedule_run run JOIN holdfast.job job ON job.id = run.job_id WHERE job.state = 'done'";
    assert_eq!(database.sql(jobs), format!("{0} {0} 1", ran.len()));
    let shown = place.run(&["backup", "list", "--tenant", "acme"]).ok();
    assert_eq!(shown["points"][0]["state"], "proven", "{shown}");
    workers.into_iter().for_each(Service::stop);
}
