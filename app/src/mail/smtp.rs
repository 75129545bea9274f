//! One mail over one connection to a workspace's mail server.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use wire::v1::instance_setting::notification_setting::EmailSetting;

use super::letter::Letter;
use crate::outbound::{self, Outbound};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long the whole conversation may take.
const WHOLE: Duration = Duration::from_secs(30);
/// Bytes that a mail server may say in one conversation.
const LONGEST: usize = 256 * 1024;
/// The ways of showing a password that we know.
const MECHANISMS: &[Mechanism] = &[Mechanism::Plain, Mechanism::Login];

/// Why a mail was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The setting or an address makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The mail server may not be reached, or does not answer.
    #[error("failed to connect to SMTP server: {server}: {cause}")]
    Unreachable {
        /// Host and port.
        server: String,
        /// Why.
        cause: String,
    },
    /// TLS was asked for and cannot be had.
    #[error("failed to secure the connection to SMTP server: {server}: {cause}")]
    Insecure {
        /// Host and port.
        server: String,
        /// Why.
        cause: String,
    },
    /// It does not take the password.
    #[error("SMTP authentication failed: {0}")]
    Password(#[source] lettre::transport::smtp::Error),
    /// It does not take the mail.
    #[error("SMTP server refused the message: {0}")]
    Refused(#[source] lettre::transport::smtp::Error),
    /// The conversation took too long.
    #[error("SMTP server {0} does not answer in time")]
    Late(String),
}

impl Error {
    /// Whether another try would fail the same way.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Invalid(_) => true,
            Self::Password(cause) | Self::Refused(cause) => cause.is_permanent(),
            Self::Unreachable { .. } | Self::Insecure { .. } | Self::Late(_) => false,
        }
    }
}

/// Sends a mail as the setting says. `name` is what we call ourselves.
///
/// # Errors
/// The setting makes no sense, the server may not be reached, does not answer, or refuses.
pub async fn send(outbound: &Outbound, setting: &EmailSetting, name: &str, letter: &Letter) -> Result<(), Error> {
    let port = u16::try_from(setting.smtp_port).ok().filter(|port| *port > 0);
    let port = port.ok_or_else(|| Error::Invalid("smtp port must be 1 to 65535".to_owned()))?;
    let host = setting.smtp_host.trim();
    if host.is_empty() {
        return Err(Error::Invalid("smtp host is required".to_owned()));
    }
    let server = format!("{host}:{port}");
    let talk = async {
        let hello = ClientId::Domain(name.to_owned());
        let (mut connection, secure) = connect(outbound, setting, (host, port), &hello).await?;
        if !setting.smtp_username.is_empty() {
            if !secure {
                let cause = "the password is not sent without TLS".to_owned();
                return Err(Error::Insecure { server: server.clone(), cause });
            }
            let credentials = Credentials::new(setting.smtp_username.clone(), setting.smtp_password.clone());
            connection.auth(MECHANISMS, &credentials).await.map_err(Error::Password)?;
        }
        connection.send(&letter.envelope, &letter.text).await.map_err(Error::Refused)?;
        // The mail is taken; whether the server says good-bye makes no difference.
        connection.quit().await.ok();
        Ok(())
    };
    tokio::time::timeout(WHOLE, talk).await.unwrap_or_else(|_| Err(Error::Late(server.clone())))
}

/// A conversation that has begun, and whether nobody between can listen.
async fn connect(
    outbound: &Outbound,
    setting: &EmailSetting,
    (host, port): (&str, u16),
    hello: &ClientId,
) -> Result<(AsyncSmtpConnection, bool), Error> {
    let server = format!("{host}:{port}");
    let insecure = |cause: String| Error::Insecure { server: server.clone(), cause };
    let begun =
        |cause: lettre::transport::smtp::Error| Error::Unreachable { server: server.clone(), cause: cause.to_string() };
    let stream = dial(outbound, host, port).await?;
    let peer = stream.peer;
    if setting.use_ssl {
        let name = ServerName::try_from(host.to_owned()).map_err(|cause| insecure(cause.to_string()))?;
        let stream = tls().map_err(|cause| insecure(cause.to_string()))?.connect(name, stream).await;
        let inner = stream.map_err(|cause| insecure(cause.to_string()))?;
        let stream = Bounded { inner, peer, left: LONGEST };
        let connection = AsyncSmtpConnection::connect_with_transport(Box::new(stream), hello).await.map_err(begun)?;
        return Ok((connection, true));
    }
    let mut connection = AsyncSmtpConnection::connect_with_transport(Box::new(stream), hello).await.map_err(begun)?;
    if setting.use_tls && !connection.can_starttls() {
        return Err(insecure("it does not offer STARTTLS".to_owned()));
    }
    if connection.can_starttls() {
        let tls = TlsParameters::new(host.to_owned()).map_err(|cause| insecure(cause.to_string()))?;
        connection.starttls(tls, hello).await.map_err(|cause| insecure(cause.to_string()))?;
    }
    let secure = connection.is_encrypted() || peer.ip().is_loopback();
    Ok((connection, secure))
}

/// The first of the host's addresses that takes a connection; none that only this machine reaches.
async fn dial(outbound: &Outbound, host: &str, port: u16) -> Result<Bounded<TcpStream>, Error> {
    let unreachable = |cause: String| Error::Unreachable { server: format!("{host}:{port}"), cause };
    let found = outbound.addresses(host, port).await;
    let found = found.map_err(|cause: outbound::Error| unreachable(cause.to_string()))?;
    let mut why = "it has no address".to_owned();
    for peer in found {
        match tokio::time::timeout(CONNECT, TcpStream::connect(peer)).await {
            Ok(Ok(inner)) => return Ok(Bounded { inner, peer, left: LONGEST }),
            Ok(Err(cause)) => why = cause.to_string(),
            Err(_) => "no answer in time".clone_into(&mut why),
        }
    }
    Err(unreachable(why))
}

fn tls() -> Result<tokio_rustls::TlsConnector, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    Ok(Arc::new(config).into())
}

/// A connection that ends when the other side has said more than any mail server would.
#[derive(Debug)]
struct Bounded<S> {
    inner: S,
    peer: SocketAddr,
    left: usize,
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::other("the mail server says too much")));
        }
        let before = buf.filled().len();
        let done = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.left = self.left.saturating_sub(buf.filled().len().saturating_sub(before));
        done
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug> AsyncTokioStream for Bounded<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}
