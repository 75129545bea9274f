//! What operators ask for about points and about tenants that were restored from them.

use domain::id::TenantId;
use serde::{Deserialize, Serialize};

use crate::message::{Kind, Trigger, kind};

/// Read one point back, from every store that it is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyPoint {
    /// Whose point.
    pub tenant: TenantId,
    /// Its name.
    pub point: String,
    /// Who asked.
    pub trigger: Trigger,
}

impl Kind for VerifyPoint {
    const NAME: &'static str = kind::VERIFY;
    const TRIES: i32 = 2;

    fn tenant(&self) -> Option<TenantId> {
        Some(self.tenant)
    }

    fn once_key(&self) -> Option<String> {
        Some(format!("verify:{}", self.point))
    }
}

/// Find out which points of a tenant need what others have sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SurveyPoints {
    /// Whose points.
    pub tenant: TenantId,
    /// Who asked.
    pub trigger: Trigger,
}

impl Kind for SurveyPoints {
    const NAME: &'static str = kind::SURVEY;
    const TRIES: i32 = 2;

    fn tenant(&self) -> Option<TenantId> {
        Some(self.tenant)
    }

    fn once_key(&self) -> Option<String> {
        Some(format!("survey:{}", self.tenant))
    }
}

/// Restore a point beside the live tenant, closed and quiet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestorePoint {
    /// Whose point.
    pub tenant: TenantId,
    /// Its name.
    pub point: String,
    /// Slug of the copy.
    pub slug: String,
    /// Who asked.
    pub trigger: Trigger,
}

impl Kind for RestorePoint {
    const NAME: &'static str = kind::RESTORE;
    /// What failed is for the operator to judge, who is looking at it.
    const TRIES: i32 = 1;

    fn tenant(&self) -> Option<TenantId> {
        Some(self.tenant)
    }

    fn once_key(&self) -> Option<String> {
        Some(format!("restore:{}", self.slug))
    }
}

/// What of a point is to come back into the live tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", content = "name", rename_all = "snake_case")]
pub enum Part {
    /// The note of that uid, with comments, reactions and files.
    Note(String),
    /// Every note of the member of that username that is not there any more.
    Member(String),
    /// The attachment of that uid.
    Attachment(String),
}

impl Part {
    /// From the word for its kind and what people have at hand: a uid or username, `memos/UID`, or a link that ends with it.
    pub fn named(what: &str, text: &str) -> Option<Self> {
        let link = text.trim().split(['?', '#']).next().unwrap_or_default();
        let mut parts = link.trim_end_matches('/').rsplit('/');
        let last = parts.next().unwrap_or_default();
        // a link to a file ends with the file's name: /file/attachments/UID/name.png
        let name = match (what, parts.next(), parts.next()) {
            ("attachment", Some(uid), Some("attachments")) => uid,
            _ => last,
        };
        let name = name.to_owned();
        match what {
            _ if name.is_empty() => None,
            "note" => Some(Self::Note(name)),
            "member" => Some(Self::Member(name)),
            "attachment" => Some(Self::Attachment(name)),
            _ => None,
        }
    }

    /// The word for its kind.
    pub const fn what(&self) -> &'static str {
        match self {
            Self::Note(_) => "note",
            Self::Member(_) => "member",
            Self::Attachment(_) => "attachment",
        }
    }

    /// Its uid or username.
    pub fn name(&self) -> &str {
        let (Self::Note(name) | Self::Member(name) | Self::Attachment(name)) = self;
        name
    }
}

/// Bring a part of a point back into the live tenant, or look what that would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestorePart {
    /// Whose point, and into which tenant.
    pub tenant: TenantId,
    /// The point's name.
    pub point: String,
    /// What is to come back.
    #[serde(flatten)]
    pub part: Part,
    /// Only look.
    pub dry_run: bool,
    /// Who asked.
    pub trigger: Trigger,
}

impl Kind for RestorePart {
    const NAME: &'static str = kind::PART;
    /// What failed is for the operator to judge, who is looking at it.
    const TRIES: i32 = 1;

    fn tenant(&self) -> Option<TenantId> {
        Some(self.tenant)
    }

    fn once_key(&self) -> Option<String> {
        Some(format!("part:{}:{}:{}", self.tenant, self.part.what(), self.part.name()))
    }
}

/// Compare a tenant with another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompareTenants {
    /// The first.
    pub tenant: TenantId,
    /// Its slug.
    pub slug: String,
    /// Slug of the second.
    pub other: String,
    /// Who asked.
    pub trigger: Trigger,
}

impl Kind for CompareTenants {
    const NAME: &'static str = kind::COMPARE;
    const TRIES: i32 = 2;

    fn tenant(&self) -> Option<TenantId> {
        Some(self.tenant)
    }

    fn once_key(&self) -> Option<String> {
        Some(format!("compare:{}:{}", self.tenant, self.other))
    }
}

/// Put a restored tenant in the place of the live one, or take that back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwapTenants {
    /// The tenant in use.
    pub tenant: TenantId,
    /// Its slug.
    pub slug: String,
    /// Slug of the other: the restored one, or the one with the old rows.
    pub other: String,
    /// How many days what is live now is kept.
    pub keep_days: u32,
    /// Number of the swap that is taken back; none: this is a swap.
    pub undo: Option<i64>,
    /// Who asked.
    pub trigger: Trigger,
}

impl Kind for SwapTenants {
    const NAME: &'static str = kind::SWAP;
    /// What failed is for the operator to judge, who is looking at it.
    const TRIES: i32 = 1;

    fn tenant(&self) -> Option<TenantId> {
        Some(self.tenant)
    }

    fn once_key(&self) -> Option<String> {
        Some(format!("swap:{}", self.tenant))
    }
}

#[cfg(test)]
mod tests {
    use super::Part;

    #[test]
    fn a_part_is_named_by_what_people_have_at_hand() {
        let note = Some(Part::Note("n-1".to_owned()));
        for text in
            ["n-1", " memos/n-1 ", "https://notes.example.org/memos/n-1", "https://x.org/t/acme/memos/n-1/?a=b#c"]
        {
            assert_eq!(Part::named("note", text), note, "{text}");
        }
        assert_eq!(Part::named("member", "users/ann"), Some(Part::Member("ann".to_owned())));
        let file = Some(Part::Attachment("a-5".to_owned()));
        for text in ["a-5", "attachments/a-5", "/file/attachments/a-5/cat.png"] {
            assert_eq!(Part::named("attachment", text), file, "{text}");
        }
        assert_eq!((Part::named("note", " / "), Part::named("everything", "x")), (None, None));
    }
}
