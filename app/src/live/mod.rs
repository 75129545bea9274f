//! Live events: what happens to notes, told to everyone who listens, whichever process they are connected to.
//!
//! A write is told to the event streams of its own process at once and to other processes by NOTIFY a moment later. The
//! telling is no part of the write's transaction: a commit with a NOTIFY in it waits for every other such commit of the
//! database, and an event is worth less than that. A process that is killed between a commit and the telling loses the
//! events of these milliseconds for listeners elsewhere; nothing is replayed in any case.

mod event;
mod stream;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use domain::chance::Chance;
use domain::id::{MemberId, TenantId};
use serde::{Deserialize, Serialize};
use store::Store;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

pub use event::{Event, Kind};
pub use stream::routes;

/// Events that wait for one listener; one that falls behind further is disconnected.
const WAITING: usize = 32;
/// Events that wait to be told to other processes.
const OUTGOING: usize = 4096;
/// Streams that one member may hold open in one process.
const STREAMS: usize = 64;
/// How long events gather before other processes are told: under load, what is written meanwhile goes in one message.
const GATHERING: Duration = Duration::from_millis(20);

/// The listeners of this process. Cheap to clone.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

struct Inner {
    /// What this process calls itself, so that it passes over what it told itself.
    origin: String,
    listeners: Mutex<HashMap<TenantId, Vec<Listener>>>,
    outgoing: mpsc::Sender<Told>,
}

struct Listener {
    number: u64,
    member: MemberId,
    is_admin: bool,
    queue: mpsc::Sender<Bytes>,
}

/// An event and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    #[serde(rename = "t")]
    tenant: TenantId,
    #[serde(flatten)]
    event: Event,
}

/// What travels between processes.
#[derive(Debug, Serialize, Deserialize)]
struct Parcel {
    origin: String,
    events: Vec<Told>,
}

/// An open event stream's end of the queue. Dropping it leaves the list.
pub(crate) struct Subscription {
    live: Live,
    tenant: TenantId,
    number: u64,
    pub(crate) queue: mpsc::Receiver<Bytes>,
}

impl Live {
    /// Begins to tell other processes, and to hear them.
    pub fn start(store: &Store, chance: &Chance) -> Self {
        let (outgoing, sending) = mpsc::channel(OUTGOING);
        let live =
            Self(Arc::new(Inner { origin: format!("{:016x}", chance.u64()), listeners: Mutex::default(), outgoing }));
        let origin = live.0.origin.clone();
        tokio::spawn(tell(store.clone(), origin, sending));
        tokio::spawn(hear(store.clone(), Arc::downgrade(&live.0)));
        live
    }

    /// Tells an event of a tenant to all who may know of it.
    pub fn tell(&self, tenant: TenantId, event: Event) {
        let told = Told { tenant, event };
        self.deliver(&told);
        if self.0.outgoing.try_send(told).is_err() {
            tracing::warn!("more live events than can be told to other processes; some are left out");
        }
    }

    /// A new listener; none when the member has too many already.
    pub(crate) fn subscribe(
        &self,
        tenant: TenantId,
        member: MemberId,
        is_admin: bool,
        number: u64,
    ) -> Option<Subscription> {
        let (queue, receiver) = mpsc::channel(WAITING);
        let mut listeners = self.0.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        let of_tenant = listeners.entry(tenant).or_default();
        if of_tenant.iter().filter(|one| one.member == member).count() >= STREAMS {
            return None;
        }
        of_tenant.push(Listener { number, member, is_admin, queue });
        metrics::gauge!("holdfast_live_streams").increment(1.0);
        Some(Subscription { live: self.clone(), tenant, number, queue: receiver })
    }

    fn deliver(&self, told: &Told) {
        let mut listeners = self.0.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(of_tenant) = listeners.get_mut(&told.tenant) else { return };
        let frame = told.event.frame();
        of_tenant.retain(|one| {
            !told.event.may_be_known(one.member, one.is_admin) || one.queue.try_send(frame.clone()).is_ok()
        });
    }

    /// Takes over what a member may see now.
    fn renew(&self, subscription: &Subscription, is_admin: bool) {
        let mut listeners = self.0.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = listeners.get_mut(&subscription.tenant).into_iter().flatten();
        mine.filter(|one| one.number == subscription.number).for_each(|one| one.is_admin = is_admin);
    }
}

impl Subscription {
    /// Takes over what the member may see now.
    pub(crate) fn renew(&self, is_admin: bool) {
        self.live.renew(self, is_admin);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut listeners = self.live.0.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_tenant) = listeners.get_mut(&self.tenant) {
            of_tenant.retain(|one| one.number != self.number);
            if of_tenant.is_empty() {
                listeners.remove(&self.tenant);
            }
        }
        metrics::gauge!("holdfast_live_streams").decrement(1.0);
    }
}

/// Sends what has gathered, as much at a time as one message holds.
async fn tell(store: Store, origin: String, mut sending: mpsc::Receiver<Told>) {
    let mut next = first_of(&mut sending).await;
    while let Some(first) = next.take() {
        let mut parcel = Parcel { origin: origin.clone(), events: vec![first] };
        let mut length = text_of(&parcel).len();
        while let Ok(more) = sending.try_recv() {
            length += serde_json::to_string(&more).map_or(store::LIVE_BYTES, |text| text.len() + 1);
            if length > store::LIVE_BYTES {
                next = Some(more);
                break;
            }
            parcel.events.push(more);
        }
        if let Err(error) = store.tell_live(&text_of(&parcel)).await {
            tracing::warn!(%error, "live events were not told to other processes");
        }
        if next.is_none() {
            next = first_of(&mut sending).await;
        }
    }
}

/// The next event after a while in which others may follow it.
async fn first_of(sending: &mut mpsc::Receiver<Told>) -> Option<Told> {
    let first = sending.recv().await?;
    tokio::time::sleep(GATHERING).await;
    Some(first)
}

fn text_of(parcel: &Parcel) -> String {
    serde_json::to_string(parcel).unwrap_or_default()
}

/// Delivers what other processes tell, until this process has no listeners' list any more.
async fn hear(store: Store, live: std::sync::Weak<Inner>) {
    let mut told = store.hear_live();
    loop {
        let text = match told.recv().await {
            Ok(text) => text,
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "live events of other processes came faster than they could be delivered");
                continue;
            }
            Err(RecvError::Closed) => return,
        };
        let Some(inner) = live.upgrade() else { return };
        let Ok(parcel) = serde_json::from_str::<Parcel>(&text) else {
            tracing::warn!("a message on the live channel is none of ours");
            continue;
        };
        let live = Live(inner);
        if parcel.origin != live.0.origin {
            parcel.events.iter().for_each(|one| live.deliver(one));
        }
    }
}
