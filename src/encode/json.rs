//! JSON lines: one object per row, keys in a fixed order, numbers as integers, text escaped.
//!
//! Everything between two values is put together once, when the schema is known.

use super::list;
use super::order::{JSON_ORDER, Out, arrange};
use super::pen::Pen;
use super::value::{Entry, Show, Style};
use crate::base::time::Nanos;
use crate::record::schema::What;
use crate::record::{Field, Rd, Schema};
use std::sync::Arc;

/// What a value becomes, and what stands around it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// A number or a text.
    Plain(Entry),
    /// A real number.
    Real(Entry),
    /// Items of a text as an array; of `"position-item"` where they are counted.
    Items(Entry, bool),
    /// Names of TCP flags as an array.
    Flags(Entry),
    /// Pairs of a label as an object.
    Pairs(Entry),
    /// Where a route distinguisher came from.
    Origin(Entry),
    Updated,
}

impl Part {
    /// What stands before and behind the value.
    pub(super) fn ends(self) -> (&'static str, &'static str) {
        match self {
            Self::Plain(entry) if entry.is_number() => ("", ""),
            Self::Real(_) => ("", ""),
            Self::Items(..) | Self::Flags(_) => ("[", "]"),
            Self::Pairs(_) => ("{", "}"),
            Self::Plain(_) | Self::Origin(_) | Self::Updated => ("\"", "\""),
        }
    }
}

/// What the columns of `schema` become, in `order`: key and value.
pub(super) fn parts<'a>(
    schema: &'a Schema,
    order: &'static [Out],
    style: &Style,
) -> Vec<(&'a str, Part)> {
    let mut parts = Vec::new();
    let arrays = style.arrays;
    for (out, column) in arrange(schema, order, style) {
        let key = out.json(schema);
        let Some(entry) = column.map(|column| Entry::part(out, column, style)) else {
            parts.push((key, Part::Updated));
            continue;
        };
        let Some(What::Field(field)) = out.what() else {
            parts.push((key, Part::Plain(entry)));
            continue;
        };
        use Field::*;
        let part = match field {
            Srv6SegmentList => Part::Items(entry, true),
            MplsLabelStack if arrays.mpls_labels => Part::Items(entry, true),
            AsPath | SrcAsPath if arrays.as_path => Part::Items(entry, false),
            StdComm | ExtComm | LrgComm | SrcStdComm | SrcExtComm | SrcLrgComm
                if arrays.communities =>
            {
                Part::Items(entry, false)
            }
            TcpFlags | TunnelTcpFlags if arrays.tcp_flags => Part::Flags(entry),
            Label if style.label_map => Part::Pairs(entry),
            _ if entry.is_real() => Part::Real(entry),
            _ => Part::Plain(entry),
        };
        parts.push((key, part));
        if field == MplsVpnRd {
            parts.push(("mpls_vpn_rd_origin", Part::Origin(entry)));
        }
    }
    parts
}

/// The parts of one kind of rows, put together once.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    /// What stands before each value: end of the one before, key, beginning.
    parts: Box<[(Box<[u8]>, Part)]>,
    tail: Box<[u8]>,
}

/// Writes the rows of one schema as JSON lines.
#[derive(Clone, Debug)]
pub struct Json {
    schema: Arc<Schema>,
    traffic: Parts,
    /// Of rows whose counters mean nothing, where kinds are told apart.
    others: Option<Parts>,
    show: Show,
}

impl Json {
    /// For rows of `schema`, as `style` says.
    pub fn new(schema: Arc<Schema>, style: &Style) -> Self {
        Self::of(schema, style, |schema, style| {
            let mut text = Frame::default();
            if style.event_type {
                text.lead.push_str("\"event_type\":\"purge\",");
            }
            for (key, part) in parts(schema, JSON_ORDER, style) {
                let (open, close) = part.ends();
                text.add(key, open, part, close);
            }
            text.end()
        })
    }

    /// Rows as `build` puts them together: those with counters, and where kinds are told apart
    /// those without.
    pub(super) fn of(
        schema: Arc<Schema>,
        style: &Style,
        build: impl Fn(&Schema, &Style) -> Parts,
    ) -> Self {
        let bare = Style {
            counters: false,
            ..style.clone()
        };
        Self {
            traffic: build(&schema, style),
            others: schema.kind.map(|_| build(&schema, &bare)),
            schema,
            show: Show::new(style),
        }
    }

    /// Goes on with rows of a schema that [is like](Schema::is_like) the one before.
    pub fn adopt(&mut self, schema: Arc<Schema>) {
        self.schema = schema;
    }

