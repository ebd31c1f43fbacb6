//! Which rows a table holds after so many nights, and in which order.
//!
//! What a night does to a row is a hash of the seed, the table, the row's
//! number and the night, compared with the edit's share. So the state of any
//! row follows from its number alone, at the cost of one hash a night, and no
//! list of edited rows is kept: memory does not grow with the table.
//!
//! The order follows from the same facts. In a heap, the rows written last
//! stand last; so a table is its rows sorted by (the night they were last
//! written, their number), where an edit in place counts as no new writing.
//! [`History::rows`] walks the numbers once for each generation and passes over
//! those that belong to another. From one night to the next only chosen rows
//! change generation, so all others keep their order, which is the whole claim
//! of an [`Edit`].
//!
//! Only rows with an even number are ever deleted. References between tables
//! name odd ones, so a dump of any night satisfies its foreign keys.

use super::edit::Edit;
use super::prng::{SplitMix64, derive};
use std::ops::Range;

/// How many fields of a row may change, beside `updated_at`.
const MUTABLE_FIELDS: usize = 3;

/// One row at one night.
pub(super) struct Row {
    /// The primary key, from 1.
    pub(super) id: u64,
    /// What all of the row's random fields derive from.
    pub(super) key: u64,
    /// The night that inserted it; 0 for the first dump's rows.
    pub(super) born: u32,
    /// The last night that updated it, or `born`.
    pub(super) written: u32,
    /// For each mutable field, the last night that changed it, or 0.
    changed: [u32; MUTABLE_FIELDS],
}

impl Row {
    /// A row as that night inserted it; the first dump's rows come from night 0.
    pub(super) fn born(table_key: u64, id: u64, night: u32) -> Self {
        Self {
            id,
            key: derive(table_key, id),
            born: night,
            written: night,
            changed: [0; MUTABLE_FIELDS],
        }
    }

    /// Changes a field; one beyond the last means none but `updated_at`.
    pub(super) fn update(&mut self, night: u32, field: usize) {
        self.written = night;
        if let Some(changed) = self.changed.get_mut(field) {
            *changed = night;
        }
    }

    /// The numbers behind what never changes in this row.
    pub(super) fn rng(&self) -> SplitMix64 {
        SplitMix64::new(self.key)
    }

    /// The numbers behind one of the fields that may change.
    pub(super) fn rng_of_field(&self, field: usize) -> SplitMix64 {
        self.rng_of_version(self.changed[field], field)
    }

    /// The numbers behind `updated_at`, which every update changes.
    pub(super) fn rng_of_update(&self) -> SplitMix64 {
        self.rng_of_version(self.written, MUTABLE_FIELDS)
    }

    fn rng_of_version(&self, night: u32, field: usize) -> SplitMix64 {
        let version = u64::from(night) << 8 | field as u64;
        SplitMix64::new(derive(self.key, version))
    }
}

/// What a night does to a row.
enum Fate {
    Kept,
    /// Carries the field that changes beside `updated_at`; one beyond the last
    /// means none.
    Updated(usize),
    Deleted,
}

struct Night {
    key: u64,
    /// The rows that [`Edit::Clustered`] updates.
    cluster: Range<u64>,
}

/// One table's rows through the nights.
pub(super) struct History {
    edit: Edit,
    table_key: u64,
    /// Rows of the first dump.
    base: u64,
    inserted_per_night: u64,
    nights: Vec<Night>,
}

impl History {
    /// A table of `base` rows, `night` nights later.
    pub(super) fn new(table_key: u64, base: u64, edit: Edit, night: u32) -> Self {
        let inserted_per_night = match edit {
            Edit::MovedToEnd { .. } | Edit::Appended { .. } => edit.share_of(base),
            _ => 0,
        };
        let count = if edit == Edit::Nothing { 0 } else { night };
        let nights = (1..=count)
            .map(|night| {
                let key = derive(!table_key, u64::from(night));
                let length = edit.share_of(base);
                let start = 1 + SplitMix64::new(key).below(base - length + 1);
                let cluster = start..start + length;
                Night { key, cluster }
            })
            .collect();
        Self {
            edit,
            table_key,
            base,
            inserted_per_night,
            nights,
        }
    }

    /// The rows in the order in which they stand in the table.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row> {
        let generations = match self.edit {
            Edit::MovedToEnd { .. } => self.last_night(),
            _ => 0,
        };
        (0..=generations).flat_map(move |generation| self.generation(generation))
    }

    /// The rows last written that night. Where nothing moves, all are of
    /// generation 0, whichever night inserted them.
    fn generation(&self, generation: u32) -> impl Iterator<Item = Row> {
        let moves = matches!(self.edit, Edit::MovedToEnd { .. });
        let last_born = if moves { generation } else { self.last_night() };
        (1..=self.last_id(last_born))
            .filter(move |&id| self.may_stand_in(id, generation))
            .filter_map(|id| self.row(id))
            .filter(move |row| !moves || row.written == generation)
    }

    /// Rules out most rows of another generation by a single hash.
    fn may_stand_in(&self, id: u64, generation: u32) -> bool {
        generation == 0
            || self.born(id) == generation
            || matches!(self.fate(id, generation), Fate::Updated(_))
    }

    /// The row at the last night, unless it was deleted by then.
    pub(super) fn row(&self, id: u64) -> Option<Row> {
        let born = self.born(id);
        let mut row = Row::born(self.table_key, id, born);
        if matches!(self.edit, Edit::Appended { .. }) {
            return Some(row);
        }
        for night in born + 1..=self.last_night() {
            match self.fate(id, night) {
                Fate::Kept => {}
                Fate::Deleted => return None,
                Fate::Updated(field) => row.update(night, field),
            }
        }
        Some(row)
    }

    fn fate(&self, id: u64, night: u32) -> Fate {
        let Night { key, cluster } = &self.nights[night as usize - 1];
        let hash = derive(*key, id);
        // The upper half decides whether, the lowest bits what.
        let draw = (hash >> 32) * 1000;
        let share = u64::from(self.edit.permille()) << 32;
        let updated = match self.edit {
            Edit::Scattered { .. } | Edit::MovedToEnd { .. } => draw < share,
            Edit::Clustered { .. } => cluster.contains(&id),
            Edit::Nothing | Edit::Appended { .. } => false,
        };
        if updated {
            return Fate::Updated((hash & 3) as usize);
        }
        // The same share of the even rows is half of it of all rows.
        let deletes = matches!(self.edit, Edit::MovedToEnd { .. });
        if deletes && id.is_multiple_of(2) && draw < 2 * share {
            return Fate::Deleted;
        }
        Fate::Kept
    }

    /// The night that inserted a row.
    fn born(&self, id: u64) -> u32 {
        if id <= self.base {
            return 0;
        }
        let night = (id - self.base - 1) / self.inserted_per_night + 1;
        u32::try_from(night).expect("a row's number lies below the last night's last")
    }

    fn last_id(&self, night: u32) -> u64 {
        self.base + self.inserted_per_night * u64::from(night)
    }

    fn last_night(&self) -> u32 {
        u32::try_from(self.nights.len()).expect("as many as a u32 counted")
    }
}
