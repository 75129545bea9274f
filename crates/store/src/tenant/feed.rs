//! Lists of notes as a viewer may see them.
//!
//! The plain first page, which nearly every visit asks for, is a hot read: planned once per connection. For that its
//! page size must stand in the text (a planner that does not know the limit prefers a sort of everything), so only the
//! usual sizes have one. The first page of every other list ([`super::feed_text`]) is planned once as well, without looking
//! at its values; further pages are statements of their own. One flight each.

use domain::id::MemberId;
use domain::note::Note;

use super::feed_text::{is_narrowed, text_of};
use super::filter_sql::Condition;
use super::notes::{columns, note_of};
use crate::ahead::Value;
use crate::tx::Param;
use crate::{Error, Hot, Proof, Store, TenantScope, TenantTx, Type};

/// Whose eyes a list is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// Anyone: public notes.
    Anonymous,
    /// A member: own, protected and public notes.
    Member(MemberId),
}

impl Viewer {
    /// The member, if any.
    pub const fn member(self) -> Option<MemberId> {
        match self {
            Self::Anonymous => None,
            Self::Member(member) => Some(member),
        }
    }
}

/// By which time a list is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortTime {
    /// Creation.
    #[default]
    Created,
    /// Last change.
    Updated,
}

/// The order of a list; equal times are in order of falling row number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Pinned notes first.
    pub pinned_first: bool,
    /// By which time.
    pub time: SortTime,
    /// Oldest first.
    pub ascending: bool,
}

/// Which notes, in which order, and which part of them.
#[derive(Clone, Copy)]
pub struct FeedQuery<'a> {
    /// Whose eyes.
    pub viewer: Viewer,
    /// The viewer's own archive instead of the feed.
    pub archived: bool,
    /// Order.
    pub order: Order,
    /// What notes must pass ([`super::filter_sql::compile_list`]).
    pub filter: Option<&'a Condition>,
    /// At most this many.
    pub limit: i64,
    /// After leaving out this many.
    pub offset: i64,
}

macro_rules! note_text {
    ($columns:expr) => {
        concat!("SELECT ", $columns, " FROM {s}.note n LEFT JOIN {s}.member m ON m.id = n.creator_id WHERE n.uid = $1")
    };
}

/// What a planned read of notes selects: every column, then the versions for its proof.
macro_rules! versioned {
    () => {
        concat!(columns!(), ", n.xmin, m.xmin")
    };
}

macro_rules! hot_feed {
    ($name:literal, $who:literal, $limit:literal) => {
        Hot {
            name: $name,
            text: feed_text!(versioned!(), $who, $limit),
            proof: Some(Proof {
                name: concat!($name, ", proof"),
                text: feed_text!("n.id, n.xmin, m.xmin", $who, $limit),
            }),
        }
    };
}

macro_rules! feed_text {
    ($columns:expr, $who:literal, $limit:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM {s}.note n LEFT JOIN {s}.member m ON m.id = n.creator_id
             WHERE n.parent_id IS NULL AND NOT n.archived AND ",
            $who,
            " ORDER BY n.created_ts DESC, n.id DESC LIMIT ",
            $limit
        )
    };
}

macro_rules! hot_member {
    ($name:literal, $limit:literal) => {
        hot_feed!($name, "(n.visibility IN ('PROTECTED', 'PUBLIC') OR n.creator_id = $1)", $limit)
    };
}

macro_rules! hot_anonymous {
    ($name:literal, $limit:literal) => {
        hot_feed!($name, "n.visibility = 'PUBLIC'", $limit)
    };
}

/// Page sizes (plus one row that tells whether more follows) with a planned statement.
const HOT_MEMBER: [(i64, Hot); 4] = [
    (11, hot_member!("feed member 10", "11")),
    (21, hot_member!("feed member 20", "21")),
    (31, hot_member!("feed member 30", "31")),
    (51, hot_member!("feed member 50", "51")),
];
const HOT_ANONYMOUS: [(i64, Hot); 4] = [
    (11, hot_anonymous!("feed anonymous 10", "11")),
    (21, hot_anonymous!("feed anonymous 20", "21")),
    (31, hot_anonymous!("feed anonymous 30", "31")),
    (51, hot_anonymous!("feed anonymous 50", "51")),
];
const HOT_NOTE: Hot = Hot {
    name: "note by uid",
    text: note_text!(versioned!()),
    proof: Some(Proof { name: "note by uid, proof", text: note_text!("n.id, n.xmin, m.xmin") }),
};

