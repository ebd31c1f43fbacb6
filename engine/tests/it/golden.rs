//! Repositories that earlier versions wrote, which every later version must list,
//! verify and restore.
//!
//! Each stands as files in `engine/tests/golden/VERSION`: the repository, key
//! files, and what its snapshots hold. None is ever edited: its digest stands
//! here. When what this version writes is no longer what the newest of them
//! holds, another is added:
//!
//! ```text
//! INDELIBLE_WRITE_GOLDEN=0.2 cargo test -p indelible-engine --test it golden
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indelible_engine::cancel::Cancel;
use indelible_engine::env::{Env, OsEntropy};
use indelible_engine::keys::Credential;
use indelible_engine::progress::Silent;
use indelible_engine::read::Reader;
use indelible_engine::repository::Repository;
use indelible_engine::snapshot::{self, Input};
use indelible_engine::source::{self, Item, NamedPath};
use indelible_engine::store::{LocalStore, ReadStore};
use indelible_format::attest::Level;
use indelible_format::contents::DumpTables;
use indelible_format::key_file::KeyFile;
use indelible_format::node::PlacedRoot;
use indelible_format::page::{Content, Metadata};
use indelible_format::rights::Rights;

use crate::support::{
    Client, FINE, Fixture, noise, object, path, request, restore, revoke, rows, stream, take,
    verify_with,
};

/// The versions that wrote a golden repository, oldest first, and the BLAKE3 of
/// all its files.
const GOLDEN: [(&str, &str); 1] = [(
    "0.1",
    "960d02ff15c318ed0ed0fbcace070a6409966ebf9b85534c1a3abb8ca9fae3c2",
)];

/// A golden repository as files.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Its last snapshot depends on who made it: files have owners.
const OWNED: &str = "files";

fn directory_of(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(version)
}

fn read_below(root: &Path, below: &Path, files: &mut Files) {
    for entry in fs::read_dir(root.join(below)).expect("a directory") {
        let name = below.join(entry.expect("an entry").file_name());
        if root.join(&name).is_dir() {
            read_below(root, &name, files);
        } else {
            let bytes = fs::read(root.join(&name)).expect("a file");
            files.insert(name, bytes);
        }
    }
}

fn files_of(version: &str) -> Files {
    let mut files = Files::new();
    read_below(&directory_of(version), Path::new(""), &mut files);
    files
}

fn digest(files: &Files) -> String {
    let mut hasher = blake3::Hasher::new();
    for (name, bytes) in files {
        let name = name.to_str().expect("plain names");
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    }
    hasher.finalize().to_hex().to_string()
}

fn text(credential: &Credential) -> Vec<u8> {
    match credential {
        Credential::KeyFile(file) => file.encode().as_bytes().to_vec(),
        Credential::Passphrase(passphrase) => passphrase.as_bytes().to_vec(),
    }
}

fn metadata(mode: u32) -> Metadata {
    Metadata {
        mode,
        uid: 1_000,
        gid: 100,
        mtime_s: 1_795_316_400,
        mtime_ns: 123_456_789,
    }
}

/// A dump with a table of contents.
const DUMP: &str = "--\n-- PostgreSQL database dump\n--\n\n\
    SET standard_conforming_strings = on;\n\n\
    CREATE TABLE public.orders (\n    id integer NOT NULL,\n    note text\n);\n\n\
    COPY public.orders (id, note) FROM stdin;\n1\tone\n2\ttwo\n3\t\\N\n\\.\n\n\
    CREATE INDEX orders_note ON public.orders USING btree (note);\n\n";

/// Links and directories, small streams, a dump, and a stream that takes nodes on two
/// levels.
fn shop() -> Vec<Item> {
    vec![
        stream("app.sql", DUMP.as_bytes()),
        stream("dump.sql", &rows(0..400)),
        Item::Directory {
            path: path(b"etc"),
            metadata: metadata(0o2750),
        },
        stream("etc/caf\u{e9}.conf", b"shared_buffers = 128MB\n"),
        Item::Symlink {
            path: path(b"etc/link"),
            metadata: metadata(0o777),
            target: b"../nowhere".to_vec(),
        },
        stream("zeros", &vec![0; 600_000]),
    ]
}

/// Everything that this version writes, from one seed.
struct Scenario {
    fixture: Fixture,
    keys: BTreeMap<&'static str, Credential>,
}

