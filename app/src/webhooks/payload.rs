//! The body of a message: Memos writes a Go struct, with snake case, numbers for enums, and zero values left out.

use domain::id::{MemberId, NoteId};
use domain::note::{Card, Derived, Location, Note, Visibility};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use wire::v1;

use crate::notes::view::{self, Detail};

/// A note's row as the database writes it as JSON.
#[derive(Debug, Deserialize)]
struct Snapshot {
    id: i64,
    uid: String,
    creator_id: i64,
    created_ts: i64,
    updated_ts: i64,
    archived: bool,
    pinned: bool,
    visibility: String,
    content: String,
    tags: Vec<String>,
    snippet: String,
    title: String,
    has_link: bool,
    has_task_list: bool,
    has_code: bool,
    has_incomplete_tasks: bool,
    #[serde(deserialize_with = "readable")]
    location: Option<Location>,
    card: Card,
}

/// A place; none where it cannot be read, as everywhere else.
fn readable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Location>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).unwrap_or(None))
}

/// The body that tells `activity` to `url` about the note of a stored snapshot.
pub(super) fn body(url: &str, activity: &str, creator: &str, snapshot: Value) -> Result<Vec<u8>, serde_json::Error> {
    let row: Snapshot = serde_json::from_value(snapshot)?;
    let note = note_of(row, creator);
    let memo = view::memo(&note, Some(note.creator_id), Detail::Full);
    serde_json::to_vec(&json!({
        "url": url,
        "activityType": activity,
        "creator": view::user_name(creator),
        "memo": go_memo(&memo),
    }))
}

fn note_of(row: Snapshot, creator: &str) -> Note {
    Note {
        id: NoteId(row.id),
        uid: row.uid,
        creator_id: MemberId(row.creator_id),
        creator: creator.to_owned(),
        created_ts: row.created_ts,
        updated_ts: row.updated_ts,
        archived: row.archived,
        content: row.content,
        visibility: row.visibility.parse().unwrap_or(Visibility::Private),
        pinned: row.pinned,
        derived: Derived {
            tags: row.tags,
            snippet: row.snippet,
            title: row.title,
            has_link: row.has_link,
            has_task_list: row.has_task_list,
            has_code: row.has_code,
            has_incomplete_tasks: row.has_incomplete_tasks,
        },
        location: row.location,
        card: row.card,
    }
}

/// An object without the members that Go leaves out.
fn compact(value: Value) -> Value {
    let Value::Object(fields) = value else { return value };
    let kept = fields.into_iter().filter(|(_, value)| match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(_) => true,
    });
    Value::Object(kept.collect::<Map<String, Value>>())
}

fn time(at: Option<&wire::Timestamp>) -> Value {
    at.map_or(Value::Null, |at| compact(json!({ "seconds": at.seconds, "nanos": at.nanos })))
}

fn go_memo(memo: &v1::Memo) -> Value {
    let property = memo.property.as_ref().map(|found| {
        compact(json!({
            "has_link": found.has_link,
            "has_task_list": found.has_task_list,
            "has_code": found.has_code,
            "has_incomplete_tasks": found.has_incomplete_tasks,
            "title": found.title,
        }))
    });
    let location = memo.location.as_ref().map(|place| {
        compact(json!({ "placeholder": place.placeholder, "latitude": place.latitude, "longitude": place.longitude }))
    });
    compact(json!({
        "name": memo.name,
        "state": memo.state,
        "creator": memo.creator,
        "create_time": time(memo.create_time.as_ref()),
        "update_time": time(memo.update_time.as_ref()),
        "content": memo.content,
        "visibility": memo.visibility,
        "tags": memo.tags,
        "pinned": memo.pinned,
        "attachments": memo.attachments.iter().map(go_attachment).collect::<Vec<Value>>(),
        "relations": memo.relations.iter().map(go_relation).collect::<Vec<Value>>(),
        "reactions": memo.reactions.iter().map(go_reaction).collect::<Vec<Value>>(),
        "property": property,
        "parent": memo.parent,
        "snippet": memo.snippet,
        "location": location,
    }))
}

fn go_attachment(file: &v1::Attachment) -> Value {
    compact(json!({
        "name": file.name,
        "create_time": time(file.create_time.as_ref()),
        "filename": file.filename,
        "external_link": file.external_link,
        "type": file.r#type,
        "size": file.size,
        "memo": file.memo,
        "motion_media": file.motion_media.as_ref().map(|found| compact(json!({
            "family": found.family,
            "role": found.role,
            "group_id": found.group_id,
            "presentation_timestamp_us": found.presentation_timestamp_us,
            "has_embedded_video": found.has_embedded_video,
        }))),
    }))
}

fn go_relation(relation: &v1::MemoRelation) -> Value {
    let end = |end: Option<&v1::memo_relation::Memo>| {
        end.map(|end| compact(json!({ "name": end.name, "snippet": end.snippet })))
    };
    compact(json!({
        "memo": end(relation.memo.as_ref()),
        "related_memo": end(relation.related_memo.as_ref()),
        "type": relation.r#type,
    }))
}

fn go_reaction(reaction: &v1::Reaction) -> Value {
    compact(json!({
        "name": reaction.name,
        "creator": reaction.creator,
        "content_id": reaction.content_id,
        "reaction_type": reaction.reaction_type,
        "create_time": time(reaction.create_time.as_ref()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_row_becomes_a_go_struct() {
        let row = json!({
            "id": 7, "uid": "n7", "creator_id": 3, "parent_id": null, "created_ts": 5, "updated_ts": 6, "archived": false,
            "pinned": false, "visibility": "PUBLIC", "content": "see https://x #t", "tags": ["t"], "snippet": "s",
            "title": "", "has_link": true, "has_task_list": false, "has_code": false, "has_incomplete_tasks": false,
            "location": null, "card": {},
        });
        let mut odd = row.clone();
        odd["location"] = json!({"placeholder": "far", "latitude": null, "longitude": 1.0});
        assert_eq!(
            super::body("https://hook", super::super::CREATED, "ann", odd).ok(),
            super::body("https://hook", super::super::CREATED, "ann", row.clone()).ok(),
            "a place that cannot be read is none"
        );
        let body = body("https://hook", super::super::CREATED, "ann", row).expect("a body");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(
            body,
            json!({
                "url": "https://hook", "activityType": "memos.memo.created", "creator": "users/ann",
                "memo": {
                    "name": "memos/n7", "state": 1, "creator": "users/ann", "create_time": {"seconds": 5},
                    "update_time": {"seconds": 6}, "content": "see https://x #t", "visibility": 3, "tags": ["t"],
                    "property": {"has_link": true}, "snippet": "s",
                },
            })
        );
    }
}
