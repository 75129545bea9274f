//! `pg_dump` of a whole database into the backup store: streamed, encrypted for both holders, never half there.
//!
//! A dump is three objects: the dump itself (`pg_dump -Fc`), roles (`pg_dumpall --globals-only`), and last a description;
//! without the description nothing counts. The exit status of each tool is seen before its upload is completed. Then it is
//! brought to every further store.

mod places;
mod read_back;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use bytes::Bytes;
use objects::PutOptions;
use objects::keys::{self as layout, DumpPart};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::AuditEvent;
use store::control::points::dump::Model;
use time::OffsetDateTime;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::context::Backup;
use crate::error::Error;
use crate::format::hash::Hash;
use crate::format::name::PointName;
use crate::keys::Holder;
use crate::seal::{END, Packing, seal_stream, until_end};
use crate::snapshot::{rfc3339, upload};
pub(crate) use places::{is_whole, sizes};
pub use read_back::{DumpProblem, DumpSeen, DumpVerified};

/// What is read from a tool at once.
const PORTION: usize = 64 * 1024;
/// How much of a tool's complaint is passed on.
const SAID: usize = 2000;

/// How the tools of Postgres reach the database.
#[derive(Clone, Debug)]
pub struct DumpSource {
    /// Folder with `pg_dump`; the search path when absent.
    pub programs: Option<PathBuf>,
    /// Host, or folder of the Unix socket.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Role that may read everything of the database.
    pub user: String,
    /// Which database.
    pub database: String,
    /// File with the role's password.
    pub password_file: Option<PathBuf>,
    /// Certificate authority; given means TLS with full verification.
    pub ca_file: Option<PathBuf>,
    /// The role is a superuser: the dump of roles then holds their passwords' hashes.
    pub superuser: bool,
}

/// What `backup dump` tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DumpReport {
    /// Its name.
    pub dump: String,
    /// Which database.
    pub database: String,
    /// Where it is.
    pub key: String,
    /// Bytes in the store.
    pub bytes: u64,
    /// As `sha256sum` tells it.
    pub sha256_stored: Hash,
    /// Where the roles are.
    pub globals_key: String,
    /// Of the stored roles.
    pub globals_sha256_stored: Hash,
    /// When it was begun.
    pub created_at: String,
    /// How long it took.
    pub seconds: f64,
    /// What someone should look at, such as a store that is without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl DumpReport {
    /// As the books have it.
    fn row(&self, created_at: OffsetDateTime) -> Model {
        Model {
            dump: self.dump.clone(),
            database: self.database.clone(),
            created_at,
            key: self.key.clone(),
            bytes: self.bytes as i64,
            sha256_stored: self.sha256_stored.to_string(),
            seconds: self.seconds,
            read_at: None,
            problem: None,
        }
    }
}

impl Backup {
    /// Dumps the database.
    pub async fn dump(&self, source: &DumpSource, actor: &str) -> Result<DumpReport, Error> {
        let facts = self.store.server_facts().await?;
        enough_locks(facts.lock_slots, facts.relations)?;
        if let Some(tool) = source.version_of("pg_dump").await? {
            new_enough(tool, facts.version / 10_000)?;
        }
        let taken = self.take_dump(source, actor).await;
        let result = if taken.is_ok() { "ok" } else { "failed" };
        metrics::counter!("holdfast_backup_runs_total", "kind" => "dump", "result" => result).increment(1);
        taken
    }