impl Scenario {
    /// All but the last snapshot.
    fn run() -> Self {
        let fixture = Fixture::with_chunker(1_001, FINE);
        let keys = BTreeMap::from([
            ("recovery.txt", fixture.recovery.clone()),
            (
                "write.key",
                fixture.add_key(Rights::WRITE, &["web-*", "shop"]),
            ),
            ("verify.key", fixture.add_key(Rights::VERIFY, &[])),
            ("restore.key", fixture.add_key(Rights::RESTORE, &[])),
            ("revoked.key", fixture.add_key(Rights::WRITE, &["*"])),
        ]);
        let scenario = Self { fixture, keys };
        scenario.take("recovery.txt", "shop", shop());
        scenario.fixture.clock.advance(86_400_000);
        scenario.take("recovery.txt", "shop", shop());
        scenario.take(
            "write.key",
            "web-1",
            vec![stream("dump.sql", &rows(100..500))],
        );
        scenario.take(
            "revoked.key",
            "shop",
            vec![stream("dump.sql", &rows(0..10))],
        );
        let last = scenario.take("revoked.key", "shop", vec![stream("dump.sql", b"a lie")]);
        let signer = scenario
            .fixture
            .open_as(&scenario.keys["revoked.key"])
            .signer();
        revoke(&mut scenario.fixture.open(), signer, last);
        scenario.with_record();
        scenario.with_deltas();
        scenario.with_epochs();
        scenario
    }

    /// Nights that lean on those before, by a key that may restore and by one that may
    /// only write.
    fn with_deltas(&self) {
        for (key, name) in [("recovery.txt", "shop"), ("write.key", "web-2")] {
            let host = Client::new();
            for night in 0..6 {
                let row = |row: u64| format!("{row:06} {:05} {name}\n", night * (row % 3));
                let dump = (0..150).map(row).collect::<String>();
                let mut repository = Repository::open(
                    &self.fixture.store,
                    Some(&host.state),
                    &self.keys[key],
                    self.fixture.env.clone(),
                )
                .expect("the repository opens");
                let items = vec![stream("nights.sql", dump.as_bytes())];
                let summary = take(&mut repository, name, items).expect("a snapshot");
                assert_eq!(summary.accounting.delta_chunks > 0, night > 0);
            }
        }
    }

    /// What takes over chunks of the epoch before, after the keys were rotated.
    fn with_epochs(&self) {
        let rotated = self.fixture.open().rotate().expect("the keys are rotated");
        assert_eq!((rotated.epoch, rotated.left_out.len()), (1, 1));
        for (key, name) in [("recovery.txt", "shop"), ("write.key", "web-1")] {
            self.take(key, name, vec![stream("dump.sql", &rows(200..600))]);
        }
    }

    fn take(&self, key: &str, name: &str, items: Vec<Item>) -> u64 {
        let mut repository = self.fixture.open_as(&self.keys[key]);
        let summary = take(&mut repository, name, items);
        summary.expect("the snapshot is committed").number
    }

    /// A snapshot whose commit body has no room in its entry.
    fn with_record(&self) {
        let mut request = request("shop");
        request.labels = (0..33).map(|n| format!("{n:02000}")).collect();
        let input = Input::Items(vec![stream("dump.sql", &noise(1, 5_000))]);
        let mut repository = self.fixture.open();
        snapshot::run(&mut repository, &request, input, &Cancel::new(), &Silent)
            .expect("the snapshot is committed");
    }

    /// Files, in the small-file stream and with a stream of their own.
    fn with_files(&self) {
        let source = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(source.path().join("empty")).expect("a directory");
        for (name, bytes) in [("a", vec![]), ("b", rows(0..20)), ("c", rows(0..1_300))] {
            fs::write(source.path().join(name), bytes).expect("a file");
        }
        let named = NamedPath {
            path: source.path().to_owned(),
            as_name: Some(b"tree".to_vec()),
        };
        let items = source::list(&[named]).expect("the tree can be read").items;
        self.take("recovery.txt", OWNED, items);
    }

    fn objects(&self) -> Files {
        let store = &self.fixture.store;
        let keys = store.keys().into_iter();
        keys.map(|key| {
            (
                Path::new("repository").join(key.path()),
                object(store, &key),
            )
        })
        .collect()
    }
}

/// A line for every entry with content of every snapshot, and one for every
/// snapshot.
fn contents<S: ReadStore>(repository: &Repository<'_, S>) -> String {
    let mut lines = String::new();
    for snapshot in repository.snapshots() {
        let snapshot = snapshot.expect("every snapshot is shown");
        let (listings, _) = repository.listings();
        let reader = Reader::new(repository, &listings, snapshot.binding.domain).expect("a reader");
        let kept = restore(repository, snapshot.number).expect("every snapshot restores");
        let refused = snapshot.refused.map_or("", |_| " refused");
        let (number, name) = (snapshot.number, &snapshot.manifest.name);
        writeln!(lines, "@{number} {name}{refused}").expect("a string takes text");
        for entry in reader.entries(&snapshot.manifest.list).expect("a list") {
            let (entry, _) = entry.expect("every entry is shown");
            let content = kept.get(entry.path.as_bytes());
            let content = content.map_or("-".to_owned(), |bytes| {
                format!("{} {}", bytes.len(), blake3::hash(bytes).to_hex())
            });
            let small = matches!(entry.content(), Some(Content::Small { .. }));
            let small = if small { " small" } else { "" };
            writeln!(lines, "  {} {content}{small}", entry.path).expect("a string takes text");
        }
        if let Some(root) = &snapshot.manifest.contents {
            write_tables(&reader, root, &mut lines);
        }
    }
    lines
}

