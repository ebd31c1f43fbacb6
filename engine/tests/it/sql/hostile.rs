//! Dumps that hold what looks like something else, and dumps that are not followed.

use super::{lines, scan};

/// Scans a dump of PostgreSQL.
fn postgres(body: &str) -> Option<Vec<String>> {
    let dump = format!("--\n-- PostgreSQL database dump\n--\n\nSET lock_timeout = 0;\n{body}");
    Some(lines(&scan(dump.as_bytes())?))
}

fn mariadb(body: &str) -> Option<Vec<String>> {
    let dump = format!("-- MariaDB dump 10.19\n--\n/*!40101 SET NAMES utf8mb4 */;\n{body}");
    Some(lines(&scan(dump.as_bytes())?))
}

fn sqlite(body: &str) -> Option<Vec<String>> {
    let dump = format!("PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n{body}");
    Some(lines(&scan(dump.as_bytes())?))
}

/// Checks the sections behind the settings.
#[track_caller]
fn holds(found: Option<Vec<String>>, expected: &[&str]) {
    let found = found.expect("it can be followed");
    assert_eq!(found[0], "Preamble");
    assert_eq!(found[1..], *expected);
}

/// What looks like a statement in a string, a comment, a name or a row is none.
///
/// Method: the same false COPY in each place of PostgreSQL that can hold one.
#[test]
fn postgres_is_not_fooled() {
    let bait = "x;\nCOPY public.bait FROM stdin;\n1\n\\.\n";
    let table = |inner: &str| format!("CREATE TABLE public.t (a text{inner});\n");
    let t = &["Table public.t"];
    holds(postgres(&table(&format!(" DEFAULT '{bait}'"))), t);
    holds(postgres(&table(&format!(" DEFAULT '''{bait}'''"))), t);
    holds(postgres(&table(&format!(" DEFAULT E'\\'{bait}'"))), t);
    holds(postgres(&table(&format!(" DEFAULT E'''\\\\''{bait}'"))), t);
    holds(postgres(&table(" DEFAULT '\\'")), t);
    holds(postgres(&table(&format!(", \"{bait}\" int"))), t);
    holds(postgres(&table(&format!(" /* /* */ {bait} */"))), t);
    holds(postgres(&table(&format!(" -- {}\n", &bait[..20]))), t);
    holds(
        postgres("CREATE TABLE public/* ; */./* x */t -- ;\n();\n"),
        t,
    );
    for tag in ["", "x", "_1", "\u{fc}"] {
        let body = format!("CREATE FUNCTION public.f() AS ${tag}$ $$a$ $ {bait} $y$ ${tag}$;\n");
        let body = if tag.is_empty() {
            body.replace("$$a$ $ ", "$a$ $ ")
        } else {
            body
        };
        holds(postgres(&body), &["Routine public.f"]);
    }
    let rows = "COPY public.t (a) FROM stdin;\n\\\\.\nx\\.\n\\.x\n'\n$$\n/*\n\n\\.\n";
    holds(postgres(rows), &["Data public.t 7"]);
    let comment = "-- Name: x; Type: TABLE\n-- COPY public.x FROM stdin;\nSELECT 1;\n";
    holds(postgres(comment), &["Other"]);
    let atomic = "CREATE OR REPLACE FUNCTION public.f() RETURNS int BEGIN ATOMIC
        SELECT CASE WHEN true THEN 1 END; INSERT INTO public.bait VALUES (1); END;\n";
    holds(postgres(atomic), &["Routine public.f"]);
    let rule = "CREATE RULE r AS ON INSERT TO public.t DO ALSO (SELECT 1; COPY x FROM stdin;);\n";
    holds(postgres(rule), &["Trigger public.t"]);
    let inserts = "INSERT INTO public.t VALUES ('), (', 2), (E'\\'), (', -3);\n";
    holds(postgres(inserts), &["Data public.t 2"]);
    let conflict = "INSERT INTO public.t VALUES (1, (2)), (3, 4) ON CONFLICT (a, b) DO NOTHING;\n";
    holds(postgres(conflict), &["Data public.t 2"]);
    let named = "INSERT INTO public.\"values\" (\"values\", a) VALUES (1), -- x\n(2);\n";
    holds(postgres(named), &["Data public.values 2"]);
    holds(
        postgres("INSERT INTO public.t DEFAULT VALUES;\n"),
        &["Data public.t 1"],
    );
    holds(
        postgres("CREATE TABLE public.U&\"d\\0061t\" ();\n"),
        &["Other"],
    );
    let old = "SET search_path = app, pg_catalog;\nCREATE TABLE t ();\n";
    holds(postgres(old), &["Table app.t"]);
}

