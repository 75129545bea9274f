//! Sweeping a store: what no point needs goes, and nothing goes that one may need.

use std::collections::BTreeSet;

use domain::id::TenantId;
use objects::{Listed, ObjectStore, keys as layout};

use super::{MANY, PruneReport, YOUNG, remove_from};
use crate::context::Backup;
use crate::error::Error;
use crate::format::hash::Hash;
use crate::format::manifest::Manifest;

/// What the books say of a tenant's points.
struct Books {
    /// Points in the books.
    known: BTreeSet<String>,
    /// Every object that one of them needs.
    referred: BTreeSet<String>,
    /// Its points were given up with its keys: nobody will ever open any.
    purged: bool,
}

impl Backup {
    /// Removes what no point of the tenant refers to: chunks, files, and what is left of points that were never completed.
    pub(super) async fn sweep(&self, tenant: TenantId, purged: bool, report: &mut PruneReport) -> Result<(), Error> {
        // a point in the making refers to chunks of points that may just have gone
        if self.store.control().oldest_running(tenant, self.clock.now()).await?.is_some() {
            return Ok(());
        }
        for store in self.stores() {
            if let Err(error) = self.sweep_store(store, (tenant, purged), report).await {
                if store.location() == self.objects.location() {
                    return Err(error);
                }
                report.warnings.push(format!("{} could not be swept: {error}", store.location()));
            }
        }
        Ok(())
    }

    async fn sweep_store(
        &self,
        store: &ObjectStore,
        (tenant, purged): (TenantId, bool),
        report: &mut PruneReport,
    ) -> Result<(), Error> {
        // listed first: what a point sends from now on is not in the list
        let mut stored = store.list(&layout::chunks(tenant)).await?;
        stored.extend(store.list(&layout::files(tenant)).await?);
        let points = store.list(&layout::points(tenant)).await?;
        let Some(mut books) = self.books(tenant, purged, report).await? else { return Ok(()) };
        let mut whole: BTreeSet<String> =
            points.iter().filter_map(|object| object.key.strip_suffix("manifest.json").map(str::to_owned)).collect();
        let removed = self.removed_but_there(tenant, &whole, &books).await?;
        for left in &removed {
            let own = points.iter().filter(|object| folder(&object.key) == layout::point(tenant, left));
            let (count, bytes) = own.fold((0, 0), |(count, bytes), object| (count + 1, bytes + object.size));
            remove_from(store, tenant, left).await?;
            report.swept += count;
            report.swept_bytes += bytes;
            whole.remove(&layout::point(tenant, left));
        }
        // its manifest was sent and its row never came
        for point in self.store.control().abandoned_points(tenant, self.clock.now()).await? {
            whole.remove(&layout::point(tenant, &point));
        }
        if !self.add_unknown(store, (tenant, &whole), &mut books, report).await? {
            return Ok(());
        }
        stored.extend(points.iter().filter(|object| !whole.contains(folder(&object.key))).cloned());
        self.remove_idle(store, stored, &books.referred, report).await
    }

    /// Removes what has been in the store for a while and is not referred to.
    async fn remove_idle(
        &self,
        store: &ObjectStore,
        stored: Vec<Listed>,
        referred: &BTreeSet<String>,
        report: &mut PruneReport,
    ) -> Result<(), Error> {
        let young = self.clock.now() - YOUNG;
        let idle: Vec<_> =
            stored.into_iter().filter(|object| !referred.contains(&object.key) && object.modified < young).collect();
        report.swept += idle.len() as u64;
        report.swept_bytes += idle.iter().map(|object| object.size).sum::<u64>();
        let mut keys: Vec<String> = idle.into_iter().map(|object| object.key).collect();
        keys.sort_by_key(|key| !key.ends_with("/manifest.json"));
        for some in keys.chunks(500) {
            store.delete_many(some).await?;
        }
        Ok(())
    }

