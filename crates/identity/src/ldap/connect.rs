//! Connections to a directory: made over TLS or not at all, kept, and made to the next server when one is silent.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::id::TenantId;
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, StdStream};
use tokio::net::TcpStream;

use super::{Parents, Trouble};
use crate::outbound::{Outbound, innermost, tls_config};
use crate::provider::Directory;

/// Connections kept per directory and use.
const KEPT: usize = 4;

/// Of which directory: tenant and public id of the provider.
pub(crate) type Key = (TenantId, String);

/// What a connection is for: a connection that took a member's password searches nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Use {
    /// Bound as whoever searches.
    Searching,
    /// For passwords of members.
    Passwords,
}

/// A connection that works, as far as is known.
pub(crate) struct Connection {
    pub(crate) ldap: Ldap,
    /// Whether it was kept from before: then its server may have gone meanwhile.
    pub(crate) kept: bool,
    /// For which settings it was made.
    settings: u64,
}

#[derive(Default)]
struct Shelf {
    idle: HashMap<(Key, Use), Vec<Connection>>,
    /// Which server of a directory answered last.
    good: HashMap<Key, usize>,
}

/// The connections to all directories. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Connections {
    shelf: Arc<Mutex<Shelf>>,
    pub(super) parents: Parents,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connections")
    }
}

/// A directory as it is asked: its settings, and the connections to it.
#[derive(Clone, Copy)]
pub(crate) struct Server<'a> {
    pub(crate) connections: &'a Connections,
    pub(crate) outbound: &'a Outbound,
    pub(crate) key: &'a Key,
    pub(crate) directory: &'a Directory,
}

