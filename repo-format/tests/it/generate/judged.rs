//! Entries that the log makes valid or void.

use indelible_format::entry::Body;
use indelible_format::genesis::Genesis;
use indelible_format::grant::Authorize;
use indelible_format::ids::{LogHash, RepositoryId};
use indelible_format::rights::{Kind, Rights};

use super::{Group, flip, longer};
use crate::fixture::{
    self, ADMIN, EPOCH_MS, Log, OTHER_DOMAIN, attest, authorize, authorize_kinds, grant, key,
    revoke, signer, snapshot, staffed,
};
use crate::frame::Frame;
use crate::vector::Vector;

pub(super) fn make() -> Vec<Vector> {
    [begins(), valid(), void_frames(), void_grants(), void_revokes(), rekeys()].concat()
}

/// Objects of a log that ends with this one.
fn with(log: &Log, object: Vec<u8>) -> Vec<(u64, Vec<u8>)> {
    let mut log = log.clone();
    log.push(object);
    log.objects
}

fn signed(log: &Log, seed: u8, body: &Body) -> Vec<(u64, Vec<u8>)> {
    with(log, log.frame(seed, body).sign(&log.repository, &key(seed)))
}

fn changed(
    log: &Log,
    seed: u8,
    body: &Body,
    change: impl FnOnce(&mut Frame),
) -> Vec<(u64, Vec<u8>)> {
    let mut frame = log.frame(seed, body);
    change(&mut frame);
    with(log, frame.sign(&log.repository, &key(seed)))
}

fn begins() -> Vec<Vector> {
    let mut group = Group::new("authority", "3.6");
    let log = Log::begin();
    group.accept_log("genesis", "begins a repository", log.objects.clone());
    let body = Body::Genesis(fixture::genesis());
    // An empty log has nothing behind it: these are all of genesis' fields.
    let frame = Frame {
        number: 0,
        previous: LogHash([0; 32]),
        root: LogHash([0; 32]),
        commit: fixture::COMMIT,
        claimed_ms: EPOCH_MS,
        ..log.frame(ADMIN, &body)
    };
    let sign = |change: &dyn Fn(&mut Frame)| {
        let mut frame = frame.clone();
        change(&mut frame);
        vec![(0, frame.sign(&RepositoryId([0; 32]), &key(ADMIN)))]
    };
    assert_eq!(sign(&|_| {}), log.objects);
    let header = "GenesisHeader";
    group.reject_log("genesis-number", "numbered 1", "Number", sign(&|f| f.number = 1));
    group.reject_log("genesis-epoch", "epoch 1", header, sign(&|f| f.epoch = 1));
    group.reject_log("genesis-previous", "a leaf before", header, sign(&|f| f.previous.0[0] = 1));
    group.reject_log("genesis-root", "a root before", header, sign(&|f| f.root.0[31] = 1));
    let newer = sign(&|f| f.body[0] = 2);
    group.reject_log("genesis-newer", "format version 2", "TooNew", newer);
    let newest = sign(&|f| f.body = vec![0, 1]);
    group.reject_log("genesis-newest", "version 256 of another layout", "TooNew", newest);
    let genesis = &log.objects[0].1;
    let altered = flip(genesis, 40);
    group.reject_log("genesis-signature", "altered", "BadSignature", vec![(0, altered)]);
    let entry = log.frame(ADMIN, &authorize(2, Rights::WRITE));
    let other = entry.sign(&log.repository, &key(ADMIN));
    group.reject_log("genesis-kind", "another kind", "NotAllowed", vec![(0, other)]);
    group.reject_log("genesis-empty", "no bytes", "Truncated: log entry", vec![(0, Vec::new())]);
    group.vectors
}

