use super::*;
use proptest::prelude::*;

/// Sixteen bytes that are all different.
const PACKET: [u8; 16] = [
    0x45, 0x11, 0x22, 0x33, 0x84, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
];
const WIRE: u32 = 1500;

const RET_A: RawInsn = op(0x16, 0);
const TXA: RawInsn = op(0x87, 0);

const fn op(code: u16, k: u32) -> RawInsn {
    jump(code, 0, 0, k)
}

const fn jump(code: u16, jt: u8, jf: u8, k: u32) -> RawInsn {
    RawInsn { code, jt, jf, k }
}

#[track_caller]
fn run(insns: &[RawInsn]) -> u32 {
    Program::new(insns).unwrap().run(&PACKET, WIRE)
}

/// What A is after `insn`, with A = `a` and X = `x` before it.
#[track_caller]
fn alu(code: u16, a: u32, x: u32, k: u32) -> u32 {
    run(&[op(0x01, x), op(0x00, a), op(code, k), RET_A])
}

#[test]
fn loads_of_the_packet() {
    assert_eq!(run(&[op(0x20, 4), RET_A]), 0x8455_6677);
    assert_eq!(run(&[op(0x28, 4), RET_A]), 0x8455);
    assert_eq!(run(&[op(0x30, 4), RET_A]), 0x84);
    assert_eq!(run(&[op(0x01, 3), op(0x40, 1), RET_A]), 0x8455_6677);
    assert_eq!(run(&[op(0x01, 3), op(0x48, 1), RET_A]), 0x8455);
    assert_eq!(run(&[op(0x01, 3), op(0x50, 1), RET_A]), 0x84);
    assert_eq!(run(&[op(0xb1, 0), TXA, RET_A]), 20);
    assert_eq!(run(&[op(0xb1, 15), TXA, RET_A]), 60);
}

#[test]
fn loads_past_the_captured_bytes_end_with_zero() {
    let accept = op(0x06, 1);
    // The last that fits, and the first that does not, for every size and way.
    for (code, size) in [(0x20, 4), (0x28, 2), (0x30, 1)] {
        assert_eq!(run(&[op(code, 16 - size), accept]), 1);
        for k in [17 - size, 16, 17, 1 << 31, u32::MAX - 1, u32::MAX] {
            assert_eq!(run(&[op(code, k), accept]), 0, "{code:#x} {k}");
        }
    }
    for (code, size) in [(0x40, 4), (0x48, 2), (0x50, 1)] {
        assert_eq!(run(&[op(0x01, 10), op(code, 6 - size), accept]), 1);
        for (x, k) in [
            (10, 7 - size),
            (0, 16),
            (u32::MAX, 1),
            (2, u32::MAX),
            (1 << 31, 1 << 31),
        ] {
            assert_eq!(
                run(&[op(0x01, x), op(code, k), accept]),
                0,
                "{code:#x} {x} {k}"
            );
        }
    }
    assert_eq!(run(&[op(0xb1, 16), accept]), 0);
    let any = Program::new(&[op(0x30, 0), accept]).unwrap();
    assert_eq!(any.run(&[], 60), 0);
    assert_eq!(any.run(&[0], 60), 1);
}

#[test]
fn other_loads_and_stores() {
    assert_eq!(run(&[op(0x00, 0xdead_beef), RET_A]), 0xdead_beef);
    assert_eq!(run(&[op(0x01, 0xdead_beef), TXA, RET_A]), 0xdead_beef);
    // The length is that on the wire, not that of the capture.
    assert_eq!(run(&[op(0x80, 0), RET_A]), WIRE);
    assert_eq!(run(&[op(0x81, 0), TXA, RET_A]), WIRE);
    assert_eq!(
        run(&[op(0x00, 7), op(0x02, 15), op(0x00, 0), op(0x60, 15), RET_A]),
        7
    );
    assert_eq!(run(&[op(0x01, 7), op(0x03, 0), op(0x60, 0), RET_A]), 7);
    assert_eq!(run(&[op(0x00, 7), op(0x02, 3), op(0x61, 3), TXA, RET_A]), 7);
    // Scratch memory starts as zero, in every run.
    assert_eq!(run(&[op(0x00, 7), op(0x60, 9), RET_A]), 0);
    assert_eq!(run(&[op(0x00, 9), op(0x07, 0), op(0x00, 1), TXA, RET_A]), 9);
}

