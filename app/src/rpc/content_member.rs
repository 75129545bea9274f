//! Reading the JSON of an upload while it arrives: the member `content` is decoded from base64 piece by piece, the other
//! members are kept as a small JSON object.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// The most that the members beside `content` may take, in bytes.
const MOST_BESIDE: usize = 256 * 1024;

/// The text is no upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// The content is not base64.
    #[error("proto: invalid value for bytes field content: illegal base64 data")]
    NotBase64,
    /// Something beside the content takes too much.
    #[error("the members beside the content are longer than 256 KiB")]
    TooMuchBeside,
    /// There are two of them.
    #[error("proto: duplicate field \"content\"")]
    Twice,
    /// An escape in the content that stands for nothing base64 has.
    #[error("syntax error: invalid escape in content")]
    Escape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Outside of strings.
    Between,
    /// In a string that is a key at the top, or any other.
    Text { key: bool },
    /// In a string, behind a backslash.
    Escaped { key: bool },
    /// In the content.
    Content,
    /// In the content, behind a backslash.
    ContentEscaped,
    /// In the content, behind `\u` and so many digits.
    ContentCode(u8),
}

/// What reads the text; feed it piece by piece.
#[derive(Debug)]
pub(super) struct ContentMember {
    state: State,
    depth: usize,
    /// At the top: whether the next string is a key.
    expects_key: bool,
    key: Vec<u8>,
    /// The key before a colon was `content`.
    is_content: bool,
    seen: bool,
    beside: Vec<u8>,
    pending: Vec<u8>,
    padded: bool,
    code: u32,
}

impl ContentMember {
    pub(super) fn new() -> Self {
        Self {
            state: State::Between,
            depth: 0,
            expects_key: false,
            key: Vec::new(),
            is_content: false,
            seen: false,
            beside: Vec::new(),
            pending: Vec::new(),
            padded: false,
            code: 0,
        }
    }

    /// Takes the next piece of the text; appends what of the content it holds to `out`.
    pub(super) fn feed(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        let mut rest = piece;
        while let Some((&byte, after)) = rest.split_first() {
            if self.state == State::Content {
                // Runs of plain letters are by far the most of it.
                let plain = rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\')).count();
                if plain > 0 {
                    let (run, behind) = rest.split_at(plain);
                    self.base64(run)?;
                    self.decode(out)?;
                    rest = behind;
                    continue;
                }
            }
            self.step(byte)?;
            rest = after;
        }
        self.decode(out)
    }

    /// The other members as JSON text, `content` being empty, once everything was fed; the rest of the content goes to
    /// `out`.
    pub(super) fn finish(mut self, out: &mut Vec<u8>) -> Result<Vec<u8>, Malformed> {
        let rest = std::mem::take(&mut self.pending);
        if rest.len() == 1 {
            return Err(Malformed::NotBase64);
        }
        decode_into(&rest, out)?;
        Ok(self.beside)
    }

    fn keep(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.beside.len() >= MOST_BESIDE {
            return Err(Malformed::TooMuchBeside);
        }
        self.beside.push(byte);
        Ok(())
    }

    fn step(&mut self, byte: u8) -> Result<(), Malformed> {
        match self.state {
            State::Between => self.between(byte),
            State::Text { key } => {
                self.state = match byte {
                    b'\\' => State::Escaped { key },
                    b'"' => State::Between,
                    _ => State::Text { key },
                };
                if key && byte != b'"' {
                    self.key.push(byte);
                }
                self.keep(byte)
            }
            State::Escaped { key } => {
                self.state = State::Text { key };
                if key {
                    self.key.push(byte);
                }
                self.keep(byte)
            }
            State::Content => match byte {
                b'\\' => {
                    self.state = State::ContentEscaped;
                    Ok(())
                }
                b'"' => {
                    self.state = State::Between;
                    self.keep(byte)
                }
                other => self.base64(&[other]),
            },
            State::ContentEscaped => {
                self.state = State::Content;
                match byte {
                    b'/' => self.base64(b"/"),
                    b'n' | b'r' => Ok(()),
                    b'u' => {
                        (self.state, self.code) = (State::ContentCode(0), 0);
                        Ok(())
                    }
                    _ => Err(Malformed::Escape),
                }
            }
            State::ContentCode(digits) => {
                let digit = char::from(byte).to_digit(16).ok_or(Malformed::Escape)?;
                self.code = self.code * 16 + digit;
                if digits < 3 {
                    self.state = State::ContentCode(digits + 1);
                    return Ok(());
                }
                self.state = State::Content;
                let letter = u8::try_from(self.code).map_err(|_| Malformed::Escape)?;
                self.base64(&[letter])
            }
        }
    }

