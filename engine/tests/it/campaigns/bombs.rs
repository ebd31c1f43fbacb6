//! Bombs: a few bytes that promise a reader terabytes.
//!
//! Counts, lengths, levels and costs wherever the format has them, in clear and
//! sealed with a real write key. Each must end in an error or refusal; what is
//! rightly built and merely enormous must pass in bounded memory; and the
//! snapshots beside it restore, and are taken.
//!
//! Memory is measured by the test binary's allocator, which counts, as the most
//! that was in use at once beyond what was in use when the reader began; it must
//! stay within [`BOUND_BYTES`]. Other tests must not be counted, and a bomb may
//! end its process, so the bombs go off in one of their own, which runs [`child`]
//! of this binary. What the system gives that process, memory and time, is bounded
//! too, for C code and for the machine's sake.

mod clear;
mod raw;
mod scene;
mod sealed;
mod trees;

use std::env;
use std::fs;
use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};

use peak_alloc::PeakAlloc;
use rustix::process::{Resource, Rlimit, setrlimit};

use self::scene::{Expected, Scene};
use crate::campaigns::{Coverage, Finding, Scale};
use crate::support::Fixture;

/// Counts what is allocated.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// What a reader may take beyond what was in use before, bytes.
const BOUND_BYTES: usize = 64 << 20;
/// What the child may take from the system for all bombs together, bytes.
const ADDRESS_SPACE_BYTES: u64 = 2 << 30;
/// The same of a processor's time, seconds: about ten times what they take. One
/// that takes it alone would take for ever.
const PROCESSOR_SECONDS: u64 = 60;
/// Tells [`child`] what to do: the first bomb, the seed, and whether all.
const CHILD: &str = "INDELIBLE_CAMPAIGN_BOMBS";
/// Stands before what a child says to its parent.
const MARK: &str = "@bomb ";

/// One bomb.
struct Bomb {
    what: String,
    charge: Charge,
}

