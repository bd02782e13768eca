//! Forwarding status in words (RFC 7270 §4.12): what became of a packet, and why.

/// The status in words: its class, then the reason, or that the reason has no name.
pub fn words(status: u64) -> &'static str {
    // A status of four bytes has its byte at the low end, as reduced-size encoding has it.
    match status as u8 {
        64 => "FORWARDED Unknown",
        65 => "FORWARDED Fragmented",
        66 => "FORWARDED Not Fragmented",
        128 => "DROPPED Unknown",
        129 => "DROPPED ACL deny",
        130 => "DROPPED ACL drop",
        131 => "DROPPED Unroutable",
        132 => "DROPPED Adjacency",
        133 => "DROPPED Fragmentation and DF set",
        134 => "DROPPED Bad header checksum",
        135 => "DROPPED Bad total Length",
        136 => "DROPPED Bad header length",
        137 => "DROPPED bad TTL",
        138 => "DROPPED Policer",
        139 => "DROPPED WRED",
        140 => "DROPPED RPF",
        141 => "DROPPED For us",
        142 => "DROPPED Bad output interface",
        143 => "DROPPED Hardware",
        192 => "CONSUMED Unknown",
        193 => "CONSUMED Punt Adjacency",
        194 => "CONSUMED Incomplete Adjacency",
        195 => "CONSUMED For us",
        0..64 => "UNKNOWN Unclassified",
        67..128 => "FORWARDED Unclassified",
        144..192 => "DROPPED Unclassified",
        196.. => "CONSUMED Unclassified",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_the_class_of_its_two_high_bits() {
        for status in 0..256 {
            let class = ["UNKNOWN", "FORWARDED", "DROPPED", "CONSUMED"][status >> 6];
            let words = words(status as u64);
            assert_eq!(words.split_once(' ').unwrap().0, class, "{status}");
        }
        let named = (0..256).filter(|s| !words(*s).ends_with("Unclassified"));
        assert_eq!(named.count(), 23);
        assert_eq!(words(195), "CONSUMED For us");
        assert_eq!(words(0), "UNKNOWN Unclassified");
    }
}
