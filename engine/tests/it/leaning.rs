//! Snapshots that lean on earlier ones: what they store, for whom, and that every
//! byte comes back.

mod edits;
mod near;

use std::collections::BTreeSet;
use std::fs;

use indelible_engine::cancel::Cancel;
use indelible_engine::keys::Credential;
use indelible_engine::pack::SealedDirectory;
use indelible_engine::progress::Silent;
use indelible_engine::repository::Repository;
use indelible_engine::snapshot::{self, Input, Summary};
use indelible_engine::store::{AppendStore, MemoryStore, ObjectKey};
use indelible_format::attest::Level;
use indelible_format::ids::PackId;
use indelible_format::pack::KeyClass;
use indelible_format::rights::Rights;

use crate::support::{
    Client, Fixture, key_file, key_request, listed, noise, object, packs, request, restore,
    restore_stream, rows, snapshot_at, stream, take, take_stream,
};

/// Opens with this key, on the host that keeps this.
fn open_as<'s>(
    fixture: &'s Fixture,
    client: &Client,
    key: &Credential,
) -> Repository<'s, MemoryStore> {
    Repository::open(
        &fixture.store,
        Some(&client.state),
        key,
        fixture.env.clone(),
    )
    .expect("the repository opens")
}

/// A dump of some rows, of which one in a hundred has changed since the night before:
/// each night others, all of them by a few bytes.
fn night(number: u64) -> Vec<u8> {
    let changed = |row: u64| (0..number).any(|night| row % 100 == (night * 37) % 100);
    let mut dump = rows(0..12_000);
    let text = String::from_utf8(std::mem::take(&mut dump)).expect("rows are text");
    let lines = text.lines().zip(0_u64..).map(|(line, row)| {
        if changed(row) {
            format!("{}\n", line.replace("open", "sent"))
        } else {
            format!("{line}\n")
        }
    });
    lines.collect::<String>().into_bytes()
}

/// Takes a night's snapshot as this key on this host.
fn backup(fixture: &Fixture, client: &Client, key: &Credential, dump: &[u8]) -> Summary {
    take_stream(&mut open_as(fixture, client, key), "shop", dump).expect("a snapshot")
}

/// What nearly every chunk has in common with its last version is not stored again,
/// whoever writes: a key that may restore, or one that may only write.
///
/// Method: four nights of one row in a hundred changed, as either key; count deltas
/// and bytes, restore each with the recovery key, and verify it all.
#[test]
fn the_cost_follows_what_changed() {
    for write_only in [false, true] {
        let fixture = Fixture::new(401);
        let key = if write_only {
            fixture.add_key(Rights::WRITE, &["shop"])
        } else {
            fixture.recovery.clone()
        };
        let client = Client::new();
        let mut first = 0;
        for number in 0..4 {
            let cost = backup(&fixture, &client, &key, &night(number)).accounting;
            if number == 0 {
                assert_eq!(cost.delta_chunks, 0);
                first = cost.added_bytes;
                continue;
            }
            assert!(cost.new_chunks > 100, "{cost:?}");
            assert!(cost.delta_chunks * 20 > cost.new_chunks * 19, "{cost:?}");
            assert!(cost.added_bytes * 3 < first, "{cost:?} after {first}");
        }
        let repository = fixture.open();
        let snapshots = listed(&repository);
        for (number, at) in snapshots.into_iter().zip(0..) {
            assert_eq!(restore_stream(&repository, number).unwrap(), night(at));
        }
        let report = fixture.verify(Level::Data);
        assert!(report.problems.is_empty(), "{:?}", report.problems);
    }
}

/// Who does not want deltas, or may not keep what they take, gets none, and no key of
/// a pack stays on the host.
///
/// Method: two nights with deltas off, with a strict key, and with a plain write key
/// for comparison; look at what the client keeps with its lists.
#[test]
fn none_where_they_are_not_wanted() {
    let fixture = Fixture::new(402);
    let plain = fixture.add_key(Rights::WRITE, &["shop"]);
    let strict = {
        let mut repository = fixture.open();
        let mut asked = key_request(Rights::WRITE, &["shop"]);
        asked.strict = true;
        let new = repository.add_key(asked).expect("the key is authorised");
        key_file(&repository, new.bundle())
    };
    for (key, delta, expected) in [
        (&plain, true, true),
        (&plain, false, false),
        (&strict, true, false),
    ] {
        let client = Client::new();
        let mut last = None;
        for number in 0..2 {
            let mut repository = open_as(&fixture, &client, key);
            let input = Input::Items(vec![stream("dump.sql", &night(number))]);
            let mut asked = request("shop");
            asked.delta = delta;
            let ran = snapshot::run(&mut repository, &asked, input, &Cancel::new(), &Silent);
            last = Some(ran.expect("a snapshot"));
        }
        let last = last.expect("two snapshots");
        assert_eq!(last.accounting.delta_chunks > 0, expected);
        let repository = open_as(&fixture, &client, key);
        let keys = lists_of(&repository, "shop")
            .latest()
            .expect("lists")
            .keys();
        assert_eq!(keys.is_empty(), !expected);
        assert_eq!(
            restore_stream(&fixture.open(), last.number).unwrap(),
            night(1)
        );
    }
}

