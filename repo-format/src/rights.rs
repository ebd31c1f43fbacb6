//! What a key may do: the rights that its bundle holds, and the kinds of log
//! entry that its grant lets it sign (SPEC 5.3, 3.5).

use std::fmt;

use crate::wire::LayoutError;

/// A set of rights, closed under what each implies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights(u8);

impl Rights {
    /// Add snapshots.
    pub const WRITE: Self = Self(1);
    /// Walk trees and directories; read no contents.
    pub const VERIFY: Self = Self(2);
    /// Read contents. Implies verify.
    pub const RESTORE: Self = Self(4 | 2);
    /// Authorise and revoke keys. Implies verify.
    pub const ADMIN: Self = Self(8 | 2);
    /// Everything.
    pub const ALL: Self = Self(15);

    /// Reads the byte of SPEC 5.3.
    pub fn from_byte(byte: u8) -> Result<Self, LayoutError> {
        let field = "rights";
        if byte & !15 != 0 {
            return Err(LayoutError::Reserved { field });
        }
        let implied = if byte & 0b1100 == 0 { 0 } else { 2 };
        if byte == 0 || byte & implied != implied {
            return Err(LayoutError::NotCanonical { field });
        }
        Ok(Self(byte))
    }

    /// The byte of SPEC 5.3.
    pub fn to_byte(self) -> u8 {
        self.0
    }

    /// Whether all of `other` are among these.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both together.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The kinds of entry that a key with these rights needs to sign.
    pub fn kinds(self) -> Kinds {
        let mut mask = 0;
        if self.contains(Self::WRITE) {
            mask |= Kind::Snapshot.bit() | Kind::Volume.bit();
        }
        if self.contains(Self::VERIFY) {
            mask |= Kind::Attest.bit();
        }
        if self.contains(Self::ADMIN) {
            let kinds = [
                Kind::Authorize,
                Kind::Revoke,
                Kind::Rekey,
                Kind::Policy,
                Kind::Expire,
                Kind::Sweep,
                Kind::Upgrade,
            ];
            mask |= kinds
                .into_iter()
                .map(Kind::bit)
                .fold(0, |all, bit| all | bit);
        }
        Kinds(mask)
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.pad("all");
        }
        // What is implied by a stronger right goes without saying.
        let mut names = Vec::new();
        if self.contains(Self::WRITE) {
            names.push("write");
        }
        if self.contains(Self::RESTORE) {
            names.push("restore");
        }
        if self.contains(Self::ADMIN) {
            names.push("admin");
        }
        if self.contains(Self::VERIFY)
            && !self.contains(Self::RESTORE)
            && !self.contains(Self::ADMIN)
        {
            names.push("verify");
        }
        f.pad(&names.join("+"))
    }
}

/// What an entry is (SPEC 3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Makes the repository.
    Genesis,
    /// Gives a key its rights.
    Authorize,
    /// Takes them away.
    Revoke,
    /// Begins a new epoch.
    Rekey,
    /// Adds a snapshot.
    Snapshot,
    /// Claims that a verification was run.
    Attest,
    /// Sets retention.
    Policy,
    /// Says what lies on removable media.
    Volume,
    /// Takes snapshots out of what is kept.
    Expire,
    /// Announces the deletion of packs.
    Sweep,
    /// Changes the format.
    Upgrade,
    /// A kind, 11 to 31, that a later version defines.
    Unknown(u8),
}

impl Kind {
    const KNOWN: [Self; 11] = [
        Self::Genesis,
        Self::Authorize,
        Self::Revoke,
        Self::Rekey,
        Self::Snapshot,
        Self::Attest,
        Self::Policy,
        Self::Volume,
        Self::Expire,
        Self::Sweep,
        Self::Upgrade,
    ];

    /// Reads the byte of SPEC 3.5.
    pub fn from_byte(byte: u8) -> Result<Self, LayoutError> {
        match Self::KNOWN.get(usize::from(byte)) {
            Some(&kind) => Ok(kind),
            None if byte < 32 => Ok(Self::Unknown(byte)),
            None => Err(LayoutError::Unknown {
                field: "kind of the entry",
                found: byte.into(),
            }),
        }
    }

    /// The byte of SPEC 3.5.
    pub fn to_byte(self) -> u8 {
        match self {
            Self::Genesis => 0,
            Self::Authorize => 1,
            Self::Revoke => 2,
            Self::Rekey => 3,
            Self::Snapshot => 4,
            Self::Attest => 5,
            Self::Policy => 6,
            Self::Volume => 7,
            Self::Expire => 8,
            Self::Sweep => 9,
            Self::Upgrade => 10,
            Self::Unknown(byte) => byte,
        }
    }

    /// How the critical flag must stand, or `None` where the signer chooses.
    pub fn criticality(self) -> Option<bool> {
        match self {
            Self::Genesis
            | Self::Authorize
            | Self::Revoke
            | Self::Rekey
            | Self::Expire
            | Self::Sweep
            | Self::Upgrade => Some(true),
            Self::Snapshot | Self::Attest | Self::Policy | Self::Volume => Some(false),
            Self::Unknown(_) => None,
        }
    }

    fn bit(self) -> u32 {
        1 << self.to_byte()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(byte) => f.pad(&format!("kind {byte}")),
            known => f.pad(&format!("{known:?}").to_lowercase()),
        }
    }
}

/// A set of kinds: the mask of a grant (SPEC 3.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds(pub u32);

impl Kinds {
    /// Every kind: what the administrator of genesis may sign.
    pub const ALL: Self = Self(u32::MAX);

    /// Whether this kind is in the set.
    pub fn allows(self, kind: Kind) -> bool {
        self.0 & kind.bit() != 0
    }

    /// Whether all of `other` are among these.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A set of rights without what it implies has no encoding.
    ///
    /// Method: every byte, against the rule of SPEC 5.3 written out.
    #[test]
    fn rights_are_closed() {
        for byte in 0..=u8::MAX {
            let strong = byte & 4 != 0 || byte & 8 != 0;
            let right = byte != 0 && byte < 16 && (!strong || byte & 2 != 0);
            assert_eq!(Rights::from_byte(byte).is_ok(), right, "{byte}");
        }
    }

    /// A kind's byte and its variant agree.
    ///
    /// Method: round-trip every byte.
    #[test]
    fn kinds_round_trip() {
        for byte in 0..32 {
            assert_eq!(Kind::from_byte(byte).unwrap().to_byte(), byte);
        }
        assert!(Kind::from_byte(32).is_err());
    }

    /// A write key can't sign what only an administrator may.
    ///
    /// Method: ask for each such kind.
    #[test]
    fn write_signs_snapshots_only() {
        let kinds = Rights::WRITE.kinds();
        assert!(kinds.allows(Kind::Snapshot));
        for kind in [
            Kind::Authorize,
            Kind::Revoke,
            Kind::Expire,
            Kind::Sweep,
            Kind::Policy,
            Kind::Attest,
        ] {
            assert!(!kinds.allows(kind), "{kind}");
        }
    }
}
