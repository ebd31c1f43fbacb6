//! Keys, seals, signatures and ids: known answers (SPEC 2, 6.3, 12).

use indelible_format::coding::Class;
use indelible_format::ids::{DomainId, SignerId};
use indelible_format::pack;
use indelible_format::seal::{self, Label};
use indelible_format::secret::{self, SecretKey};
use indelible_format::wire::Builder;

use super::{Found, Refused};
use crate::vector::{Vector, hex};

/// The label whose text the vector states.
fn label(vector: &Vector) -> Label {
    let name = vector.text("label");
    match name.strip_prefix("indelible v1 ").unwrap_or(name) {
        "directory" => seal::DIRECTORY,
        "reach" => seal::REACH,
        "manifest" => seal::MANIFEST,
        "grant facts" => seal::GRANT_FACTS,
        "passphrase slot" => seal::PASSPHRASE_SLOT,
        "pack data key" => seal::PACK_DATA_KEY,
        "pack node key" => seal::PACK_NODE_KEY,
        "manifest key" => seal::MANIFEST_KEY,
        "grant facts key" => seal::GRANT_FACTS_KEY,
        "log entry" => seal::LOG_ENTRY,
        other => panic!("{}: {other} is no label", vector.name),
    }
}

/// The bytes are the material: a key, and a domain id or a salt.
pub(super) fn derive(vector: &Vector) -> Result<Found, Refused> {
    let (key, rest) = vector.bytes().split_first_chunk::<32>().expect("a key");
    let key = SecretKey::new(*key);
    let domain = || DomainId(rest.try_into().expect("a domain id"));
    let salt = || rest.try_into().expect("a salt");
    let purpose = vector.text("context");
    let derived = match purpose.strip_prefix("indelible v1 ").unwrap_or(purpose) {
        "domain data-id key" => secret::data_id_key(&key, &domain()),
        "domain node-id key" => secret::node_id_key(&key, &domain()),
        "domain gear key" => secret::gear_key(&key, &domain()),
        "domain index key" => secret::index_key(&key, &domain()),
        "directory key" => secret::directory_key(&key, &salt()),
        "reach key" => secret::reach_key(&key, &salt()),
        other => panic!("{}: {other} is no context", vector.name),
    };
    Ok(Found::new().give("key", hex(derived.expose())))
}

pub(super) fn gear_table(vector: &Vector) -> Result<Found, Refused> {
    let key = SecretKey::new(vector.bytes().try_into().expect("a key"));
    let table = secret::gear_table(&key);
    let mut bytes = Builder::new();
    for entry in table.iter() {
        bytes.u64(*entry);
    }
    Ok(Found::new()
        .give("first", table[0])
        .give("last", table[255])
        .give("blake3", blake3::hash(&bytes.finish()).to_hex()))
}

pub(super) fn seal(vector: &Vector) -> Result<Found, Refused> {
    let (key, label, bound) = (vector.key("key"), label(vector), vector.bytes_of("bound"));
    let plain = seal::open(&key, label, &bound, vector.bytes())?;
    let sealed = seal::seal(&key, label, &bound, &plain);
    Ok(Found::encoded(sealed).give("plaintext", hex(&plain)))
}

pub(super) fn wrap(vector: &Vector) -> Result<Found, Refused> {
    let (private, psk) = (vector.key("private"), vector.key("psk"));
    let (label, bound) = (label(vector), vector.bytes_of("bound"));
    let wrapped = vector.bytes().try_into().expect("80 bytes");
    let key = seal::unwrap(&private, &psk, label, &bound, wrapped)?;
    let mut found = Found::new().give("key", hex(key.expose()));
    if vector.has("drawn") {
        let public = seal::sealing_key_of(&private);
        let drawn = vector.array("drawn");
        found.encoded = Some(seal::wrap(&public, &psk, label, &bound, &key, drawn)?.to_vec());
    }
    Ok(found)
}

pub(super) fn sign(vector: &Vector) -> Result<Found, Refused> {
    let signature = vector.bytes().try_into().expect("64 bytes");
    let (signer, message) = (vector.array("signer"), vector.bytes_of("message"));
    seal::verify(&SignerId(signer), label(vector), &message, signature)?;
    let mut found = Found::new();
    if vector.has("seed") {
        found.encoded = Some(seal::sign(&vector.key("seed"), label(vector), &message).to_vec());
    }
    Ok(found)
}

pub(super) fn chunk_id(vector: &Vector) -> Result<Found, Refused> {
    let class = u8::try_from(vector.number("class")).expect("a byte");
    let class = Class::from_byte(class)?;
    let id = pack::chunk_id(&vector.key("id-key"), class, vector.bytes());
    Ok(Found::new().give("id", id))
}
