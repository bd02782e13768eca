//! How a value is shown: numbers, addresses, names of protocols, times.
//!
//! Text that came from outside is handed over as it is; quoting it is each format's business.

use super::list::Degree;
use super::order::Out;
use super::pen::Pen;
use super::{forwarding, proto};
use crate::base::addr::{Ip, Mac};
use crate::base::civil::Civil;
use crate::base::intern::Sym;
use crate::base::offset::{Span, Wall};
use crate::base::time::Nanos;
use crate::base::zone::Zone;
use crate::record::schema::What;
use crate::record::{Column, Field, Form as Own, Kind, Rd, Schema};

/// How times are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Times {
    /// `2026-01-02 03:04:05.678901`, on the wall clock of the zone.
    #[default]
    Plain,
    /// `2026-01-02T03:04:05.678901+01:00` (RFC 3339), on the wall clock of the zone; UTC is
    /// `+00:00` there too.
    Rfc3339,
    /// `1767322800.678901`, seconds since 1970.
    Epoch,
}

/// Lists that JSON and Avro may show as arrays rather than as a number or a joined text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrays {
    /// TCP flags by name, also those inside a tunnel.
    pub tcp_flags: bool,
    /// AS paths.
    pub as_path: bool,
    /// Communities of all kinds.
    pub communities: bool,
    /// MPLS labels, each with its position.
    pub mpls_labels: bool,
}

/// Choices of how values are shown.
#[derive(Clone, Debug)]
pub struct Style {
    /// Whose wall clock times are on.
    pub zone: Zone,
    /// How times are written.
    pub times: Times,
    /// Whether times have microseconds. Stamps of bins never have.
    pub fraction: bool,
    /// IP protocols as numbers rather than by name.
    pub proto_numbers: bool,
    /// Type of service as its upper six bits, the code point of DiffServ.
    pub dscp: bool,
    /// Forwarding status in words rather than as a number.
    pub forwarding: bool,
    /// JSON, Avro: what is an array.
    pub arrays: Arrays,
    /// JSON, Avro: labels of the form `key%value` as a map.
    pub label_map: bool,
    /// Whether rows have packets, flows and bytes.
    pub counters: bool,
    /// Whether rows of bins carry when they began and were written.
    pub stamps: bool,
    /// JSON: whether every object begins with `"event_type":"purge"`.
    pub event_type: bool,
    /// CSV: between two values.
    pub separator: u8,
    /// CSV: whether a value that holds the separator is quoted.
    pub quotes: bool,
    /// Who writes, for lines that mark beginning and end of a flush; none leaves them out.
    pub markers: Option<String>,
    /// Avro: makes the markers between blocks hard to guess; zero where a run must be repeatable.
    pub seed: u64,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            zone: Zone::UTC,
            times: Times::Plain,
            fraction: true,
            proto_numbers: false,
            dscp: false,
            forwarding: false,
            arrays: Arrays::default(),
            label_map: false,
            counters: true,
            stamps: true,
            event_type: true,
            separator: b',',
            quotes: true,
            markers: None,
            seed: 0,
        }
    }
}

/// Writes times and remembers the last second it wrote.
#[derive(Clone, Debug)]
pub struct Watch {
    wall: Wall,
    times: Times,
    fraction: bool,
    second: u64,
    text: [u8; 19],
    span: Span,
}

impl Watch {
    /// As `style` says.
    pub fn new(style: &Style) -> Self {
        Self {
            wall: Wall::new(style.zone.clone()),
            times: style.times,
            fraction: style.fraction,
            second: u64::MAX,
            text: [0; 19],
            span: Span::always(0),
        }
    }

    /// A point in time; a fixed line of zeroes where none is known.
    pub fn time(&mut self, pen: &mut Pen<'_>, time: Nanos) {
        self.write(pen, time, self.fraction);
    }

    /// The start of a bin, or when a row was written: whole seconds.
    pub fn stamp(&mut self, pen: &mut Pen<'_>, time: Nanos) {
        self.write(pen, time, false);
    }

