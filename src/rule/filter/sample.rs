//! Frames for tests, and the records a decoder would make of them.

use crate::base::addr::{Ip, Mac};
use crate::record::FlowRecord;

/// Numbers that look random and are the same everywhere (xorshift).
pub struct Dice(pub u32);

impl Dice {
    pub fn roll(&mut self, below: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 % below
    }

    pub fn one_of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len() as u32) as usize]
    }

    fn once_in(&mut self, n: u32) -> bool {
        self.roll(n) == 0
    }
}

/// What a frame is made from.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    pub macs: [[u8; 6]; 2],
    /// Outermost first.
    pub vlans: Vec<u16>,
    pub cos: u8,
    /// Top first.
    pub labels: Vec<u32>,
    pub pppoe: bool,
    pub etype: u16,
    pub src: Ip,
    pub dst: Ip,
    pub proto: u8,
    pub tos: u8,
    pub flow_label: u32,
    pub ports: [u16; 2],
    pub flags: u8,
    pub payload: usize,
    /// Fragment offset in units of 8 bytes; 0 for what is none.
    pub fragment: u16,
    /// IPv4 options in words, or IPv6 extension headers.
    pub extra: u8,
}

pub const PORTS: [u16; 8] = [22, 53, 80, 443, 5060, 8080, 33000, 65535];
const PROTOS: [u8; 12] = [6, 6, 6, 17, 17, 17, 1, 58, 132, 47, 50, 89];

fn host(dice: &mut Dice, six: bool) -> Ip {
    let last = dice.one_of(&[1u8, 2, 53, 200, 255]);
    if !six {
        let net = dice.one_of(&[
            [10, 0, 0],
            [10, 9, 8],
            [192, 0, 2],
            [192, 168, 1],
            [224, 0, 0],
        ]);
        return Ip::v4([net[0], net[1], net[2], last]);
    }
    let mut ip = [0; 16];
    ip[..4].copy_from_slice(&dice.one_of(&[
        [0x20, 1, 0xd, 0xb8],
        [0xfe, 0x80, 0, 0],
        [255, 2, 0, 0],
    ]));
    ip[7] = dice.roll(3) as u8;
    ip[15] = last;
    Ip(ip)
}

impl Sample {
    /// One that a record can tell of: no fragments, options or payload of interest.
    pub fn plain(dice: &mut Dice) -> Self {
        let macs = [
            [2, 0, 0, 0, 0, 1],
            [2, 0, 0, 0, 0, 2],
            [0xff; 6],
            [1, 0, 0x5e, 0, 0, 1],
        ];
        let six = dice.once_in(3);
        let vlans = [0, 0, 0, 1, 1, 2][dice.roll(6) as usize];
        let labels = [0, 0, 0, 0, 1, 2][dice.roll(6) as usize];
        Self {
            macs: [dice.one_of(&macs), dice.one_of(&macs)],
            vlans: (0..vlans)
                .map(|_| dice.one_of(&[1, 100, 200, 4094]))
                .collect(),
            cos: dice.roll(8) as u8,
            labels: (0..labels)
                .map(|at| at * 1000 + dice.one_of(&[16, 100_000]))
                .collect(),
            etype: if six { 0x86dd } else { 0x0800 },
            src: host(dice, six),
            dst: host(dice, six),
            proto: dice.one_of(&PROTOS),
            tos: dice.roll(256) as u8,
            flow_label: dice.roll(1 << 20),
            ports: [dice.one_of(&PORTS), dice.one_of(&PORTS)],
            flags: dice.one_of(&[2, 0x10, 0x11, 0x12, 0x14, 0x18]),
            payload: dice.one_of(&[0, 1, 17, 100, 700, 1400]),
            ..Self::default()
        }
    }

    /// One of everything: other protocols, fragments, options.
    pub fn wild(dice: &mut Dice) -> Self {
        let mut sample = Self::plain(dice);
        if dice.once_in(4) {
            sample.etype = dice.one_of(&[0x0806, 0x0806, 0x0806, 0x8035, 0x888e, 0x05dc, 40]);
            (sample.src, sample.dst) = (host(dice, false), host(dice, false));
            sample.vlans.truncate(1);
            sample.labels.clear();
        }
        sample.pppoe = dice.once_in(8);
        sample.fragment = dice.one_of(&[0, 0, 0, 0, 1, 100]);
        sample.extra = dice.one_of(&[0, 0, 0, 0, 1, 2, 10]);
        sample
    }

