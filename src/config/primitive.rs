//! Lists of primitives as people write them: `["src_host", "dst_host", "flows"]`.
//!
//! Every face of the configuration and the command line read such lists here, so the rules (what
//! excludes what, what this build can supply) are the same everywhere.

use super::custom::Primitives;
use crate::base::options::{Place, Problem};
use crate::base::text;
use crate::record::{FIELDS, Field};

/// What a list of primitives asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// Keys and merged fields, in the order of the list.
    pub by: Vec<Field>,
    /// Whether flows are counted.
    pub flows: bool,
    /// Whether records count under both of their ends.
    pub both_ends: bool,
}

/// Primitives that count both ends of a flow, with the field that holds the end.
const SUMS: &[(&str, Field)] = &[
    ("sum_host", Field::SrcHost),
    ("sum_net", Field::SrcNet),
    ("sum_port", Field::SrcPort),
    ("sum_as", Field::SrcAs),
    ("sum_mac", Field::SrcMac),
    ("sum", Field::SrcHost),
];

/// What may stand beside one of the [`SUMS`].
const BESIDE_SUM: &[&str] = &["tag", "tag2", "class", "flows"];

/// Names that are no fields.
const WORDS: &[&str] = &["none", "flows"];

/// Reads a list. What is wrong with it goes to `problems`, and the rest is still read. `absent` are
/// fields that this build can not supply taken all the same.
pub fn list(items: &[(String, Place)], absent: bool, problems: &mut Vec<Problem>) -> List {
    list_with(items, absent, &mut Primitives::default(), problems)
}

/// The same where the configuration has primitives of its own.
pub fn list_with(
    items: &[(String, Place)],
    absent: bool,
    own: &mut Primitives,
    problems: &mut Vec<Problem>,
) -> List {
    let mut list = List::default();
    let mut wrong = |place: &Place, message: String| {
        problems.push(Problem {
            place: *place,
            message,
        });
    };
    let mut seen: Vec<&str> = Vec::new();
    let sum = items.iter().find(|(name, _)| sum_field(name).is_some());
    for (name, place) in items {
        if seen.contains(&name.as_str()) {
            wrong(place, format!("`{name}` is in the list twice"));
            continue;
        }
        seen.push(name);
        match (name.as_str(), sum_field(name), Field::by_name(name)) {
            ("none", ..) if items.len() > 1 => {
                wrong(
                    place,
                    "`none` is the total of everything and stands alone".into(),
                );
            }
            ("none", ..) => {}
            ("flows", ..) => list.flows = true,
            (_, Some(field), _) => {
                list.by.push(field);
                list.both_ends = true;
            }
            ("bin", ..) => {
                wrong(
                    place,
                    "`bin` is there by itself where there are time bins".into(),
                );
            }
            (_, None, Some(field)) => match field.info().giver.missing() {
                Some(why) if !absent => wrong(place, format!("`{name}` {why}")),
                _ => list.by.push(field),
            },
            (_, None, None) => match own.field(name) {
                Some(Ok(field)) => list.by.push(field),
                Some(Err(why)) => wrong(place, why),
                None => wrong(place, unknown(name, own)),
            },
        }
    }
    for (name, place) in items {
        if let Some(other) = same(name, &list.by) {
            wrong(
                place,
                format!("`{name}` has the name in rows that `{other}` has: one of them"),
            );
        }
    }
    if let Some((sum, _)) = sum {
        for (name, place) in items {
            if name != sum && !BESIDE_SUM.contains(&name.as_str()) {
                let beside = BESIDE_SUM.join(", ");
                let message = format!("`{sum}` excludes `{name}`; beside it may stand {beside}");
                wrong(place, message);
            }
        }
    }
    list
}

fn sum_field(name: &str) -> Option<Field> {
    SUMS.iter()
        .find(|(sum, _)| *sum == name)
        .map(|(_, field)| *field)
}

/// The field of the list that a primitive of the configuration would look like in rows.
fn same(name: &str, by: &[Field]) -> Option<&'static str> {
    if Field::by_name(name).is_some() || sum_field(name).is_some() {
        return None;
    }
    let named = |info: &&crate::record::Info| {
        let names = [info.json, info.csv, info.sql];
        by.contains(&info.field) && names.iter().any(|n| n.eq_ignore_ascii_case(name))
    };
    FIELDS.iter().find(named).map(|info| info.name)
}

/// Every word that a list takes.
pub fn words() -> impl Iterator<Item = &'static str> {
    let sums = SUMS.iter().map(|(sum, _)| *sum);
    let known = FIELDS.iter().map(|f| f.name).filter(|n| *n != "bin");
    known.chain(sums).chain(WORDS.iter().copied())
}

