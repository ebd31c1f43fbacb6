//! Throughput of each stage that bytes pass, on a dump of `dumpgen`, and of a
//! whole snapshot and restore into a store in memory.
//!
//! Stages run on one thread, as one core passes them; packing and the whole runs
//! use all cores, as the program does. Every figure counts bytes of the dump, so
//! that stages compare.

use std::io;
use std::io::Cursor;
use std::sync::LazyLock;

use divan::Bencher;
use divan::counter::BytesCount;
use indelible_benches::{Dump, Edit};
use indelible_engine::cancel::Cancel;
use indelible_engine::chunker::Chunker;
use indelible_engine::env::Env;
use indelible_engine::keys::{Credential, NewRepository};
use indelible_engine::pack::{self, Basis, CodedChunk, PackBuilder};
use indelible_engine::progress::Silent;
use indelible_engine::repository::Repository;
use indelible_engine::restore::Restore;
use indelible_engine::snapshot::{self, COMPRESSION_LEVEL, Input, Request};
use indelible_engine::source::{Item, stream_path};
use indelible_engine::sql::Scanner;
use indelible_engine::store::MemoryStore;
use indelible_format::bundle::KeyBundle;
use indelible_format::coding::{Class, Coding, decode};
use indelible_format::genesis::ChunkerParameters;
use indelible_format::manifest::Source;
use indelible_format::name::Name;
use indelible_format::pack::{PackHeader, PackKeys, PackRandomness, PackRecipients, chunk_id};
use indelible_format::secret::SecretKey;
use indelible_format::slot::Cost;

/// Length of the dump, bytes: some packs are filled.
const DUMP_BYTES: u64 = 64_000_000;

const PASSPHRASE: &str = "correct horse battery staple";

static BENCH: LazyLock<Bench> = LazyLock::new(Bench::new);

fn main() {
    divan::main();
}

/// A dump, cut and coded once, with the keys of a repository.
struct Bench {
    env: Env,
    new: NewRepository,
    dump: Vec<u8>,
    chunker: Chunker,
    /// Lengths of the chunks, bytes.
    lens: Vec<usize>,
    coded: Vec<CodedChunk>,
    keys: PackKeys,
}

impl Bench {
    fn new() -> Self {
        let env = Env::replayable(1, 1_795_316_400_000);
        let parameters = ChunkerParameters::default();
        let new = NewRepository::prepare(&env, PASSPHRASE, Cost::CHEAPEST, parameters)
            .expect("the parameters are the default");
        let mut dump = Vec::new();
        Dump {
            seed: 1,
            size_bytes: DUMP_BYTES,
            edit: Edit::Nothing,
            night: 0,
        }
        .write_to(&mut dump)
        .expect("a vector takes all");
        let write = new.bundle().write.as_ref().expect("it may write");
        let chunker = Chunker::new(&parameters, &write.gear);
        let lens = cut(&chunker, &dump);
        let coded = chunks(&dump, &lens)
            .zip(code_all(&dump, &lens))
            .map(|(plain, (coding, coded))| CodedChunk {
                id: chunk_id(&write.data_id, Class::Data, plain),
                class: Class::Data,
                coding,
                plain_len: plain.len(),
                coded,
                basis: Basis::default(),
            })
            .collect();
        let random = PackRandomness {
            data_key: SecretKey::new(env.random()),
            node_key: SecretKey::new(env.random()),
            wrap: [env.random(), env.random()],
            salt: env.random(),
        };
        let (_, keys) =
            PackHeader::create(&recipients(&new), &random).expect("the keys are usable");
        Self {
            env,
            new,
            dump,
            chunker,
            lens,
            coded,
            keys,
        }
    }

    fn id_key(&self) -> &SecretKey {
        let write = self.new.bundle().write.as_ref();
        &write.expect("it may write").data_id
    }

    fn bytes(&self) -> BytesCount {
        BytesCount::of_slice(&self.dump)
    }

