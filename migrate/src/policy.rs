//! What to do about odd rows: every case is converted safely and reported, unless a flag says otherwise.

use std::collections::BTreeSet;
use std::str::FromStr;

/// A choice on the command line: `CASE=keep`, `CASE=refuse`, or `duplicate-email=clear`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    case: &'static Case,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Keep,
    Refuse,
    Clear,
}

/// A case, and the words that the report has for it.
#[derive(Debug, PartialEq, Eq)]
struct Case {
    name: &'static str,
    codes: &'static [&'static str],
}

const CASES: [Case; 8] = [
    Case { name: "invalid-utf8", codes: &["invalid_utf8"] },
    Case { name: "nul", codes: &["nul_replaced"] },
    Case { name: "wrong-type", codes: &["wrong_type", "null_replaced", "invalid_json"] },
    Case { name: "time", codes: &["time_unit", "time_out_of_range"] },
    Case { name: "duplicate-email", codes: &["duplicate_email"] },
    Case { name: "duplicate-username", codes: &["duplicate_username"] },
    Case {
        name: "orphan",
        codes: &[
            "missing_user",
            "orphan_file",
            "orphan_identity",
            "orphan_notification",
            "orphan_pin",
            "orphan_reaction",
            "orphan_relation",
            "orphan_setting",
            "orphan_share",
        ],
    },
    Case { name: "missing-file", codes: &["missing_file", "s3_object"] },
];

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || CASES.iter().map(|case| case.name).collect::<Vec<_>>().join(", ");
        let (name, what) =
            text.split_once('=').ok_or_else(|| format!("write CASE=keep or CASE=refuse; cases: {}", names()))?;
        let case = CASES.iter().find(|case| case.name == name);
        let case = case.ok_or_else(|| format!("the case {name:?} is unknown; cases: {}", names()))?;
        let what = match what {
            "keep" => What::Keep,
            "refuse" => What::Refuse,
            "clear" if case.name == "duplicate-email" => What::Clear,
            other => return Err(format!("{other:?} is no choice for {name}; write keep or refuse")),
        };
        Ok(Self { case, what })
    }
}

/// The choices of one run.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    refused: BTreeSet<&'static str>,
    /// Of members with the same e-mail only the first keeps it.
    pub clear_emails: bool,
}

impl Policies {
    /// From the command line; a later choice wins.
    pub fn new(choices: &[Choice]) -> Self {
        let mut policies = Self::default();
        for choice in choices {
            for code in choice.case.codes {
                if choice.what == What::Refuse {
                    policies.refused.insert(code);
                } else {
                    policies.refused.remove(code);
                }
            }
            if choice.case.name == "duplicate-email" {
                policies.clear_emails = choice.what == What::Clear;
            }
        }
        policies
    }

    /// Whether a finding of this kind stops the import.
    pub fn refuses(&self, code: &str) -> bool {
        self.refused.contains(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_and_the_last_one_counts() {
        let of = |texts: &[&str]| Policies::new(&texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>());
        assert!(!of(&[]).refuses("nul_replaced"));
        assert!(of(&["nul=refuse"]).refuses("nul_replaced"));
        assert!(!of(&["nul=refuse", "nul=keep"]).refuses("nul_replaced"));
        assert!(of(&["orphan=refuse"]).refuses("orphan_share"));
        assert!(of(&["duplicate-email=clear"]).clear_emails);
        assert!("time=clear".parse::<Choice>().unwrap_err().contains("no choice"));
        assert!("x=keep".parse::<Choice>().unwrap_err().contains("duplicate-email"));
        assert!("nul".parse::<Choice>().is_err());
    }
}
