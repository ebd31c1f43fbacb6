//! A server of S3 in this process, whose answers a test decides.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use indelible_engine::env::{Clock as _, ManualClock};
use jiff::Timestamp;

use super::bucket::{Bucket, Request, Response};

/// The bucket's name.
pub(super) const BUCKET: &str = "bucket";

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is done.
    Done,
    /// It is not done, and answered so.
    Refused(u16, &'static str),
    /// It is done, and answered as if it were not.
    DoneAndRefused(u16, &'static str),
    /// The connection breaks before it is done.
    ResetBefore,
    /// It is done, and the connection breaks.
    ResetAfter,
    /// The connection breaks, and it arrives later.
    Late,
    /// It arrives twice; the first answer is given.
    Twice,
    /// It is done, and half of the body comes back.
    Cut,
    /// It is not done, and nothing comes back.
    Silence,
    /// It is done, and nothing comes back.
    DoneInSilence,
}

/// Decides what becomes of a request, and may do something to the bucket before.
type Decide = Box<dyn FnMut(&Request, &mut Bucket) -> Fate + Send>;

struct Shared {
    bucket: Mutex<Bucket>,
    decide: Mutex<Decide>,
    late: Mutex<Vec<Request>>,
    addresses: Mutex<Vec<String>>,
    /// Shown to clients.
    clock: Arc<ManualClock>,
    ended: AtomicBool,
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A server. Connections end with those who made them.
pub(super) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Server {
    pub(super) fn new(clock: &Arc<ManualClock>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            bucket: Mutex::new(Bucket::new(Arc::clone(clock))),
            decide: Mutex::new(Box::new(|_, _| Fate::Done)),
            late: Mutex::default(),
            addresses: Mutex::default(),
            clock: Arc::clone(clock),
            ended: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.ended.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(stream), shared) = (stream, Arc::clone(&serving)) else {
                    continue;
                };
                // A connection that breaks is the client's affair.
                thread::spawn(move || drop(shared.serve(&stream)));
            }
        });
        Self { address, shared }
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn bucket(&self) -> MutexGuard<'_, Bucket> {
        lock(&self.shared.bucket)
    }

    /// Decides what becomes of requests from now on.
    pub(super) fn decide(
        &self,
        decide: impl FnMut(&Request, &mut Bucket) -> Fate + Send + 'static,
    ) {
        *lock(&self.shared.decide) = Box::new(decide);
    }

    /// Lets arrive what was held up.
    pub(super) fn deliver_late(&self) {
        for request in std::mem::take(&mut *lock(&self.shared.late)) {
            self.bucket().answer(&request);
        }
    }

    /// The first lines of the requests so far.
    pub(super) fn requests(&self) -> Vec<String> {
        lock(&self.shared.addresses).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        while let Some(request) = self.receive(&mut reader)? {
            let fate = lock(&self.decide)(&request, &mut lock(&self.bucket));
            let answer = || lock(&self.bucket).answer(&request);
            let (response, body_len) = match fate {
                Fate::Done => whole(answer()),
                Fate::Refused(status, code) => whole(Response::error(status, code)),
                Fate::DoneAndRefused(status, code) => {
                    answer();
                    whole(Response::error(status, code))
                }
                Fate::Twice => {
                    let first = answer();
                    answer();
                    whole(first)
                }
                Fate::Cut => {
                    let response = answer();
                    let half = response.body.len() / 2;
                    (response, half)
                }
                Fate::ResetBefore => return Ok(()),
                Fate::ResetAfter => {
                    answer();
                    return Ok(());
                }
                Fate::Late => {
                    lock(&self.late).push(request);
                    return Ok(());
                }
                Fate::Silence | Fate::DoneInSilence => {
                    if fate == Fate::DoneInSilence {
                        answer();
                    }
                    // Until the client has enough of it.
                    io::copy(&mut reader, &mut io::sink())?;
                    return Ok(());
                }
            };
            self.send(stream, &request, &response, body_len)?;
            if body_len < response.body.len() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn receive(&self, reader: &mut BufReader<&TcpStream>) -> io::Result<Option<Request>> {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        lock(&self.addresses).push(line.trim_end().to_owned());
        let mut words = line.split_whitespace();
        let method = words.next().unwrap_or_default().to_owned();
        let target = words.next().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = unquoted(path);
        let key = path.strip_prefix(&format!("/{BUCKET}/")).map(str::to_owned);
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length");
        let length = length.map_or(0, |it| it.parse().expect("a length"));
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let query = query.split('&').filter(|part| !part.is_empty());
        let query = query.map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (unquoted(name), unquoted(value))
        });
        Ok(Some(Request {
            method,
            key: key.expect("a path within the bucket"),
            query: query.collect(),
            headers,
            body,
        }))
    }

    fn send(
        &self,
        mut stream: &TcpStream,
        request: &Request,
        response: &Response,
        body_len: usize,
    ) -> io::Result<()> {
        let now = i64::try_from(self.clock.now_unix_ms()).expect("a time");
        let now = Timestamp::from_millisecond(now).expect("a time");
        let mut head = format!(
            "HTTP/1.1 {} x\r\ndate: {}\r\n",
            response.status,
            now.strftime("%a, %d %b %Y %H:%M:%S GMT")
        );
        for (name, value) in &response.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if response.status != 204 {
            let _ = write!(head, "content-length: {}\r\n", response.body.len());
        }
        head += "\r\n";
        stream.write_all(head.as_bytes())?;
        if request.method != "HEAD" {
            stream.write_all(&response.body[..body_len])?;
        }
        stream.flush()
    }
}

fn whole(response: Response) -> (Response, usize) {
    let len = response.body.len();
    (response, len)
}

fn unquoted(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().expect("a digit"), rest.next().expect("a digit")];
            let digits = std::str::from_utf8(&digits).expect("digits");
            bytes.push(u8::from_str_radix(digits, 16).expect("digits"));
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).expect("a name in Unicode")
}
