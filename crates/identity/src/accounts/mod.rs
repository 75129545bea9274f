//! Whose account at a provider opens for whom. An account is known by who vouches for it and its id there, never by an
//! address or a name: those change hands.

mod newcomer;

use domain::member::{Member, Role};
use serde_json::{Value, json};
use store::tenant::identities::{self, Account, MemberIdentity};
use store::tenant::members;
use store::{AuditEvent, TenantScope, TenantTx};

use crate::error::{Refusal, Why};
use crate::provider::{Groups, Kind, Provider, Rules};
use crate::sign_in::Client;
use crate::{Error, Identity};

pub(crate) use newcomer::{fitting_name, names_like};

/// Groups remembered of a sign-in, for the answer to "why does he have this role".
const GROUPS_KEPT: usize = 200;

/// Who a provider says somebody is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) provider: String,
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) username: String,
    pub(crate) display_name: String,
    pub(crate) email: String,
    pub(crate) email_verified: bool,
    pub(crate) avatar: String,
    pub(crate) groups: Groups,
}

impl Person {
    fn account(&self) -> Account<'_> {
        Account { provider: &self.provider, issuer: &self.issuer, subject: &self.subject }
    }

    /// The address, when the provider says that it is the person's.
    pub(crate) fn verified_email(&self) -> Option<&str> {
        Some(self.email.as_str()).filter(|email| self.email_verified && !email.is_empty())
    }

    fn rights(&self, role: Role, why: &str) -> Value {
        let groups: Vec<&String> = self.groups.told().unwrap_or_default().iter().take(GROUPS_KEPT).collect();
        json!({"groups": groups, "told": self.groups.told().is_some(), "role": role.as_str(), "why": why})
    }
}

impl Provider {
    /// Its rules; an OAuth2 provider has none.
    pub(crate) const fn rules(&self) -> Option<&Rules> {
        match &self.kind {
            Kind::OAuth2(_) => None,
            Kind::Oidc(oidc) => Some(&oidc.rules),
            Kind::Ldap(directory) => Some(&directory.rules),
        }
    }
}

pub(crate) fn denied(message: String, reason: &str) -> Error {
    Refusal::new(Why::Denied, message).because(reason).into()
}

impl Identity {
    /// The member whose account this is, with the rights that the provider tells; a new one where that is allowed. Audit:
    /// `member.created`, `identity.linked`, `member.role_changed`; `signin.failed` when it is refused.
    pub(crate) async fn member_for(
        &self,
        scope: &TenantScope,
        provider: &Provider,
        person: &Person,
        client: &Client,
    ) -> Result<Member, Error> {
        let outcome = self.find_or_make(scope, provider, person).await;
        self.told_of(scope, provider, &format!("provider:{}", provider.uid), client, outcome).await
    }

    /// Writes a refusal of nobody in particular into the log, and into the audit as those of unknown names are.
    pub(crate) async fn told<T>(
        &self,
        scope: &TenantScope,
        provider: &Provider,
        client: &Client,
        outcome: Result<T, Error>,
    ) -> Result<T, Error> {
        self.told_of(scope, provider, "", client, outcome).await
    }

    /// Writes a refusal into log and audit before it goes to the person; `who` is whom the audit names.
    async fn told_of<T>(
        &self,
        scope: &TenantScope,
        provider: &Provider,
        who: &str,
        client: &Client,
        outcome: Result<T, Error>,
    ) -> Result<T, Error> {
        let (username, reason) = match &outcome {
            Err(Error::Refused(refusal)) => (who, refusal.reason.clone()),
            Err(Error::Archived { username }) => (username.as_str(), "archived".to_owned()),
            _ => return outcome,
        };
        tracing::info!(provider = provider.uid, reason, "a sign-in through a provider was refused");
        let why = format!("{}: {reason}", provider.uid);
        self.tell_failure(scope, username, client, &why).await?;
        outcome
    }

    async fn find_or_make(&self, scope: &TenantScope, provider: &Provider, person: &Person) -> Result<Member, Error> {
        admit(provider, person)?;
        let mut tx = self.store.begin(scope);
        tx.touch().await?;
        let member = match identities::find_by_account(&mut tx, person.account()).await? {
            Some((member, _)) if member.archived => return Err(Error::Archived { username: member.username }),
            Some((member, link)) => self.renewed(&mut tx, provider, person, member, &link).await?,
            None => self.made(&mut tx, provider, person).await?,
        };
        tx.commit().await?;
        Ok(member)
    }

