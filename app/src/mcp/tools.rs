//! The tools: which RPCs are offered, and the schemas of their arguments and results, made from the messages.

use std::sync::OnceLock;

use prost_reflect::{FieldDescriptor, MessageDescriptor};
use serde_json::{Map, Value, json};
use wire::openapi::{OpenPath, open_path, query_fields};
use wire::schema::{Form, Schemas, require};
use wire::table::{Binding, Body, Rpc};

/// What is said of an RPC that is a tool. The words are for the model that reads them.
struct Offer {
    service: &'static str,
    method: &'static str,
    about: &'static str,
    /// What the body must hold, where that is not what its message requires.
    must: Must,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Must {
    /// What the message requires.
    Message,
    /// These fields.
    Hold(&'static [&'static str]),
    /// Any field; the name is in the path.
    Change,
}

const fn offer(service: &'static str, method: &'static str, about: &'static str) -> Offer {
    Offer { service, method, about, must: Must::Message }
}

const fn holding(
    service: &'static str,
    method: &'static str,
    must: &'static [&'static str],
    about: &'static str,
) -> Offer {
    Offer { service, method, about, must: Must::Hold(must) }
}

/// By name, in the order in which they are listed.
const OFFERS: &[Offer] = &[
    offer("AttachmentService", "CreateAttachment", "Uploads a file (content in base64) and returns it."),
    offer("AttachmentService", "DeleteAttachment", "Deletes a file of yours for good."),
    offer("AttachmentService", "GetAttachment", "Returns what is known of one file, without its bytes."),
    offer("AttachmentService", "ListAttachments", "Lists your files, the newest first."),
    offer("AuthService", "GetCurrentUser", "Returns who you are signed in as."),
    holding(
        "MemoService",
        "CreateMemo",
        &["content"],
        "Writes a new note. `content` is Markdown; `visibility` is PRIVATE unless PROTECTED (members) or PUBLIC is given.",
    ),
    holding("MemoService", "CreateMemoComment", &["content"], "Writes a comment on a note."),
    offer("MemoService", "DeleteMemo", "Deletes a note with its comments, files and reactions for good."),
    offer("MemoService", "DeleteMemoReaction", "Takes a reaction back."),
    offer("MemoService", "GetMemo", "Returns one note with its text, tags, files, relations and reactions."),
    offer("MemoService", "ListMemoAttachments", "Lists the files of a note."),
    offer("MemoService", "ListMemoComments", "Lists the comments on a note, the newest first."),
    offer("MemoService", "ListMemoReactions", "Lists the reactions to a note."),
    offer("MemoService", "ListMemoRelations", "Lists the notes that a note refers to or is referred to by."),
    offer(
        "MemoService",
        "ListMemos",
        "Lists and searches notes. `filter` is an expression such as `content.contains(\"word\") && \"tag\" in tags`.",
    ),
    holding(
        "MemoService",
        "SetMemoAttachments",
        &["attachments"],
        "Gives a note exactly these files in this order; files of it that are left out are deleted.",
    ),
    holding(
        "MemoService",
        "SetMemoRelations",
        &["relations"],
        "Makes a note refer to exactly these other notes; references that are left out end.",
    ),
    Offer {
        service: "MemoService",
        method: "UpdateMemo",
        about: "Changes the given fields of a note; the others stay.",
        must: Must::Change,
    },
    holding("MemoService", "UpsertMemoReaction", &["reaction"], "Adds your reaction, an emoji, to a note."),
    offer("ShortcutService", "ListShortcuts", "Lists your saved filters; use the `filter` of one when listing notes."),
    // Not listed, for clients that know the name of later releases.
    offer("MemoViewService", "ListMemoViews", "Lists your saved filters."),
];

/// One tool.
pub(super) struct Tool {
    /// `memo_get_memo`.
    pub(super) name: String,
    /// The RPC.
    pub(super) rpc: &'static Rpc,
    /// Its REST form.
    pub(super) binding: &'static Binding,
    /// Its path and what is open in it.
    pub(super) path: OpenPath,
    /// What may be in the query, with its type.
    pub(super) query: Vec<(String, &'static str)>,
    /// What the body must hold; none when there is no body.
    pub(super) body: Option<BodyRule>,
    /// As it is listed.
    listed: Value,
}

/// What is asked of a body.
pub(super) struct BodyRule {
    pub(super) required: Vec<String>,
    pub(super) at_least_one: bool,
}

/// Every tool.
pub(super) fn all() -> &'static [Tool] {
    static TOOLS: OnceLock<Vec<Tool>> = OnceLock::new();
    TOOLS.get_or_init(|| OFFERS.iter().filter_map(make).collect())
}

/// The answer to `tools/list`.
pub(super) fn list() -> Value {
    let shown = all().iter().filter(|tool| tool.rpc.service != "MemoViewService");
    json!({ "tools": shown.map(|tool| tool.listed.clone()).collect::<Vec<Value>>() })
}

