//! Many sources at once: `migrate run --plan tenants.toml`. Each becomes a tenant of its own, a few at a time; what an
//! earlier run of the plan has done is not done again.

use std::path::{Path, PathBuf};

use domain::id::Slug;
use domain::tenant::TenantState;
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};

use crate::check::{Options, Source};
use crate::error::Error;
use crate::report::{Finding, Report};
use crate::watch::Watch;
use crate::write::{House, Reach, Run, run};

/// How many imports run at once unless the plan says otherwise.
const AT_ONCE: usize = 2;
/// Each holds connections of the owning role, of which there are few.
const AT_MOST: usize = 4;

/// A file of plans.
///
/// ```toml
/// parallel = 4
///
/// [[tenant]]
/// slug = "alpha"
/// source = "/srv/memos/alpha"
/// hosts = ["alpha.example.org"]
/// public_url = "https://alpha.example.org"
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// How many imports run at once.
    #[serde(default, alias = "jobs")]
    pub parallel: Option<usize>,
    /// One per tenant.
    #[serde(alias = "tenants")]
    pub tenant: Vec<Entry>,
}

/// One tenant of a plan.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Slug of the tenant.
    #[serde(alias = "tenant", alias = "name")]
    pub slug: String,
    /// The Memos data folder, database file or address; relative to the file of plans.
    #[serde(alias = "folder", alias = "path", alias = "from")]
    pub source: PathBuf,
    /// Host names that lead to it.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// The only host name, where there is one.
    #[serde(default)]
    pub host: Option<String>,
    /// Its public URL; none is private mode.
    #[serde(default)]
    pub public_url: Option<String>,
    /// Open it at once.
    #[serde(default)]
    pub open: bool,
    /// Take what a damaged database still shows.
    #[serde(default)]
    pub salvage: bool,
    /// File with the password of a PostgreSQL source.
    #[serde(default)]
    pub source_password_file: Option<PathBuf>,
}

/// What became of one entry: one line of JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Slug, as in the plan.
    pub slug: String,
    /// Source, as in the plan.
    pub path: String,
    /// `imported`, `already` (by an earlier run) or `refused`.
    pub outcome: &'static str,
    /// Host names that lead to it.
    pub hosts: Vec<String>,
    /// What was found and done.
    #[serde(flatten)]
    pub report: Report,
}

impl Outcome {
    /// Whether nothing was imported, now or earlier.
    pub fn is_refused(&self) -> bool {
        self.outcome == "refused"
    }

    /// A line for people.
    pub fn line(&self) -> String {
        let reason = self.report.errors.first().map(|error| format!(": {} [{}]", error.message, error.code));
        let notes = self.report.mapped.get("note").copied().unwrap_or_default();
        match self.outcome {
            "imported" => format!("{}: imported, {notes} notes, {} warnings", self.slug, self.report.warnings.len()),
            "already" => format!("{}: imported already", self.slug),
            _ => format!("{}: refused{}", self.slug, reason.unwrap_or_default()),
        }
    }
}

impl Plan {
    /// Reads a file of plans; relative sources are relative to it.
    ///
    /// # Errors
    /// `Plan`, naming the line.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let wrong = |what: String| Error::Plan(format!("the plan {} cannot be used: {what}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|err| wrong(err.to_string()))?;
        let mut plan: Self = toml::from_str(&text).map_err(|err| wrong(err.to_string()))?;
        if plan.tenant.is_empty() {
            return Err(wrong("it names no tenant; write [[tenant]] with slug and source".to_owned()));
        }
        let mut seen = std::collections::BTreeSet::new();
        let here = path.parent().unwrap_or(Path::new("."));
        for entry in &mut plan.tenant {
            if !seen.insert(entry.slug.clone()) {
                return Err(wrong(format!("the slug {} is there twice", entry.slug)));
            }
            let url = entry.source.to_string_lossy().contains("://");
            if !url && entry.source.is_relative() {
                entry.source = here.join(&entry.source);
            }
        }
        Ok(plan)
    }
}

