//! Flows without pattern but always the same: what they are, and how each format writes them.
//!
//! Flow `n` has the `n`-th source address, every fifth is IPv6. Every flow comes once, in order;
//! then they are drawn so that the `r`-th comes about `1/r` as often as the first (Zipf).

/// One packet, or one exported flow.
#[derive(Clone, Copy)]
pub struct Flow {
    /// Which one.
    pub number: u32,
    /// Bytes of the IP packet, or of the flow.
    pub bytes: u32,
    /// Packets.
    pub packets: u32,
}

/// Draws flows.
pub struct Traffic {
    flows: u32,
    drawn: u64,
    state: u64,
}

impl Traffic {
    pub fn new(flows: u32) -> Self {
        let (flows, state) = (flows.max(1), 0x9e37_79b9_7f4a_7c15);
        Self {
            flows,
            drawn: 0,
            state,
        }
    }

    fn random(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    pub fn next(&mut self) -> Flow {
        let number = if self.drawn < u64::from(self.flows) {
            self.drawn as u32
        } else {
            let uniform = self.random() as f64 / (1u64 << 53) as f64;
            let rank = (f64::from(self.flows) + 1.0).powf(uniform) as u32;
            rank.saturating_sub(1).min(self.flows - 1)
        };
        self.drawn += 1;
        let (packets, size) = (
            1 + self.random() as u32 % 10,
            60 + self.random() as u32 % 1400,
        );
        Flow {
            number,
            bytes: size,
            packets,
        }
    }
}

impl Flow {
    pub fn is_v6(&self) -> bool {
        self.number % 5 == 4
    }

    fn proto(&self) -> u8 {
        if self.number.is_multiple_of(3) { 17 } else { 6 }
    }

    fn ports(&self) -> [u8; 4] {
        let [a, b, ..] = self.number.wrapping_mul(0x9e37_79b9).to_be_bytes();
        [a | 4, b, 1, 0xbb]
    }

