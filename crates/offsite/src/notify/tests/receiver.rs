//! A receiver on loopback that writes down what comes, and answers well or badly.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver as Gone, Sender, channel},
    },
    thread,
};

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Got {
    /// Method, path and query.
    pub(super) line: String,
    /// By name in small letters.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

/// How a request is answered.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// With a status, further header lines and a body.
    Says(u16, &'static str, String),
    /// Never, as long as the receiver lives.
    Hangs,
    /// A byte of an endless header now and then.
    Drips,
    /// By closing.
    Closes,
}

impl Answer {
    pub(super) fn fine() -> Self {
        Self::Says(200, "", String::new())
    }

    pub(super) fn status(status: u16) -> Self {
        Self::Says(status, "", String::new())
    }
}

/// The receiver; it is gone when dropped.
#[derive(Debug)]
pub(super) struct Receiver {
    port: u16,
    got: Arc<Mutex<Vec<Got>>>,
    _alive: Sender<()>,
}

impl Receiver {
    /// Answers the requests in turn; the last answer is for all that follow.
    pub(super) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let got = Arc::new(Mutex::new(Vec::new()));
        let (alive, gone) = channel::<()>();
        let gone = Arc::new(Mutex::new(gone));
        let mut answers: Vec<Answer> = answers.into_iter().collect();
        answers.reverse();
        let written = Arc::clone(&got);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let answer = if answers.len() > 1 { answers.pop().unwrap() } else { answers[0].clone() };
                let (got, gone) = (Arc::clone(&written), Arc::clone(&gone));
                thread::spawn(move || serve(stream.unwrap(), &answer, &got, &gone));
            }
        });
        Self { port, got, _alive: alive }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(super) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

/// Whatever the other side does to the stream is its business: a receiver has no opinion.
fn serve(mut stream: TcpStream, answer: &Answer, got: &Mutex<Vec<Got>>, gone: &Mutex<Gone<()>>) -> Option<()> {
    let request = read(&mut stream)?;
    got.lock().unwrap().push(request);
    match answer {
        Answer::Says(status, headers, body) => {
            let head = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).ok()?;
            stream.write_all(body.as_bytes()).ok()
        }
        Answer::Hangs => {
            // Ends with an error when the receiver is dropped.
            let _ = gone.lock().unwrap().recv();
            None
        }
        Answer::Drips => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nX: ").ok()?;
            loop {
                stream.write_all(b"x").ok()?;
                thread::sleep(std::time::Duration::from_millis(5));
            }
        }
        Answer::Closes => None,
    }
}

fn read(stream: &mut TcpStream) -> Option<Got> {
    let mut reader = BufReader::new(stream);
    let mut next = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok().map(|_| line.trim_end().to_owned())
    };
    let line = next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let line = next()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Got { line, headers, body: String::from_utf8(body).ok()? })
}
