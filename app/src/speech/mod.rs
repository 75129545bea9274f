//! Speech to text through the service that a workspace has set up: one that speaks as OpenAI does, or as Gemini does.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use url::Url;
use wire::v1::instance_setting::{AiProviderConfig, AiProviderType, TranscriptionConfig};

use crate::error::ApiError;
use crate::outbound::{self, Outbound};

/// The longest recording in bytes.
pub const LARGEST: usize = 25 * 1024 * 1024;
/// The longest file name in bytes.
const LONGEST_NAME: usize = 255;
/// How long the service may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Bytes of its answer that are read.
const ANSWER: usize = 4 * 1024 * 1024;
/// Kinds of recordings.
const AUDIO: [&str; 13] =
    ["aac", "aiff", "flac", "mpeg", "mp3", "mp4", "mpga", "ogg", "wav", "x-wav", "x-flac", "x-m4a", "webm"];
const VIDEO: [&str; 3] = ["mp4", "mpeg", "webm"];

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The workspace has no service for it.
    #[error("transcription is not configured")]
    NotConfigured,
    /// The service cannot be reached.
    #[error("the transcription service cannot be reached: {0}")]
    Unreachable(#[from] outbound::Error),
    /// The service refused.
    #[error("the transcription service answered {status}: {text}")]
    Refused {
        /// Its status.
        status: u16,
        /// What it said, cut.
        text: String,
    },
    /// The service answered something else than it should.
    #[error("the transcription service's answer cannot be read")]
    Unreadable,
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match &error {
            Error::Invalid(_) => Self::invalid(error.to_string()),
            // What somebody else's service does is no fault of this server.
            Error::NotConfigured | Error::Unreachable(_) | Error::Refused { .. } | Error::Unreadable => {
                Self::precondition(error.to_string())
            }
        }
    }
}

/// A recording.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Its bytes.
    pub content: Vec<u8>,
    /// Its name; may be empty.
    pub filename: String,
    /// Its type, with or without parameters.
    pub kind: String,
}

impl Recording {
    /// Refuses what no service takes.
    ///
    /// # Errors
    /// Empty, too long, or of a kind that is no recording.
    pub fn check(&self) -> Result<(), Error> {
        if self.content.is_empty() {
            return Err(Error::Invalid("audio content is required".to_owned()));
        }
        if self.content.len() > LARGEST {
            return Err(Error::Invalid("audio is too large; at most 25 MiB".to_owned()));
        }
        if self.filename.len() > LONGEST_NAME || self.filename.contains(['"', '\r', '\n', '/', '\\']) {
            return Err(Error::Invalid("invalid filename".to_owned()));
        }
        let known = match self.plain_kind().split_once('/') {
            Some(("audio", kind)) => AUDIO.contains(&kind),
            Some(("video", kind)) => VIDEO.contains(&kind),
            _ => false,
        };
        if known {
            return Ok(());
        }
        Err(Error::Invalid(format!("audio content type {:?} is not supported", self.plain_kind())))
    }

    fn plain_kind(&self) -> &str {
        self.kind.split(';').next().unwrap_or_default().trim()
    }
}

/// The text of a recording.
///
/// # Errors
/// The service cannot be reached, refuses, or says something else.
pub async fn transcribe(
    outbound: &Outbound,
    provider: &AiProviderConfig,
    wanted: &TranscriptionConfig,
    recording: &Recording,
) -> Result<String, Error> {
    match provider.r#type() {
        AiProviderType::Gemini => gemini(outbound, provider, wanted, recording).await,
        AiProviderType::Openai => openai(outbound, provider, wanted, recording).await,
        AiProviderType::Unspecified => Err(Error::NotConfigured),
    }
}

fn address(provider: &AiProviderConfig, usual: &str, below: &str) -> Result<Url, Error> {
    let endpoint = if provider.endpoint.is_empty() { usual } else { provider.endpoint.as_str() };
    Url::parse(&format!("{}/{below}", endpoint.trim_end_matches('/'))).map_err(|_| Error::NotConfigured)
}

async fn sent(outbound: &Outbound, request: reqwest::RequestBuilder, url: &Url) -> Result<Value, Error> {
    let answer = outbound.send(request.timeout(PATIENCE), url, ANSWER).await?;
    if !(200..300).contains(&answer.status) {
        let text = String::from_utf8_lossy(&answer.body).chars().take(200).collect();
        return Err(Error::Refused { status: answer.status, text });
    }
    serde_json::from_slice(&answer.body).map_err(|_| Error::Unreadable)
}

