//! What follows from a filter and can be answered by an index: tags by the table that has them in the order of lists, texts
//! by their trigrams, a creator by his number. Where few notes pass a filter, they are found by it instead of being looked
//! for in every note.

use domain::filter::{Filter, Op, TagTest, TagsTest, TextField, TextTest, fold_ascii};

use super::filter_sql::{SqlBuilder, creator};
use super::filter_text::indexed_text;
use crate::Type;

/// Letters of a key of a tag.
const KEY: usize = 100;
/// Letters and digits in a row from which the index of trigrams knows a text.
const LEAST: usize = 3;

/// As many alternatives, and as many tags of one, as a list is made of; what is more is asked for in another way.
const ARMS: usize = 4;

/// What narrows a list.
pub(super) enum Narrow {
    /// Tags. A note that passes has all keys of one of these alternatives; each key is the place (`$4`) of its value.
    Tags(Vec<Vec<String>>),
    /// A condition that follows from the filter and that an index answers.
    Index(Index),
}

/// What an index answers.
pub(super) struct Index {
    /// The condition, of `n`.
    pub(super) sql: String,
    /// Where something is known of the texts: another that follows from the filter, of a note's sketch `k`.
    pub(super) sketch: Option<String>,
}

/// What narrows the filter, its values bound; none where nothing does.
pub(super) fn narrow(filter: &Filter, sql: &mut SqlBuilder) -> Option<Narrow> {
    // Tags say most for least; who wrote it says little in a small team.
    if let Some(arms) = tag_arms(filter).filter(|arms| (1..=ARMS).contains(&arms.len())) {
        let mut place = |key: &String| sql.place(key.clone());
        return Some(Narrow::Tags(arms.iter().map(|keys| keys.iter().take(ARMS).map(&mut place).collect()).collect()));
    }
    let parts = match filter {
        Filter::All(parts) => parts.as_slice(),
        one => std::slice::from_ref(one),
    };
    let kinds: [fn(&Filter) -> bool; 2] = [has_index, is_creator];
    kinds.into_iter().find_map(|kind| {
        let chosen: Vec<&Filter> = parts.iter().filter(|part| kind(part)).collect();
        each(&chosen, " AND ", sql);
        (!chosen.is_empty()).then(|| {
            let condition = sql.take();
            Narrow::Index(Index { sql: condition, sketch: sketch(parts, sql) })
        })
    })
}

/// The bits that the sketch of a note has if it passes all parts; one that is not known passes.
fn sketch(parts: &[Filter], sql: &mut SqlBuilder) -> Option<String> {
    let needles = parts.iter().filter_map(|part| match part {
        Filter::Text(
            TextField::Content,
            TextTest::Contains(value) | TextTest::StartsWith(value) | TextTest::EndsWith(value),
        ) => Some(value.as_str()),
        _ => None,
    });
    let bits = domain::sketch::of_needles(needles)?;
    sql.push("(k.sketch IS NULL OR (TRUE");
    for bit in bits {
        sql.push(" AND get_bit(k.sketch, ");
        sql.bind(bit, Type::INT8);
        sql.push(") = 1");
    }
    sql.push("))");
    Some(sql.take())
}

/// The key by which notes with a tag are found, as `holdfast_search.tag_keys` makes it.
fn key(tag: &str) -> String {
    fold_ascii(tag).chars().take(KEY).collect()
}

