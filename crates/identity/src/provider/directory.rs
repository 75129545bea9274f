//! A directory that is asked by LDAP.

use serde::{Deserialize, Serialize};

use super::{Rules, Unfit, check_ca};

/// The settings of a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Directory {
    /// `ldaps://host:636` or `ldap://host:389`; the next is asked when one does not answer.
    pub servers: Vec<String>,
    /// Whether a `ldap://` connection is secured by StartTLS. When that fails, nothing is sent.
    pub start_tls: bool,
    /// Whether passwords may travel in the clear. Off: `ldap://` without StartTLS is refused.
    pub allow_plain: bool,
    /// A certificate authority of its own (PEM), beside those of the system.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca_pem: String,
    /// Who searches; empty: nobody in particular.
    pub bind_dn: String,
    /// Its password; write-only.
    pub bind_password: String,
    /// Below which entry people are looked for.
    pub user_base: String,
    /// Which entry it is; `{username}` is replaced by what was typed, escaped.
    pub user_filter: String,
    /// Below which entry groups are looked for; empty: groups are not looked for.
    pub group_base: String,
    /// Which entries are groups.
    pub group_filter: String,
    /// The attribute of a group that names its members.
    pub member_attribute: String,
    /// The attribute of a group by which rules name it.
    pub group_name_attribute: String,
    /// Which attributes are what.
    pub attributes: Attributes,
    /// From groups to a role, and who may come at all.
    pub rules: Rules,
    /// How long a server may take to answer, in seconds.
    pub timeout_seconds: u64,
    /// How many entries are asked for at a time.
    pub page_size: i32,
}

/// Which attributes of a person are what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Attributes {
    /// Who it is, for ever: `entryUUID`, or `objectGUID` with Active Directory.
    pub id: String,
    /// The username that is wished for.
    pub name: String,
    /// The name to show.
    pub display_name: String,
    /// The address.
    pub email: String,
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            id: "entryUUID".to_owned(),
            name: "uid".to_owned(),
            display_name: "cn".to_owned(),
            email: "mail".to_owned(),
        }
    }
}

impl Default for Directory {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            start_tls: false,
            allow_plain: false,
            ca_pem: String::new(),
            bind_dn: String::new(),
            bind_password: String::new(),
            user_base: String::new(),
            user_filter: "(&(objectClass=person)(uid={username}))".to_owned(),
            group_base: String::new(),
            group_filter: "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=group))".to_owned(),
            member_attribute: "member".to_owned(),
            group_name_attribute: "cn".to_owned(),
            attributes: Attributes::default(),
            rules: Rules::default(),
            timeout_seconds: 5,
            page_size: 500,
        }
    }
}

impl Directory {
    /// Refuses settings that cannot work.
    pub(super) fn check(&self) -> Result<(), Unfit> {
        let refuse = |what: String| Err(Unfit(what));
        if self.servers.is_empty() {
            return refuse("servers is empty; give at least one, such as ldaps://ldap.example.org".to_owned());
        }
        for server in &self.servers {
            let url = url::Url::parse(server).ok().filter(|url| url.host_str().is_some());
            match url.as_ref().map(url::Url::scheme) {
                Some("ldaps") => {}
                Some("ldap") if self.start_tls || self.allow_plain => {}
                Some("ldap") => {
                    return refuse(format!(
                        "{server} would carry passwords in the clear; use ldaps://, set startTls, or set allowPlain"
                    ));
                }
                _ => return refuse(format!("{server} is no server; write ldaps://host or ldap://host")),
            }
        }
        if self.user_base.is_empty() {
            return refuse("userBase is required, such as ou=people,dc=example,dc=org".to_owned());
        }
        if !self.user_filter.contains("{username}") {
            return refuse("userFilter must contain {username}".to_owned());
        }
        for (name, filter) in [("userFilter", &self.user_filter), ("groupFilter", &self.group_filter)] {
            if !crate::ldap::is_filter(&filter.replace("{username}", "x")) {
                return refuse(format!("{name} is no LDAP filter: {filter}"));
            }
        }
        let names = [&self.attributes.id, &self.attributes.name, &self.member_attribute, &self.group_name_attribute];
        if names.iter().any(|name| !is_attribute(name)) {
            return refuse("an attribute's name must be letters, digits and hyphens".to_owned());
        }
        if !(1..=60).contains(&self.timeout_seconds) || !(1..=10_000).contains(&self.page_size) {
            return refuse("timeoutSeconds must be 1 to 60 and pageSize 1 to 10000".to_owned());
        }
        if !self.bind_dn.is_empty() && self.bind_password.is_empty() {
            return refuse("bindPassword is required with bindDn: an empty one would sign in as nobody".to_owned());
        }
        self.rules.check()?;
        check_ca(&self.ca_pem)
    }
}

fn is_attribute(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b';'))
}
