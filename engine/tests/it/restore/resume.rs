//! Going on with a restore that ended early.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use indelible_engine::cancel::Cancel;
use indelible_engine::progress::{Phase, Progress};
use indelible_engine::restore::{RestoreError, Restored};
use indelible_engine::target::TargetError;
use tempfile::TempDir;

use super::{How, OVERWRITE, files_below, items_of, scratch, tree};
use crate::support::{Contents, Fixture, noise};

/// Interrupts after some number of writes.
pub(super) struct Interrupting<'c> {
    cancel: &'c Cancel,
    left: AtomicU64,
    bytes: AtomicU64,
}

impl<'c> Interrupting<'c> {
    pub(super) fn after(writes: u64, cancel: &'c Cancel) -> Self {
        Self {
            cancel,
            left: AtomicU64::new(writes),
            bytes: AtomicU64::new(0),
        }
    }

    /// Bytes that were written before.
    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }
}

impl Progress for Interrupting<'_> {
    fn advance(&self, phase: Phase, amount: u64) {
        assert_eq!(phase, Phase::Restoring);
        self.bytes.fetch_add(amount, Ordering::SeqCst);
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.cancel.request();
        }
    }
}

/// A snapshot, and where it is restored.
struct Scene {
    fixture: Fixture,
    number: u64,
    source: TempDir,
    target: TempDir,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let source = tree(20);
        let fixture = Fixture::new(seed);
        let number = fixture.snapshot("files", items_of(source.path())).number;
        Self {
            fixture,
            number,
            source,
            target: scratch(),
        }
    }

    /// Restores until so many writes were made, or all, and gives how many bytes
    /// they had.
    fn interrupt(&self, writes: u64) -> Option<u64> {
        let cancel = Cancel::new();
        let progress = Interrupting::after(writes, &cancel);
        let how = How {
            progress: &progress,
            ..How::plainly(&cancel)
        };
        match self.run(how) {
            Ok(_) => None,
            Err(RestoreError::Interrupted) => Some(progress.bytes()),
            Err(error) => panic!("{error}"),
        }
    }

    fn run(&self, how: How<'_>) -> Result<Restored, RestoreError> {
        let repository = self.fixture.open();
        how.run(&repository, self.number, self.target.path()).0
    }

    fn resume(&self) -> Result<Restored, RestoreError> {
        let cancel = Cancel::new();
        self.run(How {
            resumes: true,
            ..How::plainly(&cancel)
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.target.path().join("tree").join(name)
    }

    fn originals(&self) -> Contents {
        files_below(self.source.path())
    }

    fn restored(&self) -> Contents {
        files_below(&self.target.path().join("tree"))
    }

    fn total(&self) -> u64 {
        self.originals().values().map(|it| it.len() as u64).sum()
    }

    /// The one unfinished file.
    fn unfinished(&self) -> PathBuf {
        let is_unfinished = |it: &Path| it.to_string_lossy().contains("/.indelible-");
        let mut open = vec![self.target.path().to_owned()];
        let mut found = Vec::new();
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => open.push(path),
                    false if is_unfinished(&path) => found.push(path),
                    false => {}
                }
            }
        }
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    /// A target whose larger file was half written.
    fn half_way(seed: u64) -> (Self, u64) {
        let scene = Self::new(seed);
        let written = scene.interrupt(30).expect("there is more");
        assert!(!scene.path("data/large.dump").exists());
        (scene, written)
    }
}

