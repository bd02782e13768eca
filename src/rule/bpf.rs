//! Classic BPF: programs checked once, then run on every frame.
//!
//! The instructions come from libpcap's compiler, but nothing here relies on that: what
//! [`Program::new`] accepts runs to its end, in at most as many steps as it has instructions,
//! without a panic. Not for the extensions of Linux (ancillary loads) and not for eBPF.

mod decode;

use crate::sys::pcap::Insn;
use std::fmt;

/// One instruction as libpcap and the kernel have it.
pub type RawInsn = Insn;

/// Instructions of a program, at the most.
pub const PROGRAM_MAX: usize = 4096;
/// Words of scratch memory (`BPF_MEMWORDS`).
pub const SCRATCH_WORDS: usize = 16;

/// Why a program is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramError {
    /// It has no instruction.
    Empty,
    /// It has more than [`PROGRAM_MAX`] instructions.
    Long(usize),
    /// An operation nobody knows.
    Opcode {
        /// Which instruction, counted from 0.
        at: usize,
        /// Its code.
        code: u16,
    },
    /// A jump past the end, or backwards (`protochain` makes such loops).
    Jump(usize),
    /// Scratch memory past its end.
    Scratch(usize),
    /// Division by a constant zero.
    Zero(usize),
    /// The last instruction does not return.
    End,
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no instructions"),
            Self::Long(n) => write!(f, "{n} instructions, {PROGRAM_MAX} is the most"),
            Self::Opcode { at, code } => write!(f, "unknown code {code:#06x} at {at}"),
            Self::Jump(at) => write!(
                f,
                "jump backwards or past the end at {at}; a filter may not loop, so protochain \
                 can not be used"
            ),
            Self::Scratch(at) => write!(f, "scratch memory past its end at {at}"),
            Self::Zero(at) => write!(f, "division by zero at {at}"),
            Self::End => f.write_str("no return at the end"),
        }
    }
}

impl std::error::Error for ProgramError {}

/// A decoded instruction, eight bytes. `A` is the accumulator, `X` the index register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    /// A ← 32, 16 or 8 bits of the packet at `k`.
    LdW(u32),
    LdH(u32),
    LdB(u32),
    /// The same at X + `k`.
    LdIndW(u32),
    LdIndH(u32),
    LdIndB(u32),
    LdLen,
    LdImm(u32),
    LdMem(u8),
    LdxLen,
    LdxImm(u32),
    LdxMem(u8),
    /// X ← length of the IPv4 header whose first byte is at `k`.
    LdxMsh(u32),
    St(u8),
    Stx(u8),
    AddK(u32),
    SubK(u32),
    MulK(u32),
    DivK(u32),
    ModK(u32),
    AndK(u32),
    OrK(u32),
    XorK(u32),
    LshK(u32),
    RshK(u32),
    AddX,
    SubX,
    MulX,
    DivX,
    ModX,
    AndX,
    OrX,
    XorX,
    LshX,
    RshX,
    Neg,
    Ja(u32),
    Jeq {
        jt: u8,
        jf: u8,
        k: u32,
    },
    Jgt {
        jt: u8,
        jf: u8,
        k: u32,
    },
    Jge {
        jt: u8,
        jf: u8,
        k: u32,
    },
    Jset {
        jt: u8,
        jf: u8,
        k: u32,
    },
    JeqX {
        jt: u8,
        jf: u8,
    },
    JgtX {
        jt: u8,
        jf: u8,
    },
    JgeX {
        jt: u8,
        jf: u8,
    },
    JsetX {
        jt: u8,
        jf: u8,
    },
    /// A load near the begin of the packet and the comparison behind it, which are most of most
    /// programs: protocols and addresses, ports, fragments. The comparison also stays where it
    /// was, for jumps that go there; `jt` and `jf` count from there.
    LdJeqW {
        at: u8,
        jt: u8,
        jf: u8,
        k: u32,
    },
    LdJeqH {
        at: u8,
        jt: u8,
        jf: u8,
        k: u32,
    },
    LdJeqB {
        at: u8,
        jt: u8,
        jf: u8,
        k: u32,
    },
    LdIndJeqH {
        at: u8,
        jt: u8,
        jf: u8,
        k: u32,
    },
    LdJsetH {
        at: u8,
        jt: u8,
        jf: u8,
        k: u32,
    },
    RetK(u32),
    RetA,
    Tax,
    Txa,
}

const _: () = assert!(size_of::<Op>() == 8);

/// A checked program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    ops: Box<[Op]>,
}

impl Program {
    /// Bytes it takes.
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.ops.len() * size_of::<Op>()
    }
}

/// Loads of the packet in network order; `None` past the captured bytes.
#[inline(always)]
fn word(bytes: &[u8], at: u32) -> Option<u32> {
    bytes
        .get(at as usize..)?
        .first_chunk()
        .map(|b| u32::from_be_bytes(*b))
}

#[inline(always)]
fn half(bytes: &[u8], at: u32) -> Option<u32> {
    bytes
        .get(at as usize..)?
        .first_chunk()
        .map(|b| u32::from(u16::from_be_bytes(*b)))
}

#[inline(always)]
fn byte(bytes: &[u8], at: u32) -> Option<u32> {
    bytes.get(at as usize).map(|b| u32::from(*b))
}

#[inline(always)]
fn skip(condition: bool, jt: u8, jf: u8) -> usize {
    usize::from(if condition { jt } else { jf })
}

