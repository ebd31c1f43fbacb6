//! The words of notes and names, as often as a language uses them.
//!
//! How well a dump compresses, and how often a chunk's text resembles another's,
//! rests on the frequencies of its words. Those of natural language follow
//! Zipf's law; this uses Mandelbrot's form of it ("An Informational Theory of
//! the Statistical Structure of Language", 1953), 1 / (rank + 2.7). The shares
//! are computed in integers, so that no machine rounds them differently.

use super::line::Line;
use super::prng::SplitMix64;

/// The notes' vocabulary, most frequent first.
const WORDS: &str = "\
    the to and a of for in is on with was order customer not be by at from it we this as please \
    has been will no are that delivery package before after asked call address when or left two \
    an item new but have one paid back until sent again invoice received payment only same next \
    out day morning need other door return more parcel would if first front week wants now all \
    they about refund can old wrong card time could already box missing date without phone \
    number changed account still today send yesterday later their last checked carrier small \
    large blue red neighbour afternoon monday friday office name email made three confirmed \
    waiting open late damaged his her replacement should order's stock used gift ready label \
    use full arrived tomorrow discount hold code street price colour size white black green \
    between building reception warehouse agreed line reason ticket due shipped than which some \
    each second third pair both once evening night half month year every very just never always \
    also over under inside outside behind near far early soon quickly slowly carefully fragile \
    heavy light wet dry closed locked broken torn scratched bent empty packed unpacked sealed \
    opened signed unsigned accepted refused tuesday wednesday thursday saturday sunday january \
    february march april june july august september october november december spring summer \
    autumn winter holiday weekend noon midnight hour minute apartment floor gate bell key \
    stairs lift garage garden porch desk counter locker mailbox entrance corner driver courier \
    agent manager clerk supplier wholesaler partner colleague assistant wife husband son \
    daughter mother father friend owner tenant landlord guest visitor student teacher doctor \
    nurse message letter note form receipt contract quote estimate statement reminder complaint \
    question answer reply request enquiry approval signature stamp copy original draft version \
    page file photo picture scan bank transfer cash cheque credit debit balance deposit fee tax \
    vat customs duty currency exchange rate total sum amount cost charge bill offer sale \
    voucher coupon bonus points loyalty member subscription renewal plan cancel cancelled \
    change update correct corrected confirm check verify split combine merge replace repair \
    restore remove add include exclude forward collect deliver drop pick pack wrap ship store \
    keep release block unblock approve reject escalate close reopen assign follow remind \
    contact inform explain apologise promise expect require prefer allow avoid accept decline \
    suggest recommend complain insist forget remember understand shirt trousers jacket coat \
    dress skirt shoes boots socks hat scarf gloves belt bag wallet watch ring necklace table \
    chair sofa bed mattress pillow blanket curtain carpet lamp mirror shelf cupboard drawer \
    wardrobe kettle toaster blender oven fridge freezer washer dryer vacuum iron fan heater \
    radiator laptop keyboard mouse monitor printer scanner cable charger battery adapter \
    speaker headphones camera lens tripod tablet router switch drive memory screen case cover \
    stand mount hammer drill saw screwdriver wrench pliers nails screws bolts tape glue paint \
    brush roller ladder bucket bicycle helmet pump tyre chain pedal saddle lock basket book \
    novel magazine newspaper calendar notebook pencil pen ink paper envelope folder binder \
    stapler coffee tea sugar flour rice pasta oil vinegar salt pepper honey jam butter cheese \
    bread biscuit chocolate wine beer juice water milk cream apple orange lemon banana grape \
    cherry plum pear dog cat bird fish rabbit food leash collar cage tank ball racket net goal \
    tent rope torch compass map stove cooler kayak paddle surfboard skis cotton wool linen silk \
    leather rubber plastic glass metal steel copper brass oak pine walnut bamboo marble round \
    square narrow wide thick thin long short tall deep shallow soft hard smooth rough sharp \
    blunt cheap expensive rare common popular modern classic vintage simple fancy plain striped \
    dotted grey brown yellow purple pink silver golden beige turquoise violet crimson navy \
    olive warranty insurance policy terms conditions clause notice deadline extension penalty \
    claim dispute settlement appeal evidence report inspection audit review rating feedback \
    survey comment opinion delay strike storm snow flood traffic accident breakdown shortage \
    backlog inventory recall express standard economy overnight international domestic priority \
    freight pallet container truck van plane train depot hub terminal port airport border zone \
    region district province county village town city north south east west upper lower right \
    middle centre hello thanks regards sincerely urgent important private confidential internal \
    external temporary permanent partial complete final provisional preliminary duplicate \
    obsolete pending overdue valid invalid expired unknown anonymous verified suspended active \
    inactive archived deleted engraving embroidery alteration assembly installation \
    demonstration consultation maintenance calibration upholstery refurbishment disposal \
    recycling packaging palletising consolidation reconciliation authorisation chargeback \
    instalment prepayment remittance surcharge reimbursement overpayment misdelivered \
    mislabelled misprinted undeliverable unattended unavailable discontinued backordered \
    oversized underweight overweight incompatible defective counterfeit tampered leaking rusty \
    mouldy faded shrunk stained cracked chipped dented frayed loose stuck jammed noisy silent \
    flickering overheating barcode manifest waybill consignment docket tracking dispatch \
    fulfilment procurement requisition quarterly monthly weekly daily annual biweekly seasonal \
    promotional introductory exclusive limited bundle wholesale retail corporate charity school \
    hospital restaurant hotel bakery pharmacy florist butcher museum library theatre cinema \
    stadium gallery church castle bridge tower harbour station platform amsterdam lisbon vienna \
    prague dublin oslo helsinki warsaw athens madrid";

