//! What points depend on: which of them sent what others refer to.

use std::collections::{BTreeMap, HashMap};

use domain::id::TenantId;
use objects::keys as layout;
use serde::Serialize;

use crate::context::Backup;
use crate::error::Error;
use crate::format::hash::Hash;
use crate::format::manifest::Manifest;

/// Points of a tenant that are looked at, the newest.
const MOST: u64 = 1_000;
/// Senders that are named for one point, those of most bytes first.
const NAMED: usize = 50;

/// Objects that one point sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Which point sent them; none: one that is gone, or is older than those looked at.
    pub point: Option<String>,
    /// How many.
    pub objects: u64,
    /// Their bytes in the store.
    pub bytes: u64,
}

impl Share {
    fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes += bytes;
    }
}

/// What a point is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lineage {
    /// The point.
    pub point: String,
    /// Its manifest could not be read as it was written.
    pub unreadable: bool,
    /// What it sent itself, its manifest left out.
    pub own: Share,
    /// What others sent first and it refers to, most bytes first.
    pub from: Vec<Share>,
    /// Points that need something it was the first to send.
    pub needed_by: Vec<String>,
}

impl Backup {
    /// What the points of a tenant depend on, newest first. Reads every manifest and nothing else.
    pub async fn lineage(&self, tenant: TenantId) -> Result<Vec<Lineage>, Error> {
        let mut rows = self.store.control().list_points(Some(tenant), MOST).await?;
        rows.reverse();
        let mut senders: HashMap<String, usize> = HashMap::new();
        let mut all: Vec<Lineage> = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            let mut one = Lineage { point: row.point.clone(), ..Lineage::default() };
            let Some(manifest) = self.manifest_as_written(tenant, &row.point, &row.manifest_sha256).await? else {
                all.push(Lineage { unreadable: true, ..one });
                continue;
            };
            let mut from: BTreeMap<Option<usize>, Share> = BTreeMap::new();
            for object in manifest.clear.objects {
                if object.referenced {
                    from.entry(senders.get(&object.key).copied()).or_default().add(object.bytes_stored);
                } else {
                    one.own.add(object.bytes_stored);
                    senders.entry(object.key).or_insert(at);
                }
            }
            for (sender, share) in from {
                if let Some(older) = sender.and_then(|sender| all.get_mut(sender)) {
                    older.needed_by.push(row.point.clone());
                }
                let point = sender.and_then(|sender| rows.get(sender)).map(|older| older.point.clone());
                one.from.push(Share { point, ..share });
            }
            one.from.sort_by_key(|share| std::cmp::Reverse(share.bytes));
            one.from.truncate(NAMED);
            all.push(one);
        }
        all.reverse();
        Ok(all)
    }

    async fn manifest_as_written(&self, tenant: TenantId, point: &str, hash: &str) -> Result<Option<Manifest>, Error> {
        let stored = match self.objects.get(&layout::manifest(tenant, point)).await {
            Ok(stored) => stored,
            Err(objects::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Manifest::read(&stored).ok().filter(|_| Hash::of(&stored).to_string() == hash))
    }
}
