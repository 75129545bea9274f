//! Damages drawn by a seed and mixed with untouched points: every damage is named with its object, nothing else is.
//!
//! The verdict of each kind stands beside it, twice. The appliance at hand has its own memory of points (their hashes are in
//! the control plane), so that it also sees what is consistent in itself: an older manifest, a prefix that was rolled back
//! with its log. An appliance that comes back from the store and the sheet alone has no such memory; who can know then is
//! [`Kind::known_by`]. A listing that leaves out a page takes a store of its own and stands at the end.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use domain::chance::Chance;
use domain::tenant::TenantState;
use objects::ObjectStore;
use store::Returning;
use testkit::faults::Fault;

use super::instance::{empty_machine, superuser_of};
use super::{Lab, ThroughS3};
use crate::Backup;
use crate::format::hash::Hash;
use crate::format::manifest::{Clear, Manifest};
use crate::format::sealed::Sealed;
use crate::keys::{Signer, TenantKey};
use crate::snapshot::{PointOptions, PointReport};

/// What is done to a point.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Flip,
    Truncate,
    Remove,
    SwapTwo,
    PointRemoved,
    RolledBack,
    OlderManifest,
    ObjectOfAnother,
    EntryDropped,
    EntryDroppedAndSealed,
    ChunkOfAnother,
    LogRemoved,
    LogAltered,
    KeyReplaced,
    Forged,
    ForgedWithItsLog,
}

const KINDS: [Kind; 16] = [
    Kind::Forged,
    Kind::PointRemoved,
    Kind::RolledBack,
    Kind::OlderManifest,
    Kind::ObjectOfAnother,
    Kind::EntryDropped,
    Kind::EntryDroppedAndSealed,
    Kind::ForgedWithItsLog,
    Kind::ChunkOfAnother,
    Kind::Remove,
    Kind::LogRemoved,
    Kind::SwapTwo,
    Kind::LogAltered,
    Kind::Flip,
    Kind::Truncate,
    Kind::KeyReplaced,
];

/// Who knows of a damage where the appliance's own memory is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knows {
    /// The log in the store: it tells of a point that is there no more.
    Log,
    /// The manifest alone: it is not taken for one of ours, and the next best point is.
    Manifest,
    /// Whoever reads the point back.
    ReadingBack,
    /// Nobody who looks at this store; another store has it.
    SecondStore,
    /// Nobody, and nothing is lost: the point is whole.
    Nobody,
}

impl Kind {
    /// The expected verdict of an appliance that has the store and the sheet alone.
    const fn known_by(self) -> Knows {
        match self {
            Self::PointRemoved => Knows::Log,
            Self::RolledBack => Knows::SecondStore,
            Self::OlderManifest
            | Self::EntryDropped
            | Self::EntryDroppedAndSealed
            | Self::Forged
            | Self::ForgedWithItsLog
            | Self::KeyReplaced => Knows::Manifest,
            Self::LogRemoved => Knows::Nobody,
            Self::Flip
            | Self::Truncate
            | Self::Remove
            | Self::SwapTwo
            | Self::ObjectOfAnother
            | Self::ChunkOfAnother
            | Self::LogAltered => Knows::ReadingBack,
        }
    }

    /// Its manifest can be opened all the same.
    const fn may_be_read(self) -> bool {
        matches!(self, Self::KeyReplaced)
    }
}

/// The object that must be named and the words that are right for it; and what changes on the disk.
struct Damage {
    object: String,
    words: &'static [&'static str],
    changes: Vec<(String, Option<Vec<u8>>)>,
}

struct Yard {
    lab: Lab,
    points: Vec<PointReport>,
    others: Vec<PointReport>,
    /// An appliance with the sheet and without a memory.
    stranger: Backup,
    /// The second store.
    second: ObjectStore,
}

