//! IdentityProviderService, and the accounts that members have linked there.

use domain::member::Member;
use identity::provider::{Change, FieldMapping, Kind, NewProvider, OAuth2, Provider};
use identity::{SsoCode, Why};
use store::tenant::identities::MemberIdentity;
use wire::v1::identity_provider_config::Config;
use wire::{Empty, v1};

use super::memo_service::needed;
use super::user_service::owner_of;
use super::{ApiError, Ctx, RpcRow, row};
use crate::people::view;

const SERVICE: &str = "IdentityProviderService";
const USERS: &str = "UserService";
const PREFIX: &str = "identity-providers/";

/// The handlers.
pub fn rows() -> Vec<RpcRow> {
    vec![
        row(SERVICE, "ListIdentityProviders", list),
        row(SERVICE, "GetIdentityProvider", get),
        row(SERVICE, "CreateIdentityProvider", create),
        row(SERVICE, "UpdateIdentityProvider", update),
        row(SERVICE, "DeleteIdentityProvider", delete),
        row(USERS, "ListLinkedIdentities", list_links),
        row(USERS, "GetLinkedIdentity", get_link),
        row(USERS, "CreateLinkedIdentity", create_link),
        row(USERS, "DeleteLinkedIdentity", delete_link),
    ]
}

type Answer<T> = Result<T, ApiError>;

async fn list(ctx: Ctx, _: v1::ListIdentityProvidersRequest) -> Answer<v1::ListIdentityProvidersResponse> {
    let found = ctx.state().identity.list_providers(ctx.scope()).await?;
    let mut identity_providers = Vec::new();
    for provider in &found {
        identity_providers.extend(shown(&ctx, provider).await);
    }
    Ok(v1::ListIdentityProvidersResponse { identity_providers })
}

async fn get(ctx: Ctx, request: v1::GetIdentityProviderRequest) -> Answer<v1::IdentityProvider> {
    let found = ctx.state().identity.find_provider(ctx.scope(), &request.name).await?;
    shown(&ctx, &found).await.ok_or_else(|| ApiError::not_found("identity provider not found"))
}

async fn create(ctx: Ctx, request: v1::CreateIdentityProviderRequest) -> Answer<v1::IdentityProvider> {
    ctx.admin()?;
    let wanted = request.identity_provider.ok_or_else(|| ApiError::invalid("identity provider is required"))?;
    let kind = kind_of(wanted.config).ok_or_else(|| ApiError::invalid("config.oauth2Config is required"))?;
    let new = NewProvider {
        uid: request.identity_provider_id,
        title: wanted.title,
        identifier_filter: wanted.identifier_filter,
        kind,
    };
    let made = ctx.state().identity.create_provider(ctx.scope(), &ctx.audit_actor(), new).await?;
    shown(&ctx, &made).await.ok_or_else(|| ApiError::not_found("identity provider not found"))
}

async fn update(ctx: Ctx, request: v1::UpdateIdentityProviderRequest) -> Answer<v1::IdentityProvider> {
    ctx.admin()?;
    let wanted = request.identity_provider.ok_or_else(|| ApiError::invalid("identity provider is required"))?;
    let mask = needed(request.update_mask)?;
    let identity = &ctx.state().identity;
    let before = identity.find_provider(ctx.scope(), &wanted.name).await?;
    let mut change = Change::default();
    for path in &mask.paths {
        match path.split('.').next().unwrap_or(path) {
            "title" => change.title = Some(wanted.title.clone()),
            "identifier_filter" => change.identifier_filter = Some(wanted.identifier_filter.clone()),
            "config" => change.kind = Some(merged(&before, wanted.config.clone())?),
            // What clients send along because they had it: nothing to change.
            "name" | "type" | "uid" => {}
            other => return Err(ApiError::invalid(format!("invalid update path: {other}"))),
        }
    }
    let made = identity.update_provider(ctx.scope(), &ctx.audit_actor(), &wanted.name, change).await?;
    shown(&ctx, &made).await.ok_or_else(|| ApiError::not_found("identity provider not found"))
}

async fn delete(ctx: Ctx, request: v1::DeleteIdentityProviderRequest) -> Answer<Empty> {
    ctx.admin()?;
    ctx.state().identity.delete_provider(ctx.scope(), &ctx.audit_actor(), &request.name).await?;
    Ok(Empty {})
}

/// The OAuth2 settings of a message; the wire knows no other kind.
fn kind_of(config: Option<v1::IdentityProviderConfig>) -> Option<Kind> {
    let Config::Oauth2Config(config) = config.and_then(|config| config.config)?;
    let mapping = config.field_mapping.unwrap_or_default();
    Some(Kind::OAuth2(OAuth2 {
        client_id: config.client_id,
        client_secret: config.client_secret,
        auth_url: config.auth_url,
        token_url: config.token_url,
        user_info_url: config.user_info_url,
        scopes: config.scopes,
        field_mapping: FieldMapping {
            identifier: mapping.identifier,
            display_name: mapping.display_name,
            email: mapping.email,
            avatar_url: mapping.avatar_url,
        },
        ca_pem: String::new(),
    }))
}

fn merged(before: &Provider, config: Option<v1::IdentityProviderConfig>) -> Answer<Kind> {
    match (&before.kind, kind_of(config)) {
        (Kind::OAuth2(old), Some(Kind::OAuth2(new))) => Ok(Kind::OAuth2(OAuth2 { ca_pem: old.ca_pem.clone(), ..new })),
        (_, None) => Err(ApiError::invalid("config.oauth2Config is required")),
        _ => Err(ApiError::invalid("this provider is changed on the workspace's page for sign-in, or by a command")),
    }
}

