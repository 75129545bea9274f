//! The process environment, read here and nowhere else.

use std::path::PathBuf;

/// Prefix of our variables.
pub const PREFIX: &str = "HOLDFAST_";

/// Variables that belong to tests and builds.
const IGNORED: &[&str] = &["HOLDFAST_FIXTURES", "HOLDFAST_BUILD_CACHE"];

/// All variables that begin with `HOLDFAST_`, without those of tests and builds.
pub fn ours() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
        .filter(|(name, _)| is_ours(name))
        .collect()
}

/// Whether a variable is a setting (or a misspelt one).
pub fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX) && !IGNORED.contains(&name)
}

/// Folders in which programs are looked for.
pub fn search_path() -> Vec<PathBuf> {
    std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

/// The user's folder for sockets, when the session has one.
pub fn user_runtime_directory() -> Option<PathBuf> {
    std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute())
}

/// The folder with the recorded fixtures, for tests only.
pub fn fixtures() -> Option<PathBuf> {
    std::env::var_os("HOLDFAST_FIXTURES").map(PathBuf::from)
}

/// Whether a test must fail rather than skip when its fixtures are missing.
pub fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}
