//! The operators' OpenID provider, from the settings.

use identity::provider::{Oidc, Provider};
use runtime::exit::CommandError;
use runtime::settings::{Settings, read_secret};

use crate::errors::failed;

/// The provider that operators may sign in by; none when none is set.
pub(crate) fn provider(settings: &Settings) -> Result<Option<Provider>, CommandError> {
    let Some(set) = &settings.operator_oidc else { return Ok(None) };
    let mut oidc = Oidc {
        issuer: set.issuer.clone(),
        client_id: set.client_id.clone(),
        client_secret: read_secret(&set.client_secret_file).map_err(failed)?.expose().to_owned(),
        scopes: set.scopes.clone(),
        ..Oidc::default()
    };
    if let Some(file) = &set.ca_file {
        oidc.ca_pem = std::fs::read_to_string(file).map_err(|error| {
            let message = format!("operator_oidc_ca_file: cannot read {}: {error}", file.display());
            CommandError::usage(message).next("check the path and its rights")
        })?;
    }
    oidc.claims.name.clone_from(&set.name_claim);
    oidc.claims.groups.clone_from(&set.groups_claim);
    oidc.rules.required_groups.clone_from(&set.groups);
    let provider = Provider::of_operators(&set.title, oidc);
    provider.map(Some).map_err(|unfit| CommandError::usage(format!("operator_oidc_…: {unfit}")))
}
