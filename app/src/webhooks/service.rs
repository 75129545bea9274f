//! A member's webhooks: made, listed, changed and removed by himself and by admins.

use domain::id::MemberId;
use domain::member::Member;
use serde::{Deserialize, Serialize};
use store::TenantTx;
use store::tenant::settings;
use store::tenant::webhooks::{Logged, list_log};
use url::Url;

use super::signature;
use crate::error::ApiError;
use crate::notes::Desk;
use crate::outbound::{self, Outbound};

/// The key of a member's settings under which they are.
const KEY: &str = "WEBHOOKS";
/// The most webhooks of one member.
const MOST: usize = 50;
/// The longest address, title and secret, in bytes.
const LONGEST: usize = 2048;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not yours, and you are no admin.
    #[error("permission denied")]
    Denied,
    /// There is none of that id.
    #[error("webhook not found")]
    NotFound,
    /// The request is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The address is no web address.
    #[error("webhook URL must use http or https scheme, got \"{0}\"")]
    Scheme(String),
    /// The address leads nowhere.
    #[error("webhook URL hostname could not be resolved: {0}")]
    Unresolved(#[source] outbound::Error),
    /// The address leads to where only this machine may go.
    #[error("webhook URL must not resolve to a reserved or private IP address")]
    Reserved(#[source] outbound::Error),
    /// What is stored cannot be read.
    #[error("stored webhooks cannot be read")]
    Stored(#[from] serde_json::Error),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::Denied => Self::denied(error.to_string()),
            Error::NotFound => Self::not_found(error.to_string()),
            Error::Invalid(_) | Error::Scheme(_) | Error::Unresolved(_) | Error::Reserved(_) => {
                Self::invalid(error.to_string())
            }
            Error::Stored(cause) => Self::internal(cause),
            Error::Store(cause) => cause.into(),
        }
    }
}

/// A webhook as it is stored; an import brings the same form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Webhook {
    /// Public id: 16 hexadecimal digits.
    pub id: String,
    /// What its owner calls it.
    pub title: String,
    /// Who is told.
    pub url: String,
    /// With what messages are signed; empty when they are not.
    pub signing_secret: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Stored {
    webhooks: Vec<Webhook>,
}

/// What of a webhook shall change; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Who is told.
    pub url: Option<String>,
    /// What its owner calls it.
    pub title: Option<String>,
    /// With what messages are signed.
    pub secret: Option<String>,
}

fn may(desk: &Desk<'_>, owner: &Member) -> Result<(), Error> {
    let own = desk.actor.member_id() == Some(owner.id);
    if own || desk.actor.is_admin() { Ok(()) } else { Err(Error::Denied) }
}

async fn read(tx: &mut TenantTx, owner: MemberId) -> Result<Vec<Webhook>, Error> {
    let stored = settings::find_member_setting(tx, owner, KEY).await?;
    Ok(stored.map(serde_json::from_value::<Stored>).transpose()?.unwrap_or_default().webhooks)
}

/// The one webhook that a message is for.
pub(super) async fn find(tx: &mut TenantTx, owner: MemberId, id: &str) -> Result<Option<Webhook>, Error> {
    Ok(read(tx, owner).await?.into_iter().find(|hook| hook.id == id))
}

async fn write(tx: &mut TenantTx, owner: MemberId, webhooks: Vec<Webhook>) -> Result<(), Error> {
    let value = serde_json::to_value(Stored { webhooks })?;
    Ok(settings::put_member_setting(tx, owner, KEY, &value).await?)
}

/// The webhooks of a member.
///
/// # Errors
/// Not the caller's, who is no admin.
pub async fn list(desk: &Desk<'_>, owner: &Member) -> Result<Vec<Webhook>, Error> {
    may(desk, owner)?;
    let mut tx = desk.begin();
    let found = read(&mut tx, owner.id).await?;
    tx.commit().await?;
    Ok(found)
}

