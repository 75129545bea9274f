//! The tables of a tenant as an import fills them.

use serde_json::Value as Json;

/// How a column is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// bigint.
    Int,
    /// integer.
    Short,
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

impl Cell {
    /// A whole number, if it is one.
    pub fn int(&self) -> Option<i64> {
        if let Self::Int(n) = self { Some(*n) } else { None }
    }

    /// For messages.
    pub fn shown(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Int(n) => n.to_string(),
            Self::Bool(b) => b.to_string(),
            Self::Text(text) => text.clone(),
            Self::Json(json) => json.to_string(),
            Self::Texts(texts) => texts.join(", "),
        }
    }

    /// As JSON that Postgres takes apart again.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Int(n) => (*n).into(),
            Self::Bool(b) => (*b).into(),
            Self::Text(text) => text.as_str().into(),
            Self::Json(json) => json.clone(),
            Self::Texts(texts) => texts.as_slice().into(),
        }
    }

    /// From JSON that Postgres made of a column; none when it does not fit.
    pub fn from_json(kind: Kind, json: &Json) -> Option<Self> {
        if json.is_null() {
            return Some(Self::Null);
        }
        Some(match kind {
            Kind::Int | Kind::Short => Self::Int(json.as_i64()?),
            Kind::Bool => Self::Bool(json.as_bool()?),
            Kind::Text => Self::Text(json.as_str()?.to_owned()),
            Kind::Json => Self::Json(json.clone()),
            Kind::Texts => {
                let texts: Option<Vec<String>> =
                    json.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect();
                Self::Texts(texts?)
            }
        })
    }
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
    /// Columns that do not tell whether a row was edited, and how each counts then.
    pub derived: &'static [(usize, Derived)],
}

/// How a column counts in the question whether a row was edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derived {
    /// Not at all: it follows from other rows, or changes by mere use.
    Left,
    /// Only whether it is empty.
    Presence,
}

impl Target {
    /// The table with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.into_iter().find(|target| target.name == name)
    }

    /// Names of the columns.
    pub fn names(&self) -> Vec<&'static str> {
        self.columns.iter().map(|(name, _)| *name).collect()
    }
}

use Kind::{Bool, Int, Json as JsonKind, Short, Text, Texts};

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
    derived: &[],
};
/// What a note's text says about itself, and its card.
const FOLLOWS_FROM_TEXT: &[(usize, Derived)] = &[
    (10, Derived::Left),
    (11, Derived::Left),
    (12, Derived::Left),
    (13, Derived::Left),
    (14, Derived::Left),
    (15, Derived::Left),
    (16, Derived::Left),
    (18, Derived::Left),
];
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
    derived: FOLLOWS_FROM_TEXT,
};
/// Relations between notes.
pub static NOTE_RELATION: Target = Target {
    name: "note_relation",
    columns: &[("note_id", Int), ("related_id", Int), ("kind", Text)],
    key: 3,
    derived: &[],
};
/// Files.
pub static ATTACHMENT: Target = Target {
    name: "attachment",
    columns: &[
        ("id", Int),
        ("uid", Text),
        ("creator_id", Int),
        ("note_id", Int),
        ("position", Short),
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
    derived: &[(4, Derived::Left), (10, Derived::Presence), (11, Derived::Left)],
};
/// Reactions.
pub static REACTION: Target = Target {
    name: "reaction",
    columns: &[("id", Int), ("note_id", Int), ("creator_id", Int), ("reaction", Text), ("created_ts", Int)],
    key: 1,
    derived: &[],
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
    derived: &[],
};
/// What members set for themselves.
pub static MEMBER_SETTING: Target = Target {
    name: "member_setting",
    columns: &[("member_id", Int), ("key", Text), ("value", JsonKind)],
    key: 2,
    derived: &[],
};
/// What the tenant set.
pub static SETTING: Target =
    Target { name: "setting", columns: &[("key", Text), ("value", JsonKind)], key: 1, derived: &[] };
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
    derived: &[(6, Derived::Left)],
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
    derived: &[],
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
    derived: &[],
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
    derived: &[],
};
/// What has no other place.
pub static IMPORT_REMAINDER: Target = Target {
    name: "import_remainder",
    columns: &[("id", Int), ("source", Text), ("row_key", Text), ("value", JsonKind)],
    key: 1,
    derived: &[],
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