/// A provider as the wire shows it, without its secret. One of OpenID Connect looks like an OAuth2 one, so that clients of
/// Memos lead to it, too; while it cannot be asked for its addresses, it is left out. Directories are not shown: they take
/// passwords.
async fn shown(ctx: &Ctx, provider: &Provider) -> Option<v1::IdentityProvider> {
    let config = match &provider.kind {
        Kind::OAuth2(oauth2) => v1::OAuth2Config {
            client_id: oauth2.client_id.clone(),
            client_secret: String::new(),
            auth_url: oauth2.auth_url.clone(),
            token_url: oauth2.token_url.clone(),
            user_info_url: oauth2.user_info_url.clone(),
            scopes: oauth2.scopes.clone(),
            field_mapping: Some(v1::FieldMapping {
                identifier: oauth2.field_mapping.identifier.clone(),
                display_name: oauth2.field_mapping.display_name.clone(),
                email: oauth2.field_mapping.email.clone(),
                avatar_url: oauth2.field_mapping.avatar_url.clone(),
            }),
        },
        Kind::Oidc(oidc) => {
            let auth_url = ctx.state().identity.authorization_endpoint(ctx.scope(), provider).await?;
            v1::OAuth2Config {
                client_id: oidc.client_id.clone(),
                client_secret: String::new(),
                auth_url,
                token_url: String::new(),
                user_info_url: String::new(),
                scopes: oidc.asked_scopes().split(' ').map(str::to_owned).collect(),
                field_mapping: Some(v1::FieldMapping {
                    identifier: "sub".to_owned(),
                    display_name: oidc.claims.display_name.clone(),
                    email: oidc.claims.email.clone(),
                    avatar_url: oidc.claims.avatar.clone(),
                }),
            }
        }
        Kind::Ldap(_) => return None,
    };
    Some(v1::IdentityProvider {
        name: format!("{PREFIX}{}", provider.uid),
        r#type: v1::identity_provider::Type::Oauth2.into(),
        title: provider.title.clone(),
        identifier_filter: provider.identifier_filter.clone(),
        config: Some(v1::IdentityProviderConfig { config: Some(Config::Oauth2Config(config)) }),
    })
}

// ---- linked identities ----------------------------------------------------------------------------------------------

fn link(username: &str, link: &MemberIdentity) -> v1::LinkedIdentity {
    v1::LinkedIdentity {
        name: format!("{}/linkedIdentities/{}", view::name(username), link.provider),
        idp_name: format!("{PREFIX}{}", link.provider),
        extern_uid: link.extern_uid.clone(),
    }
}

/// The member whose links are asked for: himself, or anyone for an admin.
async fn whose(ctx: &Ctx, name: &str, what: &str) -> Answer<Member> {
    let member = owner_of(ctx, name, what).await?;
    let me = ctx.me()?;
    if me.id() == member.id || me.member.role.is_admin() {
        Ok(member)
    } else {
        Err(ApiError::denied("permission denied"))
    }
}

/// The member and the provider in `users/name/linkedIdentities/uid`.
async fn named(ctx: &Ctx, name: &str) -> Answer<(Member, String)> {
    let parts: Vec<&str> = name.split('/').collect();
    let ["users", user, "linkedIdentities", provider] = parts.as_slice() else {
        return Err(ApiError::invalid(format!("invalid linked identity name: {name}")));
    };
    Ok((whose(ctx, &view::name(user), "invalid linked identity name").await?, (*provider).to_owned()))
}

async fn list_links(ctx: Ctx, request: v1::ListLinkedIdentitiesRequest) -> Answer<v1::ListLinkedIdentitiesResponse> {
    let member = whose(&ctx, &request.parent, "invalid parent").await?;
    let links = ctx.state().identity.list_links(ctx.scope(), &member).await?;
    let linked_identities = links.iter().map(|found| link(&member.username, found)).collect();
    Ok(v1::ListLinkedIdentitiesResponse { linked_identities })
}

async fn get_link(ctx: Ctx, request: v1::GetLinkedIdentityRequest) -> Answer<v1::LinkedIdentity> {
    let (member, provider) = named(&ctx, &request.name).await?;
    let links = ctx.state().identity.list_links(ctx.scope(), &member).await?;
    let found = links.iter().find(|found| found.provider == provider);
    found.map(|found| link(&member.username, found)).ok_or_else(|| ApiError::not_found("linked identity not found"))
}

async fn create_link(ctx: Ctx, request: v1::CreateLinkedIdentityRequest) -> Answer<v1::LinkedIdentity> {
    let member = owner_of(&ctx, &request.parent, "invalid parent").await?;
    let me = ctx.me()?;
    if me.id() != member.id {
        return Err(ApiError::denied("permission denied"));
    }
    let sso = SsoCode {
        provider: &request.idp_name,
        code: &request.code,
        redirect_uri: &request.redirect_uri,
        verifier: &request.code_verifier,
    };
    let made = ctx.state().identity.link_sso(ctx.scope(), me, sso, &ctx.info().client()).await?;
    Ok(link(&member.username, &made))
}

async fn delete_link(ctx: Ctx, request: v1::DeleteLinkedIdentityRequest) -> Answer<Empty> {
    let (member, provider) = named(&ctx, &request.name).await?;
    let me = ctx.me()?;
    if me.is_limited() {
        return Err(identity::Refusal::new(Why::Denied, "this token may not change how its owner signs in").into());
    }
    if ctx.state().identity.unlink(ctx.scope(), &ctx.audit_actor(), &member, &provider).await? {
        Ok(Empty {})
    } else {
        Err(ApiError::not_found("linked identity not found"))
    }
}
