//! The CI jobs of the first page do what it says: their very text is run.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{PASSPHRASE, Ran, World, alter, copy_dir, end_of, noise};

const PAGE: &str = include_str!("../../../README.md");

/// The number that the page accepts as junk.
const JUNK: u64 = 12;

/// The part of the page about CI.
fn section() -> &'static str {
    let (_, rest) = PAGE.split_once("\n## Verify in CI\n").expect("the section");
    rest.split_once("\n## ").expect("a section follows").0
}

/// The fenced blocks of a language, in order.
fn fenced(language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    let blocks = section().split(&opening).skip(1);
    blocks
        .map(|block| block.split_once("```").expect("it ends").0.to_owned())
        .collect()
}

/// The shell of a job: what stands indented below a line that ends with `|`.
fn script(job: &str) -> String {
    let mut lines = job.lines().skip_while(|line| {
        let line = line.trim_end();
        !line.ends_with("run: |") && !line.trim_start().eq("- |")
    });
    let head = lines.next().expect("the job has a script");
    let depth = head.len() - head.trim_start().len();
    let indent = |line: &&str| line.len() - line.trim_start().len() > depth;
    let body: Vec<&str> = lines.take_while(indent).collect();
    let own = body[0].len() - body[0].trim_start().len();
    let lines: Vec<&str> = body.iter().map(|line| &line[own..]).collect();
    let text = lines.join("\n");
    assert!(text.contains("indelible verify"), "{text}");
    text
}

/// An operator's machine, and a checkout in which jobs run.
struct Site {
    world: World,
    writer: PathBuf,
    checkout: PathBuf,
    /// What the secret holds.
    secret: PathBuf,
}

impl Site {
    /// With eight snapshots, and after the page's first run.
    fn new() -> Self {
        let (world, writer) = World::with_write_key();
        let checkout = world.path("checkout");
        fs::create_dir(&checkout).unwrap();
        let site = Self {
            secret: world.path("secret"),
            checkout,
            writer,
            world,
        };
        for night in 0..8 {
            site.snapshot(night);
        }
        let [first, _] = &fenced("sh")[..] else {
            panic!("two blocks are for the operator")
        };
        site.operator(first).exits(0).prints("no problem found");
        fs::rename(site.checkout.join("verify.key"), &site.secret).unwrap();
        // What a runner makes of a secret may be open to all.
        fs::set_permissions(&site.secret, fs::Permissions::from_mode(0o666)).unwrap();
        site
    }

    fn snapshot(&self, night: u64) {
        let source = self.world.file("orders.dump", noise(night, 60_000));
        let run = self.world.indelible(["snapshot", "orders"]).arg(source);
        run.key(&self.writer).run().exits(0);
    }

