//! Two tenants made from the same data, so that names and ids coincide; every text of one differs by a word.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::http::Header;
use crate::support::{Answer, Http, Installation, Server};

/// The word that is in every note, member and share of a tenant, and nowhere else.
pub(super) fn marker(slug: &str) -> String {
    format!("zzmarker{slug}zz")
}

/// The two tenants.
pub(super) const SLUGS: [&str; 2] = ["alpha", "bravo"];

/// An appliance with both tenants, and an operator.
pub(super) struct World {
    _installation: Installation,
    pub(super) server: Server,
    pub(super) passwords: Vec<(String, String)>,
    schemas: [String; 2],
    client: tokio_postgres::Client,
}

/// What a person of one tenant holds.
pub(super) struct Keys {
    pub(super) access: String,
    pub(super) refresh: String,
    pub(super) token: String,
    pub(super) page: String,
}

pub(super) const OPERATOR: (&str, &str) = ("warden", "Warden-of-the-gate-7");

impl World {
    pub(super) async fn build(memos: &Path) -> Self {
        let installation = Installation::create().await;
        for slug in SLUGS {
            installation.import(memos, slug);
            let (url, host) = (format!("https://{slug}.example.com"), format!("{slug}.example.com"));
            installation.must(&["tenant", "set", slug, "--public-url", &url, "--host", &host]);
        }
        let file = installation.folder.path().join("password");
        std::fs::write(&file, OPERATOR.1).unwrap();
        installation.must(&["operator", "create", OPERATOR.0, "--password-file", file.to_str().unwrap()]);
        let schemas = SLUGS.map(|slug| {
            installation.must(&["tenant", "show", slug])["schema"].as_str().expect("the schema's name").to_owned()
        });
        let client = installation.database.superuser().await;
        for (slug, schema) in SLUGS.into_iter().zip(&schemas) {
            let word = marker(slug);
            let sql = format!(
                "UPDATE {schema}.note SET content = content || ' {word}', snippet = '{word} ' || snippet;
                 UPDATE {schema}.member SET description = description || ' {word}'"
            );
            client.batch_execute(&sql).await.unwrap();
        }
        let truth: Value = serde_json::from_slice(&std::fs::read(memos.join("truth.json")).unwrap()).unwrap();
        let users = truth["users"].as_array().into_iter().flatten();
        let word = |user: &Value, key: &str| user[key].as_str().unwrap_or_default().to_owned();
        let passwords = users.map(|user| (word(user, "username"), word(user, "password"))).collect();
        let server = installation.serve();
        Self { _installation: installation, server, passwords, schemas, client }
    }

    /// The two ways to a tenant: by its host name and by its path.
    pub(super) fn doors(&self, slug: &str) -> [Http; 2] {
        [self.server.by_host(&format!("{slug}.example.com")), self.server.by_path(slug)]
    }

    /// The appliance itself: a host of nobody's.
    pub(super) fn bare(&self) -> Http {
        self.server.by_host(&self.server.address.to_string())
    }

    /// Everything that one person can hold: access token, refresh cookie, personal access token, page session.
    pub(super) fn keys(&self, door: &Http, username: &str) -> Keys {
        let password = &self.passwords.iter().find(|(name, _)| name == username).unwrap().1;
        let (access, refresh) = door.sign_in(username, password);
        let body = json!({"parent": format!("users/{username}"), "description": "isolation"});
        let path = "/memos.api.v1.UserService/CreatePersonalAccessToken";
        let made = door.call("POST", path, Some(&access), Some(&body));
        assert_eq!(made.status, 200, "{}", made.text());
        let token = made.json()["token"].as_str().unwrap().to_owned();
        let page = Self::page_session(door, username, password);
        Keys { access, refresh, token, page }
    }

    fn page_session(door: &Http, username: &str, password: &str) -> String {
        let form = format!("username={username}&password={password}");
        let answer = door.send("POST", "/signin", &[form_type()], Some(form.as_bytes()));
        assert_eq!(answer.status, 303, "{username} signs in on the page: {}", answer.text());
        cookie_of(&answer, "holdfast_session")
    }

    /// The number of the newest event in the audit.
    pub(super) async fn audit_head(&self) -> i64 {
        let sql = "SELECT coalesce(max(seq), 0) FROM holdfast.audit_event";
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// The events that the audit got since.
    pub(super) async fn events_after(&self, seq: i64) -> Vec<String> {
        let sql = "SELECT event FROM holdfast.audit_event WHERE seq > $1 ORDER BY seq";
        self.client.query(sql, &[&seq]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    /// A sum over every row of a tenant.
    pub(super) async fn fingerprint(&self, slug: &str) -> Vec<String> {
        let schema = &self.schemas[SLUGS.iter().position(|known| *known == slug).unwrap()];
        let client = &self.client;
        let tables = "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                      WHERE n.nspname = $1 AND c.relkind = 'r' ORDER BY 1";
        let mut sums = Vec::new();
        for row in client.query(tables, &[schema]).await.unwrap() {
            let table: String = row.get(0);
            let sql =
                format!("SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {schema}.{table} t");
            let sum: String = client.query_one(sql.as_str(), &[]).await.unwrap().get(0);
            sums.push(format!("{table} {sum}"));
        }
        assert!(sums.len() > 10, "{sums:?}");
        sums
    }
}

/// The value of a cookie that an answer sets.
pub(super) fn cookie_of(answer: &Answer, name: &str) -> String {
    let mut set = answer.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case("set-cookie"));
    let prefix = format!("{name}=");
    let value = set.find_map(|(_, value)| value.strip_prefix(&prefix)).expect("the cookie");
    value.split(';').next().unwrap_or_default().to_owned()
}

/// The content type of a form.
pub(super) fn form_type() -> Header {
    ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned())
}

/// What of an answer must be the same when it says the same: everything but the moment and the request's number.
pub(super) fn essence(answer: &Answer) -> String {
    let moment = ["date", "x-request-id", "expires", "content-length"];
    let mut headers: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| !moment.contains(&name.to_ascii_lowercase().as_str()))
        .map(|(name, value)| format!("{}: {value}", name.to_ascii_lowercase()))
        .collect();
    headers.sort();
    let mut text = answer.text();
    if let Some(id) = answer.header("x-request-id") {
        text = text.replace(id, "REQUEST");
    }
    format!("{} {headers:?} {text}", answer.status)
}
