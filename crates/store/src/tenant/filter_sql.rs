//! A checked filter as a parameterised SQL condition over `n` (note) or `a` (attachment).
//!
//! Means the same as `domain::filter::Filter::matches`. No value of a client ever becomes part of the text. For a list there
//! is a second condition that follows from the first and that an index answers ([`super::filter_narrow`]).

use domain::filter::{
    CALENDAR_BEGIN, CALENDAR_END, Filter, Flag, NumberField, Op, Part, TagTest, TagsTest, TextField, TextTest,
    TimeField, fold_ascii, member_number,
};
use tokio_postgres::types::ToSql;

use super::filter_narrow::{Narrow, narrow};
use super::filter_text::{like_plain, text};
use crate::Type;
use crate::tx::Param;

/// A condition ready for a statement.
pub struct Condition {
    /// The text, in parentheses where it needs them.
    pub sql: String,
    /// What follows from it and is answered by an index, where there is such a thing.
    pub(super) narrow: Option<Narrow>,
    /// How many of the parameters are those of `sql`; the others belong to `narrow`.
    plain: usize,
    values: Vec<(Box<dyn ToSql + Sync + Send>, Type)>,
}

impl Condition {
    /// The parameters that the text names, in order.
    pub fn params(&self) -> Vec<Param<'_>> {
        self.values.iter().map(|(value, kind)| (&**value as &(dyn ToSql + Sync), kind.clone())).collect()
    }

    /// Those of a list, which names the narrowing condition or not: the same text has the same parameters.
    pub(super) fn params_of_list(&self, narrowed: bool) -> Vec<Param<'_>> {
        let mut params = self.params();
        params.truncate(if narrowed { params.len() } else { self.plain });
        params
    }
}

/// `filter` as a condition whose first parameter is `$first`.
pub fn compile(filter: &Filter, first: usize) -> Condition {
    let mut builder = SqlBuilder { text: String::new(), values: Vec::new(), first, schema: "" };
    condition(filter, &mut builder);
    let plain = builder.values.len();
    Condition { sql: builder.text, narrow: None, plain, values: builder.values }
}

/// The same for a list of notes ([`super::feed::FeedQuery`]): with `{s}.` before the names of tables, and from `$2` on.
pub fn compile_list(filter: &Filter) -> Condition {
    let mut builder = SqlBuilder { text: String::new(), values: Vec::new(), first: 2, schema: "{s}." };
    condition(filter, &mut builder);
    let (sql, plain) = (builder.take(), builder.values.len());
    let narrow = narrow(filter, &mut builder);
    Condition { sql, narrow, plain, values: builder.values }
}

/// SQL text that grows, with the parameters it names.
pub(super) struct SqlBuilder {
    text: String,
    values: Vec<(Box<dyn ToSql + Sync + Send>, Type)>,
    first: usize,
    schema: &'static str,
}

impl SqlBuilder {
    /// Appends fixed text: never anything that came from a client.
    pub(super) fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Appends `$n` for a new parameter.
    pub(super) fn bind<T: ToSql + Sync + Send + 'static>(&mut self, value: T, kind: Type) {
        let number = self.first + self.values.len();
        self.values.push((Box::new(value), kind));
        self.text.push('$');
        self.text.push_str(&number.to_string());
    }

    /// The text so far; it begins anew.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// The place of a new text among the parameters, for a text that is made elsewhere.
    pub(super) fn place(&mut self, value: String) -> String {
        let before = self.take();
        self.bind(value, Type::TEXT);
        std::mem::replace(&mut self.text, before)
    }
}