    fn write(&mut self, pen: &mut Pen<'_>, time: Nanos, fraction: bool) {
        if self.times == Times::Epoch {
            pen.number(time.seconds());
        } else {
            if time.seconds() != self.second {
                self.tick(time);
            }
            pen.short(&self.text, 19);
        }
        if fraction {
            let micros = u64::from(time.fraction() / 1000);
            pen.byte(b'.');
            pen.two(micros / 10_000);
            pen.four(micros % 10_000);
        }
        if self.times == Times::Rfc3339 {
            let minutes = u64::from(self.span.offset.unsigned_abs() / 60);
            pen.byte(if self.span.offset < 0 { b'-' } else { b'+' });
            pen.two(minutes / 60);
            pen.byte(b':');
            pen.two(minutes % 60);
        }
    }

    /// Writes down the second of `time`; a time that is not known is all zeroes.
    fn tick(&mut self, time: Nanos) {
        let seconds = time.seconds() as i64;
        self.span = self.wall.span(seconds);
        self.second = time.seconds();
        if seconds == 0 {
            self.text = match self.times {
                Times::Rfc3339 => *b"0000-00-00T00:00:00",
                _ => *b"0000-00-00 00:00:00",
            };
            return;
        }
        let c = Civil::new(seconds, self.span.offset);
        let mut text = Vec::with_capacity(32);
        let mut pen = Pen::new(&mut text);
        pen.four(c.year.unsigned_abs().into());
        for (before, value) in [
            (b'-', c.month),
            (b'-', c.day),
            (
                if self.times == Times::Rfc3339 {
                    b'T'
                } else {
                    b' '
                },
                c.hour,
            ),
            (b':', c.minute),
            (b':', c.second),
        ] {
            pen.byte(before);
            pen.two(value.into());
        }
        drop(pen);
        self.text = *text.first_chunk().unwrap_or(&[0; 19]);
    }
}

/// How the values of a column are written, chosen once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Number,
    /// The upper six bits of a byte.
    Dscp,
    Forwarding,
    Ip,
    Proto,
    Mac,
    Hex,
    Rd,
    Letter,
    Time,
    /// The start of a bin.
    Stamp,
    Text,
    /// One of two numbers joined by a comma; with six decimals in CSV and tables.
    Degree {
        second: bool,
    },
    /// A primitive of the configuration.
    Own(Own),
}

/// A column, and how its values are written in one style.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The column.
    pub column: Column,
    form: Form,
}

impl Entry {
    /// For values of `column`, as `style` says.
    pub fn new(column: Column, style: &Style) -> Self {
        let form = match column.kind {
            Kind::Proto if style.proto_numbers => Form::Number,
            Kind::Proto => Form::Proto,
            Kind::Ip => Form::Ip,
            Kind::Mac => Form::Mac,
            Kind::EtherType => Form::Hex,
            Kind::Rd => Form::Rd,
            Kind::Letter => Form::Letter,
            Kind::Time if column.what == What::Field(Field::Bin) => Form::Stamp,
            Kind::Time => Form::Time,
            Kind::Text => Form::Text,
            Kind::Custom => Form::Own(column.form),
            Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 | Kind::NumberText => match column.what {
                What::Field(Field::Tos | Field::TunnelTos) if style.dscp => Form::Dscp,
                What::Field(Field::FwdStatus) if style.forwarding => Form::Forwarding,
                _ => Form::Number,
            },
        };
        Self { column, form }
    }

    /// For what stands at `out` in an order of columns: the column, or a part of it.
    pub fn part(out: Out, column: Column, style: &Style) -> Self {
        let second = matches!(out, Out::Longitude(_));
        match out {
            Out::Latitude(_) | Out::Longitude(_) => Self {
                column,
                form: Form::Degree { second },
            },
            _ => Self::new(column, style),
        }
    }

    /// Whether values are numbers in JSON.
    pub fn is_number(&self) -> bool {
        match self.form {
            Form::Number | Form::Dscp => {
                !matches!(self.column.kind, Kind::NumberText | Kind::Proto)
            }
            Form::Degree { .. } => true,
            _ => false,
        }
    }

    /// Whether people read values from the right.
    pub fn leans_right(&self) -> bool {
        match self.form {
            Form::Number | Form::Dscp => self.column.kind != Kind::Proto,
            Form::Degree { .. } | Form::Own(Own::Number) => true,
            _ => false,
        }
    }

