//! Putting a restored tenant in the place of the live one, and taking that back.

use std::sync::Arc;

use domain::tenant::{Tenant, TenantState};
use objects::PutOptions;
use serde::Serialize;
use serde_json::json;
use store::{AuditEvent, MembersApart, Replayed, SwapPlan, TenantScope};
use time::{Duration, OffsetDateTime};

use crate::context::Backup;
use crate::error::Error;
use crate::run::Watched;
use crate::snapshot::{PointOptions, rfc3339};

/// How often files are prepared again because members went on adding some.
const TRIES: u32 = 5;

/// What `restore swap` and `restore undo` tell.
#[derive(Clone, Debug, Serialize)]
pub struct SwapReport {
    /// The tenant in use: same id, slug, hosts, keys and points, other rows.
    pub tenant: String,
    /// The tenant that has the rows it had before, refused to everybody.
    pub other: String,
    /// Until when those are kept; `holdfast restore undo` takes the swap back until then.
    pub kept_until: String,
    /// What had happened since the point and was done again.
    pub replayed: Replayed,
    /// Members whose role or password is now that of the rows that took the place; none when that could not be seen.
    pub gone_back: Option<MembersApart>,
    /// This took an earlier swap back.
    pub undone: bool,
    /// The point that holds what was changed right before in the rows that left; none when an older one holds everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub point_before: Option<String>,
    /// What someone should look at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl Backup {
    /// The rows of `other`, restored from a point of `slug`, take the place of the live ones.
    pub async fn swap(&self, slug: &str, other: &str, keep_days: u32, actor: &str) -> Result<SwapReport, Error> {
        self.swap_watched((slug, other), keep_days, actor, &Watched::default()).await
    }

    /// The same, for somebody who looks on and may cancel it.
    pub(crate) async fn swap_watched(
        &self,
        (slug, other): (&str, &str),
        keep_days: u32,
        actor: &str,
        run: &Watched,
    ) -> Result<SwapReport, Error> {
        let (live, copy) = (self.tenant(slug).await?, self.tenant(other).await?);
        let from = self.store.restored_from(copy.id).await?.filter(|(of, _)| *of == live.id);
        let Some((_, since)) = from else {
            return Err(Error::Refused(format!(
                "{other} was not restored from a point of {slug}; restore one with `holdfast restore run latest --tenant {slug} --as NEW-SLUG`"
            )));
        };
        if copy.state != TenantState::Closed {
            return Err(Error::Refused(format!(
                "tenant {other} is {}; only a closed one, restored and never opened, can take a live tenant's place",
                copy.state.as_str()
            )));
        }
        let keep_until = self.clock.now() + Duration::days(i64::from(keep_days));
        self.exchange((&live, &copy), Terms { since, keep_until, undo: false }, actor, run).await
    }

    /// Takes the newest swap of a tenant back: the rows from before are live again, the restored ones are kept beside.
    pub async fn undo_swap(&self, slug: &str, keep_days: u32, actor: &str) -> Result<SwapReport, Error> {
        self.undo_watched(slug, keep_days, actor, &Watched::default()).await
    }

    /// The same, for somebody who looks on and may cancel it.
    pub(crate) async fn undo_watched(
        &self,
        slug: &str,
        keep_days: u32,
        actor: &str,
        run: &Watched,
    ) -> Result<SwapReport, Error> {
        let live = self.tenant(slug).await?;
        let Some(swap) = self.store.newest_swap(live.id).await? else {
            return Err(Error::Refused(format!("nothing has taken the place of {slug}, so there is nothing to undo")));
        };
        let Some(other) = self.store.registry().by_id(swap.other).await? else {
            return Err(Error::Refused(format!("the rows that {slug} had before are not kept any more")));
        };
        let keep_until = self.clock.now() + Duration::days(i64::from(keep_days));
        self.exchange((&live, &other), Terms { since: swap.at, keep_until, undo: true }, actor, run).await
    }

