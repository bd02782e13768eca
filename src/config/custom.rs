//! `[primitive.NAME]`: primitives that the configuration defines.
//!
//! A primitive gets its place in the record when the first list of primitives names it, so those
//! that nobody sums by cost nothing. Not for such lists: see [`primitive`](super::primitive).

use super::tree::Section;
use crate::base::options::{Options, Place, Problem, Raw};
use crate::base::{self, without};
use crate::record::custom::{Element, Layer, POINTERS_MAX, Pointer, SLOTS, Shape};
use crate::record::{Custom, Customs, FIELDS, Field, Form};

/// The words of `kind`.
const SHAPES: [(&str, Shape); 6] = [
    ("number", Shape::Number),
    ("hex", Shape::Hex),
    ("ip", Shape::Ip),
    ("mac", Shape::Mac),
    ("text", Shape::Text),
    ("raw", Shape::Raw),
];

/// The layers of a place in packets.
const LAYERS: [(&str, Layer); 7] = [
    ("packet", Layer::Packet),
    ("mac", Layer::Mac),
    ("vlan", Layer::Vlan),
    ("mpls", Layer::Mpls),
    ("l3", Layer::L3),
    ("l4", Layer::L4),
    ("payload", Layer::Payload),
];

/// Names in rows that are no fields.
const TAKEN: [&str; 16] = [
    "none",
    "flows",
    "packets",
    "bytes",
    "total",
    "stamp_inserted",
    "stamp_updated",
    "event_type",
    "writer_id",
    "mpls_vpn_rd_origin",
    "sum",
    "sum_host",
    "sum_net",
    "sum_port",
    "sum_as",
    "sum_mac",
];

/// A primitive of the configuration.
#[derive(Clone, Debug)]
pub struct Primitive {
    /// What it is; its field has a meaning once it is `used`.
    pub custom: Custom,
    /// Whether some list of primitives names it.
    pub used: bool,
    /// Where it stands in the file.
    pub place: Place,
}

/// The primitives of a configuration, in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Primitives {
    list: Vec<Primitive>,
    /// Words of the record that are given away.
    slots: usize,
}

impl Primitives {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Primitive> {
        self.list.iter()
    }

    /// Their names, for messages.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|p| p.custom.name.as_str())
    }

    /// Those that are used, in the order of their places in the record.
    pub fn customs(&self) -> Customs {
        let mut used: Vec<Custom> = (self.list.iter())
            .filter(|p| p.used)
            .map(|p| p.custom.clone())
            .collect();
        used.sort_by_key(|custom| custom.field);
        Customs::new(used)
    }

    /// The name of the primitive that has a field.
    pub fn name_of(&self, field: Field) -> Option<&str> {
        let mut used = self.list.iter().filter(|p| p.used);
        let found = used.find(|p| p.custom.field == field)?;
        Some(&found.custom.name)
    }

    /// The field of the primitive called `name`, which gets its place in the record when this is
    /// its first use; none when there is no such primitive.
    ///
    /// # Errors
    /// When the record has no place left.
    pub fn field(&mut self, name: &str) -> Option<Result<Field, String>> {
        let name = name.to_ascii_lowercase();
        let found = self.list.iter_mut().find(|p| p.custom.name == name)?;
        if !found.used {
            let need = found.custom.form.size() / 8;
            let Some(field) = Field::custom(self.slots).filter(|_| self.slots + need <= SLOTS)
            else {
                return Some(Err(format!(
                    "`{name}` is one too many: a record has room for {SLOTS} primitives of the \
                     configuration, of which an IPv6 address counts twice"
                )));
            };
            (found.custom.field, found.used) = (field, true);
            self.slots += need;
        }
        Some(Ok(found.custom.field))
    }

    /// Takes in a section.
    pub(super) fn add(
        &mut self,
        section: Section,
        problems: &mut Vec<Problem>,
        warnings: &mut Vec<Problem>,
    ) {
        let Section { name, mut options } = section;
        let place = options.place;
        let name = name.to_ascii_lowercase();
        if let Some(why) = self.refuse(&name) {
            options.problem(place, why);
        }
        let custom = read(name, &mut options);
        problems.extend(options.finish());
        let Some(custom) = custom else { return };
        if custom.form == Form::Nothing {
            let message = format!(
                "primitive.{}: numbers have 1, 2, 4 or 8 bytes; its values will be empty",
                custom.name
            );
            warnings.push(Problem { place, message });
        }
        self.list.push(Primitive {
            custom,
            used: false,
            place,
        });
    }

    /// Why a primitive can not have this name.
    fn refuse(&self, name: &str) -> Option<String> {
        if FIELDS.iter().any(|info| info.name == name) {
            return Some(format!("there is a primitive `{name}` already"));
        }
        if TAKEN.contains(&name) || name.ends_with("_residual") {
            return Some(format!("`{name}` is the name of something else in rows"));
        }
        self.names()
            .any(|n| n == name)
            .then(|| format!("there are two primitives `{name}`; capitals make no difference"))
    }

    /// Warns of those that nobody uses.
    pub(super) fn loose(&self, warnings: &mut Vec<Problem>) {
        for primitive in self.list.iter().filter(|p| !p.used) {
            let message = format!(
                "`primitive.{}` is used by no aggregation",
                primitive.custom.name
            );
            warnings.push(Problem {
                place: primitive.place,
                message,
            });
        }
    }
}

