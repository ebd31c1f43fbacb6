//! Bombs in what anyone can read: log entries, slots, commit records, key files.

use indelible_engine::keys::Credential;
use indelible_engine::store::ObjectKey;
use indelible_format::commit::NewPack;
use indelible_format::grant::GrantFacts;
use indelible_format::ids::{CommitId, RecordId};
use indelible_format::key_file::KeyFile;
use indelible_format::limits::COMMIT_BYTES_MAX;
use indelible_format::manifest::Manifest;
use indelible_format::rights::Rights;
use indelible_format::seal::{self, GRANT_FACTS, GRANT_FACTS_KEY, LOG_ENTRY};
use indelible_format::secret::SecretKey;
use indelible_format::wire::Builder;
use zeroize::Zeroizing;

use super::raw::{AUTHORIZE, RawCommit, SNAPSHOT, entry, record_entry};
use super::scene::{Expected, Scene};
use super::sealed::page_of_nothing;
use super::{Bomb, Charge, planted};
use crate::support::tree::{Insider, manifest};
use crate::support::{chain, key_file, noise, object, take_stream, write_key_beside};

pub(super) fn bombs() -> Vec<Bomb> {
    let mut all = entries();
    all.extend(grants());
    all.extend(slots());
    all.extend(commits());
    all.extend(floods());
    all.extend(key_files());
    all
}

/// A sound manifest, over a list of one empty file.
pub(super) fn sound(insider: &Insider<'_>) -> (Vec<NewPack>, Manifest) {
    let mut pack = insider.pack();
    let page = page_of_nothing(&mut pack);
    let list = pack.node(0, &[page]);
    let pack = pack.finish();
    (vec![pack], manifest(list, 0, &pack))
}

/// Entries whose frame, or whose body of any kind, says more than there is.
fn entries() -> Vec<Bomb> {
    let mut all = Vec::new();
    for said in [u32::MAX, 1 << 31, 65_310, 65_311] {
        let what = format!("an entry with a body of {said} bytes");
        all.push(planted(what, Expected::Void, move |scene| {
            let (insider, commit) = (&scene.insider, CommitId([1; 16]));
            let mut bytes = entry(&insider.repository, insider.key(), SNAPSHOT, &commit, &[0]);
            bytes[158..162].copy_from_slice(&said.to_le_bytes());
            insider.put_entry(&bytes)
        }));
    }
    let bodies: [(&str, Vec<u8>); 6] = [
        ("nothing", Vec::new()),
        ("an unknown placement", vec![2; 100]),
        ("ones", vec![0xFF; 1_000]),
        ("no commit", vec![0; 1]),
        ("zeros", vec![0; 65_310]),
        (
            "packs without end",
            [vec![0; 9], vec![0xFF; 60_000]].concat(),
        ),
    ];
    for (what, body) in bodies {
        let what = format!("a snapshot of {what}");
        all.push(planted(what, Expected::Void, move |scene| {
            let (insider, commit) = (&scene.insider, CommitId([1; 16]));
            let bytes = entry(&insider.repository, insider.key(), SNAPSHOT, &commit, &body);
            insider.put_entry(&bytes)
        }));
    }
    all
}

/// Signs an authorize entry with this slot and these grant facts, by the
/// administrator, whose key somebody stole.
fn authorize(scene: &Scene<'_>, facts: &[u8], slot: &[u8], lens: [Option<u16>; 2]) -> u64 {
    let (repository, admin) = (&scene.insider.repository, &scene.fixture.bundle);
    let (env, commit) = (repository.env(), CommitId([1; 16]));
    let subject = write_key_beside(repository).signer();
    let bound = [&repository.id().0[..], &commit.0, &subject.0].concat();
    let key = SecretKey::new(env.random());
    let sealed = seal::seal(&key, GRANT_FACTS, &bound, facts);
    let (public, psk) = (&admin.meta_public, &admin.psk);
    let wrapped = seal::wrap(public, psk, GRANT_FACTS_KEY, &bound, &key, env.random());
    let len = |said: Option<u16>, bytes: &[u8]| {
        said.unwrap_or_else(|| u16::try_from(bytes.len()).expect("it is short"))
    };
    let mut body = Builder::new();
    body.bytes(&subject.0)
        .bytes(&[5; 32])
        .bytes(&admin.domain.0);
    body.u8(Rights::VERIFY.to_byte())
        .u32(Rights::VERIFY.kinds().0)
        .u64(0);
    body.bytes(&wrapped.expect("the keys are usable"));
    body.u16(len(lens[0], &sealed)).bytes(&sealed);
    body.u16(len(lens[1], slot)).bytes(slot);
    let bytes = entry(repository, admin, AUTHORIZE, &commit, &body.finish());
    scene.insider.put_entry(&bytes)
}