    /// Whether values are texts from outside, which [`Show::value`] does not write.
    pub fn is_text(&self) -> bool {
        match self.form {
            Form::Text => true,
            Form::Own(form) => form == Own::ShortText || form.is_symbol(),
            _ => false,
        }
    }

    /// Whether this is one of two real numbers that a column holds.
    pub fn is_real(&self) -> bool {
        matches!(self.form, Form::Degree { .. })
    }

    /// The number that is shown where [`is_number`](Self::is_number) says there is one, but for
    /// real ones.
    #[inline]
    pub fn number(&self, row: &[u64]) -> u64 {
        let number = self.column.number(row);
        match self.form {
            Form::Dscp => number >> 2,
            _ => number,
        }
    }
}

/// Writes values of one style.
#[derive(Clone, Debug)]
pub struct Show {
    watch: Watch,
    /// What a value of text holds, as UTF-8, after [`Show::value`] returned true.
    pub text: Vec<u8>,
}

impl Show {
    /// As `style` says.
    pub fn new(style: &Style) -> Self {
        Self {
            watch: Watch::new(style),
            text: Vec::new(),
        }
    }

    /// When a row was written.
    pub fn stamp(&mut self, pen: &mut Pen<'_>, time: Nanos) {
        self.watch.stamp(pen, time);
    }

    /// Writes a value. Text from outside is not written: it is in [`text`](Self::text) then, and
    /// the answer is true.
    #[inline(always)]
    pub fn value(
        &mut self,
        pen: &mut Pen<'_>,
        schema: &Schema,
        entry: &Entry,
        row: &[u64],
    ) -> bool {
        let column = &entry.column;
        match entry.form {
            Form::Number => pen.number(column.number(row)),
            Form::Ip => match column.ip(row) {
                ip if ip == Ip::default() && is_six(schema, column, row) => pen.raw(b"::"),
                ip => pen.ip(ip),
            },
            Form::Proto => proto(pen, column.number(row) as u8),
            Form::Mac => pen.mac(column.mac(row)),
            Form::Hex => pen.hex(column.number(row) as u16),
            Form::Rd => distinguisher(pen, Rd(column.number(row))),
            Form::Letter => pen.byte(letter(column.number(row))),
            Form::Time => self.watch.time(pen, Nanos(column.number(row))),
            Form::Stamp => self.watch.stamp(pen, Nanos(column.number(row))),
            Form::Dscp => pen.number(entry.number(row)),
            Form::Forwarding => pen.raw(forwarding::words(column.number(row)).as_bytes()),
            Form::Degree { .. } => {
                let degree = self.degree(schema, entry, row);
                pen.raw(degree.millionths().as_bytes());
            }
            Form::Text => {
                self.read(schema, column, row);
                return true;
            }
            Form::Own(form) => return self.custom(pen, form, schema, column, row),
        }
        false
    }

    /// A primitive of the configuration; likewise. What is absent is the zero of its form.
    #[inline(never)]
    fn custom(
        &mut self,
        pen: &mut Pen<'_>,
        form: Own,
        schema: &Schema,
        column: &Column,
        row: &[u64],
    ) -> bool {
        let number = column.number(row);
        let bytes = number.to_be_bytes();
        match form {
            Own::Number => pen.number(number),
            Own::Hex => pen.raw(format!("{number:x}").as_bytes()),
            Own::Ip4 => pen.ip(Ip::v4((number as u32).to_be_bytes())),
            Own::Ip6 => match column.ip(row) {
                ip if ip == Ip::default() => pen.raw(b"::"),
                ip => pen.ip(ip),
            },
            Own::Mac => {
                let [_, _, mac @ ..] = bytes;
                pen.mac(Mac(mac));
            }
            Own::ShortText => {
                let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
                self.text.clear();
                self.text.extend_from_slice(&bytes[..end]);
                self.clean();
                return true;
            }
            Own::ShortRaw(_) if number == 0 => {}
            Own::ShortRaw(len) => dump(pen, bytes.get(..usize::from(len)).unwrap_or(&bytes)),
            Own::Text => {
                self.read(schema, column, row);
                return true;
            }
            Own::Raw => {
                self.read_raw(schema, Sym(number as u32));
                return true;
            }
            Own::Nothing => {}
        }
        false
    }