    /// Gives a known member the rights that the provider tells now.
    async fn renewed(
        &self,
        tx: &mut TenantTx,
        provider: &Provider,
        person: &Person,
        mut member: Member,
        link: &MemberIdentity,
    ) -> Result<Member, Error> {
        let Some(rules) = provider.rules() else { return Ok(member) };
        let decision = rules.decide(&person.groups);
        let mut why = decision.why;
        match decision.role {
            Some(_) if member.role == Role::Owner => why = format!("{why}; an owner stays one"),
            Some(role) if role != member.role => {
                let before = member.role;
                member.role = role;
                member.updated_ts = self.clock.seconds();
                let name = member.username.clone();
                members::update_member(tx, &name, &member).await?;
                let detail = json!({"from": before.as_str(), "to": role.as_str(), "why": why});
                by_provider(tx, provider, "member.role_changed", &member.username, detail).await?;
            }
            _ => {}
        }
        let rights = if person.groups.told().is_some() {
            person.rights(member.role, &why)
        } else {
            // What was told last stays to be seen, with the reason why nothing newer is.
            let mut rights = link.rights.clone();
            if let Some(object) = rights.as_object_mut() {
                object.insert("why".to_owned(), json!(why));
                object.insert("role".to_owned(), json!(member.role.as_str()));
            }
            rights
        };
        if rights != link.rights {
            identities::update_rights(tx, link.id, &rights, self.clock.seconds()).await?;
        }
        Ok(member)
    }

    async fn insert_link(
        &self,
        tx: &mut TenantTx,
        member: &Member,
        person: &Person,
        why: &str,
    ) -> Result<MemberIdentity, Error> {
        let now = self.clock.seconds();
        let link = MemberIdentity {
            id: tx.next_id().await?,
            member_id: member.id,
            provider: person.provider.clone(),
            extern_uid: person.subject.clone(),
            created_ts: now,
            updated_ts: now,
            issuer: person.issuer.clone(),
            rights: person.rights(member.role, why),
        };
        match identities::insert_identity(tx, &link).await {
            Err(error) if error.is_conflict(identities::EXTERN_KEY) => {
                Err(Refusal::new(Why::Conflict, "this account is linked to another member already").into())
            }
            Err(error) if error.is_conflict(identities::MEMBER_KEY) => {
                Err(Refusal::new(Why::Conflict, "another account of this provider is linked already; unlink it first")
                    .into())
            }
            other => other.map(|()| link).map_err(Error::from),
        }
    }

    /// Links the account of a person to a member who asked for it himself. Audit: `identity.linked`.
    pub(crate) async fn link(
        &self,
        scope: &TenantScope,
        member: &Member,
        provider: &Provider,
        person: &Person,
    ) -> Result<MemberIdentity, Error> {
        admit(provider, person)?;
        let mut tx = self.store.begin(scope);
        tx.touch().await?;
        let link = self.insert_link(&mut tx, member, person, "linked by the member").await?;
        let detail = json!({"provider": provider.uid, "subject": person.subject});
        crate::sign_in::audit(&mut tx, member, "identity.linked", detail).await?;
        tx.commit().await?;
        Ok(link)
    }
}

/// Whether the rules let this person in at all.
pub(crate) fn admit(provider: &Provider, person: &Person) -> Result<(), Error> {
    let title = provider.title();
    if person.subject.is_empty() {
        let message = format!("the answer of {title} was refused: it does not say who signed in");
        return Err(Refusal::new(Why::Invalid, message).because("no subject").into());
    }
    if person.subject.len() > 512 || person.subject.contains('\0') {
        let message = format!("the answer of {title} was refused: its name for you cannot be kept");
        return Err(Refusal::new(Why::Invalid, message).because("unfit subject").into());
    }
    let Some(rules) = provider.rules() else { return Ok(()) };
    if !rules.allows(person.verified_email()) {
        let message = format!("{title} does not vouch for an address of yours in a domain that may sign in here");
        return Err(denied(message, "no verified address in an allowed domain"));
    }
    if rules.admits(&person.groups) == Some(false) {
        let message = format!("you are in none of the groups at {title} that may sign in here");
        return Err(denied(message, "in none of the required groups"));
    }
    Ok(())
}

/// Writes what a provider brought about.
async fn by_provider(
    tx: &mut TenantTx,
    provider: &Provider,
    event: &str,
    username: &str,
    detail: Value,
) -> Result<(), store::Error> {
    let actor = format!("provider:{}", provider.uid);
    tx.audit(&AuditEvent { actor: &actor, event, object: username, detail }).await
}
