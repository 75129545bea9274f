//! What a linked page says of itself: title, description, picture.
//!
//! Fetched with the client that reaches only the public internet, redirects included; at most a few at a time; kept for a
//! day, failures for a minute.

mod page;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::id::TenantId;
use lru::LruCache;
use tokio::sync::Semaphore;
use url::Url;

use crate::error::ApiError;
use crate::outbound::{self, Outbound};

pub use page::Page;

/// How long a page may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a page that are read.
const LARGEST: usize = 512 * 1024;
/// Bytes of an oEmbed description that are read.
const DESCRIPTION: usize = 64 * 1024;
/// Redirects that are followed.
const REDIRECTS: usize = 5;
/// Pages that are asked for at once.
const AT_ONCE: usize = 8;
/// Pages that are remembered.
const KEPT: usize = 512;
/// Seconds that a page is remembered.
const KEPT_GOOD: i64 = 24 * 3600;
/// Seconds that a failure is remembered.
const KEPT_BAD: i64 = 60;
/// The most pages in one request.
pub const LARGEST_BATCH: usize = 10;

/// Why nothing is known of a page.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Nothing was asked for.
    #[error("url is required")]
    NoUrl,
    /// Nothing was asked for, in a batch.
    #[error("urls are required")]
    NoUrls,
    /// Too much was asked for.
    #[error("too many urls (max {LARGEST_BATCH})")]
    TooMany,
    /// It could not be fetched, or is no page.
    #[error("failed to fetch link metadata: {0}")]
    Fetch(String),
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<outbound::Error> for Error {
    fn from(error: outbound::Error) -> Self {
        Self::Fetch(error.to_string())
    }
}

type Known = (i64, Result<Page, Error>);

/// Fetches pages, and remembers them. Cheap to clone.
#[derive(Clone)]
pub struct Links {
    outbound: Outbound,
    places: Arc<Semaphore>,
    known: Arc<Mutex<LruCache<(TenantId, String), Known>>>,
}

impl Links {
    /// With this client.
    pub fn new(outbound: Outbound) -> Self {
        let room = NonZeroUsize::new(KEPT).unwrap_or(NonZeroUsize::MIN);
        Self { outbound, places: Arc::new(Semaphore::new(AT_ONCE)), known: Arc::new(Mutex::new(LruCache::new(room))) }
    }

    /// What the page at `text` says of itself, for a tenant, at `now`.
    ///
    /// # Errors
    /// It is no address that may be asked, does not answer, or is no page.
    pub async fn page(&self, tenant: TenantId, text: &str, now: i64) -> Result<Page, Error> {
        if text.trim().is_empty() {
            return Err(Error::NoUrl);
        }
        let key = (tenant, text.to_owned());
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some((until, outcome)) = known
            && until > now
        {
            return outcome;
        }
        let outcome = self.fetch(text).await;
        let until = now + if outcome.is_ok() { KEPT_GOOD } else { KEPT_BAD };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).put(key, (until, outcome.clone()));
        outcome
    }

    async fn fetch(&self, text: &str) -> Result<Page, Error> {
        let mut url = Url::parse(text).map_err(|_| outbound::Error::Scheme)?;
        let Ok(_place) = self.places.acquire().await else { return Err(Error::Fetch("stopping".to_owned())) };
        for _ in 0..=REDIRECTS {
            let request = self
                .outbound
                .request(reqwest::Method::GET, url.clone())
                .timeout(PATIENCE)
                .header("user-agent", "Holdfast/1.0 (link preview)")
                .header("accept", "text/html,application/xhtml+xml");
            let answer = self.outbound.send(request, &url, LARGEST).await?;
            match answer.status {
                300..=399 if !answer.location.is_empty() => {
                    url = url.join(&answer.location).map_err(|cause| Error::Fetch(cause.to_string()))?;
                }
                200..=299 => {
                    let kind = answer.kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
                    if !matches!(kind.as_str(), "text/html" | "application/xhtml+xml") {
                        return Err(Error::Fetch("not an HTML page".to_owned()));
                    }
                    let html = String::from_utf8_lossy(&answer.body);
                    let mut page = Page::read(text, &url, &html);
                    if let Some(more) = Page::oembed(&url, &html) {
                        // A page without its description is a page all the same.
                        if let Ok(description) = self.oembed(&more).await {
                            page.improve(&more, &description);
                        }
                    }
                    return Ok(page);
                }
                status => return Err(Error::Fetch(format!("the page answered {status}"))),
            }
        }
        Err(outbound::Error::Redirects.into())
    }

    /// The oEmbed description at an address that a page names.
    async fn oembed(&self, url: &Url) -> Result<bytes::Bytes, Error> {
        let request = self
            .outbound
            .request(reqwest::Method::GET, url.clone())
            .timeout(PATIENCE)
            .header("user-agent", "Holdfast/1.0 (link preview)")
            .header("accept", "application/json");
        let answer = self.outbound.send(request, url, DESCRIPTION).await?;
        match answer.status {
            200..=299 => Ok(answer.body),
            status => Err(Error::Fetch(format!("the description answered {status}"))),
        }
    }
}
