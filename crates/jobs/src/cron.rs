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

impl Cron {
    /// The last due time that is not later than `moment`, when there is one after `from`. Looks back from `moment` in
    /// widening steps, so that a schedule of seconds that was away for a month costs no more than one of days.
    pub fn last_before(&self, from: OffsetDateTime, moment: OffsetDateTime) -> Option<OffsetDateTime> {
        const LOOK_BACK: [i64; 6] = [60, 3_600, 86_400, 31 * 86_400, 366 * 86_400, 5 * 366 * 86_400];
        for seconds in LOOK_BACK {
            let start = (moment - time::Duration::seconds(seconds)).max(from);
            let mut last = self.after(start).filter(|due| *due <= moment);
            while let Some(later) = last.and_then(|due| self.after(due)).filter(|due| *due <= moment) {
                last = Some(later);
            }
            if last.is_some() || start == from {
                return last;
            }
        }
        None
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
    fn the_last_due_time_is_found_from_behind() {
        let from = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        for (text, away) in
            [("*/5 * * * * *", 40 * 86_400), ("7 * * * * *", 9_000), ("0 0 3 1 1 *", 800 * 86_400), ("0 0 3 * * *", 10)]
        {
            let cron: Cron = text.parse().unwrap();
            let now = from + time::Duration::seconds(away);
            let last = cron.last_before(from, now);
            match last {
                Some(due) => {
                    assert!(due > from && due <= now && cron.after(due).unwrap() > now, "{text}: {due}");
                }
                None => assert!(cron.after(from).unwrap() > now, "{text}"),
            }
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in ["", "* * * * *", "61 * * * * *", "often", "0 0 0 31 2 *"] {
            assert!(text.parse::<Cron>().is_err(), "{text}");
        }
    }
}
