//! What a simulated S3 keeps and answers: versions, markers, locks, conditions,
//! and of its protocol what the store speaks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use data_encoding::BASE64;
use indelible_engine::env::{Clock as _, ManualClock};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

/// A request, taken apart.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) method: String,
    /// The object's name; empty where the bucket is meant.
    pub(super) key: String,
    pub(super) query: BTreeMap<String, String>,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Request {
    fn asks(&self, subresource: &str) -> bool {
        self.query.contains_key(subresource)
    }

    /// Whether it creates an object.
    pub(super) fn is_put(&self) -> bool {
        self.method == "PUT" && !self.asks("retention")
    }

    /// Whether it reads an object's bytes.
    pub(super) fn is_get(&self) -> bool {
        self.method == "GET" && !self.key.is_empty() && !self.asks("retention")
    }
}

/// An answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl Response {
    fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    pub(super) fn error(status: u16, code: &str) -> Self {
        let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>");
        Self {
            status,
            headers: Vec::new(),
            body: body.into_bytes(),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) id: String,
    /// None is a marker.
    pub(super) bytes: Option<Arc<Vec<u8>>>,
    /// Mode and end, as they were given.
    lock: Option<(String, String)>,
    /// The SHA-256 of what was put.
    sum: String,
}

/// Which checksums a bucket tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sums {
    /// Those of whole objects.
    Whole,
    /// What it calls those of their parts.
    OfParts,
    None,
}

/// A bucket.
pub(super) struct Bucket {
    objects: BTreeMap<String, Vec<Version>>,
    made: u64,
    pub(super) versioning: bool,
    pub(super) locking: bool,
    /// Whether `If-None-Match: *` counts.
    pub(super) conditional: bool,
    /// Whether ranges are answered as such.
    pub(super) ranges: bool,
    pub(super) sums: Sums,
    pub(super) page_max: usize,
    /// Whether lists say everything twice.
    pub(super) repeats: bool,
    pub(super) clock: Arc<ManualClock>,
}

impl Bucket {
    pub(super) fn new(clock: Arc<ManualClock>) -> Self {
        Self {
            objects: BTreeMap::new(),
            made: 0,
            versioning: true,
            locking: true,
            conditional: true,
            ranges: true,
            sums: Sums::Whole,
            page_max: 3,
            repeats: false,
            clock,
        }
    }

    /// Puts a version after all others, past every rule; without bytes a marker.
    pub(super) fn push(&mut self, key: &str, bytes: Option<&[u8]>) -> String {
        self.made += 1;
        // Names that don't sort as they were made.
        let id = format!("{:02x}-{}", self.made.wrapping_mul(0x9D) % 0x100, self.made);
        let version = Version {
            id: id.clone(),
            bytes: bytes.map(|bytes| Arc::new(bytes.to_vec())),
            lock: None,
            sum: sum_of(bytes.unwrap_or_default()),
        };
        self.objects
            .entry(key.to_owned())
            .or_default()
            .push(version);
        id
    }

    /// Flips a bit in the middle of every version, as rot does.
    pub(super) fn alter(&mut self, key: &str) {
        for version in self.objects.get_mut(key).expect("it is there") {
            if let Some(bytes) = &mut version.bytes {
                let bytes = Arc::make_mut(bytes);
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }
        }
    }

    /// Puts other bytes in the place of every version, with a checksum of their own.
    pub(super) fn replace(&mut self, key: &str, bytes: &[u8]) {
        self.objects.remove(key).expect("it is there");
        self.push(key, Some(bytes));
    }

    /// Has every version tell the checksum of other bytes.
    pub(super) fn forge_sum(&mut self, key: &str, bytes: &[u8]) {
        for version in self.objects.get_mut(key).expect("it is there") {
            version.sum = sum_of(bytes);
        }
    }

