//! Attacks on the log, by whoever may create, overwrite, remove or roll back its
//! objects, and by thieves of keys.
//!
//! Each is met by clients that know nothing, that remember the log, that also know
//! its signatures, and whose key file pins it. What they must find is computed by a model of SPEC 3 that
//! knows what the attack did ([`model`]); the table of what is void, refused or
//! shown, and why, is [`forgery`]. After each, the next snapshot must commit,
//! and everything that is intact restore byte for byte.
//!
//! | attack | reported as |
//! |---|---|
//! | junk, forgeries, replays at the head | void, each for its reason; a NAME out of bounds is refused |
//! | objects 1,024 and more beyond the end | beyond the end |
//! | an entry removed | removed; what its key signed is void if it authorised the key |
//! | an entry damaged or exchanged for what is void | damaged; void where nothing states its leaf |
//! | an entry exchanged for one that is rightly signed | other history from the next one on; forked to whoever remembers |
//! | the end cut off | behind to whoever remembers; nothing to who does not |
//! | the end cut off and continued by another writer | forked at the first number that differs |
//! | a later version of an entry | nothing: the oldest counts |
//! | an earlier version of an entry | as an exchange |

mod forgery;
mod model;
mod sample;
mod world;

use indelible_engine::repository::Repository;
use indelible_engine::state::State;
use indelible_engine::store::ObjectKey;
use indelible_format::checkpoint::{Checkpoint, ParsedCheckpoint};
use indelible_format::history::Continuity;

use self::forgery::{Forger, Forgery, Verdict};
use self::model::Reason;
use self::sample::{Act, Fact, Role, SIZE, Sample};
use self::world::{Client, Meeting, World};
use crate::campaigns::{Coverage, Finding, Scale};
use crate::support::{noise, take_stream};

/// Attacks the log of one repository.
pub(crate) fn run(scale: Scale) -> Coverage {
    let sample = Sample::new(scale.seed);
    let mut campaign = Campaign {
        scale,
        sample: &sample,
        coverage: Coverage::new("log_attacks", scale),
        met: 0,
    };
    campaign.nothing();
    campaign.head();
    campaign.many_at_the_head();
    campaign.holes();
    campaign.exchanges();
    campaign.rollbacks();
    campaign.versions();
    campaign.equivocation();
    campaign.coverage
}

/// Whatever is done to the log is reported as what it is, and stops neither
/// backup nor restore.
///
/// Method: see above; short, one attack of several of each kind and one client
/// each.
#[test]
fn campaign() {
    run(Scale::asked()).finish();
}

struct Campaign<'a> {
    scale: Scale,
    sample: &'a Sample,
    coverage: Coverage,
    /// Attacks that were met, from which the client of a short run follows.
    met: u64,
}

impl<'a> Campaign<'a> {
    /// Lets clients meet an attack: all of them, or in a short run one.
    fn meet(&mut self, what: &'static str, how: &str, world: &World<'a>) {
        for (client, at) in Client::ALL.into_iter().zip(0..) {
            let turn = (self.met + self.scale.seed) % Client::ALL.len() as u64 == at;
            if (self.scale.long || turn) && !self.coverage.is_enough() {
                self.coverage.add(what, 1);
                let what = format!("{what}: {how}");
                let restored = self.scale.pick(2 + self.met % 9, 1);
                Meeting::new(world.clone(), client, &what, restored).run(&mut self.coverage);
            }
        }
        self.met += 1;
    }

    /// Every one of these in a long run; in a short one, those of its turn.
    fn some<T>(&self, all: impl IntoIterator<Item = T>, every: u64) -> Vec<T> {
        let turn = |at: &u64| self.scale.long || (at + self.scale.seed).is_multiple_of(every);
        let numbered = (0..).zip(all);
        numbered
            .filter(|(at, _)| turn(at))
            .map(|(_, item)| item)
            .collect()
    }

