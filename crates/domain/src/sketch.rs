//! A sketch of a text: a few bits that tell of most texts that something is not in them, without reading them.
//!
//! Each three characters in a row set one bit. A text that contains another, as filters compare them ([`crate::filter`]), has
//! all bits of the other, of which a few are asked for. Sketches are stored, so neither the bits nor the folding may ever
//! change: letters of ASCII count in lower case, all others as they are, whatever Unicode says of their cases.

use crate::filter::cases_of;

/// Bytes of a sketch.
pub const BYTES: usize = 128;
/// How many bits are asked for.
pub const ASKED: usize = 6;

/// Bits of the number of a bit.
const NUMBER: u32 = (BYTES * 8).ilog2();
/// Bits that hold any character.
const CHARACTER: u32 = 21;

/// The sketch of a text. Bit `n` is bit `n % 8` of byte `n / 8`, the lowest first.
pub fn of_text(text: &str) -> [u8; BYTES] {
    let mut sketch = [0; BYTES];
    let mut before = [None; 2];
    for letter in text.chars() {
        if let [Some(first), Some(second)] = before {
            let bit = bit([first, second, letter]);
            if let Some(byte) = sketch.get_mut(bit / 8) {
                *byte |= 1 << (bit % 8);
            }
        }
        before = [before[1], Some(letter)];
    }
    sketch
}

/// Bits that the sketch of every text has which contains all of `needles`, without regard to case: those that fewest texts
/// are likely to have, the rarest first, so that most sketches are done with at the first; some of them more than once where
/// there are few. None where nothing can be said.
pub fn of_needles<'a>(needles: impl IntoIterator<Item = &'a str>) -> Option<[i64; ASKED]> {
    let mut bits: Vec<(u64, usize)> = Vec::new();
    for needle in needles {
        let letters: Vec<char> = needle.chars().collect();
        for three in letters.windows(3) {
            if let [first, second, third] = *three
                && [first, second, third].into_iter().all(is_one)
            {
                let bit = bit([first, second, third]);
                let often: u64 = [first, second, third].into_iter().map(frequency).product();
                match bits.iter_mut().find(|(_, known)| *known == bit) {
                    Some((known, _)) => *known = often.min(*known),
                    None => bits.push((often, bit)),
                }
            }
        }
    }
    if bits.is_empty() {
        return None;
    }
    bits.sort_by_key(|(often, _)| *often);
    let mut asked = [0; ASKED];
    for (at, place) in asked.iter_mut().enumerate() {
        *place = i64::try_from(bits.get(at % bits.len().min(ASKED))?.1).ok()?;
    }
    Some(asked)
}

/// How often a character is met in texts, in tenths of a percent: letters as in English prose, the rest by and large. Where
/// it is wrong, a search is slower, never wrong.
fn frequency(letter: char) -> u64 {
    const LETTERS: [u64; 26] =
        [82, 15, 28, 43, 127, 22, 20, 61, 70, 2, 8, 40, 24, 67, 75, 19, 1, 60, 63, 91, 28, 10, 24, 2, 20, 1];
    let letter = letter.to_ascii_lowercase();
    match letter {
        'a'..='z' => u32::from(letter).checked_sub(u32::from('a')).and_then(|at| LETTERS.get(at as usize)).copied(),
        ' ' => Some(180),
        '\n' => Some(30),
        _ if letter.is_ascii() => Some(8),
        _ => Some(5),
    }
    .unwrap_or(1)
}

/// Whether a letter looks the same in every text that contains it: no other is equal to it, or ASCII folds them.
fn is_one(letter: char) -> bool {
    letter.is_ascii() || cases_of(letter).is_empty()
}

