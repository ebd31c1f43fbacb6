//! Databases of SQLite, dumped by its shell, whose tables are taken out and loaded
//! alone.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use indelible_engine::sql::extract::Part;
use indelible_engine::sql::{show_name, tables};
use indelible_format::contents::{Dialect, SectionKind};
use tempfile::TempDir;

use super::random::{Choices, NAMES, TEXTS};
use super::{lines, plan, scan, take_out, written};

/// Has the shell run a script on a database.
fn run(dir: &Path, database: &str, script: &[u8]) -> Vec<u8> {
    let path = dir.join("script.sql");
    fs::write(&path, script).unwrap();
    let output = Command::new("sqlite3")
        .args(["-batch", "-bail"])
        .arg(dir.join(database))
        .stdin(Stdio::from(File::open(&path).unwrap()))
        .output()
        .expect("the shell was found");
    let said = String::from_utf8_lossy(&output.stderr);
    let script = String::from_utf8_lossy(script);
    assert!(
        output.status.success() && said.is_empty(),
        "{said}\n{script}"
    );
    output.stdout
}

/// Whether this machine has the shell.
fn has_shell() -> bool {
    let found = Command::new("sqlite3").arg("--version").output().is_ok();
    let required = std::env::var_os("INDELIBLE_REQUIRE_SERVERS").is_some_and(|set| set == "1");
    assert!(found || !required, "SQLite is required and not installed");
    found
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn random(seed: u64) -> String {
    let mut choices = Choices(seed);
    let mut sql = String::new();
    let mut referred: Option<String> = None;
    let first = choices.below(NAMES.len());
    for number in 0..6 {
        let table = quoted(NAMES[(first + number * 5) % NAMES.len()]);
        let id = choices.of(&["PRIMARY KEY", "PRIMARY KEY AUTOINCREMENT", "NOT NULL"]);
        let other = referred.map(|other| format!(", other REFERENCES {other}"));
        writeln!(
            sql,
            "CREATE TABLE {table} (id INTEGER {id}, /* it's ; */ [t ;] TEXT DEFAULT 'a;''b', b{},
                twice AS (id * 2), -- );
                CHECK (b <> ');'));
             CREATE INDEX {} ON {table} (b) WHERE id > 3;
             CREATE TRIGGER {} AFTER INSERT ON {table} BEGIN
                UPDATE {table} SET b = CASE WHEN id = 1 THEN 'end;' END WHERE 0; SELECT ';';
             END;",
            other.unwrap_or_default(),
            quoted(&format!("index of {table}")),
            quoted(&format!("trigger on {table}")),
        )
        .unwrap();
        for id in 0..choices.below(12) {
            let text = choices.of(&TEXTS).replace('\'', "''");
            let value = choices.of(&["NULL", "1.5", "x'00ff275c'", "-9e999", "'x'"]);
            writeln!(
                sql,
                "INSERT INTO {table} (id, [t ;], b) VALUES ({id}, '{text}', {value});"
            )
            .unwrap();
        }
        referred = Some(table);
    }
    let last = referred.expect("there are tables");
    writeln!(
        sql,
        "CREATE VIEW v AS SELECT * FROM {last};
         CREATE VIRTUAL TABLE found USING fts5(body);
         INSERT INTO found VALUES ('hello; world'), ('other');
         CREATE TABLE [in \" brackets] (a); INSERT INTO [in \" brackets] VALUES (1);
         ANALYZE;"
    )
    .unwrap();
    sql
}

fn describe(dir: &Path, database: &str, name: &str) -> String {
    let (table, text) = (quoted(name), name.replace('\'', "''"));
    let query = format!(
        "SELECT * FROM {table} ORDER BY 1, 2, 3;
         SELECT rtrim(sql, char(10)) FROM sqlite_schema WHERE tbl_name = '{text}' AND type IN ('table', 'index')
             ORDER BY 1;"
    );
    let query = if name.starts_with("found") || name.starts_with("in ") {
        format!("SELECT * FROM {table};")
    } else {
        query
    };
    String::from_utf8_lossy(&run(dir, database, query.as_bytes())).into_owned()
}

/// Tables of random databases load alone.
///
/// Method: databases with odd names, comments, generated columns, triggers, a table of
/// a module and texts, made by a seed; each table is taken out and loaded into an empty
/// database, where its rows and definitions must be what they were.
#[test]
fn tables_load_alone() {
    if !has_shell() {
        return;
    }
    let dir = TempDir::new().unwrap();
    for seed in 1..=3 {
        let database = format!("random{seed}");
        run(dir.path(), &database, random(seed).as_bytes());
        let dump = run(dir.path(), &database, b".dump\n");
        let contents = scan(&dump).unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&dump)));
        // Six, brackets, and the module's table with its five own.
        let lines = lines(&contents);
        assert_eq!(tables(&contents).len(), 13, "{lines:#?}");
        for (number, name) in tables(&contents).into_iter().enumerate() {
            let table = show_name(Dialect::Sqlite, name);
            let last = String::from_utf8(name.last().unwrap().to_vec()).unwrap();
            let alone = format!("{database}.{number}");
            let (script, _) = take_out(&dump, &contents, &table);
            run(dir.path(), &alone, &script);
            let expected = describe(dir.path(), &database, &last);
            let found = describe(dir.path(), &alone, &last);
            let script = String::from_utf8_lossy(&script);
            assert_eq!(found, expected, "{table}\n{script}");
            let count = format!("SELECT count(*) FROM {};", quoted(&last));
            let count = run(dir.path(), &database, count.as_bytes());
            let counted = contents
                .sections()
                .filter(|section| section.kind == SectionKind::Data && section.name == name)
                .map(|section| section.rows);
            let count = String::from_utf8(count).unwrap();
            if last == "found" {
                continue;
            }
            assert_eq!(counted.sum::<u64>().to_string(), count.trim(), "{table}");
            let rows = written(&dump, &plan(&dump, &contents, &table, Part::Data));
            let empty = format!("DELETE FROM {};\n", quoted(&last));
            run(dir.path(), &alone, &[empty.as_bytes(), &rows].concat());
            assert_eq!(describe(dir.path(), &alone, &last), expected, "{table}");
        }
    }
}
