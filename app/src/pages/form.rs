//! A form with files: `multipart/form-data` as browsers send it, or plain fields from whoever sends none.

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_TYPE;
use bytes::Bytes;
use futures_util::stream;
use web::{Error, Result};

/// The longest form with files, in bytes. It is read into memory; the tenant's own limit per file is checked after.
pub(super) const UPLOAD_LIMIT: usize = 64 * 1024 * 1024;

/// Most parts of a form.
const MOST_PARTS: usize = 200;

/// A file of a form.
#[derive(Debug)]
pub(super) struct SentFile {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) content: Vec<u8>,
}

/// What was sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    fields: Vec<(String, String)>,
    pub(super) files: Vec<SentFile>,
}

impl Sent {
    /// Reads the body of a form, in whichever of the two ways it was sent.
    pub(super) async fn read(request: &HttpRequest, body: Bytes) -> Result<Self> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match multer::parse_boundary(kind) {
            Ok(boundary) => Self::parts(body, boundary).await,
            Err(_) => {
                let fields = url::form_urlencoded::parse(&body).into_owned().collect();
                Ok(Self { fields, files: Vec::new() })
            }
        }
    }

    async fn parts(body: Bytes, boundary: String) -> Result<Self> {
        let broken = |_| Error::invalid("the form arrived damaged; send it again");
        let whole = stream::once(async move { Ok::<_, std::convert::Infallible>(body) });
        let mut parts = multer::Multipart::new(whole, boundary);
        let mut sent = Self::default();
        while let Some(part) = parts.next_field().await.map_err(broken)? {
            if sent.fields.len() + sent.files.len() >= MOST_PARTS {
                return Err(Error::invalid(format!("a form has at most {MOST_PARTS} parts")));
            }
            let name = part.name().unwrap_or_default().to_owned();
            match part.file_name().map(base_name) {
                // An empty file input is sent as a file without a name.
                Some(file) if file.is_empty() => {}
                Some(file) => {
                    let kind = part.content_type().map(ToString::to_string).unwrap_or_default();
                    let content = part.bytes().await.map_err(broken)?.to_vec();
                    sent.files.push(SentFile { name: file, kind, content });
                }
                None => sent.fields.push((name, part.text().await.map_err(broken)?)),
            }
        }
        Ok(sent)
    }

    /// The first value of a field; empty when it was not sent.
    pub(super) fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }

    /// Every value of a field.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    /// A long text. Browsers send line ends as CR LF; notes keep LF, as every other client writes them.
    pub(super) fn text(&self, name: &str) -> String {
        self.field(name).replace("\r\n", "\n")
    }
}

/// The plain name: some browsers send a path, and names with dots or blanks at their ends are not taken in.
fn base_name(sent: &str) -> String {
    sent.rsplit(['/', '\\']).next().unwrap_or_default().trim_matches([' ', '.']).to_owned()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[actix_web::test]
    async fn both_ways_of_sending_are_read() {
        let plain = TestRequest::default().insert_header((CONTENT_TYPE, "application/x-www-form-urlencoded"));
        let sent = Sent::read(&plain.to_http_request(), Bytes::from("content=a%0D%0Ab&keep=1&keep=2")).await.unwrap();
        assert_eq!(sent.text("content"), "a\nb");
        assert_eq!(sent.all("keep"), ["1", "2"]);
        assert_eq!(sent.field("none"), "");

        let body = "--x\r\nContent-Disposition: form-data; name=\"content\"\r\n\r\nhej\r\n\
            --x\r\nContent-Disposition: form-data; name=\"files\"; filename=\"\"\r\n\
            Content-Type: application/octet-stream\r\n\r\n\r\n\
            --x\r\nContent-Disposition: form-data; name=\"files\"; filename=\"C:\\dir\\ä.txt\"\r\n\
            Content-Type: text/plain\r\n\r\nbytes\r\n--x--\r\n";
        let parts = TestRequest::default().insert_header((CONTENT_TYPE, "multipart/form-data; boundary=x"));
        let sent = Sent::read(&parts.to_http_request(), Bytes::from(body)).await.unwrap();
        assert_eq!(sent.text("content"), "hej");
        assert_eq!(sent.files.len(), 1);
        assert_eq!((sent.files[0].kind.as_str(), sent.files[0].content.as_slice()), ("text/plain", &b"bytes"[..]));
        assert!(sent.files[0].name.ends_with("ä.txt"));

        let cut = TestRequest::default().insert_header((CONTENT_TYPE, "multipart/form-data; boundary=x"));
        assert!(Sent::read(&cut.to_http_request(), Bytes::from("--x\r\nContent-Disposition: form")).await.is_err());
    }
}
