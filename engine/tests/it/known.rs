//! What a client need not compute twice: signatures that it saw to verify, and
//! manifests that it opened. Knowing them changes no answer, and a wrong memory
//! is found out by a verification.

use std::fs;
use std::path::{Path, PathBuf};

use indelible_engine::repository::Repository;
use indelible_engine::store::{MemoryStore, ObjectKey};
use indelible_engine::verify::ProblemKind;
use indelible_format::attest::Level;
use indelible_format::history::Continuity;
use indelible_format::ids::{LogHash, RepositoryId};
use indelible_format::merkle::leaf_hash;
use indelible_format::rights::Rights;
use indelible_format::seal::{self, OPENED};
use indelible_format::secret::opened_key;

use crate::support::{Client, Fixture, key_file, object, take_stream, verify_with};

impl Client {
    /// One of the files that it keeps of a repository.
    fn file(&self, fixture: &Fixture, name: &str) -> PathBuf {
        let id = fixture.open().id();
        self.dir.path().join(id.to_string()).join(name)
    }

    /// What it sees: everything that a reader is told.
    fn sees(&self, fixture: &Fixture) -> String {
        told(&fixture.open_with(&self.state))
    }
}

fn told(repository: &Repository<'_, MemoryStore>) -> String {
    let history = repository.history();
    format!(
        "{:?} {:?} {:?} {:?} {:?}",
        history.leaves,
        history.next,
        history.problems,
        repository.continuity(),
        repository.snapshots(),
    )
}

/// Snapshots of three keys, one of which is revoked, and distrusted from its
/// second snapshot on.
fn sample(seed: u64) -> Fixture {
    let fixture = Fixture::new(seed);
    let keys = [
        fixture.add_key(Rights::WRITE, &["shop"]),
        fixture.add_key(Rights::WRITE, &["*"]),
    ];
    for (key, name) in keys.iter().zip(["shop", "mail"]) {
        for n in 0..3_u8 {
            take_stream(&mut fixture.open_as(key), name, &[n; 300]).expect("it is committed");
        }
    }
    fixture.snapshot_of("shop", b"the administrator's");
    let mut repository = fixture.open();
    let thief = repository.history().entries[&6].header().signer;
    crate::support::revoke(&mut repository, thief, 7);
    drop(repository);
    fixture.snapshot_of("web", b"afterwards");
    fixture
}

/// Whoever knows the signatures reports the same of an attacked log as who only
/// remembers its leaves, and the same as before where nothing was done.
///
/// Method: two clients see the log; one then loses its signatures and manifests.
/// Each entry is removed, damaged in each of its parts, cut, replayed from
/// another number, and exchanged for junk; compare all that both see. (Entries that
/// are rightly signed come in the campaign against the log.)
#[test]
fn knowing_signatures_changes_no_answer() {
    let fixture = sample(401);
    let (knowing, without) = (Client::new(), Client::new());
    for client in [&knowing, &without] {
        client.sees(&fixture);
    }
    let known = fixture.open_with(&knowing.state).history().known;
    let size = fixture.open().history().size();
    assert_eq!(known, size, "every entry was known");
    let forget = || {
        for name in ["signed", "opened"] {
            let _ = fs::remove_file(without.file(&fixture, name));
        }
    };
    let compare = |what: &str| {
        forget();
        let forgetful = without.sees(&fixture);
        assert_eq!(knowing.sees(&fixture), forgetful, "{what}");
    };
    compare("untouched");
    let intact = fixture.store.clone();
    for number in 1..size {
        let key = ObjectKey::Log(number);
        let entry = object(&intact, &key);
        let mut ways = vec![
            entry[..entry.len() - 1].to_vec(),
            object(&intact, &ObjectKey::Log(number - 1)),
            b"junk".to_vec(),
        ];
        for offset in [
            3,
            8,
            20,
            40,
            62,
            94,
            126,
            170,
            entry.len() - 70,
            entry.len() - 1,
        ] {
            let mut flipped = entry.clone();
            flipped[offset] ^= 4;
            ways.push(flipped);
        }
        for (way, bytes) in ways.iter().enumerate() {
            fixture.store.replace(&key, bytes);
            compare(&format!("way {way} at {number}"));
            fixture.store.roll_back_to(&intact);
            knowing.sees(&fixture);
        }
        fixture.store.forget(&key);
        compare(&format!("without {number}"));
        fixture.store.roll_back_to(&intact);
        knowing.sees(&fixture);
    }
}

