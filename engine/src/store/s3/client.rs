//! Sends requests to S3, and tries again what may succeed in a moment.
//!
//! Why it is safe: only what changes nothing, or changes the same thing however
//! often it is done, is sent again here; creation has its own rules. Tries are
//! bounded in number and in time, and so is what is read of an answer. A server
//! that accepts a connection and then says nothing is given up.
//!
//! Every answer tells what the store's clock shows. Requests are signed for that
//! time and locks reckoned from it; where it is more than an hour from this
//! machine's, one of the two is wrong, and nothing goes on.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusty_s3::{Bucket, Credentials, Method};
use ureq::http::request::Builder;
use ureq::http::{HeaderMap, Response};
use ureq::{Agent, Body, SendBody};

use super::super::{Action, Answer, ObjectKey, StoreError};
use super::fault::{Fault, Lost};
use super::request::Request;
use super::time::parse_http_date;
use super::xml;
use crate::env::{Clock, Entropy, Pause};
use crate::pace::{Limits, Paced, Pacer};

/// The most that is read of an answer in XML. A thousand keys of a thousand
/// characters, each quoted as three, fit.
const XML_BYTES_MAX: u64 = 8 << 20;
/// The most that is read of an error.
const ERROR_BYTES_MAX: u64 = 64 << 10;
/// How far the clocks may be apart.
const SKEW_MS_MAX: u64 = 3_600_000;
/// Connections that are kept for the next request.
const IDLE_CONNECTIONS: usize = 16;

/// How long is waited, and how often is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a connection to stand, and for a name to be looked up.
    pub connect_ms: u64,
    /// For the next byte to come or go.
    pub idle_ms: u64,
    /// How often a request is sent, the first time included.
    pub tries_max: u32,
    /// After so long no request is sent again, unless a limit makes bodies take their
    /// time ([`Limits`]).
    pub total_ms_max: u64,
    /// About how long is waited before the second try; it doubles from try to
    /// try.
    pub pause_ms: u64,
    /// The longest pause.
    pub pause_ms_max: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect_ms: 10_000,
            idle_ms: 60_000,
            tries_max: 8,
            total_ms_max: 300_000,
            pause_ms: 250,
            pause_ms_max: 20_000,
        }
    }
}

/// What is tried, for errors.
pub(super) struct Fetch {
    pub(super) action: Action,
    pub(super) path: String,
    /// The object, where there is one.
    key: Option<ObjectKey>,
}

impl Fetch {
    pub(super) fn new(action: Action, key: &ObjectKey) -> Self {
        Self {
            action,
            path: key.path(),
            key: Some(*key),
        }
    }

    /// What concerns no object of ours.
    pub(super) fn elsewhere(action: Action, path: impl Into<String>) -> Self {
        Self {
            action,
            path: path.into(),
            key: None,
        }
    }
}

/// An answer, and who paces its body.
pub(super) struct Reply(Response<Body>, Option<Arc<Pacer>>);

impl Reply {
    pub(super) fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// How long the body is, or for `HEAD` would be, says the store.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    pub(super) fn reader(self) -> impl Read {
        Paced::new(self.0.into_body().into_reader(), self.1)
    }

    /// The whole body, for what is small.
    pub(super) fn into_bytes(self) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        let mut reader = self.reader().take(XML_BYTES_MAX + 1);
        reader.read_to_end(&mut bytes).map_err(Fault::cut)?;
        if bytes.len() as u64 > XML_BYTES_MAX {
            return Err(super::fault::Garbled::Xml.into());
        }
        Ok(bytes)
    }

    /// What the store says that did not do it.
    pub(super) fn into_answer(self) -> Answer {
        let status = self.status();
        let region = self.header("x-amz-bucket-region").map(str::to_owned);
        let mut bytes = Vec::new();
        // What was not read is missing from the message, and nothing else.
        let _ = self.reader().take(ERROR_BYTES_MAX).read_to_end(&mut bytes);
        let mut answer = xml::answer(status, &bytes);
        if let (301 | 307 | 400, Some(region)) = (status, region) {
            answer.message = format!("the bucket is in region {region}");
        }
        answer
    }
}

