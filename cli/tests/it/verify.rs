//! `indelible verify` as a CI job and an operator use it.

mod extent;
mod junk;
mod pin;
mod report;

use std::path::{Path, PathBuf};

use crate::support::{Ran, Run, World, noise};

/// A world whose operator verifies with a verify key and no memory.
struct Watch {
    world: World,
    writer: PathBuf,
    verifier: PathBuf,
}

impl Watch {
    fn new() -> Self {
        let (world, writer) = World::with_write_key();
        let verifier = world.key("verify", &[]);
        Self {
            world,
            writer,
            verifier,
        }
    }

    /// With this many snapshots, of a pack of about 200 KB each.
    fn of(snapshots: u64) -> Self {
        let watch = Self::new();
        for seed in 1..=snapshots {
            watch.snapshot(seed);
        }
        watch
    }

    fn snapshot(&self, seed: u64) {
        let source = self.world.file("orders.dump", noise(seed, 200_000));
        let run = self.world.indelible(["snapshot", "orders"]).arg(source);
        run.key(&self.writer).run().exits(0);
    }

    /// A run of verify with the verify key, on a machine without a memory.
    fn run(&self, options: &[&str]) -> Run {
        let fresh = tempfile::tempdir_in(self.world.path("")).unwrap().keep();
        let run = self.world.indelible(["verify"]).args(options);
        run.key(&self.verifier).env("INDELIBLE_STATE_DIR", fresh)
    }

    fn verify(&self, options: &[&str]) -> Ran {
        self.run(options).run()
    }

    fn log(&self, number: u64) -> PathBuf {
        self.world.repository().join(format!("log/{number:012}"))
    }

    fn read(&self, name: &str) -> String {
        read(&self.world.path(name))
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
