//! Reading what the head of a page says: its oEmbed description before Open Graph before Twitter cards before JSON-LD before the plain tags.

use serde_json::Value;
use url::Url;

/// Characters of a title that are kept.
const TITLE: usize = 200;
/// Characters of a description that are kept.
const DESCRIPTION: usize = 300;
/// Elements that are looked at.
const ELEMENTS: usize = 5_000;

/// What a page says of itself; texts may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// As it was asked for.
    pub url: String,
    /// Title.
    pub title: String,
    /// Description.
    pub description: String,
    /// The address of a picture.
    pub image: String,
}

/// What each kind of tag says.
#[derive(Debug, Default)]
struct Said {
    title: [Option<String>; 4],
    description: [Option<String>; 4],
    image: [Option<String>; 4],
    /// Where its oEmbed description is.
    oembed: Option<String>,
}

impl Page {
    /// Reads a page that was found at `at`.
    pub(super) fn read(asked: &str, at: &Url, html: &str) -> Self {
        let said = scan(html);
        let first = |found: &[Option<String>; 4], most: usize| {
            let text = found.iter().flatten().find(|text| !text.is_empty());
            text.map_or_else(String::new, |text| text.chars().take(most).collect())
        };
        let image = said.image.iter().flatten().find_map(|text| {
            let url = at.join(text).ok()?;
            matches!(url.scheme(), "http" | "https").then(|| url.to_string())
        });
        Self {
            url: asked.to_owned(),
            title: first(&said.title, TITLE),
            description: first(&said.description, DESCRIPTION),
            image: image.unwrap_or_default(),
        }
    }
}

impl Page {
    /// Where the page at `at` keeps its oEmbed description, if it has one.
    pub(super) fn oembed(at: &Url, html: &str) -> Option<Url> {
        web_url(at, scan(html).oembed.as_deref()?)
    }

    /// What an oEmbed description found at `at` says goes before what the page says.
    pub(super) fn improve(&mut self, at: &Url, description: &[u8]) {
        let Ok(said) = serde_json::from_slice::<Value>(description) else { return };
        let text = |key: &str| said.get(key).and_then(Value::as_str).unwrap_or_default();
        let mut title = None;
        set(&mut title, text("title"));
        if let Some(title) = title {
            self.title = title.chars().take(TITLE).collect();
        }
        if let Some(image) = Some(text("thumbnail_url")).filter(|url| !url.is_empty()).and_then(|url| web_url(at, url))
        {
            self.image = image.to_string();
        }
    }
}

/// An address on a page as a whole one, when it leads to the web.
fn web_url(at: &Url, text: &str) -> Option<Url> {
    at.join(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
}

fn set(slot: &mut Option<String>, text: &str) {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if slot.is_none() && !text.is_empty() {
        *slot = Some(text);
    }
}

fn scan(html: &str) -> Said {
    let mut said = Said::default();
    let lower = html.to_ascii_lowercase();
    let mut at = 0;
    for _ in 0..ELEMENTS {
        let Some(open) = lower.get(at..).and_then(|rest| rest.find('<')).map(|found| at + found) else { break };
        if lower[open..].starts_with("<!--") {
            at = lower[open..].find("-->").map_or(lower.len(), |end| open + end + 3);
            continue;
        }
        let end = tag_end(&lower, open);
        let name: String = lower[open + 1..end].chars().take_while(char::is_ascii_alphanumeric).collect();
        let source = html.get(open..end).unwrap_or_default();
        at = end;
        match name.as_str() {
            "meta" => meta(&attributes(source), &mut said),
            "title" => set(&mut said.title[3], &decoded(&until(html, &lower, &mut at, "</title"))),
            "script" => {
                let text = until(html, &lower, &mut at, "</script");
                if source.to_ascii_lowercase().contains("application/ld+json") {
                    json_ld(&text, &mut said);
                }
            }
            "style" => drop(until(html, &lower, &mut at, "</style")),
            "link" => {
                let found = attributes(source);
                let rel = value(&found, "rel").to_ascii_lowercase();
                if rel == "image_src" || rel == "apple-touch-icon" {
                    set(&mut said.image[3], value(&found, "href"));
                }
                if rel == "alternate" && value(&found, "type").eq_ignore_ascii_case("application/json+oembed") {
                    set(&mut said.oembed, value(&found, "href"));
                }
            }
            _ => {}
        }
    }
    said
}

/// Where a tag ends, quotes minded.
fn tag_end(text: &str, open: usize) -> usize {
    let mut quote = None;
    for (at, letter) in text[open..].char_indices() {
        match (quote, letter) {
            (None, '>') => return open + at,
            (None, '"' | '\'') => quote = Some(letter),
            (Some(mark), letter) if mark == letter => quote = None,
            _ => {}
        }
    }
    text.len()
}

fn until(html: &str, lower: &str, at: &mut usize, close: &str) -> String {
    let start = (*at + 1).min(lower.len());
    let Some(rest) = lower.get(start..) else { return String::new() };
    let end = rest.find(close).map_or(lower.len(), |found| start + found);
    *at = end;
    html.get(start..end).unwrap_or_default().to_owned()
}

fn attributes(tag: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = tag.trim_start_matches('<').trim_start_matches(|c: char| c.is_ascii_alphanumeric());
    while let Some((before, after)) = rest.split_once('=') {
        let name = before.split_whitespace().next_back().unwrap_or_default().to_ascii_lowercase();
        let after = after.trim_start();
        let (value, left) = match after.chars().next() {
            Some(mark @ ('"' | '\'')) => after[1..].split_once(mark).unwrap_or((&after[1..], "")),
            _ => after.split_once(char::is_whitespace).unwrap_or((after, "")),
        };
        found.push((name, decoded(value)));
        rest = left;
    }
    found
}

fn value<'a>(found: &'a [(String, String)], name: &str) -> &'a str {
    found.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
}

