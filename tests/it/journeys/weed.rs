//! SeaweedFS: a foreign S3 server that signs, checks sums, knows conditional writes, versions and object lock.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::process::{Installation, until};

/// A foreign S3 server that signs, checks sums and knows conditional writes.
pub(super) struct SeaweedFs(Child);

impl SeaweedFs {
    /// Keys of somebody who only reads.
    pub(super) const READER: (&'static str, &'static str) = ("read-access", "read-secret-key");

    /// Starts it and points the installation at it.
    pub(super) fn start(weed: &Path, place: &mut Installation) -> Self {
        Self::start_with(weed, place, None)
    }

    /// The same with a bucket that keeps versions and locks.
    pub(super) fn start_locked(weed: &Path, place: &mut Installation) -> Self {
        Self::start_with(weed, place, Some(1))
    }

    fn start_with(weed: &Path, place: &mut Installation, lock_days: Option<u32>) -> Self {
        // gRPC ports are 10,000 above each.
        let ports: Vec<u16> = (0..4).map(|_| super::journey::free_port(20_000)).collect();
        let folder = place.path("weed");
        std::fs::create_dir(&folder).unwrap();
        let keys = serde_json::json!({"identities": [{"name": "t", "actions": ["Admin", "Read", "Write", "List", "Tagging"],
            "credentials": [{"accessKey": "test-access", "secretKey": "test-secret-key"}]},
            {"name": "r", "actions": ["Read:holdfast-journey", "List:holdfast-journey"],
            "credentials": [{"accessKey": Self::READER.0, "secretKey": Self::READER.1}]}]});
        let config = place.file("s3.json", &keys.to_string());
        let mut command = Command::new(weed);
        command
            .args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", "-master.volumeSizeLimitMB=64"])
            .args(["-volume.max=20", "-s3.port.iceberg=0", "-s3.port.lance=0", "-metricsPort=0"])
            .arg(format!("-dir={}", folder.display()))
            .arg(format!("-s3.config={config}"))
            .arg(format!("-master.port={}", ports[0]))
            .arg(format!("-volume.port={}", ports[1]))
            .arg(format!("-filer.port={}", ports[2]))
            .arg(format!("-s3.port={}", ports[3]))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let server = Self(command.spawn().unwrap());
        place.unset("store_directory");
        place.set("store_endpoint", format!("http://127.0.0.1:{}", ports[3]));
        place.set("store_bucket", "holdfast-journey");
        let access = place.file("access", "test-access\n");
        let secret = place.file("secret", "test-secret-key\n");
        place.set("store_access_key_file", access);
        place.set("store_secret_key_file", secret);
        let endpoint = format!("http://127.0.0.1:{}", ports[3]);
        let config = objects::S3Config::new(endpoint, "holdfast-journey", "test-access", "test-secret-key");
        let bucket = objects::ObjectStore::s3(objects::S3Config { attempts: 1, lock_days, ..config }).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // It takes requests a little after it listens.
        until(Duration::from_secs(90), "SeaweedFS takes objects", || {
            let taken = async {
                bucket.create().await.is_ok() && bucket.put("up", "x", objects::PutOptions::default()).await.is_ok()
            };
            runtime.block_on(taken)
        });
        server
    }

    /// The bucket as the installation's settings name it.
    pub(super) fn bucket(place: &Installation) -> objects::ObjectStore {
        let value = |name: &str| {
            let name = format!("HOLDFAST_{name}");
            place.settings.iter().find(|(known, _)| *known == name).unwrap().1.clone()
        };
        let (endpoint, bucket) = (value("STORE_ENDPOINT"), value("STORE_BUCKET"));
        objects::ObjectStore::s3(objects::S3Config::new(endpoint, bucket, "test-access", "test-secret-key")).unwrap()
    }

    /// Another bucket of the same server, with versions and locks, to which every point is brought.
    pub(super) fn further_bucket(place: &mut Installation, name: &str) {
        let value = |name: &str| place.settings.iter().find(|(known, _)| known == name).unwrap().1.clone();
        let endpoint = value("HOLDFAST_STORE_ENDPOINT");
        let files = (value("HOLDFAST_STORE_ACCESS_KEY_FILE"), value("HOLDFAST_STORE_SECRET_KEY_FILE"));
        place.set("store_copies", format!("{endpoint}/{name}?access_key_file={}&secret_key_file={}", files.0, files.1));
        let config = objects::S3Config::new(endpoint, name, "test-access", "test-secret-key");
        let bucket = objects::ObjectStore::s3(objects::S3Config { lock_days: Some(1), ..config }).unwrap();
        running().block_on(bucket.create()).unwrap();
    }

    /// A bucket of the same server that keeps versions, for the installation's attachments.
    pub(super) fn versioned_files(place: &mut Installation, name: &str) {
        let endpoint = place.settings.iter().find(|(known, _)| known == "HOLDFAST_STORE_ENDPOINT").unwrap().1.clone();
        let config = objects::S3Config::new(endpoint, name, "test-access", "test-secret-key");
        // a bucket that locks keeps versions; nothing of attachments is locked
        let bucket = objects::ObjectStore::s3(objects::S3Config { lock_days: Some(1), ..config }).unwrap();
        running().block_on(bucket.create()).unwrap();
        place.set("files_url", format!("s3://{name}/"));
    }

    /// How many versions a bucket holds below a prefix, marks of deletions included.
    pub(super) fn versions_in(place: &Installation, bucket: &str, prefix: &str) -> usize {
        running().block_on(Self::other(place, bucket).versions(prefix)).unwrap().expect("it keeps versions").len()
    }

    fn other(place: &Installation, bucket: &str) -> objects::ObjectStore {
        let endpoint = place.settings.iter().find(|(known, _)| known == "HOLDFAST_STORE_ENDPOINT").unwrap().1.clone();
        objects::ObjectStore::s3(objects::S3Config::new(endpoint, bucket, "test-access", "test-secret-key")).unwrap()
    }

    /// Until when the server itself holds an object, in seconds since 1970.
    pub(super) fn locked_until(place: &Installation, bucket: &str, key: &str) -> Option<i64> {
        let until = running().block_on(Self::other(place, bucket).locked_until(key)).unwrap();
        until.map(time::OffsetDateTime::unix_timestamp)
    }

    /// Names and lengths of all objects.
    pub(super) fn listed(place: &Installation) -> Vec<(String, u64)> {
        let bucket = Self::bucket(place);
        running().block_on(async {
            bucket.list("").await.unwrap().into_iter().map(|object| (object.key, object.size)).collect()
        })
    }

    /// Every version of everything in the bucket, with its bytes.
    pub(super) fn versions(place: &Installation) -> Vec<(String, Vec<u8>)> {
        let bucket = Self::bucket(place);
        running().block_on(async {
            let mut all = Vec::new();
            for version in bucket.versions("").await.unwrap().unwrap() {
                if let Ok(bytes) = bucket.get_version(&version).await {
                    all.push((version.key, bytes.to_vec()));
                }
            }
            all
        })
    }

    /// Tries to remove every version of an object; whether that was refused.
    pub(super) fn refuses_to_purge(place: &Installation, key: &str) -> bool {
        Self::refuses_to_purge_in(place, "holdfast-journey", key)
    }

    /// The same in one of several buckets.
    pub(super) fn refuses_to_purge_in(place: &Installation, bucket: &str, key: &str) -> bool {
        let bucket = Self::other(place, bucket);
        running().block_on(async {
            match bucket.purge(key).await {
                Ok(purged) => purged.left > 0,
                Err(_) => true,
            }
        })
    }
}

fn running() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

impl Drop for SeaweedFs {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
