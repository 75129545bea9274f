//! Taking files in, listing, renaming and deleting them.

use domain::filter;
use domain::id::{AttachmentId, NoteId};
use domain::note::MotionMedia;
use objects::{FileKey, FileStore, Stored};
use serde_json::Value;
use store::TenantTx;
use store::tenant::attachments::{self, Attachment, AttachmentQuery, NewAttachment};
use store::tenant::{cards, filter_sql, notes, settings};
use tokio::io::AsyncRead;
use tokio::sync::Semaphore;

use super::{kind, motion, strip};
use crate::notes::access::{self, Gate};
use crate::notes::{Desk, Error, input};

/// The limit of a file when the tenant set none, in MiB.
const DEFAULT_LIMIT_MIB: u64 = 30;
/// Most files that one request may delete.
const MOST_AT_ONCE: usize = 100;

/// A file as it came in.
#[derive(Clone, Debug, Default)]
pub struct Upload {
    /// The public id the client chose, or empty.
    pub uid: String,
    /// Its name.
    pub filename: String,
    /// The media type as the client has it, or empty.
    pub kind: String,
    /// Its bytes.
    pub content: Vec<u8>,
    /// `memos/{uid}` of a note of the caller's that it shall hang on.
    pub memo: Option<String>,
    /// That it is half of a live photo.
    pub motion: Option<MotionMedia>,
}

/// Stores a file. Its row comes back as an answer shows it: without the note.
pub async fn create(desk: &Desk<'_>, files: &FileStore, upload: Upload) -> Result<Attachment, Error> {
    let member = desk.author()?;
    kind::check_filename(&upload.filename)?;
    let media_type = kind::media_type(&upload.kind, &upload.filename, &upload.content)?;
    let uid = input::chosen_uid(&upload.uid)?.map_or_else(|| desk.chance.uid(), str::to_owned);
    if let Some(motion) = &upload.motion {
        motion::check(motion)?;
    }
    let mut tx = desk.begin();
    check_size(&mut tx, upload.content.len()).await?;
    let holder = match &upload.memo {
        None => None,
        Some(name) => Some(holder(&mut tx, desk, name).await?),
    };
    tx.commit().await?;
    let tenant = desk.scope.tenant().id;
    let key = FileKey::derive(desk.store.file_secret().await?.as_bytes(), tenant);

    let content = stripped(media_type.clone(), upload.content).await?;
    let found = upload.motion.or_else(|| motion::film_start(&content).map(|_| motion::container()));
    let stored = files.put_file(tenant, &key, content.as_slice()).await?;

    let row = Attachment {
        id: AttachmentId(0),
        uid,
        creator_id: member.id,
        created_ts: desk.now(),
        updated_ts: desk.now(),
        filename: upload.filename,
        kind: media_type,
        size: i64::try_from(stored.size).unwrap_or(i64::MAX),
        sha256: stored.sha256.clone(),
        storage_key: stored.storage_key.clone(),
        external_link: String::new(),
        payload: motion::payload(found.as_ref()),
        note: None,
    };
    let id = insert(desk, &row, &stored, holder).await?;
    Ok(Attachment { id, ..row })
}

/// The content without metadata. Few photos at a time: one that must be turned is decoded as a whole.
async fn stripped(media_type: String, content: Vec<u8>) -> Result<Vec<u8>, Error> {
    static AT_ONCE: Semaphore = Semaphore::const_new(2);
    let slot = AT_ONCE.acquire().await.map_err(|error| Error::Interrupted(Box::new(error)))?;
    let done = tokio::task::spawn_blocking(move || strip::without_metadata(&media_type, content)).await;
    drop(slot);
    done.map_err(|error| Error::Interrupted(Box::new(error)))
}

async fn insert(
    desk: &Desk<'_>,
    row: &Attachment,
    stored: &Stored,
    holder: Option<NoteId>,
) -> Result<AttachmentId, Error> {
    let mut tx = desk.begin();
    tx.touch().await?;
    if let Some(note) = holder
        && !cards::lock_note(&mut tx, note).await?
    {
        return Err(Error::no_note());
    }
    let new = NewAttachment {
        uid: &row.uid,
        creator_id: row.creator_id,
        note_id: holder,
        created_ts: row.created_ts,
        filename: &row.filename,
        kind: &row.kind,
        size: row.size,
        sha256: &stored.sha256,
        storage_key: &stored.storage_key,
        payload: &row.payload,
    };
    let id = attachments::insert_attachment(&mut tx, &new).await.map_err(|error| {
        if error.is_conflict("attachment_uid_key") {
            return Error::Exists(format!("attachment with ID {:?} already exists", row.uid));
        }
        Error::Store(error)
    })?;
    if let Some(note) = holder {
        cards::refresh_cards(&mut tx, &[note]).await?;
    }
    tx.commit().await?;
    Ok(id)
}

