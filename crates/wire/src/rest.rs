//! From a REST request to the JSON of its request message: path, query, body, and the mask that a PATCH implies.

use percent_encoding::percent_decode_str;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value};

use crate::table::{Body, Match};

/// The request does not make a message; the text says why. Always `InvalidArgument`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

fn refuse<T>(text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(text.into()))
}

/// Keys that clients of other versions send in a PATCH; they are passed over where an unknown key is refused.
const OTHER_DIALECTS: [&str; 12] = [
    "rowStatus",
    "row_status",
    "resources",
    "uid",
    "id",
    "nickname",
    "space",
    "mediaMetadata",
    "media_metadata",
    "saveMediaMetadata",
    "accessSetting",
    "memoView",
];

/// The JSON object of the request message that `found` stands for.
///
/// # Errors
/// A query value or the body cannot be read as the message wants it.
pub fn request(found: &Match, query: &str, body: &[u8]) -> Result<Value, Refusal> {
    let Some(message) = crate::descriptor::request(found.rpc.service, found.rpc.method) else {
        return refuse("unknown request message");
    };
    let mut object = Map::new();
    match found.binding.body {
        Body::None => {}
        Body::Whole => object = read_body(body)?.unwrap_or_default(),
        Body::Field(name) => {
            let read = read_body(body)?;
            if found.binding.verb == "PATCH" {
                infer_mask(&message, name, read.as_ref(), &mut object)?;
            }
            object.insert(json_key(&message, name), Value::Object(read.unwrap_or_default()));
        }
    }
    drop_nulls(&mut object);
    if found.binding.body != Body::Whole {
        let taken: Vec<&str> = found.captured.iter().map(|(field, _)| field.as_str()).collect();
        read_query(&message, found.binding.body, &taken, query, &mut object)?;
    }
    for (field, text) in &found.captured {
        set_path(&message, &mut object, field, Value::String(text.clone()));
    }
    Ok(Value::Object(object))
}

/// The first JSON value of a body, which must be an object; nothing when there is none.
fn read_body(body: &[u8]) -> Result<Option<Map<String, Value>>, Refusal> {
    let mut values = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
    match values.next() {
        None | Some(Ok(Value::Null)) => Ok(None),
        Some(Ok(Value::Object(object))) => Ok(Some(object)),
        Some(Ok(_)) => refuse("syntax error (line 1:1): the body must be an object"),
        Some(Err(error)) => refuse(format!("syntax error: {error}")),
    }
}

/// The body of a PATCH without the keys that its resource does not have; nothing when it has them all. For callers whose
/// other versions had more.
pub fn known_only(found: &Match, body: &[u8]) -> Option<Vec<u8>> {
    let Body::Field(name) = found.binding.body else { return None };
    if found.binding.verb != "PATCH" {
        return None;
    }
    let request = crate::descriptor::request(found.rpc.service, found.rpc.method)?;
    let Kind::Message(resource) = request.get_field_by_name(name)?.kind() else { return None };
    let mut object = read_body(body).ok()??;
    drop_unknown(&resource, &mut object).then(|| Value::Object(object).to_string().into_bytes())
}

/// Whether there was any.
fn drop_unknown(message: &MessageDescriptor, object: &mut Map<String, Value>) -> bool {
    let before = object.len();
    object.retain(|key, _| field_of(message, key).is_some());
    let mut dropped = object.len() < before;
    for (key, value) in object {
        let Some(field) = field_of(message, key).filter(|field| !field.is_list() && !field.is_map()) else { continue };
        if let (Kind::Message(inner), Value::Object(value)) = (field.kind(), value) {
            dropped |= drop_unknown(&inner, value);
        }
    }
    dropped
}

/// In JSON a null stands for "not set", in any field.
pub fn drop_nulls(object: &mut Map<String, Value>) {
    object.retain(|_, value| !value.is_null());
    for value in object.values_mut() {
        match value {
            Value::Object(inner) => drop_nulls(inner),
            Value::Array(items) => items.iter_mut().filter_map(Value::as_object_mut).for_each(drop_nulls),
            _ => {}
        }
    }
}

fn json_key(message: &MessageDescriptor, name: &str) -> String {
    message.get_field_by_name(name).map_or_else(|| name.to_owned(), |field| field.json_name().to_owned())
}

/// A field by either of its names.
pub(crate) fn field_of(message: &MessageDescriptor, key: &str) -> Option<FieldDescriptor> {
    message.get_field_by_json_name(key).or_else(|| message.get_field_by_name(key))
}

/// Sets a dotted field; whatever stood there under either name gives way.
fn set_path(message: &MessageDescriptor, object: &mut Map<String, Value>, path: &str, value: Value) {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let Some(field) = field_of(message, first) else { return };
    if field.json_name() != field.name() {
        object.remove(field.name());
    }
    let Some(rest) = rest else {
        object.insert(field.json_name().to_owned(), value);
        return;
    };
    if let Kind::Message(inner) = field.kind() {
        let slot = object.entry(field.json_name().to_owned()).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(slot) = slot {
            set_path(&inner, slot, rest, value);
        }
    }
}