    async fn take_dump(&self, source: &DumpSource, actor: &str) -> Result<DumpReport, Error> {
        let begun = Instant::now();
        let created_at = self.clock.now();
        let name = PointName::draw(&self.clock, &self.chance).to_string();
        let keys = self.keys.reloaded()?;
        let recipients = [Holder::Escrow, Holder::Drill].map(|holder| keys.recipient(holder).clone());
        let packing = Packing::encrypt_only(recipients.to_vec());
        let password = PasswordFile::make(source)?;
        let place = |part| layout::dump(&source.database, &name, part);

        let key = place(DumpPart::Dump);
        let tool = source.tool("pg_dump", &["-Fc", "--dbname", &source.database], password.as_ref());
        let dumped =
            upload(&self.objects, &key, seal_stream(packing.clone(), output_of("pg_dump", tool)?, None)).await?;
        let globals_key = place(DumpPart::Globals);
        let mut arguments = vec!["--globals-only", "--database", &source.database];
        if !source.superuser {
            arguments.push("--no-role-passwords");
        }
        let tool = source.tool("pg_dumpall", &arguments, password.as_ref());
        let globals =
            upload(&self.objects, &globals_key, seal_stream(packing, output_of("pg_dumpall", tool)?, None)).await?;
        let mut report = DumpReport {
            dump: name,
            database: source.database.clone(),
            key,
            bytes: dumped.stored.measure.bytes,
            sha256_stored: dumped.stored.measure.sha256,
            globals_key,
            globals_sha256_stored: globals.stored.measure.sha256,
            created_at: rfc3339(created_at),
            seconds: begun.elapsed().as_secs_f64(),
            warnings: Vec::new(),
        };
        let description = self.description(&report)?;
        let at = layout::dump(&source.database, &report.dump, DumpPart::Description);
        self.objects.put(&at, description, PutOptions::default()).await?;
        let row = report.row(created_at);
        let detail = json!({ "database": report.database, "bytes": report.bytes });
        let event = AuditEvent { actor, event: "dump.taken", object: &report.dump, detail };
        self.store.control().add_dump(row.clone(), &event).await?;
        if let Err(error) = self.lock_dump(&self.objects, &row).await {
            report.warnings.push(format!("{} does not let it be locked: {error}", self.objects.location()));
        }
        report.warnings.extend(self.bring_dumps().await?.1);
        Ok(report)
    }
}

/// `pg_dump` locks every relation at once and would fail midway.
fn enough_locks(slots: i64, relations: i64) -> Result<(), Error> {
    if relations <= slots {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "the server has {slots} lock slots and the database {relations} relations, so pg_dump would fail; \
         raise max_locks_per_transaction and restart the server"
    )))
}

/// `pg_dump` reads servers of its own version and older ones.
fn new_enough(tool: i32, server: i32) -> Result<(), Error> {
    if tool >= server {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "pg_dump is of PostgreSQL {tool} and the server of PostgreSQL {server}, which it cannot dump; install the client \
         programs of PostgreSQL {server} or newer, or name their folder in postgres_bin"
    )))
}

/// The major version in `pg_dump (PostgreSQL) 17.2 (Debian …)`.
fn major(said: &str) -> Option<i32> {
    let (_, version) = said.split_once("(PostgreSQL) ")?;
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version.get(..digits)?.parse().ok()
}

impl DumpSource {
    /// The tool's major version; none when it does not say, and then it has to show by itself what it can do.
    async fn version_of(&self, name: &'static str) -> Result<Option<i32>, Error> {
        let mut command = Command::new(self.program(name));
        command.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let answer = command.output().await.map_err(|error| unstartable(name, &error))?;
        Ok(if answer.status.success() { major(&String::from_utf8_lossy(&answer.stdout)) } else { None })
    }

    fn program(&self, name: &str) -> PathBuf {
        self.programs.as_ref().map_or_else(|| PathBuf::from(name), |folder| beside(folder, name))
    }

