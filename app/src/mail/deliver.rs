//! The job that sends a mail about a notification.

use domain::clock::Clock;
use domain::member::Member;
use domain::note::CardEnd;
use jobs::{Context, Failure, Handler, JobRow, Outcome, Outgoing, kind};
use serde_json::{Value, json};
use store::tenant::members;
use store::tenant::notifications::{self, Notification};
use store::{Store, TenantScope, TenantTx};
use url::Url;
use wire::v1::instance_setting::notification_setting::EmailSetting;

use super::letter::{Letter, Words, one_line};
use super::smtp;
use crate::instance::service::mail_set_up;
use crate::notes::access;
use crate::notes::mentions::COMMENT;
use crate::outbound::{Entry, Outbound};

/// Tries before a mail is given up: about half an hour, with the queue's pauses.
const TRIES: i32 = 10;
/// Seconds after which nobody is told any more.
const STALE: i64 = 3 * 24 * 3600;

/// Sends mails.
pub struct Mails {
    store: Store,
    outbound: Outbound,
    clock: Clock,
}

/// A mail that is to be sent.
struct Due {
    setting: EmailSetting,
    host: String,
    letter: Letter,
}

/// What a notification comes to.
enum Found {
    Due(Box<Due>),
    Skip(&'static str),
}

impl Mails {
    /// Over these rows, to mail servers that this client may reach.
    pub fn new(store: Store, outbound: Outbound, clock: Clock) -> Self {
        Self { store, outbound, clock }
    }

    async fn deliver(&self, asked: &Outgoing, attempt: i32) -> Result<Value, Failure> {
        let scope = match Entry::of(&self.store, asked.tenant, "mail").await? {
            Entry::Open(scope) => scope,
            Entry::Closed(why) => return Ok(json!({ "skipped": why })),
        };
        let due = match self.find(&scope, asked.id).await? {
            Found::Due(due) => due,
            Found::Skip(why) => return Ok(json!({ "skipped": why })),
        };
        let tried = smtp::send(&self.outbound, &due.setting, &due.host, &due.letter).await;
        let count =
            |result: &'static str| metrics::counter!("holdfast_mail_tries_total", "result" => result).increment(1);
        match tried {
            Ok(()) => {
                count("delivered");
                Ok(json!({ "delivered": 1 }))
            }
            Err(cause) if cause.is_final() || attempt >= TRIES => {
                count("failed");
                tracing::warn!(tenant = %scope.tenant().slug, notification = asked.id, %cause, "a mail is given up");
                Ok(json!({ "failed": cause.to_string() }))
            }
            Err(cause) => {
                count("waiting");
                Err(Failure::Again(Box::new(cause)))
            }
        }
    }

    async fn find(&self, scope: &TenantScope, id: i64) -> Result<Found, Failure> {
        let Some(root) = scope.tenant().public_url.clone() else {
            return Ok(Found::Skip("the tenant has no public URL"));
        };
        let mut tx: TenantTx = self.store.begin(scope);
        let Some(setting) = mail_set_up(&mut tx).await? else { return Ok(Found::Skip("mail is switched off")) };
        let Some(one) = notifications::find_notification(&mut tx, id).await? else {
            return Ok(Found::Skip("the notification is gone"));
        };
        let people = members::list_members_by_id(&mut tx, &[one.sender_id.0, one.receiver_id.0]).await?;
        tx.commit().await?;
        let who = |id| people.iter().find(|member| member.id == id);
        let (Some(sender), Some(receiver)) = (who(one.sender_id), who(one.receiver_id)) else {
            return Ok(Found::Skip("one of the two is gone"));
        };
        if receiver.archived || receiver.email.trim().is_empty() {
            return Ok(Found::Skip("nobody to write to"));
        }
        if one.archived || self.clock.seconds() - one.created_ts > STALE {
            return Ok(Found::Skip("seen already, or too long ago"));
        }
        Ok(written(scope, &root, setting, &one, (sender, receiver)))
    }
}

/// The mail about a notification, if its receiver may still read what it is about.
fn written(
    scope: &TenantScope,
    root: &str,
    setting: EmailSetting,
    one: &Notification,
    (sender, receiver): (&Member, &Member),
) -> Found {
    let readable = |end: &&CardEnd| access::sees_end(Some(receiver.id), end);
    let Some(note) = one.note.as_ref().filter(readable) else { return Found::Skip("the note cannot be read any more") };
    let root = root.trim_end_matches('/');
    let parent = one.related.as_ref().filter(readable);
    let link = match parent {
        Some(parent) => format!("{root}/memos/{}#{}", parent.uid, note.uid),
        None => format!("{root}/memos/{}", note.uid),
    };
    let who = if sender.display_name.is_empty() { &sender.username } else { &sender.display_name };
    let did = if one.kind == COMMENT { "commented on your memo" } else { "mentioned you in a memo" };
    let what = format!("{} {did}", one_line(who));
    let host = Url::parse(root).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    let words = Words {
        to: &receiver.email,
        subject: &format!("[Memos] {what}"),
        text: &format!("{what}:\n\n{}\n\n{link}\n", note.snippet.trim()),
        message_id: &format!("{}.{}@{host}", one.id, scope.tenant().id),
        at: time::OffsetDateTime::from_unix_timestamp(one.created_ts)
            .map_or(std::time::SystemTime::UNIX_EPOCH, std::time::SystemTime::from),
    };
    match Letter::new(&setting, words) {
        Ok(letter) => Found::Due(Box::new(Due { setting, host, letter })),
        Err(_) => Found::Skip("an address is none"),
    }
}

impl Handler for Mails {
    fn kind(&self) -> &'static str {
        kind::MAIL
    }

    fn run(&self, job: JobRow, _: Context) -> Outcome {
        let this = Self { store: self.store.clone(), outbound: self.outbound.clone(), clock: self.clock.clone() };
        Box::pin(async move {
            let asked: Outgoing = serde_json::from_value(job.payload)?;
            this.deliver(&asked, job.attempts).await
        })
    }
}
