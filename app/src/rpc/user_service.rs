//! UserService: members, their preferences and their tokens.

use domain::member::Member;
use identity::cookies::clear;
use identity::{NewToken, REFRESH_COOKIE, TokenScope};
use wire::page::Page;
use wire::v1::user::Role;
use wire::{Empty, FieldMask, v1};

use super::{ApiError, Ctx, RpcRow, row};
use crate::notes::Desk;
use crate::people::service::NewMember;
use crate::people::settings::Key;
use crate::people::update::Change;
use crate::people::{self, delete, service, settings, update, view};

const SERVICE: &str = "UserService";

/// The handlers.
pub fn rows() -> Vec<RpcRow> {
    vec![
        row(SERVICE, "ListUsers", list_users),
        row(SERVICE, "BatchGetUsers", batch_get_users),
        row(SERVICE, "GetUser", get_user),
        row(SERVICE, "CreateUser", create_user),
        row(SERVICE, "UpdateUser", update_user),
        row(SERVICE, "DeleteUser", delete_user),
        row(SERVICE, "GetUserSetting", get_setting),
        row(SERVICE, "UpdateUserSetting", update_setting),
        row(SERVICE, "ListUserSettings", list_settings),
        row(SERVICE, "ListPersonalAccessTokens", list_tokens),
        row(SERVICE, "CreatePersonalAccessToken", create_token),
        row(SERVICE, "DeletePersonalAccessToken", delete_token),
    ]
}

type Answer<T> = Result<T, ApiError>;

/// The username in `users/name`.
fn username(name: &str) -> Answer<&str> {
    let found = name.strip_prefix("users/").filter(|rest| !rest.is_empty() && !rest.contains('/'));
    found.ok_or_else(|| ApiError::invalid(format!("invalid user name: {name}")))
}

/// The member whose things are asked for; an unknown one makes the request invalid rather than the thing unfound.
pub(super) async fn owner_of(ctx: &Ctx, name: &str, what: &str) -> Answer<Member> {
    let username = username(name).map_err(|error| ApiError::invalid(format!("{what}: {}", error.message())))?;
    match service::get(&Desk::of(ctx), username).await {
        Err(people::Error::NotFound) => Err(ApiError::invalid(format!("{what}: user not found: users/{username}"))),
        other => Ok(other?),
    }
}

// ---- members --------------------------------------------------------------------------------------------------------

async fn list_users(ctx: Ctx, request: v1::ListUsersRequest) -> Answer<v1::ListUsersResponse> {
    let page = page(request.page_size, &request.page_token)?;
    let only = only_username(&request.filter)?;
    let (found, more) = service::list(&Desk::of(&ctx), page, only).await?;
    Ok(v1::ListUsersResponse {
        users: shown(&ctx, &found),
        next_page_token: if more { page.next_token() } else { String::new() },
    })
}

fn page(size: i32, token: &str) -> Answer<Page> {
    Page::read(size, token).map_err(|error| ApiError::invalid(error.to_string()))
}

fn shown(ctx: &Ctx, members: &[Member]) -> Vec<v1::User> {
    members.iter().map(|member| view::user(member, ctx.actor())).collect()
}

/// The only filter of members: `username == "x"`.
fn only_username(filter: &str) -> Answer<Option<&str>> {
    let filter = filter.trim();
    if filter.is_empty() {
        return Ok(None);
    }
    let value = filter.strip_prefix("username").and_then(|rest| rest.trim_start().strip_prefix("=="));
    let quoted = |mark: char| {
        let inner = value?.trim().strip_prefix(mark)?.strip_suffix(mark)?;
        (!inner.contains([mark, '\\'])).then_some(inner)
    };
    match quoted('"').or_else(|| quoted('\'')) {
        Some(name) => Ok(Some(name)),
        None => Err(ApiError::invalid(format!("invalid filter: only username == \"name\" is understood: {filter}"))),
    }
}

async fn batch_get_users(ctx: Ctx, request: v1::BatchGetUsersRequest) -> Answer<v1::BatchGetUsersResponse> {
    let bare = |name: String| name.strip_prefix("users/").map_or_else(|| name.clone(), str::to_owned);
    let names: Vec<String> = request.usernames.into_iter().map(bare).collect();
    let found = service::batch(&Desk::of(&ctx), &names).await?;
    Ok(v1::BatchGetUsersResponse { users: shown(&ctx, &found) })
}

