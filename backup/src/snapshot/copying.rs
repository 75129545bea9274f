//! The rows of one snapshot on their way into a point: all of them, or what has changed since the point before.

use std::ops::Range;
use std::time::Duration;

use futures_util::StreamExt;
use store::{Snapshot, SnapshotInfo, Table};

use super::before::{Before, Plan, Step, compare};
use super::rows::Rows;
use super::writer::Writer;
use super::{BOOKKEEPING, PointOptions, Subject, Warnings};
use crate::context::Backup;
use crate::error::Error;
use crate::format::sealed::Base;

/// How often every row is read, whatever the database says of changes.
const FULL: Duration = Duration::from_hours(24);

impl Backup {
    /// Every table of one snapshot, found in the catalogue and not in a list. Of large ones only what has changed since the
    /// point before is read, when a schedule asked for the point and everything was read not long ago.
    pub(super) async fn copy_rows(
        &self,
        subject: Subject<'_>,
        options: &PointOptions,
        before: Option<Before>,
        (rows, writer): (&mut Rows, &mut Writer),
        warnings: &mut Warnings,
    ) -> Result<(SnapshotInfo, Option<Base>), Error> {
        let mut snapshot = match subject {
            Subject::Tenant(scope) => self.store.open_snapshot(scope).await?,
            Subject::Control => self.store.open_control_snapshot().await?,
        };
        let info = snapshot.info().clone();
        let baseline = if matches!(subject, Subject::Tenant(_)) { snapshot.baseline().await? } else { None };
        let now = self.clock.seconds();
        let partly = before.as_ref().and_then(|before| read_lately(before, options, now));
        let reuse = match (&before, &baseline) {
            (Some(before), Some(baseline)) => before.reuse(&self.objects, baseline).await?,
            _ => None,
        };
        for table in snapshot.tables().await? {
            if BOOKKEEPING.contains(&table.name.as_str()) {
                continue;
            }
            let plan = match &reuse {
                Some(reuse) => reuse.plan(&mut snapshot, &table, rows.tables()).await?,
                None => None,
            };
            rows.begin(&table);
            match plan {
                Some(plan) if partly.is_some() => copy_changed(&mut snapshot, &table, plan, (rows, writer)).await?,
                plan => {
                    copy(&mut snapshot, &table, None, (rows, writer)).await?;
                    rows.end(writer, None).await?;
                    if let (Some(plan), Some(read)) = (&plan, rows.tables().last()) {
                        compare(plan, read, warnings);
                    }
                }
            }
        }
        drop(reuse);
        snapshot.finish().await?;
        Ok((info, baseline.map(|baseline| Base { baseline, read_at: partly.unwrap_or(now) })))
    }
}

/// When every row was last read, where that is good enough for this point.
fn read_lately(before: &Before, options: &PointOptions, now: i64) -> Option<i64> {
    let read_at = before.sealed.base.as_ref()?.read_at;
    let lately = (0..FULL.as_secs().cast_signed()).contains(&(now - read_at));
    (lately && options.trigger == "schedule" && !options.markdown).then_some(read_at)
}

/// The rows of a table, or of a stretch of it.
async fn copy(
    snapshot: &mut Snapshot,
    table: &Table,
    ids: Option<Range<i64>>,
    (rows, writer): (&mut Rows, &mut Writer),
) -> Result<(), Error> {
    let mut copy = snapshot.copy_out(table, ids).await?;
    while let Some(portion) = copy.next().await {
        rows.push(writer, &portion?).await?;
    }
    Ok(())
}

/// Stretch by stretch: what was written since the point before is read, the rest is taken over.
async fn copy_changed(
    snapshot: &mut Snapshot,
    table: &Table,
    plan: Plan,
    (rows, writer): (&mut Rows, &mut Writer),
) -> Result<(), Error> {
    for step in plan.steps {
        match step {
            Step::Keep(kept) => rows.keep(writer, *kept).await?,
            Step::Read(ids) => {
                copy(snapshot, table, Some(ids), (&mut *rows, &mut *writer)).await?;
                rows.cut(writer).await?;
            }
        }
    }
    rows.end(writer, Some(plan.rows)).await
}
