//! Native gRPC, call by call, over cleartext HTTP/2 or TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::http::{Answer, Header};

/// One call: where, as what authority, which path, with which metadata and message.
pub(crate) struct Call<'a> {
    pub(crate) authority: &'a str,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a [Header],
    pub(crate) message: &'a [u8],
}

/// Makes a call over cleartext HTTP/2. The answer's status is the HTTP status that belongs to the gRPC code.
pub(crate) fn call(address: SocketAddr, call: &Call<'_>) -> Answer {
    waited(async {
        let stream = TcpStream::connect(address).await.expect("the gRPC port");
        over(stream, call).await
    })
}

/// The same through TLS with a server that shows a certificate of this authority for localhost.
pub(crate) fn call_tls(address: SocketAddr, roots: rustls::RootCertStore, call: &Call<'_>) -> Answer {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    waited(async {
        let stream = TcpStream::connect(address).await.expect("the gRPC port");
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("TLS");
        over(stream, call).await
    })
}

fn waited<T>(work: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work))
}

async fn over<S>(stream: S, call: &Call<'_>) -> Answer
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    let running = tokio::spawn(connection);
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(call.message.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(call.message);
    let mut request = http::Request::post(format!("http://{}{}", call.authority, call.path))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(frame))).expect("a request");
    let response = sender.send_request(request).await.expect("an answer");
    let (head, body) = response.into_parts();
    let whole = body.collect().await.expect("the whole answer");
    let trailers = whole.trailers().cloned().unwrap_or_default();
    let headers: Vec<Header> = head
        .headers
        .iter()
        .chain(&trailers)
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    running.abort();
    let mut answer = Answer { status: head.status.as_u16(), headers, body: whole.to_bytes().to_vec() };
    if answer.status == 200 {
        answer.status = match answer.header("grpc-status").and_then(|code| code.parse().ok()) {
            Some(0) => 200,
            code => web::Code::from_number(code.unwrap_or(2)).status().as_u16(),
        };
    }
    answer
}
