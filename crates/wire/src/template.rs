//! Path templates of REST bindings: `/api/v1/{name=users/*}:getStats`.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

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

/// A segment as it is meant.
fn decoded(segment: &str) -> Cow<'_, str> {
    percent_decode_str(segment).decode_utf8_lossy()
}

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

    /// The captured fields when `path` (as it was sent, beginning with a slash) matches. Percent-encoding is undone within
    /// segments: what decodes to a slash is in no name, nor is an encoded colon the one before a verb.
    pub fn matches(&self, path: &str) -> Option<Vec<Captured>> {
        let mut path = path.strip_prefix('/')?;
        if let Some(verb) = &self.verb {
            path = self.before_colon(path.strip_suffix(verb.as_str())?)?;
        }
        // Nearly every template of the table is asked in vain: nothing is collected before one fits.
        let mut parts = self.parts.iter();
        let coded = path.contains('%');
        for segment in path.split('/') {
            let fits = match parts.next()? {
                Part::Literal(literal) => literal == segment || coded && *literal == decoded(segment),
                // Also nothing: a path that ends in a slash names a thing with an empty name, which is refused later.
                Part::Any => !coded || !decoded(segment).contains('/'),
            };
            if !fits {
                return None;
            }
        }
        if parts.next().is_some() {
            return None;
        }
        let found: Vec<Cow<'_, str>> = path.split('/').map(decoded).collect();
        let take = |(field, from, to): &(String, usize, usize)| {
            let text = found.get(*from..*to).map(|parts| parts.join("/")).unwrap_or_default();
            (field.clone(), text)
        };
        Some(self.captures.iter().map(take).collect())
    }

    /// What stands before the colon of the verb. After a name it must be written as it is; after a word of the template some
    /// clients encode it.
    fn before_colon<'p>(&self, path: &'p str) -> Option<&'p str> {
        let after_word = matches!(self.parts.last(), Some(Part::Literal(_)));
        let coded = || path.strip_suffix("%3A").or_else(|| path.strip_suffix("%3a")).filter(|_| after_word);
        path.strip_suffix(':').or_else(coded)
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
    fn what_is_encoded_stays_within_its_segment() {
        let name = |text: &str| Some(vec![("name".to_owned(), text.to_owned())]);
        assert_eq!(one("/api/v1/{name=memos/*}", "/api/v1/mem%6Fs/zoo%2Dheadings"), name("memos/zoo-headings"));
        assert_eq!(one("/api/v1/{name=memos/*}/shares", "/api/v1/memos/x%2Fshares"), None);
        assert_eq!(one("/api/v1/{name=memos/*}", "/api/v1/memos/x%2Fshares"), None);
        assert_eq!(one("/api/v1/{name=memos/*/shares/*}", "/api/v1/memos/x/shares/t%2fu"), None);
        assert_eq!(one("/api/v1/{name=users/*}:getStats", "/api/v1/users/bob%3AgetStats"), None);
        assert_eq!(one("/api/v1/{name=users/*}", "/api/v1/users/bob%3AgetStats"), name("users/bob:getStats"));
        assert_eq!(one("/api/v1/{name=users/*}", "/api/v1/users/a%252Fb"), name("users/a%2Fb"));
        assert!(one("/api/v1/users:batchGet", "/api/v1/users%3AbatchGet").is_some());
    }

    #[test]
    fn verbs_stand_on_collections_too() {
        assert!(one("/api/v1/users:batchGet", "/api/v1/users:batchGet").is_some());
        assert!(one("/api/v1/memos/-/linkMetadata:batchGet", "/api/v1/memos/-/linkMetadata").is_none());
        assert!(one("/api/v1/users", "/api/v1/users/").is_none());
    }
}
