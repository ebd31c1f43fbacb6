//! What can go wrong with one request, before it is decided whether to try again.
//!
//! Why it is safe: no text of the HTTP client is passed on that may hold an
//! address, because requests are signed in their query. And whether the store can
//! have received a request is decided here, where the answer is no only for what
//! fails before a connection stands.

use std::error::Error;
use std::io;

use ureq::Timeout;

use super::super::{Answer, StoreError};

/// An answer is not what S3 answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Garbled {
    #[error("its answer is not what S3 answers")]
    Xml,
    #[error("it answered with other bytes than those that were asked for")]
    Range,
    #[error("its list of versions does not end")]
    Endless,
}

/// What went wrong with one request.
#[derive(Debug)]
pub(super) enum Fault {
    /// No answer, or a part of one.
    Lost(Lost),
    /// The store answered, and did not do it.
    Answered(Answer),
    /// The answer makes no sense.
    Garbled(Garbled),
    /// It is decided already what to say.
    Decided(StoreError),
}

/// Nothing came back, or not all.
#[derive(Debug)]
pub(super) struct Lost {
    /// Whether the store may have received the request.
    pub(super) may_have_arrived: bool,
    pub(super) cause: Box<dyn Error + Send + Sync>,
}

impl From<Garbled> for Fault {
    fn from(garbled: Garbled) -> Self {
        Self::Garbled(garbled)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Decided(error)
    }
}

impl Fault {
    /// A body that ended early, or whose connection broke.
    pub(super) fn cut(source: io::Error) -> Self {
        let told = match source.get_ref().and_then(|it| it.downcast_ref()) {
            Some(error) => told(error),
            None => source.into(),
        };
        Self::Lost(Lost {
            may_have_arrived: true,
            cause: told,
        })
    }

    /// Whether the same request may succeed in a moment.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Lost(_) => true,
            Self::Answered(answer) => is_transient(answer),
            Self::Garbled(_) | Self::Decided(_) => false,
        }
    }
}

/// Whether the same request may succeed in a moment.
pub(super) fn is_transient(answer: &Answer) -> bool {
    match answer.status {
        408 | 429 | 500 | 502..=504 | 520..=599 => true,
        // Signed again, the request has the time that this answer came with.
        400 | 403 => matches!(
            answer.code.as_str(),
            "RequestTimeout" | "RequestTimeTooSkewed" | "SlowDown"
        ),
        409 => is_raced(answer),
        _ => false,
    }
}

/// Whether a write met another one. It was not done then.
pub(super) fn is_raced(answer: &Answer) -> bool {
    answer.status == 409
        && matches!(
            answer.code.as_str(),
            "ConditionalRequestConflict" | "OperationAborted"
        )
}

impl From<ureq::Error> for Lost {
    fn from(error: ureq::Error) -> Self {
        let refused = |source: &io::Error| {
            matches!(
                source.kind(),
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkUnreachable
            )
        };
        let may_have_arrived = match &error {
            ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed
            | ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect)
            | ureq::Error::Tls(_)
            | ureq::Error::TlsRequired => false,
            ureq::Error::Io(source) => !refused(source),
            _ => true,
        };
        Self {
            may_have_arrived,
            cause: told(&error),
        }
    }
}

/// What the client says, where that can't hold an address.
fn told(error: &ureq::Error) -> Box<dyn Error + Send + Sync> {
    match error {
        ureq::Error::Io(source) => match source.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code).into(),
            None => io::Error::from(source.kind()).into(),
        },
        ureq::Error::Timeout(Timeout::PerRead | Timeout::PerWrite) => {
            "nothing came or went for too long".into()
        }
        ureq::Error::Timeout(Timeout::Resolve) => "looking up the host took too long".into(),
        ureq::Error::Timeout(_) => "connecting took too long".into(),
        ureq::Error::HostNotFound => "the host is not known".into(),
        ureq::Error::ConnectionFailed => "no connection came about".into(),
        ureq::Error::Tls(why) => (*why).into(),
        // Certificates and versions; it never speaks of what is asked for.
        ureq::Error::Rustls(why) => why.to_string().into(),
        ureq::Error::Protocol(_) => "the answer is no HTTP".into(),
        _ => "the HTTP client failed".into(),
    }
}
