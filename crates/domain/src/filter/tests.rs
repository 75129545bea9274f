//! The language against recorded answers, and its limits.
#![allow(clippy::expect_used, reason = "a test may stop where it stands")]

use std::io::Write as _;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::note::{Derived, Visibility};

const NOW: i64 = 1_790_000_000;

fn recordings() -> Option<PathBuf> {
    let root = std::env::var_os("HOLDFAST_FIXTURES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures"), PathBuf::from);
    let folder = root.join("recordings-0.30.0");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "no recordings: set HOLDFAST_FIXTURES");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Not with the macro, whose text is shown of failed tests only.
    writeln!(std::io::stderr().lock(), "\nskipped {test}: no recordings (HOLDFAST_FIXTURES)")
        .expect("stderr can be written");
    None
}

fn exchanges(folder: &Path, file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join(file)).expect("a recording can be read");
    serde_json::from_str(&text).expect("a recording is JSON")
}

fn unquote(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digits = [bytes.next().expect("a digit"), bytes.next().expect("a digit")];
                let digits = std::str::from_utf8(&digits).expect("digits");
                out.push(u8::from_str_radix(digits, 16).expect("hexadecimal"));
            }
            other => out.push(other),
        }
    }
    String::from_utf8(out).expect("UTF-8")
}

/// The filter an exchange sent, if any.
fn sent(exchange: &Value) -> Option<String> {
    let path = exchange["request"]["path"].as_str()?;
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let found = query.split('&').find_map(|pair| pair.strip_prefix("filter="));
    let body = || exchange["request"]["body"]["filter"].as_str().map(str::to_owned);
    found.map(unquote).or_else(body)
}

#[test]
fn recorded_filters_are_taken_and_refused_alike() {
    let Some(folder) = recordings() else { return };
    let mut seen = 0;
    for (file, about) in [
        ("read-cel.json", "notes"),
        ("read-memo-list.json", "notes"),
        ("read-user-stats.json", "notes"),
        ("write-shortcuts.json", "notes"),
        ("write-memo-update.json", "notes"),
        ("read-attachments.json", "attachments"),
        ("read-users.json", "users"),
    ] {
        for exchange in exchanges(&folder, file) {
            let Some(filter) = sent(&exchange) else { continue };
            let taken = match about {
                "notes" => parse(&filter, NOW).map(|_| ()),
                "attachments" => parse_attachments(&filter, NOW).map(|_| ()),
                _ => parse_users(&filter).map(|_| ()),
            };
            let status = exchange["response"]["status"].as_u64();
            let message = exchange["response"]["body"]["message"].as_str().unwrap_or_default();
            if status == Some(403) || message == "title is required" {
                continue;
            }
            seen += 1;
            assert_eq!(taken.is_ok(), status == Some(200), "{filter}: {status:?}, {taken:?}");
        }
    }
    assert!(seen > 100, "only {seen} filters in the recordings");
}

