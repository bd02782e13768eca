//! Prefixes from addresses and the prefix lengths the exporter gave.

use super::Enricher;
use crate::base::addr::Ip;
use crate::record::{Batch, Field, FieldSet};

/// Sets `src_net` and `dst_net` where the exporter gave a mask but no prefix; without a mask they
/// are the unspecified address of the family.
pub struct Nets;

impl Enricher for Nets {
    fn needs(&self) -> FieldSet {
        FieldSet::of(&[
            Field::SrcHost,
            Field::SrcMask,
            Field::DstHost,
            Field::DstMask,
        ])
    }

    fn gives(&self) -> FieldSet {
        FieldSet::of(&[Field::SrcNet, Field::DstNet])
    }

    fn enrich(&self, batch: &mut Batch) {
        for record in batch.records_mut() {
            let has = record.present;
            if !has.has(Field::SrcNet) && has.has(Field::SrcHost) {
                // Without a mask its byte is zero, as every wanted field that nobody set.
                record.set_src_net(masked(record.src_host(), record.src_mask()));
            }
            if !has.has(Field::DstNet) && has.has(Field::DstHost) {
                record.set_dst_net(masked(record.dst_host(), record.dst_mask()));
            }
        }
    }
}

/// The masks of all lengths.
static MASKS: [u128; 129] = {
    let (mut masks, mut bits) = ([0; 129], 1);
    while bits < masks.len() {
        masks[bits] = (u128::MAX << (128 - bits)).to_be();
        bits += 1;
    }
    masks
};

/// The first address of the prefix of `bits` bits around `ip`.
fn masked(ip: Ip, bits: u8) -> Ip {
    let (whole, bits) = (u128::from_ne_bytes(ip.0), usize::from(bits));
    let v4 = whole & MASKS[96] == u128::from_ne_bytes(Ip::v4([0; 4]).0);
    let bits = if v4 { 96 + bits.min(32) } else { bits.min(128) };
    Ip((whole & MASKS[bits]).to_ne_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_those_of_the_family() {
        assert_eq!(masked(Ip::v4([192, 0, 2, 129]), 24), Ip::v4([192, 0, 2, 0]));
        assert_eq!(masked(Ip::v4([192, 0, 2, 129]), 0), Ip::v4([0, 0, 0, 0]));
        assert_eq!(
            masked(Ip::v4([192, 0, 2, 129]), 200),
            Ip::v4([192, 0, 2, 129])
        );
        let v6: Ip = "2001:db8:1:2::9"
            .parse::<std::net::IpAddr>()
            .map(Ip::from)
            .unwrap();
        assert_eq!(masked(v6, 48).to_string(), "2001:db8:1::");
        assert_eq!(masked(v6, 0).to_string(), "::");
    }
}
