//! `memo` → `note`, with its card.
//!
//! Order on a card, which is the order of Memos' own answers for one memo (GetMemo and its lists):
//! * attachments: newest update first (`updated_ts` falling, then id rising);
//! * reactions: id rising;
//! * relations: those that leave the note by the other note's number rising, then those that reach it by the other
//!   note's number falling; COMMENT relations are among both.
//!
//! Memos' list answers put relations differently (for one page: first those whose first note is on the page, first and
//! second number falling, then the others by first number falling); `app` sorts them from the same card.

use domain::id::{MemberId, NoteId};
use domain::note::{Card, CardEnd, CardReaction, CardRelation, Derived, Location, RelationKind, Visibility};
use serde_json::Value as Json;

use crate::map::members::Members;
use crate::reader::rows::SourceMemo;
use crate::reader::scratch::{Attachment, Reaction};
use crate::report::Findings;
use crate::table::Cell;

/// Visibility of a memo; unknown words become PRIVATE and are reported.
pub fn visibility(memo: &SourceMemo, findings: &mut Findings) -> Visibility {
    if memo.visibility == "SPACE" && memo.space_id.is_some() {
        return Visibility::Private; // told by the caller, with the space
    }
    memo.visibility.parse().unwrap_or_else(|_| {
        let message = format!("the visibility {:?} is unknown; taken as PRIVATE", memo.visibility);
        findings.warn("unknown_visibility", "memo", memo.id.unwrap_or_default(), message);
        Visibility::Private
    })
}

/// Whether a memo is archived; unknown states are, and are reported.
pub fn archived(memo: &SourceMemo, findings: &mut Findings) -> bool {
    match memo.row_status.as_str() {
        "NORMAL" | "" => false,
        "ARCHIVED" => true,
        other => {
            let message = format!("the state {other:?} is unknown; taken as archived");
            findings.warn("unknown_state", "memo", memo.id.unwrap_or_default(), message);
            true
        }
    }
}

/// The place given to a memo: the only thing in its payload that cannot be computed from the text. One with a latitude or
/// longitude that is no number (Memos takes `"NaN"`) is nowhere, and is none.
pub fn location(payload: &Json) -> Option<Location> {
    let place = payload.get("location")?.as_object()?;
    let degrees = |key: &str| match place.get(key) {
        None | Some(Json::Null) => Some(0.0),
        Some(Json::String(text)) => text.parse().ok().filter(|degrees: &f64| degrees.is_finite()),
        Some(other) => other.as_f64(),
    };
    Some(Location {
        placeholder: place.get("placeholder").and_then(Json::as_str).unwrap_or_default().to_owned(),
        latitude: degrees("latitude")?,
        longitude: degrees("longitude")?,
    })
}

/// The place as it is in the source where [`location`] takes it for none, told to the report; for the remainder.
pub fn lost_location(memo: &SourceMemo, findings: &mut Findings) -> Option<Json> {
    let place = memo.payload.get("location").filter(|place| place.is_object())?;
    if location(&memo.payload).is_some() {
        return None;
    }
    let message =
        "the latitude or longitude is no number; the memo has no place now, and what was there was kept aside";
    findings.warn("invalid_location", "memo", memo.id.unwrap_or_default(), message);
    Some(place.clone())
}

/// What a payload holds beside its place and what is computed from the text, for the remainder.
pub fn payload_rest(payload: &Json) -> Option<Json> {
    let beside = |(key, value): &(&String, &Json)| {
        !["property", "tags", "references", "location"].contains(&key.as_str()) && !value.is_null()
    };
    let rest: serde_json::Map<String, Json> =
        payload.as_object()?.iter().filter(beside).map(|(key, value)| (key.clone(), value.clone())).collect();
    (!rest.is_empty()).then_some(Json::Object(rest))
}

/// What cards show of a memo at the other end of a relation.
pub fn card_end(memo: &SourceMemo, uid: String, creator: i64) -> CardEnd {
    let mut ignored = Findings::default();
    CardEnd {
        id: NoteId(memo.id.unwrap_or_default()),
        uid,
        creator_id: MemberId(creator),
        visibility: visibility(memo, &mut ignored),
        archived: archived(memo, &mut ignored),
        snippet: markdown::derive(&memo.content).snippet,
    }
}

/// What hangs on one note.
#[derive(Debug, Default)]
pub struct Hanging {
    /// Newest update first.
    pub attachments: Vec<Attachment>,
    /// Lowest number first.
    pub reactions: Vec<Reaction>,
    /// Relations that leave the note.
    pub leaving: Vec<(RelationKind, CardEnd)>,
    /// Relations that reach it.
    pub reaching: Vec<(RelationKind, CardEnd)>,
    /// The note it comments on.
    pub parent: Option<CardEnd>,
}

/// The card of a note.
pub fn card(hanging: Hanging, members: &Members) -> Card {
    let relation =
        |outgoing: bool| move |(kind, other): (RelationKind, CardEnd)| CardRelation { kind, outgoing, other };
    let mut relations: Vec<_> = hanging.leaving.into_iter().map(relation(true)).collect();
    relations.extend(hanging.reaching.into_iter().map(relation(false)));
    Card {
        attachments: hanging.attachments.iter().map(Attachment::on_card).collect(),
        reactions: hanging
            .reactions
            .into_iter()
            .map(|row| CardReaction {
                id: row.id,
                creator_id: MemberId(row.creator_id),
                creator: members.name(row.creator_id).to_owned(),
                reaction: row.reaction,
                created_ts: row.created_ts,
            })
            .collect(),
        relations,
        parent: hanging.parent,
    }
}

