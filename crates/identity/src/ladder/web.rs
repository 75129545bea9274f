//! The rungs of providers that speak HTTP.

use super::Ladder;
use crate::Identity;
use crate::error::Error;
use crate::exchange::{self, Exchange};
use crate::oidc::{Code, known};
use crate::outbound::Failure;
use crate::provider::{OAuth2, Oidc, Provider};

impl Identity {
    /// From the issuer's name to what our client is worth there.
    pub(super) async fn climb_oidc(&self, provider: &Provider, oidc: &Oidc, ladder: &mut Ladder) -> bool {
        if !self.climb_url(&oidc.issuer, &oidc.ca_pem, ladder).await {
            return false;
        }
        let metadata = match known::discover(&self.outbound, oidc).await {
            Ok(metadata) => metadata,
            Err(failure) => {
                broken_discovery(&failure, ladder);
                return false;
            }
        };
        ladder.ok(
            "discovery",
            format!(
                "{} describes itself; people sign in at {}",
                oidc.issuer,
                metadata.authorization_endpoint().as_str()
            ),
        );
        let keys = metadata.jwks().keys().len();
        if keys == 0 {
            ladder.failed(
                "keys",
                "it publishes no key to check its signatures by",
                "tell the provider's administrator",
            );
            return false;
        }
        ladder.ok("keys", format!("{keys} published"));
        let Some(token_url) = metadata.token_endpoint().map(ToString::to_string) else {
            ladder.failed("client", "it names no token endpoint", "tell the provider's administrator");
            return false;
        };
        let exchange = Exchange {
            token_url,
            client_id: &oidc.client_id,
            client_secret: &oidc.client_secret,
            basic: None,
            ca_pem: &oidc.ca_pem,
        };
        self.climb_client(provider, exchange, ladder).await
    }

    /// From the token endpoint's name to what our client is worth there.
    pub(super) async fn climb_oauth2(&self, provider: &Provider, oauth2: &OAuth2, ladder: &mut Ladder) -> bool {
        if !self.climb_url(&oauth2.token_url, &oauth2.ca_pem, ladder).await {
            return false;
        }
        let exchange = Exchange {
            token_url: oauth2.token_url.clone(),
            client_id: &oauth2.client_id,
            client_secret: &oauth2.client_secret,
            basic: None,
            ca_pem: &oauth2.ca_pem,
        };
        self.climb_client(provider, exchange, ladder).await
    }

    async fn climb_url(&self, url: &str, ca_pem: &str, ladder: &mut Ladder) -> bool {
        let Ok(url) = url::Url::parse(url) else {
            ladder.failed("settings", format!("{url} is no URL"), "write a whole URL");
            return false;
        };
        let host = url.host_str().unwrap_or_default();
        let Some(addresses) = self.climb_dns(host, url.port_or_known_default().unwrap_or(443), ladder).await else {
            return false;
        };
        let Some(stream) = self.climb_tcp(&addresses, ladder).await else { return false };
        if url.scheme() == "https" {
            return self.climb_tls(stream, host, ca_pem, ladder).await;
        }
        ladder.note("tls", "none: the address begins with http://", "use https unless the provider is on this machine");
        true
    }

    /// Shows a code that is none: whoever knows our client refuses the code, whoever does not refuses us.
    async fn climb_client(&self, provider: &Provider, exchange: Exchange<'_>, ladder: &mut Ladder) -> bool {
        let code = Code {
            code: "holdfast-test-of-settings",
            redirect_uri: "https://holdfast.invalid/auth/callback",
            verifier: "holdfast-test-of-settings-holdfast-test-of-settings",
            nonce: None,
        };
        let client_id = exchange.client_id.to_owned();
        let outcome = exchange::tokens(&self.outbound, exchange, &code, provider.title()).await;
        let reason = match outcome {
            Ok(_) => "it gave a token for a code that is none".to_owned(),
            Err(Error::Refused(refusal)) => refusal.reason,
            Err(error) => error.to_string(),
        };
        if reason.contains("invalid_client") || reason.contains("unauthorized_client") {
            let next = "correct client_id and client_secret: they are not those that the provider knows";
            ladder.failed("client", format!("it does not know {client_id} with this secret"), next);
            return false;
        }
        if reason.starts_with("token endpoint: invalid_grant") {
            ladder.ok("client", format!("it knows {client_id}"));
            return true;
        }
        ladder.note("client", reason, "sign in once to see whether it takes our client");
        true
    }
}

fn broken_discovery(failure: &Failure, ladder: &mut Ladder) {
    let next = match failure {
        Failure::Silent { cause, .. } if cause.contains("404") => {
            "correct the issuer: there is no /.well-known/openid-configuration below it"
        }
        Failure::Silent { .. } => "see what the provider's own log says",
        Failure::Unfit(text) if text.contains("describes itself wrongly") => {
            "write the issuer exactly as the provider writes it, with or without a slash at its end"
        }
        _ => "is that an OpenID provider? Open the address /.well-known/openid-configuration below it in a browser",
    };
    ladder.failed("discovery", failure.to_string(), next);
}
