//! Log entries and the bodies of genesis, revoke, snapshot and attest.

use indelible_format::attest::{Attest, Level};
use indelible_format::commit::{Reach, SnapshotBody};
use indelible_format::entry::{BODY_BYTES_MAX, Body};
use indelible_format::genesis::{ChunkerParameters, Genesis};
use indelible_format::ids::{LogHash, RecordId};
use indelible_format::rights::{Kind, Rights};

use super::{Group, cut, longer, patch};
use crate::fixture::{self, ADMIN, Log, authorize, binding, commit_body, revoke, staffed};
use crate::vector::Vector;

pub(super) fn make() -> Vec<Vector> {
    [entries(), genesis(), revokes(), snapshots(), attests()].concat()
}

fn inline() -> Body {
    Body::Snapshot(SnapshotBody::Inline(commit_body(&binding(), &Reach::collect([(1, 0)]))))
}

fn entries() -> Vec<Vector> {
    let mut group = Group::new("log-entry", "3.2");
    let log = Log::begin();
    group.accept("genesis", "the first entry", log.objects[0].1.clone());
    let log = staffed();
    let sign = |seed, body: &Body| log.frame(seed, body).sign(&log.repository, &fixture::key(seed));
    group.spec("3.5");
    let bodies = [
        ("authorize", ADMIN, authorize(9, Rights::VERIFY)),
        ("revoke", ADMIN, revoke(2, 3)),
        ("snapshot-inline", 2, inline()),
        ("snapshot-record", 2, fixture::snapshot()),
        ("attest", 3, fixture::attest()),
        ("rekey", ADMIN, fixture::rekey_of(1)),
    ];
    for (name, seed, body) in &bodies {
        group.accept(name, "one kind of entry", sign(*seed, body));
    }
    group.spec("3.11");
    let kinds = [
        ("policy", Kind::Policy),
        ("volume", Kind::Volume),
        ("expire", Kind::Expire),
        ("sweep", Kind::Sweep),
        ("upgrade", Kind::Upgrade),
        ("unknown-11", Kind::Unknown(11)),
    ];
    for (name, kind) in kinds {
        let body = Body::Opaque(kind, b"to come".to_vec());
        group.accept(name, "a kind whose body is not specified yet", sign(ADMIN, &body));
    }
    group.spec("3.5");
    let mut critical = log.frame(ADMIN, &Body::Opaque(Kind::Unknown(31), Vec::new()));
    critical.flags = 1;
    let critical = critical.sign(&log.repository, &fixture::key(ADMIN));
    group.accept("unknown-31-critical", "the flag is as its signer chose", critical);
    group.spec("11");
    let longest = Body::Opaque(Kind::Policy, vec![0; BODY_BYTES_MAX]);
    let longest = sign(ADMIN, &longest);
    group.accept("longest", "65,536 bytes", longest.clone());
    let over = longer(&longest, &[0]);
    group.reject("too-long", "65,537 bytes", "OutOfBounds: length of the log object", over);
    refused_entries(&mut group, &sign(2, &fixture::snapshot()));
    group.vectors
}

/// `entry` is a snapshot of 425 bytes at most, whose body has 37.
fn refused_entries(group: &mut Group, entry: &[u8]) {
    group.spec("3.2");
    group.reject("magic", "another magic number", "Magic: log entry", patch(entry, 7, b"2"));
    group.reject("empty", "no bytes", "Truncated: log entry", []);
    group.reject("cut-header", "cut in the header", "Truncated: log entry", &entry[..157]);
    let field = "Truncated: signature of the entry";
    group.reject("cut-signature", "cut in the signature", field, cut(entry, 1));
    group.reject("trailing", "a byte behind", "Trailing: log entry", longer(entry, &[0]));
    let flags = "Reserved: flags of the entry";
    group.reject("flags", "flag 1 is set", flags, patch(entry, 17, &[2]));
    group.spec("3.5");
    let critical = "NotCanonical: critical flag of the entry";
    group.reject("critical", "a critical snapshot", critical, patch(entry, 17, &[1]));
    let uncritical = patch(entry, 16, &[2]);
    group.reject("uncritical", "a revoke that is not critical", critical, uncritical);
    let unknown = "Unknown: kind of the entry";
    group.reject("kind-32", "kind 32", unknown, patch(entry, 16, &[32]));
    group.spec("1.2");
    let length = |len: u32| patch(entry, 158, &len.to_le_bytes());
    let over = "OutOfBounds: body of the entry";
    group.reject("body-too-long", "over the limit", over, length(65_311));
    group.reject(
        "body-beyond",
        "longer than the entry",
        "Truncated: body of the entry",
        length(200),
    );
    group.reject("body-short", "ends in a field", "Truncated: commit body", length(36));
}