/// How a bomb is made, and what becomes of it.
enum Charge {
    /// Put into the repository by this, as the entry of the number that it gives.
    Planted(Box<dyn Fn(&Scene<'_>) -> u64>, Expected),
    /// Made by the first, and met by what that gives.
    Met(Box<dyn Fn(&Scene<'_>) -> Meeting>),
}

/// Meets a bomb, and says what went wrong.
type Meeting = Box<dyn FnOnce(&Scene<'_>) -> Result<(), String>>;

fn planted(
    what: impl Into<String>,
    expected: Expected,
    plant: impl Fn(&Scene<'_>) -> u64 + 'static,
) -> Bomb {
    Bomb {
        what: what.into(),
        charge: Charge::Planted(Box::new(plant), expected),
    }
}

/// All of them. The long ones take packs by the hundred.
fn bombs(long: bool) -> Vec<Bomb> {
    let mut all = clear::bombs();
    all.extend(sealed::bombs());
    all.extend(trees::bombs());
    if long {
        all.extend(trees::long_bombs());
    }
    all
}

/// Lets every bomb go off in a child.
pub(crate) fn run(scale: Scale) -> Coverage {
    let mut coverage = Coverage::new("bombs", scale);
    let (mut next, mut taken) = (Some(0), 0);
    while let Some(first) = next.filter(|_| !coverage.is_enough()) {
        next = run_child(scale, first, &mut coverage, &mut taken);
    }
    coverage.add("KiB taken at most", taken >> 10);
    coverage
}

/// No count, length or cost that is read makes a reader take memory by it.
///
/// Method: see above.
#[test]
fn campaign() {
    run(Scale::asked()).finish();
}

/// Runs a child from a bomb on, and gives the one behind that which ended it.
/// `taken` is the most that any took so far, bytes.
fn run_child(
    scale: Scale,
    first: usize,
    coverage: &mut Coverage,
    taken: &mut u64,
) -> Option<usize> {
    let program = env::current_exe().expect("the system knows the test binary");
    let output = Command::new(program)
        .args(["--exact", "campaigns::bombs::child", "--nocapture"])
        .env(CHILD, format!("{first} {} {}", scale.seed, scale.long))
        .stdin(Stdio::null())
        .output()
        .expect("the test binary runs");
    let mut open: Option<(usize, String)> = None;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Some((_, said)) = line.split_once(MARK) else {
            continue;
        };
        match said.split_once(' ') {
            Some(("begin", bomb)) => {
                let (at, what) = bomb.split_once(' ').expect("a child says both");
                open = Some((at.parse().expect("a number"), what.to_owned()));
            }
            Some(("found", text)) => {
                let (_, what) = open.take().expect("it began");
                coverage.add("bombs", 1);
                coverage.find(Finding::Broken, format!("{what}: {text}"));
            }
            Some(("good", bytes)) => {
                open = None;
                coverage.add("bombs", 1);
                *taken = bytes.parse().map_or(*taken, |bytes: u64| bytes.max(*taken));
            }
            _ => panic!("a child says no such thing: {said}"),
        }
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    match open {
        Some((at, what)) => {
            let last = errors.lines().last().unwrap_or_default();
            coverage.add("bombs", 1);
            coverage.find(
                Finding::Broken,
                format!("{what}: {}: {last}", output.status),
            );
            Some(at + 1)
        }
        None if output.status.success() => None,
        None => {
            let text = format!("the child: {}: {errors}", output.status);
            coverage.find(Finding::Broken, text);
            None
        }
    }
}

/// Nothing by itself: the process in which the bombs of [`campaign`] go off.
///
/// Method: see there.
#[test]
fn child() {
    let Ok(asked) = env::var(CHILD) else {
        return;
    };
    let asked: Vec<&str> = asked.split(' ').collect();
    let [first, seed, long] = asked[..] else {
        panic!("a parent says three words")
    };
    let first: usize = first.parse().expect("a number");
    let fixture = Fixture::new(seed.parse().expect("a number"));
    let scene = Scene::new(&fixture);
    let before = fixture.store.clone();
    bound_process();
    for (bomb, at) in bombs(long == "true").into_iter().zip(0..).skip(first) {
        say(&format!("begin {at} {}", bomb.what));
        match catch_unwind(AssertUnwindSafe(|| go_off(&scene, bomb.charge))) {
            Ok(Ok(taken)) => say(&format!("good {taken}")),
            Ok(Err(text)) => say(&format!("found {}", text.replace('\n', " "))),
            Err(_) => say("found it panics"),
        }
        fixture.store.roll_back_to(&before);
    }
}

/// Makes a bomb, meets it, and says how many bytes that took.
fn go_off(scene: &Scene<'_>, charge: Charge) -> Result<usize, String> {
    let meet: Meeting = match charge {
        Charge::Planted(plant, expected) => {
            let number = plant(scene);
            Box::new(move |scene| scene.meet(number, expected))
        }
        Charge::Met(make) => make(scene),
    };
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    meet(scene)?;
    let taken = HEAP.peak_usage().saturating_sub(before);
    if taken > BOUND_BYTES {
        return Err(format!("it takes {} MiB", taken >> 20));
    }
    Ok(taken)
}

/// Bounds what the system gives.
fn bound_process() {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells");
    let size_kib: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmSize:")?.strip_suffix("kB"))
        .and_then(|size| size.trim().parse().ok())
        .expect("Linux tells");
    let bounds = [
        (Resource::As, size_kib * 1_024 + ADDRESS_SPACE_BYTES),
        (Resource::Cpu, PROCESSOR_SECONDS),
    ];
    for (resource, most) in bounds {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit).expect("a process may bound itself");
    }
}

/// Tells the parent.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    writeln!(out, "{MARK}{text}")
        .and_then(|()| out.flush())
        .expect("the parent listens");
}
