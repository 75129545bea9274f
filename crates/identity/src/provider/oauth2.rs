//! An OAuth2 provider: three addresses and a mapping, as Memos keeps them.

use serde::{Deserialize, Serialize};

use super::{Unfit, check_ca, check_url};

/// The settings of an OAuth2 provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OAuth2 {
    /// Our id there.
    pub client_id: String,
    /// Our secret there; write-only.
    pub client_secret: String,
    /// Where members are led.
    pub auth_url: String,
    /// Where a code becomes a token.
    pub token_url: String,
    /// Where a token tells who it is.
    pub user_info_url: String,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// Which fields of the answer are what.
    pub field_mapping: FieldMapping,
    /// A certificate authority of its own (PEM), beside those of the system.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca_pem: String,
}

/// Which fields of the answer about a person are what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct FieldMapping {
    /// Who it is; must be a text.
    pub identifier: String,
    /// The name to show.
    pub display_name: String,
    /// The address.
    pub email: String,
    /// The picture.
    pub avatar_url: String,
}

impl OAuth2 {
    /// Refuses settings that cannot work.
    pub(super) fn check(&self) -> Result<(), Unfit> {
        let needed = |name: &str, value: &str| {
            if value.is_empty() { Err(Unfit(format!("{name} is required"))) } else { Ok(()) }
        };
        needed("clientId", &self.client_id)?;
        for (name, url) in
            [("authUrl", &self.auth_url), ("tokenUrl", &self.token_url), ("userInfoUrl", &self.user_info_url)]
        {
            needed(name, url)?;
            check_url(name, url)?;
        }
        needed("fieldMapping.identifier", &self.field_mapping.identifier)?;
        check_ca(&self.ca_pem)
    }
}