    /// The value where [`Entry::is_real`] says that it is a real number; zero where none is known.
    pub fn degree(&mut self, schema: &Schema, entry: &Entry, row: &[u64]) -> Degree {
        self.read(schema, &entry.column, row);
        Degree::read(&self.text, entry.form == Form::Degree { second: true })
    }

    #[inline(never)]
    fn read(&mut self, schema: &Schema, column: &Column, row: &[u64]) {
        self.text.clear();
        let sym = Sym(column.number(row) as u32);
        if sym == Sym::EMPTY {
            if column.what == What::Field(Field::Class) {
                self.text.extend_from_slice(b"unknown");
            }
            return;
        }
        schema.symbols.read(sym, &mut self.text);
        self.clean();
        if self.text.is_empty() && column.what == What::Field(Field::Class) {
            self.text.extend_from_slice(b"unknown");
        }
    }

    /// Bytes, as the digits that they are shown as.
    fn read_raw(&mut self, schema: &Schema, sym: Sym) {
        let mut bytes = Vec::new();
        if sym != Sym::EMPTY {
            schema.symbols.read(sym, &mut bytes);
        }
        self.text.clear();
        match sym {
            // It stands for bytes that found no room, and has none.
            Sym::OVERFLOW => self.text = bytes,
            _ => dump(&mut Pen::new(&mut self.text), &bytes),
        }
    }

    /// Makes the text UTF-8.
    fn clean(&mut self) {
        if let Err(_invalid) = std::str::from_utf8(&self.text) {
            self.text = String::from_utf8_lossy(&self.text)
                .into_owned()
                .into_bytes();
        }
    }
}

#[inline]
fn proto(pen: &mut Pen<'_>, number: u8) {
    match proto::padded(number) {
        (_, 0) => pen.number(number.into()),
        (name, len) => pen.short(name, len),
    }
}

/// A letter; `u` (unknown) where there is none.
fn letter(n: u64) -> u8 {
    match n as u8 {
        c if c.is_ascii_graphic() && c != b'"' && c != b'\\' => c,
        _ => b'u',
    }
}

/// Bytes as hex digits in capitals, joined by `-`.
fn dump(pen: &mut Pen<'_>, bytes: &[u8]) {
    for (n, byte) in bytes.iter().enumerate() {
        let digits = [byte >> 4, byte & 15].map(|d| b"0123456789ABCDEF"[usize::from(d)]);
        if n > 0 {
            pen.byte(b'-');
        }
        pen.raw(&digits);
    }
}

/// A route distinguisher as `type:administrator:number` (RFC 4364 §4.2), or the number of a VRF.
fn distinguisher(pen: &mut Pen<'_>, rd: Rd) {
    if let Some(vrf) = rd.as_vrf() {
        pen.raw(b"vrfid:");
        return pen.number(vrf.into());
    }
    let (kind, low) = rd.parts();
    let (admin, number) = match kind {
        0 => (low >> 32, low & 0xffff_ffff),
        1 | 2 => (low >> 16, low & 0xffff),
        _ => return pen.raw(b"unknown"),
    };
    pen.number(kind);
    pen.byte(b':');
    if kind == 1 {
        pen.ip(crate::base::addr::Ip::v4((admin as u32).to_be_bytes()));
    } else {
        pen.number(admin);
    }
    pen.byte(b':');
    pen.number(number);
}