/// Alternatives of keys: a note that passes has all keys of one of them. None where that cannot be said.
fn tag_arms(filter: &Filter) -> Option<Vec<Vec<String>>> {
    let all = |values: &[String]| values.iter().map(|value| key(value)).collect::<Vec<_>>();
    match filter {
        Filter::Tags(test) => match test {
            TagsTest::Has(value) | TagsTest::Exists(TagTest::Equals(value)) => Some(vec![vec![key(value)]]),
            TagsTest::Under(values) | TagsTest::HasAny(values) => {
                Some(all(values).into_iter().map(|key| vec![key]).collect())
            }
            TagsTest::HasAll(values) | TagsTest::Same(values) => (!values.is_empty()).then(|| vec![all(values)]),
            TagsTest::Exists(_) | TagsTest::All(_) | TagsTest::ExistsOne(_) => None,
        },
        Filter::Any(parts) => {
            let arms = parts.iter().map(tag_arms).collect::<Option<Vec<_>>>()?;
            Some(arms.concat())
        }
        Filter::All(parts) => {
            let known: Vec<_> = parts.iter().filter_map(tag_arms).collect();
            let together: Vec<String> =
                known.iter().filter(|arms| arms.len() == 1).flatten().flatten().cloned().collect();
            if together.is_empty() { known.into_iter().min_by_key(Vec::len) } else { Some(vec![together]) }
        }
        _ => None,
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

/// The notes with one of the keys; of several that a note must have, with the first.
fn tags(test: &TagsTest, sql: &mut SqlBuilder) {
    let keys: Vec<String> = match test {
        TagsTest::Has(value) | TagsTest::Exists(TagTest::Equals(value)) => vec![key(value)],
        TagsTest::Under(values) | TagsTest::HasAny(values) => values.iter().map(|value| key(value)).collect(),
        TagsTest::HasAll(values) | TagsTest::Same(values) => values.iter().take(1).map(|value| key(value)).collect(),
        TagsTest::Exists(_) | TagsTest::All(_) | TagsTest::ExistsOne(_) => Vec::new(),
    };
    sql.push("n.id = ANY (ARRAY(SELECT t.note_id FROM {s}.note_tag t WHERE t.key = ANY (");
    sql.bind(keys, Type::TEXT_ARRAY);
    sql.push(")))");
}

#[cfg(test)]
mod tests {
    use super::Narrow;
    use crate::tenant::filter_sql::compile_list;

    fn narrowed(filter: &str) -> Option<String> {
        compile_list(&domain::filter::parse(filter, 0).expect("a filter")).narrow.map(|narrow| match narrow {
            Narrow::Tags(arms) => arms.iter().map(|keys| keys.join(" and ")).collect::<Vec<_>>().join(" or "),
            Narrow::Index(index) => index.sql,
        })
    }

    fn sketched(filter: &str) -> Option<String> {
        match compile_list(&domain::filter::parse(filter, 0).expect("a filter")).narrow {
            Some(Narrow::Index(index)) => index.sketch,
            _ => None,
        }
    }

    #[test]
    fn what_a_sketch_knows_is_asked_of_all_parts_alike() {
        let bits = "(k.sketch IS NULL OR (TRUE AND get_bit(k.sketch, $4) = 1 AND get_bit(k.sketch, $5) = 1 \
                    AND get_bit(k.sketch, $6) = 1 AND get_bit(k.sketch, $7) = 1 AND get_bit(k.sketch, $8) = 1 \
                    AND get_bit(k.sketch, $9) = 1))";
        assert_eq!(sketched("content.contains('word')").as_deref(), Some(bits));
        let of_two = sketched("pinned && content.startsWith('abc') && content.endsWith('words')").expect("a sketch");
        assert!(of_two.contains("$6") && of_two.contains("$11) = 1))"), "{of_two}");
        assert_eq!(sketched("content.contains('word') || content.contains('other')"), None);
        assert_eq!(sketched("content.contains('ёлка') && creator_id == 1"), None);
    }

    #[test]
    fn what_an_index_knows_narrows_a_list() {
        assert_eq!(narrowed("'a' in tags && pinned").as_deref(), Some("$4"));
        assert_eq!(narrowed("tag in ['a', 'b']").as_deref(), Some("$8 or $9"));
        assert_eq!(narrowed("'a' in tags && tag in ['b'] && tag in ['c', 'd']").as_deref(), Some("$13 and $14"));
        assert_eq!(narrowed("content.contains('word') && 'a' in tags").as_deref(), Some("$5"));
        assert_eq!(
            narrowed("tag in ['a'] || content.contains('word')").as_deref(),
            Some(
                "(n.id = ANY (ARRAY(SELECT t.note_id FROM {s}.note_tag t WHERE t.key = ANY ($6))) \
                 OR (n.content COLLATE \"C\" ILIKE $7))"
            ),
        );
        assert_eq!(narrowed("content.contains('ab') || 'a' in tags"), None);
        assert_eq!(narrowed("!('a' in tags)"), None);
        assert_eq!(narrowed("tags.all(t, t == 'a')"), None);
        assert_eq!(narrowed("creator_id == 1 && pinned").as_deref(), Some("n.creator_id = $3"));
        assert_eq!(narrowed("has_link"), None);
    }
}
