//! Names of things. Each is a type of its own, so that one is never taken for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A row number inside one tenant.
macro_rules! row_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

row_id!(
    /// A member of a tenant. Imported members keep the number they had.
    MemberId
);
row_id!(
    /// A note of a tenant; never shown to anyone (`uid` is).
    NoteId
);
row_id!(
    /// An attachment of a tenant; never shown to anyone (`uid` is).
    AttachmentId
);

/// The lasting identity of a tenant. Its keys, points and sessions hang on it, whatever schema holds its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantId(pub uuid::Uuid);

impl TenantId {
    /// The control plane itself, which is kept in points as if it were a tenant. No tenant has this id.
    pub const CONTROL: Self = Self(uuid::Uuid::nil());

    /// Whether the control plane is meant.
    pub fn is_control(self) -> bool {
        self == Self::CONTROL
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl FromStr for TenantId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        uuid::Uuid::parse_str(text).map(Self).map_err(|_| InvalidId("tenant id"))
    }
}

/// The name of a tenant's Postgres schema and of its role: `t_` and 13 base32 characters.
///
/// Only a value of this type is ever spliced into SQL text, so its alphabet is what keeps that safe.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SchemaId(String);

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

impl SchemaId {
    /// A new one.
    pub fn draw(chance: &crate::chance::Chance) -> Self {
        Self(format!("t_{}", chance.text(BASE32, 13)))
    }

    /// The name, safe to stand unquoted in SQL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SchemaId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let right =
            text.strip_prefix("t_").is_some_and(|rest| rest.len() == 13 && rest.bytes().all(|b| BASE32.contains(&b)));
        if right { Ok(Self(text.to_owned())) } else { Err(InvalidId("schema id")) }
    }
}

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The short name of a tenant in URLs and commands: 1–40 of `a-z 0-9 -`, first and last not `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Slug(String);

impl Slug {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Slug {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let right = (1..=40).contains(&text.len())
            && text.bytes().all(|b| inner(b) || b == b'-')
            && text.bytes().next().is_some_and(inner)
            && text.bytes().last().is_some_and(inner);
        if right {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId("slug: use 1 to 40 of a-z, 0-9 and -, beginning and ending with a letter or digit"))
        }
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text does not have the shape of the named kind of id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0}")]
pub struct InvalidId(pub &'static str);

/// Whether a client may choose `text` as the public id of a note or attachment: 1–36 of letters, digits and `-`,
/// first and last not `-` (the rule of Memos 0.30). Stored ids of older files may have other shapes.
pub fn is_client_uid(text: &str) -> bool {
    is_name(text)
}

/// Whether `text` may be a new username: 1–36 ASCII letters, digits or `-`, first and last not `-`, not digits only.
pub fn is_username(text: &str) -> bool {
    is_name(text) && !text.bytes().all(|b| b.is_ascii_digit())
}

fn is_name(text: &str) -> bool {
    (1..=36).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_plain() {
        for good in ["a", "default", "team-7", "0x"] {
            assert!(good.parse::<Slug>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "ä", &"x".repeat(41)] {
            assert!(bad.parse::<Slug>().is_err(), "{bad}");
        }
    }

    #[test]
    fn drawn_schema_ids_parse() {
        let chance = crate::chance::Chance::seeded(7);
        for _ in 0..100 {
            let drawn = SchemaId::draw(&chance);
            assert_eq!(drawn.as_str().parse::<SchemaId>(), Ok(drawn.clone()));
        }
        assert!("t_ABCDEFGHIJKLM".parse::<SchemaId>().is_err());
        assert!("public".parse::<SchemaId>().is_err());
    }
}
