//! A member's own preferences, by key.

use domain::id::MemberId;
use domain::member::Member;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use store::TenantTx;
use store::tenant::settings as rows;
use wire::v1::UserSetting;
use wire::v1::user_setting::{GeneralSetting, TagsSetting, Value, WebhooksSetting};
use wire::{FieldMask, v1};

use super::{Error, tags};
use crate::notes::Desk;

/// A group of preferences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Language, theme, first visibility of a note.
    General,
    /// Colours of tags.
    Tags,
    /// Who is told about notes.
    Webhooks,
}

impl Key {
    /// In the order of a list.
    pub const ALL: [Self; 3] = [Self::General, Self::Tags, Self::Webhooks];

    /// The word in names and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::General => "GENERAL",
            Self::Tags => "TAGS",
            Self::Webhooks => "WEBHOOKS",
        }
    }

    /// The key of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.as_str() == word)
    }
}

/// A webhook as it is stored.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct StoredWebhook {
    id: String,
    title: String,
    url: String,
    signing_secret: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StoredWebhooks {
    webhooks: Vec<StoredWebhook>,
}

fn parsed<T: Default + DeserializeOwned>(stored: Option<Json>) -> T {
    stored.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default()
}

fn general(stored: Option<Json>) -> GeneralSetting {
    let mut general: GeneralSetting = parsed(stored);
    if general.locale.is_empty() {
        "en".clone_into(&mut general.locale);
    }
    if general.memo_visibility.is_empty() {
        "PRIVATE".clone_into(&mut general.memo_visibility);
    }
    general
}

fn webhooks(username: &str, stored: Option<Json>) -> WebhooksSetting {
    let hook = |hook: StoredWebhook| v1::UserWebhook {
        name: format!("users/{username}/webhooks/{}", hook.id),
        url: hook.url,
        display_name: hook.title,
        signing_secret_set: !hook.signing_secret.is_empty(),
        ..Default::default()
    };
    WebhooksSetting { webhooks: parsed::<StoredWebhooks>(stored).webhooks.into_iter().map(hook).collect() }
}

fn setting(username: &str, key: Key, stored: Option<Json>) -> UserSetting {
    let value = match key {
        Key::General => Value::GeneralSetting(general(stored)),
        Key::Tags => Value::TagsSetting(parsed::<TagsSetting>(stored)),
        Key::Webhooks => Value::WebhooksSetting(webhooks(username, stored)),
    };
    UserSetting { name: format!("users/{username}/settings/{}", key.as_str()), value: Some(value) }
}

/// Preferences are a member's own affair, also before admins.
fn own(desk: &Desk<'_>, whose: &Member) -> Result<(), Error> {
    match desk.actor.member_id() {
        None => Err(Error::SignInFirst),
        Some(id) if id == whose.id => Ok(()),
        Some(_) => Err(Error::DENIED),
    }
}

/// One group; unset ones read as their default.
///
/// # Errors
/// They are another's.
pub async fn get(desk: &Desk<'_>, whose: &Member, key: Key) -> Result<UserSetting, Error> {
    own(desk, whose)?;
    let mut tx = desk.begin();
    let stored = rows::find_member_setting(&mut tx, whose.id, key.as_str()).await?;
    tx.commit().await?;
    Ok(setting(&whose.username, key, stored))
}

/// The groups that are set, the general one always and first.
///
/// # Errors
/// They are another's.
pub async fn list(desk: &Desk<'_>, whose: &Member) -> Result<Vec<UserSetting>, Error> {
    own(desk, whose)?;
    let mut tx = desk.begin();
    let mut stored = rows::list_member_settings(&mut tx, whose.id).await?;
    tx.commit().await?;
    let mut take = |key: Key| {
        let at = stored.iter().position(|(name, _)| name == key.as_str())?;
        Some(stored.swap_remove(at).1)
    };
    let mut out = vec![setting(&whose.username, Key::General, take(Key::General))];
    for key in [Key::Tags, Key::Webhooks] {
        if let Some(value) = take(key) {
            out.push(setting(&whose.username, key, Some(value)));
        }
    }
    Ok(out)
}

/// Sets the fields of a group that the mask names.
///
/// # Errors
/// They are another's, the mask is empty, or a value cannot be.
pub async fn update(
    desk: &Desk<'_>,
    whose: &Member,
    key: Key,
    value: Option<Value>,
    mask: &FieldMask,
) -> Result<UserSetting, Error> {
    own(desk, whose)?;
    let refuse = |why: &str| Err(Error::Invalid(why.to_owned()));
    if mask.paths.is_empty() {
        return refuse("update mask is empty");
    }
    let mut tx = desk.begin();
    tx.touch().await?;
    let stored = match (key, value) {
        (Key::Webhooks, _) => return refuse("setting type WEBHOOKS should not be updated via UpdateUserSetting"),
        (Key::General, Some(Value::GeneralSetting(new))) => merge_general(&mut tx, whose.id, new, mask).await?,
        (Key::General, _) => return refuse("general setting is required"),
        (Key::Tags, Some(Value::TagsSetting(new))) => checked_tags(&new, mask)?,
        (Key::Tags, _) => return refuse("tags setting is required"),
    };
    rows::put_member_setting(&mut tx, whose.id, key.as_str(), &stored).await?;
    tx.commit().await?;
    Ok(setting(&whose.username, key, Some(stored)))
}

async fn merge_general(tx: &mut TenantTx, id: MemberId, new: GeneralSetting, mask: &FieldMask) -> Result<Json, Error> {
    let mut kept = general(rows::find_member_setting(tx, id, Key::General.as_str()).await?);
    for path in &mask.paths {
        match path.as_str() {
            "locale" => kept.locale.clone_from(&new.locale),
            "memo_visibility" => kept.memo_visibility.clone_from(&new.memo_visibility),
            "theme" => kept.theme.clone_from(&new.theme),
            _ => {}
        }
    }
    to_json(&kept)
}

fn checked_tags(new: &TagsSetting, mask: &FieldMask) -> Result<Json, Error> {
    if let Some(other) = mask.paths.iter().find(|path| *path != "tags") {
        return Err(Error::Invalid(format!("unsupported update mask path for tags setting: {other}")));
    }
    for (key, tag) in &new.tags {
        tags::check(key, tag.background_color.as_ref())
            .map_err(|why| Error::Invalid(format!("invalid user tags setting: {why}")))?;
    }
    to_json(new)
}

fn to_json<T: serde::Serialize>(value: &T) -> Result<Json, Error> {
    serde_json::to_value(value).map_err(|error| Error::Invalid(error.to_string()))
}