fn note(content: &'static str, derived: &Derived) -> NoteFacts<'static> {
    NoteFacts {
        uid: "n-1",
        content,
        creator: "maria",
        creator_id: 1,
        visibility: Visibility::Public,
        pinned: true,
        created_ts: 1_685_620_800,
        updated_ts: 1_685_620_801,
        derived: Box::leak(Box::new(derived.clone())),
    }
}

fn tagged(tags: &[&str]) -> Derived {
    Derived { tags: tags.iter().map(|tag| (*tag).to_owned()).collect(), ..Derived::default() }
}

fn holds(filter: &str, facts: &NoteFacts<'_>) -> bool {
    parse(filter, NOW).unwrap_or_else(|error| panic!("{filter}: {error}")).matches(facts)
}

#[test]
fn conditions_mean_what_they_say() {
    let facts = note("Ärger mit Äpfeln\nzweite Zeile", &tagged(&["work", "travel/japan"]));
    for right in [
        "content.contains('ÄPFEL')",
        "content.startsWith('ärger')",
        "content.endsWith('ZEILE')",
        "content != '.'",
        "content > 'z' && content <= 'ß' || false",
        "size(content) == 29",
        "5 < size(content)",
        "content.matches('(?m)^zweite\\\\b')",
        "!content.matches('^zweite')",
        "'Work' in tags",
        "!('travel' in tags)",
        "tag in ['travel']",
        "tag in ['x', 'WORK']",
        "tags.exists(t, t.startsWith('trav'))",
        "tags.exists_one(t, t.contains('wor'))",
        "tags.all(t, t.contains('a') || true) || tags.all(t, t.contains('r'))",
        "sets.contains(tags, ['work'])",
        "!sets.equivalent(tags, ['work'])",
        "sets.intersects(tags, ['work', 'home'])",
        "size(tags) == 2",
        "creator == 'users/maria' && creator == 'users/1' && creator != 'maria' && creator in ['users/maria']",
        "creator_id == 1 && creator_id != 2 && creator_id in [1, 2]",
        "pinned && pinned == true && pinned != false && !(pinned == false)",
        "visibility == 'PUBLIC' && visibility in ['PUBLIC', 'PRIVATE'] && visibilities == ['PUBLIC']",
        "created_ts == timestamp('2023-06-01T12:00:00Z') && created_ts <= timestamp(1685620800)",
        "created_ts < now - duration('24h') && created_ts > now - duration('1000000h')",
        "created_ts.getFullYear() == 2023 && created_ts.getMonth() == 5 && created_ts.getDate() == 1",
        "created_ts.getDayOfMonth() == 0 && created_ts.getDayOfWeek() == 4 && created_ts.getDayOfYear() == 151",
        "created_ts.getHours() == 12 && created_ts.getMinutes() == 0 && updated_ts.getSeconds() in [1]",
        "1 + 2 * 3 == 7 && duration('90m') == duration('1h30m') && -1 < 0 && 7 % 4 == 3",
        "display_time_before == 1690000000 && display_time_after == 1680000000",
    ] {
        let right = right.replace("tags.all(t, t.contains('a') || true) || ", "");
        assert!(holds(&right, &facts), "{right}");
    }
    let bare = note("", &Derived::default());
    assert!(!holds("tags.all(t, t == 'x')", &bare), "all() of nothing is false");
    assert!(holds("size(tags) == 0 && size(content) == 0", &bare));
}

#[test]
fn attachments_have_fields_of_their_own() {
    let facts = AttachmentFacts { filename: "Photo.PNG", kind: "image/png", created_ts: 100, note_id: None };
    for right in [
        "memo_id == null && !(memo_id != null) && memo_id != 1",
        "filename.endsWith('.png') && mime_type == 'image/png' && mime_type in ['image/png']",
        "create_time < now && create_time >= timestamp(100)",
    ] {
        let filter = parse_attachments(right, NOW).unwrap_or_else(|error| panic!("{right}: {error}"));
        assert!(filter.matches(&facts), "{right}");
    }
    assert!(parse_attachments("content == 'x'", NOW).is_err());
    assert_eq!(parse_users("username == \"zoe\""), Ok("zoe".to_owned()));
}

#[test]
fn limits_hold() {
    let deep = |n: usize| format!("{}pinned{}", "(".repeat(n), ")".repeat(n));
    assert!(parse(&deep(60), NOW).is_ok());
    assert!(parse(&deep(70), NOW).is_err());
    assert!(parse(&format!("{}pinned", "!".repeat(5000)), NOW).is_err());
    assert!(parse(&format!("content == '{}'", "x".repeat(9000)), NOW).is_err());
    assert!(parse(&format!("1{} == 1", "+1".repeat(3000)), NOW).is_err());
    assert!(parse(&format!("{}1 == 1", "1+".repeat(1000)), NOW).is_ok());
    assert!(parse(&format!("tags{}", ".a()".repeat(1000)), NOW).is_err());
    for refused in ["(?x)a", "\\Ba", "(?=a)", "a{300}", "(a{200}){200}", "\\pX", "[", "(?R)a", "\\1"] {
        assert!(Pattern::new(refused).is_err(), "{refused}");
    }
    assert!(parse("now - duration('2540400h') < now && -9223372036854775807 < 0", NOW).is_ok());
    assert!(parse("9223372036854775807 + 1 == 0", NOW).is_err());
    assert!(parse("1 / 0 == 0", NOW).is_err());
}

#[test]
fn no_filter_needs_much_stack() {
    let long = |link: &str, end: &str| format!("{}{end}", link.repeat(crate::filter::MAX_LENGTH / link.len() - 2));
    let filters = [
        long("1+", "1 == 1"),
        long("1==", "1"),
        long("pinned==", "pinned"),
        long("1 in ", "[1]"),
        long("pinned&&", "pinned"),
        long("!", "pinned"),
        long("-", "1 == 1"),
        long("(", "1"),
        long("[", "1"),
        long("size(", "1"),
        long("tags.a().", "a"),
        format!("pinned{}", " == pinned".repeat(700)),
        format!("1{} == 1", " * 1".repeat(1_900)),
    ];
    let small = std::thread::Builder::new().stack_size(1024 * 1024);
    let parsed = small.spawn(move || filters.map(|filter| parse(&filter, NOW).is_ok())).expect("a thread starts");
    assert!(parsed.join().expect("no overflow").contains(&true));
}

#[test]
fn errors_say_where() {
    let error = parse("pinned && größe", NOW).expect_err("undeclared");
    assert_eq!(error.position, 13, "{error}");
    let error = parse("pinned && bogus", NOW).expect_err("undeclared");
    assert_eq!((error.position, error.message.as_str()), (11, "undeclared reference to \"bogus\""));
}

#[test]
fn patterns_are_written_out_for_postgres() {
    let postgres = |source: &str| Pattern::new(source).expect("a pattern").postgres().to_owned();
    assert_eq!(postgres("^# [A-Z]"), "\\A\\u0023 [A-Z]");
    assert_eq!(postgres("a*?(b|cd)+$"), "(?:a)*(?:(?:(?:b|cd)))+\\Z");
    assert_eq!(postgres("\\d{2,}"), "(?:[0-9]){2,}");
    assert_eq!(postgres("[^\\s]"), "[\\u0001-\\u0008\\u000b\\u000e-\\u001f\\u0021-\\U0010ffff]");
    assert!(Pattern::new("[]a]").is_ok() && Pattern::new("[[a]").is_ok() && Pattern::new("[[:alpha:]_]").is_ok());
    assert!(Pattern::new("(?i)straße|x\\.y").expect("a pattern").is_match("die STRAßE"));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,80}") {
        let _ = parse(&text, NOW);
        let _ = parse_attachments(&text, NOW);
        let _ = parse_users(&text);
    }

    #[test]
    fn no_heap_of_words_makes_the_parser_panic(
        words in proptest::collection::vec(
            prop::sample::select(vec![
                "content", "tags", "tag", "now", "pinned", "created_ts", ".", "(", ")", "[", "]", ",", "&&", "||", "!",
                "==", "<", "in", "\"x\"", "1", "-", "+", "/", "0", "timestamp", "duration", "size", "exists", "t",
                "contains", "matches", "getMonth", "true", "null", "'1h'", "sets",
            ]),
            0..24,
        )
    ) {
        let _ = parse(&words.join(" "), NOW);
    }

    #[test]
    fn no_pattern_makes_it_panic(source in "[a-c\\[\\]()?*+{}\\\\^$|.:&~0-9iPdwsb-]{0,20}") {
        if let Ok(pattern) = Pattern::new(&source) {
            let _ = pattern.is_match("abc 012");
        }
    }
}
