//! Attachments in an S3 bucket: with the credentials that the rows hold (a copy per attachment up to 0.30, in the storage
//! setting from 0.31 on), or with those given on the command line.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use objects::{ObjectStore, S3Config};
use serde_json::Value as Json;
use tokio::runtime::Handle;

use crate::error::Error;
use crate::reader::files::Sum;

/// How long one question to a bucket may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the command line says about the bucket; each part replaces what the rows hold.
#[derive(Clone, Default)]
pub struct BucketAccess {
    /// Address of the store.
    pub endpoint: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// Bucket.
    pub bucket: Option<String>,
    /// Name of the access key, and the secret key.
    pub keys: Option<(String, String)>,
    /// Leave objects where they are and keep their links.
    pub leave: bool,
}

impl std::fmt::Debug for BucketAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BucketAccess")
            .field("endpoint", &self.endpoint)
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}

/// The buckets of one source. Only on a thread that may wait.
#[derive(Debug)]
pub struct Buckets {
    access: BucketAccess,
    /// The `STORAGE` setting, or what an older release had in its place.
    storage: Json,
    known: RefCell<Known>,
}

#[derive(Debug, Default)]
struct Known {
    stores: Vec<ObjectStore>,
    by_place: BTreeMap<String, usize>,
    dead: BTreeMap<usize, String>,
    /// When objects were written, by the store's clock.
    written: BTreeMap<(usize, String), i64>,
}

impl Buckets {
    /// With the source's own storage setting.
    pub fn new(access: BucketAccess, storage: Json) -> Self {
        Self { access, storage, known: RefCell::default() }
    }

    /// Looks for the object of an attachment: where it is and how long, or why it cannot be had.
    pub fn find(&self, payload: &Json) -> Result<(usize, String, i64), String> {
        if self.access.leave {
            return Err("it stays there, as asked".to_owned());
        }
        let object = payload.get("s3Object").ok_or("its row does not say which object it is")?;
        let key = text(object, "key");
        if key.is_empty() {
            return Err("its row does not say which object it is".to_owned());
        }
        let at = self.store_of(object)?;
        if let Some(why) = self.known.borrow().dead.get(&at) {
            return Err(why.clone());
        }
        let store = self.known.borrow().stores.get(at).cloned().ok_or("no store")?;
        let head = wait(async move { store.head(&key).await.map(|head| (key, head)) })?;
        match head {
            Ok((key, Some(head))) => {
                self.known.borrow_mut().written.insert((at, key.clone()), head.modified.unix_timestamp());
                Ok((at, key, i64::try_from(head.size).unwrap_or(i64::MAX)))
            }
            Ok((key, None)) => Err(format!("the bucket does not hold {key}")),
            Err(err) => {
                let why = format!(
                    "the bucket cannot be read ({err}); give the right keys with --s3-access-key-file and --s3-secret-key-file, or --s3-endpoint"
                );
                self.known.borrow_mut().dead.insert(at, why.clone());
                Err(why)
            }
        }
    }

    /// When an object that `find` found was written, in seconds since 1970 by the store's clock.
    pub fn written(&self, at: usize, key: &str) -> Option<i64> {
        self.known.borrow().written.get(&(at, key.to_owned())).copied()
    }

    /// Brings an object that `find` found.
    pub fn fetch(&self, at: usize, key: &str, to: &Path) -> Result<Sum, Error> {
        let failed = |why: String| Error::source("s3_object", format!("the object {key} cannot be fetched: {why}"));
        let store = self.known.borrow().stores.get(at).cloned().ok_or_else(|| failed("no store".to_owned()))?;
        let (key, path) = (key.to_owned(), to.to_path_buf());
        let handle = Handle::try_current().map_err(|err| Error::Broken(err.to_string()))?;
        let done = handle.block_on(async move {
            let mut download = store.get_stream(&key).await.map_err(|err| err.to_string())?;
            let mut file = tokio::fs::File::create(&path).await.map_err(|err| err.to_string())?;
            tokio::io::copy(&mut download.reader, &mut file).await.map_err(|err| err.to_string())?;
            tokio::io::AsyncWriteExt::flush(&mut file).await.map_err(|err| err.to_string())
        });
        done.map_err(failed)?;
        super::files::sum_file(to)
    }

    fn store_of(&self, object: &Json) -> Result<usize, String> {
        let own = object.get("s3Config").filter(|config| config.is_object());
        let by_id = || {
            let id = text(object, "storageId");
            let list = self.storage.get("storages")?.as_array()?;
            list.iter().find(|storage| text(storage, "id") == id)?.get("s3Config")
        };
        let config = own.or_else(by_id).or_else(|| self.storage.get("s3Config")).cloned().unwrap_or_default();
        let given = |flag: &Option<String>, name: &str| flag.clone().unwrap_or_else(|| text(&config, name));
        let endpoint = given(&self.access.endpoint, "endpoint");
        let (region, bucket) = (given(&self.access.region, "region"), given(&self.access.bucket, "bucket"));
        let (access, secret) = self
            .access
            .keys
            .clone()
            .unwrap_or_else(|| (text(&config, "accessKeyId"), text(&config, "accessKeySecret")));
        if bucket.is_empty() || access.is_empty() {
            return Err("neither its row nor the settings hold the keys of the bucket; give --s3-bucket, --s3-access-key-file and --s3-secret-key-file".to_owned());
        }
        let place = format!("{endpoint}\n{region}\n{bucket}\n{access}");
        let mut known = self.known.borrow_mut();
        if let Some(at) = known.by_place.get(&place) {
            return Ok(*at);
        }
        let with_scheme = if endpoint.contains("://") { endpoint.clone() } else { format!("https://{endpoint}") };
        let mut s3 = S3Config::new(with_scheme, bucket, access, secret);
        if endpoint.is_empty() {
            s3.endpoint = None;
        }
        if !region.is_empty() {
            s3.region = region;
        }
        s3.path_style = self.access.endpoint.is_some()
            || config.get("usePathStyle").and_then(Json::as_bool).unwrap_or(false)
            || names_no_domain(&endpoint);
        s3.attempt_timeout = Duration::from_secs(10);
        s3.attempts = 2;
        let store = ObjectStore::s3(s3).map_err(|err| err.to_string())?;
        let at = known.stores.len();
        known.stores.push(store);
        known.by_place.insert(place, at);
        Ok(at)
    }
}

/// Nothing can stand in front of an address in numbers, or of this machine's own name.
fn names_no_domain(endpoint: &str) -> bool {
    let host = endpoint.rsplit("://").next().unwrap_or_default().split('/').next().unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || name.starts_with('[') || name.parse::<std::net::Ipv4Addr>().is_ok()
}

fn text(json: &Json, key: &str) -> String {
    json.get(key).and_then(Json::as_str).unwrap_or_default().to_owned()
}

fn wait<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let handle = Handle::try_current().map_err(|err| err.to_string())?;
    handle
        .block_on(async move { tokio::time::timeout(PATIENCE, work).await })
        .map_err(|_| "the bucket does not answer".to_owned())
}
