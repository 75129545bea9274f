//! What is known of a provider: its addresses and keys, fetched when they are first needed, never kept when they are bad.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use domain::id::TenantId;
use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
    CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode,
    CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::{AdditionalProviderMetadata, ProviderMetadata};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Identity;
use crate::outbound::{Failure, Outbound};
use crate::provider::Oidc;

/// How long addresses and keys are good, in seconds.
const GOOD_FOR: i64 = 600;
/// How long at least lies between two fetches of keys that a message of strangers asks for, in seconds.
pub(crate) const STRANGERS_PAUSE: i64 = 10;
/// The same for a token that the provider itself has just given us.
pub(crate) const OWN_PAUSE: i64 = 1;
/// Providers remembered.
const KEPT: usize = 4096;

/// Of which provider: tenant and public id.
pub(crate) type Key = (TenantId, String);

/// What we read of a provider's description beyond the library.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Extra {
    #[serde(skip_serializing_if = "Option::is_none")]
    end_session_endpoint: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for Extra {}

/// A provider's description.
pub(crate) type Metadata = ProviderMetadata<
    Extra,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// What is known of a provider.
#[derive(Clone, Debug)]
pub struct Known {
    metadata: Arc<Metadata>,
    pub(crate) keys: Arc<CoreJsonWebKeySet>,
    issuer: String,
    ca_pem: String,
    fetched: i64,
    keys_asked: i64,
}

impl Known {
    /// Where members are led.
    pub fn authorization_endpoint(&self) -> String {
        self.metadata.authorization_endpoint().to_string()
    }

    /// Where a code becomes tokens.
    pub(crate) fn token_endpoint(&self) -> String {
        self.metadata.token_endpoint().map(ToString::to_string).unwrap_or_default()
    }

    /// Where a token tells who it is.
    pub(crate) fn userinfo_endpoint(&self) -> Option<String> {
        self.metadata.userinfo_endpoint().map(ToString::to_string)
    }

    /// Where members sign out.
    pub(crate) fn end_session_endpoint(&self) -> Option<String> {
        self.metadata.additional_metadata().end_session_endpoint.clone()
    }

    /// Whether its answers always say from whom they are.
    pub(crate) fn names_itself(&self) -> bool {
        self.metadata.additional_metadata().authorization_response_iss_parameter_supported
    }

    /// How our secret is sent: in the header, unless it only takes it in the form.
    pub(crate) fn takes_basic(&self) -> Option<bool> {
        let methods = self.metadata.token_endpoint_auth_methods_supported()?;
        let has = |method: &CoreClientAuthMethod| methods.contains(method);
        Some(has(&CoreClientAuthMethod::ClientSecretBasic) || !has(&CoreClientAuthMethod::ClientSecretPost))
    }
}

/// What is known of every provider. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Directory(Arc<Mutex<HashMap<Key, Known>>>);

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Directory")
    }
}

impl Directory {
    fn find(&self, key: &Key) -> Option<Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn put(&self, key: &Key, known: Known) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= KEPT {
            all.clear();
        }
        all.insert(key.clone(), known);
    }
}

impl Identity {
    /// What is known of the provider, fetched when it is not known or too old. While it is silent, what was known of it
    /// before goes on being used.
    pub(crate) async fn known(&self, key: &Key, oidc: &Oidc) -> Result<Known, Failure> {
        let now = self.clock.seconds();
        let before =
            self.providers.find(key).filter(|known| known.issuer == oidc.issuer && known.ca_pem == oidc.ca_pem);
        if let Some(known) = &before
            && now - known.fetched < GOOD_FOR
        {
            return Ok(known.clone());
        }
        match discover(&self.outbound, oidc).await {
            Ok(metadata) => {
                let keys = Arc::new(metadata.jwks().clone());
                let (issuer, ca_pem) = (oidc.issuer.clone(), oidc.ca_pem.clone());
                let metadata = Arc::new(metadata);
                let known = Known { metadata, keys, issuer, ca_pem, fetched: now, keys_asked: i64::MIN };
                self.providers.put(key, known.clone());
                Ok(known)
            }
            Err(failure) => match before {
                Some(known) => {
                    tracing::warn!(provider = key.1, error = %failure, "a provider is silent; what was known of it is used");
                    Ok(known)
                }
                None => Err(failure),
            },
        }
    }

    /// Fetches the provider's keys again, unless that was done less than `pause` seconds ago.
    pub(crate) async fn newer_keys(&self, key: &Key, oidc: &Oidc, pause: i64) -> Result<Option<Known>, Failure> {
        let now = self.clock.seconds();
        let Some(mut known) = self.providers.find(key) else { return self.known(key, oidc).await.map(Some) };
        if now.saturating_sub(known.keys_asked) < pause {
            return Ok(None);
        }
        known.keys_asked = now;
        self.providers.put(key, known.clone());
        let url = known.metadata.jwks_uri().to_string();
        known.keys = Arc::new(fetch_keys(&self.outbound, oidc, &url).await?);
        self.providers.put(key, known.clone());
        Ok(Some(known))
    }
}

/// Fetches a provider's description and keys.
pub(crate) async fn discover(outbound: &Outbound, oidc: &Oidc) -> Result<Metadata, Failure> {
    let issuer = &oidc.issuer;
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let metadata: Metadata = fetch(outbound, oidc, &url).await?;
    if metadata.issuer().as_str() != issuer {
        let other = metadata.issuer().as_str();
        return Err(Failure::Unfit(format!("{issuer} describes itself wrongly: it says that it is {other}")));
    }
    let keys = fetch_keys(outbound, oidc, metadata.jwks_uri().as_str()).await?;
    Ok(metadata.set_jwks(keys))
}

async fn fetch_keys(outbound: &Outbound, oidc: &Oidc, url: &str) -> Result<CoreJsonWebKeySet, Failure> {
    fetch(outbound, oidc, url).await
}

/// Fetches a JSON document of the provider.
async fn fetch<T: DeserializeOwned>(outbound: &Outbound, oidc: &Oidc, url: &str) -> Result<T, Failure> {
    let request = http::Request::get(url).header("accept", "application/json").body(Vec::new());
    let request = request.map_err(|error| Failure::Unfit(format!("{url} is no URL: {error}")))?;
    let answer = outbound.send(&oidc.ca_pem, request).await?;
    if answer.status != 200 {
        let status = http::StatusCode::from_u16(answer.status).map_or_else(|_| "garbage".to_owned(), |s| s.to_string());
        return Err(Failure::Silent { url: oidc.issuer.clone(), cause: format!("it answers {status}") });
    }
    serde_json::from_slice(&answer.body)
        .map_err(|error| Failure::Unfit(format!("{} answers what is no description: {error}", oidc.issuer)))
}
