//! Outputs to databases.

use super::compile::{Compiler, copy, push, raw};
use super::output::{named, shown};
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
    let section = options.section.clone();
    for (key, text) in [
        (
            "sql_table_schema",
            "weir makes its tables itself: `weir fields` names the columns",
        ),
        (
            "sql_dont_try_update",
            "rows of one key are added up by one statement",
        ),
    ] {
        if let Some(line) = values.line(key).cloned() {
            compiler.note(&line, &section, text);
        }
    }
    shown(options, values);
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

/// An output to PostgreSQL.
pub fn server(compiler: &mut Compiler<'_>, options: &mut Options, plugin: &Plugin, by: &[String]) {
    let values = &plugin.values;
    options.set("kind", Raw::Text("postgres".into()));
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
        let message = "`sql_conn_ca_file`: connections to PostgreSQL are not encrypted yet; take the \
                       line out, or use a socket or a tunnel";
        compiler.wrong(line.value_at, message);
    }
    match values.line("sql_table").cloned() {
        Some(mut line) => {
            if let super::key::Value::Text(given) = &line.value {
                line.value = super::key::Value::Text(folded(given));
            }
            named(compiler, options, ("table", &line), values, by);
        }
        None => options.set("table", Raw::Text(table(values, true))),
    }
    shown(options, values);
}

fn hosts(options: &mut Options, values: &Values) {
    let (first, second) = (values.line("sql_host"), values.line("sql_backup_host"));
    match (first, second) {
        (Some(line), None) => push(options, "host", line, raw(&line.value)),
        (None, None) => {}
        (first, Some(second)) => {
            let line = first.unwrap_or(second);
            let host = first.map_or(Raw::Text("localhost".into()), |line| raw(&line.value));
            let both = [(host, line.value_at), (raw(&second.value), second.value_at)];
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
