//! The folder `keys/`: `drill.key` (the drill identity, mode 0600), `drill.pub` and `escrow.pub` (recipients); `sign.key` and
//! `sign.pub` are looked after by `signing`.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use age::secrecy::ExposeSecret;
use age::x25519::{Identity, Recipient};

use super::signing::signer_in;
use super::{Holder, KeyError};

/// The appliance's own keys.
#[derive(Clone)]
pub struct KeyDirectory {
    path: PathBuf,
    escrow: Recipient,
    drill: Recipient,
}

/// The escrow identity: shown once when the appliance is set up, then forgotten. Whoever holds it reads every point.
pub struct EscrowSheet {
    identity: Identity,
    /// What the appliance signs its points with, in hex.
    signing: String,
}

/// A sheet that someone holds, or any file with an identity.
#[derive(Clone)]
pub struct Sheet {
    /// Opens points.
    pub identity: Identity,
    /// The signing keys that the sheet names, in hex; none in a file that `age-keygen` wrote.
    pub signers: Vec<String>,
}

/// What stands before a signing key on a sheet.
const SIGNING: &str = "# signing key: ";

impl EscrowSheet {
    /// What to print. The lines can be kept as a file for `--identity FILE` or for `age -d -i FILE`.
    pub fn text(&self) -> String {
        format!(
            "# Holdfast escrow sheet. It opens every restore point of this appliance. Print it, keep it away from here;\n\
             # it is shown only this once and stored nowhere.\n\
             # public key: {}\n{SIGNING}{}\n{}\n",
            self.identity.to_public(),
            self.signing,
            self.identity.to_string().expose_secret()
        )
    }
}

impl KeyDirectory {
    /// Opens the folder; makes it and its keys at first use, and only then returns the sheet to print.
    pub fn open(path: &Path) -> Result<(Self, Option<EscrowSheet>), KeyError> {
        make_folder(path)?;
        let drill = drill_recipient(path)?;
        let (escrow, sheet) = match read_recipient(&path.join("escrow.pub"))? {
            Some(escrow) => (escrow, None),
            None => new_escrow(path)?,
        };
        Ok((Self { path: path.to_owned(), escrow, drill }, sheet))
    }

    /// The public half of a holder.
    pub fn recipient(&self, holder: Holder) -> &Recipient {
        match holder {
            Holder::Escrow => &self.escrow,
            Holder::Drill => &self.drill,
        }
    }

    /// The drill identity, where this process may read it.
    pub fn drill_identity(&self) -> Result<Identity, KeyError> {
        let path = self.path.join("drill.key");
        match read_identity(&path) {
            Err(KeyError::File { source, .. })
                if matches!(source.kind(), std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::NotFound) =>
            {
                Err(KeyError::NoIdentity)
            }
            other => other,
        }
    }

