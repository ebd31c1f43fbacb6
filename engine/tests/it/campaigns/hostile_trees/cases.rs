//! Entry lists that nobody would write, and what a restore must make of each.

use std::collections::BTreeMap;

use indelible_format::page::Metadata;
use indelible_format::wire::Builder;

/// What a restore must come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is refused before anything is created, and a verification says so.
    Refused,
    /// It restores.
    Restores,
}

/// One record of an entry list, as bytes.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) path: Vec<u8>,
    pub(super) rest: Vec<u8>,
    /// What stands there once it is restored.
    pub(super) seen: Seen,
}

/// What a restored name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    Empty,
    Directory,
    Link(Vec<u8>),
}

impl Record {
    /// The bytes of SPEC 8.3, whatever the path.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Builder::new();
        out.text16(&self.path).bytes(&self.rest);
        out.finish()
    }
}

/// Metadata that everyone may set on what is his own.
pub(super) fn metadata() -> Metadata {
    Metadata {
        mode: 0o700,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        mtime_s: 1_000_000_000,
        mtime_ns: 0,
    }
}

pub(super) fn encode_metadata(metadata: &Metadata) -> Vec<u8> {
    let mut out = Builder::new();
    out.u32(metadata.mode)
        .u32(metadata.uid)
        .u32(metadata.gid)
        .i64(metadata.mtime_s)
        .u32(metadata.mtime_ns);
    out.finish()
}

/// An empty file.
pub(super) fn file(path: &[u8]) -> Record {
    Record {
        path: path.to_vec(),
        rest: [&[1][..], &encode_metadata(&metadata()), &[0; 9]].concat(),
        seen: Seen::Empty,
    }
}

pub(super) fn directory(path: &[u8]) -> Record {
    Record {
        path: path.to_vec(),
        rest: [&[2][..], &encode_metadata(&metadata())].concat(),
        seen: Seen::Directory,
    }
}

pub(super) fn link(path: &[u8], target: &[u8]) -> Record {
    let mut out = Builder::new();
    out.u8(3)
        .bytes(&encode_metadata(&metadata()))
        .text16(target);
    Record {
        path: path.to_vec(),
        rest: out.finish(),
        seen: Seen::Link(target.to_vec()),
    }
}

/// A record of any other bytes.
fn odd(rest: Vec<u8>) -> Record {
    Record {
        path: b"odd".to_vec(),
        rest,
        seen: Seen::Empty,
    }
}

/// A hostile entry list.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) what: String,
    /// The records of each page.
    pub(super) pages: Vec<Vec<Record>>,
    pub(super) outcome: Outcome,
}

fn case(what: impl Into<String>, outcome: Outcome, pages: Vec<Vec<Record>>) -> Case {
    Case {
        what: what.into(),
        pages,
        outcome,
    }
}

/// All of them. `outside` is the absolute path of what must stay as it is.
pub(super) fn all(outside: &[u8]) -> Vec<Case> {
    let mut all = paths_that_lead_out(outside);
    all.extend(records_that_are_none());
    all.extend(orders(outside));
    all.extend(links());
    all.extend(odd_names());
    all
}

/// Every path that SPEC 8.4 forbids, as a file, a directory and a link.
fn paths_that_lead_out(outside: &[u8]) -> Vec<Case> {
    let deep = b"d/".repeat(30);
    let paths: Vec<Vec<u8>> = [
        &b""[..],
        b".",
        b"..",
        b"../outside/new",
        b"../outside/kept",
        b"../../outside/new",
        b"d/..",
        b"d/../..",
        b"d/../../outside/new",
        b"./new",
        b"d/./new",
        b"d/.",
        b"/",
        b"//",
        b"//new",
        b"d//new",
        b"d/",
        b"\0",
        b"new\0",
        b"d\0/../new",
        b"d/\0",
        b"..\0",
    ]
    .into_iter()
    .map(<[u8]>::to_vec)
    .chain([
        [outside, b"/new"].concat(),
        [b"d/../", outside, b"/new"].concat(),
        [&deep[..], b"../../new"].concat(),
        [&deep[..], &b"../".repeat(40), b"new"].concat(),
        vec![b'n'; 256],
        [&b"d/"[..], &[b'n'; 256]].concat(),
        [&[b'n'; 256][..], b"/new"].concat(),
        [&b"d/".repeat(2_048)[..], b"n"].concat(),
        vec![b'n'; 65_535],
        b"n/".repeat(32_767),
        b"../".repeat(21_845),
    ])
    .collect();
    let mut all = Vec::new();
    for path in paths {
        let shown = String::from_utf8_lossy(&path[..path.len().min(40)]).into_owned();
        for record in [file(&path), directory(&path), link(&path, b"../outside")] {
            let what = format!("{:?} at {shown:?}", record.seen);
            all.push(case(what, Outcome::Refused, vec![vec![record]]));
        }
    }
    all
}