    /// Rows that lie one behind the other.
    pub fn rows(&mut self, words: &[u64], flushed: Nanos, out: &mut Vec<u8>) {
        let Self {
            schema,
            traffic,
            others,
            show,
        } = self;
        let mut pen = Pen::new(out);
        for row in words.chunks_exact(schema.row_words().max(1)) {
            let Parts { parts, tail } = match others {
                Some(others) if !schema.counts(row) => others,
                _ => &*traffic,
            };
            for (lead, part) in parts.iter() {
                pen.raw(lead);
                match part {
                    Part::Plain(entry) => {
                        if show.value(&mut pen, schema, entry, row) {
                            escape(&mut pen, &show.text);
                        }
                    }
                    Part::Items(entry, counted) => {
                        if show.value(&mut pen, schema, entry, row) {
                            items(&mut pen, &show.text, *counted);
                        }
                    }
                    Part::Updated => show.stamp(&mut pen, flushed),
                    Part::Origin(entry) => {
                        pen.raw(origin(entry, row).as_bytes());
                    }
                    Part::Flags(entry) => flags(&mut pen, entry.column.number(row)),
                    Part::Pairs(entry) => {
                        if show.value(&mut pen, schema, entry, row) {
                            pairs(&mut pen, &show.text);
                        }
                    }
                    Part::Real(entry) => {
                        let degree = show.degree(schema, entry, row);
                        pen.raw(degree.shortest().as_bytes());
                    }
                }
            }
            pen.raw(tail);
        }
    }
}

/// The text around the values of an object, while it is put together.
#[derive(Default)]
pub(super) struct Frame {
    parts: Vec<(Box<[u8]>, Part)>,
    /// What stands before the next value: pairs of keys and values that are the same in all rows
    /// may be added, each with a comma behind it.
    pub(super) lead: String,
}

impl Frame {
    /// Adds a key and its value, with what stands around the value.
    pub(super) fn add(&mut self, key: &str, open: &str, part: Part, close: &str) {
        let before = if self.parts.is_empty() { "{" } else { "" };
        let lead = format!("{before}{}\"{key}\":{open}", self.lead);
        self.parts.push((lead.into_bytes().into(), part));
        self.lead = format!("{close},");
    }

    /// Ends the object.
    pub(super) fn end(mut self) -> Parts {
        self.lead.pop(); // the comma
        let before = if self.parts.is_empty() { "{" } else { "" };
        Parts {
            parts: self.parts.into(),
            tail: format!("{before}{}}}\n", self.lead).into_bytes().into(),
        }
    }
}

/// Where the route distinguisher of a row came from.
pub(super) fn origin(entry: &Entry, row: &[u64]) -> &'static str {
    Rd(entry.column.number(row)).origin().name()
}

/// Items joined by underscores as elements of an array, each with its position if `counted`.
fn items(pen: &mut Pen<'_>, text: &[u8], counted: bool) {
    for (n, item) in list::items(text).enumerate() {
        if n > 0 {
            pen.byte(b',');
        }
        pen.byte(b'"');
        if counted {
            pen.number(n as u64);
            pen.byte(b'-');
        }
        escape(pen, item);
        pen.byte(b'"');
    }
}

fn flags(pen: &mut Pen<'_>, value: u64) {
    for (n, name) in list::flags(value).enumerate() {
        pen.raw(if n > 0 { b",\"" } else { b"\"" });
        pen.raw(name.as_bytes());
        pen.byte(b'"');
    }
}

fn pairs(pen: &mut Pen<'_>, text: &[u8]) {
    for (n, (key, value)) in list::pairs(text).enumerate() {
        pen.raw(if n > 0 { b",\"" } else { b"\"" });
        escape(pen, key);
        pen.raw(b"\":\"");
        escape(pen, value);
        pen.byte(b'"');
    }
}

