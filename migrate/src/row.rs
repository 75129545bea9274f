//! One row on its way into the database (COPY's binary format), on its way back (its text format, so that not the same code
//! is believed twice), and as a hash that is equal on both sides.

use std::borrow::Cow;
use std::fmt::Write as _;

use blake2::{Blake2b128, Digest as _};
use serde_json::Value as Json;

use crate::table::{Cell, Derived, Kind, Target};

/// Hashes of one row, equal on both sides of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowHash {
    /// Of the primary key.
    pub key: u64,
    /// Of what the source says: without what follows from other rows, and without what changes by mere use.
    pub base: u64,
    /// Of every column.
    pub full: u128,
}

/// Rows of one table taken together, in any order: how many, and the sum of their hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many rows.
    pub rows: u64,
    /// Their full hashes, added up.
    pub hash: u128,
}

impl Sum {
    /// Adds one row.
    pub fn add(&mut self, row: &RowHash) {
        self.rows += 1;
        self.hash = self.hash.wrapping_add(row.full);
    }
}

type Hash = Blake2b128;

/// Hashes one row.
pub fn hash_row(target: &Target, cells: &[Cell]) -> RowHash {
    let (mut own, mut derived) = (Hash::new(), Hash::new());
    let mut text = String::new();
    for (at, cell) in cells.iter().enumerate() {
        match target.derived.iter().find(|(column, _)| *column == at) {
            None => feed(&mut own, cell, &mut text),
            Some((_, Derived::Left)) => feed(&mut derived, cell, &mut text),
            // Whether there are bytes at all counts, not which: Memos never writes a file anew.
            Some((_, Derived::Presence)) => {
                feed(&mut own, &Cell::Bool(!matches!(cell, Cell::Text(text) if text.is_empty())), &mut text);
                feed(&mut derived, cell, &mut text);
            }
        }
    }
    let own: [u8; 16] = own.finalize().into();
    let mut full = u128::from_be_bytes(own);
    if !target.derived.is_empty() {
        let derived: [u8; 16] = derived.finalize().into();
        full = full.wrapping_add(u128::from_be_bytes(derived).rotate_left(1));
    }
    RowHash { key: hash_key(cells.get(..target.key).unwrap_or(cells)), base: first_eight(own), full }
}

/// The hash of a key alone: its cells in the order of the columns.
pub fn hash_key(cells: &[Cell]) -> u64 {
    let mut key = Hash::new();
    let mut text = String::new();
    for cell in cells {
        feed(&mut key, cell, &mut text);
    }
    first_eight(key.finalize().into())
}

fn first_eight(full: [u8; 16]) -> u64 {
    (u128::from_be_bytes(full) >> 64) as u64
}

/// `text` is room for JSON, used again for each cell.
fn feed(hash: &mut Hash, cell: &Cell, text: &mut String) {
    let mut take = |tag: u8, bytes: &[u8]| {
        let mut head = [tag; 9];
        head[1..].copy_from_slice(&(bytes.len() as u64).to_be_bytes());
        hash.update(head);
        hash.update(bytes);
    };
    match cell {
        Cell::Null => take(0, b""),
        Cell::Int(n) => take(1, &n.to_be_bytes()),
        Cell::Bool(b) => take(2, &[u8::from(*b)]),
        Cell::Text(value) => take(3, value.as_bytes()),
        Cell::Json(json) => {
            text.clear();
            canonical(json, text);
            take(4, text.as_bytes());
        }
        Cell::Texts(values) => {
            take(5, &(values.len() as u64).to_be_bytes());
            for value in values {
                take(6, value.as_bytes());
            }
        }
    }
}

