//! Directories that take passwords: search the entry, sign in as it, walk its groups. Four round trips on connections that
//! are kept: entry, password, groups, and the groups' groups unless they were walked a moment ago (then one more for each
//! level above those).

mod connect;
mod groups;
mod search;

use store::TenantScope;
use store::tenant::providers::Provider as Row;
use store::tenant::sessions::Through;

use crate::accounts::Person;
use crate::error::{Refusal, Why};
use crate::provider::{Directory, Kind, Provider};
use crate::sign_in::{Client, Proven, SignIn};
use crate::{Error, Identity};

pub(crate) use connect::{Connections, Server};
pub(crate) use groups::Parents;
pub(crate) use search::Entry;

/// Why a directory did not do what it was asked. The texts are for the log and for ladders.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// No server of it answers; what each of them said.
    #[error("no server answers: {0}")]
    Silent(String),
    /// It refuses who searches.
    #[error("it refuses {who}: {why}")]
    Refused {
        /// The bind DN.
        who: String,
        /// Its result code in words.
        why: String,
    },
    /// A search came to no whole answer.
    #[error("its answer is not whole: {0}")]
    Partial(String),
    /// More than one entry fits.
    #[error("more than one entry fits {0}")]
    Ambiguous(String),
    /// An entry has no lasting id.
    #[error("the entry {dn} has no attribute {attribute}")]
    NoId {
        /// The entry.
        dn: String,
        /// The attribute of the id.
        attribute: String,
    },
    /// The settings cannot be used.
    #[error("{0}")]
    Unfit(String),
}

/// Whether this is an LDAP filter.
pub(crate) fn is_filter(filter: &str) -> bool {
    ldap3::parse_filter(filter).is_ok()
}

impl Identity {
    /// Whoever one of the directories knows by this name and password; nobody when none does. An empty password is never
    /// sent: to many servers it would mean "as nobody", which succeeds.
    pub(crate) async fn by_directory(
        &self,
        scope: &TenantScope,
        directories: &[Row],
        who: SignIn<'_>,
        client: &Client,
    ) -> Result<Option<Proven>, Error> {
        if directories.is_empty() || who.password.is_empty() || who.username.is_empty() || who.username.contains('\0') {
            return Ok(None);
        }
        let mut silent = None;
        for row in directories {
            let Ok(provider) = Provider::read(row) else { continue };
            let Kind::Ldap(directory) = &provider.kind else { continue };
            match self.directory_person(scope, &provider, directory, who).await {
                Ok(Some(person)) => {
                    let member = self.member_for(scope, &provider, &person, client).await?;
                    let through = Through::default();
                    return Ok(Some(Proven { member, provider: provider.uid, through }));
                }
                Ok(None) => {}
                Err(trouble) => {
                    let refused: Result<(), Error> = Err(of_trouble(&provider, &trouble));
                    silent = self.told(scope, &provider, client, refused).await.err();
                }
            }
        }
        silent.map_or(Ok(None), Err)
    }

    /// The person of this name, if the password is right.
    async fn directory_person(
        &self,
        scope: &TenantScope,
        provider: &Provider,
        directory: &Directory,
        who: SignIn<'_>,
    ) -> Result<Option<Person>, Trouble> {
        let key = (scope.tenant().id, provider.uid.clone());
        let link = Server { connections: &self.directories, outbound: &self.outbound, key: &key, directory };
        let Some(entry) = link.find_person(who.username).await? else { return Ok(None) };
        if !link.is_password(&entry.dn, who.password).await? {
            return Ok(None);
        }
        let groups = link.groups_of(&entry).await?;
        let id = entry
            .id
            .clone()
            .ok_or_else(|| Trouble::NoId { dn: entry.dn.clone(), attribute: directory.attributes.id.clone() })?;
        Ok(Some(Person {
            provider: provider.uid.clone(),
            issuer: issuer_of(directory),
            subject: id,
            username: if entry.name.is_empty() { who.username.to_owned() } else { entry.name },
            display_name: entry.display_name,
            email_verified: !entry.email.is_empty(),
            email: entry.email,
            avatar: String::new(),
            groups,
        }))
    }
}

/// Who vouches for an entry's id: the directory's own tree, whichever of its servers answers.
pub(crate) fn issuer_of(directory: &Directory) -> String {
    format!("ldap:{}", directory.user_base.to_lowercase())
}

/// What a member reads of a directory in trouble.
pub(crate) fn of_trouble(provider: &Provider, trouble: &Trouble) -> Error {
    let title = provider.title();
    let message = match trouble {
        Trouble::Silent(_) => {
            format!("wrong name or password, or the directory {title} does not answer at present; try again later")
        }
        Trouble::Refused { .. } | Trouble::Unfit(_) | Trouble::NoId { .. } => {
            format!("the directory {title} is not set up rightly; tell an owner of this workspace")
        }
        Trouble::Partial(_) => format!("the directory {title} gave no whole answer; try again later"),
        Trouble::Ambiguous(_) => {
            format!("the directory {title} knows more than one by that name; ask its administrator")
        }
    };
    Refusal::new(Why::Unavailable, message).because(trouble).into()
}
