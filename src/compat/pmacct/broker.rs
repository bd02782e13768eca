//! Outputs to message brokers.

use super::compile::{Compiler, copy, push, raw};
use super::key::Value;
use super::output::{copy_flags, encoded, named, shown};
use super::settings::{Plugin, Values};
use crate::base::options::{Options, Raw};

/// Most bytes of several rows in one message.
const MESSAGE: (u64, u64) = (1 << 10, 1 << 20);

/// What an output to RabbitMQ takes beside that of any other: frames on their way, and messages
/// that are not confirmed.
pub fn memory(values: &Values) -> u64 {
    let frame = values.number("amqp_frame_max").unwrap_or(16 << 10);
    64 * frame.clamp(4 << 10, 1 << 20) + (2 << 20)
}

/// An output to RabbitMQ.
pub fn amqp(compiler: &mut Compiler<'_>, options: &mut Options, plugin: &Plugin, by: &[String]) {
    let values = &plugin.values;
    options.set("kind", Raw::Text("amqp".into()));
    for (name, key, default) in [
        ("host", "amqp_host", "localhost"),
        ("user", "amqp_user", "guest"),
        ("password", "amqp_passwd", "guest"),
        ("exchange", "amqp_exchange", "pmacct"),
        ("exchange_type", "amqp_exchange_type", "direct"),
    ] {
        match values.line(key) {
            Some(line) => push(options, name, line, raw(&line.value)),
            None => options.set(name, Raw::Text(default.into())),
        }
    }
    copy(
        options,
        values,
        &[
            ("port", "amqp_port"),
            ("vhost", "amqp_vhost"),
            ("routing_keys", "amqp_routing_key_rr"),
            ("frame", "amqp_frame_max"),
        ],
    );
    match values.line("amqp_routing_key").cloned() {
        Some(line) => named(compiler, options, ("routing_key", &line), values, by),
        None => options.set("routing_key", Raw::Text("acct".into())),
    }
    if let (Some(line), Some(beat)) = (
        values.line("amqp_heartbeat_interval"),
        values.number("amqp_heartbeat_interval"),
    ) {
        push(options, "heartbeat", line, Raw::Text(format!("{beat}s")));
    }
    let persistent = values.on("amqp_persistent_msg");
    let place = values.place("amqp_persistent_msg");
    options.push("persistent", Raw::Bool(persistent), place, place);
    // What no queue wants is dropped there.
    options.set("mandatory", Raw::Bool(false));
    let word = values.text("amqp_output").unwrap_or("json");
    messages(compiler, options, values, ("amqp_output", word));
}

/// How rows become messages.
fn messages(
    compiler: &mut Compiler<'_>,
    options: &mut Options,
    values: &Values,
    (key, word): (&str, &str),
) {
    let format = match word {
        "avro" | "avro_bin" => "avro",
        "avro_json" => "avro-json",
        _ => "json",
    };
    let place = values.place(key);
    options.push("format", Raw::Text(format.into()), place, place);
    shown(options, values);
    encoded(options, values, word);
    let many = values.number("amqp_multi_values").filter(|n| *n > 0);
    if let (Some(line), Some(many)) = (values.line("amqp_multi_values").cloned(), many) {
        let (name, value) = match format {
            "avro" => ("message_rows", many.clamp(1, 65_536)),
            _ => ("message_size", many.clamp(MESSAGE.0, MESSAGE.1)),
        };
        let value = super::compile::raw(&Value::Number(value));
        push(options, name, &line, value);
    }
    marks(compiler, options, values);
    if let Some(line) = values.line("print_trigger_exec").cloned() {
        let text = "commands are run for files, not for messages";
        compiler.note(&line, &options.section, text);
    }
}

/// Marks around a flush, which go where all rows of it go.
fn marks(compiler: &mut Compiler<'_>, options: &mut Options, values: &Values) {
    let by_value = options.given().any(|(name, value)| {
        name == "routing_key" && matches!(value, Raw::Text(text) if text.contains("${"))
    });
    match values.line("print_markers").cloned() {
        Some(line) if by_value && values.on("print_markers") => {
            let text = "there are none where keys have values of rows";
            compiler.note(&line, &options.section, text);
        }
        _ => copy_flags(options, values, &[("markers", "print_markers")]),
    }
}
