//! A client of an event stream.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::Http;

/// An open stream; its lines come through a queue.
pub(crate) struct Listener {
    lines: Receiver<String>,
    stream: TcpStream,
}

impl Listener {
    /// Opens a stream and waits for its greeting.
    pub(crate) fn open(http: &Http, token: &str) -> Self {
        let stream = TcpStream::connect(http.address).expect("the server's port");
        let mut writing = stream.try_clone().unwrap();
        let head = format!(
            "GET {}/api/v1/sse HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\r\n",
            http.base, http.host
        );
        writing.write_all(head.as_bytes()).unwrap();
        let (sender, lines) = channel();
        let reading = BufReader::new(stream.try_clone().unwrap());
        std::thread::spawn(move || {
            for line in reading.lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let listener = Self { lines, stream };
        let status = listener.line().expect("a status line");
        assert!(status.contains(" 200 "), "{status}");
        while listener.line().expect("a greeting") != ": connected" {}
        listener
    }

    fn line(&self) -> Option<String> {
        self.lines.recv_timeout(Duration::from_secs(10)).ok()
    }

    /// The next `data:` line; none when nothing comes for long or the stream has ended.
    pub(crate) fn next_event(&self) -> Option<String> {
        loop {
            let line = self.line()?;
            if line.starts_with("data:") {
                return Some(line);
            }
        }
    }

    /// The events that have come and were not taken.
    pub(crate) fn waiting(&self) -> Vec<String> {
        self.lines.try_iter().filter(|line| line.starts_with("data:")).collect()
    }

    /// Whether the stream has ended, or ends within a few seconds.
    pub(crate) fn has_ended(&self) -> bool {
        loop {
            match self.lines.recv_timeout(Duration::from_secs(10)) {
                Ok(_) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return true,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => return false,
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stream.shutdown(std::net::Shutdown::Both).ok();
    }
}
