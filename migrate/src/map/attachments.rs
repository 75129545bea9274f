//! `attachment` (`resource` before 0.26) → `attachment`.

use serde_json::Value as Json;

use crate::error::Error;
use crate::map::members::Members;
use crate::reader::Reader;
use crate::reader::files::{self, NoFile};
use crate::reader::rows::SourceAttachment;
use crate::reader::scratch::{Attachment, Place};
use crate::report::Findings;
use crate::table::Cell;

/// Where a row says that its bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored<'a> {
    /// In the database.
    Database,
    /// In a file of this name.
    Local(&'a str),
    /// Elsewhere, at this link.
    External(&'a str),
    /// In a bucket; the link may have run out.
    Bucket(&'a str),
}

/// Decides by what the row holds; before 0.22 there was no storage type.
pub fn stored(row: &SourceAttachment) -> Stored<'_> {
    match row.storage_type.as_str() {
        "LOCAL" => Stored::Local(&row.reference),
        "EXTERNAL" => Stored::External(&row.reference),
        "S3" => Stored::Bucket(&row.reference),
        _ if row.blob_bytes.is_some_and(|bytes| bytes > 0) => Stored::Database,
        _ if !row.internal_path.is_empty() => Stored::Local(&row.internal_path),
        _ if !row.external_link.is_empty() => Stored::External(&row.external_link),
        _ => Stored::Database,
    }
}

/// Looks up the bytes and maps the row. A file that is gone is reported; its row is kept.
///
/// # Errors
/// As [`Members::creator`].
pub fn map_attachment(
    row: &SourceAttachment,
    uid: String,
    members: &Members,
    reader: &Reader,
    table: &'static str,
    findings: &mut Findings,
) -> Result<Attachment, Error> {
    let id = row.id.unwrap_or_default();
    let (place, size, external_link) = place_of(row, reader, table, findings);
    Ok(Attachment {
        id,
        uid,
        creator_id: members.creator(row.creator_id)?,
        note_id: row.memo_id,
        position: 0,
        created_ts: row.created_ts,
        updated_ts: row.updated_ts,
        filename: row.filename.clone(),
        kind: row.kind.clone(),
        size,
        external_link,
        payload: payload(&row.payload),
        place,
    })
}

fn place_of(
    row: &SourceAttachment,
    reader: &Reader,
    table: &'static str,
    findings: &mut Findings,
) -> (Place, i64, String) {
    let id = row.id.unwrap_or_default();
    match stored(row) {
        Stored::Database => {
            let Some(bytes) = row.blob_bytes else {
                let message = format!("the row of {:?} holds no bytes and names no file", row.filename);
                findings.warn("missing_file", table, id, message);
                return (Place::Nowhere, row.size, String::new());
            };
            if reader.salvage && files::sum_blob(reader, table, row.rowid).is_err() {
                let message = format!("the bytes of {:?} cannot be read; it stays without them", row.filename);
                findings.warn("missing_file", table, id, message);
                return (Place::Nowhere, row.size, String::new());
            }
            warn_size(row, bytes, table, findings);
            (Place::Blob(table, row.rowid), bytes, String::new())
        }
        Stored::Local(path) => match files::find_mapped(&reader.staged.folder, &reader.path_maps, path) {
            Ok(found) => {
                let bytes = std::fs::metadata(&found).map_or(0, |meta| meta.len() as i64);
                warn_size(row, bytes, table, findings);
                (Place::File(found.to_string_lossy().into_owned()), bytes, String::new())
            }
            Err(why) => {
                let name = &row.filename;
                let message = match why {
                    NoFile::Missing => format!(
                        "the file {path} of {name:?} is not below the data folder; copy it there and import again, or it stays without its bytes"
                    ),
                    NoFile::Unreadable => format!(
                        "the file {path} of {name:?} may not be read; run as a user who may, or it stays without its bytes"
                    ),
                    NoFile::Outside => format!(
                        "the path {path} of {name:?} leaves the data folder and is not followed; it stays without its bytes"
                    ),
                };
                findings.warn("missing_file", table, id, message);
                (Place::Nowhere, row.size, row.external_link.clone())
            }
        },
        Stored::External(link) => (Place::Nowhere, row.size, link.to_owned()),
        Stored::Bucket(link) => match reader.buckets.find(&row.payload) {
            Ok((at, key, bytes)) => {
                warn_size(row, bytes, table, findings);
                (Place::Bucket(at, key), bytes, String::new())
            }
            Err(why) => {
                let message = format!("{:?} is in an S3 bucket; only its link was kept: {why}", row.filename);
                findings.warn("s3_object", table, id, message);
                (Place::Nowhere, row.size, link.to_owned())
            }
        },
    }
}

fn warn_size(row: &SourceAttachment, bytes: i64, table: &'static str, findings: &mut Findings) {
    if row.size != bytes && row.size != 0 {
        let message = format!("{:?} has {bytes} bytes, its row says {}; the bytes count", row.filename, row.size);
        findings.warn("size_differs", table, row.id.unwrap_or_default(), message);
    }
}

/// What the tenant keeps of a payload; bucket names and keys are not part of it.
fn payload(json: &Json) -> Json {
    let mut kept = serde_json::Map::new();
    for key in ["motionMedia", "mediaMetadata"] {
        if let Some(value) = json.get(key).filter(|value| value.is_object()) {
            kept.insert(key.to_owned(), value.clone());
        }
    }
    Json::Object(kept)
}

/// A link of a row whose bytes are at hand as well: up to 0.21 both could be set.
pub fn second_place(row: &SourceAttachment) -> Option<&str> {
    let both = matches!(stored(row), Stored::Database | Stored::Local(_)) && !row.external_link.is_empty();
    both.then_some(row.external_link.as_str())
}

/// What a payload holds beside that, for the remainder.
pub fn payload_rest(json: &Json) -> Option<Json> {
    let mut rest = json.as_object()?.clone();
    rest.retain(|key, value| !["motionMedia", "mediaMetadata"].contains(&key.as_str()) && !value.is_null());
    (!rest.is_empty()).then_some(Json::Object(rest))
}

/// As cells of `table::ATTACHMENT`; `sha256` and `storage_key` are empty when there are no bytes.
pub fn attachment_cells(row: &Attachment, size: i64, sha256: &str, storage_key: &str) -> Vec<Cell> {
    vec![
        row.id.into(),
        row.uid.as_str().into(),
        row.creator_id.into(),
        row.note_id.into(),
        row.position.into(),
        row.created_ts.into(),
        row.updated_ts.into(),
        row.filename.as_str().into(),
        row.kind.as_str().into(),
        size.into(),
        sha256.into(),
        storage_key.into(),
        row.external_link.as_str().into(),
        row.payload.clone().into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_says_where_its_bytes_are() {
        let row = |storage: &str, path: &str, link: &str, blob: Option<i64>| SourceAttachment {
            storage_type: storage.into(),
            reference: "ref".into(),
            internal_path: path.into(),
            external_link: link.into(),
            blob_bytes: blob,
            ..SourceAttachment::default()
        };
        assert_eq!(stored(&row("LOCAL", "", "", None)), Stored::Local("ref"));
        assert_eq!(stored(&row("S3", "", "", None)), Stored::Bucket("ref"));
        assert_eq!(stored(&row("EXTERNAL", "", "", None)), Stored::External("ref"));
        assert_eq!(stored(&row("", "a/b", "", None)), Stored::Local("a/b"));
        assert_eq!(stored(&row("", "a/b", "", Some(3))), Stored::Database);
        assert_eq!(stored(&row("", "", "https://x", Some(0))), Stored::External("https://x"));
        assert_eq!(stored(&row("", "", "", Some(0))), Stored::Database);
    }

    #[test]
    fn secrets_of_a_bucket_leave_the_payload() {
        let json = serde_json::json!({"s3Object": {"key": "k", "s3Config": {"accessKeySecret": "s"}}, "motionMedia": {"role": "STILL"}});
        assert_eq!(payload(&json), serde_json::json!({"motionMedia": {"role": "STILL"}}));
        assert_eq!(payload_rest(&json).unwrap()["s3Object"]["key"], "k");
        assert_eq!(payload_rest(&serde_json::json!({})), None);
    }
}
