//! Backends that give way: searches may look at every note, and where the database is on the same machine they would
//! take the cores from everybody else's small reads.

use rustix::process::{Pid, setpriority_process};
use tokio_postgres::Client;

/// How much nicer than others: a few hundredths of a core's time when somebody else wants it, all of it when nobody does.
const NICE: i32 = 15;

/// Lets the backend of a connection give way to all others, if it is a process of this machine and of this user (or we may
/// do so with everybody's): as in the embedded database. Elsewhere nothing is changed.
///
/// # Errors
/// The connection's own.
pub(crate) async fn give_way(client: &Client, role: &str) -> Result<(), tokio_postgres::Error> {
    let number: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await?.try_get(0)?;
    let Some(process) = Pid::from_raw(number).filter(|_| is_backend(number, role)) else { return Ok(()) };
    if let Err(error) = setpriority_process(Some(process), NICE) {
        tracing::debug!(%error, "searches do not give way to other requests");
        return Ok(());
    }
    // Every backend is a session of its own, and a kernel that schedules sessions as groups compares niceness within them only:
    // the group is told, too (sched(7), autogroup). A kernel that does not has no such file.
    if let Err(error) = std::fs::write(format!("/proc/{number}/autogroup"), NICE.to_string()) {
        tracing::debug!(%error, "the session of searches is scheduled like others");
    }
    Ok(())
}

/// Whether the process of this number is a backend of the role: a database elsewhere has numbers of its own.
fn is_backend(number: i32, role: &str) -> bool {
    let title = std::fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
    let title = String::from_utf8_lossy(&title);
    title.starts_with("postgres:") && title.split(' ').any(|word| word == role)
}

#[cfg(test)]
mod tests {
    use super::is_backend;

    #[test]
    fn only_a_backend_of_ours_is_one() {
        let ourselves = i32::try_from(std::process::id()).expect("a number");
        assert!(!is_backend(ourselves, "postgres:"));
        assert!(!is_backend(-1, "role"));
    }
}
