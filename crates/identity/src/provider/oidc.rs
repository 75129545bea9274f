//! An OpenID Connect provider.

use serde::{Deserialize, Serialize};

use super::{Rules, Unfit, check_ca, check_url};

/// The settings of an OpenID Connect provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Oidc {
    /// The issuer; everything else is discovered below it.
    pub issuer: String,
    /// Our id there.
    pub client_id: String,
    /// Our secret there; write-only. Empty: a public client.
    pub client_secret: String,
    /// What is asked for; `openid` is always among it.
    pub scopes: Vec<String>,
    /// Which claims are what.
    pub claims: Claims,
    /// From groups to a role, and who may come at all.
    pub rules: Rules,
    /// Whether an address counts as verified although the provider does not say so: only for a provider that alone gives
    /// out the addresses of `allowedDomains`.
    pub email_trusted: bool,
    /// Whether signing out here signs out there, too.
    pub sign_out_there: bool,
    /// By how many seconds clocks may differ.
    pub clock_skew_seconds: i64,
    /// A certificate authority of its own (PEM), beside those of the system.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca_pem: String,
}

/// Which claims are what; `a.b` looks into an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Claims {
    /// The username that is wished for.
    pub name: String,
    /// The name to show.
    pub display_name: String,
    /// The address.
    pub email: String,
    /// The groups.
    pub groups: String,
    /// The picture.
    pub avatar: String,
}

impl Default for Claims {
    fn default() -> Self {
        Self {
            name: "preferred_username".to_owned(),
            display_name: "name".to_owned(),
            email: "email".to_owned(),
            groups: "groups".to_owned(),
            avatar: "picture".to_owned(),
        }
    }
}

impl Default for Oidc {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            client_id: String::new(),
            client_secret: String::new(),
            scopes: ["openid", "profile", "email"].map(str::to_owned).to_vec(),
            claims: Claims::default(),
            rules: Rules::default(),
            email_trusted: false,
            sign_out_there: true,
            clock_skew_seconds: 60,
            ca_pem: String::new(),
        }
    }
}

impl Oidc {
    /// Refuses settings that cannot work.
    pub(super) fn check(&self) -> Result<(), Unfit> {
        if self.issuer.is_empty() {
            return Err(Unfit("issuer is required".to_owned()));
        }
        check_url("issuer", &self.issuer)?;
        if self.client_id.is_empty() {
            return Err(Unfit("clientId is required".to_owned()));
        }
        if !(0..=600).contains(&self.clock_skew_seconds) {
            return Err(Unfit("clockSkewSeconds must be 0 to 600".to_owned()));
        }
        self.rules.check()?;
        check_ca(&self.ca_pem)
    }

    /// What is asked for, `openid` first.
    pub fn asked_scopes(&self) -> String {
        let others = self.scopes.iter().map(String::as_str).filter(|scope| *scope != "openid");
        std::iter::once("openid").chain(others).collect::<Vec<_>>().join(" ")
    }
}
