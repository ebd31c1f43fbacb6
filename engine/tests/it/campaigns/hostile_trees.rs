//! Hostile trees: snapshots, sealed and signed with a real write key, whose
//! entries would lead a restore out of its target or drive a terminal; and
//! targets that somebody changes while a restore runs.
//!
//! The oracle is a directory beside the target: names, bytes, modes, owners and
//! times must be what they were. What SPEC 8 forbids must be refused before
//! anything is created, and a verification must say so; what it allows must
//! restore name by name; and a snapshot beside the hostile one always restores.

mod canary;
mod cases;
mod races;

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use indelible_engine::cancel::Cancel;
use indelible_engine::progress::{Progress, Silent};
use indelible_engine::repository::Repository;
use indelible_engine::restore::{Restore, RestoreError, Restored};
use indelible_engine::store::MemoryStore;
use indelible_engine::target::Policy;
use indelible_format::attest::Level;
use indelible_format::manifest::Manifest;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, open, openat, readlinkat, statat};

use self::canary::Canary;
use self::cases::{Case, Outcome, Record, Seen, directory, file, link};
use crate::campaigns::oracle::surely;
use crate::campaigns::{Coverage, Finding, Scale};
use crate::support::tree::{Insider, manifest};
use crate::support::{Fixture, chain, restore_stream, rows, snapshot_at, verify_with};

/// Both of them.
const POLICIES: [Policy; 2] = [Policy { overwrite: false }, Policy { overwrite: true }];

/// Restores hostile trees, and trees into hostile targets.
pub(crate) fn run(scale: Scale) -> Coverage {
    let fixture = Fixture::new(scale.seed);
    let legal = fixture.snapshot_of("shop", &rows(0..100)).number;
    let mut campaign = Campaign {
        scale,
        fixture: &fixture,
        insider: Insider::new(&fixture),
        legal,
        canary: Canary::new(),
        coverage: Coverage::new("hostile_trees", scale),
    };
    campaign.lists();
    campaign.links_of_earlier_restores();
    campaign.roots();
    races::run(&mut campaign);
    campaign.coverage
}

/// Nothing is ever created or changed outside the target.
///
/// Method: see above; short, with every hostile list and fewer races.
#[test]
fn campaign() {
    run(Scale::asked()).finish();
}

struct Campaign<'f> {
    scale: Scale,
    fixture: &'f Fixture,
    insider: Insider<'f>,
    /// A snapshot that has nothing to do with the others.
    legal: u64,
    canary: Canary,
    coverage: Coverage,
}

