//! MemoService: the RPCs about linked pages.

use wire::v1;

use super::{ApiError, Ctx, RpcRow, row};
use crate::links::{Error, LARGEST_BATCH, Page};

const SERVICE: &str = "MemoService";

/// The handlers.
pub fn rows() -> Vec<RpcRow> {
    vec![row(SERVICE, "GetLinkMetadata", get), row(SERVICE, "BatchGetLinkMetadata", batch)]
}

fn shown(page: Page) -> v1::LinkMetadata {
    v1::LinkMetadata { url: page.url, title: page.title, description: page.description, image: page.image }
}

async fn get(ctx: Ctx, request: v1::GetLinkMetadataRequest) -> Result<v1::LinkMetadata, ApiError> {
    Ok(shown(ctx.state().links.page(ctx.tenant().id, &request.url, ctx.seconds()).await?))
}

async fn batch(
    ctx: Ctx,
    request: v1::BatchGetLinkMetadataRequest,
) -> Result<v1::BatchGetLinkMetadataResponse, ApiError> {
    if request.urls.is_empty() {
        return Err(Error::NoUrls.into());
    }
    if request.urls.len() > LARGEST_BATCH {
        return Err(Error::TooMany.into());
    }
    let (links, tenant, now) = (&ctx.state().links, ctx.tenant().id, ctx.seconds());
    let pages = request.urls.iter().map(|url| links.page(tenant, url, now));
    let found = futures_util::future::try_join_all(pages).await?;
    Ok(v1::BatchGetLinkMetadataResponse { link_metadata: found.into_iter().map(shown).collect() })
}