/// Reads the settings of one primitive; none when something is missing.
fn read(name: String, options: &mut Options) -> Option<Custom> {
    if base::Primitives::get().is_none() {
        options.problem(options.place, without("dec-primitive"));
        return None;
    }
    let element = element(options);
    let pointers = pointers(options);
    let told = options.flag("options").unwrap_or_default();
    if told && element.is_none() {
        options.wrong("options", "`options` goes with `element`");
    }
    let shape = options.choice("kind", &SHAPES);
    let length = length(options);
    for (key, example) in [("kind", "\"number\""), ("length", "4")] {
        if !options.has(key) {
            let message = format!(
                "`{}` needs `{key}`, for example {key} = {example}",
                options.section
            );
            options.problem(options.place, message);
        }
    }
    if !options.has("element") && !options.has("packet") {
        let message = format!(
            "`{}` needs `element`, for example element = 234, or `packet`, for example \
             packet = [\"l3:0x0800+8\"]",
            options.section
        );
        options.problem(options.place, message);
    }
    let (shape, length) = (shape?, length?);
    let form = match Form::new(shape, length) {
        Ok(form) => form,
        Err(why) => {
            options.wrong("length", format!("`length` {why}"));
            return None;
        }
    };
    if !pointers.is_empty() && length.is_none() && shape == Shape::Raw {
        let message = "`length` of bytes out of packets can not vary; that of texts can";
        options.wrong("length", message);
    }
    Some(Custom {
        name,
        shape,
        form,
        length,
        element,
        options: told,
        pointers,
        field: Field::Custom0,
    })
}

/// `element = 234`, or with an enterprise number `element = "637:91"`.
fn element(options: &mut Options) -> Option<Element> {
    let (raw, place) = options.raw("element")?;
    let read = match &raw {
        Raw::Number(n) => u16::try_from(*n).ok().map(|id| Element { pen: 0, id }),
        Raw::Text(text) => match text.split_once(':') {
            Some((pen, id)) => (pen.parse().ok())
                .zip(id.parse().ok())
                .map(|(pen, id)| Element { pen, id }),
            None => text.parse().ok().map(|id| Element { pen: 0, id }),
        },
        _ => None,
    };
    let read = read.filter(|element| element.id > 0);
    if read.is_none() {
        let message = format!(
            "`element` is {}; it takes the number of an element from 1 to 65535, or a text like \
             \"637:91\" with an enterprise number before it",
            raw.show()
        );
        options.problem(place, message);
    }
    read
}

/// `length = 4` or `length = "variable"`; the inner one is none where lengths vary.
fn length(options: &mut Options) -> Option<Option<u16>> {
    let (raw, place) = options.raw("length")?;
    let read = match &raw {
        Raw::Number(n) => u16::try_from(*n).ok().map(Some),
        Raw::Text(text) if text == "variable" => Some(None),
        _ => None,
    };
    if read.is_none() {
        let message = format!(
            "`length` is {}; it takes a number of bytes or \"variable\"",
            raw.show()
        );
        options.problem(place, message);
    }
    read
}

/// `packet = ["l3:0x0800+8", "l3:0x86dd+7"]`.
fn pointers(options: &mut Options) -> Vec<Pointer> {
    let items = options.list("packet").unwrap_or_default();
    if items.len() > POINTERS_MAX {
        let message = format!(
            "`packet` has {} places; {POINTERS_MAX} at most",
            items.len()
        );
        options.wrong("packet", message);
    }
    let mut pointers = Vec::new();
    for (text, place) in items {
        match pointer(&text) {
            Some(pointer) => pointers.push(pointer),
            None => {
                let layers: Vec<_> = LAYERS.iter().map(|(word, _)| *word).collect();
                let message = format!(
                    "`packet` has {text:?}; a place is a layer ({}), maybe a colon and the \
                     protocol it must have, maybe a plus sign and a number of bytes: \"l4:17+4\"",
                    layers.join(", ")
                );
                options.problem(place, message);
            }
        }
    }
    pointers
}

