//! UserService: the RPCs of a member's webhooks.

use wire::{Empty, v1};

use super::user_service::owner_of;
use super::{ApiError, Ctx, RpcRow, row};
use crate::notes::Desk;
use crate::webhooks::service::{self, Change};
use crate::webhooks::{Error, Webhook};

const SERVICE: &str = "UserService";

/// The handlers.
pub fn rows() -> Vec<RpcRow> {
    vec![
        row(SERVICE, "ListUserWebhooks", list),
        row(SERVICE, "CreateUserWebhook", create),
        row(SERVICE, "UpdateUserWebhook", update),
        row(SERVICE, "DeleteUserWebhook", delete),
        row(SERVICE, "GetUserWebhookSigningSecret", signing_secret),
    ]
}

type Answer<T> = Result<T, ApiError>;

fn shown(username: &str, hook: &Webhook) -> v1::UserWebhook {
    v1::UserWebhook {
        name: format!("users/{username}/webhooks/{}", hook.id),
        url: hook.url.clone(),
        display_name: hook.title.clone(),
        create_time: None,
        update_time: None,
        signing_secret: String::new(),
        signing_secret_set: !hook.signing_secret.is_empty(),
    }
}

/// `users/{username}/webhooks/{id}` → `users/{username}`, id.
fn parts(name: &str) -> Answer<(&str, &str)> {
    let found = name.split_once("/webhooks/").filter(|(_, id)| !id.contains('/'));
    found.ok_or_else(|| ApiError::invalid("invalid webhook name: invalid webhook name format"))
}

async fn list(ctx: Ctx, request: v1::ListUserWebhooksRequest) -> Answer<v1::ListUserWebhooksResponse> {
    let owner = owner_of(&ctx, &request.parent, "invalid parent").await?;
    let found = service::list(&Desk::of(&ctx), &owner).await?;
    Ok(v1::ListUserWebhooksResponse { webhooks: found.iter().map(|hook| shown(&owner.username, hook)).collect() })
}

async fn create(ctx: Ctx, request: v1::CreateUserWebhookRequest) -> Answer<v1::UserWebhook> {
    let owner = owner_of(&ctx, &request.parent, "invalid parent").await?;
    let wanted = request.webhook.ok_or_else(|| ApiError::invalid("webhook is required"))?;
    let wanted = Webhook {
        id: String::new(),
        title: wanted.display_name,
        url: wanted.url,
        signing_secret: wanted.signing_secret,
    };
    let made = service::create(&Desk::of(&ctx), &ctx.state().outbound, &owner, wanted).await?;
    Ok(shown(&owner.username, &made))
}

async fn update(ctx: Ctx, request: v1::UpdateUserWebhookRequest) -> Answer<v1::UserWebhook> {
    let wanted = request.webhook.ok_or_else(|| ApiError::invalid("webhook is required"))?;
    let (owner, id) = parts(&wanted.name)?;
    let owner = owner_of(&ctx, owner, "invalid webhook name").await?;
    let paths = request.update_mask.map(|mask| mask.paths);
    let asked = |name: &str| paths.as_ref().is_none_or(|paths| paths.iter().any(|path| path == name));
    // Without a mask an empty secret means that the client does not know it; with one, that there shall be none.
    let keeps_secret = paths.is_none() && wanted.signing_secret.is_empty();
    let change = Change {
        url: asked("url").then_some(wanted.url),
        title: asked("display_name").then_some(wanted.display_name),
        secret: (asked("signing_secret") && !keeps_secret).then_some(wanted.signing_secret),
    };
    let changed = service::update(&Desk::of(&ctx), &ctx.state().outbound, &owner, id, change).await?;
    Ok(shown(&owner.username, &changed))
}

async fn delete(ctx: Ctx, request: v1::DeleteUserWebhookRequest) -> Answer<Empty> {
    let (owner, id) = parts(&request.name)?;
    let owner = owner_of(&ctx, owner, "invalid webhook name").await?;
    service::delete(&Desk::of(&ctx), &owner, id).await?;
    Ok(Empty::default())
}

async fn signing_secret(
    ctx: Ctx,
    request: v1::GetUserWebhookSigningSecretRequest,
) -> Answer<v1::GetUserWebhookSigningSecretResponse> {
    let (owner, id) = parts(&request.name)?;
    let owner = owner_of(&ctx, owner, "invalid webhook name").await?;
    let found = service::list(&Desk::of(&ctx), &owner).await?;
    let hook = found.into_iter().find(|hook| hook.id == id).ok_or(Error::NotFound)?;
    Ok(v1::GetUserWebhookSigningSecretResponse { signing_secret: hook.signing_secret })
}