    fn tool(&self, name: &str, arguments: &[&str], password: Option<&PasswordFile>) -> Command {
        let mut command = Command::new(self.program(name));
        command.args(["--host", &self.host, "--port", &self.port.to_string(), "--username", &self.user]);
        command.arg("--no-password").args(arguments);
        command.env("PGAPPNAME", "holdfast dump").env_remove("PGPASSWORD").env_remove("PGSERVICE");
        if let Some(file) = password {
            command.env("PGPASSFILE", file.0.path());
        }
        if let Some(file) = &self.ca_file {
            command.env("PGSSLMODE", "verify-full").env("PGSSLROOTCERT", file);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }
}

/// The tool in the folder, or on the search path where distributions keep clients apart from the server.
fn beside(folder: &Path, name: &str) -> PathBuf {
    let whole = folder.join(name);
    if whole.exists() { whole } else { PathBuf::from(name) }
}

/// The password in the form that the tools read; gone when dropped.
struct PasswordFile(tempfile::NamedTempFile);

impl PasswordFile {
    fn make(source: &DumpSource) -> Result<Option<Self>, Error> {
        use std::io::Write;
        let Some(from) = &source.password_file else { return Ok(None) };
        let wrong = |error: std::io::Error| Error::File { path: from.display().to_string(), source: error };
        let password = std::fs::read_to_string(from).map_err(wrong)?;
        let escaped = password.trim_end_matches(['\r', '\n']).replace('\\', "\\\\").replace(':', "\\:");
        let mut file = tempfile::NamedTempFile::new().map_err(wrong)?;
        writeln!(file, "*:*:*:*:{escaped}").map_err(wrong)?;
        Ok(Some(Self(file)))
    }
}

fn unstartable(name: &str, error: &std::io::Error) -> Error {
    Error::Process {
        what: name.to_owned(),
        said: format!("cannot be started ({error}); install PostgreSQL's client programs or set postgres_bin"),
    }
}

/// Starts a tool; its output as a stream that ends well only when the tool did.
fn output_of(
    name: &'static str,
    mut command: Command,
) -> Result<impl futures_util::Stream<Item = std::io::Result<Bytes>> + Send, Error> {
    let mut child = command.spawn().map_err(|error| unstartable(name, &error))?;
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        let end = pump(name, &mut child, &sender).await.map(|()| END);
        let _ = sender.send(end).await;
    });
    Ok(until_end(receiver))
}

async fn pump(name: &str, child: &mut Child, sender: &mpsc::Sender<std::io::Result<Bytes>>) -> std::io::Result<()> {
    let gone = || std::io::Error::other("the upload has ended");
    let mut stdout = child.stdout.take().ok_or_else(gone)?;
    let mut stderr = child.stderr.take().ok_or_else(gone)?;
    let said = tokio::spawn(async move {
        let mut text = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(count) = stderr.read(&mut buffer).await {
            let Some(part) = buffer.get(..count).filter(|part| !part.is_empty()) else { break };
            if text.len() < SAID {
                text.extend_from_slice(part);
            }
        }
        String::from_utf8_lossy(&text).trim().to_owned()
    });
    loop {
        let mut buffer = Vec::with_capacity(PORTION);
        if stdout.read_buf(&mut buffer).await? == 0 {
            break;
        }
        sender.send(Ok(buffer.into())).await.map_err(|_| gone())?;
    }
    let status = child.wait().await?;
    if status.success() {
        return Ok(());
    }
    let said = said.await.unwrap_or_default();
    Err(std::io::Error::other(format!("{name} ended with {status}: {said}")))
}

#[cfg(test)]
mod tests {
    use super::{enough_locks, major, new_enough};

    #[test]
    fn an_older_tool_and_too_few_locks_are_refused_in_words() {
        assert_eq!(major("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!((major("pg_dump (PostgreSQL) 18beta1"), major("something else")), (Some(18), None));
        let said = new_enough(15, 17).unwrap_err().to_string();
        assert!(
            said.contains("PostgreSQL 15") && said.contains("PostgreSQL 17") && said.contains("postgres_bin"),
            "{said}"
        );
        assert!(new_enough(17, 17).is_ok() && new_enough(18, 17).is_ok());
        let said = enough_locks(6400, 6401).unwrap_err().to_string();
        assert!(said.contains("6400 lock slots") && said.contains("max_locks_per_transaction"), "{said}");
        assert!(enough_locks(6400, 6400).is_ok());
    }
}