/// Wherever a restore is interrupted, the next one writes what was not written,
/// and nothing else.
///
/// Method: interrupt after each number of writes; resume; compare every byte and
/// time, and count what was written and kept.
#[test]
fn an_interrupt_anywhere_costs_nothing_twice() {
    let mut scene = Scene::new(321);
    let (originals, total) = (scene.originals(), scene.total());
    let mut writes = 1;
    while let Some(written) = scene.interrupt(writes) {
        let resumed = scene.resume().unwrap();
        assert_eq!(resumed.kept_bytes, written, "after {writes} writes");
        assert_eq!(resumed.bytes, total - written, "after {writes} writes");
        assert_eq!(resumed.not_applied, [], "after {writes} writes");
        assert!(scene.restored() == originals, "after {writes} writes");
        for name in ["", "data", "data/empty", "data/large.dump", "latest"] {
            let seen = |root: &Path| {
                let stat = fs::symlink_metadata(root.join(name)).unwrap();
                (stat.mode(), stat.mtime(), stat.mtime_nsec())
            };
            let restored = seen(&scene.target.path().join("tree"));
            assert_eq!(restored, seen(scene.source.path()), "{name}");
        }
        scene.target = scratch();
        writes += 1;
    }
    assert!(writes > 100, "{writes} writes are too few to show anything");
}

