//! `weir fields`: the table of primitives.

use super::arg::{Args, Command, Flag, Operands, Take};
use super::out;
use crate::base::error::Exit;
use crate::base::text;
use crate::record::{FIELDS, Giver, Info, Merge};

/// The table of `weir fields`.
pub static COMMAND: Command = Command {
    name: "fields",
    doc: "List the fields that rows can be summed by",
    about: "Lists every field: its name in `by`, its JSON key, CSV header and SQL column, its \
            kind, what becomes of its values, who supplies it, and what it means. With a name, \
            everything about that one.\n\n\
            MERGE: `key`, rows are apart by it; `or`, `min`, `max`, `last`, `add`, so the values \
            of one row are joined. GIVER: `wire`, it stands in packets or records; `engine`, weir \
            finds it out itself, some of it by maps and lists; `configuration`, a `[primitive.NAME]`.",
    operands: Operands {
        name: "NAME",
        least: 0,
        most: 1,
        take: Take::Fields,
        doc: "a field: its name, JSON key, CSV header or SQL column",
    },
    flags: &[Flag::new(
        "format",
        Take::Choice(&["table", "csv", "json"]),
        "FORMAT",
        "How the list is written.",
    )
    .default("table")],
    examples: &[
        ("weir fields", "all of them"),
        ("weir fields src_host", "everything about one"),
    ],
    run,
};

fn run(args: Args) -> Exit {
    let mut chosen: Vec<&Info> = FIELDS.iter().collect();
    if let Some(name) = args.operand() {
        if let Some((_, doc)) = BESIDE.iter().find(|(word, _)| *word == name) {
            return out::print(&format!("{name}: {doc}\n"));
        }
        chosen.retain(|i| names(i).contains(&name));
        if chosen.is_empty() {
            let near = text::nearest(name, FIELDS.iter().flat_map(names));
            let near = near.map(|n| format!("; did you mean `{n}`?"));
            return args.wrong(&format!("no field `{name}`{}", near.unwrap_or_default()));
        }
    }
    let text = match args.text("format") {
        Some("csv") => csv(&chosen),
        Some("json") => json(&chosen),
        _ if args.operand().is_some() => chosen.iter().map(|i| card(i)).collect(),
        _ => table(&chosen),
    };
    out::print(&text)
}

/// Words that go with fields and are none.
const BESIDE: &[(&str, &str)] = &[
    ("packets", "a counter; every row has it"),
    ("bytes", "a counter, of layer 3; every row has it"),
    (
        "flows",
        "a counter; rows have it where `by` holds it and some input has flows or samples",
    ),
    ("none", "in `by`, alone: one total of everything"),
    (
        "sum_host",
        "in `by`: hosts, each flow counted under both of its ends",
    ),
    (
        "sum_net",
        "in `by`: networks, each flow counted under both of its ends",
    ),
    (
        "sum_port",
        "in `by`: ports, each flow counted under both of its ends",
    ),
    (
        "sum_as",
        "in `by`: autonomous systems, each flow counted under both of its ends",
    ),
    (
        "sum_mac",
        "in `by`: MAC addresses, each flow counted under both of its ends",
    ),
];

fn names(info: &Info) -> [&'static str; 4] {
    [info.name, info.json, info.csv, info.sql]
}

/// Column titles and, in the same order, a field's cells.
const TITLES: [&str; 9] = [
    "field", "json", "csv", "sql", "kind", "merge", "giver", "elements", "doc",
];

fn cells(info: &Info) -> [String; 9] {
    let elements: Vec<_> = info.elements.iter().map(u16::to_string).collect();
    [
        info.name.into(),
        info.json.into(),
        info.csv.into(),
        info.sql.into(),
        format!("{:?}", info.kind).to_ascii_lowercase(),
        merge(info.merge).into(),
        giver(info.giver).into(),
        elements.join(" "),
        info.doc.into(),
    ]
}

fn merge(merge: Merge) -> &'static str {
    match merge {
        Merge::Key => "key",
        Merge::Or => "or",
        Merge::Min => "min",
        Merge::Max => "max",
        Merge::Last => "last",
        Merge::Add => "add",
    }
}

fn giver(giver: Giver) -> &'static str {
    match giver {
        Giver::Wire => "wire",
        Giver::Engine => "engine",
        Giver::Route => "route (not built)",
        Giver::Rpki => "rpki (not built)",
        Giver::Geo => "geo (not built)",
        Giver::Dpi => "dpi (not built)",
        Giver::Custom => "configuration",
    }
}

fn table(fields: &[&Info]) -> String {
    let mut rows = vec![TITLES.map(|t| t.to_ascii_uppercase())];
    rows.extend(fields.iter().map(|i| cells(i)));
    let mut widths = [0; TITLES.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            line.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn card(info: &Info) -> String {
    let mut text = String::new();
    for (title, cell) in TITLES.iter().zip(cells(info)) {
        text.push_str(format!("{title:9} {cell}").trim_end());
        text.push('\n');
    }
    if let Some(why) = info.giver.missing() {
        text.push_str(&format!("refused   {why}\n"));
    }
    text
}

fn csv(fields: &[&Info]) -> String {
    let mut text = TITLES.join(",") + "\n";
    for info in fields {
        let row = cells(info).map(|cell| match cell.contains([',', '"', '\n']) {
            true => format!("\"{}\"", cell.replace('"', "\"\"")),
            false => cell,
        });
        text.push_str(&(row.join(",") + "\n"));
    }
    text
}

/// One object a line. The cells hold neither quotes nor control characters: a test says so.
fn json(fields: &[&Info]) -> String {
    let mut text = String::new();
    for info in fields {
        let pairs: Vec<_> = TITLES
            .iter()
            .zip(cells(info))
            .map(|(title, cell)| match *title {
                "elements" => format!("\"elements\": [{}]", cell.replace(' ', ", ")),
                title => format!("\"{title}\": \"{cell}\""),
            })
            .collect();
        text.push_str(&format!("{{{}}}\n", pairs.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_needs_escaping_in_json() {
        for cell in FIELDS.iter().flat_map(cells) {
            let plain = |c: char| !c.is_control() && c != '"' && c != '\\';
            assert!(cell.chars().all(plain), "{cell}");
        }
    }

    #[test]
    fn giver_says_who_is_not_built() {
        for info in FIELDS {
            let missing = info.giver.missing().is_some();
            assert_eq!(
                giver(info.giver).contains("not built"),
                missing,
                "{}",
                info.name
            );
        }
    }
}
