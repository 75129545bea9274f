//! What holds for every text.

use std::time::{Duration, Instant};

use domain::id::{AttachmentId, MemberId, NoteId};
use domain::note::{Card, CardAttachment, CardEnd, CardRelation, Derived, Location, Note, RelationKind, Visibility};
use markdown::{HtmlOptions, NoteFile, derive, html, mentions, note_file, parse_note_file};
use proptest::prelude::*;

fn end(uid: &str, creator: i64, visibility: Visibility) -> CardEnd {
    CardEnd {
        id: NoteId(9),
        uid: uid.to_owned(),
        creator_id: MemberId(creator),
        visibility,
        archived: false,
        snippet: String::new(),
    }
}

fn note(content: &str) -> Note {
    let reference = |uid: &str, creator: i64, visibility: Visibility| CardRelation {
        kind: RelationKind::Reference,
        outgoing: true,
        other: end(uid, creator, visibility),
    };
    Note {
        id: NoteId(1),
        uid: "zoo: \"odd\"".to_owned(),
        creator_id: MemberId(1),
        creator: "maria".to_owned(),
        created_ts: -1,
        updated_ts: 1_700_000_000,
        archived: true,
        content: content.to_owned(),
        visibility: Visibility::Protected,
        pinned: true,
        derived: Derived { tags: vec!["a/b".to_owned(), "---\n".to_owned()], ..Derived::default() },
        location: Some(Location { placeholder: "Zürich".to_owned(), latitude: 47.3717, longitude: -0.1 }),
        card: Card {
            attachments: vec![CardAttachment {
                id: AttachmentId(3),
                uid: "file".to_owned(),
                created_ts: 0,
                filename: "ein\nbild.png".to_owned(),
                kind: "image/png".to_owned(),
                size: 12,
                external_link: String::new(),
                motion: None,
            }],
            relations: vec![
                reference("own", 1, Visibility::Private),
                reference("hidden", 2, Visibility::Private),
                reference("other", 2, Visibility::Public),
            ],
            parent: Some(end("parent", 2, Visibility::Public)),
            ..Card::default()
        },
    }
}

#[test]
fn a_note_file_reads_well() {
    let file = String::from_utf8(note_file(&note("# x\r\n---\n"))).expect("text");
    assert_eq!(
        file,
        "---\nuid: \"zoo: \\\"odd\\\"\"\ncreator: \"maria\"\ncreated: 1969-12-31T23:59:59Z\n\
         updated: 2023-11-14T22:13:20Z\nvisibility: PROTECTED\nstate: ARCHIVED\npinned: true\n\
         tags: [\"a/b\",\"---\\n\"]\n\
         location: {\"placeholder\":\"Zürich\",\"latitude\":47.3717,\"longitude\":-0.1}\n\
         attachments: [{\"uid\":\"file\",\"filename\":\"ein\\nbild.png\",\"type\":\"image/png\",\"size\":12}]\n\
         relations: [\"other\",\"own\"]\nparent: \"parent\"\n---\n# x\r\n---\n"
    );
}

#[test]
fn what_is_no_note_file_is_refused() {
    for bad in ["", "---\n", "---\nuid: \"x\"\n", "---\nuid\n---\n", "---\nuid: x\n---\n", "# note", "---\n---\nx"] {
        assert!(parse_note_file(bad.as_bytes()).is_err(), "{bad:?}");
    }
    assert!(parse_note_file(b"---\nuid: \"\xff\"\n---\n").is_err());
}

/// Texts that made other parsers slow. Generous bounds: this asks whether time explodes, not how fast we are.
#[test]
fn no_text_takes_long() {
    let size = 32 * 1024;
    let fill = |part: &str| part.repeat(size / part.len());
    let open: String = (0..400).flat_map(|depth| ["  ".repeat(depth), "- x #t\n".to_owned()]).collect();
    for text in [
        fill("["),
        fill("]("),
        fill("![["),
        fill("*a "),
        fill("**a_"),
        fill("_ *"),
        fill("`a``"),
        fill(">"),
        fill("> "),
        fill("#a"),
        fill("#"),
        fill("@a "),
        fill("$"),
        fill("$a$$"),
        fill("<"),
        fill("<a "),
        fill("<!--"),
        fill("&"),
        fill("a@b.c "),
        fill("https://a.b/("),
        fill("- "),
        fill("1. "),
        fill("|a"),
        fill("|\n"),
        fill("~~a"),
        fill("\\"),
        fill("\r"),
        fill("\n"),
        fill("#é\u{200d}"),
        fill("[a]: b\n"),
        fill("x\n===\n"),
        fill("|a|\n|-|\n"),
        fill("\t- x\n"),
        fill("<div>"),
        fill("<b>"),
        fill("*a_ "),
        open,
    ] {
        let shown: String = text.chars().take(8).collect();
        let began = Instant::now();
        let _ = derive(&text);
        let derived = began.elapsed();
        let short: String = text.chars().take(2 * 1024).collect();
        let _ = html(&short, &HtmlOptions::default());
        let all = began.elapsed();
        assert!(all < Duration::from_secs(10), "{shown:?}: derive {derived:?}, both {all:?}");
    }
}

proptest! {
    #[test]
    fn nothing_panics(text in "\\PC{0,60}") {
        let _ = (derive(&text), mentions(&text), html(&text, &HtmlOptions::default()));
    }

    #[test]
    fn no_heap_of_signs_panics(text in "[#@a é`*_~|<>\\[\\]()!\\\\&;:/$.\\-+1x \\t\\r\\n\u{feff}\u{200d}]{0,80}") {
        let derived = derive(&text);
        let _ = (mentions(&text), html(&text, &HtmlOptions { tag_prefix: "/".into(), member_prefix: "/u/".into() }));
        prop_assert!(derived.snippet.chars().count() <= 68);
        prop_assert!(derived.tags.iter().all(|tag| text.contains(&format!("#{tag}"))), "{:?}", derived.tags);
        prop_assert!(!derived.has_incomplete_tasks || derived.has_task_list);
    }

    #[test]
    fn a_note_file_gives_back_every_byte(
        content in "(---\n|\r|\r\n|\u{85}|\u{2028}|\u{feff}|[^\0]|\\PC){0,40}", uid in "\\PC{1,20}", tag in "\\PC{0,20}", created: i64,
    ) {
        let mut note = note(&content);
        note.uid = uid;
        note.derived.tags.push(tag);
        note.created_ts = created;
        let bytes = note_file(&note);
        let back = parse_note_file(&bytes).expect("a note file");
        prop_assert_eq!(&back, &NoteFile::of(&note));
        prop_assert_eq!(&back.content, &note.content);
        prop_assert_eq!(back.render(), bytes);
    }
}