/// The note a new file shall hang on: the caller's own.
async fn holder(tx: &mut TenantTx, desk: &Desk<'_>, name: &str) -> Result<NoteId, Error> {
    let uid = input::memo_uid(name)?;
    let note = notes::find_note(tx, uid).await?;
    let note = note.ok_or_else(|| Error::NotFound(format!("memo not found: {name}").into()))?;
    if note.creator_id == desk.member()?.id { Ok(note.id) } else { Err(Error::Denied) }
}

/// Puts a file's bytes into the file store while they arrive.
pub async fn put<R: AsyncRead + Send>(desk: &Desk<'_>, files: &FileStore, source: R) -> Result<Stored, Error> {
    desk.author()?;
    let tenant = desk.scope.tenant().id;
    let key = FileKey::derive(desk.store.file_secret().await?.as_bytes(), tenant);
    Ok(files.put_file(tenant, &key, source).await?)
}

/// Makes the row of a file whose bytes are in the file store already; `upload.content` is how they begin.
pub async fn create_stored(desk: &Desk<'_>, upload: Upload, stored: Stored) -> Result<Attachment, Error> {
    let member = desk.author()?;
    kind::check_filename(&upload.filename)?;
    let media_type = kind::media_type(&upload.kind, &upload.filename, &upload.content)?;
    let uid = input::chosen_uid(&upload.uid)?.map_or_else(|| desk.chance.uid(), str::to_owned);
    if let Some(motion) = &upload.motion {
        motion::check(motion)?;
    }
    let mut tx = desk.begin();
    let holder = match &upload.memo {
        None => None,
        Some(name) => Some(holder(&mut tx, desk, name).await?),
    };
    tx.commit().await?;
    let row = Attachment {
        id: AttachmentId(0),
        uid,
        creator_id: member.id,
        created_ts: desk.now(),
        updated_ts: desk.now(),
        filename: upload.filename,
        kind: media_type,
        size: i64::try_from(stored.size).unwrap_or(i64::MAX),
        sha256: stored.sha256.clone(),
        storage_key: stored.storage_key.clone(),
        external_link: String::new(),
        payload: motion::payload(upload.motion.as_ref()),
        note: None,
    };
    let id = insert(desk, &row, &stored, holder).await?;
    Ok(Attachment { id, ..row })
}

/// Whether a file that begins so is a photo that [`strip`] may have to change.
pub fn is_photo(start: &[u8]) -> bool {
    start.starts_with(&[0xFF, 0xD8]) || start.starts_with(b"RIFF") && start.get(8..12) == Some(b"WEBP")
}

/// The longest file that the caller may store here, in bytes.
pub async fn size_limit(desk: &Desk<'_>) -> Result<u64, Error> {
    desk.author()?;
    let mut tx = desk.begin();
    let limit = limit_mib(&mut tx).await?;
    tx.commit().await?;
    Ok(limit.saturating_mul(1024 * 1024))
}

/// The refusal of a file longer than `limit` bytes.
pub fn too_large(limit: u64) -> Error {
    Error::invalid(format!("file size exceeds the limit of {} MiB", limit / (1024 * 1024)))
}

async fn limit_mib(tx: &mut TenantTx) -> Result<u64, Error> {
    let set = settings::find_setting(tx, "STORAGE").await?;
    let limit = set.as_ref().and_then(|value| value.get("uploadSizeLimitMb"));
    let limit = limit.and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
    Ok(limit.filter(|limit| *limit > 0).unwrap_or(DEFAULT_LIMIT_MIB))
}

async fn check_size(tx: &mut TenantTx, size: usize) -> Result<(), Error> {
    // Whatever the tenant has set, a MiB is always allowed: most files need no look at the setting.
    if size <= 1024 * 1024 {
        return Ok(());
    }
    let limit = limit_mib(tx).await?.saturating_mul(1024 * 1024);
    if size as u64 > limit { Err(too_large(limit)) } else { Ok(()) }
}

/// One file's row: its creator, admins, and whoever may read the note it hangs on.
pub async fn get(desk: &Desk<'_>, uid: &str) -> Result<Attachment, Error> {
    desk.member()?;
    let file = attachments::read_attachment(desk.begin(), uid).await?.ok_or_else(Error::no_attachment)?;
    may_read(desk, &file)?;
    Ok(file)
}

/// Whether the caller may read a file.
pub fn may_read(desk: &Desk<'_>, file: &Attachment) -> Result<(), Error> {
    desk.enter()?;
    if desk.actor.member_id() == Some(file.creator_id) || desk.actor.is_admin() {
        return Ok(());
    }
    let Some(holder) = &file.note else {
        return Err(if desk.actor.member().is_some() { Error::Denied } else { Error::NotSignedIn });
    };
    let gate = Gate { creator_id: holder.creator_id, visibility: holder.visibility, archived: holder.archived };
    access::admit(desk, gate, holder.parent.as_ref()).map_err(|error| match error {
        Error::NotFound(_) => Error::no_attachment(),
        other => other,
    })
}

