//! Commands of the operators' side. Each prints one document and ends with a documented code.

mod audit;
mod identity;
mod operator;
mod schedule;
mod status;
mod tenant;
mod user;

use std::io::Read;
use std::path::Path;

use runtime::exit::{Code, CommandError};
use runtime::printer::Printer;

use crate::Admin;

/// The nouns of this side.
#[derive(Debug, clap::Subcommand)]
pub enum Noun {
    /// Make, show, open, suspend and delete tenants.
    #[command(subcommand)]
    Tenant(tenant::Verb),
    /// Members of a tenant.
    #[command(subcommand)]
    User(user::UserVerb),
    /// Personal access tokens of a tenant's members.
    #[command(subcommand)]
    Token(user::TokenVerb),
    /// How a tenant's members sign in: identity providers and directories.
    #[command(subcommand)]
    Identity(identity::Verb),
    /// People who run the appliance; they sign in at /console.
    #[command(subcommand)]
    Operator(operator::Verb),
    /// When points, drills and dumps are due.
    #[command(subcommand)]
    Schedule(schedule::Verb),
    /// What happened, in a chain of hashes.
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Could we recover? One line a tenant.
    Status,
}

/// Carries out a command.
pub async fn run(noun: Noun, admin: &Admin, printer: Printer) -> Result<Code, CommandError> {
    match noun {
        Noun::Tenant(verb) => tenant::run(verb, admin, printer).await,
        Noun::User(verb) => user::run(verb, admin, printer).await,
        Noun::Token(verb) => user::run_token(verb, admin, printer).await,
        Noun::Identity(verb) => identity::run(verb, admin, printer).await,
        Noun::Operator(verb) => operator::run(verb, admin, printer).await,
        Noun::Schedule(verb) => schedule::run(verb, admin, printer).await,
        Noun::Audit(verb) => audit::run(verb, admin, printer).await,
        Noun::Status => status::run(admin, printer).await,
    }
}

/// A password from a file, or from standard input for `-`; one line end at its end is not part of it.
pub(crate) fn read_password(file: &Path) -> Result<String, CommandError> {
    let mut text = String::new();
    let outcome = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(|_| ())
    } else {
        std::fs::read_to_string(file).map(|read| text = read)
    };
    outcome.map_err(|e| CommandError::usage(format!("the password file {} cannot be read: {e}", file.display())))?;
    let password = text.strip_suffix('\n').map_or(text.as_str(), |rest| rest.strip_suffix('\r').unwrap_or(rest));
    if password.is_empty() {
        return Err(CommandError::usage(format!("the password file {} is empty", file.display())));
    }
    Ok(password.to_owned())
}
