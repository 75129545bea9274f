//! From what the SDK saw to an [`Error`] that says what to do.

use std::io;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::S3Store;
use crate::Error;

impl S3Store {
    /// Sorts a failed request. `action` is a gerund for the message; `key` may be empty.
    pub(crate) fn failure<E>(&self, action: &str, key: &str, error: SdkError<E, HttpResponse>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        match &error {
            SdkError::ConstructionFailure(_) => Error::Setup(chain(&error)),
            SdkError::ServiceError(answer) => {
                let status = answer.raw().status().as_u16();
                let message = answer.err().message().unwrap_or_default().to_owned();
                match (answer.err().code().unwrap_or_default(), status) {
                    ("", status) => self.judge(action, key, by_status(status), message),
                    (code, 507) => self.judge(
                        action,
                        key,
                        if code == "InternalError" { "InsufficientStorage" } else { code },
                        message,
                    ),
                    (code, _) => self.judge(action, key, code, message),
                }
            }
            _ => Error::Unreachable { endpoint: self.endpoint(), source: chain(&error).into() },
        }
    }

    /// Sorts a store's own word for a failure.
    pub(crate) fn judge(&self, action: &str, key: &str, code: &str, message: String) -> Error {
        let key = key.to_owned();
        match code {
            "NoSuchBucket" => Error::NoBucket { bucket: self.config.bucket.clone() },
            "NoSuchKey" | "NotFound" => Error::NotFound { key },
            "PreconditionFailed" | "ConditionalRequestConflict" | "BucketAlreadyOwnedByYou" => Error::Exists { key },
            "InvalidRange" => Error::OutOfRange { key },
            "AccessDenied"
            | "Forbidden"
            | "Unauthorized"
            | "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "NotSignedUp"
            | "AllAccessDisabled"
            | "ExpiredToken"
            | "RequestTimeTooSkewed" => {
                Error::Denied { action: format!("{action} {key}").trim_end().to_owned(), code: code.to_owned() }
            }
            "BadDigest"
            | "InvalidDigest"
            | "XAmzContentSHA256Mismatch"
            | "XAmzContentChecksumMismatch"
            | "IncompleteBody" => Error::Altered { key },
            "InsufficientStorage" | "QuotaExceeded" | "XMinioStorageFull" | "EntityTooLargeForQuota" => Error::Full,
            "InternalError" | "ServiceUnavailable" | "SlowDown" | "RequestTimeout" | "OperationAborted" => {
                let source = io::Error::other(format!("{code}: {message}"));
                Error::Unreachable { endpoint: self.endpoint(), source: source.into() }
            }
            _ => Error::Refused {
                action: format!("{action} {key}").trim_end().to_owned(),
                code: code.to_owned(),
                message,
            },
        }
    }
}

/// Answers to HEAD have no body, so only the status tells.
fn by_status(status: u16) -> &'static str {
    match status {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "ConditionalRequestConflict",
        412 => "PreconditionFailed",
        416 => "InvalidRange",
        501 => "NotImplemented",
        503 => "ServiceUnavailable",
        507 => "InsufficientStorage",
        500.. => "InternalError",
        _ => "Unknown",
    }
}

/// A failure with all its causes in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