    async fn exchange(
        &self,
        (live, other): (&Tenant, &Tenant),
        terms: Terms,
        actor: &str,
        run: &Watched,
    ) -> Result<SwapReport, Error> {
        let event = if terms.undo { "tenant.swap.undone" } else { "tenant.swapped" };
        let detail = json!({ "other": other.slug, "kept_until": rfc3339(terms.keep_until) });
        let event = AuditEvent { actor, event, object: live.slug.as_str(), detail };
        let leaving = async { Ok(self.point_of_what_leaves(live, actor).await) };
        let (point_before, warnings) = match run.unless_cancelled(leaving).await? {
            Ok(point) => (point, Vec::new()),
            Err(error) => (None, vec![format!("the newest changes of the rows that left are in no point: {error}")]),
        };
        let mut tries = 0;
        loop {
            let ready = async { Ok((self.share_files(live, other).await?, self.share_files(other, live).await?)) };
            let (mine, theirs) = if tries == 0 {
                let ready = run.unless_cancelled(ready).await?;
                run.settle().await?;
                ready
            } else {
                ready.await?
            };
            let plan = SwapPlan {
                live,
                other,
                files: [&mine, &theirs],
                since: terms.since,
                keep_until: terms.keep_until,
                undo: terms.undo,
            };
            tries += 1;
            match self.store.swap_tenants(&plan, &event).await {
                Err(store::Error::TooBusy) if tries < TRIES => {}
                Err(error) => return Err(error.into()),
                Ok(replayed) => {
                    return Ok(SwapReport {
                        tenant: live.slug.to_string(),
                        other: other.slug.to_string(),
                        kept_until: rfc3339(terms.keep_until),
                        replayed,
                        gone_back: self.gone_back(live, other).await,
                        undone: terms.undo,
                        point_before,
                        warnings,
                    });
                }
            }
        }
    }

    /// The rows that leave are backed up no more, so what no point of theirs holds yet gets one first. A store that is away
    /// holds nobody up who has to get back to work: the rows stay beside.
    async fn point_of_what_leaves(&self, live: &Tenant, actor: &str) -> Result<Option<String>, Error> {
        let scope = TenantScope::for_command(Arc::new(live.clone()), "restore swap");
        if self.store.oldest_unheld_change(&scope).await?.is_none() {
            return Ok(None);
        }
        let options = PointOptions { trigger: "swap", actor: actor.to_owned(), markdown: false };
        let point = self.take_point(&scope, &options).await?.point;
        let verified = self.verify_point(&point, actor).await?;
        if verified.problems.is_empty() {
            Ok(Some(point))
        } else {
            Err(Error::ReadsBadly { point, problems: verified.problems })
        }
    }

    /// Looked at when the places are changed: what cannot be seen then is no reason to call the swap failed.
    async fn gone_back(&self, live: &Tenant, other: &Tenant) -> Option<MembersApart> {
        let apart = self.store.members_apart(&live.schema, &other.schema).await;
        apart
            .inspect_err(|error| tracing::warn!(%error, "it cannot be seen whose role or password a swap has changed"))
            .ok()
    }

    /// Makes the files of one tenant be there for another too; the places the first one's rows name.
    async fn share_files(&self, from: &Tenant, to: &Tenant) -> Result<Vec<String>, Error> {
        let scope = TenantScope::for_command(Arc::new(from.clone()), "restore swap");
        let (mine, theirs) = (objects::keys::live_files(from.id), objects::keys::live_files(to.id));
        let files = self.files.objects();
        let mut ready = Vec::new();
        for key in self.store.referenced_files(&scope).await? {
            if let Some(rest) = key.strip_prefix(&mine) {
                let copy = format!("{theirs}{rest}");
                if !files.exists(&copy).await? {
                    match files.get_stream(&key).await {
                        Ok(download) => {
                            files.put_stream(&copy, download.reader, PutOptions::default()).await?;
                        }
                        // lost before: it cannot be shared, and stays lost
                        Err(objects::Error::NotFound { .. }) => tracing::warn!(key, "a file is not in the file store"),
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            ready.push(key);
        }
        Ok(ready)
    }
}

/// From when what happened is done again, and how long the old rows stay.
struct Terms {
    since: OffsetDateTime,
    keep_until: OffsetDateTime,
    undo: bool,
}
