//! Databases of any release from 0.2 to 0.31, built from the reference's tables of schemas, with made-up rows in every
//! table. What must have come of them is in `compare`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use domain::chance::Chance;
use rusqlite::{Connection, params};
use serde_json::json;
use sha2::{Digest as _, Sha256};

pub(crate) struct Version {
    pub(crate) name: &'static str,
    /// The second part of the version.
    pub(crate) n: u32,
    /// As the report names it.
    pub(crate) shown: &'static str,
}

const fn version(name: &'static str, n: u32, shown: &'static str) -> Version {
    Version { name, n, shown }
}

pub(crate) const VERSIONS: [Version; 30] = [
    version("0.2", 2, "0.2"),
    version("0.3", 3, "0.3"),
    version("0.4", 4, "0.4"),
    version("0.5", 5, "0.5"),
    version("0.6", 6, "0.5"), // the same tables
    version("0.7", 7, "0.7"),
    version("0.8", 8, "0.8"),
    version("0.9", 9, "0.9"),
    version("0.10", 10, "0.10"),
    version("0.11", 11, "0.11"),
    version("0.12", 12, "0.12"),
    version("0.13", 13, "0.13"),
    version("0.14", 14, "0.14"),
    version("0.15", 15, "0.15"),
    version("0.16", 16, "0.16"),
    version("0.17", 17, "0.17"),
    version("0.18", 18, "0.18"),
    version("0.19", 19, "0.19"),
    version("0.20", 20, "0.20"),
    version("0.21", 21, "0.21"),
    version("0.22", 22, "0.22"),
    version("0.23", 23, "0.23"),
    version("0.24", 24, "0.24"),
    version("0.25", 25, "0.25"),
    version("0.26", 26, "0.26"),
    version("0.27", 27, "0.27"),
    version("0.28", 28, "0.28"),
    version("0.29", 29, "0.28"), // the same tables and marker
    version("0.30", 30, "0.30"),
    version("0.31", 31, "0.31"),
];

pub(crate) const USERS: i64 = 3;
const NOTES: i64 = 14;

/// The bytes of a file, or the link to it.
pub(crate) type Held = Result<Vec<u8>, String>;

#[derive(Default)]
pub(crate) struct Old {
    pub(crate) n: u32,
    /// id → content, visibility, archived, creator, uid if it had one
    pub(crate) notes: BTreeMap<i64, (String, String, bool, i64, Option<String>)>,
    pub(crate) pinned: BTreeSet<i64>,
    /// file → notes, content or link
    pub(crate) files: BTreeMap<i64, (Vec<i64>, Held)>,
    pub(crate) reactions: Vec<(i64, &'static str)>,
    pub(crate) comments: BTreeMap<i64, i64>,
    pub(crate) references: usize,
    pub(crate) token: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) webhooks: Vec<String>,
    pub(crate) shortcuts: Vec<String>,
    pub(crate) share: Option<String>,
    pub(crate) identities: usize,
    pub(crate) notices: usize,
}

