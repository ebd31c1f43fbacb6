//! Keeps the serving process to the repository's directory, should it ever be made to
//! do what it is not to do.
//!
//! Landlock binds a thread and those that it starts from then on, without root. A
//! store links what it staged into other directories, which the first version of
//! Landlock forbids to everyone; such kernels count as having none.

use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, path_beneath_rules,
};

/// From here on, nothing of the file system can be opened but what is below a
/// directory.
///
/// # Errors
///
/// The kernel can't: then nothing has changed.
pub(super) fn confine(root: &Path) -> Result<(), RulesetError> {
    let all = AccessFs::from_all(ABI::V2);
    let needed = AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::Refer;
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(all)?
        .create()?
        .add_rules(path_beneath_rules([root], needed))?
        .restrict_self()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::thread;

    use super::*;

    /// What is confined can create and link below its directory, as a store does, and
    /// reaches nothing else.
    ///
    /// Method: on a thread of its own, which alone is bound; skipped where the kernel
    /// can't.
    #[test]
    fn nothing_else_is_reached() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let outside = tempfile::tempdir().expect("a temporary directory");
        let (inside, other) = (root.path(), outside.path().join("secret"));
        fs::write(&other, "secret").expect("it is ours");
        thread::scope(|scope| {
            scope.spawn(|| {
                if let Err(error) = confine(inside) {
                    eprintln!("SKIPPED: this kernel can't confine: {error}");
                    return;
                }
                for directory in ["tmp", "log"] {
                    fs::create_dir(inside.join(directory)).expect("it is below");
                }
                let (staged, name) = (inside.join("tmp/1"), inside.join("log/1"));
                fs::write(&staged, "entry").expect("it is below");
                fs::hard_link(&staged, &name).expect("both are below");
                fs::remove_file(&staged).expect("it is below");
                assert_eq!(fs::read(&name).expect("it is below"), b"entry");
                for refused in [
                    fs::read(&other).map(drop),
                    fs::write(&other, "other"),
                    fs::remove_file(&other),
                    fs::hard_link(&name, outside.path().join("out")),
                ] {
                    let error = refused.expect_err("it is outside");
                    let kinds = [ErrorKind::PermissionDenied, ErrorKind::CrossesDevices];
                    assert!(kinds.contains(&error.kind()), "{error}");
                }
            });
        });
    }
}
