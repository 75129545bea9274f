//! The text of a list that is not one of the planned first pages.
//!
//! A planner cannot know how many notes a filter lets through: of a text it knows a hundred samples, of an expression
//! nothing. Guessing few, it reads every note to find twenty; guessing many, it walks to the end for a single one. So it is
//! not asked. Notes with a tag are walked in the order of the list, by the table that has them so. For other filters the
//! newest notes are walked, and only where they do not fill the page all others are looked through, by an index where one
//! narrows them. All steps are in one statement, each behind a gate that looks at what the ones before have found.

use std::collections::BTreeSet;

use super::feed::{FeedQuery, Order, SortTime, Viewer};
use super::filter_narrow::{Index, Narrow};
use super::notes::columns;

/// The longest page (with what is left out before it) that is looked for step by step where there is a filter but no tag.
const LONGEST: i64 = 1_000;
/// How many of the newest notes are walked before all others are looked through.
const NEAR: i64 = 4_000;
/// How many are walked before an index is asked. One that passes among them says that there are many.
const NEAREST: i64 = 300;
/// The same where sketches are walked, and how many of them then.
const SKETCHES: i64 = 700;
const MORE_SKETCHES: i64 = 40_000;
/// The row of sketches that says that every note has one ([`crate::sketches`]).
const COMPLETE: &str = "created_ts = -9223372036854775808 AND note_id = 0";
/// As many as an index may find before more are walked instead.
const FEW: i64 = 100;
/// Later than every note.
const LAST: i64 = i64::MAX;
/// At least as many notes with a tag are walked before all of them are left to the planner.
const TAGGED: i64 = 64;

/// The list, with `{s}.` before the names of tables. `$1` is the viewer.
pub(super) fn text_of(query: &FeedQuery<'_>) -> String {
    if !in_steps(query) || (query.filter.is_none() && !query.order.pinned_first) {
        return whole(query);
    }
    if let (Some(Narrow::Tags(arms)), false) = (narrowed(query), query.order.pinned_first)
        && let [keys] = arms.as_slice()
        && let [key] = keys.as_slice()
    {
        // Most lists by a tag: the notes are read once.
        return paged(query, &format!("({}) n", by_tag("n.*", key, query)));
    }
    let arms = if query.order.pinned_first {
        format!("{} UNION ALL SELECT id FROM ({}) rest", pinned(query), arms(query))
    } else {
        arms(query)
    };
    paged(query, &format!("({arms}) page JOIN {{s}}.note n ON n.id = page.id"))
}

/// The page of notes `n`, of which there are few.
fn paged(query: &FeedQuery<'_>, notes: &str) -> String {
    format!(
        "SELECT {} FROM {notes} LEFT JOIN {{s}}.member m ON m.id = n.creator_id {} LIMIT {} OFFSET {}",
        columns!(),
        sorted(query.order),
        query.limit,
        query.offset
    )
}

/// Whether the list can be looked for step by step: from the newest note on.
fn in_steps(query: &FeedQuery<'_>) -> bool {
    query.order.time == SortTime::Created && !query.order.ascending && !query.archived
}

/// What narrows the list, where the text says so: its parameters are named only then.
fn narrowed<'a>(query: &FeedQuery<'a>) -> Option<&'a Narrow> {
    let narrow = query.filter.and_then(|filter| filter.narrow.as_ref()).filter(|_| in_steps(query))?;
    (matches!(narrow, Narrow::Tags(_)) || query.limit + query.offset <= LONGEST).then_some(narrow)
}

/// Whether the text names what narrows the filter, with its parameters.
pub(super) fn is_narrowed(query: &FeedQuery<'_>) -> bool {
    narrowed(query).is_some()
}

fn sorted(order: Order) -> String {
    let pinned = if order.pinned_first { "n.pinned DESC, " } else { "" };
    let time = match order.time {
        SortTime::Created => "n.created_ts",
        SortTime::Updated => "n.updated_ts",
    };
    format!("ORDER BY {pinned}{time} {}, n.id DESC", if order.ascending { "ASC" } else { "DESC" })
}

