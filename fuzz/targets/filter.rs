//! Filters: programs made of any bytes are refused or end with a verdict; expressions made of the
//! language's words go through libpcap's compiler, and what comes out runs on any frame.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir::rule::bpf::{Program, RawInsn};
use weir::rule::filter::Filter;
use weir::source::Link;

/// Words and numbers; no names, which would ask the name service.
const WORDS: [&str; 64] = [
    "and",
    "or",
    "not",
    "(",
    ")",
    "src",
    "dst",
    "host",
    "net",
    "port",
    "portrange",
    "ip",
    "ip6",
    "tcp",
    "udp",
    "icmp",
    "icmp6",
    "arp",
    "ether",
    "vlan",
    "mpls",
    "pppoes",
    "proto",
    "multicast",
    "broadcast",
    "less",
    "greater",
    "len",
    "[",
    "]",
    ":",
    "+",
    "-",
    "*",
    "/",
    "&",
    "|",
    "^",
    "<<",
    ">>",
    "=",
    "!=",
    "<",
    ">",
    "<=",
    ">=",
    "0",
    "1",
    "2",
    "4",
    "6",
    "17",
    "53",
    "443",
    "0xffff",
    "1-1024",
    "10.0.0.1",
    "192.0.2.0/24",
    "mask 255.0.0.0",
    "2001:db8::1",
    "2001:db8::/32",
    "02:00:00:00:00:01",
    "tcpflags",
    "tcp-syn",
];
const LINKS: [Link; 4] = [Link::Ethernet, Link::Raw, Link::LinuxSll, Link::Datagram];

fuzz_target!(|input: &[u8]| {
    let Some(([kind, count], rest)) = input.split_first_chunk::<2>() else {
        return;
    };
    let wire_len = rest.len() as u32;
    if kind % 2 == 0 {
        let (insns, frame) = rest
            .as_chunks::<8>()
            .0
            .split_at(usize::from(*count).min(rest.len() / 8));
        let insns: Vec<RawInsn> = insns.iter().map(|b| instruction(*b)).collect();
        if let Ok(program) = Program::new(&insns) {
            program.run(frame.as_flattened(), wire_len);
        }
        return;
    }
    let (words, frame) = rest.split_at(usize::from(count % 32).min(rest.len()));
    let words: Vec<&str> = words
        .iter()
        .map(|w| WORDS[usize::from(*w) % WORDS.len()])
        .collect();
    let link = LINKS[usize::from(kind / 2) % LINKS.len()];
    if let Ok(filter) = Filter::compile(&words.join(" "), link) {
        filter.matches(frame, wire_len);
    }
});

fn instruction(bytes: [u8; 8]) -> RawInsn {
    let [a, b, jt, jf, k @ ..] = bytes;
    RawInsn {
        code: u16::from_le_bytes([a, b]),
        jt,
        jf,
        k: u32::from_le_bytes(k),
    }
}
