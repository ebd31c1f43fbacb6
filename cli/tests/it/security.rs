//! The threat model names its tests, and they exist.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the tests of a crate stand, by the word that SECURITY.md has for it.
fn crate_of(word: &str) -> Option<&'static str> {
    match word {
        "format" => Some("repo-format"),
        "engine" => Some("engine"),
        "cli" => Some("cli"),
        _ => None,
    }
}

/// The files that may hold a module's tests.
fn files_of(root: &Path, modules: &[&str]) -> [PathBuf; 2] {
    let below = modules.join("/");
    ["tests/it", "src"].map(|part| root.join(part).join(&below).with_extension("rs"))
}

/// Every line of the threat model names a test, and each of these exists.
///
/// Method: take the tables of SECURITY.md, and look for a test function of each
/// name in the file that its path leads to.
#[test]
fn every_line_of_the_threat_model_has_its_test() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let model = fs::read_to_string(workspace.join("SECURITY.md")).unwrap();
    let lines = model.lines().filter(|line| line.starts_with("| "));
    let lines = lines.filter(|line| !line.ends_with("| test |"));
    let mut seen = 0;
    for line in lines {
        let cell = line.trim_end_matches('|').rsplit('|').next().unwrap();
        let names: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test: {line}");
        for name in names {
            let parts: Vec<&str> = name.split("::").collect();
            let [word, modules @ .., test] = &parts[..] else {
                panic!("{name} is no path");
            };
            let root = crate_of(word).unwrap_or_else(|| panic!("{name}: no crate {word}"));
            let files = files_of(&workspace.join(root), modules);
            let holds = |file: &PathBuf| {
                let held = fs::read_to_string(file).unwrap_or_default();
                held.contains(&format!("fn {test}("))
            };
            assert!(files.iter().any(holds), "there is no {name}");
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen} tests are named");
}
