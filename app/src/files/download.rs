//! Giving files out: whole or in pieces, small pictures, the film inside a photo.

use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use futures_util::StreamExt;
use objects::FileStore;
use store::tenant::attachments::{self, Attachment};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::caching::{Keep, is_open};
use super::kind::{self, Served};
use super::motion;
use super::range::{self, Wanted};
use super::service;
use super::thumbnail::Thumbnails;
use crate::notes::{Desk, Error, shares};

/// Several pieces in one answer are put together in memory: up to so many bytes. Beyond, the whole file is sent.
const MOST_IN_PIECES: u64 = 8 * 1024 * 1024;
const HTTP_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// What a request wants of a file.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Public id of the file.
    pub uid: String,
    /// `thumbnail=true`.
    pub thumbnail: bool,
    /// `motion=true`.
    pub motion: bool,
    /// `share_token=…`, or empty.
    pub share_token: String,
    /// Whether something stands between the client and us.
    pub behind_proxy: bool,
    /// The `Range` header.
    pub range: Option<String>,
    /// The `If-Modified-Since` header.
    pub if_modified_since: Option<String>,
}

/// The places of the file store and the thumbnails.
#[derive(Clone, Copy)]
pub struct Shelf<'a> {
    /// Where the bytes are.
    pub files: &'a FileStore,
    /// Small pictures made before.
    pub thumbnails: &'a Thumbnails,
}

/// `GET /file/attachments/{uid}/{name}`.
pub async fn serve(desk: &Desk<'_>, shelf: Shelf<'_>, ask: &Ask) -> Result<HttpResponse, web::Error> {
    let file = find(desk, ask).await?;
    let mut answer = given(shelf, &file, ask).await?;
    if answer.status() != StatusCode::RANGE_NOT_SATISFIABLE {
        Keep::of(is_open(desk, &file), ask.behind_proxy).mark(&mut answer);
    }
    Ok(answer)
}

async fn given(shelf: Shelf<'_>, file: &Attachment, ask: &Ask) -> Result<HttpResponse, web::Error> {
    if ask.motion {
        return film(shelf, file, ask).await;
    }
    let how = kind::served(&file.kind);
    let reducible = ask.thumbnail && Thumbnails::suit(&file.kind, file.size) && !file.storage_key.is_empty();
    if reducible && let Some(small) = thumbnail(shelf, file).await? {
        let mut answer = HttpResponse::Ok();
        dress(&mut answer, file, &how);
        return Ok(answer.content_type("image/jpeg").body(small));
    }
    whole_or_pieces(shelf, file, &how, ask).await
}

/// The file, if the caller may read it by himself or through a share.
async fn find(desk: &Desk<'_>, ask: &Ask) -> Result<Attachment, web::Error> {
    let missing = || web::Error::not_found("attachment not found");
    if ask.uid.contains('\0') {
        return Err(missing());
    }
    let mut tx = desk.begin();
    let mut found = attachments::find_attachment(&mut tx, &ask.uid).await.map_err(Error::from)?;
    if found.is_none()
        && let Ok(number) = ask.uid.parse()
    {
        // Links of Memos before 0.23 name files by their number; an exact public id wins.
        found = attachments::find_attachment_by_number(&mut tx, number).await.map_err(Error::from)?;
    }
    let shared = match &found {
        Some(Attachment { note: Some(holder), .. })
            if !ask.share_token.is_empty() && !holder.archived && holder.parent.is_none() =>
        {
            shares::opens(&mut tx, desk, &ask.share_token, holder.id).await?
        }
        _ => false,
    };
    tx.commit().await.map_err(Error::from)?;
    let Some(file) = found else {
        // In private mode strangers do not learn what exists.
        return Err(if desk.enter().is_ok() { missing() } else { refused() });
    };
    if shared {
        return Ok(file);
    }
    match service::may_read(desk, &file) {
        Ok(()) => Ok(file),
        Err(Error::SignInFirst | Error::NotSignedIn) => Err(refused()),
        Err(Error::Denied) => Err(web::Error::denied("forbidden access")),
        Err(other) => Err(other.into()),
    }
}

fn refused() -> web::Error {
    web::Error::unauthenticated("unauthorized access")
}

