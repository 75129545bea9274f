//! Reading ahead: the check of who asks and the read that its last time led to, in one flight.
//!
//! Most requests are repeated ones: the same caller asks for the same thing. What a request read after the check is
//! remembered (statement and parameters, never rows); next time that read travels in the flight of the check, under the
//! same role and snapshot rules. The check is judged before anything else happens, and the rows are used only where the
//! request then asks for exactly that statement with exactly those parameters: a wrong guess costs one read and is not
//! made again.
//!
//! An answer that was made of one such read alone is kept with the versions of its rows. Next time the versions travel in
//! the flight of the check instead of the rows; where they are what they were, the answer is, too. A row's version is its
//! id with the transaction that wrote it (`xmin`), so a change by anyone, also by hand, is another version: nothing is
//! told of changes, and nothing can forget to tell.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use lru::LruCache;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::check::Checked;
use crate::hot::Hot;
use crate::proof::{Answer, Answers, Versions};
use crate::scope::TenantScope;
use crate::store::Store;

/// How many requests are remembered, 100 to 200 bytes each.
const REMEMBERED: usize = 16_384;

/// A parameter that can be remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Number(i64),
    Text(String),
    Texts(Vec<String>),
}

impl Value {
    pub(crate) fn param(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Number(number) => number,
            Self::Text(text) => text,
            Self::Texts(texts) => texts,
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

/// What requests led to.
pub(crate) struct Memory {
    known: Mutex<Known>,
    hasher: RandomState,
}

struct Known {
    /// The read; `None` where the guess was wrong.
    reads: LruCache<u64, Option<Foreseen>>,
    answers: Answers,
}

impl Memory {
    pub(crate) fn new() -> Arc<Self> {
        let reads = LruCache::new(NonZeroUsize::new(REMEMBERED).unwrap_or(NonZeroUsize::MIN));
        Arc::new(Self { known: Mutex::new(Known { reads, answers: Answers::default() }), hasher: RandomState::new() })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        work(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, key: u64, what: Option<Foreseen>) {
        self.with(|known| known.reads.put(key, what));
    }

    /// With what a request begins.
    fn state(&self, key: u64, whole: bool) -> State {
        self.with(|known| match known.reads.get(&key) {
            Some(Some(foreseen)) => State::Due(foreseen.clone(), known.answers.get(key).filter(|_| whole)),
            Some(None) => State::Over,
            None => State::Open,
        })
    }
}

enum State {
    /// The check has not been made; this will be read with it, or the proof that the answer is still the same.
    Due(Foreseen, Option<Arc<Answer>>),
    /// Read with the check, not asked for yet.
    Kept(Foreseen, Vec<Row>),
    /// Proven with the check, not asked for yet.
    Same(Arc<Answer>),
    /// Nothing foreseen: the first read is remembered.
    Open,
    /// Of these rows the answer is made, if nothing else is read.
    Used(Versions),
    /// Nothing more to do.
    Over,
}

/// What one request reads ahead.
pub(crate) struct Ahead {
    memory: Arc<Memory>,
    key: u64,
    state: Mutex<State>,
    /// Whether the request asks with more than what it is known by, a body, or read something that the versions do not
    /// speak of: no answer is kept then.
    more: AtomicBool,
    checked: Mutex<Option<Checked>>,
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

    /// What is to be read with the check, once; with an answer, its proof.
    pub(crate) fn due(&self) -> Option<(Foreseen, Option<Arc<Answer>>)> {
        match self.exchange(State::Over) {
            State::Due(foreseen, answer) => Some((foreseen, answer)),
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

    /// Judges an answer by the versions that were read now: whether it is still the same.
    pub(crate) fn judge(&self, answer: &Arc<Answer>, versions: Option<&Versions>) -> bool {
        let same = versions == Some(&answer.versions);
        if same {
            self.exchange(State::Same(Arc::clone(answer)));
        } else {
            self.memory.with(|known| known.answers.forget(self.key));
        }
        same
    }

    /// Notes what the check of the caller read.
    pub(crate) fn checked(&self, checked: Checked) {
        *self.checked.lock().unwrap_or_else(PoisonError::into_inner) = Some(checked);
    }

    /// The rows of this read, if they were foreseen; otherwise it is remembered or the wrong guess given up.
    pub(crate) fn take(&self, hot: Hot, values: &[Value]) -> Option<Vec<Row>> {
        match self.exchange(State::Over) {
            State::Kept(foreseen, rows) if foreseen.is(hot, values) => {
                self.used(hot, &rows);
                Some(rows)
            }
            State::Open => {
                self.memory.put(self.key, Some(Foreseen { hot, values: values.to_vec() }));
                self.exchange(State::Open);
                None
            }
            State::Kept(..) => {
                self.memory.put(self.key, None);
                None
            }
            State::Due(..) | State::Same(_) | State::Used(_) | State::Over => None,
        }
    }

    /// Notes the rows of a read that [`take`](Self::take) has remembered.
    pub(crate) fn read(&self, hot: Hot, rows: &[Row]) {
        if matches!(self.exchange(State::Over), State::Open) {
            self.used(hot, rows);
        }
    }

    fn used(&self, hot: Hot, rows: &[Row]) {
        if let Some(versions) = hot.proof.and_then(|_| Versions::of_read(rows)) {
            self.exchange(State::Used(versions));
        }
    }

    /// Called where the request reads or writes anything else: its answer is then not made of one read alone.
    pub(crate) fn reads_more(&self) {
        self.more.store(true, Ordering::Relaxed);
    }
}

impl Drop for Ahead {
    /// A request that did not ask for what was read ahead will not be guessed again.
    fn drop(&mut self) {
        match self.exchange(State::Over) {
            State::Kept(..) => self.memory.put(self.key, None),
            State::Same(_) => self.memory.with(|known| known.answers.forget(self.key)),
            _ => (),
        }
    }
}

impl TenantScope {
    /// The answer to this request as it was made before, where the check of the caller has proven that every row it was
    /// made of is still the same. `stamp` is all else that the answer depends on: the caller's rights, the address.
    pub fn same_answer(&self, stamp: u64) -> Option<Bytes> {
        let ahead = self.ahead()?;
        match ahead.exchange(State::Over) {
            State::Same(answer) if answer.stamp == stamp => Some(answer.body.clone()),
            State::Same(_) => {
                ahead.memory.with(|known| known.answers.forget(ahead.key));
                ahead.exchange(State::Open);
                None
            }
            other => {
                ahead.exchange(other);
                None
            }
        }
    }

    /// Keeps an answer, if it was made of one planned read and nothing else; a copy, since the buffer that it was written into
    /// may be much longer.
    pub fn keep_answer(&self, stamp: u64, body: &Bytes) {
        let Some(ahead) = self.ahead() else { return };
        if let State::Used(versions) = ahead.exchange(State::Over)
            && !ahead.more.load(Ordering::Relaxed)
        {
            let checked = ahead.checked.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some(checked) = checked else { return };
            let Some(versions) = versions.after_check(&checked.rows, checked.pairs) else { return };
            let answer = Answer { stamp, checked, versions, body: Bytes::copy_from_slice(body) };
            ahead.memory.with(|known| known.answers.keep(ahead.key, answer));
        }
    }
}

impl Store {
    /// A scope that reads ahead what the last request like this one led to. `asked` tells requests apart: credentials,
    /// method, path and query. `whole`: there is no body that says more; only then answers are kept.
    pub fn foresee(&self, scope: &TenantScope, asked: impl Hash, whole: bool) -> TenantScope {
        let memory = self.memory();
        let key = memory.hasher.hash_one((scope.tenant().id, scope.tenant().schema.as_str(), asked));
        let state = Mutex::new(memory.state(key, whole));
        let ahead =
            Ahead { memory: Arc::clone(memory), key, state, more: AtomicBool::new(!whole), checked: Mutex::default() };
        scope.clone().reading(Arc::new(ahead))
    }
}