/// Which notes are in question at all.
fn seen(query: &FeedQuery<'_>) -> String {
    let who = match (query.archived, query.viewer) {
        (true, _) => "n.archived AND n.creator_id = $1",
        (false, Viewer::Anonymous) => "NOT n.archived AND n.visibility = 'PUBLIC' AND $1::bigint IS NULL",
        (false, Viewer::Member(_)) => {
            // Said so it is the quickest: unequal lengths are unequal texts.
            "NOT n.archived AND (n.visibility <> 'PRIVATE' OR n.creator_id = $1)"
        }
    };
    format!("n.parent_id IS NULL AND {who}")
}

/// ` AND` the filter, and that a note is not pinned where the pinned ones are found apart.
fn passing(query: &FeedQuery<'_>) -> String {
    let filter = query.filter.map(|filter| format!(" AND ({})", filter.sql)).unwrap_or_default();
    format!("{}{filter}", held_apart(query))
}

const fn held_apart(query: &FeedQuery<'_>) -> &'static str {
    if query.order.pinned_first { " AND NOT n.pinned" } else { "" }
}

/// One walk, as the planner likes it.
fn whole(query: &FeedQuery<'_>) -> String {
    let filter = query.filter.map(|filter| format!(" AND ({})", filter.sql)).unwrap_or_default();
    format!(
        "SELECT {} FROM {{s}}.note n LEFT JOIN {{s}}.member m ON m.id = n.creator_id WHERE {}{filter} {} \
         LIMIT {} OFFSET {}",
        columns!(),
        seen(query),
        sorted(query.order),
        query.limit,
        query.offset
    )
}

/// The pinned notes that come first: an index of their own has them.
fn pinned(query: &FeedQuery<'_>) -> String {
    let filter = query.filter.map(|filter| format!(" AND ({})", filter.sql)).unwrap_or_default();
    format!(
        "SELECT id FROM (SELECT n.id FROM {{s}}.note n WHERE {} AND n.pinned{filter} \
         ORDER BY n.created_ts DESC, n.id DESC LIMIT {}) held",
        seen(query),
        query.limit + query.offset
    )
}

/// The numbers of the notes up to the end of the page.
fn arms(query: &FeedQuery<'_>) -> String {
    match narrowed(query) {
        Some(Narrow::Tags(arms)) => by_tags(query, arms),
        Some(Narrow::Index(index)) => by_index(query, index),
        None => by_walk(query),
    }
}

const NEWEST: &str = "ORDER BY n.created_ts DESC, n.id DESC";

/// How many the part `name` of the statement has found.
fn found(name: &str) -> String {
    format!("(SELECT count(*) FROM {name})")
}

/// The columns of `n` that a condition names, and those of the order: carrying all of them from step to step of a walk costs a
/// fifth of it.
fn named_by(condition: &str) -> String {
    let mut names = BTreeSet::from(["created_ts", "id"]);
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    for (at, _) in condition.match_indices("n.") {
        let (before, after) = (&condition[..at], &condition[at + 2..]);
        if !before.ends_with(is_name) {
            names.insert(after.split(|letter| !is_name(letter)).next().unwrap_or_default());
        }
    }
    names.iter().map(|name| format!("n.{name}")).collect::<Vec<_>>().join(", ")
}

/// Without an index: the newest notes, then all.
fn by_walk(query: &FeedQuery<'_>) -> String {
    let (seen, passing, upto) = (seen(query), passing(query), query.limit + query.offset);
    if query.filter.is_none() || upto > LONGEST {
        return format!(
            "SELECT id FROM (SELECT n.id FROM {{s}}.note n WHERE {seen}{passing} {NEWEST} LIMIT {upto}) far"
        );
    }
    let (near, named) = (found("near"), named_by(&passing));
    format!(
        "WITH near AS MATERIALIZED (SELECT n.id FROM (SELECT {named} FROM {{s}}.note n WHERE {seen} {NEWEST} LIMIT {NEAR}) n \
         WHERE TRUE{passing} {NEWEST} LIMIT {upto}) SELECT id FROM near WHERE {near} >= {upto} UNION ALL SELECT id FROM \
         (SELECT n.id FROM {{s}}.note n WHERE {seen}{passing} AND {near} < {upto} {NEWEST} LIMIT {upto}) far"
    )
}

/// A few of the newest notes first. None among them that passes says that there are few, so the index is asked; if it knows
/// of many all the same, or there was one, more are walked from there. What the index finds is read no further than it is
/// asked for, and sorted: told how few are wanted, a planner would walk. The gate of the second walk is its limit, since
/// one in the condition would have every row copied.
fn by_index(query: &FeedQuery<'_>, index: &Index) -> String {
    let (seen, passing, upto) = (seen(query), passing(query), query.limit + query.offset);
    let (condition, nearest) = (&index.sql, found("nearest"));
    let all = format!("{nearest} + {} < {upto}", found("near"));
    let built = match index.sketch {
        Some(_) => format!("built AS MATERIALIZED (SELECT FROM {{s}}.note_sketch WHERE {COMPLETE}), "),
        None => String::new(),
    };
    let first = walk(query, index.sketch.as_deref(), &Stretch { gate: "TRUE", after: None, upto: upto.to_string() });
    let gate = format!(
        "{nearest} < {upto} AND ({nearest} > 0 OR (SELECT count(*) FROM (SELECT FROM hits LIMIT {}) taste) > {FEW})",
        FEW + 1
    );
    let after = format!(
        "(coalesce((SELECT min(created_ts) FROM nearest), {LAST}), \
         coalesce((SELECT id FROM nearest ORDER BY created_ts, id LIMIT 1), {LAST}))"
    );
    let more = Stretch { gate: &gate, after: Some(&after), upto: format!("{upto} - {nearest}") };
    let then = walk(query, index.sketch.as_deref(), &more);
    format!(
        "WITH {built}nearest AS MATERIALIZED ({first}), \
         hits AS MATERIALIZED (SELECT n.id, n.created_ts FROM {{s}}.note n \
         WHERE {seen} AND {condition}{passing} AND {nearest} < {upto}), near AS MATERIALIZED ({then}) \
         SELECT id FROM nearest WHERE NOT {all} UNION ALL SELECT id FROM near WHERE NOT {all} \
         UNION ALL SELECT id FROM (SELECT n.id FROM hits n WHERE {all} {NEWEST} LIMIT {upto}) far"
    )
}

/// A part of the list that is walked.
struct Stretch<'a> {
    /// Where it is walked at all.
    gate: &'a str,
    /// The place behind which it begins; without one, at the newest note.
    after: Option<&'a str>,
    /// As many notes as are wanted.
    upto: String,
}