/// Grants whose private part, or slot, promises more than there is.
fn grants() -> Vec<Bomb> {
    let right = GrantFacts::new("test", Vec::new()).expect("facts").encode();
    let mut all = vec![
        planted("facts of 64 KiB that are not there", Expected::Void, {
            let right = right.clone();
            move |scene| authorize(scene, &right, &[], [Some(u16::MAX), None])
        }),
        planted("a slot of 64 KiB that is not there", Expected::Void, {
            let right = right.clone();
            move |scene| authorize(scene, &right, &[], [None, Some(u16::MAX)])
        }),
    ];
    for patterns in [1, 65, u16::MAX] {
        let what = format!("facts with {patterns} patterns that are not there");
        all.push(Bomb {
            what,
            charge: Charge::Met(Box::new(move |scene| {
                let mut facts = Builder::new();
                facts.text8(b"test").u16(patterns);
                let number = authorize(scene, &facts.finish(), &[], [None, None]);
                Box::new(move |scene| {
                    let repository = scene.open(&scene.fixture.recovery)?;
                    let entry = repository.history().entries.get(&number);
                    let subject = entry.map(|_| repository.history().authority.grants());
                    let mut new = subject.ok_or("the grant is void")?;
                    let (subject, _) = new
                        .find(|(_, grant)| grant.entry == number)
                        .ok_or("the grant is not known")?;
                    match repository.facts(subject) {
                        Err(_) => Ok(()),
                        Ok(facts) => Err(format!("the facts are {facts:?}")),
                    }
                })
            })),
        });
    }
    all
}

/// Costs of Argon2id that nobody may be made to pay.
const COSTS: [(u32, u32, u32); 14] = [
    (1, u32::MAX, 1),
    (1, 1 << 31, 1),
    (1, (1 << 20) + 1, 1),
    (17, 8, 1),
    (u32::MAX, 8, 1),
    (u32::MAX, u32::MAX, u32::MAX),
    (1, 1 << 20, 17),
    (1, 1 << 20, u32::MAX),
    (5, 1 << 20, 4),
    (16, (1 << 18) + 1, 4),
    (0, 8, 1),
    (1, 0, 1),
    (1, 8, 0),
    (1, 31, 4),
];

/// A slot of this cost, around nothing.
fn slot((passes, memory_kib, lanes): (u32, u32, u32)) -> Vec<u8> {
    let mut out = Builder::new();
    out.u8(1).u32(passes).u32(memory_kib).u32(lanes);
    out.bytes(&[7; 32]).text16(&[7; 300]);
    out.finish()
}

/// Slots that would take all memory, or all time, to try.
fn slots() -> Vec<Bomb> {
    let mut all = Vec::new();
    for cost in COSTS {
        // A passphrase that opens nothing is tried on every slot.
        all.push(Bomb {
            what: format!("a key's slot that costs (t, m, p) = {cost:?}"),
            charge: Charge::Met(Box::new(move |scene| {
                let facts = GrantFacts::new("test", Vec::new()).expect("facts").encode();
                authorize(scene, &facts, &slot(cost), [None, None]);
                Box::new(|scene| {
                    let wrong = Credential::Passphrase(Zeroizing::new("a wrong one".to_owned()));
                    match scene.open(&wrong) {
                        Err(error) if error.contains("none of the repository's 1 ") => Ok(()),
                        other => Err(format!("{:?}", other.map(|_| "it opens"))),
                    }
                })
            })),
        });
        // A genesis that anyone can sign, since it names its own signer.
        all.push(Bomb {
            what: format!("a genesis slot that costs (t, m, p) = {cost:?}"),
            charge: Charge::Met(Box::new(move |scene| {
                put_genesis(scene, cost);
                Box::new(|scene| match scene.open(&scene.fixture.recovery) {
                    Err(error) if error.contains("can't be read") => Ok(()),
                    other => Err(format!("{:?}", other.map(|_| "it opens"))),
                })
            })),
        });
    }
    all
}

