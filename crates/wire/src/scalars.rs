//! Scalars as proto JSON allows them: a whole number may be written `1`, `1.0`, `1e0` or `"1"`.
//!
//! The reader of messages takes fewer forms, and tells what it does not take in words of its own inside. So where it has
//! failed, the value is gone through with the descriptors at hand, and read once more.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::Value;

use crate::rest::{Refusal, field_of};

/// Up to here every whole number is one of JSON's.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// How much of a value that cannot be is told, in characters.
const TOLD: usize = 60;

/// Brings the numbers of a message into the form that its reader takes.
///
/// # Errors
/// The first field, by name, whose value can be none of its kind.
pub fn settle(message: &MessageDescriptor, value: &mut Value) -> Result<(), Refusal> {
    let Value::Object(fields) = value else {
        return Err(Refusal(format!("a {} must be an object", message.name())));
    };
    for (key, value) in fields {
        let Some(field) = field_of(message, key).filter(|_| !value.is_null()) else { continue };
        match value {
            Value::Array(items) if field.is_list() => {
                items.iter_mut().try_for_each(|item| one(&field, &field.kind(), item))?;
            }
            Value::Object(entries) if field.is_map() => {
                let Kind::Message(entry) = field.kind() else { continue };
                let kind = entry.map_entry_value_field().kind();
                entries.values_mut().try_for_each(|item| one(&field, &kind, item))?;
            }
            other if field.is_list() => return Err(wrong("list", &field, other)),
            other if field.is_map() => return Err(wrong("map", &field, other)),
            other => one(&field, &field.kind(), other)?,
        }
    }
    Ok(())
}

fn wrong(kind: &str, field: &FieldDescriptor, value: &Value) -> Refusal {
    let mut told: String = value.to_string().chars().take(TOLD + 1).collect();
    if told.chars().count() > TOLD {
        told.pop();
        told.push('…');
    }
    Refusal(format!("invalid value for {kind} field {}: {told}", field.json_name()))
}

fn one(field: &FieldDescriptor, kind: &Kind, value: &mut Value) -> Result<(), Refusal> {
    let whole_in = |value: &Value, least: i128, most: i128| whole(value).filter(|n| (least..=most).contains(n));
    let settled = match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            whole_in(value, i32::MIN.into(), i32::MAX.into()).map(|number| Value::from(number as i64))
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            whole_in(value, i64::MIN.into(), i64::MAX.into()).map(|number| Value::from(number as i64))
        }
        Kind::Uint32 | Kind::Fixed32 => whole_in(value, 0, u32::MAX.into()).map(|number| Value::from(number as u64)),
        Kind::Uint64 | Kind::Fixed64 => whole_in(value, 0, u64::MAX.into()).map(|number| Value::from(number as u64)),
        // Names of an enum that are unknown are passed over by the reader.
        Kind::Enum(_) | Kind::String | Kind::Bytes if value.is_string() => return Ok(()),
        Kind::Enum(_) => whole_in(value, i32::MIN.into(), i32::MAX.into()).map(|number| Value::from(number as i64)),
        Kind::Message(message) if message.full_name() == "google.protobuf.FloatValue" => number(value),
        // They have forms of their own, and readers of ours that speak plainly.
        Kind::Message(message) if message.full_name().starts_with("google.protobuf.") => return Ok(()),
        Kind::Message(message) if value.is_object() => return settle(message, value),
        Kind::Double | Kind::Float => number(value),
        Kind::Bool if value.is_boolean() => return Ok(()),
        _ => None,
    };
    *value = settled.ok_or_else(|| wrong(&name_of(kind), field, value))?;
    Ok(())
}

fn number(value: &Value) -> Option<Value> {
    let fits = match value {
        Value::Number(_) => true,
        Value::String(text) => text.parse::<f64>().is_ok(),
        _ => false,
    };
    fits.then(|| value.clone())
}

/// The whole number that a value is in one of its forms.
fn whole(value: &Value) -> Option<i128> {
    let of_float = |float: f64| (float.fract() == 0.0 && float.abs() <= EXACT).then_some(float as i128);
    match value {
        Value::Number(number) => {
            let plain = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
            plain.or_else(|| of_float(number.as_f64()?))
        }
        Value::String(text) => text.parse().ok().or_else(|| of_float(text.parse().ok()?)),
        _ => None,
    }
}

/// `int32`, `bool`, or the name of the message.
fn name_of(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => message.name().to_owned(),
        Kind::Enum(_) => "enum".to_owned(),
        scalar => format!("{scalar:?}").to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn settled(message: &str, mut value: Value) -> Result<Value, String> {
        let message = crate::pool().get_message_by_name(&format!("{}.{message}", crate::table::PACKAGE)).expect("it");
        settle(&message, &mut value).map(|()| value).map_err(|refusal| refusal.0)
    }

    #[test]
    fn whole_numbers_have_many_forms() {
        for form in [json!(3), json!(3.0), json!("3"), json!("3.0"), json!("3e0"), json!(30e-1)] {
            let message = json!({"pageSize": form, "state": 1.0, "nope": 1.5, "filter": "1.0"});
            let read = settled("ListMemosRequest", message).expect("a message");
            assert_eq!((&read["pageSize"], &read["state"], &read["filter"]), (&json!(3), &json!(1), &json!("1.0")));
            let read: crate::v1::ListMemosRequest = serde_json::from_value(read).expect("a message");
            assert_eq!((read.page_size, read.state), (3, 1));
        }
        let stats = settled("UserStats", json!({"tagCount": {"a": 2.0}, "totalMemoCount": "4e0"})).expect("it");
        assert_eq!(stats, json!({"tagCount": {"a": 2}, "totalMemoCount": 4}));
        let memo = json!({"memo": {"location": {"latitude": 1, "longitude": "2.5"}, "attachments": [{"size": 5.0}]}});
        let read = settled("CreateMemoRequest", memo).expect("it");
        assert_eq!(read["memo"]["attachments"][0]["size"], 5);
    }

    #[test]
    fn what_cannot_be_is_told_by_the_name_of_its_field() {
        for (message, value, told) in [
            ("ListMemosRequest", json!({"page_size": 1.5}), "invalid value for int32 field pageSize: 1.5"),
            ("ListMemosRequest", json!({"pageSize": 3e9}), "invalid value for int32 field pageSize: 3000000000.0"),
            ("ListMemosRequest", json!({"pageSize": "x"}), "invalid value for int32 field pageSize: \"x\""),
            ("ListMemosRequest", json!({"state": 1.5}), "invalid value for enum field state: 1.5"),
            ("Attachment", json!({"size": 1e99}), "invalid value for int64 field size: 1e+99"),
            ("CreateMemoRequest", json!({"memo": {"pinned": 1}}), "invalid value for bool field pinned: 1"),
            ("CreateMemoRequest", json!({"memo": {"content": []}}), "invalid value for string field content: []"),
            ("CreateMemoRequest", json!({"memo": "x"}), "invalid value for Memo field memo: \"x\""),
            ("Memo", json!({"tags": "x"}), "invalid value for list field tags: \"x\""),
            ("UserStats", json!({"tagCount": []}), "invalid value for map field tagCount: []"),
            ("Location", json!({"latitude": {}}), "invalid value for double field latitude: {}"),
            ("Memo", json!([]), "a Memo must be an object"),
        ] {
            assert_eq!(settled(message, value), Err(told.to_owned()));
        }
        let long = settled("Memo", json!({"pinned": "y".repeat(100)})).expect_err("it is no bool");
        assert!(long.ends_with('…') && long.chars().count() < 100, "{long}");
    }
}
