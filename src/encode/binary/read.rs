//! Frames into rows: the other end of [`write`](super::write).
//!
//! What comes here may be damaged or hostile. Nothing in it sizes an allocation beyond what its
//! own length and [`WORDS_MAX`] allow, and whatever contradicts itself is refused by name.

use super::{ALIKE, BYTES, COLUMNS_MAX, EACH, FLOWS, KIND, MAGIC, NAME_MAX, PACKETS, Shape};
use super::{TEXTS_FROM, VERSION, WORDS_MAX, flag, form};
use crate::base::Primitives;
use crate::base::addr::{Ip, Mac};
use crate::base::cursor::{Cursor, Short};
use crate::base::intern::{Interner, Sym};
use crate::base::time::Nanos;
use crate::record::custom;
use crate::record::schema::{Options, What};
use crate::record::{Column, Custom, Customs, Field, Form, Schema};
use std::fmt::{Display, Formatter};
use std::sync::Arc;

/// Why a frame is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is no frame.
    Magic,
    /// It comes from a later weir, in a version that this one does not know.
    Version(u8),
    /// It ends before all of it was there, or goes on behind its end.
    Length,
    /// It holds more than a frame may.
    TooLarge,
    /// It has a column that this weir does not know; a later one does, perhaps.
    Column(String),
    /// It has a column twice, or lacks one that every row has, or that its flags tell of.
    Columns,
    /// A value of this column is none that it can have.
    Value(String),
}

impl Refused {
    /// Whether it looks as if a later weir could read it.
    pub fn is_of_later(&self) -> bool {
        matches!(self, Self::Version(_) | Self::Column(_))
    }
}

impl Display for Refused {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Magic => write!(f, "it is no frame of rows"),
            Self::Version(version) => write!(
                f,
                "a later weir wrote it (version {version} of its form, this one reads {VERSION})"
            ),
            Self::Length => write!(f, "its lengths contradict each other"),
            Self::TooLarge => write!(f, "it holds more than a frame may"),
            Self::Column(name) => write!(f, "it has a column `{name}`, which this weir lacks"),
            Self::Columns => write!(f, "its columns contradict each other"),
            Self::Value(name) => write!(f, "a value of `{name}` is out of bounds"),
        }
    }
}

impl From<Short> for Refused {
    fn from(_: Short) -> Self {
        Self::Length
    }
}

/// What a frame held.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The weir that made it.
    pub maker: String,
    /// Identity: run, aggregation, sequence.
    pub id: (u64, u32, u64),
    /// What the rows contain; the same for frames of the same columns that follow each other.
    pub schema: Arc<Schema>,
    /// Start of the time bin.
    pub bin: Nanos,
    /// When the rows left the table.
    pub flushed: Nanos,
    /// Whether they were the last ones of their flush for this bin.
    pub last: bool,
    /// Rows one behind the other.
    pub words: Vec<u64>,
}

/// Schemas that are kept from one frame to the next.
const KNOWN_MAX: usize = 16;

/// Texts that are kept, in bytes, where frames have no more.
const TEXTS: usize = 64 << 10;

/// Reads frames. Texts have a store of their own, which is left for a new one when it is full, so
/// that the frames of a year do not fill that of the running weir.
pub struct Reader {
    symbols: Arc<Interner>,
    known: Vec<Arc<Schema>>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            symbols: Arc::new(Interner::new(TEXTS)),
            known: Vec::new(),
        }
    }
}

/// The head of a frame.
struct Head<'a> {
    flags: u64,
    maker: &'a str,
    aggregate: &'a str,
    id: (u64, u32, u64),
    bin: Nanos,
    flushed: Nanos,
    rows: usize,
    texts: Vec<&'a [u8]>,
}

/// A column before its values are read.
struct Raw<'a> {
    called: &'a str,
    what: What,
    /// Of a primitive of the configuration, how it is kept.
    own: Option<Form>,
    form: u8,
    data: Cursor<'a>,
}

