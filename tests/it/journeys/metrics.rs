//! What `/metrics` of server and worker tell, in the split that the units run: each its own part, and of no tenant by name.

use std::net::SocketAddr;
use std::time::Duration;

use super::process::until;
use crate::support::Http;

/// What the server counts: the beginnings of lines.
const SERVER: [&str; 14] = [
    "holdfast_http_request_duration_seconds_bucket{route=\"MemoService/ListMemos\",method=\"GET\",status=\"200\"",
    "holdfast_http_request_duration_seconds_bucket{route=\"/console/tenants/{slug}\",method=\"GET\",status=\"200\"",
    "holdfast_pool_connections{state=\"used\"}",
    "holdfast_pool_connections{state=\"idle\"}",
    "holdfast_pool_connections{state=\"waiting\"}",
    "holdfast_pool_acquire_seconds_count ",
    "holdfast_database_errors_total{class=\"unavailable\"}",
    "holdfast_jobs{state=\"",
    "holdfast_recovery_tenants{status=\"ok\"}",
    "holdfast_restore_rpo_seconds ",
    "holdfast_backup_verified_age_seconds ",
    "holdfast_restore_proven_age_seconds ",
    "holdfast_build_info{version=\"",
    "process_resident_memory_bytes ",
];

/// What the worker counts.
const WORKER: [&str; 12] = [
    "holdfast_jobs_total{kind=\"drill\",result=\"done\"} 1",
    "holdfast_jobs_total{kind=\"backup\",result=\"done\"}",
    "holdfast_job_duration_seconds_count{kind=\"drill\"} 1",
    "holdfast_backup_runs_total{kind=\"point\",result=\"ok\"}",
    "holdfast_backup_duration_seconds_count ",
    "holdfast_restore_drill_runs_total{result=\"pass\"} 1",
    "holdfast_restore_drill_phase_duration_seconds{phase=\"",
    "holdfast_restore_drill_chaos_undetected 0",
    "holdfast_restore_rto_seconds ",
    "holdfast_pool_acquire_seconds_count ",
    "holdfast_database_errors_total{class=\"unavailable\"}",
    "holdfast_build_info{version=\"",
];

fn get(ops: SocketAddr, path: &str) -> String {
    let http = Http { address: ops, host: ops.to_string(), base: String::new() };
    let answer = http.send("GET", path, &[], None);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.text()
}

/// After a backup and a drill by the worker; `tenants` are known by these names.
#[track_caller]
pub(super) fn everything_is_measured(server: SocketAddr, worker: SocketAddr, tenants: &[&str]) {
    for (who, ops, wanted) in [("server", server, &SERVER[..]), ("worker", worker, &WORKER[..])] {
        assert_eq!(get(ops, "/livez"), "ok\n", "{who}");
        let ready = get(ops, "/readyz?verbose");
        assert!(ready.contains("[+]database ok") && ready.contains("[+]backup_store ok"), "{who}: {ready}");
        let mut text = String::new();
        // The ages are measured every 15 s.
        until(Duration::from_secs(40), who, || {
            text = get(ops, "/metrics");
            let missing: Vec<_> = wanted.iter().filter(|one| !text.lines().any(|l| l.starts_with(**one))).collect();
            if !missing.is_empty() {
                eprintln!("{who} does not tell yet: {missing:?}");
            }
            missing.is_empty()
        });
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let named = ["tenant=", "slug=", "schema="].iter().any(|label| line.contains(label));
            let values = tenants.iter().any(|slug| line.contains(&format!("\"{slug}\"")));
            assert!(!named && !values, "{who} tells of a tenant: {line}");
        }
    }
}
