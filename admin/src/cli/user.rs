//! `holdfast user …` and `holdfast token …`

use std::path::PathBuf;

use domain::member::Role;
use identity::NewToken;
use runtime::exit::{Code, CommandError};
use runtime::printer::Printer;
use serde_json::json;

use super::read_password;
use crate::{Admin, By, members};

/// What to do with members.
#[derive(Debug, clap::Subcommand)]
pub enum UserVerb {
    /// Every member of a tenant.
    List {
        /// Slug of the tenant.
        #[arg(long)]
        tenant: String,
    },
    /// Add a member.
    Create {
        /// Username.
        name: String,
        /// Slug of the tenant.
        #[arg(long)]
        tenant: String,
        /// owner, admin, member or guest.
        #[arg(long, default_value = "member")]
        role: Role,
        /// File with the password, or - for standard input.
        #[arg(long)]
        password_file: PathBuf,
    },
    /// Set a member's password and end the sessions.
    SetPassword {
        /// Username.
        name: String,
        /// Slug of the tenant.
        #[arg(long)]
        tenant: String,
        /// File with the password, or - for standard input.
        #[arg(long)]
        password_file: PathBuf,
    },
    /// End a member's second factor: for whoever lost his phone and his recovery codes.
    ResetFactor {
        /// Username.
        name: String,
        /// Slug of the tenant.
        #[arg(long)]
        tenant: String,
    },
    /// Archive a member: no sign-in any more, the notes stay.
    Archive {
        /// Username.
        name: String,
        /// Slug of the tenant.
        #[arg(long)]
        tenant: String,
    },
}

/// What to do with tokens.
#[derive(Debug, clap::Subcommand)]
pub enum TokenVerb {
    /// A member's tokens.
    List {
        /// Slug of the tenant.
        #[arg(long)]
        tenant: String,
        /// Username.
        #[arg(long)]
        user: String,
    },
    /// Make a token; it is shown once.
    Create {
        /// Slug of the tenant.
        #[arg(long)]
        tenant: String,
        /// Username.
        #[arg(long)]
        user: String,
        /// What it is for.
        #[arg(long, default_value = "")]
        description: String,
        /// Days until it ends; 0: never.
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..=36_500))]
        days: i64,
        /// What it may: read, write or admin (everything its owner may).
        #[arg(long, default_value = "admin", value_parser = ["read", "write", "admin"])]
        scope: String,
    },
    /// Revoke a token.
    Revoke {
        /// Id of the token.
        id: String,
        /// Slug of the tenant.
        #[arg(long)]
        tenant: String,
        /// Username.
        #[arg(long)]
        user: String,
    },
}

pub(super) async fn run(verb: UserVerb, admin: &Admin, printer: Printer) -> Result<Code, CommandError> {
    let by = By::Command;
    match verb {
        UserVerb::List { tenant } => {
            let all = members::list(admin, &tenant).await?;
            printer.result(&all, |all| {
                let line = |m: &domain::member::Member| {
                    format!("{:<36} {:<8} {}", m.username, m.role.as_str(), if m.archived { "archived" } else { "" })
                };
                all.iter().map(line).collect::<Vec<_>>().join("\n")
            });
        }
        UserVerb::Create { name, tenant, role, password_file } => {
            let password = read_password(&password_file)?;
            let member = members::create(admin, &by, &tenant, &name, role, &password).await?;
            printer.result(&member, |m| format!("{} is a {} of {tenant}", m.username, m.role.as_str()));
        }
        UserVerb::SetPassword { name, tenant, password_file } => {
            let password = read_password(&password_file)?;
            members::set_password(admin, &by, &tenant, &name, &password).await?;
            printer.result(&json!({"tenant": tenant, "user": name}), |_| {
                format!("{name} has a new password; the sessions are ended")
            });
        }
        UserVerb::ResetFactor { name, tenant } => {
            let gone = crate::identities::reset_factor(admin, &by, &tenant, &name).await?;
            printer.result(&json!({"tenant": tenant, "user": name, "reset": gone}), |_| {
                if gone { format!("{name} has no second factor any more") } else { format!("{name} had none") }
            });
        }
        UserVerb::Archive { name, tenant } => {
            members::archive(admin, &by, &tenant, &name).await?;
            printer
                .result(&json!({"tenant": tenant, "user": name, "archived": true}), |_| format!("{name} is archived"));
        }
    }
    Ok(Code::Ok)
}

pub(super) async fn run_token(verb: TokenVerb, admin: &Admin, printer: Printer) -> Result<Code, CommandError> {
    match verb {
        TokenVerb::List { tenant, user } => {
            let all = members::list_tokens(admin, &tenant, &user).await?;
            let rows: Vec<_> = all
                .iter()
                .map(|t| json!({"id": t.token_id, "description": t.description, "created_ns": t.created_ns, "expires_ns": t.expires_ns, "last_used_ns": t.last_used_ns, "scope": t.scope}))
                .collect();
            printer.result(&rows, |_| {
                all.iter().map(|t| format!("{}  {}", t.token_id, t.description)).collect::<Vec<_>>().join("\n")
            });
        }
        TokenVerb::Create { tenant, user, description, days, scope } => {
            let scope = scope.parse().unwrap_or_default();
            let made =
                members::create_token(admin, &tenant, &user, NewToken { description: &description, days, scope })
                    .await?;
            printer.result(
                &json!({"tenant": tenant, "user": user, "id": made.row.token_id, "token": made.secret}),
                |_| made.secret.clone(),
            );
            printer.note("keep it safe: it is not shown again");
        }
        TokenVerb::Revoke { id, tenant, user } => {
            members::revoke_token(admin, &tenant, &user, &id).await?;
            printer.result(&json!({"tenant": tenant, "user": user, "id": id, "revoked": true}), |_| {
                format!("token {id} is revoked")
            });
        }
    }
    Ok(Code::Ok)
}