    fn bash(&self, script: &str, environment: &BTreeMap<&str, PathBuf>) -> Ran {
        let binary = Path::new(env!("CARGO_BIN_EXE_indelible"));
        let path = format!("{}:/usr/bin:/bin", binary.parent().unwrap().display());
        let mut command = Command::new("bash");
        command
            .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script])
            .env_clear()
            .env("PATH", path)
            .env("INDELIBLE_REPO", self.world.repository())
            .envs(environment)
            .current_dir(&self.checkout)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        end_of(command.spawn().expect("bash can be started"))
    }

    /// Runs a block as the operator, who has the passphrase and a memory.
    fn operator(&self, script: &str) -> Ran {
        let environment = BTreeMap::from([
            ("HOME", self.world.path("home")),
            ("INDELIBLE_STATE_DIR", self.world.state()),
            ("INDELIBLE_PASSPHRASE", PathBuf::from(PASSPHRASE)),
        ]);
        self.bash(script, &environment)
    }

    /// Runs a job's script as a runner without a memory does.
    fn job(&self, script: &str) -> Ran {
        let home = tempfile::tempdir().unwrap();
        let text = fs::read_to_string(&self.secret).unwrap();
        let environment = BTreeMap::from([
            ("HOME", home.path().to_owned()),
            ("TMPDIR", home.path().to_owned()),
            // GitHub gives the text of a secret, GitLab the path of a file.
            ("VERIFY_KEY", PathBuf::from(text.trim_end())),
            ("INDELIBLE_VERIFY_KEY", self.secret.clone()),
        ]);
        let ran = self.bash(script, &environment);
        let left = fs::read_dir(home.path()).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| name == ".local"), "{left:?}");
        ran
    }

    fn report(&self) -> String {
        fs::read_to_string(self.checkout.join("verify.xml")).unwrap()
    }

    fn pin(&self) -> String {
        fs::read_to_string(self.checkout.join("backups.pin")).unwrap()
    }

    /// The job is green, pins the log, and says so in its report.
    #[track_caller]
    fn is_green(&self, script: &str) {
        self.job(script).exits(0).prints("no problem found");
        let report = self.report();
        assert!(report.contains(r#"failures="0" errors="0""#), "{report}");
        let size = self.world.objects("log").len().to_string();
        assert_eq!(self.pin().lines().nth(1), Some(&*size));
    }

    /// The job is red while the repository is harmed, leaves the pin alone, and
    /// is green when it is whole again.
    #[track_caller]
    fn is_red_while(&self, script: &str, code: i32, phrase: &str, harm: impl FnOnce(&World)) {
        self.is_green(script);
        let repository = self.world.repository();
        let kept = self.world.path("kept");
        copy_dir(&repository, &kept);
        let pin = self.pin();
        harm(&self.world);
        self.job(script).exits(code).prints(phrase);
        assert_eq!(self.pin(), pin);
        let report = self.report();
        assert!(report.contains("<failure"), "{report}");
        fs::remove_dir_all(&repository).unwrap();
        fs::rename(&kept, &repository).unwrap();
        self.is_green(script);
    }
}

/// The page's jobs are green on a whole repository and red on each kind of harm,
/// with the exit code that the page says, and green again when it is whole again
/// or the junk was accepted as the page says.
///
/// Method: run the text of both jobs in bash, with a fresh home each time, and a
/// checkout that keeps the pin as a cache does; remove a pack, flip a bit in
/// another, roll the whole store back, plant an entry of another repository's
/// administrator, plant junk.
#[test]
fn ci_jobs_do_what_the_page_says() {
    let jobs = fenced("yaml");
    assert_eq!(jobs.len(), 2, "GitHub's and GitLab's");
    for job in jobs {
        let script = script(&job);
        let site = Site::new();
        let early = site.world.path("early");
        copy_dir(&site.world.repository(), &early);
        site.is_green(&script);
        site.snapshot(8);
        site.is_green(&script);
        site.is_red_while(&script, 20, "PROBLEM pack-missing", |world| {
            fs::remove_file(&world.objects("packs")[3]).unwrap();
        });
        site.is_red_while(&script, 20, "PROBLEM pack-altered", |world| {
            alter(&world.objects("packs")[3], |bytes| bytes[20_000] ^= 4);
        });
        site.is_red_while(&script, 21, "PROBLEM log-rolled-back", |world| {
            fs::remove_dir_all(world.repository()).unwrap();
            copy_dir(&early, &world.repository());
        });
        site.is_red_while(&script, 20, "PROBLEM log-void-entry", |world| {
            world.init(&world.path("other"));
            let forged = fs::read(world.path("other/log/000000000000")).unwrap();
            fs::write(log(world, JUNK), forged).unwrap();
            fs::remove_dir_all(world.path("other")).unwrap();
        });
        fs::write(log(&site.world, JUNK), "junk").unwrap();
        site.job(&script)
            .exits(20)
            .prints("PROBLEM log-void-entry log/000000000012");
        let [_, accept] = &fenced("sh")[..] else {
            panic!("two blocks are for the operator")
        };
        site.operator(accept).exits(0).prints("ACCEPTED");
        site.job(&script).exits(0).prints("ACCEPTED");
        site.is_green(&script);
        fs::write(log(&site.world, JUNK + 1), "more junk").unwrap();
        site.job(&script).exits(20).prints("ACCEPTED");
    }
}

fn log(world: &World, number: u64) -> PathBuf {
    world.repository().join(format!("log/{number:012}"))
}

/// A job without its pin fails, whatever it is shown.
///
/// Method: remove the pin, and run the text of both jobs.
#[test]
fn ci_jobs_need_their_pin() {
    for job in fenced("yaml") {
        let site = Site::new();
        fs::remove_file(site.checkout.join("backups.pin")).unwrap();
        site.job(&script(&job))
            .exits(24)
            .says("there is no pin file backups.pin")
            .says("--update-pin");
        assert!(site.report().contains(r#"errors="1""#));
        assert!(!site.checkout.join("backups.pin").exists());
    }
}
