//! `holdfast identity …`

use std::path::{Path, PathBuf};

use domain::member::Role;
use identity::provider::{self, Kind, NewProvider, Provider};
use identity::{Ladder, Rung};
use runtime::exit::{Code, CommandError};
use runtime::printer::Printer;
use serde_json::{Value, json};

use super::read_password;
use crate::identities::{self, Invite};
use crate::{Admin, By};

/// What to do with providers.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Every provider of a tenant, without its secrets.
    List {
        /// Slug of the tenant.
        #[arg(long)]
        tenant: String,
    },
    /// Make a provider, or change the one whose id the file names.
    Set {
        /// Slug of the tenant.
        #[arg(long)]
        tenant: String,
        /// TOML: kind, id, title, and the settings of that kind; secrets as client_secret_file, bind_password_file.
        #[arg(long, value_name = "provider.toml")]
        file: PathBuf,
    },
    /// Remove a provider and every account linked through it.
    Remove {
        /// Id of the provider.
        #[arg(required_unless_present = "file")]
        id: Option<String>,
        /// Slug of the tenant.
        #[arg(long)]
        tenant: String,
        /// The file that it was made from, which names its id.
        #[arg(long, value_name = "provider.toml")]
        file: Option<PathBuf>,
    },
    /// Climb the ladder of a provider: from its server's name up to somebody's role. Saves nothing.
    Test {
        /// ldap, oidc or oauth2.
        #[arg(value_parser = ["ldap", "oidc", "oauth2"])]
        kind: String,
        /// Slug of the tenant.
        #[arg(long)]
        tenant: String,
        /// Somebody's name: which account, which groups, which role and why.
        #[arg(long)]
        user: Option<String>,
        /// Id of the provider; without it the oldest of that kind.
        #[arg(long)]
        id: Option<String>,
        /// Settings that are not saved.
        #[arg(long, value_name = "provider.toml", conflicts_with = "id")]
        file: Option<PathBuf>,
    },
    /// Invite an address that a provider has verified.
    Invite {
        /// The address.
        email: String,
        /// Slug of the tenant.
        #[arg(long)]
        tenant: String,
        /// admin, member or guest.
        #[arg(long, default_value = "member")]
        role: Role,
        /// An existing member whose account it becomes; never an administrator.
        #[arg(long)]
        member: Option<String>,
    },
}

pub(super) async fn run(verb: Verb, admin: &Admin, printer: Printer) -> Result<Code, CommandError> {
    let by = By::Command;
    match verb {
        Verb::List { tenant } => {
            let all = identities::list(admin, &tenant).await?;
            let rows: Vec<Value> = all.iter().map(shown).collect();
            printer.result(&rows, |_| {
                let line = |p: &Provider| format!("{:<24} {:<7} {}", p.uid, p.kind.as_str().to_lowercase(), p.title);
                all.iter().map(line).collect::<Vec<_>>().join("\n")
            });
        }
        Verb::Set { tenant, file } => {
            let made = identities::set(admin, &by, &tenant, read(&file)?).await?;
            printer.result(&shown(&made), |_| {
                format!("{} is there; test it: holdfast identity test {} --tenant {tenant}", made.uid, word(&made))
            });
        }
        Verb::Remove { id, tenant, file } => {
            let id = match (id, file) {
                (Some(id), _) => id,
                (None, Some(file)) => read(&file)?.uid,
                (None, None) => return Err(CommandError::usage("give the id of the provider".to_owned())),
            };
            identities::remove(admin, &by, &tenant, &id).await?;
            printer.result(&json!({"tenant": tenant, "provider": id, "removed": true}), |_| format!("{id} is removed"));
        }
        Verb::Test { kind, tenant, user, id, file } => {
            let (provider, ladder) = match file {
                Some(file) => identities::test_unsaved(admin, &tenant, read(&file)?, user.as_deref()).await?,
                None => identities::test(admin, &tenant, &kind, id.as_deref(), user.as_deref()).await?,
            };
            return Ok(climbed(&tenant, &provider, &ladder, printer));
        }
        Verb::Invite { email, tenant, role, member } => {
            let invite = Invite { email: &email, role, member: member.as_deref() };
            let made = identities::invite(admin, &by, &tenant, invite).await?;
            let row = json!({"tenant": tenant, "email": made.email, "role": made.role, "expires_ts": made.expires_ts});
            printer.result(&row, |_| format!("{} may come within 14 days", made.email));
        }
    }
    Ok(Code::Ok)
}

fn word(provider: &Provider) -> String {
    provider.kind.as_str().to_lowercase()
}

fn shown(provider: &Provider) -> Value {
    json!({
        "id": provider.uid, "kind": word(provider), "title": provider.title,
        "identifier_filter": provider.identifier_filter, "settings": provider.kind.shown(),
    })
}

fn climbed(tenant: &str, provider: &Provider, ladder: &Ladder, printer: Printer) -> Code {
    let row = json!({"tenant": tenant, "provider": provider.uid, "holds": ladder.holds(), "rungs": ladder.rungs});
    printer.result(&row, |_| ladder.rungs.iter().map(line).collect::<Vec<_>>().join("\n"));
    if ladder.holds() { Code::Ok } else { Code::Negative }
}

fn line(rung: &Rung) -> String {
    let next = if rung.next.is_empty() { String::new() } else { format!("\n{:<17}→ {}", "", rung.next) };
    format!("{:<7} {:<9} {}{next}", rung.status, rung.rung, rung.found)
}

/// The provider that a file describes, with the secrets and certificates of the files that it names.
fn read(file: &Path) -> Result<NewProvider, CommandError> {
    let wrong = |what: String| CommandError::usage(format!("{}: {what}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    let mut document = provider::from_toml(&text).map_err(|unfit| wrong(unfit.0))?;
    let Some(object) = document.as_object_mut() else { return Err(wrong("holds no settings".to_owned())) };
    let folder = file.parent().unwrap_or_else(|| Path::new("."));
    let mut text_of = |key: &str| match object.remove(key) {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(wrong(format!("{key} must be a text"))),
    };
    let (kind, uid, title) = (text_of("kind")?, text_of("id")?, text_of("title")?);
    let identifier_filter = text_of("identifierFilter")?;
    let files = [("clientSecretFile", "clientSecret"), ("bindPasswordFile", "bindPassword")];
    let files = files.map(|(from, to)| text_of(from).map(|path| (path, to)));
    let ca_file = text_of("caFile")?;
    for named in files {
        let (path, to) = named?;
        if !path.is_empty() {
            object.insert(to.to_owned(), read_password(&folder.join(path))?.into());
        }
    }
    if !ca_file.is_empty() {
        let pem = std::fs::read_to_string(folder.join(&ca_file));
        let pem = pem.map_err(|error| wrong(format!("ca_file {ca_file} cannot be read: {error}")))?;
        object.insert("caPem".to_owned(), pem.into());
    }
    let kind = Kind::read(&kind.to_uppercase(), &document).map_err(|unfit| wrong(unfit.0))?;
    let title = if title.is_empty() { uid.clone() } else { title };
    Ok(NewProvider { uid, title, identifier_filter, kind })
}
