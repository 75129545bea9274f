//! Where mirrors may be: a folder or a bucket of their own, never among points, files or keys.

use std::path::{Path, PathBuf};

use domain::id::TenantId;
use objects::{ObjectStore, PutOptions, S3Config};
use serde_json::{Value, json};

use crate::context::Backup;
use crate::error::Error;

/// Says whose mirror a place is.
const MARKER: &str = ".holdfast-mirror.json";
/// What a mirror writes, beside its marker.
pub(super) const PARTS: [&str; 2] = ["notes/", "files/"];

/// What is known of places when the process starts.
#[derive(Clone, Debug, Default)]
pub struct MirrorPlaces {
    /// Address and keys for places in S3.
    pub s3: Option<S3Config>,
    /// Where mirrors are that name no place.
    pub folder: Option<PathBuf>,
    /// Folders that hold something else, such as keys.
    pub taken: Vec<PathBuf>,
}

impl MirrorPlaces {
    /// A place as it is stored.
    pub(super) fn place(&self, to: Option<&str>, slug: &str) -> Result<String, Error> {
        let Some(to) = to else {
            let folder = self.folder.as_ref().ok_or_else(|| Error::Refused("name a place with --to".to_owned()))?;
            return Ok(format!("file://{}", folder.join(slug).display()));
        };
        if let Some(bucket) = to.strip_prefix("s3://") {
            let (bucket, prefix) = bucket.split_once('/').unwrap_or((bucket, ""));
            if bucket.is_empty() {
                return Err(Error::Refused(format!("{to} names no bucket; write s3://bucket/prefix")));
            }
            let prefix = prefix.trim_matches('/');
            let slash = if prefix.is_empty() { "" } else { "/" };
            return Ok(format!("s3://{bucket}{slash}{prefix}"));
        }
        let path = to.strip_prefix("file://").unwrap_or(to);
        let whole = std::path::absolute(path)
            .map_err(|source| Error::File { path: path.to_owned(), source })?
            .components()
            .collect::<PathBuf>();
        if whole.components().any(|part| part == std::path::Component::ParentDir) || whole.parent().is_none() {
            return Err(Error::Refused(format!("{to} is no folder for a mirror; name a whole path without ..")));
        }
        for taken in &self.taken {
            if whole.starts_with(taken) || taken.starts_with(&whole) {
                return Err(Error::Refused(format!(
                    "{to} and {}, where the appliance keeps something else, overlap; name another folder",
                    taken.display()
                )));
            }
        }
        Ok(format!("file://{}", whole.display()))
    }
}

impl Backup {
    /// The store at a place. Points, files and further stores are never mirrored into.
    pub(super) async fn open_mirror(&self, place: &str) -> Result<ObjectStore, Error> {
        let s3 = self.mirrors.s3.clone().map(|config| S3Config { lock_days: None, ..config });
        let refused = |what: &str| {
            Err(Error::Refused(format!(
                "{place} is within {what}; a mirror is readable for everyone who may read there, so it has a folder or bucket of its own"
            )))
        };
        if let (Some(rest), Some(config)) = (place.strip_prefix("s3://"), &s3)
            && rest.split('/').next() == Some(config.bucket.as_str())
        {
            return refused("the bucket of the backup store");
        }
        if let Some(path) = place.strip_prefix("file://") {
            let inside = |other: &ObjectStore| {
                let at = other.location();
                at.starts_with('/') && (Path::new(path).starts_with(&at) || Path::new(&at).starts_with(path))
            };
            if inside(&self.objects) || self.copies.iter().any(inside) {
                return refused("a backup store");
            }
            if inside(self.files.objects()) {
                return refused("the file store");
            }
        }
        let store = ObjectStore::at(place, s3.as_ref())?;
        match store.check().await {
            Err(objects::Error::NoBucket { .. }) => store.create().await?,
            other => other?,
        }
        Ok(store)
    }
}

/// Whether one of two places is within the other.
pub(super) fn overlap(one: &str, other: &str) -> bool {
    let (one, other) = (format!("{one}/"), format!("{other}/"));
    one.starts_with(&other) || other.starts_with(&one)
}

/// Makes a place the mirror of a tenant: it has to be empty, or to be that already.
///
/// # Errors
/// `Refused` when something else lies there.
pub(super) async fn claim(store: &ObjectStore, tenant: TenantId) -> Result<(), Error> {
    match owner(store).await? {
        Some(owner) if owner == tenant.to_string() => return Ok(()),
        Some(owner) => {
            return Err(Error::Refused(format!(
                "{} is the mirror of tenant {owner}; name another place",
                store.location()
            )));
        }
        None => {}
    }
    if let Some(first) = store.list("").await?.first() {
        return Err(Error::Refused(format!(
            "{} is not empty, there is {}; a mirror needs a place of its own",
            store.location(),
            first.key
        )));
    }
    let marker = json!({ "schema": "v1", "product": "holdfast", "tenant": tenant.to_string() });
    Ok(store.put(MARKER, marker.to_string(), PutOptions::default()).await?)
}

/// Removes what a mirror has written; how many objects.
pub(super) async fn empty(store: &ObjectStore, tenant: TenantId) -> Result<u64, Error> {
    if owner(store).await?.is_none_or(|owner| owner != tenant.to_string()) {
        // emptied before, or somebody else's by now: nothing of ours is known to lie here
        return Ok(0);
    }
    let mut removed = 0;
    for part in PARTS.into_iter().chain([MARKER]) {
        let purged = store.purge(part).await?;
        if purged.left > 0 {
            return Err(Error::Refused(format!(
                "{} objects below {} cannot be removed",
                purged.left,
                store.location()
            )));
        }
        removed += if part == MARKER { 0 } else { purged.objects };
    }
    Ok(removed)
}

/// Whose mirror a place is.
async fn owner(store: &ObjectStore) -> Result<Option<String>, Error> {
    match store.get(MARKER).await {
        Ok(marker) => {
            let marker: Value = serde_json::from_slice(&marker).unwrap_or_default();
            Ok(Some(marker["tenant"].as_str().unwrap_or("unknown").to_owned()))
        }
        Err(objects::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_whole_and_away_from_what_the_appliance_keeps() {
        let places = MirrorPlaces { s3: None, folder: Some("/data/mirror".into()), taken: vec!["/data/keys".into()] };
        assert_eq!(places.place(None, "team").unwrap(), "file:///data/mirror/team");
        assert_eq!(places.place(Some("/srv/notes/"), "team").unwrap(), "file:///srv/notes");
        assert_eq!(places.place(Some("s3://notes/a/b/"), "team").unwrap(), "s3://notes/a/b");
        for bad in ["/data/keys/x", "/data", "/", "/srv/../data/x", "s3:///x"] {
            assert!(places.place(Some(bad), "team").is_err(), "{bad}");
        }
        assert!(overlap("s3://a/b", "s3://a") && !overlap("s3://a/b", "s3://a/bc"));
    }
}
