//! Reading the recordings.

use serde_json::Value;
use testkit::fixtures::fixture;

/// One request and what was answered.
pub(crate) struct Exchange {
    pub(crate) id: String,
    pub(crate) caller: String,
    pub(crate) verb: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<String>,
    pub(crate) response: Value,
}

/// The exchanges of one file; none without fixtures.
pub(crate) fn load(name: &str) -> Option<Vec<Exchange>> {
    let file = fixture(&format!("recordings-0.30.0/{name}.json"))?;
    let value: Value = serde_json::from_slice(&std::fs::read(file).expect("a recording")).expect("JSON");
    let list = value.get("exchanges").unwrap_or(&value).as_array().expect("a list").iter();
    Some(list.map(exchange).collect())
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn exchange(value: &Value) -> Exchange {
    let request = &value["request"];
    let mut headers: Vec<(String, String)> = pairs(request.get("headers"));
    let json = request.get("body");
    let body = json.map(Value::to_string).or_else(|| Some(request.get("body_text")?.as_str()?.to_owned()));
    let typed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if json.is_some() && !typed {
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
    }
    Exchange {
        id: text(value, "id"),
        caller: text(value, "as"),
        verb: text(request, "method"),
        path: text(request, "path"),
        headers,
        body: body.map(|body| repeated(&body)),
        response: value["response"].clone(),
    }
}

/// Name and text of each header.
pub(crate) fn pairs(object: Option<&Value>) -> Vec<(String, String)> {
    let object = object.and_then(Value::as_object);
    object
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect()
}

/// `{{repeat:z:3}}` → `zzz`.
fn repeated(text: &str) -> String {
    let Some((before, rest)) = text.split_once("{{repeat:") else { return text.to_owned() };
    let (inside, after) = rest.split_once("}}").expect("an end");
    let (letter, count) = inside.split_once(':').expect("a count");
    format!("{before}{}{after}", letter.repeat(count.parse().expect("a number")))
}
