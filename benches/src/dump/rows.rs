//! What stands in a row.
//!
//! A row's fields come from two kinds of numbers: those that follow from the
//! row alone, and, for each of its three mutable fields, those that follow from
//! the night that last changed it. So an update changes one mutable field and
//! `updated_at`, which always moves on to that night, and leaves every other
//! byte of the row as it was.
//!
//! JSON is written as `jsonb` prints it: shorter keys first, a blank after each
//! colon and comma.

use super::history::Row;
use super::lexicon::{FIRST_NAMES, LAST_NAMES, Lexicon, STREETS, TOWNS};
use super::line::{DAY_MICROS, Line};
use super::prng::SplitMix64;
use super::schema::Table;

/// 2023-01-01, when the first customer came.
const FIRST_DAY: u64 = 19_358;
/// 2026-01-01, when the first dump was taken. Night n is the n-th day from it.
const FIRST_DUMP_DAY: u64 = 20_454;

const STATUSES: [&str; 8] = [
    "delivered",
    "delivered",
    "delivered",
    "shipped",
    "paid",
    "pending",
    "cancelled",
    "returned",
];
const CURRENCIES: [&str; 6] = ["EUR", "EUR", "EUR", "GBP", "CHF", "PLN"];
const EVENT_KINDS: [&str; 8] = [
    "page_view",
    "page_view",
    "cart_add",
    "checkout",
    "payment_authorised",
    "email_sent",
    "label_printed",
    "parcel_scanned",
];
const EVENT_STATES: [&str; 4] = ["done", "done", "queued", "failed"];
const AGENTS: [&str; 6] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X)",
    "shop-android/4.18.2",
    "shop-ios/4.17.0",
    "webhook/2.1",
];

/// How many rows of each table existed at the first dump. References name only
/// those, and of those only odd ones, which no night deletes.
#[derive(Clone, Copy)]
pub(super) struct BaseRows {
    pub(super) customers: u64,
    pub(super) events: u64,
    pub(super) orders: u64,
}

impl BaseRows {
    pub(super) fn of(&self, table: Table) -> u64 {
        match table {
            Table::Customers => self.customers,
            Table::Events => self.events,
            Table::Orders => self.orders,
        }
    }

    pub(super) fn of_mut(&mut self, table: Table) -> &mut u64 {
        match table {
            Table::Customers => &mut self.customers,
            Table::Events => &mut self.events,
            Table::Orders => &mut self.orders,
        }
    }
}

/// Writes the rows of one dump.
pub(super) struct RowWriter {
    pub(super) base: BaseRows,
    lexicon: Lexicon,
}

impl RowWriter {
    pub(super) fn new(base: BaseRows) -> Self {
        Self {
            base,
            lexicon: Lexicon::new(),
        }
    }

    /// Appends one row, with the line feed that ends it.
    pub(super) fn write(&self, table: Table, row: &Row, line: &mut Line) {
        let mut rng = row.rng();
        let created = created_micros(row, self.base.of(table), &mut rng);
        let updated = updated_micros(row, created);
        line.number(row.id).tab();
        match table {
            Table::Customers => self.customer(row, &mut rng, line),
            Table::Events => self.event(row, &mut rng, line),
            Table::Orders => self.order(row, &mut rng, line),
        }
        line.tab().timestamp(created).tab().timestamp(updated).end();
    }

    fn customer(&self, row: &Row, rng: &mut SplitMix64, line: &mut Line) {
        let first = rng.pick(&FIRST_NAMES);
        line.text(first).text(" ").text(rng.pick(&LAST_NAMES)).tab();
        line.lowercase(first).number(rng.below(10_000));
        line.text("@example.")
            .text(rng.pick(&["com", "net", "org"]))
            .tab();
        if rng.chance(800) {
            line.text("+").number(rng.within(30, 49)).text(" ");
            line.number(rng.within(100_000_000, 999_999_999)).tab();
        } else {
            line.null().tab();
        }
        let mut moved = row.rng_of_field(1);
        line.text(moved.pick(&STREETS))
            .text(" ")
            .number(moved.within(1, 180))
            .tab();
        let town = rng.below(TOWNS.len() as u64);
        let (city, country) = TOWNS[usize::try_from(town).expect("one of the towns")];
        line.text(city).tab();
        line.number(rng.within(10_000, 99_999))
            .tab()
            .text(country)
            .tab();
        line.uuid(rng).tab();
        line.money(row.rng_of_field(0).below(200_000)).tab();
        self.note(300, 12, &mut row.rng_of_field(2), line);
    }

