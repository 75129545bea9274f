//! The text of a list that is not one of the planned first pages.
//!
//! A planner cannot know how many notes a filter lets through: of a text it knows a hundred samples, of an expression
//! nothing. Guessing few, it reads every note to find twenty; guessing many, it walks to the end for a single one. So it is
//! not asked. The newest notes are walked first, and only where they do not fill the page all others are looked through, by
//! an index where one narrows them. All steps are in one statement, each behind a gate that looks at what the ones before
//! have found.

use super::feed::{FeedQuery, Order, SortTime, Viewer};
use super::notes::columns;

/// How many of the newest notes are walked before an index is asked: what one page of a filter that one note in a hundred
/// passes takes.
const NEAR: i64 = 2_000;
/// The same where the index is quick to say that there are few: then it is asked first.
const NEAREST: i64 = 250;
/// As many as can be sorted at once without another walk.
const FEW: i64 = 100;

/// The list, with `{s}.` before the names of tables. `$1` is the viewer.
pub(super) fn text_of(query: &FeedQuery<'_>) -> String {
    if !in_steps(query) || (query.filter.is_none() && !query.order.pinned_first) {
        return whole(query);
    }
    let arms = if query.order.pinned_first {
        format!("{} UNION ALL SELECT id FROM ({}) rest", pinned(query), arms(query))
    } else {
        arms(query)
    };
    format!(
        "SELECT {} FROM ({arms}) page JOIN {{s}}.note n ON n.id = page.id \
         LEFT JOIN {{s}}.member m ON m.id = n.creator_id {} LIMIT {} OFFSET {}",
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

/// Whether the text names the condition that narrows the filter, with its parameters.
pub(super) fn is_narrowed(query: &FeedQuery<'_>) -> bool {
    in_steps(query)
        && query.limit + query.offset <= NEAR / 2
        && query.filter.is_some_and(|filter| filter.narrow.is_some())
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
            "NOT n.archived AND (n.visibility IN ('PROTECTED', 'PUBLIC') OR n.creator_id = $1)"
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
    let (seen, passing, upto) = (seen(query), passing(query), query.limit + query.offset);
    let newest = "ORDER BY n.created_ts DESC, n.id DESC";
    let Some(filter) = query.filter.filter(|_| upto <= NEAR / 2) else {
        return format!(
            "SELECT id FROM (SELECT n.id FROM {{s}}.note n WHERE {seen}{passing} {newest} LIMIT {upto}) far"
        );
    };
    // The newest `count` notes behind `gate`, as the part `name` of the statement.
    let walk = |name: &str, count: i64, gate: &str| {
        format!(
            "{name} AS MATERIALIZED (SELECT n.id FROM \
             (SELECT n.* FROM {{s}}.note n WHERE {seen}{gate} {newest} LIMIT {count}) n \
             WHERE TRUE{passing} {newest} LIMIT {upto})"
        )
    };
    let found = |name: &str| format!("(SELECT count(*) FROM {name})");
    let full = |name: &str| format!("SELECT id FROM {name} WHERE {} >= {upto}", found(name));
    let short = |name: &str| format!("{} < {upto}", found(name));
    let Some(narrow) = &filter.narrow else {
        let rest = format!("WHERE {seen}{passing} AND {} {newest} LIMIT {upto}", short("near"));
        return format!(
            "WITH {} {} UNION ALL SELECT id FROM (SELECT n.id FROM {{s}}.note n {rest}) far",
            walk("near", NEAR, ""),
            full("near")
        );
    };
    // All that the index finds, read no further than it is asked for, and sorted: told how few are wanted, a planner would
    // walk.
    let rest = if narrow.exact { held_apart(query) } else { &passing };
    let hits = |gate: &str| {
        format!(
            "hits AS MATERIALIZED (SELECT n.id, n.created_ts FROM {{s}}.note n \
             WHERE {seen} AND {}{rest} AND {gate})",
            narrow.sql
        )
    };
    let sorted =
        |gate: &str| format!("SELECT id FROM (SELECT n.id FROM hits n WHERE {gate} {newest} LIMIT {upto}) far");
    if narrow.cheap {
        let many = format!(" AND (SELECT count(*) FROM (SELECT FROM hits LIMIT {}) taste) > {FEW}", FEW + 1);
        let neither = format!("{} AND {}", short("nearest"), short("near"));
        return format!(
            "WITH {}, {}, {} {} UNION ALL {} UNION ALL {}",
            walk("nearest", NEAREST, ""),
            hits(&short("nearest")),
            walk("near", NEAR, &many),
            full("nearest"),
            full("near"),
            sorted(&neither)
        );
    }
    format!(
        "WITH {}, {} {} UNION ALL {}",
        walk("near", NEAR, ""),
        hits(&short("near")),
        full("near"),
        sorted(&short("near"))
    )
}
