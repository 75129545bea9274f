//! Where dumps lie: every store has them, locked where that was asked for, and a dump of ours that the books have lost is known
//! by its signed description.

use std::collections::HashMap;

use objects::keys::{self as layout, DumpPart};
use objects::{Listed, ObjectStore, PutOptions};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use store::AuditEvent;
use store::control::points::dump::Model as Row;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use tokio::io::AsyncReadExt;

use super::DumpReport;
use crate::context::Backup;
use crate::error::Error;
use crate::keys::Signature;

/// The three objects of a dump, in the order in which they are written: without the last one nothing counts.
const PARTS: [DumpPart; 3] = [DumpPart::Dump, DumpPart::Globals, DumpPart::Description];
/// Dumps looked at.
const MANY: u64 = 1_000_000;
/// What is read at once to be hashed.
const PORTION: usize = 256 * 1024;

/// What lies beside a dump: what it is, and whose.
#[derive(Serialize, Deserialize)]
pub(super) struct Description {
    #[serde(flatten)]
    pub(super) report: DumpReport,
    /// Of everything in the report but how long it took. Dumps of older versions have none.
    #[serde(default)]
    pub(super) signature: Option<Signature>,
}

/// What is signed.
pub(super) fn words(report: &DumpReport) -> Vec<u8> {
    let DumpReport {
        dump, database, key, bytes, sha256_stored, globals_key, globals_sha256_stored, created_at, ..
    } = report;
    let lines = format!(
        "holdfast dump v1\n{dump}\n{database}\n{key}\n{bytes}\n{sha256_stored}\n{globals_key}\n{globals_sha256_stored}\n{created_at}\n"
    );
    lines.into_bytes()
}

/// Bytes of the objects in a store, by their keys.
pub(crate) fn sizes(listed: &[Listed]) -> HashMap<&str, u64> {
    listed.iter().map(|object| (object.key.as_str(), object.size)).collect()
}

/// All three objects are there, the dump with as many bytes as were sent.
pub(crate) fn is_whole(row: &Row, sizes: &HashMap<&str, u64>) -> bool {
    let size = |part| sizes.get(layout::dump(&row.database, &row.dump, part).as_str()).copied();
    size(DumpPart::Dump) == u64::try_from(row.bytes).ok()
        && size(DumpPart::Globals).is_some()
        && size(DumpPart::Description).is_some()
}

impl Backup {
    /// The description of a dump as it is stored.
    pub(super) fn description(&self, report: &DumpReport) -> Result<Vec<u8>, Error> {
        let signature = Some(self.keys.signer()?.sign(&words(report)));
        Ok(serde_json::to_vec(&Description { report: report.clone(), signature }).unwrap_or_default())
    }

    /// Brings to every further store the dumps that it lacks, and reads them back there; what could not be brought, in
    /// sentences. How many were brought.
    pub(crate) async fn bring_dumps(&self) -> Result<(u64, Vec<String>), Error> {
        let (mut brought, mut failures) = (0, Vec::new());
        if self.copies.is_empty() {
            return Ok((0, failures));
        }
        let rows = self.store.control().list_dumps(MANY).await?;
        let here = self.objects.list(layout::DUMPS).await?;
        let here = sizes(&here);
        for store in &self.copies {
            let there = match store.list(layout::DUMPS).await {
                Ok(there) => there,
                Err(error) => {
                    failures.push(format!("{} is without the newest dumps: {error}", store.location()));
                    continue;
                }
            };
            let there = sizes(&there);
            // what is not whole here or known to be damaged is told by prune, and is nothing to bring
            let good = |row: &&Row| row.problem.is_none() && is_whole(row, &here);
            for row in rows.iter().filter(good).filter(|row| !is_whole(row, &there)) {
                match self.bring_dump(store, row).await {
                    Ok(()) => brought += 1,
                    Err(error) => failures.push(format!(
                        "{} is without dump {}: {error}; the next dump or prune tries again",
                        store.location(),
                        row.dump
                    )),
                }
            }
        }
        Ok((brought, failures))
    }

