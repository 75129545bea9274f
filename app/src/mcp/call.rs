//! `tools/call`: arguments are checked, become a REST request, and its answer becomes the result.

use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::tools::{self, Tool};
use crate::error::ApiError;
use crate::rpc::Ctx;
use crate::rpc::door::Head;
use crate::rpc::rest::segment;

/// There is no such tool.
#[derive(Debug)]
pub(super) struct UnknownTool(pub(super) String);

/// Runs a tool. What goes wrong inside it is part of its result.
pub(super) async fn call(ctx: Ctx, params: &Value) -> Result<Value, UnknownTool> {
    let name = params["name"].as_str().unwrap_or_default();
    let tool = tools::all().iter().find(|tool| tool.name == name).ok_or_else(|| UnknownTool(name.to_owned()))?;
    let none = Map::new();
    let arguments = match &params["arguments"] {
        Value::Null => &none,
        Value::Object(arguments) => arguments,
        _ => return Ok(failed("arguments must be an object")),
    };
    if let Err(problem) = check(tool, arguments) {
        return Ok(failed(&problem));
    }
    let head = match head(tool, arguments) {
        Ok(head) => head,
        Err(problem) => return Ok(failed(&problem)),
    };
    let body = arguments.get("body").map(Value::to_string).unwrap_or_default();
    let answer = crate::rpc::rest::answer(ctx, &head, Bytes::from(body)).await;
    Ok(match answer {
        Ok(reply) => match serde_json::from_slice::<Value>(&reply.body) {
            Ok(value) => json!({
                "content": [{ "type": "text", "text": escaped(&value) }],
                "structuredContent": value,
            }),
            Err(cause) => refusal(&ApiError::internal(cause)),
        },
        Err(error) => refusal(&error),
    })
}

fn failed(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }], "isError": true })
}

fn refusal(error: &ApiError) -> Value {
    if error.code().is_ours() {
        tracing::error!(error = %error.chain(), "a tool failed");
    }
    let status = error.status();
    failed(&format!("{} {}: {}", status.as_u16(), status.canonical_reason().unwrap_or_default(), error.message()))
}

/// JSON whose text may stand in HTML, as the original writes it.
fn escaped(value: &Value) -> String {
    let text = value.to_string();
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// The digits of a whole number, however it is written: JSON has one kind of numbers, and some clients write 20 as `20.0`.
fn whole(value: &Value) -> Option<String> {
    if value.is_i64() || value.is_u64() {
        return Some(value.to_string());
    }
    let number = value.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 9e15)?;
    Some(format!("{number:.0}"))
}

/// Whether the arguments are those of the tool's schema, as far as the RPC does not check them itself.
fn check(tool: &Tool, arguments: &Map<String, Value>) -> Result<(), String> {
    let kind_of = |name: &str| -> Option<&'static str> {
        if name == "body" && tool.body.is_some() {
            return Some("object");
        }
        let open = tool.path.variables.iter().any(|known| known == name).then_some("string");
        open.or_else(|| tool.query.iter().find(|(known, _)| known == name).map(|(_, kind)| *kind))
    };
    for (name, value) in arguments {
        let kind = kind_of(name).ok_or_else(|| format!("unknown argument {name:?}"))?;
        let fits = match kind {
            "integer" => whole(value).is_some(),
            "boolean" => value.is_boolean(),
            "number" => value.is_number(),
            "object" => value.is_object(),
            _ => value.is_string(),
        };
        if !fits {
            return Err(format!("argument {name:?} must be {kind}"));
        }
    }
    let missing = |name: &str| format!("missing required argument {name:?}");
    for variable in &tool.path.variables {
        if !arguments.contains_key(variable) {
            return Err(missing(variable));
        }
    }
    let Some(rule) = &tool.body else { return Ok(()) };
    let body = arguments.get("body").and_then(Value::as_object).ok_or_else(|| missing("body"))?;
    if let Some(name) = rule.required.iter().find(|name| !body.contains_key(*name)) {
        return Err(missing(&format!("body.{name}")));
    }
    if rule.at_least_one && body.is_empty() {
        return Err("argument \"body\" must have at least one property".to_owned());
    }
    Ok(())
}

/// The id in an argument: `memos/x` names the same as `x`, `memos/x/reactions/5` the same as `5`. None where the argument is
/// no such name; with a slash left in it, it could name a thing of another kind.
fn id_of<'a>(path: &str, variable: &str, given: &'a str) -> Option<&'a str> {
    let Some((before, id)) = given.rsplit_once('/') else { return Some(given) };
    let open = format!("{{{variable}}}");
    let path = path.strip_prefix("/api/v1/").unwrap_or(path);
    let named: Vec<&str> = path.split('/').take_while(|part| !part.starts_with(&open)).collect();
    let told: Vec<&str> = before.split('/').collect();
    // Kinds and ids take turns, and a kind stands first.
    let same = named.get(named.len().checked_sub(told.len())?..)?;
    let fits = |(known, told): (&&str, &&str)| known == told || known.starts_with('{') && !told.is_empty();
    (told.len() % 2 == 1 && same.iter().zip(&told).all(fits)).then_some(id)
}

