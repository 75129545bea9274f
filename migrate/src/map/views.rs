//! Saved views of releases up to 0.15, which were lists of conditions, as filters of today.

use regex::{Captures, Regex};
use serde_json::Value as Json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The filter that says the same; none where a condition has no equal today.
pub fn old_filter(payload: &Json) -> Option<String> {
    let mut out = String::new();
    for condition in payload.as_array()? {
        let said = condition_of(condition)?;
        if out.is_empty() {
            out = said;
            continue;
        }
        let joint = match condition.get("relation").and_then(Json::as_str) {
            Some("OR") => "||",
            _ => "&&",
        };
        out = format!("({out}) {joint} {said}");
    }
    (!out.is_empty()).then_some(out)
}

fn condition_of(condition: &Json) -> Option<String> {
    let value = condition.get("value")?;
    let text = |key: &str| value.get(key).and_then(Json::as_str).unwrap_or_default();
    let (operator, wanted) = (text("operator"), text("value"));
    let quoted = Json::String(wanted.to_owned()).to_string();
    let negated = operator.contains("NOT");
    let plain = match condition.get("type")?.as_str()? {
        "TAG" => format!("tag in [{quoted}]"),
        "TEXT" => format!("content.contains({quoted})"),
        "VISIBILITY" => format!("visibility == {quoted}"),
        "TYPE" => match wanted {
            "LINKED" => "has_link".to_owned(),
            "NOT_TAGGED" => "size(tags) == 0".to_owned(),
            _ => return None,
        },
        "DISPLAY_TIME" => {
            let seconds = value.get("value").and_then(|value| {
                value.as_i64().or_else(|| wanted.parse().ok()).or_else(|| crate::reader::value::written_time(wanted))
            })?;
            let seconds = if seconds.abs() > 100_000_000_000 { seconds / 1_000 } else { seconds };
            match operator {
                "BEFORE" => format!("created_ts < {}", instant(seconds)?),
                "AFTER" => format!("created_ts > {}", instant(seconds)?),
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(if negated { format!("!({plain})") } else { plain })
}

fn instant(seconds: i64) -> Option<String> {
    let at = OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(&Rfc3339).ok()?;
    Some(format!("timestamp(\"{at}\")"))
}

/// A filter of any release in the language of today: itself where that is understood, a translation where there is one.
pub fn translated(filter: &str) -> Option<String> {
    let understood = |text: &str| domain::filter::parse(text, 0).is_ok();
    if understood(filter) {
        return Some(filter.to_owned());
    }
    // 0.24 named times otherwise; up to 0.29 they were whole seconds, and `now()` was a function.
    let text = filter.replace("create_time", "created_ts").replace("update_time", "updated_ts").replace("now()", "now");
    let text = text.replace("content_search", "content").replace("tag_search", "tag");
    let seconds = replaced(&text, r"\b(created_ts|updated_ts)\s*(<=|>=|==|!=|<|>)\s*(-?\d+)\b", |found| {
        let at = instant(found[3].parse().ok()?)?;
        Some(format!("{} {} {at}", &found[1], &found[2]))
    });
    let text = replaced(&seconds, r"\bnow\s*([-+])\s*(\d+(?:\s*\*\s*\d+)*)", |found| {
        let parts = found[2].split('*').map(|part| part.trim().parse::<i64>().ok());
        let product = parts.collect::<Option<Vec<_>>>()?.into_iter().try_fold(1_i64, i64::checked_mul)?;
        Some(format!("now {} duration(\"{product}s\")", &found[1]))
    });
    understood(&text).then_some(text)
}

fn replaced(text: &str, pattern: &str, say: impl Fn(&Captures<'_>) -> Option<String>) -> String {
    let Ok(pattern) = Regex::new(pattern) else { return text.to_owned() };
    pattern.replace_all(text, |found: &Captures<'_>| say(found).unwrap_or_else(|| found[0].to_owned())).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn filters_of_older_releases_are_translated() {
        for (old, new) in [
            ("pinned", Some("pinned")),
            ("created_ts > 1700000000 && pinned", Some("created_ts > timestamp(\"2023-11-14T22:13:20Z\") && pinned")),
            ("created_ts >= now() - 60 * 60 * 24 * 7", Some("created_ts >= now - duration(\"604800s\")")),
            ("tag in [", None),
        ] {
            assert_eq!(translated(old).as_deref(), new, "{old}");
        }
    }

    #[test]
    fn conditions_become_filters_that_are_understood() {
        let payload = json!([
            {"type": "TAG", "value": {"operator": "CONTAIN", "value": "Work & home"}, "relation": "AND"},
            {"type": "TEXT", "value": {"operator": "NOT_CONTAIN", "value": "a\"b"}, "relation": "OR"},
            {"type": "VISIBILITY", "value": {"operator": "IS", "value": "PUBLIC"}, "relation": "AND"},
            {"type": "DISPLAY_TIME", "value": {"operator": "BEFORE", "value": "1700000000000"}, "relation": "AND"},
        ]);
        let filter = old_filter(&payload).unwrap();
        assert!(
            filter.starts_with(r#"(((tag in ["Work & home"]) || !(content.contains("a\"b"))) && visibility"#),
            "{filter}"
        );
        domain::filter::parse(&filter, 0).unwrap_or_else(|err| panic!("{filter}: {err}"));
        assert_eq!(old_filter(&json!([{"type": "TYPE", "value": {"operator": "IS", "value": "CONNECTED"}}])), None);
        assert_eq!(old_filter(&json!({})), None);
        for one in [json!({"operator": "IS", "value": "NOT_TAGGED"}), json!({"operator": "IS", "value": "LINKED"})] {
            let filter = old_filter(&json!([{"type": "TYPE", "value": one}])).unwrap();
            domain::filter::parse(&filter, 0).unwrap_or_else(|err| panic!("{filter}: {err}"));
        }
    }
}
