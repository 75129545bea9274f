//! The routes of feeds and of what crawlers ask for.

use std::collections::HashMap;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, HttpDate, IF_NONE_MATCH, LAST_MODIFIED};
use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use domain::note::Note;
use sha2::{Digest, Sha256};
use store::tenant::feed::{self, PublicNotes};
use store::tenant::members;
use web::{Access, Face, Route, Visit};

use super::{Channel, Entry, atom, rss};
use crate::error::ApiError;
use crate::instance::service::profile_texts;
use crate::notes::Desk;
use crate::state::AppState;

/// Notes in a feed.
const ENTRIES: i64 = 100;
/// Addresses in a sitemap: as many as the protocol allows in one file.
const ADDRESSES: i64 = 50_000;

/// The rows.
pub fn routes() -> Vec<Route> {
    let feed = |path, handler| Route::get(path, handler).access(Access::Public).face(Face::Short);
    vec![
        feed("/explore/rss.xml", || actix_web::web::to(explore_rss)),
        feed("/explore/atom.xml", || actix_web::web::to(explore_atom)),
        feed("/u/{username}/rss.xml", || actix_web::web::to(member_rss)),
        feed("/u/{username}/atom.xml", || actix_web::web::to(member_atom)),
        feed("/robots.txt", || actix_web::web::to(robots)),
        feed("/sitemap.xml", || actix_web::web::to(sitemap)),
    ]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Rss,
    Atom,
}

async fn explore_rss(state: Data<AppState>, visit: Visit, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    answer(&state, &visit, &request, (Form::Rss, None)).await
}

async fn explore_atom(state: Data<AppState>, visit: Visit, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    answer(&state, &visit, &request, (Form::Atom, None)).await
}

async fn member_rss(
    state: Data<AppState>,
    visit: Visit,
    request: HttpRequest,
    username: Path<String>,
) -> Result<HttpResponse, ApiError> {
    answer(&state, &visit, &request, (Form::Rss, Some(&username))).await
}