    /// Source and destination: 10.0.0.0/8 and 198.18.0.0/15, or below 2001:db8::/32.
    fn hosts(&self) -> ([u8; 16], [u8; 16]) {
        let [_, a, b, c] = self.number.to_be_bytes();
        let mut src = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, a, b, c];
        let mut dst = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, b, c];
        if !self.is_v6() {
            src[..4].copy_from_slice(&[10, a, b, c]);
            dst[..4].copy_from_slice(&[198, 18, b, c]);
        }
        (src, dst)
    }

    /// The first bytes of an Ethernet frame with one packet of it: all headers.
    pub fn frame(&self, out: &mut Vec<u8>) {
        let (src, dst) = self.hosts();
        out.extend([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
        if self.is_v6() {
            out.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            out.extend(((self.bytes - 40) as u16).to_be_bytes());
            out.extend([self.proto(), 64]);
            out.extend([src, dst].concat());
        } else {
            out.extend([8, 0, 0x45, 0]);
            out.extend((self.bytes as u16).to_be_bytes());
            out.extend([0, 1, 0x40, 0, 64, self.proto(), 0, 0]);
            out.extend([&src[..4], &dst[..4]].concat());
        }
        out.extend(self.ports());
        out.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
    }

    /// A record of [`TEMPLATE`].
    fn record(&self, out: &mut Vec<u8>) {
        let (src, dst) = self.hosts();
        let len = if self.is_v6() { 16 } else { 4 };
        out.extend([&src[..len], &dst[..len]].concat());
        out.extend(self.ports());
        out.extend([self.proto(), 0, 0x1b, 24, 24]);
        for value in [
            1,
            2,
            self.packets,
            self.bytes,
            60_000,
            61_000,
            64_496,
            64_511,
        ] {
            out.extend(u32::to_be_bytes(value));
        }
    }

    /// A record of NetFlow 5.
    fn record5(&self, out: &mut Vec<u8>) {
        let (src, dst) = self.hosts();
        let src = if self.is_v6() {
            [11, src[13], src[14], src[15]]
        } else {
            [10, src[1], src[2], src[3]]
        };
        out.extend([&src[..], &dst[..4], &[0; 4], &[0, 1, 0, 2]].concat());
        for value in [self.packets, self.bytes, 60_000, 61_000] {
            out.extend(u32::to_be_bytes(value));
        }
        out.extend(self.ports());
        out.extend([0, 0x1b, self.proto(), 0, 0, 1, 0, 2, 24, 24, 0, 0]);
    }
}

/// Elements and lengths behind the two addresses: ports, protocol, TOS, TCP flags, masks,
/// interfaces, packets, bytes, begin, end, AS numbers. The same numbers in v9 and IPFIX.
const TEMPLATE: [(u16, u16); 15] = [
    (7, 2),
    (11, 2),
    (4, 1),
    (5, 1),
    (6, 1),
    (9, 1),
    (13, 1),
    (10, 4),
    (14, 4),
    (2, 4),
    (1, 4),
    (22, 4),
    (21, 4),
    (16, 4),
    (17, 4),
];

/// The formats.
#[derive(Clone, Copy, PartialEq)]
pub enum Format {
    Packets,
    V5,
    V9,
    Ipfix,
    Sflow,
}

/// Writes frames, or export datagrams, and counts what is in them.
pub struct Writer {
    pub format: Format,
    traffic: Traffic,
    datagrams: u32,
    pub records: u64,
    pub packets: u64,
    pub bytes: u64,
}

impl Writer {
    pub fn new(format: Format, flows: u32) -> Self {
        let traffic = Traffic::new(flows);
        Self {
            format,
            traffic,
            datagrams: 0,
            records: 0,
            packets: 0,
            bytes: 0,
        }
    }

    /// The next frame or datagram, with at the most `most` records.
    pub fn next(&mut self, most: u64, out: &mut Vec<u8>) {
        out.clear();
        let usual = match self.format {
            Format::Packets => 1,
            Format::V5 => 30,
            Format::V9 | Format::Ipfix => 20,
            Format::Sflow => 6,
        };
        let mut flows: Vec<Flow> = (0..usual.min(most)).map(|_| self.traffic.next()).collect();
        flows.sort_by_key(|flow| matches!(self.format, Format::V9 | Format::Ipfix) && flow.is_v6());
        match self.format {
            Format::Packets => flows.iter().for_each(|flow| flow.frame(out)),
            Format::V5 => self.v5(&flows, out),
            Format::V9 | Format::Ipfix => self.templates(&flows, out),
            Format::Sflow => self.sflow(&flows, out),
        }
        let exported = matches!(self.format, Format::V5 | Format::V9 | Format::Ipfix);
        for flow in &flows {
            self.records += 1;
            self.packets += if exported { u64::from(flow.packets) } else { 1 };
            self.bytes += u64::from(flow.bytes);
        }
        self.datagrams += 1;
    }

    fn v5(&self, flows: &[Flow], out: &mut Vec<u8>) {
        out.extend([0, 5, 0, flows.len() as u8]);
        for value in [100_000, 1_700_000_000, 0, self.records as u32, 0] {
            out.extend(u32::to_be_bytes(value));
        }
        flows.iter().for_each(|flow| flow.record5(out));
    }

    /// NetFlow 9 or IPFIX; templates 256 (IPv4) and 257 (IPv6) first and now and then.
    fn templates(&self, flows: &[Flow], out: &mut Vec<u8>) {
        let ipfix = self.format == Format::Ipfix;
        if ipfix {
            out.extend([0, 10, 0, 0]);
            for value in [1_700_000_000, self.records as u32, 1] {
                out.extend(u32::to_be_bytes(value));
            }
        } else {
            out.extend([0, 9, 0, flows.len() as u8]);
            for value in [100_000, 1_700_000_000, self.datagrams, 1] {
                out.extend(u32::to_be_bytes(value));
            }
        }
        if self.datagrams.is_multiple_of(500) {
            let start = set(if ipfix { 2 } else { 0 }, out);
            for (id, hosts) in [(256u16, [(8, 4), (12, 4)]), (257, [(27, 16), (28, 16)])] {
                out.extend([id.to_be_bytes(), (TEMPLATE.len() as u16 + 2).to_be_bytes()].concat());
                for (element, len) in hosts.into_iter().chain(TEMPLATE) {
                    out.extend([u16::to_be_bytes(element), u16::to_be_bytes(len)].concat());
                }
            }
            end(start, out);
        }
        for part in flows.chunk_by(|a, b| a.is_v6() == b.is_v6()) {
            let start = set(256 + u16::from(part.iter().any(Flow::is_v6)), out);
            part.iter().for_each(|flow| flow.record(out));
            end(start, out);
        }
        if ipfix {
            let len = (out.len() as u16).to_be_bytes();
            out[2..4].copy_from_slice(&len);
        }
    }

    /// Samples with the header alone, one packet out of one.
    fn sflow(&self, flows: &[Flow], out: &mut Vec<u8>) {
        let mut put = |values: &[u32]| values.iter().for_each(|v| out.extend(v.to_be_bytes()));
        put(&[
            5,
            1,
            0xc000_0201,
            0,
            self.datagrams,
            100_000,
            flows.len() as u32,
        ]);
        let mut header = Vec::new();
        for (n, flow) in flows.iter().enumerate() {
            header.clear();
            flow.frame(&mut header);
            header.resize(128, 0);
            let length = flow.bytes + 18;
            let number = self.records as u32 + n as u32;
            let mut put = |values: &[u32]| values.iter().for_each(|v| out.extend(v.to_be_bytes()));
            put(&[1, 32 + 24 + 128, number, 3, 1, number, 0, 3, 4, 1]);
            put(&[1, 16 + 128, 1, length, 4, 128]);
            out.extend(&header);
        }
    }
}

/// Begins a set; its length is filled in by [`end`].
fn set(id: u16, out: &mut Vec<u8>) -> usize {
    out.extend([id.to_be_bytes(), [0; 2]].concat());
    out.len() - 4
}

fn end(start: usize, out: &mut [u8]) {
    let len = ((out.len() - start) as u16).to_be_bytes();
    out[start + 2..start + 4].copy_from_slice(&len);
}
