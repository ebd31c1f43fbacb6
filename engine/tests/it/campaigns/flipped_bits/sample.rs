//! A repository in which every kind of object and of chunk stands, and which is
//! small enough to try every bit of it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use indelible_engine::keys::Credential;
use indelible_engine::source::{self, NamedPath};
use indelible_engine::store::ObjectKey;
use indelible_format::commit::SnapshotBody;
use indelible_format::entry::{Body, Draft};
use indelible_format::ids::RecordId;
use indelible_format::rights::Rights;

use super::super::oracle::add_verifier;
use crate::support::{FINE, Fixture, noise, rows, stream, take};
use crate::trees::set_mtime;

/// Snapshots of two domains, of which some share packs and some add none: files
/// in the small-file stream, streams of their own, and a commit record.
pub(super) fn repository(seed: u64) -> (Fixture, Credential) {
    let fixture = Fixture::with_chunker(seed, FINE);
    let directory = tempfile::tempdir().expect("a directory for a moment");
    let files = write_files(directory.path());
    let shop = |to| {
        let mut items = source::list(&files).expect("they are readable").items;
        items.push(stream("shop.sql", &rows(0..to)));
        source::arrange(items).expect("their paths differ")
    };
    let take_as = |key: &Credential, name, items| {
        take(&mut fixture.open_as(key), name, items).expect("it is committed");
    };
    fixture.snapshot("shop", shop(8));
    let writer = fixture.add_key(Rights::WRITE, &["mail"]);
    take_as(&writer, "mail", vec![stream("mail.sql", &noise(seed, 300))]);
    fixture.snapshot("shop", shop(12));
    let notes = fixture.snapshot_of("notes", b"a snapshot with a commit record");
    move_to_record(&fixture, notes.number);
    fixture.snapshot("shop", shop(12));
    let verifier = add_verifier(&fixture);
    fixture.snapshot("shop", shop(16));
    (fixture, verifier)
}

/// Files whose metadata is the same in every run, but for whose they are.
fn write_files(directory: &Path) -> Vec<NamedPath> {
    let mut paths = Vec::new();
    for (name, len) in [("a.conf", 40), ("b.conf", 90)] {
        let path = directory.join(name);
        fs::write(&path, noise(7, len)).expect("it is ours");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("it is ours");
        paths.push(path);
    }
    let link = directory.join("link");
    std::os::unix::fs::symlink("a.conf", &link).expect("it is ours");
    fs::set_permissions(directory, Permissions::from_mode(0o750)).expect("it is ours");
    paths.extend([link, directory.to_owned()]);
    for path in &paths {
        set_mtime(path, 1_700_000_000);
    }
    vec![NamedPath {
        path: directory.to_owned(),
        as_name: Some(b"etc".to_vec()),
    }]
}

/// Moves the commit body of the newest entry, a snapshot, into a record. A
/// writer does so from 64 KiB on, which would be four times this repository.
fn move_to_record(fixture: &Fixture, number: u64) {
    let repository = fixture.open();
    let entry = &repository.history().entries[&number];
    let body = repository.commit_body(entry).expect("it is in the entry");
    let bytes = body.expect("it is a snapshot").encode();
    let (id, header) = (RecordId::of(&bytes), entry.header());
    let draft = Draft {
        number,
        epoch: header.epoch,
        claimed_ms: header.claimed_ms,
        commit: header.commit,
        domain: header.domain,
        previous: header.previous,
        root: header.root,
        body: Body::Snapshot(SnapshotBody::Record {
            id,
            len: u32::try_from(bytes.len()).expect("a small body"),
        }),
    };
    let entry = draft.sign(&repository.id(), &fixture.bundle.signing_seed);
    fixture.store.replace(&ObjectKey::Record(id), &bytes);
    let key = ObjectKey::Log(number);
    fixture
        .store
        .replace(&key, &entry.expect("the entry is small"));
}
