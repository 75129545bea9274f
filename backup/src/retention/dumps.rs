//! Removing dumps of the whole database: each stays for so many days, and the newest good one of a database always.
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
use crate::error::Error;
use crate::snapshot::rfc3339;

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

/// A dump that goes.
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
        let rows = self.store.control().list_dumps(MANY).await?;
        let stored = self.objects.list(layout::DUMPS).await?;
        let sizes: HashMap<&str, u64> = stored.iter().map(|object| (object.key.as_str(), object.size)).collect();
        let whole: HashSet<&str> =
            rows.iter().filter(|row| is_whole(row, &sizes)).map(|row| row.dump.as_str()).collect();
        let reasons = plan(&rows, &whole, self.keep_dumps_days, self.clock.now());
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
        self.look_for_strays(&rows, &stored, report).await?;
        if !report.dry_run {
            self.renew_certificates(actor, &mut report.warnings).await?;
        }
        Ok(())
    }

    /// What no row tells of: half a dump goes after a day, a whole one is another appliance's or from before a loss.
    async fn look_for_strays(&self, rows: &[Row], stored: &[Listed], report: &mut PruneReport) -> Result<(), Error> {
        let place = |row: &Row| stem(&layout::dump(&row.database, &row.dump, DumpPart::Description)).to_owned();
        let known: HashSet<String> = rows.iter().map(place).collect();
        let described: HashSet<&str> =
            stored.iter().filter(|object| is_description(&object.key)).map(|object| stem(&object.key)).collect();
        for object in stored.iter().filter(|object| !known.contains(stem(&object.key))) {
            if is_description(&object.key) {
                report.warnings.push(format!(
                    "{} is a dump that this appliance does not know; it stays, and may hold rows of deleted tenants",
                    object.key
                ));
            } else if !described.contains(stem(&object.key))
                && object.modified < self.clock.now() - YOUNG
                && !report.dry_run
            {
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

/// All three objects are there, the dump with as many bytes as were sent.
fn is_whole(row: &Row, sizes: &HashMap<&str, u64>) -> bool {
    let size = |part| sizes.get(layout::dump(&row.database, &row.dump, part).as_str()).copied();
    size(DumpPart::Dump) == u64::try_from(row.bytes).ok()
        && size(DumpPart::Globals).is_some()
        && size(DumpPart::Description).is_some()
}

/// Why each of `rows`, newest first, stays; without a reason it may go.
fn plan(rows: &[Row], whole: &HashSet<&str>, days: u32, now: OffsetDateTime) -> Vec<Vec<String>> {
    let mut newest: HashMap<&str, &str> = HashMap::new();
    for row in rows.iter().filter(|row| whole.contains(row.dump.as_str())) {
        newest.entry(&row.database).or_insert(&row.dump);
    }
    let why = |row: &Row| {
        let mut reasons = Vec::new();
        match newest.get(row.database.as_str()) {
            Some(name) if *name == row.dump => reasons.push("the newest good one".to_owned()),
            Some(_) => {}
            None => reasons.push("no dump of the database is whole in the store".to_owned()),
        }
        // one from the future has a time that cannot be trusted
        if row.created_at > now || now - row.created_at < Duration::days(i64::from(days)) {
            reasons.push(format!("younger than {days} days"));
        }
        reasons
    };
    rows.iter().map(why).collect()
}