/// For answers of which only the status matters.
#[allow(clippy::unnecessary_wraps, reason = "it stands where others may fail")]
pub(super) fn reads_nothing(_: Reply) -> Result<(), Fault> {
    Ok(())
}

/// How many tries are left, and how long to wait before the next.
pub(super) struct Tries<'c> {
    client: &'c Client,
    made: u32,
    ends_ms: u64,
}

impl Tries<'_> {
    /// Waits for the next try; false where there is none.
    pub(super) fn wait(&mut self) -> bool {
        let patience = &self.client.patience;
        self.made += 1;
        let doubled = patience
            .pause_ms
            .saturating_mul(1 << (self.made - 1).min(20));
        let pause_ms = doubled.min(patience.pause_ms_max);
        // Anything from half of it on, so that many clients don't come back at once.
        let mut drawn = [0; 8];
        self.client.entropy.fill(&mut drawn);
        let pause_ms = pause_ms / 2 + u64::from_le_bytes(drawn) % (pause_ms / 2 + 1);
        let now_ms = self.client.clock.monotonic_ms();
        if self.made >= patience.tries_max || now_ms.saturating_add(pause_ms) > self.ends_ms {
            return false;
        }
        self.client.pause.pause_ms(pause_ms);
        true
    }
}

/// What sends requests. Threads share one.
pub(super) struct Client {
    pub(super) agent: Agent,
    pub(super) bucket: Bucket,
    pub(super) credentials: Credentials,
    pub(super) location: String,
    pub(super) patience: Patience,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) pause: Arc<dyn Pause>,
    pub(super) limits: Limits,
    /// What the store's clock showed, less what this machine's did.
    pub(super) ahead_ms: Mutex<Option<i64>>,
}

/// An HTTP client for such a patience.
pub(super) fn agent(patience: &Patience, tls: ureq::tls::TlsConfig) -> Agent {
    let connect = Some(Duration::from_millis(patience.connect_ms));
    let idle = Some(Duration::from_millis(patience.idle_ms));
    Agent::config_builder()
        .tls_config(tls)
        // What an answer means is decided here, and nothing is followed anywhere.
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        // By default it would ask the environment.
        .proxy(None)
        .timeout_resolve(connect)
        .timeout_connect(connect)
        .timeout_per_read(idle)
        .timeout_per_write(idle)
        .max_idle_connections(IDLE_CONNECTIONS)
        .max_idle_connections_per_host(IDLE_CONNECTIONS)
        .build()
        .into()
}