/// Headers that keep a file from acting as a page.
pub fn guard(answer: &mut HttpResponseBuilder) {
    answer
        .insert_header(("X-Content-Type-Options", "nosniff"))
        .insert_header(("X-Frame-Options", "DENY"))
        .insert_header(("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline';"));
}

fn dress(answer: &mut HttpResponseBuilder, file: &Attachment, how: &Served) {
    guard(answer);
    if how.visual {
        answer.insert_header(("Color-Gamut", "srgb, p3, rec2020"));
    }
    if !how.inline
        && let Ok(value) = HeaderValue::from_bytes(kind::disposition(&file.filename).as_bytes())
    {
        answer.insert_header((HeaderName::from_static("content-disposition"), value));
    }
}

/// Films and sounds carry the time of their last change, everything else the time of upload, as the original does.
fn last_modified(file: &Attachment, how: &Served) -> i64 {
    if how.plays { file.updated_ts } else { file.created_ts }
}

fn http_time(seconds: i64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(HTTP_TIME).ok()
}

fn is_unchanged(header: Option<&str>, modified: i64) -> bool {
    let since = header.and_then(|text| time::PrimitiveDateTime::parse(text, HTTP_TIME).ok());
    since.is_some_and(|since| modified <= since.assume_utc().unix_timestamp())
}

async fn whole_or_pieces(
    shelf: Shelf<'_>,
    file: &Attachment,
    how: &Served,
    ask: &Ask,
) -> Result<HttpResponse, web::Error> {
    let modified = last_modified(file, how);
    let stamp = http_time(modified).unwrap_or_default();
    if is_unchanged(ask.if_modified_since.as_deref(), modified) {
        let mut answer = HttpResponse::NotModified();
        dress(&mut answer, file, how);
        return Ok(answer.insert_header(("Last-Modified", stamp)).finish());
    }
    let size = u64::try_from(file.size).unwrap_or(0);
    let elsewhere = file.storage_key.is_empty();
    let wanted = if elsewhere { Wanted::Whole } else { range::wanted(ask.range.as_deref(), size) };
    let mut answer = HttpResponse::Ok();
    match &wanted {
        Wanted::Beyond => return Ok(unsatisfiable(Some(size))),
        Wanted::Nonsense => return Ok(unsatisfiable(None)),
        Wanted::Pieces(_) => {
            answer.status(StatusCode::PARTIAL_CONTENT);
        }
        Wanted::Whole => {}
    }
    dress(&mut answer, file, how);
    answer.insert_header(("Accept-Ranges", "bytes")).insert_header(("Last-Modified", stamp));
    answer.content_type(how.content_type.as_str());
    if elsewhere {
        return Ok(answer.body(Bytes::new()));
    }
    match wanted {
        Wanted::Pieces(ranges) => match ranges.as_slice() {
            [one] => {
                answer.insert_header(("Content-Range", format!("bytes {}-{}/{size}", one.start, one.end - 1)));
                stream(shelf, file, Some(one.clone()), answer).await
            }
            several if several.iter().map(|range| range.end - range.start).sum::<u64>() <= MOST_IN_PIECES => {
                multipart(shelf, file, how, several, answer).await
            }
            _ => {
                answer.status(StatusCode::OK);
                stream(shelf, file, None, answer).await
            }
        },
        _ => stream(shelf, file, None, answer).await,
    }
}

fn unsatisfiable(size: Option<u64>) -> HttpResponse {
    let mut answer = HttpResponse::RangeNotSatisfiable();
    guard(&mut answer);
    answer.content_type("text/plain; charset=utf-8");
    match size {
        Some(size) => {
            answer.insert_header(("Content-Range", format!("bytes */{size}")));
            answer.body("invalid range: failed to overlap\n")
        }
        None => answer.body("invalid range\n"),
    }
}

async fn stream(
    shelf: Shelf<'_>,
    file: &Attachment,
    range: Option<std::ops::Range<u64>>,
    mut answer: HttpResponseBuilder,
) -> Result<HttpResponse, web::Error> {
    let download = shelf.files.read(&file.storage_key, range).await.map_err(|error| lost(file, error))?;
    let size = download.size;
    Ok(answer.body(SizedStream::new(size, download.into_stream().map(|piece| piece.map_err(actix_web::Error::from)))))
}

