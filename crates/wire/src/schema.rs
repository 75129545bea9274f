//! JSON schemas of the messages: for the tools of MCP and for the OpenAPI document.

use std::collections::BTreeMap;

use prost_reflect::{Cardinality, EnumValueDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

/// What a schema is for, which decides where definitions are and how strict they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Arguments and results of a tool: definitions below `$defs`, what a client must give is required.
    Tool,
    /// A message that a client sends over REST: nothing is required by type alone.
    Input,
    /// A message that we send over REST: closed, and whatever is always written is required.
    Answer,
}

/// How fields of a message behave beyond their type, by proto names.
struct Behaviour {
    message: &'static str,
    required: &'static [&'static str],
    read_only: &'static [&'static str],
    write_only: &'static [&'static str],
}

const fn behaves(
    message: &'static str,
    required: &'static [&'static str],
    read_only: &'static [&'static str],
    write_only: &'static [&'static str],
) -> Behaviour {
    Behaviour { message, required, read_only, write_only }
}

const BEHAVIOURS: &[Behaviour] = &[
    behaves("Attachment", &["filename", "type"], &["create_time", "size"], &["content"]),
    behaves(
        "Memo",
        &["state", "content", "visibility"],
        &["creator", "tags", "reactions", "property", "parent", "snippet"],
        &[],
    ),
    behaves("MemoRelation", &["memo", "related_memo", "type"], &[], &[]),
    behaves("MemoRelation.Memo", &["name"], &["snippet"], &[]),
    behaves("MemoShare", &[], &["create_time"], &[]),
    behaves("Reaction", &["content_id", "reaction_type"], &["name", "creator", "create_time"], &[]),
    behaves("Shortcut", &["title"], &[], &[]),
    behaves("MemoView", &["title"], &[], &[]),
    behaves("User", &["role", "username", "state"], &["create_time", "update_time"], &["password"]),
    behaves("UserWebhook", &["url"], &["create_time", "update_time", "signing_secret_set"], &["signing_secret"]),
    behaves("PersonalAccessToken", &[], &["created_at", "last_used_at"], &[]),
];

const NOTHING: Behaviour = behaves("", &[], &[], &[]);

/// `memos.api.v1.MemoRelation.Memo` → `MemoRelation.Memo`.
fn short_name(message: &MessageDescriptor) -> &str {
    let name = message.full_name();
    name.strip_prefix(crate::table::PACKAGE).and_then(|rest| rest.strip_prefix('.')).unwrap_or(name)
}

fn behaviour(message: &MessageDescriptor) -> &'static Behaviour {
    BEHAVIOURS.iter().find(|row| row.message == short_name(message)).unwrap_or(&NOTHING)
}

/// Builds schemas and keeps the definitions that they refer to.
#[derive(Debug)]
pub struct Schemas {
    form: Form,
    definitions: BTreeMap<String, Value>,
}

impl Schemas {
    /// Nothing defined yet.
    pub fn new(form: Form) -> Self {
        Self { form, definitions: BTreeMap::new() }
    }

    /// What was referred to so far, by name.
    pub fn into_definitions(self) -> BTreeMap<String, Value> {
        self.definitions
    }

    /// The name of a message's definition.
    fn definition_name(&self, message: &MessageDescriptor) -> String {
        let name = short_name(message).replace("google.type.", "").replace('.', "_");
        if self.form == Form::Input { format!("{name}Input") } else { name }
    }

    /// A reference to the definition of a message, which is made when it is not there yet.
    pub fn reference(&mut self, message: &MessageDescriptor) -> Value {
        let name = self.definition_name(message);
        if !self.definitions.contains_key(&name) {
            self.definitions.insert(name.clone(), Value::Null);
            let schema = self.object(message, &[]);
            self.definitions.insert(name.clone(), schema);
        }
        let place = if self.form == Form::Tool { "$defs" } else { "components/schemas" };
        json!({ "$ref": format!("#/{place}/{name}") })
    }

    /// The object that a message is, without the fields in `without`.
    pub fn object(&mut self, message: &MessageDescriptor, without: &[&str]) -> Value {
        let rules = behaviour(message);
        let (mut properties, mut always) = (Map::new(), Vec::new());
        for field in message.fields().filter(|field| !without.contains(&field.name())) {
            let mut schema = self.field(&field);
            if let Value::Object(schema) = &mut schema {
                let marks =
                    [("readOnly", rules.read_only, Form::Answer), ("writeOnly", rules.write_only, Form::Answer)];
                for (mark, names, not_in) in marks {
                    if names.contains(&field.name()) && self.form != not_in {
                        schema.insert(mark.to_owned(), Value::Bool(true));
                    }
                }
            }
            if is_always_written(&field) {
                always.push(field.json_name().to_owned());
            }
            properties.insert(field.json_name().to_owned(), schema);
        }
        let mut schema = json!({ "type": "object", "properties": properties });
        match self.form {
            Form::Tool => {
                let required: Vec<String> = rules
                    .required
                    .iter()
                    .filter(|name| !without.contains(name))
                    .filter_map(|name| Some(message.get_field_by_name(name)?.json_name().to_owned()))
                    .collect();
                require(&mut schema, required);
            }
            Form::Answer => {
                schema["additionalProperties"] = Value::Bool(false);
                require(&mut schema, always);
            }
            Form::Input => {}
        }
        schema
    }