async fn get_user(ctx: Ctx, request: v1::GetUserRequest) -> Answer<v1::User> {
    let found = service::get(&Desk::of(&ctx), username(&request.name)?).await?;
    Ok(view::user(&found, ctx.actor()))
}

async fn create_user(ctx: Ctx, request: v1::CreateUserRequest) -> Answer<v1::User> {
    let user = request.user.ok_or_else(|| ApiError::invalid("user is required"))?;
    if !request.user_id.is_empty() && request.user_id != user.username {
        return Err(ApiError::invalid("user_id must match user.username"));
    }
    let admin = wants_admin(&user).unwrap_or(false);
    let new = NewMember {
        username: user.username,
        password: user.password,
        admin,
        email: user.email,
        display_name: user.display_name,
        avatar: user.avatar_url,
        description: user.description,
        dry: request.validate_only,
    };
    let member = service::create(&Desk::of(&ctx), &ctx.state().identity, new).await?;
    let mut made = view::user(&member, ctx.actor());
    if request.validate_only {
        (made.name, made.state, made.create_time, made.update_time) = (String::new(), 0, None, None);
    }
    Ok(made)
}

async fn update_user(ctx: Ctx, request: v1::UpdateUserRequest) -> Answer<v1::User> {
    let user = request.user.ok_or_else(|| ApiError::invalid("user is required"))?;
    let mask = request.update_mask.filter(|mask| !mask.paths.is_empty());
    let mask = mask.ok_or_else(|| ApiError::invalid("update mask is empty"))?;
    let me = ctx.me()?;
    let name = username(&user.name)?;
    let change = change(&user, &mask)?;
    let member = update::update(&Desk::of(&ctx), &ctx.state().identity, me, name, change).await?;
    Ok(view::user(&member, ctx.actor()))
}

async fn delete_user(ctx: Ctx, request: v1::DeleteUserRequest) -> Answer<Empty> {
    let me = ctx.me()?;
    let name = username(&request.name)?;
    delete::delete(&Desk::of(&ctx), me, name).await?;
    if me.member.username == name {
        ctx.set_cookie(clear(REFRESH_COOKIE, &ctx.info().base, ctx.info().is_secure()));
    }
    Ok(Empty {})
}

/// Whether a role is an admin's; none when no role is named. HOST is what older clients call the first admin.
#[expect(deprecated, reason = "HOST is only understood, and so marked")]
fn wants_admin(user: &v1::User) -> Option<bool> {
    match user.role() {
        Role::Admin | Role::Host => Some(true),
        Role::User => Some(false),
        Role::Unspecified => None,
    }
}

fn change(user: &v1::User, mask: &FieldMask) -> Answer<Change> {
    let mut change = Change::default();
    for path in &mask.paths {
        match path.as_str() {
            "username" => change.username = Some(user.username.clone()),
            "display_name" => change.display_name = Some(user.display_name.clone()),
            "email" => change.email = Some(user.email.clone()),
            "avatar_url" => change.avatar = Some(user.avatar_url.clone()),
            "description" => change.description = Some(user.description.clone()),
            "password" => change.password = Some(user.password.clone()),
            "role" => {
                let admin =
                    wants_admin(user).ok_or_else(|| ApiError::invalid("invalid role: it must be ADMIN or USER"));
                change.admin = Some(admin?);
            }
            "state" => change.archived = Some(user.state() == v1::State::Archived),
            // What clients send along because they had it: nothing to change.
            "name" => {}
            other => return Err(ApiError::invalid(format!("invalid update path: {other}"))),
        }
    }
    Ok(change)
}

// ---- preferences ----------------------------------------------------------------------------------------------------

/// The member and group in `users/name/settings/KEY`.
async fn setting_of(ctx: &Ctx, name: &str) -> Answer<(Member, Key)> {
    let parts: Vec<&str> = name.split('/').collect();
    let ["users", user, "settings", key] = parts.as_slice() else {
        return Err(ApiError::invalid(format!("invalid resource name: invalid resource name format: {name}")));
    };
    let member = owner_of(ctx, &view::name(user), "invalid resource name").await?;
    let key =
        Key::parse(key).ok_or_else(|| ApiError::invalid(format!("invalid setting key: unknown setting key: {key}")))?;
    Ok((member, key))
}

async fn get_setting(ctx: Ctx, request: v1::GetUserSettingRequest) -> Answer<v1::UserSetting> {
    let (member, key) = setting_of(&ctx, &request.name).await?;
    Ok(settings::get(&Desk::of(&ctx), &member, key).await?)
}

