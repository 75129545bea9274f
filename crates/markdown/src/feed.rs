//! The HTML of a note in a feed, as Memos writes it: no raw HTML of the author's, headings with ids, tags and mentions
//! left out.

use std::fmt::Write as _;

use comrak::nodes::{AstNode, NodeValue};
use comrak::{Arena, Options, arena_tree::NodeEdge};

use crate::inline::{Piece, pieces};

/// Deepest nesting that is rendered.
const MAX_DEPTH: usize = 100;
/// Stands for a carriage return on its own, which ends no line in Memos.
const RETURN: char = '\u{e00d}';

/// Safe HTML of `content` for a feed. Never panics.
pub fn feed_html(content: &str) -> String {
    let source = lone_returns(content);
    let arena = Arena::new();
    let mut settings = Options::default();
    settings.extension.strikethrough = true;
    settings.extension.table = true;
    settings.extension.autolink = true;
    settings.extension.tasklist = true;
    settings.parse.escaped_char_spans = true;
    let root = comrak::parse_document(&arena, &source, &settings);
    if depth(root) > MAX_DEPTH {
        return format!("<p>{}</p>\n", escaped(content));
    }
    let ids = heading_ids(root);
    drop_marks(&arena, root);
    let mut written = String::new();
    // Writing to a String cannot fail.
    let _ = comrak::format_html(root, &settings, &mut written);
    finish(&written, &ids)
}

fn lone_returns(content: &str) -> String {
    let bytes = content.as_bytes();
    content
        .char_indices()
        .map(|(at, letter)| if letter == '\r' && bytes.get(at + 1) != Some(&b'\n') { RETURN } else { letter })
        .collect()
}

fn depth<'a>(root: &'a AstNode<'a>) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for edge in root.traverse() {
        match edge {
            NodeEdge::Start(_) => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            NodeEdge::End(_) => depth -= 1,
        }
    }
    deepest
}

/// The ids of the headings in order.
fn heading_ids<'a>(root: &'a AstNode<'a>) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for node in root.descendants() {
        if !matches!(node.data.borrow().value, NodeValue::Heading(_)) {
            continue;
        }
        let mut text = String::new();
        for inner in node.descendants() {
            match &inner.data.borrow().value {
                NodeValue::Text(part) => text.push_str(part),
                NodeValue::Code(code) => text.push_str(&code.literal),
                _ => {}
            }
        }
        let plain = id_of(text.trim());
        let mut id = plain.clone();
        let mut number = 0;
        while ids.contains(&id) {
            number += 1;
            id = format!("{plain}-{number}");
        }
        ids.push(id);
    }
    ids
}

fn id_of(text: &str) -> String {
    let id: String = text
        .chars()
        .filter_map(|letter| match letter {
            letter if letter.is_ascii_alphanumeric() => Some(letter.to_ascii_lowercase()),
            ' ' | '\t' | '-' | '_' => Some('-'),
            _ => None,
        })
        .collect();
    if id.is_empty() { "heading".to_owned() } else { id }
}

/// Takes tags and mentions out of the text.
fn drop_marks<'a>(arena: &'a Arena<'a>, root: &'a AstNode<'a>) {
    let mut texts = Vec::new();
    let mut quiet = 0_usize;
    for edge in root.traverse() {
        let (node, enters) = match edge {
            NodeEdge::Start(node) => (node, true),
            NodeEdge::End(node) => (node, false),
        };
        match &node.data.borrow().value {
            NodeValue::Link(_) | NodeValue::Image(_) | NodeValue::Escaped => {
                quiet = if enters { quiet + 1 } else { quiet.saturating_sub(1) };
            }
            NodeValue::Text(text) if enters && quiet == 0 && text.contains(['#', '@']) => texts.push(node),
            _ => {}
        }
    }
    for node in texts {
        let NodeValue::Text(text) = node.data.borrow().value.clone() else { continue };
        let kept: String = pieces(&text, 0, text.len(), text.len())
            .into_iter()
            .filter(|(piece, _, _)| *piece == Piece::Text)
            .filter_map(|(_, from, to)| text.get(from..to))
            .collect();
        if kept.len() == text.len() {
            continue;
        }
        if !kept.is_empty() {
            node.insert_before(arena.alloc(AstNode::from(NodeValue::Text(kept.into()))));
        }
        node.detach();
    }
}

/// From our renderer's spelling of elements to that of Memos'. Text holds no bare `<` or `>`, so only elements change.
fn finish(written: &str, ids: &[String]) -> String {
    let mut out = String::with_capacity(written.len() + 64);
    let mut ids = ids.iter();
    let mut rest = written;
    while let Some(at) = rest.find('<') {
        let (before, element) = rest.split_at(at);
        out.push_str(before);
        let end = element.find('>').map_or(element.len(), |end| end + 1);
        let (element, after) = element.split_at(end);
        rest = after;
        match element.as_bytes() {
            [b'<', b'h', level @ b'1'..=b'6', b'>'] => {
                let id = ids.next().map_or("heading", String::as_str);
                let _ = write!(out, "<h{} id=\"{id}\">", char::from(*level));
            }
            _ if element.starts_with("<input type=\"checkbox\"") => {
                let checked = if element.contains("checked=\"\"") { "checked=\"\" " } else { "" };
                let _ = write!(out, "<input {checked}disabled=\"\" type=\"checkbox\">");
            }
            _ if element.starts_with("<th align=") || element.starts_with("<td align=") => {
                out.push_str(&element.replace(" align=\"", " style=\"text-align:"));
            }
            _ => match element.strip_suffix(" />") {
                Some(open) => {
                    out.push_str(open);
                    out.push('>');
                }
                None => out.push_str(element),
            },
        }
    }
    out.push_str(rest);
    out.replace(RETURN, "\r")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feeds_show_what_memos_feeds_show() {
        for (content, html) in [
            ("Read https://e.org/x #tag", "<p>Read <a href=\"https://e.org/x\">https://e.org/x</a> </p>\n"),
            ("#Ärger", "<p></p>\n"),
            ("*#bottle* **#dev**", "<p><em></em> <strong></strong></p>\n"),
            ("## Ledger Engine", "<h2 id=\"ledger-engine\">Ledger Engine</h2>\n"),
            (
                "- [x] a\n- [ ] b",
                "<ul>\n<li><input checked=\"\" disabled=\"\" type=\"checkbox\"> a</li>\n<li><input disabled=\"\" type=\"checkbox\"> b</li>\n</ul>\n",
            ),
            ("a <kbd>C</kbd>", "<p>a <!-- raw HTML omitted -->C<!-- raw HTML omitted --></p>\n"),
            ("old\rmac", "<p>old\rmac</p>\n"),
            ("a  \nb", "<p>a<br>\nb</p>\n"),
        ] {
            assert_eq!(feed_html(content), html);
        }
    }

    #[test]
    fn nothing_that_runs_gets_into_a_feed() {
        let html = feed_html(
            "<script>alert(1)</script>\n\n[x](javascript:alert(1)) ![y](data:text/html,x) <img src=x onerror=y>",
        );
        for bad in ["<script", "javascript:", "data:text", "onerror"] {
            assert!(!html.contains(bad), "{bad} in {html}");
        }
        assert!(feed_html(&">".repeat(50_000)).starts_with("<p>&gt;"));
    }
}
