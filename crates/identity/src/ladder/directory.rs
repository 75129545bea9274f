//! The rungs of a directory.

use std::collections::BTreeMap;

use domain::member::Role;
use store::TenantScope;
use store::tenant::identities::{self, Account};

use super::reach::{broken_tls, certificate_rung};
use super::{Ladder, explained};
use crate::ldap::{Server, Trouble, issuer_of};
use crate::outbound::Outbound;
use crate::provider::{Directory, Groups, Provider};
use crate::{Error, Identity};

impl Identity {
    pub(super) async fn climb_directory(
        &self,
        scope: &TenantScope,
        provider: &Provider,
        directory: &Directory,
        user: Option<&str>,
        ladder: &mut Ladder,
    ) -> Result<(), Error> {
        // On connections of its own: what is tested is what is written down, not what was kept open.
        let connections = crate::ldap::Connections::default();
        let key = (scope.tenant().id, provider.uid.clone());
        let outbound: Outbound = self.outbound.clone();
        let server = Server { connections: &connections, outbound: &outbound, key: &key, directory };
        let mut reached = false;
        for address in &directory.servers {
            reached |= self.climb_server(&server, address, ladder).await;
        }
        if !reached {
            return Ok(());
        }
        if ladder.rungs.iter().any(|rung| rung.status == "failed") {
            // Another server answers: that is what fail-over is for.
            for rung in ladder.rungs.iter_mut().filter(|rung| rung.status == "failed") {
                rung.status = "note";
            }
        }
        let people = match server.all_people().await {
            Ok(people) => people,
            Err(trouble) => {
                broken_search(directory, &trouble, ladder);
                return Ok(());
            }
        };
        let who = if directory.bind_dn.is_empty() { "nobody in particular" } else { &directory.bind_dn };
        ladder.ok("bind", format!("it takes {who}"));
        if people.is_empty() {
            let next = "correct user_base and user_filter, or let the bind DN read below it";
            ladder.failed("search", format!("nobody below {}", directory.user_base), next);
            return Ok(());
        }
        if let Some(nameless) = people.iter().find(|entry| entry.id.is_none()) {
            let next =
                "set attributes.id to entryUUID, or to objectGUID with Active Directory, and let the bind DN read it";
            ladder.failed("search", format!("{} has no {}", nameless.dn, directory.attributes.id), next);
            return Ok(());
        }
        ladder.ok("search", format!("{} people below {}", people.len(), directory.user_base));
        if !directory.group_base.is_empty() && !self.climb_groups(&server, &people, ladder).await {
            return Ok(());
        }
        match user {
            Some(username) => self.climb_person(scope, provider, &server, username, ladder).await,
            None => Ok(()),
        }
    }

    async fn climb_server(&self, server: &Server<'_>, address: &str, ladder: &mut Ladder) -> bool {
        let Ok(url) = url::Url::parse(address) else { return false };
        let (host, secure) = (url.host_str().unwrap_or_default(), url.scheme() == "ldaps");
        let port = url.port().unwrap_or(if secure { 636 } else { 389 });
        let Some(addresses) = self.climb_dns(host, port, ladder).await else { return false };
        if self.climb_tcp(&addresses, ladder).await.is_none() {
            return false;
        }
        match server.connect(address).await {
            Ok(mut ldap) => {
                let certificate = ldap.get_peer_certificate().await.ok().flatten();
                match certificate {
                    Some(der) => certificate_rung(&[der], self.clock.seconds(), ladder),
                    None => ladder.note("tls", "none: passwords travel in the clear", "use ldaps:// or start_tls"),
                }
                true
            }
            Err(why) if server.directory.start_tls && !secure && !why.contains("certificate") => {
                let next = "give the server a certificate and switch StartTLS on there, or use ldaps://";
                ladder.failed("tls", format!("StartTLS failed: {why}; nothing was sent"), next);
                false
            }
            Err(why) => {
                broken_tls(&why, ladder);
                false
            }
        }
    }