impl Campaign<'_> {
    /// Every hostile list, restored whole with each policy.
    fn lists(&mut self) {
        let before = self.fixture.store.clone();
        let outside = self.canary.outside().as_os_str().as_bytes().to_vec();
        for (at, case) in cases::all(&outside).into_iter().enumerate() {
            if self.coverage.is_enough() {
                return;
            }
            self.coverage.add("hostile lists", 1);
            let number = forge(&self.insider, &case.pages);
            let repository = self.fixture.open();
            // Both on a long run, and one by turns on a short one.
            let turn = self.scale.pick(1, 2);
            for policy in POLICIES.into_iter().cycle().skip(at % 2).take(turn) {
                let target = self.canary.target();
                let restored = restore_to(&repository, number, &target, policy, &Silent);
                let what = format!("{}, {policy:?}", case.what);
                self.judge(&what, &case, &target, &restored);
                if restored.is_ok() {
                    let again = restore_to(&repository, number, &target, POLICIES[0], &Silent);
                    self.check_again(&what, again.as_ref().err());
                }
            }
            self.verify(&case, &repository, number);
            self.fixture.store.roll_back_to(&before);
        }
    }

    /// Compares a restore with what it must come to.
    fn judge(
        &mut self,
        what: &str,
        case: &Case,
        target: &Path,
        restored: &Result<Restored, RestoreError>,
    ) {
        self.check_outside(what);
        let coverage = &mut self.coverage;
        match (restored, case.outcome) {
            (Err(error), Outcome::Refused) => {
                coverage.add("lists refused", 1);
                check_text(coverage, what, error);
                let untouched = fs::read_dir(target).map_or(0, Iterator::count) == 0;
                coverage.expect(untouched, Finding::Wrong, || {
                    format!("{what}: refused, and yet something was created")
                });
            }
            (Ok(_), Outcome::Restores) => {
                coverage.add("lists restored", 1);
                for record in case.pages.iter().flatten() {
                    coverage.expect(stands(target, record), Finding::Lost, || {
                        format!("{what}: {:?} was not restored", record.seen)
                    });
                }
            }
            (Ok(_), Outcome::Refused) => {
                coverage.find(Finding::Wrong, format!("{what}: it restores"));
            }
            (Err(error), Outcome::Restores) => {
                let text = format!("{what}: {}", chain(error));
                coverage.find(Finding::Lost, text);
            }
        }
    }

    /// What was restored is not restored over, and is named to a person.
    fn check_again(&mut self, what: &str, error: Option<&RestoreError>) {
        if let Some(error) = error {
            check_text(&mut self.coverage, what, error);
        } else {
            let text = format!("{what}: it was restored over");
            self.coverage.find(Finding::Wrong, text);
        }
    }

    /// What a verification says of a snapshot is what its restore came to.
    fn verify(&mut self, case: &Case, repository: &Repository<'_, MemoryStore>, number: u64) {
        let report = verify_with(repository, Level::Data);
        let mut harms = report.problems.iter().map(|problem| surely(&problem.harm));
        let harmed = harms.any(|harmed| harmed.contains(&number));
        let expected = case.outcome == Outcome::Refused;
        self.coverage
            .expect(harmed == expected, Finding::Unnoticed, || {
                format!("{}: verified as {:?}", case.what, report.problems)
            });
        for problem in &report.problems {
            if let Some(cause) = &problem.cause {
                check_text(&mut self.coverage, &case.what, cause.as_ref());
            }
        }
        let legal = restore_stream(repository, self.legal);
        self.coverage
            .expect(legal == Ok(rows(0..100)), Finding::Lost, || {
                format!("{}: the snapshot beside it does not restore", case.what)
            });
    }

    /// A link that one snapshot rightly restored leads no other one out.
    fn links_of_earlier_restores(&mut self) {
        let outside = self.canary.outside().as_os_str().as_bytes().to_vec();
        let targets: [&[u8]; 4] = [b"../outside", &outside, b"../outside/kept", b"."];
        let later = [
            vec![file(b"a/new")],
            vec![file(b"a/kept")],
            vec![file(b"a/deep/kept")],
            vec![file(b"a/deep/deeper/new")],
            vec![directory(b"a")],
            vec![directory(b"a"), file(b"a/kept")],
            vec![directory(b"a/deep")],
            vec![link(b"a/link", b"x")],
            vec![file(b"a")],
            vec![link(b"a", b"x")],
        ];
        for to in targets {
            for records in &later {
                for policy in POLICIES {
                    self.through_link(to, records, policy);
                }
            }
        }
    }

    fn through_link(&mut self, to: &[u8], records: &[Record], policy: Policy) {
        if self.coverage.is_enough() {
            return;
        }
        self.coverage.add("restores through links", 1);
        let before = self.fixture.store.clone();
        let first = forge(&self.insider, &[vec![link(b"a", to)]]);
        let repository = self.fixture.open();
        let target = self.canary.target();
        let what = format!(
            "{:?} over a link to {:?}, {policy:?}",
            records
                .last()
                .map(|record| String::from_utf8_lossy(&record.path)),
            String::from_utf8_lossy(to)
        );
        let linked = restore_to(&repository, first, &target, policy, &Silent);
        self.coverage.expect(linked.is_ok(), Finding::Lost, || {
            format!("{what}: the link itself does not restore")
        });
        // The second takes the first one's number, as in another repository.
        drop(repository);
        self.fixture.store.roll_back_to(&before);
        let second = forge(&self.insider, &[records.to_vec()]);
        let repository = self.fixture.open();
        let restored = restore_to(&repository, second, &target, policy, &Silent);
        self.check_outside(&what);
        // Only a file or a link in the place of the link itself may take it.
        let over = records[0].path == b"a" && records[0].seen != Seen::Directory;
        let expected = over && policy.overwrite;
        self.coverage
            .expect(restored.is_ok() == expected, Finding::Wrong, || {
                format!("{what}: {restored:?}")
            });
        if let Err(error) = &restored {
            check_text(&mut self.coverage, &what, error);
        }
        self.fixture.store.roll_back_to(&before);
    }

    /// Lists whose roots promise what they don't have.
    fn roots(&mut self) {
        let before = self.fixture.store.clone();
        for (len, level) in [
            (0_u64, 0_u8),
            (1, 0),
            (u64::MAX, 0),
            (1 << 63, 7),
            (u64::MAX, 7),
            (66, 1),
            (66, 7),
        ] {
            if self.coverage.is_enough() {
                return;
            }
            self.coverage.add("lists of other lengths", 1);
            let mut pack = self.insider.pack();
            let page = pack.page(&file(b"a").encode(), &[]);
            let mut list = pack.node(0, &[page]);
            let pack = pack.finish();
            let right = (list.len, 0) == (len, level);
            list.len = len;
            let number = self
                .insider
                .commit(vec![pack], manifest(list, level, &pack));
            let repository = self.fixture.open();
            let target = self.canary.target();
            let what = format!("a list of {len} bytes, level {level}");
            let outcome = match repository.history().entries.get(&number) {
                Some(entry) => match repository.snapshot(entry) {
                    Ok(_) => restore_to(&repository, number, &target, POLICIES[0], &Silent)
                        .map_err(|error| chain(&error)),
                    Err(error) => Err(chain(&error)),
                },
                None => Err("void".to_owned()),
            };
            self.coverage
                .expect(outcome.is_ok() == right, Finding::Wrong, || {
                    format!("{what}: {outcome:?}")
                });
            self.check_outside(&what);
            self.fixture.store.roll_back_to(&before);
        }
    }

    /// Notes what was touched outside of the target.
    fn check_outside(&mut self, what: &str) {
        let changes = self.canary.changes();
        if !changes.is_empty() {
            let text = format!("{what}: outside of the target, {changes:?}");
            self.coverage.find(Finding::Wrong, text);
            self.canary.renew();
        }
    }
}