    /// Oldest first.
    pub(super) fn versions(&self, key: &str) -> &[Version] {
        self.objects.get(key).map_or(&[], Vec::as_slice)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &String> {
        self.objects.keys()
    }

    pub(super) fn answer(&mut self, request: &Request) -> Response {
        if let Some(refused) = unsigned(request) {
            return refused;
        }
        match (request.method.as_str(), request.key.is_empty()) {
            ("HEAD", true) => Response::ok(""),
            ("GET", true) if request.asks("versions") => self.list(request),
            ("GET", true) if request.asks("versioning") => Response::ok(format!(
                "<VersioningConfiguration>{}</VersioningConfiguration>",
                if self.versioning {
                    "<Status>Enabled</Status>"
                } else {
                    ""
                }
            )),
            ("GET", true) if request.asks("object-lock") && self.locking => Response::ok(
                "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>",
            ),
            ("GET", true) => Response::error(404, "ObjectLockConfigurationNotFoundError"),
            ("PUT", false) if request.asks("retention") => self.retain(request),
            ("GET", false) if request.asks("retention") => self.retention(request),
            ("PUT", false) => self.put(request),
            ("GET" | "HEAD", false) => self.get(request),
            ("DELETE", false) => self.delete(request),
            _ => Response::error(405, "MethodNotAllowed"),
        }
    }

    fn put(&mut self, request: &Request) -> Response {
        let checksum = request.headers.get("x-amz-checksum-sha256");
        if checksum != Some(&sum_of(&request.body)) {
            return Response::error(400, "BadDigest");
        }
        let newest = self.versions(&request.key).last();
        let is_taken = newest.is_some_and(|version| version.bytes.is_some());
        let condition = request.headers.get("if-none-match");
        if condition.is_some_and(|it| it == "*") && is_taken && self.conditional {
            return Response::error(412, "PreconditionFailed");
        }
        let lock = |name| request.headers.get(name).cloned();
        let lock = lock("x-amz-object-lock-mode").zip(lock("x-amz-object-lock-retain-until-date"));
        if lock.is_some() && !self.locking {
            return Response::error(400, "InvalidRequest");
        }
        let id = self.push(&request.key, Some(&request.body));
        let versions = self.objects.get_mut(&request.key);
        let version = versions.and_then(|it| it.last_mut()).expect("just made");
        version.lock = lock;
        let mut response = Response::ok("");
        response.headers.push(("x-amz-version-id", id));
        response
    }

    fn find(&mut self, request: &Request) -> Result<&mut Version, Response> {
        let versions = self.objects.get_mut(&request.key);
        let versions = versions.ok_or_else(|| Response::error(404, "NoSuchKey"))?;
        let found = match request.query.get("versionId") {
            Some(id) => versions.iter_mut().find(|version| version.id == *id),
            None => versions.last_mut(),
        };
        let found = found.ok_or_else(|| Response::error(404, "NoSuchVersion"))?;
        match (&found.bytes, request.query.contains_key("versionId")) {
            (Some(_), _) => Ok(found),
            (None, true) => Err(Response::error(405, "MethodNotAllowed")),
            (None, false) => Err(Response::error(404, "NoSuchKey")),
        }
    }

    fn get(&mut self, request: &Request) -> Response {
        let (ranges, sums) = (self.ranges, self.sums);
        let (bytes, sum) = match self.find(request) {
            Ok(version) => (
                Arc::clone(version.bytes.as_ref().expect("no marker")),
                version.sum.clone(),
            ),
            Err(response) => return response,
        };
        let range = request.headers.get("range").filter(|_| ranges);
        let Some(range) = range else {
            let mut response = Response::ok(bytes.to_vec());
            let mode = request.headers.get("x-amz-checksum-mode");
            if mode.is_some_and(|mode| mode == "ENABLED") && sums != Sums::None {
                let kind = match sums {
                    Sums::OfParts => "COMPOSITE",
                    _ => "FULL_OBJECT",
                };
                let kind = ("x-amz-checksum-type", kind.to_owned());
                response
                    .headers
                    .extend([kind, ("x-amz-checksum-sha256", sum)]);
            }
            return response;
        };
        let (first, last) = range
            .strip_prefix("bytes=")
            .and_then(|it| it.split_once('-'))
            .expect("a range");
        let first: usize = first.parse().expect("a number");
        let last: usize = last.parse().expect("a number");
        if first >= bytes.len() {
            return Response::error(416, "InvalidRange");
        }
        let last = last.min(bytes.len() - 1);
        let mut response = Response::ok(bytes[first..=last].to_vec());
        response.status = 206;
        let range = format!("bytes {first}-{last}/{}", bytes.len());
        response.headers.push(("content-range", range));
        response
    }

    fn retention(&mut self, request: &Request) -> Response {
        match self.find(request).map(|version| version.lock.clone()) {
            Ok(Some((mode, until))) => Response::ok(retention_xml(&mode, &until)),
            Ok(None) => Response::error(404, "NoSuchObjectLockConfiguration"),
            Err(response) => response,
        }
    }

    fn retain(&mut self, request: &Request) -> Response {
        let text = String::from_utf8_lossy(&request.body).into_owned();
        let part = |name: &str| {
            let (_, rest) = text.split_once(&format!("<{name}>"))?;
            Some(rest.split_once('<')?.0.to_owned())
        };
        let (Some(mode), Some(until)) = (part("Mode"), part("RetainUntilDate")) else {
            return Response::error(400, "MalformedXML");
        };
        match self.find(request) {
            Ok(version) => {
                // All are of one form, which sorts as the times do.
                let held = version.lock.as_ref();
                if held.is_some_and(|(held, end)| *end > until || *held != mode) {
                    return Response::error(403, "AccessDenied");
                }
                version.lock = Some((mode, until));
                Response::ok("")
            }
            Err(response) => response,
        }
    }

    fn delete(&mut self, request: &Request) -> Response {
        let Some(id) = request.query.get("versionId") else {
            self.push(&request.key, None);
            return Response {
                status: 204,
                ..Response::default()
            };
        };
        let now = i64::try_from(self.clock.now_unix_ms()).expect("a time");
        let now = Timestamp::from_millisecond(now)
            .expect("a time")
            .to_string();
        let versions = self.objects.entry(request.key.clone()).or_default();
        let held = |version: &Version| version.lock.as_ref().is_some_and(|(_, end)| *end > now);
        if versions.iter().any(|it| it.id == *id && held(it)) {
            return Response::error(403, "AccessDenied");
        }
        versions.retain(|version| version.id != *id);
        if versions.is_empty() {
            self.objects.remove(&request.key);
        }
        Response {
            status: 204,
            ..Response::default()
        }
    }

    fn list(&self, request: &Request) -> Response {
        let parameter = |name| request.query.get(name).map_or("", String::as_str);
        let (prefix, from) = (parameter("prefix"), parameter("key-marker"));
        let mut behind = parameter("version-id-marker");
        let quoted = parameter("encoding-type") == "url";
        let mut body = "<?xml version=\"1.0\"?><ListVersionsResult>".to_owned();
        if quoted {
            body += "<EncodingType>url</EncodingType>";
        }
        let begin = body.len();
        let (mut listed, mut last) = (0, None);
        'all: for (key, versions) in &self.objects {
            if !key.starts_with(prefix) || key.as_str() < from {
                continue;
            }
            if key == from && behind.is_empty() {
                continue;
            }
            for version in versions.iter().rev() {
                if key == from && !behind.is_empty() {
                    if version.id == behind {
                        behind = "";
                    }
                    continue;
                }
                if listed == self.page_max {
                    let (key, id) = last.unwrap_or((from, behind));
                    let _ = write!(
                        body,
                        "<IsTruncated>true</IsTruncated><NextKeyMarker>{}</NextKeyMarker><NextVersionIdMarker>{id}</NextVersionIdMarker>",
                        shown(key, quoted)
                    );
                    break 'all;
                }
                let (name, size) = match &version.bytes {
                    Some(bytes) => ("Version", format!("<Size>{}</Size>", bytes.len())),
                    None => ("DeleteMarker", String::new()),
                };
                let _ = write!(
                    body,
                    "<{name}><Key>{}</Key><VersionId>{}</VersionId>{size}</{name}>",
                    shown(key, quoted),
                    version.id
                );
                listed += 1;
                last = Some((key.as_str(), version.id.as_str()));
            }
        }
        if self.repeats {
            body.extend_from_within(begin..);
        }
        Response::ok(body + "</ListVersionsResult>")
    }
}

fn sum_of(bytes: &[u8]) -> String {
    BASE64.encode(&Sha256::digest(bytes))
}

fn shown(key: &str, quoted: bool) -> String {
    let quote = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    if quoted {
        key.bytes().map(quote).collect()
    } else {
        key.to_owned()
    }
}

fn retention_xml(mode: &str, until: &str) -> String {
    format!("<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>")
}

/// Amazon refuses requests whose own headers are not all signed.
fn unsigned(request: &Request) -> Option<Response> {
    let signed = request.query.get("X-Amz-SignedHeaders");
    let signed: Vec<&str> = signed.map(|it| it.split(';').collect()).unwrap_or_default();
    let mut sent = request.headers.keys().filter(|name| {
        name.starts_with("x-amz-") || matches!(name.as_str(), "host" | "if-none-match" | "range")
    });
    let all = sent.all(|name| signed.contains(&name.as_str()));
    let is_signed = all && request.query.contains_key("X-Amz-Signature");
    (!is_signed).then(|| Response::error(403, "AccessDenied"))
}