/// Reads `layer[:protocol][+offset]`.
fn pointer(text: &str) -> Option<Pointer> {
    let (head, offset) = match text.split_once('+') {
        Some((head, offset)) => (head, offset.parse().ok()?),
        None => (text, 0),
    };
    let (word, proto) = head.split_once(':').unwrap_or((head, ""));
    let layer = LAYERS.iter().find(|(name, _)| *name == word)?.1;
    let proto = match proto.strip_prefix("0x") {
        _ if proto.is_empty() => None,
        Some(hex) => Some(u16::from_str_radix(hex, 16).ok()?),
        None => Some(proto.parse().ok()?),
    };
    Some(Pointer {
        layer,
        proto,
        offset,
    })
}

/// A place in packets in words again, as it is read.
fn show_pointer(pointer: &Pointer) -> String {
    let word = LAYERS.iter().find(|(_, layer)| *layer == pointer.layer);
    let word = word.map_or("packet", |(word, _)| word);
    let proto = match (pointer.layer, pointer.proto) {
        (_, None) => String::new(),
        (Layer::L4 | Layer::Payload, Some(proto)) => format!(":{proto}"),
        (_, Some(proto)) => format!(":{proto:#06x}"),
    };
    format!("{word}{proto}+{}", pointer.offset)
}

