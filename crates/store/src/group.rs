//! Plain writes of one tenant that come at the same time share a transaction.
//!
//! A plain write is one statement with everything around it in one flight. While as many as [`LANES`] of a tenant are
//! under way, others wait and then go together: one opening, one lock, one commit for all of them, so that many writers
//! cost little more than the rows they write. A write is acknowledged after its own commit, like any other. Where a
//! statement fails, each write of its group is made again alone, so that nobody suffers from another's mistake.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ThreadId;

use domain::id::TenantId;
use futures_util::future::{join_all, join3};
use tokio::sync::oneshot;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::error::Error;
use crate::hot::{Hot, opening_of_write, planned};
use crate::pool::own_thread;
use crate::scope::TenantScope;
use crate::store::Store;

/// Flights of one tenant and worker before others wait for company. Postgres shares commits between connections itself: with
/// two here, eight writers made a third of the notes that they made each alone (`make bench`).
const LANES: usize = 32;

/// The most writes in one transaction.
const MOST: usize = 64;

/// A parameter that may wait.
pub(crate) type Owned = Box<dyn ToSql + Sync + Send>;

struct Waiting {
    hot: Hot,
    params: Vec<Owned>,
    answer: oneshot::Sender<Result<Vec<Row>, Error>>,
}

#[derive(Default)]
struct Lane {
    under_way: usize,
    waiting: VecDeque<Waiting>,
}

type Key = (TenantId, Option<ThreadId>);

/// What is under way and what waits, by tenant and by the thread whose connections it uses.
#[derive(Default)]
pub(crate) struct Groups {
    lanes: Mutex<HashMap<Key, Lane>>,
}

/// A flight under way. When it ends, however it ends, those who wait go next.
struct Flight {
    store: Store,
    scope: TenantScope,
    key: Key,
}

impl Drop for Flight {
    fn drop(&mut self) {
        let next = {
            let mut lanes = self.store.groups().lanes.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(lane) = lanes.get_mut(&self.key) else { return };
            let count = lane.waiting.len().min(MOST);
            let next: Vec<Waiting> = lane.waiting.drain(..count).collect();
            if next.is_empty() {
                lane.under_way -= 1;
                if lane.under_way == 0 {
                    lanes.remove(&self.key);
                }
                return;
            }
            next
        };
        let flight = Self { store: self.store.clone(), scope: self.scope.clone(), key: self.key };
        // Without a runtime nobody waits any more: both are dropped.
        if let Ok(handle) = tokio::runtime::Handle::try_current() {
            handle.spawn(carry_out(flight, next));
        }
    }
}

impl Store {
    /// One planned statement that marks the tenant as changed itself ([`marking`](crate::hot::marking)), committed: alone,
    /// or together with others that came meanwhile.
    pub(crate) async fn write_grouped(
        &self,
        scope: &TenantScope,
        hot: Hot,
        params: Vec<Owned>,
    ) -> Result<Vec<Row>, Error> {
        let key = (scope.tenant().id, own_thread());
        let turn = {
            let mut lanes = self.groups().lanes.lock().unwrap_or_else(PoisonError::into_inner);
            let lane = lanes.entry(key).or_default();
            if lane.under_way < LANES {
                lane.under_way += 1;
                Ok(params)
            } else {
                let (answer, answered) = oneshot::channel();
                lane.waiting.push_back(Waiting { hot, params, answer });
                Err(answered)
            }
        };
        match turn {
            Ok(params) => {
                let _flight = Flight { store: self.clone(), scope: scope.clone(), key };
                write(self, scope, &[(hot, &params)]).await.map(|mut answers| answers.pop().unwrap_or_default())
            }
            Err(answered) => answered.await.unwrap_or(Err(Error::TooBusy)),
        }
    }
}

async fn carry_out(flight: Flight, group: Vec<Waiting>) {
    let (store, scope) = (flight.store.clone(), flight.scope.clone());
    let statements: Vec<(Hot, &[Owned])> = group.iter().map(|one| (one.hot, one.params.as_slice())).collect();
    match write(&store, &scope, &statements).await {
        Ok(answers) => {
            for (one, rows) in group.into_iter().zip(answers) {
                one.answer.send(Ok(rows)).ok();
            }
        }
        // Nothing of it was written: a statement was refused. Whose it was shows when each goes alone.
        Err(error) if was_refused(&error) => {
            for one in group {
                let alone = write(&store, &scope, &[(one.hot, &one.params)]).await;
                one.answer.send(alone.map(|mut answers| answers.pop().unwrap_or_default())).ok();
            }
        }
        Err(error) => {
            let text: Arc<str> = error.to_string().into();
            for one in group {
                one.answer.send(Err(Error::Unavailable(text.to_string().into()))).ok();
            }
        }
    }
    drop(flight);
}

/// Whether the database refused a statement, so that the transaction is known not to have been committed.
const fn was_refused(error: &Error) -> bool {
    matches!(error, Error::Conflict { .. } | Error::Refused(_) | Error::Database(_) | Error::TooBusy)
}

/// The statements under one lock in one transaction and flight.
async fn write(store: &Store, scope: &TenantScope, all: &[(Hot, &[Owned])]) -> Result<Vec<Vec<Row>>, Error> {
    let mut connection = store.pools().tenant(scope.tenant()).await?;
    let mut statements = Vec::with_capacity(all.len());
    for (hot, _) in all {
        statements.push(planned(&mut connection, scope, *hot).await?);
    }
    let client = &connection.client;
    let writes = statements.iter().zip(all).map(|(statement, (_, params))| async move {
        let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| &**param as &(dyn ToSql + Sync)).collect();
        client.query(statement, &params).await
    });
    let opening = opening_of_write(scope);
    let (opened, answers, committed) =
        join3(client.batch_execute(&opening), join_all(writes), client.batch_execute("COMMIT")).await;
    opened?;
    let answers = answers.into_iter().collect::<Result<Vec<_>, _>>().map_err(|error| match error.as_db_error() {
        Some(_) => Error::from(error),
        // Not the database's word: what was sent beside it may have been committed.
        None => Error::Unavailable(Box::new(error)),
    })?;
    committed?;
    Ok(answers)
}
