//! What must have come of a database that `old` built.

use sha2::{Digest as _, Sha256};

use crate::common::Imported;
use crate::old::{Old, USERS};

impl Old {
    /// Everything that was put in is there.
    pub(crate) fn compare(&self, imported: &Imported) {
        let at = format!("0.{}", self.n);
        let members = imported.table("member");
        assert_eq!(members.len() as i64, USERS, "{at}");
        for id in 1..=USERS {
            let row = members.iter().find(|row| row["id"] == id).unwrap();
            assert!(
                bcrypt::verify(format!("pass-{id}"), row["password_hash"].as_str().unwrap()).unwrap(),
                "{at} {row}"
            );
            assert_eq!(
                (row["username"].as_str(), row["display_name"].as_str()),
                (Some(&*format!("user{id}@example.org")), Some(&*format!("Näme {id}"))),
                "{at}"
            );
            assert_eq!(
                (row["archived"].as_bool(), row["role"].as_str()),
                (Some(id == 3), Some(if id == 1 { "owner" } else { "member" })),
                "{at}"
            );
        }
        let notes = imported.table("note");
        assert_eq!(notes.len(), self.notes.len(), "{at}");
        for (id, (content, visibility, archived, creator, uid)) in &self.notes {
            let row = notes.iter().find(|row| row["id"] == *id).unwrap();
            assert_eq!(row["content"], content.as_str(), "{at}");
            assert_eq!(
                (row["visibility"].as_str(), row["archived"].as_bool(), row["creator_id"].as_i64()),
                (Some(visibility.as_str()), Some(*archived), Some(*creator)),
                "{at} {id}"
            );
            assert_eq!(row["pinned"], self.pinned.contains(id), "{at} pin of {id}");
            assert_eq!(row["parent_id"].as_i64(), self.comments.get(id).copied(), "{at} parent of {id}");
            if let Some(uid) = uid {
                assert_eq!(row["uid"], uid.as_str(), "{at}");
            }
        }
        self.compare_files(imported, &at);
        let relations = imported.table("note_relation");
        assert_eq!(relations.len(), self.references + self.comments.len(), "{at}");
        let reactions = imported.table("reaction");
        for (note, emoji) in &self.reactions {
            assert!(
                reactions.iter().any(|row| row["note_id"] == *note && row["reaction"] == *emoji),
                "{at} {note} {emoji}"
            );
        }
        assert_eq!(reactions.len(), self.reactions.len(), "{at}");
        assert_eq!(imported.table("member_identity").len(), self.identities, "{at}");
        assert_eq!(imported.table("notification").len(), self.notices, "{at}");
        if let Some(hash) = &self.token {
            assert!(imported.table("access_token").iter().any(|row| row["token_hash"] == hash.as_str()), "{at} token");
        }
        if let Some(share) = &self.share {
            assert!(imported.table("note_share").iter().any(|row| row["token"] == share.as_str()), "{at} share");
        }
        self.compare_settings(imported, &at);
    }

    fn compare_files(&self, imported: &Imported, at: &str) {
        let rows = imported.table("attachment");
        let wanted: usize = self.files.values().map(|(notes, _)| notes.len().max(1)).sum();
        assert_eq!(rows.len(), wanted, "{at}: files");
        for (id, (notes, held)) in &self.files {
            let row = rows.iter().find(|row| row["id"] == *id).unwrap();
            match held {
                Ok(bytes) => assert_eq!(row["sha256"], hex::encode(Sha256::digest(bytes)), "{at}: file {id}"),
                Err(link) => assert_eq!(row["external_link"], link.as_str(), "{at}: file {id}"),
            }
            for note in notes {
                let there = rows.iter().any(|other| other["note_id"] == *note && other["filename"] == row["filename"]);
                assert!(there, "{at}: file {id} on note {note}");
            }
        }
    }

    fn compare_settings(&self, imported: &Imported, at: &str) {
        let setting = |key: &str| {
            let rows = imported.table("member_setting");
            rows.iter().find(|row| row["member_id"] == 2 && row["key"] == key).map(|row| row["value"].clone())
        };
        if self.n >= 4 {
            assert_eq!(setting("GENERAL").unwrap()["memoVisibility"], "PUBLIC", "{at}");
        }
        for tag in &self.tags {
            assert!(setting("TAGS").unwrap()["tags"].get(tag).is_some(), "{at}: tag {tag}");
        }
        for url in &self.webhooks {
            assert_eq!(setting("WEBHOOKS").unwrap()["webhooks"][0]["url"], url.as_str(), "{at}");
        }
        for title in &self.shortcuts {
            let view = &setting("SHORTCUTS").unwrap()["shortcuts"][0];
            assert_eq!(view["title"], title.as_str(), "{at}");
            domain::filter::parse(view["filter"].as_str().unwrap(), 0)
                .unwrap_or_else(|err| panic!("{at}: {view}: {err}"));
        }
        if self.n >= 5 {
            let basic = imported.table("setting").iter().find(|row| row["key"] == "BASIC").unwrap();
            assert_eq!(basic["value"]["secretKey"], "secret", "{at}");
        }
    }
}
