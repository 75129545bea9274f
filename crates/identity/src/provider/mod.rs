//! The identity providers of a tenant: what is stored of each, and what of it may be seen.
//!
//! A provider is a row with a kind and a JSON object. The object of an OAuth2 provider is the one that Memos keeps; those of
//! OIDC providers and directories are ours. Unknown keys are refused, so that a misspelt one is not silently ignored.

mod directory;
mod manage;
mod mapping;
mod oauth2;
mod oidc;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use store::tenant::providers::Provider as Row;

pub use directory::{Attributes, Directory};
pub use manage::{Change, NewProvider, keep_a_way_in};
pub use mapping::{Decision, Groups, RoleRule, Rules};
pub use oauth2::{FieldMapping, OAuth2};
pub use oidc::{Claims, Oidc};

/// An identity provider, read.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Row number.
    pub id: i64,
    /// Public id.
    pub uid: String,
    /// What the sign-in page calls it.
    pub title: String,
    /// A regular expression that identifiers must match; empty: any.
    pub identifier_filter: String,
    /// How it works.
    pub kind: Kind,
}

/// How a provider works.
#[derive(Clone, Debug)]
pub enum Kind {
    /// OAuth2 as Memos has it.
    OAuth2(OAuth2),
    /// OpenID Connect.
    Oidc(Oidc),
    /// A directory that takes passwords.
    Ldap(Directory),
}

impl Kind {
    /// The word in the table.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::OAuth2(_) => "OAUTH2",
            Self::Oidc(_) => "OIDC",
            Self::Ldap(_) => "LDAP",
        }
    }
}

/// What is wrong with a provider's settings; the sentence names the setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(pub String);

impl Provider {
    /// From the stored row.
    pub fn read(row: &Row) -> Result<Self, Unfit> {
        Ok(Self {
            id: row.id,
            uid: row.uid.clone(),
            title: if row.name.is_empty() { row.uid.clone() } else { row.name.clone() },
            identifier_filter: row.identifier_filter.clone(),
            kind: Kind::read(&row.kind, &row.config)?,
        })
    }

    /// The operators' provider, which must demand a group.
    pub fn of_operators(title: &str, oidc: Oidc) -> Result<Self, Unfit> {
        oidc.check()?;
        if oidc.rules.required_groups.is_empty() {
            return Err(Unfit("a group is required of operators; without one everybody there would be one".to_owned()));
        }
        let (uid, title) = ("console".to_owned(), title.to_owned());
        Ok(Self { id: 0, uid, title, identifier_filter: String::new(), kind: Kind::Oidc(oidc) })
    }

    /// What the sign-in page calls it.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Whether members are led to it from the sign-in page; a directory takes passwords on our own.
    pub const fn is_led_to(&self) -> bool {
        !matches!(self.kind, Kind::Ldap(_))
    }
}

impl Kind {
    /// From the word and the object of a row.
    pub fn read(kind: &str, config: &Value) -> Result<Self, Unfit> {
        match kind {
            "OAUTH2" => parsed(config).map(Self::OAuth2),
            "OIDC" => parsed(config).map(Self::Oidc),
            "LDAP" => parsed(config).map(Self::Ldap),
            other => Err(Unfit(format!("kind is {other}; it must be oauth2, oidc or ldap"))),
        }
    }

    /// Refuses settings that cannot work.
    pub fn check(&self) -> Result<(), Unfit> {
        match self {
            Self::OAuth2(oauth2) => oauth2.check(),
            Self::Oidc(oidc) => oidc.check(),
            Self::Ldap(directory) => directory.check(),
        }
    }

    /// The object to store, with its secrets.
    pub fn stored(&self) -> Value {
        let value = match self {
            Self::OAuth2(oauth2) => serde_json::to_value(oauth2),
            Self::Oidc(oidc) => serde_json::to_value(oidc),
            Self::Ldap(directory) => serde_json::to_value(directory),
        };
        value.unwrap_or_default()
    }

