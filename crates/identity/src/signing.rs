//! Signed tokens: the access token that clients carry for a quarter of an hour, and the refresh token that makes new ones.
//!
//! The claims are those of Memos, so that clients that look inside find what they expect. The key is not Memos' secret
//! itself but derived from it and the tenant's id: two tenants imported from one file hold the same secret, and still
//! nothing that one signed is worth anything at the other.

use domain::id::{MemberId, TenantId};
use domain::member::Member;
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::Error;

/// How long an access token is good, in seconds.
pub const ACCESS_SECONDS: i64 = 15 * 60;

/// How long a refresh token or page session is good after its last use, in seconds.
pub const SESSION_SECONDS: i64 = 30 * 24 * 60 * 60;

const ISSUER: &str = "memos";
const KEY_ID: &str = "v1";
const ACCESS_AUDIENCE: &str = "user.access-token";
const REFRESH_AUDIENCE: &str = "user.refresh-token";

/// The claims of an access token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// `access`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `ADMIN` or `USER`.
    pub role: String,
    /// `NORMAL` or `ARCHIVED`.
    pub status: String,
    /// The member's name.
    pub username: String,
    /// `memos`.
    pub iss: String,
    /// `user.access-token`.
    pub aud: Vec<String>,
    /// The member's number.
    pub sub: String,
    /// Seconds since 1970.
    pub iat: i64,
    /// Seconds since 1970.
    pub exp: i64,
    /// The session it was made for; empty: it stands alone (a command's, a drill's).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sid: String,
}

/// The claims of a refresh token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshClaims {
    /// `refresh`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The session.
    pub tid: String,
    /// Makes every token of a session another text.
    #[serde(default)]
    pub jti: String,
    /// `memos`.
    pub iss: String,
    /// `user.refresh-token`.
    pub aud: Vec<String>,
    /// The member's number.
    pub sub: String,
    /// Seconds since 1970.
    pub iat: i64,
    /// Seconds since 1970.
    pub exp: i64,
}

/// A tenant's key for signing and checking.
pub struct SigningKey([u8; 32]);

