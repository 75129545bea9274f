//! Due times: six fields, seconds first, UTC.

use std::str::FromStr;

use croner::parser::{CronParser, Seconds};
use time::OffsetDateTime;

/// A parsed schedule.
#[derive(Clone, Debug)]
pub struct Cron(croner::Cron);

/// The text is not a schedule.
#[derive(Debug, thiserror::Error)]
#[error("\"{text}\" is not a schedule of six fields (second minute hour day month weekday, UTC): {why}")]
pub struct CronError {
    text: String,
    why: String,
}

impl FromStr for Cron {
    type Err = CronError;
    fn from_str(text: &str) -> Result<Self, CronError> {
        let wrong = |why: String| CronError { text: text.to_owned(), why };
        if text.split_whitespace().count() != 6 {
            return Err(wrong("give all six fields".to_owned()));
        }
        let cron =
            CronParser::builder().seconds(Seconds::Required).build().parse(text).map_err(|e| wrong(e.to_string()))?;
        let cron = Self(cron);
        if cron.after(OffsetDateTime::UNIX_EPOCH).is_none() {
            return Err(wrong("it is never due".to_owned()));
        }
        Ok(cron)
    }
}

impl Cron {
    /// The first due time later than `moment`.
    pub fn after(&self, moment: OffsetDateTime) -> Option<OffsetDateTime> {
        let from = chrono::DateTime::from_timestamp(moment.unix_timestamp(), 0)?;
        let next = self.0.find_next_occurrence(&from, false).ok()?;
        OffsetDateTime::from_unix_timestamp(next.timestamp()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_five_seconds_is_due_every_five_seconds() {
        let cron: Cron = "*/5 * * * * *".parse().unwrap();
        let start = OffsetDateTime::from_unix_timestamp(1_700_000_002).unwrap();
        let first = cron.after(start).unwrap();
        assert_eq!(first.unix_timestamp(), 1_700_000_005);
        assert_eq!(cron.after(first).unwrap().unix_timestamp(), 1_700_000_010);
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in ["", "* * * * *", "61 * * * * *", "often", "0 0 0 31 2 *"] {
            assert!(text.parse::<Cron>().is_err(), "{text}");
        }
    }
}
