//! One run: what the snapshot holds against what lies in the mirror.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use futures_util::{FutureExt, StreamExt, TryStreamExt};
use markdown::{Home, file_path, note_path};
use objects::{ObjectStore, PutOptions};
use store::control::mirrors::{EntryKind, MirrorEntry, MirrorRow, Mirrored};
use store::{FileVersion, Snapshot, TenantScope};

use super::{MirrorReport, place};
use crate::context::Backup;
use crate::error::Error;
use crate::format::hash::Hash;
use crate::snapshot::shown;

/// Rows whose versions are read at once.
const PAGE: i64 = 5_000;
/// Files written between two notes of what was written.
const BATCH: usize = 100;
/// Files written at the same time.
const TOGETHER: usize = 8;

/// Brings the mirror to one instant of the tenant.
pub(super) async fn run(
    backup: &Backup,
    row: &MirrorRow,
    holder: &str,
    scope: &TenantScope,
    full: bool,
) -> Result<MirrorReport, Error> {
    let begun = Instant::now();
    let tenant = scope.tenant();
    let schema = tenant.schema.as_str();
    let full = full || row.schema != schema;
    let store = backup.open_mirror(&row.place).await?;
    place::claim(&store, tenant.id).await?;
    backup.store.control().begin_mirror(tenant.id, holder, row.schema != schema).await?;
    let mut snapshot = backup.store.open_snapshot(scope).await?;
    let info = snapshot.info().clone();
    let there = if full { Some(listed(&store).await?) } else { None };
    let report =
        MirrorReport { tenant: tenant.slug.to_string(), place: row.place.clone(), full, ..MirrorReport::default() };
    let home = home(tenant);
    let tag = tag(&home);
    let mut work = Work { backup, row, store, home, tag, there, written: HashSet::new(), left: Vec::new(), report };
    // files before the notes that show them, and what is gone last
    work.files(&mut snapshot).await?;
    work.notes(&mut snapshot).await?;
    snapshot.finish().await?;
    work.remove().await?;
    let mut report = work.report;
    report.seconds = begun.elapsed().as_secs_f64();
    let done = Mirrored {
        schema,
        generation: info.generation,
        at: info.at,
        full,
        notes: i64::try_from(report.notes).unwrap_or(i64::MAX),
        files: i64::try_from(report.files).unwrap_or(i64::MAX),
        seconds: report.seconds,
    };
    if !backup.store.control().finish_mirror(tenant.id, holder, &done).await? {
        return Err(super::busy(row));
    }
    Ok(report)
}

/// Addresses of the tenant that links of its notes may begin with.
fn home(tenant: &domain::tenant::Tenant) -> Home {
    let mut bases: Vec<String> = tenant.public_url.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
    for host in &tenant.hosts {
        bases.extend([format!("https://{host}"), format!("http://{host}")]);
    }
    bases.push(format!("/t/{}", tenant.slug));
    Home { bases }
}

/// What every note's version ends with: with other addresses other links of a note lead into the folder, whether it was changed
/// or not.
fn tag(home: &Home) -> String {
    let mut tag = Hash::of(home.bases.join("\n").as_bytes()).to_string();
    tag.truncate(8);
    tag
}

/// What lies in the place, with its lengths.
async fn listed(store: &ObjectStore) -> Result<HashMap<String, i64>, Error> {
    let mut there = HashMap::new();
    for part in place::PARTS {
        let all = store.list(part).await?;
        there.extend(all.into_iter().map(|object| (object.key, i64::try_from(object.size).unwrap_or(i64::MAX))));
    }
    Ok(there)
}

/// A run under way.
struct Work<'a> {
    backup: &'a Backup,
    row: &'a MirrorRow,
    store: ObjectStore,
    home: Home,
    /// Stands for `home` in the versions of notes.
    tag: String,
    /// What lies in the place, where that was looked at; what belongs there is taken out of it.
    there: Option<HashMap<String, i64>>,
    /// Paths that were written: whatever lay there before is replaced, not removed.
    written: HashSet<String>,
    /// What is to be removed: the entry that knows it, unless that stands for another path by now.
    left: Vec<(EntryKind, Option<i64>, String)>,
    report: MirrorReport,
}