/// A second look at a log checks no signature and opens no manifest.
///
/// Method: list twice. All entries of the second log are known, and what was
/// opened is not kept anew, as it would be under a fresh salt had anything been
/// opened. One snapshot more by another client: one signature and one manifest.
#[test]
fn a_second_look_computes_nothing_anew() {
    let fixture = sample(402);
    let client = Client::new();
    let first = fixture.open_with(&client.state);
    assert_eq!(first.history().known, 0);
    let told_first = told(&first);
    let opened = client.file(&fixture, "opened");
    let kept = fs::read(&opened).expect("what was opened is kept");
    for _ in 0..2 {
        let again = fixture.open_with(&client.state);
        assert_eq!(again.history().known, again.history().size());
        assert_eq!(
            told(&again),
            told_first.replace("Unpinned", "Extends"),
            "but for what is remembered"
        );
        assert_eq!(fs::read(&opened).unwrap(), kept);
    }
    fixture.snapshot_of("shop", b"another client's");
    let again = fixture.open_with(&client.state);
    assert_eq!(again.history().known + 1, again.history().size());
    assert_eq!(again.snapshots().len(), 9);
    assert_ne!(fs::read(&opened).unwrap(), kept);
    // An own commit is known at once.
    let mut own = fixture.open_with(&client.state);
    take_stream(&mut own, "shop", b"its own").unwrap();
    let again = fixture.open_with(&client.state);
    assert_eq!(again.history().known, again.history().size());
}

/// What is kept, damaged in whatever way, changes nothing.
///
/// Method: flip a bit of each byte of both files, cut them at each length, extend
/// them, exchange them for those of another repository, and put a directory in
/// their place; the client sees what it saw, and keeps a good file again.
#[test]
fn damaged_memories_change_nothing() {
    let (fixture, other) = (sample(403), sample(404));
    let (client, stranger) = (Client::new(), Client::new());
    stranger.sees(&other);
    client.sees(&fixture);
    let sees = client.sees(&fixture);
    for name in ["signed", "opened"] {
        let file = client.file(&fixture, name);
        let intact = fs::read(&file).unwrap();
        let compare = |bytes: &[u8], what: &str| {
            fs::write(&file, bytes).unwrap();
            assert_eq!(client.sees(&fixture), sees, "{name}: {what}");
        };
        for at in 0..intact.len() {
            let mut flipped = intact.clone();
            flipped[at] ^= 1 << (at % 8);
            compare(&flipped, &format!("byte {at}"));
            if at % 7 == 0 {
                compare(&intact[..at], &format!("cut at {at}"));
            }
        }
        compare(&[&intact[..], b"x"].concat(), "longer");
        let others = fs::read(stranger.file(&other, name)).unwrap();
        compare(&others, "another repository's");
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert_eq!(client.sees(&fixture), sees, "{name}: a directory");
        fs::remove_dir(&file).unwrap();
        client.sees(&fixture);
        let again = fixture.open_with(&client.state);
        assert_eq!(again.history().known, again.history().size(), "{name}");
    }
}

/// The client's file of signatures, by its layout.
fn signed_file(id: &RepositoryId, leaves: &[LogHash]) -> Vec<u8> {
    let mut over = blake3::Hasher::new();
    for leaf in leaves {
        over.update(&leaf.0);
    }
    let mut bytes = [&b"INDLSIG1"[..], &id.0].concat();
    bytes.extend_from_slice(&(leaves.len() as u64).to_le_bytes());
    bytes.extend_from_slice(over.finalize().as_bytes());
    bytes.extend((0..leaves.len().div_ceil(8)).map(|at| {
        let left = leaves.len() - at * 8;
        u8::try_from((1_u16 << left.min(8)) - 1).expect("eight bits")
    }));
    bytes.extend_from_slice(blake3::hash(&bytes).as_bytes());
    bytes
}