fn meta(found: &[(String, String)], said: &mut Said) {
    let named = if value(found, "property").is_empty() { value(found, "name") } else { value(found, "property") };
    let content = value(found, "content");
    match named.to_ascii_lowercase().as_str() {
        "og:title" => set(&mut said.title[0], content),
        "og:description" => set(&mut said.description[0], content),
        "og:image" | "og:image:url" | "og:image:secure_url" => set(&mut said.image[0], content),
        "twitter:title" => set(&mut said.title[1], content),
        "twitter:description" => set(&mut said.description[1], content),
        "twitter:image" | "twitter:image:src" => set(&mut said.image[1], content),
        "description" => set(&mut said.description[3], content),
        _ => {}
    }
}

fn json_ld(text: &str, said: &mut Said) {
    let Ok(value) = serde_json::from_str::<Value>(text) else { return };
    let graph = value["@graph"].as_array().cloned().unwrap_or_default();
    let all = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
    for one in all.iter().chain(&graph) {
        let text = |name: &str| one[name].as_str().unwrap_or_default();
        set(&mut said.title[2], text("headline"));
        set(&mut said.title[2], text("name"));
        set(&mut said.description[2], text("description"));
        let image = match &one["image"] {
            Value::Array(items) => items.first().cloned().unwrap_or_default(),
            other => other.clone(),
        };
        set(&mut said.image[2], image.as_str().or_else(|| image["url"].as_str()).unwrap_or_default());
    }
}

/// Character references of HTML, as far as titles use them.
fn decoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let end = after.find(';').filter(|end| *end <= 10);
        let letter = end.and_then(|end| reference(&after[..end]));
        match (letter, end) {
            (Some(letter), Some(end)) => {
                out.push(letter);
                rest = &after[end + 1..];
            }
            _ => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn reference(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).filter(|letter| *letter != '\0');
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(html: &str) -> Page {
        Page::read("asked", &Url::parse("https://e.org/a/b").expect("a URL"), html)
    }

    #[test]
    fn the_better_tag_wins() {
        let page = read(
            "<!doctype html><html><head><title>Plain &amp; simple</title><!-- <title>no</title> -->\
             <meta name=description content='plain'><meta property=\"og:title\" content=\"Open &quot;Graph&quot; > x\">\
             <meta name='twitter:description' content=\"card\"><meta property=\"og:image\" content=\"/p.png\"></head>",
        );
        assert_eq!(page.title, "Open \"Graph\" > x");
        assert_eq!(page.description, "card");
        assert_eq!(page.image, "https://e.org/p.png");
        assert_eq!(read("<TITLE>\n a  b </TITLE>").title, "a b");
        let linked = "<script type=\"application/ld+json\">{\"headline\":\"H\",\"image\":{\"url\":\"i.png\"}}</script>";
        assert_eq!((read(linked).title, read(linked).image), ("H".to_owned(), "https://e.org/a/i.png".to_owned()));
    }

    #[test]
    fn broken_pages_do_no_harm() {
        for html in ["<", "<meta", "<title>", "<script>", "<meta content=\"", "<!--", "&#0;", "<a ä='ü'", ""] {
            read(html);
        }
        assert_eq!(read("<meta property=og:image content='javascript:x'>").image, "");
        assert_eq!(read(&format!("<title>{}</title>", "é".repeat(500))).title.chars().count(), 200);
        read(&"<meta ".repeat(100_000));
    }
}
