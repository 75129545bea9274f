//! The control plane out of its newest control point.

use std::collections::{BTreeSet, HashMap};

use domain::id::{Slug, TenantId};
use objects::keys as layout;

use super::{ControlTable, InstanceReport};
use crate::context::Backup;
use crate::endorsements::{Signing, missing_link};
use crate::error::Error;
use crate::format::manifest::{Clear, Manifest, ManifestError};
use crate::format::sealed::Sealed;
use crate::restore::{Fetch, table_of};
use crate::verify::{Expected, Problem, ReadBack, read_back};

impl Backup {
    /// Loads the newest control point that reads back without a problem; those that do not are told.
    pub(super) async fn load_newest_control(&self, report: &mut InstanceReport) -> Result<(), Error> {
        let mut refused = None;
        let points = self.control_points(&mut report.warnings).await?;
        // they prove themselves: it does not matter who wrote the manifest that brings one
        let mut endorsed = self.endorsements_in_store(&[]).await?;
        endorsed.extend(points.iter().flat_map(|clear| &clear.endorsements).filter(|one| one.is_good()).cloned());
        let signers = self.signers_by_sheet(&endorsed);
        let held = self.wrapped_signers().await?;
        self.adopt_signing_key(&held, signers.as_ref(), &mut report.warnings)?;
        for clear in points {
            let point = clear.point.to_string();
            let foreign = signers.as_ref().is_some_and(|known| !known.contains(&clear.signed_by));
            if let Some(object) = foreign.then(|| missing_link(&clear.signed_by, &endorsed, &held)).flatten() {
                let error = Error::NotEndorsed { point, key: clear.signed_by, object };
                report.warnings.push(error.to_string());
                refused.get_or_insert(error);
                continue;
            }
            let expected = Expected {
                tenant: TenantId::CONTROL,
                point: point.clone(),
                manifest: None,
                log: None,
                keys: HashMap::new(),
                signers: signers.clone(),
                signing: Signing::default(),
                rests: None,
            };
            let read = read_back(&self.source(), &expected, Some(self.holder()?), self.check).await?;
            let ReadBack { problems, clear: Some(clear), sealed: Some(sealed), key: Some(key), .. } = read else {
                report.warnings.push(format!("control point {point} was passed over: {}", told(&read.problems)));
                refused.get_or_insert(Error::Damaged { point, problems: read.problems });
                continue;
            };
            if !problems.is_empty() {
                report.warnings.push(format!("control point {point} was passed over: {}", told(&problems)));
                refused.get_or_insert(Error::Damaged { point, problems });
                continue;
            }
            if clear.snapshot.schema_version > store::CONTROL_VERSION {
                return Err(Error::Refused(format!(
                    "control point {point} has schema version {}, and this version knows up to {}; use a newer holdfast",
                    clear.snapshot.schema_version,
                    store::CONTROL_VERSION
                )));
            }
            let fetch = Fetch::new(self.source(), &clear, &sealed, key.identity().clone(), self.check);
            self.load_control(&fetch, &sealed, report).await?;
            let signers = signers.unwrap_or_default();
            endorsed.retain(|one| signers.contains(&one.public_key) && signers.contains(&one.follows.public_key));
            self.note_endorsements(endorsed).await?;
            self.note_signers(&signers).await?;
            report.control_point = Some(point);
            report.shows = Some(clear.snapshot.at);
            return Ok(());
        }
        Err(refused.unwrap_or(Error::NoControlPoint(self.objects.location())))
    }

