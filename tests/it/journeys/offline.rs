//! The demo and the whole journey where there is no network but loopback: nothing of ours needs another.

use std::process::{Command, Stdio};
use std::time::Duration;

use super::demo::{once, passed};
use super::process::{Installation, finish, skipped};

/// Set for a test that runs where there is no network.
const INSIDE: &str = "TEST_WITHOUT_NETWORK";

/// The words that run a command where there is nothing but loopback; none, and a word about it, where that is not permitted.
fn words() -> Option<Vec<String>> {
    let mut words = vec!["unshare", "--net"];
    if !nix::unistd::geteuid().is_root() {
        // Who is nobody special may do that to himself; he stays who he is, since Postgres does not run as root.
        words.extend(["--user", "--map-current-user", "--keep-caps"]);
    }
    words.extend(["sh", "-c", "ip link set lo up && exec \"$@\"", "sh"]);
    let probe = Command::new(words[0])
        .args(&words[1..])
        .args(["sh", "-c", "test $(ip -o link | wc -l) -ge 1 && ! ip route get 192.0.2.1"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        skipped("a network namespace of its own is not permitted here");
        return None;
    }
    Some(words.into_iter().map(str::to_owned).collect())
}

/// Runs the test `name` once more as a process in a network namespace with loopback only, and there the story. Where no
/// such namespace is permitted, the story is told with the network that there is.
pub(super) fn without_network(name: &str, story: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        let routes = std::fs::read_to_string("/proc/self/net/route").unwrap();
        assert_eq!(routes.lines().count(), 1, "no way leads out: {routes}");
        return story();
    }
    let Some(words) = words() else { return story() };
    // Tests of other namespaces use it, too: its socket is a file.
    testkit::pg::server();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).arg(std::env::current_exe().unwrap()).args(["--exact", name, "--nocapture"]);
    let told = finish(command.env(INSIDE, "1").stdin(Stdio::null()), name, Duration::from_secs(400));
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    assert!(told.out.contains("1 passed; 0 failed"), "it ran there: {}", told.out);
    assert!(!told.err.contains("skipped "), "and all of it: {}", told.err);
}

#[test]
fn the_demo_needs_no_network() {
    let Some(words) = words() else { return };
    let mut place = Installation::embedded();
    place.before = words;
    passed(&once(&place, None), None);
}
