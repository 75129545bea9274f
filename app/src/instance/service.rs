//! Reading the tenant's profile, reading and changing its settings.

use domain::member::Member;
use serde_json::Value as Json;
use serde_json::json;
use store::tenant::counts::{self, Sizes};
use store::tenant::{members, providers, settings as rows};
use store::{AuditEvent, TenantTx};
use wire::v1::InstanceSetting;
use wire::v1::instance_setting::notification_setting::EmailSetting;
use wire::v1::instance_setting::{
    AiProviderConfig, AiSetting, GeneralSetting, NotificationSetting, StorageSetting, TagsSetting, TranscriptionConfig,
    Value,
};

use super::settings::{Key, PREFIX, read, shown};
use super::{Error, provider};
use crate::notes::Desk;
use crate::people::service::audit_actor;
use crate::people::tags;

/// The most names in one batch.
const LARGEST_BATCH: usize = 100;

/// The newest admin, whom clients are told; none while the tenant waits for its first member.
///
/// # Errors
/// The database.
pub async fn admin(desk: &Desk<'_>) -> Result<Option<Member>, Error> {
    let mut tx = desk.begin();
    let found = members::find_newest_admin(&mut tx).await?;
    tx.commit().await?;
    Ok(found)
}

/// The tenant's title and description, as feeds and mails name it.
///
/// # Errors
/// The database.
pub async fn profile_texts(tx: &mut TenantTx) -> Result<(String, String), store::Error> {
    let profile = match read(tx, Key::General).await? {
        Some(Value::GeneralSetting(general)) => general.custom_profile.unwrap_or_default(),
        _ => wire::v1::instance_setting::general_setting::CustomProfile::default(),
    };
    let title = if profile.title.is_empty() { "Memos".to_owned() } else { profile.title };
    Ok((title, profile.description))
}

/// The service that turns speech into text and what is asked of it; none when none is set up.
///
/// # Errors
/// The database.
pub async fn transcription_set_up(
    tx: &mut TenantTx,
) -> Result<Option<(AiProviderConfig, TranscriptionConfig)>, store::Error> {
    let Some(Value::AiSetting(setting)) = read(tx, Key::Ai).await? else { return Ok(None) };
    let Some(wanted) = setting.transcription else { return Ok(None) };
    let provider = setting.providers.into_iter().find(|one| !one.id.is_empty() && one.id == wanted.provider_id);
    Ok(provider.map(|provider| (provider, wanted)))
}

/// The mail server of the tenant; none while mail is switched off.
///
/// # Errors
/// The database.
pub async fn mail_set_up(tx: &mut TenantTx) -> Result<Option<EmailSetting>, store::Error> {
    let Some(Value::NotificationSetting(setting)) = read(tx, Key::Notification).await? else { return Ok(None) };
    Ok(setting.email.filter(|email| email.enabled))
}

/// The mail server that a trial is for: the one given, its password filled in from the stored one of the same server, or
/// the stored one.
///
/// # Errors
/// The caller is no admin, none is set up, the password is missing.
pub async fn mail_to_try(desk: &Desk<'_>, given: Option<EmailSetting>) -> Result<EmailSetting, Error> {
    if !desk.actor.is_admin() {
        return Err(Error::Denied);
    }
    let mut tx = desk.begin();
    let stored = match read(&mut tx, Key::Notification).await? {
        Some(Value::NotificationSetting(stored)) => stored,
        _ => NotificationSetting::default(),
    };
    tx.commit().await?;
    let Some(given) = given else {
        let stored = stored.email.filter(|email| !email.smtp_host.is_empty());
        return stored.ok_or(Error::Refused("email notifications are not set up"));
    };
    let mut setting = NotificationSetting { email: Some(given) };
    if setting.email.as_ref().is_some_and(|email| !email.smtp_username.is_empty()) {
        keep_password(&mut setting, stored)?;
    }
    Ok(setting.email.unwrap_or_default())
}

/// How much room the tenant takes; for admins.
///
/// # Errors
/// The caller is no admin.
pub async fn sizes(desk: &Desk<'_>) -> Result<Sizes, Error> {
    if !desk.actor.is_admin() {
        return Err(Error::Denied);
    }
    Ok(counts::read_sizes(desk.begin()).await?)
}

/// The key that a name stands for.
fn key_of(name: &str) -> Result<Key, Error> {
    let Some(word) = name.strip_prefix(PREFIX) else {
        return Err(Error::Invalid(format!(
            "invalid instance setting name: invalid instance setting name: expected prefix \"{PREFIX}\", got \"{name}\""
        )));
    };
    let unknown = || Error::Invalid("unsupported instance setting key: INSTANCE_SETTING_KEY_UNSPECIFIED".to_owned());
    Key::parse(word).ok_or_else(unknown)
}

/// Whether this caller may read the group.
fn may_read(desk: &Desk<'_>, key: Key) -> Result<(), Error> {
    let (needs_login, needs_admin) = match key {
        Key::Basic | Key::General | Key::MemoRelated | Key::Tags => (false, false),
        Key::Ai => (true, false),
        Key::Storage | Key::Notification => (true, true),
    };
    if needs_login && desk.actor.member().is_none() {
        return Err(Error::SignInFirst);
    }
    if needs_admin && !desk.actor.is_admin() { Err(Error::Denied) } else { Ok(()) }
}

/// Groups of settings by name; the first that may not be read fails all.
///
/// # Errors
/// An unknown name, a group that the caller may not read, more than 100 names.
pub async fn list(desk: &Desk<'_>, names: &[String]) -> Result<Vec<InstanceSetting>, Error> {
    if names.len() > LARGEST_BATCH {
        return Err(Error::Invalid("too many instance setting names (max 100)".to_owned()));
    }
    let mut tx = desk.begin();
    let mut out = Vec::with_capacity(names.len());
    for name in names {
        let key = key_of(name)?;
        may_read(desk, key)?;
        out.push(shown(key, read(&mut tx, key).await?, desk.actor.is_admin()));
    }
    tx.commit().await?;
    Ok(out)
}

