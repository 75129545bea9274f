//! RSS 2.0.

use std::fmt::Write as _;

use time::OffsetDateTime;
use time::macros::format_description;

use super::xml::{cdata, text};
use super::{Channel, Entry};

/// The document. Its own time is that of its newest change, so that it stays the same while nothing changes.
pub(super) fn document(channel: &Channel, entries: &[Entry]) -> String {
    let items: String = entries.iter().map(|entry| item(channel, entry)).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <rss version=\"2.0\" xmlns:content=\"http://purl.org/rss/1.0/modules/content/\">\n  <channel>\n    \
         <title>{}</title>\n    <link>{}</link>\n    <description>{}</description>\n    <pubDate>{}</pubDate>\n{items}  </channel>\n</rss>",
        text(&channel.title),
        text(&channel.origin),
        text(&channel.about),
        date(channel.changed)
    )
}

fn item(channel: &Channel, entry: &Entry) -> String {
    let (link, html) = (text(&entry.link(channel)), entry.html());
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "    <item>\n      <title>{}</title>\n      <link>{link}</link>\n      <description>{}</description>\n      \
         <content:encoded>{}</content:encoded>\n      <author>{}</author>\n",
        text(&entry.title()),
        text(&html),
        cdata(&html),
        text(&entry.author)
    );
    if let Some((url, size, kind)) = entry.enclosure(channel) {
        let (url, kind) = (text(&url), text(kind));
        let _ = writeln!(out, "      <enclosure url=\"{url}\" length=\"{size}\" type=\"{kind}\"></enclosure>");
    }
    let _ = write!(
        out,
        "      <guid>{link}</guid>\n      <pubDate>{}</pubDate>\n    </item>\n",
        date(entry.note.created_ts)
    );
    out
}

/// `Sun, 22 Nov 2026 13:27:51 +0000`.
fn date(seconds: i64) -> String {
    let form =
        format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] +0000");
    OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|at| at.format(form).ok()).unwrap_or_default()
}
