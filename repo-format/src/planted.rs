//! Deliberate bugs, to see that each would be caught.
//!
//! A check that nobody misses is no check, and a test that nothing can fail is
//! no test. With the feature `planted-bugs`, which only tests turn on, the
//! variable `INDELIBLE_PLANTED_BUG` names one bug, and `tools/deliberate-bugs`
//! runs the test that must catch it. Without the feature [`planted`] is the
//! constant `false`, and nothing of a bug is compiled. An optimised build with
//! the feature is refused.

#[cfg(all(feature = "planted-bugs", not(debug_assertions)))]
compile_error!("planted bugs are for tests: nothing that is built to be used may have them");

/// A bug that can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A staged file gets its name before its bytes are durable.
    FileUnsynced,
    /// A name is not made durable.
    DirectoryUnsynced,
    /// The name of a new directory is not made durable.
    AnchorUnsynced,
    /// A sync that failed is tried again on the same file, and believed.
    SyncRetried,
    /// A directory whose sync failed is trusted again.
    LostForgotten,
    /// An object that another writer created is vouched for as it is.
    OtherUnsynced,
    /// A name that is taken by other bytes counts as stored.
    TakenIsSame,
    /// An unclear answer about a log entry counts as committed.
    UnclearIsCommitted,
    /// An unclear answer about a pack counts as stored.
    UnclearIsStored,
    /// What failed while packs were stored does not stop the commit.
    PackFailureIgnored,
    /// A younger version of a log entry counts.
    YoungestCounts,
    /// Of a pack in S3 the newest version is read, whatever its hash.
    NewestIsRead,
    /// A journalled pack is adopted without a look at its bytes.
    JournalUnchecked,
    /// A kept copy of a directory counts for any pack.
    CopyUnbound,
    /// What the index's files say is not looked up in a directory.
    IndexUnconfirmed,
    /// Reused packs are not looked for before an entry is signed.
    ReachUnchecked,
    /// A log entry's signature is not verified.
    SignatureUnchecked,
    /// A signature that is known counts for whatever stands at its number.
    KnownByNumber,
    /// Verification believes what the client knows of signatures.
    KnownBelieved,
    /// A key may sign entries of every kind.
    RightUnchecked,
    /// A key never expires.
    ExpiryIgnored,
    /// A revoked key goes on signing.
    RevocationIgnored,
    /// A key may give rights that it has not.
    OverreachAllowed,
    /// A snapshot may have a NAME that its key may not write.
    NameUnchecked,
    /// Entries of a distrusted key are shown as any other.
    DistrustIgnored,
    /// What a client remembers of the log is not compared.
    MemoryIgnored,
    /// Bundles of log objects are believed though nobody vouches for them.
    BundleBelieved,
    /// A pack key's commitment is not checked.
    CommitmentUnchecked,
    /// A delta may lean on pages and nodes.
    BaseClassUnchecked,
    /// What is wrong with a base is not held against what leans on it.
    BaseHarmForgotten,
    /// A chunk's associated data is empty.
    AssociatedDataDropped,
    /// A chunk's id is not checked.
    ChunkIdUnchecked,
    /// A commit record's id is not checked.
    RecordIdUnchecked,
    /// A pack's bytes are not compared with its name.
    PackNameUnchecked,
    /// Any checksum that a store tells stands for a pack's bytes.
    WordUncompared,
    /// Verification passes over a pack that is gone.
    MissingPassedOver,
    /// A path may lead upwards.
    UpwardsAllowed,
    /// A restore follows symbolic links.
    LinksFollowed,
    /// A passphrase slot may ask for any amount of memory.
    CostUnbounded,
}

/// Whether a bug is planted.
#[cfg(not(feature = "planted-bugs"))]
#[inline]
pub const fn planted(_: Bug) -> bool {
    false
}

/// Whether a bug is planted.
///
/// # Panics
///
/// If the variable names no bug: a misspelt bug would be caught by nothing.
#[cfg(feature = "planted-bugs")]
pub fn planted(bug: Bug) -> bool {
    use std::sync::OnceLock;

    static CHOSEN: OnceLock<Option<Bug>> = OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| {
        let name = std::env::var("INDELIBLE_PLANTED_BUG").unwrap_or_default();
        if name.is_empty() {
            return None;
        }
        let known = ALL.iter().copied().find(|bug| format!("{bug:?}") == name);
        assert!(known.is_some(), "there is no bug {name:?}");
        known
    });
    *chosen == Some(bug)
}

#[cfg(feature = "planted-bugs")]
const ALL: &[Bug] = &[
    Bug::FileUnsynced,
    Bug::DirectoryUnsynced,
    Bug::AnchorUnsynced,
    Bug::SyncRetried,
    Bug::LostForgotten,
    Bug::OtherUnsynced,
    Bug::TakenIsSame,
    Bug::UnclearIsCommitted,
    Bug::UnclearIsStored,
    Bug::PackFailureIgnored,
    Bug::YoungestCounts,
    Bug::NewestIsRead,
    Bug::JournalUnchecked,
    Bug::CopyUnbound,
    Bug::IndexUnconfirmed,
    Bug::ReachUnchecked,
    Bug::SignatureUnchecked,
    Bug::KnownByNumber,
    Bug::KnownBelieved,
    Bug::RightUnchecked,
    Bug::ExpiryIgnored,
    Bug::RevocationIgnored,
    Bug::OverreachAllowed,
    Bug::NameUnchecked,
    Bug::DistrustIgnored,
    Bug::MemoryIgnored,
    Bug::BundleBelieved,
    Bug::CommitmentUnchecked,
    Bug::BaseClassUnchecked,
    Bug::BaseHarmForgotten,
    Bug::AssociatedDataDropped,
    Bug::ChunkIdUnchecked,
    Bug::RecordIdUnchecked,
    Bug::PackNameUnchecked,
    Bug::WordUncompared,
    Bug::MissingPassedOver,
    Bug::UpwardsAllowed,
    Bug::LinksFollowed,
    Bug::CostUnbounded,
];
