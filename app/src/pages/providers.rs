//! How the workspace's members sign in: its identity providers, each with its test. For owners and admins.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use identity::Rung;
use identity::provider::{self, Change, Kind, NewProvider, Provider};
use serde::Deserialize;
use web::{Error, Result, Signed, page};

use super::frame::{Frame, answer, writable};
use super::sso::{capital, sentence};
use crate::state::AppState;

/// What a new OpenID provider's settings begin with.
const OIDC: &str = "issuer = \"https://sso.example.org\"\nclient_id = \"notes\"\nscopes = [\"openid\", \"profile\", \"email\"]\n\
    \n# Who may come, and as what.\nsign_up = true\ndefault_role = \"member\"\n# required_groups = [\"notes\"]\n\
    # allowed_domains = [\"example.org\"]\n\n# [[roles]]\n# group = \"staff\"\n# role = \"admin\"\n";
/// The same of a directory.
const LDAP: &str = "servers = [\"ldaps://ldap.example.org\"]\nbind_dn = \"cn=notes,ou=services,dc=example,dc=org\"\n\
    user_base = \"ou=people,dc=example,dc=org\"\nuser_filter = \"(&(objectClass=person)(uid={username}))\"\n\
    group_base = \"ou=groups,dc=example,dc=org\"\n\n# Who may come, and as what.\nsign_up = true\n\
    default_role = \"member\"\n\n# [[roles]]\n# group = \"staff\"\n# role = \"admin\"\n";
/// The same of an OAuth2 provider.
const OAUTH2: &str = "client_id = \"notes\"\nauth_url = \"https://sso.example.org/authorize\"\n\
    token_url = \"https://sso.example.org/token\"\nuser_info_url = \"https://sso.example.org/userinfo\"\n\
    scopes = [\"openid\", \"email\"]\n\n[field_mapping]\nidentifier = \"sub\"\ndisplay_name = \"name\"\nemail = \"email\"\n";

struct Line {
    uid: String,
    title: String,
    kind: &'static str,
    what: String,
}

#[derive(Template)]
#[template(path = "providers.html")]
struct ProvidersPage {
    frame: Frame,
    problem: Option<String>,
    providers: Vec<Line>,
    kind: String,
    title: String,
    uid: String,
    settings: String,
    callback: String,
}

#[derive(Template)]
#[template(path = "provider.html")]
struct ProviderPage {
    frame: Frame,
    problem: Option<String>,
    provider: Line,
    filter: String,
    settings: String,
    has_secret: bool,
    callback: String,
    logout: String,
    ladder: Option<Climbed>,
    user: String,
}

struct Climbed {
    holds: bool,
    rungs: Vec<Rung>,
}

/// Which kind a new provider is to be.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Which {
    kind: String,
}

/// A provider's form.
#[derive(Deserialize)]
pub(super) struct ProviderForm {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    uid: String,
    title: String,
    #[serde(default)]
    filter: String,
    #[serde(default)]
    secret: String,
    settings: String,
}

/// Whom a test is about.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct TestForm {
    user: String,
}

fn words(kind: &Kind) -> (&'static str, String) {
    match kind {
        Kind::OAuth2(oauth2) => ("OAuth2", oauth2.auth_url.clone()),
        Kind::Oidc(oidc) => ("OpenID Connect", oidc.issuer.clone()),
        Kind::Ldap(directory) => ("Directory (LDAP)", directory.servers.join(", ")),
    }
}

fn line(provider: &Provider) -> Line {
    let (kind, what) = words(&provider.kind);
    Line { uid: provider.uid.clone(), title: provider.title.clone(), kind, what }
}

fn example(kind: &str) -> &'static str {
    match kind {
        "ldap" => LDAP,
        "oauth2" => OAUTH2,
        _ => OIDC,
    }
}

async fn list(signed: &Signed, state: &AppState, said: Option<String>, kind: &str) -> Result<ProvidersPage> {
    let found = state.identity.list_providers(&signed.visit.scope).await?;
    Ok(ProvidersPage {
        frame: Frame::new(&signed.visit, "settings", said),
        problem: None,
        providers: found.iter().map(line).collect(),
        kind: kind.to_owned(),
        title: String::new(),
        uid: String::new(),
        settings: example(kind).to_owned(),
        callback: format!("{}/auth/callback", signed.visit.origin()),
    })
}

pub(super) async fn show(
    signed: Signed,
    state: Data<AppState>,
    which: Query<Which>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let shown = list(&signed, &state, page::flash(&request), &which.kind).await?;
    answer(&request, &signed.visit, &shown)
}

/// The kind that the form's settings and secret make.
fn kind_of(word: &str, form: &ProviderForm) -> std::result::Result<Kind, String> {
    let mut document = provider::from_toml(&form.settings).map_err(|unfit| unfit.0)?;
    let secret = if word == "LDAP" { "bindPassword" } else { "clientSecret" };
    if let Some(object) = document.as_object_mut() {
        if object.contains_key(secret) {
            return Err("the secret goes into its own field, not into the settings".to_owned());
        }
        object.insert(secret.to_owned(), form.secret.clone().into());
    }
    Kind::read(word, &document).map_err(|unfit| unfit.0)
}

fn actor(signed: &Signed) -> String {
    format!("member:{}", signed.member.member.username)
}

/// Before it is changed how people sign in, whoever does it must have signed in himself a moment ago.
async fn allowed(signed: &Signed, state: &AppState) -> std::result::Result<(), identity::Error> {
    state.identity.fresh(&signed.visit.scope, &signed.member).await
}