    /// Each chunk's stored form, as one pack would hold them all.
    fn stored(&self) -> Vec<Vec<u8>> {
        let chunks = self.coded.iter().map(|chunk| chunk.coded.clone());
        self.encrypted(chunks.collect())
    }

    fn encrypted(&self, mut coded: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let cipher = self.keys.of(Class::Data);
        for (bytes, number) in coded.iter_mut().zip(0..) {
            cipher.encrypt(Class::Data, number, bytes);
        }
        coded
    }

    fn empty_repository(&self) -> MemoryStore {
        let store = MemoryStore::new();
        self.new.create(&store).expect("the store is empty");
        store
    }

    fn open<'s>(&self, store: &'s MemoryStore) -> Repository<'s, MemoryStore> {
        let credential = Credential::Passphrase(PASSPHRASE.to_owned().into());
        Repository::open(store, None, &credential, self.env.clone()).expect("it opens")
    }

    fn take_snapshot(&self, store: &MemoryStore, dump: Vec<u8>) {
        let item = Item::Stream {
            path: stream_path(b"dump.sql".to_vec()).expect("a path"),
            reader: Box::new(Cursor::new(dump)),
        };
        let request = Request {
            name: Name::new(b"bench").expect("a NAME"),
            host: None,
            labels: Vec::new(),
            source: Source::Stdin,
            program: None,
            level: COMPRESSION_LEVEL,
            delta: true,
            keep_packs: None,
            lock: true,
        };
        let input = Input::Items(vec![item]);
        snapshot::run(
            &mut self.open(store),
            &request,
            input,
            &Cancel::new(),
            &Silent,
        )
        .expect("it is committed");
    }
}

fn recipients(new: &NewRepository) -> PackRecipients<'_> {
    let KeyBundle {
        domain,
        epoch,
        meta_public,
        data_public,
        psk,
        ..
    } = new.bundle();
    PackRecipients {
        repository: new.id(),
        domain: *domain,
        epoch: *epoch,
        data_public,
        meta_public,
        psk,
    }
}

fn cut(chunker: &Chunker, dump: &[u8]) -> Vec<usize> {
    let (mut lens, mut at) = (Vec::new(), 0);
    while at < dump.len() {
        let len = chunker.cut(&dump[at..]);
        lens.push(len);
        at += len;
    }
    lens
}

fn chunks<'a>(dump: &'a [u8], lens: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = dump;
    lens.iter()
        .map(move |&len| rest.split_off(..len).expect("the chunks are the dump"))
}

fn code_all(dump: &[u8], lens: &[usize]) -> Vec<(Coding, Vec<u8>)> {
    let mut compressor =
        zstd::bulk::Compressor::new(COMPRESSION_LEVEL).expect("zstd has memory and the level");
    chunks(dump, lens)
        .map(|plain| pack::code(&mut compressor, plain))
        .collect()
}

/// Where the chunks end.
#[divan::bench]
fn cutting(bencher: Bencher) {
    let bench = &*BENCH;
    bencher
        .counter(bench.bytes())
        .bench_local(|| cut(&bench.chunker, &bench.dump));
}

/// Where the dump's parts stand.
#[divan::bench]
fn scanning(bencher: Bencher) {
    let bench = &*BENCH;
    bencher.counter(bench.bytes()).bench_local(|| {
        let mut scanner = Scanner::new();
        scanner.feed(&bench.dump);
        scanner.finish().expect("it is a dump")
    });
}

/// The chunks' ids.
#[divan::bench]
fn keyed_hashing(bencher: Bencher) {
    let bench = &*BENCH;
    let key = bench.id_key();
    bencher.counter(bench.bytes()).bench_local(|| {
        for plain in chunks(&bench.dump, &bench.lens) {
            divan::black_box(chunk_id(key, Class::Data, plain));
        }
    });
}

/// zstd at the level that snapshots use.
#[divan::bench(sample_count = 10)]
fn compression(bencher: Bencher) {
    let bench = &*BENCH;
    bencher
        .counter(bench.bytes())
        .bench_local(|| code_all(&bench.dump, &bench.lens));
}