impl Client {
    pub(super) fn tries(&self) -> Tries<'_> {
        let now_ms = self.clock.monotonic_ms();
        // A body that is paced may rightly take longer than that, and has its tries all the
        // same: their number is bounded, and so is how long nothing comes or goes.
        let total_ms_max = if self.limits.is_none() {
            self.patience.total_ms_max
        } else {
            u64::MAX
        };
        Tries {
            client: self,
            made: 0,
            ends_ms: now_ms.saturating_add(total_ms_max),
        }
    }

    /// Sends a request once.
    pub(super) fn send(&self, request: &Request<'_>) -> Result<Reply, Lost> {
        let sent = i64::try_from(self.store_now_ms()).ok();
        let sent = sent.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let now = sent.unwrap_or(Timestamp::UNIX_EPOCH);
        let url = request.signed(&self.bucket, &self.credentials, &now);
        let mut builder = ureq::http::Request::builder()
            .method(request.method.to_str())
            .uri(url.as_str());
        for (name, value) in request.headers() {
            builder = builder.header(name, value);
        }
        let answer = self.run(builder, request).map_err(Lost::from)?;
        let reply = Reply(answer, self.limits.download.clone());
        self.note_time(&reply);
        Ok(reply)
    }

    /// Sends what is built so far, with its body.
    fn run(&self, builder: Builder, request: &Request<'_>) -> Result<Response<Body>, ureq::Error> {
        if request.method != Method::Put {
            return self.agent.run(builder.body(())?);
        }
        let Some(pacer) = &self.limits.upload else {
            return self.agent.run(builder.body(request.body)?);
        };
        // Its length is said, since what is read from a stream would go in chunks else.
        let builder = builder.header("content-length", request.body.len());
        let mut body = Paced::new(request.body, Some(Arc::clone(pacer)));
        self.agent
            .run(builder.body(SendBody::from_reader(&mut body))?)
    }

    /// Sends a request that may be sent more than once, and takes what it is
    /// answered. What `take` fails with decides whether it is sent again.
    pub(super) fn ask<T>(
        &self,
        fetch: &Fetch,
        request: &Request<'_>,
        take: &mut dyn FnMut(Reply) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let mut tries = self.tries();
        loop {
            let fault = match self.send(request) {
                Err(lost) => Fault::Lost(lost),
                Ok(reply) => {
                    self.check_clock()?;
                    let taken = match reply.status() {
                        200..=299 => take(reply),
                        _ => Err(Fault::Answered(reply.into_answer())),
                    };
                    match taken {
                        Ok(taken) => return Ok(taken),
                        Err(fault) => fault,
                    }
                }
            };
            if !fault.is_transient() || !tries.wait() {
                return Err(self.error(fetch, fault));
            }
        }
    }

    /// The error that a fault amounts to.
    pub(super) fn error(&self, fetch: &Fetch, fault: Fault) -> StoreError {
        let path = fetch.path.clone();
        match fault {
            Fault::Decided(error) => error,
            Fault::Lost(lost) => StoreError::Unreachable {
                location: self.location.clone(),
                source: lost.cause,
            },
            Fault::Garbled(garbled) => StoreError::Io {
                action: fetch.action,
                path,
                source: io::Error::new(io::ErrorKind::InvalidData, garbled),
            },
            Fault::Answered(answer) if answer.code == "NoSuchBucket" => StoreError::BucketMissing {
                location: self.location.clone(),
            },
            Fault::Answered(answer) => match fetch.key {
                Some(key) if says_missing(&answer) => StoreError::NotFound { key },
                _ => StoreError::Answered {
                    action: fetch.action,
                    path,
                    source: Box::new(answer),
                },
            },
        }
    }

    /// Remembers what an answer says of the store's clock.
    fn note_time(&self, reply: &Reply) {
        let Some(store_ms) = reply.header("date").and_then(parse_http_date) else {
            return;
        };
        let apart = i128::from(store_ms) - i128::from(self.clock.now_unix_ms());
        let apart = i64::try_from(apart).unwrap_or(i64::MAX);
        *self.ahead_ms.lock().unwrap_or_else(PoisonError::into_inner) = Some(apart);
    }

    fn ahead_ms(&self) -> Option<i64> {
        *self.ahead_ms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the store ever said what its clock shows.
    pub(super) fn knows_time(&self) -> bool {
        self.ahead_ms().is_some()
    }

    /// What the store's clock shows, as far as is known.
    pub(super) fn store_now_ms(&self) -> u64 {
        let now_ms = self.clock.now_unix_ms();
        now_ms.saturating_add_signed(self.ahead_ms().unwrap_or(0))
    }

    /// An error where the clocks are too far apart.
    pub(super) fn check_clock(&self) -> Result<(), StoreError> {
        let apart_ms = self.ahead_ms().unwrap_or(0).unsigned_abs();
        if apart_ms <= SKEW_MS_MAX {
            return Ok(());
        }
        Err(StoreError::ClockSkew {
            location: self.location.clone(),
            apart_s: apart_ms / 1_000,
        })
    }
}

/// Whether an answer says that there is no such object, or no such version.
fn says_missing(answer: &Answer) -> bool {
    match answer.status {
        404 => matches!(answer.code.as_str(), "" | "NoSuchKey" | "NoSuchVersion"),
        // What is no version's name at all.
        400 => matches!(answer.code.as_str(), "NoSuchVersion" | "InvalidArgument"),
        _ => false,
    }
}
