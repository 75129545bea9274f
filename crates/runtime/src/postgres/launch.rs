//! Starting a program of PostgreSQL as its user.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::account::Account;

/// As whom, and through which executable of ours.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    pub(super) account: Account,
    pub(super) sandbox: Option<PathBuf>,
    pub(super) isolated: bool,
}

impl Launch {
    /// A command with a clean environment. `parent_death` is the signal it gets when we die, where that can be arranged.
    pub(super) fn command(&self, program: &Path, parent_death: &str) -> Command {
        let mut command = match &self.sandbox {
            Some(own) => self.through_sandbox(own, program, parent_death),
            None => self.direct(program),
        };
        command.env_clear().env("LC_ALL", "C").env("TZ", "UTC").current_dir("/");
        command
    }

    fn through_sandbox(&self, own: &Path, program: &Path, parent_death: &str) -> Command {
        let mut command = Command::new(own);
        command.arg("sandbox").args(["--parent-death", parent_death, "--parent", &std::process::id().to_string()]);
        if self.account.switch {
            command.args(["--uid", &self.account.user.to_string(), "--gid", &self.account.group.to_string()]);
            // The data folder may lie below one that only root can enter.
            command.args(["--ambient", "dac_read_search"]);
        }
        if self.isolated {
            command.arg("--new-net");
        }
        command.arg("--").arg(program);
        command
    }

    fn direct(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if self.account.switch {
            command.uid(self.account.user).gid(self.account.group);
        }
        command
    }
}