    async fn bring_dump(&self, to: &ObjectStore, row: &Row) -> Result<(), Error> {
        for part in PARTS {
            let key = layout::dump(&row.database, &row.dump, part);
            let here = self.objects.get_stream(&key).await?;
            to.put_stream(&key, here.reader, PutOptions::default()).await?;
            if part == DumpPart::Dump && measured(to, &key).await?.sha256 != row.sha256_stored {
                to.delete(&key).await?;
                return Err(Error::Refused("it does not read back there as it was sent".to_owned()));
            }
        }
        self.lock_dump(to, row).await
    }

    /// Locks a dump until the day on which prune may remove it, where that was asked for and the store locks.
    pub(super) async fn lock_dump(&self, store: &ObjectStore, row: &Row) -> Result<(), Error> {
        let until = row.created_at + Duration::days(i64::from(self.keep_dumps_days));
        if !self.lock_dumps || store.lock_days().is_none() || until <= self.clock.now() {
            return Ok(());
        }
        for part in PARTS {
            store.lock_until(&layout::dump(&row.database, &row.dump, part), until).await?;
        }
        Ok(())
    }

    /// The dump that a description in the store is of, when this appliance signed it and its objects are there.
    ///
    /// # Errors
    /// [`Error::Refused`] with the reason why it is none of ours.
    pub(crate) async fn unknown_dump(&self, at: &str, sizes: &HashMap<&str, u64>) -> Result<Row, Error> {
        let refused = |why: &str| Error::Refused(why.to_owned());
        let stored = self.objects.get(at).await?;
        let described: Description =
            serde_json::from_slice(&stored).map_err(|_| refused("its description cannot be read"))?;
        let report = described.report;
        let signature = described.signature.ok_or_else(|| refused("its description is not signed"))?;
        if !signature.is_of(&words(&report)) || !self.signers().await?.contains(&signature.public_key) {
            return Err(refused("its description is signed by somebody else"));
        }
        let created_at = OffsetDateTime::parse(&report.created_at, &Rfc3339)
            .map_err(|_| refused("the time in its description cannot be read"))?;
        let row = report.row(created_at);
        let right = layout::dump(&row.database, &row.dump, DumpPart::Description) == at
            && layout::dump(&row.database, &row.dump, DumpPart::Dump) == row.key;
        if !right || !is_whole(&row, sizes) {
            return Err(refused("its objects are not all there"));
        }
        Ok(row)
    }

    /// Takes a dump into the books again.
    pub(crate) async fn take_back_dump(&self, row: Row, actor: &str) -> Result<(), Error> {
        let dump = row.dump.clone();
        let detail = json!({ "found": "in the store", "database": row.database, "bytes": row.bytes });
        let event = AuditEvent { actor, event: "dump.found", object: &dump, detail };
        Ok(self.store.control().add_dump(row, &event).await?)
    }
}

/// What a stored object is, or has to be.
pub(super) struct Measured {
    /// How long, where that is known.
    pub(super) bytes: Option<u64>,
    /// SHA-256 in hex.
    pub(super) sha256: String,
}

/// Reads an object through.
pub(super) async fn measured(store: &ObjectStore, key: &str) -> Result<Measured, Error> {
    let mut download = store.get_stream(key).await?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; PORTION];
    let mut bytes = 0;
    loop {
        let read = download.reader.read(&mut buffer).await;
        let count = read.map_err(|source| {
            Error::Objects(objects::Error::Unreachable { endpoint: store.location(), source: source.into() })
        })?;
        match buffer.get(..count) {
            Some(some) if !some.is_empty() => {
                hasher.update(some);
                bytes += some.len() as u64;
            }
            _ => return Ok(Measured { bytes: Some(bytes), sha256: hex::encode(hasher.finalize()) }),
        }
    }
}
