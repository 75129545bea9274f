//! A relay before an S3 server that misbehaves as stores and networks do. HTTP/1.1, a connection a request.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Every answer comes so much later.
    Slow(Duration),
    /// Every n-th request is answered by 503.
    Busy(u64),
    /// Bodies of objects end in the middle, and so does the connection.
    Cut,
    /// One bit is another in every object whose key holds these words.
    Flip(&'static str),
    /// After so many requests the store refuses everything by this status and code: credentials that are revoked, a bucket
    /// that is deleted.
    Refuse {
        /// Requests that go through still.
        after: u64,
        /// Such as 403.
        status: u16,
        /// Such as `AccessDenied`.
        code: &'static str,
    },
    /// Listings are without the keys that hold these words, as if a page had been left out.
    Forget(String),
    /// The n-th request of this method whose address holds these words goes no further, and is answered by nobody, until the
    /// client is gone: so that it can be ended there. Others pass.
    Stop {
        /// Such as `PUT`.
        method: &'static str,
        /// Such as `/pack`.
        words: &'static str,
        /// From 1.
        nth: u64,
        /// How far it gets.
        stage: Stage,
    },
}

/// How far a request gets that is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The store hears nothing of it.
    Before,
    /// The store hears half of its body.
    Half,
    /// The store has done it, and its answer is not passed on.
    After,
}

/// The request that was stopped.
type Stopped = Arc<(Mutex<Option<String>>, Condvar)>;

/// A running relay.
#[derive(Debug)]
pub struct FaultyStore {
    /// Where it listens.
    pub address: SocketAddr,
    fault: Arc<Mutex<Fault>>,
    spoiled: Arc<AtomicU64>,
    requests: Arc<AtomicU64>,
    stopped: Stopped,
}

/// What all requests share.
#[derive(Clone)]
struct Shared {
    fault: Arc<Mutex<Fault>>,
    spoiled: Arc<AtomicU64>,
    requests: Arc<AtomicU64>,
    stopped: Stopped,
}

impl FaultyStore {
    /// Relays to this address.
    pub fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port for the relay");
        let address = listener.local_addr().expect("the relay's port");
        let shared = Shared {
            fault: Arc::new(Mutex::new(Fault::None)),
            spoiled: Arc::default(),
            requests: Arc::default(),
            stopped: Arc::default(),
        };
        let Shared { fault, spoiled, requests, stopped } = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || {
                    // a client or server that goes away in the middle is none of our business
                    relay(client, target, &shared).ok();
                });
            }
        });
        Self { address, fault, spoiled, requests, stopped }
    }

    /// What goes wrong from now on; gives back how many answers were spoiled before.
    pub fn set(&self, fault: Fault) -> u64 {
        *self.fault.lock().unwrap() = fault;
        self.requests.store(0, Ordering::SeqCst);
        *self.stopped.0.lock().unwrap() = None;
        self.spoiled.swap(0, Ordering::SeqCst)
    }

    /// Waits until the request of [`Fault::Stop`] is there; its method and address.
    pub fn stopped(&self, patience: Duration) -> Option<String> {
        let (request, there) = &*self.stopped;
        let waiting = request.lock().unwrap();
        there.wait_timeout_while(waiting, patience, |request| request.is_none()).unwrap().0.clone()
    }
}

/// A message: its head with the empty line, and its body as it was sent.
struct Message {
    head: String,
    body: Vec<u8>,
}

fn relay(mut client: TcpStream, target: SocketAddr, shared: &Shared) -> std::io::Result<()> {
    let Some(request) = read_request(&mut client)? else { return Ok(()) };
    let fault = &shared.fault.lock().unwrap().clone();
    let spoiled = &shared.spoiled;
    let mut line = request.head.split(' ');
    let (asked, path) = (line.next().unwrap_or_default(), line.next().unwrap_or_default());
    let counts = !matches!(fault, Fault::Stop { method, words, .. } if asked != *method || !path.contains(words));
    let number = if counts { shared.requests.fetch_add(1, Ordering::SeqCst) + 1 } else { 0 };
    if let Fault::Stop { nth, stage, .. } = fault
        && number == *nth
    {
        return stop(client, target, &request, *stage, &shared.stopped);
    }
    let refused = match fault {
        Fault::Busy(every) if number.is_multiple_of(*every) => Some((503, "SlowDown")),
        Fault::Refuse { after, status, code } if number > *after => Some((*status, *code)),
        _ => None,
    };
    if let Some((status, code)) = refused {
        spoiled.fetch_add(1, Ordering::SeqCst);
        let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>so it is</Message></Error>");
        let length = if request.head.starts_with("HEAD ") { 0 } else { body.len() };
        let answer = format!(
            "HTTP/1.1 {status} {code}\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{}",
            &body[..length]
        );
        return client.write_all(answer.as_bytes());
    }
    if let Fault::Slow(time) = fault {
        std::thread::sleep(*time);
    }
    let mut server = TcpStream::connect(target)?;
    server.write_all(request.head.as_bytes())?;
    server.write_all(&request.body)?;
    let mut bytes = Vec::new();
    server.read_to_end(&mut bytes)?;
    let Some(end) = end_of_head(&bytes) else { return Ok(()) };
    let body = bytes.split_off(end);
    let answer = Message { head: String::from_utf8_lossy(&bytes).into_owned(), body };
    match spoil(&request.head, answer, fault) {
        Ok(answer) => write(&mut client, &answer),
        Err(answer) => {
            spoiled.fetch_add(1, Ordering::SeqCst);
            write(&mut client, &answer)
        }
    }
}

