//! Removing objects so that no version of them is left.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::S3Store;
use crate::Error;
use crate::store::{Purged, Version};

impl S3Store {
    /// Removes every version of everything whose key begins with `prefix`, and looks again.
    pub(crate) async fn purge(&self, prefix: &str) -> Result<Purged, Error> {
        let Some(found) = self.versions(prefix).await? else {
            // a store without versions: what is listed is all there is
            let keys: Vec<String> = self.list(prefix).await?.into_iter().map(|object| object.key).collect();
            self.delete_many(&keys).await?;
            let left = self.list(prefix).await?.len() as u64;
            return Ok(Purged { objects: keys.len() as u64, versions: keys.len() as u64, left });
        };
        for version in &found {
            let key = &version.key;
            let asked = self.client.delete_object().bucket(&self.config.bucket).key(self.full(key));
            match asked.version_id(&version.id).send().await.map_err(|e| self.failure("removing a version of", key, e))
            {
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        let left =
            self.versions(prefix).await?.map_or(0, |left| left.len() as u64) + self.list(prefix).await?.len() as u64;
        let objects = found.iter().map(|version| &version.key).collect::<BTreeSet<_>>().len() as u64;
        Ok(Purged { objects, versions: found.len() as u64, left })
    }

    /// Every version below a prefix; none when the store does not know of versions.
    pub(crate) async fn versions(&self, prefix: &str) -> Result<Option<Vec<Version>>, Error> {
        let mut found = Vec::new();
        let (mut key_marker, mut version_marker) = (None, None);
        loop {
            let asked = self.client.list_object_versions().bucket(&self.config.bucket).prefix(self.full(prefix));
            let asked = asked.set_key_marker(key_marker).set_version_id_marker(version_marker);
            let page = match asked.send().await.map_err(|e| self.failure("listing versions of", prefix, e)) {
                Ok(page) => page,
                Err(Error::Refused { code, .. }) if code == "NotImplemented" || code == "MethodNotAllowed" => {
                    return Ok(None);
                }
                Err(other) => return Err(other),
            };
            let plain = page.versions.unwrap_or_default().into_iter().map(|one| (one.key, one.version_id));
            let markers = page.delete_markers.unwrap_or_default().into_iter().map(|one| (one.key, one.version_id));
            found.extend(plain.chain(markers).filter_map(|(key, id)| {
                let key = key?.strip_prefix(&self.config.prefix)?.to_owned();
                Some(Version { key, id: id.unwrap_or_else(|| "null".to_owned()) })
            }));
            if page.is_truncated != Some(true) || page.next_key_marker.is_none() {
                return Ok(Some(found));
            }
            (key_marker, version_marker) = (page.next_key_marker, page.next_version_id_marker);
        }
    }

    /// The bytes of one version.
    pub(crate) async fn get_version(&self, version: &Version) -> Result<Bytes, Error> {
        let asked = self.client.get_object().bucket(&self.config.bucket).key(self.full(&version.key));
        let answer = asked.version_id(&version.id).send().await;
        let answer = answer.map_err(|e| self.failure("reading a version of", &version.key, e))?;
        let bytes = answer.body.collect().await;
        bytes
            .map(aws_sdk_s3::primitives::AggregatedBytes::into_bytes)
            .map_err(|broken| Error::Unreachable { endpoint: self.endpoint(), source: Box::new(broken) })
    }
}