    /// The oracle itself: nothing is wrong where nothing was done.
    fn nothing(&mut self) {
        for client in Client::ALL {
            let world = World::new(self.sample);
            Meeting::new(world, client, "untouched", 1).run(&mut self.coverage);
        }
    }

    /// One object at the head: each forgery, and each entry replayed.
    fn head(&mut self) {
        let forger = Forger::new(self.sample);
        let (valid, void) = forger
            .all()
            .into_iter()
            .partition::<Vec<_>, _>(|forgery| !matches!(forgery.verdict, Verdict::Void(_)));
        for forgery in self.some(void, 9).into_iter().chain(valid) {
            let mut world = World::new(self.sample);
            let bytes = forgery.at(SIZE);
            match forgery.verdict {
                Verdict::Void(reason) => world.put_void(SIZE, &bytes, reason),
                Verdict::Shown(role) | Verdict::Refused(role) => {
                    let fact = self.fact(forger.first_number_of(role));
                    let refused = forgery.verdict == Verdict::Refused(role);
                    world.put_signed(SIZE, &bytes, &self.sample.leaves, fact, refused);
                }
            }
            self.meet("objects forged at the head", &forgery.what, &world);
        }
        for number in self.some(0..SIZE, 9) {
            let mut world = World::new(self.sample);
            world.put_void(SIZE, &self.sample.entry(number), Reason::Number);
            self.meet("entries replayed at the head", &number.to_string(), &world);
        }
    }

    /// Several objects at and ahead of the head.
    fn many_at_the_head(&mut self) {
        let forger = Forger::new(self.sample);
        let mut world = World::new(self.sample);
        let voids = forger.all().into_iter().zip(SIZE..);
        for (forgery, number) in voids {
            if let Verdict::Void(reason) = forgery.verdict {
                world.put_void(number, &forgery.at(number), reason);
            }
        }
        self.meet("crowds at the head", "every forgery", &world);
        for count in [2, 1_023, 1_024, 1_500] {
            let mut world = World::new(self.sample);
            for number in SIZE..SIZE + count {
                let junk = noise(number, usize::try_from(number % 7).expect("small"));
                world.put_void(number, &junk, Reason::Layout);
            }
            let how = format!("{count} objects");
            self.meet("crowds at the head", &how, &world);
        }
        let far: [&[u64]; 5] = [&[1_022], &[1_023], &[1_024], &[1_023, 2_046], &[1 << 30]];
        for numbers in far {
            let mut world = World::new(self.sample);
            for ahead in numbers {
                world.put_void(SIZE + ahead, b"junk", Reason::Layout);
            }
            let how = format!("{numbers:?} ahead");
            self.meet("objects ahead of the head", &how, &world);
        }
    }

    /// Entries removed: each alone, and ranges, the tail included.
    fn holes(&mut self) {
        for number in self.some(1..SIZE, 5) {
            let mut world = World::new(self.sample);
            world.remove(number);
            self.meet("entries removed", &number.to_string(), &world);
        }
        let ranges = (1..SIZE).flat_map(|first| {
            let lens = [2, 3, 7, 20, SIZE];
            lens.map(|len| first..(first + len).min(SIZE))
        });
        for range in self.some(ranges, 31) {
            let mut world = World::new(self.sample);
            for number in range.clone() {
                world.remove(number);
            }
            self.meet("ranges removed", &format!("{range:?}"), &world);
        }
    }

    /// Entries in the middle that are not what was committed.
    fn exchanges(&mut self) {
        let forger = Forger::new(self.sample);
        for number in self.some(1..SIZE, 7) {
            for (how, bytes, reason) in self.some(self.damaged(number), 2) {
                let mut world = World::new(self.sample);
                world.put_void(number, &bytes, reason);
                let how = format!("{number}: {how}");
                self.meet("entries damaged", &how, &world);
            }
            self.exchange_for_forgeries(&forger, number);
            self.sign_anew(&forger, number);
        }
    }

