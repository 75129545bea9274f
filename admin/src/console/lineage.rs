//! What points depend on, as the newest survey found it.

use std::collections::BTreeMap;

use domain::id::TenantId;
use jobs::kind;
use serde::Deserialize;
use store::control::overview::Wanted;
use time::OffsetDateTime;
use web::Result;

use super::runs::Jobs;
use super::view::{bytes, counted};
use crate::Admin;

/// Objects that one point sent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Share {
    pub(super) point: Option<String>,
    pub(super) objects: usize,
    bytes: i64,
}

impl Share {
    pub(super) fn size(&self) -> String {
        bytes(self.bytes)
    }
}

/// What a point is made of.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Lineage {
    point: String,
    pub(super) unreadable: bool,
    pub(super) own: Share,
    pub(super) from: Vec<Share>,
    pub(super) needed_by: Vec<String>,
}

impl Lineage {
    /// In a few words, for a list.
    pub(super) fn sentence(&self) -> String {
        if self.unreadable {
            return "its manifest cannot be read".to_owned();
        }
        let older = match self.from.len() {
            0 => "stands alone".to_owned(),
            count => format!("needs {}", counted(count, "older point")),
        };
        match self.needed_by.len() {
            0 => older,
            1 => format!("{older}, 1 later point needs it"),
            count => format!("{older}, {count} later points need it"),
        }
    }

    /// Share of the bytes that it sent itself, in percent.
    pub(super) fn own_share(&self) -> i64 {
        let all = self.own.bytes + self.from.iter().map(|share| share.bytes).sum::<i64>();
        if all == 0 { 100 } else { (self.own.bytes * 100 / all).clamp(1, 100) }
    }
}

/// The newest survey of a tenant's points.
#[derive(Default)]
pub(super) struct Survey {
    /// When it was asked for.
    pub(super) at: Option<OffsetDateTime>,
    points: BTreeMap<String, Lineage>,
}

impl Survey {
    /// The newest one that is done when the page had already looked what is under way: asked the other way round, a survey
    /// that ends in between is on the page neither as a job nor as what it found.
    pub(super) async fn of(admin: &Admin, tenant: TenantId, _looked: &Jobs) -> Result<Self> {
        let wanted = Wanted { kind: kind::SURVEY, tenant, field: None, done: true };
        let Some(job) = admin.store.control().newest_job(&wanted).await? else { return Ok(Self::default()) };
        Ok(Self { at: Some(job.created_at), points: read(job.result) })
    }

    pub(super) fn take(&mut self, point: &str) -> Option<Lineage> {
        self.points.remove(point)
    }
}

fn read(result: Option<serde_json::Value>) -> BTreeMap<String, Lineage> {
    #[derive(Default, Deserialize)]
    struct All {
        points: Vec<Lineage>,
    }
    let all: All = result.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default();
    all.points.into_iter().map(|one| (one.point.clone(), one)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::read;

    #[test]
    fn a_survey_is_told_in_a_few_words() {
        let points = read(Some(json!({"points": [
            {"point": "b", "own": {"objects": 1, "bytes": 100}, "from": [{"point": "a", "objects": 2, "bytes": 300}]},
            {"point": "a", "own": {"objects": 2, "bytes": 300}, "from": [], "needed_by": ["b"]},
            {"point": "c", "unreadable": true},
        ]})));
        let told: Vec<(String, i64)> = points.values().map(|one| (one.sentence(), one.own_share())).collect();
        assert_eq!(told[0], ("stands alone, 1 later point needs it".to_owned(), 100));
        assert_eq!(told[1], ("needs 1 older point".to_owned(), 25));
        assert_eq!(told[2].0, "its manifest cannot be read");
        assert!(read(None).is_empty());
    }
}