/// The same in MariaDB, whose strings have backslashes and whose comments have code.
///
/// Method: false statements in each place that can hold one.
#[test]
fn mariadb_is_not_fooled() {
    let bait = "x;\nINSERT INTO `bait` VALUES (1);\n";
    let t = &["Table t"];
    let table = |inner: &str| format!("CREATE TABLE `t` (a text{inner});\n");
    holds(mariadb(&table(&format!(" COMMENT '\\'{bait}'"))), t);
    holds(mariadb(&table(&format!(" COMMENT '\\\\''{bait}'"))), t);
    holds(mariadb(&table(&format!(" COMMENT \"\\\"'{bait}\""))), t);
    holds(mariadb(&table(&format!(", `\\'\"``{bait}` int"))), t);
    holds(mariadb(&table(&format!(" /* {bait} */"))), t);
    holds(mariadb(&table(&format!(" # {}\n", &bait[..2]))), t);
    holds(mariadb(&table(" DEFAULT (1 --1)")), t);
    holds(mariadb(&table(" DEFAULT (1--\t;\n)")), t);
    holds(
        mariadb("/*!50100 CREATE*/ /*M!100100 TABLE `t` (a int) */;\n"),
        t,
    );
    let body = format!(
        "DELIMITER ;;\nCREATE DEFINER=`TABLE`@`%` PROCEDURE `p`()\nBEGIN {bait} END ;;\nDELIMITER ;\n"
    );
    holds(mariadb(&body), &["Routine p"]);
    let trigger = format!(
        "DELIMITER ;;\n/*!50003 CREATE*/ /*!50017 DEFINER=`a`@`b`*/ /*!50003 TRIGGER `x` BEFORE INSERT ON `t` FOR EACH ROW BEGIN /* ; */ {bait} END */;;\nDELIMITER ;\n"
    );
    holds(mariadb(&trigger), &["Trigger t"]);
    let rows = "INSERT INTO `t` VALUES ('),(\\'),(\\\\',2),\n(_binary '\\0;',-1),\n(0x27,'');\n";
    holds(mariadb(rows), &["Data t 3"]);
    let view = "DROP TABLE IF EXISTS `v`;\n/*!50001 CREATE TABLE `v` (a int) ENGINE=MyISAM */;\n";
    holds(mariadb(view), &["View v"]);
    let versions = "/*!50003 */ /*!50001 CREATE TABLE `v` (a int) */;\n";
    holds(mariadb(versions), &["View v"]);
    let global = "SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ 'a;b';\n";
    holds(mariadb(global), &["Other"]);
    let two = "USE `one`;\nINSERT INTO `t` VALUES (1);\nUSE `two`;\nINSERT INTO `t` VALUES (1);\n";
    let expected = [
        "Namespace one",
        "Data one.t 1",
        "Namespace two",
        "Data two.t 1",
    ];
    holds(mariadb(two), &expected);
    let autocommit = "SET @OLD_AUTOCOMMIT=@@AUTOCOMMIT, @@AUTOCOMMIT=0;\nLOCK TABLES `t` WRITE;\n\
                      INSERT INTO `t` VALUES (1);\nUNLOCK TABLES;\nCOMMIT;\n\
                      SET AUTOCOMMIT=@OLD_AUTOCOMMIT;\n";
    holds(mariadb(autocommit), &["Data t 1"]);
    let other = autocommit.replace("`t`", "`u`");
    let both = format!("{autocommit}{other}/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;\n");
    holds(mariadb(&both), &["Data t 1", "Data u 1", "End"]);
}

