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
