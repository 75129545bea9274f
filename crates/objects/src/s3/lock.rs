//! Object lock: points and their log cannot be removed before their time, not even by us. Wrapped keys are never locked, so
//! that they can be purged; what a deleted tenant leaves behind is then unreadable, locked or not.
//!
//! A lock is only ever made longer: the one that is there is read first, since a chunk of a point that is kept for years is
//! referred to by newer points that need it for days.

use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode};
use domain::clock::Clock;
use time::OffsetDateTime;

use super::S3Store;
use crate::Error;

const DAY: i64 = 24 * 3600;

/// How an object is locked.
struct Lock {
    mode: ObjectLockRetentionMode,
    /// Seconds since 1970.
    until: i64,
}

impl S3Store {
    /// Whether an object is locked when it is written.
    fn locks(&self, key: &str) -> bool {
        self.config.lock_days.is_some() && (key.starts_with("t/") || key.starts_with("l/"))
    }

    /// Until when an object that is written now is locked; none where nothing is locked, or not this.
    fn until_of_new(&self, key: &str) -> Option<i64> {
        let days = self.config.lock_days.filter(|_| self.locks(key))?;
        Some(Clock::System.seconds() + i64::from(days) * DAY)
    }

    /// How an object is written.
    pub(super) fn lock_of(&self, key: &str) -> (Option<ObjectLockMode>, Option<DateTime>) {
        let until = self.until_of_new(key).map(DateTime::from_secs);
        (until.as_ref().map(|_| ObjectLockMode::Governance), until)
    }

    /// Locks an object that is there already for as long as one that is written now. How many requests that took.
    pub(crate) async fn extend_lock(&self, key: &str) -> Result<u32, Error> {
        match self.until_of_new(key) {
            Some(until) => self.lock_for(key, until).await,
            None => Ok(0),
        }
    }

    /// Locks an object that is there already until this moment, or leaves it the longer lock that it has. How many requests
    /// that took; none where nothing is locked, or not this.
    pub(crate) async fn lock_until(&self, key: &str, until: OffsetDateTime) -> Result<u32, Error> {
        // dumps are not locked by themselves, only until a day that somebody says
        let locked = self.locks(key) || (self.config.lock_days.is_some() && key.starts_with("d/"));
        if locked { self.lock_for(key, until.unix_timestamp()).await } else { Ok(0) }
    }

    /// Until when an object is locked; none when it is not, or the store knows of no locks.
    pub(crate) async fn locked_until(&self, key: &str) -> Result<Option<OffsetDateTime>, Error> {
        let lock = self.lock_there(key).await?;
        Ok(lock.and_then(|lock| OffsetDateTime::from_unix_timestamp(lock.until).ok()))
    }

    async fn lock_for(&self, key: &str, until: i64) -> Result<u32, Error> {
        let there = match self.lock_there(key).await {
            Ok(there) => there,
            // who may lock need not be allowed to look
            Err(Error::Denied { .. }) => None,
            Err(other) => return Err(other),
        };
        if there.as_ref().is_some_and(|lock| lock.until >= until) {
            return Ok(1);
        }
        // a stricter mode cannot be taken back
        let mode = there.map_or(ObjectLockRetentionMode::Governance, |lock| lock.mode);
        let date = DateTime::from_secs(until);
        let retention = ObjectLockRetention::builder().mode(mode).retain_until_date(date).build();
        let asked = self.client.put_object_retention().bucket(&self.config.bucket).key(self.full(key));
        match asked.retention(retention).send().await.map_err(|e| self.failure("locking", key, e)) {
            Ok(_) => Ok(2),
            Err(refused @ (Error::Denied { .. } | Error::Refused { .. })) => {
                // somebody else may have made it longer since it was looked at
                let now = self.lock_there(key).await.ok().flatten();
                if now.is_some_and(|lock| lock.until >= until) { Ok(3) } else { Err(refused) }
            }
            Err(other) => Err(other),
        }
    }

    async fn lock_there(&self, key: &str) -> Result<Option<Lock>, Error> {
        let asked = self.client.get_object_retention().bucket(&self.config.bucket).key(self.full(key)).send().await;
        match asked.map_err(|e| self.failure("looking at the lock of", key, e)) {
            Ok(answer) => Ok(answer.retention.and_then(|retention| {
                Some(Lock { mode: retention.mode?, until: retention.retain_until_date?.secs() })
            })),
            // each store has a word of its own for an object, a bucket or a server without locks
            Err(Error::Refused { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }
}
