//! InstanceService: the tenant's profile and settings.

use wire::v1::instance_stats::DatabaseStats;
use wire::{Timestamp, v1};

use super::{ApiError, Ctx, RpcRow, row};
use crate::instance::service;
use crate::notes::Desk;
use crate::people::view;
use crate::state::MEMOS_VERSION;

const SERVICE: &str = "InstanceService";

/// The handlers.
pub fn rows() -> Vec<RpcRow> {
    vec![
        row(SERVICE, "GetInstanceProfile", get_profile),
        row(SERVICE, "GetInstanceSetting", get_setting),
        row(SERVICE, "BatchGetInstanceSettings", batch_get_settings),
        row(SERVICE, "UpdateInstanceSetting", update_setting),
        row(SERVICE, "GetInstanceStats", get_stats),
    ]
}

type Answer<T> = Result<T, ApiError>;

async fn get_profile(ctx: Ctx, _: v1::GetInstanceProfileRequest) -> Answer<v1::InstanceProfile> {
    let admin = service::admin(&Desk::of(&ctx)).await?;
    Ok(v1::InstanceProfile {
        version: MEMOS_VERSION.to_owned(),
        demo: false,
        instance_url: ctx.tenant().public_url.clone().unwrap_or_default(),
        needs_setup: admin.is_none(),
        admin: admin.map(|admin| view::user(&admin, ctx.actor())),
        commit: "unknown".to_owned(),
    })
}

async fn get_setting(ctx: Ctx, request: v1::GetInstanceSettingRequest) -> Answer<v1::InstanceSetting> {
    Ok(service::get(&Desk::of(&ctx), &request.name).await?)
}

async fn batch_get_settings(
    ctx: Ctx,
    request: v1::BatchGetInstanceSettingsRequest,
) -> Answer<v1::BatchGetInstanceSettingsResponse> {
    let settings = service::list(&Desk::of(&ctx), &request.names).await?;
    Ok(v1::BatchGetInstanceSettingsResponse { settings })
}

async fn update_setting(ctx: Ctx, request: v1::UpdateInstanceSettingRequest) -> Answer<v1::InstanceSetting> {
    let setting = request.setting.ok_or_else(|| ApiError::invalid("setting is required"))?;
    Ok(service::update(&Desk::of(&ctx), setting).await?)
}

async fn get_stats(ctx: Ctx, _: v1::GetInstanceStatsRequest) -> Answer<v1::InstanceStats> {
    let sizes = service::sizes(&Desk::of(&ctx)).await?;
    Ok(v1::InstanceStats {
        database: Some(DatabaseStats { driver: "postgres".to_owned(), size_bytes: sizes.database }),
        local_storage_bytes: sizes.files,
        generated_time: Some(Timestamp::from_seconds(ctx.seconds())),
    })
}