// ---- masks ----------------------------------------------------------------------------------------------------------

fn mask_value(paths: Vec<String>) -> Value {
    let paths = paths.into_iter().map(Value::String).collect();
    Value::Object([("paths".to_owned(), Value::Array(paths))].into_iter().collect())
}

/// A PATCH without a mask means the keys of its body.
fn infer_mask(
    message: &MessageDescriptor,
    resource: &str,
    body: Option<&Map<String, Value>>,
    object: &mut Map<String, Value>,
) -> Result<(), Refusal> {
    let Some(mask) = message.get_field_by_name("update_mask") else { return Ok(()) };
    // No body at all names nothing, not even the whole.
    let Some(body) = body else {
        object.insert(mask.json_name().to_owned(), mask_value(Vec::new()));
        return Ok(());
    };
    let Some(Kind::Message(resource)) = message.get_field_by_name(resource).map(|field| field.kind()) else {
        return Ok(());
    };
    let mut paths = Vec::new();
    leaf_paths(&resource, body, "", &mut paths)?;
    object.insert(mask.json_name().to_owned(), mask_value(paths));
    Ok(())
}

fn leaf_paths(
    message: &MessageDescriptor,
    body: &Map<String, Value>,
    above: &str,
    paths: &mut Vec<String>,
) -> Result<(), Refusal> {
    if body.is_empty() {
        paths.push(above.to_owned());
    }
    for (key, value) in body {
        let Some(field) = field_of(message, key) else {
            if OTHER_DIALECTS.contains(&key.as_str()) {
                continue;
            }
            return refuse(format!("could not find field \"{key}\" in \"{}\"", message.full_name()));
        };
        let path = if above.is_empty() { field.name().to_owned() } else { format!("{above}.{}", field.name()) };
        match (field.kind(), value) {
            (Kind::Message(inner), Value::Object(value)) if !field.is_list() && !field.is_map() => {
                leaf_paths(&inner, value, &path, paths)?;
            }
            _ => paths.push(path),
        }
    }
    Ok(())
}

// ---- query ----------------------------------------------------------------------------------------------------------

fn decode_query_part(text: &str) -> Result<String, Refusal> {
    let spaced = text.replace('+', " ");
    match percent_decode_str(&spaced).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => refuse("invalid query: not UTF-8"),
    }
}

fn read_query(
    message: &MessageDescriptor,
    body: Body,
    taken: &[&str],
    query: &str,
    object: &mut Map<String, Value>,
) -> Result<(), Refusal> {
    let mut seen: Vec<(String, Vec<String>)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (decode_query_part(key)?, decode_query_part(value)?);
        match seen.iter_mut().find(|(known, _)| *known == key) {
            Some((_, values)) => values.push(value),
            None => seen.push((key, vec![value])),
        }
    }
    for (key, values) in seen {
        let Some(fields) = resolve(message, &key) else { continue };
        let path: Vec<&str> = fields.iter().map(FieldDescriptor::name).collect();
        let dotted = path.join(".");
        let in_body = matches!(body, Body::Field(name) if path.first() == Some(&name));
        if in_body || taken.contains(&dotted.as_str()) {
            continue;
        }
        let Some(field) = fields.last() else { continue };
        let value = query_value(field, &values)?;
        set_path(message, object, &dotted, value);
    }
    Ok(())
}

/// The fields along a dotted path in either spelling; nothing when one is unknown.
fn resolve(message: &MessageDescriptor, path: &str) -> Option<Vec<FieldDescriptor>> {
    let mut fields: Vec<FieldDescriptor> = Vec::new();
    for part in path.split('.') {
        let field = match fields.last() {
            None => field_of(message, part)?,
            Some(above) if above.is_list() || above.is_map() => return None,
            Some(above) => field_of(above.kind().as_message()?, part)?,
        };
        fields.push(field);
    }
    Some(fields)
}

fn query_value(field: &FieldDescriptor, values: &[String]) -> Result<Value, Refusal> {
    if field.is_map() {
        return refuse(format!("parsing field \"{}\": maps cannot be set in a query", field.name()));
    }
    if field.is_list() {
        let items: Result<Vec<Value>, Refusal> = values.iter().map(|text| scalar(field, text)).collect();
        return items.map(Value::Array);
    }
    match values {
        [text] => scalar(field, text),
        _ => refuse(format!("too many values for field \"{}\": {}", field.name(), values.join(", "))),
    }
}