    /// Control points in the store, the newest first by the time that they tell.
    async fn control_points(&self, warnings: &mut Vec<String>) -> Result<Vec<Clear>, Error> {
        let mut found = Vec::new();
        let listed = self.objects.list(&layout::points(TenantId::CONTROL)).await?;
        let names = listed.iter().filter_map(|object| layout::parse_manifest(&object.key));
        let mut names: BTreeSet<String> = names.map(|(_, point)| point.to_owned()).collect();
        names.extend(self.left_out_of_the_list(TenantId::CONTROL, &names, warnings).await?);
        for name in names {
            let stored = self.objects.get(&layout::manifest(TenantId::CONTROL, &name)).await?;
            match Manifest::read(&stored) {
                Ok(manifest) => found.push(manifest.clear),
                Err(newer @ ManifestError::Newer(_)) => {
                    warnings.push(format!("control point {name} was passed over: {newer}"));
                }
                Err(_) => {}
            }
        }
        found.sort_by(|a, b| b.created_at.cmp(&a.created_at));
        Ok(found)
    }

    async fn load_control(&self, fetch: &Fetch, sealed: &Sealed, report: &mut InstanceReport) -> Result<(), Error> {
        let mut load = self.store.load_control().await?;
        for entry in &sealed.tables {
            let Some(mut sink) = load.copy_in(&table_of(entry)).await? else {
                if entry.rows > 0 {
                    return Err(Error::Refused(format!(
                        "the control point has table {} in a shape that this version does not know; use the version that wrote it",
                        entry.name
                    )));
                }
                continue;
            };
            for piece in &entry.pieces {
                sink.send(fetch.bytes(&piece.name).await?).await?;
            }
            let rows = sink.finish().await?;
            if rows != entry.rows {
                return Err(Error::Unequal { table: entry.name.clone() });
            }
            report.tables.push(ControlTable { name: entry.name.clone(), rows });
        }
        Ok(load.finish().await?)
    }

    /// Tenants that have points in the store and are in no control point: made after the newest one.
    pub(super) async fn find_unknown_tenants(&self, report: &mut InstanceReport) -> Result<(), Error> {
        let control = self.store.control();
        let mut known: BTreeSet<TenantId> = self.store.registry().list().await?.iter().map(|t| t.id).collect();
        let returning = self.store.returning().await?;
        let mut slugs: BTreeSet<String> = returning.iter().map(|tenant| tenant.slug.clone()).collect();
        known.extend(returning.iter().map(|tenant| tenant.id));
        known.extend(control.deletions().await?.iter().map(|gone| gone.tenant));
        for folder in self.objects.folders("t/").await? {
            let Ok(id) = folder.parse::<TenantId>() else { continue };
            if known.contains(&id) || id.is_control() {
                continue;
            }
            // without a wrapped key no point of it opens: its keys were purged
            if self.objects.list(&layout::wrapped_keys(id)).await?.is_empty() {
                continue;
            }
            let Some(slug) = self.slug_in_store(id).await? else { continue };
            let free = if slugs.insert(slug.clone()) { slug } else { format!("found-{}", &id.to_string()[..8]) };
            report.warnings.push(format!(
                "tenant {free} was made after the newest control point; it comes back closed, without its hosts"
            ));
            self.store.note_return(id, &free).await?;
        }
        Ok(())
    }

    /// How a tenant was called when its newest point was taken.
    async fn slug_in_store(&self, tenant: TenantId) -> Result<Option<String>, Error> {
        let mut newest: Option<Clear> = None;
        for object in self.objects.list(&layout::points(tenant)).await? {
            if layout::parse_manifest(&object.key).is_none() {
                continue;
            }
            let Ok(manifest) = Manifest::read(&self.objects.get(&object.key).await?) else { continue };
            let later = newest.as_ref().is_none_or(|known| known.created_at < manifest.clear.created_at);
            if manifest.clear.tenant == tenant && later {
                newest = Some(manifest.clear);
            }
        }
        Ok(newest.map(|clear| clear.slug).filter(|slug| slug.parse::<Slug>().is_ok()))
    }
}

fn told(problems: &[Problem]) -> String {
    if problems.is_empty() {
        return "no wrapped key of it is for the identity at hand".to_owned();
    }
    Problem::sentence(problems)
}
