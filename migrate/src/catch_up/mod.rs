//! `migrate catch-up`: the source went on living after it was imported; what changed there is brought into the tenant.
//!
//! The import left a hash of every row (`import_base`). A row whose source has another hash now was edited there; one
//! whose row in the tenant has another hash was edited here. Edited on one side only: brought, or left. Edited on both:
//! refused by name, and nothing of it is overwritten. Everything is one transaction.

mod differ;
mod names;
mod same;
mod settle;

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::id::Slug;
use domain::tenant::{Tenant, TenantState};
use runtime::exit::Code;
use serde::Serialize;
use serde_json::json;
use store::tenant::bring;
use store::{AuditEvent, TenantScope};

use crate::check::Source;
use crate::error::Error;
use crate::report::{Finding, SourceInfo};
use crate::write::House;
use differ::{Base, Difference, KnownFiles, read_difference};

/// Rows of one table that were brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Brought {
    /// New ones.
    pub inserted: u64,
    /// Edited ones.
    pub updated: u64,
    /// Removed ones.
    pub deleted: u64,
}

/// A row that was left as it is in the tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Table of the tenant.
    pub table: String,
    /// Its key.
    pub row: String,
    /// Its name, such as `memos/abc`.
    pub name: String,
    /// Why.
    pub message: String,
}

/// The document of `migrate catch-up`.
#[derive(Clone, Debug, Serialize)]
pub struct CatchUp {
    /// Always `v1`.
    pub schema: &'static str,
    /// Slug of the tenant.
    pub tenant: String,
    /// Where the rows came from.
    pub source: SourceInfo,
    /// What stops it; then nothing was brought.
    pub errors: Vec<Finding>,
    /// What the operator should know of the source, as a check says it.
    pub warnings: Vec<Finding>,
    /// Table of the tenant → rows brought.
    pub brought: BTreeMap<String, Brought>,
    /// Rows edited on both sides, or whose place is taken.
    pub refused: Vec<Refused>,
}

impl CatchUp {
    /// 0 everything brought, 3 with warnings or refusals, 4 when the source cannot be read.
    pub fn verdict(&self) -> Code {
        if !self.errors.is_empty() {
            Code::Negative
        } else if self.refused.is_empty() && self.warnings.is_empty() {
            Code::Ok
        } else {
            Code::Warnings
        }
    }

    /// For people: a few lines.
    pub fn summary(&self) -> String {
        use std::fmt::Write as _;
        let mut out = String::new();
        for (table, brought) in &self.brought {
            let Brought { inserted, updated, deleted } = brought;
            let _ = writeln!(out, "{table}: {inserted} new, {updated} changed, {deleted} removed");
        }
        if self.brought.is_empty() && self.errors.is_empty() {
            out.push_str("nothing changed at the source\n");
        }
        for row in &self.refused {
            let _ = writeln!(out, "refused: {} ({} {}): {}", row.name, row.table, row.row, row.message);
        }
        for (word, list) in [("error", &self.errors), ("warning", &self.warnings)] {
            for item in list {
                let _ = writeln!(out, "{word}: {} {} {} [{}]", item.table, item.row, item.message, item.code);
            }
        }
        out
    }
}

/// Brings what changed at the source.
///
/// # Errors
/// `NoTenant`, `NotImported`, `WrongState`, `OtherSource`, a failing database or file store; then nothing was brought.
pub async fn catch_up(house: &House, source: &Source, slug: &Slug, actor: &str) -> Result<CatchUp, Error> {
    let tenant = imported(house, slug).await?;
    let scope = TenantScope::for_command(tenant.clone(), "migrate catch-up");
    let mut reading = house.store.begin(&scope);
    let base = Base::unpack(bring::read_base(&mut reading).await?);
    let sums = bring::file_sums(&mut reading).await?;
    reading.commit().await?;
    if base.is_empty() {
        return Err(Error::NotImported(slug.to_string()));
    }
    let since = house.store.origin(tenant.id).await?["import"]["at"].as_i64();
    let (from, known) = (source.clone(), KnownFiles { sums, since });
    let read = tokio::task::spawn_blocking(move || read_difference(&from, base, known)).await;
    let (mut difference, reader) = read.map_err(|err| Error::Broken(err.to_string()))??;
    let mut report = CatchUp {
        schema: "v1",
        tenant: slug.to_string(),
        source: std::mem::take(&mut difference.source),
        errors: std::mem::take(&mut difference.errors),
        warnings: std::mem::take(&mut difference.warnings),
        brought: BTreeMap::new(),
        refused: Vec::new(),
    };
    if !report.errors.is_empty() || difference.is_empty() {
        return Ok(report);
    }
    let mut tx = house.store.begin(&scope);
    let others = same::others(&mut tx, &difference).await?;
    tx.commit().await?;
    if let Some(others) = others {
        return Err(Error::OtherSource { slug: slug.to_string(), source_name: source.name(), others });
    }
    store_files(house, &tenant, &mut difference).await?;
    drop(reader);
    let mut tx = house.store.begin(&scope);
    tx.touch().await?;
    let settled = settle::settle(&mut tx, difference).await?;
    report.brought = settled.brought;
    report.refused = settled.refused;
    let detail = json!({ "brought": &report.brought, "refused": report.refused.len() });
    let event = AuditEvent { actor, event: "tenant.caught_up", object: slug.as_str(), detail };
    tx.audit(&event).await?;
    tx.commit().await?;
    Ok(report)
}

async fn imported(house: &House, slug: &Slug) -> Result<Arc<Tenant>, Error> {
    let found = house.store.registry().by_slug(slug.as_str()).await?;
    let tenant = found.ok_or_else(|| Error::NoTenant(slug.to_string()))?;
    if !matches!(tenant.state, TenantState::Closed | TenantState::Active) {
        return Err(Error::WrongState { slug: slug.to_string(), state: tenant.state.as_str(), command: "catch-up" });
    }
    Ok(tenant)
}

/// Bytes go to the file store before any row speaks of them.
async fn store_files(house: &House, tenant: &Tenant, difference: &mut Difference) -> Result<(), Error> {
    let key = (house.file_keys)(tenant.id);
    for change in &mut difference.changes {
        let Some(path) = change.file.take() else { continue };
        let opened = crate::reader::stage::open_quietly(&path).map_err(Error::file("read", &path))?;
        let stored = house.files.put_file(tenant.id, &key, tokio::fs::File::from_std(opened)).await;
        let stored = stored.map_err(|err| Error::Files(Box::new(err)))?;
        change.cells[9] = (stored.size as i64).into();
        change.cells[10] = stored.sha256.into();
        change.cells[11] = stored.storage_key.into();
    }
    Ok(())
}
