//! The types of single values, each with a parser that says what it expected.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use url::Url;

/// A century: nothing is kept for longer by a number of days.
const LONGEST_DAYS: u32 = 36_500;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// Address and port; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Reads `ADDRESS:PORT` or `unix:PATH`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() {
                Err("expected a path after unix:".to_owned())
            } else {
                Ok(Self::Unix(PathBuf::from(path)))
            };
        }
        let text = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
        let wrong = |_| format!("{text} is no address; expected ADDRESS:PORT such as 127.0.0.1:5230, or unix:PATH");
        text.parse().map(Self::Tcp).map_err(wrong)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Where the bytes of live attachments are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilesPlace {
    /// A folder of this machine.
    Directory(PathBuf),
    /// A bucket of the configured store's endpoint, below a prefix (empty, or without slashes at its ends).
    Bucket {
        /// Bucket; never the backup bucket.
        bucket: String,
        /// Prefix of every key.
        prefix: String,
    },
}

impl FilesPlace {
    /// Reads `file:///folder` or `s3://bucket/prefix`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || format!("{text} is no place for files; expected file:///folder or s3://bucket/prefix");
        let url = Url::parse(text).map_err(|_| expected())?;
        match url.scheme() {
            "file" => url.to_file_path().map(Self::Directory).map_err(|()| expected()),
            "s3" => {
                let bucket = bucket(url.host_str().unwrap_or_default())?;
                Ok(Self::Bucket { bucket, prefix: url.path().trim_matches('/').to_owned() })
            }
            _ => Err(expected()),
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For eyes.
    Human,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            other => Err(format!("{other} is no log format; expected human or json")),
        }
    }
}

pub(super) fn database_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(&text.replacen("@/", "@localhost/", 1))
        .map_err(|error| format!("no URL ({error}); expected postgres://user@host:port/database"))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err("must begin with postgres://".to_owned());
    }
    if url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password") {
        return Err("must not hold the password; put it in a file and set database_password_file".to_owned());
    }
    Ok(url)
}

/// A further store for points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorePlace {
    /// A folder, such as a mounted NAS.
    Directory(PathBuf),
    /// A bucket.
    Bucket {
        /// `https://host:port`.
        endpoint: String,
        /// Its name.
        bucket: String,
        /// Region sent with every signature.
        region: String,
        /// File with the access key.
        access_key_file: PathBuf,
        /// File with the secret key.
        secret_key_file: PathBuf,
    },
}

impl StorePlace {
    /// `file:///folder`, or `https://host/bucket?access_key_file=/path&secret_key_file=/path`, with `&region=` where need be.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("{text} is no URL ({error})"))?;
        if url.scheme() == "file" {
            let folder = url.to_file_path().map_err(|()| format!("{text} names no folder; write file:///folder"))?;
            return Ok(Self::Directory(folder));
        }
        if !matches!(url.scheme(), "http" | "https") || url.password().is_some() || !url.username().is_empty() {
            return Err(format!("{} is no store; write file:///folder or https://host/bucket?…", url.scheme()));
        }
        let asked = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let file = |name: &str| {
            asked(name)
                .map(PathBuf::from)
                .ok_or_else(|| format!("{text} lacks {name}=/path; keys are in files, never here"))
        };
        Ok(Self::Bucket {
            endpoint: url.origin().ascii_serialization(),
            bucket: bucket(url.path().trim_matches('/'))?,
            region: asked("region").unwrap_or_else(|| "us-east-1".to_owned()),
            access_key_file: file("access_key_file")?,
            secret_key_file: file("secret_key_file")?,
        })
    }
}

pub(super) fn endpoint(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("no URL ({error}); expected https://host:port"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("must begin with http:// or https:// and name a host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "must not hold keys; put them in files and set store_access_key_file and store_secret_key_file".to_owned()
        );
    }
    Ok(url)
}

pub(super) fn bucket(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    if (3..=63).contains(&text.len())
        && text.chars().all(plain)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
    {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no bucket name; expected 3 to 63 of a-z, 0-9, - and ."))
    }
}

/// Whole seconds.
pub(super) fn seconds(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("expected a number of seconds, found {text}"))
}

/// Whole days.
pub(super) fn days(text: &str) -> Result<u32, String> {
    let days = text.parse().map_err(|_| format!("expected a number of days, found {text}"))?;
    if days > LONGEST_DAYS { Err(format!("at most {LONGEST_DAYS} days, found {text}")) } else { Ok(days) }
}

pub(super) fn word(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        Err("must not hold control characters".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" | "on" => Ok(true),
        "false" | "no" | "0" | "off" => Ok(false),
        other => Err(format!("{other} is neither true nor false")),
    }
}

pub(super) fn count(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(format!("{text} is no number above 0")),
    }
}

/// A number of bytes: `4096`, `256M`, `10G`.
pub fn bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let (number, unit) = match text.char_indices().next_back() {
        Some((at, 'K' | 'k')) => (text.get(..at), 1 << 10),
        Some((at, 'M' | 'm')) => (text.get(..at), 1 << 20),
        Some((at, 'G' | 'g')) => (text.get(..at), 1 << 30),
        Some((at, 'T' | 't')) => (text.get(..at), 1 << 40),
        _ => (Some(text), 1_u64),
    };
    let bytes = number.and_then(|number| number.parse::<u64>().ok()?.checked_mul(unit));
    bytes.ok_or_else(|| format!("{text} is no number of bytes; expected such as 256M or 10G"))
}

pub(super) fn network(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        return Ok(IpNet::from(address));
    }
    text.parse().map_err(|_| format!("{text} is no network; expected CIDR such as 10.0.0.0/8"))
}
