//! The only place that prints: results on stdout, everything else on stderr.

mod progress;

use std::io::{BufRead, IsTerminal, Write};

use serde::Serialize;
use serde_json::{Map, Value};

pub use progress::Progress;

use crate::exit::{Code, CommandError};

/// Prints a command's result for people or, with `--json`, for scripts.
///
/// A closed pipe at the other end is no error of the command, so failures to write are dropped.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    json: bool,
}

impl Printer {
    /// A printer; `json` is the command's `--json`.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether scripts are reading.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// The command's one document, or one line of JSON Lines when called again: `"schema":"v1"` is added, a list goes
    /// under `items`. `human` makes the text for people; empty text prints nothing.
    pub fn result<T: Serialize + ?Sized>(self, document: &T, human: impl FnOnce(&T) -> String) {
        if self.json {
            match serde_json::to_value(document) {
                Ok(value) => write_json(value),
                Err(error) => tracing::error!(%error, "the result cannot be written as JSON"),
            }
        } else {
            let text = human(document);
            if !text.is_empty() {
                write_out(&text);
            }
        }
    }

    /// A line of text for people; nothing when scripts are reading.
    pub fn say(self, text: &str) {
        if !self.json {
            write_out(text);
        }
    }

    /// A document for scripts; nothing when people are reading.
    pub fn event<T: Serialize + ?Sized>(self, document: &T) {
        self.result(document, |_| String::new());
    }

    /// A remark on stderr, for people and scripts alike (warnings, what happens next).
    pub fn note(self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// A failure: `{"schema":"v1","error":{…}}` on stdout for scripts, one sentence on stderr for people.
    pub fn error(self, error: &CommandError) {
        if self.json {
            let body = serde_json::json!({ "error": {
                "code": error.code, "message": error.message, "object": error.object, "next": error.next,
            }});
            write_json(body);
        } else {
            let _ = writeln!(std::io::stderr().lock(), "holdfast: {error}");
        }
    }

    /// Progress on stderr, drawn only on a terminal. `total` of `None` counts without an end.
    pub fn progress(self, what: &str, total: Option<u64>) -> Progress {
        if self.json || !std::io::stderr().is_terminal() { Progress::silent() } else { Progress::drawn(what, total) }
    }

    /// Asks before something is destroyed: `yes` (from `--yes`) answers, a terminal is asked, otherwise refused (7).
    pub fn confirm(self, question: &str, yes: bool) -> Result<(), CommandError> {
        if yes {
            return Ok(());
        }
        let refused = |message: &str| CommandError::new(Code::Refused, "not_confirmed", message);
        if self.json || !std::io::stdin().is_terminal() {
            return Err(refused(&format!("not confirmed: {question}")).next("add --yes to do it without being asked"));
        }
        let _ = write!(std::io::stderr().lock(), "{question} [y/N] ");
        let mut answer = String::new();
        let _ = std::io::stdin().lock().read_line(&mut answer);
        if matches!(answer.trim(), "y" | "Y" | "yes") {
            Ok(())
        } else {
            Err(refused("not confirmed, nothing was changed"))
        }
    }
}

fn write_json(value: Value) {
    write_out(&with_schema(value).to_string());
}

/// Every document says which schema it follows.
fn with_schema(value: Value) -> Value {
    let mut out = Map::new();
    out.insert("schema".to_owned(), Value::from("v1"));
    match value {
        Value::Object(fields) => out.extend(fields),
        Value::Null => {}
        other => {
            out.insert("items".to_owned(), other);
        }
    }
    Value::Object(out)
}

fn write_out(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", text.trim_end_matches('\n'));
    let _ = out.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_carry_the_schema_and_lists_are_wrapped() {
        assert_eq!(with_schema(serde_json::json!({"a": 1})), serde_json::json!({"schema": "v1", "a": 1}));
        assert_eq!(with_schema(serde_json::json!([1])), serde_json::json!({"schema": "v1", "items": [1]}));
    }

    #[test]
    fn scripts_are_never_asked() {
        assert!(Printer::new(true).confirm("delete it?", true).is_ok());
        assert_eq!(Printer::new(true).confirm("delete it?", false).unwrap_err().exit, Code::Refused);
    }
}