/// A row whose bytes cannot be had: the caller hears it, the log says which file.
fn lost(file: &Attachment, error: objects::Error) -> web::Error {
    tracing::error!(attachment = %file.uid, %error, "the bytes of an attachment cannot be read");
    Error::Files(error).into()
}

/// Several pieces in one answer.
async fn multipart(
    shelf: Shelf<'_>,
    file: &Attachment,
    how: &Served,
    ranges: &[std::ops::Range<u64>],
    mut answer: HttpResponseBuilder,
) -> Result<HttpResponse, web::Error> {
    // The longest text that can separate pieces without being part of a file by accident: the file's own hash.
    let boundary: String = file.sha256.chars().take(60).collect();
    let mut body = Vec::new();
    for range in ranges {
        let head = format!(
            "\r\n--{boundary}\r\nContent-Range: bytes {}-{}/{}\r\nContent-Type: {}\r\n\r\n",
            range.start,
            range.end - 1,
            file.size,
            how.content_type
        );
        body.extend_from_slice(head.as_bytes());
        let piece = shelf.files.read(&file.storage_key, Some(range.clone())).await.map_err(|e| lost(file, e))?;
        body.extend_from_slice(&piece.bytes().await.map_err(web::Error::internal)?);
    }
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    Ok(answer.content_type(format!("multipart/byteranges; boundary={boundary}")).body(body))
}

async fn thumbnail(shelf: Shelf<'_>, file: &Attachment) -> Result<Option<Bytes>, web::Error> {
    if let Some(kept) = shelf.thumbnails.find(&file.storage_key) {
        return Ok(Some(kept));
    }
    let whole = whole(shelf, file).await?;
    Ok(shelf.thumbnails.make(&file.storage_key, whole).await)
}

async fn whole(shelf: Shelf<'_>, file: &Attachment) -> Result<Bytes, web::Error> {
    let download = shelf.files.read(&file.storage_key, None).await.map_err(|error| lost(file, error))?;
    download.bytes().await.map_err(web::Error::internal)
}

/// The film inside a moving photo.
async fn film(shelf: Shelf<'_>, file: &Attachment, ask: &Ask) -> Result<HttpResponse, web::Error> {
    let none = || web::Error::invalid("attachment does not have motion media");
    let small = file.size <= super::thumbnail::MOST_BYTES;
    if !service::has_film(&file.payload) || file.storage_key.is_empty() || !small {
        return Err(none());
    }
    let photo = whole(shelf, file).await?;
    let begins = motion::film_start(&photo).ok_or_else(none)?;
    let film = photo.slice(begins..);
    let size = film.len() as u64;
    let mut answer = HttpResponse::Ok();
    dress(&mut answer, file, &kind::served("video/mp4"));
    answer.insert_header(("Accept-Ranges", "bytes")).content_type("video/mp4");
    match range::wanted(ask.range.as_deref(), size) {
        Wanted::Beyond => Ok(unsatisfiable(Some(size))),
        Wanted::Nonsense => Ok(unsatisfiable(None)),
        Wanted::Pieces(ranges) => match ranges.as_slice() {
            [one] => {
                let content_range = format!("bytes {}-{}/{size}", one.start, one.end - 1);
                answer.status(StatusCode::PARTIAL_CONTENT).insert_header(("Content-Range", content_range));
                let bounds = usize::try_from(one.start).unwrap_or(0)..usize::try_from(one.end).unwrap_or(0);
                Ok(answer.body(film.slice(bounds)))
            }
            _ => Ok(answer.body(film)),
        },
        Wanted::Whole => Ok(answer.body(film)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_http() {
        let text = http_time(1_795_354_066).expect("a time");
        assert_eq!(text, "Sun, 22 Nov 2026 13:27:46 GMT");
        assert!(is_unchanged(Some(&text), 1_795_354_066));
        assert!(!is_unchanged(Some(&text), 1_795_354_067));
        assert!(!is_unchanged(Some("yesterday"), 0));
    }
}
