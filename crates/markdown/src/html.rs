//! Safe HTML of a note, fit for a page whose content security policy allows nothing inline.
//!
//! comrak writes it, ammonia cleans it: no script, no style, no handler, no frame, no form. Raw HTML of the author's
//! stays where it is harmless. Texts built to cost time are shown as they are written.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::LazyLock;

use ammonia::Builder;
use comrak::nodes::{AstNode, NodeCode, NodeLink, NodeValue};
use comrak::{Arena, Options, arena_tree::NodeEdge};

use crate::inline::{Piece, pieces};

/// Deepest nesting that is rendered.
const MAX_DEPTH: usize = 100;
/// Most raw HTML tags that are kept; beyond, they are shown as text.
const MAX_RAW_TAGS: usize = 1000;
/// Bound on length times number of characters that HTML escapes: the cleaner's cost grows with that product.
const MAX_ESCAPES: usize = 4_000_000_000;

/// How links inside the page are made.
#[derive(Clone, Debug, Default)]
pub struct HtmlOptions {
    /// What stands before the percent-encoded tag in a tag's link, as `/t/team/?tag=`; empty: tags are no links.
    pub tag_prefix: String,
    /// What stands before the username in a mention's link, as `/t/team/u/`; empty: mentions are no links.
    pub member_prefix: String,
}

/// Safe HTML of `content`. Never panics; checkboxes are shown and disabled.
pub fn html(content: &str, options: &HtmlOptions) -> String {
    let escaped = content.bytes().filter(|b| matches!(b, b'&' | b'<' | b'>' | b'"')).count();
    if escaped.saturating_mul(content.len()) > MAX_ESCAPES {
        return as_written(content);
    }
    let arena = Arena::new();
    let mut settings = settings();
    let root = comrak::parse_document(&arena, content, &settings);
    let shape = Shape::of(root);
    if shape.depth > MAX_DEPTH {
        return as_written(content);
    }
    if shape.raw_tags > MAX_RAW_TAGS {
        settings.render.r#unsafe = false;
        settings.render.escape = true;
    }
    rewrite(&arena, root, options);
    let mut written = String::new();
    // Writing to a String cannot fail.
    let _ = comrak::format_html(root, &settings, &mut written);
    CLEANER.clean(&written).to_string()
}

fn settings() -> Options<'static> {
    let mut settings = Options::default();
    settings.extension.strikethrough = true;
    settings.extension.table = true;
    settings.extension.autolink = true;
    settings.extension.tasklist = true;
    settings.extension.math_dollars = true;
    settings.parse.escaped_char_spans = true;
    settings.render.hardbreaks = true;
    // What gets through here is cleaned below.
    settings.render.r#unsafe = true;
    settings
}

static CLEANER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut cleaner = Builder::default();
    cleaner
        .rm_tags(["map", "area"])
        .add_tags(["input"])
        .add_tag_attributes("input", ["type", "checked", "disabled"])
        .set_tag_attribute_value("input", "type", "checkbox")
        .set_tag_attribute_value("input", "disabled", "")
        .add_tag_attributes("code", ["class"])
        .add_tag_attributes("ol", ["start"])
        .set_tag_attribute_value("img", "loading", "lazy")
        .set_tag_attribute_value("img", "referrerpolicy", "no-referrer")
        .url_schemes(HashSet::from(["http", "https", "mailto", "tel"]))
        .link_rel(Some("noopener nofollow ugc"))
        .attribute_filter(|element, attribute, value| match (element, attribute) {
            ("img", "src") if !is_picture_url(value) => None,
            ("code", "class") if !is_language(value) => None,
            _ => Some(Cow::Borrowed(value)),
        });
    cleaner
});

/// `http:`, `https:` or no scheme at all.
fn is_picture_url(url: &str) -> bool {
    let before_colon = url.split(['/', '?', '#']).next().unwrap_or_default();
    match before_colon.split_once(':') {
        Some((scheme, _)) => scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"),
        None => true,
    }
}

fn is_language(class: &str) -> bool {
    class.strip_prefix("language-").is_some_and(|name| {
        (1..=40).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'+' | b'#' | b'.'))
    })
}

/// What a tree may cost.
struct Shape {
    depth: usize,
    raw_tags: usize,
}

impl Shape {
    fn of<'a>(root: &'a AstNode<'a>) -> Self {
        let (mut depth, mut deepest, mut raw_tags) = (0_usize, 0, 0);
        for edge in root.traverse() {
            match edge {
                NodeEdge::Start(node) => {
                    depth += 1;
                    deepest = deepest.max(depth);
                    let opened = |raw: &str| raw.bytes().filter(|b| *b == b'<').count();
                    match &node.data.borrow().value {
                        NodeValue::HtmlBlock(raw) => raw_tags += opened(&raw.literal),
                        NodeValue::HtmlInline(raw) => raw_tags += opened(raw),
                        _ => {}
                    }
                }
                NodeEdge::End(_) => depth -= 1,
            }
        }
        Self { depth: deepest, raw_tags }
    }
}

