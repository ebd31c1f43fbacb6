//! Runs every vector, and keeps the committed ones equal to the generator's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::decoders;
use crate::generate;
use crate::vector::{Expect, Vector};

pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

fn read(directory: &Path) -> Vec<Vector> {
    let files = fs::read_dir(directory).expect("the vectors' directory");
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    let parse = |path: &PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap();
        Vector::parse(name, &fs::read_to_string(path).unwrap())
    };
    paths.iter().map(parse).collect()
}

/// The generated vectors, and those that other programs computed.
pub(crate) fn all() -> Vec<Vector> {
    let mut vectors = read(&directory());
    vectors.extend(read(&directory().join("independent")));
    assert!(
        vectors.len() > 100,
        "the vectors are not where they should be"
    );
    vectors
}

/// What is wrong with a vector's outcome, if something is.
fn check(vector: &Vector) -> Result<(), String> {
    match (decoders::run(vector), &vector.expect) {
        (Ok(found), Expect::Accept) => {
            for (key, value) in &vector.gives {
                let actual = found.gives.get(key).map(|value| value.trim());
                if actual != Some(value) {
                    return Err(format!("gives {key} {actual:?} instead of {value}"));
                }
            }
            match found.encoded {
                Some(bytes) if bytes != vector.bytes() => {
                    Err("it encodes to other bytes".to_owned())
                }
                _ => Ok(()),
            }
        }
        (Ok(_), Expect::Reject { error, .. }) => Err(format!("accepted, and {error} was expected")),
        (Err(refused), expected) if refused.0 == *expected => Ok(()),
        (Err(refused), expected) => Err(format!("{:?} instead of {expected:?}", refused.0)),
    }
}

/// Every vector is accepted with what it states and encodes to the same bytes,
/// or is refused for the reason that it states.
///
/// Method: run each file's decoder on its bytes.
#[test]
fn vectors_hold() {
    let wrong: Vec<String> = all()
        .iter()
        .filter_map(|vector| {
            let problem = check(vector).err()?;
            Some(format!("{}: {problem}", vector.name))
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Each decoder has vectors that it accepts and vectors that it refuses.
///
/// Method: collect what the vectors name. Functions that take any bytes refuse
/// none.
#[test]
fn each_decoder_has_both() {
    let names = |accepted: bool| -> BTreeSet<String> {
        let vectors = all().into_iter();
        vectors
            .filter(|vector| (vector.expect == Expect::Accept) == accepted)
            .map(|vector| vector.decoder)
            .collect()
    };
    let total = ["derive", "gear-table", "leaf", "merkle"].map(str::to_owned);
    let mut refused = names(false);
    refused.extend(total);
    assert_eq!(names(true), refused);
}

/// A change of the format shows as a change of the committed vectors.
///
/// Method: generate them anew from fixed keys and compare the files. With
/// `INDELIBLE_WRITE_VECTORS=1` in the environment, write them instead.
#[test]
fn committed_vectors_are_the_generated_ones() {
    let directory = directory();
    let generated: BTreeMap<String, String> = generate::all()
        .iter()
        .map(|vector| (vector.name.clone(), vector.print()))
        .collect();
    if std::env::var_os("INDELIBLE_WRITE_VECTORS").is_some_and(|value| value == "1") {
        for vector in read(&directory) {
            fs::remove_file(directory.join(vector.name + ".txt")).unwrap();
        }
        for (name, text) in &generated {
            fs::write(directory.join(format!("{name}.txt")), text).unwrap();
        }
    }
    let committed: BTreeMap<String, String> = read(&directory)
        .into_iter()
        .map(|vector| {
            let text = fs::read_to_string(directory.join(format!("{}.txt", vector.name))).unwrap();
            (vector.name, text)
        })
        .collect();
    let names = |map: &BTreeMap<String, String>| map.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&committed), names(&generated));
    for (name, text) in &generated {
        assert_eq!(&committed[name], text, "{name}");
    }
}