/// A line for each section of each table of contents.
fn write_tables<S: ReadStore>(reader: &Reader<'_, S>, root: &PlacedRoot, lines: &mut String) {
    let parts = reader.walk(root, 0, root.root.len).collect();
    let decoded = reader.decode(reader.fetch(parts));
    let parts = decoded.parts();
    let bytes: Vec<&[u8]> = parts.map(|(_, bytes)| bytes.expect("it is read")).collect();
    let bytes = bytes.concat();
    for dump in DumpTables::new(&bytes).expect("tables of contents") {
        let (path, contents) = dump.expect("a table of contents");
        for section in contents.sections() {
            let name: Vec<_> = section.name.parts().map(String::from_utf8_lossy).collect();
            writeln!(
                lines,
                "  {path} {:?} {} {}+{} {}",
                section.kind,
                name.join("."),
                section.offset,
                section.len,
                section.rows
            )
            .expect("a string takes text");
        }
    }
}

fn write_golden(version: &str) {
    let scenario = Scenario::run();
    scenario.with_files();
    let mut files = scenario.objects();
    for (name, key) in &scenario.keys {
        files.insert(Path::new("keys").join(name), text(key));
    }
    let contents = contents(&scenario.fixture.open());
    files.insert("contents.txt".into(), contents.into_bytes());
    let root = directory_of(version);
    for (name, bytes) in &files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("below the root")).expect("a directory");
        fs::write(path, bytes).expect("a file");
    }
    panic!(
        "wrote {version}: add it to GOLDEN with the digest {}",
        digest(&files)
    );
}

/// Every golden repository lists, verifies and restores as its writer saw it, with
/// each of its keys.
///
/// Method: open the files as a local store, with every key; compare what is
/// listed and restored with what was written down, and verify at each level.
#[test]
fn golden_repositories_are_read_for_ever() {
    for (version, _) in GOLDEN {
        let files = files_of(version);
        let text = |name: &str| String::from_utf8(files[Path::new(name)].clone()).expect("text");
        let root = directory_of(version).join("repository");
        let store = LocalStore::open(&root, Arc::new(OsEntropy)).expect("a store");
        let key = |name: &str| {
            let text = text(&format!("keys/{name}"));
            if name == "recovery.txt" {
                Credential::Passphrase(text.into())
            } else {
                Credential::KeyFile(Box::new(KeyFile::decode(&text).expect("a key file")))
            }
        };
        for (name, level, reads) in [
            ("recovery.txt", Level::Data, true),
            ("restore.key", Level::Data, true),
            ("verify.key", Level::Tree, false),
            ("write.key", Level::Packs, false),
        ] {
            let repository = Repository::open(&store, None, &key(name), Env::system());
            let repository = repository.expect("every key opens");
            let report = verify_with(&repository, level);
            assert!(report.is_sound(), "{version} {name}: {:?}", report.problems);
            if reads {
                assert_eq!(
                    contents(&repository),
                    text("contents.txt"),
                    "{version} {name}"
                );
            }
        }
    }
}

/// Nobody edits a golden repository.
///
/// Method: its files have the digest that stands here.
#[test]
fn golden_repositories_are_never_edited() {
    for (version, expected) in GOLDEN {
        assert_eq!(digest(&files_of(version)), expected, "{version}");
    }
}

/// What this version writes is what its newest golden repository holds.
///
/// Method: run the scenario again from the same seed and look for each of its
/// objects, but those that hold owners, byte for byte.
#[test]
fn a_change_of_the_format_adds_a_golden_repository() {
    if let Ok(version) = std::env::var("INDELIBLE_WRITE_GOLDEN") {
        write_golden(&version);
    }
    let (newest, _) = GOLDEN[GOLDEN.len() - 1];
    let golden = files_of(newest);
    let written = Scenario::run().objects();
    assert!(written.len() > 15, "{} objects", written.len());
    for (name, bytes) in written {
        assert!(
            golden.get(&name) == Some(&bytes),
            "this version writes another {}: if the format was meant to change, add a golden \
             repository as this module says",
            name.display()
        );
    }
}
