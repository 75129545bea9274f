//! An HTTP server that takes what is sent to it, or behaves badly.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How the sink treats a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Answers 200.
    Take,
    /// Reads everything of the first try of each message and hangs up; takes the second.
    DropFirst,
    /// Reads everything and never answers.
    Hold,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) text: String,
    /// Whether it was answered.
    pub(crate) taken: bool,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }
}

#[derive(Default)]
struct Seen {
    received: Vec<Received>,
    dropped: HashSet<String>,
    held: Vec<TcpStream>,
    answer: String,
}

/// A server on a free port of this machine.
#[derive(Clone)]
pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    mode: Arc<Mutex<Mode>>,
    seen: Arc<Mutex<Seen>>,
}

impl Sink {
    pub(crate) fn open(mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sink = Self {
            address: listener.local_addr().unwrap(),
            mode: Arc::new(Mutex::new(mode)),
            seen: Arc::new(Mutex::new(Seen { answer: "{\"code\":0}".to_owned(), ..Seen::default() })),
        };
        let serving = sink.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                std::thread::spawn(move || serving.serve(stream));
            }
        });
        sink
    }

    /// What is answered from now on: head lines after the status, an empty line, and a body.
    pub(crate) fn answers(&self, body: &str) {
        self.seen.lock().unwrap().answer = body.to_owned();
    }

    pub(crate) fn behave(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    /// Everything that came so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.seen.lock().unwrap().received.clone()
    }

    /// Waits until what came satisfies a condition.
    pub(crate) fn wait(&self, what: &str, patience: Duration, done: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let began = Instant::now();
        loop {
            let received = self.received();
            if done(&received) {
                return received;
            }
            assert!(began.elapsed() < patience, "{what}: did not come in {patience:?}; came: {received:#?}");
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(mut received) = read(&mut reader) {
            let id = received.header("webhook-id").to_owned();
            let mode = *self.mode.lock().unwrap();
            let mut seen = self.seen.lock().unwrap();
            received.taken = match mode {
                Mode::Take => true,
                Mode::DropFirst => !seen.dropped.insert(id),
                Mode::Hold => false,
            };
            let taken = received.taken;
            seen.received.push(received);
            if mode == Mode::Hold {
                seen.held.push(stream);
                return;
            }
            if !taken {
                return;
            }
            let body = seen.answer.clone();
            drop(seen);
            let kind = if body.starts_with('<') { "text/html" } else { "application/json" };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
            if (&stream).write_all(format!("{head}{body}").as_bytes()).is_err() {
                return;
            }
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Received> {
    let mut headers = Vec::new();
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    headers.push((":request".to_owned(), line.trim().to_owned()));
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim().split_once(':') {
            Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
            None => break,
        }
    }
    let mut received = Received { headers, text: String::new(), taken: false };
    let length: usize = received.header("content-length").parse().unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    received.text = String::from_utf8_lossy(&body).into_owned();
    Some(received)
}
