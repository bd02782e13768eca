//! weir with a real MariaDB server that comes and goes, weir that is killed, and pmacct's tables.

mod batch;
mod daemon;
mod database;
mod host;
mod maria;

use database::{Database, pmacct};
use host::PASSWORD;
use maria::{Server, number, run, shown};

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

/// A table as pmacct's users have it: every column there may be, all of them in its key, none with
/// a default.
const ACCT: &str = "\
    CREATE TABLE acct_v9 (tag INT(4) UNSIGNED NOT NULL, class_id CHAR(16) NOT NULL, mac_src \
    CHAR(17) NOT NULL, mac_dst CHAR(17) NOT NULL, vlan INT(2) UNSIGNED NOT NULL, as_src INT(4) \
    UNSIGNED NOT NULL, as_dst INT(4) UNSIGNED NOT NULL, ip_src CHAR(45) NOT NULL, ip_dst CHAR(45) \
    NOT NULL, port_src INT(2) UNSIGNED NOT NULL, port_dst INT(2) UNSIGNED NOT NULL, tcp_flags \
    INT(4) UNSIGNED NOT NULL, ip_proto CHAR(6) NOT NULL, tos INT(4) UNSIGNED NOT NULL, packets INT \
    UNSIGNED NOT NULL, bytes BIGINT UNSIGNED NOT NULL, flows INT UNSIGNED NOT NULL, stamp_inserted \
    DATETIME NOT NULL, stamp_updated DATETIME, PRIMARY KEY (tag, class_id, mac_src, mac_dst, vlan, \
    as_src, as_dst, ip_src, ip_dst, port_src, port_dst, ip_proto, tos, stamp_inserted))";

#[test]
fn a_configuration_of_pmacct_writes_to_the_tables_that_are_there() {
    let Some(server) =
        Server::start("a_configuration_of_pmacct_writes_to_the_tables_that_are_there")
    else {
        return;
    };
    let mut db = server.ask("flows");
    run(&mut db, ACCT);
    // Before versions 8 and 9, some columns had other names.
    let mut old = ACCT.replace("acct_v9", "acct_v6");
    for (new, name) in [
        ("port_src", "src_port"),
        ("port_dst", "dst_port"),
        ("(tag", "(agent_id"),
    ] {
        old = old.replace(new, name);
    }
    run(&mut db, &old);
    let at = tempfile::tempdir().unwrap();
    let schema = at.path().join("schema.sql");
    std::fs::write(&schema, ACCT.replace("acct_v9", "Acct_%Y")).unwrap();
    let text = format!(
        "plugins: mysql[a], mysql[b], print[c], mysql[d]\n\
         aggregate: src_host, dst_host, proto, tcpflags, flows\n\
         sql_host: unix:{}\nsql_db: flows\nsql_user: weir\nsql_passwd: {PASSWORD}\n\
         sql_table_version: 9\nsql_table[b]: Acct_%Y\nsql_table_schema[b]: {}\nsql_history: 1h\n\
         sql_num_protos[b]: true\nsql_dont_try_update[b]: true\nsql_multi_values: 1000000\n\
         sql_locking_style: row\nprint_output[c]: csv\nprint_output_file[c]: {}\n\
         pcap_savefile: {}\naggregate[d]: src_port, dst_port, tag\nsql_table_version[d]: 6\npost_tag[d]: 7\n",
        server.socket().display(),
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
    let year = shown(&mut db, "SELECT DISTINCT year(stamp_inserted) FROM acct_v9");
    for (table, proto) in [
        ("acct_v9".to_string(), "udp"),
        (format!("Acct_{year}"), "17"),
    ] {
        let sum = |column| format!("SELECT sum({column}) FROM {table}");
        let got = (
            number(&mut db, &sum("packets")),
            number(&mut db, &sum("bytes")),
        );
        assert_eq!(got, want, "{table}");
        let found = format!("SELECT count(*) > 0 FROM {table} WHERE ip_proto = '{proto}'");
        assert_eq!(number(&mut db, &found), 1, "{table}");
    }
    let sum = "SELECT sum(packets) FROM acct_v6 WHERE agent_id = 7";
    assert_eq!(number(&mut db, sum), want.0);
    let ports = "SELECT count(DISTINCT src_port) > 1 FROM acct_v6";
    assert_eq!(number(&mut db, ports), 1);
    // Another run is other rows, and they are added up.
    let count = number(&mut db, "SELECT count(*) FROM acct_v9");
    std::fs::write(
        &file,
        text.replace("mysql[a], mysql[b], print[c], mysql[d]", "mysql[a]"),
    )
    .unwrap();
    let output = pmacct(&file);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(number(&mut db, "SELECT count(*) FROM acct_v9"), count);
    let sum = number(&mut db, "SELECT sum(packets) FROM acct_v9");
    assert_eq!(sum, 2 * want.0);
    database::encryption_is_not_left_out(&file, &text);
}
