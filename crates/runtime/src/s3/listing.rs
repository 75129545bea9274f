//! Keys in order, page by page, reading only the folders that a page needs.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use s3s::{S3Error, S3Result, s3_error};

use super::disk::{Facts, failed, is_absence};

/// What a listing asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct Query {
    pub(super) prefix: String,
    pub(super) delimiter: Option<String>,
    /// Where to go on: after a key, or behind all keys of a group.
    pub(super) after: Option<After>,
    pub(super) limit: usize,
}

/// Where a page ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum After {
    Key(String),
    Group(String),
}

impl After {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Key(text) | Self::Group(text) => text,
        }
    }

    /// As a continuation token, which clients hand back unread.
    pub(super) fn token(&self) -> String {
        let (kind, text) = match self {
            Self::Key(key) => ('k', key),
            Self::Group(prefix) => ('g', prefix),
        };
        URL_SAFE_NO_PAD.encode(format!("{kind}{text}"))
    }

    pub(super) fn parse(token: &str) -> S3Result<Self> {
        let plain = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        match plain.as_deref().map(|text| (text.get(..1), text.get(1..))) {
            Some((Some("k"), Some(key))) => Ok(Self::Key(key.to_owned())),
            Some((Some("g"), Some(prefix))) => Ok(Self::Group(prefix.to_owned())),
            _ => Err(s3_error!(InvalidArgument, "the continuation token is not one of ours")),
        }
    }

    /// Whether `key` lies behind this place.
    fn passed(&self, key: &str) -> bool {
        match self {
            Self::Key(last) => key > last.as_str(),
            Self::Group(prefix) => key > prefix.as_str() && !key.starts_with(prefix.as_str()),
        }
    }

    /// Whether some key that begins with `start` may lie behind this place.
    fn may_pass(&self, start: &str) -> bool {
        match self {
            Self::Key(last) => start > last.as_str() || last.starts_with(start),
            Self::Group(prefix) => {
                (start > prefix.as_str() || prefix.starts_with(start)) && !start.starts_with(prefix.as_str())
            }
        }
    }
}

/// One page.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) objects: Vec<(String, Facts)>,
    pub(super) groups: Vec<String>,
    /// Where the next page begins; `None` after the last.
    pub(super) next: Option<After>,
}

/// Lists a bucket's folder. Blocks.
pub(super) fn list(bucket: &Path, query: &Query) -> S3Result<Page> {
    let mut walk = Walk { query, page: Page::default(), last: None };
    if query.limit > 0 {
        let start = query.prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let sound = start.is_empty() || start.split('/').all(|s| !matches!(s, "" | "." | "..") && !s.contains('\0'));
        if sound {
            let above = if start.is_empty() { String::new() } else { format!("{start}/") };
            if let ControlFlow::Break(Some(error)) = walk.folder(&bucket.join(start), &above) {
                return Err(error);
            }
        }
    }
    Ok(walk.page)
}

/// A page in the making. Breaks with `None` when it is full.
struct Walk<'a> {
    query: &'a Query,
    page: Page,
    last: Option<After>,
}

type Step = ControlFlow<Option<S3Error>>;