    /// The object to show: secrets are only said to be there.
    pub fn shown(&self) -> Value {
        let mut value = self.stored();
        if let Some(object) = value.as_object_mut() {
            for key in SECRETS {
                if let Some(secret) = object.get_mut(*key) {
                    let set = secret.as_str().is_some_and(|text| !text.is_empty());
                    *secret = Value::from(if set { "(set)" } else { "" });
                }
            }
        }
        value
    }

    /// Keeps the secrets that are stored where none is given anew.
    #[must_use]
    pub fn keeping_secrets_of(mut self, stored: &Self) -> Self {
        let keep = |new: &mut String, old: &String| {
            if new.is_empty() {
                new.clone_from(old);
            }
        };
        match (&mut self, stored) {
            (Self::OAuth2(new), Self::OAuth2(old)) => keep(&mut new.client_secret, &old.client_secret),
            (Self::Oidc(new), Self::Oidc(old)) => keep(&mut new.client_secret, &old.client_secret),
            (Self::Ldap(new), Self::Ldap(old)) => keep(&mut new.bind_password, &old.bind_password),
            _ => {}
        }
        self
    }
}

/// Settings that are never shown.
const SECRETS: &[&str] = &["clientSecret", "bindPassword"];

fn parsed<T: DeserializeOwned>(config: &Value) -> Result<T, Unfit> {
    serde_json::from_value(without_nulls(config.clone())).map_err(|error| Unfit(error.to_string()))
}

/// A null is a setting that is not set.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let set = object.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(set.map(|(key, value)| (key, without_nulls(value))).collect())
        }
        other => other,
    }
}

/// The object of a row from TOML that people write.
pub fn from_toml(text: &str) -> Result<Value, Unfit> {
    let table: toml::Table = toml::from_str(text).map_err(|error| {
        let before = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text.get(..before).unwrap_or_default().matches('\n').count() + 1;
        Unfit(format!("line {line}: {}", error.message()))
    })?;
    let value = serde_json::to_value(table).map_err(|error| Unfit(error.to_string()))?;
    Ok(from_document(value))
}

/// Settings as people write them, without what is empty and without secrets.
pub fn to_toml(kind: &Kind) -> String {
    let mut value = kind.stored();
    if let Some(object) = value.as_object_mut() {
        object.retain(|key, value| !SECRETS.contains(&key.as_str()) && value.as_str() != Some(""));
        if let Some(Value::Object(rules)) = object.remove("rules") {
            let set = rules.into_iter().filter(|(_, value)| value.as_array().is_none_or(|list| !list.is_empty()));
            object.extend(set);
        }
    }
    toml::to_string_pretty(&snake_keys(value)).unwrap_or_default()
}

/// `clientId` → `client_id`, in every object inside.
fn snake_keys(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let pairs = object.into_iter().map(|(key, value)| (snake(&key), snake_keys(value)));
            Value::Object(pairs.collect::<Map<_, _>>())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(snake_keys).collect()),
        other => other,
    }
}

fn snake(key: &str) -> String {
    let mut out = String::new();
    for letter in key.chars() {
        if letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// The object of a row from a document that people write: keys in either spelling, and the rules at its top.
pub fn from_document(document: Value) -> Value {
    let mut value = camel_keys(document);
    if let Some(object) = value.as_object_mut() {
        let mut rules = match object.remove("rules") {
            Some(Value::Object(rules)) => rules,
            _ => Map::new(),
        };
        for key in ["signUp", "roles", "defaultRole", "requiredGroups", "allowedDomains"] {
            if let Some(rule) = object.remove(key) {
                rules.insert(key.to_owned(), rule);
            }
        }
        if !rules.is_empty() {
            object.insert("rules".to_owned(), Value::Object(rules));
        }
    }
    value
}

/// `client_id` → `clientId`, in every object inside.
pub fn camel_keys(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let pairs = object.into_iter().map(|(key, value)| (camel(&key), camel_keys(value)));
            Value::Object(pairs.collect::<Map<_, _>>())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(camel_keys).collect()),
        other => other,
    }
}

