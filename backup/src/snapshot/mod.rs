//! Taking a point: a tenant at one instant, complete, in the store.
//!
//! One `REPEATABLE READ READ ONLY` snapshot; every table found in the catalogue leaves it by `COPY`; each note is
//! rendered as a Markdown file and hashed on the way; files follow; the manifest is last, without it nothing counts.

mod before;
mod copying;
mod desk;
mod notes;
mod report;
mod rows;
mod shown;
mod writer;

use std::time::Instant;

use domain::id::TenantId;
use futures_util::{FutureExt, StreamExt};
use objects::keys as layout;
use serde_json::json;
use store::{AuditEvent, SnapshotInfo, TenantScope};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use self::before::Before;
pub(crate) use self::report::objects as object_reports;
pub use self::report::{ObjectReport, PointReport};
use self::rows::{Files, Rows};
pub(crate) use self::shown::{shown, shown_file};
pub(crate) use self::writer::upload;
use self::writer::{Sent, Stream, Streamed, Writer};
use crate::context::{Backup, Known};
use crate::error::Error;
use crate::format::hash::Hash;
use crate::format::manifest::{AuditHead, Clear, FORMAT, Kind, Manifest, Previous, SnapshotFacts};
use crate::format::name::PointName;
use crate::format::sealed::{FileEntry, Sealed};
use crate::seal::{Packing, seal_stream};

/// Tables of our own book-keeping, which say nothing about the tenant: which changes are in no point yet.
pub const BOOKKEEPING: [&str; 2] = ["point_state", "change_mark"];

/// How a point is to be taken.
#[derive(Clone, Debug)]
pub struct PointOptions {
    /// Why: `schedule`, `command`, `console`, `demo`.
    pub trigger: &'static str,
    /// Who, for the audit.
    pub actor: String,
    /// Whether every note goes along as a Markdown file.
    pub markdown: bool,
}

/// How the control plane is called where tenants have a slug.
pub const CONTROL_SLUG: &str = "_control";
/// The value of the instance that says what its newest control point shows.
pub const CONTROL_POINT: &str = "control_point";
/// The value of the instance that holds the settings in force.
const CONFIGURATION: &str = "configuration";

/// What a point is taken of.
#[derive(Clone, Copy)]
enum Subject<'a> {
    /// A tenant.
    Tenant(&'a TenantScope),
    /// The control plane.
    Control,
}

impl Subject<'_> {
    fn id(self) -> TenantId {
        match self {
            Self::Tenant(scope) => scope.tenant().id,
            Self::Control => TenantId::CONTROL,
        }
    }

    fn slug(&self) -> &str {
        match self {
            Self::Tenant(scope) => scope.tenant().slug.as_str(),
            Self::Control => CONTROL_SLUG,
        }
    }
}

/// Files sent at the same time.
const TOGETHER: usize = 4;

/// What someone should look at.
pub(crate) type Warnings = Vec<String>;

impl Backup {
    /// Takes a point. It is complete when this returns, and not verified yet.
    ///
    /// # Errors
    /// Nothing that counts is left in the store after one.
    pub async fn take_point(&self, scope: &TenantScope, options: &PointOptions) -> Result<PointReport, Error> {
        counted(self.take(Subject::Tenant(scope), options).await)
    }

    /// Takes a point of the control plane (registry, hosts, operators, settings, schedules, ledger, audit, drills) and
    /// reads it back.
    ///
    /// # Errors
    /// `ReadsBadly` when it is not as it was written; otherwise nothing that counts is left in the store after one.
    pub async fn take_control_point(&self, options: &PointOptions) -> Result<PointReport, Error> {
        let control = self.store.control();
        if let Some(configuration) = &self.configuration
            && control.setting(CONFIGURATION).await?.as_ref() != Some(configuration)
        {
            control.set_setting(CONFIGURATION, configuration).await?;
        }
        // looked at before: what changes meanwhile makes another one
        let mended = self.mend_signing().await?;
        let mark = self.store.control_mark().await?;
        let mut taken = counted(self.take(Subject::Control, options).await)?;
        let verified = if options.trigger == "schedule" {
            self.verify_taken(&taken, &options.actor).await?
        } else {
            self.verify_point(&taken.point, &options.actor).await?
        };
        if !verified.problems.is_empty() {
            return Err(Error::ReadsBadly { point: taken.point, problems: verified.problems });
        }
        taken.state = verified.state;
        taken.warnings.extend(mended);
        let shows = json!({ "point": taken.point, "mark": mark, "at": taken.created_at });
        control.set_setting(CONTROL_POINT, &shows).await?;
        Ok(taken)
    }

    /// The end of the audit chain as it is now.
    async fn audit_head(&self) -> Result<Option<AuditHead>, Error> {
        let newest = self.store.control().audit_newest(None, 1).await?;
        Ok(newest.into_iter().next().map(|event| AuditHead { seq: event.seq, hash: event.hash }))
    }

