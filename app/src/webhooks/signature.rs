//! Signing as the Standard Webhooks specification has it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::chance::Chance;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What a secret begins with whose rest is the key in base64.
const PREFIX: &str = "whsec_";

/// A fresh secret.
pub(super) fn fresh(chance: &Chance) -> String {
    format!("{PREFIX}{}", STANDARD.encode(chance.bytes::<32>()))
}

/// The value of the header `webhook-signature`; none when the secret makes no key.
pub(super) fn sign(secret: &str, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
    let key = match secret.strip_prefix(PREFIX) {
        Some(text) => STANDARD.decode(text).ok()?,
        None => secret.as_bytes().to_vec(),
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_specification() {
        // The specification's own example.
        let signed = sign(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        assert!(sign("whsec_***", "a", 1, b"").is_none());
        assert!(sign("plain", "a", 1, b"").is_some());
    }
}