/// Part of a list of files.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The files.
    pub files: Vec<Attachment>,
    /// Where to go on: given whenever the page is full.
    pub next_page_token: String,
}

/// The caller's own files, newest update first. `token` is a decimal offset.
pub async fn list(desk: &Desk<'_>, page_size: i32, token: &str, filter: &str) -> Result<Listed, Error> {
    let member = desk.member()?;
    let limit = match page_size {
        ..=0 => 50,
        size => i64::from(size.min(1000)),
    };
    let offset: i64 = match token {
        "" => 0,
        text => text.parse().map_err(|_| Error::invalid(format!("invalid page token: {text:?} is no number")))?,
    };
    let offset = offset.max(0);
    let condition = match filter {
        "" => None,
        text => {
            let parsed = filter::parse_attachments(text, desk.now());
            Some(filter_sql::compile(&parsed.map_err(|e| Error::invalid(format!("invalid filter: {e}")))?, 2))
        }
    };
    let params = condition.as_ref().map(filter_sql::Condition::params).unwrap_or_default();
    let query = AttachmentQuery {
        creator_id: member.id,
        filter: condition.as_ref().map(|condition| (condition.sql.as_str(), params.as_slice())),
        limit,
        offset,
    };
    let files = attachments::list_attachments(desk.begin(), &query).await?;
    let full = i64::try_from(files.len()) == Ok(limit);
    let next_page_token = if full { (offset + limit).to_string() } else { String::new() };
    Ok(Listed { files, next_page_token })
}

/// Gives a file another name; without one nothing changes. Its creator and admins may.
pub async fn update(desk: &Desk<'_>, uid: &str, filename: Option<&str>) -> Result<Attachment, Error> {
    let member = desk.member()?;
    let mut tx = desk.begin();
    if filename.is_some() {
        tx.touch().await?;
    }
    let mut file = attachments::find_attachment(&mut tx, uid).await?.ok_or_else(Error::no_attachment)?;
    if file.creator_id != member.id && !desk.actor.is_admin() {
        return Err(Error::Denied);
    }
    if let Some(filename) = filename {
        kind::check_filename(filename)?;
        if let Some(holder) = &file.note {
            cards::lock_note(&mut tx, holder.id).await?;
        }
        file.updated_ts = desk.now();
        attachments::rename_attachment(&mut tx, file.id, filename, file.updated_ts).await?;
        filename.clone_into(&mut file.filename);
        let holders: Vec<NoteId> = file.note.iter().map(|holder| holder.id).collect();
        cards::refresh_cards(&mut tx, &holders).await?;
    }
    tx.commit().await?;
    Ok(file)
}

/// Deletes one of the caller's own files; somebody else's answers as if it did not exist.
pub async fn delete(desk: &Desk<'_>, uid: &str) -> Result<(), Error> {
    let member = desk.member()?;
    let mut tx = desk.begin();
    tx.touch().await?;
    cards::lock_many(&mut tx).await?;
    let file = attachments::find_attachment(&mut tx, uid).await?;
    let file = file.filter(|file| file.creator_id == member.id).ok_or_else(Error::no_attachment)?;
    remove(&mut tx, &[file]).await?;
    Ok(tx.commit().await?)
}

/// Deletes several files, all or none. Their creator and admins may.
pub async fn delete_many(desk: &Desk<'_>, uids: &[String]) -> Result<(), Error> {
    let member = desk.member()?;
    if uids.is_empty() {
        return Err(Error::invalid("attachment names are required"));
    }
    if uids.len() > MOST_AT_ONCE {
        return Err(Error::invalid(format!("too many attachment names; max {MOST_AT_ONCE}")));
    }
    let mut tx = desk.begin();
    tx.touch().await?;
    cards::lock_many(&mut tx).await?;
    let found = attachments::find_attachments(&mut tx, uids).await?;
    if uids.iter().any(|uid| !found.iter().any(|file| file.uid == *uid)) {
        return Err(Error::no_attachment());
    }
    if !desk.actor.is_admin() && found.iter().any(|file| file.creator_id != member.id) {
        return Err(Error::Denied);
    }
    remove(&mut tx, &found).await?;
    Ok(tx.commit().await?)
}

async fn remove(tx: &mut TenantTx, files: &[Attachment]) -> Result<(), Error> {
    let mut holders: Vec<NoteId> = files.iter().filter_map(|file| file.note.as_ref()).map(|holder| holder.id).collect();
    holders.sort_unstable();
    holders.dedup();
    for holder in &holders {
        cards::lock_note(tx, *holder).await?;
    }
    let ids: Vec<AttachmentId> = files.iter().map(|file| file.id).collect();
    attachments::delete_attachments(tx, &ids).await?;
    Ok(cards::refresh_cards(tx, &holders).await?)
}

/// The motion description of a file's row, for [`super::download`].
pub fn has_film(payload: &Value) -> bool {
    motion::of_payload(payload).is_some_and(|motion| motion.has_embedded_video)
}
