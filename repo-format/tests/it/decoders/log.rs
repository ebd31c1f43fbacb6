//! The log: entries, bodies, judgement, checkpoints (SPEC 3).

use indelible_format::attest::Attest;
use indelible_format::authority::{Authority, Void};
use indelible_format::checkpoint::{CheckpointError, ParsedCheckpoint, verifier_key};
use indelible_format::commit::SnapshotBody;
use indelible_format::entry::ParsedEntry;
use indelible_format::genesis::Genesis;
use indelible_format::grant::{Authorize, Revoke};
use indelible_format::history::{Continuity, History, LogProblem};
use indelible_format::ids::{CommitId, LogHash, RepositoryId, SignerId};
use indelible_format::log_bundle::LogBundle;
use indelible_format::merkle::{Frontier, leaf_hash};
use indelible_format::rekey::{EpochBinding, Rekey, SealedShare};
use indelible_format::rights::Kind;

use super::{Found, Refused, list, variant};
use crate::frame::encode_entry;
use crate::vector::{Vector, unhex};

pub(super) fn entry(vector: &Vector) -> Result<Found, Refused> {
    let bytes = vector.bytes();
    let entry = ParsedEntry::parse(bytes)?;
    let header = entry.header();
    let signature = &bytes[bytes.len() - 64..];
    Ok(
        Found::encoded(encode_entry(header, entry.body(), signature))
            .give("number", header.number)
            .give("kind", header.kind)
            .give("critical", header.critical)
            .give("epoch", header.epoch)
            .give("claimed-ms", header.claimed_ms)
            .give("commit", header.commit)
            .give("domain", header.domain)
            .give("signer", header.signer)
            .give("previous", header.previous)
            .give("root", header.root),
    )
}

pub(super) fn bundle(vector: &Vector) -> Result<Found, Refused> {
    let bundle = LogBundle::decode(vector.bytes())?;
    let objects: Vec<usize> = bundle.objects.iter().flatten().map(|it| it.len()).collect();
    let mut frontier = Frontier::new();
    let leaves = bundle
        .objects
        .iter()
        .map(|it| leaf_hash(it.unwrap_or_default()));
    leaves.for_each(|leaf| frontier.push(leaf));
    Ok(Found::encoded(bundle.encode())
        .give("repository", bundle.repository)
        .give("number", bundle.number)
        .give("objects", list(objects))
        .give("root", frontier.root()))
}

pub(super) fn genesis(vector: &Vector) -> Result<Found, Refused> {
    let genesis = Genesis::decode(vector.bytes())?;
    let sizes = &genesis.chunker;
    Ok(Found::encoded(genesis.encode())
        .give("chunker", list([sizes.min, sizes.average, sizes.max]))
        .give("normalization", sizes.normalization)
        .give("sealing-key", genesis.sealing_key))
}

pub(super) fn authorize(vector: &Vector) -> Result<Found, Refused> {
    let body = Authorize::decode(vector.bytes())?;
    let mut found = Found::encoded(body.encode())
        .give("subject", body.subject)
        .give("sealing-key", body.sealing_key)
        .give("domain", body.domain)
        .give("rights", body.rights)
        .give("kinds", format!("{:032b}", body.kinds.0))
        .give("expires-ms", format!("{:?}", body.expires_ms))
        .give("slot", body.slot.is_some());
    if vector.has("meta-private") {
        let facts = body.facts.open(
            &RepositoryId(vector.array("repository")),
            &CommitId(vector.array("commit")),
            &body.subject,
            &vector.key("meta-private"),
            &vector.key("psk"),
        )?;
        found = found
            .give("label", facts.label())
            .give("patterns", list(facts.patterns()));
    }
    Ok(found)
}

pub(super) fn revoke(vector: &Vector) -> Result<Found, Refused> {
    let body = Revoke::decode(vector.bytes())?;
    Ok(Found::encoded(body.encode())
        .give("subject", body.subject)
        .give("distrust-from", body.distrust_from))
}

pub(super) fn rekey(vector: &Vector) -> Result<Found, Refused> {
    let body = Rekey::decode(vector.bytes())?;
    let subjects = body.shares().iter().map(SealedShare::subject);
    let found = Found::encoded(body.encode())
        .give("epoch", body.epoch())
        .give("subjects", list(subjects));
    if !vector.has("subject") {
        return Ok(found);
    }
    let binding = EpochBinding {
        repository: RepositoryId(vector.array("repository")),
        commit: CommitId(vector.array("commit")),
        epoch: body.epoch(),
    };
    let share = body.share_of(&SignerId(vector.array("subject")));
    let (private, psk) = (vector.key("sealing-private"), vector.key("psk"));
    let share = share
        .expect("it has a share")
        .open(&private, &psk, &binding)?;
    let secrets = body.past_secrets(&share.psk, &binding)?;
    let metas = share
        .verify
        .as_ref()
        .map(|(_, meta)| body.past_metas(meta, &binding));
    let datas = share
        .data_private
        .as_ref()
        .map(|data| body.past_datas(data, &binding));
    let (metas, datas) = (metas.transpose()?, datas.transpose()?);
    Ok(super::keys::describe_share(found, &share)
        .give("past-secrets", list(secrets.keys()))
        .give(
            "past-metas",
            list(metas.iter().flat_map(|past| past.keys())),
        )
        .give(
            "past-datas",
            list(datas.iter().flat_map(|past| past.keys())),
        ))
}

