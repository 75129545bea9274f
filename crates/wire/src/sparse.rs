//! JSON as Connect writes it: the same messages with defaults left out.
//!
//! A serializer around serde_json's that looks at each field before it is written. The descriptors say where a default
//! counts nonetheless (`optional` fields), where `"0"` is a number and where a text is the name of an enum's zero.

use std::collections::HashMap;
use std::sync::OnceLock;

use prost_reflect::Kind;
use serde::ser::{Error as _, Impossible, SerializeMap, SerializeSeq, SerializeStruct};
use serde::{Serialize, Serializer};

/// Writes `message` without defaults.
///
/// # Errors
/// Never for messages of this crate.
pub fn to_vec<T: Serialize>(message: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::with_capacity(512);
    message.serialize(Sparse(&mut serde_json::Serializer::new(&mut out)))?;
    Ok(out)
}

/// What is special about a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Written whenever it is set, even to a default.
    Present,
    /// A 64-bit number, which JSON holds as text.
    Long,
    /// An enum, which JSON holds as a name.
    Enum,
}

type Rules = [(String, Rule)];

/// The special fields of the message `name`, by JSON name.
fn rules(name: &str) -> &'static Rules {
    static ALL: OnceLock<HashMap<String, Vec<(String, Rule)>>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let special = |field: prost_reflect::FieldDescriptor| {
            let rule = if field.supports_presence() {
                Rule::Present
            } else {
                match field.kind() {
                    Kind::Enum(_) => Rule::Enum,
                    Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64 => Rule::Long,
                    _ => return None,
                }
            };
            Some((field.json_name().to_owned(), rule))
        };
        let message =
            |m: prost_reflect::MessageDescriptor| (m.full_name().to_owned(), m.fields().filter_map(special).collect());
        crate::pool().all_messages().map(message).collect()
    });
    // pbjson writes packages as Rust does: `google.r#type`.
    all.get(name).or_else(|| all.get(&name.replace("r#", ""))).map_or(&[], Vec::as_slice)
}

/// What a value looks like from outside.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// 0, false, or empty.
    Default,
    /// The text `0`.
    ZeroText,
    /// A text that could name an enum's zero.
    Unspecified,
    Other,
}

fn is_left_out<T: Serialize + ?Sized>(rules: &Rules, key: &str, value: &T) -> bool {
    let shape = match value.serialize(Probe) {
        Ok(shape) => shape,
        Err(Inside { empty }) => shape(empty),
    };
    if shape == Shape::Other {
        return false;
    }
    let rule = rules.iter().find(|(name, _)| name == key).map(|(_, rule)| *rule);
    match shape {
        Shape::Default => rule != Some(Rule::Present),
        Shape::ZeroText => rule == Some(Rule::Long),
        Shape::Unspecified => rule == Some(Rule::Enum),
        Shape::Other => false,
    }
}

struct Sparse<S>(S);

struct Inner<'a, T: ?Sized>(&'a T);

impl<T: Serialize + ?Sized> Serialize for Inner<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Sparse(serializer))
    }
}

/// Methods that hand a scalar through.
macro_rules! through {
    ($($method:ident($kind:ty);)*) => {
        $(fn $method(self, v: $kind) -> Result<S::Ok, S::Error> {
            self.0.$method(v)
        })*
    };
}

/// Kinds of values that no message has.
macro_rules! never {
    ($ok:ty) => {
        fn serialize_unit_struct(self, _: &'static str) -> Result<$ok, Self::Error> {
            Err(Self::Error::custom("messages have no unit structs"))
        }
        fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<$ok, Self::Error> {
            Err(Self::Error::custom("messages have no variants"))
        }
        fn serialize_newtype_variant<T: Serialize + ?Sized>(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: &T,
        ) -> Result<$ok, Self::Error> {
            Err(Self::Error::custom("messages have no variants"))
        }
        fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Self::Error> {
            Err(Self::Error::custom("messages have no tuples"))
        }
        fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Self::Error> {
            Err(Self::Error::custom("messages have no tuples"))
        }
        fn serialize_tuple_variant(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeTupleVariant, Self::Error> {
            Err(Self::Error::custom("messages have no variants"))
        }
        fn serialize_struct_variant(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeStructVariant, Self::Error> {
            Err(Self::Error::custom("messages have no variants"))
        }
    };
}

impl<S: Serializer> Serializer for Sparse<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Sparse<S::SerializeSeq>;
    type SerializeMap = Sparse<S::SerializeMap>;
    type SerializeStruct = SparseStruct<S::SerializeStruct>;
    type SerializeTuple = Impossible<S::Ok, S::Error>;
    type SerializeTupleStruct = Impossible<S::Ok, S::Error>;
    type SerializeTupleVariant = Impossible<S::Ok, S::Error>;
    type SerializeStructVariant = Impossible<S::Ok, S::Error>;

    through! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_f32(f32);
        serialize_f64(f64);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
    }
    never!(S::Ok);

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.0.serialize_none()
    }
    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.0.serialize_unit()
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        value.serialize(self)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<S::Ok, S::Error> {
        value.serialize(self)
    }
    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        self.0.serialize_seq(len).map(Sparse)
    }
    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        self.0.serialize_map(len).map(Sparse)
    }
    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeStruct, S::Error> {
        Ok(SparseStruct { inner: self.0.serialize_struct(name, len)?, rules: rules(name) })
    }
}

