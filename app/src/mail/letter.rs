//! What a mail says.

use std::time::SystemTime;

use lettre::address::{Address, Envelope};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use wire::v1::instance_setting::notification_setting::EmailSetting;

use super::smtp::Error;

/// The longest subject and text line made of what members wrote, in letters.
const LONGEST: usize = 200;

/// A mail ready to be sent.
#[derive(Clone, Debug)]
pub struct Letter {
    pub(super) envelope: Envelope,
    pub(super) text: Vec<u8>,
}

/// What a mail is made of.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    /// The address it goes to.
    pub to: &'a str,
    /// What it is about.
    pub subject: &'a str,
    /// What it says.
    pub text: &'a str,
    /// The same on every try: what stands between the angle brackets.
    pub message_id: &'a str,
    /// When it was written.
    pub at: SystemTime,
}

impl Letter {
    /// A plain mail from whom the setting names.
    ///
    /// # Errors
    /// An address is none.
    pub fn new(setting: &EmailSetting, words: Words<'_>) -> Result<Self, Error> {
        let from = address("from email", &setting.from_email)?;
        let to = address("recipient email", words.to)?;
        let name = Some(one_line(&setting.from_name)).filter(|name| !name.is_empty());
        let mut letter = Message::builder()
            .from(Mailbox::new(name, from.clone()))
            .to(Mailbox::new(None, to.clone()))
            .subject(one_line(words.subject))
            .date(words.at)
            .message_id(Some(format!("<{}>", words.message_id)))
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN);
        if !setting.reply_to.trim().is_empty() {
            letter = letter.reply_to(Mailbox::new(None, address("reply to", &setting.reply_to)?));
        }
        let unfit = |cause: lettre::error::Error| Error::Invalid(cause.to_string());
        let message = letter.body(words.text.to_owned()).map_err(unfit)?;
        let envelope = Envelope::new(Some(from), vec![to]).map_err(unfit)?;
        Ok(Self { envelope, text: message.formatted() })
    }
}

fn address(what: &str, text: &str) -> Result<Address, Error> {
    text.trim().parse().map_err(|_| Error::Invalid(format!("{what} is not an e-mail address")))
}

/// Text on one line and not too long of it: no header is made by a line break in a name.
pub(super) fn one_line(text: &str) -> String {
    let plain: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    plain.trim().chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(from_name: &str) -> EmailSetting {
        EmailSetting { from_email: "notes@example.org".into(), from_name: from_name.into(), ..Default::default() }
    }

    fn words<'a>(to: &'a str, subject: &'a str) -> Words<'a> {
        Words { to, subject, text: "ü\n.\nend\n", message_id: "1@example.org", at: SystemTime::UNIX_EPOCH }
    }

    #[test]
    fn a_line_break_makes_no_header() {
        let letter =
            Letter::new(&setting("N\r\nBcc: x@example.org"), words("ann@example.org", "Hi\r\nX-Evil: 1")).unwrap();
        let text = String::from_utf8(letter.text).unwrap();
        let head: Vec<&str> = text.split("\r\n\r\n").next().unwrap().split("\r\n").collect();
        assert!(!head.iter().any(|line| line.starts_with("Bcc") || line.starts_with("X-Evil")), "{head:#?}");
        assert!(head.contains(&"Message-ID: <1@example.org>") && head.contains(&"Auto-Submitted: auto-generated"));
        assert_eq!(letter.envelope.to().len(), 1);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in ["", "ann", "ann@", "a\r\nRCPT TO:<b@example.org>", "<ann@example.org>\r\nDATA", "ann@exa mple.org"]
        {
            assert!(Letter::new(&setting(""), words(bad, "s")).is_err(), "{bad:?}");
        }
    }
}
