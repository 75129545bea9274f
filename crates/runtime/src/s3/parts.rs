//! Uploads in parts: each part a file under `.holdfast/uploads/<id>/`, joined at the end.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use s3s::dto::{CompletedPart, ETag, Timestamp};
use s3s::{S3Error, S3Result, s3_error};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::disk::{Condition, Disk, Facts, failed, is_absence};

/// What an upload is for; kept beside its parts.
#[derive(Serialize, Deserialize, PartialEq, Eq)]
struct Purpose {
    bucket: String,
    key: String,
}

/// An upload that has not been completed.
pub(super) struct Unfinished {
    pub(super) id: String,
    pub(super) key: String,
    pub(super) begun: Timestamp,
}

impl Disk {
    /// Begins an upload and names it.
    pub(super) fn begin_upload(&self, bucket: &str, key: &str) -> S3Result<String> {
        self.object(bucket, key)?;
        let uploads = self.uploads();
        let folder = tempfile::Builder::new().prefix("u").rand_bytes(20).tempdir_in(&uploads);
        let folder = folder.map_err(|e| failed(&uploads, e))?.keep();
        let purpose = Purpose { bucket: bucket.to_owned(), key: key.to_owned() };
        let text = serde_json::to_vec(&purpose).map_err(s3s::S3Error::internal_error)?;
        fs::write(folder.join("purpose.json"), text).map_err(|e| failed(&folder, e))?;
        Ok(folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default())
    }

    /// The folder of an upload for this very object.
    fn upload(&self, bucket: &str, key: &str, id: &str) -> S3Result<PathBuf> {
        let folder = self.uploads().join(id);
        let known = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric());
        let purpose = if known { fs::read(folder.join("purpose.json")).ok() } else { None };
        let purpose = purpose.and_then(|text| serde_json::from_slice::<Purpose>(&text).ok());
        match purpose {
            Some(purpose) if purpose.bucket == bucket && purpose.key == key => Ok(folder),
            _ => Err(s3_error!(NoSuchUpload)),
        }
    }

    /// Keeps a part, replacing one of the same number. Parts are not flushed: completing reads them into a new file,
    /// which is.
    pub(super) fn keep_part(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        number: i32,
        draft: NamedTempFile,
    ) -> S3Result<ETag> {
        if !(1..=10_000).contains(&number) {
            return Err(s3_error!(InvalidArgument, "part numbers go from 1 to 10000"));
        }
        let path = self.upload(bucket, key, id)?.join(part_name(number));
        let facts = draft.as_file().metadata().map_err(|e| failed(&path, e))?;
        draft.persist(&path).map_err(|e| gone_or_failed(&path, e.error))?;
        Ok(Facts::from(&facts).etag)
    }

    /// The parts that are there, in order.
    pub(super) fn parts(&self, bucket: &str, key: &str, id: &str) -> S3Result<Vec<(i32, Facts)>> {
        let folder = self.upload(bucket, key, id)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(&folder).map_err(|e| failed(&folder, e))? {
            let entry = entry.map_err(|e| failed(&folder, e))?;
            let number = entry.file_name().to_str().and_then(|name| name.strip_prefix("part-")?.parse().ok());
            if let (Some(number), Ok(facts)) = (number, entry.metadata()) {
                found.push((number, Facts::from(&facts)));
            }
        }
        found.sort_unstable_by_key(|(number, _)| *number);
        Ok(found)
    }

    /// Joins the named parts into the object.
    pub(super) fn complete_upload(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        named: &[CompletedPart],
        condition: &Condition,
    ) -> S3Result<Facts> {
        let folder = self.upload(bucket, key, id)?;
        if named.is_empty() {
            return Err(s3_error!(MalformedXML, "an upload needs at least one part"));
        }
        let mut draft = self.draft()?;
        let mut before = 0;
        for part in named {
            let number = part.part_number.unwrap_or(0);
            if number <= before {
                return Err(s3_error!(InvalidPartOrder));
            }
            before = number;
            let path = folder.join(part_name(number));
            let mut file = match File::open(&path) {
                Err(e) if is_absence(&e) => return Err(s3_error!(InvalidPart)),
                opened => opened.map_err(|e| failed(&path, e))?,
            };
            let facts = Facts::from(&file.metadata().map_err(|e| failed(&path, e))?);
            if part.e_tag.as_ref().is_some_and(|tag| tag.value() != facts.etag.value()) {
                return Err(s3_error!(InvalidPart));
            }
            io::copy(&mut file, draft.as_file_mut()).map_err(|e| failed(&path, e))?;
        }
        let facts = self.publish(draft, bucket, key, condition)?;
        discard(&folder)?;
        Ok(facts)
    }

    pub(super) fn abort_upload(&self, bucket: &str, key: &str, id: &str) -> S3Result<()> {
        let folder = self.upload(bucket, key, id)?;
        discard(&folder)
    }

    /// The unfinished uploads of a bucket whose keys begin with `prefix`, by key.
    pub(super) fn unfinished(&self, bucket: &str, prefix: &str) -> S3Result<Vec<Unfinished>> {
        self.bucket(bucket)?;
        let folder = self.uploads();
        let mut found = Vec::new();
        for entry in fs::read_dir(&folder).map_err(|e| failed(&folder, e))? {
            let entry = entry.map_err(|e| failed(&folder, e))?;
            let (Ok(id), Ok(facts)) = (entry.file_name().into_string(), entry.metadata()) else { continue };
            let purpose = fs::read(entry.path().join("purpose.json")).ok();
            let Some(purpose) = purpose.and_then(|text| serde_json::from_slice::<Purpose>(&text).ok()) else {
                continue;
            };
            if purpose.bucket == bucket && purpose.key.starts_with(prefix) {
                found.push(Unfinished { id, key: purpose.key, begun: Facts::from(&facts).modified });
            }
        }
        found.sort_unstable_by(|a, b| (&a.key, &a.id).cmp(&(&b.key, &b.id)));
        Ok(found)
    }
}

/// Takes an upload away as a whole: a part that arrives meanwhile finds it gone, and does not stay behind in half of it.
fn discard(folder: &Path) -> S3Result<()> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    // no upload has such a name
    let aside = folder.with_file_name(format!("gone-{name}"));
    fs::rename(folder, &aside).map_err(|e| gone_or_failed(folder, e))?;
    // a part may still have been on its way into the folder when that got its new name
    fs::remove_dir_all(&aside).or_else(|_| fs::remove_dir_all(&aside)).map_err(|e| failed(&aside, e))
}

/// What is not there any more was aborted or completed by somebody else.
fn gone_or_failed(path: &Path, error: io::Error) -> S3Error {
    if is_absence(&error) { s3_error!(NoSuchUpload) } else { failed(path, error) }
}

fn part_name(number: i32) -> String {
    format!("part-{number:05}")
}