fn valid() -> Vec<Vector> {
    let mut group = Group::new("authority", "3.7");
    let log = staffed();
    group.accept_log("authorize", "three keys", log.objects.clone());
    let other = authorize(9, Rights::ADMIN.union(Rights::RESTORE));
    group.accept_log("authorize-admin", "by another administrator", signed(&log, 4, &other));
    group.spec("3.5");
    group.accept_log("snapshot", "by a write key", signed(&log, 2, &snapshot()));
    group.accept_log("attest", "by a restore key", signed(&log, 3, &attest()));
    let hashes = changed(&log, 2, &snapshot(), |frame| {
        frame.previous.0 = [1; 32];
        frame.root.0 = [2; 32];
    });
    group.spec("3.12");
    group.accept_log("hashes", "the hashes that it states play no part", hashes);
    let foreign = changed(&log, 3, &attest(), |frame| frame.domain = OTHER_DOMAIN);
    group.accept_log("attest-domain", "only a snapshot's domain counts", foreign);
    let mut expiring = log.clone();
    expiring.append(ADMIN, &expiring_grant());
    let last = changed(&expiring, 9, &snapshot(), |frame| frame.claimed_ms = EPOCH_MS + 9);
    group.accept_log("expiry", "at the last moment", last);
    let late = changed(&expiring, 9, &snapshot(), |frame| frame.claimed_ms = EPOCH_MS + 10);
    group.reject_log("expired", "a moment later", "Expired", late);
    group.spec("3.8");
    group.accept_log("revoke", "of a key", signed(&log, 4, &revoke(2, 4)));
    group.accept_log(
        "revoke-self",
        "of the administrator by himself",
        signed(&log, ADMIN, &revoke(ADMIN, 0)),
    );
    group.spec("3.5");
    let unknown = Body::Opaque(Kind::Unknown(31), Vec::new());
    let critical = changed(&log, 4, &unknown, |frame| frame.kind = 31);
    let mut admin = log.clone();
    admin.append(ADMIN, &authorize_kinds(9, Rights::WRITE, u32::MAX));
    let by_admin = changed(&admin, ADMIN, &unknown, |frame| frame.flags = 1);
    group.accept_log("critical-admin", "no writer may go on", by_admin);
    let by_other = changed(&admin, 9, &unknown, |frame| frame.flags = 1);
    group.accept_log(
        "critical-other",
        "a key without the admin right can't stop writers",
        by_other,
    );
    group.reject_log(
        "critical-void",
        "of a kind that the grant does not allow",
        "NotAllowed",
        critical,
    );
    let expire = Body::Opaque(Kind::Expire, b"to come".to_vec());
    group.accept_log("critical-known", "a kind without a body yet", signed(&log, ADMIN, &expire));
    group.vectors
}

fn expiring_grant() -> Body {
    Body::Authorize(Authorize { expires_ms: Some(EPOCH_MS + 9), ..grant(9, Rights::WRITE) })
}

fn void_frames() -> Vec<Vector> {
    let mut group = Group::new("authority", "3.12");
    let log = staffed();
    let snapshots = signed(&log, 2, &snapshot());
    let plain = &snapshots.last().unwrap().1;
    group.reject_log("layout", "no entry", "Magic: log entry", with(&log, vec![0; 300]));
    let trailing = with(&log, longer(plain, &[0]));
    group.reject_log("trailing", "a byte behind", "Trailing: log entry", trailing);
    let oversized = with(&log, vec![0; 65_537]);
    let expected = "OutOfBounds: length of the log object";
    group.reject_log("too-long", "65,537 bytes", expected, oversized);
    let early = changed(&log, 2, &snapshot(), |frame| frame.number = 3);
    group.reject_log("number", "says that it is entry 3", "Number", early);
    let copied = with(&log, log.objects[1].1.clone());
    group.reject_log("copied", "a copy of another entry", "Number", copied);
    group.reject_log(
        "signer",
        "by a key that no entry names",
        "UnknownSigner",
        signed(&log, 9, &snapshot()),
    );
    group.reject_log("kind", "an attest by a write key", "NotAllowed", signed(&log, 2, &attest()));
    let kind = changed(&log, ADMIN, &snapshot(), |frame| frame.kind = 32);
    group.reject_log("kind-32", "kind 32", "Unknown: kind of the entry", kind);
    group.reject_log(
        "signature",
        "the signature is altered",
        "BadSignature",
        with(&log, flip(plain, plain.len() - 1)),
    );
    group.reject_log(
        "altered",
        "the body is altered",
        "BadSignature",
        with(&log, flip(plain, 163)),
    );
    let other = with(&log, log.frame(2, &snapshot()).sign(&RepositoryId([9; 32]), &key(2)));
    group.reject_log("repository", "of another repository", "BadSignature", other);
    let posing = with(&log, log.frame(ADMIN, &snapshot()).sign(&log.repository, &key(2)));
    group.reject_log("posing", "signed by another than it states", "BadSignature", posing);
    let domain = changed(&log, 2, &snapshot(), |frame| frame.domain = OTHER_DOMAIN);
    group.reject_log("domain", "a snapshot in another domain", "OtherDomain", domain);
    let second = Body::Genesis(Genesis { ..fixture::genesis() });
    group.reject_log(
        "second-genesis",
        "by the administrator",
        "SecondGenesis",
        signed(&log, ADMIN, &second),
    );
    let mut revoked = log.clone();
    revoked.append(4, &revoke(2, 4));
    group.reject_log("revoked", "by a revoked key", "Revoked", signed(&revoked, 2, &snapshot()));
    group.vectors
}