/// A note with all that must be looked up; what its text says about itself is still to be told.
#[derive(Debug)]
pub struct ReadyNote {
    /// The source's row.
    pub memo: SourceMemo,
    /// Who may read it.
    pub visibility: Visibility,
    /// Put away.
    pub archived: bool,
    /// Public id.
    pub uid: String,
    /// Member number.
    pub creator: i64,
    /// Number of the note it comments on.
    pub parent: Option<i64>,
    /// Held at the top.
    pub pinned: bool,
    /// Its card.
    pub card: Card,
}

/// Where the text is among the cells of `table::NOTE`, and the first of the seven that follow from it.
const CONTENT: usize = 9;
const TAGS: usize = 10;

/// As cells of `table::NOTE`, without what the text says about itself.
pub fn note_cells(note: ReadyNote) -> Vec<Cell> {
    let ReadyNote { memo, visibility, archived, uid, creator, parent, pinned, card } = note;
    let location = location(&memo.payload).and_then(|place| serde_json::to_value(place).ok());
    let card = serde_json::to_value(&card).unwrap_or_else(|_| Json::Object(serde_json::Map::new()));
    vec![
        memo.id.unwrap_or_default().into(),
        uid.into(),
        creator.into(),
        parent.into(),
        memo.created_ts.into(),
        memo.updated_ts.into(),
        archived.into(),
        pinned.into(),
        visibility.as_str().into(),
        memo.content.into(),
        Cell::Texts(Vec::new()),
        "".into(),
        "".into(),
        false.into(),
        false.into(),
        false.into(),
        false.into(),
        location.into(),
        card.into(),
    ]
}

/// Fills in what the text says about itself; Memos' own answers to that are not read.
pub fn tell_of_text(cells: &mut [Cell]) {
    let Some(Cell::Text(content)) = cells.get(CONTENT) else { return };
    let Derived { tags, snippet, title, has_link, has_task_list, has_code, has_incomplete_tasks } =
        markdown::derive(content);
    let told: [Cell; 7] = [
        tags.into(),
        snippet.into(),
        title.into(),
        has_link.into(),
        has_task_list.into(),
        has_code.into(),
        has_incomplete_tasks.into(),
    ];
    for (cell, told) in cells.iter_mut().skip(TAGS).zip(told) {
        *cell = told;
    }
}

/// The emoji behind the names that reactions had in 0.20 to 0.22.
pub fn emoji(name: &str) -> &str {
    match name {
        "THUMBS_UP" => "👍",
        "THUMBS_DOWN" => "👎",
        "HEART" => "💛",
        "FIRE" => "🔥",
        "CLAPPING_HANDS" => "👏",
        "LAUGH" => "😂",
        "OK_HAND" => "👌",
        "ROCKET" => "🚀",
        "EYES" => "👀",
        "THINKING_FACE" => "🤔",
        "CLOWN_FACE" => "🤡",
        "QUESTION_MARK" => "❓",
        other => other,
    }
}

/// REFERENCE, COMMENT, or none; ADDITIONAL (0.13 to 0.16) is a reference.
pub fn relation_kind(word: &str) -> Option<RelationKind> {
    match word {
        "REFERENCE" | "ADDITIONAL" => Some(RelationKind::Reference),
        "COMMENT" => Some(RelationKind::Comment),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::NOTE;

    #[test]
    fn cells_fit_the_table() {
        let memo = SourceMemo {
            id: Some(4),
            content: "# Hi\n\n#tag".into(),
            visibility: "SPACE".into(),
            row_status: "DRAFT".into(),
            payload: serde_json::json!({"location": {"placeholder": "Bern", "latitude": 46.9}}),
            ..SourceMemo::default()
        };
        let mut findings = Findings::default();
        let (visibility, archived) = (visibility(&memo, &mut findings), archived(&memo, &mut findings));
        let mut cells = note_cells(ReadyNote {
            memo,
            visibility,
            archived,
            uid: "u".into(),
            creator: 1,
            parent: None,
            pinned: true,
            card: Card::default(),
        });
        tell_of_text(&mut cells);
        assert_eq!(cells.len(), NOTE.columns.len());
        assert_eq!(NOTE.columns[CONTENT].0, "content");
        assert_eq!(cells[TAGS], Cell::Texts(vec!["tag".into()]));
        assert_eq!(cells[12], Cell::from("Hi"));
        assert_eq!(cells[8], Cell::from("PRIVATE"));
        assert_eq!(cells[6], Cell::from(true));
        assert_eq!(
            cells[17],
            Cell::Json(serde_json::json!({"placeholder": "Bern", "latitude": 46.9, "longitude": 0.0}))
        );
        let codes: Vec<_> = findings.into_lists().1.into_iter().map(|f| f.code).collect();
        assert_eq!(codes, ["unknown_visibility", "unknown_state"]);
    }
}