/// The address, if it may be told anything.
async fn checked(outbound: &Outbound, text: &str) -> Result<(), Error> {
    if text.len() > LONGEST {
        return Err(Error::Invalid(format!("url is longer than {LONGEST} bytes")));
    }
    // A parser leaves some of them out, and what is stored and told would be another address than the one that was checked.
    if text.contains(char::is_control) {
        return Err(Error::Invalid("invalid webhook URL: it has a line break or another control character".to_owned()));
    }
    let url = Url::parse(text).map_err(|cause| Error::Invalid(format!("invalid webhook URL: {cause}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Error::Scheme(url.scheme().to_owned()));
    }
    outbound.check(&url).await.map_err(|why| match why {
        outbound::Error::Internal(_) => Error::Reserved(why),
        other => Error::Unresolved(other),
    })
}

/// A secret as it is stored: without blanks around it, and of letters that a header can carry.
fn secret_of(text: &str) -> Result<String, Error> {
    let text = text.trim();
    fitting("signing_secret", text)?;
    if text.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) {
        return Ok(text.to_owned());
    }
    Err(Error::Invalid("signing secret contains invalid character".to_owned()))
}

fn fitting(what: &str, text: &str) -> Result<(), Error> {
    if text.len() > LONGEST {
        return Err(Error::Invalid(format!("{what} is longer than {LONGEST} bytes")));
    }
    Ok(())
}

/// Makes a webhook; without a secret it gets one.
///
/// # Errors
/// Not the caller's, an address that may not be told anything, too many.
pub async fn create(desk: &Desk<'_>, outbound: &Outbound, owner: &Member, wanted: Webhook) -> Result<Webhook, Error> {
    may(desk, owner)?;
    if wanted.url.trim().is_empty() {
        return Err(Error::Invalid("webhook URL is required".to_owned()));
    }
    let url = wanted.url.trim().to_owned();
    fitting("display_name", &wanted.title)?;
    checked(outbound, &url).await?;
    let given = secret_of(&wanted.signing_secret)?;
    let signing_secret = if given.is_empty() { signature::fresh(desk.chance) } else { given };
    let hook = Webhook { id: format!("{:016x}", desk.chance.u64()), title: wanted.title, url, signing_secret };
    let mut tx = desk.begin();
    tx.touch().await?;
    let mut all = read(&mut tx, owner.id).await?;
    if all.len() >= MOST {
        return Err(Error::Invalid(format!("there are {MOST} webhooks already; remove one first")));
    }
    all.push(hook.clone());
    write(&mut tx, owner.id, all).await?;
    tx.commit().await?;
    Ok(hook)
}

/// Changes a webhook. An empty address changes nothing, as Memos has it.
///
/// # Errors
/// Not the caller's, unknown, an address that may not be told anything.
pub async fn update(
    desk: &Desk<'_>,
    outbound: &Outbound,
    owner: &Member,
    id: &str,
    change: Change,
) -> Result<Webhook, Error> {
    may(desk, owner)?;
    let url = change.url.map(|url| url.trim().to_owned()).filter(|url| !url.is_empty());
    if let Some(url) = &url {
        checked(outbound, url).await?;
    }
    fitting("display_name", change.title.as_deref().unwrap_or_default())?;
    let secret = change.secret.as_deref().map(secret_of).transpose()?;
    let mut tx = desk.begin();
    tx.touch().await?;
    let mut all = read(&mut tx, owner.id).await?;
    let hook = all.iter_mut().find(|hook| hook.id == id).ok_or(Error::NotFound)?;
    hook.url = url.unwrap_or_else(|| hook.url.clone());
    hook.title = change.title.unwrap_or_else(|| hook.title.clone());
    hook.signing_secret = secret.unwrap_or_else(|| hook.signing_secret.clone());
    let hook = hook.clone();
    write(&mut tx, owner.id, all).await?;
    tx.commit().await?;
    Ok(hook)
}

/// Removes a webhook. Messages that wait for it are given up.
///
/// # Errors
/// Not the caller's, unknown.
pub async fn delete(desk: &Desk<'_>, owner: &Member, id: &str) -> Result<(), Error> {
    may(desk, owner)?;
    let mut tx = desk.begin();
    tx.touch().await?;
    let mut all = read(&mut tx, owner.id).await?;
    let before = all.len();
    all.retain(|hook| hook.id != id);
    if all.len() == before {
        return Err(Error::NotFound);
    }
    write(&mut tx, owner.id, all).await?;
    Ok(tx.commit().await?)
}

/// What was told to a member's webhooks, and what came of it, the newest first.
///
/// # Errors
/// Not the caller's, who is no admin.
pub async fn log(desk: &Desk<'_>, owner: &Member, limit: i64) -> Result<Vec<Logged>, Error> {
    may(desk, owner)?;
    let mut tx = desk.begin();
    let found = list_log(&mut tx, owner.id, limit).await?;
    tx.commit().await?;
    Ok(found)
}
