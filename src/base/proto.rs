//! Names of IP protocols: the keywords of IANA's registry in lower case, with the spellings
//! that flow tools have always printed where they differ.

/// Names by number; empty where a number has none.
static NAMES: [&str; 256] = {
    let mut names = [""; 256];
    let first = [
        "",
        "icmp",
        "igmp",
        "ggp",
        "ipencap",
        "st",
        "tcp",
        "cbt",
        "egp",
        "igp",
        "bbn-rcc-mon",
        "nvp-ii",
        "pup",
        "argus",
        "emcon",
        "xnet",
        "chaos",
        "udp",
        "mux",
        "dcn-meas",
        "hmp",
        "prm",
        "xns-idp",
        "trunk-1",
        "trunk-2",
        "leaf-1",
        "leaf-2",
        "rdp",
        "irtp",
        "iso-tp4",
        "netblt",
        "mfe-nsp",
        "merit-inp",
        "dccp",
        "3pc",
        "idpr",
        "xtp",
        "ddp",
        "idpr-cmtp",
        "tp++",
        "il",
        "ipv6",
        "sdrp",
        "ipv6-route",
        "ipv6-frag",
        "idrp",
        "rsvp",
        "gre",
        "dsr",
        "bna",
        "esp",
        "ah",
        "i-nlsp",
        "swipe",
        "narp",
        "mobile",
        "tlsp",
        "skip",
        "ipv6-icmp",
        "ipv6-nonxt",
        "ipv6-opts",
        "",
        "cftp",
        "",
        "sat-expak",
        "kryptolan",
        "rvd",
        "ippc",
        "",
        "sat-mon",
        "visa",
        "ipcv",
        "cpnx",
        "cphb",
        "wsn",
        "pvp",
        "br-sat-mon",
        "sun-nd",
        "wb-mon",
        "wb-expak",
        "iso-ip",
        "vmtp",
        "secure-vmtp",
        "vines",
        "ttp",
        "nsfnet-igp",
        "dgp",
        "tcf",
        "eigrp",
        "ospf",
        "sprite-rpc",
        "larp",
        "mtp",
        "ax.25",
        "ipip",
        "micp",
        "scc-sp",
        "etherip",
        "encap",
        "",
        "gmtp",
        "ifmp",
        "pnni",
        "pim",
        "aris",
        "scps",
        "qnx",
        "a/n",
        "ipcomp",
        "snp",
        "compaq-peer",
        "ipx-in-ip",
        "vrrp",
        "pgm",
        "",
        "l2tp",
        "ddx",
        "iatp",
        "stp",
        "srp",
        "uti",
        "smp",
        "sm",
        "ptp",
        "isis",
        "fire",
        "crtp",
        "crudp",
        "sscopmce",
        "iplt",
        "sps",
        "pipe",
        "sctp",
        "fc",
        "rsvp-e2e-ignore",
        "mobility-header",
        "udplite",
        "mpls-in-ip",
        "manet",
        "hip",
        "shim6",
        "wesp",
        "rohc",
        "ethernet",
        "aggfrag",
        "nsh",
    ];
    let mut n = 0;
    while n < first.len() {
        names[n] = first[n];
        n += 1;
    }
    names[255] = "others";
    names
};

/// Bytes of the longest name, rounded up to a size that is moved in one go.
pub const WIDTH: usize = 16;

/// Names padded to [`WIDTH`], with their lengths.
static PADDED: [([u8; WIDTH], u8); 256] = {
    let mut table = [([0; WIDTH], 0); 256];
    let mut n = 0;
    while n < 256 {
        let name = NAMES[n].as_bytes();
        assert!(name.len() <= WIDTH);
        let mut i = 0;
        while i < name.len() {
            table[n].0[i] = name[i];
            i += 1;
        }
        table[n].1 = name.len() as u8;
        n += 1;
    }
    table
};

/// The name of a protocol, padded, and its length; zero where it has none.
#[inline]
pub fn padded(number: u8) -> (&'static [u8; WIDTH], usize) {
    let (text, len) = &PADDED[usize::from(number)];
    (text, usize::from(*len))
}

/// The number of a protocol by its name, in any case.
pub fn number(name: &str) -> Option<u8> {
    let mut names = NAMES.iter();
    let at = names.position(|known| !name.is_empty() && known.eq_ignore_ascii_case(name))?;
    u8::try_from(at).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_numbers_have_their_names() {
        for (number, name) in [
            (1, "icmp"),
            (6, "tcp"),
            (17, "udp"),
            (41, "ipv6"),
            (47, "gre"),
            (50, "esp"),
            (51, "ah"),
            (58, "ipv6-icmp"),
            (88, "eigrp"),
            (89, "ospf"),
            (94, "ipip"),
            (103, "pim"),
            (108, "ipcomp"),
            (112, "vrrp"),
            (115, "l2tp"),
            (124, "isis"),
            (132, "sctp"),
            (136, "udplite"),
            (143, "ethernet"),
            (255, "others"),
        ] {
            let (text, len) = padded(number);
            assert_eq!(&text[..len], name.as_bytes(), "{number}");
            assert_eq!(super::number(name), Some(number));
        }
        assert_eq!(super::number("ICMP"), Some(1));
        assert_eq!((super::number(""), super::number("nonsense")), (None, None));
        assert_eq!(padded(200).1, 0);
    }
}