/// Whether an address of zeros is IPv6's unspecified one rather than none: where another address
/// of the row is IPv6, its EtherType is, or its protocol is one of IPv6 only. Hosts that look for
/// their own address send from it, and the prefix of all addresses is written so.
#[cold]
fn is_six(schema: &Schema, column: &Column, row: &[u64]) -> bool {
    let others: &[Field] = match column.what {
        What::Field(Field::SrcHost) => &[Field::DstHost],
        What::Field(Field::DstHost) => &[Field::SrcHost],
        What::Field(Field::SrcNet) => &[Field::SrcHost, Field::DstHost, Field::DstNet],
        What::Field(Field::DstNet) => &[Field::DstHost, Field::SrcHost, Field::SrcNet],
        What::Field(Field::TunnelSrcHost) => &[Field::TunnelDstHost],
        What::Field(Field::TunnelDstHost) => &[Field::TunnelSrcHost],
        _ => return false,
    };
    let outer = !matches!(
        column.what,
        What::Field(Field::TunnelSrcHost | Field::TunnelDstHost)
    );
    let six = [(Field::Etype, 0x86dd), (Field::Proto, 58)];
    let says = |(field, value)| {
        let column = schema.column(What::Field(field));
        column.is_some_and(|column| column.number(row) == value)
    };
    if outer && six.into_iter().any(says) {
        return true;
    }
    let mut others = others.iter().filter_map(|f| schema.column(What::Field(*f)));
    others.any(|other| {
        let ip = other.ip(row);
        ip != Ip::default() && ip.as_v4().is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(by: impl FnOnce(&mut Pen<'_>)) -> String {
        let mut out = Vec::new();
        by(&mut Pen::new(&mut out));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_in_every_format() {
        let at = Nanos(1_767_322_800_678_901_999);
        let show = |zone: &str, times, fraction, time| {
            let style = Style {
                zone: Zone::named(zone).unwrap(),
                times,
                fraction,
                ..Style::default()
            };
            written(|pen| Watch::new(&style).time(pen, time))
        };
        assert_eq!(
            show("UTC", Times::Plain, true, at),
            "2026-01-02 03:00:00.678901"
        );
        assert_eq!(show("UTC", Times::Plain, false, at), "2026-01-02 03:00:00");
        assert_eq!(
            show("+05:30", Times::Plain, true, at),
            "2026-01-02 08:30:00.678901"
        );
        let text = show("-03:30", Times::Rfc3339, true, at);
        assert_eq!(text, "2026-01-01T23:30:00.678901-03:30");
        let text = show("UTC", Times::Rfc3339, false, at);
        assert_eq!(text, "2026-01-02T03:00:00+00:00");
        assert_eq!(show("UTC", Times::Epoch, true, at), "1767322800.678901");
        // A time that nobody stated.
        for (times, fraction, want) in [
            (Times::Plain, true, "0000-00-00 00:00:00.000000"),
            (Times::Plain, false, "0000-00-00 00:00:00"),
            (Times::Rfc3339, true, "0000-00-00T00:00:00.000000+02:00"),
            (Times::Rfc3339, false, "0000-00-00T00:00:00+02:00"),
            (Times::Epoch, true, "0.000000"),
            (Times::Epoch, false, "0"),
        ] {
            assert_eq!(show("+02:00", times, fraction, Nanos(0)), want);
        }
        assert_eq!(
            show("UTC", Times::Plain, true, Nanos(1_000_005_000)),
            "1970-01-01 00:00:01.000005"
        );
        assert!(show("UTC", Times::Plain, true, Nanos(u64::MAX)).starts_with("2554-07-21 "));
    }

    #[test]
    fn distinguishers_of_all_types_and_letters() {
        use crate::record::Origin;
        for (wire, want) in [
            ([0; 8], "0:0:0"),
            ([0, 0, 0xfd, 0xe8, 0, 0, 0, 100], "0:65000:100"),
            ([0, 1, 192, 0, 2, 1, 0, 7], "1:192.0.2.1:7"),
            ([0, 2, 0, 1, 0, 0, 0, 9], "2:65536:9"),
            ([0xff; 8], "unknown"),
        ] {
            for origin in [Origin::Unknown, Origin::Flow, Origin::Map] {
                let rd = Rd::new(u64::from_be_bytes(wire), origin);
                assert_eq!(written(|p| distinguisher(p, rd)), want);
            }
        }
        let rd = Rd::vrf(1_610_612_736, Origin::Flow);
        assert_eq!(written(|p| distinguisher(p, rd)), "vrfid:1610612736");
        assert_eq!(
            (letter(0), letter(b'i'.into()), letter(b'"'.into())),
            (b'u', b'i', b'u')
        );
    }
}