fn tables(n: u32) -> String {
    let mut sql = String::new();
    let times = "created_ts BIGINT NOT NULL DEFAULT (strftime('%s', 'now')), updated_ts BIGINT NOT NULL DEFAULT (strftime('%s', 'now'))";
    let status = "row_status TEXT NOT NULL CHECK (row_status IN ('NORMAL', 'ARCHIVED')) DEFAULT 'NORMAL'";
    let id = "id INTEGER PRIMARY KEY AUTOINCREMENT";
    let mut add = |from: u32, to: u32, text: String| {
        if (from..=to).contains(&n) {
            sql.push_str(&text);
            sql.push_str(";\n");
        }
    };
    let when =
        |from: u32, to: u32, text: &str| if (from..=to).contains(&n) { format!(", {text}") } else { String::new() };
    let role = match n {
        2..=7 => "role TEXT NOT NULL CHECK (role IN ('HOST', 'USER')) DEFAULT 'USER'",
        8..=25 => "role TEXT NOT NULL CHECK (role IN ('HOST', 'ADMIN', 'USER')) DEFAULT 'USER'",
        _ => "role TEXT NOT NULL DEFAULT 'USER'",
    };
    let names = match n {
        2..=7 => "email TEXT NOT NULL UNIQUE, name TEXT NOT NULL",
        8..=30 => "username TEXT NOT NULL UNIQUE, email TEXT NOT NULL DEFAULT '', nickname TEXT NOT NULL DEFAULT ''",
        _ => "username TEXT COLLATE BINARY NOT NULL UNIQUE, email TEXT, nickname TEXT NOT NULL DEFAULT ''",
    };
    add(
        2,
        31,
        format!(
            "CREATE TABLE user ({id}, {times}, {status}, {names}, {role}, password_hash TEXT NOT NULL{}{}{})",
            when(2, 14, "open_id TEXT NOT NULL UNIQUE"),
            when(11, 31, "avatar_url TEXT NOT NULL DEFAULT ''"),
            when(21, 31, "description TEXT NOT NULL DEFAULT ''"),
        ),
    );
    let visible = match n {
        2 => "'PUBLIC', 'PRIVATE'",
        3..=30 => "'PUBLIC', 'PROTECTED', 'PRIVATE'",
        _ => "'PUBLIC', 'PROTECTED', 'PRIVATE', 'SPACE'",
    };
    add(
        2,
        31,
        format!(
            "CREATE TABLE memo ({id}, creator_id INTEGER NOT NULL, {times}, {status}, content TEXT NOT NULL DEFAULT '', \
         visibility TEXT NOT NULL CHECK (visibility IN ({visible})) DEFAULT 'PRIVATE'{}{}{}{}{}{})",
            when(19, 20, "resource_name TEXT NOT NULL UNIQUE"),
            when(21, 31, "uid TEXT NOT NULL UNIQUE"),
            when(22, 23, "tags TEXT NOT NULL DEFAULT '[]'"),
            when(24, 31, "pinned INTEGER NOT NULL CHECK (pinned IN (0, 1)) DEFAULT 0"),
            when(22, 31, "payload TEXT NOT NULL DEFAULT '{}'"),
            when(31, 31, "space_id INTEGER"),
        ),
    );
    let organizer_id = if n <= 12 { format!("{id}, ") } else { String::new() };
    add(
        2,
        25,
        format!(
            "CREATE TABLE memo_organizer ({organizer_id}memo_id INTEGER NOT NULL, user_id INTEGER NOT NULL, pinned INTEGER NOT NULL CHECK (pinned IN (0, 1)) DEFAULT 0, UNIQUE(memo_id, user_id))"
        ),
    );
    let name = if n >= 26 { "attachment" } else { "resource" };
    add(
        2,
        31,
        format!(
            "CREATE TABLE {name} ({id}, creator_id INTEGER NOT NULL, {times}, filename TEXT NOT NULL DEFAULT '', blob BLOB{}, \
         type TEXT NOT NULL DEFAULT '', size INTEGER NOT NULL DEFAULT 0{}{}{}{}{}{}{})",
            if n < 5 { " NOT NULL" } else { " DEFAULT NULL" },
            when(5, 21, "external_link TEXT NOT NULL DEFAULT ''"),
            when(12, 21, "internal_path TEXT NOT NULL DEFAULT ''"),
            when(12, 13, "public_id TEXT NOT NULL DEFAULT ''"),
            when(16, 31, "memo_id INTEGER"),
            when(19, 20, "resource_name TEXT NOT NULL UNIQUE"),
            when(21, 31, "uid TEXT NOT NULL UNIQUE"),
            when(
                22,
                31,
                "storage_type TEXT NOT NULL DEFAULT '', reference TEXT NOT NULL DEFAULT '', payload TEXT NOT NULL DEFAULT '{}'"
            ),
        ),
    );
    add(
        2,
        15,
        format!(
            "CREATE TABLE shortcut ({id}, creator_id INTEGER NOT NULL, {times}, {status}, title TEXT NOT NULL DEFAULT '', payload TEXT NOT NULL DEFAULT '{{}}')"
        ),
    );
    add(4, 31, "CREATE TABLE user_setting (user_id INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, UNIQUE(user_id, key))".into());
    add(
        5,
        15,
        format!(
            "CREATE TABLE memo_resource (memo_id INTEGER NOT NULL, resource_id INTEGER NOT NULL, {times}, UNIQUE(memo_id, resource_id))"
        ),
    );
    add(5, 31, "CREATE TABLE system_setting (name TEXT NOT NULL UNIQUE, value TEXT NOT NULL, description TEXT NOT NULL DEFAULT '')".into());
    add(8, 25, "CREATE TABLE migration_history (version TEXT NOT NULL PRIMARY KEY, created_ts BIGINT NOT NULL DEFAULT (strftime('%s', 'now')))".into());
    add(9, 21, "CREATE TABLE tag (name TEXT NOT NULL, creator_id INTEGER NOT NULL, UNIQUE(name, creator_id))".into());
    add(
        10,
        26,
        format!(
            "CREATE TABLE activity ({id}, creator_id INTEGER NOT NULL, created_ts BIGINT NOT NULL DEFAULT 0, type TEXT NOT NULL DEFAULT '', level TEXT NOT NULL DEFAULT 'INFO', payload TEXT NOT NULL DEFAULT '{{}}')"
        ),
    );
    add(
        11,
        31,
        format!(
            "CREATE TABLE idp ({id}, name TEXT NOT NULL, type TEXT NOT NULL, identifier_filter TEXT NOT NULL DEFAULT '', config TEXT NOT NULL DEFAULT '{{}}'{})",
            when(27, 31, "uid TEXT NOT NULL UNIQUE")
        ),
    );
    add(
        11,
        21,
        format!(
            "CREATE TABLE storage ({id}, name TEXT NOT NULL, type TEXT NOT NULL, config TEXT NOT NULL DEFAULT '{{}}')"
        ),
    );
    add(13, 31, "CREATE TABLE memo_relation (memo_id INTEGER NOT NULL, related_memo_id INTEGER NOT NULL, type TEXT NOT NULL, UNIQUE(memo_id, related_memo_id, type))".into());
    add(
        17,
        31,
        format!(
            "CREATE TABLE inbox ({id}, created_ts BIGINT NOT NULL DEFAULT 0, sender_id INTEGER NOT NULL, receiver_id INTEGER NOT NULL, status TEXT NOT NULL, message TEXT NOT NULL DEFAULT '{{}}')"
        ),
    );
    add(
        18,
        24,
        format!(
            "CREATE TABLE webhook ({id}, {times}, {status}, creator_id INTEGER NOT NULL, name TEXT NOT NULL, url TEXT NOT NULL)"
        ),
    );
    let target = if n >= 31 { "memo_id INTEGER NOT NULL" } else { "content_id TEXT NOT NULL" };
    add(
        20,
        31,
        format!(
            "CREATE TABLE reaction ({id}, created_ts BIGINT NOT NULL DEFAULT 0, creator_id INTEGER NOT NULL, {target}, reaction_type TEXT NOT NULL)"
        ),
    );
    add(
        27,
        31,
        format!(
            "CREATE TABLE memo_share ({id}, uid TEXT NOT NULL UNIQUE, memo_id INTEGER NOT NULL, creator_id INTEGER NOT NULL, created_ts BIGINT NOT NULL DEFAULT 0, expires_ts BIGINT DEFAULT NULL, FOREIGN KEY (memo_id) REFERENCES memo(id) ON DELETE CASCADE)"
        ),
    );
    add(
        28,
        31,
        format!(
            "CREATE TABLE user_identity ({id}, user_id INTEGER NOT NULL, provider TEXT NOT NULL, extern_uid TEXT NOT NULL, {times}, UNIQUE (provider, extern_uid), UNIQUE (user_id, provider))"
        ),
    );
    add(
        31,
        31,
        format!(
            "CREATE TABLE space ({id}, uid TEXT NOT NULL UNIQUE, title TEXT NOT NULL DEFAULT '', description TEXT NOT NULL DEFAULT '', payload TEXT NOT NULL DEFAULT '{{}}')"
        ),
    );
    add(31, 31, "CREATE TABLE space_member (space_id INTEGER NOT NULL, user_id INTEGER NOT NULL, role TEXT NOT NULL, status TEXT NOT NULL, PRIMARY KEY (space_id, user_id))".into());
    add(2, 6, "CREATE TRIGGER trigger_memo AFTER UPDATE ON memo BEGIN SELECT 1; END".into());
    sql
}

