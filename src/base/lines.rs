//! Files that people write row by row: each row is judged alone, and a bad one does not take the
//! others with it.
//!
//! Not for opening files: whoever does knows how large one may be.

use super::options::{Place, Problem};
use std::io::{self, BufRead, Read};

/// Problems that are kept with their words; more are counted. A file may be anything.
const KEPT: usize = 100;

/// What is wrong with the rows of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Complaints {
    problems: Vec<Problem>,
    count: usize,
}

impl Complaints {
    /// Adds one; columns count from 1, 0 is the row as a whole.
    pub fn add(&mut self, line: u32, column: u32, message: impl Into<String>) {
        self.count = self.count.saturating_add(1);
        if self.problems.len() < KEPT {
            self.problems.push(Problem {
                place: Place { line, column },
                message: message.into(),
            });
        }
    }

    /// The first hundred, in the order of the file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many there are in all.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// Takes rows.
pub trait Rows {
    /// Takes the row on `line`, whose text begins in `column`. What is wrong with it goes to
    /// `complaints`.
    fn row(&mut self, line: u32, column: u32, text: &str, complaints: &mut Complaints);
}

impl<F: FnMut(u32, u32, &str, &mut Complaints)> Rows for F {
    fn row(&mut self, line: u32, column: u32, text: &str, complaints: &mut Complaints) {
        self(line, column, text, complaints);
    }
}

/// Gives `rows` number and text of every row that says something: blanks around it, empty
/// rows and comments (`!` or `#` first) are left out, and what is no text is complained of. The
/// column in which the text begins comes along. True when all was read, false when there are more
/// than `most` bytes.
///
/// # Errors
/// What the reader says.
pub fn each(
    from: &mut dyn BufRead,
    most: u64,
    complaints: &mut Complaints,
    rows: &mut dyn Rows,
) -> io::Result<bool> {
    let (mut left, mut bytes) = (most, Vec::new());
    for number in 1u32.. {
        bytes.clear();
        let read = from
            .take(left.saturating_add(1))
            .read_until(b'\n', &mut bytes)? as u64;
        if read == 0 {
            break;
        }
        let Some(rest) = left.checked_sub(read) else {
            return Ok(false);
        };
        left = rest;
        match std::str::from_utf8(&bytes) {
            Ok(text) => {
                let text = text.trim_end();
                let said = text.trim_start();
                let column = text.chars().count() - said.chars().count() + 1;
                if !said.is_empty() && !said.starts_with(['!', '#']) {
                    rows.row(number, column as u32, said, complaints);
                }
            }
            Err(e) => {
                let before = bytes.get(..e.valid_up_to()).unwrap_or_default();
                let column = String::from_utf8_lossy(before).chars().count() + 1;
                complaints.add(number, column as u32, "is no text in UTF-8");
            }
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &[u8], most: u64) -> (Vec<(u32, u32, String)>, Complaints, bool) {
        let (mut complaints, mut rows) = (Complaints::default(), Vec::new());
        let whole = each(
            &mut &text[..],
            most,
            &mut complaints,
            &mut |line, column, text: &str, _: &mut Complaints| {
                rows.push((line, column, text.to_string()));
            },
        );
        (rows, complaints, whole.unwrap())
    }

    #[test]
    fn comments_and_blanks_are_left_out_and_what_is_no_text_is_told() {
        let text = b"! one\n\n  a=1 b=2\t\r\n # two\n\xc3\xa4 \xff\nlast";
        let (rows, complaints, whole) = rows(text, 1000);
        assert!(whole);
        let want = [(3, 3, "a=1 b=2".to_string()), (6, 1, "last".to_string())];
        assert_eq!(rows, want);
        let [problem] = complaints.problems() else {
            panic!("{complaints:?}")
        };
        assert_eq!(problem.place, Place { line: 5, column: 3 });
    }

    #[test]
    fn length_and_complaints_are_bounded() {
        assert!(rows(b"0123456789\n", 11).2);
        assert!(!rows(b"0123456789\n", 10).2);
        assert!(!rows(&[b'x'; 1000], 10).2);
        let (_, complaints, _) = rows(&b"\xff\n".repeat(5000), 1 << 20);
        assert_eq!(
            (complaints.count(), complaints.problems().len()),
            (5000, KEPT)
        );
    }
}
