//! XML as Go's library writes it, by which feeds are compared.

/// Text or the value of an attribute.
pub(super) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\t' => out.push_str("&#x9;"),
            '\n' => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            letter if is_allowed(letter) => out.push(letter),
            _ => out.push('\u{fffd}'),
        }
    }
    out
}

/// A section in which nothing is escaped.
pub(super) fn cdata(text: &str) -> String {
    let clean: String = text.chars().map(|letter| if is_allowed(letter) { letter } else { '\u{fffd}' }).collect();
    format!("<![CDATA[{}]]>", clean.replace("]]>", "]]]]><![CDATA[>"))
}

const fn is_allowed(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_its_element() {
        assert_eq!(text("a\"<&>'\n\u{1}"), "a&#34;&lt;&amp;&gt;&#39;&#xA;\u{fffd}");
        assert_eq!(cdata("x]]>y"), "<![CDATA[x]]]]><![CDATA[>y]]>");
    }
}
