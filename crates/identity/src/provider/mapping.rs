//! From groups to a role: who may come, and as what.

use domain::member::Role;
use serde::{Deserialize, Serialize};

use super::Unfit;

/// Who may come through a provider, and as what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Rules {
    /// Whether somebody unknown becomes a member at his first sign-in.
    pub sign_up: bool,
    /// The first rule with a group of the person gives the role. Empty: roles are given here and not there.
    pub roles: Vec<RoleRule>,
    /// The role of whom no rule fits, and of new members: `admin`, `member` or `guest`.
    pub default_role: Role,
    /// Of these groups a person must be in one; empty: none is needed.
    pub required_groups: Vec<String>,
    /// Domains that a verified address must have; empty: any.
    pub allowed_domains: Vec<String>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            sign_up: true,
            roles: Vec::new(),
            default_role: Role::Member,
            required_groups: Vec::new(),
            allowed_domains: Vec::new(),
        }
    }
}

/// A group and the role that it gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleRule {
    /// The group, as the provider writes it; letters of either case.
    pub group: String,
    /// `admin`, `member` or `guest`.
    pub role: Role,
}

/// What a provider said of somebody's groups. That it said nothing never means that there are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Groups {
    /// These, and no other.
    Told(Vec<String>),
    /// Nothing, and why.
    Untold(&'static str),
}

/// The role that rules give, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The role; none: the one he has stays.
    pub role: Option<Role>,
    /// Why, for people.
    pub why: String,
}

impl Groups {
    /// The groups that were told.
    pub fn told(&self) -> Option<&[String]> {
        match self {
            Self::Told(groups) => Some(groups),
            Self::Untold(_) => None,
        }
    }

    fn has(&self, group: &str) -> bool {
        self.told().is_some_and(|groups| groups.iter().any(|known| known.eq_ignore_ascii_case(group)))
    }
}

impl Rules {
    pub(super) fn check(&self) -> Result<(), Unfit> {
        let owner = self.default_role == Role::Owner || self.roles.iter().any(|rule| rule.role == Role::Owner);
        if owner {
            return Err(Unfit("no group makes an owner; owners are made by owners, here".to_owned()));
        }
        if self.roles.iter().any(|rule| rule.group.trim().is_empty()) {
            return Err(Unfit("a rule in roles names no group".to_owned()));
        }
        Ok(())
    }

    /// Whether somebody with these groups may come: none when that was not told.
    pub fn admits(&self, groups: &Groups) -> Option<bool> {
        if self.required_groups.is_empty() {
            return Some(true);
        }
        groups.told()?;
        Some(self.required_groups.iter().any(|group| groups.has(group)))
    }

    /// Whether the domain of this verified address is allowed.
    pub fn allows(&self, verified_email: Option<&str>) -> bool {
        let domain = verified_email.and_then(|email| email.rsplit_once('@')).map(|(_, domain)| domain);
        self.allowed_domains.is_empty()
            || domain.is_some_and(|domain| self.allowed_domains.iter().any(|known| known.eq_ignore_ascii_case(domain)))
    }

    /// The role of a member with these groups.
    pub fn decide(&self, groups: &Groups) -> Decision {
        if self.roles.is_empty() {
            return Decision {
                role: None,
                why: "the provider has no rules for roles; the role is given here".to_owned(),
            };
        }
        match groups {
            Groups::Untold(why) => Decision { role: None, why: format!("{why}; the role stays as it was") },
            Groups::Told(_) => match self.roles.iter().find(|rule| groups.has(&rule.group)) {
                Some(rule) => Decision {
                    role: Some(rule.role),
                    why: format!("group {} gives {}", rule.group, rule.role.as_str()),
                },
                None => Decision {
                    role: Some(self.default_role),
                    why: format!("no group with a rule; everyone else is {}", self.default_role.as_str()),
                },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules {
            roles: vec![
                RoleRule { group: "Staff".to_owned(), role: Role::Admin },
                RoleRule { group: "visitors".to_owned(), role: Role::Guest },
            ],
            required_groups: vec!["everyone".to_owned()],
            allowed_domains: vec!["example.org".to_owned()],
            ..Rules::default()
        }
    }

    fn told(groups: &[&str]) -> Groups {
        Groups::Told(groups.iter().map(|group| (*group).to_owned()).collect())
    }

    #[test]
    fn the_first_rule_that_fits_gives_the_role() {
        assert_eq!(rules().decide(&told(&["visitors", "staff"])).role, Some(Role::Admin));
        assert_eq!(rules().decide(&told(&["visitors"])).role, Some(Role::Guest));
        assert_eq!(rules().decide(&told(&[])).role, Some(Role::Member));
        assert_eq!(Rules::default().decide(&told(&["staff"])).role, None);
    }

    #[test]
    fn not_told_is_not_none() {
        let untold = Groups::Untold("the provider sent no groups");
        assert_eq!(rules().decide(&untold).role, None);
        assert_eq!(rules().admits(&untold), None);
        assert_eq!(rules().admits(&told(&["Everyone"])), Some(true));
        assert_eq!(rules().admits(&told(&["staff"])), Some(false));
    }

    #[test]
    fn domains_are_those_of_verified_addresses() {
        assert!(rules().allows(Some("ana@Example.org")));
        for bad in [None, Some("ana@evil.org"), Some("ana@example.org.evil"), Some("x@sub.example.org"), Some("ana")] {
            assert!(!rules().allows(bad), "{bad:?}");
        }
    }

    #[test]
    fn no_group_makes_an_owner() {
        let rule = RoleRule { group: "x".to_owned(), role: Role::Owner };
        assert!(Rules { roles: vec![rule], ..Rules::default() }.check().is_err());
    }
}
