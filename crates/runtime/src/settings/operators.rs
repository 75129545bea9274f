//! Sign-in of operators by an OpenID provider: the keys `operator_oidc_…`.

use std::path::PathBuf;

use url::Url;

use super::layers::Layers;
use super::{Error, values};

/// The operators' provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorOidc {
    /// Its issuer, as written: providers tell a slash at the end from none.
    pub issuer: String,
    /// Our id there.
    pub client_id: String,
    /// File with our secret there.
    pub client_secret_file: PathBuf,
    /// Of these groups an operator must be in one.
    pub groups: Vec<String>,
    /// The claim that names the groups; `a.b` looks into an object.
    pub groups_claim: String,
    /// The claim that names the operator.
    pub name_claim: String,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// What the sign-in page calls it.
    pub title: String,
    /// File with a certificate authority of its own.
    pub ca_file: Option<PathBuf>,
}

fn issuer(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| format!("no URL ({error}); expected https://sso.example.org"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("must begin with https:// and name a host".to_owned());
    }
    Ok(text.to_owned())
}

impl OperatorOidc {
    /// None without an issuer.
    pub(super) fn read(layers: &Layers) -> Result<Option<Self>, Error> {
        let Some(issuer) = layers.parsed("operator_oidc_issuer", issuer)? else { return Ok(None) };
        let needed = |key: &str| Error::Together(format!("operator_oidc_issuer is set; set {key} as well"));
        let client_id = layers.parsed("operator_oidc_client_id", values::word)?;
        let client_secret_file = layers.path("operator_oidc_client_secret_file")?;
        let groups = layers.list("operator_oidc_groups", values::word)?;
        if groups.is_empty() {
            return Err(needed("operator_oidc_groups, of which an operator must be in one,"));
        }
        Ok(Some(Self {
            issuer,
            client_id: client_id.ok_or_else(|| needed("operator_oidc_client_id"))?,
            client_secret_file: client_secret_file.ok_or_else(|| needed("operator_oidc_client_secret_file"))?,
            groups,
            groups_claim: layers.required("operator_oidc_groups_claim", values::word)?,
            name_claim: layers.required("operator_oidc_name_claim", values::word)?,
            scopes: layers.list("operator_oidc_scopes", values::word)?,
            title: layers.required("operator_oidc_title", values::word)?,
            ca_file: layers.path("operator_oidc_ca_file")?,
        }))
    }
}
