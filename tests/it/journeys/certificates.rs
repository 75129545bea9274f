//! `systemctl reload` with new certificates: whoever is connected stays, whoever comes sees the new ones; bad ones are told and
//! not taken.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;

use super::process::{Installation, Service, until};
use super::reading::database;

const PATIENCE: Duration = Duration::from_secs(30);

/// A certificate for localhost that signs itself, and its key, as PEM.
struct Pair {
    der: CertificateDer<'static>,
    cert: String,
    key: String,
}

impl Pair {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Self { der: made.cert.der().clone(), cert: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }
}

enum Sender {
    One(http1::SendRequest<Empty<Bytes>>),
    Two(http2::SendRequest<Empty<Bytes>>),
}

/// A connection that stays open.
struct Connection {
    sender: Sender,
    token: String,
    seen: Vec<u8>,
}

impl Connection {
    /// Connects, trusting this certificate and no other.
    async fn open(address: SocketAddr, trusted: &Pair, protocol: &str, token: &str) -> std::io::Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(trusted.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let tls = stream.get_ref().1;
        assert_eq!(tls.alpn_protocol(), Some(protocol.as_bytes()));
        let seen = tls.peer_certificates().unwrap()[0].to_vec();
        let stream = TokioIo::new(stream);
        let sender = if protocol == "h2" {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
            tokio::spawn(connection);
            Sender::Two(sender)
        } else {
            let (sender, connection) = http1::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            Sender::One(sender)
        };
        Ok(Self { sender, token: token.to_owned(), seen })
    }

    /// Asks for the notes over this very connection.
    async fn is_served(&mut self) {
        let request = http::Request::get("https://localhost/t/acme/api/v1/memos")
            .header("host", "localhost")
            .header("authorization", format!("Bearer {}", self.token))
            .body(Empty::new())
            .unwrap();
        let answer = match &mut self.sender {
            Sender::One(sender) => sender.send_request(request).await,
            Sender::Two(sender) => sender.send_request(request).await,
        };
        let answer = answer.expect("the connection stays");
        assert_eq!(answer.status(), 200);
        answer.into_body().collect().await.expect("the whole answer");
    }
}

/// A server with TLS on both of its listeners.
struct Site {
    place: Installation,
    server: Service,
    token: String,
    addresses: [SocketAddr; 2],
    runtime: tokio::runtime::Runtime,
}

impl Site {
    fn new(first: &Pair) -> Self {
        let (url, _) = database();
        let place = Installation::on(&url);
        let token = place.tenant("acme");
        let (cert, key) = (place.file("cert.pem", &first.cert), place.file("key.pem", &first.key));
        let words = ["--no-worker", "--tls-cert", &cert, "--tls-key", &key, "--grpc-listen", "127.0.0.1:0"];
        let server = place.serve(&words);
        let address = |name: &str| {
            let url = server.ready[name].as_str().unwrap();
            url.strip_prefix("https://").unwrap_or_else(|| panic!("TLS: {url}")).trim_end_matches('/').parse().unwrap()
        };
        let addresses = [address("url"), address("grpc_url")];
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { place, server, token, addresses, runtime }
    }

    fn open(&self, trusted: &Pair, protocol: &str) -> Connection {
        let opened = Connection::open(self.addresses[0], trusted, protocol, &self.token);
        self.runtime.block_on(opened).expect("a connection")
    }

    /// Which of these a new connection sees, at both listeners.
    fn shows(&self, pair: &Pair) -> bool {
        self.addresses.iter().all(|address| {
            let seen = self.runtime.block_on(Connection::open(*address, pair, "h2", ""));
            seen.is_ok_and(|connection| connection.seen == pair.der.to_vec())
        })
    }

    /// Puts files in place that look as old as those before, so that only the signal tells of them, and sends it.
    fn reload(&self, cert: &str, key: &str) {
        for (name, text) in [("cert.pem", cert), ("key.pem", key)] {
            let path: PathBuf = self.place.path(name);
            let before = path.metadata().unwrap().modified().unwrap();
            std::fs::write(&path, text).unwrap();
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
        }
        self.server.signal(&reload_signal(), false);
    }

    fn says(&self, word: &str) {
        until(PATIENCE, word, || self.server.said().contains(word));
    }
}

/// The signal that `systemctl reload holdfast` sends, as the unit says.
fn reload_signal() -> String {
    let unit = include_str!("../../../systemd/holdfast.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecReload=/bin/kill -")).expect("how it is reloaded");
    line.strip_suffix(" $MAINPID").expect("the server itself").to_owned()
}

#[test]
fn a_reload_shows_the_new_certificate_to_whoever_comes_and_disturbs_nobody() {
    let [first, second, third] = [Pair::new(), Pair::new(), Pair::new()];
    let site = Site::new(&first);
    let mut open = [site.open(&first, "http/1.1"), site.open(&first, "h2")];
    let all_served = |open: &mut [Connection]| {
        open.iter_mut().for_each(|one| site.runtime.block_on(one.is_served()));
    };
    all_served(&mut open);

    site.reload(&second.cert, &second.key);
    until(PATIENCE, "the new certificate", || site.shows(&second));
    assert!(!site.shows(&first), "the old one is shown to nobody who comes");
    all_served(&mut open);

    // no certificate; one of another key; a file that is gone
    let bad = [
        ("this is no certificate\n", second.key.as_str(), "cert.pem"),
        (third.cert.as_str(), second.key.as_str(), "does not fit"),
        (second.cert.as_str(), "", "key.pem"),
    ];
    for (number, (cert, key, word)) in bad.into_iter().enumerate() {
        let told = "the old certificates stay in use";
        assert_eq!(site.server.said().matches(told).count(), number);
        site.reload(cert, key);
        until(PATIENCE, told, || site.server.said().matches(told).count() > number);
        let said = site.server.said();
        let line = said.lines().rfind(|line| line.contains(told)).unwrap();
        assert!(line.contains(word), "it says what is wrong: {line}");
        assert!(site.shows(&second), "the old certificate stays in use");
        all_served(&mut open);
    }

    site.reload(&third.cert, &third.key);
    until(PATIENCE, "the new certificate", || site.shows(&third));
    site.says("certificates read again");
    all_served(&mut open);
    drop(open);
    site.server.stop();
}