/// The bit of three characters: the first bits of what the finalizer of SplitMix64 makes of the three as one number.
fn bit(three: [char; 3]) -> usize {
    let number = three
        .iter()
        .fold(0_u64, |number, letter| number << CHARACTER | u64::from(u32::from(letter.to_ascii_lowercase())));
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((mixed ^ (mixed >> 31)) >> (u64::BITS - NUMBER)) as usize
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::chance::Chance;
    use crate::filter::{cases_of, fold_case};

    fn has(sketch: &[u8; BYTES], bits: &[i64; ASKED]) -> bool {
        bits.iter().all(|bit| {
            let bit = usize::try_from(*bit).unwrap();
            sketch[bit / 8] >> (bit % 8) & 1 == 1
        })
    }

    /// Letters of many scripts, among them those whose cases are not plain.
    fn letter() -> impl Strategy<Value = char> {
        let odd: Vec<char> = "aAbkKsSiIıİſßẞ\u{212A}\u{212B}åÅéÉёЁлЛσςΣǆǅǄ会議1 _%\n\u{301}ꭰᎠ𐐀𐐨😀".chars().collect();
        prop_oneof![4 => prop::sample::select(odd), 1 => any::<char>()]
    }

    fn text(longest: usize) -> impl Strategy<Value = String> {
        prop::collection::vec(letter(), 0..longest).prop_map(String::from_iter)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn a_text_has_the_bits_of_what_it_contains(
            before in text(12), needle in text(12), after in text(12), picks in prop::collection::vec(any::<prop::sample::Index>(), 12),
        ) {
            // The same needle in other cases.
            let other: String = needle.chars().zip(&picks).map(|(letter, pick)| match cases_of(letter) {
                [] => letter,
                cases => *pick.get(cases),
            }).collect();
            prop_assert_eq!(fold_case(&other), fold_case(&needle));
            let whole = format!("{before}{other}{after}");
            prop_assert!(fold_case(&whole).contains(&fold_case(&needle)));
            if let Some(bits) = of_needles([needle.as_str(), after.as_str()]) {
                prop_assert!(has(&of_text(&whole), &bits), "{:?} in {:?}", needle, whole);
            }
        }
    }

    #[test]
    fn a_sketch_is_what_is_stored() {
        assert_eq!(
            (bit(['a', 'b', 'c']), bit(['A', 'B', 'c']), bit(['会', '議', '1'])),
            (STORED.0, STORED.0, STORED.1)
        );
        assert_eq!(of_needles(["ab", "ёлка", "é1"]), None);
        assert_eq!(of_needles(["abc"]), Some([i64::try_from(STORED.0).unwrap(); ASKED]));
        assert_eq!(of_text("ab"), [0; BYTES]);
    }

    #[test]
    fn the_rarest_is_asked_first() {
        let of = |three: &str| of_needles([three]).unwrap()[0];
        let asked = of_needles(["the Quiz"]).unwrap();
        assert_eq!(asked, ["qui", "uiz", " qu", "e q", "the", "he "].map(of));
        let asked = of_needles(["there and then 42"]).unwrap();
        assert_eq!(asked[..2], [" 42", "n 4"].map(of));
        assert!(!asked.contains(&of("the")), "of many only the rarest are asked for");
    }
    const STORED: (usize, usize) = (717, 202);

    /// Of texts of thirty words out of two thousand, few have the bits of a word that they do not have.
    #[test]
    fn a_sketch_tells_most_texts_apart() {
        let chance = Chance::seeded(20_261_124);
        let word = || (0..7).map(|_| char::from(b'a' + u8::try_from(chance.below(26)).unwrap())).collect::<String>();
        let words: Vec<String> = (0..2_000).map(|_| word()).collect();
        let text = || (0..30).map(|_| words[chance.below(2_000) as usize].as_str()).collect::<Vec<_>>().join(" ");
        let texts: Vec<String> = (0..500).map(|_| text()).collect();
        let sketches: Vec<_> = texts.iter().map(|text| of_text(text)).collect();
        let (mut without, mut taken) = (0, 0);
        for word in words.iter().step_by(40) {
            let bits = of_needles([word.as_str()]).unwrap();
            for (text, sketch) in texts.iter().zip(&sketches) {
                let contains = text.contains(word.as_str());
                assert!(!contains || has(sketch, &bits));
                without += usize::from(!contains);
                taken += usize::from(!contains && has(sketch, &bits));
            }
        }
        assert!(taken * 200 < without, "{taken} of {without} texts are taken for ones with the word");
    }
}