async fn openai(
    outbound: &Outbound,
    provider: &AiProviderConfig,
    wanted: &TranscriptionConfig,
    recording: &Recording,
) -> Result<String, Error> {
    let url = address(provider, "https://api.openai.com/v1", "audio/transcriptions")?;
    let model = if wanted.model.is_empty() { "whisper-1" } else { wanted.model.as_str() };
    let mut fields = vec![("model", model), ("response_format", "json")];
    if !wanted.language.is_empty() {
        fields.push(("language", wanted.language.as_str()));
    }
    if !wanted.prompt.is_empty() {
        fields.push(("prompt", wanted.prompt.as_str()));
    }
    let (boundary, body) = form(&fields, recording);
    let request = outbound
        .request(reqwest::Method::POST, url.clone())
        .bearer_auth(&provider.api_key)
        .header("content-type", format!("multipart/form-data; boundary={boundary}"))
        .body(body);
    let answer = sent(outbound, request, &url).await?;
    answer["text"].as_str().map(str::to_owned).ok_or(Error::Unreadable)
}

/// A multipart form; the boundary is one that the recording does not hold.
fn form(fields: &[(&str, &str)], recording: &Recording) -> (String, Vec<u8>) {
    let mut boundary = "holdfast-recording".to_owned();
    let holds = |boundary: &str| {
        let wanted = boundary.as_bytes();
        recording.content.windows(wanted.len()).any(|part| part == wanted)
            || fields.iter().any(|(_, value)| value.contains(boundary))
    };
    while holds(&boundary) {
        boundary.push('x');
    }
    let mut body = Vec::with_capacity(recording.content.len() + 1024);
    for (name, value) in fields {
        let part = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    let name = if recording.filename.is_empty() { "audio" } else { recording.filename.as_str() };
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: {}\r\n\r\n",
        recording.plain_kind()
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(&recording.content);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    (boundary, body)
}

async fn gemini(
    outbound: &Outbound,
    provider: &AiProviderConfig,
    wanted: &TranscriptionConfig,
    recording: &Recording,
) -> Result<String, Error> {
    let model = if wanted.model.is_empty() { "gemini-2.5-flash" } else { wanted.model.as_str() };
    let below = format!("models/{model}:generateContent");
    let url = address(provider, "https://generativelanguage.googleapis.com/v1beta", &below)?;
    let mut asked = "Write down what is said in this recording, word for word, and nothing else.".to_owned();
    if !wanted.language.is_empty() {
        asked.push_str(&format!(" It is in {}.", wanted.language));
    }
    if !wanted.prompt.is_empty() {
        asked.push_str(&format!(" {}", wanted.prompt));
    }
    let data = STANDARD.encode(&recording.content);
    let body = json!({ "contents": [{ "parts": [
        { "text": asked },
        { "inline_data": { "mime_type": recording.plain_kind(), "data": data } },
    ] }] });
    let request = outbound
        .request(reqwest::Method::POST, url.clone())
        .header("x-goog-api-key", &provider.api_key)
        .header("content-type", "application/json")
        .body(body.to_string());
    let answer = sent(outbound, request, &url).await?;
    let parts = answer["candidates"][0]["content"]["parts"].as_array().ok_or(Error::Unreadable)?;
    Ok(parts.iter().filter_map(|part| part["text"].as_str()).collect::<String>().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(kind: &str, content: &[u8]) -> Recording {
        Recording { content: content.to_vec(), filename: "a.wav".to_owned(), kind: kind.to_owned() }
    }

    #[test]
    fn only_recordings_are_sent() {
        assert!(recording("audio/wav", b"x").check().is_ok());
        assert!(recording("audio/webm;codecs=opus", b"x").check().is_ok());
        assert!(recording("text/html", b"x").check().is_err());
        assert!(recording("audio/wav", b"").check().is_err());
        assert!(Recording { filename: "a\"\r\nb".to_owned(), ..recording("audio/wav", b"x") }.check().is_err());
    }

    #[test]
    fn nothing_in_a_recording_ends_its_part() {
        let (boundary, body) = form(&[("model", "m")], &recording("audio/wav", b"--holdfast-recording--"));
        assert_eq!(boundary, "holdfast-recordingx");
        assert!(String::from_utf8_lossy(&body).ends_with("\r\n--holdfast-recordingx--\r\n"));
    }
}