/// Records of the right path whose rest is no record.
fn records_that_are_none() -> Vec<Case> {
    let with = |change: fn(&mut Metadata)| {
        let mut changed = metadata();
        change(&mut changed);
        encode_metadata(&changed)
    };
    let file_with = |metadata: &[u8], content: &[u8]| [&[1][..], metadata, content].concat();
    let own = encode_metadata(&metadata());
    let mut odds: Vec<(String, Vec<u8>)> = (0..=255_u8)
        .filter(|kind| !(1..=4).contains(kind))
        .step_by(17)
        .chain([5, 6, 7])
        .map(|kind| {
            (
                format!("kind {kind}"),
                [&[kind][..], &own, &[0; 9]].concat(),
            )
        })
        .collect();
    let zeros = [0; 9];
    let mut add = |what: &str, rest: Vec<u8>| odds.push((what.to_owned(), rest));
    let device = with(|metadata| metadata.mode = 0o020_600);
    add("the mode of a device", file_with(&device, &zeros));
    add(
        "all modes",
        file_with(&with(|it| it.mode = u32::MAX), &zeros),
    );
    let nanoseconds = with(|metadata| metadata.mtime_ns = 1_000_000_000);
    add("a second of nanoseconds", file_with(&nanoseconds, &zeros));
    let now = with(|metadata| metadata.mtime_ns = 0x3FFF_FFFF);
    add("UTIME_NOW", file_with(&now, &zeros));
    add(
        "a size without content",
        file_with(&own, &[1, 0, 0, 0, 0, 0, 0, 0, 0]),
    );
    add(
        "an unknown content",
        file_with(&own, &[0, 0, 0, 0, 0, 0, 0, 0, 3]),
    );
    let slice =
        |len: u64, offset: u64| [&len.to_le_bytes()[..], &[2], &offset.to_le_bytes()].concat();
    add("a slice of nothing", file_with(&own, &slice(0, 0)));
    add(
        "a slice beyond 2^64",
        file_with(&own, &slice(2, u64::MAX - 1)),
    );
    add("no metadata", vec![1]);
    add("nothing", Vec::new());
    odds.extend(contents_that_are_none(&file_with, &own));
    let refused = |(what, rest)| case(what, Outcome::Refused, vec![vec![odd(rest)]]);
    odds.into_iter().map(refused).collect()
}

/// Roots and link targets that are none.
fn contents_that_are_none(
    file_with: &impl Fn(&[u8], &[u8]) -> Vec<u8>,
    own: &[u8],
) -> Vec<(String, Vec<u8>)> {
    let mut odds = Vec::new();
    let mut add = |what: &str, rest: Vec<u8>| odds.push((what.to_owned(), rest));
    let root = |len: u64, stated: u64, level: u8| {
        let root = [&stated.to_le_bytes()[..], &[level], &[7; 32]].concat();
        file_with(own, &[&len.to_le_bytes()[..], &[1], &root].concat())
    };
    add("a root of another length", root(5, 6, 0));
    add("a root of no length", root(0, 0, 0));
    add("a root of level 8", root(5, 5, 8));
    add("a root of level 255", root(5, 5, 255));
    add("a root without a place", root(5, 5, 0));
    for (what, len) in [("no", 0), ("4,096 bytes of", 4_096), ("64 KiB of", 65_535)] {
        add(
            &format!("{what} link target"),
            link(b"odd", &vec![b'x'; len]).rest,
        );
    }
    add("a zero byte in a link target", link(b"odd", b"a\0b").rest);
    odds
}

