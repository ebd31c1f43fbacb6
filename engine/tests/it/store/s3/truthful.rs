//! Whatever goes wrong on the way, what `put_new` answers is true.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use indelible_engine::env::Clock as _;
use indelible_engine::progress::Silent;
use indelible_engine::repository::Repository;
use indelible_engine::snapshot::Input;
use indelible_engine::store::s3::Patience;
use indelible_engine::store::{
    AppendStore as _, ErrorClass, ObjectKey, PutOutcome, ReadStore as _, StoreError,
};
use indelible_format::ids::PackId;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, any, proptest};
use proptest::sample::select;

use super::server::{Fate, Server};
use super::{PATIENCE, PREFIX, Stage, open};
use crate::support::{Fixture, listed, restore_stream, run, stream};

const OURS: &[u8] = b"ours";
const RIVALS: &[u8] = b"a rival's";
const ENTRY: ObjectKey = ObjectKey::Log(5);
const PACK: ObjectKey = ObjectKey::Pack(PackId([0xAB; 32]));

fn path(key: &ObjectKey) -> String {
    format!("{PREFIX}/{}", key.path())
}

/// What stands under a key, markers left out, the oldest first.
fn stored(server: &Server, key: &ObjectKey) -> Vec<Vec<u8>> {
    let bucket = server.bucket();
    let versions = bucket.versions(&path(key)).iter();
    versions
        .filter_map(|version| version.bytes.as_deref().cloned())
        .collect()
}

/// Lets creations meet these fates, one after the other, and then none.
fn creations_meet(stage: &Stage, fates: Vec<Fate>) {
    let mut fates = fates.into_iter();
    stage.server.decide(move |request, _| {
        if request.is_put() {
            fates.next().unwrap_or(Fate::Done)
        } else {
            Fate::Done
        }
    });
}

/// A fault that is over at the next try leaves no doubt.
///
/// Method: each fault once, and what the answer must be then.
#[test]
fn single_faults_are_cleared_up() {
    let created = [
        Fate::Refused(503, "SlowDown"),
        Fate::Refused(500, "InternalError"),
        Fate::Refused(429, "TooManyRequests"),
        Fate::Refused(400, "RequestTimeout"),
        Fate::Refused(409, "ConditionalRequestConflict"),
        Fate::ResetBefore,
        Fate::Twice,
        Fate::Done,
    ];
    let same = [
        Fate::DoneAndRefused(503, "SlowDown"),
        Fate::DoneAndRefused(500, "InternalError"),
        Fate::DoneAndRefused(412, "PreconditionFailed"),
        Fate::ResetAfter,
    ];
    let all = created.map(|fate| (fate, true)).into_iter();
    for (fate, is_created) in all.chain(same.map(|fate| (fate, false))) {
        for key in [ENTRY, PACK] {
            let stage = Stage::new(None);
            creations_meet(&stage, vec![fate]);
            let outcome = stage.store.put_new(&key, OURS).expect("an answer");
            match outcome {
                PutOutcome::Created if is_created => {}
                PutOutcome::AlreadySame if !is_created => {}
                other => panic!("{fate:?}: {other:?}"),
            }
            assert_eq!(stored(&stage.server, &key), [OURS]);
        }
    }
}

/// A fault that stays is told for what it is: what can't have been done is an
/// error, what was done is found, and the rest is unknown.
///
/// Method: each fault for good, at creations only, then at everything.
#[test]
fn lasting_faults_are_told() {
    for (fate, class) in [
        (
            Fate::Refused(403, "AccessDenied"),
            ErrorClass::PermissionDenied,
        ),
        (Fate::Refused(400, "InvalidDigest"), ErrorClass::Other),
        (Fate::Refused(404, "NoSuchBucket"), ErrorClass::NoRepository),
        (Fate::Refused(507, ""), ErrorClass::NoSpace),
    ] {
        let stage = Stage::new(None);
        creations_meet(&stage, vec![fate; 9]);
        let error = stage.store.put_new(&ENTRY, OURS).expect_err("refused");
        assert_eq!(error.class(), class, "{fate:?}: {error:?}");
        let tries = stage.server.requests();
        let tries = tries.iter().filter(|it| it.starts_with("PUT")).count();
        assert_eq!(tries, 1, "{fate:?} is no matter of patience");
    }
    for fate in [Fate::Refused(503, "SlowDown"), Fate::ResetBefore] {
        let stage = Stage::new(None);
        creations_meet(&stage, vec![fate; 9]);
        let outcome = stage.store.put_new(&ENTRY, OURS).expect("an answer");
        match outcome {
            PutOutcome::Indeterminate { cause } => assert!(cause.is_transient(), "{cause:?}"),
            other => panic!("{fate:?}: {other:?}"),
        }
        let tries = stage.server.requests();
        let tries = tries.iter().filter(|it| it.starts_with("PUT")).count();
        assert_eq!(tries, 4, "{fate:?}");
    }
    let stage = Stage::new(None);
    creations_meet(&stage, vec![Fate::ResetAfter; 9]);
    let outcome = stage.store.put_new(&ENTRY, OURS).expect("an answer");
    assert!(matches!(outcome, PutOutcome::AlreadySame), "{outcome:?}");

    // After its effect, the server is gone for good.
    let stage = Stage::prepared(None);
    stage.server.decide(|request, _| {
        if request.is_put() {
            Fate::ResetAfter
        } else {
            Fate::ResetBefore
        }
    });
    let outcome = stage.store.put_new(&ENTRY, OURS).expect("an answer");
    assert!(
        matches!(outcome, PutOutcome::Indeterminate { .. }),
        "{outcome:?}"
    );
}