fn text(chance: &Chance, id: i64) -> String {
    let words = [
        "#work",
        "über",
        "中文 #标签",
        "- [ ] open",
        "`code`",
        "https://example.org/x",
        "\r\n",
        "🎉",
        "# Title",
        "e\u{301}",
    ];
    let picked: Vec<&str> = (0..=chance.below(12)).map(|_| words[chance.below(words.len() as u64) as usize]).collect();
    format!("note {id} {}", picked.join("\n"))
}

impl Old {
    pub(crate) fn build(folder: &Path, version: &Version, chance: &Chance) -> Self {
        let n = version.n;
        let conn = Connection::open(folder.join("memos_prod.db")).unwrap();
        conn.execute_batch(&tables(n)).unwrap();
        let mut old = Self { n, ..Self::default() };
        old.users(&conn);
        old.write_notes(&conn, chance);
        old.write_files(&conn, folder, chance);
        old.hang(&conn);
        old.write_settings(&conn);
        old
    }

    fn users(&self, conn: &Connection) {
        for id in 1..=USERS {
            let role = match (id, self.n) {
                (1, ..=25) => "HOST",
                (1, _) => "ADMIN",
                _ => "USER",
            };
            let hash = bcrypt::hash_with_salt(format!("pass-{id}"), 4, [id as u8; 16])
                .unwrap()
                .format_for_version(bcrypt::Version::TwoA);
            let status = if id == 3 { "ARCHIVED" } else { "NORMAL" };
            if self.n < 8 {
                conn.execute(
                    "INSERT INTO user (id, row_status, email, role, name, password_hash, open_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![id, status, format!("user{id}@example.org"), role, format!("Näme {id}"), hash, format!("open{id}")],
                )
            } else {
                let open_id = if self.n <= 14 { (", open_id", format!(", 'open{id}'")) } else { ("", String::new()) };
                conn.execute(
                    &format!("INSERT INTO user (id, row_status, username, email, role, nickname, password_hash{}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7{})", open_id.0, open_id.1),
                    params![id, status, format!("user{id}@example.org"), format!("user{id}@example.org"), role, format!("Näme {id}"), hash],
                )
            }
            .unwrap();
        }
    }