/// Exchanges genesis for one that is signed anew, with another cost.
fn put_genesis(scene: &Scene<'_>, (passes, memory_kib, lanes): (u32, u32, u32)) {
    let mut genesis = object(&scene.fixture.store, &ObjectKey::Log(0));
    // Behind the frame and the fixed fields of SPEC 3.6 the slot begins.
    let cost = 162 + 49 + 1;
    let fields = [passes, memory_kib, lanes].map(u32::to_le_bytes).concat();
    genesis[cost..cost + 12].copy_from_slice(&fields);
    let end = genesis.len() - 64;
    let message = [&[0; 32][..], &genesis[..end]].concat();
    let seed = &scene.fixture.bundle.signing_seed;
    genesis[end..].copy_from_slice(&seal::sign(seed, LOG_ENTRY, &message));
    scene.fixture.store.replace(&ObjectKey::Log(0), &genesis);
}

/// Commit bodies, in entries and in records.
fn commits() -> Vec<Bomb> {
    let mut all = Vec::new();
    let counts = [1, 917_504, 917_505, u32::MAX];
    for count in counts {
        for in_record in [false, true] {
            let place = if in_record { "a record" } else { "an entry" };
            let expected = if in_record {
                Expected::Unreadable
            } else {
                Expected::Void
            };
            let what = format!("{place} with {count} packs that are not there");
            all.push(planted(what, expected, move |scene| {
                let (_, manifest) = sound(&scene.insider);
                let mut commit = RawCommit::of(&[], &manifest);
                commit.packs = count.to_le_bytes().to_vec();
                put(scene, &commit, in_record)
            }));
        }
    }
    let lens = [Some(u32::MAX), Some(16 << 20), Some(1 << 20), Some(0)];
    for said in lens {
        for (which, lens) in [("reach", (said, None)), ("manifest", (None, said))] {
            for in_record in [false, true] {
                let expected = if in_record {
                    Expected::Unreadable
                } else {
                    Expected::Void
                };
                let what = format!("a {which} of {said:?} bytes, in a record: {in_record}");
                all.push(planted(what, expected, move |scene| {
                    let (packs, manifest) = sound(&scene.insider);
                    let mut commit = RawCommit::of(&packs, &manifest);
                    commit.lens = lens;
                    put(scene, &commit, in_record)
                }));
            }
        }
    }
    all.extend(records());
    all
}

/// Commit records that are not what their entries say.
fn records() -> Vec<Bomb> {
    let mut all = Vec::new();
    let most = u32::try_from(COMMIT_BYTES_MAX).expect("64 MiB");
    for (said, expected) in [
        (u32::MAX, Expected::Void),
        (most + 1, Expected::Void),
        (most, Expected::Unreadable),
        (0, Expected::Unreadable),
    ] {
        let what = format!("a record of {said} bytes that is not there");
        all.push(planted(what, expected, move |scene| {
            let (commit, id) = (CommitId([1; 16]), RecordId([9; 32]));
            record_entry(&scene.insider, &commit, &id, said)
        }));
    }
    let what = "a record of 80 MiB said to have 1,000 bytes";
    all.push(planted(what, Expected::Unreadable, |scene| {
        let (commit, id) = (CommitId([1; 16]), RecordId([9; 32]));
        let record = vec![0; 80 << 20];
        let key = ObjectKey::Record(id);
        scene.fixture.store.replace(&key, &record);
        record_entry(&scene.insider, &commit, &id, 1_000)
    }));
    for said in [1_000, most] {
        let what = format!("a record said to have {said} bytes, and has others");
        all.push(planted(what, Expected::Unreadable, move |scene| {
            let (packs, manifest) = sound(&scene.insider);
            let mut commit = RawCommit::of(&packs, &manifest);
            commit.reach = noise(1, 100_000);
            let store = &scene.fixture.store;
            commit.record(&scene.insider, store, Some(said))
        }));
    }
    all
}

