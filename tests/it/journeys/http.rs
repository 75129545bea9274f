//! A small HTTP client that shares nothing with the product: one request a connection.

use std::io::{Error, Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// What a server answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Who asks, and where.
#[derive(Clone, Debug)]
pub(super) struct Client {
    /// `http://address:port`, with `/t/slug` where the tenant is not the default one.
    base: String,
    token: Option<String>,
}

impl Client {
    pub(super) fn new(base: impl Into<String>, token: Option<&str>) -> Self {
        Self { base: base.into().trim_end_matches('/').to_owned(), token: token.map(str::to_owned) }
    }

    /// Signs in with a password.
    #[track_caller]
    pub(super) fn sign_in(base: impl Into<String>, username: &str, password: &str) -> Self {
        let mut client = Self::new(base, None);
        let body = serde_json::json!({"passwordCredentials": {"username": username, "password": password}});
        let answer = client.post("/api/v1/auth/signin", &body);
        let token = answer["accessToken"].as_str().unwrap_or_else(|| panic!("no token in {answer}")).to_owned();
        client.token = Some(token);
        client
    }

    /// A request, sent once.
    pub(super) fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let rest = self.base.strip_prefix("http://").expect("plain http");
        let (address, prefix) = rest.split_once('/').map_or((rest, String::new()), |(a, p)| (a, format!("/{p}")));
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.set_nodelay(true)?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let credential = self.token.as_ref().map_or(String::new(), |t| format!("Authorization: Bearer {t}\r\n"));
        let head = format!(
            "{method} {prefix}{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{credential}\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        parse(&bytes).ok_or_else(|| Error::other("the connection ended before the answer did"))
    }

    #[track_caller]
    pub(super) fn get(&self, path: &str) -> Value {
        let answer = self.send("GET", path, None).unwrap();
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.text());
        answer.json()
    }

    #[track_caller]
    pub(super) fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.send("POST", path, Some(body)).unwrap();
        assert_eq!(answer.status, 200, "POST {path}: {}", answer.text());
        answer.json()
    }

    /// The status of a GET.
    pub(super) fn status(&self, path: &str) -> u16 {
        self.send("GET", path, None).unwrap().status
    }

    /// Every page of a list.
    #[track_caller]
    pub(super) fn pages(&self, path: &str, items: &str) -> Vec<Value> {
        let (mut all, mut page) = (Vec::new(), String::new());
        let glue = if path.contains('?') { '&' } else { '?' };
        loop {
            let answer = self.get(&format!("{path}{glue}pageSize=100&pageToken={}", escaped(&page)));
            all.extend(answer[items].as_array().cloned().unwrap_or_default());
            page = answer["nextPageToken"].as_str().unwrap_or_default().to_owned();
            if page.is_empty() {
                return all;
            }
        }
    }
}

/// Percent-encoded, as one segment of a path or one value of a query.
pub(super) fn escaped(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    text.as_bytes().iter().map(|b| if plain(b) { (*b as char).to_string() } else { format!("%{b:02X}") }).collect()
}

/// A complete answer, or none when its end is missing.
fn parse(bytes: &[u8]) -> Option<Answer> {
    let split = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..split]).ok()?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    let header = |name: &str| {
        head.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.eq_ignore_ascii_case(name))
    };
    let body = &bytes[split + 4..];
    if header("transfer-encoding").is_some() {
        return Some(Answer { status, body: unchunked(body)? });
    }
    if let Some((_, length)) = header("content-length") {
        let length: usize = length.trim().parse().ok()?;
        return Some(Answer { status, body: body.get(..length)?.to_vec() });
    }
    Some(Answer { status, body: body.to_vec() })
}

fn unchunked(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let line = body.windows(2).position(|two| two == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&body[..line]).ok()?.trim(), 16).ok()?;
        if length == 0 {
            return Some(out);
        }
        out.extend_from_slice(body.get(line + 2..line + 2 + length)?);
        body = body.get(line + 4 + length..)?;
    }
}
