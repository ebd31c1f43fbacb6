//! The drill on a directory of another user, served to hosts as over ssh: past the server,
//! the thief has this machine's own calls as a user of it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use indelible_engine::env::OsEntropy;
use indelible_engine::serve::Quota;
use indelible_engine::store::{AppendStore as _, LocalStore, ObjectKey, RemoteStore};
use indelible_format::name::Name;

use super::{Site, Who, run};
use crate::serve::{connect, guarded};

/// What a host may store, bytes.
const QUOTA_BYTES: u64 = 2_000_000;
/// The user and group that own nothing.
const NOBODY: &str = "65534";

struct Served {
    store: Arc<LocalStore>,
    root: tempfile::TempDir,
}

impl Served {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        // Others may look, as they may in a directory that is a mounted share.
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(root.path(), mode).expect("it is ours");
        let store = LocalStore::open(root.path(), Arc::new(OsEntropy)).expect("it exists");
        Self {
            store: Arc::new(store),
            root,
        }
    }
}

impl Site for Served {
    type Store = RemoteStore;

    const HAS_QUOTA: bool = true;
    const JUDGES: bool = true;

    fn store(&self, who: Who) -> RemoteStore {
        let account = format!("{who:?}").to_lowercase();
        let account = Name::new(account.as_bytes()).expect("a NAME");
        let quota = Quota::open(self.root.path(), &account, QUOTA_BYTES).expect("it is writable");
        connect(guarded(&self.store, Some(quota))).expect("it is welcome")
    }

    fn put(&self, key: &ObjectKey, bytes: &[u8]) {
        // What is refused is looked for by who calls.
        let _ = self.store(Who::Host).put_new(key, bytes);
    }

    fn attack(&self, keys: &[ObjectKey]) {
        let paths: Vec<_> = keys
            .iter()
            .map(|key| self.root.path().join(key.path()))
            .collect();
        let before: Vec<_> = paths.iter().map(|path| stand(path)).collect();
        let moved = self.root.path().with_extension("moved");
        let tries = [
            "rm -f \"$1\"",
            "echo forged > \"$1\"",
            "echo forged >> \"$1\"",
            "truncate -s 0 \"$1\"",
            "mv \"$1\" \"$1.moved\"",
            "ln \"$1\" \"$1.linked\"",
            "mv -f \"$2\" \"$1\"",
            "chmod u+w \"$1\"",
            "mv \"${1%/*}\" \"${1%/*}.moved\"",
            "mv \"$3\" \"$4\"",
        ];
        let own = tempfile::tempdir().expect("a temporary directory");
        let mode = fs::Permissions::from_mode(0o777);
        fs::set_permissions(own.path(), mode).expect("it is ours");
        let forged = own.path().join("forged");
        fs::write(&forged, b"forged").expect("it is ours");
        for path in &paths {
            for tried in tries {
                let status = Command::new("setpriv")
                    .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--"])
                    .args(["sh", "-c", tried, "sh"])
                    .args([path, &forged])
                    .args([self.root.path(), &moved])
                    .stderr(Stdio::null())
                    .status()
                    .expect("setpriv is installed");
                assert!(!status.success(), "{tried}: {}", path.display());
            }
        }
        for (path, before) in paths.iter().zip(&before) {
            assert!(stand(path) == *before, "{}", path.display());
        }
    }
}

/// A file's bytes, inode and permissions.
fn stand(path: &Path) -> (Vec<u8>, u64, u32) {
    let meta = fs::metadata(path).expect("it is there");
    let bytes = fs::read(path).expect("it is there");
    (bytes, meta.ino(), meta.mode())
}

/// A thief of a host's credentials takes nothing from a directory of another user that is
/// served to hosts.
///
/// Method: the drill, with quotas; past the server, as a user who owns nothing there,
/// remove, write, cut, rename, link and replace each file, and rename its directory and
/// the repository's.
#[test]
fn a_thief_takes_nothing_from_another_users_directory() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can become another user");
        return;
    }
    let report = run(&Served::new());
    let told: Vec<&str> = report.problems.iter().map(|it| it.kind.code()).collect();
    assert!(told.contains(&"chunk-damaged"), "{told:?}");
    // The server let nothing into the log that has no effect.
    assert!(
        !told.iter().any(|code| code.starts_with("log-")),
        "{told:?}"
    );
}
