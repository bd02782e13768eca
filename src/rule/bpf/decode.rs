//! From instructions as libpcap gives them to checked, decoded ones.

use super::{Op, PROGRAM_MAX, ProgramError, RawInsn, SCRATCH_WORDS};

/// Checks and decodes a whole program.
pub(super) fn program(insns: &[RawInsn]) -> Result<Box<[Op]>, ProgramError> {
    if insns.is_empty() {
        return Err(ProgramError::Empty);
    }
    if insns.len() > PROGRAM_MAX {
        return Err(ProgramError::Long(insns.len()));
    }
    let mut ops = Vec::with_capacity(insns.len());
    for (at, insn) in insns.iter().enumerate() {
        ops.push(one(insn, at, insns.len() - at - 1)?);
    }
    if !matches!(ops.last(), Some(Op::RetK(_) | Op::RetA)) {
        return Err(ProgramError::End);
    }
    fuse(&mut ops);
    Ok(ops.into())
}

/// Decodes the instruction `at`, which `behind` others follow.
fn one(insn: &RawInsn, at: usize, behind: usize) -> Result<Op, ProgramError> {
    let RawInsn { code, jt, jf, k } = *insn;
    let unknown = Err(ProgramError::Opcode { at, code });
    let forward = |skip: usize| match skip < behind {
        true => Ok(()),
        false => Err(ProgramError::Jump(at)),
    };
    // The low three bits are the class.
    match code & 7 {
        0 | 1 => load(insn, at),
        2 | 3 if code > 7 => unknown,
        2 => Ok(Op::St(scratch(k, at)?)),
        3 => Ok(Op::Stx(scratch(k, at)?)),
        4 => arithmetic(insn, at),
        5 if code == 0x05 => {
            // Counted modulo 2^32 by some compilers, which is how a jump goes backwards.
            forward(k as usize)?;
            Ok(Op::Ja(k))
        }
        5 => {
            forward(usize::from(jt.max(jf)))?;
            Ok(match code {
                0x15 => Op::Jeq { jt, jf, k },
                0x25 => Op::Jgt { jt, jf, k },
                0x35 => Op::Jge { jt, jf, k },
                0x45 => Op::Jset { jt, jf, k },
                0x1d => Op::JeqX { jt, jf },
                0x2d => Op::JgtX { jt, jf },
                0x3d => Op::JgeX { jt, jf },
                0x4d => Op::JsetX { jt, jf },
                _ => return unknown,
            })
        }
        6 => match code {
            0x06 => Ok(Op::RetK(k)),
            0x16 => Ok(Op::RetA),
            _ => unknown,
        },
        _ => match code {
            0x07 => Ok(Op::Tax),
            0x87 => Ok(Op::Txa),
            _ => unknown,
        },
    }
}

/// Classes LD (0) and LDX (1): size in bits 3 and 4, mode in bits 5 to 7.
fn load(insn: &RawInsn, at: usize) -> Result<Op, ProgramError> {
    let RawInsn { code, k, .. } = *insn;
    Ok(match code {
        0x20 => Op::LdW(k),
        0x28 => Op::LdH(k),
        0x30 => Op::LdB(k),
        0x40 => Op::LdIndW(k),
        0x48 => Op::LdIndH(k),
        0x50 => Op::LdIndB(k),
        0x80 => Op::LdLen,
        0x00 => Op::LdImm(k),
        0x60 => Op::LdMem(scratch(k, at)?),
        0x81 => Op::LdxLen,
        0x01 => Op::LdxImm(k),
        0x61 => Op::LdxMem(scratch(k, at)?),
        0xb1 => Op::LdxMsh(k),
        _ => return Err(ProgramError::Opcode { at, code }),
    })
}

/// Class ALU (4): operand in bit 3, operation in bits 4 to 7.
fn arithmetic(insn: &RawInsn, at: usize) -> Result<Op, ProgramError> {
    let RawInsn { code, k, .. } = *insn;
    if matches!(code, 0x34 | 0x94) && k == 0 {
        return Err(ProgramError::Zero(at));
    }
    Ok(match code {
        0x04 => Op::AddK(k),
        0x14 => Op::SubK(k),
        0x24 => Op::MulK(k),
        0x34 => Op::DivK(k),
        0x44 => Op::OrK(k),
        0x54 => Op::AndK(k),
        0x64 => Op::LshK(k),
        0x74 => Op::RshK(k),
        0x84 => Op::Neg,
        0x94 => Op::ModK(k),
        0xa4 => Op::XorK(k),
        0x0c => Op::AddX,
        0x1c => Op::SubX,
        0x2c => Op::MulX,
        0x3c => Op::DivX,
        0x4c => Op::OrX,
        0x5c => Op::AndX,
        0x6c => Op::LshX,
        0x7c => Op::RshX,
        0x9c => Op::ModX,
        0xac => Op::XorX,
        _ => return Err(ProgramError::Opcode { at, code }),
    })
}

/// An index of scratch memory.
fn scratch(k: u32, at: usize) -> Result<u8, ProgramError> {
    match u8::try_from(k) {
        Ok(n) if usize::from(n) < SCRATCH_WORDS => Ok(n),
        _ => Err(ProgramError::Scratch(at)),
    }
}

/// Joins loads with the comparison behind them. Places do not change, so jumps stay right.
fn fuse(ops: &mut [Op]) {
    for at in 1..ops.len() {
        if let Some([load, test]) = ops.get_mut(at - 1..=at)
            && let Some(joined) = join(*load, *test)
        {
            *load = joined;
        }
    }
}

/// The load and the test as one, if there is such an instruction.
fn join(load: Op, test: Op) -> Option<Op> {
    let (Op::LdW(at) | Op::LdH(at) | Op::LdB(at) | Op::LdIndH(at)) = load else {
        return None;
    };
    let at = u8::try_from(at).ok()?;
    match (load, test) {
        (Op::LdW(_), Op::Jeq { jt, jf, k }) => Some(Op::LdJeqW { at, jt, jf, k }),
        (Op::LdH(_), Op::Jeq { jt, jf, k }) => Some(Op::LdJeqH { at, jt, jf, k }),
        (Op::LdB(_), Op::Jeq { jt, jf, k }) => Some(Op::LdJeqB { at, jt, jf, k }),
        (Op::LdIndH(_), Op::Jeq { jt, jf, k }) => Some(Op::LdIndJeqH { at, jt, jf, k }),
        (Op::LdH(_), Op::Jset { jt, jf, k }) => Some(Op::LdJsetH { at, jt, jf, k }),
        _ => None,
    }
}
