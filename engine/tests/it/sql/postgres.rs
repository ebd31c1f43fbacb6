//! Databases of a real PostgreSQL server, dumped in each plain form, whose tables are
//! taken out and loaded alone.

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../../../../cli/tests/it/postgres/server.rs"]
mod server;

mod schema;

use std::fs;
use std::process::Stdio;

use indelible_engine::sql::extract::Part;
use indelible_engine::sql::{show_name, tables};
use indelible_format::contents::{Contents, Dialect, SectionKind};

use self::schema::Schema;
use self::server::{Server, Succeeds as _};
use super::{lines, plan, scan, take_out, written};

/// The server, or `None` if this machine has none and need not.
fn server() -> Option<Server> {
    let server = Server::start();
    if server.is_none() {
        let required = std::env::var_os("INDELIBLE_REQUIRE_SERVERS").is_some_and(|set| set == "1");
        assert!(!required, "PostgreSQL is required and not installed");
        eprintln!("SKIPPED: PostgreSQL is not installed");
    }
    server
}

fn dump(server: &Server, options: &[&str], database: &str) -> Vec<u8> {
    let program = if database.is_empty() {
        "pg_dumpall"
    } else {
        "pg_dump"
    };
    let mut command = server.client(program);
    command.args(options).stderr(Stdio::inherit());
    if !database.is_empty() {
        command.arg(database);
    }
    let output = command.output().expect("the program can be started");
    assert!(output.status.success(), "{program} {options:?}");
    output.stdout
}

/// Loads a script as a whole or not at all.
fn load(server: &Server, database: &str, script: &[u8]) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), script).unwrap();
    server
        .client("psql")
        .args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"])
        .args(["--single-transaction", "--dbname", database, "--file"])
        .arg(file.path())
        .succeeds();
}

