//! Removing dumps of the whole database: each stays for so many days, and the newest good one of a database always. Before
//! that, what the books have lost comes back into them.
//!
//! A dump does not follow a tenant's key: it opens for whoever has the escrow sheet, so it goes in every version.

use std::collections::{HashMap, HashSet};

use objects::keys::{self as layout, DumpPart};
use objects::{Listed, ObjectStore};
use serde::Serialize;
use serde_json::json;
use store::AuditEvent;
use store::control::points::dump::Model as Row;
use time::{Duration, OffsetDateTime};

use super::{MANY, PruneReport, YOUNG};
use crate::context::Backup;
use crate::dump::{DumpProblem, is_whole, sizes};
use crate::error::Error;
use crate::snapshot::rfc3339;

/// A description is younger than this while its dump is about to enter the books.
const UNDER_WAY: Duration = Duration::hours(1);

/// The dump that older ones go for was read back not longer ago than this, or is now.
const READ_WITHIN: Duration = Duration::days(7);

/// A dump that stays.
#[derive(Clone, Debug, Serialize)]
pub struct KeptDump {
    /// Its name.
    pub dump: String,
    /// Which database.
    pub database: String,
    /// Why it stays.
    pub reasons: Vec<String>,
}

/// A dump that goes, or comes back.
#[derive(Clone, Debug, Serialize)]
pub struct GoneDump {
    /// Its name.
    pub dump: String,
    /// Which database.
    pub database: String,
}

impl Backup {
    /// Plans, and carries out unless the report is dry; then certificates are brought to what is left.
    pub(super) async fn prune_dumps(&self, actor: &str, report: &mut PruneReport) -> Result<(), Error> {
        let mut rows = self.store.control().list_dumps(MANY).await?;
        let stored = self.objects.list(layout::DUMPS).await?;
        let sizes = sizes(&stored);
        let unknown = self.take_back(&rows, &stored, actor, report).await?;
        if !report.dry_run && !report.dumps_found.is_empty() {
            rows = self.store.control().list_dumps(MANY).await?;
        }
        let good = self.good_dumps(&rows, &sizes, actor, report).await?;
        let reasons = plan(&rows, &good, self.keep_dumps_days, self.clock.now());
        for (row, reasons) in rows.iter().zip(reasons) {
            let (dump, database) = (row.dump.clone(), row.database.clone());
            if !reasons.is_empty() {
                report.dumps_kept.push(KeptDump { dump, database, reasons });
            } else if report.dry_run {
                report.dumps_removed.push(GoneDump { dump, database });
            } else {
                match self.remove_dump(row, actor).await {
                    Ok(()) => report.dumps_removed.push(GoneDump { dump, database }),
                    Err(error) => {
                        report.warnings.push(format!("dump {dump} could not be removed and is tried again: {error}"));
                        report.dumps_kept.push(KeptDump {
                            dump,
                            database,
                            reasons: vec!["a store holds it".to_owned()],
                        });
                    }
                }
            }
        }
        self.sweep_halves(&rows, &stored, &unknown, report).await?;
        if !report.dry_run {
            report.warnings.extend(self.bring_dumps().await?.1);
            self.renew_certificates(actor, &mut report.warnings).await?;
        }
        Ok(())
    }

