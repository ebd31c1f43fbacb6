//! Makes the vectors, from fixed keys and fixed randomness.
//!
//! What is accepted is made by the crate's own encoders, and what a decoder
//! finds in it is noted down. What is refused is an accepted encoding with one
//! thing changed; why it must be refused is written here by hand.
//!
//! The modules below are tables, one case a line: rustfmt would spread each case
//! over six.

#[rustfmt::skip]
mod checkpoints;
#[rustfmt::skip]
mod commits;
#[rustfmt::skip]
mod contents;
#[rustfmt::skip]
mod entries;
#[rustfmt::skip]
mod grants;
#[rustfmt::skip]
mod histories;
#[rustfmt::skip]
mod judged;
#[rustfmt::skip]
mod keys;
#[rustfmt::skip]
mod log_bundles;
#[rustfmt::skip]
mod packs;
#[rustfmt::skip]
mod pages;
mod policies;
#[rustfmt::skip]
mod primitives;
#[rustfmt::skip]
mod protocol;
#[rustfmt::skip]
mod rekeys;
#[rustfmt::skip]
mod slots;
#[rustfmt::skip]
mod trees;

use std::collections::BTreeMap;

use crate::decoders;
use crate::vector::{Expect, Vector};

/// Every generated vector.
pub(crate) fn all() -> Vec<Vector> {
    let makers = [
        checkpoints::make,
        commits::make,
        contents::make,
        entries::make,
        grants::make,
        policies::make,
        histories::make,
        judged::make,
        keys::make,
        log_bundles::make,
        packs::make,
        pages::make,
        primitives::make,
        protocol::make,
        rekeys::make,
        slots::make,
        trees::make,
    ];
    makers.iter().flat_map(|make| make()).collect()
}

/// Vectors of one decoder and one section.
struct Group {
    decoder: &'static str,
    spec: &'static str,
    with: BTreeMap<String, String>,
    vectors: Vec<Vector>,
}

impl Group {
    fn new(decoder: &'static str, spec: &'static str) -> Self {
        Self {
            decoder,
            spec,
            with: BTreeMap::new(),
            vectors: Vec::new(),
        }
    }

    /// From here on, another section.
    fn spec(&mut self, spec: &'static str) -> &mut Self {
        self.spec = spec;
        self
    }

    /// From here on, this parameter.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "the calls read better without &"
    )]
    fn with(&mut self, key: &str, value: impl ToString) -> &mut Self {
        self.with.insert(key.to_owned(), value.to_string());
        self
    }

    /// From here on, no parameters.
    fn without(&mut self) -> &mut Self {
        self.with.clear();
        self
    }

    fn accept(&mut self, name: &str, comment: &str, bytes: impl Into<Vec<u8>>) {
        self.accept_log(name, comment, vec![(0, bytes.into())]);
    }

    fn accept_log(&mut self, name: &str, comment: &str, objects: Vec<(u64, Vec<u8>)>) {
        let mut vector = self.vector(name, comment, objects);
        match decoders::run(&vector) {
            Ok(found) => vector.gives = found.gives,
            Err(refused) => panic!("{}: {refused:?}", vector.name),
        }
        for value in vector.gives.values_mut() {
            *value = value.trim().to_owned();
        }
        self.vectors.push(vector);
    }

    /// `expected` is the error's variant, and the field that it names behind a
    /// colon.
    fn reject(&mut self, name: &str, comment: &str, expected: &str, bytes: impl Into<Vec<u8>>) {
        self.reject_log(name, comment, expected, vec![(0, bytes.into())]);
    }

    fn reject_log(
        &mut self,
        name: &str,
        comment: &str,
        expected: &str,
        objects: Vec<(u64, Vec<u8>)>,
    ) {
        let mut vector = self.vector(name, comment, objects);
        vector.expect = Expect::reject(expected);
        self.vectors.push(vector);
    }

    fn vector(&self, name: &str, comment: &str, objects: Vec<(u64, Vec<u8>)>) -> Vector {
        Vector {
            name: format!("{}-{name}", self.decoder),
            decoder: self.decoder.to_owned(),
            spec: self.spec.to_owned(),
            expect: Expect::Accept,
            comment: comment.to_owned(),
            with: self.with.clone(),
            gives: BTreeMap::new(),
            objects,
        }
    }
}

/// The bytes with others in their place from `at` on.
fn patch(bytes: &[u8], at: usize, with: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    out[at..at + with.len()].copy_from_slice(with);
    out
}

/// The bytes with one bit of the byte at `at` flipped.
fn flip(bytes: &[u8], at: usize) -> Vec<u8> {
    patch(bytes, at, &[bytes[at] ^ 1])
}

/// The bytes without their last `count`.
fn cut(bytes: &[u8], count: usize) -> Vec<u8> {
    bytes[..bytes.len() - count].to_vec()
}

/// The bytes with others behind them.
fn longer(bytes: &[u8], by: &[u8]) -> Vec<u8> {
    [bytes, by].concat()
}