/// Formulas become code, tags and mentions become links.
fn rewrite<'a>(arena: &'a Arena<'a>, root: &'a AstNode<'a>, options: &HtmlOptions) {
    let mut texts = Vec::new();
    let mut quiet = 0_usize;
    for edge in root.traverse() {
        let (node, enters) = match edge {
            NodeEdge::Start(node) => (node, true),
            NodeEdge::End(node) => (node, false),
        };
        let mut data = node.data.borrow_mut();
        match &data.value {
            NodeValue::Link(_) | NodeValue::Image(_) | NodeValue::Escaped => {
                quiet = if enters { quiet + 1 } else { quiet.saturating_sub(1) };
            }
            NodeValue::Math(math) if enters => {
                let fence = if math.display_math { "$$" } else { "$" };
                let literal = format!("{fence}{}{fence}", math.literal);
                data.value = NodeValue::Code(NodeCode { num_backticks: 1, literal });
            }
            NodeValue::Text(text) if enters && quiet == 0 && text.contains(['#', '@']) => texts.push(node),
            _ => {}
        }
    }
    for node in texts {
        link_pieces(arena, node, options);
    }
}

fn link_pieces<'a>(arena: &'a Arena<'a>, node: &'a AstNode<'a>, options: &HtmlOptions) {
    let NodeValue::Text(text) = node.data.borrow().value.clone() else { return };
    let new = |value: NodeValue| -> &'a AstNode<'a> { arena.alloc(AstNode::from(value)) };
    let found = pieces(&text, 0, text.len(), text.len());
    if found.iter().all(|(piece, _, _)| *piece == Piece::Text) {
        return;
    }
    for (piece, from, to) in found {
        let shown = text.get(from..to).unwrap_or_default();
        let label = new(NodeValue::Text(shown.to_owned().into()));
        let prefix = match piece {
            Piece::Text => "",
            Piece::Tag => options.tag_prefix.as_str(),
            Piece::Mention => options.member_prefix.as_str(),
        };
        if prefix.is_empty() {
            node.insert_before(label);
            continue;
        }
        let url = format!("{prefix}{}", percent_encoded(shown.get(1..).unwrap_or_default()));
        let link = new(NodeValue::Link(Box::new(NodeLink { url, title: String::new() })));
        link.append(label);
        node.insert_before(link);
    }
    node.detach();
}

fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The text itself, for what is not worth rendering.
fn as_written(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 12);
    out.push_str("<pre>");
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\0' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out.push_str("</pre>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(content: &str) -> String {
        html(content, &HtmlOptions { tag_prefix: "/t/x/?tag=".into(), member_prefix: "/t/x/u/".into() })
    }

    #[test]
    fn nothing_that_runs_gets_through() {
        let page = page(
            "<script>alert(1)</script><style>*{}</style><iframe src=x></iframe><form action=/x><button>b</button></form>\n\n\
             <b onclick=\"x()\" style=\"color:red\" class=\"y\" id=\"z\">bold</b> <a href=\"javascript:alert(1)\">j</a>\n\n\
             [k](javascript:alert(1)) ![p](data:image/png;base64,AA) ![q](mailto:a@b.c) <svg onload=x><a>s</a></svg>",
        );
        for bad in [
            "script",
            "style",
            "iframe",
            "form",
            "button",
            "onclick",
            "javascript",
            "data:",
            "mailto",
            "svg",
            "class",
            "id=",
        ] {
            assert!(!page.contains(bad), "{bad} in {page}");
        }
        assert!(page.contains("<b>bold</b>"), "{page}");
    }

    #[test]
    fn notes_look_as_meant() {
        let page = page(
            "# Title\n\n- [x] done #todo/now by @zoe\n- [ ] open\n\n[l](https://example.com) ![i](/file/a.png)\n\n```rust\nfn x() {}\n```\n\na $x_1$ \\#no `#no`\nb",
        );
        for good in [
            "<h1>Title</h1>",
            "<input type=\"checkbox\" checked=\"\" disabled=\"\"> done",
            "<a href=\"/t/x/?tag=todo%2Fnow\" rel=\"noopener nofollow ugc\">#todo/now</a>",
            "<a href=\"/t/x/u/zoe\" rel=\"noopener nofollow ugc\">@zoe</a>",
            "<a href=\"https://example.com\" rel=\"noopener nofollow ugc\">l</a>",
            "src=\"/file/a.png\"",
            "<code class=\"language-rust\">",
            "<code>$x_1$</code> #no <code>#no</code><br>",
        ] {
            assert!(page.contains(good), "{good} not in {page}");
        }
        assert_eq!(html("#a @b", &HtmlOptions::default()), "<p>#a @b</p>\n");
    }

    #[test]
    fn texts_built_to_cost_time_do_not() {
        let deep = page(&">".repeat(100_000));
        assert!(deep.starts_with("<pre>&gt;"), "shown as written");
        assert!(page(&"&".repeat(100_000)).starts_with("<pre>&amp;"), "shown as written");
        let raw = page(&"<div>".repeat(2_000));
        assert!(raw.contains("&lt;div&gt;"), "raw HTML is shown as text");
    }
}
