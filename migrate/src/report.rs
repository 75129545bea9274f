//! What an import found and did: the document the operator keeps.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::policy::Policies;

/// Details are listed up to this many per code; the rest is counted in one more line.
const LISTED_PER_CODE: u64 = 1_000;

/// Where the rows came from.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SourceInfo {
    /// `memos-sqlite`, or `unknown` when the file could not be read as one.
    pub kind: String,
    /// Version of Memos as far as the tables show it, for example `0.30`; never used to decide anything.
    pub version: String,
    /// Sixteen hex digits over every table and column name: equal for equal shapes.
    pub fingerprint: String,
    /// `stopped` (files copied) or `running` (online backup).
    pub taken: String,
    /// Version the file itself claims (`BASIC.schemaVersion` or the newest row of `migration_history`), or null.
    pub marker: Option<String>,
}

/// One thing worth knowing about one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Short word for scripts.
    pub code: String,
    /// Table of the source, or empty.
    pub table: String,
    /// Key of the row in the source, or empty.
    pub row: String,
    /// One sentence.
    pub message: String,
}

/// What was compared after writing; `true` means equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Rows per table.
    pub counts: bool,
    /// The hash of every row.
    pub hashes: bool,
    /// Every reference leads to a row.
    pub references: bool,
    /// Bytes and SHA-256 of every file, read back from the file store.
    pub files: bool,
    /// How many notes were read through the API as their authors see them, each as it was sent; 0 where no API is at hand.
    pub sampled: u64,
}

/// Errors and warnings, collected while reading and mapping.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
    seen: BTreeMap<String, u64>,
    policies: Policies,
    /// Rows that a damaged file does not show any more, as far as they can be counted: table → rows.
    pub(crate) unread: BTreeMap<String, u64>,
}

impl Findings {
    /// None yet; `policies` decide what stops an import.
    pub fn under(policies: Policies) -> Self {
        Self { policies, ..Self::default() }
    }

    /// The choices of this run.
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// Something that stops the import.
    pub fn error(&mut self, code: &str, table: &str, row: impl ToString, message: impl Into<String>) {
        self.errors.push(finding(code, table, row, message));
    }

    /// Something to know; the import goes on.
    pub fn warn(&mut self, code: &str, table: &str, row: impl ToString, message: impl Into<String>) {
        let seen = self.seen.entry(code.to_owned()).or_default();
        *seen += 1;
        if *seen <= LISTED_PER_CODE {
            let list = if self.policies.refuses(code) { &mut self.errors } else { &mut self.warnings };
            list.push(finding(code, table, row, message));
        }
    }

    /// Adds what another pass found.
    pub(crate) fn join(&mut self, other: Self) {
        self.errors.extend(other.errors);
        for item in other.warnings {
            self.warn(&item.code, &item.table, item.row, item.message);
        }
        for (table, rows) in other.unread {
            *self.unread.entry(table).or_default() += rows;
        }
    }

    /// Whether anything stops the import.
    pub fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Errors, and warnings with one closing line per code that was cut.
    pub fn into_lists(mut self) -> (Vec<Finding>, Vec<Finding>) {
        for (code, seen) in &self.seen {
            if *seen > LISTED_PER_CODE {
                let more = seen - LISTED_PER_CODE;
                self.warnings.push(finding(code, "", "", format!("{more} more of these are not listed")));
            }
        }
        (self.errors, self.warnings)
    }
}

fn finding(code: &str, table: &str, row: impl ToString, message: impl Into<String>) -> Finding {
    Finding { code: code.to_owned(), table: table.to_owned(), row: row.to_string(), message: message.into() }
}

/// What one member gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MemberPlan {
    /// Number, as in the source.
    pub id: i64,
    /// Name for signing in.
    pub username: String,
    /// owner, admin, member or guest.
    pub role: String,
    /// Cannot sign in.
    pub archived: bool,
    /// Notes, without comments.
    pub notes: u64,
    /// Comments.
    pub comments: u64,
    /// Files.
    pub attachments: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Personal access tokens that go on working.
    pub tokens: u64,
}

/// What an import costs, roughly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// Bytes of the private copy while the import runs.
    pub staging_bytes: u64,
    /// Bytes in the database afterwards.
    pub database_bytes: u64,
    /// Bytes in the file store afterwards.
    pub file_bytes: u64,
    /// Time.
    pub seconds: u64,
}

/// How long each part took, in seconds; 0 for what was not done. What `load` consists of overlaps, and is told after it:
/// `markdown` and `encode` are sums over several threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Phases {
    /// The private copy.
    pub stage: f64,
    /// That, and the whole mapping without writing.
    pub check: f64,
    /// Reading, mapping, COPY, keys and indexes; files too.
    pub load: f64,
    /// Looking up what must be known before rows can pass.
    pub gather: f64,
    /// Reading rows and mapping them, without waiting for those behind.
    pub read: f64,
    /// What texts say about themselves.
    pub markdown: f64,
    /// Rows into bytes, and their hashes.
    pub encode: f64,
    /// Waiting for Postgres to take rows.
    pub copy: f64,
    /// Waiting for the file store to take files.
    pub files: f64,
    /// Keys, indexes, statistics and the commit.
    pub keys: f64,
    /// Reading everything back.
    pub verify: f64,
    /// Of that, reading a sample of the notes through the API.
    pub sample: f64,
}

