//! The OpenAPI document of the REST API, made from the table of RPCs and the messages' descriptors.

use std::collections::BTreeMap;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use crate::schema::{Form, Schemas};
use crate::table::{Access, Binding, Body, Rpc};

/// A REST path with one named variable per open segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenPath {
    /// `/api/v1/memos/{memo}/reactions/{reaction}`.
    pub text: String,
    /// `memo`, `reaction`.
    pub variables: Vec<String>,
    /// The fields of the request that the path fills, dotted.
    pub fields: Vec<String>,
}

/// Opens the captures of a binding's template: `{name=memos/*}` → `memos/{memo}`.
pub fn open_path(template: &str) -> OpenPath {
    let (mut text, mut variables, mut fields) = (String::new(), Vec::new(), Vec::new());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let (inside, behind) = after.split_once('}').unwrap_or((after, ""));
        match inside.split_once('=') {
            Some((field, pattern)) => {
                fields.push(field.to_owned());
                let (mut parts, mut last) = (Vec::new(), "");
                for part in pattern.split('/') {
                    if part == "*" {
                        let variable = last.strip_suffix('s').unwrap_or(last).to_owned();
                        parts.push(format!("{{{variable}}}"));
                        variables.push(variable);
                    } else {
                        parts.push(part.to_owned());
                        last = part;
                    }
                }
                text.push_str(&parts.join("/"));
            }
            None => {
                fields.push(inside.to_owned());
                variables.push(inside.to_owned());
                text.push_str(&format!("{{{inside}}}"));
            }
        }
        rest = behind;
    }
    text.push_str(rest);
    OpenPath { text, variables, fields }
}

/// The fields of a request that may come in the query: neither in the path nor the body.
pub fn query_fields(request: &MessageDescriptor, binding: &Binding) -> Vec<FieldDescriptor> {
    if binding.body == Body::Whole {
        return Vec::new();
    }
    let path = open_path(binding.path);
    let in_path = |name: &str| path.fields.iter().any(|field| field.split('.').next() == Some(name));
    let in_body = |name: &str| matches!(binding.body, Body::Field(field) if field == name);
    request.fields().filter(|field| !in_path(field.name()) && !in_body(field.name())).collect()
}

/// The document. `server`: the origin and prefix at which the tenant is reached.
pub fn document(server: &str, version: &str) -> Value {
    let (mut inputs, mut answers) = (Schemas::new(Form::Input), Schemas::new(Form::Answer));
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for rpc in crate::table::all() {
        for binding in rpc.bindings {
            let path = open_path(binding.path);
            if let Some(operation) = operation(rpc, binding, &path, &mut inputs, &mut answers) {
                paths.entry(path.text).or_default().insert(binding.verb.to_ascii_lowercase(), operation);
            }
        }
    }
    let mut schemas = answers.into_definitions();
    schemas.extend(inputs.into_definitions());
    schemas.insert("Status".to_owned(), status());
    schemas.insert("Refusal".to_owned(), refusal());
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "Holdfast",
            "description": "The API of one workspace, as Memos has it.",
            "version": version,
        },
        "servers": [{ "url": server }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

/// Every refusal over REST.
fn status() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["code", "message", "details"],
        "properties": {
            "code": { "type": "integer", "format": "int32" },
            "message": { "type": "string" },
            "details": { "type": "array", "items": {} },
        },
    })
}

/// The gate's own refusal of strangers, which is plain text.
fn refusal() -> Value {
    json!({ "type": "string" })
}

fn operation(
    rpc: &Rpc,
    binding: &Binding,
    path: &OpenPath,
    inputs: &mut Schemas,
    answers: &mut Schemas,
) -> Option<Value> {
    let method = crate::method(rpc.service, rpc.method)?;
    let request = method.input();
    let mut parameters: Vec<Value> = path
        .variables
        .iter()
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1, "pattern": "^[^/]+$" } }))
        .collect();
    for field in query_fields(&request, binding) {
        parameters.extend(query_parameter(&field, inputs));
    }
    let body = match binding.body {
        Body::None => None,
        Body::Whole => {
            let filled: Vec<&str> = path.fields.iter().map(String::as_str).collect();
            Some(inputs.object(&request, &filled))
        }
        Body::Field(name) => match request.get_field_by_name(name)?.kind() {
            Kind::Message(message) => Some(inputs.reference(&message)),
            _ => None,
        },
    };
    let output = method.output();
    let answer = if output.full_name() == "google.protobuf.Empty" {
        json!({ "type": "object", "additionalProperties": false, "properties": {} })
    } else {
        answers.reference(&output)
    };
    let mut operation = json!({
        "operationId": format!("{}_{}", rpc.service, rpc.method),
        "tags": [rpc.service],
        "parameters": parameters,
        "responses": {
            "200": { "description": "Done.", "content": { "application/json": { "schema": answer } } },
            "default": {
                "description": "Refused; the message says why.",
                "content": {
                    "application/json": { "schema": { "$ref": "#/components/schemas/Status" } },
                    "text/plain": { "schema": { "$ref": "#/components/schemas/Refusal" } },
                },
            },
        },
    });
    if let Some(body) = body {
        operation["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": body } } });
    }
    operation["security"] = match rpc.access {
        Access::Bootstrap | Access::Public => json!([{ "token": [] }, {}]),
        Access::Login | Access::Admin => json!([{ "token": [] }]),
    };
    Some(operation)
}

/// A field in the query; messages are spelled out one level deep where they are no mask and no time.
fn query_parameter(field: &FieldDescriptor, inputs: &mut Schemas) -> Option<Value> {
    if let Kind::Message(message) = field.kind()
        && !message.full_name().starts_with("google.protobuf.")
    {
        return None;
    }
    let mut schema = inputs.field(field);
    if schema["format"] == "field-mask" {
        schema = json!({ "type": "string" });
    }
    Some(json!({ "name": field.json_name(), "in": "query", "required": false, "schema": schema }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_become_variables() {
        let path = open_path("/api/v1/{name=memos/*/reactions/*}");
        assert_eq!(path.text, "/api/v1/memos/{memo}/reactions/{reaction}");
        assert_eq!(path.variables, ["memo", "reaction"]);
        assert_eq!(open_path("/api/v1/{name=users/*}:getStats").text, "/api/v1/users/{user}:getStats");
        assert_eq!(open_path("/api/v1/shares/{share_token}/memo").variables, ["share_token"]);
    }

    #[test]
    fn every_binding_is_an_operation_and_every_reference_leads_somewhere() {
        let document = document("https://notes.example.org", "0.30.0");
        let operations: usize = document["paths"]
            .as_object()
            .into_iter()
            .flat_map(|paths| paths.values())
            .filter_map(Value::as_object)
            .map(Map::len)
            .sum();
        let bindings: usize = crate::table::all().iter().map(|rpc| rpc.bindings.len()).sum();
        assert_eq!(operations, bindings);
        let text = document.to_string();
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap_or_default();
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }
}
