//! The test of a provider as a ladder: from the name of its server up to the role of a member, each rung only when those
//! below it held. It saves nothing. A rung that breaks says what was found and what to do.

mod directory;
mod reach;
mod web;

use domain::member::Member;
use serde::Serialize;
use serde_json::Value;
use store::TenantScope;
use store::tenant::{identities, members};

use crate::provider::{Decision, Groups, Kind, Provider, Rules};
use crate::{Error, Identity};

/// A rung of a ladder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rung {
    /// What was looked at: `settings`, `dns`, `tcp`, `tls`, `discovery`, `keys`, `client`, `bind`, `search`, `groups`, `user`.
    pub rung: &'static str,
    /// `ok`, `failed`, or `note` where nothing is wrong and something should be known.
    pub status: &'static str,
    /// What was found.
    pub found: String,
    /// What to do; empty when nothing is.
    pub next: String,
}

/// A ladder that was climbed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ladder {
    /// The rungs, from below.
    pub rungs: Vec<Rung>,
}

impl Ladder {
    /// Whether no rung broke.
    pub fn holds(&self) -> bool {
        self.rungs.iter().all(|rung| rung.status != "failed")
    }

    fn ok(&mut self, rung: &'static str, found: impl Into<String>) {
        self.rungs.push(Rung { rung, status: "ok", found: found.into(), next: String::new() });
    }

    fn note(&mut self, rung: &'static str, found: impl Into<String>, next: impl Into<String>) {
        self.rungs.push(Rung { rung, status: "note", found: found.into(), next: next.into() });
    }

    fn failed(&mut self, rung: &'static str, found: impl Into<String>, next: impl Into<String>) {
        self.rungs.push(Rung { rung, status: "failed", found: found.into(), next: next.into() });
    }
}

impl Identity {
    /// Climbs the ladder of a provider, with `user` up to the role that he has or would get. Nothing is saved.
    pub async fn test_provider(
        &self,
        scope: &TenantScope,
        provider: &Provider,
        user: Option<&str>,
    ) -> Result<Ladder, Error> {
        let mut ladder = Ladder::default();
        if let Err(unfit) = provider.kind.check() {
            ladder.failed("settings", unfit.0, "correct the setting that is named");
            return Ok(ladder);
        }
        ladder.ok("settings", format!("{} {}", provider.kind.as_str().to_lowercase(), provider.uid));
        match &provider.kind {
            Kind::Ldap(directory) => self.climb_directory(scope, provider, directory, user, &mut ladder).await?,
            Kind::Oidc(oidc) => {
                if self.climb_oidc(provider, oidc, &mut ladder).await {
                    self.climb_user(scope, provider, user, &mut ladder).await?;
                }
            }
            Kind::OAuth2(oauth2) => {
                if self.climb_oauth2(provider, oauth2, &mut ladder).await {
                    self.climb_user(scope, provider, user, &mut ladder).await?;
                }
            }
        }
        Ok(ladder)
    }

    /// What a provider that tells about people only at their sign-in told of this member the last time.
    async fn climb_user(
        &self,
        scope: &TenantScope,
        provider: &Provider,
        user: Option<&str>,
        ladder: &mut Ladder,
    ) -> Result<(), Error> {
        let Some(username) = user else { return Ok(()) };
        let mut tx = self.store.begin(scope);
        let member = members::find_member_by_name(&mut tx, username).await?;
        let links = match &member {
            Some(member) => identities::list_identities(&mut tx, member.id).await?,
            None => Vec::new(),
        };
        tx.commit().await?;
        let Some(member) = member else {
            ladder.failed(
                "user",
                format!("there is no member {username}"),
                "give the username of a member of this workspace",
            );
            return Ok(());
        };
        let Some(link) = links.iter().find(|link| link.provider == provider.uid) else {
            ladder.note(
                "user",
                format!("{username} is {} and has no account linked at {}", member.role.as_str(), provider.title()),
                "he links one on his account page, or an invitation does it at his next sign-in",
            );
            return Ok(());
        };
        let told = link.rights.get("groups").and_then(Value::as_array).cloned().unwrap_or_default();
        let told: Vec<&str> = told.iter().filter_map(Value::as_str).collect();
        let groups = Groups::Told(told.iter().map(|group| (*group).to_owned()).collect());
        let why = link.rights.get("why").and_then(Value::as_str).unwrap_or("nothing was told yet").to_owned();
        let rules = provider.rules().cloned().unwrap_or_default();
        let now = explained(&rules, &groups, Some(&member));
        ladder.ok(
            "user",
            format!(
                "{username} is account {} of {}; groups told last: {}; role {} because {why}{now}",
                link.extern_uid,
                if link.issuer.is_empty() { provider.title() } else { &link.issuer },
                if told.is_empty() { "none".to_owned() } else { told.join(", ") },
                member.role.as_str(),
            ),
        );
        Ok(())
    }
}

/// What the rules of today make of these groups, when that differs from what the member has.
fn explained(rules: &Rules, groups: &Groups, member: Option<&Member>) -> String {
    let Decision { role, why } = rules.decide(groups);
    match (role, member) {
        (Some(role), Some(member)) if role != member.role && member.role != domain::member::Role::Owner => {
            format!("; at the next sign-in {} because {why}", role.as_str())
        }
        _ => String::new(),
    }
}
