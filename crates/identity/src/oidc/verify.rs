//! Whether an ID token may be believed: signature, algorithm, issuer, audience, times, nonce.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{CoreIdToken, CoreIdTokenVerifier, CoreJwsSigningAlgorithm};
use openidconnect::{ClaimsVerificationError, ClientId, IssuerUrl, Nonce, SignatureVerificationError};
use serde_json::{Map, Value};

use super::known::{Key, Known, OWN_PAUSE};
use super::{distrusted, unreachable};
use crate::provider::{Oidc, Provider};
use crate::{Error, Identity};

/// The longest ID token, in bytes.
const LONGEST: usize = 64 * 1024;

/// Signatures by keys that the provider publishes; never `none`, never by a shared secret.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

enum Doubt {
    /// Newer keys may help.
    Key(String),
    /// Nothing helps.
    Final(String),
}

impl Identity {
    /// The claims of an ID token that may be believed. On an unknown key or a bad signature the keys are fetched once more
    /// and the same token is looked at again.
    pub(super) async fn verified(
        &self,
        key: &Key,
        provider: &Provider,
        oidc: &Oidc,
        token: &str,
        nonce: Option<&str>,
    ) -> Result<Map<String, Value>, Error> {
        if token.len() > LONGEST {
            return Err(distrusted(provider, "it is longer than 64 KiB"));
        }
        let known = self.known(key, oidc).await.map_err(|failure| unreachable(provider, &failure))?;
        let now = self.clock.seconds();
        match believe(&known, oidc, token, nonce, now) {
            Ok(claims) => Ok(claims),
            Err(Doubt::Final(why)) => Err(distrusted(provider, why)),
            Err(Doubt::Key(why)) => {
                let newer = self.newer_keys(key, oidc, OWN_PAUSE).await;
                let newer = newer.map_err(|failure| unreachable(provider, &failure))?;
                let Some(known) = newer else { return Err(distrusted(provider, why)) };
                believe(&known, oidc, token, nonce, now).map_err(|doubt| match doubt {
                    Doubt::Key(why) | Doubt::Final(why) => distrusted(provider, why),
                })
            }
        }
    }
}

fn believe(
    known: &Known,
    oidc: &Oidc,
    token: &str,
    nonce: Option<&str>,
    now: i64,
) -> Result<Map<String, Value>, Doubt> {
    let fatal = |why: &str| Doubt::Final(why.to_owned());
    if header(token).and_then(|header| header.get("alg").cloned()) == Some(Value::from("none")) {
        return Err(fatal("its ID token is not signed"));
    }
    let parsed = CoreIdToken::from_str(token).map_err(|_| fatal("its ID token cannot be read"))?;
    let issuer = IssuerUrl::new(oidc.issuer.clone()).map_err(|_| fatal("the issuer is no URL"))?;
    let skew = oidc.clock_skew_seconds;
    let verifier = CoreIdTokenVerifier::new_public_client(
        ClientId::new(oidc.client_id.clone()),
        issuer,
        known.keys.as_ref().clone(),
    )
    .set_allowed_algs(ALGORITHMS)
    .set_other_audience_verifier_fn(|_| true)
    .set_time_fn(move || chrono::DateTime::from_timestamp(now - skew, 0).unwrap_or_default())
    .set_issue_time_verifier_fn(move |issued| {
        if issued.timestamp() > now + skew { Err("issued in the future".to_owned()) } else { Ok(()) }
    });
    let wanted = nonce.map(|nonce| Nonce::new(nonce.to_owned()));
    let checked = match &wanted {
        Some(nonce) => parsed.claims(&verifier, nonce).map(|_| ()),
        None => parsed.claims(&verifier, |_: Option<&Nonce>| Ok(())).map(|_| ()),
    };
    checked.map_err(|error| doubt(&error))?;
    let claims = payload(token).ok_or_else(|| fatal("its ID token cannot be read"))?;
    if claims.get("nbf").and_then(Value::as_i64).is_some_and(|from| from > now + skew) {
        return Err(fatal("its ID token is not valid yet; look at both clocks"));
    }
    if claims.get("sub").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(fatal("its ID token has no subject"));
    }
    authorized_party(&claims, &oidc.client_id).map_err(fatal)?;
    Ok(claims)
}

/// A token for several applications must name us as the one that asked for it.
fn authorized_party(claims: &Map<String, Value>, client_id: &str) -> Result<(), &'static str> {
    let several = claims.get("aud").and_then(Value::as_array).is_some_and(|list| list.len() > 1);
    match claims.get("azp").and_then(Value::as_str) {
        Some(party) if party == client_id => Ok(()),
        None if !several => Ok(()),
        _ => Err("its ID token was made for another application"),
    }
}

fn doubt(error: &ClaimsVerificationError) -> Doubt {
    use ClaimsVerificationError as E;
    use SignatureVerificationError as S;
    let fatal = |why: &str| Doubt::Final(why.to_owned());
    match error {
        E::Expired(why) if why.contains("future") => fatal("its ID token is not valid yet; look at both clocks"),
        E::Expired(_) => fatal("its ID token is out of date; look at both clocks"),
        E::InvalidAudience(_) => fatal("its ID token was made for another application"),
        E::InvalidIssuer(_) => fatal("its ID token was issued by somebody else"),
        E::InvalidNonce(_) => fatal("its ID token belongs to another sign-in"),
        E::SignatureVerification(cause) => match cause {
            S::NoSignature => fatal("its ID token is not signed"),
            S::DisallowedAlg(_) | S::UnsupportedAlg(_) => fatal("its ID token is signed in a way that is not allowed"),
            S::NoMatchingKey | S::AmbiguousKeyId(_) | S::InvalidKey(_) => {
                Doubt::Key("its ID token is signed with an unknown key".to_owned())
            }
            _ => Doubt::Key("the signature of its ID token is wrong".to_owned()),
        },
        _ => fatal("its ID token cannot be believed"),
    }
}

fn part(token: &str, at: usize) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(at)?).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// The header of a token, believed in nothing.
pub(super) fn header(token: &str) -> Option<Map<String, Value>> {
    part(token, 0)
}

/// The claims of a token; to be believed only after it was verified.
pub(super) fn payload(token: &str) -> Option<Map<String, Value>> {
    part(token, 1)
}
