//! Personal access tokens: those of 0.26 and later are hashes already and go on working; the signed tokens of older
//! releases are hashed, so that a server which looks up an unknown bearer by its hash accepts them too.

use base64::Engine as _;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::table::Cell;

/// A token as it will be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    pub token_id: String,
    pub member_id: i64,
    pub token_hash: String,
    pub description: String,
    pub created_ns: i64,
    pub expires_ns: Option<i64>,
    pub last_used_ns: Option<i64>,
}

impl TokenRow {
    /// As cells of `table::ACCESS_TOKEN`.
    pub fn cells(&self) -> Vec<Cell> {
        vec![
            self.token_id.as_str().into(),
            self.member_id.into(),
            self.token_hash.as_str().into(),
            self.description.as_str().into(),
            self.created_ns.into(),
            self.expires_ns.into(),
            self.last_used_ns.into(),
        ]
    }
}

/// The tokens in a `PERSONAL_ACCESS_TOKENS` value.
pub fn personal_tokens(member: i64, json: &Json) -> Vec<TokenRow> {
    list(json, "tokens")
        .filter_map(|item| {
            let token_hash = text(item, "tokenHash").to_lowercase();
            let right = token_hash.len() == 64 && token_hash.bytes().all(|b| b.is_ascii_hexdigit());
            right.then(|| TokenRow {
                token_id: Some(text(item, "tokenId"))
                    .filter(|id| !id.is_empty())
                    .unwrap_or_else(|| id_from(&token_hash)),
                member_id: member,
                description: text(item, "description"),
                created_ns: nanos(item, "createdAt").unwrap_or_default(),
                expires_ns: nanos(item, "expiresAt"),
                last_used_ns: nanos(item, "lastUsedAt"),
                token_hash,
            })
        })
        .collect()
}

/// The tokens in an `ACCESS_TOKENS` value (up to 0.25).
pub fn signed_tokens(member: i64, json: &Json) -> Vec<TokenRow> {
    list(json, "accessTokens")
        .filter_map(|item| {
            let token = text(item, "accessToken");
            if token.is_empty() {
                return None;
            }
            let claims = claims(&token);
            let seconds =
                |key: &str| claims.get(key).and_then(Json::as_f64).map(|s| (s as i64).saturating_mul(1_000_000_000));
            let token_hash = hex::encode(Sha256::digest(token.as_bytes()));
            Some(TokenRow {
                token_id: id_from(&token_hash),
                member_id: member,
                description: text(item, "description"),
                created_ns: seconds("iat").unwrap_or_default(),
                expires_ns: seconds("exp"),
                last_used_ns: None,
                token_hash,
            })
        })
        .collect()
}

fn list<'a>(json: &'a Json, key: &str) -> impl Iterator<Item = &'a Json> {
    json.get(key).and_then(Json::as_array).into_iter().flatten()
}

fn text(json: &Json, key: &str) -> String {
    json.get(key).and_then(Json::as_str).unwrap_or_default().to_owned()
}

fn nanos(json: &Json, key: &str) -> Option<i64> {
    let at = OffsetDateTime::parse(json.get(key)?.as_str()?, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos()).ok()
}

fn claims(token: &str) -> Json {
    let decode = |part: &str| {
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?;
        serde_json::from_slice(&bytes).ok()
    };
    token.split('.').nth(1).and_then(decode).unwrap_or_default()
}

/// A public id that follows from the hash.
fn id_from(hash: &str) -> String {
    let mut bytes = [0_u8; 16];
    let digest = Sha256::digest(format!("token id of {hash}").as_bytes());
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_carried_over() {
        let json = serde_json::json!({"tokens": [
            {"tokenId": "t1", "tokenHash": "AB".repeat(32), "description": "d", "createdAt": "2026-11-22T13:27:52.795510358Z"},
            {"tokenHash": "short"},
        ]});
        let rows = personal_tokens(7, &json);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].token_hash, "ab".repeat(32));
        assert_eq!(rows[0].created_ns, 1_795_354_072_795_510_358);
        assert_eq!(rows[0].expires_ns, None);
    }

    #[test]
    fn signed_tokens_are_hashed_whole() {
        let body = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(br#"{"exp":200,"iat":100}"#);
        let token = format!("h.{body}.s");
        let rows = signed_tokens(7, &serde_json::json!({"accessTokens": [{"accessToken": token, "description": "x"}]}));
        assert_eq!(rows[0].token_hash, hex::encode(Sha256::digest(token.as_bytes())));
        assert_eq!((rows[0].created_ns, rows[0].expires_ns), (100_000_000_000, Some(200_000_000_000)));
    }
}
