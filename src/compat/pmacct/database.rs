//! Outputs to databases.

use super::compile::{Compiler, copy, push, raw};
use super::output::{named, shown};
use super::parse::Line;
use super::settings::{Plugin, Values};
use crate::base::options::{Options, Raw};

/// An output to SQLite.
pub fn lite(compiler: &mut Compiler<'_>, options: &mut Options, plugin: &Plugin, by: &[String]) {
    let values = &plugin.values;
    options.set("kind", Raw::Text("sqlite".into()));
    match values.line("sql_db") {
        Some(line) => push(options, "path", line, raw(&line.value)),
        None => options.set("path", Raw::Text("/tmp/pmacct.db".into())),
    }
    match values.line("sql_table").cloned() {
        Some(line) => named(compiler, options, ("table", &line), values, by),
        None => options.set("table", Raw::Text(table(values, false))),
    }
    let without = [
        (
            "sql_table_schema",
            "weir makes its tables itself: `weir fields` names the columns",
        ),
        (
            "sql_dont_try_update",
            "rows of one key are added up by one statement",
        ),
    ];
    notes(compiler, options, values, &without);
    notes(compiler, options, values, UNHEARD);
    shown(options, values);
}

/// Keys that no database has a use for.
const UNHEARD: &[(&str, &str)] = &[
    (
        "print_trigger_exec",
        "commands are run for files, not for databases",
    ),
    ("tcpflags_encode_as_array", LIST),
    ("mpls_label_stack_encode_as_array", LIST),
    ("bgp_comms_encode_as_array", LIST),
    ("as_path_encode_as_array", LIST),
    ("fwd_status_encode_as_string", "it is a number in databases"),
];
const LIST: &str = "a column of a database holds no list";

fn notes(compiler: &mut Compiler<'_>, options: &Options, values: &Values, keys: &[(&str, &str)]) {
    for (key, text) in keys {
        if let Some(line) = values.line(key).cloned() {
            compiler.note(&line, &options.section, *text);
        }
    }
}

/// The table of a configuration that names none.
fn table(values: &Values, server: bool) -> String {
    let version = values.number("sql_table_version").unwrap_or(1);
    let unified = server && version < 6 && values.text("sql_data") == Some("unified");
    let base = if unified { "acct_uni" } else { "acct" };
    match (values.text("sql_table_type"), version) {
        (Some("bgp"), _) => "acct_bgp".into(),
        (_, 1) => base.into(),
        (_, 8) if server => "acct_v7".into(),
        (_, version) => format!("{base}_v{version}"),
    }
}

/// An output to a server.
pub fn server(compiler: &mut Compiler<'_>, options: &mut Options, plugin: &Plugin, by: &[String]) {
    let values = &plugin.values;
    let postgres = plugin.kind == "pgsql";
    let (kind, product) = match postgres {
        true => ("postgres", "PostgreSQL"),
        false => ("mysql", "MySQL"),
    };
    options.set("kind", Raw::Text(kind.into()));
    hosts(options, values);
    for (name, key, default) in [
        ("database", "sql_db", "pmacct"),
        ("user", "sql_user", "pmacct"),
        ("password", "sql_passwd", "arealsmartpwd"),
    ] {
        match values.line(key) {
            Some(line) => push(options, name, line, raw(&line.value)),
            None => options.set(name, Raw::Text(default.into())),
        }
    }
    copy(
        options,
        values,
        &[("port", "sql_port"), ("schema", "sql_table_schema")],
    );
    if let Some(line) = values
        .line("sql_dont_try_update")
        .filter(|_| values.on("sql_dont_try_update"))
    {
        push(options, "mode", line, Raw::Text("insert".into()));
    }
    // Whoever asks for a server that proves who it is must not get one that does not.
    if let Some(line) = values.line("sql_conn_ca_file") {
        let message = format!(
            "`sql_conn_ca_file`: connections to {product} are not encrypted yet; take the line out, \
             or use a socket or a tunnel"
        );
        compiler.wrong(line.value_at, message);
    }
    match values.line("sql_table").cloned() {
        Some(mut line) => {
            if let (true, super::key::Value::Text(given)) = (postgres, &line.value) {
                line.value = super::key::Value::Text(folded(given));
            }
            named(compiler, options, ("table", &line), values, by);
        }
        None => options.set("table", Raw::Text(table(values, postgres))),
    }
    columns(options, values, postgres);
    notes(compiler, options, values, UNHEARD);
    shown(options, values);
    // There it is a name, unless somebody wants a number.
    if !postgres && !options.has("protocols") {
        options.set("protocols", Raw::Text("names".into()));
    }
}

/// Columns that earlier versions of tables have under other names.
fn columns(options: &mut Options, values: &Values, postgres: bool) {
    let version = values.number("sql_table_version").unwrap_or(1);
    let mut renamed = Vec::new();
    if version < 8 && !postgres {
        renamed.extend(["port_src=src_port", "port_dst=dst_port"]);
    }
    if version < 9 {
        renamed.push("tag=agent_id");
    }
    if !renamed.is_empty() {
        let renamed = renamed.into_iter().map(|pair| Raw::Text(pair.into()));
        let place = values.line("sql_table_version").map(|line| line.value_at);
        let renamed = renamed.map(|pair| (pair, place.unwrap_or_default()));
        options.set("columns", Raw::List(renamed.collect()));
    }
}

fn hosts(options: &mut Options, values: &Values) {
    let host = |line: &Line| match raw(&line.value) {
        Raw::Text(text) => match text.strip_prefix("unix:") {
            Some(path) => Raw::Text(path.into()),
            None => Raw::Text(text),
        },
        other => other,
    };
    let (first, second) = (values.line("sql_host"), values.line("sql_backup_host"));
    match (first, second) {
        (Some(line), None) => push(options, "host", line, host(line)),
        (None, None) => {}
        (first, Some(second)) => {
            let line = first.unwrap_or(second);
            let at = first.map_or(Raw::Text("localhost".into()), host);
            let both = [(at, line.value_at), (host(second), second.value_at)];
            push(options, "host", line, Raw::List(both.into()));
        }
    }
}

/// A name as the server reads one without quotes: in small letters, but for those of times.
fn folded(given: &str) -> String {
    let mut time = false;
    let fold = |c: char| {
        let letter = std::mem::replace(&mut time, c == '%');
        if letter { c } else { c.to_ascii_lowercase() }
    };
    given.chars().map(fold).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_folded_and_times_are_not() {
        assert_eq!(folded("Flows.ACCT_%Y%m%d_%HX"), "flows.acct_%Y%m%d_%Hx");
    }
}
