//! A text against another, word by word.

/// Words of a text beyond which single words are not compared.
const MOST: usize = 1_500;

/// A stretch of words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// In both.
    Same(String),
    /// Taken out.
    Out(String),
    /// Put in.
    In(String),
    /// More that both have, left out here.
    Left,
}

/// What became of `before` in `after`, with a word of context on each side; nothing when only white space differs.
///
/// # Errors
/// The number of words of both, when there are too many to compare.
pub fn words(before: &str, after: &str) -> Result<Vec<Piece>, (usize, usize)> {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.split_whitespace().collect(), after.split_whitespace().collect());
    if old.len() > MOST || new.len() > MOST {
        return Err((old.len(), new.len()));
    }
    let start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (old.get(start..).unwrap_or_default(), new.get(start..).unwrap_or_default());
    if old_rest.is_empty() && new_rest.is_empty() {
        return Ok(Vec::new());
    }
    let end = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old_middle, new_middle) = (
        old_rest.get(..old_rest.len() - end).unwrap_or_default(),
        new_rest.get(..new_rest.len() - end).unwrap_or_default(),
    );
    let mut out = Pieces::default();
    if let Some(last) = old.get(..start).and_then(<[&str]>::last) {
        if start > 1 {
            out.done.push(Piece::Left);
        }
        out.same.push(last);
    }
    steps(old_middle, new_middle, &mut out);
    if let Some(first) = old_rest.get(old_rest.len() - end..).and_then(<[&str]>::first) {
        out.both(first);
        out.flush();
        if end > 1 {
            out.done.push(Piece::Left);
        }
    }
    out.flush();
    Ok(out.done)
}

/// The same as one line: words taken out as `[-…-]`, put in as `{+…+}`.
pub fn line(before: &str, after: &str) -> String {
    let told = |piece: Piece| match piece {
        Piece::Same(text) => text,
        Piece::Out(text) => format!("[-{text}-]"),
        Piece::In(text) => format!("{{+{text}+}}"),
        Piece::Left => "…".to_owned(),
    };
    match words(before, after) {
        Ok(pieces) if pieces.is_empty() => "only white space differs".to_owned(),
        Ok(pieces) => pieces.into_iter().map(told).collect::<Vec<_>>().join(" "),
        Err((old, new)) => format!("{old} words before, {new} after"),
    }
}

/// Pieces in the making.
#[derive(Default)]
struct Pieces<'a> {
    done: Vec<Piece>,
    same: Vec<&'a str>,
    taken: Vec<&'a str>,
    put: Vec<&'a str>,
}

impl<'a> Pieces<'a> {
    fn both(&mut self, word: &'a str) {
        if !self.taken.is_empty() || !self.put.is_empty() {
            self.flush();
        }
        self.same.push(word);
    }

    fn flush(&mut self) {
        for (words, piece) in [
            (&mut self.same, Piece::Same as fn(String) -> Piece),
            (&mut self.taken, Piece::Out),
            (&mut self.put, Piece::In),
        ] {
            if !words.is_empty() {
                self.done.push(piece(words.join(" ")));
                words.clear();
            }
        }
    }
}

/// The longest common words of both, with what is between them.
fn steps<'a>(old: &[&'a str], new: &[&'a str], out: &mut Pieces<'a>) {
    let width = new.len() + 1;
    let mut longest = vec![0_u32; (old.len() + 1) * width];
    let at = |row: usize, column: usize| row * width + column;
    let get = |table: &[u32], row: usize, column: usize| table.get(at(row, column)).copied().unwrap_or_default();
    for (row, word) in old.iter().enumerate().rev() {
        for (column, other) in new.iter().enumerate().rev() {
            let best = if word == other {
                get(&longest, row + 1, column + 1) + 1
            } else {
                get(&longest, row + 1, column).max(get(&longest, row, column + 1))
            };
            if let Some(cell) = longest.get_mut(at(row, column)) {
                *cell = best;
            }
        }
    }
    let (mut row, mut column) = (0, 0);
    loop {
        match (old.get(row), new.get(column)) {
            (Some(word), Some(other)) if word == other => {
                out.both(word);
                (row, column) = (row + 1, column + 1);
            }
            (Some(word), other)
                if other.is_none() || get(&longest, row + 1, column) >= get(&longest, row, column + 1) =>
            {
                out.taken.push(word);
                row += 1;
            }
            (_, Some(other)) => {
                out.put.push(other);
                column += 1;
            }
            _ => break,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_taken_out_and_put_in_are_marked() {
        assert_eq!(line("one two three four", "one two 3 four"), "… two [-three-] {+3+} four");
        assert_eq!(line("a", "a b c"), "a {+b c+}");
        assert_eq!(line("a b c d e", "a c x e"), "a [-b-] c [-d-] {+x+} e");
        assert_eq!(line("a  b", "a b"), "only white space differs");
        assert_eq!(line("x", ""), "[-x-]");
        assert_eq!(line("a b c d", "x b c d"), "[-a-] {+x+} b …");
        let long = "w ".repeat(MOST + 1);
        assert_eq!(line(&long, "w"), format!("{} words before, 1 after", MOST + 1));
        let pieces = words("one two three", "one 2 three").unwrap();
        let (same, out, put) =
            (|t: &str| Piece::Same(t.to_owned()), Piece::Out("two".to_owned()), Piece::In("2".to_owned()));
        assert_eq!(pieces, [same("one"), out, put, same("three")]);
    }
}
