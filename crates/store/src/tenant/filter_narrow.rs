//! What follows from a filter and can be answered by an index: tags by their keys, texts by their trigrams, a creator by his
//! number. Where few notes pass a filter, they are found by it instead of being looked for in every note.

use domain::filter::{Filter, Op, TagTest, TagsTest, TextField, TextTest, fold_ascii};

use super::filter_sql::{SqlBuilder, creator};
use super::filter_text::indexed_text;
use crate::Type;

/// Letters and digits in a row from which the index of trigrams knows a text.
const LEAST: usize = 3;

/// What narrows a list.
pub(super) struct Narrow {
    /// The condition.
    pub(super) sql: String,
    /// Whether its index is quick to say which notes pass, also where they are thousands. That of trigrams is not.
    pub(super) cheap: bool,
    /// Whether it says all that the filter says.
    pub(super) exact: bool,
}

/// Appends the condition, if there is one, and tells whether it is [cheap](Narrow::cheap).
pub(super) fn narrow(filter: &Filter, sql: &mut SqlBuilder) -> Option<bool> {
    let parts = match filter {
        Filter::All(parts) => parts.as_slice(),
        one => std::slice::from_ref(one),
    };
    // Tags say most for least; who wrote it says little in a small team.
    let kinds: [fn(&Filter) -> bool; 3] = [is_tags, has_index, is_creator];
    kinds.into_iter().enumerate().find_map(|(rank, kind)| {
        let chosen: Vec<&Filter> = parts.iter().filter(|part| kind(part)).collect();
        each(&chosen, " AND ", sql);
        (!chosen.is_empty()).then_some(rank == 0)
    })
}

/// Whether the keys of tags say all that the filter says.
pub(super) fn is_exact(filter: &Filter) -> bool {
    match filter {
        Filter::Any(parts) => is_tags(filter) && parts.iter().all(is_exact),
        Filter::Tags(test) => has_index(filter) && !matches!(test, TagsTest::Same(_)) && plain(test),
        _ => false,
    }
}

/// A value with a line end would be taken for the key of a tag above.
fn plain(test: &TagsTest) -> bool {
    let values = match test {
        TagsTest::Has(value) | TagsTest::Exists(TagTest::Equals(value)) => std::slice::from_ref(value),
        TagsTest::Under(values) | TagsTest::HasAll(values) | TagsTest::HasAny(values) => values,
        _ => return false,
    };
    values.iter().all(|value| !value.contains('\n'))
}

fn is_tags(filter: &Filter) -> bool {
    match filter {
        Filter::Any(parts) => !parts.is_empty() && parts.iter().all(is_tags),
        Filter::Tags(_) => has_index(filter),
        _ => false,
    }
}

fn has_index(filter: &Filter) -> bool {
    match filter {
        Filter::Any(parts) => !parts.is_empty() && parts.iter().all(has_index),
        Filter::All(parts) => parts.iter().any(has_index),
        Filter::Text(
            TextField::Content,
            TextTest::Contains(value) | TextTest::StartsWith(value) | TextTest::EndsWith(value),
        ) => value.split(|letter: char| !letter.is_alphanumeric()).any(|run| run.chars().count() >= LEAST),
        Filter::Tags(test) => match test {
            TagsTest::Has(_) | TagsTest::Exists(TagTest::Equals(_)) => true,
            TagsTest::Under(values) | TagsTest::HasAll(values) | TagsTest::HasAny(values) | TagsTest::Same(values) => {
                !values.is_empty()
            }
            _ => false,
        },
        _ => false,
    }
}

fn is_creator(filter: &Filter) -> bool {
    matches!(
        filter,
        Filter::Text(TextField::Creator | TextField::CreatorName, TextTest::Compare(Op::Eq, _) | TextTest::OneOf(_))
            | Filter::Number(domain::filter::NumberField::CreatorId, Op::Eq, _)
    )
}

fn each(parts: &[&Filter], word: &str, sql: &mut SqlBuilder) {
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            sql.push(word);
        }
        one(part, sql);
    }
}

fn one(filter: &Filter, sql: &mut SqlBuilder) {
    match filter {
        Filter::Any(parts) => {
            sql.push("(");
            each(&parts.iter().collect::<Vec<_>>(), " OR ", sql);
            sql.push(")");
        }
        Filter::All(parts) => {
            sql.push("(");
            each(&parts.iter().filter(|part| has_index(part)).collect::<Vec<_>>(), " AND ", sql);
            sql.push(")");
        }
        Filter::Text(field @ (TextField::Creator | TextField::CreatorName), test) => creator(*field, test, sql),
        Filter::Text(_, test) => indexed_text("n.content", test, sql),
        Filter::Number(_, _, value) => {
            sql.push("n.creator_id = ");
            sql.bind(*value, Type::INT8);
        }
        Filter::Tags(test) => tags(test, sql),
        _ => sql.push("TRUE"),
    }
}

/// By the keys that `holdfast_search.tag_keys` gives a note: exact for each of these tests but `Same`, which wants more.
fn tags(test: &TagsTest, sql: &mut SqlBuilder) {
    let folded = |values: &[String]| values.iter().map(|value| fold_ascii(value)).collect::<Vec<_>>();
    let (sign, keys) = match test {
        TagsTest::Has(value) | TagsTest::Exists(TagTest::Equals(value)) => (" && ", vec![fold_ascii(value)]),
        TagsTest::Under(values) => {
            let above = folded(values).into_iter().flat_map(|key| [format!("\n{key}"), key]);
            (" && ", above.collect())
        }
        TagsTest::HasAny(values) => (" && ", folded(values)),
        TagsTest::HasAll(values) | TagsTest::Same(values) => (" @> ", folded(values)),
        TagsTest::Exists(_) | TagsTest::All(_) | TagsTest::ExistsOne(_) => (" @> ", Vec::new()),
    };
    sql.push("holdfast_search.tag_keys(n.tags)");
    sql.push(sign);
    sql.bind(keys, Type::TEXT_ARRAY);
}

#[cfg(test)]
mod tests {
    use super::is_exact;
    use crate::tenant::filter_sql::compile_list;

    fn narrowed(filter: &str) -> Option<String> {
        compile_list(&domain::filter::parse(filter, 0).expect("a filter")).narrow.map(|narrow| narrow.sql)
    }

    #[test]
    fn what_an_index_knows_narrows_a_list() {
        let tag = "holdfast_search.tag_keys(n.tags) && ";
        assert_eq!(narrowed("'a' in tags && pinned"), Some(format!("{tag}$4")));
        assert_eq!(
            narrowed("tag in ['a'] || content.contains('word')"),
            Some(format!("({tag}$6 OR (n.content COLLATE \"C\" ILIKE $7))")),
        );
        assert_eq!(narrowed("content.contains('ab') || 'a' in tags"), None);
        assert_eq!(narrowed("!('a' in tags)"), None);
        assert_eq!(narrowed("creator_id == 1 && pinned").as_deref(), Some("n.creator_id = $3"));
        assert_eq!(narrowed("content.contains('word') && 'a' in tags"), Some(format!("{tag}$5")));
        assert_eq!(narrowed("has_link"), None);
        let exact = |filter| is_exact(&domain::filter::parse(filter, 0).expect("a filter"));
        assert!(exact("tag in ['a']") && exact("'a' in tags || sets.contains(tags, ['b', 'c'])"));
        assert!(!exact("'a' in tags && pinned") && !exact("sets.equivalent(tags, ['a'])") && !exact("'\\na' in tags"));
    }
}
