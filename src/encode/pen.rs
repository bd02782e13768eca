//! [`Pen`]: appends text to a byte vector without `fmt` and without a check per byte.
//!
//! Short pieces are copied as fixed-size arrays of which only a part counts, so that the
//! compiler turns them into one or two moves. Not for anything that decides what is written.

use crate::base::addr::{Ip, Mac};

/// Appends to a vector, through a short buffer whose size the compiler knows; [`Drop`] appends
/// what is left in it.
#[derive(Debug)]
pub struct Pen<'a> {
    out: &'a mut Vec<u8>,
    buffer: [u8; SIZE],
    at: usize,
}

/// Bytes of the buffer.
const SIZE: usize = 1024;

/// Two digits for each number below 100.
const PAIRS: [[u8; 2]; 100] = {
    let mut table = [[0; 2]; 100];
    let mut n = 0;
    while n < 100 {
        table[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    table
};

/// Numbers below 1000: their digits without leading zeros, and how many there are.
const THREES: [[u8; 4]; 1000] = {
    let mut table = [[0; 4]; 1000];
    let mut n = 0;
    while n < 1000 {
        let (a, b, c) = ((n / 100) as u8, (n / 10 % 10) as u8, (n % 10) as u8);
        let (a, b, c) = (b'0' + a, b'0' + b, b'0' + c);
        table[n] = if n >= 100 {
            [a, b, c, 3]
        } else if n >= 10 {
            [b, c, 0, 2]
        } else {
            [c, 0, 0, 1]
        };
        n += 1;
    }
    table
};

/// A byte in decimal with a dot behind it, and its length with the dot in the last byte's place
/// of a fifth.
const OCTETS: [([u8; 4], u8); 256] = {
    let mut table = [([0; 4], 0); 256];
    let mut n = 0;
    while n < 256 {
        let digits = [(n / 100) as u8, (n / 10 % 10) as u8, (n % 10) as u8];
        let skip = if n >= 100 {
            0
        } else if n >= 10 {
            1
        } else {
            2
        };
        let mut text = [0; 4];
        let mut i = 0;
        while skip + i < 3 {
            text[i] = b'0' + digits[skip + i];
            i += 1;
        }
        text[i] = b'.';
        table[n] = (text, i as u8 + 1);
        n += 1;
    }
    table
};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Two hex digits for each byte.
const HEX_PAIRS: [[u8; 2]; 256] = {
    let mut table = [[0; 2]; 256];
    let mut n = 0;
    while n < 256 {
        table[n] = [HEX[n >> 4], HEX[n & 15]];
        n += 1;
    }
    table
};

impl<'a> Pen<'a> {
    /// Writes behind the end of `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self {
            out,
            buffer: [0; SIZE],
            at: 0,
        }
    }

    /// Whether there is nothing in the vector.
    pub fn is_empty(&self) -> bool {
        self.at == 0 && self.out.is_empty()
    }

    /// Bytes in the vector and on the way to it.
    pub fn len(&self) -> usize {
        self.out.len() + self.at
    }

    /// Writes a byte that is known later, to be [filled](Self::fill) in; where it is.
    pub fn place(&mut self) -> usize {
        self.byte(0);
        self.len() - 1
    }

    /// Fills in the byte at `place`.
    pub fn fill(&mut self, place: usize, byte: u8) {
        let there = match place.checked_sub(self.out.len()) {
            Some(at) => self.buffer.get_mut(at),
            None => self.out.get_mut(place),
        };
        if let Some(there) = there {
            *there = byte;
        }
    }

    #[cold]
    #[inline(never)]
    fn flush(&mut self) {
        self.out
            .extend_from_slice(self.buffer.get(..self.at).unwrap_or_default());
        self.at = 0;
    }

    /// The first `len` bytes of `piece`.
    #[inline(always)]
    pub fn short<const N: usize>(&mut self, piece: &[u8; N], len: usize) {
        const { assert!(N <= SIZE / 2) };
        let at = self.at;
        let room = self.buffer.get_mut(at..);
        if let Some(room) = room.and_then(<[u8]>::first_chunk_mut) {
            *room = *piece;
            self.at = at + len;
        } else {
            self.flush();
            self.buffer[..N].copy_from_slice(piece);
            self.at = len.min(N);
        }
    }

    /// One byte.
    #[inline(always)]
    pub fn byte(&mut self, byte: u8) {
        self.short(&[byte], 1);
    }

    /// Puts `byte` in the place of the last one, which [`byte`](Self::byte) wrote.
    #[inline]
    pub fn amend(&mut self, byte: u8) {
        if let Some(last) = self.buffer[..self.at].last_mut() {
            *last = byte;
        }
    }

    /// Any bytes.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if bytes.len() > SIZE - self.at {
            self.flush();
        }
        match self.buffer.get_mut(self.at..self.at + bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.at += bytes.len();
            }
            None => self.out.extend_from_slice(bytes),
        }
    }

    /// A number in decimal.
    #[inline]
    pub fn number(&mut self, n: u64) {
        if n < 1000 {
            let digits = THREES[n as usize];
            self.short(&digits, usize::from(digits[3]));
        } else {
            self.large(n);
        }
    }

    #[inline(never)]
    fn large(&mut self, n: u64) {
        let (high, low) = (n / 10_000, n % 10_000);
        if high > 0 {
            self.number(high);
            self.padded4(low);
        } else {
            self.number(low / 100);
            self.two(low % 100);
        }
    }

    /// Four digits of a number below 10 000.
    #[inline]
    fn padded4(&mut self, n: u64) {
        let n = n as usize % 10_000;
        let ([a, b], [c, d]) = (PAIRS[n / 100], PAIRS[n % 100]);
        self.short(&[a, b, c, d], 4);
    }

    /// A number below 100 as two digits.
    #[inline]
    pub fn two(&mut self, n: u64) {
        self.short(&PAIRS[n as usize % 100], 2);
    }

    /// A number below 10 000 as four digits.
    #[inline]
    pub fn four(&mut self, n: u64) {
        self.padded4(n);
    }

    /// A number in hex, lower case, without prefix or padding.
    #[inline]
    pub fn hex(&mut self, n: u16) {
        let digits = [n >> 12, n >> 8, n >> 4, n].map(|d| HEX[usize::from(d & 15)]);
        let skip = usize::from(n < 0x1000) + usize::from(n < 0x100) + usize::from(n < 0x10);
        let digits = u32::from_be_bytes(digits) << (8 * skip);
        self.short(&digits.to_be_bytes(), 4 - skip);
    }

    /// A MAC address.
    #[inline]
    pub fn mac(&mut self, mac: Mac) {
        let mut text = [b':'; 17];
        for (pair, byte) in text.chunks_mut(3).zip(mac.0) {
            pair[..2].copy_from_slice(&HEX_PAIRS[usize::from(byte)]);
        }
        self.short(&text, 17);
    }

    /// An address: IPv4 with dots, IPv6 as RFC 5952 says; nothing at all for the all-zero
    /// address, which is what a record without the field holds.
    #[inline]
    pub fn ip(&mut self, ip: Ip) {
        match ip.as_v4() {
            Some(octets) => self.ipv4(octets),
            None if ip == Ip::default() => {}
            None => self.ipv6(&ip.0),
        }
    }

    #[inline]
    fn ipv4(&mut self, octets: [u8; 4]) {
        let mut text = [0u8; 16];
        let mut at = 0;
        for octet in octets {
            let (piece, len) = &OCTETS[usize::from(octet)];
            if let Some(room) = text.get_mut(at..at + 4) {
                room.copy_from_slice(piece);
            }
            at += usize::from(*len);
        }
        self.short(&text, at - 1);
    }

    #[inline(never)]
    fn ipv6(&mut self, bytes: &[u8; 16]) {
        let group = |n: usize| u16::from_be_bytes([bytes[n * 2], bytes[n * 2 + 1]]);
        let (mut best, mut best_len) = (8, 1); // one zero group alone is not shortened
        let mut n = 0;
        while n < 8 {
            let zeros = (n..8).take_while(|g| group(*g) == 0).count();
            if zeros > best_len {
                (best, best_len) = (n, zeros);
            }
            n += zeros + 1;
        }
        let mut n = 0;
        while n < 8 {
            if n == best {
                self.short(b"::", 2);
                n += best_len;
                continue;
            }
            if n > 0 && n != best + best_len {
                self.byte(b':');
            }
            self.hex(group(n));
            n += 1;
        }
    }
}

