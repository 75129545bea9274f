//! The second factor of local accounts: codes of an authenticator app (RFC 6238: SHA-1, six digits, thirty seconds), and
//! recovery codes for the day the phone is lost.

use domain::chance::Chance;
use domain::id::MemberId;
use domain::member::Member;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use sha1::Sha1;
use store::TenantScope;
use store::tenant::{factors, members};

use crate::actor::MemberActor;
use crate::error::{Refusal, Why};
use crate::sign_in::{Client, PageSession, Proven, audit};
use crate::signing::token_hash;
use crate::{Error, Identity};

/// How long a code is good, in seconds.
const STEP: i64 = 30;
/// How many steps clocks may differ.
const SKEW: i64 = 1;
/// How long the page waits for a code, in seconds.
const PENDING_SECONDS: i64 = 300;
const RECOVERY_CODES: usize = 10;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Letters of recovery codes: nothing that looks like something else.
const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
const PURPOSE: &str = "second factor";

/// What an authenticator app is given.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// The secret in base32, to be typed.
    pub secret: String,
    /// The same with everything else, as a link or picture: `otpauth://totp/…`.
    pub uri: String,
}

/// Where a member stands with his second factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Factor {
    /// There is none.
    Off,
    /// It is being set up with this secret.
    Begun(String),
    /// It is in force, with so many recovery codes left.
    On(usize),
}

impl Identity {
    /// Where the member stands with his second factor.
    pub async fn factor(&self, scope: &TenantScope, member: MemberId) -> Result<Factor, Error> {
        let mut tx = self.store.begin(scope);
        let found = factors::find_totp(&mut tx, member).await?;
        tx.commit().await?;
        Ok(match found {
            None => Factor::Off,
            Some(totp) if totp.confirmed_ts.is_some() => Factor::On(totp.recovery.len()),
            Some(totp) => Factor::Begun(totp.secret),
        })
    }

    /// Begins to set up a second factor, after the member has given his password. Audit: `factor.begun`.
    pub async fn begin_factor(
        &self,
        scope: &TenantScope,
        actor: &MemberActor,
        password: &str,
        client: &Client,
    ) -> Result<Enrolment, Error> {
        let member = self.confirm_password(scope, actor, password, client).await?;
        let secret = base32(&self.chance.bytes::<20>());
        let mut tx = self.store.begin(scope);
        tx.touch().await?;
        if !factors::begin_totp(&mut tx, member.id, &secret).await? {
            return Err(Refusal::new(Why::Precondition, "a second factor is in force; end it first").into());
        }
        audit(&mut tx, &member, "factor.begun", json!({})).await?;
        tx.commit().await?;
        Ok(enrolment(&secret, &member.username, scope.tenant().slug.as_str()))
    }

    /// Puts the second factor in force by its first code: the recovery codes, shown this once. Audit: `factor.on`.
    pub async fn confirm_factor(
        &self,
        scope: &TenantScope,
        actor: &MemberActor,
        code: &str,
        client: &Client,
    ) -> Result<Vec<String>, Error> {
        let (attempt, count) = self.begin_attempt(scope, &throttled(&actor.member.username), client.address).await?;
        let outcome = self.confirmed(scope, actor, code).await;
        self.end_attempt(scope, &attempt, count, &outcome).await?;
        outcome
    }