    /// The administrator's key signs another entry for a number; and the same
    /// behind a hole, where roots can't be checked any more.
    fn sign_anew(&mut self, forger: &Forger<'_>, number: u64) {
        let before = number.saturating_sub(4).max(1)..number.saturating_sub(2);
        for hole in [0..0, before] {
            let mut world = World::new(self.sample);
            for removed in hole.clone() {
                world.remove(removed);
            }
            let at = usize::try_from(number).expect("a small number");
            let leaves = &self.sample.leaves[..at];
            let entry = forger.rewritten(number);
            let fact = Fact {
                signer: Role::Admin,
                act: Act::Nothing,
            };
            world.put_signed(number, &entry, leaves, fact, false);
            let how = format!("{number}, without {hole:?}");
            self.meet("entries signed anew", &how, &world);
        }
    }

    /// Forgeries in the place of an entry.
    fn exchange_for_forgeries(&mut self, forger: &Forger<'_>, number: u64) {
        // What the log says of keys at this number is not what it says at the
        // head, so only these are void for the same reason.
        let void = |forgery: &Forgery<'_>| match forgery.verdict {
            Verdict::Void(reason @ (Reason::Layout | Reason::UnknownSigner)) => Some(reason),
            _ => None,
        };
        let forgeries = forger.all().into_iter().zip(number + self.scale.seed..);
        for (forgery, turn) in forgeries {
            let Some(reason) = void(&forgery) else {
                continue;
            };
            if !turn.is_multiple_of(self.scale.pick(61, 3)) {
                continue;
            }
            let mut world = World::new(self.sample);
            world.put_void(number, &forgery.at(number), reason);
            let how = format!("{number}: {}", forgery.what);
            self.meet("entries exchanged for forgeries", &how, &world);
        }
    }

    /// Ways to damage an entry that leave nothing valid.
    fn damaged(&self, number: u64) -> Vec<(String, Vec<u8>, Reason)> {
        let entry = self.sample.entry(number);
        let cut = |len: usize| {
            (
                format!("cut to {len}"),
                entry[..len].to_vec(),
                Reason::Layout,
            )
        };
        let mut ways = vec![
            cut(0),
            cut(1),
            cut(entry.len() - 1),
            ("junk".to_owned(), noise(number, 300), Reason::Layout),
        ];
        for (what, offset, reason) in [
            ("magic", 3, Reason::Layout),
            ("number", 8, Reason::Number),
            ("signer", 62, Reason::UnknownSigner),
            ("leaf before", 94, Reason::Signature),
            ("root", 126, Reason::Signature),
            ("signature", entry.len() - 1, Reason::Signature),
        ] {
            let mut bytes = entry.clone();
            bytes[offset] ^= 1;
            ways.push((format!("a bit of its {what}"), bytes, reason));
        }
        for other in [0, number - 1, (number + 1) % SIZE] {
            if other != number {
                let how = format!("entry {other} in its place");
                ways.push((how, self.sample.entry(other), Reason::Number));
            }
        }
        ways
    }

    /// Every earlier state, as it was, and continued by another writer.
    fn rollbacks(&mut self) {
        for size in self.some(1..SIZE, 5) {
            let world = World::rolled_back(self.sample, size);
            self.meet("rollbacks", &format!("to {size}"), &world);
        }
        for size in self.some(1..SIZE, 9) {
            for more in self.scale.pick(vec![3], vec![1, 3, 60]) {
                let mut world = World::rolled_back(self.sample, size);
                for seed in 0..more {
                    world.continue_by_other(seed);
                }
                let how = format!("to {size}, and {more} more");
                self.meet("rollbacks that were continued", &how, &world);
            }
        }
    }

    /// Versions that were put behind or before an entry's.
    fn versions(&mut self) {
        for number in self.some(1..SIZE, 12) {
            let others = [
                Vec::new(),
                noise(number, 500),
                self.sample.entry(number - 1),
            ];
            for bytes in others {
                let world = World::new(self.sample);
                world.store.push_newer(&ObjectKey::Log(number), &bytes);
                self.meet("later versions", &number.to_string(), &world);
                let reason = if bytes == self.sample.entry(number - 1) {
                    Reason::Number
                } else {
                    Reason::Layout
                };
                let mut world = World::new(self.sample);
                let own = self.sample.entry(number);
                world.put_void(number, &bytes, reason);
                world.store.push_newer(&ObjectKey::Log(number), &own);
                self.meet("earlier versions", &number.to_string(), &world);
            }
        }
        // A whole log that was overwritten by an earlier state of itself.
        let world = World::new(self.sample);
        for number in 1..SIZE {
            world
                .store
                .push_newer(&ObjectKey::Log(number), &self.sample.entry(0));
        }
        self.meet("later versions", "of all", &world);
    }

    /// Two clients are shown different logs: each finds nothing, their
    /// checkpoints disagree, and either finds the fork where the other's is.
    fn equivocation(&mut self) {
        for size in self.some(1..SIZE, 9) {
            if self.coverage.is_enough() {
                return;
            }
            self.coverage.add("equivocations", 1);
            let directory = tempfile::tempdir().expect("a temporary directory");
            let open = |name: &str| State::open(directory.path().join(name)).expect("it is ours");
            let (one, other) = (open("one"), open("other"));
            let world = World::rolled_back(self.sample, size);
            let first = self.shown(&world, &one, b"shown to one");
            let second = self.shown(&world, &other, b"shown to the other");
            let same = first.0.size == second.0.size && first.0.root != second.0.root;
            self.coverage.expect(same, Finding::Unnoticed, || {
                format!("equivocation at {size}: the checkpoints agree")
            });
            for (state, world) in [(&one, &second.1), (&other, &first.1)] {
                let met = self.open(world, state).continuity();
                let forked = met == Continuity::Forked { at: size };
                self.coverage.expect(forked, Finding::Unnoticed, || {
                    format!("equivocation at {size}: the other's log is met as {met:?}")
                });
            }
        }
    }

    /// Shows a client a log that goes on from this one, and asks for its
    /// checkpoint.
    fn shown(&mut self, world: &World<'a>, state: &State, bytes: &[u8]) -> (Checkpoint, World<'a>) {
        let world = world.clone();
        let mut repository = self.open(&world, state);
        let taken = take_stream(&mut repository, "all", bytes);
        let history = repository.history();
        let checkpoint = Checkpoint {
            repository: repository.id(),
            size: history.size(),
            root: history.root(),
        };
        let note = checkpoint.sign(&repository.key().signing_seed);
        let signers: Vec<_> = history.authority.grants().map(|(id, _)| *id).collect();
        let verified = ParsedCheckpoint::parse(&note).and_then(|note| note.verify(signers));
        let sound = taken.is_ok() && verified == Ok(checkpoint);
        self.coverage.expect(sound, Finding::Broken, || {
            format!("a client's own log: {taken:?}, {verified:?}")
        });
        let again = self.open(&world, state).continuity();
        self.coverage
            .expect(again == Continuity::Extends, Finding::Wrong, || {
                format!("a client's own log is met as {again:?}")
            });
        drop(repository);
        (checkpoint, world)
    }

    fn open<'w>(
        &self,
        world: &'w World<'_>,
        state: &State,
    ) -> Repository<'w, indelible_engine::store::MemoryStore> {
        let fixture = &self.sample.fixture;
        Repository::open(
            &world.store,
            Some(state),
            &fixture.recovery,
            fixture.env.clone(),
        )
        .expect("the repository opens")
    }

    fn fact(&self, number: u64) -> Fact {
        self.sample.facts[usize::try_from(number).expect("a small number")].clone()
    }
}
