//! Searching: one entry by name, many by pages, and never a part taken for the whole.

use ldap3::adapters::{Adapter, EntriesOnly, PagedResults};
use ldap3::{Scope, SearchEntry, SearchOptions, ldap_escape};

use super::connect::{Connection, Use, in_words, told};
use super::{Server, Trouble};

/// An entry of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) dn: String,
    /// The lasting id, binary ones in hex.
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) display_name: String,
    pub(crate) email: String,
}

/// Entries that were found.
pub(crate) type Outcome = Result<Vec<SearchEntry>, Trouble>;

/// What is searched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    pub(super) base: &'a str,
    pub(super) filter: &'a str,
    pub(super) attributes: &'a [&'a str],
    /// At most so many, in one piece; none: all, by pages.
    pub(super) most: Option<i32>,
}

impl Server<'_> {
    /// The one entry of this name.
    pub(crate) async fn find_person(&self, username: &str) -> Result<Option<Entry>, Trouble> {
        let directory = self.directory;
        let filter = directory.user_filter.replace("{username}", &ldap_escape(username));
        let names = &directory.attributes;
        let attributes = [names.id.as_str(), &names.name, &names.display_name, &names.email];
        let wish = Wish { base: &directory.user_base, filter: &filter, attributes: &attributes, most: Some(2) };
        let mut found = self.search(wish).await?;
        if found.len() > 1 {
            return Err(Trouble::Ambiguous(username.to_owned()));
        }
        Ok(found.pop().map(|entry| self.entry(entry)))
    }

    /// Everyone below the base, by pages.
    pub(crate) async fn all_people(&self) -> Result<Vec<Entry>, Trouble> {
        let directory = self.directory;
        let filter = directory.user_filter.replace("{username}", "*");
        let names = &directory.attributes;
        let attributes = [names.id.as_str(), &names.name, &names.display_name, &names.email];
        let wish = Wish { base: &directory.user_base, filter: &filter, attributes: &attributes, most: None };
        Ok(self.search(wish).await?.into_iter().map(|entry| self.entry(entry)).collect())
    }

    fn entry(&self, entry: SearchEntry) -> Entry {
        let names = &self.directory.attributes;
        let first = |name: &str| {
            let found = entry.attrs.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.and_then(|(_, values)| values.first()).cloned().unwrap_or_default()
        };
        let binary = entry.bin_attrs.iter().find(|(known, _)| known.eq_ignore_ascii_case(&names.id));
        let binary = binary.and_then(|(_, values)| values.first()).map(hex::encode);
        let id = binary.or_else(|| Some(first(&names.id))).filter(|id| !id.is_empty());
        Entry {
            id,
            name: first(&names.name),
            display_name: first(&names.display_name),
            email: first(&names.email),
            dn: entry.dn,
        }
    }

    /// All entries of a search. On a connection that was kept and has died meanwhile, it is tried once more on a new one,
    /// which may be to the next server.
    pub(super) async fn search(&self, wish: Wish<'_>) -> Outcome {
        let mut connection = self.take(Use::Searching).await?;
        let mut found = self.search_on(&mut connection, wish).await;
        if matches!(found, Err(Trouble::Silent(_))) && connection.kept {
            connection = self.open(Use::Searching).await?;
            found = self.search_on(&mut connection, wish).await;
        }
        if !matches!(found, Err(Trouble::Silent(_))) {
            self.put(Use::Searching, connection);
        }
        found
    }

    async fn search_on(&self, connection: &mut Connection, wish: Wish<'_>) -> Outcome {
        let silent = |error: ldap3::LdapError| Trouble::Silent(told(&error));
        let ldap = connection.ldap.with_timeout(self.patience());
        ldap.with_search_options(
            SearchOptions::new().sizelimit(wish.most.unwrap_or(0)).timelimit(self.directory.timeout_seconds as i32),
        );
        let mut adapters: Vec<Box<dyn Adapter<'_, &str, &[&str]>>> = vec![Box::new(EntriesOnly::new())];
        if wish.most.is_none() {
            adapters.push(Box::new(PagedResults::new(self.directory.page_size)));
        }
        let stream = ldap.streaming_search_with(adapters, wish.base, Scope::Subtree, wish.filter, wish.attributes);
        let mut stream = stream.await.map_err(silent)?;
        let mut found = Vec::new();
        while let Some(entry) = stream.next().await.map_err(silent)? {
            found.push(SearchEntry::construct(entry));
        }
        match stream.finish().await.rc {
            0 => Ok(found),
            // As many as were asked for: enough to see that there is more than one.
            4 if wish.most.is_some_and(|most| found.len() >= most as usize) => Ok(found),
            32 => Err(Trouble::Unfit(format!("there is no entry {}", wish.base))),
            code => Err(Trouble::Partial(in_words(code))),
        }
    }
}
