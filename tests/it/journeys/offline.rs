//! The whole demo where there is no network but loopback: nothing of ours needs another.

use std::process::{Command, Stdio};

use super::demo::{once, passed};
use super::process::{Installation, skipped};

#[test]
fn the_demo_needs_no_network() {
    let words = ["unshare", "--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"];
    let probe = Command::new(words[0])
        .args(&words[1..])
        .args(["sh", "-c", "test $(ip -o link | wc -l) -ge 1 && ! ip route get 192.0.2.1"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        skipped("a network namespace of its own is not permitted here");
        return;
    }
    let mut place = Installation::embedded();
    place.before = words.map(str::to_owned).to_vec();
    passed(&once(&place, None), None);
}
