//! `pg_dump` of the whole database to the backup store: the second way back, which needs nothing of ours.
//!
//! Streamed without a temporary file; the tool's exit status is seen before the upload is completed, so half a dump never
//! counts. Restored with stock tools: `age -d -i KEY x.dump.age | pg_restore`.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use objects::keys::{self, DumpPart};
use objects::PutOptions;
use serde::Serialize;
use serde_json::json;
use store::AuditEvent;
use store::control::points::dump::Model;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio_util::io::{ReaderStream, StreamReader};

use crate::context::Backup;
use crate::error::Error;
use crate::format::hash::Measure;
use crate::format::name::PointName;
use crate::keys::Holder;
use crate::seal::{Packing, seal_stream};

/// How the tools reach the database.
#[derive(Clone, Debug)]
pub struct DumpSource {
    /// Folder with `pg_dump` and `pg_dumpall`; none: they are looked for in the search path.
    pub programs: Option<PathBuf>,
    /// Host or folder of the socket.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Role.
    pub user: String,
    /// Database.
    pub database: String,
    /// File with the password.
    pub password_file: Option<PathBuf>,
    /// Certificate authority; given means TLS with full verification.
    pub ca_file: Option<PathBuf>,
    /// The role may read other roles' password hashes.
    pub superuser: bool,
}

/// What `backup dump` tells.
#[derive(Clone, Debug, Serialize)]
pub struct DumpReport {
    /// Its name, shaped like a point's.
    pub dump: String,
    /// Which database.
    pub database: String,
    /// Where the dump is in the backup store.
    pub key: String,
    /// Where roles and settings of the server are.
    pub globals: String,
    /// Bytes of the dump in the store.
    pub bytes: u64,
    /// Of those bytes.
    pub sha256_stored: String,
    /// How long everything took.
    pub seconds: f64,
}

/// Dumps the database and, beside it, the roles it needs. The description is written last; without it nothing counts.
pub async fn dump_database(backup: &Backup, source: &DumpSource, actor: &str) -> Result<DumpReport, Error> {
    let begun = Instant::now();
    preflight(backup).await?;
    let now = backup.clock.now();
    let name = PointName::draw(&backup.clock, &backup.chance).to_string();
    let key = |part| keys::dump(&source.database, &name, part);
    let dump = upload(backup, source, Tool::Dump, &key(DumpPart::Dump)).await?;
    let globals = upload(backup, source, Tool::Globals, &key(DumpPart::Globals)).await?;
    let report = DumpReport {
        dump: name.clone(),
        database: source.database.clone(),
        key: key(DumpPart::Dump),
        globals: key(DumpPart::Globals),
        bytes: dump.bytes,
        sha256_stored: dump.sha256.to_string(),
        seconds: begun.elapsed().as_secs_f64(),
    };
    let description = json!({ "schema": "v1", "report": report, "globals_sha256_stored": globals.sha256.to_string(), "globals_bytes": globals.bytes });
    let written = serde_json::to_vec_pretty(&description).map_err(|e| Error::Refused(e.to_string()))?;
    backup.objects.put(&key(DumpPart::Description), written, PutOptions::default()).await?;
    let row = Model {
        dump: name.clone(),
        database: report.database.clone(),
        created_at: now,
        key: report.key.clone(),
        bytes: i64::try_from(report.bytes).unwrap_or(i64::MAX),
        sha256_stored: report.sha256_stored.clone(),
        seconds: report.seconds,
    };
    let event = AuditEvent { actor, event: "dump.taken", object: &name, detail: json!({ "database": report.database, "bytes": report.bytes }) };
    backup.store.control().add_dump(row, &event).await?;
    Ok(report)
}

/// `pg_dump` locks every relation in one transaction; on a server with too few lock slots it fails midway.
async fn preflight(backup: &Backup) -> Result<(), Error> {
    let (slots, relations) = backup.store.lock_headroom().await?;
    if relations > slots {
        return Err(Error::Refused(format!(
            "the server has {slots} lock slots and the database {relations} relations, so pg_dump would fail; raise max_locks_per_transaction and restart the server"
        )));
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Tool {
    Dump,
    Globals,
}

impl Tool {
    const fn program(self) -> &'static str {
        match self {
            Self::Dump => "pg_dump",
            Self::Globals => "pg_dumpall",
        }
    }
}

async fn upload(backup: &Backup, source: &DumpSource, tool: Tool, key: &str) -> Result<Measure, Error> {
    let child = start(source, tool)?;
    let recipients = vec![backup.keys.recipient(Holder::Escrow).clone(), backup.keys.recipient(Holder::Drill).clone()];
    let (portions, measures) = seal_stream(Packing::encrypt_only(recipients), output(child, tool)).split();
    backup.objects.put_stream(key, StreamReader::new(portions), PutOptions::default()).await?;
    let (_, stored) = measures.await.map_err(|e| Error::Refused(format!("{}: {e}", tool.program())))?;
    Ok(stored.measure)
}

fn start(source: &DumpSource, tool: Tool) -> Result<Child, Error> {
    let program = source.programs.as_ref().map_or_else(|| PathBuf::from(tool.program()), |folder| folder.join(tool.program()));
    let mut command = Command::new(&program);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8");
    command.args(["--host", &source.host, "--port", &source.port.to_string(), "--username", &source.user, "--no-password"]);
    match tool {
        Tool::Dump => command.args(["--format=custom", "--compress=1", "--lock-wait-timeout=60s", "--dbname", &source.database]),
        Tool::Globals if source.superuser => command.args(["--globals-only", "--database", &source.database]),
        Tool::Globals => command.args(["--globals-only", "--no-role-passwords", "--database", &source.database]),
    };
    if let Some(file) = &source.password_file {
        let secret = runtime::settings::read_secret(file).map_err(|e| Error::Refused(e.to_string()))?;
        command.env("PGPASSWORD", secret.expose());
    }
    if let Some(file) = &source.ca_file {
        command.env("PGSSLMODE", "verify-full").env("PGSSLROOTCERT", file);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().map_err(|e| Error::Refused(format!("{} cannot be started: {e}; install the PostgreSQL client tools", program.display())))
}

/// What the tool writes; ends with an error when the tool ends badly, so that the upload is never completed.
fn output(mut child: Child, tool: Tool) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    let written = child.stdout.take().map(|out| ReaderStream::with_capacity(out, 64 * 1024));
    let complaints = child.stderr.take();
    let said = tokio::spawn(async move {
        let mut text = String::new();
        if let Some(pipe) = complaints {
            pipe.take(16 * 1024).read_to_string(&mut text).await.ok();
        }
        text
    });
    let verdict = stream::once(async move {
        let status = child.wait().await?;
        let said = said.await.unwrap_or_default();
        if status.success() {
            return Ok(Bytes::new());
        }
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it was ended").to_owned();
        Err(std::io::Error::other(format!("{} failed: {last}", tool.program())))
    });
    stream::iter(written).flatten().chain(verdict).filter(|portion| {
        let keep = !matches!(portion, Ok(bytes) if bytes.is_empty());
        async move { keep }
    })
}
