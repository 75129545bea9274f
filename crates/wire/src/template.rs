//! Path templates of REST bindings: `/api/v1/{name=users/*}:getStats`.

/// One part between slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Any,
}

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
    /// What follows the colon of the last part.
    verb: Option<String>,
    /// Which parts fill which field: dotted path, first part, part after the last.
    captures: Vec<(String, usize, usize)>,
}

/// A field that the path filled, with its text.
pub type Captured = (String, String);

impl Template {
    /// Reads a template of our own table. Anything that is not a capture is taken literally.
    pub fn parse(text: &str) -> Self {
        let (path, verb) = match text.rfind(':') {
            Some(at) if !text[at..].contains('}') => (&text[..at], Some(text[at + 1..].to_owned())),
            _ => (text, None),
        };
        let mut template = Self { parts: Vec::new(), verb, captures: Vec::new() };
        let mut rest = path.strip_prefix('/').unwrap_or(path);
        while !rest.is_empty() {
            rest = match rest.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
                Some((capture, after)) => {
                    let (field, pattern) = capture.split_once('=').unwrap_or((capture, "*"));
                    let first = template.parts.len();
                    template.push_parts(pattern);
                    template.captures.push((field.to_owned(), first, template.parts.len()));
                    after.strip_prefix('/').unwrap_or(after)
                }
                None => {
                    let (literal, after) = rest.split_once('/').unwrap_or((rest, ""));
                    template.push_parts(literal);
                    after
                }
            };
        }
        template
    }

    fn push_parts(&mut self, pattern: &str) {
        self.parts.extend(pattern.split('/').map(|part| match part {
            "*" => Part::Any,
            literal => Part::Literal(literal.to_owned()),
        }));
    }

    /// How many parts are literal, the verb included: the binding with more of them is the better match.
    pub fn literals(&self) -> usize {
        let literal = self.parts.iter().filter(|part| matches!(part, Part::Literal(_))).count();
        literal + usize::from(self.verb.is_some())
    }

    /// How many parts a path has that it fits.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// The dotted fields that the path fills.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.captures.iter().map(|(field, ..)| field.as_str())
    }

    /// The captured fields when `path` (percent-decoded, beginning with a slash) matches.
    pub fn matches(&self, path: &str) -> Option<Vec<Captured>> {
        let mut path = path.strip_prefix('/')?;
        if let Some(verb) = &self.verb {
            path = path.strip_suffix(verb.as_str())?.strip_suffix(':')?;
        }
        // Nearly every template of the table is asked in vain: nothing is collected before one fits.
        let mut parts = self.parts.iter();
        for segment in path.split('/') {
            let fits = match parts.next()? {
                Part::Literal(literal) => literal == segment,
                // Also nothing: a path that ends in a slash names a thing with an empty name, which is refused later.
                Part::Any => true,
            };
            if !fits {
                return None;
            }
        }
        if parts.next().is_some() {
            return None;
        }
        let found: Vec<&str> = path.split('/').collect();
        let take = |(field, from, to): &(String, usize, usize)| {
            let text = found.get(*from..*to).map(|parts| parts.join("/")).unwrap_or_default();
            (field.clone(), text)
        };
        Some(self.captures.iter().map(take).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(template: &str, path: &str) -> Option<Vec<Captured>> {
        Template::parse(template).matches(path)
    }

    #[test]
    fn a_capture_is_the_text_of_the_path() {
        let name = |text: &str| Some(vec![("name".to_owned(), text.to_owned())]);
        assert_eq!(one("/api/v1/{name=users/*}:getStats", "/api/v1/users/bob:getStats"), name("users/bob"));
        assert_eq!(one("/api/v1/{name=users/*}:getStats", "/api/v1/users/bob"), None);
        assert_eq!(one("/api/v1/{name=memos/*}/comments", "/api/v1/memos/x/comments"), name("memos/x"));
        assert_eq!(one("/api/v1/{name=memos/*}", "/api/v1/memos/x/y"), None);
        assert_eq!(one("/api/v1/{name=memos/*}", "/api/v1/memos/"), name("memos/"));
        assert_eq!(one("/api/v1/{name=memos/*}", "/api/v1/memos"), None);
        assert_eq!(
            one("/api/v1/shares/{share_token}/memo", "/api/v1/shares/t/memo"),
            Some(vec![("share_token".to_owned(), "t".to_owned())])
        );
    }

    #[test]
    fn verbs_stand_on_collections_too() {
        assert!(one("/api/v1/users:batchGet", "/api/v1/users:batchGet").is_some());
        assert!(one("/api/v1/memos/-/linkMetadata:batchGet", "/api/v1/memos/-/linkMetadata").is_none());
        assert!(one("/api/v1/users", "/api/v1/users/").is_none());
    }
}