/// JSON with sorted keys, and numbers by value: jsonb keeps neither order nor spelling.
fn canonical(json: &Json, out: &mut String) {
    match json {
        Json::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by(|a, b| a.0.cmp(b.0));
            out.push('{');
            for (at, (key, value)) in sorted.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                let _ = write!(out, "{}:", Json::String(key.clone()));
                canonical(value, out);
            }
            out.push('}');
        }
        Json::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                canonical(item, out);
            }
            out.push(']');
        }
        Json::Number(n) => {
            let _ = match n.as_i64().filter(|_| !n.is_f64()) {
                Some(n) => write!(out, "{n}"),
                None => write!(out, "{:e}", n.as_f64().unwrap_or_default()),
            };
        }
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

/// A row as a JSON object.
pub fn json_of(target: &Target, cells: &[Cell]) -> Json {
    let names = target.columns.iter().map(|(name, _)| (*name).to_owned());
    Json::Object(names.zip(cells.iter().map(Cell::to_json)).collect())
}

/// A row's key as a JSON object.
pub fn key_json(target: &Target, cells: &[Cell]) -> Json {
    let names = target.columns.iter().take(target.key).map(|(name, _)| (*name).to_owned());
    Json::Object(names.zip(cells.iter().map(Cell::to_json)).collect())
}

/// A JSON object as a row; none when it does not fit.
pub fn cells_of(target: &Target, row: &Json) -> Option<Vec<Cell>> {
    target.columns.iter().map(|(name, kind)| Cell::from_json(*kind, row.get(name)?)).collect()
}

/// Number by which Postgres knows the type text.
const TEXT_TYPE: i32 = 25;

/// Appends one row in COPY's binary format.
pub fn write_row(target: &Target, cells: &[Cell], out: &mut Vec<u8>) {
    out.extend_from_slice(&(cells.len() as i16).to_be_bytes());
    for (cell, (_, kind)) in cells.iter().zip(target.columns) {
        match cell {
            Cell::Null => out.extend_from_slice(&(-1_i32).to_be_bytes()),
            Cell::Int(n) if *kind == Kind::Short => {
                let short = i32::try_from(*n).unwrap_or(if *n < 0 { i32::MIN } else { i32::MAX });
                field(out, |out| out.extend_from_slice(&short.to_be_bytes()));
            }
            Cell::Int(n) => field(out, |out| out.extend_from_slice(&n.to_be_bytes())),
            Cell::Bool(b) => field(out, |out| out.push(u8::from(*b))),
            Cell::Text(text) => field(out, |out| out.extend_from_slice(text.as_bytes())),
            Cell::Json(json) => field(out, |out| {
                out.push(1); // the version of jsonb's format
                // Writing into memory does not fail, and every value is JSON.
                let _ = serde_json::to_writer(out, json);
            }),
            Cell::Texts(texts) => field(out, |out| texts_field(texts, out)),
        }
    }
}

