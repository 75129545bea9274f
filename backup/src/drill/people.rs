//! People of the copy: a drill member with a password, and a short-lived token for every member who wrote something.
//! They exist in the copy only.

use std::collections::{BTreeSet, HashMap};

use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use domain::chance::Chance;
use domain::clock::Clock;
use domain::id::MemberId;
use domain::member::{Member, Role};
use sha2::{Digest, Sha256};
use store::tenant::members::{find_member, insert_member, update_member};
use store::tenant::tokens::{AccessToken, insert_token};
use store::{Store, TenantScope};

use crate::error::Error;

/// What personal access tokens begin with.
const PREFIX: &str = "memos_pat_";
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
/// Tokens end after an hour, should the copy outlive its drill.
const LIFETIME_NS: i64 = 3_600_000_000_000;

/// Who may ask the copy, and how they show it.
pub(super) struct People {
    pub(super) username: String,
    pub(super) password: String,
    /// Tokens by member.
    pub(super) tokens: HashMap<i64, String>,
}

/// Makes the drill member and a token for each of `writers`. Archived writers are let in again, missing ones made.
pub(super) async fn mint(
    store: &Store,
    scope: &TenantScope,
    writers: &BTreeSet<i64>,
    clock: &Clock,
    chance: &Chance,
) -> Result<People, Error> {
    let username = format!("drill-{}", chance.text(b"abcdefghijkmnpqrstuvwxyz23456789", 10));
    let password = chance.text(LETTERS, 32);
    let mut tx = store.begin(scope);
    tx.touch().await?;
    let id = MemberId(tx.next_id().await?);
    insert_member(&mut tx, &member(id, &username, clock), &hash(&password, chance)?).await?;
    let mut tokens = HashMap::new();
    for writer in writers {
        let id = MemberId(*writer);
        match find_member(&mut tx, id).await? {
            Some(found) if found.archived => {
                let name = found.username.clone();
                update_member(&mut tx, &name, &Member { archived: false, ..found }).await?;
            }
            Some(_) => {}
            None => insert_member(&mut tx, &member(id, &format!("gone-{writer}"), clock), "").await?,
        }
        let secret = format!("{PREFIX}{}", chance.text(LETTERS, 40));
        let token = AccessToken {
            token_id: chance.uuid().to_string(),
            member_id: id,
            description: "drill".to_owned(),
            created_ns: clock.nanos(),
            expires_ns: Some(clock.nanos().saturating_add(LIFETIME_NS)),
            last_used_ns: None,
            scope: "admin".to_owned(),
        };
        insert_token(&mut tx, &token, &hex::encode(Sha256::digest(secret.as_bytes()))).await?;
        tokens.insert(*writer, secret);
    }
    tx.commit().await?;
    Ok(People { username, password, tokens })
}

fn member(id: MemberId, username: &str, clock: &Clock) -> Member {
    Member {
        id,
        username: username.to_owned(),
        role: Role::Member,
        archived: false,
        email: String::new(),
        display_name: String::new(),
        avatar: String::new(),
        description: String::new(),
        created_ts: clock.seconds(),
        updated_ts: clock.seconds(),
    }
}

/// A light hash: the password is 32 random letters and lives for one drill.
fn hash(password: &str, chance: &Chance) -> Result<String, Error> {
    let failed = |what: String| Error::Refused(format!("the drill member's password cannot be hashed: {what}"));
    let params = Params::new(1024, 1, 1, None).map_err(|error| failed(error.to_string()))?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_with_salt(password.as_bytes(), &chance.bytes::<16>())
        .map(|hash| hash.to_string())
        .map_err(|error| failed(error.to_string()))
}
