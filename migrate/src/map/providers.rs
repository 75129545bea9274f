//! `idp` → `identity_provider`, `user_identity` → `member_identity`.

use serde_json::Value as Json;

use crate::reader::rows::Record;
use crate::table::Cell;

/// The public id of a provider: before 0.27 there was none, and 0.27 gave each its number in hex.
pub fn provider_uid(id: i64, uid: &str) -> String {
    if uid.trim().is_empty() { format!("{id:08x}") } else { uid.trim().to_owned() }
}

/// As cells of `table::IDENTITY_PROVIDER`.
pub fn provider_cells(id: i64, uid: String, record: &mut Record) -> Vec<Cell> {
    let mut config = record.json("config");
    // 0.30's own shape is the OAuth2 object itself; wire clients wrap it.
    if let Some(inner) = config.get_mut("oauth2Config").map(Json::take) {
        config = inner;
    }
    let kind = record.text("type");
    vec![
        id.into(),
        uid.into(),
        record.text("name").into(),
        if kind.is_empty() { "OAUTH2".into() } else { kind.into() },
        record.text("identifier_filter").into(),
        config.into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_without_an_id_get_their_number() {
        assert_eq!(provider_uid(26, ""), "0000001a");
        assert_eq!(provider_uid(26, "abc"), "abc");
    }
}
