//! Tenants come back under their own ids, a few at a time.

use futures_util::{FutureExt, StreamExt};
use serde_json::json;
use store::{AuditEvent, Returning, TenantScope};

use super::{InstanceReport, Plan, TenantBack};
use crate::context::Backup;
use crate::error::Error;
use crate::restore::{Place, Stopwatch};

/// Tenants that come back at the same time.
const TOGETHER: usize = 3;

impl Backup {
    pub(super) async fn bring_tenants_back(
        &self,
        plans: Vec<Plan>,
        actor: &str,
        told: &(impl Fn(&TenantBack) + Send + Sync),
        report: &mut InstanceReport,
    ) -> Result<(), Error> {
        let work: Vec<_> = plans
            .into_iter()
            .map(|plan| {
                let (backup, actor) = (self.clone(), actor.to_owned());
                async move { backup.bring_back(plan, &actor).await }.boxed()
            })
            .collect();
        let mut back = futures_util::stream::iter(work).buffer_unordered(TOGETHER);
        while let Some(tenant) = back.next().await {
            let tenant = tenant?;
            told(&tenant);
            report.tenants.push(tenant);
        }
        Ok(())
    }

    /// One tenant from the best of its points. What goes wrong with a point is told, and the next one is tried.
    async fn bring_back(&self, plan: Plan, actor: &str) -> Result<TenantBack, Error> {
        let watch = Stopwatch::start();
        let tenant = plan.tenant;
        let mut back = TenantBack {
            tenant: tenant.slug.clone(),
            tenant_id: tenant.id.to_string(),
            state: tenant.state.clone(),
            point: None,
            shows: None,
            notes: 0,
            files: 0,
            seconds: 0.0,
            problem: None,
        };
        let mut problems = Vec::new();
        for point in &plan.points {
            match self.try_point(&tenant, point, actor, &mut back, &watch).await {
                Ok(()) => {
                    back.seconds = watch.total();
                    return Ok(back);
                }
                Err(error) => problems.push(format!("{point}: {error}")),
            }
        }
        let problem =
            if problems.is_empty() { "no point of it is in the store".to_owned() } else { problems.join("; ") };
        self.store.note_return_problem(tenant.id, &problem).await?;
        back.seconds = watch.total();
        back.problem = Some(problem);
        Ok(back)
    }

    async fn try_point(
        &self,
        tenant: &Returning,
        point: &str,
        actor: &str,
        back: &mut TenantBack,
        watch: &Stopwatch,
    ) -> Result<(), Error> {
        let opened = self.open_point(&self.source(), point).await?;
        opened.must_be_known(self.newest_version())?;
        let built = self.store.build_returning(tenant, &self.steps_to(opened.version())).await?;
        let scope = TenantScope::for_command(built.clone(), "restore instance");
        let (mut written, mut inner) = (Vec::new(), Stopwatch::start());
        let filled = self.fill(&opened, &Place::Again, scope, &mut written, &mut inner).await;
        let finished = match filled {
            Ok(_) => {
                let detail = json!({ "point": point, "shows": opened.clear.snapshot.at, "notes": opened.sealed.notes });
                let event = AuditEvent { actor, event: "tenant.returned", object: &tenant.slug, detail };
                self.store.finish_return(tenant.id, point, watch.total(), &event).await.map_err(Error::from)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = finished {
            // files stay: they are where they belong, and the next try writes them again
            if let Err(left) = self.store.drop_half(&built).await {
                tracing::error!(tenant = %tenant.slug, error = %left, "what came back of a tenant could not be removed");
            }
            return Err(error);
        }
        back.point = Some(point.to_owned());
        back.shows = Some(opened.clear.snapshot.at.clone());
        back.notes = opened.sealed.notes;
        back.files = opened.sealed.files.len() as u64;
        Ok(())
    }
}
