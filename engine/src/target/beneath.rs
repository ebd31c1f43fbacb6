//! Opens directories below a descriptor, and nowhere else.
//!
//! `openat2` with `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS` does it in one call
//! (Linux 5.6, openat2(2)). Rescue systems and containers may lack or forbid it,
//! and a restore must work there of all places, so there is a second way that is
//! just as safe: one `openat` per component, each with `O_NOFOLLOW`. A single
//! component that is not `..` and not a link can only lead to an entry of the
//! directory that is open. The tests below hold both ways to the same answers.

use std::os::fd::{AsFd, OwnedFd};

use indelible_format::planted::{Bug, planted};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// How directories are opened on this system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resolver {
    /// In one call.
    Openat2,
    /// One component at a time.
    Walk,
}

impl Resolver {
    /// Finds out which way the system offers.
    pub(super) fn probe(root: &OwnedFd) -> Self {
        // An old kernel says ENOSYS, a container's filter often EPERM. Whatever
        // the reason, the other way loses nothing but time.
        match Self::Openat2.open_directory(root, b"", OFlags::PATH) {
            Ok(_) => Self::Openat2,
            Err(_) => Self::Walk,
        }
    }

    /// Opens the directory `path` below `root`; an empty path is `root` itself.
    ///
    /// It takes bytes, because staying below doesn't depend on their having been
    /// checked. `access` is `PATH` or `RDONLY`. A link or a file on the way is
    /// ELOOP or ENOTDIR, a way out is EXDEV.
    pub(super) fn open_directory(
        self,
        root: &OwnedFd,
        path: &[u8],
        access: OFlags,
    ) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { b"." } else { path };
        match self {
            Self::Openat2 => {
                let mut how =
                    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
                let mut flags = access | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                if planted(Bug::LinksFollowed) {
                    how = ResolveFlags::empty();
                    flags = access | OFlags::DIRECTORY | OFlags::CLOEXEC;
                }
                rustix::io::retry_on_intr(|| {
                    rustix::fs::openat2(root, path, flags, Mode::empty(), how)
                })
            }
            Self::Walk => walk(root, path, access),
        }
    }
}

fn walk(root: &OwnedFd, path: &[u8], access: OFlags) -> Result<OwnedFd, Errno> {
    let (directories, last) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (Some(&path[..at]), &path[at + 1..]),
        None => (None, path),
    };
    let mut at = None;
    for component in directories
        .into_iter()
        .flat_map(|path| path.split(|byte| *byte == b'/'))
    {
        at = Some(step(at.as_ref().unwrap_or(root), component, OFlags::PATH)?);
    }
    step(at.as_ref().unwrap_or(root), last, access)
}

fn step(at: impl AsFd, component: &[u8], access: OFlags) -> Result<OwnedFd, Errno> {
    if component == b".." || component.contains(&b'/') {
        return Err(Errno::XDEV);
    }
    let flags = access | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::io::retry_on_intr(|| rustix::fs::openat(&at, component, flags, Mode::empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::fs;
    use std::os::unix::fs::symlink;

    /// Both ways open what is below and refuse what leads out.
    ///
    /// Method: a tree with links to the outside, to the inside and in the middle
    /// of a path; each path is opened both ways, with either access, and the
    /// inode or the refusal compared with what it must be.
    #[test]
    fn both_ways_stay_beneath() {
        let outer = tempfile::tempdir().unwrap();
        let root_path = outer.path().join("root");
        fs::create_dir_all(root_path.join("a/b/c")).unwrap();
        fs::create_dir(outer.path().join("outside")).unwrap();
        fs::write(root_path.join("file"), b"").unwrap();
        symlink("../outside", root_path.join("out")).unwrap();
        symlink("a", root_path.join("in")).unwrap();
        symlink("../../outside", root_path.join("a/out")).unwrap();
        symlink("/proc/self/root", root_path.join("magic")).unwrap();
        let root = OwnedFd::from(fs::File::open(&root_path).unwrap());

        let inode = |fd: &OwnedFd| rustix::fs::fstat(fd).unwrap().st_ino;
        for access in [OFlags::PATH, OFlags::RDONLY] {
            for resolver in [Resolver::Openat2, Resolver::Walk] {
                let open = |path: &[u8]| resolver.open_directory(&root, path, access);
                assert_eq!(inode(&open(b"").unwrap()), inode(&root));
                let deep = fs::File::open(root_path.join("a/b/c")).unwrap();
                assert_eq!(inode(&open(b"a/b/c").unwrap()), inode(&OwnedFd::from(deep)));
                for path in [
                    "out",
                    "in",
                    "in/b",
                    "a/out",
                    "a/out/x",
                    "magic",
                    "magic/etc",
                    "file",
                ] {
                    let errno = open(path.as_bytes()).unwrap_err();
                    assert!(
                        matches!(errno, Errno::LOOP | Errno::NOTDIR),
                        "{path}: {errno}"
                    );
                }
                assert_eq!(open(b"none").unwrap_err(), Errno::NOENT);
                for path in ["..", "a/../..", "../outside"] {
                    assert_eq!(open(path.as_bytes()).unwrap_err(), Errno::XDEV, "{path}");
                }
            }
        }
    }
}