/// A restore that was complete is found to be, and one that is interrupted again
/// and again comes to its end.
///
/// Method: resume a restore thirty steps further each time, then once more.
#[test]
fn restores_end_however_often_they_are_interrupted() {
    let scene = Scene::new(322);
    let mut steps = 30;
    let mut bytes = 0;
    loop {
        let cancel = Cancel::new();
        let progress = Interrupting::after(steps, &cancel);
        let how = How {
            resumes: true,
            progress: &progress,
            ..How::plainly(&cancel)
        };
        match scene.run(how) {
            Ok(_) => break,
            Err(RestoreError::Interrupted) => {
                assert!(progress.bytes() > bytes, "nothing behind {bytes} bytes");
                bytes = progress.bytes();
                steps += 30;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(steps > 90, "it was interrupted thrice");
    assert!(scene.restored() == scene.originals());
    let again = scene.resume().unwrap();
    assert_eq!((again.bytes, again.kept_bytes), (0, scene.total()));
}

/// What was left is never trusted: what is wrong in it is written again, and only
/// that.
///
/// Method: flip a byte of the unfinished file; cut it; append to it; exchange it
/// for zeros and for another file's bytes.
#[test]
fn what_was_altered_is_written_again() {
    type Alter = fn(&mut Vec<u8>);
    let alterations: [(Alter, u64); 5] = [
        (|bytes| bytes[5_000] ^= 1, 4_096),
        (|bytes| bytes.truncate(10_001), u64::MAX),
        (|bytes| bytes.resize(200_000, 7), 0),
        (|bytes| bytes.fill(0), u64::MAX),
        (|bytes| *bytes = noise(99, bytes.len()), u64::MAX),
    ];
    for (alter, cost_max) in alterations {
        let (scene, written) = Scene::half_way(323);
        let unfinished = scene.unfinished();
        let mut bytes = fs::read(&unfinished).unwrap();
        let left = bytes.len() as u64;
        alter(&mut bytes);
        fs::write(&unfinished, bytes).unwrap();
        let resumed = scene.resume().unwrap();
        assert!(scene.restored() == scene.originals());
        let again = written - resumed.kept_bytes;
        assert!(
            again <= cost_max.min(left),
            "{again} bytes were written again"
        );
        assert_eq!(resumed.bytes + resumed.kept_bytes, scene.total());
    }
}

/// What somebody put in the place of an unfinished file is not written to.
///
/// Method: exchange it for a link to a file elsewhere, for a second name of one,
/// and for a directory.
#[test]
fn what_was_planted_is_not_written_to() {
    for plant in 0..3 {
        let (scene, written) = Scene::half_way(324);
        let elsewhere = scratch();
        let victim = elsewhere.path().join("victim");
        fs::write(&victim, b"as it was").unwrap();
        let unfinished = scene.unfinished();
        fs::remove_file(&unfinished).unwrap();
        match plant {
            0 => symlink(&victim, &unfinished).unwrap(),
            // Not across file systems, which the two directories may be on.
            1 => {
                let beside = unfinished.with_file_name("beside");
                fs::write(&beside, b"as it was").unwrap();
                fs::hard_link(&beside, &unfinished).unwrap();
            }
            _ => fs::create_dir(&unfinished).unwrap(),
        }
        let resumed = scene.resume().unwrap();
        assert!(resumed.kept_bytes < written);
        assert_eq!(fs::read(&victim).unwrap(), b"as it was");
        let restored = scene.restored();
        for (path, bytes) in &scene.originals() {
            assert!(
                restored[path] == *bytes,
                "{}",
                String::from_utf8_lossy(path)
            );
        }
        if plant == 1 {
            assert_eq!(restored[&b"data/beside"[..]], b"as it was");
        }
    }
}

/// A file that stands there and is another one is not taken for the restore's
/// own, whatever its size and time are.
///
/// Method: after a whole restore, alter a byte of a large and of a small file
/// without changing size or time; put a link in the place of a file; resume with
/// either policy.
#[test]
fn another_file_is_refused_or_replaced() {
    for name in ["data/large.dump", "tables/0003.csv", "nothing"] {
        for linked in [false, true] {
            let scene = Scene::new(325);
            scene.resume().unwrap();
            let place = scene.path(name);
            let before = fs::metadata(&place).unwrap();
            if linked {
                fs::rename(&place, scene.path("moved")).unwrap();
                symlink("moved", &place).unwrap();
            } else {
                let mut bytes = fs::read(&place).unwrap();
                match bytes.last_mut() {
                    Some(last) => *last ^= 1,
                    None => bytes.push(1),
                }
                fs::write(&place, bytes).unwrap();
                let file = fs::File::options().write(true).open(&place).unwrap();
                file.set_modified(before.modified().unwrap()).unwrap();
            }
            let error = scene.resume().unwrap_err();
            assert!(
                matches!(error, RestoreError::Target(TargetError::Exists { .. })),
                "{name}: {error:?}"
            );
            let cancel = Cancel::new();
            let replaced = scene.run(How {
                resumes: true,
                policy: OVERWRITE,
                ..How::plainly(&cancel)
            });
            assert_eq!(replaced.unwrap().bytes, before.len(), "{name}");
            assert!(fs::read(&place).unwrap() == scene.originals()[name.as_bytes()]);
            assert!(fs::symlink_metadata(&place).unwrap().is_file());
        }
    }
}

/// A restore that resumes gives what stands there its metadata again.
///
/// Method: change modes and times of a whole restore, and resume.
#[test]
fn metadata_is_given_again() {
    let scene = Scene::new(326);
    scene.resume().unwrap();
    for name in ["data", "data/large.dump", "nothing"] {
        let mode = if name == "data" { 0o500 } else { 0o400 };
        fs::set_permissions(scene.path(name), PermissionsExt::from_mode(mode)).unwrap();
    }
    let resumed = scene.resume().unwrap();
    assert_eq!((resumed.bytes, resumed.not_applied), (0, vec![]));
    for name in ["data", "data/large.dump", "nothing"] {
        let seen = |path: &Path| {
            let stat = fs::metadata(path).unwrap();
            (stat.mode(), stat.mtime(), stat.mtime_nsec())
        };
        assert_eq!(
            seen(&scene.path(name)),
            seen(&scene.source.path().join(name))
        );
    }
}

/// What an interrupted restore left does not harm one that does not resume.
///
/// Method: interrupt the first file, and restore anew: the unfinished file is
/// written over, and no temporary name is left.
#[test]
fn a_restore_that_does_not_resume_begins_anew() {
    let scene = Scene::new(327);
    let bytes = noise(5, 40_000);
    let number = scene.fixture.snapshot_of("shop", &bytes).number;
    let scene = Scene { number, ..scene };
    scene.interrupt(9).unwrap();
    let unfinished = scene.target.path().join(scene.unfinished());
    fs::write(&unfinished, noise(6, 90_000)).unwrap();
    let cancel = Cancel::new();
    let restored = scene.run(How::plainly(&cancel)).unwrap();
    assert_eq!((restored.bytes, restored.kept_bytes), (40_000, 0));
    let files = files_below(scene.target.path());
    assert!(files == Contents::from([(b"dump.sql".to_vec(), bytes)]));
}
