//! Objects in an S3 bucket.

mod failure;
mod lifecycle;
mod lock;
mod trial;
mod upload;
mod versions;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    SharedHttpClient,
};
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use time::OffsetDateTime;

use crate::Error;
use crate::store::{Download, Exact, Head, Listed};

/// How to reach a bucket. All values come from the caller; nothing is read from the environment.
#[derive(Clone)]
pub struct S3Config {
    /// The address, such as `https://s3.example.net`; `None` for Amazon's own.
    pub endpoint: Option<String>,
    /// The region, which is part of the signature.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// Put before every key: empty, or ending with a slash.
    pub prefix: String,
    /// `http://host/bucket/key` instead of `http://bucket.host/key`.
    pub path_style: bool,
    /// The access key's name.
    pub access_key: String,
    /// The secret key.
    pub secret_key: String,
    /// Certificates in PEM to trust besides the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// Send a SHA-256 checksum with every put, which the store then checks and keeps. For stores that the probe found to
    /// support it.
    pub checksums: bool,
    /// Days for which points and their log are locked against removal (governance mode); none: not at all. Needs a bucket
    /// that was made with object lock.
    pub lock_days: Option<u32>,
    /// How long one attempt of one request may take.
    pub attempt_timeout: Duration,
    /// How often a request is tried in all.
    pub attempts: u32,
}

impl S3Config {
    /// A bucket at an address, path style, region `us-east-1`.
    pub fn new(
        endpoint: impl Into<String>,
        bucket: impl Into<String>,
        access_key: impl Into<String>,
        secret_key: impl Into<String>,
    ) -> Self {
        Self {
            endpoint: Some(endpoint.into()),
            region: "us-east-1".to_owned(),
            bucket: bucket.into(),
            prefix: String::new(),
            path_style: true,
            access_key: access_key.into(),
            secret_key: secret_key.into(),
            ca_pem: None,
            checksums: true,
            lock_days: None,
            attempt_timeout: Duration::from_mins(2),
            attempts: 3,
        }
    }
}

impl fmt::Debug for S3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Config")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct S3Store {
    pub(crate) client: Client,
    pub(crate) config: Arc<S3Config>,
}