/// The settings of a primitive in words again: key, and value as TOML writes it.
pub fn show(custom: &Custom) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    match custom.element {
        Some(Element { pen: 0, id }) => lines.push(("element", id.to_string())),
        Some(Element { pen, id }) => lines.push(("element", format!("\"{pen}:{id}\""))),
        None => {}
    }
    if custom.options {
        lines.push(("options", "true".into()));
    }
    if !custom.pointers.is_empty() {
        let items = custom.pointers.iter().map(show_pointer);
        let items: Vec<_> = items.map(|text| format!("\"{text}\"")).collect();
        lines.push(("packet", format!("[{}]", items.join(", "))));
    }
    let kind = SHAPES.iter().find(|(_, shape)| *shape == custom.shape);
    lines.push(("kind", format!("\"{}\"", kind.map_or("", |(word, _)| word))));
    let length = custom.length.map(|n| n.to_string());
    lines.push(("length", length.unwrap_or("\"variable\"".into())));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::native;

    const REST: &str = "[input.a]\nkind = \"udp\"\nlisten = 2055\n\
        [output.o]\nkind = \"print\"\n";

    /// Configuration, problems, warnings of these sections and a list of primitives.
    fn parse(sections: &str, by: &str) -> native::Outcome {
        native::parse(&format!(
            "{sections}\n{REST}[aggregate.x]\nby = {by}\nto = \"o\"\n"
        ))
    }

    #[test]
    fn primitives_get_their_places_by_use() {
        let sections = "[primitive.Vrf]\nelement = 234\nlength = 4\nkind = \"number\"\n\
            [primitive.unused]\nelement = 235\nlength = 4\nkind = \"number\"\n\
            [primitive.hop]\nelement = \"637:91\"\nlength = 16\nkind = \"ip\"\n\
            [primitive.ttl]\npacket = [\"l3:0x0800+8\", \"l3:34525+7\"]\nlength = 1\nkind = \"hex\"\n";
        let outcome = parse(sections, "[\"src_host\", \"hop\", \"ttl\", \"VRF\"]");
        assert_eq!(outcome.problems, []);
        assert_eq!(outcome.warnings.len(), 1, "{:?}", outcome.warnings);
        assert!(outcome.warnings[0].message.contains("`primitive.unused`"));
        let by = &outcome.config.aggregates[0].by;
        let want = [
            Field::SrcHost,
            Field::Custom0,
            Field::Custom2,
            Field::Custom3,
        ];
        assert_eq!(by, &want);
        let customs = outcome.config.primitives.customs();
        let names: Vec<_> = customs.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["hop", "ttl", "vrf"]);
        let hop = customs.named("hop").unwrap();
        assert_eq!(hop.element, Some(Element { pen: 637, id: 91 }));
        let ttl = customs.named("ttl").unwrap();
        assert_eq!(ttl.pointers[1].proto, Some(0x86dd));
        assert_eq!(
            outcome.config.primitives.name_of(Field::Custom3),
            Some("vrf")
        );
        let shown: Vec<_> = show(ttl)
            .into_iter()
            .map(|(k, v)| format!("{k} = {v}"))
            .collect();
        let packet = "packet = [\"l3:0x0800+8\", \"l3:0x86dd+7\"]";
        assert_eq!(shown, [packet, "kind = \"hex\"", "length = 1"]);
    }

    #[test]
    fn places_in_packets_are_read_and_shown() {
        for (text, want) in [
            ("l3", "l3+0"),
            ("l4:6+14", "l4:6+14"),
            ("l4:0x11+4", "l4:17+4"),
            ("l3:0x800+8", "l3:0x0800+8"),
            ("payload:+2", "payload+2"),
            ("packet+65535", "packet+65535"),
            ("mpls", "mpls+0"),
        ] {
            let read = pointer(text).unwrap();
            assert_eq!(show_pointer(&read), want);
            assert_eq!(pointer(want), Some(read));
        }
        for text in [
            "",
            "l5",
            "l3:x",
            "l3:0x12345",
            "l3+",
            "l3+65536",
            "l3+-1",
            "l3:1:2",
        ] {
            assert_eq!(pointer(text), None, "{text}");
        }
    }

    #[test]
    fn each_mistake_has_its_sentence() {
        let one = |name: &str, rest: &str| format!("[primitive.{name}]\n{rest}\n");
        let good = "element = 234\nlength = 4\nkind = \"number\"";
        for (sections, want) in [
            (one("tag", good), "there is a primitive `tag` already"),
            (one("bytes", good), "something else in rows"),
            (one("x", good) + &one("X", good), "two primitives `x`"),
            (one("x", "element = 234\nlength = 4"), "needs `kind`"),
            (one("x", "element = 234\nkind = \"hex\""), "needs `length`"),
            (one("x", "length = 4\nkind = \"hex\""), "needs `element`"),
            (
                one("x", "element = 0\nlength = 4\nkind = \"hex\""),
                "`element` is 0",
            ),
            (
                one("x", "element = \"1:2:3\"\nlength = 4\nkind = \"hex\""),
                "`element` is",
            ),
            (
                one("x", "element = 1\nlength = 5\nkind = \"ip\""),
                "`length` of an address",
            ),
            (
                one("x", "element = 1\nlength = \"long\"\nkind = \"ip\""),
                "`length` is \"long\"",
            ),
            (
                one("x", "element = 1\nlength = \"variable\"\nkind = \"ip\""),
                "4 or 16",
            ),
            (
                one("x", "packet = [\"l9\"]\nlength = 1\nkind = \"ip\""),
                "a place is a layer",
            ),
            (
                one(
                    "x",
                    "packet = [\"l3\"]\nlength = \"variable\"\nkind = \"raw\"",
                ),
                "can not vary",
            ),
            (
                one(
                    "x",
                    &format!(
                        "packet = [{}]\nlength = 1\nkind = \"hex\"",
                        "\"l3\",".repeat(9)
                    ),
                ),
                "8 at most",
            ),
            (
                one(
                    "x",
                    "packet = [\"l3\"]\noptions = true\nlength = 1\nkind = \"hex\"",
                ),
                "`options` goes with `element`",
            ),
            (
                one("x", &format!("{good}\nlenght = 4")),
                "did you mean `length`?",
            ),
        ] {
            let outcome = parse(&sections, "[\"src_host\"]");
            let said: Vec<_> = outcome
                .problems
                .iter()
                .map(|p| p.message.as_str())
                .collect();
            assert!(
                said.iter().any(|m| m.contains(want)),
                "{sections}: {said:?}"
            );
        }
        let odd = parse(
            &one("x", "element = 1\nlength = 3\nkind = \"hex\""),
            "[\"x\"]",
        );
        assert_eq!(odd.problems, []);
        assert!(odd.warnings[0].message.contains("will be empty"));
        let near = parse(&one("vrf_id", good), "[\"vrf_ib\"]");
        assert!(near.problems[0].message.contains("did you mean `vrf_id`?"));
    }

    #[test]
    fn a_record_has_room_for_so_many() {
        let sections: String = (0..17)
            .map(|n| format!("[primitive.p{n}]\nelement = 234\nlength = 4\nkind = \"number\"\n"))
            .collect();
        let by = |count| {
            let names: Vec<_> = (0..count).map(|n| format!("\"p{n}\"")).collect();
            parse(&sections, &format!("[{}]", names.join(", "))).problems
        };
        assert_eq!(by(16), []);
        assert!(by(17)[0].message.contains("one too many"));
    }
}
