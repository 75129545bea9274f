//! What the pages show: plain values, no rules.

use store::control::drills::drill::Model as DrillRow;
use store::control::points::point::Model as PointRow;
use time::OffsetDateTime;
use time::macros::format_description;
use web::assets;

use crate::recovery::{Recovery, duration};

/// What every page has around it.
pub(super) struct Frame {
    pub(super) style: String,
    pub(super) script: String,
    pub(super) icon: String,
    pub(super) operator: Option<String>,
    pub(super) here: &'static str,
    pub(super) said: Option<String>,
}

impl Frame {
    pub(super) fn new(operator: Option<&str>, here: &'static str, said: Option<String>) -> Self {
        Self {
            style: assets::url("base.css"),
            script: assets::url("app.js"),
            icon: assets::url("favicon.svg"),
            operator: operator.map(ToOwned::to_owned),
            here,
            said,
        }
    }
}

/// 2026-11-22 14:35:00 UTC.
pub(super) fn moment(at: OffsetDateTime) -> String {
    let shape = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    at.to_offset(time::UtcOffset::UTC).format(&shape).unwrap_or_default()
}

/// 12 B, 3.4 KiB, 5.6 MiB.
pub(super) fn bytes(count: i64) -> String {
    let (mut value, mut unit) = (count as f64, "B");
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") }
}

/// A line of "Can we recover?".
pub(super) struct RecoveryRow {
    pub(super) status: &'static str,
    pub(super) slug: String,
    pub(super) state: &'static str,
    pub(super) rpo: String,
    pub(super) proof: String,
    pub(super) rto: String,
    pub(super) point: String,
    rpo_seconds: Option<f64>,
    proof_age: Option<i64>,
}

impl RecoveryRow {
    pub(super) fn new(slug: String, state: &'static str, recovery: &Recovery) -> Self {
        Self {
            status: recovery.status,
            slug,
            state,
            rpo: rpo(recovery),
            proof: proof(recovery),
            rto: rto(recovery),
            point: point(recovery),
            rpo_seconds: recovery.rpo_seconds,
            proof_age: recovery.last_proof.as_ref().map(|proof| proof.age_seconds),
        }
    }
}

/// The state of all tenants in a few sentences, the worst of each kind named.
pub(super) fn headline(rows: &[RecoveryRow]) -> String {
    let count = |status: &str| rows.iter().filter(|row| row.status == status).count();
    let words = ["ok", "degraded", "overdue", "failed", "unknown"];
    let counted: Vec<String> =
        words.iter().filter(|word| count(word) > 0).map(|word| format!("{} {word}", count(word))).collect();
    let mut said = format!("{} tenant{}: {}.", rows.len(), if rows.len() == 1 { "" } else { "s" }, counted.join(", "));
    let named = |row: &RecoveryRow| if rows.len() == 1 { String::new() } else { format!("{}, ", row.slug) };
    let exposed = rows.iter().filter_map(|row| Some((row, row.rpo_seconds.filter(|seconds| *seconds > 0.0)?)));
    match exposed.max_by(|one, other| one.1.total_cmp(&other.1)) {
        Some((row, seconds)) => {
            said.push_str(&format!(" Largest loss if it all went now: {}{}.", named(row), duration(seconds)));
        }
        None if count("unknown") == 0 => said.push_str(" Nothing would be lost now."),
        None => {}
    }
    let unproven: Vec<&str> = rows.iter().filter(|row| row.proof_age.is_none()).map(|row| row.slug.as_str()).collect();
    match (unproven.as_slice(), rows.iter().max_by_key(|row| row.proof_age)) {
        ([], Some(oldest)) => {
            let age = oldest.proof_age.unwrap_or_default() as f64;
            said.push_str(&format!(" Oldest proof: {}{} ago.", named(oldest), duration(age)));
        }
        ([one], _) => said.push_str(&format!(" Never restored: {one}.")),
        ([first, rest @ ..], _) => said.push_str(&format!(" Never restored: {first} and {} more.", rest.len())),
        _ => {}
    }
    said
}

pub(super) fn rto(recovery: &Recovery) -> String {
    let seconds = recovery.last_proof.as_ref().and_then(|proof| proof.rto_seconds);
    seconds.map_or_else(|| "not measured".to_owned(), duration)
}

pub(super) fn point(recovery: &Recovery) -> String {
    recovery.last_point_age.map_or_else(|| "none".to_owned(), |age| format!("{} ago", duration(age as f64)))
}

pub(super) fn rpo(recovery: &Recovery) -> String {
    match recovery.rpo_seconds {
        None => "unknown".to_owned(),
        Some(seconds) if seconds <= 0.0 => "nothing would be lost".to_owned(),
        Some(seconds) => duration(seconds),
    }
}

pub(super) fn proof(recovery: &Recovery) -> String {
    recovery.last_proof.as_ref().map_or_else(|| "never restored".to_owned(), crate::recovery::Proof::sentence)
}

/// "3 h ago".
pub(super) fn ago(at: OffsetDateTime, now: OffsetDateTime) -> String {
    format!("{} ago", duration((now - at).as_seconds_f64()))
}

/// "1 note", "2 notes".
pub(super) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

pub(super) struct PointLine {
    pub(super) state: String,
    pub(super) name: String,
    pub(super) taken: String,
    pub(super) notes: i64,
    pub(super) stored: String,
}

impl From<PointRow> for PointLine {
    fn from(row: PointRow) -> Self {
        Self {
            state: row.state,
            name: row.point,
            taken: moment(row.created_at),
            notes: row.notes,
            stored: bytes(row.bytes_stored),
        }
    }
}

pub(super) struct DrillLine {
    pub(super) verdict: String,
    pub(super) name: String,
    pub(super) when: String,
    pub(super) notes: i64,
    pub(super) rto: String,
}

impl From<&DrillRow> for DrillLine {
    fn from(row: &DrillRow) -> Self {
        Self {
            verdict: row.verdict.clone(),
            name: row.drill.clone(),
            when: moment(row.finished_at),
            notes: row.notes,
            rto: row.rto_seconds.map_or_else(|| "not measured".to_owned(), duration),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(slug: &str, status: &'static str, rpo_seconds: Option<f64>, proof_age: Option<i64>) -> RecoveryRow {
        let recovery = Recovery {
            status,
            rpo_seconds,
            last_point: None,
            last_point_age: None,
            last_proof: None,
            missing_files: 0,
            last_verdict: None,
        };
        RecoveryRow { proof_age, ..RecoveryRow::new(slug.to_owned(), "active", &recovery) }
    }

    #[test]
    fn the_headline_names_the_worst() {
        assert_eq!(
            headline(&[row("a", "ok", Some(0.0), Some(60))]),
            "1 tenant: 1 ok. Nothing would be lost now. Oldest proof: 1 m 0 s ago."
        );
        assert_eq!(
            headline(&[row("a", "ok", Some(5.0), Some(90_000)), row("b", "ok", Some(7200.0), Some(60))]),
            "2 tenants: 2 ok. Largest loss if it all went now: b, 2 h. Oldest proof: a, 25 h ago."
        );
        assert_eq!(
            headline(&[row("a", "unknown", None, None), row("b", "degraded", Some(0.0), None)]),
            "2 tenants: 1 degraded, 1 unknown. Never restored: a and 1 more."
        );
    }
}