impl Program {
    /// Checks and decodes: every operation is known, every jump goes forward and stays inside,
    /// scratch indexes are below [`SCRATCH_WORDS`], no constant division by zero, and the last
    /// instruction returns. Never panics, whatever the instructions.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn new(insns: &[RawInsn]) -> Result<Self, ProgramError> {
        decode::program(insns).map(|ops| Self { ops })
    }

    /// Number of instructions.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether there is no instruction, which no program has.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Runs the program on the captured `bytes` of a packet that was `wire_len` bytes long.
    /// Zero means that the packet does not match. A load past the captured bytes and a division
    /// by zero end the program with zero.
    #[inline]
    pub fn run(&self, bytes: &[u8], wire_len: u32) -> u32 {
        self.walk(bytes, wire_len).unwrap_or(0)
    }

    /// One arm per operation, so longer than other functions.
    fn walk(&self, bytes: &[u8], wire_len: u32) -> Option<u32> {
        let (mut a, mut x) = (0u32, 0u32);
        // Of a power of two, and indexed modulo that: no check is needed, nothing can fail.
        let mut scratch = [0u32; SCRATCH_WORDS];
        let slot = |n: u8| usize::from(n) % SCRATCH_WORDS;
        let mut pc = 0usize;
        loop {
            // Programs end in RET and jumps stay inside, so there always is a next one.
            let op = self.ops.get(pc)?;
            pc += 1;
            match *op {
                Op::LdW(k) => a = word(bytes, k)?,
                Op::LdH(k) => a = half(bytes, k)?,
                Op::LdB(k) => a = byte(bytes, k)?,
                Op::LdIndW(k) => a = word(bytes, x.checked_add(k)?)?,
                Op::LdIndH(k) => a = half(bytes, x.checked_add(k)?)?,
                Op::LdIndB(k) => a = byte(bytes, x.checked_add(k)?)?,
                Op::LdLen => a = wire_len,
                Op::LdImm(k) => a = k,
                Op::LdMem(n) => a = scratch[slot(n)],
                Op::LdxLen => x = wire_len,
                Op::LdxImm(k) => x = k,
                Op::LdxMem(n) => x = scratch[slot(n)],
                Op::LdxMsh(k) => x = (byte(bytes, k)? & 15) << 2,
                Op::St(n) => scratch[slot(n)] = a,
                Op::Stx(n) => scratch[slot(n)] = x,
                Op::AddK(k) => a = a.wrapping_add(k),
                Op::SubK(k) => a = a.wrapping_sub(k),
                Op::MulK(k) => a = a.wrapping_mul(k),
                Op::DivK(k) => a = a.checked_div(k)?,
                Op::ModK(k) => a = a.checked_rem(k)?,
                Op::AndK(k) => a &= k,
                Op::OrK(k) => a |= k,
                Op::XorK(k) => a ^= k,
                // Shifting everything out leaves zero, as in libpcap's interpreter.
                Op::LshK(k) => a = a.checked_shl(k).unwrap_or(0),
                Op::RshK(k) => a = a.checked_shr(k).unwrap_or(0),
                Op::AddX => a = a.wrapping_add(x),
                Op::SubX => a = a.wrapping_sub(x),
                Op::MulX => a = a.wrapping_mul(x),
                Op::DivX => a = a.checked_div(x)?,
                Op::ModX => a = a.checked_rem(x)?,
                Op::AndX => a &= x,
                Op::OrX => a |= x,
                Op::XorX => a ^= x,
                Op::LshX => a = a.checked_shl(x).unwrap_or(0),
                Op::RshX => a = a.checked_shr(x).unwrap_or(0),
                Op::Neg => a = a.wrapping_neg(),
                Op::Ja(k) => pc += k as usize,
                Op::Jeq { jt, jf, k } => pc += skip(a == k, jt, jf),
                Op::Jgt { jt, jf, k } => pc += skip(a > k, jt, jf),
                Op::Jge { jt, jf, k } => pc += skip(a >= k, jt, jf),
                Op::Jset { jt, jf, k } => pc += skip(a & k != 0, jt, jf),
                Op::JeqX { jt, jf } => pc += skip(a == x, jt, jf),
                Op::JgtX { jt, jf } => pc += skip(a > x, jt, jf),
                Op::JgeX { jt, jf } => pc += skip(a >= x, jt, jf),
                Op::JsetX { jt, jf } => pc += skip(a & x != 0, jt, jf),
                Op::LdJeqW { at, jt, jf, k } => {
                    a = word(bytes, u32::from(at))?;
                    pc += 1 + skip(a == k, jt, jf);
                }
                Op::LdJeqH { at, jt, jf, k } => {
                    a = half(bytes, u32::from(at))?;
                    pc += 1 + skip(a == k, jt, jf);
                }
                Op::LdJeqB { at, jt, jf, k } => {
                    a = byte(bytes, u32::from(at))?;
                    pc += 1 + skip(a == k, jt, jf);
                }
                Op::LdIndJeqH { at, jt, jf, k } => {
                    a = half(bytes, x.checked_add(u32::from(at))?)?;
                    pc += 1 + skip(a == k, jt, jf);
                }
                Op::LdJsetH { at, jt, jf, k } => {
                    a = half(bytes, u32::from(at))?;
                    pc += 1 + skip(a & k != 0, jt, jf);
                }
                Op::RetK(k) => return Some(k),
                Op::RetA => return Some(a),
                Op::Tax => x = a,
                Op::Txa => a = x,
            }
        }
    }
}

#[cfg(test)]
mod test;
