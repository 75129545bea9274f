//! A mail server that keeps what is sent to it: plain, with STARTTLS, or with TLS from the first byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

pub use crate::tls::Authority;

/// How a conversation is kept from listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Not at all.
    Plain,
    /// After STARTTLS, before which no mail is taken.
    StartTls,
    /// From the first byte.
    Implicit,
}

/// A mail that was taken.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Of the envelope.
    pub to: Vec<String>,
    /// Head and body as they came.
    pub text: String,
    /// Whether it came through TLS.
    pub secure: bool,
}

impl Mail {
    /// A line of the head; empty when there is none.
    pub fn header(&self, name: &str) -> String {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n ", " ");
        let found = head.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        found.unwrap_or_default().to_owned()
    }
}

#[derive(Debug, Default)]
struct Seen {
    mails: Vec<Mail>,
    put_off: Vec<String>,
}

/// A mail server on a free port of this machine. It takes the user `mailer` with the password `letters`, never takes mail
/// for `bounce@…`, and takes mail for `later@…` at the second try.
#[derive(Clone, Debug)]
pub struct MailServer {
    /// Where it listens.
    pub address: SocketAddr,
    security: Security,
    acceptor: TlsConfig,
    seen: Arc<Mutex<Seen>>,
}

type TlsConfig = Arc<ServerConfig>;

impl MailServer {
    /// Starts one (needs a tokio runtime).
    pub async fn start(security: Security, authority: &Authority) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let this = Self { address, security, acceptor: Arc::clone(&authority.acceptor), seen: Arc::default() };
        let serving = this.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { serving.serve(stream).await });
            }
        });
        this
    }

    /// What was taken so far.
    pub fn mails(&self) -> Vec<Mail> {
        self.seen.lock().expect("what was seen").mails.clone()
    }

    /// Waits until so many mails were taken.
    pub fn wait(&self, count: usize, patience: Duration) -> Vec<Mail> {
        let began = Instant::now();
        loop {
            let mails = self.mails();
            if mails.len() >= count {
                return mails;
            }
            assert!(began.elapsed() < patience, "{count} mails did not come in {patience:?}; came: {mails:#?}");
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    async fn serve(&self, stream: TcpStream) {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.acceptor));
        if self.security == Security::Implicit {
            if let Ok(stream) = acceptor.accept(stream).await {
                self.talk(stream, true, true).await;
            }
            return;
        }
        if let Some(stream) = self.talk(stream, false, true).await
            && let Ok(stream) = acceptor.accept(stream).await
        {
            self.talk(stream, true, false).await;
        }
    }

    /// A conversation; the stream when it is to go on through TLS.
    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S, secure: bool, greet: bool) -> Option<S> {
        let mut stream = BufStream::new(stream);
        if greet {
            say(&mut stream, "220 sink").await?;
        }
        let (mut known, mut to) = (false, Vec::new());
        loop {
            let line = hear(&mut stream).await?;
            let (verb, rest) = line.split_once(' ').unwrap_or((line.as_str(), ""));
            let answer = match verb.to_ascii_uppercase().as_str() {
                "EHLO" if self.security == Security::StartTls && !secure => "250-sink\r\n250 STARTTLS".to_owned(),
                "EHLO" => "250-sink\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN".to_owned(),
                "STARTTLS" => {
                    say(&mut stream, "220 go on").await?;
                    return Some(stream.into_inner());
                }
                "AUTH" => {
                    known = STANDARD.decode(rest.strip_prefix("PLAIN ")?).ok()? == b"\0mailer\0letters";
                    if known { "235 welcome" } else { "535 wrong user or password" }.to_owned()
                }
                "MAIL" if !known => "530 who are you?".to_owned(),
                "RCPT" => self.receiver(rest, &mut to),
                "DATA" => {
                    say(&mut stream, "354 go on").await?;
                    let mut text = String::new();
                    loop {
                        let line = hear(&mut stream).await?;
                        if line == "." {
                            break;
                        }
                        text.push_str(line.strip_prefix('.').unwrap_or(&line));
                        text.push_str("\r\n");
                    }
                    let mail = Mail { to: std::mem::take(&mut to), text, secure };
                    self.seen.lock().expect("what was seen").mails.push(mail);
                    "250 taken".to_owned()
                }
                "QUIT" => {
                    say(&mut stream, "221 bye").await?;
                    return None;
                }
                _ => "250 fine".to_owned(),
            };
            say(&mut stream, &answer).await?;
        }
    }

    fn receiver(&self, rest: &str, to: &mut Vec<String>) -> String {
        let address = rest.trim_start_matches("TO:<").split('>').next().unwrap_or_default().to_owned();
        let mut seen = self.seen.lock().expect("what was seen");
        if address.starts_with("bounce@") {
            return "550 nobody of that name".to_owned();
        }
        if address.starts_with("later@") && !seen.put_off.contains(&address) {
            seen.put_off.push(address);
            return "451 not now".to_owned();
        }
        to.push(address);
        "250 fine".to_owned()
    }
}

async fn say<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufStream<S>, line: &str) -> Option<()> {
    stream.write_all(format!("{line}\r\n").as_bytes()).await.ok()?;
    stream.flush().await.ok()
}

async fn hear<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufStream<S>) -> Option<String> {
    let mut line = String::new();
    let read = stream.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
}
