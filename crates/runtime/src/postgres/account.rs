//! The user that Postgres runs as. It refuses to be root.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{User, geteuid};

use super::Error;

/// A user, and whether we have to become it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) user: u32,
    pub(super) group: u32,
    /// We are root and Postgres must not be.
    pub(super) switch: bool,
}

impl Account {
    /// Ourselves; as root, the owner of an existing data directory, else `postgres`, else `nobody`.
    pub(super) fn choose(directory: &Path) -> Result<Self, Error> {
        let metadata = directory.metadata().ok();
        if let Some(metadata) = &metadata
            && metadata.mode() & 0o027 != 0
        {
            return Err(Error::Mode { path: directory.to_owned(), mode: metadata.mode() & 0o7777 });
        }
        if !geteuid().is_root() {
            let own = Self { user: geteuid().as_raw(), group: nix::unistd::getegid().as_raw(), switch: false };
            return match metadata {
                Some(there) if there.uid() != own.user => Err(owner(directory, there.uid(), own.user)),
                _ => Ok(own),
            };
        }
        match metadata {
            Some(there) if there.uid() != 0 => Ok(Self { user: there.uid(), group: there.gid(), switch: true }),
            Some(_) => Err(owner(directory, 0, Self::service()?.user)),
            None => Self::service(),
        }
    }

    fn service() -> Result<Self, Error> {
        let found = ["postgres", "nobody"].iter().find_map(|name| User::from_name(name).ok().flatten());
        let user = found.filter(|user| !user.uid.is_root()).ok_or(Error::NoAccount)?;
        Ok(Self { user: user.uid.as_raw(), group: user.gid.as_raw(), switch: true })
    }

    /// Gives a file or folder to this user, when that is not us.
    pub(super) fn give(self, path: &Path) -> Result<(), Error> {
        if self.switch {
            std::os::unix::fs::chown(path, Some(self.user), Some(self.group))
                .map_err(Error::file("cannot change the owner of", path))?;
        }
        Ok(())
    }
}

fn owner(directory: &Path, owner: u32, wanted: u32) -> Error {
    Error::Owner { path: directory.to_owned(), owner, wanted }
}
