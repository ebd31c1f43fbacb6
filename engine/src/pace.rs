//! How fast bytes may come and go.
//!
//! A [`Pacer`] is a token bucket, one for a direction and a whole process. Who moves bytes
//! pays for them, a small piece at a time, and waits until they are due. Why it holds:
//!
//! - What is owed is one number that every payment adds to and that time takes from, and
//!   nobody goes on while more is owed than the burst. So no span of time sees more bytes
//!   than the rate gives it and one burst.
//! - A payment adds to it before it waits, so who asks later waits for those who asked
//!   before: turns go round, whatever the number of threads.
//! - Payments are reckoned in thousandths of a byte, so that no rounding adds up. A pause
//!   that lasts too long is made up for, as far as the burst goes.
//! - Pieces last a sixteenth of a second at most. So a server never waits long for the next
//!   byte, and a pause stands between two calls of a stream, never within one: its
//!   timeouts see nothing of it.
//!
//! What is counted is what objects, lists and messages have in bytes: not the heads of
//! HTTP, nor what TLS, ssh and TCP add.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use crate::env::{Clock, Pause};

/// The most that is moved and paid at once, in bytes.
const PIECE_BYTES_MAX: u64 = 64 << 10;
/// A piece takes no longer than this part of a second.
const PIECES_PER_S: u64 = 16;
/// What may be owed is what so short a part of a second is worth, so that a clock of
/// milliseconds does not slow down what is fast.
const BURSTS_PER_S: u64 = 50;
/// What is owed is counted in these.
const UNITS_PER_BYTE: u64 = 1_000;

/// Bytes a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(u64);

impl Rate {
    /// The least: at less, what is transferred would never end.
    pub const MIN_BYTES_PER_S: u64 = 1 << 10;

    /// `None` where it is less than the least.
    pub fn new(bytes_per_s: u64) -> Option<Self> {
        (bytes_per_s >= Self::MIN_BYTES_PER_S).then_some(Self(bytes_per_s))
    }
}

/// Lets bytes pass at a rate. Threads share one.
pub struct Pacer {
    rate: Rate,
    clock: Arc<dyn Clock>,
    pause: Arc<dyn Pause>,
    owed: Mutex<Owed>,
}

/// What was moved and is not due yet.
#[derive(Debug, Default)]
struct Owed {
    units: u64,
    /// When that was so, in the clock's monotonic milliseconds.
    at_ms: u64,
}

impl fmt::Debug for Pacer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pacer")
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}

impl Pacer {
    /// A bucket with nothing owed.
    pub fn new(rate: Rate, clock: Arc<dyn Clock>, pause: Arc<dyn Pause>) -> Self {
        Self {
            rate,
            clock,
            pause,
            owed: Mutex::default(),
        }
    }

    /// The most that should be paid at once, in bytes.
    pub fn piece_bytes(&self) -> u64 {
        (self.rate.0 / PIECES_PER_S).min(PIECE_BYTES_MAX)
    }

    /// What may be owed without a pause, in bytes.
    pub fn burst_bytes(&self) -> u64 {
        self.piece_bytes().max(self.rate.0 / BURSTS_PER_S)
    }

    /// Pays for so many bytes, and waits until they are due.
    pub fn pay(&self, bytes: u64) {
        let wait_ms = self.owe(bytes);
        if wait_ms > 0 {
            self.pause.pause_ms(wait_ms);
        }
    }

    /// Adds to what is owed. Gives for how long to wait.
    fn owe(&self, bytes: u64) -> u64 {
        let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ms = self.clock.monotonic_ms();
        // A thousandth of a byte is what a millisecond gives at one byte a second.
        let due = self.rate.0.saturating_mul(now_ms - owed.at_ms);
        let left = owed.units.saturating_sub(due);
        *owed = Owed {
            units: left.saturating_add(bytes.saturating_mul(UNITS_PER_BYTE)),
            at_ms: now_ms,
        };
        let burst = self.burst_bytes().saturating_mul(UNITS_PER_BYTE);
        owed.units.saturating_sub(burst).div_ceil(self.rate.0)
    }
}

/// The limits of a process. By default there are none.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// Of what goes to stores.
    pub upload: Option<Arc<Pacer>>,
    /// Of what comes from them.
    pub download: Option<Arc<Pacer>>,
}

impl Limits {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.upload.is_none() && self.download.is_none()
    }
}

/// A stream whose bytes are paid for, if there is somebody to pay.
///
/// They are paid once they have passed, and the call returns when they are due.
#[derive(Debug)]
pub struct Paced<T> {
    stream: T,
    pacer: Option<Arc<Pacer>>,
}

impl<T> Paced<T> {
    /// Paces a stream; without a pacer it is as it was.
    pub fn new(stream: T, pacer: Option<Arc<Pacer>>) -> Self {
        Self { stream, pacer }
    }

    /// How much of so many bytes is moved at once.
    fn piece(&self, len: usize) -> usize {
        let piece = self.pacer.as_ref().map(|pacer| pacer.piece_bytes());
        let piece = piece.and_then(|piece| usize::try_from(piece).ok());
        piece.map_or(len, |piece| len.min(piece))
    }

    fn pay(&self, bytes: usize) {
        if let Some(pacer) = &self.pacer {
            pacer.pay(bytes as u64);
        }
    }
}

impl<T: Read> Read for Paced<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let piece = self.piece(bytes.len());
        let read = self.stream.read(&mut bytes[..piece])?;
        self.pay(read);
        Ok(read)
    }
}