    fn between(&mut self, byte: u8) -> Result<(), Malformed> {
        match byte {
            b'{' | b'[' => {
                self.depth += 1;
                self.expects_key = self.depth == 1 && byte == b'{';
                self.is_content = false;
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            b',' if self.depth == 1 => (self.expects_key, self.is_content) = (true, false),
            b':' if self.depth == 1 => {
                (self.expects_key, self.is_content) = (false, self.key == b"content");
            }
            b'"' if self.is_content && self.depth == 1 => {
                if std::mem::replace(&mut self.seen, true) {
                    return Err(Malformed::Twice);
                }
                self.is_content = false;
                self.state = State::Content;
            }
            b'"' => {
                let key = self.depth == 1 && self.expects_key;
                if key {
                    self.key.clear();
                }
                self.state = State::Text { key };
            }
            _ => {}
        }
        self.keep(byte)
    }

    /// Letters of base64, either alphabet, padded or not.
    fn base64(&mut self, letters: &[u8]) -> Result<(), Malformed> {
        for letter in letters {
            match letter {
                b'=' => self.padded = true,
                b'\n' | b'\r' => {}
                _ if self.padded => return Err(Malformed::NotBase64),
                b'-' => self.pending.push(b'+'),
                b'_' => self.pending.push(b'/'),
                other => self.pending.push(*other),
            }
        }
        Ok(())
    }

    /// Decodes what is complete.
    fn decode(&mut self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let whole = self.pending.len() / 4 * 4;
        if whole == 0 {
            return Ok(());
        }
        let rest = self.pending.split_off(whole);
        decode_into(&self.pending, out)?;
        self.pending = rest;
        Ok(())
    }
}

fn decode_into(letters: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    STANDARD_NO_PAD.decode_vec(letters, out).map_err(|_| Malformed::NotBase64)
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    use super::*;

    fn read(text: &str, step: usize) -> Result<(Vec<u8>, serde_json::Value), Malformed> {
        let (mut reader, mut out) = (ContentMember::new(), Vec::new());
        for piece in text.as_bytes().chunks(step) {
            reader.feed(piece, &mut out)?;
        }
        let beside = reader.finish(&mut out)?;
        Ok((out, serde_json::from_slice(&beside).unwrap_or_default()))
    }

    #[test]
    fn content_is_decoded_however_it_is_cut_and_written() {
        let bytes: Vec<u8> = (0..=255).collect();
        for encoded in [STANDARD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            for written in
                [encoded.clone(), encoded.replace('/', "\\/").replace('=', "\\u003d").replace('+', "\\u002B")]
            {
                let text = format!(
                    r#"{{"filename":"a\"content\":.bin","x":{{"content":"no"}}, "content" : "{written}","type":"t"}}"#
                );
                for step in [1, 3, 7, 1000] {
                    let (content, beside) = read(&text, step).expect("an upload");
                    assert_eq!(content, bytes);
                    assert_eq!(beside["type"], "t");
                    assert_eq!(beside["content"], "");
                    assert_eq!(beside["x"]["content"], "no");
                }
            }
        }
    }

    #[test]
    fn what_is_no_upload_is_refused() {
        assert_eq!(read(r#"{"content":"ab*d"}"#, 9), Err(Malformed::NotBase64));
        assert_eq!(read(r#"{"content":"a"}"#, 9), Err(Malformed::NotBase64));
        assert_eq!(read(r#"{"content":"YQ==YQ=="}"#, 9), Err(Malformed::NotBase64));
        assert_eq!(read(r#"{"content":"YQ","content":"YQ"}"#, 9), Err(Malformed::Twice));
        assert_eq!(read(r#"{"content":"\x"}"#, 9), Err(Malformed::Escape));
        assert_eq!(read(&format!(r#"{{"filename":"{}"}}"#, "x".repeat(300_000)), 4096), Err(Malformed::TooMuchBeside));
        assert_eq!(read(r#"{"filename":"x","content":null}"#, 5).map(|(content, _)| content.len()), Ok(0));
    }
}
