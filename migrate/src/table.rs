//! The tables of a tenant as an import fills them.

use serde_json::Value as Json;

/// How a column is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// bigint or integer.
    Int,
    /// boolean.
    Bool,
    /// text.
    Text,
    /// jsonb.
    Json,
    /// text[].
    Texts,
}

/// One column value on its way into the tenant.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// NULL.
    Null,
    /// bigint or integer.
    Int(i64),
    /// boolean.
    Bool(bool),
    /// text.
    Text(String),
    /// jsonb.
    Json(Json),
    /// text[].
    Texts(Vec<String>),
}

impl From<i64> for Cell {
    fn from(n: i64) -> Self {
        Self::Int(n)
    }
}
impl From<bool> for Cell {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}
impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
impl From<Json> for Cell {
    fn from(json: Json) -> Self {
        Self::Json(json)
    }
}
impl From<Vec<String>> for Cell {
    fn from(texts: Vec<String>) -> Self {
        Self::Texts(texts)
    }
}
impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A table that an import fills. The first `key` columns are its primary key.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// Name in the tenant's schema.
    pub name: &'static str,
    /// Columns in the order of the cells.
    pub columns: &'static [(&'static str, Kind)],
    /// How many leading columns are the primary key.
    pub key: usize,
}

use Kind::{Bool, Int, Json as JsonKind, Text, Texts};

/// Members.
pub static MEMBER: Target = Target {
    name: "member",
    columns: &[
        ("id", Int),
        ("username", Text),
        ("role", Text),
        ("archived", Bool),
        ("email", Text),
        ("display_name", Text),
        ("avatar", Text),
        ("description", Text),
        ("password_hash", Text),
        ("created_ts", Int),
        ("updated_ts", Int),
    ],
    key: 1,
};
/// Notes and comments.
pub static NOTE: Target = Target {
    name: "note",
    columns: &[
        ("id", Int),
        ("uid", Text),
        ("creator_id", Int),
        ("parent_id", Int),
        ("created_ts", Int),
        ("updated_ts", Int),
        ("archived", Bool),
        ("pinned", Bool),
        ("visibility", Text),
        ("content", Text),
        ("tags", Texts),
        ("snippet", Text),
        ("title", Text),
        ("has_link", Bool),
        ("has_task_list", Bool),
        ("has_code", Bool),
        ("has_incomplete_tasks", Bool),
        ("location", JsonKind),
        ("card", JsonKind),
    ],
    key: 1,
};
/// Relations between notes.
pub static NOTE_RELATION: Target =
    Target { name: "note_relation", columns: &[("note_id", Int), ("related_id", Int), ("kind", Text)], key: 3 };
/// Files.
pub static ATTACHMENT: Target = Target {
    name: "attachment",
    columns: &[
        ("id", Int),
        ("uid", Text),
        ("creator_id", Int),
        ("note_id", Int),
        ("position", Int),
        ("created_ts", Int),
        ("updated_ts", Int),
        ("filename", Text),
        ("kind", Text),
        ("size", Int),
        ("sha256", Text),
        ("storage_key", Text),
        ("external_link", Text),
        ("payload", JsonKind),
    ],
    key: 1,
};
/// Reactions.
pub static REACTION: Target = Target {
    name: "reaction",
    columns: &[("id", Int), ("note_id", Int), ("creator_id", Int), ("reaction", Text), ("created_ts", Int)],
    key: 1,
};
/// Share links.
pub static NOTE_SHARE: Target = Target {
    name: "note_share",
    columns: &[
        ("id", Int),
        ("token", Text),
        ("note_id", Int),
        ("creator_id", Int),
        ("created_ts", Int),
        ("expires_ts", Int),
    ],
    key: 1,
};
/// What members set for themselves.
pub static MEMBER_SETTING: Target =
    Target { name: "member_setting", columns: &[("member_id", Int), ("key", Text), ("value", JsonKind)], key: 2 };
/// What the tenant set.
pub static SETTING: Target = Target { name: "setting", columns: &[("key", Text), ("value", JsonKind)], key: 1 };
/// Personal access tokens.
pub static ACCESS_TOKEN: Target = Target {
    name: "access_token",
    columns: &[
        ("token_id", Text),
        ("member_id", Int),
        ("token_hash", Text),
        ("description", Text),
        ("created_ns", Int),
        ("expires_ns", Int),
        ("last_used_ns", Int),
    ],
    key: 1,
};
/// Identity providers.
pub static IDENTITY_PROVIDER: Target = Target {
    name: "identity_provider",
    columns: &[
        ("id", Int),
        ("uid", Text),
        ("name", Text),
        ("kind", Text),
        ("identifier_filter", Text),
        ("config", JsonKind),
    ],
    key: 1,
};
/// Linked identities.
pub static MEMBER_IDENTITY: Target = Target {
    name: "member_identity",
    columns: &[
        ("id", Int),
        ("member_id", Int),
        ("provider", Text),
        ("extern_uid", Text),
        ("created_ts", Int),
        ("updated_ts", Int),
    ],
    key: 1,
};
/// Notices.
pub static NOTIFICATION: Target = Target {
    name: "notification",
    columns: &[
        ("id", Int),
        ("created_ts", Int),
        ("sender_id", Int),
        ("receiver_id", Int),
        ("archived", Bool),
        ("kind", Text),
        ("note_id", Int),
        ("related_id", Int),
    ],
    key: 1,
};
/// What has no other place.
pub static IMPORT_REMAINDER: Target = Target {
    name: "import_remainder",
    columns: &[("id", Int), ("source", Text), ("row_key", Text), ("value", JsonKind)],
    key: 1,
};

/// Every table, in the order in which an import fills them.
pub static ALL: [&Target; 13] = [
    &MEMBER,
    &NOTE,
    &NOTE_RELATION,
    &ATTACHMENT,
    &REACTION,
    &NOTE_SHARE,
    &MEMBER_SETTING,
    &SETTING,
    &ACCESS_TOKEN,
    &IDENTITY_PROVIDER,
    &MEMBER_IDENTITY,
    &NOTIFICATION,
    &IMPORT_REMAINDER,
];
