//! Restores that meet damage, that were interrupted, and that are only planned.

mod model;
mod plan;
mod resume;
mod salvage;
mod stages;

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use indelible_engine::cancel::Cancel;
use indelible_engine::progress::{Progress, Silent};
use indelible_engine::repository::Repository;
use indelible_engine::restore::{Hole, Restore, RestoreError, Restored};
use indelible_engine::source::{self, Item, NamedPath};
use indelible_engine::store::MemoryStore;
use indelible_engine::target::Policy;
use tempfile::TempDir;

use crate::support::{Contents, noise, path, snapshot_at};

const KEEP: Policy = Policy { overwrite: false };
const OVERWRITE: Policy = Policy { overwrite: true };

/// A directory in memory where there is such a thing: these tests sync thousands
/// of files, and none of them loses power.
fn scratch() -> TempDir {
    let memory = tempfile::tempdir_in("/dev/shm");
    memory.unwrap_or_else(|_| tempfile::tempdir().expect("a temporary directory"))
}

/// A tree of two large files, an empty one, small ones that share chunks, a link
/// and directories.
fn tree(small_files: u64) -> TempDir {
    let source = scratch();
    let root = source.path();
    fs::create_dir_all(root.join("data/empty")).unwrap();
    fs::write(root.join("data/large.dump"), noise(1, 70_000)).unwrap();
    fs::write(root.join("other.dump"), noise(2, 66_000)).unwrap();
    fs::write(root.join("nothing"), b"").unwrap();
    symlink("data/large.dump", root.join("latest")).unwrap();
    fs::create_dir(root.join("tables")).unwrap();
    for number in 0..small_files {
        let len = usize::try_from(number).unwrap() * 37 % 500 + 1;
        let name = format!("tables/{number:04}.csv");
        fs::write(root.join(name), noise(100 + number, len)).unwrap();
    }
    source
}

fn items_of(root: &Path) -> Vec<Item> {
    let named = NamedPath {
        path: root.to_owned(),
        as_name: Some(b"tree".to_vec()),
    };
    source::list(&[named]).expect("the tree can be read").items
}

/// How a restore into a directory is run.
#[derive(Clone, Copy)]
struct How<'a> {
    salvages: bool,
    resumes: bool,
    policy: Policy,
    paths: &'a [&'a [u8]],
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
}

impl How<'_> {
    fn plainly(cancel: &Cancel) -> How<'_> {
        How {
            salvages: false,
            resumes: false,
            policy: KEEP,
            paths: &[],
            progress: &Silent,
            cancel,
        }
    }

    /// Restores a snapshot, and gives the holes that were told.
    fn run(
        self,
        repository: &Repository<'_, MemoryStore>,
        number: u64,
        target: &Path,
    ) -> (Result<Restored, RestoreError>, Vec<Hole>) {
        let holes = RefCell::new(Vec::new());
        let tell = |hole: &Hole| holes.borrow_mut().push(hole.clone());
        let snapshot = snapshot_at(repository, number);
        let (listings, _) = repository.listings();
        let new = Restore::new(repository, &listings, &snapshot, self.cancel, self.progress);
        let mut restore = new.expect("the key may restore");
        if self.salvages {
            restore = restore.salvaging(&tell);
        }
        if self.resumes {
            restore = restore.resuming();
        }
        let paths: Vec<_> = self.paths.iter().map(|bytes| path(bytes)).collect();
        let restored = restore.to_directory(target, &paths, self.policy);
        drop(restore);
        (restored, holes.into_inner())
    }
}

/// The files below a directory with their contents, by their path from there.
fn files_below(root: &Path) -> Contents {
    use std::os::unix::ffi::OsStrExt as _;

    let mut contents = Contents::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).expect("a directory") {
            let entry = entry.expect("an entry");
            let (place, kind) = (entry.path(), entry.file_type().expect("it is there"));
            if kind.is_dir() {
                open.push(place);
            } else if kind.is_file() {
                let below = place.strip_prefix(root).expect("it is below");
                let bytes = fs::read(&place).expect("it is ours");
                contents.insert(below.as_os_str().as_bytes().to_vec(), bytes);
            }
        }
    }
    contents
}
