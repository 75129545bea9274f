//! Points against a real database and a directory store.

mod asked;
mod bad_input;
mod copies;
mod damage;
mod damages;
mod drills;
mod dumps;
mod endorsed;
mod forgery;
mod frozen;
mod incremental;
mod instance;
mod keys;
mod losses;
mod mirror;
mod points;
mod rested;
mod return_trip;
mod revoked;
mod stock_tools;
mod upgrade;
mod work;
mod writers;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use domain::chance::Chance;
use domain::tenant::{Tenant, TenantState};
use objects::{FileStore, ObjectStore, S3Config};
use store::TenantScope;
use testkit::faults::FaultyStore;
use testkit::pg::TestDatabase;

use crate::Backup;
use crate::keys::KeyDirectory;
use crate::snapshot::{PointOptions, PointReport};

/// An appliance with one tenant.
pub(crate) struct Lab {
    pub(crate) backup: Backup,
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) database: TestDatabase,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) sheet: String,
}

impl Lab {
    pub(crate) async fn new() -> Self {
        let database = TestDatabase::create().await;
        let store = database.store().await;
        let folder = tempfile::tempdir().unwrap();
        let objects = ObjectStore::directory(folder.path().join("s3")).unwrap();
        let files = FileStore::over(ObjectStore::directory(folder.path().join("files")).unwrap());
        let (keys, sheet) = KeyDirectory::open(&folder.path().join("keys")).unwrap();
        let tenant = store.build_tenant(&"team".parse().unwrap(), TenantState::Active).await.unwrap();
        let backup = Backup::new(store, objects, files, keys);
        let sheet = sheet.unwrap().text();
        Self { backup, tenant, database, folder, sheet }
    }

    /// SQL in the tenant's schema, by a role that may do anything.
    pub(crate) async fn sql(&self, text: &str) {
        let client = self.database.superuser().await;
        client.batch_execute(&format!("SET search_path TO {}; {text}", self.tenant.schema)).await.unwrap();
    }

    /// One statement that stands in no transaction.
    pub(crate) async fn sql_alone(&self, text: &str) {
        let client = self.database.superuser().await;
        client.batch_execute(&format!("SET search_path TO {}", self.tenant.schema)).await.unwrap();
        client.batch_execute(text).await.unwrap();
    }

    /// A text that SQL answers.
    pub(crate) async fn sql_text(&self, text: &str) -> String {
        self.database.superuser().await.query_one(text, &[]).await.unwrap().get(0)
    }

    /// Two members, notes with odd texts, comments and two files.
    pub(crate) async fn fill(&self, notes: u32, chance: &Chance) {
        self.sql(
            "INSERT INTO member (id, username, role, created_ts, updated_ts) VALUES (1, 'ann', 'owner', 1, 1), (2, 'bob', 'member', 1, 1)",
        )
        .await;
        let mut rows = String::from(
            "INSERT INTO note (id, uid, creator_id, created_ts, updated_ts, visibility, content, archived) VALUES ",
        );
        for at in 0..notes {
            let id = 10 + i64::from(at);
            let salt = chance.u64();
            rows.push_str(&format!(
                "({id}, 'n-{id}', {}, {id}, {id}, 'PRIVATE', E'# Note {at} \\t Ünï \\\\ {salt:x}\\n- [ ] task\\r\\nend', {}),",
                1 + at % 2,
                at % 7 == 0
            ));
        }
        rows.pop();
        self.sql(&rows).await;
        for (id, bytes) in [(5i64, vec![9u8; 300_000]), (6, b"small file".to_vec())] {
            let hash = crate::format::hash::Hash::of(&bytes).to_string();
            let key = objects::keys::live_file(self.tenant.id, &hash);
            let size = bytes.len();
            self.backup.files.objects().put(&key, bytes, objects::PutOptions::default()).await.unwrap();
            self.sql(&format!(
                "INSERT INTO attachment (id, uid, creator_id, note_id, created_ts, updated_ts, filename, size, sha256, storage_key) \
                 VALUES ({id}, 'a-{id}', 1, 10, 1, 1, 'f{id}.bin', {size}, '{hash}', '{key}')"
            ))
            .await;
        }
        self.sql("SELECT setval('id_seq', 5000)").await;
    }

    pub(crate) fn scope(&self) -> TenantScope {
        TenantScope::for_command(self.tenant.clone(), "test")
    }

    pub(crate) async fn point(&self) -> PointReport {
        let options = PointOptions { trigger: "command", actor: "command".to_owned(), markdown: true };
        self.backup.take_point(&self.scope(), &options).await.unwrap()
    }

    /// A point of the tenant that has this slug now.
    pub(crate) async fn point_of(&self, slug: &str) -> String {
        let scope = TenantScope::for_command(self.backup.tenant(slug).await.unwrap(), "test");
        let options = PointOptions { trigger: "command", actor: "command".to_owned(), markdown: false };
        self.backup.take_point(&scope, &options).await.unwrap().point
    }

    /// The file of an object of the backup store.
    pub(crate) fn file_of(&self, key: &str) -> PathBuf {
        self.folder.path().join("s3").join(key)
    }
}

/// The store of a lab through our own S3 server and a relay that misbehaves when it is told to.
pub(crate) struct ThroughS3 {
    pub(crate) store: ObjectStore,
    pub(crate) relay: FaultyStore,
    _server: runtime::s3::S3Server,
}

impl ThroughS3 {
    pub(crate) async fn before(lab: &Lab) -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let (user, secret) = ("reader-writer", "not so secret");
        // objects are plain files in both: the bucket is the folder of the store
        let root = lab.folder.path().join("buckets");
        std::fs::create_dir(&root).unwrap();
        std::os::unix::fs::symlink(lab.folder.path().join("s3"), root.join("points")).unwrap();
        let server = runtime::s3::S3Server::start(&root, listen, user, secret).await.unwrap();
        let target = server.url().trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
        let relay = FaultyStore::before(target);
        let config = S3Config::new(format!("http://{}", relay.address), "points", user, secret);
        let store = ObjectStore::s3(S3Config { attempts: 1, ..config }).unwrap();
        Self { store, relay, _server: server }
    }
}

/// The seed of a soak run, or the one that stands in the test.
pub(crate) fn soak_seed(else_this: u64) -> u64 {
    std::env::var("HOLDFAST_SOAK_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(else_this)
}