/// The notes of a stretch that pass. Where all notes have sketches those are walked, which costs a quarter, and only notes
/// whose sketch does not say that they cannot pass are looked up, each as it comes (`OFFSET 0`), by their number, whose index is
/// the smaller one (`+ 0` keeps the planner from that of the list's order); elsewhere the notes.
fn walk(query: &FeedQuery<'_>, sketch: Option<&str>, stretch: &Stretch<'_>) -> String {
    let (seen, passing, Stretch { gate, after, upto }) = (seen(query), passing(query), stretch);
    let many = |first: i64, then: i64| if after.is_none() { first } else { then };
    let plain = |gate: &str| {
        let named = named_by(&passing);
        let place = after.map(|place| format!(" AND (n.created_ts, n.id) < {place}")).unwrap_or_default();
        format!(
            "SELECT n.id, n.created_ts FROM (SELECT {named} FROM {{s}}.note n WHERE {seen}{place} {NEWEST} \
             LIMIT CASE WHEN {gate} THEN {} ELSE 0 END) n WHERE TRUE{passing} {NEWEST} LIMIT {upto}",
            many(NEAREST, NEAR)
        )
    };
    let Some(sketch) = sketch else { return plain(gate) };
    let place = after.map(|place| format!(" WHERE (k.created_ts, k.note_id) < {place}")).unwrap_or_default();
    let order = "ORDER BY k.created_ts DESC, k.note_id DESC";
    format!(
        "SELECT id, created_ts FROM (SELECT n.id, n.created_ts FROM (SELECT k.* FROM {{s}}.note_sketch k{place} {order} \
         LIMIT CASE WHEN EXISTS (SELECT FROM built) AND {gate} THEN {} ELSE 0 END) k \
         CROSS JOIN LATERAL (SELECT n.id, n.created_ts FROM {{s}}.note n WHERE n.id = k.note_id \
         AND n.created_ts + 0 = k.created_ts AND {seen}{passing} OFFSET 0) n WHERE {sketch} {order} LIMIT {upto}) sketched \
         UNION ALL SELECT id, created_ts FROM ({}) plain",
        many(SKETCHES, MORE_SKETCHES),
        plain(&format!("NOT EXISTS (SELECT FROM built) AND {gate}"))
    )
}