    /// The frame's bytes and the place of its network layer.
    pub fn frame(&self) -> (Vec<u8>, usize) {
        let mut to = [self.macs[1], self.macs[0]].concat();
        for (at, vlan) in self.vlans.iter().enumerate() {
            let service = at + 1 < self.vlans.len();
            to.extend(if service { [0x88, 0xa8] } else { [0x81, 0] });
            let cos = if at == 0 { self.cos } else { 0 };
            to.extend((u16::from(cos) << 13 | vlan).to_be_bytes());
        }
        if self.pppoe {
            to.extend([0x88, 0x64, 0x11, 0, 0, 7, 0, 0]);
            to.extend(if self.etype == 0x86dd {
                [0, 0x57]
            } else {
                [0, 0x21]
            });
        } else if self.labels.is_empty() {
            to.extend(self.etype.to_be_bytes());
        } else {
            to.extend([0x88, 0x47]);
        }
        for (at, label) in self.labels.iter().enumerate().filter(|_| !self.pppoe) {
            let bottom = u32::from(at + 1 == self.labels.len());
            to.extend((label << 12 | bottom << 8 | 64).to_be_bytes());
        }
        let begin = to.len();
        to.extend(self.network());
        (to, begin)
    }

    /// Network header and all above it.
    pub fn network(&self) -> Vec<u8> {
        let above = self.transport();
        let mut to = Vec::new();
        match self.etype {
            0x86dd => {
                let next = if self.extra > 0 { 0 } else { self.proto };
                to.extend((6 << 28 | u32::from(self.tos) << 20 | self.flow_label).to_be_bytes());
                let length = above.len() + usize::from(self.extra.min(1)) * 8;
                to.extend((length as u16).to_be_bytes());
                to.extend([next, 64]);
                to.extend(self.src.0);
                to.extend(self.dst.0);
                if self.extra > 0 {
                    to.extend([self.proto, 0, 1, 4, 0, 0, 0, 0]);
                }
            }
            0x0800 => {
                let header = 20 + usize::from(self.extra) * 4;
                to.extend([0x45 + self.extra, self.tos]);
                to.extend(((header + above.len()) as u16).to_be_bytes());
                to.extend([0, 0]);
                to.extend(self.fragment.to_be_bytes());
                to.extend([64, self.proto, 0, 0]);
                to.extend(self.src.as_v4().unwrap_or_default());
                to.extend(self.dst.as_v4().unwrap_or_default());
                to.resize(header, 1);
            }
            0x0806 | 0x8035 => {
                to.extend([0, 1, 8, 0, 6, 4, 0, 1]);
                to.extend(self.macs[0]);
                to.extend(self.src.as_v4().unwrap_or_default());
                to.extend(self.macs[1]);
                to.extend(self.dst.as_v4().unwrap_or_default());
                return to;
            }
            _ => {}
        }
        to.extend(above);
        to
    }

    fn transport(&self) -> Vec<u8> {
        let mut to = Vec::new();
        let [src, dst] = self.ports.map(u16::to_be_bytes);
        let length = (8 + self.payload) as u16;
        match self.proto {
            6 => {
                to.extend([src, dst].concat());
                to.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, self.flags, 0, 0, 0, 0, 0, 0]);
            }
            17 | 132 => to.extend([src, dst, length.to_be_bytes(), [0, 0]].concat()),
            1 | 58 => to.extend([dst, [0; 2], [0; 2], [0; 2]].concat()),
            _ => {}
        }
        to.resize(to.len() + self.payload, 0xa5);
        to
    }

    /// What a decoder makes of `packets` such frames.
    pub fn record(&self, packets: u64) -> FlowRecord {
        let mut r = FlowRecord::new();
        r.set_src_mac(Mac(self.macs[0]));
        r.set_dst_mac(Mac(self.macs[1]));
        if let [vlan, inner @ ..] = self.vlans.as_slice() {
            r.set_vlan(*vlan);
            r.set_cos(self.cos);
            if let Some(inner) = inner.first() {
                r.set_in_cvlan(*inner);
            }
        }
        if let [top, .., bottom] | [top @ bottom] = self.labels.as_slice() {
            r.set_mpls_label_top(*top);
            r.set_mpls_label_bottom(*bottom);
        }
        r.set_etype(self.etype);
        r.set_src_host(self.src);
        r.set_dst_host(self.dst);
        r.set_proto(self.proto);
        r.set_tos(self.tos);
        r.set_flow_label(self.flow_label);
        match self.proto {
            1 | 58 => r.set_dst_port(self.ports[1]),
            6 | 17 | 132 => {
                r.set_src_port(self.ports[0]);
                r.set_dst_port(self.ports[1]);
            }
            _ => {}
        }
        if self.proto == 6 {
            r.set_tcp_flags(self.flags);
        }
        r.packets = packets;
        r.bytes = packets * self.network().len() as u64;
        r.flows = 1;
        r
    }
}