/// What clerks write again and again.
const PHRASES: [&str; 16] = [
    "please call before delivery",
    "left with the neighbour at number",
    "refund sent to the same card",
    "customer asked to change the delivery address",
    "waiting for the supplier to confirm",
    "no answer at the door,",
    "second attempt failed",
    "paid by bank transfer",
    "the box was damaged on one side",
    "replacement sent with order",
    "see ticket",
    "as agreed on the phone",
    "do not ring the bell",
    "wants a new invoice with the company name",
    "part of the order is still missing",
    "leave at the front desk",
];

#[rustfmt::skip]
pub(super) const FIRST_NAMES: [&str; 72] = [
    "Maria", "James", "Anna", "Peter", "Laura", "Thomas", "Elena", "David", "Sofia", "Martin",
    "Julia", "Daniel", "Emma", "Lukas", "Sarah", "Michael", "Nina", "Paul", "Clara", "Robert",
    "Eva", "Jan", "Lucia", "Mark", "Ines", "Simon", "Carla", "Erik", "Helen", "Oscar", "Alice",
    "Felix", "Marta", "Victor", "Irene", "Hugo", "Diana", "Adam", "Paula", "Leo", "Rosa", "Max",
    "Vera", "Ivan", "Greta", "Noah", "Lena", "Samuel", "Olga", "Bruno", "Edith", "Carlos",
    "Ida", "Henrik", "Alma", "Stefan", "Ruth", "Mateo", "Agnes", "Tobias", "Wanda", "Pedro",
    "Ingrid", "Karim", "Yasmin", "Rahul", "Priya", "Kenji", "Mei", "Amara", "Tariq", "Zofia",
];

#[rustfmt::skip]
pub(super) const LAST_NAMES: [&str; 88] = [
    "Müller", "García", "Smith", "Rossi", "Novák", "Jensen", "Martin", "Silva", "Kowalski",
    "Johnson", "Schmidt", "López", "Brown", "Ferrari", "Dvořák", "Hansen", "Bernard", "Santos",
    "Nowak", "Williams", "Fischer", "Pérez", "Jones", "Bianchi", "Svoboda", "Nielsen", "Dubois",
    "Costa", "Wójcik", "Taylor", "Weber", "Sánchez", "Davies", "Romano", "Horák", "Larsen",
    "Moreau", "Pereira", "Kamiński", "Wilson", "Wagner", "Ramírez", "Evans", "Colombo", "Němec",
    "Sørensen", "Laurent", "Almeida", "Lewandowski", "Thomas", "Becker", "Torres", "Roberts",
    "Ricci", "Marek", "Andersen", "Simon", "Ribeiro", "Zieliński", "Walker", "Hoffmann",
    "Flores", "Wright", "Marino", "Pokorný", "Olsen", "Michel", "Carvalho", "Szymański",
    "Thompson", "Koch", "Rivera", "White", "Greco", "Král", "Berg", "Lefèvre", "Teixeira",
    "Dąbrowski", "Hughes", "Tanaka", "Okafor", "Singh", "Nguyen", "Kim", "Haddad", "Kaya",
    "Ivanova",
];