/// Of a name that is a hash, a try that was held up can still come to stand, behind
/// a marker, whatever a later answer says.
///
/// Method: others lie behind a marker, the first try is held up, the second is told
/// that the name is taken; then the first arrives.
#[test]
fn what_was_held_up_may_still_come() {
    let stage = Stage::new(None);
    stage.server.bucket().push(&path(&PACK), Some(RIVALS));
    stage.server.bucket().push(&path(&PACK), None);
    let taken = Fate::Refused(412, "PreconditionFailed");
    creations_meet(&stage, vec![Fate::Late, taken]);
    let outcome = stage.store.put_new(&PACK, OURS).expect("an answer");
    assert!(
        matches!(outcome, PutOutcome::Indeterminate { .. }),
        "{outcome:?}"
    );
    stage.server.deliver_late();
    assert_eq!(stored(&stage.server, &PACK), [RIVALS, OURS]);
}

/// What never reached a server created nothing.
///
/// Method: ask a port where nobody listens any more.
#[test]
fn nobody_there_is_an_error() {
    let Stage {
        server,
        clock,
        store,
    } = Stage::prepared(None);
    let other = open(&server, &clock, None, PATIENCE);
    drop((server, store));
    for _ in 0..2 {
        let error = other.put_new(&ENTRY, OURS).expect_err("nobody is there");
        assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
    }
}

/// A server that says nothing is given up, and what it did is found.
///
/// Method: silence at the first creation, before and after its effect, and for a
/// read; real time passes.
#[test]
fn silence_is_not_waited_for() {
    for (fate, is_created) in [(Fate::Silence, true), (Fate::DoneInSilence, false)] {
        let stage = Stage::prepared(None);
        let patience = Patience {
            idle_ms: 300,
            ..PATIENCE
        };
        let store = open(&stage.server, &stage.clock, None, patience);
        creations_meet(&stage, vec![fate]);
        let outcome = store.put_new(&ENTRY, OURS).expect("an answer");
        match outcome {
            PutOutcome::Created if is_created => {}
            // Its bytes are found, whoever stored them.
            PutOutcome::AlreadySame => {}
            other => panic!("{fate:?}: {other:?}"),
        }
        stage.server.decide(|_, _| Fate::Silence);
        let error = store.read(&ENTRY, 100).expect_err("it says nothing");
        assert!(error.is_transient(), "{error:?}");
    }
}

/// Trying ends, however patient the clock is.
///
/// Method: a server that is always busy; count requests and the time that passed.
#[test]
fn tries_are_bounded_in_number_and_time() {
    let stage = Stage::new(None);
    let started_ms = stage.clock.monotonic_ms();
    let patience = Patience {
        tries_max: u32::MAX,
        total_ms_max: 60_000,
        ..PATIENCE
    };
    let store = open(&stage.server, &stage.clock, None, patience);
    stage.server.decide(|_, _| Fate::Refused(503, "SlowDown"));
    let error = store.size(&ENTRY).expect_err("it is busy");
    assert_eq!(error.class(), ErrorClass::Unreachable);
    let took_ms = stage.clock.monotonic_ms() - started_ms;
    assert!((40_000..=60_000).contains(&took_ms), "{took_ms}");
    let requests = stage.server.requests().len();
    assert!((5..20).contains(&requests), "{requests}");
}

/// What becomes of a creation, without the fates that take real time.
fn any_fate() -> impl Strategy<Value = Fate> {
    select(vec![
        Fate::Done,
        Fate::Done,
        Fate::Refused(503, "SlowDown"),
        Fate::Refused(500, "InternalError"),
        Fate::Refused(409, "ConditionalRequestConflict"),
        Fate::Refused(412, "PreconditionFailed"),
        Fate::Refused(403, "AccessDenied"),
        Fate::DoneAndRefused(503, "SlowDown"),
        Fate::DoneAndRefused(500, "InternalError"),
        Fate::DoneAndRefused(412, "PreconditionFailed"),
        Fate::ResetBefore,
        Fate::ResetAfter,
        Fate::Late,
        Fate::Late,
        Fate::Twice,
    ])
}

/// What stands under the name before.
#[derive(Debug, Clone, Copy)]
struct Before {
    bytes: Option<&'static [u8]>,
    is_hidden: bool,
}

