//! NetFlow v9 and IPFIX: one datagram, set by set.
//!
//! A set that can not be read is dropped and counted; what stands around it is used. Not for
//! what a record holds: its template was compiled for that.

use super::Emit;
use super::compile::{Compiled, What};
use super::netflow::{Context, NetflowDecoder, SPANS_MAX};
use super::options::{Domain, Options};
use super::row::{Packed, Rows, Spanned};
use super::slow::Told;
use super::template::{Key, Learned};
use crate::base::addr::Ip;
use crate::base::cursor::Cursor;
use crate::base::ledger::Reason;
use crate::base::time::Nanos;
use crate::record::FieldSet;
use crate::source::Frame;
use crate::wire::flowset::{self, Format, Kind};
use crate::wire::{self, Error};

impl NetflowDecoder {
    /// Decodes a datagram of either format.
    pub(super) fn sets(
        &mut self,
        frame: &Frame<'_>,
        out: &mut Emit<'_>,
    ) -> Result<(), wire::Error> {
        let (header, mut sets) = flowset::open(frame.bytes)?;
        if frame.bytes.len() < frame.wire_len as usize {
            sets = sets.cut();
        }
        let format = header.format;
        let exporter = Ip::from(frame.from.ip);
        let domain = Domain {
            exporter,
            id: header.domain,
            version: format.version(),
        };
        let at = self.exporter(domain, out);
        let fill = |mut context: Context| {
            context.clock.export = Nanos::new(u64::from(header.seconds), 0);
            context.clock.uptime = (format == Format::V9).then_some(header.uptime);
            context.sequence = header.sequence;
            context
        };
        let mut context = fill(self.context(domain, at, frame.time));
        // Data records seen, for the sequence of IPFIX; none once they can not be counted.
        let mut records = Some(0u32);
        loop {
            let left = sets.left();
            let Some(set) = sets.next() else { break };
            let set = match set {
                Ok(set) => set,
                Err(e) => {
                    // What stands before it has been used.
                    out.drop(e.into(), left.saturating_add(frame.missing()));
                    records = None;
                    break;
                }
            };
            match set.kind {
                Kind::Templates => self.learn(&context, set.body, format, false, out),
                Kind::Options => self.learn(&context, set.body, format, true, out),
                Kind::Data(id) => {
                    let (read, told) = self.data(id, set.body, &context, out);
                    records = records.zip(read).map(|(a, b)| a.saturating_add(b));
                    if let Some(told) = told {
                        self.heed(at, told, out);
                        context = fill(self.context(domain, at, frame.time));
                    }
                }
                Kind::Reserved(_) => out.drop(Reason::Type, set.body.len()),
            }
        }
        let units = match format {
            Format::V9 => 1,
            Format::Ipfix => records.unwrap_or(0),
        };
        self.account(at, header.sequence, units, out);
        if format == Format::Ipfix
            && records.is_none()
            && let Some(known) = at.and_then(|at| self.exporters.get_mut(at))
        {
            known.sequence.forget();
        }
        Ok(())
    }

    /// Takes in the template records of a set.
    fn learn(
        &mut self,
        context: &Context,
        body: &[u8],
        format: Format,
        options: bool,
        out: &mut Emit<'_>,
    ) {
        let (domain, now) = (context.origin.domain, context.origin.now);
        for template in flowset::templates(body, format, options) {
            let t = match template {
                Ok(t) => t,
                Err(_) => {
                    out.drop(Reason::BadTemplate, body.len());
                    break;
                }
            };
            if t.fields == 0 && format == Format::Ipfix {
                // A withdrawal. Over UDP, where anybody can forge one, collectors must ignore
                // them (RFC 7011 §8.4); and datagrams are all that is decoded.
                continue;
            }
            match self.templates.learn(domain, &t, now) {
                Learned::Known | Learned::New => {}
                Learned::Evicted | Learned::Refused => {
                    out.drop(Reason::TemplateStore, t.specs.len());
                }
                Learned::Useless => out.drop(Reason::BadTemplate, t.specs.len()),
            }
        }
    }

    /// Decodes a data set. Gives the number of records, `None` when that can not be known, and
    /// what options records told.
    fn data(
        &mut self,
        id: u16,
        body: &[u8],
        context: &Context,
        out: &mut Emit<'_>,
    ) -> (Option<u32>, Option<Told>) {
        let key = Key {
            domain: context.origin.domain,
            id,
        };
        let Some(compiled) = self.templates.pick(&key, context.origin.now) else {
            out.drop(Reason::NoTemplate, body.len());
            return (None, None);
        };
        let mut reader = Reader {
            context,
            options: &mut self.options,
            wanted: self.wanted,
            records: 0,
            told: None,
        };
        let whole = if compiled.lens.is_empty() {
            reader.fixed(compiled, body, out)
        } else {
            reader.variable(compiled, body, &mut self.spans, out)
        };
        (whole.then_some(reader.records), reader.told)
    }

