//! `inbox` (and, before 0.27, `activity`) → `notification`.

use std::collections::BTreeMap;

use serde_json::Value as Json;

/// Comment or mention: the note that tells, and the note it tells about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// `MEMO_COMMENT` or `MEMO_MENTION`.
    pub kind: &'static str,
    /// The comment, or the mentioning note.
    pub note: Option<i64>,
    /// The parent.
    pub related: Option<i64>,
}

/// What an inbox message tells; none for kinds that have no place here (notices of new versions, invitations).
/// `activities`: number of an activity → its payload, for messages that only name one.
pub fn told(message: &Json, activities: &BTreeMap<i64, Json>) -> Option<Told> {
    let kind = message.get("type").and_then(Json::as_str).unwrap_or_default();
    let (kind, field) = match kind.trim_start_matches("TYPE_") {
        "MEMO_COMMENT" => ("MEMO_COMMENT", "memoComment"),
        "MEMO_MENTION" => ("MEMO_MENTION", "memoMention"),
        _ => return None,
    };
    let inline = message.get(field);
    let through = || activities.get(&number(message.get("activityId")?)?)?.get(field);
    let payload = inline.or_else(through);
    let id = |key: &str| payload.and_then(|payload| number(payload.get(key)?)).filter(|id| *id != 0);
    Some(Told { kind, note: id("memoId"), related: id("relatedMemoId") })
}

fn number(json: &Json) -> Option<i64> {
    json.as_i64().or_else(|| json.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn messages_of_every_release_are_read() {
        let activities = BTreeMap::from([(3, json!({"memoComment": {"memoId": 9, "relatedMemoId": "8"}}))]);
        let comment = Told { kind: "MEMO_COMMENT", note: Some(9), related: Some(8) };
        assert_eq!(told(&json!({"type": "TYPE_MEMO_COMMENT", "activityId": 3}), &activities), Some(comment));
        assert_eq!(told(&json!({"type": "MEMO_COMMENT", "activityId": 4}), &activities).unwrap().note, None);
        let mention = json!({"type": "MEMO_MENTION", "memoMention": {"memoId": 20}});
        assert_eq!(told(&mention, &activities), Some(Told { kind: "MEMO_MENTION", note: Some(20), related: None }));
        assert_eq!(told(&json!({"type": "VERSION_UPDATE"}), &activities), None);
    }
}
