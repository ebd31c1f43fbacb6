//! `SIGKILL` at random moments of real processes: four that write, one that
//! verifies, all at one repository.
//!
//! What a snapshot should hold follows from its label. The model knows of each
//! attempt whether it was acknowledged, killed or still runs; after every world,
//! and with nobody at work, what is listed is held against it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Child;

use indelible_benches::{Dump, Edit};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::coverage::{Coverage, Finding, Scale};
use crate::support::{World, end_of, noise};

/// How many kills one repository sees. The campaign takes a fresh one then, so
/// that its length does not grow with the square of its kills.
const KILLS_A_WORLD: u64 = 200;
/// Longer than most runs take, so that kills fall into every part of them.
const PAUSE_NS_MAX: u64 = 150_000_000;
const WRITERS: usize = 4;
/// The verifier's place among the processes.
const VERIFIER: usize = WRITERS;

/// What became of an attempt to take a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Acknowledged,
    Killed,
    Failed,
}

/// A process at work.
struct Running {
    child: Child,
    /// The attempt's number; the verifier has none.
    attempt: Option<u64>,
}

/// Draws from one seed.
struct Dice {
    seed: u64,
    turn: u64,
}

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.turn += 1;
        let bytes = noise(self.seed ^ (self.turn << 32), 16);
        let (_, last) = bytes.split_last_chunk::<8>().expect("16 bytes");
        u64::from_le_bytes(*last) % bound
    }
}

/// One repository under fire.
struct Front<'c> {
    world: World,
    dice: Dice,
    keys: Vec<PathBuf>,
    /// What the dumps are edited from.
    dump: Vec<u8>,
    running: [Option<Running>; WRITERS + 1],
    fates: BTreeMap<u64, Fate>,
    attempts: u64,
    coverage: &'c mut Coverage,
}

impl<'c> Front<'c> {
    fn new(seed: u64, coverage: &'c mut Coverage) -> Self {
        let (world, first) = World::with_write_key();
        // Two processes of one host, and two hosts.
        let mut keys = vec![first.clone(), first];
        keys.push(world.key("write", &["--names", "*"]));
        keys.push(world.key("write", &["--names", "*"]));
        keys.push(world.key("restore", &[]));
        let mut dump = Vec::new();
        Dump {
            seed,
            size_bytes: 1_000_000,
            edit: Edit::Nothing,
            night: 0,
        }
        .write_to(&mut dump)
        .expect("memory takes it");
        Self {
            world,
            dice: Dice { seed, turn: 0 },
            keys,
            dump,
            running: Default::default(),
            fates: BTreeMap::new(),
            attempts: 0,
            coverage,
        }
    }

    /// What an attempt stores: mostly a dump that differs from the others in a few
    /// places, and now and then more than one pack holds.
    fn content(&self, attempt: u64) -> Vec<u8> {
        if attempt % 64 == 63 {
            return noise(self.dice.seed ^ attempt, 34 << 20);
        }
        let mut dump = self.dump.clone();
        let mut dice = Dice {
            seed: attempt,
            turn: 0,
        };
        for _ in 0..3 {
            let place = dice.below(dump.len() as u64 - 8);
            let place = usize::try_from(place).expect("it is within the dump");
            dump[place..place + 8].copy_from_slice(format!("{attempt:08}").as_bytes());
        }
        dump
    }

    fn start(&mut self, place: usize) {
        let state = self.world.path(format!("state-{}", place.max(1)));
        let attempt = (place != VERIFIER).then_some(self.attempts);
        let run = if let Some(attempt) = attempt {
            self.attempts += 1;
            let dump = self.content(attempt);
            let dump = self.world.file(format!("dump-{place}.sql"), dump);
            let name = format!("shop-{place}");
            let label = attempt.to_string();
            let run = self.world.indelible(["--json", "snapshot", "--label"]);
            run.arg(label).arg(name).arg(dump)
        } else {
            self.world.indelible(["--json", "verify"])
        };
        let run = run.key(&self.keys[place]).env("INDELIBLE_STATE_DIR", state);
        let child = run.start();
        self.running[place] = Some(Running { child, attempt });
    }

    /// Waits until a process ends, or for a random time; which ended, if any.
    fn wait(&mut self) -> Option<usize> {
        let pause = Timespec {
            tv_sec: 0,
            tv_nsec: i64::try_from(self.dice.below(PAUSE_NS_MAX)).expect("it is small"),
        };
        let handles: Vec<_> = (self.running.iter().flatten())
            .map(|running| {
                let pid = Pid::from_child(&running.child);
                pidfd_open(pid, PidfdFlags::empty()).expect("it was not waited for")
            })
            .collect();
        let mut polled: Vec<_> = (handles.iter())
            .map(|handle| PollFd::new(handle, PollFlags::IN))
            .collect();
        poll(&mut polled, Some(&pause)).expect("they can be awaited");
        polled.iter().position(|fd| !fd.revents().is_empty())
    }

