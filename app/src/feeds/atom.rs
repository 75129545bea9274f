//! Atom (RFC 4287).

use std::fmt::Write as _;

use super::xml::text;
use super::{Channel, Entry};

/// The document.
pub(super) fn document(channel: &Channel, entries: &[Entry]) -> String {
    let own = text(&format!("{}{}", channel.origin, channel.own));
    let origin = text(&channel.origin);
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\n  <id>{own}</id>\n  \
         <title>{}</title>\n  <subtitle>{}</subtitle>\n  <updated>{}</updated>\n  <link rel=\"self\" href=\"{own}\"/>\n  \
         <link rel=\"alternate\" href=\"{origin}/\"/>\n",
        text(&channel.title),
        text(&channel.about),
        date(channel.changed)
    );
    for entry in entries {
        let link = text(&entry.link(channel));
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "  <entry>\n    <id>{link}</id>\n    <title>{}</title>\n    <published>{}</published>\n    \
             <updated>{}</updated>\n    <author><name>{}</name></author>\n    <link rel=\"alternate\" href=\"{link}\"/>\n",
            text(&entry.title()),
            date(entry.note.created_ts),
            date(entry.note.updated_ts),
            text(&entry.author)
        );
        if let Some((url, size, kind)) = entry.enclosure(channel) {
            let (url, kind) = (text(&url.replace(' ', "%20")), text(kind));
            let _ = writeln!(out, "    <link rel=\"enclosure\" href=\"{url}\" length=\"{size}\" type=\"{kind}\"/>");
        }
        let _ = write!(out, "    <content type=\"html\">{}</content>\n  </entry>\n", text(&entry.html()));
    }
    out.push_str("</feed>\n");
    out
}

fn date(seconds: i64) -> String {
    serde_json::to_value(wire::Timestamp::from_seconds(seconds))
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}
