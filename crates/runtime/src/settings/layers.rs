//! Layers of raw values: default, file, environment, flag. The highest one wins and its origin is kept.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::keys::{self, KEYS, Key, Shape};
use super::{Error, Shown, environment};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody gave one.
    Default,
    /// A configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// The command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "env {name}"),
            Self::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where settings are read from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--config`; without it, `holdfast.toml` in the data folder when it exists.
    pub config: Option<PathBuf>,
    /// Variables with the prefix `HOLDFAST_`.
    pub environment: Vec<(String, String)>,
    /// Flags as (key, value); the key is a setting's name.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// The environment of this process under the given `--config` and flags.
    pub fn of_process(config: Option<PathBuf>, flags: Vec<(String, String)>) -> Self {
        Self { config, environment: environment::ours(), flags }
    }
}

#[derive(Clone, Debug)]
struct Given {
    value: String,
    origin: Origin,
}

/// The value in force of every key that has one.
#[derive(Clone, Debug)]
pub(super) struct Layers {
    given: BTreeMap<&'static str, Given>,
}

impl Layers {
    pub(super) fn merge(sources: &Sources) -> Result<Self, Error> {
        let mut layers = Self { given: BTreeMap::new() };
        for key in KEYS {
            if let Some(default) = key.default {
                layers.set(key, default.to_owned(), Origin::Default);
            }
        }
        let mut above = Vec::new();
        for (name, value) in &sources.environment {
            if environment::is_ours(name) {
                let origin = Origin::Environment(name.clone());
                above.push((
                    known(&name[environment::PREFIX.len()..].to_lowercase(), name, &origin)?,
                    value.clone(),
                    origin,
                ));
            }
        }
        for (name, value) in &sources.flags {
            let origin = Origin::Flag(name.replace('_', "-"));
            above.push((known(name, name, &origin)?, value.clone(), origin));
        }
        if let Some(file) = config_file(sources, &above) {
            layers.read_file(&file)?;
        }
        for (key, value, origin) in above {
            layers.set(key, value, origin);
        }
        Ok(layers)
    }

    fn set(&mut self, key: &Key, value: String, origin: Origin) {
        self.given.insert(key.name, Given { value, origin });
    }

    fn read_file(&mut self, file: &Path) -> Result<(), Error> {
        let text = std::fs::read_to_string(file).map_err(|source| Error::File { path: file.to_owned(), source })?;
        let table: toml::Table = toml::from_str(&text).map_err(|error| {
            let before = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = text.get(..before).unwrap_or_default().matches('\n').count() + 1;
            Error::Toml { path: file.to_owned(), line, what: error.message().to_owned() }
        })?;
        let folder = file.parent().unwrap_or_else(|| Path::new("."));
        for (name, value) in &table {
            let origin = Origin::File(file.to_owned());
            let key = known(name, name, &origin)?;
            let value = flatten(key, value, folder).ok_or_else(|| Error::Value {
                key: key.name,
                origin: origin.to_string(),
                what: expected(key),
            })?;
            self.set(key, value, origin);
        }
        Ok(())
    }

    pub(super) fn origin(&self, key: &str) -> Option<&Origin> {
        self.given.get(key).map(|given| &given.origin)
    }

    pub(super) fn shown(&self, key: &Key) -> Shown {
        let given = self.given.get(key.name);
        Shown {
            key: key.name,
            value: given.map(|given| given.value.clone()),
            origin: given.map_or(Origin::Default, |given| given.origin.clone()),
            about: key.about,
        }
    }

    /// The value through `parse`; an empty value counts as unset.
    pub(super) fn parsed<T>(
        &self,
        key: &'static str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Error> {
        match self.given.get(key).filter(|given| !given.value.trim().is_empty()) {
            None => Ok(None),
            Some(given) => parse(given.value.trim()).map(Some).map_err(|what| refusal(key, given, what)),
        }
    }

    /// A value that a default stands behind.
    pub(super) fn required<T>(&self, key: &'static str, parse: fn(&str) -> Result<T, String>) -> Result<T, Error> {
        self.parsed(key, parse)?.ok_or_else(|| Error::Value {
            key,
            origin: self.origin(key).map_or_else(|| "default".to_owned(), ToString::to_string),
            what: "must not be empty".to_owned(),
        })
    }

    /// Each item of a list through `parse`.
    pub(super) fn list<T>(&self, key: &'static str, parse: fn(&str) -> Result<T, String>) -> Result<Vec<T>, Error> {
        let Some(given) = self.given.get(key) else { return Ok(Vec::new()) };
        let items = given.value.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(|item| parse(item).map_err(|what| refusal(key, given, what))).collect()
    }

    pub(super) fn path(&self, key: &'static str) -> Result<Option<PathBuf>, Error> {
        self.parsed(key, |text| Ok(PathBuf::from(text)))
    }

    pub(super) fn paths(&self, key: &'static str) -> Result<Vec<PathBuf>, Error> {
        self.list(key, |text| Ok(PathBuf::from(text)))
    }
}

fn refusal(key: &'static str, given: &Given, what: String) -> Error {
    Error::Value { key, origin: given.origin.to_string(), what }
}

fn known(name: &str, written: &str, origin: &Origin) -> Result<&'static Key, Error> {
    keys::find(name).ok_or_else(|| {
        let nearest = keys::nearest(name).map(|near| match origin {
            Origin::Environment(_) => format!("{}{}", environment::PREFIX, near.to_uppercase()),
            Origin::Flag(_) => format!("--{}", near.replace('_', "-")),
            Origin::Default | Origin::File(_) => near.to_owned(),
        });
        let origin = match origin {
            Origin::Environment(_) => "environment".to_owned(),
            other => other.to_string(),
        };
        Error::Unknown { key: written.to_owned(), origin, nearest }
    })
}

/// `--config`, or the file in the data folder that flags, environment or the default name.
fn config_file(sources: &Sources, above: &[(&'static Key, String, Origin)]) -> Option<PathBuf> {
    if sources.config.is_some() {
        return sources.config.clone();
    }
    let given = above.iter().rev().find(|(key, ..)| key.name == "data").map(|(_, value, _)| value.as_str());
    let data = given.or_else(|| keys::find("data").and_then(|key| key.default))?;
    let file = Path::new(data).join("holdfast.toml");
    file.is_file().then_some(file)
}

/// A TOML value as the text the other sources would give.
fn flatten(key: &Key, value: &toml::Value, folder: &Path) -> Option<String> {
    let scalar = |value: &toml::Value| match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(yes) => Some(yes.to_string()),
        _ => None,
    };
    let place = |text: String| folder.join(text).to_string_lossy().into_owned();
    match (key.shape, value) {
        (Shape::Path, value) => scalar(value).map(place),
        (Shape::Many, toml::Value::Array(items)) => {
            Some(items.iter().map(scalar).collect::<Option<Vec<_>>>()?.join(","))
        }
        (Shape::One | Shape::Many, value) => scalar(value),
        (Shape::Paths, toml::Value::Array(items)) => {
            Some(items.iter().map(|item| scalar(item).map(place)).collect::<Option<Vec<_>>>()?.join(","))
        }
        (Shape::Paths, value) => {
            Some(scalar(value)?.split(',').map(|item| place(item.trim().to_owned())).collect::<Vec<_>>().join(","))
        }
    }
}

fn expected(key: &Key) -> String {
    match key.shape {
        Shape::One => "expected text, a number, true or false".to_owned(),
        Shape::Path => "expected a path in quotes".to_owned(),
        Shape::Many | Shape::Paths => "expected a list such as [\"a\", \"b\"]".to_owned(),
    }
}
