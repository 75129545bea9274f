//! What a member's program asks the server of the copy.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use domain::note::{Location, Visibility};
use markdown::{FileAttachment, NoteFile};
use reqwest::Method;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The one address; the socket decides where it leads.
const BASE: &str = "http://localhost";

/// A client of the copy. Cheap to clone.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
}

/// Why an answer is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("no answer: {0}")]
    Http(#[from] reqwest::Error),
    #[error("answered {status}: {body}")]
    Status { status: u16, body: String },
    #[error("the answer lacks {0}")]
    Shape(&'static str),
}

impl Client {
    pub(super) fn new(socket: &Path) -> Result<Self, Failure> {
        rustls::crypto::ring::default_provider().install_default().ok();
        let http = reqwest::Client::builder()
            .unix_socket(socket.to_owned())
            .timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(32)
            .build()?;
        Ok(Self { http })
    }

    async fn ask(&self, method: Method, path: &str, token: &str, body: Option<Value>) -> Result<Bytes, Failure> {
        let mut request = self.http.request(method, format!("{BASE}{path}"));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let bytes = answer.bytes().await?;
        if status.is_success() {
            return Ok(bytes);
        }
        let body = String::from_utf8_lossy(bytes.get(..300).unwrap_or(&bytes)).into_owned();
        Err(Failure::Status { status: status.as_u16(), body })
    }

    async fn json(&self, method: Method, path: &str, token: &str, body: Option<Value>) -> Result<Value, Failure> {
        let bytes = self.ask(method, path, token, body).await?;
        serde_json::from_slice(&bytes).map_err(|_| Failure::Shape("a JSON document"))
    }

    /// Ordinary sign-in; the token that requests carry from then on.
    pub(super) async fn sign_in(&self, username: &str, password: &str) -> Result<String, Failure> {
        let body = json!({ "passwordCredentials": { "username": username, "password": password } });
        let answer = self.json(Method::POST, "/api/v1/auth/signin", "", Some(body)).await?;
        text(&answer, "accessToken").ok_or(Failure::Shape("accessToken"))
    }

    /// How many notes one page of the list shows.
    pub(super) async fn list(&self, token: &str, filter: Option<&str>) -> Result<Vec<Value>, Failure> {
        let mut path = "/api/v1/memos?pageSize=50".to_owned();
        if let Some(filter) = filter {
            path.push_str("&filter=");
            path.extend(url::form_urlencoded::byte_serialize(filter.as_bytes()));
        }
        let answer = self.json(Method::GET, &path.replace('+', "%20"), token, None).await?;
        Ok(answer.get("memos").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    /// A note as its creator sees it, as a Markdown file.
    pub(super) async fn note_file(&self, token: &str, uid: &str) -> Result<Vec<u8>, Failure> {
        let answer = self.json(Method::GET, &format!("/api/v1/memos/{}", segment(uid)), token, None).await?;
        Ok(file_of(&answer)?.render())
    }

    pub(super) async fn create(&self, token: &str, content: &str) -> Result<String, Failure> {
        let body = json!({ "content": content, "visibility": "PRIVATE" });
        let answer = self.json(Method::POST, "/api/v1/memos", token, Some(body)).await?;
        text(&answer, "name").ok_or(Failure::Shape("name"))
    }

    pub(super) async fn content(&self, token: &str, name: &str) -> Result<String, Failure> {
        let answer = self.json(Method::GET, &format!("/api/v1/{name}"), token, None).await?;
        text(&answer, "content").ok_or(Failure::Shape("content"))
    }

    pub(super) async fn delete(&self, token: &str, name: &str) -> Result<(), Failure> {
        self.ask(Method::DELETE, &format!("/api/v1/{name}"), token, None).await.map(|_| ())
    }

    /// The bytes of an attached file.
    pub(super) async fn file(&self, token: &str, uid: &str, filename: &str) -> Result<Bytes, Failure> {
        let path = format!("/file/attachments/{}/{}", segment(uid), segment(filename));
        self.ask(Method::GET, &path, token, None).await
    }
}

fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn moment(value: &Value, key: &'static str) -> Result<i64, Failure> {
    let text = text(value, key).ok_or(Failure::Shape(key))?;
    OffsetDateTime::parse(&text, &Rfc3339).map(OffsetDateTime::unix_timestamp).map_err(|_| Failure::Shape(key))
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// The last part of a resource name: `users/ann` → `ann`.
fn id(value: &Value, key: &'static str, before: &str) -> Result<String, Failure> {
    let name = text(value, key).ok_or(Failure::Shape(key))?;
    name.strip_prefix(before).map(str::to_owned).ok_or(Failure::Shape(key))
}

/// A note's file from the answer that shows the note.
fn file_of(memo: &Value) -> Result<NoteFile, Failure> {
    let uid = id(memo, "name", "memos/")?;
    let visibility: Visibility =
        text(memo, "visibility").and_then(|word| word.parse().ok()).ok_or(Failure::Shape("visibility"))?;
    let location = match memo.get("location") {
        None | Some(Value::Null) => None,
        Some(place) => Some(serde_json::from_value::<Location>(place.clone()).map_err(|_| Failure::Shape("location"))?),
    };
    let own = format!("memos/{uid}");
    let name_in = |relation: &Value, end: &str| relation.get(end).and_then(|end| text(end, "name")).unwrap_or_default();
    let mut relations: Vec<String> = list(memo, "relations")
        .filter(|one| text(one, "type").as_deref() == Some("REFERENCE") && name_in(one, "memo") == own)
        .map(|one| name_in(one, "relatedMemo").trim_start_matches("memos/").to_owned())
        .collect();
    relations.sort_unstable();
    let attachments = list(memo, "attachments")
        .map(|file| {
            let size = text(file, "size").and_then(|size| size.parse().ok());
            Ok(FileAttachment {
                uid: id(file, "name", "attachments/")?,
                filename: text(file, "filename").unwrap_or_default(),
                kind: text(file, "type").unwrap_or_default(),
                size: size.ok_or(Failure::Shape("size"))?,
                external_link: text(file, "externalLink").unwrap_or_default(),
            })
        })
        .collect::<Result<_, Failure>>()?;
    let parent = match memo.get("parent") {
        None | Some(Value::Null) => None,
        Some(_) => Some(id(memo, "parent", "memos/")?),
    };
    Ok(NoteFile {
        uid,
        creator: id(memo, "creator", "users/")?,
        created_ts: moment(memo, "createTime")?,
        updated_ts: moment(memo, "updateTime")?,
        visibility,
        archived: text(memo, "state").as_deref() == Some("ARCHIVED"),
        pinned: memo.get("pinned").and_then(Value::as_bool).unwrap_or_default(),
        tags: list(memo, "tags").filter_map(Value::as_str).map(str::to_owned).collect(),
        location,
        attachments,
        relations,
        parent,
        content: text(memo, "content").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_becomes_the_file_of_its_note() {
        let memo = json!({
            "name": "memos/n1", "state": "ARCHIVED", "creator": "users/ann", "createTime": "2026-01-02T03:04:05Z",
            "updateTime": "2026-01-02T03:04:06Z", "content": "text\n", "visibility": "PROTECTED", "tags": ["a"],
            "pinned": true, "location": {"placeholder": "here", "latitude": 1.5, "longitude": -2.0},
            "attachments": [{"name": "attachments/f1", "filename": "x.png", "type": "image/png", "size": "12", "externalLink": ""}],
            "relations": [
                {"memo": {"name": "memos/n1"}, "relatedMemo": {"name": "memos/z"}, "type": "REFERENCE"},
                {"memo": {"name": "memos/y"}, "relatedMemo": {"name": "memos/n1"}, "type": "REFERENCE"}
            ],
        });
        let file = file_of(&memo).unwrap();
        assert_eq!(file.relations, ["z"]);
        assert_eq!((file.created_ts, file.archived, file.attachments[0].size), (1_767_323_045, true, 12));
        assert!(file_of(&json!({"name": "memos/n1"})).is_err());
    }
}
