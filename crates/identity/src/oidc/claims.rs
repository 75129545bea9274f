//! From claims to a person.

use serde_json::{Map, Value};

use crate::accounts::Person;
use crate::oidc::Proof;
use crate::provider::{Groups, Oidc};

/// The longest text of a claim that is taken over, in characters.
const LONGEST: usize = 256;
/// The most groups.
const MOST_GROUPS: usize = 5_000;

/// The claim of this name; where there is none, the one that the dots lead to.
pub(crate) fn at<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if path.is_empty() {
        return None;
    }
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let mut parts = path.split('.');
    let first = claims.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.get(part))
}

/// A text of bounded length; empty where there is none.
pub(crate) fn text(claims: &Map<String, Value>, path: &str) -> String {
    let text = at(claims, path).and_then(Value::as_str).unwrap_or_default();
    text.chars().filter(|letter| !letter.is_control()).take(LONGEST).collect()
}

/// Whoever the claims are about.
pub(crate) fn person(proof: &Proof, oidc: &Oidc, provider: &str) -> Person {
    let claims = &proof.claims;
    let email = text(claims, &oidc.claims.email);
    let verified = match claims.get("email_verified") {
        Some(Value::Bool(verified)) => *verified,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
        Some(_) => false,
        None => oidc.email_trusted,
    };
    Person {
        provider: provider.to_owned(),
        issuer: proof.issuer.clone(),
        subject: claims.get("sub").and_then(Value::as_str).unwrap_or_default().to_owned(),
        username: text(claims, &oidc.claims.name),
        display_name: text(claims, &oidc.claims.display_name),
        email_verified: verified && !email.is_empty(),
        email,
        avatar: text(claims, &oidc.claims.avatar),
        groups: groups(claims, oidc),
    }
}

/// The groups that the provider told. A list that is missing, cut off or no list is not an empty one.
fn groups(claims: &Map<String, Value>, oidc: &Oidc) -> Groups {
    let path = &oidc.claims.groups;
    match at(claims, path) {
        Some(Value::Array(list)) if list.len() > MOST_GROUPS => Groups::Untold("the provider sent too many groups"),
        Some(Value::Array(list)) => {
            let names: Option<Vec<String>> = list.iter().map(|group| group.as_str().map(str::to_owned)).collect();
            names.map_or(Groups::Untold("the provider sent groups that are no names"), Groups::Told)
        }
        // One group alone, as some providers write it, if it is one that a rule knows.
        Some(Value::String(one)) if knows(oidc, one) => Groups::Told(vec![one.clone()]),
        Some(_) => Groups::Untold("the provider sent groups that are no list"),
        None if is_elsewhere(claims, path) => {
            Groups::Untold("the provider sent more groups than fit into a token and only said where they are")
        }
        None => Groups::Untold("the provider sent no groups"),
    }
}

fn knows(oidc: &Oidc, group: &str) -> bool {
    let rules = oidc.rules.roles.iter().map(|rule| &rule.group);
    rules.chain(&oidc.rules.required_groups).any(|known| known.eq_ignore_ascii_case(group))
}

/// Whether the claim was left out because it was too large (`_claim_names`, or `hasgroups`).
fn is_elsewhere(claims: &Map<String, Value>, path: &str) -> bool {
    claims.get("_claim_names").and_then(|names| names.get(path)).is_some()
        || claims.get("hasgroups").and_then(Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use domain::member::Role;
    use serde_json::json;

    use super::*;
    use crate::provider::RoleRule;

    fn told(claims: Value) -> Groups {
        let mut oidc = Oidc::default();
        oidc.rules.roles = vec![RoleRule { group: "staff".to_owned(), role: Role::Admin }];
        groups(claims.as_object().unwrap(), &oidc)
    }

    #[test]
    fn groups_that_were_not_told_are_not_none() {
        assert_eq!(told(json!({"groups": ["a", "b"]})), Groups::Told(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(told(json!({"groups": []})), Groups::Told(vec![]));
        assert_eq!(told(json!({"groups": "staff"})), Groups::Told(vec!["staff".to_owned()]));
        for untold in [
            json!({}),
            json!({"groups": "notalist"}),
            json!({"groups": [1]}),
            json!({"groups": {"a": 1}}),
            json!({"_claim_names": {"groups": "src1"}}),
            json!({"hasgroups": true}),
            json!({"groups": (0..=MOST_GROUPS).map(|n| n.to_string()).collect::<Vec<_>>()}),
        ] {
            assert!(matches!(told(untold.clone()), Groups::Untold(_)), "{untold}");
        }
    }

    #[test]
    fn long_texts_are_cut_and_control_characters_left_out() {
        let claims = json!({"name": format!("a\u{0}b\n{}", "x".repeat(300)), "number": 7});
        let claims = claims.as_object().unwrap();
        assert_eq!(text(claims, "name"), format!("ab{}", "x".repeat(LONGEST - 2)));
        assert_eq!(text(claims, "number"), "");
    }

    #[test]
    fn dots_lead_into_objects() {
        let claims = json!({"realm_access": {"roles": ["x"]}, "a.b": 1});
        let claims = claims.as_object().unwrap();
        assert_eq!(at(claims, "realm_access.roles"), Some(&json!(["x"])));
        assert_eq!(at(claims, "a.b"), Some(&json!(1)));
        assert_eq!(at(claims, "a.c"), None);
        assert_eq!(at(claims, ""), None);
    }

    #[test]
    fn an_address_is_verified_only_when_the_provider_says_so() {
        let said = |claims: Value, trusted: bool| {
            let proof =
                Proof { claims: claims.as_object().cloned().unwrap(), issuer: String::new(), id_token: String::new() };
            person(&proof, &Oidc { email_trusted: trusted, ..Oidc::default() }, "p").email_verified
        };
        assert!(said(json!({"email": "a@b", "email_verified": true}), false));
        assert!(!said(json!({"email": "a@b", "email_verified": false}), true));
        assert!(!said(json!({"email": "a@b"}), false));
        assert!(said(json!({"email": "a@b"}), true));
        assert!(!said(json!({"email_verified": true}), false));
    }
}