impl Walk<'_> {
    /// Goes through a folder whose keys begin with `above`, in key order.
    fn folder(&mut self, path: &Path, above: &str) -> Step {
        let mut entries = match sorted(path, above) {
            Ok(entries) => entries,
            Err(error) => return ControlFlow::Break(Some(error)),
        };
        let prefix = self.query.prefix.as_str();
        entries.retain(|(key, _)| key.starts_with(prefix) || (key.ends_with('/') && prefix.starts_with(key.as_str())));
        for (key, path) in entries {
            if key.ends_with('/') {
                if self.query.after.as_ref().is_some_and(|after| !after.may_pass(&key)) {
                    continue;
                }
                match self.group(&key) {
                    // The whole folder is one group: that it holds anything is all we need to know.
                    Some(group) if group == key => {
                        if holds_file(&path) {
                            self.add_group(group)?;
                        }
                    }
                    _ => self.folder(&path, &key)?,
                }
            } else {
                self.file(key, &path)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn file(&mut self, key: String, path: &Path) -> Step {
        if self.query.after.as_ref().is_some_and(|after| !after.passed(&key)) {
            return ControlFlow::Continue(());
        }
        if let Some(group) = self.group(&key) {
            return self.add_group(group);
        }
        match fs::metadata(path) {
            Ok(facts) => {
                self.room()?;
                self.last = Some(After::Key(key.clone()));
                self.page.objects.push((key, Facts::from(&facts)));
                ControlFlow::Continue(())
            }
            Err(e) if is_absence(&e) => ControlFlow::Continue(()),
            Err(e) => ControlFlow::Break(Some(failed(path, e))),
        }
    }

    /// The group that a key falls into: up to the first delimiter behind the prefix.
    fn group(&self, key: &str) -> Option<String> {
        let delimiter = self.query.delimiter.as_deref().filter(|d| !d.is_empty())?;
        let rest = key.strip_prefix(self.query.prefix.as_str())?;
        let end = rest.find(delimiter)? + self.query.prefix.len() + delimiter.len();
        key.get(..end).map(str::to_owned)
    }

    fn add_group(&mut self, group: String) -> Step {
        if self.page.groups.last() == Some(&group) {
            return ControlFlow::Continue(());
        }
        self.room()?;
        self.last = Some(After::Group(group.clone()));
        self.page.groups.push(group);
        ControlFlow::Continue(())
    }

    /// Ends the page when it is full and there is more to come.
    fn room(&mut self) -> Step {
        if self.page.objects.len() + self.page.groups.len() < self.query.limit {
            return ControlFlow::Continue(());
        }
        self.page.next = self.last.take();
        ControlFlow::Break(None)
    }
}

/// A folder's entries as keys, folders with a slash behind, in key order.
fn sorted(path: &Path, above: &str) -> S3Result<Vec<(String, PathBuf)>> {
    let listing = match fs::read_dir(path) {
        Ok(listing) => listing,
        Err(e) if is_absence(&e) => return Ok(Vec::new()),
        Err(e) => return Err(failed(path, e)),
    };
    let mut entries = Vec::new();
    for entry in listing {
        let entry = entry.map_err(|e| failed(path, e))?;
        let (Ok(name), Ok(kind)) = (entry.file_name().into_string(), entry.file_type()) else { continue };
        if kind.is_dir() {
            entries.push((format!("{above}{name}/"), entry.path()));
        } else if kind.is_file() {
            entries.push((format!("{above}{name}"), entry.path()));
        }
    }
    entries.sort_unstable();
    Ok(entries)
}

fn holds_file(folder: &Path) -> bool {
    let Ok(listing) = fs::read_dir(folder) else { return false };
    listing.flatten().any(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => holds_file(&entry.path()),
        Ok(kind) => kind.is_file(),
        Err(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 9] = ["a", "b-x/1", "b.txt", "b/1", "b/2/x", "b/2/y", "b0", "c/d/e/f", "ä/ö"];

    fn bucket() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for key in KEYS {
            let path = dir.path().join(key);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, key).unwrap();
        }
        fs::create_dir_all(dir.path().join("empty/folder")).unwrap();
        dir
    }

    /// All pages of a listing: keys, and groups in brackets.
    fn all(prefix: &str, delimiter: Option<&str>, limit: usize) -> Vec<String> {
        let dir = bucket();
        let mut query =
            Query { prefix: prefix.to_owned(), delimiter: delimiter.map(str::to_owned), after: None, limit };
        let mut found = Vec::new();
        loop {
            let page = list(dir.path(), &query).unwrap();
            assert!(page.objects.len() + page.groups.len() <= limit);
            let mut names: Vec<String> = page.objects.into_iter().map(|(key, _)| key).collect();
            names.extend(page.groups.iter().map(|group| format!("[{group}]")));
            found.extend(names);
            let Some(next) = page.next else { return found };
            query.after = Some(After::parse(&next.token()).unwrap());
        }
    }

    #[test]
    fn keys_come_in_byte_order_whatever_the_page() {
        let mut sorted = KEYS.map(str::to_owned);
        sorted.sort_unstable();
        for limit in 1..=10 {
            assert_eq!(all("", None, limit), sorted, "pages of {limit}");
        }
        assert_eq!(all("b/", None, 1), ["b/1", "b/2/x", "b/2/y"]);
        assert_eq!(all("b", None, 2), ["b-x/1", "b.txt", "b/1", "b/2/x", "b/2/y", "b0"]);
        assert_eq!(all("b/2/x", None, 2), ["b/2/x"]);
        assert_eq!(all("c/d/", None, 2), ["c/d/e/f"]);
        assert!(all("nothing/here", None, 2).is_empty());
        assert!(all("../", None, 2).is_empty());
    }

    #[test]
    fn groups_are_found_whatever_the_page() {
        for limit in 1..=10 {
            let mut found = all("", Some("/"), limit);
            found.sort_unstable();
            assert_eq!(found, ["[b-x/]", "[b/]", "[c/]", "[ä/]", "a", "b.txt", "b0"], "pages of {limit}");
        }
        assert_eq!(all("b/", Some("/"), 9), ["b/1", "[b/2/]"]);
        assert_eq!(all("c/", Some("/"), 9), ["[c/d/]"]);
        assert_eq!(all("b", Some("x"), 1), ["[b-x]", "[b.tx]", "b/1", "[b/2/x]", "b/2/y", "b0"]);
    }
}
