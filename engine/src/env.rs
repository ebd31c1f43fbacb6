//! The clock and the randomness that an operation runs on.
//!
//! Both are handed in, so that a test can repeat a run exactly: the same seed
//! and the same start give the same bytes in the same objects. What is real
//! ([`SystemClock`], [`OsEntropy`]) and what is made up ([`ManualClock`],
//! [`SeededEntropy`]) stand side by side, because the tests of every crate need
//! the latter.
//!
//! Why it is safe: an [`Env`] is made in one place, when an operation starts,
//! and the seeded kind says in its name what it is. Nobody else may ask the
//! system (a lint refuses it), so no key can be drawn from anything but what
//! the caller chose.
//!
//! Waiting is handed in too ([`Pause`]): only a store that tries again after a
//! failure waits, and in a test no time passes but a [`ManualClock`]'s.
//!
//! This module never reads the environment or the time zone.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
    ///
    /// The value may jump in both directions. It is a label, never an order.
    fn now_unix_ms(&self) -> u64;

    /// Milliseconds since some moment before this clock was first asked.
    ///
    /// The value never decreases. It measures durations and nothing else.
    fn monotonic_ms(&self) -> u64;
}

/// Gives bytes that nobody can guess.
pub trait Entropy: Send + Sync {
    /// Overwrites all of `out` with fresh random bytes.
    ///
    /// # Panics
    ///
    /// When the operating system has none to give. Every secret depends on
    /// them, so there is nothing that a caller could rightly do instead.
    fn fill(&self, out: &mut [u8]);
}

/// Waits.
pub trait Pause: Send + Sync {
    /// Lets so many milliseconds pass, or a little more.
    fn pause_ms(&self, ms: u64);
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the clock that everyone else is to take"
    )]
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the clock that everyone else is to take"
    )]
    fn now_unix_ms(&self) -> u64 {
        // A machine whose battery is flat can claim to stand before 1970. The
        // time is only a label, so the epoch itself is as good as any.
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        whole_ms(since_epoch)
    }

    fn monotonic_ms(&self) -> u64 {
        whole_ms(self.started.elapsed())
    }
}

impl Pause for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the pause that everyone else is to take"
    )]
    fn pause_ms(&self, ms: u64) {
        std::thread::sleep(Duration::from_millis(ms));
    }
}

/// Milliseconds of a duration; more than 584 million years count as that.
fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The random number generator of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the source that everyone else is to take"
    )]
    fn fill(&self, out: &mut [u8]) {
        getrandom::fill(out).expect("the operating system gives random bytes");
    }
}

/// A clock that moves only when it is told to, for tests.
#[derive(Debug)]
pub struct ManualClock {
    unix_ms: AtomicU64,
    monotonic_ms: AtomicU64,
}

impl ManualClock {
    /// A clock that shows `start_unix_ms`, with a monotonic time of zero.
    pub const fn new(start_unix_ms: u64) -> Self {
        Self {
            unix_ms: AtomicU64::new(start_unix_ms),
            monotonic_ms: AtomicU64::new(0),
        }
    }

    /// Lets `elapsed_ms` milliseconds pass on both times.
    pub fn advance(&self, elapsed_ms: u64) {
        self.unix_ms.fetch_add(elapsed_ms, Ordering::SeqCst);
        self.monotonic_ms.fetch_add(elapsed_ms, Ordering::SeqCst);
    }

    /// Sets the calendar, forwards or backwards, as an administrator or NTP
    /// does. No monotonic time passes.
    pub fn set_unix_ms(&self, unix_ms: u64) {
        self.unix_ms.store(unix_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_unix_ms(&self) -> u64 {
        self.unix_ms.load(Ordering::SeqCst)
    }

    fn monotonic_ms(&self) -> u64 {
        self.monotonic_ms.load(Ordering::SeqCst)
    }
}

/// No real time passes, only this clock's.
impl Pause for ManualClock {
    fn pause_ms(&self, ms: u64) {
        self.advance(ms);
    }
}

/// Predictable bytes that look random, for tests.
///
/// The n-th call to [`Entropy::fill`] gives the BLAKE3 output stream of the
/// seed and n. Two sources of one seed therefore agree when they are asked in
/// one order. Threads that share a source race for its turns.
///
/// Never for a repository that anyone relies on: who knows the seed knows
/// every key.
#[derive(Debug)]
pub struct SeededEntropy {
    seed: u64,
    turns: AtomicU64,
}

impl SeededEntropy {
    /// A source that starts at its first turn.
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            turns: AtomicU64::new(0),
        }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, out: &mut [u8]) {
        let turn = self.turns.fetch_add(1, Ordering::SeqCst);
        blake3::Hasher::new_derive_key("indelible 2026 replayable entropy of tests")
            .update(&self.seed.to_le_bytes())
            .update(&turn.to_le_bytes())
            .finalize_xof()
            .fill(out);
    }
}

/// What an operation takes from the world besides its arguments.
#[derive(Clone)]
pub struct Env {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives every key, salt, commit id and temporary name.
    pub entropy: Arc<dyn Entropy>,
}

impl Env {
    /// The real clock and the real entropy.
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            entropy: Arc::new(OsEntropy),
        }
    }

    /// An environment that gives every run the same answers, for tests.
    ///
    /// A test that wants to move the clock keeps its own handle and builds the
    /// value from its fields.
    pub fn replayable(seed: u64, start_unix_ms: u64) -> Self {
        Self {
            clock: Arc::new(ManualClock::new(start_unix_ms)),
            entropy: Arc::new(SeededEntropy::new(seed)),
        }
    }

    /// `N` fresh random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes);
        bytes
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env")
            .field("now_unix_ms", &self.clock.now_unix_ms())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A replayable environment repeats itself, and only itself.
    ///
    /// Method: draw twice from two of one seed and from one of another.
    #[test]
    fn replay_gives_the_same_bytes() {
        let (one, same, other) = (
            Env::replayable(7, 0),
            Env::replayable(7, 0),
            Env::replayable(8, 0),
        );
        let (first, second) = (one.random::<32>(), one.random::<32>());
        assert_ne!(first, second);
        assert_eq!((first, second), (same.random(), same.random()));
        assert_ne!(first, other.random());
    }

    /// Setting the calendar back does not turn back durations.
    ///
    /// Method: let time pass, set the calendar to an earlier day, read both.
    #[test]
    fn monotonic_time_ignores_the_calendar() {
        let clock = ManualClock::new(1_000);
        clock.advance(5);
        clock.set_unix_ms(10);
        assert_eq!((clock.now_unix_ms(), clock.monotonic_ms()), (10, 5));
    }

    /// The real sources answer.
    ///
    /// Method: the calendar is past 2020, and 32 bytes are not all zero.
    #[test]
    fn system_sources_answer() {
        let env = Env::system();
        assert!(env.clock.now_unix_ms() > 1_577_836_800_000);
        assert!(env.clock.monotonic_ms() <= env.clock.monotonic_ms());
        assert_ne!(env.random::<32>(), [0; 32]);
    }
}