    /// The schema of a field, with lists and maps.
    pub fn field(&mut self, field: &FieldDescriptor) -> Value {
        if field.is_map() {
            let Kind::Message(entry) = field.kind() else { return json!({ "type": "object" }) };
            let value = entry.map_entry_value_field();
            let inner = self.single(&value.kind(), false);
            return json!({ "type": "object", "additionalProperties": inner });
        }
        if field.is_list() {
            let inner = self.single(&field.kind(), false);
            return json!({ "type": "array", "items": inner });
        }
        self.single(&field.kind(), true)
    }

    fn single(&mut self, kind: &Kind, in_field: bool) -> Value {
        match kind {
            Kind::Bytes => json!({ "type": "string", "format": "bytes" }),
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 | Kind::Uint32 | Kind::Fixed32 => {
                json!({ "type": "integer", "format": "int32" })
            }
            // 64 bits do not fit the numbers of JSON.
            Kind::String | Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64 => {
                json!({ "type": "string" })
            }
            Kind::Double => json!({ "type": "number", "format": "double" }),
            Kind::Float => json!({ "type": "number", "format": "float" }),
            Kind::Enum(kind) => {
                let names = kind.values().filter(|value| !is_deprecated(value));
                let names: Vec<String> = names.map(|value| value.name().to_owned()).collect();
                json!({ "type": "string", "format": "enum", "enum": names })
            }
            Kind::Message(message) => match message.full_name() {
                "google.protobuf.Timestamp" => json!({ "type": "string", "format": "date-time" }),
                "google.protobuf.FieldMask" => json!({ "type": "string", "format": "field-mask" }),
                "google.protobuf.FloatValue" => json!({ "type": "number", "format": "float" }),
                _ if in_field && self.form == Form::Tool => json!({ "allOf": [self.reference(message)] }),
                _ => self.reference(message),
            },
        }
    }
}

/// Whether a value is only understood, and in no schema.
fn is_deprecated(value: &EnumValueDescriptor) -> bool {
    value
        .enum_value_descriptor_proto()
        .options
        .as_ref()
        .is_some_and(prost_reflect::prost_types::EnumValueOptions::deprecated)
}

/// Adds `required`, unless nothing is.
pub fn require(schema: &mut Value, names: Vec<String>) {
    if !names.is_empty() {
        schema["required"] = names.into();
    }
}

/// Whether REST writes the field in every answer: scalars, enums, lists and maps, but nothing that can be unset.
fn is_always_written(field: &FieldDescriptor) -> bool {
    let can_be_unset = field.containing_oneof().is_some() || matches!(field.kind(), Kind::Message(_));
    field.is_list() || field.is_map() || (!can_be_unset && field.cardinality() != Cardinality::Required)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str) -> MessageDescriptor {
        crate::pool().get_message_by_name(&format!("{}.{name}", crate::table::PACKAGE)).expect("the message")
    }

    #[test]
    fn answers_are_closed_and_say_what_is_always_there() {
        let mut schemas = Schemas::new(Form::Answer);
        let memo = schemas.object(&message("Memo"), &[]);
        assert_eq!(memo["additionalProperties"], false);
        let required: Vec<&str> = memo["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert!(required.contains(&"tags") && required.contains(&"content"), "{required:?}");
        assert!(!required.contains(&"parent") && !required.contains(&"location"), "{required:?}");
        assert_eq!(memo["properties"]["property"]["$ref"], "#/components/schemas/Memo_Property");
        assert!(schemas.into_definitions().contains_key("Attachment"));
    }

    #[test]
    fn tools_ask_for_what_a_client_must_give() {
        let mut schemas = Schemas::new(Form::Tool);
        let file = schemas.object(&message("Attachment"), &[]);
        assert_eq!(file["required"], json!(["filename", "type"]));
        assert_eq!(file["properties"]["size"], json!({ "type": "string", "readOnly": true }));
        assert_eq!(file["properties"]["motionMedia"], json!({ "allOf": [{ "$ref": "#/$defs/MotionMedia" }] }));
        assert_eq!(schemas.into_definitions().len(), 1);
    }

    #[test]
    fn what_is_only_understood_is_in_no_schema() {
        let role = message("User").get_field_by_name("role").expect("a role");
        for form in [Form::Tool, Form::Input, Form::Answer] {
            assert_eq!(Schemas::new(form).field(&role)["enum"], json!(["ROLE_UNSPECIFIED", "ADMIN", "USER"]));
        }
    }

    #[test]
    fn every_behaviour_names_fields_that_exist() {
        for row in BEHAVIOURS {
            let message = message(row.message);
            for field in row.required.iter().chain(row.read_only).chain(row.write_only) {
                assert!(message.get_field_by_name(field).is_some(), "{}.{field}", row.message);
            }
        }
    }
}