    /// Takes note of a process that ended by itself.
    fn ended(&mut self, place: usize) {
        let running = self.running[place].take().expect("it was running");
        let ran = end_of(running.child);
        let done = ran.code() == Some(0);
        match running.attempt {
            Some(attempt) => {
                let fate = if done {
                    Fate::Acknowledged
                } else {
                    Fate::Failed
                };
                self.fates.insert(attempt, fate);
                self.coverage.add("snapshots acknowledged", 1);
                let adopted = ran.stderr().contains("a run that died left");
                self.coverage
                    .add("of these took over what a killed one left", adopted.into());
            }
            None => self.coverage.add("verifications meanwhile", 1),
        }
        let broken = Finding::Broken;
        self.coverage
            .expect(done, broken, || format!("process {place} failed: {ran:?}"));
    }

    /// Kills a process, and says whether it still lived.
    fn kill(&mut self, place: usize) -> bool {
        let mut running = self.running[place].take().expect("it was running");
        running.child.kill().expect("it is ours");
        let ran = end_of(running.child);
        if let Some(attempt) = running.attempt {
            self.fates.insert(attempt, Fate::Killed);
        }
        let killed = ran.code().is_none();
        self.coverage.add("kills", killed.into());
        killed
    }

    fn attack(&mut self, kills: u64) {
        for place in 0..=VERIFIER {
            self.start(place);
        }
        let mut killed = 0;
        while killed < kills {
            while let Some(place) = self.wait() {
                self.ended(place);
                self.start(place);
                // Else those that end would keep the others from being killed.
                if self.dice.below(3) == 0 {
                    break;
                }
            }
            let place = usize::try_from(self.dice.below(5)).expect("it is small");
            killed += u64::from(self.kill(place));
            self.start(place);
        }
        for place in 0..=VERIFIER {
            self.kill(place);
        }
    }

    /// Holds what is there against the model.
    fn check(&mut self) {
        let listed = self.world.indelible(["--json", "list"]).run();
        listed.exits(0);
        let mut seen = BTreeSet::new();
        for message in listed.messages() {
            let label = message["labels"][0].as_str().expect("each has a label");
            let attempt: u64 = label.parse().expect("it is ours");
            let fate = self.fates[&attempt];
            let number = message["number"].as_u64().expect("each has a number");
            let first = seen.insert(attempt) && fate != Fate::Failed;
            self.coverage.expect(first, Finding::Wrong, || {
                format!("@{number} shows attempt {attempt} again, or one that failed: {fate:?}")
            });
            if fate == Fate::Killed {
                self.coverage
                    .add("killed just after they were committed", 1);
            }
            self.restore(number, attempt);
        }
        for (attempt, fate) in &self.fates {
            let there = *fate != Fate::Acknowledged || seen.contains(attempt);
            self.coverage.expect(there, Finding::Lost, || {
                format!("attempt {attempt} was acknowledged and is not listed")
            });
        }
        let verified = self.world.indelible(["--json", "verify"]).run();
        let whole = verified.code() == Some(0);
        self.coverage.expect(whole, Finding::Broken, || {
            format!("the repository is not whole: {verified:?}")
        });
        self.start(0);
        let Running { child, .. } = self.running[0].take().expect("it was started");
        let next = end_of(child);
        self.coverage
            .expect(next.code() == Some(0), Finding::Broken, || {
                format!("the next snapshot failed: {next:?}")
            });
    }

    fn restore(&mut self, number: u64, attempt: u64) {
        let snap = format!("@{number}");
        let run = self.world.indelible(["restore", "--stdout", &snap]).run();
        self.coverage.add("restores", 1);
        let done = run.code() == Some(0);
        self.coverage
            .expect(done, Finding::Lost, || format!("{snap}: {run:?}"));
        let same = !done || run.bytes() == self.content(attempt);
        self.coverage.expect(same, Finding::Wrong, || {
            format!("{snap} of attempt {attempt}")
        });
    }
}

/// Whenever a process is killed, what was acknowledged restores, nothing half-done
/// is listed, no verification meanwhile sees a problem, and work goes on.
///
/// Method: four writers and a verifier run without end; again and again a random
/// one is killed after a random time and replaced. Then everything listed is
/// restored and compared.
#[test]
fn campaign() {
    let scale = Scale::asked();
    let mut coverage = Coverage::new("kills", scale);
    for round in 0..scale.pick(1, 50) {
        let seed = scale.seed * 1_000 + round;
        let mut front = Front::new(seed, &mut coverage);
        front.attack(KILLS_A_WORLD);
        front.check();
        coverage.add("repositories", 1);
    }
    coverage.finish();
}
