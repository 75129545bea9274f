//! Groups in groups, on any server: walked breadth first from the entry upwards, each group once, so a ring ends. The rule
//! of Active Directory that walks by itself finds nothing on others and says nothing of it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ldap3::{SearchEntry, ldap_escape};

use super::connect::Key;
use super::search::{Entry, Wish};
use super::{Server, Trouble};
use crate::provider::Groups;

/// How long the walk above a set of groups is remembered.
const GOOD_FOR: Duration = Duration::from_secs(60);
/// Walks remembered.
const KEPT: usize = 4096;
/// Groups asked for in one search.
const AT_ONCE: usize = 50;
/// Levels after which a walk is given up.
const DEEPEST: usize = 64;
/// Groups after which a walk is given up.
const MOST: usize = 5_000;

type Walk = (Instant, Arc<Vec<String>>);
/// By server and the groups a walk began at.
type Walks = HashMap<(Key, Vec<String>), Walk>;

/// The names of all groups above sets of groups, as they were walked a moment ago. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Parents(pub(super) Arc<Mutex<Walks>>);

impl fmt::Debug for Parents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parents")
    }
}

/// A group: where it is and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    dn: String,
    name: String,
}

impl Server<'_> {
    /// The names of all groups that the entry is in, directly or through others.
    pub(crate) async fn groups_of(&self, entry: &Entry) -> Result<Groups, Trouble> {
        let directory = self.directory;
        if directory.group_base.is_empty() {
            return Ok(Groups::Untold("the directory is not asked for groups"));
        }
        let by_name = directory.member_attribute.eq_ignore_ascii_case("memberUid");
        let member = if by_name { &entry.name } else { &entry.dn };
        let direct = self.groups_with(std::slice::from_ref(member)).await?;
        let mut seeds: Vec<String> = direct.iter().map(|group| group.dn.to_lowercase()).collect();
        seeds.sort_unstable();
        let mut names: Vec<String> = direct.iter().map(|group| group.name.clone()).collect();
        if !seeds.is_empty() && !by_name {
            let key = (self.key.clone(), seeds);
            let above = match self.remembered(&key) {
                Some(above) => above,
                None => {
                    let above = Arc::new(self.walk(&direct).await?);
                    self.remember(key, &above);
                    above
                }
            };
            names.extend(above.iter().cloned());
        }
        names.sort();
        names.dedup();
        Ok(Groups::Told(names))
    }

    fn remembered(&self, key: &(Key, Vec<String>)) -> Option<Arc<Vec<String>>> {
        let known = self.connections.parents.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).filter(|(at, _)| at.elapsed() < GOOD_FOR).map(|(_, above)| Arc::clone(above))
    }

    fn remember(&self, key: (Key, Vec<String>), above: &Arc<Vec<String>>) {
        let mut known = self.connections.parents.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(key, (Instant::now(), Arc::clone(above)));
    }

    /// The names of all groups above these.
    async fn walk(&self, direct: &[Group]) -> Result<Vec<String>, Trouble> {
        let mut seen: HashSet<String> = direct.iter().map(|group| group.dn.to_lowercase()).collect();
        let mut frontier: Vec<String> = direct.iter().map(|group| group.dn.clone()).collect();
        let mut names = Vec::new();
        for _ in 0..DEEPEST {
            let mut next = Vec::new();
            for some in frontier.chunks(AT_ONCE) {
                for group in self.groups_with(some).await? {
                    if seen.insert(group.dn.to_lowercase()) {
                        names.push(group.name);
                        next.push(group.dn);
                    }
                }
            }
            if next.is_empty() {
                return Ok(names);
            }
            if seen.len() > MOST {
                break;
            }
            frontier = next;
        }
        Err(Trouble::Partial(
            "its groups are nested deeper than 64 levels, or there are more than 5,000 of them".to_owned(),
        ))
    }

    /// The groups that have one of these as a member.
    async fn groups_with(&self, members: &[String]) -> Result<Vec<Group>, Trouble> {
        let directory = self.directory;
        let attribute = &directory.member_attribute;
        let one = |member: &String| format!("({attribute}={})", ldap_escape(member.as_str()));
        let any: String = members.iter().map(one).collect();
        let filter = format!("(&{}(|{any}))", directory.group_filter);
        let names = [directory.group_name_attribute.as_str()];
        let wish = Wish { base: &directory.group_base, filter: &filter, attributes: &names, most: None };
        Ok(self.search(wish).await?.into_iter().map(|entry| self.group(entry)).collect())
    }

    fn group(&self, entry: SearchEntry) -> Group {
        let name = &self.directory.group_name_attribute;
        let found = entry.attrs.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let name = found.and_then(|(_, values)| values.first()).cloned().unwrap_or_else(|| entry.dn.clone());
        Group { name, dn: entry.dn }
    }

    /// Every group with its members: one walk for everyone.
    pub(crate) async fn graph(&self) -> Result<Graph, Trouble> {
        let directory = self.directory;
        let attributes = [directory.group_name_attribute.as_str(), directory.member_attribute.as_str()];
        let filter = &directory.group_filter;
        let wish = Wish { base: &directory.group_base, filter, attributes: &attributes, most: None };
        let mut graph = Graph::default();
        for entry in self.search(wish).await? {
            let members = entry.attrs.iter().find(|(known, _)| known.eq_ignore_ascii_case(&directory.member_attribute));
            let members: Vec<String> = members.map(|(_, values)| values.clone()).unwrap_or_default();
            let group = self.group(entry);
            graph.add(&group.dn, &group.name, &members);
        }
        Ok(graph)
    }
}

/// Which groups have whom as a member.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    names: BTreeMap<String, String>,
    /// From a member (a person or a group) to the groups that name it.
    above: HashMap<String, Vec<String>>,
}

impl Graph {
    fn add(&mut self, dn: &str, name: &str, members: &[String]) {
        let dn = dn.to_lowercase();
        for member in members {
            self.above.entry(member.to_lowercase()).or_default().push(dn.clone());
        }
        self.names.insert(dn, name.to_owned());
    }

    /// How many groups there are.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// The names of all groups that this member is in, directly or through others.
    pub(crate) fn groups_of(&self, member: &str) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let mut frontier = vec![member.to_lowercase()];
        while let Some(at) = frontier.pop() {
            for group in self.above.get(&at).into_iter().flatten() {
                if seen.insert(group.clone()) {
                    frontier.push(group.clone());
                }
            }
        }
        let mut names: Vec<String> = seen.iter().filter_map(|dn| self.names.get(dn)).cloned().collect();
        names.sort();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_end_and_chains_are_followed() {
        let mut graph = Graph::default();
        let list = |members: &[&str]| members.iter().map(|member| (*member).to_owned()).collect::<Vec<_>>();
        graph.add("cn=team", "team", &list(&["uid=Ana", "cn=staff"]));
        graph.add("cn=eng", "eng", &list(&["CN=team"]));
        graph.add("cn=staff", "staff", &list(&["cn=eng"]));
        graph.add("cn=other", "other", &list(&["uid=bo"]));
        assert_eq!(graph.groups_of("uid=ana"), ["eng", "staff", "team"]);
        assert_eq!(graph.groups_of("uid=bo"), ["other"]);
        assert!(graph.groups_of("uid=nobody").is_empty());
        assert_eq!(graph.len(), 4);
    }
}
