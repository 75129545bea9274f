//! The managed Postgres and the sandbox against the real system.
//!
//! Without the standard harness, because this executable is its own `sandbox` command: `main sandbox …` becomes another
//! program, `main hold DIR` is an owner that can be killed, `main probe` tries the network, everything else runs the tests whose names hold the argument.
#![expect(clippy::unwrap_used, reason = "tests")]

mod cluster;
mod sandbox;
mod support;
mod units;

use std::process::ExitCode;

type Test = (&'static str, fn());

const TESTS: &[Test] = &[
    ("cluster::a_row_survives_kill_9_of_owner_and_server", cluster::a_row_survives_kill_9_of_owner_and_server),
    ("cluster::it_runs_below_a_private_folder_without_rights", cluster::it_runs_below_a_private_folder_without_rights),
    ("cluster::a_killed_server_is_started_again", cluster::a_killed_server_is_started_again),
    ("cluster::wrong_directories_are_refused_in_one_sentence", cluster::wrong_directories_are_refused_in_one_sentence),
    (
        "cluster::a_stale_process_number_of_a_stranger_is_no_obstacle",
        cluster::a_stale_process_number_of_a_stranger_is_no_obstacle,
    ),
    ("cluster::an_isolated_one_reaches_nothing", cluster::an_isolated_one_reaches_nothing),
    ("sandbox::a_network_of_its_own_has_only_the_loopback", sandbox::a_network_of_its_own_has_only_the_loopback),
    ("sandbox::user_and_limits_are_set_and_rights_are_gone", sandbox::user_and_limits_are_set_and_rights_are_gone),
    ("sandbox::what_cannot_be_done_is_said", sandbox::what_cannot_be_done_is_said),
    ("units::units_are_valid_and_hardened", units::units_are_valid_and_hardened),
    ("units::the_sample_configuration_is_accepted", units::the_sample_configuration_is_accepted),
];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    match arguments.get(1).and_then(|word| word.to_str()) {
        Some("sandbox") => return runtime::sandbox::exec(arguments.into_iter().skip(2)),
        Some("probe") => {
            sandbox::probe();
            return ExitCode::SUCCESS;
        }
        Some("hold") => return support::hold(&arguments[2]),
        Some("--list") => {
            support::say(&TESTS.iter().map(|(name, _)| format!("{name}: test")).collect::<Vec<_>>().join("\n"));
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let filters: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    for (name, test) in
        TESTS.iter().filter(|(name, _)| filters.is_empty() || filters.iter().any(|filter| name.contains(filter)))
    {
        let started = std::time::Instant::now();
        test();
        support::say(&format!("test {name} ... ok ({:.1} s)", started.elapsed().as_secs_f32()));
    }
    ExitCode::SUCCESS
}
