//! One reading of a note: comrak's tree with source positions, flattened into events.
//!
//! Memos' own reader works on source bytes and takes a tag before any delimiter is paired. Both are restored here:
//! text is cut out of the source by its position, and a tag that runs over a delimiter swallows it.

use std::borrow::Cow;

use comrak::nodes::{AstNode, NodeValue, Sourcepos};
use comrak::{Arena, Options, arena_tree::NodeEdge};

use crate::inline::{Piece, pieces};
use crate::plain::plain;

/// What the reading of a note tells, in document order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event<'s> {
    /// A paragraph, heading, list item, table row or cell begins.
    EnterBlock,
    /// It ends.
    LeaveBlock,
    /// A level-1 heading that is the first block begins (an `EnterBlock` follows).
    EnterTitle,
    /// It ends.
    LeaveTitle,
    /// Any other node begins.
    EnterOther,
    /// Source text.
    Text(Cow<'s, str>),
    /// A tag without its `#`.
    Tag(Cow<'s, str>),
    /// A username without its `@`.
    Mention(Cow<'s, str>),
    /// The text of a code span.
    Code(String),
    /// A code block.
    CodeBlock,
    /// An explicit link begins.
    Link,
    /// A link that is its own text.
    Url(Cow<'s, str>),
    /// Formula with its dollars.
    Math(Cow<'s, str>),
    /// A task checkbox.
    Task { done: bool },
    /// A line end inside a block.
    SoftBreak,
    /// A line end that was asked for.
    HardBreak,
}

/// Reads `content`; never fails and never panics.
pub(crate) fn scan(content: &str) -> Vec<Event<'_>> {
    if content.is_empty() {
        return Vec::new();
    }
    plain(content).unwrap_or_else(|| parse(content))
}

/// The same by comrak's tree, whatever the text holds.
pub(crate) fn parse(content: &str) -> Vec<Event<'_>> {
    let shadow = shadow(content);
    let arena = Arena::new();
    let root = comrak::parse_document(&arena, &shadow, &options());
    let mut reader = Reader::new(content, &shadow);
    for edge in root.traverse() {
        match edge {
            NodeEdge::Start(node) => reader.enter(node),
            NodeEdge::End(node) => reader.leave(node),
        }
    }
    reader.events
}

fn options() -> Options<'static> {
    let mut options = Options::default();
    options.extension.strikethrough = true;
    options.extension.table = true;
    options.extension.autolink = true;
    options.extension.math_dollars = true;
    options
}

/// The text as comrak shall see it: the same length, but a lone CR ends no line, a NUL is no three bytes, and a byte
/// order mark opens the text like any letter.
fn shadow(content: &str) -> Cow<'_, str> {
    let odd = content.starts_with('\u{feff}') || content.bytes().any(|b| b == 0 || b == b'\r');
    if !odd {
        return Cow::Borrowed(content);
    }
    let mut out = String::with_capacity(content.len());
    let mut letters = content.chars().peekable();
    while let Some(letter) = letters.next() {
        out.push(match letter {
            '\0' => '\u{1}',
            '\r' if letters.peek() != Some(&'\n') => '\u{c}',
            '\u{feff}' if out.is_empty() => '\u{2060}',
            other => other,
        });
    }
    Cow::Owned(out)
}

/// A table cell: where it ends, and where its escaped pipes are once their backslashes are gone (as comrak counts).
struct Cell {
    end: usize,
    pipes: Vec<usize>,
}

/// An emphasis that is open, and where its marker could be put back.
struct Marker {
    event: usize,
    start: usize,
    end: usize,
}

struct Reader<'s, 'h> {
    source: &'s str,
    shadow: &'h str,
    lines: Vec<usize>,
    events: Vec<Event<'s>>,
    /// Everything that begins before this byte belongs to a tag or checkbox already told.
    taken: usize,
    /// Depth of links and images: tags are not recognised in them.
    quiet: usize,
    /// Depth of nodes told as a whole.
    skip: usize,
    /// End of the last text told.
    told: usize,
    /// The table cell we are in.
    cell: Option<Cell>,
    markers: Vec<Marker>,
}

