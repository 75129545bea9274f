//! Which fields of a message a request means.

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `google.protobuf.FieldMask`; paths in snake_case.
///
/// JSON bodies carry it as one text of camelCase paths, where an underscore is refused. The REST door hands over paths
/// verbatim, as an object with `paths`.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct FieldMask {
    /// The paths, each a field or dotted fields.
    #[prost(string, repeated, tag = "1")]
    pub paths: Vec<String>,
}

impl FieldMask {
    /// Whether `path` itself is named.
    pub fn names(&self, path: &str) -> bool {
        self.paths.iter().any(|p| p == path)
    }

    /// Whether `path` or something within it is named (`location.latitude` touches `location`).
    pub fn touches(&self, path: &str) -> bool {
        self.paths.iter().any(|p| p.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    }
}

/// `displayName` → `display_name`; what is snake_case already stays.
pub fn to_snake(camel: &str) -> String {
    let mut out = String::with_capacity(camel.len() + 4);
    for c in camel.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// `display_name` → `displayName`.
pub fn to_camel(snake: &str) -> String {
    let mut out = String::with_capacity(snake.len());
    let mut raise = false;
    for c in snake.chars() {
        if c == '_' {
            raise = true;
        } else if raise {
            out.push(c.to_ascii_uppercase());
            raise = false;
        } else {
            out.push(c);
        }
    }
    out
}

impl Serialize for FieldMask {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let camel: Vec<String> = self.paths.iter().map(|path| to_camel(path)).collect();
        serializer.serialize_str(&camel.join(","))
    }
}

impl<'de> Deserialize<'de> for FieldMask {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either)
    }
}

struct Either;

impl<'de> Visitor<'de> for Either {
    type Value = FieldMask;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a comma-separated list of camelCase paths")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<FieldMask, E> {
        if text.contains('_') {
            return Err(E::custom(format!("google.protobuf.FieldMask.paths contains invalid path: \"{text}\"")));
        }
        let paths = if text.is_empty() { Vec::new() } else { text.split(',').map(to_snake).collect() };
        Ok(FieldMask { paths })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldMask, A::Error> {
        let mut mask = FieldMask::default();
        while let Some(key) = map.next_key::<String>()? {
            if key == "paths" {
                mask.paths = map.next_value()?;
            } else {
                map.next_value::<de::IgnoredAny>()?;
            }
        }
        Ok(mask)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<FieldMask, A::Error> {
        Err(de::Error::invalid_type(de::Unexpected::Seq, &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_speak_camel_case() {
        let mask: FieldMask = serde_json::from_str("\"displayName,content\"").expect("a mask");
        assert_eq!(mask.paths, ["display_name", "content"]);
        assert_eq!(serde_json::to_string(&mask).expect("text"), "\"displayName,content\"");
        assert!(serde_json::from_str::<FieldMask>("\"display_name\"").is_err());
    }

    #[test]
    fn a_path_touches_its_parents() {
        let mask = FieldMask { paths: vec!["location.latitude".into(), String::new()] };
        assert!(mask.touches("location") && !mask.names("location") && !mask.touches("loc"));
    }
}
