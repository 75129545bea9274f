//! `user` → `member`.

use std::collections::{BTreeMap, BTreeSet};

use domain::member::Role;

use crate::error::Error;
use crate::reader::rows::SourceUser;
use crate::report::Findings;
use crate::table::Cell;

/// A member as it will be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    pub id: i64,
    pub username: String,
    pub role: Role,
    pub archived: bool,
    pub email: String,
    pub display_name: String,
    pub avatar: String,
    pub description: String,
    pub password_hash: String,
    pub created_ts: i64,
    pub updated_ts: i64,
    /// Made here, for rows whose creator is gone.
    pub stand_in: bool,
}

impl MemberRow {
    /// As cells of `table::MEMBER`.
    pub fn cells(&self) -> Vec<Cell> {
        vec![
            self.id.into(),
            self.username.as_str().into(),
            self.role.as_str().into(),
            self.archived.into(),
            self.email.as_str().into(),
            self.display_name.as_str().into(),
            self.avatar.as_str().into(),
            self.description.as_str().into(),
            self.password_hash.as_str().into(),
            self.created_ts.into(),
            self.updated_ts.into(),
        ]
    }
}

/// Every member, by number.
#[derive(Clone, Debug, Default)]
pub struct Members {
    by_id: BTreeMap<i64, MemberRow>,
    /// Stands in where a row has no usable creator at all.
    nobody: Option<i64>,
}

impl Members {
    /// All of them, by number.
    pub fn rows(&self) -> impl Iterator<Item = &MemberRow> {
        self.by_id.values()
    }

    /// Whether the number is a member's.
    pub fn has(&self, id: i64) -> bool {
        self.by_id.contains_key(&id)
    }

    /// The username of a member.
    pub fn name(&self, id: i64) -> &str {
        self.by_id.get(&id).map_or("", |member| member.username.as_str())
    }

    /// The member that a row belongs to: its creator, or the stand-in.
    ///
    /// # Errors
    /// `Error::Source` when reading the creators beforehand did not show this one, which only a file can bring about that
    /// reads differently each time.
    pub fn creator(&self, id: Option<i64>) -> Result<i64, Error> {
        id.filter(|id| self.has(*id)).or(self.nobody).ok_or_else(|| {
            let named = id.map_or_else(|| "nobody".to_owned(), |id| format!("user {id}"));
            Error::source("damaged", format!("a row belongs to {named}, of whom the same table said nothing before; make a new copy of the database and import that"))
        })
    }

    /// The owner.
    pub fn owner(&self) -> Option<&MemberRow> {
        self.rows().find(|member| member.role == Role::Owner)
    }
}

/// Maps the users and adds an archived stand-in for every number in `missing` that rows name as their creator.
/// `nobody` asks for one more, for rows without any number.
pub fn map_members(users: Vec<SourceUser>, missing: &[i64], nobody: bool, findings: &mut Findings) -> Members {
    let mut members = Members::default();
    let mut names = BTreeSet::new();
    let owner = owner_of(&users);
    for (at, user) in users.into_iter().enumerate() {
        let row = map_user(&user, Some(at) == owner, findings);
        if members.has(row.id) {
            findings.warn(
                "duplicate_id",
                "user",
                row.id,
                "another user has this number already; the later one was left out",
            );
            continue;
        }
        add(&mut members, &mut names, row, findings);
    }
    settle_emails(&mut members, findings);
    if owner.is_none()
        && let Some(first) = members.by_id.values_mut().next()
    {
        findings.warn("no_owner", "user", first.id, "nobody was host or admin; the first user became the owner");
        first.role = Role::Owner;
    }
    for id in missing.iter().filter(|id| **id > 0) {
        if !members.has(*id) {
            let message = "rows name this user, who does not exist; they were put under an archived stand-in";
            findings.warn("missing_user", "user", id, message);
            add(&mut members, &mut names, stand_in(*id, format!("deleted-user-{id}")), findings);
        }
    }
    if nobody || missing.iter().any(|id| *id <= 0) {
        let id = members.by_id.range(..=super::HIGHEST).next_back().map_or(0, |(id, _)| *id).max(0) + 1;
        add(&mut members, &mut names, stand_in(id, "deleted-user".to_owned()), findings);
        members.nobody = Some(id);
    }
    members
}

/// Memos allows several members with one e-mail up to 0.30.
fn settle_emails(members: &mut Members, findings: &mut Findings) {
    let clear = findings.policies().clear_emails;
    let mut first: BTreeMap<String, i64> = BTreeMap::new();
    for member in members.by_id.values_mut().filter(|member| !member.email.is_empty()) {
        let Some(owner) = first.get(&member.email.to_lowercase()) else {
            first.insert(member.email.to_lowercase(), member.id);
            continue;
        };
        let what = if clear { "was cleared" } else { "was kept for both" };
        findings.warn(
            "duplicate_email",
            "user",
            member.id,
            format!("the e-mail {} is also that of user {owner}; it {what}", member.email),
        );
        if clear {
            member.email.clear();
        }
    }
}