/// Of the coded bytes, which are fewer than those that are counted.
#[divan::bench]
fn encryption(bencher: Bencher) {
    let bench = &*BENCH;
    bencher
        .counter(bench.bytes())
        .with_inputs(|| {
            bench
                .coded
                .iter()
                .map(|chunk| chunk.coded.clone())
                .collect()
        })
        .bench_local_values(|coded: Vec<Vec<u8>>| bench.encrypted(coded));
}

/// Encryption on all cores, directories, and the packs' names.
#[divan::bench]
fn pack_building(bencher: Bencher) {
    let bench = &*BENCH;
    let to = recipients(&bench.new);
    let write = bench.new.bundle().write.as_ref().expect("it may write");
    let begin = || PackBuilder::new(&to, &write.index, &bench.env).expect("the keys are usable");
    bencher
        .counter(bench.bytes())
        .with_inputs(|| bench.coded.clone())
        .bench_local_values(|coded| {
            let (mut builder, mut waiting, mut waiting_len) = (begin(), Vec::new(), 0);
            for chunk in coded {
                let len = waiting_len + chunk.coded.len();
                if !builder.fits(waiting.len() + 1, len, 0) {
                    builder.add(std::mem::take(&mut waiting));
                    divan::black_box(std::mem::replace(&mut builder, begin()).finish());
                    waiting_len = 0;
                }
                waiting_len += chunk.coded.len();
                waiting.push(chunk);
            }
            builder.add(waiting);
            builder.finish()
        });
}

/// Decryption, decoding, and the check against the id.
#[divan::bench]
fn decoding_and_checking(bencher: Bencher) {
    let bench = &*BENCH;
    let (cipher, key) = (bench.keys.of(Class::Data), bench.id_key());
    bencher
        .counter(bench.bytes())
        .with_inputs(|| bench.stored())
        .bench_local_values(|stored| {
            for ((bytes, chunk), number) in stored.into_iter().zip(&bench.coded).zip(0..) {
                let coded = cipher
                    .decrypt(Class::Data, number, bytes)
                    .expect("it was encrypted under this key");
                let plain = decode(chunk.coding, coded, chunk.plain_len).expect("it was coded so");
                assert_eq!(chunk_id(key, Class::Data, &plain), chunk.id);
            }
        });
}

/// A first snapshot of the dump as a stream, on all cores.
#[divan::bench(sample_count = 10)]
fn whole_snapshot(bencher: Bencher) {
    let bench = &*BENCH;
    bencher
        .counter(bench.bytes())
        .with_inputs(|| (bench.empty_repository(), bench.dump.clone()))
        .bench_local_values(|(store, dump)| {
            bench.take_snapshot(&store, dump);
            store
        });
}

/// The same again, of which nothing is new.
#[divan::bench(sample_count = 10)]
fn whole_unchanged_snapshot(bencher: Bencher) {
    let bench = &*BENCH;
    let store = bench.empty_repository();
    bench.take_snapshot(&store, bench.dump.clone());
    bencher
        .counter(bench.bytes())
        .with_inputs(|| bench.dump.clone())
        .bench_local_values(|dump| bench.take_snapshot(&store, dump));
}

/// A restore to a writer that throws the bytes away, on all cores.
#[divan::bench(sample_count = 10)]
fn whole_restore(bencher: Bencher) {
    let bench = &*BENCH;
    let store = bench.empty_repository();
    bench.take_snapshot(&store, bench.dump.clone());
    bencher.counter(bench.bytes()).bench_local(|| {
        let repository = bench.open(&store);
        let (listings, _) = repository.listings();
        let newest = repository.history().entries.values().next_back();
        let snapshot = repository
            .snapshot(newest.expect("a snapshot was taken"))
            .expect("it can be read");
        let cancel = Cancel::new();
        let restore = Restore::new(&repository, &listings, &snapshot, &cancel, &Silent)
            .expect("the key may restore");
        restore
            .to_writer(None, &mut io::sink())
            .expect("it is whole")
    });
}