impl SigningKey {
    /// From the tenant's signing secret and id; none when the tenant has no secret: then nothing is valid there.
    pub fn derive(secret: &str, tenant: TenantId) -> Option<Self> {
        if secret.is_empty() {
            return None;
        }
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret.as_bytes()).ok()?;
        mac.update(b"holdfast signing v1\n");
        mac.update(tenant.0.as_bytes());
        Some(Self(mac.finalize().into_bytes().into()))
    }

    /// An access token for the member, good for `seconds` from `now` (seconds since 1970), as long as the session lasts
    /// (empty: without one).
    pub fn sign_access(&self, member: &Member, session: &str, now: i64, seconds: i64) -> Result<String, Error> {
        self.sign(&AccessClaims {
            kind: "access".to_owned(),
            role: if member.role.is_admin() { "ADMIN" } else { "USER" }.to_owned(),
            status: if member.archived { "ARCHIVED" } else { "NORMAL" }.to_owned(),
            username: member.username.clone(),
            iss: ISSUER.to_owned(),
            aud: vec![ACCESS_AUDIENCE.to_owned()],
            sub: member.id.to_string(),
            iat: now,
            exp: now.saturating_add(seconds),
            sid: session.to_owned(),
        })
    }

    /// A code over a text that only this tenant's key makes; `purpose` keeps uses apart.
    pub fn code(&self, purpose: &str, text: &str) -> [u8; 32] {
        // A key of 32 bytes always fits.
        let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.0) else { return [0; 32] };
        mac.update(purpose.as_bytes());
        mac.update(b"\n");
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// A text that can be handed out and is believed when it comes back, until `until` (seconds since 1970).
    pub fn seal(&self, purpose: &str, until: i64, text: &str) -> String {
        let body = format!("{until}.{}", hex::encode(text));
        format!("{body}.{}", hex::encode(self.code(purpose, &body)))
    }

    /// The text of a seal of ours that is not over.
    pub fn open(&self, purpose: &str, now: i64, sealed: &str) -> Option<String> {
        let (body, code) = sealed.rsplit_once('.')?;
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.0).ok()?;
        mac.update(purpose.as_bytes());
        mac.update(b"\n");
        mac.update(body.as_bytes());
        mac.verify_slice(&hex::decode(code).ok()?).ok()?;
        let (until, text) = body.split_once('.')?;
        (until.parse::<i64>().ok()? > now).then_some(())?;
        String::from_utf8(hex::decode(text).ok()?).ok()
    }

    /// A refresh token of the session; `nonce` makes it differ from the one before.
    pub fn sign_refresh(&self, member: MemberId, session: &str, nonce: &str, now: i64) -> Result<String, Error> {
        self.sign(&RefreshClaims {
            kind: "refresh".to_owned(),
            tid: session.to_owned(),
            jti: nonce.to_owned(),
            iss: ISSUER.to_owned(),
            aud: vec![REFRESH_AUDIENCE.to_owned()],
            sub: member.to_string(),
            iat: now,
            exp: now.saturating_add(SESSION_SECONDS),
        })
    }

    fn sign(&self, claims: &impl Serialize) -> Result<String, Error> {
        let header = Header { kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::HS256) };
        encode(&header, claims, &EncodingKey::from_secret(&self.0)).map_err(|cause| Error::Crypto(Box::new(cause)))
    }

    /// The claims of an access token that is valid at `now`.
    pub fn check_access(&self, token: &str, now: i64) -> Result<AccessClaims, &'static str> {
        let claims: AccessClaims = self.check(token, ACCESS_AUDIENCE)?;
        if claims.kind != "access" {
            return Err("token is of another kind");
        }
        if claims.exp <= now { Err("token has invalid claims: token is expired") } else { Ok(claims) }
    }

    /// The claims of a refresh token that is valid at `now`.
    pub fn check_refresh(&self, token: &str, now: i64) -> Result<RefreshClaims, &'static str> {
        let claims: RefreshClaims = self.check(token, REFRESH_AUDIENCE)?;
        if claims.kind != "refresh" {
            return Err("token is of another kind");
        }
        if claims.exp <= now { Err("token has invalid claims: token is expired") } else { Ok(claims) }
    }

    /// Checks signature, algorithm, issuer and audience; time is checked by the callers, who hold the clock.
    fn check<T: DeserializeOwned>(&self, token: &str, audience: &str) -> Result<T, &'static str> {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.validate_exp = false;
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[audience]);
        match decode::<Value>(token, &DecodingKey::from_secret(&self.0), &rules) {
            Ok(data) if data.header.kid.as_deref() == Some(KEY_ID) => {
                serde_json::from_value(data.claims).map_err(|_| "token is of another kind")
            }
            Ok(_) => Err("token is signed with another key"),
            Err(cause) => Err(reason(cause.kind())),
        }
    }
}

fn reason(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidSignature => "token signature is invalid: signature is invalid",
        ErrorKind::InvalidAudience => "token has invalid claims: token has invalid audience",
        ErrorKind::InvalidIssuer => "token has invalid claims: token has invalid issuer",
        ErrorKind::InvalidAlgorithm => "token signature is invalid: signing method is invalid",
        _ => MALFORMED,
    }
}

/// What is said of a text that is no token at all.
pub const MALFORMED: &str = "token is malformed: token contains an invalid number of segments";

/// Whose token this claims to be, and of which session; nothing is checked. Only to know which rows to read before checking.
pub fn claimed_member(token: &str) -> Option<(MemberId, String)> {
    #[derive(Deserialize)]
    struct Claimed {
        #[serde(rename = "type")]
        kind: String,
        sub: String,
        #[serde(default)]
        sid: String,
    }
    let claimed: Claimed = insecure_decode_claims(token).ok()?;
    if claimed.kind != "access" || claimed.sid.len() > 64 {
        return None;
    }
    claimed.sub.parse().ok().map(|id| (MemberId(id), claimed.sid))
}

/// Which session this refresh token claims to be of; nothing is checked.
pub fn claimed_session(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claimed {
        tid: String,
    }
    insecure_decode_claims::<Claimed>(token).ok().map(|claimed| claimed.tid).filter(|tid| tid.len() <= 64)
}