    /// The same with the recipients as they are in the folder now: another process may have changed them.
    pub fn reloaded(&self) -> Result<Self, KeyError> {
        Ok(Self::open(&self.path)?.0)
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the sheet at hand the one of a new appliance, before the folder is opened for the first time.
    ///
    /// # Errors
    /// `OtherEscrow` when the folder has another sheet's recipient already.
    pub fn adopt_escrow(path: &Path, sheet: &Identity) -> Result<(), KeyError> {
        make_folder(path)?;
        let file = path.join("escrow.pub");
        write_first(&file, &format!("{}\n", sheet.to_public()), 0o644)?;
        match read_recipient(&file)? {
            Some(escrow) if escrow.to_string() == sheet.to_public().to_string() => Ok(()),
            _ => Err(KeyError::OtherEscrow(file.display().to_string())),
        }
    }

    /// The drill identity that will take the place of the present one; made once, so that an interrupted rotation goes on
    /// with it.
    pub(crate) fn next_drill(&self) -> Result<Identity, KeyError> {
        let path = self.path.join("drill.key.next");
        if !path.exists() {
            let identity = Identity::generate();
            let text = format!("# public key: {}\n{}\n", identity.to_public(), identity.to_string().expose_secret());
            write_first(&path, &text, 0o600)?;
        }
        read_identity(&path)
    }

    /// Puts the next drill identity and another sheet's recipient in place. From now on the old ones do not count.
    pub(crate) fn switch(&self, drill: bool, escrow: Option<&EscrowSheet>) -> Result<(), KeyError> {
        let rename = |from: &Path, to: &Path| std::fs::rename(from, to).map_err(|source| file_error(to, source));
        if let Some(sheet) = escrow {
            let next = self.path.join("escrow.pub.next");
            std::fs::remove_file(&next).ok();
            write_new(&next, &format!("{}\n", sheet.identity.to_public()), 0o644)?;
            rename(&next, &self.path.join("escrow.pub"))?;
        }
        if drill {
            // the recipient follows from the identity: opening the folder puts it right should this be interrupted
            rename(&self.path.join("drill.key.next"), &self.path.join("drill.key"))?;
            std::fs::remove_file(self.path.join("drill.pub")).ok();
            drill_recipient(&self.path)?;
        }
        std::fs::File::open(&self.path).and_then(|folder| folder.sync_all()).map_err(|e| file_error(&self.path, e))
    }
}

impl EscrowSheet {
    /// A new one, for points that this key signs.
    pub(crate) fn generate(signing: String) -> Self {
        Self { identity: Identity::generate(), signing }
    }

    /// Its public half.
    pub(crate) fn recipient(&self) -> Recipient {
        self.identity.to_public()
    }
}

/// Reads the first identity of a file as `age-keygen` writes it.
pub fn read_identity(path: &Path) -> Result<Identity, KeyError> {
    Ok(read_sheet(path)?.identity)
}

/// Reads an escrow sheet, or any file with an identity.
pub fn read_sheet(path: &Path) -> Result<Sheet, KeyError> {
    let text = std::fs::read_to_string(path).map_err(|source| file_error(path, source))?;
    let identity = first_key(&text).ok_or_else(|| KeyError::NoKey {
        path: path.display().to_string(),
        what: "identity",
        prefix: "AGE-SECRET-KEY-1",
    })?;
    let signers = text.lines().filter_map(|line| line.trim().strip_prefix(SIGNING));
    Ok(Sheet { identity, signers: signers.map(|key| key.trim().to_owned()).collect() })
}

fn drill_recipient(path: &Path) -> Result<Recipient, KeyError> {
    let (public, secret) = (path.join("drill.pub"), path.join("drill.key"));
    if let Some(recipient) = read_recipient(&public)? {
        match read_identity(&secret) {
            // a rotation was interrupted between the two files
            Ok(identity) if identity.to_public().to_string() != recipient.to_string() => {
                std::fs::remove_file(&public).map_err(|source| file_error(&public, source))?;
            }
            _ => return Ok(recipient),
        }
    }
    if !secret.exists() {
        let identity = Identity::generate();
        let text = format!("# public key: {}\n{}\n", identity.to_public(), identity.to_string().expose_secret());
        write_first(&secret, &text, 0o600)?;
    }
    // Whoever was first: the identity in the file is the one that counts.
    let identity = read_identity(&secret)?;
    write_first(&public, &format!("{}\n", identity.to_public()), 0o644)?;
    Ok(identity.to_public())
}

/// The escrow key of a new appliance. The sheet goes to the one process whose key is in the file in the end.
fn new_escrow(path: &Path) -> Result<(Recipient, Option<EscrowSheet>), KeyError> {
    let identity = Identity::generate();
    let signing = signer_in(path)?.public_key();
    let file = path.join("escrow.pub");
    if write_first(&file, &format!("{}\n", identity.to_public()), 0o644)? {
        return Ok((identity.to_public(), Some(EscrowSheet { identity, signing })));
    }
    let escrow = read_recipient(&file)?.ok_or_else(|| file_error(&file, std::io::ErrorKind::NotFound.into()))?;
    Ok((escrow, None))
}

fn read_recipient(path: &Path) -> Result<Option<Recipient>, KeyError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(file_error(path, source)),
    };
    first_key(&text).map(Some).ok_or_else(|| KeyError::NoKey {
        path: path.display().to_string(),
        what: "recipient",
        prefix: "age1",
    })
}

