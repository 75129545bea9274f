//! `migrate export`: out again. A tenant as a data folder that Memos 0.30 opens, or as a folder of Markdown files; what
//! the form cannot hold is listed and counted.

mod markdown;
mod memos;

use std::collections::BTreeMap;
use std::path::Path;

use ::markdown::safe_name;
use clap::ValueEnum;
use domain::id::Slug;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use store::{AuditEvent, Snapshot, TenantScope};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::error::Error;
use crate::table::Target;
use crate::write::House;

/// What an export becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
pub enum Form {
    /// A data folder of Memos 0.30: memos_prod.db and assets.
    #[value(name = "memos-0.30")]
    #[serde(rename = "memos-0.30")]
    Memos030,
    /// A folder of .md files with front matter, and their files.
    #[value(name = "markdown")]
    #[serde(rename = "markdown")]
    Markdown,
}

/// Something that the form cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Table of the tenant.
    pub table: String,
    /// Key of the row; empty when all of the table is meant.
    pub row: String,
    /// How many rows this line stands for.
    pub rows: u64,
    /// What is lost.
    pub message: String,
}

/// The document of `migrate export`.
#[derive(Clone, Debug, Serialize)]
pub struct Exported {
    /// Always `v1`.
    pub schema: &'static str,
    /// Slug of the tenant.
    pub tenant: String,
    /// In which form.
    pub form: Form,
    /// Where it is.
    pub folder: String,
    /// Table of the form → rows written.
    pub tables: BTreeMap<String, u64>,
    /// Files written.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What the form cannot hold.
    pub left_out: Vec<LeftOut>,
}

impl Exported {
    fn new(slug: &Slug, form: Form, folder: &Path) -> Self {
        Self {
            schema: "v1",
            tenant: slug.to_string(),
            form,
            folder: folder.display().to_string(),
            tables: BTreeMap::new(),
            files: 0,
            bytes: 0,
            left_out: Vec::new(),
        }
    }

    fn wrote(&mut self, table: &str) {
        *self.tables.entry(table.to_owned()).or_default() += 1;
    }

    fn left(&mut self, table: &str, row: impl ToString, message: impl Into<String>) {
        self.left_out.push(LeftOut { table: table.to_owned(), row: row.to_string(), rows: 1, message: message.into() });
    }

    /// For people: a few lines.
    pub fn summary(&self) -> String {
        use std::fmt::Write as _;
        let mut out = format!("{}: {} files, {} bytes\n", self.folder, self.files, self.bytes);
        for (table, rows) in &self.tables {
            let _ = writeln!(out, "  {table}: {rows}");
        }
        for item in &self.left_out {
            let _ = writeln!(out, "left out: {} {} ({} rows): {}", item.table, item.row, item.rows, item.message);
        }
        out
    }
}

/// Writes a tenant out, as it is at one instant. Audit: `tenant.exported`.
///
/// # Errors
/// `NoTenant`; `Source` when the folder holds something already; a failing database, file store or disk.
pub async fn export(house: &House, slug: &Slug, form: Form, folder: &Path, actor: &str) -> Result<Exported, Error> {
    let found = house.store.registry().by_slug(slug.as_str()).await?;
    let tenant = found.ok_or_else(|| Error::NoTenant(slug.to_string()))?;
    if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        let message = format!("{} is not empty; name a folder that does not exist yet", folder.display());
        return Err(Error::source("folder_not_empty", message));
    }
    std::fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
    // Before the first byte leaves: whoever breaks it off half-way has read half of it, too.
    let detail = json!({ "form": form, "folder": folder });
    let event = AuditEvent { actor, event: "tenant.exported", object: slug.as_str(), detail };
    house.store.control().audit(Some(tenant.id), &event).await?;
    let scope = TenantScope::for_command(tenant, "migrate export");
    let mut snapshot = house.store.open_snapshot(&scope).await?;
    let mut report = Exported::new(slug, form, folder);
    match form {
        Form::Memos030 => memos::write(house, &mut snapshot, folder, &mut report).await?,
        Form::Markdown => markdown::write(house, &mut snapshot, folder, &mut report).await?,
    }
    snapshot.finish().await?;
    Ok(report)
}

/// Tables that the form has no place for, counted.
async fn leave_out_rest(snapshot: &mut Snapshot, known: &[&str], report: &mut Exported) -> Result<(), Error> {
    for table in snapshot.tables().await? {
        // Book-keeping of ours, and sign-ins, which end with the move.
        let silent = ["point_state", "change_mark", "import_base", "session"];
        if known.contains(&table.name.as_str()) || silent.contains(&table.name.as_str()) {
            continue;
        }
        let mut rows = 0;
        crate::verify::each_line(snapshot, &table, &mut |_| {
            rows += 1;
            Ok(())
        })
        .await?;
        if rows > 0 {
            let message = match table.name.as_str() {
                "import_remainder" => "what an earlier import had kept aside has no place in this form",
                _ => "this form has no place for these rows",
            };
            report.left_out.push(LeftOut { table: table.name, row: String::new(), rows, message: message.to_owned() });
        }
    }
    Ok(())
}

/// Every row of a table.
async fn each_row(
    snapshot: &mut Snapshot,
    target: &'static Target,
    visit: &mut dyn FnMut(Vec<crate::table::Cell>) -> Result<(), Error>,
) -> Result<(), Error> {
    crate::verify::each_row(snapshot, target, visit).await
}

/// Copies a file out of the file store and checks it; none when it is not there any more.
async fn copy_out(house: &House, key: &str, sha256: &str, to: &Path) -> Result<Option<u64>, Error> {
    let mut download = match house.files.read(key, None).await {
        Ok(download) => download,
        Err(objects::Error::NotFound { .. }) => return Ok(None),
        Err(err) => return Err(Error::Files(Box::new(err))),
    };
    let mut file = tokio::fs::File::create(to).await.map_err(Error::file("create", to))?;
    let mut hash = Sha256::new();
    let mut piece = vec![0_u8; 128 * 1024];
    let mut size = 0_u64;
    loop {
        let got = download.reader.read(&mut piece).await.map_err(|err| Error::Files(Box::new(err)))?;
        if got == 0 {
            break;
        }
        hash.update(&piece[..got]);
        file.write_all(&piece[..got]).await.map_err(Error::file("write", to))?;
        size += got as u64;
    }
    file.flush().await.map_err(Error::file("write", to))?;
    if hex::encode(hash.finalize()) != sha256 {
        return Err(Error::Differs(format!("the file {key} came back with other bytes")));
    }
    Ok(Some(size))
}