fn put(scene: &Scene<'_>, commit: &RawCommit, in_record: bool) -> u64 {
    if in_record {
        commit.record(&scene.insider, &scene.fixture.store, None)
    } else {
        commit.inline(&scene.insider)
    }
}

/// More junk than fits into the bound, where the log ends and beyond.
fn floods() -> Vec<Bomb> {
    let next = |scene: &Scene<'_>| scene.insider.repository.history().next;
    let flood = |what: &str, ahead: u64| {
        planted(what, Expected::Void, move |scene| {
            let first = next(scene) + ahead;
            for number in first..first + 1_500 {
                let junk = vec![0; 65_537];
                scene.fixture.store.replace(&ObjectKey::Log(number), &junk);
            }
            first
        })
    };
    let far = planted("an entry of the greatest number", Expected::Void, |scene| {
        let number = 999_999_999_999;
        scene
            .fixture
            .store
            .replace(&ObjectKey::Log(number), b"junk");
        number
    });
    let long = planted(
        "an object of 80 MiB at the head",
        Expected::Void,
        move |scene| {
            let junk = vec![0; 80 << 20];
            scene.insider.put_entry(&junk)
        },
    );
    vec![
        long,
        flood("92 MiB of junk at the head", 0),
        flood("92 MiB of junk ahead of the head", 500),
        flood("92 MiB of junk beyond the end", 5_000),
        far,
    ]
}

/// Makes the text of a key file, when it is asked for.
type Text = fn() -> String;

/// Key files, which their holder has from somebody else.
fn key_files() -> Vec<Bomb> {
    let mut all = Vec::new();
    for size in [1 << 20, u64::MAX] {
        all.push(Bomb {
            what: format!("a key file that pins {size} entries"),
            charge: Charge::Met(Box::new(move |_| {
                Box::new(move |scene| {
                    let repository = scene.open(&scene.fixture.recovery)?;
                    let Credential::KeyFile(file) = key_file(&repository, &scene.fixture.bundle)
                    else {
                        unreachable!("a key file was made")
                    };
                    let pinned = Credential::KeyFile(Box::new(KeyFile { size, ..*file }));
                    let mut repository = scene.open(&pinned)?;
                    take_stream(&mut repository, "shop", b"content")
                        .map(drop)
                        .map_err(|error| chain(&error))
                })
            })),
        });
    }
    let texts: [(&str, Text); 4] = [
        ("of newlines", || key_file_text(&"\n".repeat(1 << 20))),
        ("of one line", || key_file_text(&"A".repeat(4 << 20))),
        ("of lines", || {
            key_file_text(&format!("{}\n", "A".repeat(64)).repeat(1 << 16))
        }),
        ("with a bundle of 64 KiB", bundle_of_64_kib),
    ];
    for (what, text) in texts {
        all.push(Bomb {
            what: format!("a key file {what}"),
            charge: Charge::Met(Box::new(move |_| {
                let text = text();
                Box::new(move |_| match KeyFile::decode(&text) {
                    Err(_) => Ok(()),
                    Ok(_) => Err("it is a key file".to_owned()),
                })
            })),
        });
    }
    all
}

fn key_file_text(inner: &str) -> String {
    format!("-----BEGIN INDELIBLE KEY FILE-----\n{inner}-----END INDELIBLE KEY FILE-----\n")
}

/// A key file with a right hash, whose bundle is longer than the file.
fn bundle_of_64_kib() -> String {
    let mut out = Builder::new();
    out.bytes(b"INDLKEY1")
        .bytes(&[1; 32])
        .u64(1)
        .bytes(&[1; 32]);
    out.u16(u16::MAX).bytes(&[1, 15]);
    let mut bytes = out.finish();
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    let base64 = data_encoding::BASE64.encode(&bytes);
    let lines = base64.as_bytes().chunks(64).map(String::from_utf8_lossy);
    key_file_text(
        &lines
            .flat_map(|line| [line, "\n".into()])
            .collect::<String>(),
    )
}