/// A text between quotes (RFC 8259 §7). It is UTF-8 already.
pub(super) fn escape(pen: &mut Pen<'_>, text: &[u8]) {
    let special = |b: &u8| *b < 0x20 || *b == b'"' || *b == b'\\';
    if !text.iter().any(special) {
        return pen.raw(text);
    }
    for &byte in text {
        match byte {
            b'"' => pen.raw(b"\\\""),
            b'\\' => pen.raw(b"\\\\"),
            b'\n' => pen.raw(b"\\n"),
            b'\r' => pen.raw(b"\\r"),
            b'\t' => pen.raw(b"\\t"),
            0..0x20 => {
                pen.raw(if byte < 0x10 { b"\\u000" } else { b"\\u001" });
                pen.hex(u16::from(byte & 15));
            }
            _ => pen.byte(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::super::value::Arrays;
    use super::*;
    use crate::record::Field::*;
    use proptest::prelude::*;

    #[test]
    fn keys_types_and_order() {
        let (schema, row) = sample::rows(&sample::ALL, true);
        let mut out = Vec::new();
        let flushed = Nanos::new(1_767_323_101, 5);
        Json::new(schema, &Style::default()).rows(&row, flushed, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"event_type\":\"purge\",\"tag\":18446744073709551615,\
             \"label\":\"a,\\\"b\\\"\\n\",\"class\":\"unknown\",\
             \"mac_src\":\"00:1b:21:0a:0b:0c\",\"vlan\":7,\"etype\":\"86dd\",\
             \"as_src\":4200000001,\"as_path\":\"\",\"peer_ip_dst\":\"\",\
             \"mpls_vpn_rd\":\"0:65000:100\",\"mpls_vpn_rd_origin\":\"flow\",\
             \"ip_src\":\"192.0.2.1\",\"ip_dst\":\"2001:db8::1\",\"port_src\":51514,\
             \"port_dst\":443,\"tcp_flags\":27,\"fwd_status\":\"64\",\
             \"mpls_label_stack\":\"16001_24\",\
             \"srv6_seg_ipv6_list\":[\"0-2001:db8::a\",\"1-2001:db8::b\"],\
             \"ip_proto\":\"tcp\",\"tos\":46,\"sampling_direction\":\"u\",\
             \"tunnel_tcp_flags\":\"18\",\
             \"timestamp_start\":\"2026-01-02 03:00:04.678901\",\
             \"timestamp_end\":\"0000-00-00 00:00:00.000000\",\
             \"stamp_inserted\":\"2026-01-02 03:00:00\",\
             \"stamp_updated\":\"2026-01-02 03:05:01\",\"flows\":1,\
             \"vrf_name\":\"red\",\"packets\":12,\"bytes\":9000}\n"
        );
    }

    #[test]
    fn without_marker_stamps_and_values() {
        let (schema, _) = sample::rows(&[MplsVpnRd, Srv6SegmentList, Proto], false);
        let row = vec![0; schema.row_words()];
        let style = Style {
            event_type: false,
            ..Style::default()
        };
        let mut out = Vec::new();
        Json::new(schema, &style).rows(&row, Nanos(1), &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"mpls_vpn_rd\":\"0:0:0\",\"mpls_vpn_rd_origin\":\"unknown\",\
             \"srv6_seg_ipv6_list\":[],\"ip_proto\":\"0\",\"flows\":0,\"packets\":0,\"bytes\":0}\n"
        );
    }

    #[test]
    fn primitives_of_the_configuration_are_texts() {
        let style = Style {
            event_type: false,
            ..Style::default()
        };
        let line = |(schema, row): (Arc<Schema>, Vec<u64>)| {
            let mut out = Vec::new();
            Json::new(schema, &style).rows(&row, Nanos(1), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            line(sample::customs(false, sample::values)),
            "{\"port_dst\":443,\"number\":\"1610612736\",\"hex\":\"ab\",\
             \"ip4\":\"192.0.2.1\",\"ip6\":\"2001:db8::9\",\"mac\":\"00:01:02:03:04:05\",\
             \"word\":\"ab\\\"\",\"text\":\"caf\u{e9}\\n\",\"octets\":\"01-00-FF\",\
             \"raw\":\"09-A0\",\"odd\":\"\",\"flows\":1,\"packets\":12,\"bytes\":9000}\n"
        );
        // What a record does not have is its form's nothing; an event has no counters.
        assert_eq!(
            line(sample::customs(true, |_, _| ())),
            "{\"port_dst\":443,\"number\":\"0\",\"hex\":\"0\",\"ip4\":\"0.0.0.0\",\
             \"ip6\":\"::\",\"mac\":\"00:00:00:00:00:00\",\"word\":\"\",\"text\":\"\",\
             \"octets\":\"\",\"raw\":\"\",\"odd\":\"\"}\n"
        );
    }

    #[test]
    fn events_leave_out_their_counters_wherever_those_stand() {
        let symbols = Arc::new(crate::base::intern::Interner::new(64));
        let options = crate::record::schema::Options {
            flows: true,
            binned: true,
            kinds: true,
            ..Default::default()
        };
        let schema = Arc::new(Schema::new("t", &[VrfName], options, symbols));
        let mut json = Json::new(schema.clone(), &Style::default());
        let mut row = vec![0; schema.row_words()];
        let mut lines = Vec::new();
        for kind in 0..3 {
            schema.kind.unwrap().set_number(&mut row, kind);
            json.rows(&row, Nanos::new(7, 0), &mut lines);
        }
        let stamps = "\"stamp_inserted\":\"0000-00-00 00:00:00\",\
                      \"stamp_updated\":\"1970-01-01 00:00:07\"";
        let head = format!("{{\"event_type\":\"purge\",{stamps}");
        let bare = format!("{head},\"vrf_name\":\"\"}}\n");
        let full = format!("{head},\"flows\":0,\"vrf_name\":\"\",\"packets\":0,\"bytes\":0}}\n");
        assert_eq!(
            String::from_utf8(lines).unwrap(),
            format!("{full}{bare}{bare}")
        );
    }

    fn shown(fields: &[Field], style: &Style) -> String {
        let (schema, row) = sample::rows(fields, false);
        let style = Style {
            event_type: false,
            counters: false,
            ..style.clone()
        };
        let mut out = Vec::new();
        Json::new(schema, &style).rows(&row, Nanos(1), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lists_as_arrays_where_they_are_asked_for() {
        let fields = [
            TcpFlags,
            TunnelTcpFlags,
            AsPath,
            SrcAsPath,
            StdComm,
            SrcLrgComm,
            MplsLabelStack,
        ];
        assert_eq!(
            shown(&fields, &Style::default()),
            "{\"comms\":\"65000:1_65000:2\",\"as_path\":\"\",\"lcomms_src\":\"\",\
             \"as_path_src\":\"64496_{1,2}_65000\",\"tcp_flags\":27,\
             \"mpls_label_stack\":\"16001_24\",\"tunnel_tcp_flags\":\"18\"}\n"
        );
        let style = Style {
            arrays: Arrays {
                tcp_flags: true,
                as_path: true,
                communities: true,
                mpls_labels: true,
            },
            ..Style::default()
        };
        assert_eq!(
            shown(&fields, &style),
            "{\"comms\":[\"65000:1\",\"65000:2\"],\"as_path\":[],\"lcomms_src\":[],\
             \"as_path_src\":[\"64496\",\"{1,2}\",\"65000\"],\
             \"tcp_flags\":[\"ACK\",\"PSH\",\"SYN\",\"FIN\"],\
             \"mpls_label_stack\":[\"0-16001\",\"1-24\"],\"tunnel_tcp_flags\":[\"ACK\",\"SYN\"]}\n"
        );
    }

    #[test]
    fn status_service_labels_and_places() {
        let fields = [
            FwdStatus,
            Tos,
            TunnelTos,
            Label,
            DstHostCoords,
            SrcHostCoords,
        ];
        assert_eq!(
            shown(&fields, &Style::default()),
            "{\"label\":\"a,\\\"b\\\"\\n\",\"lat_ip_src\":47.3769,\"lon_ip_src\":-8.5417,\
             \"lat_ip_dst\":0.0,\"lon_ip_dst\":0.0,\"fwd_status\":\"64\",\"tos\":46,\
             \"tunnel_tos\":0}\n"
        );
        let style = Style {
            dscp: true,
            forwarding: true,
            label_map: true,
            proto_numbers: true,
            ..Style::default()
        };
        assert_eq!(
            shown(&[FwdStatus, Tos, Label, Proto], &style),
            "{\"label\":{\"a\":\"\\\"b\\\"\\n\"},\"fwd_status\":\"FORWARDED Unknown\",\
             \"ip_proto\":\"6\",\"tos\":11}\n"
        );
        assert_eq!(shown(&[], &style), "{}\n");
    }

    #[test]
    fn seconds_since_1970_are_text() {
        let style = Style {
            times: super::super::Times::Epoch,
            ..Style::default()
        };
        assert_eq!(
            shown(&[TimestampStart, TimestampArrival], &style),
            "{\"timestamp_start\":\"1767322804.678901\",\"timestamp_arrival\":\"0.000000\"}\n"
        );
    }

    /// The text of a JSON string's inside, by the rules of RFC 8259 §7; none if it breaks one.
    fn unescape(inside: &str) -> Option<String> {
        let (mut out, mut chars) = (String::new(), inside.chars());
        while let Some(c) = chars.next() {
            out.push(match c {
                '"' | '\0'..'\x20' => return None,
                '\\' => match chars.next()? {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'u' => {
                        let digits: String = chars.by_ref().take(4).collect();
                        char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
                    }
                    same @ ('"' | '\\') => same,
                    _ => return None,
                },
                plain => plain,
            });
        }
        Some(out)
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text: String, special in "[\"\\\\\\x00-\\x1f]{0,8}") {
            for text in [text, special] {
                let mut out = Vec::new();
                escape(&mut Pen::new(&mut out), text.as_bytes());
                let inside = String::from_utf8(out).unwrap();
                prop_assert_eq!(unescape(&inside), Some(text));
            }
        }
    }
}