async fn member_atom(
    state: Data<AppState>,
    visit: Visit,
    request: HttpRequest,
    username: Path<String>,
) -> Result<HttpResponse, ApiError> {
    answer(&state, &visit, &request, (Form::Atom, Some(&username))).await
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

async fn answer(
    state: &AppState,
    visit: &Visit,
    request: &HttpRequest,
    (form, username): (Form, Option<&String>),
) -> Result<HttpResponse, ApiError> {
    if visit.place.is_private() {
        return Err(ApiError::not_found("RSS is unavailable"));
    }
    let desk = desk(state, visit);
    let mut tx = desk.begin();
    let creator = match username {
        None => None,
        Some(name) if name.contains('\0') => return Err(ApiError::not_found("User not found")),
        Some(name) => {
            let found = members::find_member_by_name(&mut tx, name).await?;
            Some(found.ok_or_else(|| ApiError::not_found("User not found"))?.id)
        }
    };
    let wanted = PublicNotes { creator, limit: ENTRIES };
    let notes = feed::list_public(&mut tx, wanted).await?;
    let mut authors: Vec<i64> = notes.iter().map(|note| note.creator_id.0).collect();
    authors.sort_unstable();
    authors.dedup();
    let known = members::list_members_by_id(&mut tx, &authors).await?;
    let (title, about) = profile_texts(&mut tx).await?;
    tx.commit().await?;
    let names: HashMap<i64, String> = known
        .into_iter()
        .map(|one| (one.id.0, if one.display_name.is_empty() { one.username } else { one.display_name }))
        .collect();
    let name_of = |note: &Note| names.get(&note.creator_id.0).cloned().unwrap_or_default();
    let entries: Vec<Entry> = notes.into_iter().map(|note| Entry { author: name_of(&note), note }).collect();
    let changed = entries.iter().map(|entry| entry.note.updated_ts).max().unwrap_or(0);
    let own = request.uri().path().to_owned();
    let channel = Channel { title, about, origin: visit.feed_origin(), own, changed };
    let (body, kind) = match form {
        Form::Rss => (rss::document(&channel, &entries), "application/rss+xml; charset=utf-8"),
        Form::Atom => (atom::document(&channel, &entries), "application/atom+xml; charset=utf-8"),
    };
    Ok(cached(request, (body, kind), entries.first().map(|entry| entry.note.updated_ts)))
}

/// The document, or that the asker has it already.
fn cached(request: &HttpRequest, (body, kind): (String, &'static str), newest: Option<i64>) -> HttpResponse {
    let digest = Sha256::digest(body.as_bytes());
    let tag = format!("\"{}\"", hex::encode(digest.get(..8).unwrap_or_default()));
    let asked = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if asked.split(',').any(|one| matches!(one.trim().trim_start_matches("W/"), one if one == tag || one == "*")) {
        return HttpResponse::NotModified().finish();
    }
    let mut answer = HttpResponse::Ok().body(body);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    let at = newest.and_then(|seconds| u64::try_from(seconds).ok());
    if let Some(at) = at {
        let date = HttpDate::from(std::time::UNIX_EPOCH + std::time::Duration::from_secs(at));
        if let Ok(date) = HeaderValue::from_str(&date.to_string()) {
            headers.insert(LAST_MODIFIED, date);
        }
    }
    answer
}

fn not_public(visit: &Visit) -> Result<(), ApiError> {
    if visit.place.is_private() { Err(ApiError::not_found("instance URL is not configured")) } else { Ok(()) }
}

async fn robots(visit: Visit) -> Result<HttpResponse, ApiError> {
    not_public(&visit)?;
    let origin = visit.origin();
    let text = format!("User-agent: *\nAllow: /\nHost: {origin}\nSitemap: {origin}/sitemap.xml");
    Ok(HttpResponse::Ok().content_type("text/plain; charset=UTF-8").body(text))
}

/// Which part of a sitemap that does not fit into one file.
#[derive(Debug, serde::Deserialize)]
struct Part {
    part: Option<u32>,
}

/// All addresses, or, where they are more than one file may hold, the list of the files, each a part with its number.
async fn sitemap(state: Data<AppState>, visit: Visit, part: Query<Part>) -> Result<HttpResponse, ApiError> {
    not_public(&visit)?;
    let desk = desk(&state, &visit);
    let mut tx = desk.begin();
    let before = i64::from(part.part.unwrap_or(1).saturating_sub(1)) * ADDRESSES;
    let mut found = feed::list_public_uids(&mut tx, ADDRESSES + 1, before).await?;
    let more = i64::try_from(found.len()).is_ok_and(|found| found > ADDRESSES);
    let all = if more && part.part.is_none() { feed::count_public(&mut tx).await? } else { 0 };
    tx.commit().await?;
    found.truncate(ADDRESSES as usize);
    let body = if all > 0 { index_of(&visit.origin(), parts(all)) } else { addresses(&visit.origin(), &found) };
    Ok(HttpResponse::Ok().content_type("application/xml; charset=UTF-8").body(body))
}

const fn parts(all: i64) -> i64 {
    (all + ADDRESSES - 1) / ADDRESSES
}

fn addresses(origin: &str, uids: &[String]) -> String {
    let address = |uid: &String| super::xml::text(&format!("{origin}/memos/{uid}"));
    let addresses =
        uids.iter().map(|uid| format!("<url><loc>{}</loc></url>", address(uid))).collect::<Vec<_>>().concat();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">{addresses}</urlset>"
    )
}

fn index_of(origin: &str, parts: i64) -> String {
    let one = |part| super::xml::text(&format!("{origin}/sitemap.xml?part={part}"));
    let files =
        (1..=parts).map(|part| format!("<sitemap><loc>{}</loc></sitemap>", one(part))).collect::<Vec<_>>().concat();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <sitemapindex xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">{files}</sitemapindex>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_addresses_are_told_in_parts() {
        assert_eq!((parts(50_001), parts(100_000), parts(100_001)), (2, 2, 3));
        let index = index_of("https://notes.example", 2);
        assert!(
            index.contains("<sitemap><loc>https://notes.example/sitemap.xml?part=2</loc></sitemap></sitemapindex>")
        );
        assert!(addresses("https://n", &["a".to_owned()]).contains("<url><loc>https://n/memos/a</loc></url></urlset>"));
    }
}