/// Lets a request go as far as it shall, says so, and waits until the client is gone.
fn stop(
    mut client: TcpStream,
    target: SocketAddr,
    request: &Message,
    stage: Stage,
    stopped: &Stopped,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(target)?;
    match stage {
        Stage::Before => {}
        Stage::Half => {
            server.write_all(request.head.as_bytes())?;
            server.write_all(&request.body[..request.body.len() / 2])?;
        }
        Stage::After => {
            server.write_all(request.head.as_bytes())?;
            server.write_all(&request.body)?;
            server.read_to_end(&mut Vec::new())?;
        }
    }
    let line: Vec<&str> = request.head.split(' ').take(2).collect();
    *stopped.0.lock().unwrap() = Some(line.join(" "));
    stopped.1.notify_all();
    client.set_read_timeout(Some(Duration::from_secs(120)))?;
    client.read(&mut [0; 1]).map(drop)
}

fn write(client: &mut TcpStream, answer: &Message) -> std::io::Result<()> {
    client.write_all(answer.head.as_bytes())?;
    client.write_all(&answer.body)?;
    client.shutdown(Shutdown::Write)
}

/// The answer as it is passed on: as it is, or spoiled (`Err`).
fn spoil(request: &str, mut answer: Message, fault: &Fault) -> Result<Message, Message> {
    let path = request.split(' ').nth(1).unwrap_or_default();
    let listing = path.contains("list-type=2");
    let object = request.starts_with("GET ") && !listing && answer.head.contains(" 20") && !answer.body.is_empty();
    match fault {
        Fault::Cut if object => {
            answer.body.truncate(answer.body.len() / 2);
            Err(answer)
        }
        Fault::Flip(words) if object && path.contains(words) => {
            let middle = answer.body.len() / 2;
            answer.body[middle] ^= 0x10;
            Err(answer)
        }
        Fault::Forget(words) if listing => {
            let text = String::from_utf8_lossy(&whole(&answer)).into_owned();
            let kept = without(&text, words);
            if kept == text {
                return Ok(answer);
            }
            let head: Vec<&str> = answer.head.trim_end().lines().filter(|line| !is_about_length(line)).collect();
            let head = format!("{}\r\nContent-Length: {}\r\n\r\n", head.join("\r\n"), kept.len());
            Err(Message { head, body: kept.into_bytes() })
        }
        _ => Ok(answer),
    }
}

fn is_about_length(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    line.starts_with("content-length:") || line.starts_with("transfer-encoding:")
}

/// A listing without the entries whose keys hold these words.
fn without(listing: &str, words: &str) -> String {
    let mut out = String::new();
    let mut rest = listing;
    while let Some(at) = rest.find("<Contents>") {
        let Some(end) = rest[at..].find("</Contents>").map(|end| at + end + "</Contents>".len()) else { break };
        out.push_str(&rest[..at]);
        if !rest[at..end].contains(words) {
            out.push_str(&rest[at..end]);
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// The body of an answer, out of its chunks where it came in such.
fn whole(answer: &Message) -> Vec<u8> {
    if !answer.head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return answer.body.clone();
    }
    let (mut out, mut rest) = (Vec::new(), &answer.body[..]);
    while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
        let length = String::from_utf8_lossy(&rest[..at]);
        let length = usize::from_str_radix(length.split(';').next().unwrap_or("0").trim(), 16).unwrap_or(0);
        if length == 0 {
            break;
        }
        out.extend_from_slice(&rest[at + 2..at + 2 + length]);
        rest = &rest[at + 4 + length..];
    }
    out
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// A whole request, with a head that asks the server to close; none when the client said nothing.
fn read_request(client: &mut TcpStream) -> std::io::Result<Option<Message>> {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    let end = loop {
        let count = client.read(&mut buffer)?;
        if count == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(&buffer[..count]);
        if let Some(end) = end_of_head(&bytes) {
            break end;
        }
    };
    let mut body = bytes.split_off(end);
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let header = |name: &str| {
        let found = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
        found.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
    };
    let length: usize = header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    if header("expect").is_some() {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    while body.len() < length {
        let count = client.read(&mut buffer)?;
        if count == 0 {
            return Ok(None);
        }
        body.extend_from_slice(&buffer[..count]);
    }
    let kept = head.trim_end().lines().filter(|line| {
        let line = line.to_ascii_lowercase();
        !line.starts_with("connection:") && !line.starts_with("expect:")
    });
    let head = format!("{}\r\nConnection: close\r\n\r\n", kept.collect::<Vec<_>>().join("\r\n"));
    Ok(Some(Message { head, body }))
}
