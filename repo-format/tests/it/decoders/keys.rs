//! Keys and NAMEs (SPEC 4, 5).

use indelible_format::bundle::KeyBundle;
use indelible_format::grant::GrantFacts;
use indelible_format::ids::{CommitId, RepositoryId, SignerId};
use indelible_format::key_file::{KeyFile, KeyFileError};
use indelible_format::name::{Name, Pattern};
use indelible_format::policy::{Hold, Policy, Promise};
use indelible_format::rekey::Share;
use indelible_format::slot::PassphraseSlot;

use super::{Found, Refused, list};
use crate::vector::Vector;

pub(super) fn bundle(vector: &Vector) -> Result<Found, Refused> {
    let bundle = KeyBundle::decode(vector.bytes())?;
    Ok(describe(
        Found::encoded(bundle.encode().as_slice()),
        &bundle,
    ))
}

fn describe(found: Found, bundle: &KeyBundle) -> Found {
    let domain = &bundle.domain;
    found
        .give("rights", bundle.rights())
        .give("domain", domain)
        .give("epoch", bundle.epoch)
        .give("signer", bundle.signer())
        .give("meta-public", bundle.meta_public)
        .give("data-public", bundle.data_public)
        .give("index-key", bundle.index_key(domain).is_some())
        .give("node-id-key", bundle.node_id_key(domain).is_some())
        .give("data-id-key", bundle.data_id_key(domain).is_some())
        .give("gear-master", bundle.gear_master.is_some())
        .give("label", bundle.facts.label())
        .give("patterns", list(bundle.facts.patterns()))
}

pub(super) fn slot(vector: &Vector) -> Result<Found, Refused> {
    let slot = PassphraseSlot::decode(vector.bytes())?;
    let cost = slot.cost();
    let found = Found::encoded(slot.encode())
        .give("cost", list([cost.passes, cost.memory_kib, cost.lanes]));
    if !vector.has("passphrase") {
        return Ok(found);
    }
    let commit = CommitId(vector.array("commit"));
    let subject = SignerId(vector.array("subject"));
    let bundle = slot.open(vector.text("passphrase"), &commit, &subject)?;
    Ok(describe(found, &bundle))
}

pub(super) fn key_file(vector: &Vector) -> Result<Found, Refused> {
    let text = std::str::from_utf8(vector.bytes()).map_err(|_| KeyFileError::Armour)?;
    let file = KeyFile::decode(text)?;
    let found = Found::encoded(file.encode().as_bytes())
        .give("repository", file.repository)
        .give("size", file.size)
        .give("root", file.root);
    Ok(describe(found, &file.bundle))
}

pub(super) fn facts(vector: &Vector) -> Result<Found, Refused> {
    let facts = GrantFacts::decode(vector.bytes())?;
    Ok(Found::encoded(facts.encode())
        .give("label", facts.label())
        .give("patterns", list(facts.patterns())))
}

pub(super) fn share(vector: &Vector) -> Result<Found, Refused> {
    let share = Share::decode(vector.bytes())?;
    Ok(describe_share(
        Found::encoded(share.encode().as_slice()),
        &share,
    ))
}

pub(super) fn describe_share(found: Found, share: &Share) -> Found {
    found
        .give("rights", share.rights)
        .give("meta-public", share.meta_public)
        .give("data-public", share.data_public)
        .give("index-key", share.index.is_some())
        .give("meta-private", share.verify.is_some())
        .give("data-private", share.data_private.is_some())
}

pub(super) fn policy(vector: &Vector) -> Result<Found, Refused> {
    let policy = Policy::decode(vector.bytes())?;
    Ok(told(Found::encoded(policy.encode()), &policy))
}

pub(super) fn policy_body(vector: &Vector) -> Result<Found, Refused> {
    let repository = RepositoryId(vector.array("repository"));
    let commit = CommitId(vector.array("commit"));
    let policy = Policy::open(vector.bytes(), &repository, &commit, &vector.key("psk"))?;
    Ok(told(Found::new(), &policy))
}

fn told(found: Found, policy: &Policy) -> Found {
    let promised = |promise: &Promise| format!("{}={}", promise.pattern, promise.retain_ms);
    let held = |hold: &Hold| format!("{}={}", hold.entry, hold.until_ms);
    found
        .give("mode", format!("{:?}", policy.mode()))
        .give("promises", list(policy.promises().iter().map(promised)))
        .give("holds", list(policy.holds().iter().map(held)))
}

pub(super) fn name(vector: &Vector) -> Result<Found, Refused> {
    let name = Name::new(vector.bytes())?;
    Ok(Found::encoded(name.as_str()))
}

pub(super) fn pattern(vector: &Vector) -> Result<Found, Refused> {
    let pattern = Pattern::new(vector.bytes())?;
    let names = |key: &str| -> Vec<Name> {
        let names = vector.text(key).split_whitespace();
        names
            .map(|name| Name::new(name.as_bytes()).expect("a NAME"))
            .collect()
    };
    for name in names("matching") {
        assert!(pattern.matches(&name), "{}: {name}", vector.name);
    }
    for name in names("differing") {
        assert!(!pattern.matches(&name), "{}: {name}", vector.name);
    }
    Ok(Found::encoded(pattern.as_str()))
}
