use std::ffi::OsStr;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};

use nix::unistd::geteuid;

use super::support::{own, say};

/// `main probe`: what a process in its own network can do.
pub(crate) fn probe() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let inside = TcpStream::connect(listener.local_addr().unwrap()).is_ok();
    // A documentation address: nothing answers there, and without a route the refusal comes at once.
    let outside = TcpStream::connect("192.0.2.1:9").unwrap_err().kind();
    say(&format!("inside {inside} outside {outside:?}"));
}

fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Output {
    Command::new(own()).arg("sandbox").args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)).trim().to_owned()
}

pub(crate) fn a_network_of_its_own_has_only_the_loopback() {
    if !runtime::sandbox::can_isolate(&own()) {
        say("skipped sandbox::a_network_of_its_own_has_only_the_loopback: the system allows no network namespace");
        return;
    }
    let own = own();
    let output = run(&[OsStr::new("--new-net"), OsStr::new("--"), own.as_os_str(), OsStr::new("probe")]);
    assert_eq!(text(&output), "inside true outside NetworkUnreachable");
}

pub(crate) fn user_and_limits_are_set_and_rights_are_gone() {
    let shell = "id -u; ulimit -n; grep -c '^CapEff:.0*$' /proc/self/status; grep NoNewPrivs /proc/self/status";
    let mut arguments = vec!["--rlimit", "nofile=64"];
    let expected_user = if geteuid().is_root() {
        arguments.extend(["--uid", "65534", "--gid", "65534"]);
        "65534".to_owned()
    } else {
        geteuid().to_string()
    };
    arguments.extend(["--", "/bin/sh", "-c", shell]);
    assert_eq!(text(&run(&arguments)), format!("{expected_user}\n64\n1\nNoNewPrivs:\t1"));
}

pub(crate) fn what_cannot_be_done_is_said() {
    let output = run(&["--", "/no/such/program"]);
    assert_eq!(output.status.code(), Some(i32::from(runtime::sandbox::NOT_REACHED)));
    assert!(text(&output).starts_with("sandbox: cannot run /no/such/program"), "{}", text(&output));
    assert!(text(&run(&["--user", "root"])).contains("unknown option --user"));
    assert!(text(&run(&["--parent-death", "INT", "--parent", "1", "--check"])).contains("parent process has ended"));
}
