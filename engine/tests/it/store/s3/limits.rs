//! Limits of how fast bodies go to S3 and come from there.

use std::sync::{Arc, Mutex};

use indelible_engine::env::{Clock as _, ManualClock, Pause};
use indelible_engine::pace::{Limits, Pacer, Rate};
use indelible_engine::store::{AppendStore as _, ObjectKey, PutOutcome, ReadStore as _, S3Store};
use indelible_format::ids::PackId;

use super::bucket::Request;
use super::server::Fate;
use super::{PATIENCE, PREFIX, Stage, open_limited};
use crate::support::noise;

/// A rate at which a piece is as long as it may be, and the burst as long as a piece.
const RATE: u64 = 1 << 20;
const PIECE: u64 = 64 << 10;

/// Lets time pass, and notes how much.
struct Noted {
    clock: Arc<ManualClock>,
    pauses_ms: Mutex<Vec<u64>>,
}

impl Noted {
    /// The pauses since this was asked.
    fn take(&self) -> Vec<u64> {
        std::mem::take(&mut *self.pauses_ms.lock().expect("nobody panicked"))
    }
}

impl Pause for Noted {
    fn pause_ms(&self, ms: u64) {
        self.pauses_ms.lock().expect("nobody panicked").push(ms);
        self.clock.pause_ms(ms);
    }
}

/// A client with such limits, whose pauses for them are noted.
struct Slow {
    stage: Stage,
    store: S3Store,
    noted: Arc<Noted>,
}

impl Slow {
    fn new(upload: Option<u64>, download: Option<u64>) -> Self {
        let stage = Stage::prepared(None);
        let noted = Arc::new(Noted {
            clock: Arc::clone(&stage.clock),
            pauses_ms: Mutex::default(),
        });
        let pacer = |bytes_per_s| {
            let rate = Rate::new(bytes_per_s).expect("it is a rate");
            let pause = Arc::clone(&noted) as _;
            Arc::new(Pacer::new(rate, Arc::clone(&stage.clock) as _, pause))
        };
        let limits = Limits {
            upload: upload.map(pacer),
            download: download.map(pacer),
        };
        let store = open_limited(&stage.server, &stage.clock, None, PATIENCE, limits);
        Self {
            stage,
            store,
            noted,
        }
    }

    /// Puts a pack, and says how long that took and how many pauses were made.
    fn put(&self, bytes: &[u8]) -> (u64, Vec<u64>) {
        let began_ms = self.stage.clock.monotonic_ms();
        let key = ObjectKey::Pack(PackId::of(bytes));
        let outcome = self.store.put_new(&key, bytes).expect("it is answered");
        assert!(matches!(outcome, PutOutcome::Created), "{outcome:?}");
        let path = format!("{PREFIX}/{}", key.path());
        let bucket = self.stage.server.bucket();
        let stored = bucket.versions(&path)[0].bytes.as_deref();
        assert!(stored.is_some_and(|stored| stored == bytes));
        let took_ms = self.stage.clock.monotonic_ms() - began_ms;
        (took_ms, self.noted.take())
    }

    /// Has creations meet these fates, then none, and keeps what arrived of them.
    fn meets(&self, fates: Vec<Fate>) -> Arc<Mutex<Vec<Request>>> {
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let keeps = Arc::clone(&arrived);
        let mut fates = fates.into_iter();
        self.stage.server.decide(move |request, _| {
            if !request.is_put() {
                return Fate::Done;
            }
            keeps.lock().expect("nobody panicked").push(request.clone());
            fates.next().unwrap_or(Fate::Done)
        });
        arrived
    }
}

/// Milliseconds that so many bytes take beside the burst.
fn due_ms(bytes: u64) -> u64 {
    ((bytes - PIECE) * 1_000).div_ceil(RATE)
}

