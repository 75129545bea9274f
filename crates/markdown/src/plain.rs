//! Notes that are plain paragraphs, perhaps with tags: most are, and need no tree.

use std::borrow::Cow;

use crate::inline::{Piece, pieces};
use crate::scan::Event;

/// The events of a text in which nothing but paragraphs and tags can be; none when it might hold more. What is taken here
/// is told exactly as by the tree (a test compares both).
pub(crate) fn plain(content: &str) -> Option<Vec<Event<'_>>> {
    if !inert(content.as_bytes()) || content.starts_with('\u{feff}') {
        return None;
    }
    let mut events = Vec::with_capacity(16);
    let (mut at, mut open) = (0, false);
    for line in content.split('\n') {
        let end = at + line.len();
        if line.is_empty() {
            if open {
                events.push(Event::LeaveBlock);
            }
            open = false;
        } else {
            if !is_text(line) {
                return None;
            }
            events.push(if open { Event::SoftBreak } else { Event::EnterBlock });
            open = true;
            for (piece, from, to) in pieces(content, at, end, end) {
                let cut = |from: usize| Cow::Borrowed(content.get(from..to).unwrap_or_default());
                events.push(match piece {
                    Piece::Text => Event::Text(cut(from)),
                    Piece::Tag => Event::Tag(cut(from + 1)),
                    Piece::Mention => Event::Mention(cut(from + 1)),
                });
            }
        }
        at = end + 1;
    }
    if open {
        events.push(Event::LeaveBlock);
    }
    Some(events)
}

/// Whether no byte can begin anything but text inside a line: no emphasis, code, link, address, entity, HTML, table.
fn inert(bytes: &[u8]) -> bool {
    let harmless = |(at, byte): (usize, &u8)| match byte {
        b'\n' => true,
        0..=0x1f | 0x7f | b'\\' | b'`' | b'*' | b'_' | b'[' | b']' | b'<' | b'>' | b'&' | b'~' | b'$' | b'|' | b'@' => {
            false
        }
        b':' => bytes.get(at + 1) != Some(&b'/'),
        b'w' | b'W' => !bytes.get(at + 1).is_some_and(|next| matches!(next, b'w' | b'W')),
        _ => true,
    };
    bytes.iter().enumerate().all(harmless)
}

/// Whether a line can only be part of a paragraph.
fn is_text(line: &str) -> bool {
    let bytes = line.as_bytes();
    let first = bytes.first().copied().unwrap_or(b' ');
    let opens = match first {
        b'#' => bytes.get(1).is_some_and(|next| !matches!(next, b'#' | b' ')),
        b'0'..=b'9' => {
            let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
            !matches!(bytes.get(digits), Some(b'.' | b')'))
        }
        other => other.is_ascii_alphabetic() || !other.is_ascii(),
    };
    opens && bytes.last() != Some(&b' ')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::parse;

    /// Neighbouring texts as one: how a text is cut means nothing.
    fn joined(events: Vec<Event<'_>>) -> Vec<Event<'_>> {
        let mut out: Vec<Event<'_>> = Vec::new();
        for event in events {
            match (out.last_mut(), event) {
                (Some(Event::Text(before)), Event::Text(after)) => before.to_mut().push_str(&after),
                (_, event) => out.push(event),
            }
        }
        out
    }

    #[test]
    fn plain_text_is_told_as_by_the_tree() {
        let words = [
            "note", "1", "12.", "1)", "#tag", "#a/b-c", "##x", "# x", "#", "中文", "über", "#тег", "e\u{301}", "🎉",
            "-", "--", "---", "+", "=", "===", "(", ")", "?", "!", "'", "\"", "%", ".", "...", ",", ";", ":", "a:b",
            ":/", "http:", "{", "}", "^", "/", "www", "w", "x=1", "#100%", "#1️⃣", "\u{a0}", "\u{3000}", "\u{200b}",
            "\u{2028}", "\n", "\n\n", "\n\n\n", " ", "  ", "", "\n#t", "\n1. x", "\n- x",
        ];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let mut taken = 0;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..=next(12) {
                text.push_str(words[next(words.len())]);
                if next(3) > 0 {
                    text.push(' ');
                }
            }
            let text = if next(2) == 0 { text.trim_end_matches(' ') } else { &text };
            if let Some(events) = plain(text) {
                taken += 1;
                assert_eq!(joined(events), joined(parse(text)), "{text:?}");
            }
        }
        assert!(taken > 2_000, "{taken}");
        assert!(plain("one #tag\n\ntwo, three: 50% (of) it's").is_some());
        for other in ["- x", "1. x", "# t", "a *b*", "www.x.org", "http://x", "a  \nb", " x", "a\n---", "@eve", "a\tb"]
        {
            assert_eq!(plain(other), None, "{other:?}");
        }
    }
}
