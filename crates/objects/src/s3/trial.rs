//! What the probe asks of S3 alone.

use aws_sdk_s3::types::{BucketVersioningStatus, CompletedMultipartUpload, CompletedPart, ObjectLockEnabled};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::S3Store;
use crate::Error;

impl S3Store {
    /// Whether a right SHA-256 is accepted and a wrong one refused.
    pub(crate) async fn probe_checksums(&self, key: &str) -> Result<bool, Error> {
        let (right, wrong) = (Sha256::digest("checked"), Sha256::digest("something else"));
        for (sum, expected) in [(right, true), (wrong, false)] {
            let asked = self.client.put_object().bucket(&self.config.bucket).key(self.full(key));
            let asked = asked.checksum_sha256(STANDARD.encode(sum)).body(b"checked".to_vec().into());
            let accepted = match asked.send().await.map_err(|e| self.failure("writing", key, e)) {
                Ok(_) => true,
                Err(unreachable @ Error::Unreachable { .. }) => return Err(unreachable),
                Err(_) => false,
            };
            if accepted != expected {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether an upload of one small part works; real parts would cost megabytes at every start.
    pub(crate) async fn probe_multipart(&self, key: &str) -> Result<bool, Error> {
        match self.one_part(key).await {
            Ok(()) => Ok(true),
            Err(unreachable @ Error::Unreachable { .. }) => Err(unreachable),
            Err(_) => Ok(false),
        }
    }

    async fn one_part(&self, key: &str) -> Result<(), Error> {
        let (bucket, full) = (&self.config.bucket, self.full(key));
        let begun = self.client.create_multipart_upload().bucket(bucket).key(&full).send().await;
        let id = begun.map_err(|e| self.failure("writing", key, e))?.upload_id;
        let asked = self.client.upload_part().bucket(bucket).key(&full).set_upload_id(id.clone()).part_number(1);
        let sent = asked.body(b"part".to_vec().into()).send().await.map_err(|e| self.failure("writing", key, e))?;
        let part = CompletedPart::builder().part_number(1).set_e_tag(sent.e_tag).build();
        let asked = self.client.complete_multipart_upload().bucket(bucket).key(&full).set_upload_id(id);
        let asked = asked.multipart_upload(CompletedMultipartUpload::builder().parts(part).build());
        asked.send().await.map_err(|e| self.failure("writing", key, e))?;
        match self.head(key).await? {
            Some(head) if head.size == 4 => Ok(()),
            _ => Err(Error::Altered { key: key.to_owned() }),
        }
    }

    /// Whether the bucket keeps old versions, where the store says.
    pub(crate) async fn probe_versioning(&self) -> Option<bool> {
        let asked = self.client.get_bucket_versioning().bucket(&self.config.bucket).send().await;
        asked.ok().map(|answer| answer.status == Some(BucketVersioningStatus::Enabled))
    }

    /// Whether the bucket is set up for object lock, where the store says.
    pub(crate) async fn probe_object_lock(&self) -> Option<bool> {
        let asked = self.client.get_object_lock_configuration().bucket(&self.config.bucket).send().await;
        match asked {
            Ok(answer) => {
                let rule = answer.object_lock_configuration.and_then(|set| set.object_lock_enabled);
                Some(rule == Some(ObjectLockEnabled::Enabled))
            }
            Err(e) => (e.raw_response()?.status().as_u16() == 404).then_some(false),
        }
    }
}