impl<T: Write> Write for Paced<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.stream.write(&bytes[..self.piece(bytes.len())])?;
        self.pay(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use proptest::prelude::*;

    use super::*;
    use crate::env::ManualClock;

    /// A pacer, and the only clock that it knows.
    fn pacer(bytes_per_s: u64) -> (Pacer, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(0));
        let rate = Rate::new(bytes_per_s).expect("it is a rate");
        let pacer = Pacer::new(rate, Arc::clone(&clock) as _, Arc::clone(&clock) as _);
        (pacer, clock)
    }

    /// A stream that notes how much is moved at once.
    #[derive(Default)]
    struct Noted(Mutex<Vec<usize>>);

    impl Write for &Noted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(bytes.len());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is no rate is refused, and the least is one.
    ///
    /// Method: the least and one byte less.
    #[test]
    fn rates_have_a_least() {
        assert_eq!(Rate::new(Rate::MIN_BYTES_PER_S - 1), None);
        assert!(Rate::new(Rate::MIN_BYTES_PER_S).is_some());
        assert!(Rate::new(u64::MAX).is_some());
    }

    /// A hundred mebibytes take five seconds at twenty a second, both ways, in pieces of 64
    /// KiB; and what has no pacer passes in one piece.
    ///
    /// Method: a buffer is written and read through streams on a clock that only pauses
    /// move.
    #[test]
    fn streams_pass_at_the_rate_in_pieces() {
        let (pacer, clock) = pacer(20 << 20);
        let (pacer, bytes) = (Arc::new(pacer), vec![7; 100 << 20]);
        let noted = Noted::default();
        let mut written = Paced::new(&noted, Some(Arc::clone(&pacer)));
        written.write_all(&bytes).expect("it takes all");
        let pieces = std::mem::take(&mut *noted.0.lock().unwrap());
        assert_eq!(pieces, vec![64 << 10; 1_600]);
        // All but the burst, which is a fiftieth of a second, of whole bytes.
        assert_eq!(clock.monotonic_ms(), 4_981);
        let mut read = Vec::new();
        let mut reader = Paced::new(&bytes[..], Some(pacer));
        reader.read_to_end(&mut read).expect("it gives all");
        assert!(read == bytes);
        assert_eq!(clock.monotonic_ms(), 9_981);

        let mut written = Paced::new(&noted, None);
        written.write_all(&bytes).expect("it takes all");
        assert_eq!(*noted.0.lock().unwrap(), [100 << 20]);
        assert_eq!(clock.monotonic_ms(), 9_981);
    }

    /// However long nothing passed, no more than the burst is free.
    ///
    /// Method: an hour after the last payment, one of the burst and one byte.
    #[test]
    fn silence_saves_nothing_up() {
        let (pacer, clock) = pacer(1 << 20);
        pacer.pay(1 << 20);
        clock.advance(3_600_000);
        assert_eq!(pacer.owe(pacer.burst_bytes()), 0);
        assert_eq!(pacer.owe(1), 1);
    }

    /// The largest rate and the largest payment overflow nothing.
    ///
    /// Method: both, twice, with time between.
    #[test]
    fn nothing_overflows() {
        for rate in [Rate::MIN_BYTES_PER_S, u64::MAX] {
            let (pacer, clock) = pacer(rate);
            pacer.owe(u64::MAX);
            clock.advance(u64::MAX / 2);
            pacer.owe(u64::MAX);
        }
    }

    /// A thread that pays pieces, in a simulation.
    struct Payer {
        wakes_ms: u64,
        paid: u64,
    }

    proptest! {
        /// Threads that share a pacer get what the rate gives, to the millisecond, and equal
        /// shares; and if they wake late, no more.
        ///
        /// Method: simulated threads pay for piece after piece, the one that wakes first
        /// being next, each up to some milliseconds late. Whenever one goes on, the bytes
        /// of all who asked up to then are compared with the time; how many pieces threads
        /// paid with one another.
        #[test]
        fn threads_share_the_rate(
            rate in prop_oneof![Rate::MIN_BYTES_PER_S..1 << 20, 1u64 << 20..2 << 30],
            threads in 1usize..20,
            late_ms in prop::collection::vec(0u64..4, 1..50),
            is_punctual in any::<bool>(),
        ) {
            let (pacer, clock) = pacer(rate);
            let (piece, burst) = (pacer.piece_bytes(), pacer.burst_bytes());
            let mut payers: Vec<Payer> =
                (0..threads).map(|_| Payer { wakes_ms: 0, paid: 0 }).collect();
            let mut lateness = late_ms.iter().cycle();
            for turn in 1..=500 {
                let next = payers.iter_mut().min_by_key(|it| (it.wakes_ms, it.paid));
                let next = next.expect("there is one");
                clock.advance(next.wakes_ms - clock.monotonic_ms());
                let due_ms = clock.monotonic_ms() + pacer.owe(piece);
                let late_ms = if is_punctual { 0 } else { *lateness.next().expect("endless") };
                *next = Payer { wakes_ms: due_ms + late_ms, paid: next.paid + 1 };
                let over = (turn * piece).saturating_sub(burst) * 1_000;
                prop_assert!(over <= rate * due_ms);
                if is_punctual {
                    prop_assert_eq!(due_ms, over.div_ceil(rate));
                    let paid = |it: &Payer| it.paid;
                    let most = payers.iter().map(paid).max();
                    let least = payers.iter().map(paid).min();
                    prop_assert!(most <= least.map(|it| it + 1));
                }
            }
        }
    }
}
