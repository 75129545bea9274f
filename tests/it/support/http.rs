//! HTTP/1.1 with exact control of what is sent: no header but those given, `Host`, `Connection` and the length.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client of one tenant.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    pub(crate) address: SocketAddr,
    pub(crate) host: String,
    /// What every path begins with: nothing or `/t/{slug}`.
    pub(crate) base: String,
}

/// A header.
pub(crate) type Header = (String, String);

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<Header>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All headers of this name.
    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The body as JSON; null when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Http {
    /// Sends a request below the base and reads the whole answer.
    pub(crate) fn send(&self, verb: &str, path: &str, headers: &[Header], body: Option<&[u8]>) -> Answer {
        let mut head = format!("{verb} {}{path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.base, self.host);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if body.is_some() || matches!(verb, "POST" | "PATCH" | "PUT") {
            head.push_str(&format!("Content-Length: {}\r\n", body.map_or(0, <[u8]>::len)));
        }
        head.push_str("\r\n");
        let mut stream = TcpStream::connect(self.address).expect("the server's port");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        // A server may answer and close before it has read a body that it refuses.
        stream.write_all(body.unwrap_or_default()).ok();
        let mut raw = Vec::new();
        if let Err(error) = stream.read_to_end(&mut raw)
            && raw.is_empty()
        {
            panic!("{verb} {path}: {error}");
        }
        parse(&raw, verb == "HEAD")
            .unwrap_or_else(|| panic!("{verb} {path}: no HTTP: {:?}", &raw[..raw.len().min(200)]))
    }

    /// A JSON request with an access token, when there is one.
    pub(crate) fn call(&self, verb: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> Answer {
        let mut headers = Vec::new();
        if let Some(token) = token {
            headers.push(("Authorization".to_owned(), format!("Bearer {token}")));
        }
        if body.is_some() {
            headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        }
        let body = body.map(|body| serde_json::to_vec(body).unwrap());
        self.send(verb, path, &headers, body.as_deref())
    }

    /// Signs in over Connect: the access token and the refresh cookie's value.
    pub(crate) fn sign_in(&self, username: &str, password: &str) -> (String, String) {
        let body = serde_json::json!({"passwordCredentials": {"username": username, "password": password}});
        let answer = self.call("POST", "/memos.api.v1.AuthService/SignIn", None, Some(&body));
        assert_eq!(answer.status, 200, "{username} signs in: {}", answer.text());
        let cookie = answer.header("set-cookie").unwrap_or_default();
        let cookie = cookie.split(';').next().and_then(|pair| pair.split_once('=')).map_or("", |(_, value)| value);
        (answer.json()["accessToken"].as_str().unwrap_or_default().to_owned(), cookie.to_owned())
    }
}

fn parse(raw: &[u8], head_only: bool) -> Option<Answer> {
    let end = raw.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&raw[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<Header> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let mut answer = Answer { status, headers, body: Vec::new() };
    if head_only {
        return Some(answer);
    }
    let rest = &raw[end + 4..];
    let chunked = answer.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    answer.body = if chunked { unchunk(rest)? } else { rest.to_vec() };
    Some(answer)
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..end]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(out);
        }
        let start = end + 2;
        out.extend_from_slice(rest.get(start..start + size)?);
        rest = rest.get(start + size + 2..)?;
    }
}
