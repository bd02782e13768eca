//! How a value is shown: numbers, addresses, names of protocols, times.
//!
//! Text that came from outside is handed over as it is; quoting it is each format's business.

use super::pen::Pen;
use super::proto;
use crate::base::addr::Ip;
use crate::base::civil::Civil;
use crate::base::intern::Sym;
use crate::base::offset::{Span, Wall};
use crate::base::time::Nanos;
use crate::base::zone::Zone;
use crate::record::schema::What;
use crate::record::{Column, Field, Kind, Schema};

/// How times are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Times {
    /// `2026-01-02 03:04:05.678901`, on the wall clock of the zone.
    #[default]
    Plain,
    /// `2026-01-02T03:04:05.678901+01:00` (RFC 3339), on the wall clock of the zone.
    Rfc3339,
    /// `1767322800.678901`, seconds since 1970.
    Epoch,
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
    /// Whether rows of bins carry when they began and were written.
    pub stamps: bool,
    /// JSON: whether every object begins with `"event_type":"purge"`.
    pub event_type: bool,
    /// CSV: between two values.
    pub separator: u8,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            zone: Zone::UTC,
            times: Times::Plain,
            fraction: true,
            proto_numbers: false,
            stamps: true,
            event_type: true,
            separator: b',',
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
        if time == Nanos(0) {
            return pen.short(b"0000-00-00 00:00:00", 19);
        }
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

    fn tick(&mut self, time: Nanos) {
        let seconds = time.seconds() as i64;
        self.span = self.wall.span(seconds);
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
        self.second = time.seconds();
    }
}

/// Writes values of one style.
#[derive(Clone, Debug)]
pub struct Show {
    watch: Watch,
    proto_numbers: bool,
    /// What a value of text holds, as UTF-8, after [`Show::value`] returned true.
    pub text: Vec<u8>,
}

impl Show {
    /// As `style` says.
    pub fn new(style: &Style) -> Self {
        Self {
            watch: Watch::new(style),
            proto_numbers: style.proto_numbers,
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
        column: &Column,
        row: &[u64],
    ) -> bool {
        match column.kind {
            Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 | Kind::NumberText => {
                pen.number(column.number(row));
            }
            Kind::Ip => match column.ip(row) {
                ip if ip == Ip::default() && is_six(schema, column, row) => pen.raw(b"::"),
                ip => pen.ip(ip),
            },
            Kind::Proto => self.proto(pen, column.number(row) as u8),
            Kind::Mac => pen.mac(column.mac(row)),
            Kind::EtherType => pen.hex(column.number(row) as u16),
            Kind::Rd => distinguisher(pen, column.number(row)),
            Kind::Letter => pen.byte(letter(column.number(row))),
            Kind::Time => {
                let time = Nanos(column.number(row));
                if column.what == What::Field(Field::Bin) {
                    self.watch.stamp(pen, time);
                } else {
                    self.watch.time(pen, time);
                }
            }
            Kind::Text => {
                self.read(schema, column, row);
                return true;
            }
        }
        false
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
        if let Err(_invalid) = std::str::from_utf8(&self.text) {
            self.text = String::from_utf8_lossy(&self.text)
                .into_owned()
                .into_bytes();
        }
    }

    #[inline]
    fn proto(&self, pen: &mut Pen<'_>, number: u8) {
        match proto::padded(number) {
            (_, 0) => pen.number(number.into()),
            _ if self.proto_numbers => pen.number(number.into()),
            (name, len) => pen.short(name, len),
        }
    }
}

/// A letter; `u` (unknown) where there is none.
fn letter(n: u64) -> u8 {
    match n as u8 {
        c if c.is_ascii_graphic() && c != b'"' && c != b'\\' => c,
        _ => b'u',
    }
}

/// A route distinguisher as `type:administrator:number` (RFC 4364 §4.2).
fn distinguisher(pen: &mut Pen<'_>, rd: u64) {
    let (kind, low) = (rd >> 48, rd & 0xffff_ffff_ffff);
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

/// Whether an address of zeros is IPv6's unspecified one rather than none: where the other end is
/// an IPv6 address. Hosts that look for their own address send from it.
#[cold]
fn is_six(schema: &Schema, column: &Column, row: &[u64]) -> bool {
    let other = match column.what {
        What::Field(Field::SrcHost) => Field::DstHost,
        What::Field(Field::DstHost) => Field::SrcHost,
        What::Field(Field::TunnelSrcHost) => Field::TunnelDstHost,
        What::Field(Field::TunnelDstHost) => Field::TunnelSrcHost,
        _ => return false,
    };
    schema.column(What::Field(other)).is_some_and(|other| {
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
        for times in [Times::Plain, Times::Rfc3339, Times::Epoch] {
            assert_eq!(show("+02:00", times, true, Nanos(0)), "0000-00-00 00:00:00");
        }
        assert_eq!(
            show("UTC", Times::Plain, true, Nanos(5_000)),
            "1970-01-01 00:00:00.000005"
        );
        assert!(show("UTC", Times::Plain, true, Nanos(u64::MAX)).starts_with("2554-07-21 "));
    }

    #[test]
    fn distinguishers_of_all_types_and_letters() {
        assert_eq!(written(|p| distinguisher(p, 0)), "0:0:0");
        let rd = u64::from_be_bytes([0, 0, 0xfd, 0xe8, 0, 0, 0, 100]);
        assert_eq!(written(|p| distinguisher(p, rd)), "0:65000:100");
        let rd = u64::from_be_bytes([0, 1, 192, 0, 2, 1, 0, 7]);
        assert_eq!(written(|p| distinguisher(p, rd)), "1:192.0.2.1:7");
        let rd = u64::from_be_bytes([0, 2, 0, 1, 0, 0, 0, 9]);
        assert_eq!(written(|p| distinguisher(p, rd)), "2:65536:9");
        assert_eq!(written(|p| distinguisher(p, u64::MAX)), "unknown");
        assert_eq!(
            (letter(0), letter(b'i'.into()), letter(b'"'.into())),
            (b'u', b'i', b'u')
        );
    }
}