/// Runs a plan; `tell` hears of each entry as it ends.
pub async fn run_plan(
    house: &House,
    plan: Plan,
    data: &Path,
    options: &Options,
    tell: &mut (dyn FnMut(&Outcome) + Send),
) -> Vec<Outcome> {
    let at_once = plan.parallel.unwrap_or(AT_ONCE).clamp(1, AT_MOST);
    let mut under_way =
        futures_util::stream::iter(plan.tenant).map(|entry| one(house, entry, data, options)).buffer_unordered(at_once);
    let mut done = Vec::new();
    while let Some(outcome) = under_way.next().await {
        tell(&outcome);
        done.push(outcome);
    }
    done
}

async fn one(house: &House, entry: Entry, data: &Path, options: &Options) -> Outcome {
    let mut hosts = entry.hosts.clone();
    hosts.extend(entry.host.clone());
    let mut outcome = Outcome {
        slug: entry.slug.clone(),
        path: entry.source.display().to_string(),
        outcome: "refused",
        hosts,
        report: Report::empty(),
    };
    match import(house, &entry, &outcome.hosts, data, options).await {
        Ok(Some(report)) => {
            outcome.outcome = if report.passed() { "imported" } else { "refused" };
            outcome.report = report;
        }
        Ok(None) => {
            outcome.outcome = "already";
            outcome.report.tenant = Some(entry.slug);
        }
        Err(err) => {
            let told = crate::cli::told(err);
            outcome.report.errors.push(Finding {
                code: told.code.clone(),
                table: String::new(),
                row: String::new(),
                message: told.message,
            });
        }
    }
    outcome
}

/// The report of an import; none when an earlier run did it.
async fn import(
    house: &House,
    entry: &Entry,
    hosts: &[String],
    data: &Path,
    options: &Options,
) -> Result<Option<Report>, Error> {
    let slug: Slug = entry.slug.parse().map_err(|err| Error::Plan(format!("{}: {err}", entry.slug)))?;
    let mut source = Source::new(&entry.source, data, entry.salvage);
    source.options = options.clone();
    if entry.source_password_file.is_some() {
        source.options.password_file.clone_from(&entry.source_password_file);
    }
    if is_done(house, &slug, &source).await? {
        return Ok(None);
    }
    let hosts = hosts.iter().map(|host| host.trim().trim_end_matches('.').to_ascii_lowercase()).collect();
    let reach = Reach { hosts, public_url: entry.public_url.clone() };
    let wanted =
        Run { source, slug, reach, open: entry.open, actor: crate::cli::ACTOR.to_owned(), watch: Watch::default() };
    Box::pin(run(house, &wanted)).await.map(Some)
}

/// Whether the tenant is there and came from this very source.
async fn is_done(house: &House, slug: &Slug, source: &Source) -> Result<bool, Error> {
    house.store.registry().forget().await;
    let Some(tenant) = house.store.registry().by_slug(slug.as_str()).await? else { return Ok(false) };
    let origin = house.store.origin(tenant.id).await?;
    Ok(tenant.state != TenantState::Provisioning && origin["import"]["source"] == source.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_and_its_faults_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tenants.toml");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Plan::read(&path)
        };
        let plan = read("parallel = 2\n[[tenant]]\nslug = \"a\"\nsource = \"x\"\nhost = \"a.example\"\n").unwrap();
        assert_eq!((plan.parallel, plan.tenant.len()), (Some(2), 1));
        assert_eq!(plan.tenant[0].source, dir.path().join("x"));
        let url = read("[[tenants]]\nslug = \"a\"\nsource = \"postgres://m@h/db\"\n").unwrap();
        assert_eq!(url.tenant[0].source, PathBuf::from("postgres://m@h/db"));
        assert!(matches!(Plan::read(&dir.path().join("none.toml")), Err(Error::Plan(_))));
        for (text, said) in [
            ("", "tenant"),
            ("tenant = []", "names no tenant"),
            ("[[tenant]]\nslug = \"a\"", "source"),
            ("[[tenant]]\nslug = \"a\"\nsource = \"x\"\ncolour = 1", "colour"),
            ("[[tenant]]\nslug = \"a\"\nsource = \"x\"\n[[tenant]]\nslug = \"a\"\nsource = \"y\"", "twice"),
        ] {
            let err = read(text).unwrap_err().to_string();
            assert!(err.contains(said), "{err}");
        }
    }
}