    /// While it runs, nothing that it may refer to is swept.
    async fn take(&self, subject: Subject<'_>, options: &PointOptions) -> Result<PointReport, Error> {
        let point = PointName::draw(&self.clock, &self.chance);
        let control = self.store.control();
        control.begin_point(subject.id(), point.as_str(), self.clock.now()).await?;
        self.shown.begin("copying rows", None);
        let taken = self.take_named(subject, point.clone(), options).await;
        self.shown.end();
        control.end_point(point.as_str()).await?;
        taken
    }

    async fn take_named(
        &self,
        subject: Subject<'_>,
        point: PointName,
        options: &PointOptions,
    ) -> Result<PointReport, Error> {
        let begun = Instant::now();
        let id = subject.id();
        let created_at = self.clock.now();
        let known = self.tenant_key(id).await?;
        let signer = self.signer().await?;
        let (previous, before) = self.point_before(id, &known).await?;
        let rests_on = before.as_ref().map(|before| before.clear.point.to_string());
        let sent = before.as_ref().map(|before| sent_by(&before.clear, &before.sealed)).unwrap_or_default();
        let mut writer = Writer::new(self.objects.clone(), id, point.clone(), known.key.clone(), sent);

        let mut rows = Rows::new(self, id, &point, writer.desk(options.markdown));
        let mut warnings = Warnings::new();
        let (info, base) =
            Box::pin(self.copy_rows(subject, options, before, (&mut rows, &mut writer), &mut warnings)).await?;
        let rows_read = rows.read();
        let (mut sealed, files, markdown) = rows.finish().await?;
        (sealed.last_id, sealed.base) = (info.last_id, base);
        self.add_files(&mut writer, &mut sealed, files, &mut warnings).await?;
        if let Some((key, streamed)) = markdown {
            let name = sealed.markdown.insert("markdown".to_owned()).clone();
            writer.streamed(key, Stream { name, kind: Kind::Markdown, rows: None }, streamed);
        }
        writer.finish().await?;
        sealed.plain = writer.plain.clone();
        let clear = Clear {
            format: FORMAT,
            product: concat!("holdfast ", env!("CARGO_PKG_VERSION")).to_owned(),
            point,
            tenant: id,
            slug: subject.slug().to_owned(),
            created_at: rfc3339(created_at),
            snapshot: facts(&info),
            trigger: options.trigger.to_owned(),
            previous,
            audit: self.audit_head().await?,
            key: known.key.id().to_owned(),
            keys: known.wrapped,
            objects: writer.objects.clone(),
            dirty_chunks: None,
            signed_by: signer.public_key(),
            endorsements: self.endorsements_for(id).await?,
        };
        let manifest = Manifest::write(&clear, &sealed, &known.key, &signer)
            .map_err(|source| Error::Manifest { point: clear.point.to_string(), source })?;
        let measure = writer.send_manifest(manifest).await?;

        let mut report = PointReport::new(clear, &sealed, measure);
        (report.bytes_sent, report.requests, report.rows_read) = (writer.bytes_sent, writer.requests, rows_read);
        (report.warnings, report.rests_on, report.seconds) = (warnings, rests_on, begun.elapsed().as_secs_f64());
        self.remember_point(&report, created_at, &info, options).await?;
        metrics::histogram!("holdfast_backup_duration_seconds").record(report.seconds);
        metrics::histogram!("holdfast_backup_bytes").record(report.bytes_sent as f64);
        Ok(report)
    }

    /// The tenant's newest good point, and the newest point of the chain.
    async fn point_before(&self, tenant: TenantId, known: &Known) -> Result<(Option<Previous>, Option<Before>), Error> {
        let control = self.store.control();
        let Some(newest) = control.newest_point(tenant, &[]).await? else { return Ok((None, None)) };
        let previous = match (newest.point.parse(), newest.manifest_sha256.parse()) {
            (Ok(point), Ok(manifest_sha256)) => Some(Previous { point, manifest_sha256 }),
            _ => None,
        };
        let Some(good) = control.newest_point(tenant, &["verified", "proven"]).await? else {
            return Ok((previous, None));
        };
        let stored = match self.objects.get(&layout::manifest(tenant, &good.point)).await {
            Ok(stored) if Hash::of(&stored).to_string() == good.manifest_sha256 => stored,
            // its loss is for verification to report; this point then stands on its own
            Ok(_) | Err(objects::Error::NotFound { .. }) => return Ok((previous, None)),
            Err(error) => return Err(error.into()),
        };
        let before = Manifest::read(&stored)
            .and_then(|manifest| Ok(Before { sealed: manifest.unseal(&known.key)?, clear: manifest.clear }));
        Ok((previous, before.ok()))
    }