impl Drop for Pen<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv6Addr;

    fn written(by: impl FnOnce(&mut Pen<'_>)) -> String {
        let mut out = b">".to_vec();
        by(&mut Pen::new(&mut out));
        String::from_utf8(out.split_off(1)).unwrap()
    }

    #[test]
    fn edges() {
        for n in [
            0,
            9,
            10,
            99,
            100,
            999,
            1000,
            9999,
            10_000,
            100_000_000,
            u64::MAX,
        ] {
            assert_eq!(written(|p| p.number(n)), n.to_string());
        }
        for n in [0u16, 0xf, 0x10, 0x800, 0x86dd, 0xffff] {
            assert_eq!(written(|p| p.hex(n)), format!("{n:x}"));
        }
        assert_eq!(written(|p| p.ip(Ip::default())), "");
        assert_eq!(written(|p| p.ip(Ip::v4([0, 0, 0, 0]))), "0.0.0.0");
        assert_eq!(written(|p| p.ip(Ip::v4([255, 10, 0, 199]))), "255.10.0.199");
        let mac = Mac([0, 0x1b, 0x21, 0xa, 0xff, 0xc]);
        assert_eq!(written(|p| p.mac(mac)), mac.to_string());
        assert_eq!(written(|p| p.raw(&[b'x'; 9000])).len(), 9000);
    }

    #[test]
    fn places_are_filled_in_wherever_they_have_gone() {
        for before in [0, 3, SIZE - 2, SIZE - 1, SIZE, SIZE + 1, 3 * SIZE] {
            let text = written(|p| {
                (0..before).for_each(|_| p.byte(b'x'));
                let place = p.place();
                (0..before).for_each(|_| p.byte(b'y'));
                assert_eq!(p.len(), 2 * before + 2); // the test's own byte, too
                p.fill(place, b'!');
            });
            assert_eq!(text, "x".repeat(before) + "!" + &"y".repeat(before));
        }
    }

    proptest! {
        #[test]
        fn numbers_and_addresses_as_the_standard_library_writes_them(
            n: u64, shift in 0u32..64, groups: [u16; 8], zeros: [bool; 8]
        ) {
            let n = n >> shift;
            prop_assert_eq!(written(|p| p.number(n)), n.to_string());
            let mut groups = groups;
            groups.iter_mut().zip(zeros).for_each(|(g, zero)| if zero { *g = 0 });
            let ip = Ipv6Addr::from(groups);
            prop_assume!(!ip.is_unspecified());
            let ours = written(|p| p.ip(Ip(ip.octets())));
            prop_assert_eq!(ours, Ip(ip.octets()).to_string());
        }
    }
}
