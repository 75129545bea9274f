//! One note, one member's notes or one attachment of a point, back into the live tenant.

mod found;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::id::NoteId;
use domain::tenant::Tenant;
pub use jobs::Part;
use serde::Serialize;
use serde_json::json;
use store::graft::{attachment_exists, insert_row, known_members};
use store::tenant::cards::{lock_around, lock_many, refresh_cards};
use store::tenant::notes::{find_keys, find_note_by_id};
use store::{AuditEvent, TenantScope, TenantTx};

use self::found::{Found, ORDER, SHARES, columns_of, gather, number, roots, survey};
use super::load::load_file;
use super::{Opened, Place, table_of};
use crate::context::Backup;
use crate::error::Error;
use crate::format::copytext::fields;
use crate::run::Watched;

/// What `restore note|member|attachment` tells.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PartReport {
    /// The live tenant.
    pub tenant: String,
    /// The point.
    pub from: String,
    /// Uids of the notes that came back, comments included.
    pub notes: Vec<String>,
    /// How many of them are comments.
    pub comments: u64,
    /// Notes of the point that were there already, and were left as they are.
    pub present: Vec<String>,
    /// Reactions that came back.
    pub reactions: u64,
    /// Share links that came back with their notes.
    pub shares: u64,
    /// Share links of the point that somebody revoked since: they stay so.
    pub revoked: u64,
    /// Attachments that came back.
    pub attachments: u64,
    /// Files that had to be brought for them.
    pub files: u64,
    /// What someone should look at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Nothing was written: this is what would come back.
    pub dry_run: bool,
}

/// Who brings what back, and whether it is only looked what that would be.
struct Order<'a> {
    part: &'a Part,
    actor: &'a str,
    dry_run: bool,
}

impl Backup {
    /// Brings a part of a point back. What is there already stays as it is.
    pub async fn restore_part(&self, point: &str, slug: &str, part: &Part, actor: &str) -> Result<PartReport, Error> {
        let order = Order { part, actor, dry_run: false };
        self.part_of(point, slug, &order, &Watched::default()).await
    }

    /// What `restore_part` would bring back, found out by doing it in a transaction that is rolled back.
    pub async fn plan_part(&self, point: &str, slug: &str, part: &Part) -> Result<PartReport, Error> {
        let order = Order { part, actor: "", dry_run: true };
        self.part_of(point, slug, &order, &Watched::default()).await
    }

    /// The same as either, for somebody who looks on and may cancel it.
    pub(crate) async fn part_watched(
        &self,
        message: &jobs::RestorePart,
        slug: &str,
        actor: &str,
        run: &Watched,
    ) -> Result<PartReport, Error> {
        let order = Order { part: &message.part, actor, dry_run: message.dry_run };
        self.part_of(&message.point, slug, &order, run).await
    }

    async fn part_of(&self, point: &str, slug: &str, order: &Order<'_>, run: &Watched) -> Result<PartReport, Error> {
        let tenant = self.tenant(slug).await?;
        run.tell("reading the point back", 0.0);
        let opened = run.unless_cancelled(self.open_point(&self.source(), point)).await?;
        opened.must_be_of_a_tenant()?;
        opened.must_be_known(self.newest_version())?;
        if opened.clear.tenant != tenant.id {
            return Err(Error::Refused(format!("point {point} is not of tenant {slug} but of {}", opened.clear.slug)));
        }
        run.tell("looking for it in the point", 0.5);
        let mut report = PartReport {
            tenant: slug.to_owned(),
            from: point.to_owned(),
            dry_run: order.dry_run,
            ..PartReport::default()
        };
        let scope = TenantScope::for_command(Arc::clone(&tenant), "restore part");
        let looking = self.look(&scope, &opened, order, &mut report);
        let found = run.unless_cancelled(looking).await?;
        run.tell("bringing files", 0.7);
        run.unless_cancelled(self.bring_files(&opened, &tenant, &found, &mut report)).await?;
        run.tell("bringing rows", 0.9);
        if !order.dry_run {
            run.settle().await?;
        }
        self.insert(&scope, &opened, found, order, &mut report).await?;
        Ok(report)
    }

    /// Finds what is asked for and is not there any more.
    async fn look(
        &self,
        scope: &TenantScope,
        opened: &Opened,
        order: &Order<'_>,
        report: &mut PartReport,
    ) -> Result<Found, Error> {
        let survey = survey(opened, order.part).await?;
        let roots = roots(opened, order.part, &survey).await?;
        let wanted = self.absent(scope, order.part, roots, report).await?;
        let mut found = gather(opened, order.part, &wanted, &survey).await?;
        self.withhold_revoked(scope, opened, &mut found, report).await?;
        Ok(found)
    }

    /// Leaves out share links that somebody revoked after the point.
    async fn withhold_revoked(
        &self,
        scope: &TenantScope,
        opened: &Opened,
        found: &mut Found,
        report: &mut PartReport,
    ) -> Result<(), Error> {
        let Some(entry) = opened.sealed.tables.iter().find(|table| table.name == SHARES) else { return Ok(()) };
        let Some(rows) = found.rows.get_mut(SHARES).filter(|rows| !rows.is_empty()) else { return Ok(()) };
        let columns = columns_of(entry);
        let tokens: Vec<String> = rows.iter().filter_map(|line| columns.value(line, "token")).collect();
        let revoked = self.store.revoked_shares(scope.tenant().id, opened.shown()?, &tokens).await?;
        rows.retain(|line| columns.value(line, "token").is_none_or(|token| !revoked.contains(&token)));
        report.revoked = revoked.len() as u64;
        Ok(())
    }