/// One note by its public id, whoever may see it.
pub async fn read_note(store: &Store, scope: &TenantScope, uid: &str) -> Result<Option<Note>, Error> {
    store.read_foreseen(scope, HOT_NOTE, &[Value::Text(uid.to_owned())]).await?.first().map(note_of).transpose()
}

/// A list of notes.
pub async fn list_notes(store: &Store, scope: &TenantScope, query: &FeedQuery<'_>) -> Result<Vec<Note>, Error> {
    if let Some(hot) = hot_of(query) {
        let rows = match query.viewer {
            Viewer::Anonymous => store.read_foreseen(scope, hot, &[]).await?,
            Viewer::Member(member) => store.read_foreseen(scope, hot, &[Value::Number(member.0)]).await?,
        };
        return rows.iter().map(note_of).collect();
    }
    // A plain further page costs its rows; what must be looked for may cost every note there is.
    let _turn = match query.filter {
        Some(_) => Some(store.turns().take(scope.tenant().id).await?),
        None => None,
    };
    let me = query.viewer.member().map(|member| member.0);
    let mut params: Vec<Param<'_>> = vec![(&me, Type::INT8)];
    if let Some(filter) = query.filter {
        params.extend(filter.params_of_list(is_narrowed(query)));
    }
    let text = text_of(query).replace("{s}", scope.tenant().schema.as_str());
    let rows = if query.offset == 0 {
        store.read_planned(scope, &text, &params).await?
    } else {
        store.begin(scope).read_once(&text, &params).await?
    };
    rows.iter().map(note_of).collect()
}

fn hot_of(query: &FeedQuery<'_>) -> Option<Hot> {
    if query.archived || query.filter.is_some() || query.offset != 0 || query.order != Order::default() {
        return None;
    }
    let known = match query.viewer {
        Viewer::Anonymous => &HOT_ANONYMOUS,
        Viewer::Member(_) => &HOT_MEMBER,
    };
    known.iter().find(|(limit, _)| *limit == query.limit).map(|(_, hot)| *hot)
}

/// Which public notes a feed shows.
#[derive(Clone, Copy, Debug)]
pub struct PublicNotes {
    /// Of this member only.
    pub creator: Option<MemberId>,
    /// At most this many.
    pub limit: i64,
}

/// The newest public notes that are neither archived nor comments.
pub async fn list_public(tx: &mut TenantTx, wanted: PublicNotes) -> Result<Vec<Note>, Error> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM note n LEFT JOIN member m ON m.id = n.creator_id
          WHERE n.parent_id IS NULL AND NOT n.archived AND n.visibility = 'PUBLIC'
          AND ($1::bigint IS NULL OR n.creator_id = $1) ORDER BY n.created_ts DESC, n.id DESC LIMIT $2"
    );
    let creator = wanted.creator.map(|member| member.0);
    let params: [Param<'_>; 2] = [(&creator, Type::INT8), (&wanted.limit, Type::INT8)];
    tx.query(sql, &params).await?.iter().map(note_of).collect()
}

/// What strangers may read, comments included.
macro_rules! open_to_strangers {
    () => {
        "FROM note n WHERE NOT n.archived AND coalesce(n.card->'parent'->>'visibility', n.visibility) = 'PUBLIC'
         AND NOT coalesce((n.card->'parent'->>'archived')::boolean, false)"
    };
}

/// The public ids of what strangers may read, comments included, the newest first.
pub async fn list_public_uids(tx: &mut TenantTx, limit: i64, offset: i64) -> Result<Vec<String>, Error> {
    let sql =
        concat!("SELECT n.uid ", open_to_strangers!(), " ORDER BY n.created_ts DESC, n.id DESC LIMIT $1 OFFSET $2");
    let rows = tx.query(sql, &[(&limit, Type::INT8), (&offset, Type::INT8)]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// How many they are.
pub async fn count_public(tx: &mut TenantTx) -> Result<i64, Error> {
    let row = tx.query_opt(concat!("SELECT count(*) ", open_to_strangers!()), &[]).await?;
    row.map_or(Ok(0), |row| Ok(row.try_get(0)?))
}
