//! Which tenant a request is meant for: by host name, by `/t/{slug}`, else the default tenant at `/`.

use std::sync::Arc;

use domain::id::Slug;
use domain::tenant::{Tenant, TenantState};
use store::Registry;

/// Where on the server a tenant is, for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The tenant.
    pub tenant: Arc<Tenant>,
    /// What the paths of its pages and cookies begin with: `/` or `/t/{slug}/`.
    pub base: String,
    /// How it was found.
    pub by: Reached,
}

/// How a request reached its tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reached {
    /// By a host name of its own.
    Host,
    /// By `/t/{slug}` on a host of nobody's.
    Path,
    /// As the default tenant of the appliance.
    Default,
}

/// Why nobody is served there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NotServed {
    /// No such tenant, or none any more.
    #[error("there is no workspace at this address")]
    Unknown,
    /// Imported or restored, and not opened yet.
    #[error("this workspace is closed; its operator has not opened it yet")]
    Closed,
    /// The operator has suspended it.
    #[error("this workspace is suspended; ask its operator")]
    Suspended,
    /// It will be deleted.
    #[error("this workspace is going to be deleted; ask its operator to keep it")]
    Leaving,
}

/// What came out of looking for a tenant, and the path below its base.
#[derive(Clone, Debug)]
pub struct Resolution {
    /// The tenant, or why there is none to serve.
    pub place: Result<Place, NotServed>,
    /// How it was looked for.
    pub by: Reached,
    /// The path that is left, always beginning with `/`.
    pub rest: String,
}

impl Place {
    /// A path below the base: `path("memos/x")` → `/t/team/memos/x`.
    pub fn path(&self, below: &str) -> String {
        format!("{}{}", self.base, below.trim_start_matches('/'))
    }

    /// Whether strangers see nothing at all: the tenant has no public URL.
    pub fn is_private(&self) -> bool {
        self.tenant.public_url.is_none()
    }

    /// Whether writes are taken at present.
    pub fn is_writable(&self) -> bool {
        self.tenant.state == TenantState::Active
    }
}

/// Finds the tenant of a request. `host` may have a port; `path` begins with `/`.
///
/// A host that leads to a tenant leads to that one only: `/t/…` below it is an ordinary path, so no tenant's pages are
/// ever shown in the origin of another that has one of its own.
pub async fn resolve(
    registry: &Registry,
    host: &str,
    path: &str,
    default: Option<&Slug>,
) -> Result<Resolution, store::Error> {
    let host = host_name(host);
    if !host.is_empty()
        && let Some(tenant) = registry.by_host(&host).await?
    {
        return Ok(at(tenant, "/".to_owned(), Reached::Host, path));
    }
    if let Some((slug, rest)) = slug_in(path) {
        let base = format!("/t/{slug}/");
        return Ok(match registry.by_slug(slug).await? {
            Some(tenant) => at(tenant, base, Reached::Path, rest),
            None => Resolution { place: Err(NotServed::Unknown), by: Reached::Path, rest: below(rest) },
        });
    }
    let tenant = match default {
        Some(slug) => registry.by_slug(slug.as_str()).await?,
        None => None,
    };
    Ok(match tenant {
        Some(tenant) => at(tenant, "/".to_owned(), Reached::Default, path),
        None => Resolution { place: Err(NotServed::Unknown), by: Reached::Default, rest: path.to_owned() },
    })
}

fn at(tenant: Arc<Tenant>, base: String, by: Reached, rest: &str) -> Resolution {
    let place = match tenant.state {
        TenantState::Active | TenantState::ReadOnly => Ok(Place { tenant, base, by }),
        TenantState::Closed => Err(NotServed::Closed),
        TenantState::Suspended => Err(NotServed::Suspended),
        TenantState::PendingDeletion => Err(NotServed::Leaving),
        TenantState::Provisioning | TenantState::Deleting | TenantState::Tombstone => Err(NotServed::Unknown),
    };
    Resolution { place, by, rest: below(rest) }
}

fn below(rest: &str) -> String {
    if rest.is_empty() { "/".to_owned() } else { rest.to_owned() }
}

/// The slug of `/t/{slug}` and what follows it.
fn slug_in(path: &str) -> Option<(&str, &str)> {
    let after = path.strip_prefix("/t/")?;
    let (slug, rest) = after.split_at(after.find('/').unwrap_or(after.len()));
    slug.parse::<Slug>().is_ok().then_some((slug, rest))
}

/// The name in a `Host` header: lower case, without port or a closing dot.
pub fn host_name(host: &str) -> String {
    let host = host.trim();
    let name = match (host.starts_with('['), host.rfind(']')) {
        (true, Some(end)) => host.get(..=end).unwrap_or(host),
        _ => host.split(':').next().unwrap_or(host),
    };
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_lose_port_case_and_dot() {
        for (host, name) in [
            ("Notes.Example.org:8443", "notes.example.org"),
            ("notes.example.org.", "notes.example.org"),
            ("[::1]:5230", "[::1]"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("", ""),
        ] {
            assert_eq!(host_name(host), name);
        }
    }

    #[test]
    fn slugs_in_paths() {
        assert_eq!(slug_in("/t/team/memos/x"), Some(("team", "/memos/x")));
        assert_eq!(slug_in("/t/team"), Some(("team", "")));
        assert_eq!(slug_in("/t/team/"), Some(("team", "/")));
        for none in ["/", "/t", "/t/", "/t//x", "/t/Team", "/tx/team", "/t/a%2Fb/"] {
            assert_eq!(slug_in(none), None, "{none}");
        }
    }
}