/// Appends one condition.
fn condition(filter: &Filter, sql: &mut SqlBuilder) {
    match filter {
        Filter::Always(answer) => sql.push(if *answer { "TRUE" } else { "FALSE" }),
        Filter::Not(inner) => {
            sql.push("(NOT ");
            condition(inner, sql);
            sql.push(")");
        }
        Filter::All(parts) => joined(parts, " AND ", sql),
        Filter::Any(parts) => joined(parts, " OR ", sql),
        Filter::Flag(flag) => sql.push(flag_column(*flag)),
        Filter::Text(field @ (TextField::Creator | TextField::CreatorName), test) => creator(*field, test, sql),
        Filter::Text(field, test) => text(text_column(*field), test, sql),
        Filter::Number(field, op, value) => {
            sql.push("(");
            number(*field, sql);
            // A file on no note has no note number: it differs from every number.
            sql.push(match (field, op) {
                (NumberField::NoteId, Op::Eq) => " IS NOT DISTINCT FROM ",
                (NumberField::NoteId, Op::Ne) => " IS DISTINCT FROM ",
                _ => " ",
            });
            if *field != NumberField::NoteId {
                sql.push(op.sql());
                sql.push(" ");
            }
            sql.bind(*value, Type::INT8);
            sql.push(")");
        }
        Filter::NumberIn(field, values) => {
            sql.push("coalesce(");
            number(*field, sql);
            sql.push(" = ANY(");
            sql.bind(values.clone(), Type::INT8_ARRAY);
            sql.push("), FALSE)");
        }
        Filter::Unused => sql.push("(a.note_id IS NULL)"),
        Filter::Tags(test) => tags(test, sql),
    }
}

fn joined(parts: &[Filter], word: &str, sql: &mut SqlBuilder) {
    sql.push("(");
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            sql.push(word);
        }
        condition(part, sql);
    }
    sql.push(")");
}

const fn flag_column(flag: Flag) -> &'static str {
    match flag {
        Flag::Pinned => "n.pinned",
        Flag::HasTaskList => "n.has_task_list",
        Flag::HasLink => "n.has_link",
        Flag::HasCode => "n.has_code",
        Flag::HasIncompleteTasks => "n.has_incomplete_tasks",
    }
}

const fn text_column(field: TextField) -> &'static str {
    match field {
        TextField::Content => "n.content",
        TextField::Creator | TextField::CreatorName => "''",
        TextField::Visibility => "n.visibility",
        TextField::Uid => "n.uid",
        TextField::Filename => "a.filename",
        TextField::Kind => "a.kind",
    }
}

const fn time_column(field: TimeField) -> &'static str {
    match field {
        TimeField::Created => "n.created_ts",
        TimeField::Updated => "n.updated_ts",
        TimeField::Uploaded => "a.created_ts",
    }
}

/// The number as an expression of type bigint.
fn number(field: NumberField, sql: &mut SqlBuilder) {
    match field {
        NumberField::CreatorId => sql.push("n.creator_id"),
        NumberField::NoteId => sql.push("a.note_id"),
        NumberField::ContentSize => sql.push("char_length(n.content)::bigint"),
        NumberField::TagsSize => sql.push("cardinality(n.tags)::bigint"),
        NumberField::Time(field) => sql.push(time_column(field)),
        NumberField::Part(field, part) => {
            let (name, less) = match part {
                Part::FullYear => ("year", 0),
                Part::Month => ("month", 1),
                Part::Date => ("day", 0),
                Part::DayOfMonth => ("day", 1),
                Part::DayOfWeek => ("dow", 0),
                Part::DayOfYear => ("doy", 1),
                Part::Hours => ("hour", 0),
                Part::Minutes => ("minute", 0),
                Part::Seconds => ("second", 0),
            };
            let column = time_column(field);
            sql.push(&format!(
                "(extract({name} FROM to_timestamp(greatest(least({column}, {CALENDAR_END}), {CALENDAR_BEGIN})) \
                 AT TIME ZONE 'UTC')::bigint - {less})"
            ));
        }
    }
}