impl Reader {
    /// Reads one frame, all of `bytes`.
    ///
    /// # Errors
    /// Why it is none, or none for this weir.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Frame, Refused> {
        let mut cursor = Cursor::new(bytes);
        let head = head(&mut cursor)?;
        let raw = columns(&mut cursor)?;
        if !cursor.is_empty() {
            return Err(Refused::Length);
        }
        let symbols = self.intern(&head.texts);
        let schema = self.schema(&head, &raw)?;
        let size = schema.row_words().max(1);
        let most = head.rows.checked_mul(size).filter(|n| *n <= WORDS_MAX);
        let mut words = vec![0; most.ok_or(Refused::TooLarge)?];
        let places = schema.places();
        for column in raw {
            let place = places.iter().find(|place| place.what == column.what);
            let place = place.ok_or(Refused::Columns)?;
            fill(place, column, head.bin, &symbols, &mut words, size)?;
        }
        Ok(Frame {
            maker: head.maker.into(),
            id: head.id,
            schema,
            bin: head.bin,
            flushed: head.flushed,
            last: head.flags & flag::LAST != 0,
            words,
        })
    }

    /// Symbols of the texts, in their order.
    fn intern(&mut self, texts: &[&[u8]]) -> Vec<Sym> {
        let mut budget = TEXTS.max(4 * texts.iter().map(|t| t.len() + 32).sum::<usize>());
        loop {
            let symbols: Vec<Sym> = texts.iter().map(|t| self.symbols.intern(t)).collect();
            if !symbols.contains(&Sym::OVERFLOW) {
                return symbols;
            }
            // Rows that were read before keep the store they were read with.
            self.symbols = Arc::new(Interner::new(budget));
            self.known.clear();
            budget = budget.saturating_mul(2);
        }
    }

    /// The schema with these columns, known or new.
    fn schema(&mut self, head: &Head<'_>, raw: &[Raw<'_>]) -> Result<Arc<Schema>, Refused> {
        let is = |bit| head.flags & bit != 0;
        let mut options = Options {
            flows: is(flag::FLOWS),
            hidden_flows: is(flag::HIDDEN_FLOWS),
            both_ends: is(flag::BOTH_ENDS),
            binned: is(flag::BINNED),
            kinds: false,
        };
        let mut fields: Vec<Field> = Vec::new();
        let (mut counters, mut bin) = (Vec::new(), false);
        for column in raw {
            match column.what {
                What::Field(Field::Bin) => bin = true,
                What::Field(Field::RecordKind) => options.kinds = true,
                What::Field(field) => fields.push(field),
                _ => counters.push(column.called),
            }
        }
        counters.sort_unstable();
        let flows = options.flows || options.hidden_flows;
        let want = [BYTES, FLOWS, PACKETS];
        let want = want.iter().filter(|n| **n != FLOWS || flows);
        if !counters.iter().eq(want) || (options.binned && !bin) {
            return Err(Refused::Columns);
        }
        if bin && !options.binned {
            fields.push(Field::Bin);
        }
        let symbols = self.symbols.clone();
        let customs = Arc::new(customs(raw)?);
        let made = Schema::with_customs(head.aggregate, &fields, options, symbols, customs);
        if made.places().len() != raw.len()
            || made.key.counts_both_ends() != options.both_ends
            || made.row_words() > WORDS_MAX
        {
            return Err(Refused::Columns);
        }
        if let Some(at) = self.known.iter().position(|known| known.is_like(&made)) {
            let schema = self.known.remove(at);
            self.known.push(schema.clone());
            return Ok(schema);
        }
        if self.known.len() >= KNOWN_MAX {
            self.known.remove(0);
        }
        let schema = Arc::new(made);
        self.known.push(schema.clone());
        Ok(schema)
    }
}

fn head<'a>(cursor: &mut Cursor<'a>) -> Result<Head<'a>, Refused> {
    if cursor.array::<3>()? != MAGIC {
        return Err(Refused::Magic);
    }
    let version = cursor.u8()?;
    if version != VERSION {
        return Err(Refused::Version(version));
    }
    let flags = varint(cursor)?;
    if flags & !flag::ALL != 0 {
        return Err(Refused::Version(version));
    }
    let (maker, aggregate) = (short(cursor)?, short(cursor)?);
    let run = u64::from_le_bytes(cursor.array()?);
    let place = u32::try_from(varint(cursor)?).map_err(|_| Refused::TooLarge)?;
    let id = (run, place, varint(cursor)?);
    let (bin, flushed) = (Nanos(varint(cursor)?), Nanos(varint(cursor)?));
    let rows = count(cursor, WORDS_MAX)?;
    // Each takes a byte at least, and a value that it is of.
    let many = count(cursor, cursor.left().min(WORDS_MAX))?;
    let mut texts = Vec::new();
    for _ in 0..many {
        let len = count(cursor, Sym::LEN_MAX)?;
        texts.push(cursor.take(len)?);
    }
    Ok(Head {
        flags,
        maker,
        aggregate,
        id,
        bin,
        flushed,
        rows,
        texts,
    })
}

fn columns<'a>(cursor: &mut Cursor<'a>) -> Result<Vec<Raw<'a>>, Refused> {
    let many = count(cursor, COLUMNS_MAX)?;
    let mut columns: Vec<Raw<'a>> = Vec::new();
    for _ in 0..many {
        let called = short(cursor)?;
        let shape = cursor.u8()?;
        let own = form(shape);
        if own.is_some() && Primitives::get().is_none() {
            // Nothing here would know what its words mean.
            return Err(Refused::Column(called.into()));
        }
        let what = match called {
            _ if own.is_some() => match Field::custom(cursor.u8()?.into()) {
                Some(field) => What::Field(field),
                None => return Err(Refused::Column(called.into())),
            },
            PACKETS => What::Packets,
            BYTES => What::Bytes,
            FLOWS => What::Flows,
            KIND => What::Field(Field::RecordKind),
            called => match Field::by_name(called) {
                Some(field) => What::Field(field),
                None => return Err(Refused::Column(called.into())),
            },
        };
        let plain = match what {
            What::Field(field) => Shape::of(field.info().kind, Form::Nothing),
            _ => Shape::Number,
        };
        if own.is_none() && shape != plain as u8 {
            return Err(Refused::Column(called.into()));
        }
        let form = cursor.u8()?;
        let len = count(cursor, usize::MAX)?;
        let data = cursor.sub(len)?;
        if columns.iter().any(|c| c.what == what || c.called == called) {
            return Err(Refused::Columns);
        }
        columns.push(Raw {
            called,
            what,
            own,
            form,
            data,
        });
    }
    Ok(columns)
}