impl S3Store {
    pub(crate) fn new(config: S3Config) -> Result<Self, Error> {
        if !config.prefix.is_empty() {
            let folder = config
                .prefix
                .strip_suffix('/')
                .ok_or_else(|| Error::Setup("the prefix in the bucket has to end with a slash".to_owned()))?;
            crate::keys::check(folder)?;
        }
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .read_timeout(config.attempt_timeout)
            .operation_attempt_timeout(config.attempt_timeout)
            .build();
        let mut builder = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http_client(&config)?)
            .region(Region::new(config.region.clone()))
            .credentials_provider(Credentials::new(&config.access_key, &config.secret_key, None, None, "holdfast"))
            .force_path_style(config.path_style)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(config.attempts.max(1)))
            // Some stores refuse the trailing checksums that the SDK would send by itself.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        if let Some(endpoint) = &config.endpoint {
            builder = builder.endpoint_url(endpoint);
        }
        Ok(Self { client: Client::from_conf(builder.build()), config: Arc::new(config) })
    }

    /// The store's address for messages.
    pub(crate) fn endpoint(&self) -> String {
        self.config.endpoint.clone().unwrap_or_else(|| format!("s3.{}.amazonaws.com", self.config.region))
    }

    pub(crate) fn location(&self) -> String {
        format!("{}/{}/{}", self.endpoint().trim_end_matches('/'), self.config.bucket, self.config.prefix)
            .trim_end_matches('/')
            .to_owned()
    }

    /// A key as it stands in the bucket.
    pub(crate) fn full(&self, key: &str) -> String {
        format!("{}{key}", self.config.prefix)
    }

    pub(crate) async fn check(&self) -> Result<(), Error> {
        let asked = self.client.head_bucket().bucket(&self.config.bucket).send().await;
        asked.map(drop).map_err(|e| match self.failure("reaching the bucket", "", e) {
            Error::NotFound { .. } => Error::NoBucket { bucket: self.config.bucket.clone() },
            other => other,
        })
    }

    pub(crate) async fn create(&self) -> Result<(), Error> {
        match self.check().await {
            Err(Error::NoBucket { .. }) => {}
            settled => return settled,
        }
        let asked = self.client.create_bucket().bucket(&self.config.bucket);
        let made = asked.set_object_lock_enabled_for_bucket(self.config.lock_days.map(|_| true)).send().await;
        match made.map_err(|e| self.failure("making the bucket", "", e)) {
            Ok(_) | Err(Error::Exists { .. }) => Ok(()),
            Err(other) => Err(other),
        }
    }

    pub(crate) async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Download, Error> {
        let range = range.map(|r| format!("bytes={}-{}", r.start, r.end - 1));
        let asked = self.client.get_object().bucket(&self.config.bucket).key(self.full(key)).set_range(range);
        let answer = asked.send().await.map_err(|e| self.failure("reading", key, e))?;
        let size = answer.content_length.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        Ok(Download { size, reader: Box::pin(Exact::new(answer.body.into_async_read(), size)) })
    }

    pub(crate) async fn head(&self, key: &str) -> Result<Option<Head>, Error> {
        let asked = self.client.head_object().bucket(&self.config.bucket).key(self.full(key)).send().await;
        match asked.map_err(|e| self.failure("looking at", key, e)) {
            Ok(answer) => Ok(Some(Head {
                size: answer.content_length.and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
                etag: answer.e_tag.as_deref().map(|tag| tag.trim_matches('"').to_owned()),
                modified: moment(answer.last_modified.as_ref()),
            })),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }

    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<Listed>, Error> {
        let mut found = Vec::new();
        let mut token = None;
        loop {
            let asked = self.client.list_objects_v2().bucket(&self.config.bucket).prefix(self.full(prefix));
            let page = asked.set_continuation_token(token).send().await;
            let page = page.map_err(|e| self.failure("listing", prefix, e))?;
            for object in page.contents.unwrap_or_default() {
                let Some(key) = object.key.as_deref().and_then(|k| k.strip_prefix(&self.config.prefix)) else {
                    continue;
                };
                found.push(Listed {
                    key: key.to_owned(),
                    size: object.size.and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
                    modified: moment(object.last_modified.as_ref()),
                });
            }
            token = page.next_continuation_token;
            if token.is_none() || page.is_truncated != Some(true) {
                found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
                return Ok(found);
            }
        }
    }

    pub(crate) async fn folders(&self, prefix: &str) -> Result<Vec<String>, Error> {
        let full = self.full(prefix);
        let mut names = Vec::new();
        let mut token = None;
        loop {
            let asked = self.client.list_objects_v2().bucket(&self.config.bucket).prefix(&full).delimiter("/");
            let page = asked.set_continuation_token(token).send().await;
            let page = page.map_err(|e| self.failure("listing", prefix, e))?;
            let folders = page.common_prefixes.unwrap_or_default();
            names.extend(folders.iter().filter_map(|folder| {
                Some(folder.prefix.as_deref()?.strip_prefix(&full)?.trim_end_matches('/').to_owned())
            }));
            token = page.next_continuation_token;
            if token.is_none() || page.is_truncated != Some(true) {
                names.sort_unstable();
                return Ok(names);
            }
        }
    }

    pub(crate) async fn delete(&self, key: &str) -> Result<(), Error> {
        let asked = self.client.delete_object().bucket(&self.config.bucket).key(self.full(key)).send().await;
        match asked.map_err(|e| self.failure("deleting", key, e)) {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(other) => Err(other),
        }
    }

    pub(crate) async fn delete_many(&self, all: &[String]) -> Result<(), Error> {
        for some in all.chunks(1000) {
            match self.delete_batch(some).await {
                Err(Error::Refused { code, .. }) if code == "NotImplemented" => {
                    for key in some {
                        self.delete(key).await?;
                    }
                }
                settled => settled?,
            }
        }
        Ok(())
    }

    async fn delete_batch(&self, some: &[String]) -> Result<(), Error> {
        let broken = |e: aws_sdk_s3::error::BuildError| Error::Setup(e.to_string());
        let named = some.iter().map(|key| ObjectIdentifier::builder().key(self.full(key)).build());
        let named = named.collect::<Result<Vec<_>, _>>().map_err(broken)?;
        let batch = Delete::builder().set_objects(Some(named)).quiet(true).build().map_err(broken)?;
        let asked = self.client.delete_objects().bucket(&self.config.bucket).delete(batch).send().await;
        let answer = asked.map_err(|e| self.failure("deleting", some.first().map_or("", |k| k), e))?;
        let refused = answer.errors.unwrap_or_default().into_iter().find(|e| e.code.as_deref() != Some("NoSuchKey"));
        match refused {
            None => Ok(()),
            Some(e) => Err(self.judge(
                "deleting",
                e.key.as_deref().unwrap_or_default(),
                &e.code.unwrap_or_default(),
                e.message.unwrap_or_default(),
            )),
        }
    }

    pub(crate) async fn promote(&self, from: &str, to: &str) -> Result<(), Error> {
        let source = format!("{}/{}", self.config.bucket, percent_encode(&self.full(from)));
        let asked = self.client.copy_object().bucket(&self.config.bucket).copy_source(source).key(self.full(to));
        asked.send().await.map_err(|e| self.failure("copying", from, e))?;
        self.delete(from).await
    }
}

/// Keys in a copy's source stand in a header, so all but plain characters are escaped.
fn percent_encode(key: &str) -> String {
    use fmt::Write;
    let mut out = String::with_capacity(key.len());
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            out.push(byte as char);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn moment(at: Option<&DateTime>) -> OffsetDateTime {
    at.and_then(|at| OffsetDateTime::from_unix_timestamp_nanos(at.as_nanos()).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// rustls with ring, or plain HTTP where the address says so (then no certificates are loaded).
fn http_client(config: &S3Config) -> Result<SharedHttpClient, Error> {
    if config.endpoint.as_deref().is_some_and(|url| url.starts_with("http://")) {
        return Ok(aws_smithy_http_client::Builder::new().build_http());
    }
    if let Some(odd) = config.endpoint.as_deref().filter(|url| !url.starts_with("https://")) {
        return Err(Error::Setup(format!("{odd:?} is not an address; write it as https://host or http://host")));
    }
    let mut trust = TrustStore::default();
    if let Some(pem) = &config.ca_pem {
        check_certificates(pem)?;
        trust = trust.with_pem_certificate(pem.as_slice());
    }
    let context = TlsContext::builder().with_trust_store(trust).build();
    let context = context.map_err(|e| Error::Setup(format!("the store's CA file cannot be used: {e}")))?;
    Ok(aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(context)
        .build_https())
}

/// Refuses what the client would only stumble over later.
fn check_certificates(pem: &[u8]) -> Result<(), Error> {
    let unusable = |why: String| Error::Setup(format!("the store's CA file holds no usable certificates ({why})"));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|e| unusable(e.to_string()))?;
        roots.add(certificate).map_err(|e| unusable(e.to_string()))?;
    }
    if roots.is_empty() { Err(unusable("there is none".to_owned())) } else { Ok(()) }
}
