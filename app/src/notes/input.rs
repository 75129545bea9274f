//! What may come in: public ids, texts, names of things.

use domain::id::is_client_uid;
use domain::note::Location;
use serde_json::Value;
use store::TenantTx;
use store::tenant::settings;

use super::Error;

/// The smallest limit of a note's text, in bytes; what applies when the tenant set none.
const CONTENT_LIMIT: usize = 8192;

/// The public id that a client chose, or nothing when it leaves the choice to us.
pub fn chosen_uid(text: &str) -> Result<Option<&str>, Error> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if is_client_uid(text) {
        return Ok(Some(text));
    }
    Err(Error::invalid(
        "invalid UID: must be 1-36 characters, contain only letters, digits, or hyphens, \
         and start and end with a letter or digit",
    ))
}

/// Postgres text cannot hold a NUL.
pub fn refuse_nul(what: &str, text: &str) -> Result<(), Error> {
    if text.contains('\0') {
        return Err(Error::invalid(format!("{what} contains a NUL character (U+0000), which cannot be stored")));
    }
    Ok(())
}

/// Whether a place can be stored and shown: JSON has no word for what is no number.
pub fn check_place(place: &Location) -> Result<(), Error> {
    refuse_nul("location.placeholder", &place.placeholder)?;
    if place.latitude.is_finite() && place.longitude.is_finite() {
        return Ok(());
    }
    Err(Error::invalid("invalid location: latitude and longitude must be finite numbers"))
}

/// Whether a note's text must be held against the tenant's own limit.
pub fn is_long(content: &str) -> bool {
    content.len() > CONTENT_LIMIT
}

/// Refuses a text longer than the tenant allows. Only long texts need it ([`is_long`]).
pub async fn check_length(tx: &mut TenantTx, content: &str) -> Result<(), Error> {
    let set = settings::find_setting(tx, "MEMO_RELATED").await?;
    let limit = set.as_ref().and_then(|value| value.get("contentLengthLimit")).and_then(Value::as_u64).unwrap_or(0);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).max(CONTENT_LIMIT);
    if content.len() > limit {
        return Err(Error::invalid(format!("content too long (max {limit} characters)")));
    }
    Ok(())
}

fn id_after<'a>(name: &'a str, prefix: &str) -> Result<&'a str, String> {
    let Some(id) = name.strip_prefix(prefix) else { return Err(format!("invalid request {name:?}")) };
    if id.is_empty() {
        return Err(format!("invalid request {name:?} with empty prefix {prefix:?}"));
    }
    if id.contains('/') {
        return Err(format!("invalid request {name:?}"));
    }
    Ok(id)
}

/// `memos/{uid}` → uid.
pub fn memo_uid(name: &str) -> Result<&str, Error> {
    id_after(name, "memos/").map_err(|text| Error::invalid(format!("invalid memo name: {text}")))
}

/// `attachments/{uid}` → uid.
pub fn attachment_uid(name: &str) -> Result<&str, Error> {
    id_after(name, "attachments/").map_err(|text| Error::invalid(format!("invalid attachment id: {text}")))
}

/// `attachments/{uid}` → uid, where a note's files are named.
pub fn attached_uid(name: &str) -> Result<&str, Error> {
    id_after(name, "attachments/").map_err(|text| Error::invalid(format!("invalid attachment name: {text}")))
}

/// `memos/{uid}` → uid, where the other end of a relation is named.
pub fn related_uid(name: &str) -> Result<&str, Error> {
    id_after(name, "memos/").map_err(|text| Error::invalid(format!("invalid related memo name: {text}")))
}

/// `memos/{uid}/{kind}/{id}` → uid and id.
fn below_memo<'a>(name: &'a str, kind: &str) -> Option<(&'a str, &'a str)> {
    let mut parts = name.split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("memos"), Some(uid), Some(found), Some(id), None) if found == kind && !uid.is_empty() => Some((uid, id)),
        _ => None,
    }
}

/// `memos/{uid}/reactions/{number}` → uid and number.
pub fn reaction_id(name: &str) -> Result<(&str, i64), Error> {
    let (uid, id) = below_memo(name, "reactions")
        .ok_or_else(|| Error::invalid(format!("invalid reaction name: invalid request {name:?}")))?;
    let number =
        id.parse().map_err(|_| Error::invalid(format!("invalid reaction name: invalid reaction ID {id:?}")))?;
    Ok((uid, number))
}

/// `memos/{uid}/shares/{token}` → uid and token.
pub fn share_token(name: &str) -> Result<(&str, &str), Error> {
    below_memo(name, "shares").ok_or_else(|| Error::invalid(format!("invalid share name: invalid request {name:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_strictly() {
        assert_eq!(memo_uid("memos/a b").ok(), Some("a b"));
        let text = |result: Result<&str, Error>| result.err().map(|error| error.to_string());
        assert_eq!(text(memo_uid("x")).as_deref(), Some("invalid memo name: invalid request \"x\""));
        assert_eq!(
            text(memo_uid("memos/")).as_deref(),
            Some("invalid memo name: invalid request \"memos/\" with empty prefix \"memos/\"")
        );
        assert!(memo_uid("memos/a/b").is_err());
        assert_eq!(reaction_id("memos/a/reactions/7").ok(), Some(("a", 7)));
        assert!(reaction_id("memos/a/reactions/abc").is_err() && reaction_id("memos/a/shares/7").is_err());
    }

    #[test]
    fn chosen_ids_follow_the_rule() {
        assert_eq!(chosen_uid("  ").ok(), Some(None));
        assert_eq!(chosen_uid("rec-1").ok(), Some(Some("rec-1")));
        assert!(chosen_uid("bad_id").is_err() && chosen_uid("-x").is_err());
    }
}