    /// Of `rows`, newest first, the dumps that count: whole in the store, not known to be damaged, and the newest of its
    /// database read back. One that cannot be read now counts as little as one that reads badly, and none behind it does.
    async fn good_dumps<'a>(
        &self,
        rows: &'a [Row],
        sizes: &HashMap<&str, u64>,
        actor: &str,
        report: &mut PruneReport,
    ) -> Result<HashSet<&'a str>, Error> {
        let (mut good, mut settled, mut unsure) = (HashSet::new(), HashSet::new(), HashSet::new());
        for row in rows.iter().filter(|row| is_whole(row, sizes)) {
            let (dump, database) = (row.dump.as_str(), row.database.as_str());
            if unsure.contains(database) {
                continue;
            }
            let read_lately = row.read_at.is_some_and(|at| self.clock.now() - at < READ_WITHIN);
            let problem = if row.problem.is_some() || read_lately || settled.contains(database) {
                row.problem.clone()
            } else {
                match self.read_dump(&self.objects, row).await {
                    Ok(seen) => {
                        if !report.dry_run {
                            self.note_dump(row, &seen, actor).await?;
                        }
                        (!seen.problems.is_empty()).then(|| DumpProblem::sentence(&seen.problems))
                    }
                    Err(error) => {
                        let why =
                            format!("dump {dump} of {database} cannot be read back now, so no older one goes: {error}");
                        report.warnings.push(why);
                        unsure.insert(database);
                        continue;
                    }
                }
            };
            match problem {
                None => {
                    settled.insert(database);
                    good.insert(dump);
                }
                Some(problem) => {
                    report.warnings.push(format!("dump {dump} of {database} is damaged and does not count: {problem}"));
                }
            }
        }
        Ok(good)
    }

    /// Dumps that lie whole in the store and that no row tells of: those that this appliance signed are from before a loss and
    /// come back into the books; others are another appliance's, or older than signatures, and are named. What all of them
    /// have in common with their objects.
    async fn take_back(
        &self,
        rows: &[Row],
        stored: &[Listed],
        actor: &str,
        report: &mut PruneReport,
    ) -> Result<HashSet<String>, Error> {
        let known = places_of(rows);
        let strange = |key: &str| is_description(key) && !known.contains(stem(key));
        let sizes = sizes(stored);
        let mut unknown = HashSet::new();
        for object in stored.iter().filter(|object| strange(&object.key)) {
            unknown.insert(stem(&object.key).to_owned());
            if object.modified > self.clock.now() - UNDER_WAY {
                continue;
            }
            match self.unknown_dump(&object.key, &sizes).await {
                Ok(row) => {
                    report.dumps_found.push(GoneDump { dump: row.dump.clone(), database: row.database.clone() });
                    if !report.dry_run {
                        self.take_back_dump(row, actor).await?;
                    }
                }
                Err(error @ (Error::Refused(_) | Error::Objects(objects::Error::NotFound { .. }))) => {
                    report.warnings.push(format!(
                        "{} is a dump that this appliance does not know ({error}); it stays, and may hold rows of deleted tenants",
                        object.key
                    ));
                }
                Err(other) => return Err(other),
            }
        }
        Ok(unknown)
    }

    /// Half a dump of a killed process goes after a day.
    async fn sweep_halves(
        &self,
        rows: &[Row],
        stored: &[Listed],
        unknown: &HashSet<String>,
        report: &mut PruneReport,
    ) -> Result<(), Error> {
        let known = places_of(rows);
        let young = self.clock.now() - YOUNG;
        for object in stored.iter().filter(|object| object.modified < young && !report.dry_run) {
            let place = stem(&object.key);
            if !known.contains(place) && !unknown.contains(place) {
                self.objects.purge(&object.key).await?;
                report.swept += 1;
                report.swept_bytes += object.size;
            }
        }
        Ok(())
    }

    /// The row last: until then certificates name the dump. Every store and every version, or it counts as being there.
    async fn remove_dump(&self, row: &Row, actor: &str) -> Result<(), Error> {
        for store in self.stores() {
            purge_from(store, row).await?;
        }
        let detail = json!({ "database": row.database, "created_at": rfc3339(row.created_at) });
        let event = AuditEvent { actor, event: "dump.removed", object: &row.dump, detail };
        Ok(self.store.control().remove_dump(&row.dump, &event).await?)
    }
}

/// The description first: what is left of a dump must not look like one.
async fn purge_from(store: &ObjectStore, row: &Row) -> Result<(), Error> {
    let description = layout::dump(&row.database, &row.dump, DumpPart::Description);
    for key in [description.as_str(), description.trim_end_matches("json")] {
        let purged = store.purge(key).await?;
        if purged.left > 0 {
            return Err(Error::Refused(format!(
                "{} still has {} versions of it; is there an object lock on all of the bucket?",
                store.location(),
                purged.left
            )));
        }
    }
    Ok(())
}

/// What the three objects of a dump have in common: names have no dot.
fn stem(key: &str) -> &str {
    key.split_once('.').map_or(key, |(stem, _)| stem)
}

fn is_description(key: &str) -> bool {
    key.split_once('.').is_some_and(|(_, ending)| ending == "json")
}

/// What the objects of these dumps have in common.
fn places_of(rows: &[Row]) -> HashSet<String> {
    let place = |row: &Row| stem(&layout::dump(&row.database, &row.dump, DumpPart::Description)).to_owned();
    rows.iter().map(place).collect()
}

/// Why each of `rows`, newest first, stays; without a reason it may go.
fn plan(rows: &[Row], good: &HashSet<&str>, days: u32, now: OffsetDateTime) -> Vec<Vec<String>> {
    let mut newest: HashMap<&str, &str> = HashMap::new();
    for row in rows.iter().filter(|row| good.contains(row.dump.as_str())) {
        newest.entry(&row.database).or_insert(&row.dump);
    }
    let why = |row: &Row| {
        let mut reasons = Vec::new();
        match newest.get(row.database.as_str()) {
            Some(name) if *name == row.dump => reasons.push("the newest good one".to_owned()),
            Some(_) => {}
            None => reasons.push("no dump of the database is known to be good".to_owned()),
        }
        // one from the future has a time that cannot be trusted
        if row.created_at > now || now - row.created_at < Duration::days(i64::from(days)) {
            reasons.push(format!("younger than {days} days"));
        }
        reasons
    };
    rows.iter().map(why).collect()
}
