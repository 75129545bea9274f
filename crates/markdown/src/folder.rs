//! Notes as a folder that any editor can read: where each file lies, and links that lead from one to the other.
//!
//! `notes/<uid>.md` and `files/<uid>/<name>`. A link of the text to a file or note of the same tenant becomes a relative
//! one; files that the text does not show are linked below it. Code stays as it is.

use std::borrow::Cow;

use domain::id::is_client_uid;

use crate::file::NoteFile;

/// What stands before the links that the text does not have itself.
const APPENDIX: &str = "<!-- files of this note -->";

/// Where the file of a note lies in a folder.
pub fn note_path(uid: &str, id: i64) -> String {
    // a dot is in no uid that a client may choose: the two forms never meet
    if is_client_uid(uid) { format!("notes/{uid}.md") } else { format!("notes/note.{id}.md") }
}

/// Where an attached file lies in a folder.
pub fn file_path(uid: &str, filename: &str) -> String {
    format!("files/{}/{}", safe_name(uid), safe_name(filename))
}

/// A name that every file system takes.
pub fn safe_name(name: &str) -> String {
    let mut out: String =
        name.chars().map(|c| if c.is_control() || "/\\:*?\"<>|".contains(c) { '_' } else { c }).collect();
    while out.len() > 120 {
        out.remove(0);
    }
    let out = out.trim_matches(['.', ' ']).to_owned();
    if out.is_empty() { "file".to_owned() } else { out }
}

/// Which links of a text lead to the tenant itself.
#[derive(Clone, Debug, Default)]
pub struct Home {
    /// Addresses under which the tenant is reached, without a slash at the end: `https://notes.example.org/base`,
    /// `https://example.org`, `/t/team`.
    pub bases: Vec<String>,
}

impl NoteFile {
    /// The bytes of the file as it lies in a folder of notes and files.
    pub fn render_in_folder(mut self, home: &Home) -> Vec<u8> {
        let own: Vec<Own> = self
            .attachments
            .iter()
            .filter(|file| file.external_link.is_empty())
            .map(|file| Own {
                uid: file.uid.clone(),
                image: file.kind.starts_with("image/"),
                name: file.filename.clone(),
                target: format!("../{}", link(&file_path(&file.uid, &file.filename))),
            })
            .collect();
        let mut shown = vec![false; own.len()];
        let mut content = relinked(&self.content, &mut |destination| {
            let path = home.path(destination)?;
            match *path.split('/').collect::<Vec<_>>() {
                ["file", "attachments", uid, name] => {
                    let name = unescaped(name);
                    let at = own.iter().position(|file| file.uid == uid);
                    if let Some(seen) = at.and_then(|at| shown.get_mut(at)) {
                        *seen = true;
                    }
                    let own = at.and_then(|at| own.get(at)).map(|file| file.target.clone());
                    Some(own.unwrap_or_else(|| format!("../{}", link(&file_path(uid, &name)))))
                }
                ["memos" | "m", uid] if is_client_uid(uid) => Some(format!("{uid}.md")),
                _ => None,
            }
        })
        .into_owned();
        let left: Vec<&Own> = own.iter().zip(&shown).filter(|(_, shown)| !**shown).map(|(file, _)| file).collect();
        if !left.is_empty() {
            if !content.is_empty() && !content.ends_with('\n') {
                content.push('\n');
            }
            content.push_str(&format!("\n{APPENDIX}\n\n"));
            for file in left {
                let mark = if file.image { "!" } else { "" };
                content.push_str(&format!("- {mark}[{}]({})\n", label(&file.name), file.target));
            }
        }
        self.content = content;
        self.render()
    }
}

/// A file of the note at hand.
struct Own {
    uid: String,
    image: bool,
    name: String,
    target: String,
}

impl Home {
    /// The path below the tenant's address, when the link leads there; without what follows `?` or `#`.
    fn path<'a>(&self, destination: &'a str) -> Option<&'a str> {
        let below = self
            .bases
            .iter()
            .find_map(|base| destination.strip_prefix(base.as_str()).filter(|rest| rest.starts_with('/')))
            .or_else(|| destination.starts_with('/').then_some(destination))?;
        below.strip_prefix('/')?.split(['?', '#']).next()
    }
}