/// The primitives of the configuration among the columns, as far as rows tell of them.
fn customs(raw: &[Raw<'_>]) -> Result<Customs, Refused> {
    let (mut list, mut taken) = (Vec::new(), Vec::new());
    for column in raw {
        let (What::Field(field), Some(form)) = (column.what, column.own) else {
            continue;
        };
        let custom = Custom::plain(column.called, form.made_from(), form, field);
        let slots: Vec<Field> = custom.fields().collect();
        if slots.len() * 8 != form.size() || slots.iter().any(|slot| taken.contains(slot)) {
            return Err(Refused::Columns);
        }
        taken.extend(slots);
        list.push(custom);
    }
    Ok(Customs::new(list))
}

/// Puts the values of a column into the rows.
fn fill(
    column: &Column,
    raw: Raw<'_>,
    bin: Nanos,
    symbols: &[Sym],
    words: &mut [u64],
    size: usize,
) -> Result<(), Refused> {
    let wrong = || Refused::Value(raw.called.into());
    let shape = Shape::of(column.kind, column.form);
    let largest = u64::MAX >> (64 - 8 * column.kind.size().min(8));
    let (mut data, mut before) = (raw.data, bin.0);
    let mut one = |row: &mut [u64], data: &mut Cursor<'_>| {
        match shape {
            Shape::Number => {
                let number = Some(varint(data)?).filter(|n| *n <= largest);
                column.set_number(row, number.ok_or_else(wrong)?);
            }
            Shape::Mac => column.set_mac(row, Mac(data.array()?)),
            Shape::Ip => column.set_ip(row, ip(data)?.ok_or_else(wrong)?),
            Shape::Text => {
                let symbol = symbol(varint(data)?, symbols).ok_or_else(wrong)?;
                column.set_number(row, symbol.0.into());
            }
            Shape::Time => {
                before = before.wrapping_add(unzigzag(varint(data)?) as u64);
                column.set_number(row, before);
            }
            Shape::Bytes => {
                let len = usize::from(data.u8()?);
                let bytes = Some(data.take(len)?).filter(|b| b.len() <= 8);
                column.set_number(row, custom::left(bytes.ok_or_else(wrong)?));
            }
        }
        Ok::<(), Refused>(())
    };
    match raw.form {
        EACH => {
            for row in words.chunks_exact_mut(size) {
                one(row, &mut data)?;
            }
        }
        ALIKE => {
            // Words are shared by columns, so what is there stays.
            let mut rows = words.chunks_exact_mut(size);
            if let Some(first) = rows.next() {
                let mut value = vec![0; size];
                one(&mut value, &mut data)?;
                for row in std::iter::once(first).chain(rows) {
                    row.iter_mut()
                        .zip(&value)
                        .for_each(|(to, from)| *to |= from);
                }
            }
        }
        _ => return Err(wrong()),
    }
    if data.is_empty() {
        Ok(())
    } else {
        Err(Refused::Length)
    }
}

fn symbol(place: u64, symbols: &[Sym]) -> Option<Sym> {
    match place.checked_sub(TEXTS_FROM) {
        None => Some(Sym(place as u32)),
        Some(at) => symbols.get(usize::try_from(at).ok()?).copied(),
    }
}

/// An address; none when its length is none that an address has.
fn ip(data: &mut Cursor<'_>) -> Result<Option<Ip>, Refused> {
    Ok(match data.u8()? {
        0 => Some(Ip([0; 16])),
        4 => Some(Ip::v4(data.array()?)),
        16 => Some(Ip(data.array()?)),
        _ => None,
    })
}

/// A short text in UTF-8.
fn short<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Refused> {
    let len = count(cursor, NAME_MAX)?;
    std::str::from_utf8(cursor.take(len)?).map_err(|_| Refused::Length)
}

/// A number that counts something in memory.
fn count(cursor: &mut Cursor<'_>, most: usize) -> Result<usize, Refused> {
    let number = usize::try_from(varint(cursor)?).ok();
    number.filter(|n| *n <= most).ok_or(Refused::TooLarge)
}

fn varint(cursor: &mut Cursor<'_>) -> Result<u64, Refused> {
    let (mut number, mut shift) = (0u64, 0);
    loop {
        let byte = cursor.u8()?;
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if shift > 63 || (shift == 63 && bits > 1) {
            return Err(Refused::Length);
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
        shift += 7;
    }
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}