/// `users/{username}`, or, where that is meant, `users/{number}` of older clients. By the creator's number, which an index knows.
pub(super) fn creator(field: TextField, test: &TextTest, sql: &mut SqlBuilder) {
    let (values, negated) = match test {
        TextTest::Compare(op, value) => (std::slice::from_ref(value), *op == Op::Ne),
        TextTest::OneOf(values) => (values.as_slice(), false),
        _ => (&[][..], false),
    };
    let names: Vec<String> =
        values.iter().filter_map(|value| value.strip_prefix("users/")).map(str::to_owned).collect();
    let numbered = names.iter().filter(|_| field == TextField::Creator);
    let numbers: Vec<i64> = numbered.filter_map(|name| member_number(name)).collect();
    sql.push(if negated { "(NOT (" } else { "((" });
    sql.push("n.creator_id = ANY(ARRAY(SELECT id FROM ");
    sql.push(sql.schema);
    sql.push("member WHERE username = ANY(");
    sql.bind(names, Type::TEXT_ARRAY);
    sql.push("))");
    if numbers.is_empty() {
        sql.push(")");
    } else {
        sql.push(" || ");
        sql.bind(numbers, Type::INT8_ARRAY);
        sql.push(")");
    }
    sql.push("))");
}

/// One tag in lower case, ASCII letters only, whatever the database's locale.
const TAG: &str = "lower(t.tag COLLATE \"C\")";

/// A condition on the number of tags `t.tag` that pass `test`.
fn some_tag(test: impl FnOnce(&mut SqlBuilder), sql: &mut SqlBuilder) {
    sql.push("EXISTS (SELECT FROM unnest(n.tags) AS t(tag) WHERE ");
    test(sql);
    sql.push(")");
}

/// A cheap condition that every note with such a tag meets: the tags as one text contain it. It spares nearly all rows
/// the search tag by tag (1.3 ms in place of 3 for a tag that every fiftieth of many notes has).
fn may_have(value: &str, sql: &mut SqlBuilder) {
    sql.push("(lower(array_to_string(n.tags, ' ') COLLATE \"C\") LIKE ");
    sql.bind(format!("%{}%", like_plain(&fold_ascii(value))), Type::TEXT);
    sql.push(" AND ");
}

fn has(value: &str, sql: &mut SqlBuilder) {
    may_have(value, sql);
    some_tag(|sql| one_tag(&TagTest::Equals(value.to_owned()), sql), sql);
    sql.push(")");
}

fn each(values: &[String], word: &str, one: fn(&str, &mut SqlBuilder), sql: &mut SqlBuilder) {
    sql.push("(");
    for (place, value) in values.iter().enumerate() {
        if place > 0 {
            sql.push(word);
        }
        one(value, sql);
    }
    sql.push(")");
}

fn under(value: &str, sql: &mut SqlBuilder) {
    let below = TagTest::StartsWith(format!("{value}/"));
    may_have(value, sql);
    some_tag(
        |sql| {
            one_tag(&TagTest::Equals(value.to_owned()), sql);
            sql.push(" OR ");
            one_tag(&below, sql);
        },
        sql,
    );
    sql.push(")");
}

fn tags(test: &TagsTest, sql: &mut SqlBuilder) {
    match test {
        TagsTest::Has(value) => has(value, sql),
        TagsTest::Under(values) => each(values, " OR ", under, sql),
        TagsTest::HasAll(values) => each(values, " AND ", has, sql),
        TagsTest::HasAny(values) => each(values, " OR ", has, sql),
        TagsTest::Same(values) => {
            sql.push("(");
            each(values, " AND ", has, sql);
            sql.push(" AND NOT ");
            let folded: Vec<String> = values.iter().map(|value| fold_ascii(value)).collect();
            some_tag(
                |sql| {
                    sql.push(TAG);
                    sql.push(" <> ALL(");
                    sql.bind(folded, Type::TEXT_ARRAY);
                    sql.push(")");
                },
                sql,
            );
            sql.push(")");
        }
        TagsTest::Exists(test) => some_tag(|sql| one_tag(test, sql), sql),
        TagsTest::All(test) => {
            sql.push("(cardinality(n.tags) > 0 AND NOT ");
            some_tag(
                |sql| {
                    sql.push("NOT ");
                    one_tag(test, sql);
                },
                sql,
            );
            sql.push(")");
        }
        TagsTest::ExistsOne(test) => {
            sql.push("((SELECT count(*) FROM unnest(n.tags) AS t(tag) WHERE ");
            one_tag(test, sql);
            sql.push(") = 1)");
        }
    }
}