impl<'s, 'h> Reader<'s, 'h> {
    fn new(source: &'s str, shadow: &'h str) -> Self {
        let lines = std::iter::once(0)
            .chain(source.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1))
            .collect();
        let (events, markers) = (Vec::new(), Vec::new());
        Self { source, shadow, lines, events, taken: 0, quiet: 0, skip: 0, told: 0, cell: None, markers }
    }

    /// Byte range of a node; empty when its position makes no sense.
    fn range(&self, position: Sourcepos) -> (usize, usize) {
        let at = |line: usize, column: usize| {
            let line = line.checked_sub(1).and_then(|line| self.lines.get(line)).copied().unwrap_or(0);
            let place = line + column;
            place + self.cell.as_ref().map_or(0, |cell| cell.pipes.partition_point(|pipe| *pipe < place))
        };
        let start = at(position.start.line, position.start.column.saturating_sub(1)).min(self.source.len());
        let end = at(position.end.line, position.end.column).min(self.source.len());
        if start <= end && self.source.is_char_boundary(start) && self.source.is_char_boundary(end) {
            (start, end)
        } else {
            (start, start)
        }
    }

    fn enter<'a>(&mut self, node: &'a AstNode<'a>) {
        if self.skip > 0 {
            self.skip += 1;
            return;
        }
        let data = node.data.borrow();
        let (start, end) = self.range(data.sourcepos);
        match &data.value {
            NodeValue::Heading(heading) => {
                let first = node.previous_sibling().is_none();
                let top = node.parent().is_some_and(|parent| matches!(parent.data.borrow().value, NodeValue::Document));
                if heading.level == 1 && first && top {
                    self.events.push(Event::EnterTitle);
                }
                self.enter_block(node, start, end);
            }
            NodeValue::Paragraph => self.enter_block(node, start, end),
            NodeValue::Item(_) | NodeValue::TableRow(_) => self.events.push(Event::EnterBlock),
            NodeValue::TableCell => {
                let text = self.source.get(start..end).unwrap_or_default();
                let pipes = text.match_indices("\\|").enumerate().map(|(gone, (at, _))| start + at - gone).collect();
                self.cell = Some(Cell { end, pipes });
                self.events.push(Event::EnterBlock);
            }
            NodeValue::CodeBlock(_) => self.events.push(Event::CodeBlock),
            NodeValue::Text(value) => self.text(value, start, end),
            NodeValue::Link(link) => self.link(&link.url, start, end),
            NodeValue::Image(_) => {
                self.quiet += 1;
                self.events.push(Event::EnterOther);
            }
            NodeValue::Emph | NodeValue::Strong | NodeValue::Strikethrough => {
                self.markers.push(Marker { event: self.events.len(), start, end });
                self.events.push(Event::EnterOther);
            }
            value => self.leaf(value, start, end),
        }
    }

    fn leave<'a>(&mut self, node: &'a AstNode<'a>) {
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        match &node.data.borrow().value {
            NodeValue::Heading(_) | NodeValue::Paragraph | NodeValue::Item(_) | NodeValue::TableRow(_) => {
                self.events.push(Event::LeaveBlock);
                if let NodeValue::Heading(_) = node.data.borrow().value {
                    self.events.push(Event::LeaveTitle);
                }
            }
            NodeValue::TableCell => {
                self.cell = None;
                self.events.push(Event::LeaveBlock);
            }
            NodeValue::Link(_) | NodeValue::Image(_) => self.quiet = self.quiet.saturating_sub(1),
            NodeValue::Emph | NodeValue::Strong | NodeValue::Strikethrough => {
                self.markers.pop();
            }
            _ => {}
        }
    }

    /// A paragraph or heading; the first of a list item may open with a checkbox.
    fn enter_block<'a>(&mut self, node: &'a AstNode<'a>, start: usize, end: usize) {
        self.events.push(Event::EnterBlock);
        let in_item = node.parent().is_some_and(|parent| matches!(parent.data.borrow().value, NodeValue::Item(_)));
        if !in_item || node.previous_sibling().is_some() {
            return;
        }
        let heading = matches!(node.data.borrow().value, NodeValue::Heading(_));
        let text = self.source.get(start..end).unwrap_or_default();
        let text = if heading { text.trim_start_matches('#').trim_start_matches([' ', '\t']) } else { text };
        let open = end - text.len();
        if let Some((done, length)) = checkbox(text) {
            self.events.push(Event::Task { done });
            self.taken = open + length;
        }
    }

    fn text(&mut self, value: &str, start: usize, end: usize) {
        let start = self.with_escape(start).max(self.taken.min(end));
        if start < self.taken || (start == end && self.taken == end && self.taken > 0) {
            return;
        }
        let seen = self.shadow.get(start..end).unwrap_or_default();
        let trusted = seen == value || seen.contains(['\\', '&']) || self.taken == start;
        if !trusted || seen.is_empty() {
            self.displaced(value);
            return;
        }
        self.told = end;
        if self.quiet > 0 {
            self.events.push(Event::Text(Cow::Borrowed(self.source.get(start..end).unwrap_or_default())));
            return;
        }
        let stop = self.line_end(end);
        for (piece, from, to) in pieces(self.source, start, end, stop) {
            let cut = |from: usize| Cow::Borrowed(self.source.get(from..to).unwrap_or_default());
            let event = match piece {
                Piece::Text => Event::Text(cut(from)),
                Piece::Tag => Event::Tag(cut(from + 1)),
                Piece::Mention => Event::Mention(cut(from + 1)),
            };
            self.events.push(event);
            if to > end {
                self.taken = to;
                self.unpair(to);
            }
        }
    }

    /// The place of the backslash in front of text that comrak begins after it.
    fn with_escape(&self, start: usize) -> usize {
        let bytes = self.source.as_bytes();
        let escaped = start > self.told.max(self.taken)
            && bytes.get(start - 1) == Some(&b'\\')
            && bytes.get(start).is_some_and(u8::is_ascii_punctuation);
        if escaped { start - 1 } else { start }
    }

    /// Text whose position comrak lost: taken by its value.
    fn displaced(&mut self, value: &str) {
        if self.quiet > 0 {
            self.events.push(Event::Text(Cow::Owned(value.to_owned())));
            return;
        }
        for (piece, from, to) in pieces(value, 0, value.len(), value.len()) {
            let cut = |from: usize| Cow::Owned(value.get(from..to).unwrap_or_default().to_owned());
            self.events.push(match piece {
                Piece::Text => Event::Text(cut(from)),
                Piece::Tag => Event::Tag(cut(from + 1)),
                Piece::Mention => Event::Mention(cut(from + 1)),
            });
        }
    }

    /// How far a tag may run: to the end of its line or cell.
    fn line_end(&self, from: usize) -> usize {
        let next = self.lines.partition_point(|start| *start <= from);
        let line = self.lines.get(next).map_or(self.source.len(), |start| start - 1);
        self.cell.as_ref().map_or(line, |cell| line.min(cell.end)).max(from)
    }

    /// A tag that ends at `to` swallowed the closing marker of emphases: their opening markers are text again.
    fn unpair(&mut self, to: usize) {
        for marker in self.markers.iter().rev().take(64) {
            if marker.end > to {
                continue;
            }
            let rest = self.source.get(marker.start..).unwrap_or_default();
            let Some(first) = rest.chars().next() else { continue };
            let run = rest.len() - rest.trim_start_matches(first).len();
            let text = rest.get(..run.min(2)).unwrap_or_default();
            if let Some(event) = self.events.get_mut(marker.event) {
                *event = Event::Text(Cow::Borrowed(text));
            }
        }
    }

    fn link(&mut self, url: &str, start: usize, end: usize) {
        let source = self.source.get(start..end).unwrap_or_default();
        if source.starts_with('[') {
            if start < self.taken {
                self.quiet += 1;
                self.events.push(Event::EnterOther);
                return;
            }
            self.quiet += 1;
            self.events.push(Event::Link);
            return;
        }
        self.skip = 1;
        if start < self.taken {
            return;
        }
        if let Some(inner) = source.strip_prefix('<') {
            self.events.push(Event::Url(Cow::Borrowed(inner.strip_suffix('>').unwrap_or(inner))));
            return;
        }
        let before = self.source.get(..start).unwrap_or_default().chars().next_back();
        let free = before.is_none_or(|c| c.is_whitespace() || matches!(c, '*' | '_' | '~' | '('));
        if free || url.starts_with("mailto:") {
            self.events.push(Event::Url(Cow::Borrowed(source)));
        } else {
            self.text(source, start, end);
        }
    }

    fn leaf(&mut self, value: &NodeValue, start: usize, end: usize) {
        let inline = matches!(value, NodeValue::Code(_) | NodeValue::Math(_) | NodeValue::HtmlInline(_));
        if inline && start < self.taken {
            return;
        }
        self.events.push(match value {
            NodeValue::Code(code) => Event::Code(code.literal.clone()),
            NodeValue::Math(math) => Event::Math(self.math(&math.literal, math.display_math, start, end)),
            NodeValue::SoftBreak => Event::SoftBreak,
            NodeValue::LineBreak => Event::HardBreak,
            NodeValue::Document => return,
            _ => Event::EnterOther,
        });
    }

    fn math(&self, literal: &str, display: bool, start: usize, end: usize) -> Cow<'s, str> {
        match self.source.get(start..end) {
            Some(source) if source.starts_with('$') && source.ends_with('$') && source.len() > 2 => {
                Cow::Borrowed(source)
            }
            _ => {
                let fence = if display { "$$" } else { "$" };
                Cow::Owned(format!("{fence}{literal}{fence}"))
            }
        }
    }
}

/// `[ ]`, `[x]` or `[X]` and the blanks after it: whether it is ticked, and its length in bytes.
fn checkbox(text: &str) -> Option<(bool, usize)> {
    let rest = text.strip_prefix('[')?;
    let done = match rest.bytes().next()? {
        b' ' | b'\t' | b'\x0c' => false,
        b'x' | b'X' => true,
        _ => return None,
    };
    let after = rest.get(1..)?.strip_prefix(']')?;
    let blanks = after.len() - after.trim_start_matches([' ', '\t', '\x0c']).len();
    Some((done, 3 + blanks))
}
