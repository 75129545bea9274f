//! Page tokens: standard base64 of [`PageToken`](crate::v1::PageToken).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;

use crate::v1::PageToken;

/// The default number of rows in a page, and the largest.
const DEFAULT: i32 = 50;
const LARGEST: i32 = 1000;

/// Which rows a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Rows in this page, 1 to 1,000.
    pub limit: i64,
    /// Rows before it.
    pub offset: i64,
}

/// The token was not made by us.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid page token: {0}")]
pub struct InvalidPageToken(&'static str);

impl Page {
    /// From a request's fields; a limit inside the token beats `page_size`.
    ///
    /// # Errors
    /// The token is not base64 of a page token with an offset of 0 or more.
    pub fn read(page_size: i32, token: &str) -> Result<Self, InvalidPageToken> {
        let mut wanted = PageToken { limit: page_size, offset: 0 };
        if !token.is_empty() {
            let bytes = STANDARD.decode(token).map_err(|_| InvalidPageToken("not base64"))?;
            wanted = PageToken::decode(bytes.as_slice()).map_err(|_| InvalidPageToken("not a page token"))?;
        }
        if wanted.offset < 0 {
            return Err(InvalidPageToken("negative offset"));
        }
        let limit = if wanted.limit <= 0 { DEFAULT } else { wanted.limit.min(LARGEST) };
        Ok(Self { limit: i64::from(limit), offset: i64::from(wanted.offset) })
    }

    /// The token of the page after this one.
    pub fn next_token(self) -> String {
        let offset = i32::try_from(self.offset + self.limit).unwrap_or(i32::MAX);
        let token = PageToken { limit: i32::try_from(self.limit).unwrap_or(LARGEST), offset };
        STANDARD.encode(token.encode_to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_to_the_next_page() {
        let first = Page::read(1, "").expect("a page");
        assert_eq!(first.next_token(), "CAEQAQ==");
        assert_eq!(Page::read(7, "CAEQAQ=="), Ok(Page { limit: 1, offset: 1 }));
        assert_eq!(Page::read(-3, ""), Ok(Page { limit: 50, offset: 0 }));
        assert_eq!(Page::read(5000, "").map(|p| p.limit), Ok(1000));
        for bad in ["x", "MTA=", "10"] {
            assert!(Page::read(1, bad).is_err(), "{bad}");
        }
    }
}