fn make(offer: &Offer) -> Option<Tool> {
    let rpc = wire::table::all().get(wire::table::index_of(offer.service, offer.method)?)?;
    let binding = rpc.bindings.first()?;
    let method = wire::method(rpc.service, rpc.method)?;
    let path = open_path(binding.path);
    let query = query_fields(&method.input(), binding);
    let mut inputs = Schemas::new(Form::Tool);
    let body = body_schema(offer, binding, &method.input(), &path, &mut inputs);
    let input = input_schema(&path, &query, body.as_ref(), inputs);
    let mut outputs = Schemas::new(Form::Tool);
    let output = if method.output().full_name() == "google.protobuf.Empty" {
        json!({ "type": "object", "properties": { "ok": { "type": "boolean" } } })
    } else {
        outputs.object(&method.output(), &[])
    };
    let output = with_definitions(output, outputs);
    let service = rpc.service.strip_suffix("Service").unwrap_or(rpc.service);
    let words = [words(service), words(rpc.method)].concat();
    let name = words.join("_").to_ascii_lowercase();
    let title = words.join(" ");
    let listed = json!({
        "name": name,
        "title": title,
        "description": offer.about,
        "annotations": annotations(rpc, binding, &title),
        "inputSchema": input,
        "outputSchema": output,
        "_meta": {
            "method": binding.verb,
            "operationId": format!("{}_{}", rpc.service, rpc.method),
            "path": path.text,
        },
    });
    let rule = body.map(|schema| BodyRule {
        required: schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        at_least_one: schema["minProperties"].is_number(),
    });
    let query = query.iter().map(|field| (field.json_name().to_owned(), type_of(field))).collect();
    Some(Tool { name, rpc, binding, path, query, body: rule, listed })
}

/// `ListMemoComments` → `List`, `Memo`, `Comments`.
fn words(name: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for letter in name.chars() {
        match out.last_mut() {
            Some(word) if !letter.is_ascii_uppercase() => word.push(letter),
            _ => out.push(letter.to_string()),
        }
    }
    out
}

fn type_of(field: &FieldDescriptor) -> &'static str {
    match Schemas::new(Form::Tool).field(field)["type"].as_str() {
        Some("integer") => "integer",
        Some("boolean") => "boolean",
        Some("number") => "number",
        _ => "string",
    }
}

fn body_schema(
    offer: &Offer,
    binding: &Binding,
    request: &MessageDescriptor,
    path: &OpenPath,
    schemas: &mut Schemas,
) -> Option<Value> {
    let fields: Vec<&str> = path.fields.iter().map(String::as_str).collect();
    let mut schema = match binding.body {
        Body::None => return None,
        Body::Whole => schemas.object(request, &fields),
        Body::Field(name) => {
            let kind = request.get_field_by_name(name)?.kind();
            let without: &[&str] = if offer.must == Must::Change { &["name"] } else { &[] };
            schemas.object(kind.as_message()?, without)
        }
    };
    match offer.must {
        Must::Message => {}
        Must::Hold(names) => require(&mut schema, names.iter().map(|name| (*name).to_owned()).collect()),
        Must::Change => {
            if let Some(schema) = schema.as_object_mut() {
                schema.remove("required");
            }
            schema["minProperties"] = 1.into();
        }
    }
    Some(schema)
}

fn input_schema(path: &OpenPath, query: &[FieldDescriptor], body: Option<&Value>, mut schemas: Schemas) -> Value {
    let mut properties = Map::new();
    let mut required = path.variables.clone();
    for variable in &path.variables {
        let about = format!("The {variable}: its id, or its whole name.");
        properties.insert(variable.clone(), json!({ "type": "string", "description": about }));
    }
    for field in query {
        properties.insert(field.json_name().to_owned(), schemas.field(field));
    }
    if let Some(body) = body {
        properties.insert("body".to_owned(), body.clone());
        required.push("body".to_owned());
    }
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    require(&mut schema, required);
    with_definitions(schema, schemas)
}

fn with_definitions(mut schema: Value, schemas: Schemas) -> Value {
    let definitions = schemas.into_definitions();
    if !definitions.is_empty() {
        schema["$defs"] = json!(definitions);
    }
    schema
}

fn annotations(rpc: &Rpc, binding: &Binding, title: &str) -> Value {
    let (reads, deletes, changes) = (rpc.is_read(), binding.verb == "DELETE", binding.verb == "PATCH");
    let mut hints = json!({ "title": title, "openWorldHint": false, "destructiveHint": deletes || changes });
    if reads {
        hints["readOnlyHint"] = true.into();
    }
    if reads || deletes || rpc.method.starts_with("Set") {
        hints["idempotentHint"] = true.into();
    }
    hints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offer_is_a_tool() {
        assert_eq!(all().len(), OFFERS.len());
        let names: Vec<&str> = all().iter().map(|tool| tool.name.as_str()).collect();
        assert!(names.contains(&"memo_list_memo_comments") && names.contains(&"auth_get_current_user"), "{names:?}");
        assert_eq!(list()["tools"].as_array().map(Vec::len), Some(20));
    }
}