    /// Files that the point before has are referred to, others are sent, a few at a time.
    async fn add_files(
        &self,
        writer: &mut Writer,
        sealed: &mut Sealed,
        files: Files,
        warnings: &mut Warnings,
    ) -> Result<(), Error> {
        let mut wanted = Vec::new();
        for (storage_key, sha256) in files {
            match writer.known_file(&storage_key).filter(|(_, plain)| plain.sha256.to_string() == sha256) {
                Some((object, plain)) => writer.refer(enter(sealed, storage_key), object, plain),
                None => {
                    let key = writer.file_key(&storage_key);
                    wanted.push((key, storage_key, sha256));
                }
            }
        }
        // each is made when it begins: thousands that wait would take more memory than those that are sent
        let (backup, packing) = (self.clone(), writer.packing());
        let mut sent = futures_util::stream::iter(wanted)
            .map(move |(key, storage_key, sha256)| {
                send_file(backup.clone(), packing.clone(), key, storage_key, sha256).boxed()
            })
            .buffered(TOGETHER);
        while let Some(file) = sent.next().await {
            let SentFile { key, storage_key, sha256, streamed } = file?;
            let Some(streamed) = streamed else {
                warnings.push(format!("file {storage_key} is not in the file store; the point is without it"));
                sealed.missing.push(storage_key);
                continue;
            };
            if !sha256.is_empty() && streamed.plain.sha256.to_string() != sha256 {
                warnings.push(format!("file {storage_key} is not what its attachment says; the point has it as it is"));
                sealed.altered.push(storage_key.clone());
            }
            let name = enter(sealed, storage_key);
            writer.streamed(key, Stream { name, kind: Kind::File, rows: None }, streamed);
        }
        Ok(())
    }

    async fn remember_point(
        &self,
        report: &PointReport,
        created_at: OffsetDateTime,
        info: &SnapshotInfo,
        options: &PointOptions,
    ) -> Result<(), Error> {
        let new = report.row(created_at, info.at);
        let detail =
            json!({ "rows": report.rows, "notes": report.notes, "files": report.files, "trigger": options.trigger });
        let event = AuditEvent { actor: &options.actor, event: "point.taken", object: &new.point, detail };
        Ok(self.store.control().add_point(&new, &event).await?)
    }
}

fn counted(taken: Result<PointReport, Error>) -> Result<PointReport, Error> {
    let result = if taken.is_ok() { "ok" } else { "failed" };
    metrics::counter!("holdfast_backup_runs_total", "kind" => "point", "result" => result).increment(1);
    taken
}

/// Lists a file of the point; its stream's name.
fn enter(sealed: &mut Sealed, storage_key: String) -> String {
    let name = format!("file/{:06}", sealed.files.len());
    sealed.files.push(FileEntry { name: name.clone(), storage_key });
    name
}

/// A file on its way; none when the file store does not have it.
struct SentFile {
    key: String,
    storage_key: String,
    sha256: String,
    streamed: Option<Streamed>,
}

async fn send_file(
    backup: Backup,
    packing: Packing,
    key: String,
    storage_key: String,
    sha256: String,
) -> Result<SentFile, Error> {
    let streamed = match backup.files.read(&storage_key, None).await {
        Ok(download) => {
            let size = Some(download.size);
            Some(upload(&backup.objects, &key, seal_stream(packing, download.into_stream(), size)).await?)
        }
        Err(objects::Error::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(SentFile { key, storage_key, sha256, streamed })
}

/// What later points may refer to: chunks and files that are objects of their own.
fn sent_by(clear: &Clear, sealed: &Sealed) -> Sent {
    let mut sent = Sent::default();
    for object in clear.objects.iter().filter(|object| matches!(object.kind, Kind::Rows | Kind::NoteHashes)) {
        if let Some(plain) = sealed.plain.get(&object.name) {
            sent.chunks.insert(plain.sha256, object.clone());
        }
    }
    for file in &sealed.files {
        let object = clear.objects.iter().find(|object| object.name == file.name);
        if let (Some(object), Some(plain)) = (object, sealed.plain.get(&file.name)) {
            sent.files.insert(file.storage_key.clone(), (object.clone(), *plain));
        }
    }
    sent
}

fn facts(info: &SnapshotInfo) -> SnapshotFacts {
    SnapshotFacts {
        at: rfc3339(info.at),
        lsn: info.lsn.clone(),
        generation: info.generation,
        schema_version: info.schema_version,
        server_version: info.server_version,
    }
}

/// A time as it stands in manifests and reports.
pub(crate) fn rfc3339(at: OffsetDateTime) -> String {
    at.to_offset(time::UtcOffset::UTC).format(&Rfc3339).unwrap_or_default()
}
