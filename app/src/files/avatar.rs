//! Members' pictures, which are stored as `data:` URIs.

use actix_web::HttpResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use store::tenant::members;

use super::download;
use crate::notes::{Desk, Error};

/// `GET /file/users/{username}/avatar`.
pub async fn serve(desk: &Desk<'_>, username: &str) -> Result<HttpResponse, web::Error> {
    if desk.enter().is_err() {
        return Err(web::Error::unauthenticated("unauthorized access"));
    }
    let mut tx = desk.begin();
    let member = members::find_member_by_name(&mut tx, username).await.map_err(Error::from)?;
    tx.commit().await.map_err(Error::from)?;
    let member = member.ok_or_else(|| web::Error::not_found("user not found"))?;
    let (kind, bytes) = decode(&member.avatar).ok_or_else(|| web::Error::not_found("avatar not found"))?;
    let mut answer = HttpResponse::Ok();
    download::guard(&mut answer);
    Ok(answer.content_type(kind).body(bytes))
}

/// Type and bytes of a picture in a base64 `data:` URI; other types are not given out.
fn decode(uri: &str) -> Option<(&str, Vec<u8>)> {
    let (head, body) = uri.strip_prefix("data:")?.split_once(',')?;
    let kind = head.strip_suffix(";base64")?;
    let kind = kind.split(';').next().unwrap_or_default();
    let known = ["image/png", "image/jpeg", "image/jpg", "image/gif", "image/webp"].contains(&kind);
    known.then(|| STANDARD.decode(body.trim()).ok()).flatten().map(|bytes| (kind, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pictures_are_decoded() {
        assert_eq!(decode("data:image/png;base64,aGk="), Some(("image/png", b"hi".to_vec())));
        for bad in
            ["", "https://e.org/a.png", "data:text/html;base64,aGk=", "data:image/png,hi", "data:image/png;base64,*"]
        {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
