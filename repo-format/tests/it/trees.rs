//! What directories, nodes, pages and their records say of themselves
//! (SPEC 6.4, 8.2, 8.3).

use indelible_format::coding::{Class, Coding};
use indelible_format::directory::{Base, Directory, Record};
use indelible_format::ids::{ChunkId, PackId};
use indelible_format::limits::{DIRECTORY_PACKS_MAX, PACK_CHUNKS_MAX};
use indelible_format::node::{Item, Node, Root};
use indelible_format::page::{self, Content, EntryKind, Metadata, Page, TreeEntry};
use indelible_format::path::EntryPath;
use indelible_format::places::Place;

use crate::codecs::OWN;
use crate::fixture;
use crate::sealed;

/// A raw chunk of this class.
fn record(class: u8) -> Record {
    Record {
        id: ChunkId([7; 32]),
        class,
        coding: Coding::Raw,
        stored_len: 16 + 5,
        plain_len: 5,
        depth: 0,
        bases: Vec::new(),
    }
}

/// The room that a writer keeps for its directory is what the directory takes.
///
/// Method: seal directories of no chunk up to the most that a pack may have, with no
/// base up to the most, in no other pack up to the most.
#[test]
fn directories_are_as_long_as_foretold() {
    let header = sealed::some_header();
    for chunks in [0, 1, 2, 3, 100, PACK_CHUNKS_MAX] {
        let directory = Directory {
            packs: Vec::new(),
            records: vec![record(0); chunks],
        };
        let sealed = directory.seal(&header, &fixture::index_key());
        assert_eq!(
            Directory::sealed_len(chunks, 0, 0),
            sealed.len(),
            "{chunks}"
        );
    }
    for (chunks, bases, packs) in [(1, 1, 0), (1, 4, 3), (7, 2, 2), (2, 3, DIRECTORY_PACKS_MAX)] {
        let base = Base { slot: 0, number: 0 };
        let leaning = Record {
            bases: vec![base; bases],
            ..record(0)
        };
        let directory = Directory {
            packs: vec![PackId([3; 32]); packs],
            records: vec![leaning; chunks],
        };
        let sealed = directory.seal(&header, &fixture::index_key());
        let foretold = Directory::sealed_len(chunks, chunks * bases, packs);
        assert_eq!(foretold, sealed.len(), "{chunks}, {bases}, {packs}");
    }
}

/// The three classes of SPEC 6.3 are known, and no other is taken for one.
///
/// Method: a record of each class.
#[test]
fn three_classes_are_known() {
    for class in 0..=u8::MAX {
        let expected = match class {
            0 => Some(Class::Data),
            1 => Some(Class::Page),
            2 => Some(Class::Node),
            _ => None,
        };
        assert_eq!(record(class).known_class(), expected, "class {class}");
    }
}

/// A node that lists something is not empty, and one that lists nothing is
/// refused (SPEC 8.2).
///
/// Method: encode and decode a node of no item and of one.
#[test]
fn no_decoded_node_is_empty() {
    let item = Item {
        id: ChunkId([7; 32]),
        len: 5,
    };
    let place = Place {
        pack: PackId([9; 32]),
        number: 3,
    };
    let one = Node {
        level: 0,
        items: vec![item],
        places: vec![place],
    };
    let none = Node {
        level: 0,
        items: Vec::new(),
        places: Vec::new(),
    };
    assert!(none.is_empty());
    assert!(Node::decode(&none.encode(&OWN), &OWN).is_err());
    let decoded = Node::decode(&one.encode(&OWN), &OWN).unwrap();
    assert!(!decoded.is_empty());
}

const METADATA: Metadata = Metadata {
    mode: 0o640,
    uid: 1_000,
    gid: 100,
    mtime_s: 1_767_225_600,
    mtime_ns: 5,
};

fn entry(path: &str, kind: EntryKind) -> TreeEntry {
    TreeEntry {
        path: EntryPath::new(path.as_bytes()).unwrap(),
        kind,
    }
}

/// Files, directories and symbolic links keep what the file system says of
/// them; a stream has nothing to keep (SPEC 8.3).
///
/// Method: an entry of each kind, through the page's bytes.
#[test]
fn all_but_streams_have_metadata() {
    let metadata = METADATA;
    let content = Content::Empty;
    let target = b"a".to_vec();
    let entries = [
        entry("a", EntryKind::File { metadata, content }),
        entry("b", EntryKind::Directory { metadata }),
        entry("c", EntryKind::Symlink { metadata, target }),
        entry("d", EntryKind::Stream { content }),
    ];
    let records: Vec<u8> = entries.iter().flat_map(TreeEntry::encode).collect();
    let page = Page::decode(&page::encode(&records, &[], &OWN), &OWN).unwrap();
    let found: Vec<Option<Metadata>> = page
        .entries
        .iter()
        .map(|entry| entry.metadata().copied())
        .collect();
    assert_eq!(
        found,
        [Some(METADATA), Some(METADATA), Some(METADATA), None]
    );
}

/// Content is empty where the record's size is 0, which is where it has no
/// stream and no slice (SPEC 8.3).
///
/// Method: one of each content, the others of one byte and of many.
#[test]
fn only_no_content_is_empty() {
    let root = |len| Root {
        len,
        level: 0,
        id: ChunkId([7; 32]),
    };
    assert!(Content::Empty.is_empty());
    for len in [1, 70_000] {
        assert!(!Content::Own(root(len)).is_empty());
        assert!(!Content::Small { offset: 0, len }.is_empty());
    }
}

/// A path stands in the directory that its other components name, and at the top in none.
/// Shown for developers it is as harmless as for people.
///
/// Method: paths of one, two and three components, and one with a control character.
#[test]
fn paths_have_parents() {
    let path = |bytes: &[u8]| EntryPath::new(bytes).unwrap();
    assert_eq!(path(b"a").parent(), None);
    assert_eq!(path(b"a/b").parent(), Some(path(b"a")));
    assert_eq!(path(b"ab/c/d").parent(), Some(path(b"ab/c")));
    assert_eq!(
        format!("{:?}", path(b"a\x1b[2J/b")),
        "EntryPath(a\\u{1b}[2J/b)"
    );
}