pub(super) fn snapshot(vector: &Vector) -> Result<Found, Refused> {
    let body = SnapshotBody::decode(vector.bytes())?;
    let found = Found::encoded(body.encode());
    Ok(match body {
        SnapshotBody::Inline(body) => found.give("inline-packs", body.packs.len()),
        SnapshotBody::Record { id, len } => found.give("record", id).give("record-length", len),
    })
}

pub(super) fn attest(vector: &Vector) -> Result<Found, Refused> {
    let body = Attest::decode(vector.bytes())?;
    Ok(Found::encoded(body.encode())
        .give("level", format!("{:?}", body.level).to_lowercase())
        .give("sound", body.sound)
        .give("size", body.size)
        .give("root", body.root)
        .give("packs", body.packs)
        .give("bytes", body.bytes)
        .give("problems", body.problems))
}

/// Every object but the last must be valid; the last is what is asked about.
pub(super) fn authority(vector: &Vector) -> Result<Found, Refused> {
    let mut objects = vector.objects.iter();
    let (_, genesis) = objects.next().expect("a log begins with genesis");
    let (mut authority, first) = Authority::begin(genesis)?;
    let mut entry = first;
    let last = vector.objects.last().map(|(number, _)| *number);
    for (number, object) in objects {
        entry = match authority.admit(*number, object) {
            Ok(entry) => entry,
            Err(void) if Some(*number) == last => return Err(void.into()),
            Err(void) => panic!("{}: entry {number} is void: {void}", vector.name),
        };
    }
    let stop = authority.stop().map(|(number, _)| number);
    Ok(Found::new()
        .give("epoch", authority.epoch())
        .give("repository", authority.repository())
        .give("kind", entry.header().kind)
        .give("keys", authority.grants().count())
        .give("stop", format!("{stop:?}")))
}

pub(super) fn history(vector: &Vector) -> Result<Found, Refused> {
    let remembered: Vec<LogHash> = if vector.has("remembered") {
        let hashes = vector.text("remembered").split_whitespace();
        hashes
            .map(|hash| LogHash::from_hex(hash).expect("a hash"))
            .collect()
    } else {
        Vec::new()
    };
    let objects = vector.objects.iter();
    let history = History::read(
        objects.map(|(n, object)| (*n, object.as_slice())),
        &remembered,
    )?;
    let distrusted = history.entries.iter().filter_map(|(number, entry)| {
        let snapshot = entry.header().kind == Kind::Snapshot;
        (snapshot && history.authority.is_distrusted(entry)).then_some(number)
    });
    let stop = history.authority.stop().map(|(number, _)| number);
    let problems: Vec<String> = history.problems.iter().map(problem).collect();
    Ok(Found::new()
        .give("valid", list(history.entries.keys()))
        .give("problems", problems.join(", "))
        .give("continuity", continuity(history.continuity))
        .give("distrusted", list(distrusted))
        .give("stop", format!("{stop:?}"))
        .give("size", history.size())
        .give("root", history.root()))
}

fn problem(problem: &LogProblem) -> String {
    let void = |reason: &Void| variant(reason);
    match problem {
        LogProblem::Void { number, reason, .. } => format!("void {number} ({})", void(reason)),
        LogProblem::Damaged { number, reason } => format!("damaged {number} ({})", void(reason)),
        LogProblem::Removed { first, last } => format!("removed {first}-{last}"),
        LogProblem::OtherHistory { first, last } => format!("other history {first}-{last}"),
        LogProblem::Beyond { first, count } => format!("beyond {first} x{count}"),
        other => panic!("{other:?} has no form in vectors"),
    }
}

fn continuity(continuity: Continuity) -> String {
    match continuity {
        Continuity::Unpinned => "unpinned".to_owned(),
        Continuity::Extends => "extends".to_owned(),
        Continuity::Behind { shown, remembered } => format!("behind {shown} of {remembered}"),
        Continuity::Forked { at } => format!("forked {at}"),
    }
}

pub(super) fn checkpoint(vector: &Vector) -> Result<Found, Refused> {
    let note = std::str::from_utf8(vector.bytes()).map_err(|_| CheckpointError::Layout)?;
    let parsed = ParsedCheckpoint::parse(note)?;
    let signer = SignerId(vector.array("signer"));
    let claim = parsed.verify([signer])?;
    let found = Found {
        encoded: vector
            .has("seed")
            .then(|| claim.sign(&vector.key("seed")).into_bytes()),
        ..Found::new()
    };
    Ok(found
        .give("repository", claim.repository)
        .give("size", claim.size)
        .give("root", claim.root)
        .give("verifier-key", verifier_key(&claim.repository, &signer)))
}

pub(super) fn leaf(vector: &Vector) -> Result<Found, Refused> {
    Ok(Found::new().give("hash", leaf_hash(vector.bytes())))
}

/// The bytes are leaf hashes, one behind the other.
pub(super) fn merkle(vector: &Vector) -> Result<Found, Refused> {
    let mut frontier = Frontier::new();
    let (leaves, rest) = vector.bytes().as_chunks::<32>();
    assert!(rest.is_empty(), "{}: leaves have 32 bytes", vector.name);
    frontier.extend(leaves.iter().map(|leaf| LogHash(*leaf)));
    if vector.has("empty-leaf") {
        assert_eq!(leaf_hash(b"").0.to_vec(), unhex(vector.text("empty-leaf")));
    }
    Ok(Found::new()
        .give("size", frontier.size())
        .give("root", frontier.root()))
}
