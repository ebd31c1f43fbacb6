//! Packs on their way: how many, and what becomes of a run when one is lost.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use indelible_engine::progress::Note;
use indelible_engine::repository::Repository;
use indelible_engine::snapshot::{Input, SnapshotRunError, Summary};
use indelible_engine::state::State;
use indelible_engine::store::faulty::{Fate, Fault};
use indelible_engine::store::{FaultyStore, MemoryStore, ObjectKey, ReadStore as _};
use indelible_format::attest::Level;
use rustix::io::Errno;

use crate::support::{FINE, Fixture, Notes, noise, packs, restore_stream, run, stream};

/// How many are on their way to a distant store at once.
const AT_ONCE: usize = 3;
/// Nothing here takes so long unless it waits in vain.
const LONG: Duration = Duration::from_mins(1);
/// So often is looked, `A_WHILE` apart, for what must come.
const TRIES: u32 = 3_000;
/// In which another pack would come, if it were sent.
const A_WHILE: Duration = Duration::from_millis(20);

/// Six packs or more: one has at most 8,192 chunks.
fn some_packs() -> Vec<u8> {
    noise(41, 17 << 20)
}

/// How many creations of packs are under way in a store, and were.
#[derive(Default)]
struct Puts {
    counts: Mutex<Counts>,
    changed: Condvar,
}

#[derive(Default)]
struct Counts {
    begun: usize,
    under_way: usize,
    most_at_once: usize,
}

impl Puts {
    /// Gives the number of one that begins, from 0 on.
    fn begin(&self) -> usize {
        let mut counts = self.counts.lock().unwrap();
        counts.begun += 1;
        counts.under_way += 1;
        counts.most_at_once = counts.most_at_once.max(counts.under_way);
        self.changed.notify_all();
        counts.begun - 1
    }

    fn end(&self) {
        self.counts.lock().unwrap().under_way -= 1;
    }

    fn wait_until_begun(&self, count: usize) {
        let begun = |counts: &Counts| counts.begun >= count;
        assert!(self.has_come(LONG, begun), "too few were sent");
    }

    /// Waits until it has come to that, or for so long.
    fn has_come(&self, long: Duration, to_that: impl Fn(&Counts) -> bool) -> bool {
        let counts = self.counts.lock().unwrap();
        let wait = self
            .changed
            .wait_timeout_while(counts, long, |it| !to_that(it));
        !wait.unwrap().1.timed_out()
    }
}

/// A store in front of another, whose creations of packs a test decides.
fn put_by<'a>(
    store: &'a MemoryStore,
    decide: impl Fn() -> Fate + Send + Sync + 'a,
) -> FaultyStore<'a, MemoryStore> {
    FaultyStore::new(store, move |call| match call.put() {
        Some(ObjectKey::Pack(_)) => decide(),
        _ => Fate::Done,
    })
}

/// A snapshot, and how many packs it adopted.
fn take(
    fixture: &Fixture,
    store: &FaultyStore<'_, MemoryStore>,
    state: &State,
    bytes: &[u8],
) -> (Result<Summary, SnapshotRunError>, u64) {
    let mut repository =
        Repository::open(store, Some(state), &fixture.recovery, fixture.env.clone()).unwrap();
    let notes = Notes::default();
    let input = Input::Items(vec![stream("dump.sql", bytes)]);
    let summary = run(&mut repository, "shop", input, &notes);
    let adopted = |note: &Note| match note {
        Note::PacksAdopted { count, .. } => *count,
        _ => 0,
    };
    (summary, notes.taken().iter().map(adopted).sum())
}

/// The lengths of the packs of the only snapshot, in the order in which they were filled.
fn pack_lens(repository: &Repository<'_, MemoryStore>) -> Vec<u64> {
    let entry = repository.snapshot_entries().next().unwrap();
    let body = repository.commit_body(entry).unwrap().unwrap();
    body.packs.iter().map(|pack| pack.len.into()).collect()
}

/// A distant store is sent three packs at once, and never more; one nearby, one.
///
/// Method: each of the first three creations waits for the others, so that it would end
/// in nothing if fewer were sent; count how many are under way. Nearby each takes a while.
#[test]
fn a_distant_store_is_sent_three_packs_at_once() {
    let bytes = some_packs();
    for (is_distant, at_once) in [(true, AT_ONCE), (false, 1)] {
        let fixture = Fixture::with_chunker(231, FINE);
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        let puts = Puts::default();
        let store = put_by(&fixture.store, || {
            if puts.begin() < AT_ONCE && is_distant {
                puts.wait_until_begun(AT_ONCE);
            } else {
                puts.has_come(A_WHILE, |_| false);
            }
            puts.end();
            Fate::Done
        });
        let store = if is_distant { store.distant() } else { store };
        let summary = take(&fixture, &store, &state, &bytes).0.unwrap();
        assert!(summary.packs > AT_ONCE + 1, "{}", summary.packs);
        assert_eq!(puts.counts.lock().unwrap().most_at_once, at_once);
        assert!(restore_stream(&fixture.open(), summary.number).unwrap() == bytes);
        assert!(fixture.verify(Level::Data).is_sound());
    }
}

/// What overtakes a pack that is lost counts for nothing: the run fails with that pack's
/// error, nothing is committed, and the next run adopts only what stood before it.
///
/// Method: learn the lengths of the packs in their order from an undisturbed run, by
/// which they are told apart. Let the n-th creation fail once two others have overtaken it;
/// the next run with the same state adopts those before the first that is not there, and
/// restores.
#[test]
fn what_overtakes_a_lost_pack_is_not_adopted() {
    let bytes = some_packs();
    let fixture = Fixture::with_chunker(232, FINE);
    let empty = fixture.store.clone();
    fixture.snapshot_of("shop", &bytes);
    let in_order = pack_lens(&fixture.open());
    assert!(in_order.len() > 2 * AT_ONCE - 1, "{in_order:?}");
    for lost in 0..AT_ONCE {
        fixture.store.roll_back_to(&empty);
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        let puts = Puts::default();
        let store = put_by(&fixture.store, || {
            if puts.begin() != lost {
                return Fate::Done;
            }
            let all_came = |_: &Counts| packs(&fixture.store).len() >= lost + AT_ONCE - 1;
            let overtaken = (0..TRIES).any(|_| puts.has_come(A_WHILE, all_came));
            assert!(overtaken, "nothing overtook it");
            Fate::Fails(Fault::System(Errno::IO))
        })
        .distant();
        let failed = take(&fixture, &store, &state, &bytes).0.unwrap_err();
        assert!(matches!(failed, SnapshotRunError::Publish(_)), "{failed:?}");
        assert_eq!(fixture.open().history().size(), 1);

        let left = packs(&fixture.store);
        let lens = left
            .iter()
            .map(|pack| fixture.store.size(&ObjectKey::Pack(*pack)));
        let lens: Vec<u64> = lens.map(Result::unwrap).collect();
        let before = in_order.iter().take_while(|len| lens.contains(len)).count();
        let undisturbed = FaultyStore::new(&fixture.store, |_| Fate::Done).distant();
        let (summary, adopted) = take(&fixture, &undisturbed, &state, &bytes);
        assert_eq!(adopted, before as u64, "{lens:?} of {in_order:?} were left");
        assert!(left.len() > before, "nothing overtook the lost one");
        let number = summary.unwrap().number;
        assert!(restore_stream(&fixture.open(), number).unwrap() == bytes);
        let report = fixture.verify(Level::Data);
        assert!(report.is_sound());
        assert_eq!(report.unreferenced.len(), left.len() - before);
    }
}
