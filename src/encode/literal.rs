//! Values as MySQL reads them in a statement, and as the column of a table that is there can take
//! them: a text that somebody sent must not cost the rows beside it.

use super::dialect::{Cell, Dialect, Type};
use std::fmt::Write;

/// What a column takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// Every character.
    All,
    /// Characters of the first plane, which take three bytes of UTF-8 at the most.
    Plane,
    /// Characters of ASCII.
    Ascii,
    /// Bytes.
    Bytes,
    /// Times with a zero of their own.
    Stamp,
}

/// A column of a table that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Most characters of it, or bytes.
    pub most: usize,
    /// Which they are.
    pub set: Set,
}

impl Fit {
    /// A column that takes what it is given.
    pub const ANY: Self = Self {
        most: usize::MAX,
        set: Set::All,
    };
}

/// Writes a value. Tells whether all of it is there.
pub fn literal(out: &mut String, cell: Cell<'_>, fit: &Fit) -> bool {
    let text = match cell {
        // Writing to a string can not fail.
        Cell::Integer(number) => return write!(out, "{number}").is_ok(),
        Cell::Natural(number) => return write!(out, "{number}").is_ok(),
        Cell::Real(number) => return write!(out, "{number}").is_ok(),
        Cell::Text(text) => text,
    };
    out.push('\'');
    let (mut left, mut whole) = (fit.most, true);
    if fit.set == Set::Stamp && text == Type::Time.words(Dialect::Mysql).1.trim_matches('\'') {
        out.push_str("0000-00-00 00:00:00");
        left = 0;
    }
    for c in text.chars() {
        let size = if fit.set == Set::Bytes {
            c.len_utf8()
        } else {
            1
        };
        if left < size {
            whole = fit.set == Set::Stamp;
            break;
        }
        left -= size;
        let held = match fit.set {
            Set::Plane if c > '\u{ffff}' => '\u{fffd}',
            Set::Ascii if !c.is_ascii() => '?',
            _ => c,
        };
        whole &= held == c;
        match held {
            '\0' => out.push_str("\\0"),
            '\'' => out.push_str("\\'"),
            '\\' => out.push_str("\\\\"),
            c => out.push(c),
        }
    }
    out.push('\'');
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, most: usize, set: Set) -> (String, bool) {
        let mut out = String::new();
        let whole = literal(&mut out, Cell::Text(text), &Fit { most, set });
        (out, whole)
    }

    #[test]
    fn nothing_in_a_value_ends_it() {
        let mut out = String::new();
        literal(&mut out, Cell::Natural(u64::MAX), &Fit::ANY);
        literal(&mut out, Cell::Real(-8.5417), &Fit::ANY);
        assert_eq!(out, "18446744073709551615-8.5417");
        let odd = "'; DROP TABLE x;-- \\' \\\\ \0 \n \u{1f600}";
        let want = "'\\'; DROP TABLE x;-- \\\\\\' \\\\\\\\ \\0 \n \u{1f600}'";
        assert_eq!(written(odd, usize::MAX, Set::All), (want.into(), true));
    }

    #[test]
    fn what_a_column_can_not_take_is_left_out() {
        for (text, most, set, want, whole) in [
            ("caf\u{e9}s", 4, Set::All, "'caf\u{e9}'", false),
            ("caf\u{e9}", 4, Set::All, "'caf\u{e9}'", true),
            ("caf\u{e9}", 4, Set::Bytes, "'caf'", false),
            ("a'b", 2, Set::All, "'a\\''", false),
            ("\u{1f600}\u{e9}", 9, Set::Plane, "'\u{fffd}\u{e9}'", false),
            ("\u{1f600}\u{e9}a", 9, Set::Ascii, "'??a'", false),
            (
                "1000-01-01 00:00:00",
                99,
                Set::Stamp,
                "'0000-00-00 00:00:00'",
                true,
            ),
            (
                "2026-01-01 00:00:00",
                99,
                Set::Stamp,
                "'2026-01-01 00:00:00'",
                true,
            ),
        ] {
            assert_eq!(written(text, most, set), (want.into(), whole), "{text}");
        }
    }
}
