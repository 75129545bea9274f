//! The routes of files. Who may read one is decided by its note, so the gate lets everyone through.

use actix_web::http::header::{IF_MODIFIED_SINCE, RANGE};
use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use web::{Access, Audit, Face, Route, Visit};

use super::avatar;
use super::caching::{Keep, is_behind_proxy};
use super::download::{self, Ask, Shelf};
use crate::notes::Desk;
use crate::state::AppState;

/// The rows.
pub fn routes() -> Vec<Route> {
    let file = |path, handler| Route::get(path, handler).access(Access::Public).face(Face::Short);
    vec![
        file("/file/attachments/{uid}/{name:.+}", || actix_web::web::to(attachment)),
        // Links of Memos before 0.25.
        file("/file/resources/{uid}/{name:.+}", || actix_web::web::to(attachment)),
        file("/file/resources/{uid}", || actix_web::web::to(attachment)),
        // Links of Memos before 0.22.
        file("/o/r/{uid}", || actix_web::web::to(attachment)),
        file("/o/r/{uid}/{name:.+}", || actix_web::web::to(attachment)),
        file("/file/users/{username}/avatar", || actix_web::web::to(avatar_of)),
        nothing("/file/attachments/{uid}/{name:.+}"),
        nothing("/file/{path:.*}"),
    ]
}

/// Whatever else is asked of these paths answers as the API does.
fn nothing(path: &'static str) -> Route {
    Route {
        audit: Audit::None("answers 404 to everything"),
        body_limit: web::FORM_LIMIT,
        ..Route::door(path, Face::Rest, || actix_web::web::to(not_found))
    }
}

async fn not_found() -> Result<HttpResponse, web::Error> {
    Err(web::Error::not_found("Not Found"))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {
    thumbnail: String,
    motion: String,
    share_token: String,
}

fn says_yes(text: &str) -> bool {
    matches!(text, "true" | "1" | "t" | "T" | "TRUE" | "True")
}

fn desk<'a>(state: &'a AppState, visit: &'a Visit) -> Desk<'a> {
    Desk {
        store: &state.store,
        scope: &visit.scope,
        actor: &visit.actor,
        clock: &state.clock,
        chance: &state.chance,
        live: &state.live,
    }
}

async fn attachment(
    state: Data<AppState>,
    visit: Visit,
    options: Query<Options>,
    request: HttpRequest,
) -> Result<HttpResponse, web::Error> {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let ask = Ask {
        uid: request.match_info().query("uid").to_owned(),
        thumbnail: says_yes(&options.thumbnail),
        motion: says_yes(&options.motion),
        share_token: options.share_token.clone(),
        behind_proxy: is_behind_proxy(request.headers()),
        range: header(RANGE),
        if_modified_since: header(IF_MODIFIED_SINCE),
    };
    let shelf = Shelf { files: &state.files, thumbnails: &state.thumbnails };
    download::serve(&desk(&state, &visit), shelf, &ask).await
}

async fn avatar_of(
    state: Data<AppState>,
    visit: Visit,
    username: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, web::Error> {
    let mut answer = avatar::serve(&desk(&state, &visit), &username).await?;
    Keep::of(!visit.place.is_private(), is_behind_proxy(request.headers())).mark(&mut answer);
    Ok(answer)
}