pub(super) async fn create(signed: Signed, state: Data<AppState>, form: Form<ProviderForm>) -> Result<HttpResponse> {
    let visit = &signed.visit;
    writable(visit)?;
    let outcome = match allowed(&signed, &state).await {
        Err(error) => Err(error),
        Ok(()) => match kind_of(&form.kind.to_uppercase(), &form) {
            Ok(kind) => {
                let new = NewProvider {
                    uid: form.uid.clone(),
                    title: form.title.trim().to_owned(),
                    identifier_filter: form.filter.clone(),
                    kind,
                };
                state.identity.create_provider(&visit.scope, &actor(&signed), new).await
            }
            Err(problem) => Err(identity::Refusal::new(identity::Why::Invalid, problem).into()),
        },
    };
    match outcome {
        Ok(made) => {
            let location = visit.place.path(&format!("settings/signin/{}", made.uid));
            Ok(page::see_other_saying(&location, "The provider is there. Test it now.", &visit.place.base))
        }
        Err(error) => {
            let Some(problem) = sentence(&error) else { return Err(error.into()) };
            let mut again = list(&signed, &state, None, &form.kind).await?;
            again.problem = Some(capital(&problem));
            again.title.clone_from(&form.title);
            again.uid.clone_from(&form.uid);
            again.settings.clone_from(&form.settings);
            page::show_once(StatusCode::UNPROCESSABLE_ENTITY, &again)
        }
    }
}

async fn found(signed: &Signed, state: &AppState, uid: &str) -> Result<Provider> {
    Ok(state.identity.find_provider(&signed.visit.scope, uid).await?)
}

fn one(signed: &Signed, provider: &Provider, said: Option<String>) -> ProviderPage {
    let root = signed.visit.origin();
    let has_secret = match &provider.kind {
        Kind::OAuth2(oauth2) => !oauth2.client_secret.is_empty(),
        Kind::Oidc(oidc) => !oidc.client_secret.is_empty(),
        Kind::Ldap(directory) => !directory.bind_password.is_empty(),
    };
    ProviderPage {
        frame: Frame::new(&signed.visit, "settings", said),
        problem: None,
        provider: line(provider),
        filter: provider.identifier_filter.clone(),
        settings: provider::to_toml(&provider.kind),
        has_secret,
        callback: if provider.is_led_to() { format!("{root}/auth/callback") } else { String::new() },
        logout: match &provider.kind {
            Kind::Oidc(_) => format!("{root}/auth/logout/{}", provider.uid),
            _ => String::new(),
        },
        ladder: None,
        user: String::new(),
    }
}

pub(super) async fn edit(
    signed: Signed,
    state: Data<AppState>,
    uid: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let provider = found(&signed, &state, &uid).await?;
    let shown = one(&signed, &provider, page::flash(&request));
    answer(&request, &signed.visit, &shown)
}

pub(super) async fn update(
    signed: Signed,
    state: Data<AppState>,
    uid: Path<String>,
    form: Form<ProviderForm>,
) -> Result<HttpResponse> {
    let visit = &signed.visit;
    writable(visit)?;
    let before = found(&signed, &state, &uid).await?;
    let outcome = match allowed(&signed, &state).await {
        Err(error) => Err(error),
        Ok(()) => match kind_of(before.kind.as_str(), &form) {
            Ok(kind) => {
                let change = Change {
                    title: Some(form.title.trim().to_owned()),
                    identifier_filter: Some(form.filter.clone()),
                    kind: Some(kind),
                };
                state.identity.update_provider(&visit.scope, &actor(&signed), &uid, change).await
            }
            Err(problem) => Err(identity::Refusal::new(identity::Why::Invalid, problem).into()),
        },
    };
    match outcome {
        Ok(_) => {
            let location = visit.place.path(&format!("settings/signin/{}", *uid));
            Ok(page::see_other_saying(&location, "Saved. Test it now.", &visit.place.base))
        }
        Err(error) => {
            let Some(problem) = sentence(&error) else { return Err(error.into()) };
            let mut again = one(&signed, &before, None);
            again.problem = Some(capital(&problem));
            again.provider.title.clone_from(&form.title);
            again.settings.clone_from(&form.settings);
            page::show_once(StatusCode::UNPROCESSABLE_ENTITY, &again)
        }
    }
}

pub(super) async fn test(
    signed: Signed,
    state: Data<AppState>,
    uid: Path<String>,
    form: Form<TestForm>,
) -> Result<HttpResponse> {
    let provider = found(&signed, &state, &uid).await?;
    let user = form.user.trim();
    let wanted = Some(user).filter(|user| !user.is_empty());
    let ladder = state.identity.test_provider(&signed.visit.scope, &provider, wanted).await?;
    let mut shown = one(&signed, &provider, None);
    shown.ladder = Some(Climbed { holds: ladder.holds(), rungs: ladder.rungs });
    user.clone_into(&mut shown.user);
    page::show_once(StatusCode::OK, &shown)
}

pub(super) async fn remove(signed: Signed, state: Data<AppState>, uid: Path<String>) -> Result<HttpResponse> {
    let visit = &signed.visit;
    writable(visit)?;
    let outcome = match allowed(&signed, &state).await {
        Ok(()) => state.identity.delete_provider(&visit.scope, &actor(&signed), &uid).await,
        Err(error) => Err(error),
    };
    let said = match outcome {
        Ok(()) => "The provider is removed; nobody signs in by it any more.".to_owned(),
        Err(error) => match sentence(&error) {
            Some(problem) => capital(&problem),
            None => return Err(Error::from(error)),
        },
    };
    Ok(page::see_other_saying(&visit.place.path("settings/signin"), &said, &visit.place.base))
}
