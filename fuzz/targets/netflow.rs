//! NetFlow v5, v9 and IPFIX: datagrams of several exporters through one decoder, which then saves
//! its templates and loads them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir::decode::Decode;
use weir::record::Field;
use weir_fuzz::converse;
use weir_fuzz::rig::{Rig, Want};

fuzz_target!(|input: &[u8]| {
    let rig = converse(Decode::Netflow, input);
    let mut next = Rig::new(Decode::Netflow, true, &[Want::by(&[Field::SrcHost])]);
    if let Some(saved) = rig.saved() {
        next.load(&saved).expect("what was saved can be loaded");
    }
    // And the input as a saved state: refused, or taken.
    let _ = next.load(input);
    next.finish();
});
