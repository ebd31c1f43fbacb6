//! One vector file: a decoder, what is expected of it, and the bytes
//! (SPEC 15).
//!
//! The file is `key: value` lines, an empty line, and the bytes in hexadecimal.
//! `with-*` are parameters that the decoder takes, `gives-*` what it finds. A
//! line `00*300` stands for 300 bytes 0x00. The objects of a log stand one
//! behind the other, each headed by its path.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use indelible_format::secret::SecretKey;

const LINE_BYTES: usize = 32;
/// Runs of one byte that are at least so long stand as `xx*count`.
const RUN_MIN: usize = 96;

/// What a vector's decoder does with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expect {
    Accept,
    /// The error's variant, and the field that it names, if it names one.
    Reject {
        error: String,
        field: Option<String>,
    },
}

impl Expect {
    /// Reads `Variant` or `Variant: field`.
    pub(crate) fn reject(text: &str) -> Self {
        let (error, field) = match text.split_once(": ") {
            Some((error, field)) => (error, Some(field.to_owned())),
            None => (text, None),
        };
        Self::Reject {
            error: error.to_owned(),
            field,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vector {
    /// The file's name without its extension.
    pub(crate) name: String,
    pub(crate) decoder: String,
    /// Section of the SPEC.
    pub(crate) spec: String,
    pub(crate) expect: Expect,
    pub(crate) comment: String,
    pub(crate) with: BTreeMap<String, String>,
    pub(crate) gives: BTreeMap<String, String>,
    /// One object, whose number means nothing, or those of a log.
    pub(crate) objects: Vec<(u64, Vec<u8>)>,
}

impl Vector {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.objects[0].1
    }

    pub(crate) fn is_log(&self) -> bool {
        matches!(self.decoder.as_str(), "authority" | "history")
    }

    /// A parameter that must stand.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.with
            .get(key)
            .unwrap_or_else(|| panic!("{}: with-{key} is missing", self.name))
    }

    pub(crate) fn bytes_of(&self, key: &str) -> Vec<u8> {
        unhex(self.text(key))
    }

    pub(crate) fn array<const N: usize>(&self, key: &str) -> [u8; N] {
        self.bytes_of(key)
            .try_into()
            .unwrap_or_else(|_| panic!("{}: with-{key} has another length", self.name))
    }

    pub(crate) fn key(&self, key: &str) -> SecretKey {
        SecretKey::new(self.array(key))
    }

    pub(crate) fn number(&self, key: &str) -> u64 {
        self.text(key).parse().expect("a decimal number")
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.with.contains_key(key)
    }

    pub(crate) fn parse(name: &str, text: &str) -> Self {
        let (head, body) = text.split_once("\n\n").expect("an empty line");
        let mut vector = Self {
            name: name.to_owned(),
            decoder: String::new(),
            spec: String::new(),
            expect: Expect::Accept,
            comment: String::new(),
            with: BTreeMap::new(),
            gives: BTreeMap::new(),
            objects: Vec::new(),
        };
        for line in head.lines() {
            let (key, value) = line.split_once(':').expect("key: value");
            vector.set(key, value.trim());
        }
        vector.objects = parse_objects(body);
        vector
    }

    fn set(&mut self, key: &str, value: &str) {
        let value = value.to_owned();
        match key {
            "decoder" => self.decoder = value,
            "spec" => self.spec = value,
            "comment" => self.comment = value,
            "expect" if value == "accept" => self.expect = Expect::Accept,
            "expect" => {
                let error = value.strip_prefix("reject ").expect("accept or reject");
                self.expect = Expect::reject(error);
            }
            "field" => match &mut self.expect {
                Expect::Reject { field, .. } => *field = Some(value),
                Expect::Accept => panic!("{}: an accepted vector has no field", self.name),
            },
            _ => {
                if let Some(key) = key.strip_prefix("with-") {
                    self.with.insert(key.to_owned(), value);
                } else if let Some(key) = key.strip_prefix("gives-") {
                    self.gives.insert(key.to_owned(), value);
                } else {
                    panic!("{}: {key} is no key of a vector", self.name);
                }
            }
        }
    }

    pub(crate) fn print(&self) -> String {
        let mut out = format!("decoder: {}\nspec: {}\n", self.decoder, self.spec);
        match &self.expect {
            Expect::Accept => out.push_str("expect: accept\n"),
            Expect::Reject { error, field } => {
                writeln!(out, "expect: reject {error}").unwrap();
                if let Some(field) = field {
                    writeln!(out, "field: {field}").unwrap();
                }
            }
        }
        writeln!(out, "comment: {}", self.comment).unwrap();
        for (prefix, map) in [("with", &self.with), ("gives", &self.gives)] {
            for (key, value) in map {
                writeln!(out, "{}", format!("{prefix}-{key}: {value}").trim_end()).unwrap();
            }
        }
        out.push('\n');
        for (number, object) in &self.objects {
            if self.is_log() {
                writeln!(out, "log/{number:012}").unwrap();
            }
            print_bytes(&mut out, object);
        }
        out
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).expect("hexadecimal")
}

fn parse_objects(body: &str) -> Vec<(u64, Vec<u8>)> {
    let mut objects: Vec<(u64, Vec<u8>)> = Vec::new();
    for line in body.lines() {
        if let Some(number) = line.strip_prefix("log/") {
            objects.push((number.parse().expect("12 digits"), Vec::new()));
            continue;
        }
        if objects.is_empty() {
            objects.push((0, Vec::new()));
        }
        let bytes = &mut objects.last_mut().unwrap().1;
        match line.split_once('*') {
            Some((byte, count)) => {
                bytes.extend(unhex(byte).repeat(count.parse().expect("a decimal count")));
            }
            None => bytes.extend(unhex(line)),
        }
    }
    if objects.is_empty() {
        objects.push((0, Vec::new()));
    }
    objects
}

fn print_bytes(out: &mut String, mut bytes: &[u8]) {
    while let Some(&first) = bytes.first() {
        let run = run_length(bytes);
        if run >= RUN_MIN {
            writeln!(out, "{first:02x}*{run}").unwrap();
            bytes = &bytes[run..];
            continue;
        }
        // A line ends early where a long run begins.
        let mut len = 1;
        while len < bytes.len().min(LINE_BYTES) && run_length(&bytes[len..]) < RUN_MIN {
            len += 1;
        }
        writeln!(out, "{}", hex(&bytes[..len])).unwrap();
        bytes = &bytes[len..];
    }
}

fn run_length(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|&&byte| byte == bytes[0]).count()
}