    /// Points that lie whole in a store although the books say that they were removed: a removal that the store stopped,
    /// or that was killed.
    async fn removed_but_there(
        &self,
        tenant: TenantId,
        whole: &BTreeSet<String>,
        books: &Books,
    ) -> Result<Vec<String>, Error> {
        let unknown = unknown(whole, books);
        if unknown.is_empty() {
            return Ok(unknown);
        }
        Ok(self.store.control().removed_points(tenant, unknown).await?)
    }

    /// What the books know and need; none when that cannot be said of every point: its manifest is in no store as it was
    /// written. The first store may have lost what a further one still has, so each is asked.
    async fn books(&self, tenant: TenantId, purged: bool, report: &mut PruneReport) -> Result<Option<Books>, Error> {
        let mut books = Books { known: BTreeSet::new(), referred: BTreeSet::new(), purged };
        for row in self.store.control().list_points(Some(tenant), MANY).await? {
            match self.manifest_from_any_store(tenant, &row.point, &row.manifest_sha256).await? {
                Ok(manifest) => books.referred.extend(manifest.clear.objects.into_iter().map(|object| object.key)),
                Err(why) => {
                    let warning = format!("the manifest of {}: {why}; nothing of its tenant was swept", row.point);
                    say_once(report, warning);
                    return Ok(None);
                }
            }
            books.known.insert(row.point);
        }
        Ok(Some(books))
    }

    /// A manifest from the first store that has it as the books know it, or what is wrong with it.
    async fn manifest_from_any_store(
        &self,
        tenant: TenantId,
        point: &str,
        hash: &str,
    ) -> Result<Result<Manifest, String>, Error> {
        let mut why = None;
        for store in self.stores() {
            let stored = match store.get(&layout::manifest(tenant, point)).await {
                Ok(stored) => stored,
                Err(objects::Error::NotFound { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            if Hash::of(&stored).to_string() != hash {
                why = Some("it is not as it was written".to_owned());
                continue;
            }
            match Manifest::read(&stored) {
                Ok(manifest) => return Ok(Ok(manifest)),
                Err(error) => why = Some(error.to_string()),
            }
        }
        Ok(Err(why.unwrap_or_else(|| "it is in no store".to_owned())))
    }

    /// Adds what points need that lie in a store and that nobody here ever knew: they may be from before a loss of the
    /// database, and are all that is left of that time. False when that cannot be said of one of them.
    async fn add_unknown(
        &self,
        store: &ObjectStore,
        (tenant, whole): (TenantId, &BTreeSet<String>),
        books: &mut Books,
        report: &mut PruneReport,
    ) -> Result<bool, Error> {
        if books.purged {
            return Ok(true);
        }
        let unknown = unknown(whole, books);
        for point in &unknown {
            let read = match store.get(&layout::manifest(tenant, point)).await {
                Ok(stored) => Manifest::read(&stored),
                Err(objects::Error::NotFound { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            match read {
                Ok(manifest) => books.referred.extend(manifest.clear.objects.into_iter().map(|object| object.key)),
                Err(error) => {
                    let place = store.location();
                    say_once(
                        report,
                        format!(
                            "{place} has a point {point} that is not in the books and cannot be read ({error}); nothing of its tenant was swept there"
                        ),
                    );
                    return Ok(false);
                }
            }
        }
        if let Some(newest) = unknown.iter().max().filter(|_| !tenant.is_control()) {
            let (place, count) = (store.location(), unknown.len());
            say_once(
                report,
                format!(
                    "{place} has {count} points of a tenant that are not in the books, the newest {newest}; they and what they need stay"
                ),
            );
        }
        Ok(true)
    }
}

/// Points that lie whole in a store and are not in the books.
fn unknown(whole: &BTreeSet<String>, books: &Books) -> Vec<String> {
    let names = whole.iter().filter_map(|folder| folder.trim_end_matches('/').rsplit('/').next());
    names.filter(|name| !books.known.contains(*name)).map(str::to_owned).collect()
}

/// The same is found for each store.
fn say_once(report: &mut PruneReport, warning: String) {
    if !report.warnings.contains(&warning) {
        report.warnings.push(warning);
    }
}

fn folder(key: &str) -> &str {
    key.rfind('/').and_then(|at| key.get(..=at)).unwrap_or_default()
}
