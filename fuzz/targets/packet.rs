//! Frames of every link type through one decoder, which remembers fragments; and the same frames
//! as carriers of export datagrams, which are put together from fragments.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir::decode::Decode;
use weir::record::Field;
use weir::source::{Link, Peer};
use weir_fuzz::rig::{Rig, Want};
use weir_fuzz::{frame, parts, wants};

const LINKS: [Link; 8] = [
    Link::Ethernet,
    Link::Raw,
    Link::Null,
    Link::Loop,
    Link::Ppp,
    Link::PppEther,
    Link::LinuxSll,
    Link::LinuxSll2,
];

fuzz_target!(|input: &[u8]| {
    let link = |beside: u8| LINKS[usize::from(beside) % LINKS.len()];
    let frames = || parts(input).map(|(beside, bytes)| frame(link(beside), Peer::NONE, bytes));
    let mut rig = Rig::new(Decode::Packet, false, &wants());
    rig.feed(frames());
    rig.finish();
    assert!(rig.ledger.decoded.records <= rig.ledger.frames);
    for decode in [Decode::Netflow, Decode::Sflow] {
        let mut rig = Rig::new(decode, false, &[Want::by(&[Field::SrcHost])]);
        rig.feed(frames());
        rig.finish();
    }
});
