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
            if !record.present.has(Field::SrcNet) && record.present.has(Field::SrcHost) {
                let bits = if record.present.has(Field::SrcMask) {
                    record.src_mask()
                } else {
                    0
                };
                record.set_src_net(masked(record.src_host(), bits));
            }
            if !record.present.has(Field::DstNet) && record.present.has(Field::DstHost) {
                let bits = if record.present.has(Field::DstMask) {
                    record.dst_mask()
                } else {
                    0
                };
                record.set_dst_net(masked(record.dst_host(), bits));
            }
        }
    }
}

/// The first address of the prefix of `bits` bits around `ip`.
fn masked(ip: Ip, bits: u8) -> Ip {
    let bits = u32::from(bits);
    let bits = if ip.as_v4().is_some() {
        96 + bits.min(32)
    } else {
        bits.min(128)
    };
    let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
    Ip((u128::from_be_bytes(ip.0) & mask).to_be_bytes())
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
