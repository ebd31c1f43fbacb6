//! A request to S3, and its signature (AWS Signature Version 4).
//!
//! Why it is safe: every header that is sent is signed, and a body's SHA-256 is
//! one of them, so nothing on the way can change what is asked for or what is
//! stored. The signature stands in the query of the address, so that address is
//! made here, handed to the HTTP client, and shown to nobody.

use std::borrow::Cow;

use data_encoding::BASE64;
use jiff::Timestamp;
use rusty_s3::{Bucket, Credentials, Map, Method};
use sha2::{Digest as _, Sha256};
use url::Url;

/// For how long a signed request may be begun, in seconds.
const SIGNED_FOR_S: u64 = 900;

/// A request.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    /// The object's name in the bucket; empty where the bucket itself is meant.
    object: String,
    query: Map<'static>,
    headers: Map<'static>,
    pub(super) body: &'a [u8],
}

impl<'a> Request<'a> {
    fn new(method: Method, object: String) -> Self {
        Self {
            method,
            object,
            query: Map::new(),
            headers: Map::new(),
            body: &[],
        }
    }

    pub(super) fn get(object: String) -> Self {
        Self::new(Method::Get, object)
    }

    pub(super) fn head(object: String) -> Self {
        Self::new(Method::Head, object)
    }

    pub(super) fn delete(object: String) -> Self {
        Self::new(Method::Delete, object)
    }

    /// With the checksum that the store compares with what arrives, and keeps.
    pub(super) fn put(object: String, body: &'a [u8]) -> Self {
        let checksum = BASE64.encode(&Sha256::digest(body));
        Self {
            body,
            ..Self::new(Method::Put, object)
        }
        .header("x-amz-checksum-sha256", checksum)
    }

    #[must_use]
    pub(super) fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.insert(name, value.into());
        self
    }

    /// `name` in lower case.
    #[must_use]
    pub(super) fn header(
        mut self,
        name: &'static str,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(super) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter()
    }

    /// The address to send it to, signed for a time.
    pub(super) fn signed(
        &self,
        bucket: &Bucket,
        credentials: &Credentials,
        now: &Timestamp,
    ) -> Url {
        rusty_s3::signing::sign(
            now,
            self.method,
            bucket.object_url(&self.object),
            credentials.key(),
            credentials.secret(),
            credentials.token(),
            bucket.region(),
            SIGNED_FOR_S,
            self.query.iter(),
            self.headers.iter(),
        )
    }
}