fn one_tag(test: &TagTest, sql: &mut SqlBuilder) {
    let folded = |value: &str| like_plain(&fold_ascii(value));
    let (sign, value) = match test {
        TagTest::Equals(value) => (" = ", fold_ascii(value)),
        TagTest::StartsWith(value) => (" LIKE ", format!("{}%", folded(value))),
        TagTest::EndsWith(value) => (" LIKE ", format!("%{}", folded(value))),
        TagTest::Contains(value) => (" LIKE ", format!("%{}%", folded(value))),
    };
    sql.push("(");
    sql.push(TAG);
    sql.push(sign);
    sql.bind(value, Type::TEXT);
    sql.push(")");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(filter: &str) -> (String, usize) {
        let filter = domain::filter::parse(filter, 1_700_000_000).expect("a filter");
        let condition = compile(&filter, 3);
        let params = condition.params().len();
        (condition.sql, params)
    }

    #[test]
    fn conditions_become_sql() {
        assert_eq!(sql("true"), ("TRUE".to_owned(), 0));
        assert_eq!(sql("!pinned || has_code == false"), ("((NOT n.pinned) OR (NOT n.has_code))".to_owned(), 0));
        assert_eq!(
            sql("content.contains('100%') && creator != 'users/zoe'"),
            (
                "((strpos(n.content COLLATE \"C\", $3) > 0) AND \
                 (NOT (n.creator_id = ANY(ARRAY(SELECT id FROM member WHERE username = ANY($4))))))"
                    .to_owned(),
                2
            )
        );
        assert_eq!(
            sql("creator == 'users/1'").0,
            "((n.creator_id = ANY(ARRAY(SELECT id FROM member WHERE username = ANY($3)) || $4)))"
        );
        assert_eq!(sql("content < 'x'").0, "(n.content COLLATE \"C\" < $3)");
        assert_eq!(sql("created_ts >= now - duration('1h')").0, "(n.created_ts >= $3)");
        assert_eq!(sql("size(tags) in [1, 2]").0, "coalesce(cardinality(n.tags)::bigint = ANY($3), FALSE)");
        assert_eq!(
            sql("'Work' in tags").0,
            "(lower(array_to_string(n.tags, ' ') COLLATE \"C\") LIKE $3 AND \
             EXISTS (SELECT FROM unnest(n.tags) AS t(tag) WHERE (lower(t.tag COLLATE \"C\") = $4)))"
        );
        assert_eq!(
            sql("tag in ['a']").0,
            "((lower(array_to_string(n.tags, ' ') COLLATE \"C\") LIKE $3 AND \
             EXISTS (SELECT FROM unnest(n.tags) AS t(tag) WHERE (lower(t.tag COLLATE \"C\") = $4) \
             OR (lower(t.tag COLLATE \"C\") LIKE $5))))"
        );
    }

    #[test]
    fn attachments_have_columns_of_their_own() {
        let filter = domain::filter::parse_attachments("memo_id != 7 && memo_id != null", 0).expect("a filter");
        assert_eq!(compile(&filter, 1).sql, "((a.note_id IS DISTINCT FROM $1) AND (NOT (a.note_id IS NULL)))");
    }

    #[test]
    fn values_never_become_text() {
        let (text, params) = sql("content == \"'; DROP TABLE note; --\" || tags.exists(t, t == 'x%')");
        assert!(!text.contains("DROP") && !text.contains('%'), "{text}");
        assert_eq!(params, 2);
        assert_eq!(like_plain("a_b%c\\d"), "a\\_b\\%c\\\\d");
    }
}