/// The document of `migrate check` and `migrate run`.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Always `v1`.
    pub schema: &'static str,
    /// Where the rows came from.
    pub source: SourceInfo,
    /// Table of the source → rows, every table found.
    pub tables: BTreeMap<String, u64>,
    /// What stops the import; empty when it may run.
    pub errors: Vec<Finding>,
    /// What the operator should know.
    pub warnings: Vec<Finding>,
    /// Slug of the tenant; null for a check and for a refused run.
    pub tenant: Option<String>,
    /// Table of the tenant → rows (that a run would write, for a check).
    pub mapped: BTreeMap<String, u64>,
    /// Table of the source → rows and values without a place in a tenant, kept aside in `import_remainder`.
    pub aside: BTreeMap<String, u64>,
    /// The same row by row: table of the source → keys of its rows, the first thousand of each table.
    pub aside_rows: BTreeMap<String, Vec<String>>,
    /// Table of the source → rows that a damaged file does not show any more, as far as they can be counted.
    pub unread: BTreeMap<String, u64>,
    /// What each member gets.
    pub members: Vec<MemberPlan>,
    /// What an import costs, roughly.
    pub estimate: Estimate,
    /// How long it took, in seconds.
    pub phases: Phases,
    /// What was compared after writing; null for a check.
    pub verified: Option<Verified>,
    /// Whether the tenant is open for its members.
    pub opened: bool,
}

impl Report {
    /// A report of a source that could not even be opened.
    pub fn refused(code: &'static str, message: String) -> Self {
        let mut report = Self::empty();
        report.errors.push(finding(code, "", "", message));
        report
    }

    /// A report of nothing yet.
    pub fn empty() -> Self {
        Self::new(SourceInfo { kind: "unknown".to_owned(), ..SourceInfo::default() })
    }

    pub(crate) fn new(source: SourceInfo) -> Self {
        Self {
            schema: "v1",
            source,
            tables: BTreeMap::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
            tenant: None,
            mapped: BTreeMap::new(),
            aside: BTreeMap::new(),
            aside_rows: BTreeMap::new(),
            unread: BTreeMap::new(),
            members: Vec::new(),
            estimate: Estimate::default(),
            phases: Phases::default(),
            verified: None,
            opened: false,
        }
    }

    /// Whether nothing stops the import.
    pub fn passed(&self) -> bool {
        self.errors.is_empty()
    }

    /// For people: a few lines.
    pub fn summary(&self) -> String {
        use std::fmt::Write as _;
        let mut out = String::new();
        let notes = self.mapped.get("note").copied().unwrap_or_default();
        let members = self.mapped.get("member").copied().unwrap_or_default();
        let files = self.mapped.get("attachment").copied().unwrap_or_default();
        let _ = writeln!(
            out,
            "source: Memos {} ({}, fingerprint {})",
            if self.source.version.is_empty() { "of unknown version" } else { &self.source.version },
            self.source.kind,
            self.source.fingerprint
        );
        let counted = |rows: &BTreeMap<String, u64>| {
            let filled = rows.iter().filter(|(_, rows)| **rows > 0);
            filled.map(|(table, rows)| format!("{table} {rows}")).collect::<Vec<_>>().join(", ")
        };
        for (word, rows) in [("rows", &self.tables), ("kept aside", &self.aside), ("unreadable", &self.unread)] {
            if rows.values().any(|rows| *rows > 0) {
                let _ = writeln!(out, "{word}: {}", counted(rows));
            }
        }
        let _ = writeln!(out, "{members} members, {notes} notes and comments, {files} attachments");
        if self.mapped.contains_key("member") {
            for member in &self.members {
                let state = if member.archived { ", archived" } else { "" };
                let _ = writeln!(
                    out,
                    "  {} ({}{state}): {} notes, {} comments, {} files, {} tokens",
                    member.username, member.role, member.notes, member.comments, member.attachments, member.tokens
                );
            }
        }
        let Estimate { staging_bytes, database_bytes, file_bytes, seconds } = self.estimate;
        if self.tenant.is_none() && self.passed() {
            let mib = |bytes: u64| bytes.div_ceil(1 << 20);
            let _ = writeln!(
                out,
                "an import takes about {seconds} s and {} MiB of room for the private copy, {} MiB in the database, {} MiB in the file store",
                mib(staging_bytes),
                mib(database_bytes),
                mib(file_bytes)
            );
        }
        for (word, list) in [("error", &self.errors), ("warning", &self.warnings)] {
            for item in list {
                let place =
                    if item.table.is_empty() { String::new() } else { format!(" {} {}:", item.table, item.row) };
                let _ = writeln!(out, "{word}:{place} {} [{}]", item.message, item.code);
            }
        }
        if let Some(tenant) = &self.tenant {
            let state = if self.opened { "open" } else { "closed and quiet until: holdfast migrate open --tenant " };
            let name = if self.opened { "" } else { tenant.as_str() };
            let _ = writeln!(out, "tenant {tenant}: verified; {state}{name}");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_warnings_are_counted_not_listed() {
        let mut findings = Findings::default();
        for row in 0..1_200 {
            findings.warn("wrong_type", "memo", row, "x");
        }
        let (errors, warnings) = findings.into_lists();
        assert!(errors.is_empty());
        assert_eq!(warnings.len(), 1_001);
        assert!(warnings[1_000].message.starts_with("200 more"), "{:?}", warnings[1_000]);
    }
}
