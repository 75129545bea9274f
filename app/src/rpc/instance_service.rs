//! InstanceService: the tenant's profile and settings.

use wire::v1::instance_stats::DatabaseStats;
use wire::{Empty, Timestamp, v1};

use super::{ApiError, Ctx, RpcRow, row};
use crate::instance::service;
use crate::mail::{self, Letter, Words};
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
        row(SERVICE, "TestInstanceEmailSetting", test_email),
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

/// Sends a trial mail at once. What the mail server does is no fault of ours.
async fn test_email(ctx: Ctx, request: v1::TestInstanceEmailSettingRequest) -> Answer<Empty> {
    let desk = Desk::of(&ctx);
    let setting = service::mail_to_try(&desk, request.email).await?;
    let own = ctx.actor().member().map(|me| me.email.clone()).unwrap_or_default();
    let to = if request.recipient_email.trim().is_empty() { own } else { request.recipient_email };
    if to.trim().is_empty() {
        return Err(ApiError::invalid("recipient email is required"));
    }
    let host =
        url::Url::parse(&ctx.info().root()).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    let words = Words {
        to: &to,
        subject: "[Memos] Test email",
        text: "This is a trial of the mail settings. They work.\n",
        message_id: &format!("{}@{host}", ctx.state().chance.uuid()),
        at: ctx.state().clock.now().into(),
    };
    let letter = Letter::new(&setting, words).map_err(not_sent)?;
    mail::send(&ctx.state().outbound, &setting, &host, &letter).await.map_err(not_sent)?;
    Ok(Empty::default())
}

fn not_sent(cause: mail::Error) -> ApiError {
    let text = format!("failed to send test email: {cause}");
    if matches!(cause, mail::Error::Invalid(_)) { ApiError::invalid(text) } else { ApiError::precondition(text) }
}
