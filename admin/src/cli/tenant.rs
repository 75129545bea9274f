//! `holdfast tenant …`

use std::path::PathBuf;

use domain::tenant::Tenant;
use runtime::exit::{Code, CommandError};
use runtime::printer::Printer;

use super::read_password;
use crate::tenants::{self, NewTenant};
use crate::{Admin, By};

/// What to do with tenants.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Make a tenant with its owner; it is open at once.
    Create {
        /// Short name in URLs and commands.
        slug: String,
        /// Username of the owner.
        #[arg(long)]
        owner: String,
        /// File with the owner's password, or - for standard input.
        #[arg(long)]
        password_file: PathBuf,
        /// A host name that leads to the tenant; may be given several times.
        #[arg(long)]
        host: Vec<String>,
        /// Public URL; without one the tenant is in private mode.
        #[arg(long)]
        public_url: Option<String>,
    },
    /// Every tenant.
    List,
    /// One tenant: what it holds and how it would come back.
    Show {
        /// Its slug.
        slug: String,
    },
    /// Set hosts (all anew) or the public URL (empty takes it away).
    Set {
        /// Its slug.
        slug: String,
        /// A host name; may be given several times.
        #[arg(long)]
        host: Vec<String>,
        /// Public URL.
        #[arg(long)]
        public_url: Option<String>,
        /// Bytes that it may hold, as 10G; 0: any number; default: as the settings say.
        #[arg(long)]
        stored_bytes: Option<String>,
        /// Seconds that one statement of a request may take, as 2 or 0.5; default: as the settings say.
        #[arg(long)]
        statement_seconds: Option<String>,
    },
    /// Open a closed tenant to its members.
    Open {
        /// Its slug.
        slug: String,
    },
    /// Refuse the tenant to everybody.
    Suspend {
        /// Its slug.
        slug: String,
    },
    /// Give a suspended tenant back to its members.
    Resume {
        /// Its slug.
        slug: String,
    },
    /// Give the tenant another slug.
    Rename {
        /// Its slug.
        slug: String,
        /// The new one.
        new_slug: String,
    },
    /// Delete the tenant; its points open until its keys are purged.
    Delete {
        /// Its slug.
        slug: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        /// Days until it is gone, as 30d; until then `resume` takes it back. 0d: at once.
        #[arg(long, default_value = "30d", value_parser = days)]
        grace: u32,
    },
}

fn days(text: &str) -> Result<u32, String> {
    let days = text.strip_suffix('d').and_then(|number| number.parse().ok()).filter(|days| *days <= 36_500);
    days.ok_or_else(|| "give days, as 30d, at most 36500d".to_owned())
}

pub(super) async fn run(verb: Verb, admin: &Admin, printer: Printer) -> Result<Code, CommandError> {
    let by = By::Command;
    let changed = match verb {
        Verb::Create { slug, owner, password_file, host, public_url } => {
            let password = read_password(&password_file)?;
            tenants::create(admin, &by, NewTenant { slug, owner, password, hosts: host, public_url }).await?
        }
        Verb::List => {
            let all = tenants::list(admin).await?;
            printer.result(&all, |all| all.iter().map(|tenant| line(tenant)).collect::<Vec<_>>().join("\n"));
            return Ok(Code::Ok);
        }
        Verb::Show { slug } => {
            printer.result(&tenants::show(admin, &slug).await?, tenants::TenantView::human);
            return Ok(Code::Ok);
        }
        Verb::Set { slug, host, public_url, stored_bytes, statement_seconds } => {
            let changed = tenants::set(admin, &by, &slug, &host, public_url.as_deref()).await?;
            if stored_bytes.is_none() && statement_seconds.is_none() {
                changed
            } else {
                let wanted = tenants::WantedLimits { stored_bytes, statement_seconds };
                tenants::limit(admin, &by, &slug, &wanted).await?
            }
        }
        Verb::Open { slug } => tenants::open(admin, &by, &slug).await?,
        Verb::Suspend { slug } => tenants::suspend(admin, &by, &slug).await?,
        Verb::Resume { slug } => tenants::resume(admin, &by, &slug).await?,
        Verb::Rename { slug, new_slug } => tenants::rename(admin, &by, &slug, &new_slug).await?,
        Verb::Delete { slug, yes, grace } => {
            tenants::find(admin, &slug).await?;
            printer.confirm(&format!("Delete tenant {slug}?"), yes)?;
            tenants::delete(admin, &by, &slug, grace).await?;
            printer.result(&serde_json::json!({"tenant": slug, "deleted": grace == 0, "grace_days": grace}), |_| {
                if grace == 0 {
                    format!(
                        "{slug} is deleted; its points open until its keys are purged (purge_keys_after), at once by \
                         `holdfast key purge --tenant {slug}`"
                    )
                } else {
                    format!("{slug} will be deleted in {grace} days; `holdfast tenant resume {slug}` takes it back")
                }
            });
            return Ok(Code::Ok);
        }
    };
    printer.result(&tenants::show(admin, changed.slug.as_str()).await?, tenants::TenantView::human);
    Ok(Code::Ok)
}

fn line(tenant: &Tenant) -> String {
    format!("{:<24} {:<18} {}", tenant.slug.as_str(), tenant.state.as_str(), tenant.hosts.join(", "))
}
