//! AuthService: signing in, staying signed in, signing out.

use identity::cookies::{SetCookie, clear};
use identity::{Credentials, REFRESH_COOKIE, SignIn, SsoCode};
use time::OffsetDateTime;
use wire::v1::sign_in_request::Credentials as Shown;
use wire::{Empty, Timestamp, v1};

use super::{ApiError, Ctx, RpcRow, row};
use crate::people::view;

const SERVICE: &str = "AuthService";

/// The handlers.
pub fn rows() -> Vec<RpcRow> {
    vec![
        row(SERVICE, "GetCurrentUser", get_current_user),
        row(SERVICE, "SignIn", sign_in),
        row(SERVICE, "SignOut", sign_out),
        row(SERVICE, "RefreshToken", refresh_token),
    ]
}

type Answer<T> = Result<T, ApiError>;

async fn get_current_user(ctx: Ctx, _: v1::GetCurrentUserRequest) -> Answer<v1::GetCurrentUserResponse> {
    let user = view::user(&ctx.me()?.member, ctx.actor());
    Ok(v1::GetCurrentUserResponse { user: Some(user) })
}

async fn sign_in(ctx: Ctx, request: v1::SignInRequest) -> Answer<v1::SignInResponse> {
    let client = ctx.info().client();
    let signed = match &request.credentials {
        Some(Shown::PasswordCredentials(password)) => {
            let who = SignIn { username: &password.username, password: &password.password };
            ctx.state().identity.sign_in(ctx.scope(), who, &client).await?
        }
        Some(Shown::SsoCredentials(sso)) => {
            let code = SsoCode {
                provider: &sso.idp_name,
                code: &sso.code,
                redirect_uri: &sso.redirect_uri,
                verifier: &sso.code_verifier,
            };
            ctx.state().identity.sign_in_sso(ctx.scope(), code, &client).await?
        }
        None => return Err(ApiError::invalid("invalid credentials")),
    };
    put_cookie(&ctx, &signed.refresh_token, signed.refresh_expires);
    let actor = identity::Actor::Member(identity::MemberActor {
        member: signed.member.clone(),
        via: identity::Via::AccessToken(String::new()),
    });
    Ok(v1::SignInResponse {
        user: Some(view::user(&signed.member, &actor)),
        access_token: signed.access_token,
        access_token_expires_at: Some(moment(signed.access_expires)),
    })
}

async fn sign_out(ctx: Ctx, _: v1::SignOutRequest) -> Answer<Empty> {
    let me = ctx.me()?;
    let mut credentials = ctx.info().credentials.clone();
    if let Some(forwarded) = &ctx.info().forwarded {
        credentials.refresh.extend(forwarded.refresh.iter().cloned());
    }
    ctx.state().identity.sign_out(ctx.scope(), me, &credentials).await?;
    ctx.set_cookie(clear(REFRESH_COOKIE, &ctx.info().base, ctx.info().is_secure()));
    Ok(Empty {})
}

async fn refresh_token(ctx: Ctx, _: v1::RefreshTokenRequest) -> Answer<v1::RefreshTokenResponse> {
    let credentials: &Credentials = ctx.info().refresh_credentials();
    let fresh = ctx.state().identity.refresh(ctx.scope(), credentials, &ctx.info().client()).await?;
    put_cookie(&ctx, &fresh.refresh_token, fresh.refresh_expires);
    Ok(v1::RefreshTokenResponse { access_token: fresh.access_token, expires_at: Some(moment(fresh.access_expires)) })
}

fn put_cookie(ctx: &Ctx, value: &str, expires: OffsetDateTime) {
    let (path, secure) = (ctx.info().base.as_str(), ctx.info().is_secure());
    ctx.set_cookie(SetCookie { name: REFRESH_COOKIE, value, path, expires, secure }.header());
}

fn moment(at: OffsetDateTime) -> Timestamp {
    Timestamp { seconds: at.unix_timestamp(), nanos: at.nanosecond().cast_signed() }
}
