//! Reading a dump back: every byte of its objects against what was sent, and the verdict into the books.

use std::time::Instant;

use objects::ObjectStore;
use objects::keys::{self as layout, DumpPart};
use serde::Serialize;
use serde_json::json;
use store::AuditEvent;
use store::control::points::dump::Model as Row;

use super::DumpReport;
use super::places::{Description, Measured, measured, words};
use crate::context::Backup;
use crate::error::Error;
use crate::verify::ProblemKind;

/// An object of a dump and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DumpProblem {
    /// Its key in the store.
    pub object: String,
    /// What is wrong.
    pub problem: ProblemKind,
    /// A sentence for people.
    pub message: String,
}

impl DumpProblem {
    fn new(object: &str, problem: ProblemKind, message: &str) -> Self {
        Self { object: object.to_owned(), problem, message: message.to_owned() }
    }

    /// All of them in one sentence.
    pub(crate) fn sentence(all: &[Self]) -> String {
        let told = all.iter().map(|one| format!("{} is {}: {}", one.object, one.problem.as_str(), one.message));
        told.collect::<Vec<_>>().join("; ")
    }
}

/// A dump in one store, as it was read back there.
#[derive(Clone, Debug, Serialize)]
pub struct DumpSeen {
    /// Where the store is.
    pub store: String,
    /// Bytes read back.
    pub bytes: u64,
    /// Everything that is wrong.
    pub problems: Vec<DumpProblem>,
}

/// What `backup verify` tells of a dump.
#[derive(Clone, Debug, Serialize)]
pub struct DumpVerified {
    /// Its name.
    pub dump: String,
    /// Which database.
    pub database: String,
    /// `verified` or `damaged`.
    pub state: &'static str,
    /// In the first store.
    #[serde(flatten)]
    pub seen: DumpSeen,
    /// In further ones, where that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<DumpSeen>,
    /// How long it took.
    pub seconds: f64,
}

impl Backup {
    /// Reads a dump back and remembers what was found; none when the books know no dump of that name.
    pub async fn verify_dump(&self, name: &str, copies: bool, actor: &str) -> Result<Option<DumpVerified>, Error> {
        let begun = Instant::now();
        let Some(row) = self.store.control().find_dump(name).await? else { return Ok(None) };
        let seen = self.read_dump(&self.objects, &row).await?;
        self.note_dump(&row, &seen, actor).await?;
        let mut others = Vec::new();
        for store in self.copies.iter().filter(|_| copies) {
            others.push(self.read_dump(store, &row).await?);
        }
        Ok(Some(DumpVerified {
            dump: row.dump,
            database: row.database,
            state: state_of(&seen),
            seen,
            copies: others,
            seconds: begun.elapsed().as_secs_f64(),
        }))
    }

    /// Into the books, so that prune and doctor know.
    pub(crate) async fn note_dump(&self, row: &Row, seen: &DumpSeen, actor: &str) -> Result<(), Error> {
        let problem = (!seen.problems.is_empty()).then(|| DumpProblem::sentence(&seen.problems));
        let detail = json!({ "state": state_of(seen), "problems": seen.problems });
        let event = AuditEvent { actor, event: "dump.verified", object: &row.dump, detail };
        Ok(self.store.control().note_dump_read(&row.dump, self.clock.now(), problem, &event).await?)
    }

    /// Reads the dump as it lies in a store. An error means that it could not be read; that it is damaged is told.
    pub(crate) async fn read_dump(&self, store: &ObjectStore, row: &Row) -> Result<DumpSeen, Error> {
        self.shown.begin("reading the dump back", None);
        let seen = self.look_at_dump(store, row).await;
        self.shown.end();
        seen
    }

    async fn look_at_dump(&self, store: &ObjectStore, row: &Row) -> Result<DumpSeen, Error> {
        let at = |part| layout::dump(&row.database, &row.dump, part);
        let mut seen = DumpSeen { store: store.location(), bytes: 0, problems: Vec::new() };
        let sent = Measured { bytes: u64::try_from(row.bytes).ok(), sha256: row.sha256_stored.clone() };
        compare(store, &at(DumpPart::Dump), &sent, &mut seen).await?;
        let described = at(DumpPart::Description);
        match self.described(store, &described, row).await? {
            Ok(report) => {
                let sent = Measured { bytes: None, sha256: report.globals_sha256_stored.to_string() };
                compare(store, &at(DumpPart::Globals), &sent, &mut seen).await?;
            }
            Err((kind, message)) => seen.problems.push(DumpProblem::new(&described, kind, message)),
        }
        Ok(seen)
    }

    /// The description, when it is of this dump and ours; those of older versions are not signed.
    async fn described(
        &self,
        store: &ObjectStore,
        at: &str,
        row: &Row,
    ) -> Result<Result<DumpReport, (ProblemKind, &'static str)>, Error> {
        let stored = match store.get(at).await {
            Ok(stored) => stored,
            Err(objects::Error::NotFound { .. }) => {
                return Ok(Err((ProblemKind::Missing, "it is not in the store")));
            }
            Err(error) => return Err(error.into()),
        };
        let Ok(Description { report, signature }) = serde_json::from_slice(&stored) else {
            return Ok(Err((ProblemKind::Altered, "it cannot be read")));
        };
        let same = (&report.dump, &report.database, &report.key) == (&row.dump, &row.database, &row.key)
            && report.sha256_stored.to_string() == row.sha256_stored;
        let Some(signature) = signature else {
            return Ok(if same { Ok(report) } else { Err((ProblemKind::Altered, "it is of another dump")) });
        };
        if !same || !signature.is_of(&words(&report)) {
            return Ok(Err((ProblemKind::Altered, "it is not what was signed for this dump")));
        }
        if !self.signers_of_known().await?.contains(&signature.public_key) {
            return Ok(Err((ProblemKind::Forged, "it is signed by somebody else")));
        }
        Ok(Ok(report))
    }
}

fn state_of(seen: &DumpSeen) -> &'static str {
    if seen.problems.is_empty() { "verified" } else { "damaged" }
}

/// An object against what was sent.
async fn compare(store: &ObjectStore, key: &str, sent: &Measured, seen: &mut DumpSeen) -> Result<(), Error> {
    let found = match measured(store, key).await {
        Ok(found) => found,
        Err(Error::Objects(objects::Error::NotFound { .. })) => {
            seen.problems.push(DumpProblem::new(key, ProblemKind::Missing, "it is not in the store"));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    seen.bytes += found.bytes.unwrap_or_default();
    if sent.bytes.is_some_and(|bytes| found.bytes < Some(bytes)) {
        seen.problems.push(DumpProblem::new(key, ProblemKind::Truncated, "it is shorter than what was stored"));
    } else if found.sha256 != sent.sha256 {
        let message = "its bytes are not those that were stored";
        seen.problems.push(DumpProblem::new(key, ProblemKind::Altered, message));
    }
    Ok(())
}
