//! Audit events: written in the transaction of the change they tell of.

use serde_json::Value;

/// One event to append. Never put note text, passwords or tokens in it.
#[derive(Clone, Debug)]
pub struct AuditEvent<'a> {
    /// Who: `member:NAME`, `operator:NAME`, `job:NAME`, `command`, or `stranger`.
    pub actor: &'a str,
    /// What, as a dotted name: `signin.failed`, `token.created`, `tenant.opened`, …
    pub event: &'a str,
    /// To what: a slug, a username, a point's name; may be empty.
    pub object: &'a str,
    /// More, as a JSON object.
    pub detail: Value,
}

pub(crate) const APPEND: &str = "SELECT holdfast_audit.append($1, $2, $3, $4, $5)";
