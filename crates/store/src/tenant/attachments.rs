//! Files: rows only; the bytes are in the file store under `storage_key`.

use domain::id::{AttachmentId, MemberId, NoteId};
use domain::note::{CardEnd, Visibility};
use serde_json::Value;
use tokio_postgres::types::Json;

use crate::tx::Param;
use crate::{Error, Row, TenantTx, Type};

/// A file as stored, with what decides who may read it.
#[derive(Clone, Debug, PartialEq)]
pub struct Attachment {
    /// Row number.
    pub id: AttachmentId,
    /// Public id.
    pub uid: String,
    /// Who uploaded it.
    pub creator_id: MemberId,
    /// Seconds since 1970.
    pub created_ts: i64,
    /// Seconds since 1970.
    pub updated_ts: i64,
    /// File name as uploaded.
    pub filename: String,
    /// Media type.
    pub kind: String,
    /// Bytes.
    pub size: i64,
    /// Hash of the bytes, hex; empty for a file elsewhere.
    pub sha256: String,
    /// Where the file store holds it; empty for a file elsewhere.
    pub storage_key: String,
    /// A link elsewhere, or empty.
    pub external_link: String,
    /// `motionMedia`, `mediaMetadata` as in the wire message.
    pub payload: Value,
    /// The note it hangs on.
    pub note: Option<Holder>,
}

/// The note a file hangs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Row number.
    pub id: NoteId,
    /// Public id.
    pub uid: String,
    /// Its creator.
    pub creator_id: MemberId,
    /// Who may read it.
    pub visibility: Visibility,
    /// Archived notes are seen by their creator only.
    pub archived: bool,
    /// Set when it is a comment.
    pub parent: Option<CardEnd>,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT a.id, a.uid, a.creator_id, a.created_ts, a.updated_ts, a.filename, a.kind, a.size, a.sha256,
             a.storage_key, a.external_link, a.payload, n.id, n.uid, n.creator_id, n.visibility, n.archived,
             n.card->'parent' FROM attachment a LEFT JOIN note n ON n.id = a.note_id ",
            $rest
        )
    };
}

fn attachment_of(row: &Row) -> Result<Attachment, Error> {
    let id: i64 = row.try_get(0)?;
    let payload: Json<Value> = row.try_get(11)?;
    Ok(Attachment {
        id: AttachmentId(id),
        uid: row.try_get(1)?,
        creator_id: MemberId(row.try_get(2)?),
        created_ts: row.try_get(3)?,
        updated_ts: row.try_get(4)?,
        filename: row.try_get(5)?,
        kind: row.try_get(6)?,
        size: row.try_get(7)?,
        sha256: row.try_get(8)?,
        storage_key: row.try_get(9)?,
        external_link: row.try_get(10)?,
        payload: payload.0,
        note: holder_of(row, id)?,
    })
}

fn holder_of(row: &Row, attachment: i64) -> Result<Option<Holder>, Error> {
    let Some(id) = row.try_get::<_, Option<i64>>(12)? else { return Ok(None) };
    let visibility: &str = row.try_get(15)?;
    let parent: Option<Json<CardEnd>> = row.try_get(17)?;
    Ok(Some(Holder {
        id: NoteId(id),
        uid: row.try_get(13)?,
        creator_id: MemberId(row.try_get(14)?),
        visibility: visibility.parse().map_err(|_| Error::Corrupt {
            table: "attachment",
            id: attachment.to_string(),
            what: "its note has an unknown visibility".to_owned(),
        })?,
        archived: row.try_get(16)?,
        parent: parent.map(|parent| parent.0),
    }))
}

/// The file with this public id.
pub async fn find_attachment(tx: &mut TenantTx, uid: &str) -> Result<Option<Attachment>, Error> {
    tx.query_opt(select!("WHERE a.uid = $1"), &[(&uid, Type::TEXT)]).await?.as_ref().map(attachment_of).transpose()
}

/// The file with this number, as links of releases before 0.23 named it.
pub async fn find_attachment_by_number(tx: &mut TenantTx, number: i64) -> Result<Option<Attachment>, Error> {
    tx.query_opt(select!("WHERE a.id = $1"), &[(&number, Type::INT8)]).await?.as_ref().map(attachment_of).transpose()
}

/// The same as a whole unit of work, in one flight.
pub async fn read_attachment(tx: TenantTx, uid: &str) -> Result<Option<Attachment>, Error> {
    tx.read_once(select!("WHERE a.uid = $1"), &[(&uid, Type::TEXT)]).await?.first().map(attachment_of).transpose()
}

/// The files among `uids` that exist, in no order.
pub async fn find_attachments(tx: &mut TenantTx, uids: &[String]) -> Result<Vec<Attachment>, Error> {
    tx.query(select!("WHERE a.uid = ANY($1)"), &[(&uids, Type::TEXT_ARRAY)]).await?.iter().map(attachment_of).collect()
}

/// The files of one note, in the order of its card.
pub async fn list_attachments_of(tx: &mut TenantTx, note: NoteId) -> Result<Vec<Attachment>, Error> {
    tx.query(select!("WHERE a.note_id = $1 ORDER BY a.position, a.updated_ts DESC, a.id"), &[(&note.0, Type::INT8)])
        .await?
        .iter()
        .map(attachment_of)
        .collect()
}