fn lists_of<S: AppendStore>(
    repository: &Repository<'_, S>,
    name: &str,
) -> indelible_engine::state::ChunkLists {
    let key = repository.key();
    let gear = &key.write.as_ref().expect("the write right").gear;
    let name = request(name).name;
    let state = repository.state().expect("a state");
    state.chunk_lists(&key.domain, &name, gear)
}

/// A host that may only write remembers the keys of the packs that its last snapshot
/// takes, and of no others; they open those packs' contents.
///
/// Method: five nights, the last one of half the rows; compare the packs whose keys are
/// kept with those that the last snapshot reaches, and open each with its key.
#[test]
fn a_host_remembers_what_it_leans_on() {
    let fixture = Fixture::new(411);
    let key = fixture.add_key(Rights::WRITE, &["shop"]);
    let client = Client::new();
    let mut last = 0;
    for number in 0..5 {
        let dump = night(number);
        let dump = if number == 4 {
            &dump[..dump.len() / 2]
        } else {
            &dump
        };
        last = backup(&fixture, &client, &key, dump).number;
    }
    let keys = lists_of(&open_as(&fixture, &client, &key), "shop");
    let keys = keys.latest().expect("lists").keys();
    let repository = fixture.open();
    let (listings, _) = repository.listings();
    let snapshot = snapshot_at(&repository, last);
    let reached = repository
        .reached_packs(&snapshot, &listings)
        .expect("a reach");
    let kept: BTreeSet<PackId> = keys.keys().copied().collect();
    assert_eq!(kept, reached.into_iter().collect());
    assert!(kept.len() > 1, "it leans on earlier packs");
    for (pack, key) in keys {
        let bytes = object(&fixture.store, &ObjectKey::Pack(pack));
        let sealed = SealedDirectory::of_bytes(&bytes).expect("a pack");
        let opened = sealed.header().remembered_key(KeyClass::Data, &key);
        assert!(opened.is_ok());
        let opened = sealed.header().remembered_key(KeyClass::Node, &key);
        assert!(opened.is_err(), "it opens contents only");
    }
}

/// A lost state costs savings and nothing else.
///
/// Method: two nights, then one without a state, one with an empty one, and one with
/// that; count deltas, restore.
#[test]
fn a_lost_state_loses_savings() {
    let fixture = Fixture::new(403);
    let key = fixture.add_key(Rights::WRITE, &["shop"]);
    let (client, other) = (Client::new(), Client::new());
    let mut deltas = Vec::new();
    for (number, host) in [
        (0, Some(&client)),
        (1, Some(&client)),
        (2, None),
        (3, Some(&other)),
        (4, Some(&other)),
    ] {
        let dump = night(number);
        let summary = match host {
            Some(host) => backup(&fixture, host, &key, &dump),
            None => take_stream(&mut fixture.open_as(&key), "shop", &dump).expect("a snapshot"),
        };
        deltas.push(summary.accounting.delta_chunks > 0);
        assert_eq!(
            restore_stream(&fixture.open(), summary.number).unwrap(),
            dump
        );
    }
    assert_eq!(deltas, [false, true, false, false, true]);
}

/// Streams by their paths.
type Streams<'b> = Vec<(&'static str, &'b [u8])>;

/// What moved is found: between files, to a path with another date, and to another
/// name at the same place.
///
/// Method: two streams, edited and exchanged; one whose path has a date; one that is
/// called otherwise.
#[test]
fn what_moved_is_found() {
    let fixture = Fixture::new(404);
    let dumps = [0, 1, 2, 3].map(|from| rows(from * 50_000..from * 50_000 + 9_000));
    let changed = |dump: &[u8]| {
        let text = String::from_utf8(dump.to_vec()).expect("text");
        text.replace("7, '", "8, '").into_bytes()
    };
    let moves: [(&str, Streams<'_>, Streams<'_>); 3] = [
        (
            "exchanged",
            vec![("a.sql", &dumps[0]), ("b.sql", &dumps[1])],
            vec![("a.sql", &dumps[1]), ("b.sql", &dumps[0])],
        ),
        (
            "dated",
            vec![("shop-2026-11-24.sql", &dumps[2])],
            vec![("shop-2026-11-25.sql", &dumps[2])],
        ),
        (
            "renamed",
            vec![("old.sql", &dumps[3])],
            vec![("new.sql", &dumps[3])],
        ),
    ];
    for (name, before, after) in moves {
        let client = Client::new();
        let before = before.into_iter().map(|(path, bytes)| stream(path, bytes));
        let after: Vec<(&str, Vec<u8>)> = after
            .into_iter()
            .map(|(path, bytes)| (path, changed(bytes)))
            .collect();
        let items = after.iter().map(|(path, bytes)| stream(path, bytes));
        let mut repository = fixture.open_with(&client.state);
        take(&mut repository, name, before.collect()).expect("a snapshot");
        let summary = take(&mut repository, name, items.collect());
        let summary = summary.expect("a snapshot");
        let cost = summary.accounting;
        assert!(cost.new_chunks > 100, "{name}: {cost:?}");
        assert!(
            cost.delta_chunks * 10 > cost.new_chunks * 9,
            "{name}: {cost:?}"
        );
        let restored = restore(&fixture.open(), summary.number).unwrap();
        for (path, bytes) in after {
            assert!(restored[path.as_bytes()] == bytes, "{name}: {path}");
        }
    }
}

