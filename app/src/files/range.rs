//! The `Range` header: which bytes of a file are wanted.

use std::ops::Range;

/// More pieces than this in one request are answered with the whole file.
const MOST_PIECES: usize = 16;

/// What a request wants of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of it.
    Whole,
    /// These bytes, one piece or several.
    Pieces(Vec<Range<u64>>),
    /// Bytes beyond its end.
    Beyond,
    /// The header makes no sense.
    Nonsense,
}

/// Reads a `Range` header for a file of `size` bytes.
pub fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some(header) = header.map(str::trim).filter(|header| !header.is_empty()) else { return Wanted::Whole };
    let Some(list) = header.strip_prefix("bytes=") else { return Wanted::Nonsense };
    let mut pieces = Vec::new();
    let mut beyond = false;
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match piece(part, size) {
            Some(Some(range)) => pieces.push(range),
            Some(None) => beyond = true,
            None => return Wanted::Nonsense,
        }
    }
    // Nothing can be cut out of an empty file, and asking for more than there is in all is not worth the pieces.
    let total: u64 = pieces.iter().map(|range| range.end - range.start).sum();
    if size == 0 || pieces.len() > MOST_PIECES || total > size {
        return Wanted::Whole;
    }
    match (pieces.is_empty(), beyond) {
        (true, true) => Wanted::Beyond,
        (true, false) => Wanted::Whole,
        (false, _) => Wanted::Pieces(pieces),
    }
}

/// One piece; inside none when it lies beyond the end.
#[expect(clippy::option_option, reason = "three answers: nonsense, beyond the end, a range")]
fn piece(text: &str, size: u64) -> Option<Option<Range<u64>>> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.trim(), last.trim());
    if first.is_empty() {
        let length = number(last)?;
        let start = size.saturating_sub(length);
        return Some((length > 0 && size > 0).then_some(start..size));
    }
    let start = number(first)?;
    let end = if last.is_empty() { size } else { number(last)?.checked_add(1)? };
    if !last.is_empty() && end <= start {
        return None;
    }
    Some((start < size).then(|| start..end.min(size)))
}

fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) { None } else { text.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let pieces = |bounds: &[(u64, u64)]| Wanted::Pieces(bounds.iter().map(|(start, end)| *start..*end).collect());
        for (header, expected) in [
            ("bytes=0-9", pieces(&[(0, 10)])),
            ("bytes=5-", pieces(&[(5, 100)])),
            ("bytes=-5", pieces(&[(95, 100)])),
            ("bytes=0-1,4-5", pieces(&[(0, 2), (4, 6)])),
            ("bytes=90-999", pieces(&[(90, 100)])),
            ("bytes=-999", pieces(&[(0, 100)])),
            ("bytes=0-1,500-", pieces(&[(0, 2)])),
            ("bytes=999-", Wanted::Beyond),
            ("bytes=-0", Wanted::Beyond),
            ("bytes=5-2", Wanted::Nonsense),
            ("items=0-1", Wanted::Nonsense),
            ("bytes=a-b", Wanted::Nonsense),
            ("bytes=0-99,0-99", Wanted::Whole),
            ("bytes=", Wanted::Whole),
        ] {
            assert_eq!(wanted(Some(header), 100), expected, "{header}");
        }
        assert_eq!(wanted(None, 100), Wanted::Whole);
        assert_eq!(wanted(Some("bytes=0-9"), 0), Wanted::Whole);
    }
}
