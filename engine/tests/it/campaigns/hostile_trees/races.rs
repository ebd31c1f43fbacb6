//! Targets that somebody changes while a restore fills them.
//!
//! Where the change falls is decided by the restore's own reports, so that each
//! can be repeated; threads that change the target as fast as they can come
//! last. Whether the restore ends well is all the same: only the outside counts,
//! and that what is told of a failure is told as one.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use indelible_engine::progress::{Phase, Progress, Silent};
use indelible_format::node::Root;
use indelible_format::wire::Builder;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::cases::{Record, directory, encode_metadata, file, link, metadata};
use super::{Campaign, POLICIES, check_text, restore_to};
use crate::campaigns::Finding;
use crate::support::tree::{Stored, manifest};

/// Directories of the tree, and files of two chunks each.
const DIRECTORIES: [&str; 3] = ["d", "d/e", "d/e/f"];
const FILES: [&str; 5] = ["d/1", "d/e/1", "d/e/f/1", "d/e/f/2", "z"];
/// Reports of one restore: one for each chunk.
const REPORTS: u64 = 2 * FILES.len() as u64;

pub(super) fn run(campaign: &mut Campaign<'_>) {
    let number = forge_tree(campaign);
    let untouched = restored_with(campaign, number, &Silent);
    campaign
        .coverage
        .expect(untouched, Finding::Lost, || "the tree itself".to_owned());
    for (what, change) in changes() {
        for at in 1..=REPORTS {
            let turn = (at + campaign.scale.seed).is_multiple_of(3);
            if campaign.coverage.is_enough() || !(campaign.scale.long || turn) {
                continue;
            }
            for policy in POLICIES {
                let outside = campaign.canary.outside();
                let target = campaign.canary.target();
                let hook = Hook {
                    left: AtomicU64::new(at),
                    change: Arc::clone(&change),
                    target: target.clone(),
                    outside,
                };
                let repository = campaign.fixture.open();
                let restored = restore_to(&repository, number, &target, policy, &hook);
                campaign.coverage.add("targets changed midway", 1);
                let what = format!("{what} at report {at}, {policy:?}");
                campaign.check_outside(&what);
                if let Err(error) = &restored {
                    campaign.coverage.add("restores that stopped", 1);
                    check_text(&mut campaign.coverage, &what, error);
                }
            }
        }
    }
    threads(campaign, number);
}

/// Restores into a target of its own, and says whether it ended well.
fn restored_with(campaign: &mut Campaign<'_>, number: u64, progress: &dyn Progress) -> bool {
    let target = campaign.canary.target();
    let repository = campaign.fixture.open();
    let restored = restore_to(&repository, number, &target, POLICIES[1], progress);
    let whole = FILES.iter().all(|file| {
        let bytes = fs::read(target.join(file));
        bytes.is_ok_and(|bytes| bytes == content(file))
    });
    restored.is_ok() && whole
}

fn content(file: &str) -> Vec<u8> {
    [file.as_bytes(), b", and the rest"].concat()
}

/// A legal tree: directories, files and a link that leads out.
fn forge_tree(campaign: &Campaign<'_>) -> u64 {
    let insider = &campaign.insider;
    let mut pack = insider.pack();
    let mut roots: Vec<Stored> = Vec::new();
    let mut records: Vec<Record> = DIRECTORIES.map(|path| directory(path.as_bytes())).to_vec();
    records.push(link(b"d/out", b"../../outside"));
    for path in FILES {
        let (first, rest) = (pack.data(path.as_bytes()), pack.data(b", and the rest"));
        let root = pack.node(0, &[first, rest]);
        records.push(file_of(path, &root.root(0)));
        roots.push(root);
    }
    records.sort_by_key(|record| {
        // The order of SPEC 8.4.
        let rank = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
        record.path.iter().map(rank).collect::<Vec<u8>>()
    });
    let bytes: Vec<u8> = records.iter().flat_map(Record::encode).collect();
    let page = pack.page(&bytes, &roots);
    let list = pack.node(0, &[page]);
    let pack = pack.finish();
    insider.commit(vec![pack], manifest(list, 0, &pack))
}

/// A file with a stream of its own.
fn file_of(path: &str, root: &Root) -> Record {
    let mut out = Builder::new();
    out.u8(1)
        .bytes(&encode_metadata(&metadata()))
        .u64(root.len)
        .u8(1);
    out.u64(root.len).u8(root.level).bytes(&root.id.0);
    Record {
        rest: out.finish(),
        ..file(path.as_bytes())
    }
}

/// Changes the target at one of the restore's reports.
struct Hook {
    left: AtomicU64,
    change: Change,
    target: PathBuf,
    outside: PathBuf,
}