/// What goes up is paid piece by piece, arrives whole with its length in one body, and is
/// as with no limit else.
///
/// Method: a pack of three mebibytes and some bytes at one a second, on a clock that only
/// pauses move; the request's head at the server; then it is read back for nothing.
#[test]
fn uploads_are_paid_in_pieces() {
    let slow = Slow::new(Some(RATE), None);
    let arrived = slow.meets(Vec::new());
    let bytes = noise(1, (3 << 20) + 77);
    let (took_ms, pauses_ms) = slow.put(&bytes);
    assert_eq!(took_ms, due_ms(bytes.len() as u64));
    // The first piece is the burst, and each of the other whole ones waits for its turn.
    assert_eq!(pauses_ms.len() as u64, bytes.len() as u64 / PIECE - 1);
    assert!(pauses_ms.iter().all(|ms| (1..=63).contains(ms)));
    let arrived = arrived.lock().expect("nobody panicked");
    let headers = &arrived[0].headers;
    let length = headers.get("content-length");
    assert_eq!(length, Some(&bytes.len().to_string()));
    assert!(!headers.contains_key("transfer-encoding"));
    assert!(headers.contains_key("x-amz-checksum-sha256"));
    let key = ObjectKey::Pack(PackId::of(&bytes));
    assert!(slow.store.read(&key, u64::MAX).expect("it is there") == bytes);
    assert!(slow.noted.take().is_empty());
}

/// What comes down is paid too, whole or in part; and what goes up is not, if only coming
/// down is limited.
///
/// Method: a pack is put, read whole, in part, into memory and compared, each time on a
/// bucket that an hour filled again.
#[test]
fn downloads_are_paid() {
    let slow = Slow::new(None, Some(RATE));
    let bytes = noise(2, 2 << 20);
    let (took_ms, _) = slow.put(&bytes);
    assert_eq!(took_ms, 0);
    let key = ObjectKey::Pack(PackId::of(&bytes));
    // What the reads ask for beside it is short, and below the burst with a part of it.
    let time = |read: &dyn Fn(), bytes: u64| {
        slow.stage.clock.advance(3_600_000);
        let began_ms = slow.stage.clock.monotonic_ms();
        read();
        let took_ms = slow.stage.clock.monotonic_ms() - began_ms;
        let extra_ms = took_ms - due_ms(bytes);
        assert!(extra_ms < 5, "{took_ms} for {bytes}");
        let pauses_ms = slow.noted.take();
        assert!(pauses_ms.iter().all(|&ms| ms <= 63), "{pauses_ms:?}");
    };
    let store = &slow.store;
    let whole = || assert!(store.read(&key, u64::MAX).expect("it is there") == bytes);
    time(&whole, 2 << 20);
    let part = || {
        let read = store.read_range(&key, 77, 1 << 20).expect("it is there");
        assert!(read == bytes[77..77 + (1 << 20)]);
    };
    time(&part, 1 << 20);
    let mut into = vec![0; 2 << 20];
    slow.stage.clock.advance(3_600_000);
    store.read_into(&key, 0, &mut into).expect("it is there");
    assert!(into == bytes);
    assert_eq!(slow.noted.take().iter().sum::<u64>(), due_ms(2 << 20));
}

/// Each try pays for what it sends.
///
/// Method: the server takes the whole body twice and refuses it, then it does it.
#[test]
fn tries_pay_again() {
    let slow = Slow::new(Some(RATE), None);
    let arrived = slow.meets(vec![Fate::Refused(503, "SlowDown"); 2]);
    let bytes = noise(3, 2 << 20);
    let (_, pauses_ms) = slow.put(&bytes);
    assert_eq!(arrived.lock().expect("nobody panicked").len(), 3);
    let paid_ms: u64 = pauses_ms.iter().sum();
    // Between tries time passes, so that each may have its burst.
    let (least, most) = (3 * due_ms(2 << 20), due_ms(6 << 20) + 3);
    assert!((least..=most).contains(&paid_ms), "{paid_ms}");
}

/// A body that takes longer than all tries may take without a limit is tried again all the
/// same.
///
/// Method: a mebibyte at two kibibytes a second, which is refused once when it has arrived.
#[test]
fn slow_bodies_have_their_tries() {
    let slow = Slow::new(Some(2 << 10), None);
    let arrived = slow.meets(vec![Fate::Refused(503, "SlowDown")]);
    let (took_ms, pauses_ms) = slow.put(&noise(4, 1 << 20));
    assert_eq!(arrived.lock().expect("nobody panicked").len(), 2);
    assert!(took_ms > 2 * PATIENCE.total_ms_max, "{took_ms}");
    // No server waits long for the next byte.
    assert!(pauses_ms.iter().all(|&ms| ms <= 63));
}