impl Work<'_> {
    async fn files(&mut self, snapshot: &mut Snapshot) -> Result<(), Error> {
        let mut after = i64::MIN;
        loop {
            let page = snapshot.file_versions(after, PAGE).await?;
            let (upto, last) = bounds(&page, |file| file.id);
            let versions = page.iter().map(|file| (file.id, file.version.as_str()));
            let stale = self.compare(EntryKind::File, (after, upto), versions).await?;
            let stale: Vec<FileVersion> = page.into_iter().filter(|file| stale.contains(&file.id)).collect();
            for some in stale.chunks(BATCH) {
                let puts = some.iter().map(|file| copy(self.backup, &self.store, file).boxed()).collect::<Vec<_>>();
                let done = together(puts).await?;
                for (file, _) in some.iter().zip(&done).filter(|(_, done)| done.is_none()) {
                    self.report.missing.push(file.uid.clone());
                }
                self.note_written(EntryKind::File, done.into_iter().flatten().collect()).await?;
            }
            if last {
                return Ok(());
            }
            after = upto;
        }
    }

    async fn notes(&mut self, snapshot: &mut Snapshot) -> Result<(), Error> {
        let mut after = i64::MIN;
        loop {
            let mut page = snapshot.note_versions(after, PAGE).await?;
            for (_, version) in &mut page {
                version.extend(["/", &self.tag]);
            }
            let (upto, last) = bounds(&page, |(id, _)| *id);
            let versions = page.iter().map(|(id, version)| (*id, version.as_str()));
            let stale = self.compare(EntryKind::Note, (after, upto), versions).await?;
            let versions: HashMap<i64, String> = page.into_iter().collect();
            let mut ids: Vec<i64> = stale.into_iter().collect();
            ids.sort_unstable();
            for some in ids.chunks(BATCH) {
                let notes = snapshot.notes_with(some).await?;
                let puts = notes.into_iter().map(|note| {
                    let version = versions.get(&note.id.0).cloned().unwrap_or_default();
                    let bytes = shown(&note).render_in_folder(&self.home);
                    let path = note_path(&note.uid, note.id.0);
                    put(self.store.clone(), MirrorEntry { id: note.id.0, version, path, bytes: 0 }, bytes).boxed()
                });
                let done = together(puts.collect()).await?;
                self.note_written(EntryKind::Note, done).await?;
            }
            if last {
                return Ok(());
            }
            after = upto;
        }
    }

    /// Which rows are not as their files show them. Files of rows that are gone are noted for removal.
    async fn compare(
        &mut self,
        kind: EntryKind,
        (after, upto): (i64, i64),
        versions: impl Iterator<Item = (i64, &str)>,
    ) -> Result<HashSet<i64>, Error> {
        let entries = self.backup.store.control().mirror_entries(self.row.tenant, kind, after, upto).await?;
        let mut known: HashMap<i64, MirrorEntry> = entries.into_iter().map(|entry| (entry.id, entry)).collect();
        let mut stale = HashSet::new();
        let mut rows = 0;
        for (id, version) in versions {
            rows += 1;
            let Some(entry) = known.remove(&id) else {
                stale.insert(id);
                continue;
            };
            let lies = self.there.as_ref().is_none_or(|there| there.get(&entry.path) == Some(&entry.bytes));
            if entry.version == version && lies {
                if let Some(there) = &mut self.there {
                    there.remove(&entry.path);
                }
            } else {
                stale.insert(id);
                self.left.push((kind, None, entry.path));
            }
        }
        self.left.extend(known.into_values().map(|entry| (kind, Some(entry.id), entry.path)));
        match kind {
            EntryKind::Note => self.report.notes += rows,
            EntryKind::File => self.report.files += rows,
        }
        Ok(stale)
    }

    async fn note_written(&mut self, kind: EntryKind, entries: Vec<MirrorEntry>) -> Result<(), Error> {
        for entry in &entries {
            self.report.written += 1;
            self.report.bytes_sent += entry.bytes.unsigned_abs();
            self.written.insert(entry.path.clone());
            if let Some(there) = &mut self.there {
                there.remove(&entry.path);
            }
        }
        if entries.is_empty() {
            return Ok(());
        }
        Ok(self.backup.store.control().put_mirror_entries(self.row.tenant, kind, &entries).await?)
    }

    /// Removes what no row stands for any more.
    async fn remove(&mut self) -> Result<(), Error> {
        let mut paths: HashSet<String> = self.left.iter().map(|(_, _, path)| path.clone()).collect();
        paths.extend(self.there.take().into_iter().flat_map(HashMap::into_keys));
        let paths: Vec<String> = paths.into_iter().filter(|path| !self.written.contains(path)).collect();
        if !paths.is_empty() {
            self.store.delete_many(&paths).await?;
        }
        self.report.removed = paths.len() as u64;
        for kind in [EntryKind::Note, EntryKind::File] {
            let ids: Vec<i64> =
                self.left.iter().filter(|(of, _, _)| *of == kind).filter_map(|(_, id, _)| *id).collect();
            if !ids.is_empty() {
                self.backup.store.control().forget_mirror_entries(self.row.tenant, kind, ids).await?;
            }
        }
        Ok(())
    }
}

/// Where a page of rows ends, and whether it is the last one.
fn bounds<T>(page: &[T], id: impl Fn(&T) -> i64) -> (i64, bool) {
    let last = i64::try_from(page.len()).unwrap_or(i64::MAX) < PAGE;
    (if last { i64::MAX } else { page.last().map_or(i64::MAX, id) }, last)
}

/// Runs a few at the same time; answers in order.
async fn together<T>(all: Vec<futures_util::future::BoxFuture<'_, Result<T, Error>>>) -> Result<Vec<T>, Error> {
    futures_util::stream::iter(all).buffered(TOGETHER).try_collect().await
}

async fn put(store: ObjectStore, entry: MirrorEntry, bytes: Vec<u8>) -> Result<MirrorEntry, Error> {
    let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    store.put(&entry.path, bytes, PutOptions::default()).await?;
    Ok(MirrorEntry { bytes: length, ..entry })
}

/// Copies an attached file; none when its bytes are not in the file store.
async fn copy(backup: &Backup, to: &ObjectStore, file: &FileVersion) -> Result<Option<MirrorEntry>, Error> {
    let download = match backup.files.read(&file.storage_key, None).await {
        Ok(download) => download,
        Err(objects::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let path = file_path(&file.uid, &file.filename);
    let written = to.put_stream(&path, download.reader, PutOptions::default()).await?;
    let bytes = i64::try_from(written.size).unwrap_or(i64::MAX);
    Ok(Some(MirrorEntry { id: file.id, version: file.version.clone(), path, bytes }))
}
