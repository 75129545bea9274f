//! A provider that misbehaves on request: what a real one never sends.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::KeyPair;
use serde_json::{Value, json};

/// A provider whose answers are what the test puts there: path → (status, body).
#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    answers: Arc<Mutex<HashMap<String, (u16, String)>>>,
    key: Arc<Mutex<KeyPair>>,
}

impl Fake {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers: Arc<Mutex<HashMap<String, (u16, String)>>> = Arc::default();
        let served = Arc::clone(&answers);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let length =
                    head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                let mut body = vec![0; length.unwrap_or(0)];
                stream.read_exact(&mut body).ok();
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let found = served.lock().unwrap().get(&path).cloned();
                let (status, text) = found.unwrap_or((404, "{}".to_owned()));
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
                    text.len()
                );
                stream.write_all(answer.as_bytes()).ok();
            }
        });
        let fake = Self { address, answers, key: Arc::new(Mutex::new(KeyPair::generate().unwrap())) };
        fake.describe(&json!({}));
        fake.publish("k1");
        fake
    }

    pub(crate) fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn put(&self, path: &str, status: u16, body: &str) {
        self.answers.lock().unwrap().insert(path.to_owned(), (status, body.to_owned()));
    }

    /// The description, with other or more fields.
    pub(crate) fn describe(&self, more: &Value) {
        let at = |path: &str| format!("{}{path}", self.issuer());
        let mut text = json!({
            "issuer": self.issuer(), "authorization_endpoint": at("/auth"), "token_endpoint": at("/token"),
            "userinfo_endpoint": at("/me"), "jwks_uri": at("/jwks"), "response_types_supported": ["code"],
            "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["ES256"],
        });
        for (name, value) in more.as_object().unwrap() {
            text[name] = value.clone();
        }
        self.put("/.well-known/openid-configuration", 200, &text.to_string());
    }

    /// The key under this id.
    pub(crate) fn publish(&self, kid: &str) {
        let raw = self.key.lock().unwrap().public_key_raw().to_vec();
        let part = |from: usize| URL_SAFE_NO_PAD.encode(&raw[from..from + 32]);
        let key =
            json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid, "x": part(1), "y": part(33)});
        self.put("/jwks", 200, &json!({"keys": [key]}).to_string());
    }

    /// Another key, which is not published yet.
    pub(crate) fn change_key(&self) {
        *self.key.lock().unwrap() = KeyPair::generate().unwrap();
    }

    pub(crate) fn sign(&self, kid: &str, claims: &Value) -> String {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::ES256) };
        let der = self.key.lock().unwrap().serialize_der();
        encode(&header, claims, &EncodingKey::from_ec_der(&der)).unwrap()
    }

    /// What it gives for a code.
    pub(crate) fn give(&self, id_token: &str) {
        let tokens = json!({"access_token": "a", "token_type": "Bearer", "id_token": id_token});
        self.put("/token", 200, &tokens.to_string());
    }
}

/// A token with any header, signed by nobody.
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", part(header), part(claims))
}

/// A token signed with a shared secret.
pub(crate) fn by_secret(secret: &str, claims: &Value) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}