fn first_key<K: FromStr>(text: &str) -> Option<K> {
    text.lines().map(str::trim).filter(|line| !line.starts_with('#')).find_map(|line| line.parse().ok())
}

fn make_folder(path: &Path) -> Result<(), KeyError> {
    std::fs::create_dir_all(path).map_err(|source| file_error(path, source))
}

/// Writes a file unless there is one; whether it did. Two processes that start at the same time agree on one key: the
/// file appears whole, under its name, or not at all.
pub(super) fn write_first(path: &Path, text: &str, mode: u32) -> Result<bool, KeyError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> std::io::Result<bool> {
        let mut file =
            tempfile::Builder::new().prefix(".key").permissions(Permissions::from_mode(mode)).tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        let first = match file.persist_noclobber(path) {
            Ok(_) => true,
            Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error.error),
        };
        std::fs::File::open(folder)?.sync_all()?;
        Ok(first)
    };
    write().map_err(|source| file_error(path, source))
}

/// Writes a file that must not be there yet, and sees it on the disk before going on.
fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), KeyError> {
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        path.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all())
    };
    write().map_err(|source| file_error(path, source))
}

pub(super) fn file_error(path: &Path, source: std::io::Error) -> KeyError {
    KeyError::File { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_start_together_agree_on_one_key() {
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("keys");
            let opened: Vec<_> = std::thread::scope(|scope| {
                let starts: Vec<_> = (0..4).map(|_| scope.spawn(|| KeyDirectory::open(&path).unwrap())).collect();
                starts.into_iter().map(|start| start.join().unwrap()).collect()
            });
            assert_eq!(opened.iter().filter(|(_, sheet)| sheet.is_some()).count(), 1, "one process shows the sheet");
            for holder in [Holder::Escrow, Holder::Drill] {
                let first = opened[0].0.recipient(holder).to_string();
                assert!(opened.iter().all(|(keys, _)| keys.recipient(holder).to_string() == first));
            }
            let sheet = opened.iter().find_map(|(_, sheet)| sheet.as_ref()).unwrap();
            assert_eq!(sheet.identity.to_public().to_string(), opened[0].0.recipient(Holder::Escrow).to_string());
        }
    }

    #[test]
    fn the_sheet_is_shown_once_and_stored_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let (keys, sheet) = KeyDirectory::open(&path).unwrap();
        let text = sheet.unwrap().text();
        let (again, none) = KeyDirectory::open(&path).unwrap();
        assert!(none.is_none());
        assert_eq!(keys.recipient(Holder::Escrow).to_string(), again.recipient(Holder::Escrow).to_string());
        assert_eq!(keys.drill_identity().unwrap().to_public().to_string(), again.recipient(Holder::Drill).to_string());
        let secret = text.lines().last().unwrap();
        for entry in std::fs::read_dir(&path).unwrap() {
            let entry = entry.unwrap();
            assert!(!std::fs::read_to_string(entry.path()).unwrap().contains(secret));
        }
        let mode = std::fs::metadata(path.join("drill.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let printed = folder.path().join("sheet");
        std::fs::write(&printed, &text).unwrap();
        let identity = read_identity(&printed).unwrap();
        assert_eq!(identity.to_public().to_string(), keys.recipient(Holder::Escrow).to_string());
    }

    #[test]
    fn a_file_without_a_key_says_what_it_should_have() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let Err(error) = read_identity(file.path()) else { panic!("an empty file holds no key") };
        assert!(error.to_string().contains("AGE-SECRET-KEY-1"), "{error}");
    }
}
