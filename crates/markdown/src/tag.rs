//! Where a `#tag` or an `@mention` ends: the grammar of Memos 0.30, on source text.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// Longest tag, in code points; what follows is plain text again.
const TAG_LIMIT: usize = 100;
/// Longest username.
const NAME_LIMIT: usize = 36;

/// Whether `c` may stand in a tag: letters, marks, numbers and symbols of every kind, and five more.
fn is_tag_char(c: char) -> bool {
    if c.is_ascii_alphanumeric() {
        return true;
    }
    matches!(c, '_' | '-' | '/' | '&' | '\u{200d}')
        || matches!(
            c.general_category_group(),
            GeneralCategoryGroup::Letter
                | GeneralCategoryGroup::Mark
                | GeneralCategoryGroup::Number
                | GeneralCategoryGroup::Symbol
        )
}

/// Length in bytes of the tag that opens `text`, its `#` included; none when there is no tag.
pub(crate) fn tag_length(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('#')?;
    let length: usize = rest.chars().take(TAG_LIMIT).take_while(|c| is_tag_char(*c)).map(char::len_utf8).sum();
    (length > 0).then_some(length + 1)
}

/// Length in bytes of the mention that opens `text`, its `@` included. `before` is the character to its left.
pub(crate) fn mention_length(before: Option<char>, text: &str) -> Option<usize> {
    let inside = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if before.is_some_and(|c| c.is_ascii() && inside(c as u8)) {
        return None;
    }
    let rest = text.strip_prefix('@')?;
    let length = rest.bytes().take_while(|b| inside(*b)).count();
    let name = rest.get(..length)?;
    let valid = (1..=NAME_LIMIT).contains(&length) && !name.starts_with('-') && !name.ends_with('-');
    valid.then_some(length + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_end_where_they_should() {
        let tag = |text: &'static str| tag_length(text).map(|length| &text[1..length]);
        assert_eq!(tag("#g++ x"), Some("g++"));
        assert_eq!(tag("#dog's"), Some("dog"));
        assert_eq!(tag("#x//y"), Some("x//y"));
        assert_eq!(tag("#100%"), Some("100"));
        assert_eq!(tag("#keycap1️⃣"), Some("keycap1️⃣"));
        assert_eq!(tag("#x\u{200d}y"), Some("x\u{200d}y"));
        assert_eq!(tag("#\u{200b}zw"), None);
        assert_eq!(tag("# x"), None);
        assert_eq!(tag("##x"), None);
        assert_eq!(tag("\u{ff03}x"), None);
        assert_eq!(tag_length(&format!("#{}", "é".repeat(300))), Some(201));
    }

    #[test]
    fn mentions_need_a_whole_name() {
        let name = |before, text: &'static str| mention_length(before, text).map(|length| &text[1..length]);
        assert_eq!(name(None, "@eve_x"), Some("eve"));
        assert_eq!(name(Some('_'), "@eve"), Some("eve"));
        assert_eq!(name(Some('i'), "@eve"), None);
        assert_eq!(name(None, "@eve-"), None);
        assert_eq!(name(None, "@"), None);
        assert_eq!(mention_length(None, &format!("@{}", "a".repeat(37))), None);
    }
}
