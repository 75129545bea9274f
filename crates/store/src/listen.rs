//! Hearing of changes that other processes make to the registry.

use std::time::Duration;

use futures_util::StreamExt;
use tokio_postgres::{AsyncMessage, NoTls};

use crate::registry::Registry;
use crate::store::Store;

impl Store {
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
            follow(store.registry().clone(), &client, connection).await
        }
        None => {
            let (client, connection) = connect.connect(NoTls).await?;
            follow(store.registry().clone(), &client, connection).await
        }
    }
}

async fn follow<S, T>(
    registry: Registry,
    client: &tokio_postgres::Client,
    mut connection: tokio_postgres::Connection<S, T>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut messages = futures_util::stream::poll_fn(move |cx| connection.poll_message(cx));
    let subscribe = async {
        client.batch_execute("LISTEN holdfast_registry").await?;
        registry.set_watched(true);
        Ok::<(), tokio_postgres::Error>(())
    };
    let hear = async {
        while let Some(message) = messages.next().await {
            if let AsyncMessage::Notification(_) = message? {
                registry.clear();
            }
        }
        Ok::<(), tokio_postgres::Error>(())
    };
    let (subscribed, heard) = futures_util::future::join(subscribe, hear).await;
    subscribed?;
    heard?;
    Ok(())
}
