//! Databases of a real MariaDB server, dumped in each form, whose tables are taken out
//! and loaded alone.

mod server;

use std::fmt::Write as _;

use indelible_engine::sql::extract::Part;
use indelible_engine::sql::{show_name, tables};
use indelible_format::contents::{Contents, Dialect, SectionKind};

use self::server::Server;
use super::random::{Choices, NAMES, TEXTS};
use super::{lines, plan, scan, take_out, written};

/// The server, or `None` if this machine has none and need not.
fn server() -> Option<Server> {
    let server = Server::start();
    if server.is_none() {
        let required = std::env::var_os("INDELIBLE_REQUIRE_SERVERS").is_some_and(|set| set == "1");
        assert!(!required, "MariaDB is required and not installed");
        eprintln!("SKIPPED: MariaDB is not installed");
    }
    server
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn literal(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('\'', "\\'");
    format!("'{text}'")
}

/// A kind of column, and its values.
const COLUMNS: [(&str, Option<&[&str]>); 8] = [
    ("text", None),
    ("varchar(300) NOT NULL DEFAULT 'a,;''b('", None),
    ("blob", Some(&["0x00ff275c0a22", "''", "NULL"])),
    (
        "enum('x', 'it''s; (', ',)') COMMENT 'FOREIGN KEY (`a`), x'",
        Some(&["'x'", "'it''s; ('"]),
    ),
    ("decimal(10,2)", Some(&["-1.5", "NULL"])),
    ("json", Some(&["'{\"a\": \"\\\\\\\\;\"}'", "NULL"])),
    ("bit(5)", Some(&["b'10101'", "NULL"])),
    (
        "datetime(6)",
        Some(&["'2026-01-02 03:04:05.000006'", "NULL"]),
    ),
];

/// Sequences, views, routines and what else stands between tables.
const AROUND: &str = r"
CREATE SEQUENCE `seq;` START WITH 7;
SELECT NEXTVAL(`seq;`);
DELIMITER ;;
CREATE FUNCTION f(a int) RETURNS int DETERMINISTIC BEGIN DECLARE x int; SET x = a; RETURN x; END;;
CREATE PROCEDURE p() BEGIN SELECT 'INSERT INTO `t` VALUES (1);'; /* it's ; */ END;;
CREATE EVENT ev ON SCHEDULE EVERY 1 DAY DO BEGIN SELECT 1; END;;
DELIMITER ;
";

fn random(seed: u64) -> String {
    let mut choices = Choices(seed);
    let mut sql = AROUND.to_owned();
    let mut referred: Option<String> = None;
    let first = choices.below(NAMES.len());
    for number in 0..5 {
        let table = quoted(NAMES[(first + number * 5) % NAMES.len()]);
        add_table(&mut sql, &mut choices, &table, referred.as_deref());
        referred = Some(table);
    }
    let last = referred.expect("there are tables");
    write!(
        sql,
        "CREATE VIEW `a view` AS SELECT * FROM {last};
         CREATE TABLE parted (a int, b text) PARTITION BY HASH (a) PARTITIONS 3;
         INSERT INTO parted VALUES (1, 'x'), (2, NULL);\n"
    )
    .unwrap();
    sql
}

fn add_table(sql: &mut String, choices: &mut Choices, table: &str, referred: Option<&str>) {
    let mut columns = vec!["id int AUTO_INCREMENT PRIMARY KEY".to_owned()];
    let mut values = Vec::new();
    let count = 1 + choices.below(4);
    for (number, odd) in NAMES.iter().enumerate().take(count) {
        let name = quoted(&format!("c{number} {odd}"));
        let (kind, of) = COLUMNS[choices.below(COLUMNS.len())];
        columns.push(format!("{name} {kind}"));
        values.push((name, of));
    }
    columns.push("parent int".to_owned());
    columns.push("twice int AS (parent * 2) STORED, KEY (parent, twice)".to_owned());
    // A name that the server makes from the table's it would not quote again.
    let own = choices.below(1_000_000);
    columns.push(format!(
        "CONSTRAINT own{own} FOREIGN KEY (parent) REFERENCES {table} (id)"
    ));
    if let Some(referred) = referred {
        columns.push("other int".to_owned());
        columns.push(format!(
            "CONSTRAINT {} FOREIGN KEY (other) REFERENCES {referred} (id) ON DELETE CASCADE",
            quoted(&format!("fk, ( {}", choices.below(1_000_000)))
        ));
    }
    columns.push("CHECK (parent < 1000 and 'a;(' <> ')')".to_owned());
    let columns = columns.join(", ");
    writeln!(
        sql,
        "CREATE TABLE {table} ({columns}) COMMENT='it''s; ), (', CHARSET=utf8mb4;"
    )
    .unwrap();
    let names: Vec<&str> = values.iter().map(|(name, _)| name.as_str()).collect();
    for _ in 0..choices.below(12) {
        let row: Vec<String> = values
            .iter()
            .map(|(_, of)| match of {
                Some(of) => choices.of(of).to_owned(),
                None => literal(choices.of(&TEXTS)),
            })
            .collect();
        let (names, row) = (names.join(", "), row.join(", "));
        writeln!(sql, "INSERT INTO {table} ({names}) VALUES ({row});").unwrap();
    }
    if choices.once_in(2) {
        let trigger = quoted(&format!("trigger of {}", &table[1..table.len() - 1]));
        writeln!(
            sql,
            "DELIMITER ;;\nCREATE TRIGGER {trigger} BEFORE INSERT ON {table} FOR EACH ROW \
             BEGIN SET NEW.parent = NULL; -- it's ;\nEND;;\nDELIMITER ;"
        )
        .unwrap();
    }
}

/// Rows, columns and keys, without the foreign keys.
fn describe(server: &Server, database: &str, table: &str) -> String {
    let rows = format!("SELECT * FROM {table} ORDER BY 1; SHOW COLUMNS FROM {table};");
    let mut described = server.run(database, rows.as_bytes());
    let definition = format!("SHOW CREATE TABLE {table}");
    described.extend(server.run(database, definition.as_bytes()));
    let text = String::from_utf8_lossy(&described).into_owned();
    let lines = text
        .split("\\n")
        .filter(|line| !line.contains("FOREIGN KEY (`other`)"));
    // The line before one that was left out had a comma.
    let lines: Vec<&str> = lines.map(|line| line.trim_end_matches(',')).collect();
    lines.join("\n")
}

fn check_tables(server: &Server, database: &str, dump: &[u8], contents: &Contents) {
    for name in tables(contents) {
        let table = show_name(Dialect::Mariadb, name);
        let last = String::from_utf8(name.last().unwrap().to_vec()).unwrap();
        let quoted = quoted(&last);
        let (script, notes) = take_out(dump, contents, &table);
        server.run("mysql", b"CREATE OR REPLACE DATABASE alone");
        server.run("alone", &script);
        let (expected, found) = (
            describe(server, database, &quoted),
            describe(server, "alone", &quoted),
        );
        let script = String::from_utf8_lossy(&script);
        assert_eq!(found, expected, "{table}\n{script}");
        let triggers = format!("SHOW TRIGGERS LIKE '{}'", last.replace('\'', "''"));
        let triggers = server.run(database, triggers.as_bytes());
        let told = notes.iter().any(|note| note.starts_with("triggers"));
        assert!(
            told || triggers.is_empty() || last.contains('\\'),
            "{table}"
        );
        let count = format!("SELECT count(*) FROM {quoted}");
        let count = String::from_utf8(server.run(database, count.as_bytes())).unwrap();
        let counted = contents
            .sections()
            .filter(|section| section.kind == SectionKind::Data && section.name == name)
            .map(|section| section.rows);
        assert_eq!(counted.sum::<u64>().to_string(), count.trim(), "{table}");
        let rows = written(dump, &plan(dump, contents, &table, Part::Data));
        let empty = format!("SET FOREIGN_KEY_CHECKS=0; DELETE FROM {quoted};\n");
        server.run("alone", &[empty.as_bytes(), &rows].concat());
        assert_eq!(describe(server, "alone", &quoted), expected, "{table}");
    }
}

/// Tables of random databases load alone, from each form of a dump.
///
/// Method: databases with odd names, types, keys, views, routines, triggers and texts,
/// made by a seed; dumped with many rows a statement, with one, without what stands
/// around rows, and several databases together; each table is taken out and loaded into
/// an empty database, where the server must say of it what it said before.
#[test]
fn tables_load_alone() {
    let Some(server) = server() else { return };
    for (seed, options) in [
        (1, &["--routines", "--events"][..]),
        (
            2,
            &[
                "--skip-extended-insert",
                "--no-autocommit",
                "--complete-insert",
            ],
        ),
        (3, &["--compact", "--hex-blob", "--skip-add-drop-table"]),
        (4, &["--databases", "--routines", "--replace"]),
    ] {
        let database = format!("random{seed}");
        server.run("mysql", format!("CREATE DATABASE {database}").as_bytes());
        server.run(&database, random(seed).as_bytes());
        let mut arguments = options.to_vec();
        arguments.push(&database);
        let dump = server.dump(&arguments);
        let contents = scan(&dump).unwrap_or_else(|| {
            panic!("{options:?}\n{}", String::from_utf8_lossy(&dump));
        });
        let count = format!(
            "SELECT count(*) FROM information_schema.tables \
             WHERE table_schema = '{database}' AND table_type = 'BASE TABLE'"
        );
        let count = String::from_utf8(server.run(&database, count.as_bytes())).unwrap();
        let lines = lines(&contents);
        assert_eq!(
            tables(&contents).len().to_string(),
            count.trim(),
            "{lines:#?}"
        );
        check_tables(&server, &database, &dump, &contents);
    }
}