/// The SHA-256 of a personal access token in hex, as it is stored; the same as Memos'.
pub fn token_hash(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

/// What a session row keeps of its secret. The tenant's id is part of it, so that a copy of the rows in another tenant
/// opens for nobody.
pub fn session_hash(tenant: TenantId, secret: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(b"holdfast session v1\n");
    hasher.update(tenant.0.as_bytes());
    hasher.update(secret.as_bytes());
    hex::encode(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use domain::chance::Chance;
    use domain::member::Role;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn member() -> Member {
        Member {
            id: MemberId(7),
            username: "ana".to_owned(),
            role: Role::Owner,
            archived: false,
            email: String::new(),
            display_name: String::new(),
            avatar: String::new(),
            description: String::new(),
            created_ts: 0,
            updated_ts: 0,
        }
    }

    fn tenants() -> (TenantId, TenantId) {
        let chance = Chance::seeded(3);
        (TenantId(chance.uuid()), TenantId(chance.uuid()))
    }

    #[test]
    fn a_token_lives_a_quarter_of_an_hour() {
        let key = SigningKey::derive("secret", tenants().0).unwrap();
        let token = key.sign_access(&member(), "s1", NOW, ACCESS_SECONDS).unwrap();
        let claims = key.check_access(&token, NOW + 899).unwrap();
        assert_eq!((claims.sub.as_str(), claims.role.as_str(), claims.username.as_str()), ("7", "ADMIN", "ana"));
        assert_eq!(claimed_member(&token), Some((MemberId(7), "s1".to_owned())));
        assert!(key.check_access(&token, NOW + 900).is_err());
    }

    #[test]
    fn the_same_secret_elsewhere_is_another_key() {
        let (a, b) = tenants();
        let token = SigningKey::derive("secret", a).unwrap().sign_access(&member(), "", NOW, ACCESS_SECONDS).unwrap();
        assert!(SigningKey::derive("secret", b).unwrap().check_access(&token, NOW).is_err());
        assert!(SigningKey::derive("other", a).unwrap().check_access(&token, NOW).is_err());
        assert!(SigningKey::derive("", a).is_none());
        assert_ne!(session_hash(a, "x"), session_hash(b, "x"));
    }

    #[test]
    fn kinds_are_not_taken_for_each_other() {
        let key = SigningKey::derive("secret", tenants().0).unwrap();
        let refresh = key.sign_refresh(MemberId(7), "s1", "n1", NOW).unwrap();
        assert_eq!(key.check_access(&refresh, NOW), Err("token has invalid claims: token has invalid audience"));
        assert_eq!(claimed_member(&refresh), None);
        assert_eq!(claimed_session(&refresh).as_deref(), Some("s1"));
        assert_eq!(key.check_refresh(&refresh, NOW).unwrap().tid, "s1");
        assert_ne!(refresh, key.sign_refresh(MemberId(7), "s1", "n2", NOW).unwrap());
        assert_eq!(key.check_refresh("garbage", NOW), Err(MALFORMED));
    }

    #[test]
    fn a_seal_is_believed_once_it_is_ours_and_in_time() {
        let (a, b) = tenants();
        let key = SigningKey::derive("secret", a).unwrap();
        let sealed = key.seal("flow", NOW + 60, "what was said");
        assert_eq!(key.open("flow", NOW, &sealed).as_deref(), Some("what was said"));
        assert_eq!(key.open("flow", NOW + 60, &sealed), None);
        assert_eq!(key.open("other", NOW, &sealed), None);
        assert_eq!(SigningKey::derive("secret", b).unwrap().open("flow", NOW, &sealed), None);
        let later = sealed.replacen(&(NOW + 60).to_string(), &(NOW + 9999).to_string(), 1);
        assert_eq!(key.open("flow", NOW, &later), None);
        assert_eq!(key.open("flow", NOW, "garbage"), None);
    }

    #[test]
    fn unsigned_tokens_are_garbage() {
        use base64::Engine;
        let part = |json: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json);
        let claims = format!(
            r#"{{"type":"access","role":"ADMIN","status":"NORMAL","username":"ana","iss":"memos","aud":["user.access-token"],"sub":"7","iat":{NOW},"exp":{}}}"#,
            NOW + 900
        );
        let key = SigningKey::derive("secret", tenants().0).unwrap();
        for header in [r#"{"alg":"none","kid":"v1"}"#, r#"{"alg":"HS384","kid":"v1"}"#, r#"{"alg":"RS256","kid":"v1"}"#]
        {
            assert!(key.check_access(&format!("{}.{}.", part(header), part(&claims)), NOW).is_err(), "{header}");
            assert!(key.check_access(&format!("{}.{}.AAAA", part(header), part(&claims)), NOW).is_err(), "{header}");
        }
    }
}