/// What a table is: rows, columns, indexes, constraints without foreign keys to other
/// tables, and where its sequences stand.
fn describe(server: &Server, database: &str, table: &str) -> String {
    let of = format!("'{}'::regclass", table.replace('\'', "''"));
    let query = format!(
        "SET search_path = '';
         COPY (SELECT * FROM {table} t ORDER BY t::text COLLATE \"C\") TO STDOUT;
         SELECT attname, format_type(atttypid, atttypmod), attnotnull, attidentity,
             attgenerated, pg_get_expr(adbin, adrelid) FROM pg_attribute
             LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
             WHERE attrelid = {of} AND attnum > 0 ORDER BY attnum;
         SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = {of} ORDER BY 1;
         SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
             WHERE conrelid = {of} AND (contype <> 'f' OR confrelid = {of}) ORDER BY 1;
         SELECT pg_sequence_last_value(objid) FROM pg_depend WHERE refobjid = {of}
             AND classid = 'pg_class'::regclass AND deptype IN ('a', 'i')
             AND objid IN (SELECT seqrelid FROM pg_sequence) ORDER BY 1"
    );
    server.query(database, &query)
}

/// How many foreign keys a table has to others, and rows of its own.
fn counts(server: &Server, database: &str, table: &str) -> [u64; 2] {
    let of = format!("'{}'::regclass", table.replace('\'', "''"));
    let query = format!(
        "SELECT count(*) FROM pg_constraint WHERE conrelid = {of} AND contype = 'f'
             AND confrelid <> conrelid;
         SELECT count(*) FROM ONLY {table}"
    );
    let counts = server.query(database, &query);
    let mut counts = counts.lines().map(|count| count.parse().expect("a number"));
    [counts.next().unwrap(), counts.next().unwrap()]
}

/// Each table loads alone and is then what it was.
fn check_tables(server: &Server, database: &str, dump: &[u8], contents: &Contents) {
    for (number, name) in tables(contents).into_iter().enumerate() {
        let table = show_name(Dialect::Postgres, name);
        // The last two parts are what the database itself calls it.
        let skipped = name.parts().len() - 2;
        let parts: Vec<&[u8]> = name.parts().skip(skipped).collect();
        let quoted = schema::quoted(&parts);
        let (script, notes) = take_out(dump, contents, &table);
        let alone = format!("{database}_{number}");
        let made = ["--template=template0", &alone];
        server.client("createdb").args(made).succeeds();
        load(server, &alone, &script);
        let (expected, found) = (
            describe(server, database, &quoted),
            describe(server, &alone, &quoted),
        );
        let script = String::from_utf8_lossy(&script);
        assert_eq!(found, expected, "{table}\n{script}");
        let [to_others, rows] = counts(server, database, &quoted);
        assert_eq!(counts(server, &alone, &quoted), [0, rows], "{table}");
        let told = notes.iter().any(|note| note.contains("foreign key"));
        assert_eq!(told, to_others > 0, "{table}: {notes:?}");
        let counted = contents
            .sections()
            .filter(|section| section.kind == SectionKind::Data && section.name == name)
            .map(|section| section.rows);
        assert_eq!(counted.sum::<u64>(), rows, "{table}");
        assert_rows_load(
            server,
            &alone,
            &written(dump, &plan(dump, contents, &table, Part::Data)),
        );
        assert_eq!(counts(server, &alone, &quoted), [0, rows], "{table}");
    }
}

/// Rows by themselves load where their table is. They are the dump's, and name theirs.
fn assert_rows_load(server: &Server, database: &str, rows: &[u8]) {
    let emptied = "DO $$ DECLARE t regclass; BEGIN FOR t IN SELECT oid FROM pg_class \
         WHERE relkind IN ('r', 'p') AND relnamespace IN ('public'::regnamespace, \
         (SELECT oid FROM pg_namespace WHERE nspname = 'App.1')) \
         LOOP EXECUTE format('TRUNCATE %s CASCADE', t); END LOOP; END $$;\n";
    let settings = "SET row_security = off;\n";
    load(
        server,
        database,
        &[emptied.as_bytes(), settings.as_bytes(), rows].concat(),
    );
}

/// Tables of random databases load alone, from each form of a plain dump.
///
/// Method: databases with odd names, types, defaults, keys, partitions and texts, made
/// by a seed; dumped by `pg_dump` with COPY, with INSERT, and with everything that
/// restores over what is there; each table is taken out and loaded into an empty
/// database, where the server must say of it what it said before.
#[test]
fn tables_load_alone() {
    let Some(server) = server() else { return };
    for (seed, options) in [
        (1, &[][..]),
        (2, &["--inserts"]),
        (3, &["--rows-per-insert=3", "--column-inserts", "--create"]),
        (
            4,
            &[
                "--clean",
                "--if-exists",
                "--on-conflict-do-nothing",
                "--inserts",
            ],
        ),
    ] {
        let database = format!("random{seed}");
        server
            .client("createdb")
            .args(["--template=template0", &database])
            .succeeds();
        let schema = Schema::random(seed);
        load(&server, &database, schema.sql.as_bytes());
        let dump = dump(&server, options, &database);
        let contents = scan(&dump).unwrap_or_else(|| {
            panic!("{options:?}\n{}", String::from_utf8_lossy(&dump));
        });
        let count = server.query(
            &database,
            "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p') \
             AND relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema')",
        );
        assert_eq!(tables(&contents).len().to_string(), count.trim());
        check_tables(&server, &database, &dump, &contents);
    }
}

/// Every database of a cluster has its own tables, though their names are the same.
///
/// Method: two databases with a table of one name, dumped by `pg_dumpall`; one of them
/// has a name that takes quotes.
#[test]
fn clusters_have_databases() {
    let Some(server) = server() else { return };
    for (database, rows) in [("plain", 2), ("it's \"odd\\", 3)] {
        server.client("createdb").arg(database).succeeds();
        let made = format!(
            "CREATE TABLE t (a serial PRIMARY KEY, b text); \
             INSERT INTO t (b) SELECT '\\.' FROM generate_series(1, {rows})"
        );
        server.query(database, &made);
    }
    let dump = dump(&server, &[], "");
    let contents = scan(&dump).unwrap();
    let lines = lines(&contents);
    for line in ["Data plain.public.t 2", "Data it's \"odd\\.public.t 3"] {
        assert!(
            lines.iter().any(|found| found == line),
            "{line} in {lines:#?}"
        );
    }
    for (table, database) in [
        ("plain.public.t", "plain"),
        ("\"it's \"\"odd\\\".public.t", "it's \"odd\\"),
    ] {
        let (script, _) = take_out(&dump, &contents, table);
        server
            .client("createdb")
            .args(["--template=template0", "alone"])
            .succeeds();
        load(&server, "alone", &script);
        assert_eq!(
            describe(&server, "alone", "public.t"),
            describe(&server, database, "public.t")
        );
        server.client("dropdb").arg("alone").succeeds();
    }
}
