//! Providers of transcription: their keys are kept, never shown.

use domain::chance::Chance;
use wire::v1::instance_setting::{AiProviderConfig, AiProviderType, AiSetting};

use super::Error;

const OPENAI: &str = "https://api.openai.com/v1";
const GEMINI: &str = "https://generativelanguage.googleapis.com/v1beta";

/// Takes out what may not be seen: keys always, the details of transcription where the viewer is no admin.
pub(super) fn hide(ai: &mut AiSetting, is_admin: bool) {
    for provider in &mut ai.providers {
        provider.api_key_set = !provider.api_key.is_empty();
        provider.api_key_hint = hint(&provider.api_key);
        provider.api_key.clear();
    }
    if let Some(transcription) = ai.transcription.as_mut().filter(|_| !is_admin) {
        transcription.model.clear();
        transcription.language.clear();
        transcription.prompt.clear();
    }
}

/// The first and last four letters of a key that is long enough for that to tell nothing.
fn hint(key: &str) -> String {
    let letters: Vec<char> = key.chars().collect();
    if letters.len() < 12 {
        return if key.is_empty() { String::new() } else { "...".to_owned() };
    }
    let part = |from: usize| letters.iter().skip(from).take(4).collect::<String>();
    format!("{}...{}", part(0), part(letters.len() - 4))
}

/// What to store for `new`: kept keys filled in, ids drawn, endpoints completed.
pub(super) fn merge(mut new: AiSetting, stored: AiSetting, chance: &Chance) -> Result<AiSetting, Error> {
    for provider in &mut new.providers {
        let known = stored.providers.iter().find(|known| !provider.id.is_empty() && known.id == provider.id);
        complete(provider, known, chance).map_err(|why| Error::Invalid(format!("invalid AI setting: {why}")))?;
    }
    if new.transcription.is_none() {
        new.transcription = stored.transcription;
    }
    let wanted = new.transcription.as_ref().map_or("", |transcription| transcription.provider_id.as_str());
    if !wanted.is_empty() && !new.providers.iter().any(|provider| provider.id == wanted) {
        return Err(Error::Invalid("invalid AI setting: transcription names a provider that is not there".to_owned()));
    }
    Ok(new)
}

fn complete(
    provider: &mut AiProviderConfig,
    known: Option<&AiProviderConfig>,
    chance: &Chance,
) -> Result<(), &'static str> {
    if provider.title.trim().is_empty() {
        return Err("provider title is required");
    }
    let endpoint = match provider.r#type() {
        AiProviderType::Unspecified => return Err("provider type is required"),
        AiProviderType::Openai => OPENAI,
        AiProviderType::Gemini => GEMINI,
    };
    if provider.endpoint.is_empty() {
        endpoint.clone_into(&mut provider.endpoint);
    }
    if provider.api_key.is_empty() {
        provider.api_key = known.map(|known| known.api_key.clone()).unwrap_or_default();
    }
    if provider.api_key.is_empty() {
        return Err("provider API key is required");
    }
    if provider.id.is_empty() {
        provider.id = chance.uid();
    }
    provider.api_key_set = false;
    provider.api_key_hint.clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_and_only_hinted_at() {
        let provider = |key: &str| AiProviderConfig {
            id: "p".into(),
            title: "t".into(),
            r#type: AiProviderType::Openai.into(),
            api_key: key.into(),
            ..Default::default()
        };
        let setting = |key: &str| AiSetting { providers: vec![provider(key)], transcription: None };
        let mut merged = merge(setting(""), setting("sk-fixture-0001"), &Chance::seeded(1)).expect("merged");
        assert_eq!(merged.providers.first().map(|p| p.api_key.as_str()), Some("sk-fixture-0001"));
        hide(&mut merged, false);
        assert_eq!(
            merged.providers.first().map(|p| (p.api_key.as_str(), p.api_key_hint.as_str())),
            Some(("", "sk-f...0001"))
        );
        assert!(merge(setting(""), AiSetting::default(), &Chance::seeded(1)).is_err());
    }
}
