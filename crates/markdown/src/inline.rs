//! A run of source text, cut into plain text, tags and mentions.

use crate::tag::{mention_length, tag_length};

/// What a piece of a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text,
    Tag,
    Mention,
}

/// Cuts `source[start..end]`. A tag that begins inside may end as late as `stop`; then it is the last piece.
/// A backslash hides the punctuation after it. Pieces are `(kind, from, to)` in bytes of `source`.
pub(crate) fn pieces(source: &str, start: usize, end: usize, stop: usize) -> Vec<(Piece, usize, usize)> {
    let mut out = Vec::new();
    let bytes = source.as_bytes();
    let (mut at, mut plain) = (start, start);
    while at < end {
        let found = match bytes.get(at) {
            Some(b'\\') if bytes.get(at + 1).is_some_and(u8::is_ascii_punctuation) => {
                at += 2;
                continue;
            }
            Some(b'#') => source.get(at..stop).and_then(tag_length).map(|length| (Piece::Tag, length)),
            Some(b'@') => {
                let before = source.get(..at).and_then(|text| text.chars().next_back());
                source.get(at..end).and_then(|text| mention_length(before, text)).map(|n| (Piece::Mention, n))
            }
            _ => None,
        };
        let Some((piece, length)) = found else {
            at += 1;
            continue;
        };
        if plain < at {
            out.push((Piece::Text, plain, at));
        }
        out.push((piece, at, at + length));
        at += length;
        plain = at;
    }
    if plain < end {
        out.push((Piece::Text, plain, end));
    }
    out
}
