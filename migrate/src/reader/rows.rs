//! The rows of a Memos database as structs, whatever release wrote them.

use serde_json::Value as Json;

use super::quoted;
use super::value::{Oddity, Value};

/// One column asked for: under which name, which column it needs, and the expression when it is not the column itself.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// Name in the record.
    pub name: &'static str,
    /// Column that must exist.
    pub needs: &'static str,
    expression: Option<&'static str>,
}

impl Ask {
    /// The column itself.
    pub const fn column(name: &'static str) -> Self {
        Self { name, needs: name, expression: None }
    }

    /// A column under another name.
    pub const fn renamed(name: &'static str, needs: &'static str) -> Self {
        Self { name, needs, expression: None }
    }

    /// An expression that needs a column.
    pub const fn computed(name: &'static str, needs: &'static str, expression: &'static str) -> Self {
        Self { name, needs, expression: Some(expression) }
    }

    pub(super) fn sql(&self) -> String {
        self.expression.map_or_else(|| quoted(self.needs), str::to_owned)
    }
}

/// Plain columns.
pub fn ask(names: &[&'static str]) -> Vec<Ask> {
    names.iter().map(|name| Ask::column(name)).collect()
}

/// One row: the values asked for, and what was odd about them.
#[derive(Clone, Debug)]
pub struct Record {
    /// Table of the source.
    pub table: String,
    fields: Vec<(&'static str, Option<Value>)>,
    /// What was odd so far.
    pub odd: Vec<Oddity>,
}

impl Record {
    pub(super) fn new(table: &str, columns: usize) -> Self {
        Self { table: table.to_owned(), fields: Vec::with_capacity(columns), odd: Vec::new() }
    }

    pub(super) fn put(&mut self, name: &'static str, value: Option<Value>) {
        self.fields.push((name, value));
    }

    /// The key shown in reports: the first columns asked for, as many as tell one row of the table.
    pub fn key(&self) -> String {
        let columns = match self.table.as_str() {
            "memo_relation" => 3,
            "memo_organizer" | "memo_resource" | "tag" | "user_setting" => 2,
            _ => 1,
        };
        let shown = |value: &Value| match value.to_json() {
            Json::String(text) => text,
            other => other.to_string(),
        };
        let values = self.fields.iter().take(columns).filter_map(|(_, value)| value.as_ref());
        values.map(shown).collect::<Vec<_>>().join(" ")
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(field, _)| *field == name).and_then(|(_, value)| value.as_ref())
    }

    fn null(&mut self, column: &'static str) {
        let message = format!("{column} is NULL where a value belongs; the default was taken");
        self.odd.push(Oddity { code: "null_replaced", column, message });
    }

    /// A whole number that may be absent.
    pub fn opt_int(&mut self, column: &'static str) -> Option<i64> {
        let mut odd = std::mem::take(&mut self.odd);
        let int = self.value(column).and_then(|value| value.to_int(column, &mut odd));
        self.odd = odd;
        int
    }

    /// A whole number that should be there.
    pub fn int(&mut self, column: &'static str) -> Option<i64> {
        if self.value(column) == Some(&Value::Null) {
            self.null(column);
        }
        self.opt_int(column)
    }

    /// Text that may be absent.
    pub fn opt_text(&mut self, column: &'static str) -> Option<String> {
        let mut odd = std::mem::take(&mut self.odd);
        let text = self.value(column).and_then(|value| value.to_text(column, &mut odd));
        self.odd = odd;
        text
    }

    /// Text that should be there.
    pub fn text(&mut self, column: &'static str) -> String {
        if self.value(column) == Some(&Value::Null) {
            self.null(column);
        }
        self.opt_text(column).unwrap_or_default()
    }

    /// A time that may be absent.
    pub fn opt_time(&mut self, column: &'static str) -> Option<i64> {
        let mut odd = std::mem::take(&mut self.odd);
        let time = self.value(column).and_then(|value| value.to_time(column, &mut odd));
        self.odd = odd;
        time
    }

    /// A time that should be there; 0 when it is not.
    pub fn time(&mut self, column: &'static str) -> i64 {
        if self.value(column) == Some(&Value::Null) {
            self.null(column);
        }
        self.opt_time(column).unwrap_or_default()
    }

    /// JSON; an empty object when there is none or it cannot be read.
    pub fn json(&mut self, column: &'static str) -> Json {
        let Some(text) = self.opt_text(column).filter(|text| !text.trim().is_empty()) else {
            return Json::Object(serde_json::Map::new());
        };
        if let Some(json) = parse_json(&text) {
            json
        } else {
            let message = format!("{column} is not JSON; taken as empty, the original is kept aside");
            self.odd.push(Oddity { code: "invalid_json", column, message });
            Json::Object(serde_json::Map::new())
        }
    }

    /// The original values of the columns that were odd: what the remainder keeps.
    pub fn odd_values(&self) -> Json {
        let mut kept = serde_json::Map::new();
        for odd in &self.odd {
            kept.insert(odd.column.to_owned(), self.value(odd.column).map_or(Json::Null, Value::to_json));
        }
        Json::Object(kept)
    }

    /// The whole row as JSON.
    pub fn as_json(&self) -> Json {
        let fields = self.fields.iter();
        let shown = fields.filter_map(|(name, value)| Some(((*name).to_owned(), value.as_ref()?.to_json())));
        Json::Object(shown.collect())
    }
}

/// JSON that Postgres can hold too: no NUL in any string or key.
pub fn parse_json(text: &str) -> Option<Json> {
    serde_json::from_str::<Json>(text).ok().map(without_nul)
}

fn without_nul(json: Json) -> Json {
    match json {
        Json::String(text) if text.contains('\0') => Json::String(text.replace('\0', "\u{fffd}")),
        Json::Array(items) => Json::Array(items.into_iter().map(without_nul).collect()),
        Json::Object(fields) => Json::Object(
            fields.into_iter().map(|(key, value)| (key.replace('\0', "\u{fffd}"), without_nul(value))).collect(),
        ),
        other => other,
    }
}

/// A row of `user`.
#[derive(Clone, Debug, Default)]
pub struct SourceUser {
    pub id: Option<i64>,
    pub username: String,
    pub role: String,
    pub row_status: String,
    pub email: String,
    pub nickname: String,
    pub password_hash: String,
    pub avatar_url: String,
    pub description: String,
    pub created_ts: i64,
    pub updated_ts: i64,
}

impl SourceUser {
    /// What to ask for. Before 0.8 `username` was `email` and `nickname` was `name`.
    pub fn asked(shape: &super::Shape) -> Vec<Ask> {
        let old = !shape.has("user", "username");
        let mut asked = ask(&[
            "id",
            "role",
            "row_status",
            "password_hash",
            "avatar_url",
            "description",
            "created_ts",
            "updated_ts",
        ]);
        asked.push(if old { Ask::renamed("username", "email") } else { Ask::column("username") });
        asked.push(if old { Ask::renamed("nickname", "name") } else { Ask::column("nickname") });
        if !old {
            asked.push(Ask::column("email"));
        }
        asked
    }

    /// Takes the row.
    pub fn read(record: &mut Record) -> Self {
        Self {
            id: record.int("id"),
            username: record.text("username"),
            role: record.text("role"),
            row_status: record.text("row_status"),
            email: record.opt_text("email").unwrap_or_default(),
            nickname: record.text("nickname"),
            password_hash: record.text("password_hash"),
            avatar_url: record.text("avatar_url"),
            description: record.text("description"),
            created_ts: record.time("created_ts"),
            updated_ts: record.time("updated_ts"),
        }
    }
}

/// A row of `memo`.
#[derive(Clone, Debug, Default)]
pub struct SourceMemo {
    pub id: Option<i64>,
    pub uid: Option<String>,
    pub creator_id: Option<i64>,
    pub created_ts: i64,
    pub updated_ts: i64,
    pub row_status: String,
    pub visibility: String,
    pub content: String,
    pub pinned: bool,
    pub payload: Json,
    /// The space it is in (0.31).
    pub space_id: Option<i64>,
}

impl SourceMemo {
    /// What to ask for. `uid` was `resource_name` in 0.19 and 0.20.
    pub fn asked(shape: &super::Shape) -> Vec<Ask> {
        let mut asked = ask(&[
            "id",
            "creator_id",
            "created_ts",
            "updated_ts",
            "row_status",
            "visibility",
            "content",
            "pinned",
            "payload",
            "space_id",
        ]);
        asked.push(Ask::renamed("uid", shape.first_column("memo", &["uid", "resource_name"]).unwrap_or("uid")));
        asked
    }

    /// Takes the row.
    pub fn read(record: &mut Record) -> Self {
        Self {
            id: record.int("id"),
            uid: uid(record),
            creator_id: record.int("creator_id"),
            created_ts: record.time("created_ts"),
            updated_ts: record.time("updated_ts"),
            row_status: record.text("row_status"),
            visibility: record.text("visibility"),
            content: record.text("content"),
            pinned: record.int("pinned").is_some_and(|n| n != 0),
            payload: record.json("payload"),
            space_id: record.opt_int("space_id"),
        }
    }
}

/// A public id, or none where the release had none or a half-made upgrade left `''` or `""`.
fn uid(record: &mut Record) -> Option<String> {
    record.opt_text("uid").filter(|uid| !uid.trim().is_empty() && uid != "\"\"")
}

/// A row of `attachment` (`resource` before 0.26), without its bytes.
#[derive(Clone, Debug, Default)]
pub struct SourceAttachment {
    pub id: Option<i64>,
    pub rowid: i64,
    pub uid: Option<String>,
    pub creator_id: Option<i64>,
    pub created_ts: i64,
    pub updated_ts: i64,
    pub filename: String,
    pub kind: String,
    pub size: i64,
    pub memo_id: Option<i64>,
    pub storage_type: String,
    pub reference: String,
    pub internal_path: String,
    pub external_link: String,
    pub blob_bytes: Option<i64>,
    pub payload: Json,
}

impl SourceAttachment {
    /// What to ask for in `table`.
    pub fn asked(shape: &super::Shape, table: &str) -> Vec<Ask> {
        let mut asked = ask(&[
            "id",
            "creator_id",
            "created_ts",
            "updated_ts",
            "filename",
            "type",
            "size",
            "memo_id",
            "storage_type",
            "reference",
            "internal_path",
            "external_link",
            "payload",
        ]);
        asked.push(Ask::renamed("uid", shape.first_column(table, &["uid", "resource_name"]).unwrap_or("uid")));
        asked.push(Ask::computed("rowid", "id", "rowid"));
        asked.push(Ask::computed(
            "blob_bytes",
            "blob",
            "CASE WHEN typeof(blob) IN ('blob', 'text') THEN octet_length(blob) END",
        ));
        asked
    }

    /// Takes the row.
    pub fn read(record: &mut Record) -> Self {
        Self {
            id: record.int("id"),
            rowid: record.opt_int("rowid").unwrap_or_default(),
            uid: uid(record),
            creator_id: record.int("creator_id"),
            created_ts: record.time("created_ts"),
            updated_ts: record.time("updated_ts"),
            filename: record.text("filename"),
            kind: record.text("type"),
            size: record.int("size").unwrap_or_default(),
            memo_id: record.opt_int("memo_id"),
            storage_type: record.opt_text("storage_type").unwrap_or_default(),
            reference: record.opt_text("reference").unwrap_or_default(),
            internal_path: record.opt_text("internal_path").unwrap_or_default(),
            external_link: record.opt_text("external_link").unwrap_or_default(),
            blob_bytes: record.opt_int("blob_bytes"),
            payload: record.json("payload"),
        }
    }
}
