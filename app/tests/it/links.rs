//! Link previews: what a page says, and that redirects lead nowhere where only this machine goes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use app::links::Links;
use app::outbound::Outbound;
use domain::chance::Chance;
use domain::id::TenantId;

/// A server that answers each path with the whole answer that `answer` makes for it.
fn serve(answer: impl Fn(&str) -> String + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 2048];
            let length = stream.read(&mut head).unwrap_or(0);
            let text = String::from_utf8_lossy(&head[..length]).into_owned();
            let path = text.split(' ').nth(1).unwrap_or_default();
            stream.write_all(answer(path).as_bytes()).ok();
        }
    });
    address
}

fn page(body: &str) -> String {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close";
    format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_read_and_redirects_are_checked_step_by_step() {
    let address = serve(|path| match path {
        "/page" => {
            page("<title>Plain</title><meta property='og:title' content='Open'><meta name=description content=d>")
        }
        "/moved" => redirect("/page"),
        "/film" => page(
            "<link rel='alternate' type='application/json+oembed' href='/about?x=1'><meta property='og:title' content='Open'>",
        ),
        "/about?x=1" => page("{\"title\": \"A film\", \"thumbnail_url\": \"/still.png\"}"),
        "/silent" => {
            page("<link rel=alternate type=application/json+oembed href=http://127.0.0.2:9/x><title>Plain</title>")
        }
        "/inside" => redirect("http://127.0.0.2:9/secret"),
        "/metadata" => redirect("http://169.254.169.254/latest/meta-data"),
        "/round" => redirect("/round"),
        _ => "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx".to_owned(),
    });
    let links = Links::new(Outbound::new(vec!["127.0.0.1/32".parse().unwrap()]).unwrap());
    let tenant = TenantId(Chance::seeded(1).uuid());
    let ask = async |path: &str| links.page(tenant, &format!("http://{address}{path}"), 0).await;
    let found = ask("/moved").await.unwrap();
    assert_eq!((found.title.as_str(), found.description.as_str()), ("Open", "d"));
    let film = ask("/film").await.unwrap();
    assert_eq!((film.title.as_str(), film.image), ("A film", format!("http://{address}/still.png")));
    assert_eq!(ask("/silent").await.unwrap().title, "Plain", "a description that cannot be had is done without");
    for (path, why) in [
        ("/inside", "internal IP addresses are not allowed"),
        ("/metadata", "internal IP addresses are not allowed"),
        ("/round", "too many redirects"),
        ("/picture", "not an HTML page"),
    ] {
        let refused = ask(path).await.unwrap_err().to_string();
        assert!(refused.contains(why), "{path}: {refused}");
    }
}