/// Lists that contradict themselves, within a page and from page to page.
fn orders(outside: &[u8]) -> Vec<Case> {
    let escape = link(b"a", b"../outside");
    let absolute = link(b"a", outside);
    let pairs = [
        ("one path twice", file(b"a"), file(b"a")),
        (
            "a file and a directory of one path",
            file(b"a"),
            directory(b"a"),
        ),
        (
            "a link and a directory of one path",
            escape.clone(),
            directory(b"a"),
        ),
        ("descending paths", file(b"b"), file(b"a")),
        (
            "a directory behind what is in it",
            file(b"a/b"),
            directory(b"a"),
        ),
        ("a file below a file", file(b"a"), file(b"a/b")),
        ("a directory below a file", file(b"a"), directory(b"a/b")),
        ("a file deep below a file", file(b"a"), file(b"a/b/c/d")),
        ("a file below a link", escape.clone(), file(b"a/new")),
        (
            "a file over one below a link",
            escape.clone(),
            file(b"a/kept"),
        ),
        (
            "a directory below a link",
            escape.clone(),
            directory(b"a/new"),
        ),
        ("a link below a link", escape.clone(), link(b"a/new", b"x")),
        ("a file deep below a link", escape, file(b"a/deep/new")),
        ("a file below an absolute link", absolute, file(b"a/new")),
        (
            "a file below a link to itself",
            link(b"a", b"."),
            file(b"a/new"),
        ),
    ];
    let mut all = Vec::new();
    for (what, one, other) in pairs {
        let one_page = vec![vec![one.clone(), other.clone()]];
        all.push(case(what, Outcome::Refused, one_page));
        let two_pages = vec![vec![one.clone()], vec![other.clone()]];
        let what = format!("{what}, on two pages");
        all.push(case(what.clone(), Outcome::Refused, two_pages));
        let before = vec![file(b"A"), one];
        let behind = vec![other, file(b"z")];
        let what = format!("{what}, among others");
        all.push(case(what, Outcome::Refused, vec![before, behind]));
    }
    all
}

/// Links that lead out, which nothing follows.
fn links() -> Vec<Case> {
    let targets: [&[u8]; 8] = [
        b"..",
        b"../outside",
        b"../outside/kept",
        b"/etc/passwd",
        b"/",
        b"\xff\x1b[2J",
        b"link",
        &[b'x'; 4_095],
    ];
    let mut all: Vec<Case> = targets
        .into_iter()
        .map(|target| {
            let shown = String::from_utf8_lossy(&target[..target.len().min(20)]).into_owned();
            let what = format!("a link to {shown:?}");
            case(what, Outcome::Restores, vec![vec![link(b"link", target)]])
        })
        .collect();
    let many = (0..200).map(|n| link(format!("{n:03}").as_bytes(), b"../outside/kept"));
    all.push(case("200 links", Outcome::Restores, vec![many.collect()]));
    all
}

/// Names that are legal, and inconvenient.
fn odd_names() -> Vec<Case> {
    let deepest = [&b"d/".repeat(2_047)[..], b"f"].concat();
    let widest = [[b'w'; 255]; 16].join(&b'/');
    let names = names();
    let mut sorted = BTreeMap::new();
    for name in &names {
        sorted.insert(name.clone(), file(name));
    }
    let mut all: Vec<Case> = names
        .iter()
        .map(|name| {
            let shown = String::from_utf8_lossy(&name[..name.len().min(20)]).into_owned();
            let pages = vec![vec![directory(name), file(&[name, &b"/f"[..]].concat())]];
            case(format!("the name {shown:?}"), Outcome::Restores, pages)
        })
        .collect();
    let together = vec![sorted.into_values().collect()];
    all.push(case("all odd names", Outcome::Restores, together));
    let twins = [&b"A"[..], b"B", b"a", b"b"].map(file).to_vec();
    all.push(case(
        "names that differ by case",
        Outcome::Restores,
        vec![twins],
    ));
    all.push(case(
        "2,048 levels",
        Outcome::Restores,
        vec![vec![file(&deepest)]],
    ));
    all.push(case(
        "a path of 4,095 bytes",
        Outcome::Restores,
        vec![vec![file(&widest)]],
    ));
    all
}

/// Names that drive terminals and shells, look like others, or are refused by
/// other systems.
fn names() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = [
        &b"\x1b[2J\x1b[1;31mfake\x07"[..],
        b"\x1b]0;title\x07",
        b"\r\nEXIT 0",
        b"line\nfeed",
        b"\xff\xfe",
        b"\xc0\xae\xc0\xae\xc0\xaf",
        "\u{202e}lqs.pmud".as_bytes(),
        "cafe\u{301}".as_bytes(),
        "caf\u{e9}".as_bytes(),
        b"-rf",
        b"--",
        b"~",
        b"*",
        b"$(touch new)",
        b"`id`",
        b"...",
        b".. ",
        b"..\\..\\new",
        b" ",
        b"\t",
        b"con",
        b"C:",
        b".indelible-0123456789abcdef",
        b"\x7f",
        b"\x01",
    ]
    .into_iter()
    .map(<[u8]>::to_vec)
    .collect();
    names.push(vec![b'n'; 255]);
    names.push(vec![0xFF; 255]);
    names
}
