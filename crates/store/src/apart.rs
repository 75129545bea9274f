//! Which members have another role or password after a swap than before: told by name, and nothing of what they are.

use domain::id::SchemaId;

use crate::error::Error;
use crate::store::Store;

/// Usernames of members whose rows differ between two schemas.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct MembersApart {
    /// In their role.
    pub roles: Vec<String>,
    /// In their password.
    pub passwords: Vec<String>,
}

impl Store {
    /// Members of schema `now` who have another role or password than in schema `before`.
    pub async fn members_apart(&self, before: &SchemaId, now: &SchemaId) -> Result<MembersApart, Error> {
        let connection = self.pools().owner.get().await?;
        let sql = format!(
            "SELECT n.username, n.role <> b.role, n.password_hash <> b.password_hash FROM {now}.member n \
             JOIN {before}.member b ON b.id = n.id \
             WHERE (n.role, n.password_hash) IS DISTINCT FROM (b.role, b.password_hash) ORDER BY n.username"
        );
        let mut apart = MembersApart::default();
        for row in connection.client.query(&sql, &[]).await? {
            let name: String = row.try_get(0)?;
            if row.try_get(1)? {
                apart.roles.push(name.clone());
            }
            if row.try_get(2)? {
                apart.passwords.push(name);
            }
        }
        Ok(apart)
    }
}
