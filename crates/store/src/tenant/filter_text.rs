//! Tests of a text as SQL.

use domain::filter::{Op, TextTest, cases_of, fold_ascii};

use super::filter_sql::SqlBuilder;
use crate::Type;

/// Bytes of one case that are rare enough to be looked for alone.
const LONG_RUN: usize = 3;

/// Where in a text something is looked for.
#[derive(Clone, Copy)]
enum Place {
    Anywhere,
    Begin,
    End,
}

/// `text` with the signs of LIKE made plain.
pub(super) fn like_plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '\\' | '%' | '_') {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

/// Appends a test of `column`, by what is quickest to ask of one row after the other.
pub(super) fn text(column: &str, test: &TextTest, sql: &mut SqlBuilder) {
    match test {
        TextTest::Contains(value) if has_ascii_cases(value) => contains(column, value, sql),
        _ => indexed_text(column, test, sql),
    }
}

/// Folding a text costs four times what looking through it does. What has one case only, such as digits and Chinese, is
/// looked for in the text as it is, and a run of that before the rest.
fn contains(column: &str, value: &str, sql: &mut SqlBuilder) {
    let run = value.split(|letter| !cases_of(letter).is_empty()).max_by_key(|run| run.len()).unwrap_or_default();
    let plain = |run: &str, sql: &mut SqlBuilder| {
        sql.push("strpos(");
        sql.push(column);
        sql.push(" COLLATE \"C\", ");
        sql.bind(run.to_owned(), Type::TEXT);
        sql.push(") > 0");
    };
    sql.push("(");
    if run.len() == value.len() {
        plain(run, sql);
    } else {
        if run.len() >= LONG_RUN {
            plain(run, sql);
            sql.push(" AND ");
        }
        sql.push("strpos(lower(");
        sql.push(column);
        sql.push(" COLLATE \"C\"), ");
        sql.bind(fold_ascii(value), Type::TEXT);
        sql.push(") > 0");
    }
    sql.push(")");
}

/// Appends a test of `column` that the index of trigrams knows.
pub(super) fn indexed_text(column: &str, test: &TextTest, sql: &mut SqlBuilder) {
    sql.push("(");
    sql.push(column);
    match test {
        TextTest::Compare(op, value) => {
            if !matches!(op, Op::Eq | Op::Ne) {
                sql.push(" COLLATE \"C\"");
            }
            sql.push(" ");
            sql.push(op.sql());
            sql.push(" ");
            sql.bind(value.clone(), Type::TEXT);
        }
        TextTest::OneOf(values) => {
            sql.push(" = ANY(");
            sql.bind(values.clone(), Type::TEXT_ARRAY);
            sql.push(")");
        }
        TextTest::Contains(value) => found(value, Place::Anywhere, sql),
        TextTest::StartsWith(value) => found(value, Place::Begin, sql),
        TextTest::EndsWith(value) => found(value, Place::End, sql),
        TextTest::Matches(pattern) => {
            sql.push(" ~ ");
            sql.bind(pattern.postgres().to_owned(), Type::TEXT);
        }
    }
    sql.push(")");
}

/// Whether no letters but those of ASCII have two cases.
fn has_ascii_cases(value: &str) -> bool {
    value.chars().all(|letter| letter.is_ascii() || cases_of(letter).is_empty())
}

/// Without regard to case. Under the collation C `ILIKE` folds ASCII letters only, at a twentieth of what folding in the
/// database's locale costs; a text with other letters that have two cases becomes a regular expression that names them. The
/// index for searching is of the same collation and answers both.
fn found(value: &str, place: Place, sql: &mut SqlBuilder) {
    sql.push(" COLLATE \"C\"");
    if !has_ascii_cases(value) {
        sql.push(" ~ ");
        sql.bind(expression(value, place), Type::TEXT);
        return;
    }
    let plain = like_plain(value);
    sql.push(" ILIKE ");
    let pattern = match place {
        Place::Anywhere => format!("%{plain}%"),
        Place::Begin => format!("{plain}%"),
        Place::End => format!("%{plain}"),
    };
    sql.bind(pattern, Type::TEXT);
}

/// A regular expression of Postgres for this very text, each letter in all its cases.
fn expression(value: &str, place: Place) -> String {
    let mut out = String::with_capacity(value.len() * 3);
    if matches!(place, Place::Begin) {
        out.push_str("\\A");
    }
    for letter in value.chars() {
        let cases = cases_of(letter);
        if !cases.is_empty() {
            out.push('[');
            out.extend(cases);
            out.push(']');
        } else if letter.is_ascii() && !letter.is_ascii_alphanumeric() {
            out.push('\\');
            out.push(letter);
        } else {
            out.push(letter);
        }
    }
    if matches!(place, Place::End) {
        out.push_str("\\Z");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::filter_sql::compile;

    #[test]
    fn letters_beyond_ascii_are_named_in_all_their_cases() {
        assert_eq!(expression("Ёл1.", Place::Anywhere), "[ёЁ][лЛ]1\\.");
        assert_eq!(expression("é_会", Place::Begin), "\\A[éÉ]\\_会");
        assert_eq!(expression("σ", Place::End), "[σΣ]\\Z");
        assert_eq!(like_plain("a_b%c\\d"), "a\\_b\\%c\\\\d");
        let condition = |filter| compile(&domain::filter::parse(filter, 0).expect("a filter"), 1).sql;
        let (content, folded) = ("n.content COLLATE \"C\"", "lower(n.content COLLATE \"C\")");
        assert_eq!(condition("content.contains('会议')"), format!("(strpos({content}, $1) > 0)"));
        assert_eq!(condition("content.contains('word')"), format!("(strpos({folded}, $1) > 0)"));
        assert_eq!(
            condition("content.contains('No 2026')"),
            format!("(strpos({content}, $1) > 0 AND strpos({folded}, $2) > 0)")
        );
    }
}