/// The text with the destinations of links replaced for which `lead` knows another. Code is passed over.
fn relinked<'a>(content: &'a str, lead: &mut dyn FnMut(&str) -> Option<String>) -> Cow<'a, str> {
    let mut out: Option<String> = None;
    let mut told = 0;
    let mut fence: Option<(u8, usize)> = None;
    let mut at = 0;
    for line in content.split_inclusive('\n') {
        let begin = at;
        at += line.len();
        if let Some(now) = fence_of(line) {
            match fence {
                None => fence = Some(now),
                Some(open) if open.0 == now.0 && now.1 >= open.1 => fence = None,
                Some(_) => {}
            }
            continue;
        }
        if fence.is_some() {
            continue;
        }
        for (from, to) in destinations(line) {
            let Some(target) = line.get(from..to).and_then(&mut *lead) else { continue };
            let out = out.get_or_insert_default();
            out.push_str(content.get(told..begin + from).unwrap_or_default());
            out.push_str(&target);
            told = begin + to;
        }
    }
    match out {
        None => Cow::Borrowed(content),
        Some(mut out) => {
            out.push_str(content.get(told..).unwrap_or_default());
            Cow::Owned(out)
        }
    }
}

/// The letter and length of a fence that stands at the beginning of a line.
fn fence_of(line: &str) -> Option<(u8, usize)> {
    let text = line.trim_start_matches(' ');
    if line.len() - text.len() > 3 {
        return None;
    }
    let letter = *text.as_bytes().first().filter(|letter| matches!(letter, b'`' | b'~'))?;
    let length = text.bytes().take_while(|byte| *byte == letter).count();
    (length >= 3 && !(letter == b'`' && text.get(length..)?.contains('`'))).then_some((letter, length))
}