impl<S: SerializeSeq> SerializeSeq for Sparse<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        self.0.serialize_element(&Inner(value))
    }
    fn end(self) -> Result<S::Ok, S::Error> {
        self.0.end()
    }
}

impl<S: SerializeMap> SerializeMap for Sparse<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
        self.0.serialize_key(key)
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        self.0.serialize_value(&Inner(value))
    }
    fn end(self) -> Result<S::Ok, S::Error> {
        self.0.end()
    }
}

struct SparseStruct<S> {
    inner: S,
    rules: &'static Rules,
}

impl<S: SerializeStruct> SerializeStruct for SparseStruct<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), S::Error> {
        if is_left_out(self.rules, key, value) {
            return Ok(());
        }
        self.inner.serialize_field(key, &Inner(value))
    }
    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}

/// Looks at a value without writing it; gives up at once on anything that has an inside.
struct Probe;

/// The value is a list, a map or a message: the probe goes no further.
#[derive(Debug, thiserror::Error)]
#[error("the value has an inside")]
struct Inside {
    empty: bool,
}

impl serde::ser::Error for Inside {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Self { empty: false }
    }
}

const fn shape(is_default: bool) -> Shape {
    if is_default { Shape::Default } else { Shape::Other }
}

/// Methods that compare a number with zero.
macro_rules! numbers {
    ($($method:ident($kind:ty);)*) => {
        $(fn $method(self, v: $kind) -> Result<Shape, Inside> {
            Ok(shape(v == <$kind>::default()))
        })*
    };
}

impl Serializer for Probe {
    type Ok = Shape;
    type Error = Inside;
    type SerializeSeq = Impossible<Shape, Inside>;
    type SerializeMap = Impossible<Shape, Inside>;
    type SerializeStruct = Impossible<Shape, Inside>;
    type SerializeTuple = Impossible<Shape, Inside>;
    type SerializeTupleStruct = Impossible<Shape, Inside>;
    type SerializeTupleVariant = Impossible<Shape, Inside>;
    type SerializeStructVariant = Impossible<Shape, Inside>;

    numbers! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_char(char);
    }
    never!(Shape);

    fn serialize_f32(self, v: f32) -> Result<Shape, Inside> {
        Ok(shape(v.to_bits() == 0))
    }
    fn serialize_f64(self, v: f64) -> Result<Shape, Inside> {
        Ok(shape(v.to_bits() == 0))
    }
    fn serialize_str(self, v: &str) -> Result<Shape, Inside> {
        Ok(match v {
            "" => Shape::Default,
            "0" => Shape::ZeroText,
            text if text.ends_with("_UNSPECIFIED") => Shape::Unspecified,
            _ => Shape::Other,
        })
    }
    fn serialize_bytes(self, v: &[u8]) -> Result<Shape, Inside> {
        Ok(shape(v.is_empty()))
    }
    fn serialize_none(self) -> Result<Shape, Inside> {
        Ok(Shape::Default)
    }
    fn serialize_unit(self) -> Result<Shape, Inside> {
        Ok(Shape::Default)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Shape, Inside> {
        value.serialize(self)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, v: &T) -> Result<Shape, Inside> {
        v.serialize(self)
    }
    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, Inside> {
        Err(Inside { empty: len == Some(0) })
    }
    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, Inside> {
        Err(Inside { empty: len == Some(0) })
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Inside> {
        Err(Inside { empty: false })
    }
}

#[cfg(test)]
mod tests {
    use crate::v1;

    fn text<T: serde::Serialize>(message: &T) -> String {
        String::from_utf8(super::to_vec(message).expect("json")).expect("text")
    }

    #[test]
    fn defaults_are_left_out_and_set_messages_are_not() {
        let memo =
            v1::Memo { name: "memos/a".into(), property: Some(v1::memo::Property::default()), ..Default::default() };
        assert_eq!(text(&memo), r#"{"name":"memos/a","property":{}}"#);
        assert_eq!(text(&v1::ListMemosResponse::default()), "{}");
    }

    #[test]
    fn numbers_as_text_and_enum_names_follow_their_kind() {
        let file = v1::Attachment {
            content: Vec::new(),
            r#type: "TYPE_UNSPECIFIED".into(),
            filename: "0".into(),
            ..Default::default()
        };
        assert_eq!(text(&file), r#"{"filename":"0","type":"TYPE_UNSPECIFIED"}"#);
        let relation = v1::MemoRelation::default();
        assert_eq!(text(&relation), "{}");
    }

    #[test]
    fn what_is_set_on_purpose_stays() {
        let colour = crate::Color { alpha: Some(0.0), ..Default::default() };
        assert_eq!(text(&colour), r#"{"alpha":0.0}"#);
        let stats = v1::UserStats { tag_count: [("x".to_owned(), 0)].into(), ..Default::default() };
        assert_eq!(text(&stats), r#"{"tagCount":{"x":0}}"#);
    }
}