/// For each alternative the newest notes with its tag. Of several tags that an alternative asks for, the rarest is walked, and
/// the next one looked up; where the newest of those do not fill the page, all of them.
fn by_tags(query: &FeedQuery<'_>, arms: &[Vec<String>]) -> String {
    let (seen, passing, upto) = (seen(query), passing(query), query.limit + query.offset);
    let count = TAGGED.max(4 * upto);
    let order = "ORDER BY t.created_ts DESC, t.note_id DESC";
    let (mut parts, mut selects) = (Vec::new(), Vec::new());
    for (at, keys) in arms.iter().enumerate() {
        if let [key] = keys.as_slice() {
            selects.push(format!("SELECT id FROM ({}) some{at}", by_tag("n.id", key, query)));
            continue;
        }
        parts.push(rarest(at, keys));
        let tagged = format!(
            "{{s}}.note_tag t WHERE t.key = (SELECT keys[1] FROM rarest{at}) AND (SELECT TRUE FROM {{s}}.note_tag o \
             WHERE o.key = (SELECT keys[2] FROM rarest{at}) AND o.created_ts = t.created_ts AND o.note_id = t.note_id)"
        );
        parts.push(format!("tagged{at} AS MATERIALIZED (SELECT t.* FROM {tagged} {order} LIMIT {count})"));
        parts.push(format!(
            "some{at} AS MATERIALIZED (SELECT n.id FROM tagged{at} t JOIN {{s}}.note n ON n.id = t.note_id \
             WHERE {seen}{passing} {order} LIMIT {upto})"
        ));
        let (some, known) = (found(&format!("some{at}")), found(&format!("tagged{at}")));
        let condition = tagged.replacen(" t WHERE", " t JOIN {s}.note n ON n.id = t.note_id WHERE", 1);
        selects.push(format!(
            "SELECT id FROM some{at} UNION SELECT id FROM (SELECT n.id FROM {condition} AND {seen}{passing} \
             AND {some} < {upto} AND {known} = {count} {order} LIMIT {upto}) rest{at}"
        ));
    }
    let with = if parts.is_empty() { String::new() } else { format!("WITH {} ", parts.join(", ")) };
    format!("{with}{}", selects.join(" UNION "))
}

/// The newest notes with a tag that pass. Each is looked up as it comes, until there are enough of them: what may not be pulled
/// up (`OFFSET 0`) leaves the planner no other way.
fn by_tag(what: &str, key: &str, query: &FeedQuery<'_>) -> String {
    format!(
        "SELECT {what} FROM {{s}}.note_tag t CROSS JOIN LATERAL (SELECT n.* FROM {{s}}.note n WHERE n.id = t.note_id AND {}{} \
         OFFSET 0) n WHERE t.key = {key} ORDER BY t.created_ts DESC, t.note_id DESC LIMIT {}",
        seen(query),
        passing(query),
        query.limit + query.offset
    )
}

/// Which of the keys fewest notes have, and which come next.
fn rarest(at: usize, keys: &[String]) -> String {
    format!(
        "rarest{at} AS MATERIALIZED (SELECT array_agg(v.key ORDER BY v.notes) AS keys FROM (SELECT v.key, \
         (SELECT count(*) FROM (SELECT FROM {{s}}.note_tag t WHERE t.key = v.key LIMIT 1000) t) AS notes \
         FROM (VALUES ({})) v (key)) v)",
        keys.join("), (")
    )
}

#[cfg(test)]
mod tests {
    use super::named_by;

    #[test]
    fn a_walk_carries_what_its_condition_names() {
        assert_eq!(named_by(""), "n.created_ts, n.id");
        assert_eq!(
            named_by(
                " AND NOT n.pinned AND (char_length(n.content)::bigint > $2 OR EXISTS (SELECT FROM unnest(n.tags) AS t(tag)))"
            ),
            "n.content, n.created_ts, n.id, n.pinned, n.tags"
        );
        assert_eq!(named_by("an.x > 1 AND n.id = 2 AND n.uid = 'a'"), "n.created_ts, n.id, n.uid");
    }
}