    async fn confirmed(&self, scope: &TenantScope, actor: &MemberActor, code: &str) -> Result<Vec<String>, Error> {
        let mut tx = self.store.begin(scope);
        tx.touch().await?;
        let begun = factors::find_totp(&mut tx, actor.id()).await?.filter(|totp| totp.confirmed_ts.is_none());
        let Some(begun) = begun else {
            return Err(Refusal::new(Why::Precondition, "no second factor is being set up; begin again").into());
        };
        let Some(step) = fitting_step(&begun.secret, code.trim(), self.clock.seconds()) else {
            let message = "that code does not fit; look at the clock of your phone and type the newest code";
            return Err(Refusal::new(Why::Invalid, message).into());
        };
        let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| recovery_code(&self.chance)).collect();
        let hashes: Vec<String> = codes.iter().map(|code| token_hash(&plain(code))).collect();
        factors::confirm_totp(&mut tx, actor.id(), step, &json!(hashes), self.clock.seconds()).await?;
        audit(&mut tx, &actor.member, "factor.on", json!({})).await?;
        tx.commit().await?;
        Ok(codes)
    }

    /// Ends the second factor, after the member has given his password. Audit: `factor.off`.
    pub async fn end_factor(
        &self,
        scope: &TenantScope,
        actor: &MemberActor,
        password: &str,
        client: &Client,
    ) -> Result<bool, Error> {
        let member = self.confirm_password(scope, actor, password, client).await?;
        let mut tx = self.store.begin(scope);
        tx.touch().await?;
        let gone = factors::delete_totp(&mut tx, member.id).await?;
        if gone {
            audit(&mut tx, &member, "factor.off", json!({"by": member.username})).await?;
        }
        tx.commit().await?;
        Ok(gone)
    }

    /// What the page keeps between password and code.
    pub(crate) async fn pending(&self, scope: &TenantScope, member: &Member) -> Result<String, Error> {
        let until = self.clock.seconds() + PENDING_SECONDS;
        Ok(self.signing_key(scope).await?.seal(PURPOSE, until, &member.id.to_string()))
    }

    /// Ends a sign-in on a page that waits for a code: six digits, or a recovery code. Audit: `signin.made` or
    /// `signin.failed`, `factor.recovery_used`.
    pub async fn second_factor_page(
        &self,
        scope: &TenantScope,
        pending: &str,
        code: &str,
        client: &Client,
    ) -> Result<PageSession, Error> {
        let opened = self.signing_key(scope).await?.open(PURPOSE, self.clock.seconds(), pending);
        let member = opened.and_then(|text| text.parse().ok()).map(MemberId);
        let Some(id) = member else {
            return Err(Refusal::new(Why::Invalid, "that took too long; sign in again").into());
        };
        let mut tx = self.store.begin(scope);
        let found = members::find_member(&mut tx, id).await?;
        tx.commit().await?;
        let Some(member) = found.filter(|member| !member.archived) else { return Err(Error::Unmatched) };
        let (attempt, count) = self.begin_attempt(scope, &throttled(&member.username), client.address).await?;
        let outcome = self.take_code(scope, &member, code, client).await;
        self.end_attempt(scope, &attempt, count, &outcome).await?;
        outcome?;
        self.enter_page(scope, Proven::by_password(member), client).await
    }

    /// Uses up a code of the member.
    pub(crate) async fn take_code(
        &self,
        scope: &TenantScope,
        member: &Member,
        code: &str,
        client: &Client,
    ) -> Result<(), Error> {
        let code = plain(code);
        let mut tx = self.store.begin(scope);
        tx.touch().await?;
        let Some(totp) = factors::find_totp(&mut tx, member.id).await? else { return Err(wrong_code()) };
        let by_app = code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit());
        let taken = if by_app {
            match fitting_step(&totp.secret, &code, self.clock.seconds()) {
                Some(step) => factors::take_step(&mut tx, member.id, step).await?,
                None => false,
            }
        } else {
            let taken = factors::take_recovery(&mut tx, member.id, &token_hash(&code)).await?;
            if taken {
                let left = totp.recovery.len().saturating_sub(1);
                audit(&mut tx, member, "factor.recovery_used", json!({"left": left})).await?;
            }
            taken
        };
        if !taken {
            drop(tx);
            self.tell_failure(scope, &member.username, client, "second factor wrong or used").await?;
            return Err(wrong_code());
        }
        tx.commit().await?;
        Ok(())
    }
}

fn wrong_code() -> Error {
    Refusal::new(Why::Invalid, "that code is wrong or was used already; wait for the next one").into()
}

/// What clients of the API read, which have no field for a code.
pub(crate) fn factor_missing() -> Error {
    let message = "this account has a second factor: add the six digits of your authenticator app to the end of the \
                   password, or use a personal access token";
    Refusal::new(Why::Denied, message).into()
}

