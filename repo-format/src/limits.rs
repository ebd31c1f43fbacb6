//! Upper bounds of everything that a store can claim (SPEC 11).
//!
//! A length that was read is compared with its limit before memory is taken by
//! it, so hostile bytes can't make a reader allocate more than these say.

/// A log entry, bytes.
pub const ENTRY_BYTES_MAX: usize = 65_536;
/// How much of a log object its leaf hash covers, bytes: one more than a valid
/// entry has, so that a longer object differs from every entry.
pub const LEAF_BYTES_MAX: usize = ENTRY_BYTES_MAX + 1;
/// So many successive numbers without an object end a log.
pub const LOG_GAP_END: u64 = 1_024;
/// Log objects of one bundle (SPEC 3.17).
pub const LOG_BUNDLE_OBJECTS: usize = 256;
/// The greatest number of a bundle: names of log entries have 12 digits.
pub const LOG_BUNDLES_MAX: u64 = LOG_NUMBER_MAX / LOG_BUNDLE_OBJECTS as u64;
/// A bundle, bytes.
pub const LOG_BUNDLE_BYTES_MAX: usize = 48 + LOG_BUNDLE_OBJECTS * (4 + LEAF_BYTES_MAX);
/// Plaintext of a data chunk, bytes.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;
/// Plaintext of a page or a node, bytes.
pub const NODE_CHUNK_BYTES_MAX: usize = 4 << 20;
/// A pack, bytes.
pub const PACK_BYTES_MAX: usize = 32 << 20;
/// Chunks of a pack.
pub const PACK_CHUNKS_MAX: usize = 8_192;
/// Other packs in the table of a directory.
pub const DIRECTORY_PACKS_MAX: usize = 4_096;
/// Depth of a delta chunk.
pub const DELTA_DEPTH_MAX: u8 = 16;
/// Bases of a delta chunk.
pub const DELTA_BASES_MAX: usize = 4;
/// Plaintexts of the bases of a delta chunk together, bytes.
pub const DELTA_BASES_BYTES_MAX: usize = 4 << 20;
/// A commit body, bytes.
pub const COMMIT_BYTES_MAX: usize = 64 << 20;
/// A sealed manifest, bytes.
pub const MANIFEST_BYTES_MAX: usize = 1 << 20;
/// A sealed reach, bytes.
pub const REACH_BYTES_MAX: usize = 16 << 20;
/// New packs of one commit.
pub const COMMIT_PACKS_MAX: usize = 917_504;
/// Items of a node.
pub const NODE_ITEMS_MAX: usize = 1_024;
/// Level of a node.
pub const NODE_LEVEL_MAX: u8 = 7;
/// Record section of a page, bytes.
pub const PAGE_RECORDS_BYTES_MAX: usize = 1 << 20;
/// Epochs before it that a rekey tells of.
pub const EPOCHS_MAX: usize = 256;
/// By how much the number of an epoch can be above that of the one before.
pub const EPOCH_STEP_MAX: u32 = 256;
/// Shares of one rekey entry.
pub const SHARES_MAX: usize = 1_024;
/// A sealed share of an epoch, bytes.
pub const SHARE_BYTES_MAX: usize = 1_024;
/// A key bundle, bytes.
pub const BUNDLE_BYTES_MAX: usize = 16 << 10;
/// NAME patterns of a key.
pub const PATTERNS_MAX: usize = 64;
/// A sealed policy, bytes: what an entry has room for, less its salt.
pub const POLICY_BYTES_MAX: usize = 64 << 10;
/// Snapshots that a policy holds.
pub const HOLDS_MAX: usize = 1_024;
/// For how long a policy can promise to keep a snapshot, milliseconds: a century.
pub const RETAIN_MS_MAX: u64 = 36_500 * 86_400_000;
/// A path in a snapshot, bytes.
pub const PATH_BYTES_MAX: usize = 4_096;
/// One component of a path, bytes.
pub const COMPONENT_BYTES_MAX: usize = 255;
/// Target of a symbolic link, bytes.
pub const SYMLINK_BYTES_MAX: usize = 4_095;
/// A NAME or a NAME pattern, bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// All tables of contents of a snapshot, bytes.
pub const CONTENTS_BYTES_MAX: usize = 64 << 20;
/// Sections of one dump.
pub const CONTENTS_SECTIONS_MAX: usize = 1 << 20;
/// Parts of a section's name.
pub const CONTENTS_NAME_PARTS_MAX: usize = 3;
/// One part of a section's name, bytes.
pub const CONTENTS_NAME_PART_BYTES_MAX: usize = 1_024;
/// The greatest number of a log entry: names have 12 digits (SPEC 3.1).
pub const LOG_NUMBER_MAX: u64 = 999_999_999_999;
/// Bytes of an object in one answer of a server.
pub const SERVED_READ_BYTES_MAX: u32 = 8 << 20;
/// Items of one page of a listing.
pub const SERVED_ITEMS_MAX: usize = 1_024;
/// The name of something that is no object, in a listing of a server, bytes.
pub const SERVED_PATH_BYTES_MAX: usize = 4_096;
/// What a server says of a failure, bytes.
pub const SERVED_MESSAGE_BYTES_MAX: usize = 1_024;
