//! A drill's report, read for people. Reports of other versions are read as far as they go: what is missing is not shown.

use serde::Deserialize;

use crate::recovery::duration;

/// What the page tells of a report.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Told {
    pub(super) notes_compared: i64,
    pub(super) notes_expected: i64,
    pub(super) files_compared: i64,
    pub(super) files_expected: i64,
    pub(super) checks: Vec<Check>,
    pub(super) faults: Vec<Fault>,
    pub(super) control_accepted: Option<bool>,
    pub(super) tables: Vec<Table>,
    pub(super) differences: Vec<serde_json::Value>,
    phases: Vec<Measured>,
}

/// Something that was tried in the restored copy.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) passed: bool,
    pub(super) message: String,
}

/// Damage done to a copy of the point.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Fault {
    #[serde(rename = "fault")]
    pub(super) kind: String,
    pub(super) detected: bool,
    pub(super) message: String,
}

/// A table whose rows were compared.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) rows: i64,
    pub(super) equal: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Measured {
    name: String,
    seconds: f64,
}

/// A phase with its share of the longest, in percent.
pub(super) struct Phase {
    pub(super) name: String,
    pub(super) took: String,
    pub(super) share: u32,
}

impl Told {
    /// Reads a stored report; an unreadable one tells nothing.
    pub(super) fn read(report: &str) -> Self {
        serde_json::from_str(report).unwrap_or_default()
    }

    /// The phases in their order.
    pub(super) fn phases(&self) -> Vec<Phase> {
        shown(&self.phases)
    }

    /// Tables that came back equal.
    pub(super) fn equal_tables(&self) -> usize {
        self.tables.iter().filter(|table| table.equal).count()
    }

    /// A difference as one line.
    pub(super) fn difference_lines(&self) -> Vec<String> {
        let line = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        self.differences.iter().map(line).collect()
    }
}

fn shown(phases: &[Measured]) -> Vec<Phase> {
    let longest = phases.iter().map(|phase| phase.seconds).fold(f64::MIN_POSITIVE, f64::max);
    let shown = |phase: &Measured| Phase {
        name: words(&phase.name),
        took: if phase.seconds < 1.0 { format!("{:.0} ms", phase.seconds * 1000.0) } else { duration(phase.seconds) },
        share: (phase.seconds / longest * 100.0).round().clamp(1.0, 100.0) as u32,
    };
    phases.iter().map(shown).collect()
}

/// The phases of a restore, as its report has them by name.
pub(super) fn phases_of(report: &serde_json::Value) -> Vec<Phase> {
    const ORDER: [&str; 6] = ["verify", "build", "files", "rows", "compare", "ledger"];
    let seconds = |name: &str| report.get("phases")?.get(name)?.as_f64();
    let measured = |name: &&str| Some(Measured { name: (*name).to_owned(), seconds: seconds(name)? });
    shown(&ORDER.iter().filter_map(measured).collect::<Vec<_>>())
}

/// `compare_notes` → `compare notes`.
pub(super) fn words(name: &str) -> String {
    name.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read_as_far_as_they_go() {
        let report = r#"{"notes_compared": 2, "new": 1, "differences": ["note a: text", {"table": "b"}],
            "phases": [{"name": "compare_notes", "seconds": 0.25}, {"name": "serve", "seconds": 2.0}],
            "tables": [{"name": "note", "rows": 2, "equal": true}, {"name": "x", "rows": 0}]}"#;
        let told = Told::read(report);
        let phases: Vec<_> = told.phases().into_iter().map(|phase| (phase.name, phase.took, phase.share)).collect();
        assert_eq!(
            phases,
            [("compare notes".to_owned(), "250 ms".to_owned(), 13), ("serve".to_owned(), "2.0 s".to_owned(), 100)]
        );
        assert_eq!((told.notes_compared, told.equal_tables(), told.control_accepted), (2, 1, None));
        assert_eq!(told.difference_lines(), ["note a: text", r#"{"table":"b"}"#]);
        assert!(Told::read("no json").phases().is_empty());
    }
}