    /// Leaves out notes that are there.
    async fn absent(
        &self,
        scope: &TenantScope,
        part: &Part,
        roots: BTreeMap<i64, String>,
        report: &mut PartReport,
    ) -> Result<BTreeMap<i64, String>, Error> {
        let mut tx = self.store.begin(scope);
        if let Part::Attachment(uid) = part {
            if attachment_exists(&mut tx, uid).await? {
                return Err(there("attachment_uid_key"));
            }
            return Ok(roots);
        }
        let uids: Vec<String> = roots.values().cloned().collect();
        let present: BTreeSet<String> = find_keys(&mut tx, &uids).await?.into_iter().map(|key| key.uid).collect();
        if matches!(part, Part::Note(_)) && !present.is_empty() {
            return Err(there("note_uid_key"));
        }
        report.present = present.iter().cloned().collect();
        Ok(roots.into_iter().filter(|(_, uid)| !present.contains(uid)).collect())
    }

    /// Files first: then no row refers to a file that is not there.
    async fn bring_files(
        &self,
        opened: &Opened,
        tenant: &Tenant,
        found: &Found,
        report: &mut PartReport,
    ) -> Result<(), Error> {
        let place = Place::beside(tenant.id);
        for storage_key in &found.files {
            let to = place.file(storage_key);
            let entry = opened.sealed.files.iter().find(|file| file.storage_key == *storage_key);
            match entry {
                _ if self.files.exists(&to).await? => {}
                Some(file) => {
                    report.files += 1;
                    if !report.dry_run {
                        load_file(Arc::clone(&opened.fetch), self.files.objects().clone(), file.name.clone(), to)
                            .await?;
                    }
                }
                None => {
                    report.warnings.push(format!("file {storage_key} was already missing when the point was taken"));
                }
            }
        }
        Ok(())
    }

    /// All rows in one transaction; of a dry run it is rolled back.
    async fn insert(
        &self,
        scope: &TenantScope,
        opened: &Opened,
        found: Found,
        order: &Order<'_>,
        report: &mut PartReport,
    ) -> Result<(), Error> {
        let mut tx = self.store.begin(scope);
        tx.touch().await?;
        lock_many(&mut tx).await?;
        let creators: Vec<i64> = found.creators.iter().copied().collect();
        let known = known_members(&mut tx, &creators).await?;
        for id in creators.iter().filter(|id| !known.contains(id)) {
            report.warnings.push(format!("member {id}, who wrote some of it, is not there any more"));
        }
        let place = Place::beside(scope.tenant().id);
        insert_rows(&mut tx, opened, &found, (order.part, &place), report).await?;
        if order.dry_run {
            drop(tx);
            return Ok(());
        }
        let mut touched: BTreeSet<i64> = found.notes.keys().copied().collect();
        let ids: Vec<NoteId> = touched.iter().copied().map(NoteId).collect();
        touched.extend(lock_around(&mut tx, &ids).await?.into_iter().map(|id| id.0));
        let all: Vec<NoteId> = touched.into_iter().map(NoteId).collect();
        refresh_cards(&mut tx, &all).await?;
        let detail = json!({ "point": report.from, "notes": report.notes.len(), "attachments": report.attachments });
        let event = AuditEvent { actor: order.actor, event: "restore.part", object: order.part.name(), detail };
        tx.audit(&event).await?;
        Ok(tx.commit().await?)
    }
}

/// Rows that are not there yet; the others stay as they are.
async fn insert_rows(
    tx: &mut TenantTx,
    opened: &Opened,
    found: &Found,
    (part, place): (&Part, &Place),
    report: &mut PartReport,
) -> Result<(), Error> {
    for name in ORDER {
        let Some(entry) = opened.sealed.tables.iter().find(|table| table.name == name) else { continue };
        let (table, columns) = (table_of(entry), columns_of(entry));
        for line in found.rows.get(name).into_iter().flatten() {
            let mut values = fields(line);
            if let Some(at) = columns.position("storage_key")
                && let Some(Some(key)) = values.get_mut(at)
                && !key.is_empty()
            {
                *key = place.file(key);
            }
            if let (Part::Attachment(_), Some(note)) = (part, number(&columns, line, "note_id"))
                && find_note_by_id(tx, NoteId(note)).await?.is_none()
                && let Some(value) = columns.position("note_id").and_then(|at| values.get_mut(at))
            {
                *value = None;
                report.warnings.push("its note is not there any more, so it hangs on none".to_owned());
            }
            let new = insert_row(tx, &table, &values).await?;
            match name {
                "note" if new => {
                    report.notes.push(columns.value(line, "uid").unwrap_or_default());
                    report.comments += u64::from(number(&columns, line, "parent_id").is_some());
                }
                "reaction" => report.reactions += u64::from(new),
                "attachment" => report.attachments += u64::from(new),
                SHARES => report.shares += u64::from(new),
                _ => {}
            }
        }
    }
    Ok(())
}

fn there(constraint: &str) -> Error {
    Error::Store(store::Error::Conflict { constraint: constraint.to_owned() })
}
