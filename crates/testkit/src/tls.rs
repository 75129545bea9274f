//! TLS for servers of tests: an authority made for it, and a door before a Postgres that knows no TLS itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Its own authority, for `SSL_CERT_FILE` and `database_ca_file`, and a certificate for localhost.
#[derive(Debug)]
pub struct Authority {
    folder: tempfile::TempDir,
    pub(crate) acceptor: Arc<ServerConfig>,
    certificate: String,
    key: String,
}

impl Authority {
    /// A fresh one.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Under the same name as its issuer OpenSSL takes a certificate for one that signed itself.
        params.distinguished_name.push(DnType::CommonName, "the authority of a test");
        let authority_key = KeyPair::generate().expect("a key");
        let authority = params.self_signed(&authority_key).expect("an authority");
        let issuer = Issuer::new(params, authority_key);
        let key = KeyPair::generate().expect("a key");
        let mut leaf = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        leaf.distinguished_name.push(DnType::CommonName, "localhost");
        let leaf = leaf.signed_by(&key, &issuer).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("written");
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], secret)
            .expect("a certificate that fits its key");
        Self { folder, acceptor: Arc::new(config), certificate: leaf.pem(), key: key.serialize_pem() }
    }

    /// The authority's certificate in PEM.
    pub fn file(&self) -> PathBuf {
        Path::join(self.folder.path(), "ca.pem")
    }

    /// The certificate for localhost and its key in PEM, for servers that read files.
    pub fn leaf(&self) -> (&str, &str) {
        (&self.certificate, &self.key)
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// First words of a client of Postgres: it wants TLS, or encryption by GSSAPI.
const WANTS_TLS: u32 = 80_877_103;
const WANTS_GSS: u32 = 80_877_104;

/// What ends TLS before a Postgres server that knows none, as providers of databases put it before theirs: on a port of
/// loopback, with the certificate for localhost. Whoever does not ask for TLS is refused.
#[derive(Debug)]
pub struct PostgresDoor {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    let_in: Arc<AtomicU64>,
    running: Option<tokio::runtime::Runtime>,
}

impl PostgresDoor {
    /// A door to the server with this socket.
    pub fn before(socket: PathBuf, authority: &Authority) -> Self {
        let running = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let running = running.expect("a thread for the door");
        let listener = running.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port for the door");
        let port = listener.local_addr().expect("the door's port").port();
        let acceptor = TlsAcceptor::from(Arc::clone(&authority.acceptor));
        let let_in = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&let_in);
        running.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (socket, acceptor, counted) = (socket.clone(), acceptor.clone(), Arc::clone(&counted));
                tokio::spawn(async move {
                    // a client or server that goes away in the middle is none of our business
                    lead_through(client, &socket, &acceptor, &counted).await.ok();
                });
            }
        });
        Self { port, let_in, running: Some(running) }
    }

    /// Connections whose TLS was finished.
    pub fn let_in(&self) -> u64 {
        self.let_in.load(Ordering::SeqCst)
    }
}

impl Drop for PostgresDoor {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.shutdown_background();
        }
    }
}

async fn lead_through(
    mut client: TcpStream,
    socket: &Path,
    acceptor: &TlsAcceptor,
    counted: &AtomicU64,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    loop {
        let (length, code) = (client.read_u32().await?, client.read_u32().await?);
        match code {
            WANTS_TLS if length == 8 => break,
            WANTS_GSS if length == 8 => client.write_all(b"N").await?,
            _ => {
                let said = b"SFATAL\0VFATAL\0C28000\0Mthis door takes only TLS\0\0";
                client.write_u8(b'E').await?;
                client.write_u32(4 + said.len() as u32).await?;
                return client.write_all(said).await;
            }
        }
    }
    client.write_all(b"S").await?;
    let mut client = acceptor.accept(client).await?;
    counted.fetch_add(1, Ordering::SeqCst);
    let mut server = UnixStream::connect(socket).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