/// One value with its length in front.
fn field(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    fill(out);
    let length = (out.len() - at - 4) as i32;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

fn texts_field(texts: &[String], out: &mut Vec<u8>) {
    let number = |out: &mut Vec<u8>, n: i32| out.extend_from_slice(&n.to_be_bytes());
    number(out, i32::from(!texts.is_empty()));
    number(out, 0);
    number(out, TEXT_TYPE);
    if texts.is_empty() {
        return;
    }
    number(out, texts.len() as i32);
    number(out, 1);
    for text in texts {
        field(out, |out| out.extend_from_slice(text.as_bytes()));
    }
}

/// Reads one line of COPY text (without its line end) back into cells of the given kinds; none when it does not fit.
pub fn read_row(line: &[u8], kinds: impl IntoIterator<Item = Kind>) -> Option<Vec<Cell>> {
    let mut cells = Vec::with_capacity(20);
    let mut fields = line.split(|byte| *byte == b'\t');
    for kind in kinds {
        let field = fields.next()?;
        if field == b"\\N" {
            cells.push(Cell::Null);
            continue;
        }
        let text = unescape(field)?;
        cells.push(match kind {
            Kind::Int | Kind::Short => Cell::Int(text.parse().ok()?),
            Kind::Bool => Cell::Bool(text == "t"),
            Kind::Text => Cell::Text(text.into_owned()),
            Kind::Json => Cell::Json(serde_json::from_str(&text).ok()?),
            Kind::Texts => Cell::Texts(read_array(&text)?),
        });
    }
    fields.next().is_none().then_some(cells)
}

fn unescape(field: &[u8]) -> Option<Cow<'_, str>> {
    if !field.contains(&b'\\') {
        return std::str::from_utf8(field).ok().map(Cow::Borrowed);
    }
    let mut out = Vec::with_capacity(field.len());
    let mut bytes = field.iter();
    while let Some(byte) = bytes.next() {
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        out.push(match bytes.next()? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 8,
            b'f' => 12,
            b'v' => 11,
            other => *other,
        });
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

fn read_array(text: &str) -> Option<Vec<String>> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    let mut out = Vec::new();
    if inner.is_empty() {
        return Some(out);
    }
    let mut chars = inner.chars();
    let mut item = String::new();
    let mut quoted = false;
    loop {
        match chars.next() {
            Some('"') => quoted = !quoted,
            Some('\\') => item.push(chars.next()?),
            Some(',') if !quoted => out.push(std::mem::take(&mut item)),
            Some(other) => item.push(other),
            None => break,
        }
    }
    out.push(item);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::SETTING;

    #[test]
    fn a_row_of_copy_text_is_read() {
        let kinds = [Kind::Short, Kind::Int, Kind::Text, Kind::Bool, Kind::Json, Kind::Texts];
        let line =
            "-3\t\\N\ta\\tb\\\\N\\r\\nc \\v \"\tt\t{\"a\": [\"\\\\n\"]}\t{\"x,y\",\"q\\\\\"\\\\\\\\\",\"\",NULL}";
        let cells = vec![
            Cell::Int(-3),
            Cell::Null,
            Cell::Text("a\tb\\N\r\nc \u{b} \"".to_owned()),
            Cell::Bool(true),
            Cell::Json(serde_json::json!({"a": ["\n"]})),
            Cell::Texts(vec!["x,y".to_owned(), "q\"\\".to_owned(), String::new(), "NULL".to_owned()]),
        ];
        assert_eq!(read_row(line.as_bytes(), kinds), Some(cells));
        assert_eq!(read_row(b"x", [Kind::Int]), None);
    }

    #[test]
    fn a_binary_row_tells_the_length_of_each_value() {
        let mut out = Vec::new();
        write_row(&SETTING, &[Cell::from("k"), Cell::Json(serde_json::json!({}))], &mut out);
        assert_eq!(out, [0, 2, 0, 0, 0, 1, b'k', 0, 0, 0, 3, 1, b'{', b'}']);
        let mut out = Vec::new();
        texts_field(&["a".to_owned()], &mut out);
        assert_eq!(out, [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 25, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, b'a']);
    }

    #[test]
    fn a_hash_ignores_only_the_spelling_of_json() {
        let hash = |text: &str| hash_row(&SETTING, &[Cell::from("k"), Cell::Json(serde_json::from_str(text).unwrap())]);
        assert_eq!(hash(r#"{"a":1,"b":1e3}"#), hash(r#"{"b":1000.0,"a":1}"#));
        assert_ne!(hash(r#"{"a":1}"#), hash(r#"{"a":2}"#));
        assert_eq!(hash(r#"{"a":1}"#).key, hash(r#"{"a":2}"#).key);
    }

    #[test]
    fn sums_do_not_depend_on_order_and_see_every_change() {
        let hash = |key: &str, n: i64| hash_row(&SETTING, &[Cell::from(key), Cell::Json(n.into())]);
        let sum = |rows: &[RowHash]| {
            let mut sum = Sum::default();
            for row in rows {
                sum.add(row);
            }
            sum
        };
        assert_eq!(sum(&[hash("a", 1), hash("b", 2)]), sum(&[hash("b", 2), hash("a", 1)]));
        assert_ne!(sum(&[hash("a", 1), hash("b", 2)]), sum(&[hash("a", 2), hash("b", 1)]));
    }
}
