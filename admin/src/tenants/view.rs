//! A tenant as commands and pages show it.

use domain::tenant::Limits;
use serde::Serialize;

use crate::recovery::Proof;

/// `tenant show --json` (the names of its fields are a promise).
#[derive(Clone, Debug, Serialize)]
pub struct TenantView {
    /// Lasting identity.
    pub id: String,
    /// Name in URLs and commands.
    pub slug: String,
    /// Where it is in its life.
    pub state: String,
    /// The Postgres schema that holds its rows now.
    pub schema: String,
    /// Host names that lead to it.
    pub hosts: Vec<String>,
    /// Its public URL; none means private mode.
    pub public_url: Option<String>,
    /// What it may use, where that differs from the settings.
    pub limits: Limits,
    /// Members, archived ones included.
    pub members: i64,
    /// Notes, comments and archived ones included.
    pub notes: i64,
    /// Attachments.
    pub attachments: i64,
    /// Age in seconds of the oldest change that no verified point holds; 0 when there is none, null when unknown.
    pub rpo_seconds: Option<f64>,
    /// The newest drill that passed.
    pub last_proof: Option<Proof>,
}

impl TenantView {
    /// The lines of `tenant show`.
    pub fn human(&self) -> String {
        let hosts = if self.hosts.is_empty() { "none".to_owned() } else { self.hosts.join(", ") };
        let rpo = self.rpo_seconds.map_or("unknown".to_owned(), |seconds| format!("{seconds:.0} s"));
        let proof = self.last_proof.as_ref().map_or("never restored".to_owned(), Proof::sentence);
        format!(
            "{slug}  {state}\n  id           {id}\n  schema       {schema}\n  hosts        {hosts}\n  public URL   {url}\n  \
             members      {members}\n  notes        {notes}\n  attachments  {attachments}\n  RPO now      {rpo}\n  last proof   {proof}",
            slug = self.slug,
            state = self.state,
            id = self.id,
            schema = self.schema,
            url = self.public_url.as_deref().unwrap_or("none (private mode)"),
            members = self.members,
            notes = self.notes,
            attachments = self.attachments,
        )
    }
}
