//! The audit chain: read, and checked link by link by code that shares nothing with what writes it.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use store::control::audit::AuditRow;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::{Admin, Error, tenants};

/// An event as commands and pages show it.
#[derive(Clone, Debug, Serialize)]
pub struct EventView {
    /// Its place in the chain.
    pub seq: i64,
    /// RFC 3339.
    pub at: String,
    /// Id of the tenant, if one.
    pub tenant: Option<String>,
    /// Who.
    pub actor: String,
    /// What.
    pub event: String,
    /// To what.
    pub object: String,
    /// More.
    pub detail: Value,
    /// SHA-256 over it and the event before.
    pub hash: String,
}

/// What a check of the chain found.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Events read.
    pub events: i64,
    /// Hash of the newest: note it down elsewhere, and a chain cut short is seen too.
    pub head: String,
    /// The first event that does not fit, and why.
    pub broken: Option<Break>,
}

/// Where the chain breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Break {
    /// Place of the event.
    pub seq: i64,
    /// What is wrong with it.
    pub problem: String,
}

pub(crate) fn rfc3339(at: OffsetDateTime) -> String {
    at.to_offset(time::UtcOffset::UTC).format(&Rfc3339).unwrap_or_default()
}

/// The newest events, oldest first; of one tenant when given.
pub async fn tail(admin: &Admin, slug: Option<&str>, limit: i64) -> Result<Vec<EventView>, Error> {
    let tenant = match slug {
        Some(slug) => Some(tenants::find(admin, slug).await?.id),
        None => None,
    };
    let mut rows = admin.store.control().audit_newest(tenant, limit).await?;
    rows.reverse();
    Ok(rows.into_iter().map(view).collect())
}

fn view(row: AuditRow) -> EventView {
    EventView {
        seq: row.seq,
        at: rfc3339(row.at),
        tenant: row.tenant.map(|id| id.to_string()),
        actor: row.actor,
        event: row.event,
        object: row.object,
        detail: row.detail,
        hash: row.hash,
    }
}

/// Reads the whole chain and recomputes every link.
pub async fn verify(admin: &Admin) -> Result<Verdict, Error> {
    let mut verdict = Verdict { events: 0, head: String::new(), broken: None };
    loop {
        let rows = admin.store.control().audit_after(verdict.events, 1_000).await?;
        if rows.is_empty() {
            return Ok(verdict);
        }
        for row in rows {
            if let Some(problem) = problem_of(&row, verdict.events + 1, &verdict.head) {
                verdict.broken = Some(Break { seq: row.seq, problem });
                return Ok(verdict);
            }
            verdict.events = row.seq;
            verdict.head = row.hash;
        }
    }
}

fn problem_of(row: &AuditRow, expected: i64, previous: &str) -> Option<String> {
    if row.seq != expected {
        return Some(format!("event {expected} is missing"));
    }
    if row.previous_hash != previous {
        return Some("it does not follow the event before".to_owned());
    }
    (link(row) != row.hash).then(|| "its content was changed".to_owned())
}

/// SHA-256 over the fields joined by line feeds, as the control plane's first step defines it.
fn link(row: &AuditRow) -> String {
    let stamp = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
    let at = row.at.to_offset(time::UtcOffset::UTC).format(&stamp).unwrap_or_default();
    let tenant = row.tenant.map_or_else(|| "-".to_owned(), |id| id.0.hyphenated().to_string());
    let seq = row.seq.to_string();
    let fields = [&row.previous_hash, &seq, &at, &tenant, &row.actor, &row.event, &row.object, &row.detail_text];
    let text = fields.iter().map(|field| field.as_str()).collect::<Vec<_>>().join("\n");
    hex::encode(Sha256::digest(text.as_bytes()))
}