    fn event(&self, row: &Row, rng: &mut SplitMix64, line: &mut Line) {
        line.number(reference(self.base.orders, rng)).tab();
        line.text(rng.pick(&EVENT_KINDS)).tab();
        line.hex(rng.next(), 16).tab();
        self.payload(&mut row.rng_of_field(1), line);
        line.tab();
        line.text(row.rng_of_field(0).pick(&EVENT_STATES)).tab();
        line.number(row.rng_of_field(2).below(6));
    }

    fn payload(&self, rng: &mut SplitMix64, line: &mut Line) {
        line.text("{\"ip\": \"10.").number(rng.below(256)).text(".");
        line.number(rng.below(256)).text(".").number(rng.below(256));
        line.text("\", \"qty\": ").number(rng.within(1, 9));
        line.text(", \"sku\": \"")
            .text(rng.pick(&["HM", "EL", "GD", "BK", "FD"]));
        line.text("-").number(rng.within(1000, 9999));
        line.text("\", \"agent\": \"").text(rng.pick(&AGENTS));
        line.text("\", \"price\": ").money(rng.within(100, 50_000));
        line.text(", \"query\": \"");
        self.lexicon.query(rng.within(1, 4), rng, line);
        line.text("\", \"session\": \"")
            .hex(rng.next(), 16)
            .text("\"}");
    }

    fn order(&self, row: &Row, rng: &mut SplitMix64, line: &mut Line) {
        line.number(reference(self.base.customers, rng)).tab();
        line.text("W-").hex(rng.next(), 12).tab();
        line.text(row.rng_of_field(0).pick(&STATUSES)).tab();
        line.number(rng.within(1, 12)).tab();
        line.money(row.rng_of_field(1).within(100, 500_000)).tab();
        line.text(rng.pick(&CURRENCIES)).tab();
        self.note(900, 40, &mut row.rng_of_field(2), line);
    }

    /// A note of up to `words_max` words in `permille` of the rows, else none.
    fn note(&self, permille: u64, words_max: u64, rng: &mut SplitMix64, line: &mut Line) {
        if rng.chance(permille) {
            self.lexicon.note(rng.within(2, words_max), rng, line);
        } else {
            line.null();
        }
    }
}

/// An odd number up to `base`.
fn reference(base: u64, rng: &mut SplitMix64) -> u64 {
    2 * rng.below(base.div_ceil(2)) + 1
}

/// The first dump's rows were created in the order of their numbers; inserted
/// ones on their day.
fn created_micros(row: &Row, base: u64, rng: &mut SplitMix64) -> u64 {
    if row.born > 0 {
        return moment_of(row.born, rng);
    }
    let step = (FIRST_DUMP_DAY - FIRST_DAY) * DAY_MICROS / base;
    FIRST_DAY * DAY_MICROS + (row.id - 1) * step + rng.below(step)
}

/// The first dump's rows were last changed within two weeks of their creation
/// and before that dump, so that each night's update changes the field.
fn updated_micros(row: &Row, created: u64) -> u64 {
    let mut rng = row.rng_of_update();
    match row.written {
        0 => (created + rng.below(14 * DAY_MICROS)).min(FIRST_DUMP_DAY * DAY_MICROS),
        night if night == row.born => created,
        night => moment_of(night, &mut rng),
    }
}

fn moment_of(night: u32, rng: &mut SplitMix64) -> u64 {
    let day = FIRST_DUMP_DAY + u64::from(night) - 1;
    day * DAY_MICROS + 1 + rng.below(DAY_MICROS - 1)
}
