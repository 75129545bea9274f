//! What a worker looks after beside its jobs.

use std::time::Duration;

use admin::Admin;

/// How often files without a row are looked for.
const SWEEP: Duration = Duration::from_secs(3600);

/// Notes from which a tenant has an index for searching texts, and sketches.
const LARGE: f32 = 5_000.0;

/// Makes sketches of the notes of large tenants, and keeps them in step.
pub(crate) async fn sketch(store: store::Store) {
    let period = Duration::from_secs(60);
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
    let mut after = String::new();
    loop {
        ticks.tick().await;
        match store.tend_sketches(LARGE, &mut after).await {
            Ok(made) => tracing::debug!(made, "sketches of notes are in step"),
            Err(error) => tracing::warn!(%error, "sketches of notes cannot be made"),
        }
    }
}

/// Makes indexes for searching texts, one after the other.
pub(crate) async fn index(store: store::Store) {
    let period = Duration::from_secs(60);
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
    loop {
        ticks.tick().await;
        match store.build_search_index(LARGE).await {
            Ok(Some(schema)) => tracing::info!(%schema, "the texts of a large tenant are indexed for searching"),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "an index for searching cannot be made"),
        }
    }
}

/// How often it is asked whether the catalogues are to be vacuumed.
const UPKEEP: Duration = Duration::from_secs(600);

/// Vacuums the system catalogues once a night, where our role may.
pub(crate) async fn vacuum(store: store::Store) {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + UPKEEP, UPKEEP);
    loop {
        ticks.tick().await;
        match store.vacuum_catalogues().await {
            Ok(store::Vacuumed::Done(tables)) => {
                tracing::info!(tables, "the system catalogues are vacuumed and analysed");
            }
            Ok(outcome) => tracing::debug!(?outcome, "the system catalogues are left alone"),
            Err(error) => tracing::warn!(%error, "the system catalogues cannot be vacuumed"),
        }
    }
}

/// Keeps schemas in stock, sweeps files, carries out deletions whose grace has ended and purges the keys of what is gone.
pub(crate) async fn tend(admin: Admin, backup: backup::Backup) {
    let mut ticks = tokio::time::interval(Duration::from_secs(20));
    let mut swept = None;
    loop {
        ticks.tick().await;
        if let Err(error) = admin.store.fill_stock().await {
            tracing::warn!(%error, "the stock of schemas cannot be filled");
        }
        if let Err(error) = admin::tenants::delete_due(&admin).await {
            tracing::warn!(%error, "a deletion that is due cannot be carried out");
        }
        if let Err(error) = admin::sweep::deleted_tenants(&admin).await {
            tracing::warn!(%error, "files of a deleted tenant cannot be removed");
        }
        match backup.purge_deleted(None, "job:deletion").await {
            Ok(report) => report.problems.iter().for_each(|problem| tracing::warn!(problem, "keys stay")),
            Err(error) => tracing::warn!(%error, "keys of deleted tenants cannot be looked for"),
        }
        if swept.is_none_or(|at: std::time::Instant| at.elapsed() >= SWEEP) {
            swept = Some(std::time::Instant::now());
            if let Err(error) = admin::sweep::files_without_rows(&admin).await {
                tracing::warn!(%error, "files without a row cannot be swept");
            }
            if let Err(error) = admin::sweep::unfinished_writes(&admin).await {
                tracing::warn!(%error, "unfinished writes to the file store cannot be swept");
            }
            backup
                .sweep_unfinished()
                .await
                .1
                .iter()
                .for_each(|warning| tracing::warn!(warning, "a store is not swept"));
        }
    }
}
