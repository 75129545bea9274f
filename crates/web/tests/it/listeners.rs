//! Unix sockets, TLS with HTTP/2, taken ports, the orderly end, the operations listener.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use web::server::{Listen, StartError};

use crate::{World, client, options};

#[tokio::test]
async fn a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.sock");
    let listen = Listen::Unix(path.clone());
    let world = World::with(web::Options { listen, ..options() }).await;
    assert_eq!(world.server.url(), format!("unix:{}", path.display()));
    let socket = path.clone();
    let text = tokio::task::spawn_blocking(move || {
        let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
        stream.write_all(b"GET /t/beta/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    })
    .await
    .unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK") && text.ends_with("beta stranger"), "{text}");
    world.server.stop().await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn tls_speaks_http_2() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let world = World::with(web::Options { tls: Some(config), ..options() }).await;
    let root = reqwest::Certificate::from_der(made.cert.der()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([root]).no_proxy().build().unwrap();
    let url = format!("https://localhost:{}/", world.server.address().unwrap().port());
    let answer = client.get(url).send().await.unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    assert!(answer.headers().contains_key("strict-transport-security"));
    assert_eq!(answer.text().await.unwrap(), "alpha stranger");
}

#[tokio::test]
async fn a_taken_port_is_one_sentence() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = Listen::Tcp(taken.local_addr().unwrap());
    let ops = web::ops::Ops { metrics: Arc::new(String::new), ready: Arc::new(|| Box::pin(async { Vec::new() })) };
    let refused = web::ops::start(&listen, ops).await.unwrap_err();
    assert!(matches!(refused, StartError::Listen { .. }));
    assert!(refused.to_string().starts_with(&format!("cannot listen on {listen}: ")), "{refused}");
}

#[tokio::test]
async fn the_operations_listener_tells() {
    let ops = web::ops::Ops {
        metrics: Arc::new(|| "holdfast_up 1\n".to_owned()),
        ready: Arc::new(|| {
            Box::pin(async {
                vec![web::ops::Check::ok("database"), web::ops::Check::failed("store", "start the store")]
            })
        }),
    };
    let running = web::ops::start(&Listen::parse("127.0.0.1:0").unwrap(), ops).await.unwrap();
    let ask = async |path: &str| {
        let answer = client().get(format!("{}{path}", running.url())).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(ask("/metrics").await, (200, "holdfast_up 1\n".to_owned()));
    assert_eq!(ask("/livez").await.0, 200);
    assert_eq!(ask("/readyz").await, (503, "not ready\n".to_owned()));
    let verbose = ask("/readyz?verbose").await;
    assert_eq!(verbose, (503, "[+]database ok \n[-]store failed start the store\nnot ready\n".to_owned()));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn stopping_answers_what_is_under_way() {
    let world = World::new().await;
    let url = world.url("/slow");
    let asked = tokio::spawn(async move { client().get(url).send().await.unwrap().text().await });
    while !crate::SLOW.load(Ordering::SeqCst) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let url = world.url("/");
    world.server.stop().await.unwrap();
    assert_eq!(asked.await.unwrap().unwrap(), "done");
    assert!(client().get(url).send().await.is_err());
}

#[tokio::test]
async fn open_event_streams_do_not_hold_the_server() {
    let world = World::new().await;
    let mut events = client().get(world.url("/events")).send().await.unwrap();
    assert_eq!(events.chunk().await.unwrap().unwrap(), ": tick\n\n");
    let asked = std::time::Instant::now();
    world.server.stop().await.unwrap();
    assert!(asked.elapsed() < std::time::Duration::from_secs(10), "the grace is 20 s");
}
