//! Everything in a dump that is not a row.
//!
//! The text is that of `pg_dump --no-owner` from `PostgreSQL` 15, byte for byte,
//! but for the `\restrict` and `\unrestrict` lines with a random token that
//! releases since 15.14 write: a dump of nothing new must be nothing new.

/// From the first comment to the last `CREATE TABLE`.
pub(super) const HEAD: &str = include_str!("schema/head.sql");

/// From the first constraint to the closing comment.
pub(super) const TAIL: &str = include_str!("schema/tail.sql");

/// Closes a table's rows.
pub(super) const END_OF_ROWS: &str = "\\.\n\n\n";

/// A table, in the order in which `pg_dump` writes their rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Customers,
    Events,
    Orders,
}

impl Table {
    pub(super) const ALL: [Self; 3] = [Self::Customers, Self::Events, Self::Orders];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Customers => "customers",
            Self::Events => "events",
            Self::Orders => "orders",
        }
    }

    /// Its part of the rows' bytes, in thousandths.
    pub(super) const fn share_permille(self) -> u16 {
        match self {
            Self::Customers => 150,
            Self::Events => 350,
            Self::Orders => 500,
        }
    }

    /// Which of a row's mutable fields are a few bytes long.
    pub(super) const fn small_fields(self) -> [usize; 2] {
        match self {
            // The balance and the street; the status and the total.
            Self::Customers | Self::Orders => [0, 1],
            // The state and the attempts.
            Self::Events => [0, 2],
        }
    }

    /// The comment and the command before its rows.
    pub(super) fn start_of_rows(self) -> String {
        let name = self.name();
        let columns = match self {
            Self::Customers => {
                "id, name, email, phone, street, city, postcode, country, token, balance, note, \
                 created_at, updated_at"
            }
            Self::Events => {
                "id, order_id, kind, token, payload, state, attempts, created_at, updated_at"
            }
            Self::Orders => {
                "id, customer_id, reference, status, quantity, total, currency, note, created_at, \
                 updated_at"
            }
        };
        format!(
            "--\n-- Data for Name: {name}; Type: TABLE DATA; Schema: public; Owner: -\n--\n\n\
             COPY public.{name} ({columns}) FROM stdin;\n"
        )
    }
}
