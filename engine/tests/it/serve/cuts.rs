//! Connections that are cut, at every request and at every answer.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::sync::Arc;

use indelible_engine::repository::Repository;
use indelible_engine::store::{
    AppendStore as _, Area, MemoryStore, ObjectKey, PutOutcome, ReadStore as _, RemoteStore,
};
use indelible_format::ids::PackId;
use indelible_format::protocol::{Answer, Item, Object, PageEnd};

use super::{connect, guarded, serving};
use crate::support::{Fixture, chain, listed, restore_stream, rows, take_stream};

/// Lets so many requests through, and of the next one the first bytes.
struct CutRequests {
    output: PipeWriter,
    left: usize,
}

impl Write for CutRequests {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.left > 0 {
            return self.output.write(bytes);
        }
        let _ = self.output.write(&bytes[..bytes.len().min(7)]);
        Err(io::ErrorKind::BrokenPipe.into())
    }

    // Each request is flushed once.
    fn flush(&mut self) -> io::Result<()> {
        self.left -= 1;
        self.output.flush()
    }
}

/// Lets so many answers through; then it ends.
struct CutAnswers {
    input: PipeReader,
    left: usize,
    /// Bytes of the frame under way that are to come.
    frame: usize,
}

impl Read for CutAnswers {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.frame == 0 {
            // The effect of what is not answered has come.
            let mut len = [0; 4];
            self.input.read_exact(&mut len)?;
            if self.left == 0 {
                return Ok(0);
            }
            self.left -= 1;
            self.frame = u32::from_le_bytes(len) as usize;
            into[..4].copy_from_slice(&len);
            return Ok(4);
        }
        let len = into.len().min(self.frame);
        let read = self.input.read(&mut into[..len])?;
        self.frame -= read;
        Ok(read)
    }
}

/// A connection that is cut behind so many requests, or so many answers.
fn cut(store: &Arc<MemoryStore>, left: usize, answers: bool) -> Option<RemoteStore> {
    let (input, output) = guarded(store, None);
    let (requests, answers) = if answers {
        (usize::MAX, left)
    } else {
        (left, usize::MAX)
    };
    let output = CutRequests {
        output,
        left: requests,
    };
    let input = CutAnswers {
        input,
        left: answers,
        frame: 0,
    };
    connect((input, output)).ok()
}

/// A connection that is cut at any point costs nothing that was acknowledged, and what
/// is not known is not said to be so.
///
/// Method: cut a snapshot's connection behind each request, and behind each answer, so
/// that the effect of the last is there and unknown. If it says that it is committed it
/// is; if it says that it is not it is not. Then another client commits, and all
/// restores.
#[test]
fn a_cut_connection_loses_nothing_that_was_acknowledged() {
    for answers in [false, true] {
        let (mut uncut, mut unknown) = (false, 0);
        for left in 0..200 {
            let fixture = Fixture::new(510);
            let content = rows(0..150);
            fixture.snapshot_of("shop", &content);
            let store = Arc::new(fixture.store.clone());
            let outcome = cut(&store, left, answers).map(|remote| {
                let opened =
                    Repository::open(&remote, None, &fixture.recovery, fixture.env.clone());
                let mut repository = opened.map_err(|error| chain(&error))?;
                let taken = take_stream(&mut repository, "shop", &rows(50..200));
                taken.map_err(|error| chain(&error))
            });
            let numbers = |expected: &[u64]| {
                let repository =
                    Repository::open(&*store, None, &fixture.recovery, fixture.env.clone());
                let repository = repository.expect("it opens");
                assert_eq!(listed(&repository), expected, "{left} {outcome:?}");
                for number in expected {
                    restore_stream(&repository, *number).expect("it restores");
                }
            };
            match &outcome {
                Some(Ok(_)) => {
                    numbers(&[1, 2]);
                    uncut = true;
                }
                Some(Err(error)) if error.contains("unknown") => unknown += 1,
                _ => numbers(&[1]),
            }
            if uncut {
                break;
            }
            let again = connect(guarded(&store, None)).expect("the server is there");
            let opened = Repository::open(&again, None, &fixture.recovery, fixture.env.clone());
            let mut repository = opened.expect("it opens");
            take_stream(&mut repository, "shop", &rows(50..200)).expect("it is committed");
        }
        assert!(uncut && unknown > 0, "{answers} {unknown}");
    }
}

/// A put whose answer is lost is unclear, and so is one that was cut; what comes
/// behind fails without that.
///
/// Method: cut behind the welcome, at the request and at the answer.
#[test]
fn a_lost_answer_is_unclear() {
    for answers in [false, true] {
        let store = Arc::new(MemoryStore::new());
        let remote = cut(&store, 1, answers).expect("it is welcome");
        let key = ObjectKey::Pack(PackId::of(b"bytes"));
        let outcome = remote.put_new(&key, b"bytes").expect("an outcome");
        assert!(matches!(outcome, PutOutcome::Indeterminate { .. }));
        assert_eq!(store.keys().len(), usize::from(answers));
        let error = remote.put_new(&key, b"bytes").expect_err("it is cut");
        assert!(error.is_transient());
        assert!(remote.size(&key).expect_err("it is cut").is_transient());
        let listed = remote.list(Area::Log, &mut |_| {});
        assert!(listed.expect_err("it is cut").is_transient());
    }
}

/// A server that says what fits no request, or more than was asked for, is not heard
/// further, and nothing of it is believed.
///
/// Method: a made-up server that answers one request, each in another wrong way.
#[test]
fn a_lying_server_is_not_believed() {
    let log = |number| (Item::Object(Object::Log(number)), 1);
    let page = |items| Answer::Page {
        items,
        end: PageEnd::More,
    };
    let answers = [
        Answer::Done.frame(2),
        Answer::Done.frame(1),
        Answer::Bytes {
            size: 9,
            bytes: b"ninebytes",
        }
        .frame(1),
        Answer::Bytes {
            size: 9,
            bytes: b"",
        }
        .frame(1),
        page(vec![(Item::Object(Object::Repository), 1)]).frame(1),
        // The same page for ever.
        [page(vec![log(1)]).frame(1), page(vec![log(1)]).frame(2)].concat(),
        u32::MAX.to_le_bytes().to_vec(),
        vec![20, 0, 0, 0, 0x84],
    ];
    for lie in answers {
        for list in [false, true] {
            let lie = lie.clone();
            let ends = serving(move |requests, answers| {
                let mut hello = [0; 23];
                requests.read_exact(&mut hello).expect("a hello");
                let welcome = Answer::Welcome {
                    conditional_create: true,
                    locks: false,
                };
                answers.write_all(&welcome.frame(0)).expect("a client");
                let mut request = [0; 4];
                requests.read_exact(&mut request).expect("a request");
                let _ = answers.write_all(&lie);
            });
            let remote = connect(ends).expect("it is welcome");
            let error = if list {
                remote.list(Area::Log, &mut |_| {})
            } else {
                remote.read_range(&ObjectKey::Log(0), 0, 3).map(drop)
            };
            assert!(error.expect_err("it is a lie").is_transient());
        }
    }
}
