//! SeaweedFS as a child process on free ports; nothing when `weed` is not installed.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const KEYS: &str = r#"{"identities":[{"name":"t","credentials":[{"accessKey":"access","secretKey":"secret"}],
    "actions":["Admin","Read","Write","List","Tagging"]}]}"#;

pub(crate) struct Weed {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Weed {
    /// `None` when `weed` cannot be started.
    pub(crate) async fn start() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("s3.json");
        std::fs::write(&keys, KEYS).unwrap();
        let [master, volume, filer, port, metrics] = [0; 5].map(|_| free_port());
        let child = Command::new("weed")
            .args([
                "server",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                "-filer",
                "-s3",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
            ])
            .args(["-master.volumeSizeLimitMB=64", "-volume.max=20"])
            .arg(format!("-dir={}", dir.path().display()))
            .arg(format!("-master.port={master}"))
            .arg(format!("-volume.port={volume}"))
            .arg(format!("-filer.port={filer}"))
            .arg(format!("-s3.port={port}"))
            .arg(format!("-metricsPort={metrics}"))
            .arg(format!("-s3.config={}", keys.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let server = Self { child, port, _dir: dir };
        let deadline = Instant::now() + Duration::from_mins(1);
        let config =
            objects::S3Config { attempts: 1, ..objects::S3Config::new(server.url(), "ready", "access", "secret") };
        let store = objects::ObjectStore::s3(config).unwrap();
        while store.create().await.is_err() || store.put("up", "x", objects::PutOptions::default()).await.is_err() {
            assert!(Instant::now() < deadline, "weed did not come up within a minute");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        Some(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Weed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A free port low enough that the same plus 10,000 (weed's gRPC) is a port too.
fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let low = 20_000 + port % 25_000;
        let both = [low, low + 10_000].map(|p| TcpListener::bind(("127.0.0.1", p)));
        if both.iter().all(Result::is_ok) {
            return low;
        }
    }
}