/// However many nights there are, no chunk is deeper than readers decode.
///
/// Method: seventy nights that change every chunk; open every directory, follow every
/// base, and hold each depth against those that it leans on; restore some.
#[test]
fn depth_is_bounded() {
    let fixture = Fixture::new(405);
    let client = Client::new();
    let dump = |night: u64| {
        let row = |row: u64| format!("{row:08} {:08} {}\n", (row % 8 + 1) * night, row * 7919);
        (0..2_000).map(row).collect::<String>().into_bytes()
    };
    let mut numbers = Vec::new();
    for night in 0..70 {
        let summary = backup(&fixture, &client, &fixture.recovery, &dump(night));
        numbers.push(summary.number);
    }
    let index_key = &fixture.bundle.write.as_ref().expect("every right").index;
    let mut depths = std::collections::HashMap::new();
    let mut bases = Vec::new();
    for id in packs(&fixture.store) {
        let sealed = SealedDirectory::of_bytes(&object(&fixture.store, &ObjectKey::Pack(id)))
            .expect("a pack");
        let directory = sealed.open(index_key).expect("it opens").directory;
        for (record, number) in directory.records.iter().zip(0_u16..) {
            depths.insert((id, number), record.depth);
            for base in &record.bases {
                let pack = match base.slot {
                    0 => id,
                    slot => directory.packs[usize::from(slot) - 1],
                };
                bases.push((record.depth, (pack, base.number)));
            }
        }
    }
    assert!(bases.iter().all(|(depth, base)| depths[base] < *depth));
    let deepest = depths.values().copied().max();
    assert!(deepest >= Some(9) && deepest <= Some(16), "{deepest:?}");
    let repository = fixture.open();
    for night in [0, 1, 15, 63, 69] {
        let restored = restore_stream(&repository, numbers[night]).unwrap();
        assert_eq!(restored, dump(night as u64), "{night}");
    }
}

/// What can't be read any more is not leaned on.
///
/// Method: after two nights destroy the first one's packs, with the directory copies
/// kept: the second night's deltas are there, and lean on nothing. The same dump again
/// restores whole, and so do two more.
#[test]
fn lost_bases_are_stored_again() {
    let fixture = Fixture::new(406);
    let client = Client::new();
    backup(&fixture, &client, &fixture.recovery, &night(0));
    let first = packs(&fixture.store);
    let second = backup(&fixture, &client, &fixture.recovery, &night(1));
    assert!(second.accounting.delta_chunks > 100);
    for pack in first {
        fixture.store.forget(&ObjectKey::Pack(pack));
    }
    for number in [1, 2, 3] {
        let summary = backup(&fixture, &client, &fixture.recovery, &night(number));
        assert_eq!(
            restore_stream(&fixture.open(), summary.number).unwrap(),
            night(number)
        );
    }
}

/// What does not get smaller by leaning is stored by itself: noise that changed
/// everywhere, and rows that compress as well alone.
///
/// Method: noise after other noise under the same front; one row repeated, after
/// another number of it.
#[test]
fn nothing_leans_in_vain() {
    let fixture = Fixture::new(407);
    let client = Client::new();
    for seed in 1..4 {
        let cost = backup(&fixture, &client, &fixture.recovery, &noise(seed, 200_000)).accounting;
        assert_eq!(cost.delta_chunks, 0, "{cost:?}");
    }
}

/// What a client's lists say of a chunk changes what it costs, never what is stored.
///
/// Method: after two nights give the client lists whose files were cut, spoilt, and
/// exchanged for those of another NAME; each next night restores.
#[test]
fn spoilt_lists_cost_savings() {
    let fixture = Fixture::new(408);
    let spoils: [fn(Vec<u8>) -> Vec<u8>; 3] = [
        |bytes| bytes[..bytes.len() / 2].to_vec(),
        |mut bytes| {
            for at in (50..bytes.len()).step_by(997) {
                bytes[at] ^= 1;
            }
            bytes
        },
        |_| Vec::new(),
    ];
    let client = Client::new();
    backup(&fixture, &client, &fixture.recovery, &night(0));
    for (spoil, number) in spoils.into_iter().zip(1..) {
        backup(&fixture, &client, &fixture.recovery, &night(number));
        for path in client.lists() {
            let bytes = fs::read(&path).expect("a list");
            fs::write(&path, spoil(bytes)).expect("it is writable");
        }
        let summary = backup(&fixture, &client, &fixture.recovery, &night(number + 10));
        let restored = restore_stream(&fixture.open(), summary.number).unwrap();
        assert_eq!(restored, night(number + 10));
    }
}