/// What other programs call fields that have no such name in any column here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("saddr", "`src_host`"),
    ("srcip", "`src_host`"),
    ("srcaddr", "`src_host`"),
    ("daddr", "`dst_host`"),
    ("dstip", "`dst_host`"),
    ("dstaddr", "`dst_host`"),
    ("sport", "`src_port`"),
    ("srcport", "`src_port`"),
    ("dport", "`dst_port`"),
    ("dstport", "`dst_port`"),
    ("ip", "`src_host`, `dst_host` or `sum_host`"),
    ("host", "`src_host`, `dst_host` or `sum_host`"),
    ("port", "`src_port`, `dst_port` or `sum_port`"),
    ("asn", "`src_as`, `dst_as` or `sum_as`"),
    ("exporter", "`peer_src_ip`"),
    ("router", "`peer_src_ip`"),
    ("agent", "`peer_src_ip`"),
    ("pr", "`proto`"),
];

/// What to say about a name that is none of ours.
fn unknown(name: &str, own: &Primitives) -> String {
    let other = |f: &&crate::record::Info| {
        [f.json, f.csv, f.sql]
            .iter()
            .any(|n| n.eq_ignore_ascii_case(name))
    };
    if let Some(info) = FIELDS.iter().find(other) {
        return format!("no field `{name}`; it is called `{}` here", info.name);
    }
    if let Some((_, here)) = ELSEWHERE.iter().find(|(there, _)| *there == name) {
        return format!("no field `{name}`; did you mean {here}?");
    }
    let mut known: Vec<&str> = own.names().collect();
    words().for_each(|word| known.push(word));
    match text::nearest(name, known.iter().copied()) {
        Some(near) => format!("no field `{name}`; did you mean `{near}`?"),
        None => format!("no field `{name}`; `weir fields` lists them"),
    }
}

/// The list in words again, as [`list_with`] reads it.
pub fn show<'a>(list: &List, own: &'a Primitives) -> Vec<&'a str> {
    let ends = |field: &Field| {
        let sum = SUMS
            .iter()
            .find(|(_, f)| f == field)
            .filter(|_| list.both_ends);
        let name = own.name_of(*field).unwrap_or(field.info().name);
        sum.map_or(name, |(sum, _)| sum)
    };
    let mut names: Vec<_> = list.by.iter().map(ends).collect();
    if list.flows {
        names.push("flows");
    }
    if names.is_empty() {
        names.push("none");
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(names: &[&str]) -> (List, Vec<String>) {
        let items: Vec<_> = names
            .iter()
            .map(|n| (n.to_string(), Place::default()))
            .collect();
        let mut problems = Vec::new();
        let list = list(&items, false, &mut problems);
        (list, problems.into_iter().map(|p| p.message).collect())
    }

    #[test]
    fn lists_are_read_with_their_special_words() {
        let (list, problems) = read(&["src_host", "flows", "tcpflags"]);
        assert!(problems.is_empty() && list.flows && !list.both_ends);
        assert_eq!(list.by, [Field::SrcHost, Field::TcpFlags]);
        let (list, problems) = read(&["sum_port", "tag", "flows"]);
        assert!(problems.is_empty() && list.flows && list.both_ends);
        assert_eq!(list.by, [Field::SrcPort, Field::Tag]);
        let own = Primitives::default();
        assert_eq!(show(&list, &own), ["sum_port", "tag", "flows"]);
        assert_eq!(read(&["none"]), (List::default(), vec![]));
        assert_eq!(show(&List::default(), &own), ["none"]);
    }

    #[test]
    fn each_mistake_has_its_sentence() {
        for (names, want) in [
            (
                &["src_hots"][..],
                "no field `src_hots`; did you mean `src_host`?",
            ),
            (&["ip_src"], "it is called `src_host` here"),
            (&["SRC_PORT"], "it is called `src_port` here"),
            (&["sum_hots"], "did you mean `sum_host`?"),
            (&["quux"], "`weir fields` lists them"),
            (&["src_as_path"], "`src_as_path` needs routes"),
            (&["none", "tos"], "stands alone"),
            (&["tos", "tos"], "twice"),
            (&["sum_host", "proto"], "`sum_host` excludes `proto`"),
            (&["sum_host", "sum_as"], "`sum_host` excludes `sum_as`"),
            (&["bin"], "by itself"),
        ] {
            let (_, problems) = read(names);
            assert_eq!(problems.len(), 1, "{names:?}: {problems:?}");
            assert!(problems[0].contains(want), "{problems:?}");
        }
    }

    #[test]
    fn every_primitive_is_taken_or_refused_with_its_reason() {
        for info in FIELDS.iter().filter(|i| i.field != Field::Bin) {
            let (list, problems) = read(&[info.name]);
            match info.giver.missing() {
                Some(why) => assert!(problems[0].contains(why), "{}", info.name),
                None => assert_eq!((list.by, problems), (vec![info.field], vec![])),
            }
        }
    }
}