    /// Acts on what options records told about the exporter.
    fn heed(&mut self, at: Option<usize>, told: Told, out: &mut Emit<'_>) {
        if told.full {
            out.drop(Reason::OptionStore, 0);
        }
        if let Some(known) = at.and_then(|at| self.exporters.get_mut(at)) {
            known.boot = told.boot.unwrap_or(known.boot);
            known.peer = told.peer.or(known.peer);
        }
    }
}

/// Reads the records of one set.
struct Reader<'c> {
    context: &'c Context,
    options: &'c mut Options,
    wanted: FieldSet,
    records: u32,
    told: Option<Told>,
}

impl Reader<'_> {
    /// Records of constant length. False when the set does not end with a whole record and
    /// padding.
    fn fixed(&mut self, compiled: &Compiled, body: &[u8], out: &mut Emit<'_>) -> bool {
        let each = compiled.len;
        self.all(compiled, Packed { bytes: body, each }, out);
        padding(body.chunks_exact(each).remainder(), out)
    }

    /// Records that carry lengths of their own: as many as there is room to note down where their
    /// fields lie, then the next ones.
    fn variable(
        &mut self,
        compiled: &Compiled,
        body: &[u8],
        spans: &mut Vec<(u16, u16)>,
        out: &mut Emit<'_>,
    ) -> bool {
        let (mut c, fields) = (Cursor::new(body), compiled.lens.len());
        let padded = |c: &Cursor<'_>| c.left() < 4 && c.rest().iter().all(|b| *b == 0);
        let most = SPANS_MAX.saturating_sub(fields);
        loop {
            spans.clear();
            let mut walked = Ok(());
            while walked.is_ok() && spans.len() <= most && c.left() >= compiled.len && !padded(&c) {
                walked = walk(&mut c, &compiled.lens, spans);
            }
            let rows = Spanned {
                bytes: body,
                spans,
                fields,
            };
            self.all(compiled, rows, out);
            if walked.is_err() {
                out.drop(Reason::Truncated, c.left());
                return false;
            }
            if spans.is_empty() {
                return padding(c.rest(), out);
            }
        }
    }

    /// Records of either kind.
    fn all<'a>(&mut self, compiled: &Compiled, rows: impl Rows<'a>, out: &mut Emit<'_>) {
        if let What::Data(way, None) = &compiled.what {
            let made = self.context.emit_all(way, rows, self.options, out);
            self.records = self.records.wrapping_add(made);
            return;
        }
        for n in 0..rows.count() {
            self.one(compiled, rows.one(n), out);
        }
    }

    /// One record of any kind.
    #[inline(never)]
    fn one<'a>(&mut self, compiled: &Compiled, row: impl Rows<'a>, out: &mut Emit<'_>) {
        self.records = self.records.wrapping_add(1);
        match &compiled.what {
            What::Data(there, back) => {
                self.context.emit(there, row, self.options, out);
                let Some(back) = back else { return };
                let made = self.context.emit(back, row, self.options, out);
                if made.iter().all(|record| record.packets | record.bytes == 0) {
                    out.undo();
                }
            }
            What::Options(plan, record) => {
                let origin = &self.context.origin;
                let new = plan.run(
                    row.first(),
                    origin,
                    self.wanted,
                    self.options,
                    &mut out.symbols(),
                );
                let old = self.told.unwrap_or_default();
                self.told = Some(Told {
                    boot: new.boot.or(old.boot),
                    peer: new.peer.or(old.peer),
                    full: new.full | old.full,
                });
                if let Some(way) = record {
                    self.context.emit(way, row, self.options, out);
                }
            }
        }
    }
}

/// What follows the last record: padding is fine, a piece of a record is counted.
fn padding(rest: &[u8], out: &mut Emit<'_>) -> bool {
    let fine = rest.len() < 4 || rest.iter().all(|b| *b == 0);
    if !fine {
        out.drop(Reason::Truncated, rest.len());
    }
    fine
}

/// Finds the places of one record's fields. An error leaves everything as it was.
fn walk(c: &mut Cursor<'_>, lens: &[u16], spans: &mut Vec<(u16, u16)>) -> Result<(), Error> {
    let (mut at, before) = (*c, spans.len());
    for len in lens {
        let place = flowset::value(&mut at, *len).and_then(|value| {
            let start = at.offset().saturating_sub(value.len());
            let place = (u16::try_from(start), u16::try_from(value.len()));
            let (Ok(start), Ok(len)) = place else {
                return Err(Error::Length);
            };
            Ok((start, len))
        });
        match place {
            Ok(place) => spans.push(place),
            Err(error) => {
                spans.truncate(before);
                return Err(error);
            }
        }
    }
    *c = at;
    Ok(())
}
