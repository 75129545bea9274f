//! One row as COPY text, and as a hash that is equal on both sides of the database.

use std::borrow::Cow;

use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

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

/// Hashes one row.
pub fn hash_row(target: &Target, cells: &[Cell]) -> RowHash {
    let (mut own, mut derived) = (Sha256::new(), Sha256::new());
    for (at, cell) in cells.iter().enumerate() {
        match target.derived.iter().find(|(column, _)| *column == at) {
            None => feed(&mut own, cell),
            Some((_, Derived::Left)) => feed(&mut derived, cell),
            // Whether there are bytes at all counts, not which: Memos never writes a file anew.
            Some((_, Derived::Presence)) => {
                feed(&mut own, &Cell::Bool(!matches!(cell, Cell::Text(text) if text.is_empty())));
                feed(&mut derived, cell);
            }
        }
    }
    let own: [u8; 32] = own.finalize().into();
    let mut full = wide(&own);
    if !target.derived.is_empty() {
        full = full.wrapping_add(wide(&derived.finalize().into()).rotate_left(1));
    }
    RowHash { key: hash_key(cells.get(..target.key).unwrap_or(cells)), base: first_eight(&own), full }
}

fn wide(full: &[u8; 32]) -> u128 {
    let mut half = [0_u8; 16];
    half.copy_from_slice(&full[..16]);
    u128::from_be_bytes(half)
}

/// The hash of a key alone: its cells in the order of the columns.
pub fn hash_key(cells: &[Cell]) -> u64 {
    let mut key = Sha256::new();
    for cell in cells {
        feed(&mut key, cell);
    }
    first_eight(&key.finalize().into())
}

fn first_eight(full: &[u8; 32]) -> u64 {
    let mut first = [0_u8; 8];
    first.copy_from_slice(&full[..8]);
    u64::from_be_bytes(first)
}

fn feed(hash: &mut Sha256, cell: &Cell) {
    let mut text = |tag: u8, bytes: &[u8]| {
        hash.update([tag]);
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    match cell {
        Cell::Null => text(0, b""),
        Cell::Int(n) => text(1, &n.to_be_bytes()),
        Cell::Bool(b) => text(2, &[u8::from(*b)]),
        Cell::Text(value) => text(3, value.as_bytes()),
        Cell::Json(json) => text(4, canonical(json).as_bytes()),
        Cell::Texts(values) => {
            text(5, &(values.len() as u64).to_be_bytes());
            for value in values {
                text(6, value.as_bytes());
            }
        }
    }
}

/// JSON with sorted keys, and numbers by value: jsonb keeps neither order nor spelling.
fn canonical(json: &Json) -> String {
    match json {
        Json::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by(|a, b| a.0.cmp(b.0));
            let inner: Vec<_> =
                sorted.iter().map(|(k, v)| format!("{}:{}", Json::String((*k).clone()), canonical(v))).collect();
            format!("{{{}}}", inner.join(","))
        }
        Json::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Json::Number(n) if n.is_f64() => format!("{:e}", n.as_f64().unwrap_or_default()),
        Json::Number(n) => {
            n.as_i64().map_or_else(|| format!("{:e}", n.as_f64().unwrap_or_default()), |n| n.to_string())
        }
        other => other.to_string(),
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

/// Appends one row in COPY's text format.
pub fn write_row(cells: &[Cell], out: &mut Vec<u8>) {
    for (at, cell) in cells.iter().enumerate() {
        if at > 0 {
            out.push(b'\t');
        }
        match cell {
            Cell::Null => out.extend_from_slice(b"\\N"),
            Cell::Int(n) => out.extend_from_slice(n.to_string().as_bytes()),
            Cell::Bool(b) => out.push(if *b { b't' } else { b'f' }),
            Cell::Text(text) => escape(text.as_bytes(), out),
            Cell::Json(json) => escape(json.to_string().as_bytes(), out),
            Cell::Texts(texts) => escape(array_literal(texts).as_bytes(), out),
        }
    }
    out.push(b'\n');
}

fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte => out.push(*byte),
        }
    }
}

fn array_literal(texts: &[String]) -> String {
    let items: Vec<String> =
        texts.iter().map(|text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))).collect();
    format!("{{{}}}", items.join(","))
}

/// Reads one line of COPY text (without its line end) back into cells of the given kinds; none when it does not fit.
pub fn read_row(line: &[u8], kinds: &[Kind]) -> Option<Vec<Cell>> {
    let mut cells = Vec::with_capacity(kinds.len());
    let mut fields = line.split(|byte| *byte == b'\t');
    for kind in kinds {
        let field = fields.next()?;
        if field == b"\\N" {
            cells.push(Cell::Null);
            continue;
        }
        let text = unescape(field)?;
        cells.push(match kind {
            Kind::Int => Cell::Int(text.parse().ok()?),
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
    fn a_row_survives_copy_text() {
        let cells = vec![
            Cell::Int(-3),
            Cell::Null,
            Cell::Text("a\tb\\N\r\nc \u{b} \"".to_owned()),
            Cell::Bool(true),
            Cell::Json(serde_json::json!({"b": 1.5, "a": ["\n", "\\"]})),
            Cell::Texts(vec!["x,y".to_owned(), "q\"\\".to_owned(), String::new(), "NULL".to_owned()]),
        ];
        let kinds = [Kind::Int, Kind::Int, Kind::Text, Kind::Bool, Kind::Json, Kind::Texts];
        let mut line = Vec::new();
        write_row(&cells, &mut line);
        assert_eq!(line.pop(), Some(b'\n'));
        assert!(!line.contains(&b'\n'));
        assert_eq!(read_row(&line, &kinds), Some(cells));
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