/// Under which name wrong codes are counted: apart from wrong passwords.
fn throttled(username: &str) -> String {
    format!("{username}\ncode")
}

/// A password and the six digits behind it.
pub(crate) fn split_code(password: &str) -> Option<(&str, &str)> {
    let at = password.len().checked_sub(6).filter(|at| *at > 0)?;
    let (before, code) = (password.get(..at)?, password.get(at..)?);
    code.bytes().all(|byte| byte.is_ascii_digit()).then_some((before, code))
}

/// A code as it is compared: lower case, without the spaces and hyphens that people type.
fn plain(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

fn recovery_code(chance: &Chance) -> String {
    format!("{}-{}", chance.text(LETTERS, 5), chance.text(LETTERS, 5))
}

fn enrolment(secret: &str, username: &str, slug: &str) -> Enrolment {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let (slug, name) = (encoded(slug), encoded(username));
    let uri =
        format!("otpauth://totp/{slug}:{name}?secret={secret}&issuer={slug}&algorithm=SHA1&digits=6&period={STEP}");
    Enrolment { secret: secret.to_owned(), uri }
}

/// The link of a secret that is being set up.
pub fn enrolment_of(secret: &str, username: &str, slug: &str) -> Enrolment {
    enrolment(secret, username, slug)
}

/// The time step near now whose code this is.
fn fitting_step(secret: &str, code: &str, now: i64) -> Option<i64> {
    let key = from_base32(secret)?;
    let present = now.div_euclid(STEP);
    (present - SKEW..=present + SKEW).find(|step| code_of(&key, *step).is_some_and(|right| right == code))
}

/// The code of a time step.
fn code_of(key: &[u8], step: i64) -> Option<String> {
    let mut mac = <Hmac<Sha1> as KeyInit>::new_from_slice(key).ok()?;
    mac.update(&step.to_be_bytes());
    let digest: [u8; 20] = mac.finalize().into_bytes().into();
    let from = usize::from(digest[19] & 0x0f);
    let four: [u8; 4] = digest.get(from..from + 4)?.try_into().ok()?;
    Some(format!("{:06}", (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000))
}

/// The code that an authenticator app would show, for tests and rehearsals.
pub fn code_at(secret: &str, seconds: i64) -> Option<String> {
    code_of(&from_base32(secret)?, seconds.div_euclid(STEP))
}

fn base32(bytes: &[u8]) -> String {
    let mut out = String::new();
    let (mut buffer, mut bits) = (0_u32, 0_u32);
    for byte in bytes {
        buffer = (buffer << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            out.push(char::from(BASE32[((buffer >> bits) & 31) as usize]));
        }
    }
    if bits > 0 {
        out.push(char::from(BASE32[((buffer << (5 - bits)) & 31) as usize]));
    }
    out
}

fn from_base32(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut buffer, mut bits) = (0_u32, 0_u32);
    for letter in text.bytes() {
        let value = BASE32.iter().position(|known| *known == letter)?;
        buffer = ((buffer << 5) | value as u32) & 0xffff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            out.push(((buffer >> bits) & 0xff) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238, appendix B, cut to six digits.
        let secret = base32(b"12345678901234567890");
        for (seconds, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
        {
            assert_eq!(code_at(&secret, seconds).as_deref(), Some(code), "{seconds}");
        }
    }

    #[test]
    fn base32_comes_back() {
        for bytes in [&b""[..], b"f", b"foobar", &[0, 255, 1, 254, 7]] {
            assert_eq!(from_base32(&base32(bytes)).unwrap(), bytes);
        }
        assert_eq!(base32(b"foobar"), "MZXW6YTBOI");
        assert_eq!(from_base32("1"), None);
    }

    #[test]
    fn a_code_at_the_end_of_a_password() {
        assert_eq!(split_code("secret123456"), Some(("secret", "123456")));
        for none in ["123456", "secret", "secret12345x", ""] {
            assert_eq!(split_code(none), None, "{none}");
        }
    }
}