/// Part of one member's files, newest update first.
#[derive(Clone, Copy)]
pub struct AttachmentQuery<'a> {
    /// Whose files.
    pub creator_id: MemberId,
    /// A condition over `attachment a`, with its own parameters from `$2` on.
    pub filter: Option<(&'a str, &'a [Param<'a>])>,
    /// At most this many.
    pub limit: i64,
    /// After leaving out this many.
    pub offset: i64,
}

/// Lists one member's files.
pub async fn list_attachments(tx: TenantTx, query: &AttachmentQuery<'_>) -> Result<Vec<Attachment>, Error> {
    let mut params: Vec<Param<'_>> = vec![(&query.creator_id.0, Type::INT8)];
    let mut condition = String::new();
    if let Some((sql, more)) = query.filter {
        condition = format!(" AND ({sql})");
        params.extend(more.iter().map(|(value, kind)| (*value, kind.clone())));
    }
    let sql = format!(
        "{}{condition} ORDER BY a.updated_ts DESC, a.id LIMIT {} OFFSET {}",
        select!("WHERE a.creator_id = $1"),
        query.limit,
        query.offset
    );
    tx.read_once(&sql, &params).await?.iter().map(attachment_of).collect()
}

/// A file to be stored, whose bytes already are.
#[derive(Clone, Debug)]
pub struct NewAttachment<'a> {
    /// Public id, drawn or checked by the caller.
    pub uid: &'a str,
    /// Who uploads it.
    pub creator_id: MemberId,
    /// The note it hangs on.
    pub note_id: Option<NoteId>,
    /// Seconds since 1970.
    pub created_ts: i64,
    /// File name.
    pub filename: &'a str,
    /// Media type.
    pub kind: &'a str,
    /// Bytes.
    pub size: i64,
    /// Hash of the bytes, hex.
    pub sha256: &'a str,
    /// Where the file store holds it.
    pub storage_key: &'a str,
    /// `motionMedia`, `mediaMetadata` as in the wire message.
    pub payload: &'a Value,
}

/// Stores a file's row. A taken public id is a conflict on `attachment_uid_key`.
pub async fn insert_attachment(tx: &mut TenantTx, new: &NewAttachment<'_>) -> Result<AttachmentId, Error> {
    let (note, payload) = (new.note_id.map(|note| note.0), Json(new.payload));
    let params: [Param<'_>; 10] = [
        (&new.uid, Type::TEXT),
        (&new.creator_id.0, Type::INT8),
        (&note, Type::INT8),
        (&new.created_ts, Type::INT8),
        (&new.filename, Type::TEXT),
        (&new.kind, Type::TEXT),
        (&new.size, Type::INT8),
        (&new.sha256, Type::TEXT),
        (&new.storage_key, Type::TEXT),
        (&payload, Type::JSONB),
    ];
    let sql =
        "INSERT INTO attachment (id, uid, creator_id, note_id, created_ts, updated_ts, filename, kind, size, sha256,
      storage_key, payload) VALUES (nextval('id_seq'), $1, $2, $3, $4, $4, $5, $6, $7, $8, $9, $10) RETURNING id";
    tx.query_opt(sql, &params).await?.map(|row| AttachmentId(row.get(0))).ok_or(Error::NotFound("attachment"))
}

/// Gives a file another name.
pub async fn rename_attachment(tx: &mut TenantTx, id: AttachmentId, filename: &str, now: i64) -> Result<(), Error> {
    let sql = "UPDATE attachment SET filename = $2, updated_ts = $3 WHERE id = $1";
    match tx.execute(sql, &[(&id.0, Type::INT8), (&filename, Type::TEXT), (&now, Type::INT8)]).await? {
        0 => Err(Error::NotFound("attachment")),
        _ => Ok(()),
    }
}

/// Makes `files`, in this order, the files of `note`; those it had besides are deleted. The later a file stands, the
/// earlier its time of change, so that lists sorted by that keep the order too.
pub async fn replace_attachments(
    tx: &mut TenantTx,
    note: NoteId,
    files: &[AttachmentId],
    now: i64,
) -> Result<(), Error> {
    let ids: Vec<i64> = files.iter().map(|file| file.0).collect();
    let params: [Param<'_>; 2] = [(&note.0, Type::INT8), (&ids, Type::INT8_ARRAY)];
    tx.query("DELETE FROM attachment WHERE note_id = $1 AND NOT id = ANY($2)", &params).await?;
    if files.is_empty() {
        return Ok(());
    }
    tx.query(
        "UPDATE attachment a SET note_id = $1, position = u.at, updated_ts = $3 + cardinality($2::bigint[]) - u.at
         FROM unnest($2::bigint[]) WITH ORDINALITY AS u(id, at) WHERE a.id = u.id",
        &[(&note.0, Type::INT8), (&ids, Type::INT8_ARRAY), (&now, Type::INT8)],
    )
    .await?;
    Ok(())
}

/// Removes files' rows; their bytes go later, when nothing refers to them.
pub async fn delete_attachments(tx: &mut TenantTx, files: &[AttachmentId]) -> Result<u64, Error> {
    let ids: Vec<i64> = files.iter().map(|file| file.0).collect();
    tx.execute("DELETE FROM attachment WHERE id = ANY($1)", &[(&ids, Type::INT8_ARRAY)]).await
}