fn add(members: &mut Members, names: &mut BTreeSet<String>, mut row: MemberRow, findings: &mut Findings) {
    if !names.insert(row.username.clone()) {
        let mut number = 2;
        while !names.insert(format!("{}-{number}", row.username)) {
            number += 1;
        }
        let renamed = format!("{}-{number}", row.username);
        let message = format!("the username {} is taken by another user; renamed to {renamed}", row.username);
        findings.warn("duplicate_username", "user", row.id, message);
        row.username = renamed;
    }
    members.by_id.insert(row.id, row);
}

fn stand_in(id: i64, username: String) -> MemberRow {
    MemberRow {
        id,
        username,
        role: Role::Member,
        archived: true,
        email: String::new(),
        display_name: "Deleted user".to_owned(),
        avatar: String::new(),
        description: String::new(),
        password_hash: String::new(),
        created_ts: 0,
        updated_ts: 0,
        stand_in: true,
    }
}

/// The first host; without one (0.26 on) the first admin who can sign in, else the first admin.
fn owner_of(users: &[SourceUser]) -> Option<usize> {
    let has = |role: &str, active: bool| {
        let mut found: Vec<_> = users
            .iter()
            .enumerate()
            .filter(|(_, user)| user.role == role && (!active || user.row_status != "ARCHIVED"))
            .collect();
        found.sort_by_key(|(_, user)| user.id);
        found.first().map(|(at, _)| *at)
    };
    has("HOST", true).or_else(|| has("ADMIN", true)).or_else(|| has("HOST", false)).or_else(|| has("ADMIN", false))
}

fn map_user(user: &SourceUser, owner: bool, findings: &mut Findings) -> MemberRow {
    let id = user.id.unwrap_or_default();
    let role = match user.role.as_str() {
        _ if owner => Role::Owner,
        "HOST" | "ADMIN" => Role::Admin,
        "USER" => Role::Member,
        other => {
            findings.warn("unknown_role", "user", id, format!("the role {other:?} is unknown; taken as member"));
            Role::Member
        }
    };
    let archived = match user.row_status.as_str() {
        "NORMAL" | "" => false,
        "ARCHIVED" => true,
        other => {
            findings.warn("unknown_state", "user", id, format!("the state {other:?} is unknown; taken as archived"));
            true
        }
    };
    let username = if user.username.is_empty() {
        findings.warn("empty_username", "user", id, format!("the username is empty; named user-{id}"));
        format!("user-{id}")
    } else {
        user.username.clone()
    };
    MemberRow {
        id,
        username,
        role,
        archived,
        email: user.email.clone(),
        display_name: user.nickname.clone(),
        avatar: user.avatar_url.clone(),
        description: user.description.clone(),
        password_hash: user.password_hash.clone(),
        created_ts: user.created_ts,
        updated_ts: user.updated_ts,
        stand_in: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: i64, name: &str, role: &str, state: &str) -> SourceUser {
        SourceUser {
            id: Some(id),
            username: name.into(),
            role: role.into(),
            row_status: state.into(),
            ..SourceUser::default()
        }
    }

    fn roles(users: Vec<SourceUser>) -> Vec<&'static str> {
        map_members(users, &[], false, &mut Findings::default()).rows().map(|m| m.role.as_str()).collect()
    }

    #[test]
    fn there_is_exactly_one_owner() {
        let old = vec![user(1, "a", "ADMIN", "NORMAL"), user(2, "b", "HOST", "NORMAL"), user(3, "c", "USER", "NORMAL")];
        assert_eq!(roles(old), ["admin", "owner", "member"]);
        let new =
            vec![user(1, "a", "USER", "NORMAL"), user(2, "b", "ADMIN", "ARCHIVED"), user(3, "c", "ADMIN", "NORMAL")];
        assert_eq!(roles(new), ["member", "admin", "owner"]);
        assert_eq!(roles(vec![user(5, "a", "USER", "NORMAL")]), ["owner"]);
    }

    #[test]
    fn nobody_is_lost_and_names_stay_unique() {
        let mut findings = Findings::default();
        let users = vec![user(1, "a", "HOST", "NORMAL"), user(2, "a", "ROBOT", "GONE"), user(3, "", "USER", "NORMAL")];
        let members = map_members(users, &[7, -1], false, &mut findings);
        let names: Vec<_> = members.rows().map(|m| (m.id, m.username.as_str(), m.archived)).collect();
        assert_eq!(
            names,
            [
                (1, "a", false),
                (2, "a-2", true),
                (3, "user-3", false),
                (7, "deleted-user-7", true),
                (8, "deleted-user", true)
            ]
        );
        assert_eq!(members.creator(Some(99)).unwrap(), 8);
        assert_eq!(members.creator(Some(2)).unwrap(), 2);
    }
}
