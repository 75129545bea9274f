//! The folder of the socket: short (a socket's path has at most 107 bytes), private, the same for the same data.

use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use sha2::{Digest, Sha256};

use super::Error;
use super::account::Account;
use crate::settings::environment;

/// Longest folder whose sockets still fit.
const LONGEST: usize = 80;

/// Makes `/run/holdfast/<8 hex>`, else one in the user's runtime folder, else one in the temporary folder; empties it of
/// old sockets.
pub(super) fn folder(directory: &Path, account: Account) -> Result<PathBuf, Error> {
    let name = hex::encode(&Sha256::digest(directory.as_os_str().as_encoded_bytes())[..4]);
    let mut last = None;
    for place in places(&name) {
        match make(&place, account) {
            Ok(()) => return Ok(place),
            Err(error) => last = Some((place, error)),
        }
    }
    let (path, source) = last.unwrap_or_else(|| (PathBuf::from("/run"), std::io::ErrorKind::NotFound.into()));
    Err(Error::File { what: "cannot make a folder for the database socket", path, source })
}

fn places(name: &str) -> Vec<PathBuf> {
    let mut places = vec![Path::new("/run/holdfast").join(name)];
    if let Some(folder) = environment::user_runtime_directory() {
        places.push(folder.join(format!("holdfast-{name}")));
    }
    places.push(std::env::temp_dir().join(format!("holdfast-{}-{name}", geteuid())));
    places.push(Path::new("/tmp").join(format!("holdfast-{}-{name}", geteuid())));
    places.retain(|place| place.as_os_str().len() <= LONGEST);
    places
}

fn make(place: &Path, account: Account) -> std::io::Result<()> {
    if let Some(parent) = place.parent()
        && parent == Path::new("/run/holdfast")
        && !parent.is_dir()
    {
        std::fs::DirBuilder::new().mode(0o755).create(parent)?;
        std::fs::set_permissions(parent, std::fs::Permissions::from_mode(0o755))?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(place) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => check_own(place, account)?,
        Err(error) => return Err(error),
    }
    std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o700))?;
    if account.switch {
        std::os::unix::fs::chown(place, Some(account.user), Some(account.group))?;
    }
    for entry in std::fs::read_dir(place)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b".s.PGSQL.") {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// In a folder that everyone may write to, someone else could have put a trap in our place.
fn check_own(place: &Path, account: Account) -> std::io::Result<()> {
    let there = std::fs::symlink_metadata(place)?;
    let mine = there.uid() == account.user || there.uid() == geteuid().as_raw();
    if there.is_dir() && mine { Ok(()) } else { Err(std::io::Error::other("exists and belongs to someone else")) }
}
