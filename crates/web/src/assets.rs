//! Style and script, built into the executable and addressed by the hash of their bytes, so that browsers keep them
//! for ever and see a new version at once.

use std::collections::HashMap;
use std::sync::LazyLock;

use actix_web::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use rust_embed::Embed;

use crate::error::{Error, Face, Result};
use crate::route::{Access, Route};

#[derive(Embed)]
#[folder = "assets/"]
struct Files;

struct Asset {
    hash: String,
    kind: String,
    bytes: Bytes,
}

static ASSETS: LazyLock<HashMap<String, Asset>> = LazyLock::new(|| {
    Files::iter()
        .filter_map(|name| {
            let file = Files::get(&name)?;
            let hash = hex::encode(file.metadata.sha256_hash());
            let kind = file.metadata.mimetype();
            let kind = if kind.starts_with("text/") { format!("{kind}; charset=utf-8") } else { kind.to_owned() };
            Some((
                name.into_owned(),
                Asset { hash: hash.chars().take(16).collect(), kind, bytes: file.data.into_owned().into() },
            ))
        })
        .collect()
});

/// The path of an asset: `/assets/{hash}/{name}`. A name that is not built in gets a path that answers 404.
pub fn url(name: &str) -> String {
    let hash = ASSETS.get(name).map_or("none", |asset| asset.hash.as_str());
    format!("/assets/{hash}/{name}")
}

/// The rows that serve them.
pub fn routes() -> Vec<Route> {
    vec![Route::get("/assets/{hash}/{name:.*}", || web::to(serve)).access(Access::Bootstrap).face(Face::Short)]
}

async fn serve(request: HttpRequest, path: web::Path<(String, String)>) -> Result<HttpResponse> {
    let (hash, name) = path.into_inner();
    let asset = ASSETS.get(&name).filter(|asset| asset.hash == hash).ok_or_else(|| Error::not_found("Not Found"))?;
    let tag = format!("\"{}\"", asset.hash);
    let known = request.headers().get(IF_NONE_MATCH).is_some_and(|sent| sent.as_bytes() == tag.as_bytes());
    let mut answer = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer.insert_header((ETAG, tag)).insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"));
    Ok(if known { answer.finish() } else { answer.content_type(asset.kind.as_str()).body(asset.bytes.clone()) })
}
