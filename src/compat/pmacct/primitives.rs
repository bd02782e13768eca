//! `aggregate_primitives`: each row of the map that some plugin names becomes a section.

use super::compile::{Compiler, section};
use super::rows;
use crate::base::options::{Options, Place, Raw};
use crate::config::primitive;
use crate::rule::map::{self, Row, Value};

/// Reads the map, and adds sections for what the aggregations name.
pub fn compile(compiler: &mut Compiler<'_>) {
    let core = &compiler.settings.core;
    let Some(line) = core.line("aggregate_primitives").cloned() else {
        return;
    };
    let path = core.text("aggregate_primitives").unwrap_or_default();
    let Some(kind) = map::kind("aggregate_primitives") else {
        return;
    };
    match rows::read(path, kind, compiler.open) {
        Ok((rows, bad)) => {
            for message in bad {
                compiler.warn(line.value_at, message);
            }
            let mut known: Vec<(String, u32)> = Vec::new();
            for row in rows {
                let name = row.text("name").unwrap_or_default().to_lowercase();
                match clash(&name, &known) {
                    Some(why) => {
                        let message = format!("{path}:{}: {why}; the row is left out", row.line);
                        compiler.warn(line.value_at, message);
                    }
                    None => {
                        known.push((name.clone(), row.line));
                        add(compiler, name, &row, line.value_at);
                    }
                }
            }
        }
        Err(why) => compiler.wrong(line.value_at, why),
    }
}

/// Why a row can not give its name to a primitive, where it can not.
fn clash(name: &str, known: &[(String, u32)]) -> Option<String> {
    if primitive::words().any(|word| word == name) {
        return Some(format!(
            "name `{name}` is that of a primitive that is there by itself"
        ));
    }
    let (_, first) = known.iter().find(|(other, _)| other == name)?;
    Some(format!(
        "name `{name}` is that of line {first} already; capitals make no difference"
    ))
}

fn add(compiler: &mut Compiler<'_>, name: String, row: &Row, place: Place) {
    compiler.own.push(name.clone());
    if !compiler.asks(&name) {
        return;
    }
    let mut primitive = section("primitive", &name, place);
    fill(&mut primitive.options, row, place);
    compiler.file.primitives.push(primitive);
}

fn fill(options: &mut Options, row: &Row, at: Place) {
    if let Some(element) = row.text("field_type") {
        let element = match element.parse::<u16>() {
            Ok(id) => Raw::Number(id.into()),
            Err(_) => Raw::Text(element.into()),
        };
        options.push("element", element, at, at);
    }
    let pointers = row.items.iter().filter(|i| i.key.name == "packet_ptr");
    let pointers: Vec<_> = pointers
        .filter_map(|item| match &item.value {
            Value::Text(text) => Some((Raw::Text(text.clone()), at)),
            _ => None,
        })
        .collect();
    if !pointers.is_empty() {
        options.push("packet", Raw::List(pointers), at, at);
    }
    let length = match row.item("len").map(|item| &item.value) {
        Some(Value::Number(length)) => Raw::Number((*length).try_into().unwrap_or(i64::MAX)),
        _ => Raw::Text("variable".into()),
    };
    options.push("length", length, at, at);
    let kind = match row.item("semantics").map(|item| &item.value) {
        Some(Value::Word("u_int")) => "number",
        Some(Value::Word("str")) => "text",
        Some(Value::Word(word)) => word,
        _ => "raw",
    };
    options.push("kind", Raw::Text(kind.into()), at, at);
}
