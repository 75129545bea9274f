//! What is dangerous: a page that says what will happen, and a form that does it. The rows' access has the operator show
//! who he is first, unless he did within the last ten minutes.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use domain::id::is_username;
use serde::Deserialize;
use web::{Error, OperatorVisit, Result, page};

use super::pages::found;
use super::view::Frame;
use crate::{Admin, By, operators, tenants};

/// Days of grace that a deletion may have.
const GRACES: [u32; 3] = [30, 7, 90];

#[derive(Template)]
#[template(path = "deed.html")]
struct DeedPage {
    frame: Frame,
    problem: Option<String>,
    title: String,
    text: &'static str,
    button: String,
    action: String,
    back: String,
    dangerous: bool,
    /// What must be typed; empty: nothing.
    word: String,
    graces: &'static [u32],
}

/// The form of any of them.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct DeedForm {
    word: String,
    days: u32,
}

/// What is done, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed<'a> {
    Suspend(&'a str),
    Resume(&'a str),
    Delete(&'a str),
    Disable(&'a str),
    Enable(&'a str),
}

impl<'a> Deed<'a> {
    /// By the path, whose last part names it.
    fn of(request: &HttpRequest, object: &'a str) -> Result<Self> {
        let path = request.path();
        let operators = path.starts_with("/console/operators/");
        Ok(match path.rsplit('/').next().unwrap_or_default() {
            "suspend" if !operators => Self::Suspend(object),
            "resume" if !operators => Self::Resume(object),
            "delete" if !operators => Self::Delete(object),
            "disable" if operators => Self::Disable(object),
            "enable" if operators => Self::Enable(object),
            _ => return Err(Error::not_found("Not Found")),
        })
    }

    /// Verb, and what will happen.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Suspend(_) => (
                "Suspend",
                "Members and their apps are refused at once, until you resume it. Nothing is lost, and points go on \
                 being taken.",
            ),
            Self::Resume(_) => ("Resume", "Members are let in again, and a deletion that was ordered is taken back."),
            Self::Delete(_) => (
                "Delete",
                "Members are refused at once. When the grace is over, every row and file is deleted; until then you can \
                 resume it. Points stay in the backup store until they are pruned.",
            ),
            Self::Disable(_) => ("Disable", "Every sign-in of this operator ends at once, and no new one is let in."),
            Self::Enable(_) => ("Enable", "This operator may sign in again."),
        }
    }

    const fn object(self) -> &'a str {
        match self {
            Self::Suspend(slug) | Self::Resume(slug) | Self::Delete(slug) => slug,
            Self::Disable(name) | Self::Enable(name) => name,
        }
    }

    fn back(self) -> String {
        match self {
            Self::Suspend(slug) | Self::Resume(slug) | Self::Delete(slug) => {
                format!("/console/tenants/{}", page::encode(slug))
            }
            Self::Disable(_) | Self::Enable(_) => "/console/operators".to_owned(),
        }
    }

    const fn said(self) -> &'static str {
        match self {
            Self::Suspend(_) => "The tenant is suspended.",
            Self::Resume(_) => "The tenant is resumed.",
            Self::Delete(_) => "The tenant will be deleted when the grace is over.",
            Self::Disable(_) => "The operator is disabled; the sign-ins are ended.",
            Self::Enable(_) => "The operator may sign in again.",
        }
    }

    async fn exists(self, admin: &Admin) -> Result<()> {
        match self {
            Self::Suspend(slug) | Self::Resume(slug) | Self::Delete(slug) => found(admin, slug).await.map(|_| ()),
            Self::Disable(name) | Self::Enable(name) => {
                let known = is_username(name) && admin.store.control().find_operator(name).await?.is_some();
                if known { Ok(()) } else { Err(Error::not_found("there is no operator of that name")) }
            }
        }
    }

    async fn carry_out(self, admin: &Admin, by: &By, days: u32) -> std::result::Result<(), crate::Error> {
        match self {
            Self::Suspend(slug) => tenants::suspend(admin, by, slug).await.map(|_| ()),
            Self::Resume(slug) => tenants::resume(admin, by, slug).await.map(|_| ()),
            Self::Delete(slug) => tenants::delete(admin, by, slug, days).await,
            Self::Disable(name) => operators::set_disabled(admin, by, name, true).await,
            Self::Enable(name) => operators::set_disabled(admin, by, name, false).await,
        }
    }

    fn page(self, visit: &OperatorVisit, request: &HttpRequest, problem: Option<String>) -> DeedPage {
        let (verb, text) = self.words();
        let delete = matches!(self, Self::Delete(_));
        let object = self.object();
        DeedPage {
            frame: Frame::new(Some(&visit.operator.name), "deed", None),
            problem,
            title: format!("{verb} {object}?"),
            text,
            button: format!("{verb} {object}"),
            action: request.path().to_owned(),
            back: self.back(),
            dangerous: matches!(self, Self::Suspend(_) | Self::Delete(_) | Self::Disable(_)),
            word: if delete { object.to_owned() } else { String::new() },
            graces: if delete { &GRACES } else { &[] },
        }
    }
}

/// Says what will happen, and asks for it.
pub(super) async fn ask(
    visit: OperatorVisit,
    admin: Data<Admin>,
    object: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let deed = Deed::of(&request, &object)?;
    deed.exists(&admin).await?;
    page::show(&request, &deed.page(&visit, &request, None))
}

/// Does it.
pub(super) async fn carry_out(
    visit: OperatorVisit,
    admin: Data<Admin>,
    object: Path<String>,
    form: Form<DeedForm>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let deed = Deed::of(&request, &object)?;
    deed.exists(&admin).await?;
    let again = |problem: String| {
        page::show_once(StatusCode::UNPROCESSABLE_ENTITY, &deed.page(&visit, &request, Some(problem)))
    };
    if matches!(deed, Deed::Delete(_)) {
        if form.word.trim() != deed.object() {
            return again(format!("Type {} to confirm that it is the one you mean.", deed.object()));
        }
        if !GRACES.contains(&form.days) {
            return again("Choose one of the graces.".to_owned());
        }
    }
    match deed.carry_out(&admin, &By::Operator(visit.operator.name.clone()), form.days).await {
        Ok(()) => Ok(page::see_other_saying(&deed.back(), deed.said(), "/console")),
        Err(crate::Error::Refused(sentence)) => again(super::entry::capital(&sentence)),
        Err(error) => Err(error.into()),
    }
}
