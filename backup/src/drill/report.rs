//! What a drill has shown, hash-chained to the drill before.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::compare::TableResult;
use crate::format::hash::Hash;

/// Pass, fail, or not carried to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything came back equal, everything was usable, every fault was refused.
    Pass,
    /// Something differed, did not work, or was not noticed.
    Fail,
    /// The rehearsal itself could not be carried out.
    Incomplete,
}

impl Verdict {
    /// The word in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Incomplete => "incomplete",
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A phase and how long it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseResult {
    /// Its name.
    pub name: String,
    /// Wall time.
    pub seconds: f64,
}

/// Something that was tried on the restored copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What.
    pub name: String,
    /// It worked.
    pub passed: bool,
    /// What was seen.
    pub message: String,
}

/// A fault done to a copy of the point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultResult {
    /// Which.
    pub fault: String,
    /// To which object.
    pub object: String,
    /// It was refused, naming that object.
    pub detected: bool,
    /// What the refusal said.
    pub message: String,
}

/// How the copy was kept apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// The database of the copy.
    pub database: String,
    /// The network of database and server: `namespace` (nothing can leave) or `host`.
    pub network: String,
    /// How the server was reached.
    pub server: String,
    /// The credentials for the backup store could not write.
    pub store_read_only: bool,
}

/// Which point, and how it was chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// `named` or `newest`.
    pub rule: String,
    /// What every random choice of this drill follows from.
    pub seed: u64,
}

/// A drill's report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrillReport {
    /// Its name.
    pub drill: String,
    /// The tenant's slug.
    pub tenant: String,
    /// The rehearsed point.
    pub point: String,
    /// Pass, fail or incomplete.
    pub verdict: Verdict,
    /// Why it is not a pass, each in a sentence that names what differed.
    pub differences: Vec<String>,
    /// Who or what asked for it.
    pub trigger: String,
    /// When it began.
    pub started_at: String,
    /// When it ended.
    pub finished_at: String,
    /// The instant the point shows.
    pub snapshot: String,
    /// How the point was chosen.
    pub selection: Selection,
    /// Product and format that drilled.
    pub product: String,
    /// Notes read over HTTP and compared.
    pub notes_compared: u64,
    /// Notes in the point, comments and archived ones included.
    pub notes_expected: u64,
    /// Every table.
    pub tables: Vec<TableResult>,
    /// Files read back from the copy and compared.
    pub files_compared: u64,
    /// Files in the point.
    pub files_expected: u64,
    /// What was tried on the served copy.
    pub checks: Vec<Check>,
    /// Parts of the time.
    pub phases: Vec<PhaseResult>,
    /// Age of the oldest acknowledged change that no verified point holds, at the drill's start; 0 when there is none.
    pub rpo_seconds: Option<f64>,
    /// From the start to "equality and sign-in passed".
    pub rto_seconds: Option<f64>,
    /// Whose identity opened the point: `drill`, or `escrow` when the printed sheet was proven.
    pub identity: String,
    /// How the copy was kept apart.
    pub isolation: Isolation,
    /// Faults done to copies of the point.
    pub faults: Vec<FaultResult>,
    /// The undamaged control was accepted; none when no fault was asked for.
    pub control_accepted: Option<bool>,
    /// Hash of the drill before this; empty at the first.
    pub previous_hash: String,
    /// SHA-256 of this document with this last field empty.
    pub hash: String,
}

impl DrillReport {
    /// Puts the report behind the one with `previous_hash`; the text to keep.
    pub fn seal(&mut self, previous_hash: &str) -> String {
        previous_hash.clone_into(&mut self.previous_hash);
        self.hash = self.own_hash();
        self.text()
    }

    /// What `hash` must be.
    pub fn own_hash(&self) -> String {
        let blank = Self { hash: String::new(), ..self.clone() };
        Hash::of(blank.text().as_bytes()).to_string()
    }

    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Settles the verdict from what was seen. `demanded`: faults had to be tried.
    pub(super) fn judge(&mut self, demanded: bool) {
        let mut wrong = std::mem::take(&mut self.differences);
        for table in self.tables.iter().filter(|table| !table.equal) {
            wrong.push(format!("table {} is not equal to the point: {} rows", table.name, table.rows));
        }
        for check in self.checks.iter().filter(|check| !check.passed) {
            wrong.push(format!("{}: {}", check.name, check.message));
        }
        if self.notes_compared != self.notes_expected {
            wrong.push(format!("{} of {} notes were compared", self.notes_compared, self.notes_expected));
        }
        if self.files_compared != self.files_expected {
            wrong.push(format!("{} of {} files were compared", self.files_compared, self.files_expected));
        }
        for fault in self.faults.iter().filter(|fault| !fault.detected) {
            wrong.push(format!("fault {} of {} was not refused: {}", fault.fault, fault.object, fault.message));
        }
        if demanded && self.control_accepted != Some(true) {
            wrong.push("the undamaged point was refused".to_owned());
        }
        self.verdict = if wrong.is_empty() { Verdict::Pass } else { Verdict::Fail };
        self.differences = wrong;
    }
}

/// Writes the report into the folder of reports.
pub(super) fn save(folder: &Path, drill: &str, text: &str) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    runtime::data_dir::write_private(&folder.join(format!("drill-{drill}.json")), text.as_bytes())
}
