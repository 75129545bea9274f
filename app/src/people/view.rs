//! A member as the wire shows him.

use domain::member::Member;
use identity::Actor;
use store::tenant::tokens::AccessToken;
use wire::{Timestamp, v1};

/// `users/name`.
pub fn name(username: &str) -> String {
    format!("users/{username}")
}

/// The member as `viewer` sees him: the e-mail address is for himself and for admins.
pub fn user(member: &Member, viewer: &Actor) -> v1::User {
    let is_private = viewer.member_id() != Some(member.id) && !viewer.is_admin();
    let role = if member.role.is_admin() { v1::user::Role::Admin } else { v1::user::Role::User };
    let state = if member.archived { v1::State::Archived } else { v1::State::Normal };
    v1::User {
        name: name(&member.username),
        role: role.into(),
        username: member.username.clone(),
        email: if is_private { String::new() } else { member.email.clone() },
        display_name: member.display_name.clone(),
        avatar_url: avatar_url(member),
        description: member.description.clone(),
        password: String::new(),
        state: state.into(),
        create_time: Some(Timestamp::from_seconds(member.created_ts)),
        update_time: Some(Timestamp::from_seconds(member.updated_ts)),
    }
}

/// Where the picture is: a stored one has a path of ours, a link stays.
fn avatar_url(member: &Member) -> String {
    if member.avatar.starts_with("data:") {
        format!("/file/users/{}/avatar", member.username)
    } else {
        member.avatar.clone()
    }
}

/// A token without its secret.
pub fn token(username: &str, token: &AccessToken) -> v1::PersonalAccessToken {
    v1::PersonalAccessToken {
        name: format!("users/{username}/personalAccessTokens/{}", token.token_id),
        description: token.description.clone(),
        created_at: Some(Timestamp::from_nanos(token.created_ns)),
        expires_at: token.expires_ns.map(Timestamp::from_nanos),
        last_used_at: token.last_used_ns.map(Timestamp::from_nanos),
    }
}
