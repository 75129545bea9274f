//! Tags, flags, title and snippet of a note, as Memos 0.30.0 computes them.

use std::collections::HashSet;

use domain::note::Derived;

use crate::scan::{Event, scan};

/// Characters a snippet shows.
const SNIPPET_LIMIT: usize = 64;

/// What the text of a note says about itself. Never panics; time grows about linearly with the text.
pub fn derive(content: &str) -> Derived {
    let events = scan(content);
    let mut derived = Derived { snippet: snippet(&events), title: title(&events), ..Derived::default() };
    let mut seen = HashSet::new();
    for event in &events {
        match event {
            Event::Tag(tag) if seen.insert(tag.as_ref()) => derived.tags.push(tag.to_string()),
            Event::Link => derived.has_link = true,
            Event::Code(_) | Event::CodeBlock => derived.has_code = true,
            Event::Task { done } => {
                derived.has_task_list = true;
                derived.has_incomplete_tasks |= !done;
            }
            _ => {}
        }
    }
    derived
}

/// Usernames mentioned in the text, in order, without repeats. Whether such members exist is not asked here.
pub fn mentions(content: &str) -> Vec<String> {
    let mut seen = HashSet::new();
    scan(content)
        .into_iter()
        .filter_map(|event| match event {
            Event::Mention(name) => Some(name.into_owned()),
            _ => None,
        })
        .filter(|name| seen.insert(name.clone()))
        .collect()
}

/// Text of a level-1 heading that opens the note; tags and mentions leave nothing behind.
fn title(events: &[Event<'_>]) -> String {
    let mut open = events.iter();
    if open.next() != Some(&Event::EnterTitle) {
        return String::new();
    }
    let mut title = String::new();
    for event in open {
        match event {
            Event::LeaveTitle => break,
            Event::Text(text) | Event::Url(text) | Event::Math(text) => title.push_str(text),
            Event::Code(text) => title.push_str(text),
            _ => {}
        }
    }
    title
}

/// The first characters as plain text. A space parts a block from one that ended immediately before.
fn snippet(events: &[Event<'_>]) -> String {
    let mut text = String::new();
    let mut after_block = false;
    for event in events {
        if text.len() > SNIPPET_LIMIT * 2 {
            break;
        }
        match event {
            Event::LeaveBlock => after_block = true,
            Event::EnterTitle | Event::LeaveTitle => {}
            Event::EnterBlock => {
                if after_block && !text.is_empty() {
                    text.push(' ');
                }
                after_block = false;
            }
            other => {
                after_block = false;
                push_plain(&mut text, other);
            }
        }
    }
    shorten(&text)
}

fn push_plain(text: &mut String, event: &Event<'_>) {
    match event {
        Event::Text(part) | Event::Url(part) | Event::Math(part) => text.push_str(part),
        Event::Code(part) => text.push_str(part),
        Event::Tag(part) => {
            text.push('#');
            text.push_str(part);
        }
        Event::SoftBreak => text.push(' '),
        _ => {}
    }
}

fn shorten(text: &str) -> String {
    let Some((cut, _)) = text.char_indices().nth(SNIPPET_LIMIT) else {
        return text.trim().to_owned();
    };
    let head = text.get(..cut).unwrap_or_default();
    let head = match head.rfind(char::is_whitespace) {
        Some(at) if at > 0 => head.get(..at).unwrap_or_default(),
        _ => head,
    };
    format!("{head} ...").trim().to_owned()
}
