//! Filters as clients of Memos 0.22 to 0.29 write them: a conjunction in which some parts are no conditions but wishes
//! about order and number, times are numbers, and `&&` may be doubled or dangle where texts were put together.

use super::check::{About, Checker};
use super::parse::{Expr, Kind, tree};
use super::{Filter, FilterError, Op, TextField};

/// What a filter of the old dialect asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OldFilter {
    /// The condition; none when there were only wishes.
    pub filter: Option<Filter>,
    /// `row_status`: whether archived notes are asked for.
    pub archived: Option<bool>,
    /// `order_by_pinned == true`.
    pub pinned_first: bool,
    /// `order_by_time_asc == true`.
    pub oldest_first: bool,
    /// `limit == 10`.
    pub limit: Option<i64>,
}

/// How much of what older clients write is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Nothing: as Memos 0.30.0.
    Today,
    /// What says by itself that it is old.
    Both,
    /// Everything.
    Old,
}

impl Dialect {
    pub(super) const fn is_old(self) -> bool {
        matches!(self, Self::Old)
    }
}

/// Reads a filter of notes as Memos 0.30.0 does, to which `users/7` is only the member whose name is 7.
///
/// # Errors
/// It is none.
pub fn parse_today(text: &str, now: i64) -> Result<Filter, FilterError> {
    let checker = Checker { text, now, about: About::Notes, dialect: Dialect::Today };
    Ok(by_name(checker.condition(&tree(text)?)?))
}

/// Creators by their names only.
fn by_name(filter: Filter) -> Filter {
    let all = |parts: Vec<Filter>| parts.into_iter().map(by_name).collect();
    match filter {
        Filter::Not(inner) => Filter::Not(Box::new(by_name(*inner))),
        Filter::All(parts) => Filter::All(all(parts)),
        Filter::Any(parts) => Filter::Any(all(parts)),
        Filter::Text(TextField::Creator, test) => Filter::Text(TextField::CreatorName, test),
        other => other,
    }
}

/// Reads a filter of notes in the old dialect, which includes the present one.
///
/// # Errors
/// It is none.
pub fn parse_old(text: &str, now: i64) -> Result<OldFilter, FilterError> {
    let text = tidied(text);
    let checker = Checker { text: &text, now, about: About::Notes, dialect: Dialect::Old };
    let whole = tree(&text)?;
    let parts = match whole.kind {
        Kind::And(parts) => parts,
        _ => vec![whole],
    };
    let (mut out, mut conditions) = (OldFilter::default(), Vec::new());
    for part in &parts {
        if !wish(part, &mut out) {
            conditions.push(checker.condition(part)?);
        }
    }
    out.filter = match conditions.len() {
        0 => None,
        1 => conditions.pop(),
        _ => Some(Filter::All(conditions)),
    };
    Ok(out)
}

/// Takes a part that is no condition; false when it is one.
fn wish(part: &Expr, out: &mut OldFilter) -> bool {
    let Kind::Compare(Op::Eq, left, right) = &part.kind else { return false };
    let Kind::Name(name) = &left.kind else { return false };
    match (name.as_str(), &right.kind) {
        ("row_status" | "state", Kind::Text(state)) => out.archived = Some(state == "ARCHIVED"),
        ("order_by_pinned", Kind::Bool(wanted)) => out.pinned_first = *wanted,
        ("order_by_time_asc", Kind::Bool(wanted)) => out.oldest_first = *wanted,
        ("limit", Kind::Int(limit)) => out.limit = Some(*limit),
        ("random" | "include_comments", Kind::Bool(_)) => {}
        _ => return false,
    }
    true
}

/// Without `&&` that joins nothing.
fn tidied(text: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let (mut from, mut quote, mut escaped) = (0, None, false);
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(mark), _) if mark == letter => quote = None,
            (None, '"' | '\'') => quote = Some(letter),
            (None, '&') if at >= from && text.get(at..).is_some_and(|rest| rest.starts_with("&&")) => {
                parts.push(text.get(from..at).unwrap_or_default());
                from = at + 2;
            }
            _ => {}
        }
    }
    parts.push(text.get(from..).unwrap_or_default());
    parts.retain(|part| !part.trim().is_empty());
    parts.join("&&")
}

/// The row number that `name` is when it has digits only, as in `users/{number}` of older clients.
pub fn member_number(name: &str) -> Option<i64> {
    if name.bytes().all(|b| b.is_ascii_digit()) { name.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::super::{Flag, TextTest};
    use super::*;

    const NOW: i64 = 1_700_000_000;

    #[test]
    fn what_old_clients_send_is_read() {
        for text in [
            "creator == 'users/1' && row_status == \"NORMAL\" && order_by_pinned == true",
            "creator == 'users/1' && visibilities == ['PUBLIC'] && limit == 10",
            "content_search == [\"a\", 'b'] && tag_search == ['x']",
            "created_ts > 1690000000 && created_ts < now() - 60",
            "updated_ts >= now() - duration('24h')",
            "tag == \"x\" || tags.contains('y')",
            "&& pinned && && has_link == true &&",
            "display_time_before == 1690000000 && random == true",
            "uid == \"zoo-headings\" && creator == 'users/1'",
            "uid in ['a', 'b'] || uid != 'c'",
        ] {
            assert!(parse_old(text, NOW).is_ok(), "{text}: {:?}", parse_old(text, NOW));
        }
        for bad in
            ["", "&&", "bogus == 1", "uid == 1", "uid > 'a'", "uid.contains('a')", "content.contains(", "limit == 'x'"]
        {
            assert!(parse_old(bad, NOW).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_todays_is_read_as_today() {
        assert!(super::super::parse("uid == 'a'", NOW).is_err());
        for old in [
            "uid == 'a'",
            "visibilities == ['PUBLIC']",
            "display_time_before == 1",
            "row_status == 'NORMAL'",
            "pinned &&",
        ] {
            assert!(parse_today(old, NOW).is_err(), "{old}");
        }
        let of = |name: &str| TextTest::Compare(Op::Eq, name.to_owned());
        let found = parse_today("!(pinned || creator == 'users/1')", NOW);
        let named = Filter::Text(TextField::CreatorName, of("users/1"));
        assert_eq!(found, Ok(Filter::Not(Box::new(Filter::Any(vec![Filter::Flag(Flag::Pinned), named])))));
    }

    #[test]
    fn wishes_are_no_conditions() {
        let text =
            "row_status == 'ARCHIVED' && order_by_time_asc == true && limit == 3 && content_search == ['a && b']";
        let found = parse_old(text, NOW).expect("a filter");
        assert_eq!((found.archived, found.oldest_first, found.limit), (Some(true), true, Some(3)));
        assert_eq!(found.filter, super::super::parse("content.contains('a && b')", NOW).ok());
        assert_eq!(parse_old("row_status == 'NORMAL'", NOW).map(|found| found.filter), Ok(None));
    }
}
