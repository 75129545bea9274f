//! Rules of a bucket that remove objects by their age, behind our back.

use aws_sdk_s3::types::{ExpirationStatus, LifecycleRule as Rule, LifecycleRuleFilter};

use super::S3Store;
use crate::keys;
use crate::probe::LifecycleRule;

impl S3Store {
    /// The rules in force, where the store says.
    pub(crate) async fn probe_lifecycle(&self) -> Option<Vec<LifecycleRule>> {
        let asked = self.client.get_bucket_lifecycle_configuration().bucket(&self.config.bucket).send().await;
        match asked {
            Ok(answer) => {
                let rules = answer.rules.unwrap_or_default();
                Some(
                    rules
                        .iter()
                        .filter(|rule| rule.status == ExpirationStatus::Enabled)
                        .map(|r| self.seen(r))
                        .collect(),
                )
            }
            Err(e) => (e.raw_response()?.status().as_u16() == 404).then(Vec::new),
        }
    }

    fn seen(&self, rule: &Rule) -> LifecycleRule {
        let filter = rule.filter.as_ref();
        let prefix = prefix_of(rule, filter).unwrap_or_default().to_owned();
        let tagged = filter.is_some_and(|f| {
            f.tag.is_some() || f.and.as_ref().is_some_and(|and| and.tags.as_ref().is_some_and(|tags| !tags.is_empty()))
        });
        let days = |days: Option<i32>| days.and_then(|days| u32::try_from(days).ok());
        let expiration = rule.expiration.as_ref();
        LifecycleRule {
            name: rule.id.clone().unwrap_or_default(),
            // we write no tags
            reaches_us: !tagged && keys::KINDS.iter().any(|kind| overlap(&self.full(kind), &prefix)),
            prefix,
            expires: expiration.is_some_and(|e| e.days.is_some() || e.date.is_some()),
            expires_old_versions: rule.noncurrent_version_expiration.is_some(),
            old_versions_days: days(rule.noncurrent_version_expiration.as_ref().and_then(|e| e.noncurrent_days)),
            aborts_uploads_days: days(
                rule.abort_incomplete_multipart_upload.as_ref().and_then(|a| a.days_after_initiation),
            ),
        }
    }
}

/// Older rules name their prefix beside the filter.
#[allow(deprecated, reason = "stores still answer with it")]
fn prefix_of<'a>(rule: &'a Rule, filter: Option<&'a LifecycleRuleFilter>) -> Option<&'a str> {
    filter.and_then(|f| f.prefix.as_deref().or_else(|| f.and.as_ref()?.prefix.as_deref())).or(rule.prefix.as_deref())
}

/// Keys can begin with both.
fn overlap(one: &str, other: &str) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::types::{LifecycleExpiration, LifecycleRuleAndOperator, NoncurrentVersionExpiration, Tag};

    use super::*;
    use crate::S3Config;

    fn store(prefix: &str) -> S3Store {
        let config = S3Config::new("http://127.0.0.1:1", "bucket", "access", "secret");
        S3Store::new(S3Config { prefix: prefix.to_owned(), ..config }).unwrap()
    }

    fn rule(filter: LifecycleRuleFilter) -> Rule {
        let expiration = LifecycleExpiration::builder().days(30).build();
        let old = NoncurrentVersionExpiration::builder().noncurrent_days(9).build();
        let rule = Rule::builder().status(ExpirationStatus::Enabled).id("r").expiration(expiration);
        rule.noncurrent_version_expiration(old).filter(filter).build().unwrap()
    }

    #[test]
    fn rules_reach_us_by_what_keys_begin_with() {
        let by = |prefix: &str| rule(LifecycleRuleFilter::builder().prefix(prefix).build());
        for (ours, theirs, reaches) in [
            ("", "", true),
            ("", "logs/", false),
            ("", "t/0192", true),
            ("team/a/", "team/", true),
            ("team/a/", "team/b/", false),
            ("team/a/", "team/a/t/", true),
            ("team/a/", "t/", false),
        ] {
            let seen = store(ours).seen(&by(theirs));
            assert_eq!(seen.reaches_us, reaches, "{ours:?} {theirs:?}");
            assert_eq!((seen.expires, seen.old_versions_days), (true, Some(9)));
        }
        let tag = Tag::builder().key("keep").value("no").build().unwrap();
        let and = LifecycleRuleAndOperator::builder().prefix("t/").tags(tag).build();
        let seen = store("").seen(&rule(LifecycleRuleFilter::builder().and(and).build()));
        assert!(!seen.reaches_us && seen.prefix == "t/", "we write no tags");
    }
}