#[rustfmt::skip]
pub(super) const STREETS: [&str; 40] = [
    "Main Street", "Church Road", "Station Road", "High Street", "Park Avenue", "Mill Lane",
    "Victoria Road", "Green Lane", "Bahnhofstraße", "Hauptstraße", "Gartenweg", "Schulstraße",
    "Lindenallee", "Rue de la Paix", "Rue Victor Hugo", "Avenue de la Gare", "Rue des Écoles",
    "Via Roma", "Via Garibaldi", "Corso Italia", "Calle Mayor", "Calle Real", "Avenida del Sol",
    "Plaza Nueva", "Rua Direita", "Rua do Comércio", "Kerkstraat", "Dorpsstraat", "Molenweg",
    "Nygade", "Strandvejen", "Kirkegata", "Storgatan", "Kungsgatan", "Mannerheimintie",
    "ulica Polna", "ulica Leśna", "Nádražní", "Kossuth Lajos utca", "Harbour View",
];

/// Towns with their countries (ISO 3166-1).
#[rustfmt::skip]
pub(super) const TOWNS: [(&str, &str); 40] = [
    ("London", "GB"), ("Leeds", "GB"), ("Bristol", "GB"), ("Glasgow", "GB"), ("Dublin", "IE"),
    ("Cork", "IE"), ("Berlin", "DE"), ("Hamburg", "DE"), ("München", "DE"), ("Köln", "DE"),
    ("Leipzig", "DE"), ("Wien", "AT"), ("Graz", "AT"), ("Zürich", "CH"), ("Genève", "CH"),
    ("Paris", "FR"), ("Lyon", "FR"), ("Nantes", "FR"), ("Roma", "IT"), ("Milano", "IT"),
    ("Torino", "IT"), ("Madrid", "ES"), ("Sevilla", "ES"), ("Valencia", "ES"), ("Lisboa", "PT"),
    ("Porto", "PT"), ("Amsterdam", "NL"), ("Utrecht", "NL"), ("Bruxelles", "BE"),
    ("Gent", "BE"), ("København", "DK"), ("Aarhus", "DK"), ("Oslo", "NO"), ("Bergen", "NO"),
    ("Stockholm", "SE"), ("Malmö", "SE"), ("Helsinki", "FI"), ("Warszawa", "PL"),
    ("Praha", "CZ"), ("Budapest", "HU"),
];

/// Draws are looked up by this many random bits.
const DRAW_BITS: u32 = 14;

/// The vocabulary, ready to be drawn from.
pub(super) struct Lexicon {
    /// Each word as often as its share of all draws.
    draws: Vec<&'static str>,
}

impl Lexicon {
    pub(super) fn new() -> Self {
        let words: Vec<&'static str> = WORDS.split_ascii_whitespace().collect();
        let weight = |rank: usize| (1_u64 << 40) / (10 * rank as u64 + 37);
        let total: u64 = (0..words.len()).map(weight).sum();
        let mut draws = Vec::with_capacity(1 << DRAW_BITS);
        let mut reached = 0;
        for (rank, word) in words.iter().enumerate() {
            reached += weight(rank);
            let share = u128::from(reached) << DRAW_BITS;
            let until = usize::try_from(share / u128::from(total)).expect("at most all draws");
            draws.resize(until, *word);
        }
        Self { draws }
    }

    /// Appends a note of about `length` words: sentences with some figures, stock
    /// phrases, and now and then a line break.
    pub(super) fn note(&self, length: u64, rng: &mut SplitMix64, line: &mut Line) {
        for at in 0..length {
            if at > 0 {
                line.text(separator(rng));
            }
            // One draw serves the choice of both kind and word.
            let draw = rng.next();
            match draw >> 56 {
                0..18 => line.text(rng.pick(&PHRASES)),
                18..22 => line.number(rng.below(90) + 10),
                22..25 => line.text("ref ").hex(rng.next(), 8),
                _ => line.text(self.word(draw)),
            };
        }
    }

    /// Appends what a customer might search for: `length` words and no more.
    pub(super) fn query(&self, length: u64, rng: &mut SplitMix64, line: &mut Line) {
        for at in 0..length {
            line.text(if at > 0 { " " } else { "" });
            line.text(self.word(rng.next()));
        }
    }

    fn word(&self, draw: u64) -> &'static str {
        let mask = (1 << DRAW_BITS) - 1;
        self.draws[usize::try_from(draw & mask).expect("fits in a few bits")]
    }
}

/// What stands between two words. A line break inside a value is escaped, as
/// `COPY` requires.
fn separator(rng: &mut SplitMix64) -> &'static str {
    match rng.next() >> 56 {
        0..2 => "\\n",
        2..16 => ". ",
        16..30 => ", ",
        _ => " ",
    }
}
