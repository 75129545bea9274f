//! A real OpenID provider (npm oidc-provider) in a process of its own, with a switchboard for its claims and keys.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running provider; it ends with this value.
#[derive(Debug)]
pub struct Provider {
    child: Child,
    /// Its issuer.
    pub issuer: String,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Provider {
    /// Starts one whose client "holdfast" may come back to these roots; none without the Node.js that
    /// `tools/prerequisites.sh test` prepares, which fails with CI=true. Port 0: a free one.
    pub fn start(port: u16, roots: &[String]) -> Option<Self> {
        let Some(node) = prepared("oidc-node") else {
            assert!(std::env::var("CI").is_err(), "oidc-node is missing: tools/prerequisites.sh test");
            crate::fixtures::skipped("oidc-node is missing (tools/prerequisites.sh test)");
            return None;
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oidc/provider.mjs");
        let mut child = Command::new(node)
            .arg(script)
            .arg(port.to_string())
            .args(roots)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the provider starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let ready = lines.find_map(|line| line.ok()?.strip_prefix("ready ").map(str::to_owned));
        std::thread::spawn(move || lines.for_each(drop));
        let issuer = ready.expect("the provider is ready (why not: on the standard error)");
        let address = issuer.trim_start_matches("http://").parse().expect("its address");
        Some(Self { child, issuer, address })
    }

    /// Changes what it says from now on: `{"user":"bob","groups":["a"],"hide":["email"]}`.
    pub fn set(&self, json: &str) {
        let encoded = json.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02x}"));
        self.get(&format!("/__set?j={encoded}"));
    }

    /// Throws its signing key away and makes another.
    pub fn rotate(&self) {
        self.get("/__rotate");
    }

    fn get(&self, path: &str) {
        let mut stream = TcpStream::connect(self.address).expect("the provider listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A program that `tools/prerequisites.sh test` has put in place: in the search path, or beside the build.
fn prepared(name: &str) -> Option<PathBuf> {
    let found = std::env::var_os("PATH")
        .and_then(|path| std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file()));
    found.or_else(|| {
        let exe = std::env::current_exe().ok()?;
        exe.ancestors().map(|folder| folder.join("tools/bin").join(name)).find(|file| file.is_file())
    })
}
