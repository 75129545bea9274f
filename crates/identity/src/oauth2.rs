//! OAuth2 as Memos has it: a token from a code, and a few fields of what the provider says about whoever it belongs to.

use regex::RegexBuilder;
use serde_json::Value;

use crate::accounts::Person;
use crate::error::{Refusal, Why};
use crate::exchange::{self, Exchange};
use crate::oidc::{Code, claims};
use crate::provider::{Groups, OAuth2, Provider};
use crate::{Error, Identity};

/// The largest program that a filter may become, in bytes.
const LARGEST_FILTER: usize = 1024 * 1024;

impl Identity {
    /// Turns a code into the person that it is about.
    pub(crate) async fn oauth2_person(
        &self,
        provider: &Provider,
        oauth2: &OAuth2,
        code: Code<'_>,
    ) -> Result<Person, Error> {
        let exchange = Exchange {
            token_url: oauth2.token_url.clone(),
            client_id: &oauth2.client_id,
            client_secret: &oauth2.client_secret,
            basic: None,
            ca_pem: &oauth2.ca_pem,
        };
        let title = provider.title();
        let tokens = exchange::tokens(&self.outbound, exchange, &code, title).await?;
        let told =
            exchange::user_info(&self.outbound, &oauth2.user_info_url, &tokens.access_token, &oauth2.ca_pem, title)
                .await?;
        let mapping = &oauth2.field_mapping;
        let identifier = claims::at(&told, &mapping.identifier).and_then(Value::as_str).unwrap_or_default();
        if identifier.is_empty() {
            let message = format!("the answer of {title} was refused: the field {} is no text", mapping.identifier);
            return Err(Refusal::new(Why::Invalid, message).into());
        }
        let fits = is_fitting(&provider.identifier_filter, identifier).map_err(|cause| {
            let message = format!("{title} is not set up rightly; tell an owner of this workspace");
            Error::from(Refusal::new(Why::Unavailable, message).because(format!("identifier filter: {cause}")))
        })?;
        if !fits {
            let message = format!("access denied: {identifier} is not among those who may sign in by {title}");
            return Err(Refusal::new(Why::Denied, message).because("the identifier does not match the filter").into());
        }
        let display_name = claims::text(&told, &mapping.display_name);
        Ok(Person {
            provider: provider.uid.clone(),
            issuer: String::new(),
            subject: identifier.to_owned(),
            username: identifier.to_owned(),
            display_name: if display_name.is_empty() { identifier.to_owned() } else { display_name },
            email: claims::text(&told, &mapping.email),
            email_verified: false,
            avatar: claims::text(&told, &mapping.avatar_url),
            groups: Groups::Untold("an OAuth2 provider tells no groups"),
        })
    }
}

/// Whether an identifier matches the filter; an empty one lets everybody pass.
pub(crate) fn is_fitting(filter: &str, identifier: &str) -> Result<bool, regex::Error> {
    if filter.is_empty() {
        return Ok(true);
    }
    Ok(RegexBuilder::new(filter).size_limit(LARGEST_FILTER).build()?.is_match(identifier))
}
