//! Exported records as they lie on the wire: where a value is, and many records at once.
//!
//! A template has constant lengths, then its records are [`Packed`] and a value is at an offset;
//! or the records carry lengths, then they are [`Spanned`]. Not for what a value means.

use crate::record::FlowRecord;

/// Where a value lies: in a fixed template its offset in the record, in a variable one the
/// number of its field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loc {
    /// Offset or number.
    pub at: u16,
    /// Bytes, in a fixed template.
    pub len: u16,
}

/// Finds values in one exported record.
pub trait Row<'a>: Copy {
    /// The value's bytes; empty when it is not there.
    fn value(self, loc: Loc) -> &'a [u8];
    /// The first `N` bytes of the value.
    fn array<const N: usize>(self, loc: Loc) -> Option<&'a [u8; N]>;
}

/// Exported records of one template, each for one of ours.
pub trait Rows<'a>: Copy {
    /// One of them.
    type Row: Row<'a>;
    /// How many there are.
    fn count(self) -> usize;
    /// Those behind the first `n`.
    fn skip(self, n: usize) -> Self;
    /// The first one; empty when there is none.
    fn first(self) -> Self::Row;
    /// The one behind the first `n`, alone.
    fn one(self, n: usize) -> Self;
    /// Whether all of them can have `len` bytes at a place: what is known of all rows need not be
    /// looked at for each.
    fn reach(self, loc: Loc, len: usize) -> bool;
    /// Calls `each` for every row and its record, as far as there are both.
    fn zip(self, records: &mut [FlowRecord], each: impl FnMut(Self::Row, &mut FlowRecord));
}

/// One behind the other, of constant layout.
#[derive(Clone, Copy)]
pub struct Packed<'a> {
    /// All of them.
    pub bytes: &'a [u8],
    /// Bytes of one, which is not zero.
    pub each: usize,
}

impl<'a> Rows<'a> for Packed<'a> {
    type Row = Fixed<'a>;

    #[inline(always)]
    fn count(self) -> usize {
        self.bytes.len().checked_div(self.each).unwrap_or(0)
    }

    #[inline]
    fn skip(self, n: usize) -> Self {
        let bytes = self.bytes.get(n.saturating_mul(self.each)..);
        Self {
            bytes: bytes.unwrap_or_default(),
            ..self
        }
    }

    fn first(self) -> Fixed<'a> {
        Fixed(self.bytes.get(..self.each).unwrap_or_default())
    }

    fn one(self, n: usize) -> Self {
        let bytes = self.skip(n).first().0;
        Self { bytes, ..self }
    }

    #[inline(always)]
    fn reach(self, loc: Loc, len: usize) -> bool {
        usize::from(loc.at).wrapping_add(len) <= self.each
    }

    #[inline(always)]
    fn zip(self, records: &mut [FlowRecord], mut each: impl FnMut(Fixed<'a>, &mut FlowRecord)) {
        // Sets are small: one look at the length for each row is less than to divide it.
        let mut rest = self.bytes;
        for record in records {
            let Some((row, behind)) = rest.split_at_checked(self.each) else {
                return;
            };
            each(Fixed(row), record);
            rest = behind;
        }
    }
}

/// Some whose values lie at `spans`, as many spans for each as a row has `fields`.
#[derive(Clone, Copy)]
pub struct Spanned<'a> {
    /// The bytes the offsets count in.
    pub bytes: &'a [u8],
    /// One pair per field and row.
    pub spans: &'a [(u16, u16)],
    /// Fields of a row, one at least.
    pub fields: usize,
}

impl<'a> Rows<'a> for Spanned<'a> {
    type Row = Spans<'a>;

    fn count(self) -> usize {
        self.spans.len().checked_div(self.fields).unwrap_or(0)
    }

    fn skip(self, n: usize) -> Self {
        let spans = self.spans.get(n.saturating_mul(self.fields)..);
        Self {
            spans: spans.unwrap_or_default(),
            ..self
        }
    }

    fn first(self) -> Spans<'a> {
        Spans {
            bytes: self.bytes,
            spans: self.spans.get(..self.fields).unwrap_or_default(),
        }
    }

    fn one(self, n: usize) -> Self {
        let spans = self.skip(n).first().spans;
        Self { spans, ..self }
    }

    #[inline(always)]
    fn reach(self, _: Loc, _: usize) -> bool {
        true
    }

    #[inline(always)]
    fn zip(self, records: &mut [FlowRecord], mut each: impl FnMut(Spans<'a>, &mut FlowRecord)) {
        let (bytes, mut rest) = (self.bytes, self.spans);
        for record in records {
            let Some((spans, behind)) = rest.split_at_checked(self.fields) else {
                return;
            };
            each(Spans { bytes, spans }, record);
            rest = behind;
        }
    }
}

/// A record of constant layout.
#[derive(Clone, Copy)]
pub struct Fixed<'a>(pub &'a [u8]);

impl<'a> Row<'a> for Fixed<'a> {
    #[inline(always)]
    fn value(self, loc: Loc) -> &'a [u8] {
        let rest = self.0.get(usize::from(loc.at)..).unwrap_or_default();
        rest.get(..usize::from(loc.len)).unwrap_or_default()
    }

    #[inline(always)]
    fn array<const N: usize>(self, loc: Loc) -> Option<&'a [u8; N]> {
        let at = usize::from(loc.at);
        self.0.get(at..at.wrapping_add(N))?.first_chunk::<N>()
    }
}

/// A record whose values lie at `spans`: offset and length of each field.
#[derive(Clone, Copy)]
pub struct Spans<'a> {
    /// The bytes the offsets count in.
    pub bytes: &'a [u8],
    /// One pair per field of the template.
    pub spans: &'a [(u16, u16)],
}

impl<'a> Row<'a> for Spans<'a> {
    fn value(self, loc: Loc) -> &'a [u8] {
        let (at, len) = self
            .spans
            .get(usize::from(loc.at))
            .copied()
            .unwrap_or_default();
        let rest = self.bytes.get(usize::from(at)..).unwrap_or_default();
        rest.get(..usize::from(len)).unwrap_or_default()
    }

    fn array<const N: usize>(self, loc: Loc) -> Option<&'a [u8; N]> {
        self.value(loc).first_chunk::<N>()
    }
}
