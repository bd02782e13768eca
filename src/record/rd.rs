//! [`Rd`]: a route distinguisher (RFC 4364 §4.2) and where it came from, in one word.
//!
//! The upper four bits of its type, which no registered type needs, hold the origin. So equal
//! distinguishers of different origins are different keys, and no field of its own is needed.

/// Where a route distinguisher came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// There is none.
    Unknown,
    /// A route of BGP.
    Bgp,
    /// A route of BMP.
    Bmp,
    /// The exporter: the record, or its options.
    Flow,
    /// A map of the configuration.
    Map,
}

impl Origin {
    /// Its name in outputs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Bgp => "bgp",
            Self::Bmp => "bmp",
            Self::Flow => "flow",
            Self::Map => "map",
        }
    }
}

/// A route distinguisher with its origin; [`Rd::default`] where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rd(pub u64);

const ORIGIN: u32 = 60;
const VALUE: u64 = !0 >> 4;
const TYPE: u32 = 48;
const TYPE_MAX: u64 = 0x0fff;
/// Type of what is no distinguisher but the number of a VRF.
const VRF: u64 = TYPE_MAX;

impl Rd {
    /// Eight bytes as on the wire, as a number, from `origin`. A type that weir could not keep is
    /// kept as one that it does not know either.
    pub fn new(wire: u64, origin: Origin) -> Self {
        let kind = (wire >> TYPE).min(TYPE_MAX - 1);
        let low = wire & ((1 << TYPE) - 1);
        Self((origin as u64) << ORIGIN | kind << TYPE | low)
    }

    /// The number of a VRF, where no distinguisher is known.
    pub fn vrf(id: u32, origin: Origin) -> Self {
        Self((origin as u64) << ORIGIN | VRF << TYPE | u64::from(id))
    }

    /// Where it came from.
    pub fn origin(self) -> Origin {
        match self.0 >> ORIGIN {
            1 => Origin::Bgp,
            2 => Origin::Bmp,
            3 => Origin::Flow,
            4 => Origin::Map,
            _ => Origin::Unknown,
        }
    }

    /// Its type, 12 bits; and the six bytes behind it.
    pub fn parts(self) -> (u64, u64) {
        let value = self.0 & VALUE;
        (value >> TYPE, value & ((1 << TYPE) - 1))
    }

    /// The number of the VRF, if it is no distinguisher but that.
    pub fn as_vrf(self) -> Option<u32> {
        match self.parts() {
            (VRF, low) => Some(low as u32),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_and_origin_come_back() {
        use Origin::*;
        let wire = u64::from_be_bytes([0, 2, 0, 1, 0, 0, 0, 9]);
        for origin in [Unknown, Bgp, Bmp, Flow, Map] {
            let rd = Rd::new(wire, origin);
            assert_eq!(
                (rd.origin(), rd.parts()),
                (origin, (2, wire & 0xffff_ffff_ffff))
            );
            assert_eq!(rd.as_vrf(), None);
            let vrf = Rd::vrf(u32::MAX, origin);
            assert_eq!((vrf.origin(), vrf.as_vrf()), (origin, Some(u32::MAX)));
        }
        assert_eq!(Rd::default(), Rd::new(0, Unknown));
        assert_ne!(Rd::new(0, Map), Rd::default(), "the global table, by a map");
    }

    #[test]
    fn types_of_the_wire_choose_no_origin() {
        for kind in [0x0fff, 0x1000, 0x4000, 0xffff] {
            let rd = Rd::new(kind << 48 | 7, Origin::Flow);
            assert_eq!(rd.origin(), Origin::Flow);
            assert_eq!((rd.as_vrf(), rd.parts()), (None, (0x0ffe, 7)));
        }
    }
}
