//! The groups of a tenant's settings: how each is stored, read with its defaults, and shown without its secrets.

use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use store::TenantTx;
use store::tenant::settings as rows;
use wire::v1::InstanceSetting;
use wire::v1::instance_setting::{
    AiSetting, GeneralSetting, MemoRelatedSetting, NotificationSetting, StorageSetting, TagsSetting, Value,
};

/// What names of settings begin with.
pub const PREFIX: &str = "instance/settings/";

/// The shortest limit of a note's text, in bytes.
const LEAST_CONTENT: i32 = 8 * 1024;
const REACTIONS: [&str; 8] = ["👍", "👎", "❤️", "🎉", "😄", "😕", "😢", "😡"];
const FILE_PATHS: &str = "assets/{timestamp}_{uuid}_{filename}";
const UPLOAD_MIB: i64 = 30;

/// A group of settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Holds secrets only; shows nothing.
    Basic,
    /// Registration, looks, names.
    General,
    /// Where files go.
    Storage,
    /// Length of notes, reactions.
    MemoRelated,
    /// Colours of tags.
    Tags,
    /// E-mail.
    Notification,
    /// Transcription.
    Ai,
}

impl Key {
    const ALL: [Self; 7] =
        [Self::Basic, Self::General, Self::Storage, Self::MemoRelated, Self::Tags, Self::Notification, Self::Ai];

    /// The word in names and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "BASIC",
            Self::General => "GENERAL",
            Self::Storage => "STORAGE",
            Self::MemoRelated => "MEMO_RELATED",
            Self::Tags => "TAGS",
            Self::Notification => "NOTIFICATION",
            Self::Ai => "AI",
        }
    }

    /// The key of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.as_str() == word)
    }
}

fn parsed<T: Default + DeserializeOwned>(stored: Option<Json>) -> T {
    stored.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default()
}

/// The value of a group as it is stored, secrets included, with defaults where nothing is set; nothing for `BASIC`.
pub(super) async fn read(tx: &mut TenantTx, key: Key) -> Result<Option<Value>, store::Error> {
    if key == Key::Basic {
        return Ok(None);
    }
    let stored = rows::find_setting(tx, key.as_str()).await?;
    Ok(Some(match key {
        Key::Basic | Key::General => Value::GeneralSetting(parsed(stored)),
        Key::Storage => Value::StorageSetting(storage_of(stored)),
        Key::MemoRelated => Value::MemoRelatedSetting(memo_related_of(stored)),
        Key::Tags => Value::TagsSetting(parsed::<TagsSetting>(stored)),
        Key::Notification => Value::NotificationSetting(parsed::<NotificationSetting>(stored)),
        Key::Ai => Value::AiSetting(parsed::<AiSetting>(stored)),
    }))
}

/// Who may register and change names, and how the tenant looks.
///
/// # Errors
/// The database.
pub async fn general(tx: &mut TenantTx) -> Result<GeneralSetting, store::Error> {
    Ok(parsed(rows::find_setting(tx, Key::General.as_str()).await?))
}

/// How long notes may be and which reactions are offered.
///
/// # Errors
/// The database.
pub async fn memo_related(tx: &mut TenantTx) -> Result<MemoRelatedSetting, store::Error> {
    Ok(memo_related_of(rows::find_setting(tx, Key::MemoRelated.as_str()).await?))
}

/// How large files may be.
///
/// # Errors
/// The database.
pub async fn storage(tx: &mut TenantTx) -> Result<StorageSetting, store::Error> {
    Ok(storage_of(rows::find_setting(tx, Key::Storage.as_str()).await?))
}

fn memo_related_of(stored: Option<Json>) -> MemoRelatedSetting {
    let mut setting: MemoRelatedSetting = parsed(stored);
    setting.content_length_limit = setting.content_length_limit.max(LEAST_CONTENT);
    if setting.reactions.is_empty() {
        setting.reactions = REACTIONS.map(str::to_owned).to_vec();
    }
    setting
}

fn storage_of(stored: Option<Json>) -> StorageSetting {
    let mut setting: StorageSetting = parsed(stored);
    if setting.storage_type == 0 {
        setting.storage_type = wire::v1::instance_setting::storage_setting::StorageType::Local.into();
    }
    if setting.filepath_template.is_empty() {
        FILE_PATHS.clone_into(&mut setting.filepath_template);
    }
    if setting.upload_size_limit_mb <= 0 {
        setting.upload_size_limit_mb = UPLOAD_MIB;
    }
    setting
}

/// A group as it may be shown: secrets out, and for members who are no admins the details of transcription too.
pub(super) fn shown(key: Key, value: Option<Value>, is_admin: bool) -> InstanceSetting {
    let value = value.map(|mut value| {
        match &mut value {
            Value::StorageSetting(storage) => {
                if let Some(s3) = &mut storage.s3_config {
                    s3.access_key_secret.clear();
                }
            }
            Value::NotificationSetting(notification) => {
                if let Some(email) = &mut notification.email {
                    email.smtp_password.clear();
                }
            }
            Value::AiSetting(ai) => super::provider::hide(ai, is_admin),
            Value::GeneralSetting(_) | Value::MemoRelatedSetting(_) | Value::TagsSetting(_) => {}
        }
        value
    });
    InstanceSetting { name: format!("{PREFIX}{}", key.as_str()), value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_set_reads_as_its_default() {
        let related = memo_related_of(Some(json!({"contentLengthLimit": 10, "reactions": ["A"], "unknown": 1})));
        assert_eq!((related.content_length_limit, related.reactions), (8192, vec!["A".to_owned()]));
        assert_eq!(memo_related_of(None).reactions.len(), 8);
        let storage = storage_of(Some(json!({"storageType": "DATABASE", "uploadSizeLimitMb": "0"})));
        assert_eq!((storage.storage_type, storage.upload_size_limit_mb), (1, 30));
        assert_eq!(storage.filepath_template, FILE_PATHS);
    }

    #[test]
    fn secrets_are_not_shown() {
        let stored = json!({"s3Config": {"accessKeyId": "k", "accessKeySecret": "secret"}});
        let shown = shown(Key::Storage, Some(Value::StorageSetting(storage_of(Some(stored)))), true);
        let text = serde_json::to_string(&shown).expect("json");
        assert!(!text.contains("\"secret\"") && text.contains("\"k\""), "{text}");
    }
}