fn genesis() -> Vec<Vector> {
    let mut group = Group::new("genesis-body", "3.6");
    let body = fixture::genesis().encode();
    group.accept("defaults", "the default sizes", body.clone());
    let smallest = Genesis {
        chunker: ChunkerParameters { min: 64, average: 256, max: 258, normalization: 3 },
        ..fixture::genesis()
    };
    group.accept("smallest", "the smallest sizes, level 3", smallest.encode());
    let version = "OutOfBounds: format version";
    group.reject("version-0", "format version 0", version, patch(&body, 0, &[0]));
    group.reject("version-2", "format version 2", version, patch(&body, 0, &[2]));
    group.reject("suite", "suite 2", "OutOfBounds: suite", patch(&body, 2, &[2]));
    group.reject("chunker", "chunker 0", "OutOfBounds: chunker", patch(&body, 3, &[0]));
    let sizes = |min: u32, average: u32, max: u32| {
        let sizes = [min, average, max].map(u32::to_le_bytes).concat();
        patch(&body, 4, &sizes)
    };
    for (name, comment, expected, sizes) in [
        ("min-small", "minimum 62", "OutOfBounds: minimum chunk", sizes(62, 256, 512)),
        ("min-odd", "minimum 65", "NotCanonical: chunk sizes", sizes(65, 256, 512)),
        ("min-average", "equal sizes", "NotCanonical: chunk sizes", sizes(256, 256, 512)),
        ("min-large", "minimum above average", "OutOfBounds: minimum chunk", sizes(300, 256, 512)),
        ("average-small", "average 128", "OutOfBounds: average chunk", sizes(64, 128, 512)),
        ("average-odd", "no power of two", "NotCanonical: chunk sizes", sizes(64, 258, 512)),
        ("max-odd", "maximum 511", "NotCanonical: chunk sizes", sizes(64, 256, 511)),
        ("max-average", "equal sizes", "NotCanonical: chunk sizes", sizes(64, 256, 256)),
        ("max-large", "above 1 MiB", "OutOfBounds: maximum chunk", sizes(64, 256, 1_048_578)),
    ] {
        group.reject(name, comment, expected, sizes);
    }
    let level = "OutOfBounds: normalization level";
    group.reject("level", "normalization level 4", level, patch(&body, 16, &[4]));
    group.reject("cut", "cut in the slot", "Truncated: passphrase slot", cut(&body, 1));
    group.reject("trailing", "a byte behind", "Trailing: passphrase slot", longer(&body, &[0]));
    group.vectors
}

fn revokes() -> Vec<Vector> {
    let mut group = Group::new("revoke-body", "3.8");
    let body = revoke(2, 3).encode();
    group.accept("plain", "a revoke", body.clone());
    group.reject("cut", "cut short", "Truncated: revoke body", cut(&body, 1));
    group.reject("trailing", "a byte behind", "Trailing: revoke body", longer(&body, &[0]));
    group.vectors
}

fn snapshots() -> Vec<Vector> {
    let mut group = Group::new("snapshot-body", "3.9");
    let inline = inline().encode();
    group.accept("inline", "the commit body stands in the entry", inline.clone());
    let record = |len| SnapshotBody::Record { id: RecordId([0xAB; 32]), len };
    let longest = record(64 << 20).encode();
    group.accept("record", "the longest commit record", longest.clone());
    let field = "commit body";
    let placement = "Unknown: placement of the commit body";
    group.reject("placement", "placement 2", placement, patch(&longest, 0, &[2]));
    group.reject("empty", "no bytes", &format!("Truncated: {field}"), []);
    group.reject("cut", "cut short", &format!("Truncated: {field}"), cut(&longest, 1));
    group.reject(
        "trailing",
        "a byte behind",
        &format!("Trailing: {field}"),
        longer(&longest, &[0]),
    );
    let inline = longer(&inline, &[0]);
    group.reject("inline-trailing", "a byte behind", &format!("Trailing: {field}"), inline);
    group.spec("11");
    let over = record((64 << 20) + 1).encode();
    let expected = "OutOfBounds: length of the commit record";
    group.reject("record-too-long", "over 64 MiB", expected, over);
    group.vectors
}

fn attests() -> Vec<Vector> {
    let mut group = Group::new("attest-body", "3.10");
    let body = fixture::attest().encode();
    group.accept("sound", "nothing was wrong", body.clone());
    for (name, level) in [("packs", Level::Packs), ("tree", Level::Tree), ("drill", Level::Drill)] {
        let attest = Attest {
            level,
            sound: false,
            size: u64::MAX,
            root: LogHash([0x78; 32]),
            packs: 0,
            bytes: 0,
            problems: 1,
        };
        group.accept(name, "problems were found", attest.encode());
    }
    let level = "Unknown: attest level";
    group.reject("level-0", "level 0", level, patch(&body, 0, &[0]));
    group.reject("level-5", "level 5", level, patch(&body, 0, &[5]));
    let outcome = "attest outcome";
    group.reject("outcome", "outcome 2", &format!("Unknown: {outcome}"), patch(&body, 1, &[2]));
    let expected = format!("NotCanonical: {outcome}");
    group.reject("sound-problems", "sound with a problem", &expected, patch(&body, 58, &[1]));
    group.reject("no-problems", "problems, and none", &expected, patch(&body, 1, &[1]));
    group.reject("cut", "cut short", "Truncated: attest body", cut(&body, 1));
    group.reject("trailing", "a byte behind", "Trailing: attest body", longer(&body, &[0]));
    group.vectors
}