    async fn climb_groups(&self, server: &Server<'_>, people: &[crate::ldap::Entry], ladder: &mut Ladder) -> bool {
        let directory = server.directory;
        let graph = match server.graph().await {
            Ok(graph) => graph,
            Err(trouble) => {
                let next = "correct group_base and group_filter, or let the bind DN read below it";
                ladder.failed("groups", trouble.to_string(), next);
                return false;
            }
        };
        if graph.len() == 0 {
            let next = "correct group_base and group_filter, or leave group_base out";
            ladder.failed("groups", format!("no group below {}", directory.group_base), next);
            return false;
        }
        let mut roles: BTreeMap<Role, usize> = BTreeMap::new();
        let by_name = directory.member_attribute.eq_ignore_ascii_case("memberUid");
        for entry in people {
            let groups = Groups::Told(graph.groups_of(if by_name { &entry.name } else { &entry.dn }));
            if directory.rules.admits(&groups) == Some(true) {
                let role = directory.rules.decide(&groups).role.unwrap_or(directory.rules.default_role);
                *roles.entry(role).or_default() += 1;
            }
        }
        let counts: Vec<String> =
            roles.iter().rev().map(|(role, count)| format!("{count} {}", role.as_str())).collect();
        let counts = if counts.is_empty() { "nobody may come".to_owned() } else { counts.join(", ") };
        ladder.ok("groups", format!("{} groups, nested ones followed; that makes {counts}", graph.len()));
        true
    }

    async fn climb_person(
        &self,
        scope: &TenantScope,
        provider: &Provider,
        server: &Server<'_>,
        username: &str,
        ladder: &mut Ladder,
    ) -> Result<(), Error> {
        let directory = server.directory;
        let found = match server.find_person(username).await {
            Ok(Some(entry)) => server.groups_of(&entry).await.map(|groups| (entry, groups)),
            Ok(None) => {
                let next = "look at user_filter: it must find the name that the member types";
                ladder.failed("user", format!("no entry for {username}"), next);
                return Ok(());
            }
            Err(trouble) => Err(trouble),
        };
        let (entry, groups) = match found {
            Ok(found) => found,
            Err(trouble) => {
                ladder.failed("user", trouble.to_string(), "make the entry unique, and its groups readable");
                return Ok(());
            }
        };
        let (subject, issuer) = (entry.id.clone().unwrap_or_default(), issuer_of(directory));
        let account = Account { provider: &provider.uid, issuer: &issuer, subject: &subject };
        let mut tx = self.store.begin(scope);
        let linked = identities::find_by_account(&mut tx, account).await?.map(|(member, _)| member);
        tx.commit().await?;
        let told = groups.told().map(|groups| groups.join(", ")).unwrap_or_default();
        let decision = directory.rules.decide(&groups);
        let known = match &linked {
            Some(member) => format!(
                "is member {}, {}{}",
                member.username,
                member.role.as_str(),
                explained(&directory.rules, &groups, Some(member))
            ),
            None if directory.rules.admits(&groups) == Some(false) => {
                "may not come: in none of the required groups".to_owned()
            }
            None if directory.rules.sign_up => {
                let role = decision.role.unwrap_or(directory.rules.default_role);
                format!("would become a member, {}", role.as_str())
            }
            None => "is unknown here, and sign-up is off".to_owned(),
        };
        let told = if told.is_empty() { "none".to_owned() } else { told };
        ladder.ok("user", format!("{} (id {subject}) {known}; groups: {told}; {}", entry.dn, decision.why));
        Ok(())
    }
}

fn broken_search(directory: &Directory, trouble: &Trouble, ladder: &mut Ladder) {
    match trouble {
        Trouble::Refused { .. } => {
            ladder.failed("bind", trouble.to_string(), "correct bind_dn and bind_password");
        }
        Trouble::Silent(why) => ladder.failed("bind", why.clone(), "see what the directory's own log says"),
        Trouble::Unfit(why) => ladder.failed("search", why.clone(), "correct user_base"),
        Trouble::Partial(why) if why.contains("size limit") => {
            let next = "let the bind DN read by pages without a limit, or set a smaller page_size";
            ladder.failed("search", format!("{why} below {}", directory.user_base), next);
        }
        other => ladder.failed("search", other.to_string(), "see what the directory's own log says"),
    }
}
