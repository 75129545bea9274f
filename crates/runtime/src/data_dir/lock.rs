//! Owner and guests of a data folder, by two lock files that the system releases when a process ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{DataDir, Error};

/// How often a lock that someone else holds is tried again.
const RETRY: Duration = Duration::from_millis(50);
/// How long an owner that is leaving may take.
const LEAVING: Duration = Duration::from_secs(90);

/// What this process is on a data folder.
#[derive(Debug)]
pub enum Claim {
    /// It runs the services.
    Owner(Owner),
    /// Someone else runs them.
    Guest(Guest),
}

/// Holds a data folder until dropped.
#[derive(Debug)]
pub struct Owner {
    guests: File,
    _lock: File,
}

/// Keeps the owner of a data folder from leaving until dropped.
#[derive(Debug)]
pub struct Guest {
    _guests: File,
}

impl DataDir {
    /// Becomes the owner, or a guest when there is an owner already. Waits while an owner is leaving.
    pub async fn claim(&self) -> Result<Claim, Error> {
        let deadline = Instant::now() + LEAVING;
        loop {
            if let Some(claim) = self.try_claim()? {
                return Ok(claim);
            }
            if Instant::now() > deadline {
                return Err(Error::Leaving { path: self.root().to_owned() });
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Becomes the owner or fails: for commands that cannot share, such as `serve --embedded`.
    pub async fn own(&self) -> Result<Owner, Error> {
        match self.claim().await? {
            Claim::Owner(owner) => Ok(owner),
            Claim::Guest(_) => Err(Error::Owned { path: self.root().to_owned(), owner: self.owner_id() }),
        }
    }

    fn owner_id(&self) -> String {
        let text = std::fs::read_to_string(self.run().join("owner.lock")).unwrap_or_default();
        let id = text.trim();
        if id.is_empty() { "unknown".to_owned() } else { id.to_owned() }
    }

    fn try_claim(&self) -> Result<Option<Claim>, Error> {
        let mut owner = open(&self.run().join("owner.lock"))?;
        let guests_path = self.run().join("guests.lock");
        let guests = open(&guests_path)?;
        if held(owner.try_lock(), &guests_path)? {
            let failed = |source| Error::Folder { path: self.run(), source };
            owner.set_len(0).map_err(failed)?;
            writeln!(owner, "{}", std::process::id()).map_err(failed)?;
            return Ok(Some(Claim::Owner(Owner { guests, _lock: owner })));
        }
        // An owner that is leaving holds the guests' lock alone: then this one waits to become the next owner.
        if held(guests.try_lock_shared(), &guests_path)? {
            return Ok(Some(Claim::Guest(Guest { _guests: guests })));
        }
        Ok(None)
    }
}

impl Owner {
    /// Waits at most `patience` for the guests to end, and lets no new one in. False: someone is still there.
    pub async fn dismiss_guests(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            match self.guests.try_lock() {
                Ok(()) => return true,
                Err(_) if Instant::now() > deadline => return false,
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }
}

fn open(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|source| Error::Folder { path: path.to_owned(), source })
}

fn held(result: Result<(), TryLockError>, path: &Path) -> Result<bool, Error> {
    match result {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(source)) => Err(Error::Folder { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_is_a_guest_and_the_owner_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(&folder.path().join("data")).unwrap();
        let owner = data.own().await.unwrap();
        let Claim::Guest(guest) = data.claim().await.unwrap() else { panic!("two owners") };
        let told = data.own().await.unwrap_err().to_string();
        assert!(told.contains(&std::process::id().to_string()), "{told}");
        assert!(!owner.dismiss_guests(Duration::ZERO).await);
        drop(guest);
        assert!(owner.dismiss_guests(Duration::from_secs(1)).await);
        let next = tokio::spawn(async move { data.claim().await });
        tokio::time::sleep(Duration::from_millis(120)).await;
        assert!(!next.is_finished(), "a guest was let in while the owner was leaving");
        drop(owner);
        assert!(matches!(next.await.unwrap().unwrap(), Claim::Owner(_)));
    }
}