fn scalar(field: &FieldDescriptor, text: &str) -> Result<Value, Refusal> {
    let bad = |why: &str| refuse(format!("parsing field \"{}\": \"{text}\" {why}", field.name()));
    match field.kind() {
        Kind::String | Kind::Bytes => Ok(Value::String(text.to_owned())),
        Kind::Bool => match text {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(Value::Bool(false)),
            _ => bad("is not true or false"),
        },
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => match text.parse::<i32>() {
            Ok(number) => Ok(number.into()),
            Err(_) => bad("is not a 32-bit number"),
        },
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => match text.parse::<i64>() {
            Ok(number) => Ok(number.into()),
            Err(_) => bad("is not a 64-bit number"),
        },
        Kind::Uint32 | Kind::Fixed32 | Kind::Uint64 | Kind::Fixed64 => match text.parse::<u64>() {
            Ok(number) => Ok(number.into()),
            Err(_) => bad("is not a number"),
        },
        Kind::Double | Kind::Float => match text.parse::<f64>() {
            Ok(number) => Ok(number.into()),
            Err(_) => bad("is not a number"),
        },
        Kind::Enum(kind) => {
            let known = match text.parse::<i32>() {
                Ok(number) => kind.get_value(number),
                Err(_) => kind.get_value_by_name(text),
            };
            known.map_or_else(|| bad("is not a valid value"), |value| Ok(value.number().into()))
        }
        Kind::Message(message) => match message.full_name() {
            "google.protobuf.FieldMask" => Ok(mask_value(text.split(',').map(str::to_owned).collect())),
            "google.protobuf.Timestamp" => match crate::Timestamp::parse(text) {
                Ok(_) => Ok(Value::String(text.to_owned())),
                Err(_) => bad("is not an RFC 3339 time"),
            },
            _ => bad("cannot fill a message"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Found, find};
    use serde_json::json;

    fn ask(verb: &str, target: &str, body: &str) -> Result<Value, Refusal> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match find(verb, path) {
            Found::Rpc(found) => request(&found, query, body.as_bytes()),
            other => panic!("{verb} {target}: {other:?}"),
        }
    }

    #[test]
    fn path_query_and_body_meet() {
        assert_eq!(
            ask("POST", "/api/v1/memos?memo_id=x&memo.content=no", r#"{"content":"c","location":null}"#),
            Ok(json!({"memo": {"content": "c"}, "memoId": "x"}))
        );
        assert_eq!(
            ask("POST", "/api/v1/memos/m/reactions", r#"{"name":"memos/other","reaction":{"reactionType":"x"}}"#),
            Ok(json!({"name": "memos/m", "reaction": {"reactionType": "x"}}))
        );
        assert_eq!(ask("POST", "/api/v1/memos", ""), Ok(json!({"memo": {}})));
    }

    #[test]
    fn the_keys_of_a_patch_are_its_mask() {
        assert_eq!(
            ask("PATCH", "/api/v1/memos/m", r#"{"createTime":null,"location":{"latitude":1},"tags":[]}"#),
            Ok(json!({
                "memo": {"name": "memos/m", "location": {"latitude": 1}, "tags": []},
                "updateMask": {"paths": ["create_time", "location.latitude", "tags"]},
            }))
        );
        let mask =
            |target: &str, body: &str| ask("PATCH", target, body).map(|value| value["updateMask"]["paths"].clone());
        assert_eq!(
            mask("/api/v1/memos/m?updateMask=pinned,create_time", r#"{"content":"c"}"#),
            Ok(json!(["pinned", "create_time"]))
        );
        assert_eq!(mask("/api/v1/memos/m?update_mask=", "{}"), Ok(json!([""])));
        assert_eq!(mask("/api/v1/memos/m", "{}"), Ok(json!([""])));
        assert_eq!(mask("/api/v1/memos/m", ""), Ok(json!([])));
        assert_eq!(mask("/api/v1/memos/m", r#"{"rowStatus":"ARCHIVED","pinned":true}"#), Ok(json!(["pinned"])));
        assert!(mask("/api/v1/memos/m", r#"{"bogus":1}"#).is_err());
        let Found::Rpc(found) = find("PATCH", "/api/v1/memos/m") else { panic!("no such route") };
        let known = |body: &str| {
            known_only(&found, body.as_bytes()).map(|body| serde_json::from_slice::<Value>(&body).expect("JSON"))
        };
        assert_eq!(
            known(r#"{"bogus":1,"pinned":true,"location":{"latitude":1,"street":"x"}}"#),
            Some(json!({"pinned": true, "location": {"latitude": 1}}))
        );
        assert_eq!(known(r#"{"pinned":true}"#), None);
    }

    #[test]
    fn queries_are_checked_by_kind() {
        assert_eq!(
            ask("GET", "/api/v1/memos?pageSize=3&state=NORMAL&nope=1&filter=a+b%26", ""),
            Ok(json!({"pageSize": 3, "state": 1, "filter": "a b&"}))
        );
        let text = |target: &str| ask("GET", target, "").map_err(|refusal| refusal.0);
        assert_eq!(
            text("/api/v1/memos?state=BOGUS"),
            Err("parsing field \"state\": \"BOGUS\" is not a valid value".to_owned())
        );
        assert!(text("/api/v1/memos?pageSize=x").is_err());
        assert!(text("/api/v1/memos?pageSize=1&pageSize=2").is_err());
        assert!(text("/api/v1/memos?filter=%ff").is_err());
    }

    #[test]
    fn broken_bodies_are_refused() {
        for body in ["[]", "{bad", "{\"content\":\"x\",", "{\"content\":\"lone \\ud800 surrogate\"}", "3"] {
            assert!(ask("POST", "/api/v1/memos", body).is_err(), "{body}");
        }
    }
}
