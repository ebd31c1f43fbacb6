//! The sections that vectors and sources name stand in SPEC.md.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::vectors;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The numbers of all headings: `3`, `3.4`.
fn sections() -> BTreeSet<String> {
    let spec = fs::read_to_string(root().join("SPEC.md")).expect("SPEC.md");
    let headings = spec.lines().filter_map(|line| {
        let heading = line.strip_prefix("## ").or(line.strip_prefix("### "))?;
        heading.split_whitespace().next()
    });
    headings
        .map(|number| number.trim_end_matches('.').to_owned())
        .collect()
}

/// The section numbers behind each `SPEC `, such as `3.9, 7.1 to 7.3`.
fn named(source: &str) -> Vec<String> {
    // A reference may be wrapped over two lines of a comment.
    let text: Vec<&str> = source
        .split_whitespace()
        .filter(|word| !matches!(*word, "//!" | "///" | "//"))
        .collect();
    let mut found = Vec::new();
    let mut words = text.into_iter().peekable();
    while let Some(word) = words.next() {
        if !word.ends_with("SPEC") {
            continue;
        }
        while let Some(next) = words.peek() {
            let number = next.trim_matches(|c: char| !c.is_ascii_digit());
            let is_number = next.starts_with(|c: char| c.is_ascii_digit())
                && number.chars().all(|c| c.is_ascii_digit() || c == '.');
            if is_number {
                found.push(number.to_owned());
            } else if !matches!(*next, "to" | "and") {
                break;
            }
            let more = !is_number || next.ends_with(',') || next.ends_with(number);
            words.next();
            if !more {
                break;
            }
        }
    }
    found
}

fn rust_files(directory: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// Each section that a source file or a vector names exists.
///
/// Method: collect the numbers behind `SPEC` in the crate's files and those of
/// the vectors, and look for them among the headings.
#[test]
fn named_sections_exist() {
    let sections = sections();
    let mut files = Vec::new();
    rust_files(Path::new(env!("CARGO_MANIFEST_DIR")), &mut files);
    let mut seen = 0;
    for file in files {
        for number in named(&fs::read_to_string(&file).unwrap()) {
            seen += 1;
            assert!(sections.contains(&number), "{}: {number}", file.display());
        }
    }
    assert!(seen > 60, "only {seen} references were found");
    for vector in vectors::all() {
        assert!(
            sections.contains(&vector.spec),
            "{}: {}",
            vector.name,
            vector.spec
        );
    }
}

/// The reader of references finds what it must.
///
/// Method: a text with each form in which they stand.
#[test]
fn references_are_found() {
    let text = "(SPEC 3.9, 7.1 to 7.3)\n/// as SPEC\n/// 6.4 says, 5 times (SPEC 12; RFC 9106)";
    assert_eq!(named(text), ["3.9", "7.1", "7.3", "6.4", "12"]);
}