fn void_grants() -> Vec<Vector> {
    let mut group = Group::new("authority", "3.7");
    let log = staffed();
    let again = signed(&log, ADMIN, &authorize(2, Rights::WRITE));
    group.reject_log("again", "a key twice", "Overreach", again);
    let genesis = signed(&log, 4, &authorize(ADMIN, Rights::VERIFY));
    group.reject_log("administrator", "the administrator", "Overreach", genesis);
    let own = signed(&log, 4, &authorize(4, Rights::VERIFY));
    group.reject_log("own", "the signer itself", "Overreach", own);
    let mut revoked = log.clone();
    revoked.append(ADMIN, &revoke(2, 4));
    let back = signed(&revoked, ADMIN, &authorize(2, Rights::WRITE));
    group.reject_log("revoked-subject", "a revoked key", "Overreach", back);
    // The other administrator may not sign kind 31.
    let kinds = authorize_kinds(9, Rights::WRITE, 1 << 31);
    group.reject_log(
        "kinds",
        "a kind that its signer may not sign",
        "Overreach",
        signed(&log, 4, &kinds),
    );
    let mut deputy = log.clone();
    deputy.append(ADMIN, &authorize_kinds(9, Rights::WRITE, 0b1_0010));
    let admin = authorize_kinds(10, Rights::ADMIN, 0);
    group.reject_log(
        "admin",
        "admin, and its signer is none",
        "Overreach",
        signed(&deputy, 9, &admin),
    );
    let write = authorize_kinds(10, Rights::WRITE, 0b1_0000);
    group.accept_log(
        "deputy",
        "whose mask allows authorize, and no more than it has",
        signed(&deputy, 9, &write),
    );
    group.spec("3.5");
    let writer = signed(&log, 2, &authorize(9, Rights::WRITE));
    group.reject_log("write-authorize", "an authorize by a write key", "NotAllowed", writer);
    group.vectors
}

fn rekeys() -> Vec<Vector> {
    let mut group = Group::new("authority", "3.16");
    let mut log = staffed();
    log.append(ADMIN, &authorize(9, Rights::ALL));
    let rekey = fixture::rekey_of;
    group.accept_log("rekey", "begins epoch 1", signed(&log, 9, &rekey(1)));
    group.accept_log("rekey-step", "begins epoch 256", signed(&log, ADMIN, &rekey(256)));
    let bad = "BadRekey";
    group.reject_log("rekey-leap", "begins epoch 257", bad, signed(&log, ADMIN, &rekey(257)));
    group.reject_log("rekey-rights", "by a key without every right", bad, signed(&log, 4, &rekey(1)));
    group.reject_log("rekey-kind", "by a key that may not sign it", "NotAllowed", signed(&log, 3, &rekey(1)));
    let mut begun = log.clone();
    begun.append(9, &rekey(2));
    group.reject_log("rekey-past", "an epoch before", bad, signed(&begun, 9, &rekey(1)));
    group.reject_log("rekey-again", "an epoch that another key began", bad, signed(&begun, ADMIN, &rekey(2)));
    group.accept_log("rekey-more", "more shares, by who began it", signed(&begun, 9, &rekey(2)));
    group.accept_log("rekey-next", "the next epoch", signed(&begun, ADMIN, &rekey(3)));
    group.accept_log("rekey-distrusted", "then nobody writes in it", signed(&begun, ADMIN, &revoke(9, 5)));
    group.accept_log("rekey-trusted", "which its maker could still begin", signed(&begun, ADMIN, &revoke(9, 6)));
    group.vectors
}

fn void_revokes() -> Vec<Vector> {
    let mut group = Group::new("authority", "3.8");
    let log = staffed();
    let unknown = signed(&log, ADMIN, &revoke(9, 0));
    group.reject_log("revoke-unknown", "a key that was never authorised", "BadRevoke", unknown);
    let genesis = signed(&log, 4, &revoke(ADMIN, 0));
    group.reject_log(
        "revoke-administrator",
        "of the administrator by another",
        "BadRevoke",
        genesis,
    );
    let future = signed(&log, ADMIN, &revoke(2, 5));
    group.reject_log("revoke-future", "from an entry behind its own", "BadRevoke", future);
    let mut own = log.clone();
    own.append(ADMIN, &revoke(ADMIN, 4));
    let after = signed(&own, ADMIN, &revoke(2, 0));
    group.reject_log(
        "revoked-administrator",
        "by the administrator, who revoked himself",
        "Revoked",
        after,
    );
    let mut deputies = log.clone();
    deputies.append(4, &authorize(9, Rights::WRITE));
    deputies.append(ADMIN, &revoke(4, 4));
    assert_eq!(deputies.next(), 6);
    assert_eq!(signer(9).0, deputies.objects[4].1[162..194]);
    let child = signed(&deputies, 9, &snapshot());
    group.reject_log(
        "revoked-child",
        "by a key that a distrusted one authorised",
        "Revoked",
        child,
    );
    let mut late = log.clone();
    late.append(4, &authorize(9, Rights::WRITE));
    late.append(ADMIN, &revoke(4, 5));
    group.accept_log(
        "trusted-child",
        "by a key that it authorised before",
        signed(&late, 9, &snapshot()),
    );
    group.vectors
}
