//! A member's saved filters: what Memos 0.30 calls shortcuts and later releases call views, over one store.

use domain::filter;
use domain::member::Member;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use store::TenantTx;
use store::tenant::{members, settings as rows};

use super::Error;
use crate::notes::Desk;

/// The setting that holds them.
const KEY: &str = "SHORTCUTS";
/// How many a member may keep.
const MOST: usize = 1_000;
/// The longest title, in bytes.
const LONGEST_TITLE: usize = 1_024;

/// A filter of notes with a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedFilter {
    /// Public id.
    pub id: String,
    /// What its owner calls it.
    pub title: String,
    /// The filter itself.
    pub filter: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Stored {
    shortcuts: Vec<SavedFilter>,
}

/// What of a saved filter is to change.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// A new title.
    pub title: Option<String>,
    /// A new filter.
    pub filter: Option<String>,
}

/// The member of this name, who must be the caller.
async fn own(desk: &Desk<'_>, username: &str) -> Result<Member, Error> {
    let me = desk.actor.member().ok_or(Error::SignInFirst)?;
    if me.username == username {
        return Ok(me.clone());
    }
    let whose = super::service::get(desk, username).await?;
    if whose.id == me.id { Ok(whose) } else { Err(Error::DENIED) }
}

fn missing() -> Error {
    Error::Missing("shortcut not found")
}

fn checked(desk: &Desk<'_>, title: &str, text: &str) -> Result<(), Error> {
    if title.trim().is_empty() {
        return Err(Error::Invalid("title is required".to_owned()));
    }
    if title.len() > LONGEST_TITLE {
        return Err(Error::Invalid(format!("title is longer than {LONGEST_TITLE} bytes")));
    }
    match filter::parse(text, desk.now()) {
        Ok(_) => Ok(()),
        Err(error) if text.trim().is_empty() => {
            tracing::trace!(%error, "an empty filter");
            Err(Error::Invalid("invalid filter: filter cannot be empty".to_owned()))
        }
        Err(error) => Err(Error::Invalid(format!("invalid filter: failed to compile filter: {error}"))),
    }
}

async fn read(tx: &mut TenantTx, whose: &Member) -> Result<Stored, Error> {
    let value = rows::find_member_setting(tx, whose.id, KEY).await?;
    Ok(value.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default())
}

/// Reads them for a change: the member's row is locked, so that two changes at once do not lose one.
async fn read_to_change(tx: &mut TenantTx, whose: &Member) -> Result<Stored, Error> {
    tx.touch().await?;
    members::lock_member(tx, whose.id).await?;
    read(tx, whose).await
}

async fn write(mut tx: TenantTx, whose: &Member, stored: &Stored) -> Result<(), Error> {
    let value: Json = serde_json::to_value(stored).map_err(|error| Error::Invalid(error.to_string()))?;
    rows::put_member_setting(&mut tx, whose.id, KEY, &value).await?;
    Ok(tx.commit().await?)
}

/// All of a member's, in the order in which they were made.
///
/// # Errors
/// They are another's, or there is no such member.
pub async fn list(desk: &Desk<'_>, username: &str) -> Result<Vec<SavedFilter>, Error> {
    let whose = own(desk, username).await?;
    let mut tx = desk.begin();
    let stored = read(&mut tx, &whose).await?;
    tx.commit().await?;
    Ok(stored.shortcuts)
}

/// One of a member's.
///
/// # Errors
/// As [`list`], and not found.
pub async fn get(desk: &Desk<'_>, username: &str, id: &str) -> Result<SavedFilter, Error> {
    list(desk, username).await?.into_iter().find(|known| known.id == id).ok_or_else(missing)
}

/// Keeps a new one, or with `dry` only says what it would be.
///
/// # Errors
/// They are another's, no title, a filter that is none, too many.
pub async fn create(
    desk: &Desk<'_>,
    username: &str,
    title: String,
    text: String,
    dry: bool,
) -> Result<SavedFilter, Error> {
    let whose = own(desk, username).await?;
    checked(desk, &title, &text)?;
    let new = SavedFilter { id: desk.chance.uuid().to_string(), title, filter: text };
    if dry {
        return Ok(new);
    }
    let mut tx = desk.begin();
    let mut stored = read_to_change(&mut tx, &whose).await?;
    if stored.shortcuts.len() >= MOST {
        return Err(Error::Refused("there are 1,000 saved filters already; delete some first"));
    }
    stored.shortcuts.push(new.clone());
    write(tx, &whose, &stored).await?;
    Ok(new)
}

/// Changes one.
///
/// # Errors
/// As [`create`], and not found.
pub async fn update(desk: &Desk<'_>, username: &str, id: &str, change: Change) -> Result<SavedFilter, Error> {
    let whose = own(desk, username).await?;
    let mut tx = desk.begin();
    let mut stored = read_to_change(&mut tx, &whose).await?;
    let known = stored.shortcuts.iter_mut().find(|known| known.id == id).ok_or_else(missing)?;
    if change.title.is_none() && change.filter.is_none() {
        return Ok(known.clone());
    }
    known.title = change.title.unwrap_or_else(|| known.title.clone());
    if let Some(text) = change.filter {
        checked(desk, &known.title, &text)?;
        known.filter = text;
    } else if known.title.trim().is_empty() {
        return Err(Error::Invalid("title is required".to_owned()));
    }
    let now = known.clone();
    write(tx, &whose, &stored).await?;
    Ok(now)
}

/// Deletes one.
///
/// # Errors
/// They are another's, or not found.
pub async fn delete(desk: &Desk<'_>, username: &str, id: &str) -> Result<(), Error> {
    let whose = own(desk, username).await?;
    let mut tx = desk.begin();
    let mut stored = read_to_change(&mut tx, &whose).await?;
    let before = stored.shortcuts.len();
    stored.shortcuts.retain(|known| known.id != id);
    if stored.shortcuts.len() == before {
        return Err(missing());
    }
    write(tx, &whose, &stored).await
}
