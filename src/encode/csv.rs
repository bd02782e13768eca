//! CSV: one row per line, quoted where RFC 4180 says so, a header with the names of the columns.
//!
//! Rows of bins carry `STAMP_INSERTED` and `STAMP_UPDATED` before the counters unless
//! [`Style::stamps`] is off: a file of several bins is worth nothing without them.

use super::order::{CSV_ORDER, Out, arrange};
use super::pen::Pen;
use super::value::{Entry, Show, Style};
use crate::base::time::Nanos;
use crate::record::Schema;
use std::sync::Arc;

/// Writes the rows of one schema as CSV.
#[derive(Clone, Debug)]
pub struct Csv {
    schema: Arc<Schema>,
    columns: Box<[(Out, Option<Entry>)]>,
    show: Show,
    separator: u8,
    quotes: bool,
    /// Where the separator may be part of a number, an address or a time: every value goes
    /// through here, to be quoted if it is.
    doubtful: Option<Vec<u8>>,
}

impl Csv {
    /// For rows of `schema`, as `style` says.
    pub fn new(schema: Arc<Schema>, style: &Style) -> Self {
        let columns = arrange(&schema, CSV_ORDER, style);
        let columns = columns.map(|(out, c)| (out, c.map(|c| Entry::part(out, c, style))));
        Self {
            columns: columns.collect(),
            schema,
            show: Show::new(style),
            separator: style.separator,
            quotes: style.quotes,
            doubtful: (style.quotes && !separates(style.separator)).then(Vec::new),
        }
    }

    /// Goes on with rows of a schema that [is like](Schema::is_like) the one before.
    pub fn adopt(&mut self, schema: Arc<Schema>) {
        self.schema = schema;
    }

    /// The line with the names of the columns.
    pub fn header(&self, out: &mut Vec<u8>) {
        let mut pen = Pen::new(out);
        for (n, (column, _)) in self.columns.iter().enumerate() {
            if n > 0 {
                pen.byte(self.separator);
            }
            self.text(&mut pen, column.heading(&self.schema).as_bytes());
        }
        pen.byte(b'\n');
    }

    /// Rows that lie one behind the other.
    pub fn rows(&mut self, words: &[u64], flushed: Nanos, out: &mut Vec<u8>) {
        if let Some(scratch) = self.doubtful.take() {
            self.doubtful = Some(self.doubtful_rows(words, flushed, out, scratch));
            return;
        }
        let (schema, separator) = (&*self.schema, self.separator);
        let mut pen = Pen::new(out);
        for row in words.chunks_exact(schema.row_words().max(1)) {
            for (_, entry) in &self.columns {
                match entry {
                    Some(entry) => {
                        if self.show.value(&mut pen, schema, entry, row) {
                            self.text(&mut pen, &self.show.text);
                        }
                    }
                    None => self.show.stamp(&mut pen, flushed),
                }
                pen.byte(separator);
            }
            pen.amend(b'\n');
        }
    }

    /// As [`rows`](Self::rows), where each value is looked at before it is written.
    #[cold]
    fn doubtful_rows(
        &mut self,
        words: &[u64],
        flushed: Nanos,
        out: &mut Vec<u8>,
        mut scratch: Vec<u8>,
    ) -> Vec<u8> {
        let mut pen = Pen::new(out);
        for row in words.chunks_exact(self.schema.row_words().max(1)) {
            for (n, (_, entry)) in self.columns.iter().enumerate() {
                if n > 0 {
                    pen.byte(self.separator);
                }
                scratch.clear();
                let mut cell = Pen::new(&mut scratch);
                match entry {
                    Some(entry) => {
                        if self.show.value(&mut cell, &self.schema, entry, row) {
                            cell.raw(&self.show.text);
                        }
                    }
                    None => self.show.stamp(&mut cell, flushed),
                }
                drop(cell);
                self.text(&mut pen, &scratch);
            }
            pen.byte(b'\n');
        }
        scratch
    }

    fn text(&self, pen: &mut Pen<'_>, bytes: &[u8]) {
        if self.quotes {
            text(pen, bytes, self.separator);
        } else {
            bare(pen, bytes);
        }
    }
}

/// Whether values of any kind stay apart with `byte` between them: nothing that a number, an
/// address or a time may contain.
fn separates(byte: u8) -> bool {
    byte == b'\t' || (byte.is_ascii_punctuation() && !b"\".:-+_/".contains(&byte))
}

