//! Whoever comes for the first time: by invitation, or as somebody new.

use domain::id::{MemberId, is_username};
use domain::member::{Member, Role};
use serde_json::{Value, json};
use store::TenantTx;
use store::tenant::identities::{self, Invitation};
use store::tenant::{members, settings};

use super::{Person, by_provider, denied};
use crate::provider::{Kind, Provider};
use crate::{Error, Identity};

/// How many names are tried for a new member before he gets one that nobody wished for.
const TRIES: u32 = 9;

/// A wish for a name and, where it is taken, the same with numbers: for members and for operators.
pub(crate) fn names_like(wish: &str) -> impl Iterator<Item = String> {
    (1..=TRIES).map(
        move |number| {
            if number == 1 { wish.to_owned() } else { format!("{}-{number}", wish.get(..33).unwrap_or(wish)) }
        },
    )
}

impl Identity {
    /// Makes or finds the member of an account that nobody has linked: by invitation, or as somebody new.
    pub(super) async fn made(&self, tx: &mut TenantTx, provider: &Provider, person: &Person) -> Result<Member, Error> {
        let title = provider.title();
        if identities::is_of_another_issuer(tx, person.account()).await? {
            let message =
                format!("this account was linked when {title} was another server; ask an owner to link it again");
            return Err(denied(message, "the account is linked under another issuer"));
        }
        if provider.rules().is_some_and(|rules| rules.admits(&person.groups).is_none()) {
            let message = format!("{title} did not say which groups you are in; ask an owner of this workspace");
            return Err(denied(message, "a group is required, and groups were not told"));
        }
        let invitation = match person.verified_email() {
            Some(email) => identities::take_invitation(tx, &email.to_lowercase(), self.clock.seconds()).await?,
            None => None,
        };
        match invitation {
            Some(Invitation { member_id: Some(id), invited_by, .. }) => {
                self.linked_by_invitation(tx, provider, person, id, &invited_by).await
            }
            Some(Invitation { role, .. }) => {
                let role = role.parse().unwrap_or(Role::Member);
                self.newcomer(tx, provider, person, Some(role)).await
            }
            None => {
                let open = match provider.rules() {
                    Some(rules) => rules.sign_up,
                    None => !is_registration_off(tx).await?,
                };
                if !open {
                    let message =
                        format!("nobody here is known by this account of {title}; ask an owner to invite you");
                    return Err(denied(message, "unknown account, and sign-up is off"));
                }
                self.newcomer(tx, provider, person, None).await
            }
        }
    }

    async fn linked_by_invitation(
        &self,
        tx: &mut TenantTx,
        provider: &Provider,
        person: &Person,
        id: MemberId,
        invited_by: &str,
    ) -> Result<Member, Error> {
        let member = members::find_member(tx, id).await?.filter(|member| !member.archived);
        let Some(member) = member else {
            return Err(denied("the member who was invited is not here any more".to_owned(), "invited member is gone"));
        };
        if member.role.is_admin() {
            let message = "an administrator links an account himself, from his account page".to_owned();
            return Err(denied(message, "an administrator is never linked by invitation"));
        }
        self.insert_link(tx, &member, person, "linked by invitation").await?;
        let detail = json!({"provider": provider.uid, "subject": person.subject, "invited_by": invited_by});
        by_provider(tx, provider, "identity.linked", &member.username, detail).await?;
        Ok(member)
    }

    /// Makes a member of a person whom nobody here knows.
    async fn newcomer(
        &self,
        tx: &mut TenantTx,
        provider: &Provider,
        person: &Person,
        invited_as: Option<Role>,
    ) -> Result<Member, Error> {
        let (told, why) = match provider.rules() {
            Some(rules) => {
                let decision = rules.decide(&person.groups);
                (decision.role.unwrap_or(rules.default_role), decision.why)
            }
            None => (Role::Member, "everyone who comes through this provider is member".to_owned()),
        };
        let role = invited_as.unwrap_or(told);
        let now = self.clock.seconds();
        let username = self.free_name(tx, provider, person).await?;
        let member = Member {
            id: MemberId(tx.next_id().await?),
            display_name: if person.display_name.is_empty() {
                person.username.clone()
            } else {
                person.display_name.clone()
            },
            username,
            role,
            archived: false,
            email: person.email.clone(),
            avatar: if person.avatar.starts_with("https://") { person.avatar.clone() } else { String::new() },
            description: String::new(),
            created_ts: now,
            updated_ts: now,
        };
        members::insert_member(tx, &member, "").await?;
        let detail = json!({"role": role.as_str(), "provider": provider.uid});
        by_provider(tx, provider, "member.created", &member.username, detail).await?;
        self.insert_link(tx, &member, person, &why).await?;
        let detail = json!({"provider": provider.uid, "subject": person.subject});
        by_provider(tx, provider, "identity.linked", &member.username, detail).await?;
        Ok(member)
    }

    /// A free username: the one wished for, as far as it can be one; one with a number; one that nobody wished for.
    async fn free_name(&self, tx: &mut TenantTx, provider: &Provider, person: &Person) -> Result<String, Error> {
        let as_memos = matches!(provider.kind, Kind::OAuth2(_));
        let wish = if as_memos { person.username.clone() } else { fitting_name(&person.username) };
        for name in names_like(&wish) {
            if is_username(&name) && members::find_member_by_name(tx, &name).await?.is_none() {
                return Ok(name);
            }
            if as_memos {
                break;
            }
        }
        Ok(self.chance.uuid().to_string())
    }
}

/// As much of a name as can be a username: letters, digits, hyphens.
pub(crate) fn fitting_name(wish: &str) -> String {
    let local = wish.split('@').next().unwrap_or(wish);
    let mut name = String::new();
    for letter in local.chars() {
        let fits = letter.is_ascii_alphanumeric();
        if fits || !(name.is_empty() || name.ends_with('-')) {
            name.push(if fits { letter } else { '-' });
        }
    }
    name.truncate(36);
    name.trim_end_matches('-').to_owned()
}

async fn is_registration_off(tx: &mut TenantTx) -> Result<bool, store::Error> {
    let general = settings::find_setting(tx, "GENERAL").await?;
    Ok(general.as_ref().and_then(|value| value.get("disallowUserRegistration")).and_then(Value::as_bool) == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_to_fit() {
        for (wish, name) in [
            ("ana", "ana"),
            ("ana.b@example.org", "ana-b"),
            ("  Ana  Bé  ", "Ana-B"),
            ("--x--", "x"),
            ("李雷", ""),
            ("a_b..c", "a-b-c"),
        ] {
            assert_eq!(fitting_name(wish), name, "{wish}");
        }
        assert!(fitting_name(&"x".repeat(99)).len() == 36);
    }
}