impl Progress for Hook {
    fn advance(&self, phase: Phase, _: u64) {
        if phase == Phase::Restoring && self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            (self.change)(&self.target, &self.outside);
        }
    }
}

type Change = Arc<dyn Fn(&Path, &Path) + Send + Sync>;

/// What somebody does to a target; failures are his own.
fn changes() -> Vec<(String, Change)> {
    let mut all: Vec<(String, Change)> = Vec::new();
    for path in DIRECTORIES {
        for to in ["", "deep", "deep/deeper"] {
            let what = format!("{path} becomes a link to outside/{to}");
            all.push((
                what,
                Arc::new(move |target, outside| {
                    let _ = fs::rename(target.join(path), aside(target));
                    let _ = symlink(outside.join(to), target.join(path));
                }),
            ));
        }
        all.push((
            format!("{path} goes away"),
            Arc::new(move |target, _| {
                let _ = fs::rename(target.join(path), aside(target));
            }),
        ));
        all.push((
            format!("{path} becomes a file"),
            Arc::new(move |target, _| {
                let _ = fs::rename(target.join(path), aside(target));
                let _ = fs::write(target.join(path), b"a file");
            }),
        ));
        all.push((
            format!("{path} is moved outwards"),
            Arc::new(move |target, _| {
                let _ = fs::rename(target.join(path), aside(target));
                let _ = fs::create_dir_all(target.join(path));
            }),
        ));
    }
    all.extend(changes_of_names());
    all
}

/// The same, to files and to the target itself.
fn changes_of_names() -> Vec<(String, Change)> {
    let mut all: Vec<(String, Change)> = Vec::new();
    for to in ["kept", "new"] {
        let what = format!("links to outside/{to} stand at every name");
        all.push((
            what,
            Arc::new(move |target, outside| {
                for path in FILES.into_iter().chain(DIRECTORIES) {
                    let _ = fs::remove_file(target.join(path));
                    let _ = symlink(outside.join(to), target.join(path));
                }
            }),
        ));
    }
    for (what, hard) in [("links", false), ("hard links", true)] {
        let what = format!("staged files become {what} to outside/kept");
        all.push((
            what,
            Arc::new(move |target, outside| {
                for staged in staged_below(target) {
                    let _ = fs::remove_file(&staged);
                    let kept = outside.join("kept");
                    let _ = if hard {
                        fs::hard_link(kept, &staged)
                    } else {
                        symlink(kept, &staged)
                    };
                }
            }),
        ));
    }
    all.push((
        "the target becomes a link outside".to_owned(),
        Arc::new(|target, outside| {
            let _ = fs::rename(target, aside(target));
            let _ = symlink(outside, target);
        }),
    ));
    all
}

/// A name beside the target that is not taken.
fn aside(target: &Path) -> PathBuf {
    static GIVEN: AtomicU64 = AtomicU64::new(0);
    let number = GIVEN.fetch_add(1, Ordering::Relaxed);
    target.with_file_name(format!("aside-{number}"))
}

/// The files that a restore has not yet given their names.
fn staged_below(target: &Path) -> Vec<PathBuf> {
    let directories = DIRECTORIES.map(|path| target.join(path));
    let directories = directories.into_iter().chain([target.to_owned()]);
    let entries = directories.filter_map(|path| fs::read_dir(path).ok());
    let paths = entries
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(".indelible-")
        })
        .collect()
}

/// Threads that put links in the place of directories and files, and take them
/// away again, as fast as they can.
fn threads(campaign: &mut Campaign<'_>, number: u64) {
    for round in 0..campaign.scale.pick(10, 2_000) {
        if campaign.coverage.is_enough() {
            return;
        }
        campaign.coverage.add("targets changed by threads", 1);
        let (outside, target) = (campaign.canary.outside(), campaign.canary.target());
        let repository = campaign.fixture.open();
        let policy = POLICIES[round % 2];
        let done = AtomicBool::new(false);
        let restored = thread::scope(|scope| {
            for path in ["d", "d/e", "d/e/f", "d/e/f/1"] {
                let (done, decoy, path) = (&done, aside(&target), target.join(path));
                symlink(&outside, &decoy).expect("it is ours");
                scope.spawn(move || {
                    while !done.load(Ordering::Relaxed) {
                        let _ = renameat_with(CWD, &decoy, CWD, &path, RenameFlags::EXCHANGE);
                    }
                });
            }
            let restored = restore_to(&repository, number, &target, policy, &Silent);
            done.store(true, Ordering::Relaxed);
            restored
        });
        let what = format!("threads, round {round}, {policy:?}");
        campaign.check_outside(&what);
        if let Err(error) = &restored {
            campaign.coverage.add("restores that stopped", 1);
            check_text(&mut campaign.coverage, &what, error);
        }
    }
}