/// A memory that takes a forged entry for a signed one is found out by a
/// verification at every level, with a key and without, and set right by it.
///
/// Method: forge a snapshot whose signature is wrong, and write the client a
/// memory that knows it, last in the log or stated by the next entry. The client
/// is deceived until it verifies.
#[test]
fn a_memory_that_lies_is_found_out_by_a_verification() {
    for (behind, level) in [
        (false, Level::Packs),
        (true, Level::Tree),
        (false, Level::Data),
    ] {
        let fixture = sample(405);
        let client = Client::new();
        let number = fixture.snapshot_of("shop", b"forged").number;
        let mut forged = object(&fixture.store, &ObjectKey::Log(number));
        *forged.last_mut().unwrap() ^= 1;
        fixture.store.replace(&ObjectKey::Log(number), &forged);
        let mut leaves = fixture.open().history().leaves.clone();
        assert_eq!(leaves.last(), Some(&leaf_hash(&forged)));
        let id = fixture.open().id();
        if behind {
            fixture.snapshot_of("shop", b"stands on it");
            leaves = fixture.open().history().leaves.clone();
        }
        client.state.repository(&id).remember(&leaves).unwrap();
        let place = fixture.open_with(&client.state);
        let file = client.file(&fixture, "signed");
        let honest = fs::read(&file).unwrap();
        drop(place);
        let lie = signed_file(&id, &leaves);
        assert_eq!(
            lie.len(),
            honest.len(),
            "it is laid out as the client's own"
        );
        fs::write(&file, &lie).unwrap();

        let deceived = fixture.open_with(&client.state);
        assert!(deceived.history().problems.is_empty());
        assert!(deceived.history().entries.contains_key(&number));
        let report = verify_with(&deceived, level);
        let kinds: Vec<_> = report.problems.iter().map(|problem| problem.kind).collect();
        assert_eq!(kinds, [ProblemKind::VoidEntry], "{level:?}");
        assert!(
            report
                .snapshots
                .iter()
                .all(|verdict| verdict.number != number)
        );
        assert_eq!(fs::read(&file).unwrap(), honest, "it is set right");
        let again = fixture.open_with(&client.state);
        assert_eq!(again.history().problems.len(), 1);
        assert_eq!(again.continuity(), Continuity::Extends);
    }
}

/// Without the key, what was opened is not to be read; and a verification opens
/// manifests itself.
///
/// Method: no file of the state holds a NAME, a host or a label. Whoever has the
/// key, and writes the client another manifest for an entry, deceives a listing
/// and no verification.
#[test]
fn what_was_opened_is_sealed_and_not_believed_by_a_verification() {
    let fixture = sample(406);
    let client = Client::new();
    client.sees(&fixture);
    let secrets: [&[u8]; 3] = [b"shop", b"mail", b"db1"];
    for file in files(client.dir.path()) {
        let bytes = fs::read(&file).unwrap();
        let shows = |secret: &&[u8]| bytes.windows(secret.len()).any(|part| part == *secret);
        assert!(!secrets.iter().any(shows), "{}", file.display());
    }

    let file = client.file(&fixture, "opened");
    let bytes = fs::read(&file).unwrap();
    let (salt, sealed) = bytes[8..].split_first_chunk().unwrap();
    let (id, bundle) = (fixture.open().id(), &fixture.bundle);
    let verify = bundle.verify.as_ref().unwrap();
    let key = opened_key(&verify.meta_private, &bundle.psk, salt);
    let mut plain = seal::open(&key, OPENED, &id.0, sealed).unwrap();
    let at = (plain.windows(4).position(|part| part == b"mail")).expect("a NAME");
    plain[at..at + 4].copy_from_slice(b"liar");
    let sealed = seal::seal(&key, OPENED, &id.0, &plain);
    fs::write(&file, [b"INDLOPN1", &salt[..], &sealed].concat()).unwrap();

    let deceived = fixture.open_with(&client.state);
    let names = |shown: Vec<String>| shown.iter().filter(|name| *name == "liar").count();
    let shown = deceived.snapshots().into_iter().flatten();
    assert_eq!(
        names(shown.map(|shown| shown.manifest.name.to_string()).collect()),
        1
    );
    let report = verify_with(&deceived, Level::Tree);
    let told = report.snapshots.iter().filter_map(|it| it.name.as_ref());
    assert_eq!(names(told.map(ToString::to_string).collect()), 0);
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// A key without the verify right keeps nothing that it could not open, and two
/// keys that hold the same private key share what was opened.
///
/// Method: one state; a write key takes a snapshot, a verify key lists, the
/// administrator lists.
#[test]
fn who_may_read_shares_what_was_opened() {
    let fixture = Fixture::new(407);
    let client = Client::new();
    let keys = [Rights::WRITE, Rights::VERIFY].map(|rights| fixture.add_key(rights, &["*"]));
    let open = |key| {
        let (store, state) = (&fixture.store, Some(&client.state));
        Repository::open(store, state, key, fixture.env.clone()).unwrap()
    };
    take_stream(&mut open(&keys[0]), "shop", b"content").unwrap();
    assert!(open(&keys[0]).snapshots().iter().all(Result::is_err));
    let file = client.file(&fixture, "opened");
    assert!(!file.exists());
    assert_eq!(open(&keys[1]).snapshots().iter().flatten().count(), 1);
    let kept = fs::read(&file).unwrap();
    let recovery = key_file(&fixture.open(), &fixture.bundle);
    assert_eq!(open(&recovery).snapshots().iter().flatten().count(), 1);
    assert_eq!(fs::read(&file).unwrap(), kept);
}
