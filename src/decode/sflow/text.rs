//! Values of variable length as text: AS paths, communities, label stacks, joined by `_`.
//!
//! Not for growing: what does not fit into a symbol's longest text is left out, a number at a
//! time.

use crate::base::intern::Sym;
use crate::wire::sflow::record::Path;

/// Longest number with what may stand before and behind it.
const NUMBER_MAX: usize = 16;

/// An AS path, nearest first; the members of a set in braces.
pub(super) fn path(path: Path<'_>, out: &mut Vec<u8>) {
    out.clear();
    for segment in path {
        let (open, between) = if segment.set {
            (Some(b'{'), b',')
        } else {
            (None, b'_')
        };
        let mut first = true;
        for number in segment.numbers {
            if !room(out) {
                break;
            }
            if !first {
                out.push(between);
            } else {
                join(out);
                out.extend(open);
            }
            first = false;
            decimal(u32::from_be_bytes(*number), out);
        }
        if segment.set && !first {
            out.push(b'}');
        }
    }
}

/// Standard communities (RFC 1997): two numbers of 16 bits and a colon.
pub(super) fn communities(words: &[[u8; 4]], out: &mut Vec<u8>) {
    out.clear();
    for [a, b, c, d] in words {
        if !room(out) {
            break;
        }
        join(out);
        decimal(u32::from(u16::from_be_bytes([*a, *b])), out);
        out.push(b':');
        decimal(u32::from(u16::from_be_bytes([*c, *d])), out);
    }
}

/// A label stack, top first.
pub(super) fn labels(labels: impl Iterator<Item = u32>, out: &mut Vec<u8>) {
    out.clear();
    for label in labels {
        if !room(out) {
            break;
        }
        join(out);
        decimal(label, out);
    }
}

fn room(out: &[u8]) -> bool {
    out.len().saturating_add(NUMBER_MAX) <= Sym::LEN_MAX
}

fn join(out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b'_');
    }
}

fn decimal(mut number: u32, out: &mut Vec<u8>) {
    let mut digits = [0u8; 10];
    let mut used = 0usize;
    for digit in digits.iter_mut().rev() {
        *digit = b'0'.wrapping_add((number % 10) as u8);
        number /= 10;
        used = used.saturating_add(1);
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(
        digits
            .split_at_checked(digits.len().saturating_sub(used))
            .map_or(&[], |s| s.1),
    );
}