#[test]
fn arithmetic_with_a_constant_and_with_x() {
    const MAX: u32 = u32::MAX;
    // Code with a constant, A, operand, result.
    let cases = [
        (0x04, MAX, 3, 2),
        (0x14, 2, 3, MAX),
        (0x24, 0x8000_0001, 2, 2),
        (0x34, MAX, 16, MAX / 16),
        (0x44, 0xf0, 0x0f, 0xff),
        (0x54, 0xff, 0x3c, 0x3c),
        (0x64, 3, 31, 1 << 31),
        (0x64, 3, 32, 0),
        (0x64, 3, MAX, 0),
        (0x74, MAX, 31, 1),
        (0x74, MAX, 32, 0),
        (0x74, MAX, MAX, 0),
        (0x94, MAX, 16, 15),
        (0xa4, 0xff, 0x0f, 0xf0),
    ];
    for (code, a, operand, result) in cases {
        assert_eq!(alu(code, a, 77, operand), result, "{code:#x} k");
        assert_eq!(alu(code | 0x08, a, operand, 77), result, "{code:#x} x");
    }
    assert_eq!(alu(0x84, 1, 0, 0), MAX);
    assert_eq!(alu(0x84, 0, 0, 0), 0);
    // By an X of zero: the packet does not match.
    assert_eq!(run(&[op(0x00, 8), op(0x3c, 0), op(0x06, 1)]), 0);
    assert_eq!(run(&[op(0x00, 8), op(0x9c, 0), op(0x06, 1)]), 0);
}

#[test]
fn jumps() {
    // Code with a constant, A, operand, whether it jumps.
    let cases = [
        (0x15, 5, 5, true),
        (0x15, 5, 6, false),
        (0x25, 6, 5, true),
        (0x25, 5, 5, false),
        (0x25, u32::MAX, 5, true),
        (0x35, 5, 5, true),
        (0x35, 4, 5, false),
        (0x45, 6, 2, true),
        (0x45, 6, 9, false),
    ];
    for (code, a, operand, jumps) in cases {
        let (yes, no) = (op(0x06, 1), op(0x06, 2));
        let (other, begin) = (op(0x06, 3), [op(0x01, operand), op(0x00, a)]);
        for (code, k) in [(code, operand), (code | 0x08, 77)] {
            let there = [begin[0], begin[1], jump(code, 1, 2, k), other, yes, no];
            assert_eq!(run(&there), if jumps { 1 } else { 2 }, "{code:#x}");
            let next = [begin[0], begin[1], jump(code, 0, 1, k), yes, no];
            assert_eq!(run(&next), if jumps { 1 } else { 2 }, "{code:#x}");
        }
    }
    assert_eq!(run(&[op(0x05, 1), op(0x06, 1), op(0x06, 2)]), 2);
    assert_eq!(run(&[op(0x05, 0), op(0x06, 1), op(0x06, 2)]), 1);
}

#[test]
fn a_load_and_its_comparison_run_as_one() {
    for (code, at, value) in [(0x20, 0, 0x4511_2233), (0x28, 2, 0x2233), (0x30, 15, 0xff)] {
        let with = |k| [op(code, at), jump(0x15, 1, 0, k), op(0x06, 2), RET_A];
        let program = Program::new(&with(value)).unwrap();
        assert!(matches!(
            program.ops[0],
            Op::LdJeqW { .. } | Op::LdJeqH { .. } | Op::LdJeqB { .. }
        ));
        // A keeps what was loaded.
        assert_eq!(program.run(&PACKET, WIRE), value);
        assert_eq!(run(&with(value ^ 1)), 2);
        assert_eq!(program.run(&[], WIRE), 0);
    }
    // Ports lie behind a header of variable length, fragments are told by bits.
    for (mask, result) in [(0x8000, 1), (0x7b00, 2)] {
        let port = [op(0x01, 3), op(0x48, 1), jump(0x15, 0, 2, 0x8455)];
        let bits = [
            op(0x28, 4),
            jump(0x45, 0, 1, mask),
            op(0x06, 1),
            op(0x06, 2),
        ];
        let insns = [&port[..], &[op(0x05, 1), op(0x06, 3)], &bits].concat();
        let program = Program::new(&insns).unwrap();
        assert!(matches!(program.ops[1], Op::LdIndJeqH { .. }));
        assert!(matches!(program.ops[5], Op::LdJsetH { .. }));
        assert_eq!(program.run(&PACKET, WIRE), result);
        assert_eq!(program.run(&PACKET[..5], WIRE), 0);
    }
    // A jump to the comparison itself finds it.
    let jumped = [
        op(0x00, 5),
        op(0x05, 1),
        op(0x28, 0),
        jump(0x15, 0, 1, 5),
        op(0x06, 1),
        RET_A,
    ];
    assert_eq!(run(&jumped), 1);
    // Too far from the begin to be joined.
    let far = [op(0x28, 300), jump(0x15, 0, 1, 0), op(0x06, 1), RET_A];
    let program = Program::new(&far).unwrap();
    assert_eq!(program.ops[0], Op::LdH(300));
    assert_eq!(program.run(&[0; 302], 302), 1);
}