/// One group.
///
/// # Errors
/// As [`list`].
pub async fn get(desk: &Desk<'_>, name: &str) -> Result<InstanceSetting, Error> {
    let mut found = list(desk, &[name.to_owned()]).await?;
    found.pop().ok_or_else(|| Error::Invalid("no such setting".to_owned()))
}

/// Replaces a whole group; empty secrets keep what is stored. Audit: `settings.updated`.
///
/// # Errors
/// The caller is no admin, an unknown name, a value that does not belong to it or cannot be.
pub async fn update(desk: &Desk<'_>, setting: InstanceSetting) -> Result<InstanceSetting, Error> {
    if desk.actor.member().is_none() {
        return Err(Error::SignInFirst);
    }
    if !desk.actor.is_admin() {
        return Err(Error::Denied);
    }
    let key = key_of(&setting.name)?;
    let mut tx = desk.begin();
    tx.touch().await?;
    let (value, stored) = prepared(&mut tx, desk, key, setting.value).await?;
    rows::put_setting(&mut tx, key.as_str(), &stored).await?;
    let actor = audit_actor(desk);
    tx.audit(&AuditEvent { actor: &actor, event: "settings.updated", object: key.as_str(), detail: json!({}) }).await?;
    tx.commit().await?;
    Ok(shown(key, Some(value), true))
}

/// The value to store and show: checked, with kept secrets filled in.
async fn prepared(tx: &mut TenantTx, desk: &Desk<'_>, key: Key, value: Option<Value>) -> Result<(Value, Json), Error> {
    let value = match (key, value) {
        (Key::General, Some(Value::GeneralSetting(new))) => {
            check_general(tx, &new).await?;
            Value::GeneralSetting(new)
        }
        (Key::MemoRelated, Some(value @ Value::MemoRelatedSetting(_))) => value,
        (Key::Tags, Some(Value::TagsSetting(new))) => {
            check_tags(&new)?;
            Value::TagsSetting(new)
        }
        (Key::Storage, Some(Value::StorageSetting(mut new))) => {
            if let Some(Value::StorageSetting(old)) = read(tx, key).await? {
                keep_storage_secret(&mut new, old);
            }
            Value::StorageSetting(new)
        }
        (Key::Notification, Some(Value::NotificationSetting(mut new))) => {
            if let Some(Value::NotificationSetting(old)) = read(tx, key).await? {
                keep_password(&mut new, old)?;
            }
            Value::NotificationSetting(new)
        }
        (Key::Ai, Some(Value::AiSetting(new))) => match read(tx, key).await? {
            Some(Value::AiSetting(old)) => Value::AiSetting(provider::merge(new, old, desk.chance)?),
            _ => Value::AiSetting(provider::merge(new, AiSetting::default(), desk.chance)?),
        },
        _ => return Err(Error::Invalid(format!("{} instance setting is required", key.as_str()))),
    };
    let json = to_json(&value).map_err(|error| Error::Invalid(error.to_string()))?;
    Ok((value, json))
}

fn to_json(value: &Value) -> Result<Json, serde_json::Error> {
    match value {
        Value::GeneralSetting(setting) => serde_json::to_value(setting),
        Value::StorageSetting(setting) => serde_json::to_value(setting),
        Value::MemoRelatedSetting(setting) => serde_json::to_value(setting),
        Value::TagsSetting(setting) => serde_json::to_value(setting),
        Value::NotificationSetting(setting) => serde_json::to_value(setting),
        Value::AiSetting(setting) => serde_json::to_value(setting),
    }
}

/// Nobody but admins could sign in any more.
async fn check_general(tx: &mut TenantTx, new: &GeneralSetting) -> Result<(), Error> {
    if new.disallow_password_auth && providers::list_providers(tx).await?.is_empty() {
        return Err(Error::Refused("password sign-in cannot be switched off while there is no identity provider"));
    }
    if !(0..=6).contains(&new.week_start_day_offset) {
        return Err(Error::Invalid("week_start_day_offset must be 0 (Sunday) to 6 (Saturday)".to_owned()));
    }
    Ok(())
}

fn check_tags(new: &TagsSetting) -> Result<(), Error> {
    for (key, tag) in &new.tags {
        tags::check(key, tag.background_color.as_ref())
            .map_err(|why| Error::Invalid(format!("invalid instance setting: {why}")))?;
    }
    Ok(())
}

fn keep_storage_secret(new: &mut StorageSetting, old: StorageSetting) {
    if let (Some(new), Some(old)) = (&mut new.s3_config, old.s3_config)
        && new.access_key_secret.is_empty()
    {
        new.access_key_secret = old.access_key_secret;
    }
}

/// A stored password is never sent to another server than the one it was given for.
fn keep_password(new: &mut NotificationSetting, old: NotificationSetting) -> Result<(), Error> {
    let server = |e: &EmailSetting| (e.smtp_host.clone(), e.smtp_port, e.smtp_username.clone(), e.use_tls, e.use_ssl);
    let Some(email) = new.email.as_mut().filter(|email| email.smtp_password.is_empty()) else { return Ok(()) };
    let kept = old.email.filter(|old| server(old) == server(email));
    let Some(kept) = kept else {
        return Err(Error::Invalid(
            "smtp password is required when changing SMTP host, port, username, or encryption settings".to_owned(),
        ));
    };
    email.smtp_password = kept.smtp_password;
    Ok(())
}