impl Yard {
    async fn new() -> Self {
        let mut lab = Lab::new().await;
        let second = ObjectStore::directory(lab.folder.path().join("nas")).unwrap();
        lab.backup.copies.push(second.clone());
        lab.fill(6, &Chance::seeded(90)).await;
        // text that does not compress: rows become objects of their own
        lab.sql(
            "INSERT INTO note (id, uid, creator_id, created_ts, updated_ts, visibility, content) \
             SELECT g, 'b-' || g, 1, g, g, 'PRIVATE', (SELECT string_agg(md5(g::text || k), '') FROM generate_series(1, 40) k) \
             FROM generate_series(1000, 9000) g",
        )
        .await;
        let other = lab.backup.store.build_tenant(&"other".parse().unwrap(), TenantState::Active).await.unwrap();
        let rows = "INSERT INTO member (id, username, role, created_ts, updated_ts) VALUES (1, 'eve', 'owner', 1, 1)";
        let client = lab.database.superuser().await;
        client.batch_execute(&format!("SET search_path TO {}; {rows}", other.schema)).await.unwrap();
        let stranger = empty_machine(&lab, "stranger").await;
        let mut yard = Self { lab, points: Vec::new(), others: Vec::new(), stranger, second };
        for number in 0..3 {
            yard.lab
                .sql(&format!("UPDATE note SET content = content || 'x' WHERE id % 3 = {number} AND id >= 1000"))
                .await;
            let options = PointOptions { trigger: "command", actor: "command".to_owned(), markdown: number == 1 };
            let point = yard.lab.backup.take_point(&yard.lab.scope(), &options).await.unwrap();
            yard.lab.backup.verify_point(&point.point, "command").await.unwrap();
            yard.points.push(point);
            let scope = store::TenantScope::for_command(other.clone(), "test");
            let point = yard.lab.backup.take_point(&scope, &options).await.unwrap();
            yard.lab.backup.verify_point(&point.point, "command").await.unwrap();
            yard.others.push(point);
        }
        let (copied, failures) = yard.lab.backup.copy_due().await.unwrap();
        assert!(copied.len() == 6 && failures.is_empty(), "{failures:?}");
        yard
    }

    /// What the stranger finds in a store: the points that a tenant may come back from, newest first, and what it tells.
    async fn found_without_memory(&self, store: &ObjectStore, of: &PointReport) -> (Backup, Vec<String>, Vec<String>) {
        let mut stranger = self.stranger.clone();
        stranger.objects = store.clone();
        stranger.forget_keys();
        let forget = "DELETE FROM holdfast.point; DELETE FROM holdfast.tenant_key";
        superuser_of(&stranger).await.batch_execute(forget).await.unwrap();
        let tenant = Returning { id: of.tenant_id, slug: of.tenant.clone(), state: "active".to_owned() };
        let mut warnings = Vec::new();
        let points = Box::pin(stranger.points_of_returning(&tenant, "test", &mut warnings)).await.unwrap();
        (stranger, points, warnings)
    }

    /// The verdict of somebody with the store and the sheet alone.
    async fn judged_without_memory(&self, kind: Kind, point: &str, damage: &Damage) {
        let of = self.points.iter().chain(&self.others).find(|one| one.point == point).unwrap();
        let (stranger, points, warnings) = self.found_without_memory(&self.lab.backup.objects, of).await;
        let told = warnings.iter().any(|warning| warning.contains(point));
        if !points.contains(&of.point) {
            let newest = self.points.last().unwrap();
            let by = if !told {
                let (_, there, _) = self.found_without_memory(&self.second, of).await;
                assert_eq!(there.first(), Some(&newest.point), "{kind:?}: the second store has it");
                Knows::SecondStore
            } else if warnings.iter().any(|warning| warning.contains("the log knows")) {
                Knows::Log
            } else {
                Knows::Manifest
            };
            assert_eq!(by, kind.known_by(), "{kind:?}: {warnings:?}");
            return;
        }
        let read = Box::pin(stranger.verify_point(point, "test")).await.unwrap();
        let named = read.problems.iter().any(|problem| problem.object == damage.object);
        match kind.known_by() {
            Knows::Nobody => assert!(!told && read.problems.is_empty(), "{kind:?}: {warnings:?} {:?}", read.problems),
            // the wrapping that the stranger does not need was replaced
            Knows::Manifest => assert!(kind.may_be_read() && named, "{kind:?} was taken for ours: {:?}", read.problems),
            Knows::ReadingBack => assert!(named, "{kind:?}: {} is not named: {:?}", damage.object, read.problems),
            by => panic!("{kind:?} is known by {by:?} and was found: {points:?}"),
        }
    }

