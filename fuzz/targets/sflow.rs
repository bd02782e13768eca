//! sFlow 5: datagrams of several agents through one decoder.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir::decode::Decode;

fuzz_target!(|input: &[u8]| {
    weir_fuzz::converse(Decode::Sflow, input);
});
