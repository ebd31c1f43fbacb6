//! A store in S3, or in what speaks its protocol, with Object Lock.
//!
//! Objects lie below the prefix of an [`S3Address`] under the names of SPEC 9.1.
//! What the store promises is not taken from its documentation:
//!
//! - A name is created under the condition that it is free, and of a log entry the
//!   list of versions decides who was first ([`AppendStore::put_new`]). Whether
//!   the store keeps the condition when writers race is tried before the first
//!   repository is made there ([`AppendStore::prepare`]).
//! - Somebody with the credentials of a writer can put other versions over an
//!   object and hide it behind a marker, and can't remove what is locked. So an
//!   object is missing only if no version is listed, listings show what is hidden,
//!   and of several versions the one is read that has the hash which is its name.
//! - An answer that is unclear is cleared up or admitted, never guessed.
//!
//! Secrets: requests are signed in their address, so no address of a request
//! stands in an error or is logged, and what holds credentials shows none.
//!
//! [`AppendStore::put_new`]: super::AppendStore::put_new
//! [`AppendStore::prepare`]: super::AppendStore::prepare

mod address;
mod chosen;
mod client;
mod expire;
mod fault;
mod lock;
mod prepare;
mod probe;
mod put;
mod read;
mod request;
mod settings;
mod sum;
mod time;
mod versions;
mod xml;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rusty_s3::{Bucket, Credentials, UrlStyle};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use url::Url;

pub use self::address::{S3Address, S3AddressError};
pub use self::client::Patience;
pub use self::lock::ObjectLock;
pub use self::settings::{Lookup, S3Settings, S3SettingsError};
pub use indelible_format::policy::LockMode;

use self::chosen::Chosen;
use self::client::Client;
use super::ObjectKey;
use crate::env::{Clock, Entropy, Pause};
use crate::pace::Limits;

/// Where requests go that name no region.
const REGION: &str = "us-east-1";

/// What a store in S3 is opened with, besides where it is.
#[derive(Clone)]
pub struct S3Options {
    /// The lock of what is created; none leaves objects removable.
    pub lock: Option<ObjectLock>,
    /// How long is waited, and how often is tried.
    pub patience: Patience,
    /// Tells the time, for signatures and for the end of trying.
    pub clock: Arc<dyn Clock>,
    /// Gives the names of experiments, and spreads pauses.
    pub entropy: Arc<dyn Entropy>,
    /// Waits between tries.
    pub pause: Arc<dyn Pause>,
    /// How fast bodies of requests and answers may go and come.
    pub limits: Limits,
}

/// A store in S3. Threads share one.
pub struct S3Store {
    client: Client,
    /// Before every name in the bucket: empty, or with a slash behind it.
    prefix: String,
    lock: RwLock<Option<ObjectLock>>,
    /// Whether the store was seen to let one of racing creators win.
    conditional: AtomicBool,
    chosen: Chosen,
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store")
            .field("location", &self.client.location)
            .field("lock", &self.lock())
            .finish_non_exhaustive()
    }
}

impl S3Store {
    /// Opens the store at an address. Nothing is asked of it yet.
    ///
    /// # Errors
    ///
    /// [`S3SettingsError`], where address and settings make no request.
    pub fn open(
        address: &S3Address,
        settings: &S3Settings,
        options: S3Options,
    ) -> Result<Self, S3SettingsError> {
        if options.lock.is_some_and(|lock| !lock.is_sound()) {
            return Err(S3SettingsError::LockSpan);
        }
        let key = settings.access_key_id.as_str();
        let secret = settings.secret_access_key.as_str();
        let credentials = match &settings.session_token {
            Some(token) => Credentials::new_with_token(key, secret, token.as_str()),
            None => Credentials::new(key, secret),
        };
        let tls = tls_config(settings.authorities.as_deref())?;
        Ok(Self {
            client: Client {
                agent: client::agent(&options.patience, tls),
                bucket: bucket_of(address, settings)?,
                credentials,
                location: address.to_string(),
                patience: options.patience,
                clock: options.clock,
                entropy: options.entropy,
                pause: options.pause,
                limits: options.limits,
                ahead_ms: Mutex::new(None),
            },
            prefix: if address.prefix.is_empty() {
                String::new()
            } else {
                format!("{}/", address.prefix)
            },
            lock: RwLock::new(options.lock),
            conditional: AtomicBool::new(false),
            chosen: Chosen::default(),
        })
    }

    /// The lock of what is created.
    fn lock(&self) -> Option<ObjectLock> {
        *self.lock.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name in the bucket of an object.
    fn path_of(&self, key: &ObjectKey) -> String {
        self.path_below(&key.path())
    }

    fn path_below(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn is_conditional(&self) -> bool {
        self.conditional.load(Ordering::Relaxed)
    }
}

/// The bucket at its server.
fn bucket_of(address: &S3Address, settings: &S3Settings) -> Result<Bucket, S3SettingsError> {
    let region = address.region.clone().or_else(|| settings.region.clone());
    let region = region.unwrap_or_else(|| REGION.to_owned());
    let given = address.endpoint.as_ref().or(settings.endpoint.as_ref());
    // A certificate for all buckets does not cover a name with a dot in it.
    let in_path = given.is_some() || address.bucket.contains('.');
    let style = if address.path_style.unwrap_or(in_path) {
        UrlStyle::Path
    } else {
        UrlStyle::VirtualHost
    };
    let bucket = || S3SettingsError::HostStyle {
        bucket: address.bucket.clone(),
    };
    let endpoint = match given {
        Some(endpoint) => endpoint.clone(),
        None => Url::parse(&format!("https://s3.{region}.amazonaws.com")).map_err(|_| bucket())?,
    };
    Bucket::new(endpoint, style, address.bucket.clone(), region).map_err(|_| bucket())
}

/// Which authorities may vouch for the server.
fn tls_config(authorities: Option<&[u8]>) -> Result<TlsConfig, S3SettingsError> {
    let Some(pem) = authorities else {
        return Ok(TlsConfig::default());
    };
    let certificates = parse_pem(pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<_> = certificates.collect();
    if certificates.is_empty() {
        return Err(S3SettingsError::Authorities {
            from: "AWS_CA_BUNDLE".to_owned(),
        });
    }
    let roots = RootCerts::Specific(Arc::new(certificates));
    Ok(TlsConfig::builder().root_certs(roots).build())
}
