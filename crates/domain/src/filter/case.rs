//! How letters are compared without regard to case: the same in memory and in the SQL that `store` makes.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Beyond this no letter has two cases.
const LAST_CASED: u32 = 0x1_EA00;

/// Lower case, letter by letter and in every script. No letter beyond ASCII becomes one of ASCII (the sign of Kelvin, the
/// capital I with a dot), so that a text of ASCII letters can be looked for byte by byte.
pub fn fold_case(text: &str) -> String {
    text.chars().map(fold_letter).collect()
}

fn fold_letter(letter: char) -> char {
    match letter.to_lowercase().next() {
        Some(lower) if letter.is_ascii() || !lower.is_ascii() => lower,
        _ => letter,
    }
}

/// Lower case of ASCII letters only: how tags are compared.
pub fn fold_ascii(text: &str) -> String {
    text.to_ascii_lowercase()
}

/// Letters that [`fold_case`] makes the same, by what it makes of them.
static CASES: LazyLock<HashMap<char, Vec<char>>> = LazyLock::new(|| {
    let mut cases: HashMap<char, Vec<char>> = HashMap::new();
    for letter in (0..LAST_CASED).filter_map(char::from_u32) {
        let lower = fold_letter(letter);
        if lower != letter {
            cases.entry(lower).or_insert_with(|| vec![lower]).push(letter);
        }
    }
    cases
});

/// All letters that equal `letter` without regard to case, itself among them; none where it has one form only.
pub fn cases_of(letter: char) -> &'static [char] {
    CASES.get(&fold_letter(letter)).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_know_their_cases() {
        assert_eq!(cases_of('A'), ['a', 'A']);
        assert_eq!(cases_of('ё'), ['ё', 'Ё']);
        assert_eq!(cases_of('ǅ'), ['ǆ', 'Ǆ', 'ǅ']);
        assert!(cases_of('会').is_empty() && cases_of('1').is_empty());
        assert_eq!(cases_of('k'), ['k', 'K'], "not the sign of Kelvin");
        assert_eq!(fold_case("ЁLKA \u{212A} \u{130}"), "ёlka \u{212A} \u{130}");
    }
}