/// Where destinations of links and images stand in a line, code spans left out.
fn destinations(line: &str) -> Vec<(usize, usize)> {
    let bytes = line.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'`' => {
                let ticks = run(bytes, at);
                at = closing(bytes, at + ticks, ticks).unwrap_or(at + ticks) - 1;
            }
            b']' if bytes.get(at + 1) == Some(&b'(') => {
                if let Some((from, to)) = destination(bytes, at + 2) {
                    found.push((from, to));
                    at = to - 1;
                }
            }
            b'=' if matches!(bytes.get(at + 1), Some(b'"' | b'\'')) && names_a_link(line, at) => {
                let quote = bytes.get(at + 1).copied().unwrap_or(b'"');
                let rest = bytes.get(at + 2..).unwrap_or_default();
                if let Some(length) = rest.iter().position(|byte| *byte == quote) {
                    found.push((at + 2, at + 2 + length));
                    at += 1 + length;
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// How many of the same byte stand from `at` on.
fn run(bytes: &[u8], at: usize) -> usize {
    let first = bytes.get(at);
    bytes.get(at..).unwrap_or_default().iter().take_while(|byte| Some(*byte) == first).count()
}

/// The end of a code span that was opened with so many ticks.
fn closing(bytes: &[u8], mut at: usize, ticks: usize) -> Option<usize> {
    while at < bytes.len() {
        if bytes.get(at) == Some(&b'`') {
            let here = run(bytes, at);
            at += here;
            if here == ticks {
                return Some(at);
            }
        } else {
            at += 1;
        }
    }
    None
}

/// Where the destination behind `](` begins and ends.
fn destination(bytes: &[u8], mut at: usize) -> Option<(usize, usize)> {
    while bytes.get(at).is_some_and(|byte| *byte == b' ') {
        at += 1;
    }
    let pointed = bytes.get(at) == Some(&b'<');
    let from = at + usize::from(pointed);
    let mut depth = 0;
    let mut to = from;
    while let Some(byte) = bytes.get(to) {
        match byte {
            b'>' if pointed => break,
            b'\n' => return None,
            _ if pointed => {}
            b'(' => depth += 1,
            b')' if depth == 0 => break,
            b')' => depth -= 1,
            b' ' | b'\t' => break,
            _ => {}
        }
        to += 1;
    }
    (to > from && to < bytes.len()).then_some((from, to))
}

/// Whether the attribute before `=` is one that holds an address.
fn names_a_link(line: &str, equals: usize) -> bool {
    let before = line.get(..equals).unwrap_or_default();
    before.contains('<') && (before.ends_with("src") || before.ends_with("href"))
}

/// A path as it may stand in a link: what ends or confuses one is written in percent.
fn link(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for letter in path.chars() {
        if letter.is_ascii_alphanumeric() || !letter.is_ascii() || "-._~/".contains(letter) {
            out.push(letter);
        } else {
            out.push_str(&format!("%{:02X}", u32::from(letter)));
        }
    }
    out
}

/// The inverse of percent writing; what is not written so stays.
fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let coded = (*byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match coded.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

/// A name as the text of a link.
fn label(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for letter in name.chars() {
        if matches!(letter, '[' | ']' | '\\' | '`' | '*' | '_' | '<') {
            out.push('\\');
        }
        out.push(if letter.is_control() { ' ' } else { letter });
    }
    out
}

#[cfg(test)]
mod tests {
    use domain::note::Visibility;

    use super::*;
    use crate::file::FileAttachment;

    fn file(content: &str, attachments: Vec<FileAttachment>) -> NoteFile {
        NoteFile {
            uid: "n1".to_owned(),
            creator: "ann".to_owned(),
            created_ts: 1,
            updated_ts: 2,
            visibility: Visibility::Private,
            archived: false,
            pinned: false,
            tags: Vec::new(),
            location: None,
            attachments,
            relations: Vec::new(),
            parent: None,
            content: content.to_owned(),
        }
    }

    fn attached(uid: &str, filename: &str, kind: &str) -> FileAttachment {
        FileAttachment {
            uid: uid.to_owned(),
            filename: filename.to_owned(),
            kind: kind.to_owned(),
            ..Default::default()
        }
    }

    fn body(content: &str, attachments: Vec<FileAttachment>) -> String {
        let home = Home { bases: vec!["https://notes.example.org/x".to_owned(), "/t/team".to_owned()] };
        let written = String::from_utf8(file(content, attachments).render_in_folder(&home)).unwrap();
        written.split_once("---\n").unwrap().1.split_once("---\n").unwrap().1.to_owned()
    }

    #[test]
    fn links_of_the_tenant_lead_to_the_files_beside() {
        let own = || vec![attached("a1", "my (1) photo.png", "image/png"), attached("a2", "b.pdf", "application/pdf")];
        let text = "See ![p](/file/attachments/a1/my%20%281%29%20photo.png) and [n](https://notes.example.org/x/memos/abc#top)\n\
                    <img src=\"/t/team/file/attachments/zz/o.png\">";
        assert_eq!(
            body(text, own()),
            "See ![p](../files/a1/my%20%281%29%20photo.png) and [n](abc.md)\n<img src=\"../files/zz/o.png\">\n\n\
             <!-- files of this note -->\n\n- [b.pdf](../files/a2/b.pdf)\n"
        );
        let shown = body("no link", vec![attached("a1", "x[1].png", "image/png")]);
        assert_eq!(shown, "no link\n\n<!-- files of this note -->\n\n- ![x\\[1\\].png](../files/a1/x%5B1%5D.png)\n");
    }

    #[test]
    fn other_links_and_code_stay_as_they_are() {
        for text in [
            "[a](https://elsewhere.example/memos/abc) [b](/explore) [c](memos/abc) [d](/memos/../etc)",
            "```\n[a](/memos/abc)\n```\nand `[b](/memos/abc)` and ``x` [c](/memos/abc)``",
            "~~~~\n~~~\n[a](/memos/abc)\n",
            "[open](/memos/abc",
            "[x](\n/memos/abc)",
            "",
        ] {
            assert_eq!(body(text, Vec::new()), text);
        }
        assert_eq!(body("[x](</memos/abc>) \\`[y](/m/abc \"t\")", Vec::new()), "[x](<abc.md>) \\`[y](abc.md \"t\")");
    }

    #[test]
    fn names_are_made_safe_and_keep_their_ending() {
        assert_eq!(safe_name("a/b\\c:d.txt"), "a_b_c_d.txt");
        assert_eq!(safe_name("../.."), "_");
        assert_eq!(safe_name(""), "file");
        let long = safe_name(&format!("{}.jpeg", "é".repeat(200)));
        assert_eq!(std::path::Path::new(&long).extension().unwrap(), "jpeg");
        assert!(long.len() <= 120);
        assert_eq!(note_path("../x", 7), "notes/note.7.md");
    }
}