/// The same in SQLite, with its four quotes.
///
/// Method: false statements in each place that can hold one.
#[test]
fn sqlite_is_not_fooled() {
    let bait = "x;\nINSERT INTO bait VALUES(1);\n";
    let t = &["Table t"];
    for inner in [
        format!("a DEFAULT '\\'';{bait}'"),
        format!("\"\"\"{bait}\""),
        format!("`{bait}`"),
        format!("[\"'{bait}]"),
        format!("a /* /* {bait} */"),
        "a -- ;'\n".to_owned(),
    ] {
        holds(sqlite(&format!("CREATE TABLE t({inner});\n")), t);
    }
    holds(sqlite("CREATE TABLE IF NOT EXISTS 't'(a);\n"), t);
    holds(sqlite("CREATE TABLE IF NOT EXISTS \"t\"(a);\n"), t);
    let trigger = format!(
        "CREATE TEMP TRIGGER x AFTER INSERT ON t BEGIN SELECT CASE WHEN 1 THEN 2 END; {bait} /* ; */ END ;\n"
    );
    holds(sqlite(&trigger), &["Trigger t"]);
    let module =
        "INSERT INTO sqlite_schema(type,name)VALUES('table','t','t',0,'CREATE VIRTUAL TABLE');\n";
    holds(sqlite(module), t);
    let rows = "INSERT INTO t VALUES(1,replace('a;\\n(','\\n',char(10)));\nINSERT INTO t VALUES(X'27',-1);\n";
    holds(sqlite(rows), &["Data t 2"]);
    holds(
        sqlite("INSERT INTO sqlite_sequence VALUES('t;',5);\n"),
        &["SequenceValue t;"],
    );
}

/// What can't be followed has no table of contents.
///
/// Method: streams that are no dumps, dumps that are cut anywhere it matters, and
/// statements and commands after which the rules are others.
#[test]
fn what_is_not_followed() {
    for other in [
        "",
        "-",
        "\n\n",
        "-- PostgreSQL",
        "CREATE TABLE t ();\n",
        "--\n-- Custom dump\n",
    ] {
        assert_eq!(scan(other.as_bytes()), None, "{other}");
    }
    for body in [
        "CREATE TABLE public.t (a int)",
        "CREATE TABLE public.t (a text DEFAULT ';\n",
        "CREATE TABLE public.\"t;\n",
        "CREATE FUNCTION public.f() AS $a$ ;\n",
        "SELECT 1; /* /* */\n",
        "COPY public.t FROM stdin;\n1\n",
        "COPY public.t FROM stdin;\n1\n\\",
        "COPY public.t FROM stdin; SELECT 1;\n\\.\n",
        "COPY public.t FROM stdin WITH (FORMAT csv);\n1\n\\.\n",
        "SET standard_conforming_strings = off;\n",
        "SELECT pg_catalog.set_config('standard_conforming_strings', 'off', false);\n",
        "SET client_encoding = 'SJIS';\n",
        "\\i other.sql\n",
        "\\set x y\n",
        "SELECT 1 \\gexec\n",
        "SELECT E'a'\n'\\'';\n",
        "SELECT 1E'\\'';\n",
        "\\connect \"dbname='a' host='b'\"\n",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1;\n",
    ] {
        assert_eq!(postgres(body), None, "{body}");
    }
    for body in [
        "INSERT INTO `t` VALUES (1",
        "INSERT INTO `t` VALUES ('\\');\n",
        "DELIMITER $$\n",
        "SET NAMES gbk;\n",
        "SET sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES';\n",
        "/*!40101 SET x = 1; */;\n",
        "\\! ls\n",
    ] {
        assert_eq!(mariadb(body), None, "{body}");
    }
    for body in [
        "ROLLBACK; -- due to errors\n",
        ".shell ls\n",
        "CREATE TABLE t(a",
        "SELECT [;\n",
    ] {
        assert_eq!(sqlite(body), None, "{body}");
    }
}

/// A hostile dump takes no more memory than a friendly one.
///
/// Method: a name, a tag, a statement and a row of many megabytes; more sections than
/// a table of contents holds.
#[test]
fn memory_is_bounded() {
    let long = "x".repeat(8 << 20);
    let row = format!("COPY public.t FROM stdin;\n{long}\n\\.\n");
    holds(postgres(&row), &["Data public.t 1"]);
    let comment = format!("/*{long}*/ SELECT '{long}';\n");
    holds(postgres(&comment), &["Other"]);
    assert_eq!(
        postgres(&format!("CREATE TABLE public.\"{long}\" ();\n")),
        postgres("SELECT 1;\n")
    );
    assert_eq!(postgres(&format!("SELECT ${long}$ ${long}$;\n")), None);
    let part = "y".repeat(1_025);
    assert_eq!(postgres(&format!("CREATE TABLE public.{part} ();\n")), None);
    let two = "INSERT INTO a VALUES (1);\nINSERT INTO b VALUES (1);\n";
    assert_eq!(sqlite(&two.repeat((1 << 19) + 1)), None);
}
