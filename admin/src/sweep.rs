//! What nobody refers to any more leaves the file store, late and in two steps.
//!
//! A file without a row is first only noted. After seven days, longer than any snapshot runs, it is set aside; a day later
//! it is removed, unless a row refers to it by then: the same content uploaded again at that very moment is brought back.

use std::sync::Arc;

use domain::tenant::Tenant;
use store::TenantScope;
use store::control::sweep::Unreferenced;
use time::Duration;

use crate::{Admin, Error};

/// How long a file may be without a row.
const WAIT: Duration = Duration::days(7);
/// How long it is then kept aside.
const ASIDE: Duration = Duration::days(1);

/// Removes the files of tenants that are gone, in every version that the file store keeps. Returns how many files.
pub async fn deleted_tenants(admin: &Admin) -> Result<usize, Error> {
    let mut removed = 0;
    for tenant in admin.store.control().deletions_with_files().await? {
        let purged = admin.files.purge(tenant).await?;
        removed += usize::try_from(purged.objects).unwrap_or(usize::MAX);
        if purged.left > 0 {
            let store = admin.files.objects().location();
            tracing::warn!(%tenant, store, left = purged.left, "files of a deleted tenant stay; is there an object lock?");
        } else {
            admin.store.control().note_files_gone(tenant).await?;
        }
    }
    Ok(removed)
}

/// Removes writes to the file store that were begun a day ago and never ended. Returns how many.
pub async fn unfinished_writes(admin: &Admin) -> Result<u64, Error> {
    Ok(admin.files.objects().sweep_unfinished(admin.clock.now() - ASIDE).await?)
}

/// Looks through the files of every tenant. Returns how many were removed.
pub async fn files_without_rows(admin: &Admin) -> Result<usize, Error> {
    let mut removed = 0;
    for tenant in admin.store.registry().list().await? {
        removed += sweep(admin, &tenant).await?;
    }
    Ok(removed)
}

async fn sweep(admin: &Admin, tenant: &Arc<Tenant>) -> Result<usize, Error> {
    let (now, control) = (admin.clock.now(), admin.store.control());
    // listed before the rows are read: an upload's row comes after its file
    let stored = admin.files.list(tenant.id).await?;
    let scope = TenantScope::for_job(Arc::clone(tenant), "sweep");
    let referenced = admin.store.referenced_files(&scope).await?;
    let known = control.unreferenced(tenant.id).await?;
    let idle = stored.iter().filter(|file| !referenced.contains(&file.key) && !admin.files.is_aside(&file.key));
    control.note_unreferenced(tenant.id, idle.map(|file| file.key.clone()).collect(), now).await?;
    let (mut forget, mut removed) = (Vec::new(), 0);
    for one in known {
        let there = stored.iter().find(|file| file.key == one.storage_key);
        match one {
            Unreferenced { storage_key, aside_at, .. } if referenced.contains(&storage_key) => {
                if aside_at.is_some() && there.is_none() {
                    admin.files.bring_back(&storage_key).await?;
                }
                forget.push(storage_key);
            }
            Unreferenced { storage_key, aside_at: Some(at), .. } => {
                if now - at >= ASIDE {
                    admin.files.remove_aside(&storage_key).await?;
                    removed += 1;
                    forget.push(storage_key);
                }
            }
            Unreferenced { storage_key, seen_at, .. } => match there {
                None => forget.push(storage_key),
                // put again since it was seen: somebody may be about to write its row
                Some(file) if file.modified > seen_at => forget.push(storage_key),
                Some(_) if now - seen_at >= WAIT => {
                    admin.files.set_aside(&storage_key).await?;
                    control.note_aside(tenant.id, &storage_key, now).await?;
                }
                Some(_) => {}
            },
        }
    }
    if !forget.is_empty() {
        control.forget_unreferenced(tenant.id, forget).await?;
    }
    Ok(removed)
}