/// Signs a snapshot with these pages, and gives its number.
fn forge(insider: &Insider<'_>, pages: &[Vec<Record>]) -> u64 {
    let mut pack = insider.pack();
    let page = |records: &Vec<Record>| {
        let bytes: Vec<u8> = records.iter().flat_map(Record::encode).collect();
        pack.page(&bytes, &[])
    };
    let stored: Vec<_> = pages.iter().map(page).collect();
    let list = pack.node(0, &stored);
    let pack = pack.finish();
    let manifest = Manifest {
        entries: pages.iter().map(Vec::len).sum::<usize>() as u64,
        ..manifest(list, 0, &pack)
    };
    insider.commit(vec![pack], manifest)
}

/// Restores a snapshot whole.
fn restore_to(
    repository: &Repository<'_, MemoryStore>,
    number: u64,
    target: &Path,
    policy: Policy,
    progress: &dyn Progress,
) -> Result<Restored, RestoreError> {
    let snapshot = snapshot_at(repository, number);
    let (listings, _) = repository.listings();
    let cancel = Cancel::new();
    let restore = Restore::new(repository, &listings, &snapshot, &cancel, progress)?;
    restore.to_directory(target, &[], policy)
}

/// Whether a record was restored as what it is.
fn stands(target: &Path, record: &Record) -> bool {
    // The path as a whole may be longer than the system takes.
    let Ok(mut at) = open(target, OFlags::PATH, Mode::empty()) else {
        return false;
    };
    let components: Vec<&[u8]> = record.path.split(|byte| *byte == b'/').collect();
    let (name, above) = components.split_last().expect("a path has a name");
    for component in above {
        match openat(
            &at,
            *component,
            OFlags::PATH | OFlags::NOFOLLOW,
            Mode::empty(),
        ) {
            Ok(below) => at = below,
            Err(_) => return false,
        }
    }
    let Ok(stat) = statat(&at, *name, AtFlags::SYMLINK_NOFOLLOW) else {
        return false;
    };
    match (&record.seen, FileType::from_raw_mode(stat.st_mode)) {
        (Seen::Empty, FileType::RegularFile) => stat.st_size == 0,
        (Seen::Directory, FileType::Directory) => true,
        (Seen::Link(to), FileType::Symlink) => {
            readlinkat(&at, *name, Vec::new()).is_ok_and(|it| it.as_bytes() == &to[..])
        }
        _ => false,
    }
}

/// What is said to a person holds nothing that a terminal obeys.
fn check_text(coverage: &mut Coverage, what: &str, error: &dyn std::error::Error) {
    let text = chain(error);
    let harmless = !text.chars().any(char::is_control) && text.len() < 20_000;
    coverage.expect(harmless, Finding::Wrong, || {
        format!("{what}: the error says {text:?}")
    });
}
