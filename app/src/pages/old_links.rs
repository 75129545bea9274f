//! Public links of older Memos, which people have in letters and on walls: `/m/…` and `/u/…`. Numbers count too, for releases
//! before 0.19 had nothing else. Files (`/o/r/…`, `/file/resources/…`) are answered by `files`.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use domain::id::{MemberId, NoteId};
use store::tenant::{members, notes};
use web::{Result, Visit, page};

use super::frame::desk;
use crate::notes::{Desk, Error, service};
use crate::state::AppState;

/// A note. Whoever may not read it is sent where the link leads anyway, and learns there what everyone learns.
pub(super) async fn note(visit: Visit, state: Data<AppState>, uid: Path<String>) -> Result<HttpResponse> {
    let desk = desk(&state, &visit);
    let name = note_name(&desk, &uid).await?.unwrap_or_else(|| uid.into_inner());
    Ok(page::see_other(&visit.place.path(&format!("memos/{}", page::encode(&name)))))
}

async fn note_name(desk: &Desk<'_>, uid: &str) -> Result<Option<String>> {
    let Ok(number) = uid.parse() else { return Ok(None) };
    if desk.enter().is_err() {
        return Ok(None);
    }
    let mut tx = desk.begin();
    let exact = notes::find_note(&mut tx, uid).await.map_err(Error::from)?;
    let found = if exact.is_some() {
        None
    } else {
        notes::find_note_by_id(&mut tx, NoteId(number)).await.map_err(Error::from)?
    };
    tx.commit().await.map_err(Error::from)?;
    let Some(found) = found else { return Ok(None) };
    Ok(service::get(desk, &found.uid).await.is_ok().then_some(found.uid))
}

/// A member: their notes in the feed.
pub(super) async fn member(visit: Visit, state: Data<AppState>, username: Path<String>) -> Result<HttpResponse> {
    let desk = desk(&state, &visit);
    let mut name = username.into_inner();
    if let Ok(number) = name.parse()
        && desk.enter().is_ok()
    {
        let mut tx = desk.begin();
        let exact = members::find_member_by_name(&mut tx, &name).await.map_err(Error::from)?;
        if exact.is_none()
            && let Some(member) = members::find_member(&mut tx, MemberId(number)).await.map_err(Error::from)?
        {
            name = member.username;
        }
        tx.commit().await.map_err(Error::from)?;
    }
    Ok(page::see_other(&format!("{}?by={}", visit.place.base, page::encode(&name))))
}
