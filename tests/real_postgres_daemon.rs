//! weir with a real PostgreSQL server that comes and goes, weir that is killed, and pmacct's
//! tables.

mod batch;
mod daemon;
mod database;
mod host;
mod postgres;

use self::postgres::{Server, number, run, shown};
use database::{Database, pmacct};
use host::PASSWORD;

#[test]
fn a_server_that_stops_and_starts_costs_no_row() {
    if let Some(server) = Server::start("a_server_that_stops_and_starts_costs_no_row") {
        database::a_server_comes_and_goes(server);
    }
}

#[test]
fn a_daemon_that_is_killed_has_every_flushed_row_once_in_the_end() {
    let test = "a_daemon_that_is_killed_has_every_flushed_row_once_in_the_end";
    if let Some(server) = Server::start(test) {
        database::weir_is_killed(server);
    }
}

/// A table as pmacct's users have it: every column there may be, and all of them in its key.
const ACCT: &str = "\
    CREATE TABLE acct_v9 (tag BIGINT NOT NULL DEFAULT 0, class_id CHAR(16) NOT NULL DEFAULT \
    ' ', mac_src macaddr NOT NULL DEFAULT '0:0:0:0:0:0', vlan INT NOT NULL DEFAULT 0, ip_src \
    inet NOT NULL DEFAULT '0.0.0.0', ip_dst inet NOT NULL DEFAULT '0.0.0.0', port_src INT \
    NOT NULL DEFAULT 0, port_dst INT NOT NULL DEFAULT 0, tcp_flags SMALLINT NOT NULL DEFAULT \
    0, ip_proto SMALLINT NOT NULL DEFAULT 0, tos INT NOT NULL DEFAULT 0, packets INT NOT \
    NULL, bytes BIGINT NOT NULL, flows INT NOT NULL DEFAULT 0, stamp_inserted timestamp \
    without time zone NOT NULL DEFAULT '0001-01-01 00:00:00', stamp_updated timestamp \
    without time zone, PRIMARY KEY (tag, class_id, mac_src, vlan, ip_src, ip_dst, port_src, \
    port_dst, ip_proto, tos, stamp_inserted))";

#[test]
fn a_configuration_of_pmacct_writes_to_the_tables_that_are_there() {
    let Some(mut server) =
        Server::start("a_configuration_of_pmacct_writes_to_the_tables_that_are_there")
    else {
        return;
    };
    let mut db = server.ask("flows");
    run(&mut db, ACCT);
    let at = tempfile::tempdir().unwrap();
    let schema = at.path().join("schema.sql");
    std::fs::write(&schema, ACCT.replace("acct_v9", "ACCT_%Y")).unwrap();
    let text = format!(
        "plugins: pgsql[a], pgsql[b], print[c]\naggregate: src_host, dst_host, proto, tcpflags, flows\n\
         sql_host: 127.0.0.1\nsql_port: {}\nsql_db: flows\nsql_user: weir\nsql_passwd: {PASSWORD}\n\
         sql_table_version: 9\nsql_table[b]: ACCT_%Y\nsql_table_schema[b]: {}\nsql_history: 1h\n\
         sql_use_copy[b]: true\nsql_dont_try_update[b]: true\nprint_output[c]: csv\n\
         print_output_file[c]: {}\npcap_savefile: {}\n",
        server.process().port,
        schema.display(),
        at.path().join("rows").display(),
        daemon::data("softflowd-v9.pcap").display()
    );
    let file = at.path().join("c.conf");
    std::fs::write(&file, &text).unwrap();
    let output = pmacct(&file);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let want = daemon::sums(&at.path().join("rows"));
    assert!(want.0 > 0);
    let year = shown(
        &mut db,
        "SELECT DISTINCT to_char(stamp_inserted, 'YYYY') FROM acct_v9",
    );
    for table in ["acct_v9".to_string(), format!("acct_{year}")] {
        let sum = |column| format!("SELECT sum({column}) FROM {table}");
        let got = (
            number(&mut db, &sum("packets")),
            number(&mut db, &sum("bytes")),
        );
        assert_eq!(got, want, "{table}");
    }
    // Another run is other rows, and they are added up.
    let count = number(&mut db, "SELECT count(*) FROM acct_v9");
    std::fs::write(
        &file,
        text.replace("pgsql[a], pgsql[b], print[c]", "pgsql[a]"),
    )
    .unwrap();
    let output = pmacct(&file);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(number(&mut db, "SELECT count(*) FROM acct_v9"), count);
    let sum = number(&mut db, "SELECT sum(packets) FROM acct_v9");
    assert_eq!(sum, 2 * want.0);
    database::encryption_is_not_left_out(&file, &text);
}
