//! JSON lines: one object per row, keys in a fixed order, numbers as integers, text escaped.
//!
//! Everything between two values is put together once, when the schema is known.

use super::order::{JSON_ORDER, Out, arrange};
use super::pen::Pen;
use super::value::{Show, Style};
use crate::base::time::Nanos;
use crate::record::schema::What;
use crate::record::{Column, Field, Kind, Rd, Schema};
use std::sync::Arc;

#[derive(Clone, Copy, Debug)]
enum Part {
    Plain(Column),
    /// A text of items joined by underscores, as an array of `"position-item"`.
    Array(Column),
    /// Where a route distinguisher came from.
    Origin(Column),
    Updated,
}

/// The parts of one kind of rows, put together once.
#[derive(Clone, Debug)]
struct Parts {
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

impl Parts {
    fn new(schema: &Schema, style: &Style, counters: bool) -> Self {
        let mut parts: Vec<(Box<[u8]>, Part)> = Vec::new();
        let mut lead = String::from("{");
        if style.event_type {
            lead.push_str("\"event_type\":\"purge\",");
        }
        let mut add = |key: &str, part: Part| {
            let (open, close) = match part {
                Part::Plain(column) if is_number(&column) => ("", ","),
                Part::Array(_) => ("[", "],"),
                _ => ("\"", "\","),
            };
            lead.push_str(&format!("\"{key}\":{open}"));
            parts.push((lead.as_bytes().into(), part));
            lead = close.into();
        };
        for (out, column) in arrange(schema, JSON_ORDER, style.stamps) {
            match (out, column) {
                (Out::Row(What::Packets | What::Flows | What::Bytes), _) if !counters => {}
                (Out::Row(What::Field(Field::MplsVpnRd)), Some(column)) => {
                    add("mpls_vpn_rd", Part::Plain(column));
                    add("mpls_vpn_rd_origin", Part::Origin(column));
                }
                (Out::Row(What::Field(Field::Srv6SegmentList)), Some(column)) => {
                    add("srv6_seg_ipv6_list", Part::Array(column));
                }
                (Out::Row(what), Some(column)) => {
                    add(schema.json_name(what), Part::Plain(column));
                }
                _ => add("stamp_updated", Part::Updated),
            }
        }
        // The comma; there is none where nothing came.
        if lead.ends_with(',') {
            lead.pop();
        }
        lead.push_str("}\n");
        Self {
            parts: parts.into(),
            tail: lead.into_bytes().into(),
        }
    }
}

impl Json {
    /// For rows of `schema`, as `style` says.
    pub fn new(schema: Arc<Schema>, style: &Style) -> Self {
        let others = schema.kind.map(|_| Parts::new(&schema, style, false));
        Self {
            traffic: Parts::new(&schema, style, true),
            others,
            schema,
            show: Show::new(style),
        }
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
                    Part::Plain(column) => {
                        if show.value(&mut pen, schema, column, row) {
                            escape(&mut pen, &show.text);
                        }
                    }
                    Part::Array(column) => {
                        if show.value(&mut pen, schema, column, row) {
                            array(&mut pen, &show.text);
                        }
                    }
                    Part::Origin(column) => {
                        pen.raw(Rd(column.number(row)).origin().name().as_bytes());
                    }
                    Part::Updated => show.stamp(&mut pen, flushed),
                }
            }
            pen.raw(tail);
        }
    }
}

fn is_number(column: &Column) -> bool {
    matches!(column.kind, Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64)
}

/// Items joined by underscores as elements of an array, each with its position.
fn array(pen: &mut Pen<'_>, text: &[u8]) {
    let items = text.split(|b| *b == b'_').filter(|i| !i.is_empty());
    for (n, item) in items.enumerate() {
        if n > 0 {
            pen.byte(b',');
        }
        pen.byte(b'"');
        pen.number(n as u64);
        pen.byte(b'-');
        escape(pen, item);
        pen.byte(b'"');
    }
}

/// A text between quotes (RFC 8259 §7). It is UTF-8 already.
fn escape(pen: &mut Pen<'_>, text: &[u8]) {
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
             \"timestamp_end\":\"0000-00-00 00:00:00\",\
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