/// The REST request that the arguments make.
fn head(tool: &Tool, arguments: &Map<String, Value>) -> Result<Head, String> {
    let mut path = tool.path.text.clone();
    for variable in &tool.path.variables {
        let given = arguments.get(variable).and_then(Value::as_str).unwrap_or_default();
        let id = id_of(&tool.path.text, variable, given);
        let id = id.ok_or_else(|| format!("argument {variable:?} must be an id or a resource name, not {given:?}"))?;
        path = path.replace(&format!("{{{variable}}}"), &segment(id));
    }
    let query: Vec<String> = arguments
        .iter()
        .filter(|(name, _)| tool.query.iter().any(|(known, _)| known == *name))
        .map(|(name, value)| {
            let text = value.as_str().map(str::to_owned).or_else(|| whole(value)).unwrap_or_else(|| value.to_string());
            format!("{name}={}", utf8_percent_encode(&text, NON_ALPHANUMERIC))
        })
        .collect();
    Ok(Head {
        verb: tool.binding.verb.to_owned(),
        path,
        query: query.join("&"),
        content_type: "application/json".to_owned(),
        ..Head::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str) -> &'static Tool {
        tools::all().iter().find(|tool| tool.name == name).expect("the tool")
    }

    fn problem(name: &str, arguments: Value) -> String {
        check(tool(name), arguments.as_object().expect("an object")).err().unwrap_or_default()
    }

    #[test]
    fn wrong_arguments_are_named() {
        assert_eq!(problem("memo_get_memo", json!({})), "missing required argument \"memo\"");
        assert_eq!(problem("memo_get_memo", json!({"memo": "x", "bogus": 1})), "unknown argument \"bogus\"");
        assert_eq!(problem("memo_list_memos", json!({"pageSize": "two"})), "argument \"pageSize\" must be integer");
        assert_eq!(problem("memo_list_memos", json!({"pageSize": 2.5})), "argument \"pageSize\" must be integer");
        let none = problem("memo_create_memo", json!({"body": {"visibility": "PRIVATE"}}));
        assert_eq!(none, "missing required argument \"body.content\"");
        assert_eq!(problem("memo_update_memo", json!({"memo": "x", "body": {"content": "y"}})), "");
        assert!(!problem("memo_update_memo", json!({"memo": "x", "body": {}})).is_empty());
    }

    #[test]
    fn arguments_become_a_request() {
        let of = |name: &str, arguments: Value| match head(tool(name), arguments.as_object().expect("an object")) {
            Ok(head) => format!("{} {}?{}", head.verb, head.path, head.query),
            Err(problem) => problem,
        };
        assert_eq!(of("memo_get_memo", json!({"memo": "memos/x y"})), "GET /api/v1/memos/x%20y?");
        assert_eq!(of("memo_get_memo", json!({"memo": "a:getStats"})), "GET /api/v1/memos/a%3AgetStats?");
        for given in [
            "a/../b",
            "a/shares",
            "memos/a/shares",
            "memos/a/shares/t",
            "memos//",
            "/a",
            "users/memos/a",
            "api/v1/memos/a",
        ] {
            let told = format!("argument \"memo\" must be an id or a resource name, not {given:?}");
            assert_eq!(of("memo_get_memo", json!({"memo": given})), told);
        }
        for given in ["shares/5", "memos/m/shares/5", "memos//reactions/5", "m/reactions/5"] {
            let of = of("memo_delete_memo_reaction", json!({"memo": "m", "reaction": given}));
            assert!(of.starts_with("argument \"reaction\" must be"), "{of}");
        }
        assert_eq!(
            of("memo_delete_memo_reaction", json!({"memo": "memos/m", "reaction": "reactions/5"})),
            "DELETE /api/v1/memos/m/reactions/5?"
        );
        assert_eq!(
            of("memo_delete_memo_reaction", json!({"memo": "m", "reaction": "memos/m/reactions/5"})),
            "DELETE /api/v1/memos/m/reactions/5?"
        );
        assert_eq!(
            of("memo_list_memos", json!({"pageSize": 2.0, "filter": "a & b"})),
            "GET /api/v1/memos?filter=a%20%26%20b&pageSize=2"
        );
    }
}