#[test]
fn what_is_wrong_is_refused() {
    let refused = |insns: &[RawInsn]| Program::new(insns).unwrap_err();
    let accept = op(0x06, 1);
    assert_eq!(refused(&[]), ProgramError::Empty);
    let long = [accept; PROGRAM_MAX + 1];
    assert_eq!(refused(&long), ProgramError::Long(PROGRAM_MAX + 1));
    assert!(Program::new(&long[1..]).is_ok());
    assert_eq!(refused(&[op(0x00, 1)]), ProgramError::End);
    assert_eq!(refused(&[accept, op(0x07, 0)]), ProgramError::End);
    for code in [0x34, 0x94] {
        assert_eq!(refused(&[op(code, 0), accept]), ProgramError::Zero(0));
    }
    for code in [0x60, 0x61, 0x02, 0x03] {
        for k in [16, 256, 1 << 31, u32::MAX] {
            assert_eq!(refused(&[op(code, k), accept]), ProgramError::Scratch(0));
        }
    }
    for k in [1, 255, i32::MAX as u32, u32::MAX, -2i32 as u32] {
        assert_eq!(refused(&[op(0x05, k), accept]), ProgramError::Jump(0));
    }
    for code in [0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d] {
        assert_eq!(
            refused(&[accept, jump(code, 1, 0, 0), accept]),
            ProgramError::Jump(1)
        );
        assert_eq!(
            refused(&[accept, jump(code, 0, 255, 0), accept]),
            ProgramError::Jump(1)
        );
    }
}

/// All codes there are; the last three again, so that random programs have more of them.
const CODES: [u16; 52] = [
    0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x80, 0x00, 0x60, 0x81, 0x01, 0x61, 0xb1, 0x02, 0x03, 0x04,
    0x14, 0x24, 0x34, 0x44, 0x54, 0x64, 0x74, 0x84, 0x94, 0xa4, 0x0c, 0x1c, 0x2c, 0x3c, 0x4c, 0x5c,
    0x6c, 0x7c, 0x9c, 0xac, 0x05, 0x15, 0x25, 0x35, 0x45, 0x1d, 0x2d, 0x3d, 0x4d, 0x06, 0x16, 0x07,
    0x87, 0x15, 0x15, 0x28,
];

#[test]
fn every_other_code_is_refused() {
    for code in 0..=u16::MAX {
        let known = Program::new(&[op(code, 1), op(0x06, 0), op(0x06, 0)]).is_ok();
        assert_eq!(known, CODES.contains(&code), "{code:#x}");
    }
}

/// An instruction that makes sense where `behind` others follow.
fn sensible(behind: usize) -> impl Strategy<Value = RawInsn> {
    let most = behind.saturating_sub(1).min(4) as u8;
    let k = prop_oneof![3 => 0u32..24, 1 => any::<u32>()];
    (0..CODES.len(), 0..=most, 0..=most, k).prop_map(move |(n, jt, jf, k)| {
        let code = CODES[n];
        let k = match code {
            0x02 | 0x03 | 0x60 | 0x61 => k % 16,
            0x34 | 0x94 => k.max(1),
            // C leaves longer constant shifts undefined.
            0x64 | 0x74 => k % 32,
            0x05 => k % (u32::from(most) + 1),
            // Returns would end most programs at once.
            0x06 | 0x16 if behind > 0 && k % 4 != 0 => return op(0x87, 0),
            _ => k,
        };
        match behind {
            0 => RET_A,
            _ => jump(code, jt, jf, k),
        }
    })
}

fn sensible_program() -> impl Strategy<Value = Vec<RawInsn>> {
    (1usize..40).prop_flat_map(|n| (0..n).map(|at| sensible(n - 1 - at)).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn random_instructions_never_panic(
        raw in prop::collection::vec((any::<u16>(), any::<u8>(), any::<u8>(), any::<u32>()), 0..20),
        bytes in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let jumps = raw.iter().map(|i| jump(i.0 & 0xff, i.1 % 8, i.2 % 8, i.3));
        let mut insns: Vec<_> = jumps.collect();
        insns.push(RET_A);
        if let Ok(program) = Program::new(&insns) {
            program.run(&bytes, 64);
        }
    }

    #[test]
    fn random_programs_return_what_libpcaps_interpreter_does(
        program in sensible_program(),
        bytes in prop::collection::vec(any::<u8>(), 0..48),
        wire_len: u32,
    ) {
        // C does not clear the scratch memory.
        let clear = (0..16).map(|n| op(0x02, n));
        let insns: Vec<_> = clear.chain(program).collect();
        let ours = Program::new(&insns).unwrap().run(&bytes, wire_len);
        match crate::sys::pcap::oracle(&insns, &bytes, wire_len) {
            Ok(theirs) => prop_assert_eq!(ours, theirs),
            // Where there is no libpcap at least the message is right.
            Err(e) => prop_assert!(e.to_string().contains("libpcap")),
        }
    }
}