fn any_before() -> impl Strategy<Value = Before> {
    let bytes = select(vec![None, None, Some(OURS), Some(RIVALS)]);
    (bytes, any::<bool>()).prop_map(|(bytes, is_hidden)| Before { bytes, is_hidden })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    /// Stored means stored for good, a conflict that others stand there, and an
    /// error that it never will be; whatever the faults and the rivals are.
    ///
    /// Method: drawn fates for creations and for what is asked afterwards, a rival
    /// before a drawn try, something there or hidden before, a server that may
    /// ignore conditions; then what was held up arrives, and all is compared with
    /// what is stored.
    #[test]
    fn answers_are_true(
        puts in vec(any_fate(), 0..6),
        asks in vec(select(vec![Fate::Done, Fate::Done, Fate::ResetBefore, Fate::Cut, Fate::Refused(503, "")]), 0..12),
        rival_before in 0_usize..6,
        before in any_before(),
        is_entry in any::<bool>(),
        is_conditional in any::<bool>(),
    ) {
        let key = if is_entry { ENTRY } else { PACK };
        let stage = Stage::new(None);
        // The clock of the store is known.
        assert!(stage.store.size(&ObjectKey::Log(0)).is_err());
        {
            let mut bucket = stage.server.bucket();
            // Of hashes nobody can make others with a lie; conditions only order.
            bucket.conditional = is_conditional || !is_entry;
            if let Some(bytes) = before.bytes {
                bucket.push(&path(&key), Some(bytes));
            }
            if before.is_hidden {
                bucket.push(&path(&key), None);
            }
        }
        let (mut puts, mut asks, mut count) = (puts.into_iter(), asks.into_iter(), 0);
        stage.server.decide(move |request, bucket| {
            if !request.is_put() {
                return asks.next().unwrap_or(Fate::Done);
            }
            if count == rival_before {
                bucket.push(&request.key, Some(RIVALS));
            }
            count += 1;
            puts.next().unwrap_or(Fate::Done)
        });
        let answer = stage.store.put_new(&key, OURS);
        let after = stored(&stage.server, &key);
        stage.server.deliver_late();
        let late = stored(&stage.server, &key);
        for found in [after, late] {
            let is_ours = found.iter().any(|bytes| bytes == OURS);
            let oldest = found.first().map(Vec::as_slice);
            match &answer {
                Ok(PutOutcome::Created | PutOutcome::AlreadySame) if is_entry => {
                    assert_eq!(oldest, Some(OURS));
                }
                Ok(PutOutcome::Created | PutOutcome::AlreadySame) => assert!(is_ours),
                Ok(PutOutcome::Conflict) => {
                    assert!(oldest.is_some_and(|bytes| bytes != OURS));
                    assert!(is_entry || !is_ours);
                }
                Ok(PutOutcome::Indeterminate { .. }) => {}
                Err(error) => assert!(!is_ours || before.bytes == Some(OURS), "{error:?}"),
            }
        }
    }
}

/// Writers at once through faults all commit, each its own entry, and restore.
///
/// Method: two clients of one repository, on a server that loses every fifth
/// answer and refuses every seventh request.
#[test]
fn writers_at_once_commit_through_faults() {
    let stage = Stage::prepared(None);
    let fixture = Fixture::new(91);
    for key in fixture.store.keys() {
        let bytes = fixture.store.read(&key, 1 << 20).expect("it is there");
        stage.server.bucket().push(&path(&key), Some(&bytes));
    }
    let count = AtomicU32::new(0);
    stage
        .server
        .decide(move |_, _| match count.fetch_add(1, Ordering::SeqCst) {
            n if n % 7 == 6 => Fate::Refused(503, "SlowDown"),
            n if n % 5 == 4 => Fate::ResetAfter,
            _ => Fate::Done,
        });
    let patience = Patience {
        tries_max: 8,
        ..PATIENCE
    };
    let open = || open(&stage.server, &stage.clock, None, patience);
    let stores = [open(), open()];
    let opened = |store| {
        Repository::open(store, None, &fixture.recovery, fixture.env.clone())
            .expect("the repository opens")
    };
    thread::scope(|scope| {
        for (store, name) in stores.iter().zip(["one", "two"]) {
            let opened = &opened;
            scope.spawn(move || {
                let mut repository = opened(store);
                for night in 0..3 {
                    let content = content(name, night);
                    let input = Input::Items(vec![stream("dump.sql", &content)]);
                    run(&mut repository, name, input, &Silent).expect("it commits");
                }
            });
        }
    });
    let repository = opened(&stores[0]);
    assert_eq!(listed(&repository), [1, 2, 3, 4, 5, 6]);
    let restored = (1..=6).map(|number| restore_stream(&repository, number));
    let restored: BTreeSet<_> = restored.map(|it| it.expect("it restores")).collect();
    let nights = (0..3).flat_map(|night| [content("one", night), content("two", night)]);
    assert_eq!(restored, nights.collect());
    assert!(repository.history().problems.is_empty());
}

fn content(name: &str, night: u32) -> Vec<u8> {
    format!("{name} {night}").repeat(1_000).into_bytes()
}