    fn read(&self, key: &str) -> Vec<u8> {
        std::fs::read(self.lab.file_of(key)).unwrap()
    }

    fn listed(&self, prefix: &str) -> Vec<String> {
        fn walk(root: &Path, at: PathBuf, out: &mut Vec<String>) {
            for entry in std::fs::read_dir(at).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    walk(root, entry.path(), out);
                } else {
                    out.push(entry.path().strip_prefix(root).unwrap().display().to_string());
                }
            }
        }
        let root = self.lab.folder.path().join("s3");
        let mut out = Vec::new();
        walk(&root, root.join(prefix), &mut out);
        out
    }

    fn log_of(point: &PointReport) -> String {
        objects::keys::log_entry(point.tenant_id, &point.point)
    }

    async fn opened(&self, point: &PointReport) -> (TenantKey, Manifest) {
        let key = self.lab.backup.tenant_key(point.tenant_id).await.unwrap().key;
        (key, Manifest::read(&self.read(&point.manifest)).unwrap())
    }

    /// The manifest with other content under a seal that is right, and with the signature that it had.
    async fn sealed_anew(&self, point: &PointReport, change: impl FnOnce(&mut Clear, &mut Sealed)) -> Vec<u8> {
        let (key, mut read) = self.opened(point).await;
        let mut sealed = read.unseal(&key).unwrap();
        let ours = (read.clear.signed_by.clone(), self.read(&point.manifest));
        change(&mut read.clear, &mut sealed);
        let other = Signer::generate();
        let written = Manifest::write(&read.clear, &sealed, &key, &other).unwrap();
        let text = String::from_utf8(written).unwrap().replace(&other.public_key(), &ours.0);
        let body = text.split(",\"mac\":").next().unwrap();
        let signature = String::from_utf8(ours.1).unwrap().split("\"signature\":").nth(1).unwrap().to_owned();
        format!("{body},\"mac\":\"{}\",\"signature\":{signature}", key.manifest_mac(body.as_bytes())).into_bytes()
    }

    async fn damage(&self, kind: Kind, chance: &Chance) -> (String, Damage) {
        let newest = self.points.last().unwrap();
        let point = &self.points[chance.below(3) as usize];
        let any = &point.objects[chance.below(point.objects.len() as u64) as usize];
        let one = |object: &str, words, after| Damage {
            object: object.to_owned(),
            words,
            changes: vec![(object.to_owned(), after)],
        };
        let rows: Vec<_> = point.objects.iter().filter(|o| o.kind == crate::format::manifest::Kind::Rows).collect();
        let two = |at: u64| rows[(at % rows.len() as u64) as usize];
        let name = point.point.clone();
        match kind {
            Kind::Flip => {
                let mut bytes = self.read(&any.key);
                let at = chance.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << chance.below(8);
                (name, one(&any.key, &["altered"], Some(bytes)))
            }
            Kind::Truncate => {
                let mut bytes = self.read(&any.key);
                bytes.truncate(bytes.len() - 1 - chance.below(bytes.len() as u64 / 2) as usize);
                (name, one(&any.key, &["truncated"], Some(bytes)))
            }
            Kind::Remove => (name, one(&any.key, &["missing"], None)),
            Kind::SwapTwo => {
                let at = chance.below(rows.len() as u64);
                let (a, b) = (two(at), two(at + 1));
                let changes = vec![(a.key.clone(), Some(self.read(&b.key))), (b.key.clone(), Some(self.read(&a.key)))];
                (name, Damage { object: a.key.clone(), words: &["altered", "truncated"], changes })
            }
            // the control plane remembers it: missing
            Kind::PointRemoved => {
                let changes = self.listed(&format!("t/{}/p/{}", newest.tenant_id, newest.point));
                let changes = changes.into_iter().map(|key| (key, None)).collect();
                (newest.point.clone(), Damage { object: newest.manifest.clone(), words: &["missing"], changes })
            }
            // with its log and all that only it sent: missing all the same, by the same memory
            Kind::RolledBack => {
                let mut gone = self.listed(&format!("t/{}/p/{}", newest.tenant_id, newest.point));
                gone.push(Self::log_of(newest));
                gone.extend(newest.objects.iter().filter(|o| !o.referenced).map(|o| o.key.clone()));
                gone.sort();
                gone.dedup();
                let changes = gone.into_iter().map(|key| (key, None)).collect();
                (newest.point.clone(), Damage { object: newest.manifest.clone(), words: &["missing"], changes })
            }
            Kind::OlderManifest => {
                let older = self.read(&self.points[chance.below(2) as usize].manifest);
                (newest.point.clone(), one(&newest.manifest, &["stale"], Some(older)))
            }
            Kind::ObjectOfAnother => {
                let other = &self.others[chance.below(3) as usize];
                let (from, to) = if chance.below(2) == 0 { (point, other) } else { (other, point) };
                let bytes = self.read(&from.objects[0].key);
                (to.point.clone(), one(&to.objects[0].key, &["altered", "truncated"], Some(bytes)))
            }
            Kind::EntryDropped => {
                let mut document: serde_json::Value = serde_json::from_slice(&self.read(&point.manifest)).unwrap();
                let entries = document["objects"].as_array_mut().unwrap();
                entries.remove(chance.below(entries.len() as u64) as usize);
                let bytes = serde_json::to_vec(&document).unwrap();
                (name, one(&point.manifest, &["altered", "truncated"], Some(bytes)))
            }
            // edited by hand and sealed anew by someone who holds the drill identity
            Kind::EntryDroppedAndSealed => {
                let bytes = self.sealed_anew(point, |clear, _| drop(clear.objects.pop())).await;
                (name, one(&point.manifest, &["forged"], Some(bytes)))
            }
            // the same with his own signing key in place of ours
            Kind::Forged => {
                let (key, read) = self.opened(point).await;
                let mut sealed = read.unseal(&key).unwrap();
                sealed.notes += 1;
                let bytes = Manifest::write(&read.clear, &sealed, &key, &Signer::generate()).unwrap();
                (name, one(&point.manifest, &["forged"], Some(bytes)))
            }
            // and with an entry in the log of the store to match
            Kind::ForgedWithItsLog => {
                let bytes = self.sealed_anew(point, |_, sealed| sealed.tables.truncate(3)).await;
                let mut entry: serde_json::Value = serde_json::from_slice(&self.read(&Self::log_of(point))).unwrap();
                entry["manifest_sha256"] = Hash::of(&bytes).to_string().into();
                entry["manifest_bytes"] = bytes.len().into();
                let mut damage = one(&point.manifest, &["forged"], Some(bytes));
                damage.changes.push((Self::log_of(point), Some(serde_json::to_vec(&entry).unwrap())));
                (name, damage)
            }
            Kind::ChunkOfAnother => {
                let from =
                    self.points[0].objects.iter().find(|o| o.kind == crate::format::manifest::Kind::Rows).unwrap();
                let own = newest.objects.iter().rfind(|o| o.kind == from.kind && o.key != from.key).unwrap();
                (newest.point.clone(), one(&own.key, &["altered", "truncated"], Some(self.read(&from.key))))
            }
            Kind::LogRemoved => (name, one(&Self::log_of(point), &["missing"], None)),
            Kind::LogAltered => {
                let other = self.points.iter().find(|other| other.point != point.point).unwrap();
                (name, one(&Self::log_of(point), &["altered", "truncated"], Some(self.read(&Self::log_of(other)))))
            }
            Kind::KeyReplaced => {
                let keys = self.listed(&format!("k/{}", point.tenant_id));
                let key = &keys[chance.below(keys.len() as u64) as usize];
                let garbage = (0..self.read(key).len()).map(|_| chance.u64() as u8).collect();
                (name, one(key, &["altered"], Some(garbage)))
            }
        }
    }

    /// Damages, asks, repairs.
    async fn inflict(&self, kind: Kind, chance: &Chance) {
        let (point, damage) = self.damage(kind, chance).await;
        let kept = |key: &String| {
            let written = std::fs::metadata(self.lab.file_of(key)).unwrap().modified().unwrap();
            (key.clone(), self.read(key), written)
        };
        let sound: Vec<(String, Vec<u8>, SystemTime)> = damage.changes.iter().map(|(key, _)| kept(key)).collect();
        for (key, after) in &damage.changes {
            match after {
                Some(bytes) => std::fs::write(self.lab.file_of(key), bytes).unwrap(),
                None => std::fs::remove_file(self.lab.file_of(key)).unwrap(),
            }
        }
        let verdict = Box::pin(self.lab.backup.verify_point(&point, "test")).await.unwrap();
        let named = verdict.problems.iter().find(|problem| problem.object == damage.object);
        let named = named.unwrap_or_else(|| panic!("{kind:?}: {} is not named: {:?}", damage.object, verdict.problems));
        assert!(damage.words.contains(&named.problem.as_str()), "{kind:?}: {named:?}");
        assert_eq!(verdict.state, "damaged");
        Box::pin(self.judged_without_memory(kind, &point, &damage)).await;
        for (key, bytes, written) in sound {
            let path = self.lab.file_of(&key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, bytes).unwrap();
            // the log is ordered by the store's times
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(written).unwrap();
        }
    }

    async fn leave(&self, chance: &Chance) {
        let all: Vec<_> = self.points.iter().chain(&self.others).collect();
        let point = all[chance.below(all.len() as u64) as usize];
        let verdict = Box::pin(self.lab.backup.verify_point(&point.point, "test")).await.unwrap();
        assert!(verdict.problems.is_empty(), "a false alarm: {:?}", verdict.problems);
        let (_, points, warnings) = self.found_without_memory(&self.lab.backup.objects, point).await;
        assert!(points.len() == 3 && warnings.is_empty(), "a false alarm without memory: {warnings:?}");
    }

    /// A listing without a page hides a point from nobody: the log names it, and it is there when asked for by name.
    async fn a_page_is_left_out(&self, chance: &Chance) {
        let ThroughS3 { store, relay, .. } = &ThroughS3::before(&self.lab).await;
        for _ in 0..3 {
            let hidden = &self.points[chance.below(3) as usize];
            relay.set(Fault::Forget(format!("/p/{}/", hidden.point)));
            let (stranger, points, warnings) = self.found_without_memory(store, hidden).await;
            assert!(relay.set(Fault::None) > 0, "a listing was without it");
            assert!(points.len() == 3 && points.contains(&hidden.point), "{points:?}");
            assert!(warnings.len() == 1 && warnings[0].contains(&hidden.point), "{warnings:?}");
            assert!(Box::pin(stranger.verify_point(&hidden.point, "test")).await.unwrap().problems.is_empty());
        }
    }
}

async fn damages(each: u64, seed: u64) {
    println!("seed {seed}: {each} damages and {each} untouched points");
    let (yard, chance) = (Yard::new().await, Chance::seeded(seed));
    let (mut damaged, mut left) = (0, 0);
    while damaged + left < 2 * each {
        if left == each || (damaged < each && chance.below(2) == 0) {
            yard.inflict(KINDS[damaged as usize % KINDS.len()], &chance).await;
            damaged += 1;
        } else {
            yard.leave(&chance).await;
            left += 1;
        }
    }
    Box::pin(yard.a_page_is_left_out(&chance)).await;
    println!("{damaged} named, with memory and without, {left} untouched without an alarm");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_damages_are_named_and_twenty_untouched_points_raise_no_alarm() {
    Box::pin(damages(20, 20_261_122)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "two hundred of each: make soak"]
async fn soak_two_hundred_damages_and_two_hundred_untouched() {
    Box::pin(damages(200, super::soak_seed(20_261_123))).await;
}
