//! Reading ahead: the check of who asks and the read that its last time led to, in one flight.
//!
//! Most requests are repeated ones: the same caller asks for the same thing. What a request read after the check is
//! remembered (statement and parameters, never rows); next time that read travels in the flight of the check, under the
//! same role and snapshot rules. The check is judged before anything else happens, and the rows are used only where the
//! request then asks for exactly that statement with exactly those parameters: a wrong guess costs one read and is not
//! made again.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::hot::Hot;
use crate::scope::TenantScope;
use crate::store::Store;

/// How many requests are remembered, 100 to 200 bytes each.
const REMEMBERED: usize = 16_384;

/// A parameter that can be remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Number(i64),
    Text(String),
}

impl Value {
    pub(crate) fn param(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Number(number) => number,
            Self::Text(text) => text,
        }
    }
}

/// A read with its parameters.
#[derive(Clone, Debug)]
pub(crate) struct Foreseen {
    pub(crate) hot: Hot,
    pub(crate) values: Vec<Value>,
}

impl Foreseen {
    fn is(&self, hot: Hot, values: &[Value]) -> bool {
        self.hot.name == hot.name && self.values == values
    }
}

/// What requests led to: `None` where the guess was wrong.
pub(crate) struct Memory {
    known: Mutex<LruCache<u64, Option<Foreseen>>>,
    hasher: RandomState,
}

impl Memory {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            known: Mutex::new(LruCache::new(NonZeroUsize::new(REMEMBERED).unwrap_or(NonZeroUsize::MIN))),
            hasher: RandomState::new(),
        })
    }

    fn put(&self, key: u64, what: Option<Foreseen>) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).put(key, what);
    }

    /// With what a request begins.
    fn state(&self, key: u64) -> State {
        match self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            Some(Some(foreseen)) => State::Due(foreseen.clone()),
            Some(None) => State::Over,
            None => State::Open,
        }
    }
}

enum State {
    /// The check has not been made; this will be read with it.
    Due(Foreseen),
    /// Read with the check, not asked for yet.
    Kept(Foreseen, Vec<Row>),
    /// Nothing foreseen: the first read is remembered.
    Open,
    /// Nothing more to do.
    Over,
}

/// What one request reads ahead.
pub(crate) struct Ahead {
    memory: Arc<Memory>,
    key: u64,
    state: Mutex<State>,
}

impl std::fmt::Debug for Ahead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ahead").finish_non_exhaustive()
    }
}

impl Ahead {
    fn exchange(&self, next: State) -> State {
        std::mem::replace(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner), next)
    }

    /// What is to be read with the check, once.
    pub(crate) fn due(&self) -> Option<Foreseen> {
        match self.exchange(State::Over) {
            State::Due(foreseen) => Some(foreseen),
            other => {
                self.exchange(other);
                None
            }
        }
    }

    /// Keeps what was read with the check.
    pub(crate) fn keep(&self, foreseen: Foreseen, rows: Vec<Row>) {
        self.exchange(State::Kept(foreseen, rows));
    }

    /// The rows of this read, if they were foreseen; otherwise it is remembered or the wrong guess given up.
    pub(crate) fn take(&self, hot: Hot, values: &[Value]) -> Option<Vec<Row>> {
        match self.exchange(State::Over) {
            State::Kept(foreseen, rows) if foreseen.is(hot, values) => Some(rows),
            State::Open => {
                self.memory.put(self.key, Some(Foreseen { hot, values: values.to_vec() }));
                None
            }
            State::Kept(..) => {
                self.memory.put(self.key, None);
                None
            }
            State::Due(_) | State::Over => None,
        }
    }
}

impl Drop for Ahead {
    /// A request that did not ask for what was read ahead will not be guessed again.
    fn drop(&mut self) {
        if matches!(self.exchange(State::Over), State::Kept(..)) {
            self.memory.put(self.key, None);
        }
    }
}

impl Store {
    /// A scope that reads ahead what the last request like this one led to. `asked` is all that tells requests apart:
    /// credentials, method, path and query.
    pub fn foresee(&self, scope: &TenantScope, asked: impl Hash) -> TenantScope {
        let memory = self.memory();
        let key = memory.hasher.hash_one((scope.tenant().id, scope.tenant().schema.as_str(), asked));
        let state = Mutex::new(memory.state(key));
        scope.clone().reading(Arc::new(Ahead { memory: Arc::clone(memory), key, state }))
    }
}
