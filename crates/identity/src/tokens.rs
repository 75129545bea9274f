//! Personal access tokens: made, listed, revoked by the member they belong to.

use domain::member::Member;
use serde_json::json;
use store::TenantScope;
use store::tenant::tokens::{self, AccessToken};

use crate::actor::{MemberActor, TokenScope};
use crate::error::{Refusal, Why};
use crate::sign_in::audit;
use crate::signing::token_hash;
use crate::{Error, Identity};

/// What every personal access token begins with.
pub const TOKEN_PREFIX: &str = "memos_pat_";

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const DAY_NS: i64 = 86_400 * 1_000_000_000;
const LONGEST_NAME: usize = 512;
const LONGEST_DAYS: i64 = 36_500;

/// A token to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewToken<'a> {
    /// What its owner calls it.
    pub description: &'a str,
    /// Days until it ends; 0 or less: never.
    pub days: i64,
    /// What it may.
    pub scope: TokenScope,
}

/// A token just made: the only moment at which its text is known.
#[derive(Clone, Debug)]
pub struct TokenMade {
    /// Its row.
    pub row: AccessToken,
    /// Its text, to be shown once.
    pub secret: String,
}

impl Identity {
    /// Makes a token for the member himself. Audit: `token.created`.
    pub async fn create_token(
        &self,
        scope: &TenantScope,
        actor: &MemberActor,
        new: NewToken<'_>,
    ) -> Result<TokenMade, Error> {
        if actor.is_limited() {
            return Err(Refusal::new(Why::Denied, "this token may not make tokens").into());
        }
        self.create_token_for(scope, &actor.member, new).await
    }

    /// Makes a token for a member on a command's behalf. Audit: `token.created`.
    pub async fn create_token_for(
        &self,
        scope: &TenantScope,
        member: &Member,
        new: NewToken<'_>,
    ) -> Result<TokenMade, Error> {
        if new.description.len() > LONGEST_NAME || new.description.contains('\0') {
            return Err(Error::UnfitToken("a token's description must have at most 512 bytes and no NUL"));
        }
        if new.days > LONGEST_DAYS {
            return Err(Error::UnfitToken("a token lives at most 36500 days; 0 means without end"));
        }
        let secret = format!("{TOKEN_PREFIX}{}", self.chance.text(ALPHABET, 32));
        let now = self.clock.nanos();
        let row = AccessToken {
            token_id: self.chance.uuid().to_string(),
            member_id: member.id,
            description: new.description.to_owned(),
            created_ns: now,
            expires_ns: (new.days > 0).then(|| now.saturating_add(new.days.saturating_mul(DAY_NS))),
            last_used_ns: None,
            scope: new.scope.as_str().to_owned(),
        };
        let mut tx = self.store.begin(scope);
        tx.touch().await?;
        tokens::insert_token(&mut tx, &row, &token_hash(&secret)).await?;
        audit(
            &mut tx,
            member,
            "token.created",
            json!({"token": row.token_id, "days": new.days.max(0), "scope": row.scope}),
        )
        .await?;
        tx.commit().await?;
        Ok(TokenMade { row, secret })
    }

    /// The member's tokens, the newest first.
    pub async fn list_tokens(&self, scope: &TenantScope, member: &Member) -> Result<Vec<AccessToken>, Error> {
        let mut tx = self.store.begin(scope);
        let list = tokens::list_tokens(&mut tx, member.id).await?;
        tx.commit().await?;
        Ok(list)
    }

    /// Revokes a token of the member; false when he has none of that id. Audit: `token.revoked`.
    pub async fn revoke_token(&self, scope: &TenantScope, member: &Member, token_id: &str) -> Result<bool, Error> {
        let mut tx = self.store.begin(scope);
        tx.touch().await?;
        let gone = tokens::delete_token(&mut tx, member.id, token_id).await?;
        if gone {
            audit(&mut tx, member, "token.revoked", json!({"token": token_id})).await?;
        }
        tx.commit().await?;
        Ok(gone)
    }
}
