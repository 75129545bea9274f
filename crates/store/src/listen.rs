//! Hearing of what other processes do: changes of the registry, and what members do to notes.

use std::time::Duration;

use futures_util::StreamExt;
use tokio_postgres::{AsyncMessage, NoTls};

use crate::control::statement;
use crate::error::Error;
use crate::store::Store;

/// The channel of changes of the registry.
const REGISTRY: &str = "holdfast_registry";
/// The channel of what happens to notes.
const LIVE: &str = "holdfast_live";
/// The longest text that one message of a channel carries, in bytes.
pub const LIVE_BYTES: usize = 7_900;

impl Store {
    /// What every process of the appliance tells on the live channel, this one included. Whoever hears too slowly
    /// misses the oldest.
    pub fn hear_live(&self) -> tokio::sync::broadcast::Receiver<std::sync::Arc<str>> {
        self.live().subscribe()
    }

    /// Tells every process a text of at most [`LIVE_BYTES`]. Outside of any transaction on purpose: a commit with a
    /// NOTIFY in it waits for every other such commit of the database.
    pub async fn tell_live(&self, text: &str) -> Result<(), Error> {
        use sea_orm::ConnectionTrait;
        let sql = "SELECT pg_notify('holdfast_live', $1)";
        self.control().db.execute_raw(statement(sql, vec![text.into()])).await?;
        Ok(())
    }
    /// Keeps a connection that listens; while there is none, the registry keeps nothing in memory.
    pub(crate) fn watch_registry(&self) {
        let store = self.clone();
        self.pools().handle().spawn(async move {
            loop {
                if let Err(error) = listen(&store).await {
                    tracing::debug!(%error, "the registry's listener ended");
                }
                store.registry().set_watched(false);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
    }
}

async fn listen(store: &Store) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let config = store.pools().config();
    let connect = config.tokio_postgres(&config.user, config.password.as_deref());
    match config.tls()? {
        Some(tls) => {
            let (client, connection) = connect.connect(tls).await?;
            follow(store, &client, connection).await
        }
        None => {
            let (client, connection) = connect.connect(NoTls).await?;
            follow(store, &client, connection).await
        }
    }
}

async fn follow<S, T>(
    store: &Store,
    client: &tokio_postgres::Client,
    mut connection: tokio_postgres::Connection<S, T>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut messages = futures_util::stream::poll_fn(move |cx| connection.poll_message(cx));
    let subscribe = async {
        client.batch_execute("LISTEN holdfast_registry; LISTEN holdfast_live").await?;
        store.registry().set_watched(true);
        Ok::<(), tokio_postgres::Error>(())
    };
    let hear = async {
        while let Some(message) = messages.next().await {
            let AsyncMessage::Notification(told) = message? else { continue };
            match told.channel() {
                REGISTRY => store.registry().clear(),
                // Nobody listens while no event stream is open: that is no fault.
                LIVE => drop(store.live().send(told.payload().into())),
                _ => {}
            }
        }
        Ok::<(), tokio_postgres::Error>(())
    };
    let (subscribed, heard) = futures_util::future::join(subscribe, hear).await;
    subscribed?;
    heard?;
    Ok(())
}