/// A text, in quotes where it holds what would end the value.
fn text(pen: &mut Pen<'_>, text: &[u8], separator: u8) {
    let special = |b: &u8| *b == separator || matches!(*b, b'"' | b'\n' | b'\r');
    if !text.iter().any(special) {
        return pen.raw(text);
    }
    pen.byte(b'"');
    for part in text.split_inclusive(|b| *b == b'"') {
        pen.raw(part);
        if part.ends_with(b"\"") {
            pen.byte(b'"');
        }
    }
    pen.byte(b'"');
}

/// A text without quotes. What would end the line is shown as a question mark: whoever chose the
/// text must not make rows of his own.
fn bare(pen: &mut Pen<'_>, text: &[u8]) {
    for part in text.split_inclusive(u8::is_ascii_control) {
        match part.split_last() {
            Some((last, before)) if last.is_ascii_control() => {
                pen.raw(before);
                pen.byte(b'?');
            }
            _ => pen.raw(part),
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
    fn a_header_and_rows_in_the_fixed_order() {
        let (schema, row) = sample::rows(&sample::ALL, true);
        let mut csv = Csv::new(schema, &Style::default());
        let mut out = Vec::new();
        csv.header(&mut out);
        csv.rows(&row, Nanos::new(1_767_323_101, 5), &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "TAG,LABEL,CLASS,SRC_MAC,VLAN,ETYPE,SRC_AS,AS_PATH,PEER_DST_IP,MPLS_VPN_RD,\
             VRF_NAME,SRC_IP,DST_IP,SRC_PORT,DST_PORT,TCP_FLAGS,PROTOCOL,TOS,\
             SAMPLING_DIRECTION,FWD_STATUS,MPLS_LABEL_STACK,SRV6_SEG_IPV6_LIST,\
             TUNNEL_TCP_FLAGS,TIMESTAMP_START,TIMESTAMP_END,STAMP_INSERTED,STAMP_UPDATED,\
             PACKETS,FLOWS,BYTES\n\
             18446744073709551615,\"a,\"\"b\"\"\n\",unknown,00:1b:21:0a:0b:0c,7,86dd,4200000001,,\
             ,0:65000:100,red,192.0.2.1,2001:db8::1,51514,443,27,tcp,46,\
             u,64,16001_24,2001:db8::a_2001:db8::b,18,2026-01-02 03:00:04.678901,\
             0000-00-00 00:00:00.000000,2026-01-02 03:00:00,2026-01-02 03:05:01,12,1,9000\n"
        );
    }

    #[test]
    fn without_stamps_and_with_another_separator() {
        let (schema, row) = sample::rows(&[SrcHost, DstPort, Proto], true);
        let style = Style {
            stamps: false,
            separator: b';',
            proto_numbers: true,
            ..Style::default()
        };
        let mut out = Vec::new();
        Csv::new(schema, &style).rows(&row, Nanos(1), &mut out);
        assert_eq!(out, b"192.0.2.1;443;6;12;1;9000\n");
    }

    fn shown(fields: &[crate::record::Field], style: &Style) -> String {
        let (schema, row) = sample::rows(fields, true);
        let mut out = Vec::new();
        let mut csv = Csv::new(schema, style);
        csv.header(&mut out);
        csv.rows(&row, Nanos::new(1_767_323_101, 5), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_separator_that_values_contain_quotes_them() {
        let style = |separator, quotes| Style {
            separator,
            quotes,
            times: super::super::Times::Plain,
            fraction: false,
            ..Style::default()
        };
        let fields = [SrcHost, Label, TimestampStart];
        assert_eq!(
            shown(&fields, &style(b' ', true)),
            "LABEL SRC_IP TIMESTAMP_START STAMP_INSERTED STAMP_UPDATED PACKETS FLOWS BYTES\n\
             \"a,\"\"b\"\"\n\" 192.0.2.1 \"2026-01-02 03:00:04\" \"2026-01-02 03:00:00\" \
             \"2026-01-02 03:05:01\" 12 1 9000\n"
        );
        assert_eq!(
            shown(&fields, &style(b' ', false)),
            "LABEL SRC_IP TIMESTAMP_START STAMP_INSERTED STAMP_UPDATED PACKETS FLOWS BYTES\n\
             a,\"b\"? 192.0.2.1 2026-01-02 03:00:04 2026-01-02 03:00:00 2026-01-02 03:05:01 \
             12 1 9000\n"
        );
        let dotted = shown(&[SrcHost, DstPort], &style(b'.', true));
        assert!(
            dotted.ends_with(
                "\n\"192.0.2.1\".443.2026-01-02 03:00:00.2026-01-02 03:05:01.12.1.9000\n"
            )
        );
        let one = shown(&[DstPort], &style(b'1', true));
        assert!(one.ends_with("1\"12\"1\"1\"19000\n"), "{one}");
    }

    #[test]
    fn events_have_no_counters_and_places_are_two_columns() {
        let style = Style {
            counters: false,
            stamps: false,
            ..Style::default()
        };
        assert_eq!(
            shown(&[NatEvent, SrcHostCoords, Tos, FwdStatus], &style),
            "TOS,SH_LAT,SH_LON,NAT_EVENT,FWD_STATUS\n46,47.376900,-8.541700,0,64\n"
        );
        let style = Style {
            dscp: true,
            forwarding: true,
            ..style
        };
        assert_eq!(
            shown(&[Tos, FwdStatus], &style),
            "TOS,FWD_STATUS\n11,FORWARDED Unknown\n"
        );
    }

    #[test]
    fn primitives_of_the_configuration_stand_before_the_counters() {
        let (schema, row) = sample::customs(false, sample::values);
        let mut csv = Csv::new(schema, &Style::default());
        let mut out = Vec::new();
        csv.header(&mut out);
        csv.rows(&row, Nanos(1), &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "DST_PORT,number,hex,ip4,ip6,mac,word,text,octets,raw,odd,PACKETS,FLOWS,BYTES\n\
             443,1610612736,ab,192.0.2.1,2001:db8::9,00:01:02:03:04:05,\"ab\"\"\",\
             \"caf\u{e9}\n\",01-00-FF,09-A0,,12,1,9000\n"
        );
    }

    #[test]
    fn the_unspecified_address_is_told_from_none() {
        let (schema, mut row) = sample::rows(&[SrcHost, DstHost], false);
        let style = Style {
            stamps: false,
            ..Style::default()
        };
        // The source is the first of the key's words.
        row[..2].fill(0);
        let line = |row: &[u64]| {
            let mut out = Vec::new();
            Csv::new(schema.clone(), &style).rows(row, Nanos(1), &mut out);
            out
        };
        // A host without an address yet, to an IPv6 one; then nothing known of either.
        assert_eq!(line(&row), b"::,2001:db8::1,12,1,9000\n");
        row[..4].fill(0);
        assert_eq!(line(&row), b",,12,1,9000\n");
        // A prefix of no length, of an IPv6 host.
        let (schema, mut row) = sample::rows(&[DstHost, DstNet, SrcNet], false);
        row[2..].fill(0);
        let mut out = Vec::new();
        Csv::new(schema, &style).rows(&row, Nanos(1), &mut out);
        assert_eq!(out, b"::,2001:db8::1,::,0,0,0\n");
    }

    /// The values of one line, as RFC 4180 reads them.
    fn parse(line: &[u8], separator: u8) -> Vec<Vec<u8>> {
        let (mut cells, mut quoted, mut at) = (vec![Vec::new()], false, 0);
        while at < line.len() {
            let byte = line[at];
            let cell = cells.last_mut().unwrap();
            match byte {
                b'"' if quoted && line.get(at + 1) == Some(&b'"') => {
                    cell.push(b'"');
                    at += 1;
                }
                b'"' => quoted = !quoted,
                _ if byte == separator && !quoted => cells.push(Vec::new()),
                _ => cell.push(byte),
            }
            at += 1;
        }
        assert!(!quoted);
        cells
    }

    proptest! {
        #[test]
        fn any_text_comes_back(texts: Vec<Vec<u8>>, special in "[\",;\n\r]{0,8}") {
            for separator in [b',', b';', b'\t', b' ', b'.', b'0', b'x'] {
                let mut out = Vec::new();
                let mut pen = Pen::new(&mut out);
                pen.byte(b'y');
                let mut want = vec![b"y".to_vec()];
                for t in texts.iter().map(Vec::as_slice).chain([special.as_bytes()]) {
                    pen.byte(separator);
                    text(&mut pen, t, separator);
                    want.push(t.to_vec());
                }
                drop(pen);
                prop_assert_eq!(parse(&out, separator), want);
            }
        }
    }
}
