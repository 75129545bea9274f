//! Object lock: points and their log cannot be removed before their time, not even by us. Wrapped keys are never locked, so
//! that they can be purged; what a deleted tenant leaves behind is then unreadable, locked or not.

use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode};
use domain::clock::Clock;

use super::S3Store;
use crate::Error;

const DAY: i64 = 24 * 3600;

impl S3Store {
    /// Until when an object that is written now is locked; none where nothing is locked, or not this.
    fn locked_until(&self, key: &str) -> Option<DateTime> {
        let days = self.config.lock_days?;
        let locked = key.starts_with("t/") || key.starts_with("l/");
        locked.then(|| DateTime::from_secs(Clock::System.seconds() + i64::from(days) * DAY))
    }

    /// How an object is written.
    pub(super) fn lock_of(&self, key: &str) -> (Option<ObjectLockMode>, Option<DateTime>) {
        let until = self.locked_until(key);
        (until.as_ref().map(|_| ObjectLockMode::Governance), until)
    }

    /// Locks an object that is there already for as long as one that is written now.
    pub(crate) async fn extend_lock(&self, key: &str) -> Result<bool, Error> {
        let Some(until) = self.locked_until(key) else { return Ok(false) };
        let retention =
            ObjectLockRetention::builder().mode(ObjectLockRetentionMode::Governance).retain_until_date(until).build();
        let asked = self.client.put_object_retention().bucket(&self.config.bucket).key(self.full(key));
        asked.retention(retention).send().await.map_err(|e| self.failure("locking", key, e))?;
        Ok(true)
    }
}
