//! Exchanges whose answer differs on purpose, each with its reason.

/// Id and reason.
pub(super) const EXCEPTIONS: &[(&str, &str)] = &[];