async fn update_setting(ctx: Ctx, request: v1::UpdateUserSettingRequest) -> Answer<v1::UserSetting> {
    let setting = request.setting.ok_or_else(|| ApiError::invalid("setting is required"))?;
    let (member, key) = setting_of(&ctx, &setting.name).await?;
    let mut mask = request.update_mask.unwrap_or_default();
    if ctx.speaks_old() {
        for path in &mut mask.paths {
            for prefix in ["general_setting.", "tags_setting."] {
                *path = path.strip_prefix(prefix).unwrap_or(path).to_owned();
            }
        }
    }
    Ok(settings::update(&Desk::of(&ctx), &member, key, setting.value, &mask).await?)
}

async fn list_settings(ctx: Ctx, request: v1::ListUserSettingsRequest) -> Answer<v1::ListUserSettingsResponse> {
    let member = owner_of(&ctx, &request.parent, "invalid parent name").await?;
    let settings = settings::list(&Desk::of(&ctx), &member).await?;
    Ok(v1::ListUserSettingsResponse { settings, next_page_token: String::new() })
}

// ---- tokens ---------------------------------------------------------------------------------------------------------

async fn list_tokens(
    ctx: Ctx,
    request: v1::ListPersonalAccessTokensRequest,
) -> Answer<v1::ListPersonalAccessTokensResponse> {
    let member = owner_of(&ctx, &request.parent, "invalid user name").await?;
    let me = ctx.me()?;
    if me.id() != member.id && !me.member.role.is_admin() {
        return Err(ApiError::denied("permission denied"));
    }
    let mut found = ctx.state().identity.list_tokens(ctx.scope(), &member).await?;
    found.sort_by_key(|token| token.created_ns);
    Ok(v1::ListPersonalAccessTokensResponse {
        personal_access_tokens: found.iter().map(|token| view::token(&member.username, token)).collect(),
        next_page_token: String::new(),
    })
}

/// The member himself, whose tokens only he makes and revokes.
async fn myself(ctx: &Ctx, name: &str) -> Answer<Member> {
    let member = owner_of(ctx, name, "invalid user name").await?;
    if ctx.me()?.id() == member.id { Ok(member) } else { Err(ApiError::denied("permission denied")) }
}

async fn create_token(
    ctx: Ctx,
    request: v1::CreatePersonalAccessTokenRequest,
) -> Answer<v1::CreatePersonalAccessTokenResponse> {
    let member = myself(&ctx, &request.parent).await?;
    let new = NewToken {
        description: &request.description,
        days: i64::from(request.expires_in_days),
        scope: TokenScope::Admin,
    };
    let made = ctx.state().identity.create_token(ctx.scope(), ctx.me()?, new).await?;
    Ok(v1::CreatePersonalAccessTokenResponse {
        personal_access_token: Some(view::token(&member.username, &made.row)),
        token: made.secret,
    })
}

async fn delete_token(ctx: Ctx, request: v1::DeletePersonalAccessTokenRequest) -> Answer<Empty> {
    let parts: Vec<&str> = request.name.split('/').collect();
    let ["users", user, "personalAccessTokens", id] = parts.as_slice() else {
        return Err(ApiError::invalid("invalid personal access token name"));
    };
    let member = myself(&ctx, &view::name(user)).await?;
    ctx.state().identity.revoke_token(ctx.scope(), &member, id).await?;
    Ok(Empty {})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_filter_is_read() {
        assert!(matches!(only_username(""), Ok(None)));
        assert!(matches!(only_username(" username == \"zoe\" "), Ok(Some("zoe"))));
        assert!(matches!(only_username("username=='zoe'"), Ok(Some("zoe"))));
        for bad in ["role == \"ADMIN\"", "username", "username == zoe", "username == \"a\" || true"] {
            assert!(only_username(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_role_is_never_guessed() {
        let mask = FieldMask { paths: vec!["role".to_owned()] };
        let asked = |role| change(&v1::User { role, ..v1::User::default() }, &mask).ok().map(|change| change.admin);
        assert_eq!([asked(1), asked(2), asked(3)], [Some(Some(true)), Some(Some(true)), Some(Some(false))]);
        assert_eq!([asked(0), asked(9)], [None, None]);
    }

    #[test]
    fn names_are_users_and_one_part() {
        assert!(matches!(username("users/maria"), Ok("maria")));
        for bad in ["maria", "", "users/", "users/a/b"] {
            assert!(username(bad).is_err(), "{bad}");
        }
    }
}