    fn uid_column(&self) -> Option<&'static str> {
        match self.n {
            ..=18 => None,
            19..=20 => Some("resource_name"),
            _ => Some("uid"),
        }
    }

    fn write_notes(&mut self, conn: &Connection, chance: &Chance) {
        for id in 1..=NOTES {
            let visible: &[&str] =
                if self.n == 2 { &["PUBLIC", "PRIVATE"] } else { &["PUBLIC", "PROTECTED", "PRIVATE"] };
            let visibility = visible[chance.below(visible.len() as u64) as usize];
            let (content, archived, creator) =
                (text(chance, id), chance.below(5) == 0, 1 + chance.below(USERS as u64) as i64);
            conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
            let uid = self.uid_column().map(|_| chance.uid());
            let (column, value) = match (self.uid_column(), &uid) {
                (Some(column), Some(uid)) => (format!(", {column}"), format!(", '{uid}'")),
                _ => (String::new(), String::new()),
            };
            conn.execute(
                &format!("INSERT INTO memo (id, creator_id, created_ts, updated_ts, row_status, content, visibility{column}) VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6{value})"),
                params![id, creator, 1_600_000_000 + id * 1_000, if archived { "ARCHIVED" } else { "NORMAL" }, content, visibility],
            )
            .unwrap();
            self.notes.insert(id, (content, visibility.to_owned(), archived, creator, uid));
        }
        for note in [2, 5] {
            if self.n >= 24 {
                conn.execute("UPDATE memo SET pinned = 1 WHERE id = ?1", [note]).unwrap();
            } else {
                conn.execute(
                    "INSERT INTO memo_organizer (memo_id, user_id, pinned) VALUES (?1, ?2, 1)",
                    [note, 1 + note % 2],
                )
                .unwrap();
            }
            self.pinned.insert(note);
        }
    }

    fn write_files(&mut self, conn: &Connection, folder: &Path, chance: &Chance) {
        let table = if self.n >= 26 { "attachment" } else { "resource" };
        for id in 1..=6_i64 {
            let bytes: Vec<u8> = (0..chance.below(3_000)).map(|_| chance.below(256) as u8).collect();
            let mut columns = String::from("id, creator_id, filename, type, size");
            let mut values = format!("{id}, 1, 'fi''le {id}.bin', 'application/octet-stream', {}", bytes.len());
            let mut put = |column: &str, value: String| {
                columns.push_str(&format!(", {column}"));
                values.push_str(&format!(", {value}"));
            };
            if let Some(column) = self.uid_column() {
                put(column, format!("'{}'", chance.uid()));
            }
            let kind = if id % 3 == 1 || self.n < 5 {
                1
            } else if id % 3 == 2 && self.n >= 12 {
                2
            } else {
                3
            };
            let held = match kind {
                1 => {
                    put("blob", format!("x'{}'", hex::encode(&bytes)));
                    Ok(bytes)
                }
                2 => {
                    std::fs::create_dir_all(folder.join("assets")).unwrap();
                    std::fs::write(folder.join(format!("assets/f{id}")), &bytes).unwrap();
                    let path = if id == 2 { format!("/var/opt/memos/assets/f{id}") } else { format!("assets/f{id}") };
                    if self.n >= 22 {
                        put("storage_type", "'LOCAL'".into());
                        put("reference", format!("'{path}'"));
                    } else {
                        put("internal_path", format!("'{path}'"));
                    }
                    Ok(bytes)
                }
                _ => {
                    let link = format!("https://cdn.example.org/{id}");
                    if self.n >= 22 {
                        put("storage_type", "'EXTERNAL'".into());
                        put("reference", format!("'{link}'"));
                    } else {
                        put("external_link", format!("'{link}'"));
                    }
                    Err(link)
                }
            };
            let mut notes = Vec::new();
            if self.n >= 16 && id != 6 {
                put("memo_id", id.to_string());
                notes.push(id);
            }
            conn.execute_batch(&format!("INSERT INTO {table} ({columns}) VALUES ({values})")).unwrap();
            if (5..=15).contains(&self.n) && id != 6 {
                notes = if id == 1 { vec![1, 7, 9] } else { vec![id] };
                for note in &notes {
                    conn.execute("INSERT INTO memo_resource (memo_id, resource_id) VALUES (?1, ?2)", [*note, id])
                        .unwrap();
                }
            }
            self.files.insert(id, (notes, held));
        }
    }

    fn hang(&mut self, conn: &Connection) {
        let n = self.n;
        if n >= 13 {
            let kind = if n <= 16 { "ADDITIONAL" } else { "REFERENCE" };
            conn.execute("INSERT INTO memo_relation VALUES (1, 2, 'REFERENCE'), (3, 1, ?1)", [kind]).unwrap();
            self.references = 2;
        }
        if n >= 18 {
            conn.execute_batch("INSERT INTO memo_relation VALUES (13, 4, 'COMMENT'), (14, 13, 'COMMENT')").unwrap();
            self.comments.extend([(13, 4), (14, 13)]);
        }
        if n >= 20 {
            for (note, kind, emoji) in [(1_i64, "HEART", "💛"), (4, "THUMBS_UP", "👍"), (6, "ROCKET", "🚀")] {
                let uid = self.notes[&note].4.clone().unwrap();
                let target = match n {
                    20..=23 => format!("'memos/{note}'"),
                    24..=30 => format!("'memos/{uid}'"),
                    _ => note.to_string(),
                };
                let column = if n >= 31 { "memo_id" } else { "content_id" };
                let word = if n <= 22 { kind } else { emoji };
                conn.execute_batch(&format!(
                    "INSERT INTO reaction (creator_id, {column}, reaction_type) VALUES (1, {target}, '{word}')"
                ))
                .unwrap();
                self.reactions.push((note, emoji));
            }
        }
        if n >= 17 {
            if n <= 26 {
                conn.execute_batch("INSERT INTO activity (id, creator_id, type, payload) VALUES (5, 1, 'MEMO_COMMENT', '{\"memoComment\":{\"memoId\":3,\"relatedMemoId\":1}}')").unwrap();
            }
            let message = match n {
                17..=21 => json!({"type": "TYPE_MEMO_COMMENT", "activityId": 5}),
                22..=26 => json!({"type": "MEMO_COMMENT", "activityId": 5}),
                _ => json!({"type": "MEMO_COMMENT", "memoComment": {"memoId": 3, "relatedMemoId": 1}}),
            };
            conn.execute(
                "INSERT INTO inbox (sender_id, receiver_id, status, message) VALUES (1, 2, 'UNREAD', ?1)",
                [message.to_string()],
            )
            .unwrap();
            self.notices = 1;
        } else if n >= 10 {
            conn.execute_batch("INSERT INTO activity (creator_id, type, payload) VALUES (1, 'memo.create', '{}')")
                .unwrap();
        }
        if n >= 27 {
            conn.execute_batch("INSERT INTO memo_share (uid, memo_id, creator_id) VALUES ('share-token-1', 2, 1)")
                .unwrap();
            self.share = Some("share-token-1".into());
        }
        if n >= 28 {
            conn.execute_batch("INSERT INTO user_identity (user_id, provider, extern_uid) VALUES (2, 'p', 'e')")
                .unwrap();
            self.identities = 1;
        }
        if n >= 31 {
            conn.execute_batch("INSERT INTO space (id, uid, title) VALUES (1, 'sp', 'Team'); INSERT INTO space_member VALUES (1, 2, 'USER', 'ACTIVE')").unwrap();
        }
        if n >= 11 {
            let uid = if n >= 27 { (", uid", ", 'idp1'") } else { ("", "") };
            conn.execute_batch(&format!(
                "INSERT INTO idp (name, type, config{}) VALUES ('SSO', 'OAUTH2', '{{\"clientId\":\"c\"}}'{})",
                uid.0, uid.1
            ))
            .unwrap();
        }
    }

    fn write_settings(&mut self, conn: &Connection) {
        let n = self.n;
        let user = |key: &str, value: &str| {
            conn.execute("INSERT INTO user_setting VALUES (2, ?1, ?2)", [key, value]).unwrap();
        };
        match n {
            4..=11 => user("memoVisibility", "\"PUBLIC\""),
            12..=17 => user("memo-visibility", "\"PUBLIC\""),
            18..=21 => user("USER_SETTING_MEMO_VISIBILITY", "PUBLIC"),
            22..=24 => user("MEMO_VISIBILITY", "PUBLIC"),
            25.. => user("GENERAL", "{\"memoVisibility\":\"PUBLIC\"}"),
            _ => {}
        }
        if n >= 18 {
            let token = format!("memos_pat_{n}abcdef");
            let hash = hex::encode(Sha256::digest(token.as_bytes()));
            match n {
                18..=21 => user(
                    "USER_SETTING_ACCESS_TOKENS",
                    &json!({"accessTokens": [{"accessToken": token, "description": "d"}]}).to_string(),
                ),
                22..=25 => user(
                    "ACCESS_TOKENS",
                    &json!({"accessTokens": [{"accessToken": token, "description": "d"}]}).to_string(),
                ),
                _ => user(
                    "PERSONAL_ACCESS_TOKENS",
                    &json!({"tokens": [{"tokenId": "t", "tokenHash": hash, "description": "d"}]}).to_string(),
                ),
            }
            self.token = Some(hash);
        }
        if (9..=21).contains(&n) {
            conn.execute_batch("INSERT INTO tag VALUES ('unused', 2), ('標籤', 2)").unwrap();
            self.tags = vec!["unused".into(), "標籤".into()];
        }
        if (18..=24).contains(&n) {
            conn.execute_batch(
                "INSERT INTO webhook (creator_id, name, url) VALUES (2, 'hook', 'https://hook.example/x')",
            )
            .unwrap();
            self.webhooks.push("https://hook.example/x".into());
        } else if n >= 25 {
            user("WEBHOOKS", "{\"webhooks\":[{\"id\":\"h\",\"title\":\"hook\",\"url\":\"https://hook.example/x\"}]}");
            self.webhooks.push("https://hook.example/x".into());
        }
        if n <= 15 {
            let payload =
                json!([{"type": "TAG", "value": {"operator": "CONTAIN", "value": "work"}, "relation": "AND"}]);
            conn.execute(
                "INSERT INTO shortcut (creator_id, title, payload) VALUES (2, 'Works', ?1)",
                [payload.to_string()],
            )
            .unwrap();
            self.shortcuts.push("Works".into());
        } else if n >= 24 {
            let (key, list) = if n >= 31 { ("MEMO_VIEWS", "memoViews") } else { ("SHORTCUTS", "shortcuts") };
            let filter = if n <= 29 { "created_ts > 1600000000" } else { "pinned" };
            user(key, &json!({list: [{"id": "s", "title": "Works", "filter": filter}]}).to_string());
            self.shortcuts.push("Works".into());
        }
        let system = |name: &str, value: &str| {
            conn.execute("INSERT INTO system_setting (name, value) VALUES (?1, ?2)", [name, value]).unwrap();
        };
        if (8..=22).contains(&n) {
            conn.execute("INSERT INTO migration_history (version) VALUES (?1)", [format!("0.{n}.0")]).unwrap();
        }
        match n {
            5..=21 => system("secret-session", "\"secret\""),
            22 => system("BASIC", "{\"secretKey\":\"secret\"}"),
            23.. => {
                let marker = match n {
                    28 | 29 => "0.28.1".to_owned(),
                    n => format!("0.{n}.1"),
                };
                system("BASIC", &json!({"secretKey": "secret", "schemaVersion": marker}).to_string());
            }
            _ => {}
        }
    }
}