impl Server<'_> {
    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs(self.directory.timeout_seconds)
    }

    /// What the settings come to: connections of older settings are not used any more.
    fn settings(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        let directory = self.directory;
        (&directory.servers, directory.start_tls, &directory.ca_pem, &directory.bind_dn).hash(&mut hasher);
        directory.bind_password.hash(&mut hasher);
        hasher.finish()
    }

    /// A connection for this use: one that was kept, or a new one.
    pub(super) async fn take(&self, for_use: Use) -> Result<Connection, Trouble> {
        let settings = self.settings();
        loop {
            let kept = {
                let mut shelf = self.connections.shelf.lock().unwrap_or_else(PoisonError::into_inner);
                shelf.idle.get_mut(&(self.key.clone(), for_use)).and_then(Vec::pop)
            };
            match kept {
                Some(mut connection) => {
                    if connection.settings == settings && !connection.ldap.is_closed() {
                        connection.kept = true;
                        return Ok(connection);
                    }
                }
                None => return self.open(for_use).await,
            }
        }
    }

    /// Keeps a connection for the next time.
    pub(super) fn put(&self, for_use: Use, connection: Connection) {
        let mut shelf = self.connections.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = shelf.idle.entry((self.key.clone(), for_use)).or_default();
        if idle.len() < KEPT {
            idle.push(connection);
        }
    }

    /// A new connection to the first server that answers, beginning with the one that answered last.
    pub(super) async fn open(&self, for_use: Use) -> Result<Connection, Trouble> {
        let first = {
            let shelf = self.connections.shelf.lock().unwrap_or_else(PoisonError::into_inner);
            shelf.good.get(self.key).copied().unwrap_or_default()
        };
        let count = self.directory.servers.len();
        let mut said = Vec::new();
        for step in 0..count {
            let at = (first + step) % count.max(1);
            let Some(server) = self.directory.servers.get(at) else { continue };
            match self.connect(server).await {
                Ok(mut ldap) => {
                    if for_use == Use::Searching {
                        self.bind_searcher(&mut ldap).await?;
                    }
                    let mut shelf = self.connections.shelf.lock().unwrap_or_else(PoisonError::into_inner);
                    shelf.good.insert(self.key.clone(), at);
                    return Ok(Connection { ldap, kept: false, settings: self.settings() });
                }
                Err(why) => said.push(format!("{server}: {why}")),
            }
        }
        Err(Trouble::Silent(said.join("; ")))
    }

    /// A connection to one server, secured as the settings say. Whatever goes wrong with that, nothing was sent.
    pub(crate) async fn connect(&self, server: &str) -> Result<Ldap, String> {
        let directory = self.directory;
        let url = url::Url::parse(server).map_err(|error| error.to_string())?;
        let secure = url.scheme() == "ldaps" || directory.start_tls;
        if !secure && !directory.allow_plain {
            return Err("it would carry passwords in the clear".to_owned());
        }
        let stream = tokio::time::timeout(self.patience(), self.dial(&url)).await;
        let stream = stream.map_err(|_| "it took too long to connect".to_owned())??;
        let mut settings = LdapConnSettings::new().set_std_stream(StdStream::Tcp(stream));
        if secure {
            let config = tls_config(&directory.ca_pem).map_err(|failure| failure.to_string())?;
            settings = settings.set_config(Arc::new(config)).set_starttls(url.scheme() == "ldap");
        }
        let made = tokio::time::timeout(self.patience(), LdapConnAsync::with_settings(settings, server)).await;
        let (connection, ldap) = made.map_err(|_| "it took too long to secure".to_owned())?.map_err(|e| told(&e))?;
        tokio::spawn(async move {
            if let Err(error) = connection.drive().await {
                tracing::debug!(%error, "a connection to a directory ended");
            }
        });
        Ok(ldap)
    }

    /// The first of the server's addresses that takes a connection and may be reached.
    async fn dial(&self, url: &url::Url) -> Result<std::net::TcpStream, String> {
        let (host, port) = (url.host_str().unwrap_or_default(), url.port().unwrap_or_else(|| default_port(url)));
        let found = tokio::net::lookup_host((host.trim_matches(['[', ']']), port)).await;
        let found: Vec<SocketAddr> = found.map_err(|error| format!("its name is not known: {error}"))?.collect();
        let mut said = "it has no address that may be reached from here; see the setting identity_networks".to_owned();
        for address in found.into_iter().filter(|address| self.outbound.networks().allow(address.ip())) {
            match TcpStream::connect(address).await.and_then(TcpStream::into_std) {
                Ok(stream) => return Ok(stream),
                Err(error) => said = error.to_string(),
            }
        }
        Err(said)
    }

    async fn bind_searcher(&self, ldap: &mut Ldap) -> Result<(), Trouble> {
        let directory = self.directory;
        if directory.bind_dn.is_empty() {
            return Ok(());
        }
        let answer = ldap.with_timeout(self.patience()).simple_bind(&directory.bind_dn, &directory.bind_password).await;
        let answer = answer.map_err(|error| Trouble::Silent(told(&error)))?;
        match answer.rc {
            0 => Ok(()),
            code => Err(Trouble::Refused { who: directory.bind_dn.clone(), why: in_words(code) }),
        }
    }

    /// Whether this is the entry's password. The connection is never used for anything but passwords.
    pub(crate) async fn is_password(&self, dn: &str, password: &str) -> Result<bool, Trouble> {
        if password.is_empty() || dn.is_empty() {
            return Ok(false);
        }
        let mut connection = self.take(Use::Passwords).await?;
        let mut answer = connection.ldap.with_timeout(self.patience()).simple_bind(dn, password).await;
        if answer.is_err() && connection.kept {
            connection = self.open(Use::Passwords).await?;
            answer = connection.ldap.with_timeout(self.patience()).simple_bind(dn, password).await;
        }
        let answer = answer.map_err(|error| Trouble::Silent(told(&error)))?;
        self.put(Use::Passwords, connection);
        match answer.rc {
            0 => Ok(true),
            // Busy, unavailable, other: nothing was said about the password.
            code @ (51 | 52 | 80) => Err(Trouble::Silent(in_words(code))),
            _ => Ok(false),
        }
    }
}

fn default_port(url: &url::Url) -> u16 {
    if url.scheme() == "ldap" { 389 } else { 636 }
}

/// The innermost cause of an error of the library.
pub(crate) fn told(error: &LdapError) -> String {
    match error {
        LdapError::Timeout { .. } => "it took too long to answer".to_owned(),
        LdapError::LdapResult { result } => in_words(result.rc),
        LdapError::ResultRecv { .. } | LdapError::OpSend { .. } | LdapError::EndOfStream => {
            "it closed the connection".to_owned()
        }
        other => innermost(other),
    }
}

/// A result code in words.
pub(crate) fn in_words(code: u32) -> String {
    let words = match code {
        3 => "time limit exceeded",
        4 => "size limit exceeded",
        8 => "stronger authentication required",
        10 => "it refers to another server",
        11 => "administrative limit exceeded",
        13 => "it wants a secure connection",
        19 => "its password policy forbids it",
        32 => "no such entry",
        34 => "that is no DN",
        48 => "it does not take this kind of sign-in",
        49 => "invalid credentials",
        50 => "insufficient access rights",
        51 => "it is busy",
        52 => "it is unavailable",
        53 => "it is unwilling",
        _ => return format!("result code {code}"),
    };
    format!("{words} ({code})")
}