fn camel(key: &str) -> String {
    let mut parts = key.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |mut out, part| {
        let mut letters = part.chars();
        out.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        out.extend(letters);
        out
    })
}

/// Refuses a URL that is no `http` or `https` one.
fn check_url(name: &str, url: &str) -> Result<(), Unfit> {
    let fits = url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some());
    if fits { Ok(()) } else { Err(Unfit(format!("{name} is {url:?}; it must be a whole http or https URL"))) }
}

/// Refuses a text that is no certificate in PEM.
fn check_ca(pem: &str) -> Result<(), Unfit> {
    if pem.is_empty() {
        return Ok(());
    }
    crate::outbound::certificates(pem).map(|_| ()).map_err(Unfit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_becomes_a_row_and_comes_back() {
        let text = "issuer = \"https://sso.example.org\"\nclient_id = \"notes\"\nclient_secret = \"s\"\n\
                    sign_up = false\n[[roles]]\ngroup = \"staff\"\nrole = \"admin\"\n[claims]\ndisplay_name = \"cn\"\n";
        let kind = Kind::read("OIDC", &from_toml(text).unwrap()).unwrap();
        let Kind::Oidc(oidc) = &kind else { panic!("of another kind") };
        assert!(!oidc.rules.sign_up);
        assert_eq!(oidc.rules.roles.len(), 1);
        assert_eq!(oidc.claims.display_name, "cn");
        kind.check().unwrap();
        assert_eq!(kind.shown()["clientSecret"], "(set)");
        let back = to_toml(&kind);
        assert!(!back.contains("client_secret"), "{back}");
        let again = Kind::read("OIDC", &from_toml(&back).unwrap()).unwrap().keeping_secrets_of(&kind);
        assert_eq!(again.stored(), kind.stored());
    }

    #[test]
    fn misspelt_settings_are_refused() {
        let refused = Kind::read("OIDC", &from_toml("isuer = \"x\"").unwrap()).unwrap_err();
        assert!(refused.0.contains("isuer"), "{refused}");
        assert!(from_toml("a = ").unwrap_err().0.starts_with("line 1"));
    }

    #[test]
    fn a_directory_in_the_clear_is_refused() {
        let text = "servers = [\"ldap://ldap.example.org\"]\nuser_base = \"ou=people\"\n";
        let kind = Kind::read("LDAP", &from_toml(text).unwrap()).unwrap();
        assert_eq!(
            kind.check().unwrap_err().0,
            "ldap://ldap.example.org would carry passwords in the clear; use ldaps://, set startTls, or set allowPlain"
        );
        let with = |more: &str| Kind::read("LDAP", &from_toml(&format!("{more}\n{text}")).unwrap()).unwrap().check();
        assert_eq!(with("start_tls = true"), Ok(()));
        assert!(with("start_tls = true\nuser_filter = \"(uid=x)\"").is_err());
        assert!(with("start_tls = true\nuser_filter = \"(uid={username}\"").is_err());
        assert!(with("start_tls = true\nbind_dn = \"cn=x\"").is_err());
    }

    #[test]
    fn rows_that_memos_made_are_read() {
        let config = serde_json::json!({"clientId": "fixture-client", "clientSecret": "fixture-secret-§",
            "authUrl": "https://sso.example.com/authorize", "tokenUrl": "https://sso.example.com/token",
            "userInfoUrl": "https://sso.example.com/userinfo", "scopes": ["openid", "email"],
            "fieldMapping": {"identifier": "preferred_username", "displayName": "name", "email": null}});
        let Kind::OAuth2(oauth2) = Kind::read("OAUTH2", &config).unwrap() else { panic!("of another kind") };
        assert_eq!(oauth2.field_mapping.identifier, "preferred_username");
    }
}
