//! The inputs of the golden tests, byte by byte: frames from the inside out, and export datagrams.
//! Sums of headers are left at zero; nothing here looks at them.

/// Joins parts.
pub fn cat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn be16(number: usize) -> [u8; 2] {
    (number as u16).to_be_bytes()
}

/// Hosts of the documentation networks: `192.0.2.n`.
pub fn host(n: u8) -> [u8; 4] {
    [192, 0, 2, n]
}

/// `2001:db8::n`.
pub fn host6(n: u8) -> [u8; 16] {
    [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n]
}

pub fn udp(src: u16, dst: u16, payload: &[u8]) -> Vec<u8> {
    let len = be16(8 + payload.len());
    cat(&[
        &src.to_be_bytes(),
        &dst.to_be_bytes(),
        &len,
        &[0, 0],
        payload,
    ])
}

pub fn tcp(src: u16, dst: u16, flags: u8, payload: &[u8]) -> Vec<u8> {
    let rest = [0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0];
    cat(&[&src.to_be_bytes(), &dst.to_be_bytes(), &rest, payload])
}

/// IPv4 with `tos` and the fragment word.
pub fn v4_with(tos: u8, fragment: u16, proto: u8, src: u8, dst: u8, payload: &[u8]) -> Vec<u8> {
    let len = be16(20 + payload.len());
    let head = cat(&[
        &[0x45, tos],
        &len,
        &[0, 9],
        &fragment.to_be_bytes(),
        &[64, proto, 0, 0],
    ]);
    cat(&[&head, &host(src), &host(dst), payload])
}

pub fn v4(proto: u8, src: u8, dst: u8, payload: &[u8]) -> Vec<u8> {
    v4_with(0, 0, proto, src, dst, payload)
}

pub fn v6(next: u8, src: u8, dst: u8, payload: &[u8]) -> Vec<u8> {
    let head = cat(&[&[0x60, 0, 0, 0], &be16(payload.len()), &[next, 64]]);
    cat(&[&head, &host6(src), &host6(dst), payload])
}

/// Ethernet from `02:…:01` to `02:…:02`.
pub fn eth(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let macs = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    cat(&[&macs, &ethertype.to_be_bytes(), payload])
}

/// An Ethernet frame with an IPv4 packet.
pub fn eth4(packet: Vec<u8>) -> Vec<u8> {
    eth(0x0800, &packet)
}

/// A pcap file; frames a second apart, from 2023-11-14 22:13:20 UTC.
pub fn pcap(link: u32, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = cat(&[
        &0xa1b2_c3d4u32.to_le_bytes(),
        &[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]);
    file.extend(0x0004_0000u32.to_le_bytes());
    file.extend(link.to_le_bytes());
    for (n, frame) in frames.iter().enumerate() {
        let len = frame.len() as u32;
        for number in [1_700_000_000 + n as u32, 0, len, len] {
            file.extend(number.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

/// A capture of export datagrams sent from `192.0.2.200`.
fn exports(port: u16, datagrams: &[Vec<u8>]) -> Vec<u8> {
    let frame = |d: &Vec<u8>| eth4(v4(17, 200, 201, &udp(40000, port, d)));
    pcap(1, &datagrams.iter().map(frame).collect::<Vec<_>>())
}

/// One small UDP packet, 28 + 10 bytes of IP.
fn query(src: u8) -> Vec<u8> {
    v4(17, src, 53, &udp(5000, 53, &[0; 10]))
}

/// A NetFlow v9 or IPFIX set.
fn set(id: u16, body: &[u8]) -> Vec<u8> {
    cat(&[&id.to_be_bytes(), &be16(4 + body.len()), body])
}

fn words16(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_be_bytes()).collect()
}

fn words32(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_be_bytes()).collect()
}

fn v9(sequence: u32, count: u16, sets: &[Vec<u8>]) -> Vec<u8> {
    let head = cat(&[
        &[0, 9],
        &count.to_be_bytes(),
        &words32(&[60_000, 1_700_000_000, sequence, 7]),
    ]);
    cat(&[&head, &sets.concat()])
}

fn ipfix(sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let body = sets.concat();
    cat(&[
        &[0, 10],
        &be16(16 + body.len()),
        &words32(&[1_700_000_000, sequence, 7]),
        &body,
    ])
}

fn plain() -> Vec<u8> {
    pcap(
        1,
        &[
            eth4(v4(6, 1, 2, &tcp(1000, 443, 0x02, &[]))),
            eth4(v4(6, 1, 2, &tcp(1000, 443, 0x18, &[0; 100]))),
            eth4(v4_with(0xb8, 0, 17, 2, 1, &udp(5060, 5060, &[0; 20]))),
            eth4(v4(1, 1, 2, &[8, 0, 0, 0, 0, 1, 0, 1])),
            eth(0x86dd, &v6(6, 1, 2, &tcp(2000, 80, 0x10, &[]))),
            eth(0x86dd, &v6(17, 2, 1, &udp(53, 3000, &[0; 4]))),
            eth(0x86dd, &v6(58, 1, 2, &[128, 0, 0, 0, 0, 1, 0, 1])),
            eth(0x0806, &[0; 28]),
        ],
    )
}

fn vlan() -> Vec<u8> {
    let inner = |id: u16| cat(&[&id.to_be_bytes(), &[8, 0], &query(1)]);
    pcap(
        1,
        &[
            eth(0x8100, &inner(0xa007)),
            eth(0x88a8, &cat(&[&[0, 100, 0x81, 0], &inner(200)])),
            eth4(query(1)),
        ],
    )
}

fn mpls() -> Vec<u8> {
    pcap(
        1,
        &[
            eth(
                0x8847,
                &cat(&[
                    &words32(&[(16 << 12) | 64, (17 << 12) | 0x100 | 64]),
                    &query(1),
                ]),
            ),
            eth(
                0x8847,
                &cat(&[&words32(&[(18 << 12) | 0x100 | 64]), &query(1)]),
            ),
        ],
    )
}

fn pppoe() -> Vec<u8> {
    let session = |protocol: u16, packet: &[u8]| {
        let head = cat(&[
            &[0x11, 0, 0, 9],
            &be16(2 + packet.len()),
            &protocol.to_be_bytes(),
        ]);
        eth(0x8864, &cat(&[&head, packet]))
    };
    let packet6 = v6(17, 1, 2, &udp(53, 3000, &[0; 4]));
    pcap(
        1,
        &[
            session(0x21, &query(1)),
            session(0x57, &packet6),
            session(0xc021, &[9, 0, 0, 4]),
        ],
    )
}

fn fragments() -> Vec<u8> {
    let whole = udp(7000, 8000, &[0; 40]);
    let part6 = |offset: u16, bytes: &[u8]| {
        let head = cat(&[&[17, 0], &offset.to_be_bytes(), &[0, 0, 0, 5], bytes]);
        eth(0x86dd, &v6(44, 1, 2, &head))
    };
    pcap(
        1,
        &[
            eth4(v4_with(0, 0x2000, 17, 1, 2, &whole[..24])),
            eth4(v4_with(0, 3, 17, 1, 2, &whole[24..])),
            eth4(v4_with(0, 3, 17, 3, 2, &whole[24..])),
            part6(1, &whole[..24]),
            part6(24, &whole[24..]),
        ],
    )
}

fn extensions() -> Vec<u8> {
    let options = [0, 0, 1, 4, 0, 0, 0, 0];
    let chain = cat(&[
        &[60],
        &options[1..],
        &[43],
        &options[1..],
        &[6, 0, 4, 0, 0, 0, 0, 0],
    ]);
    pcap(
        1,
        &[
            eth(
                0x86dd,
                &v6(0, 1, 2, &cat(&[&chain, &tcp(1000, 22, 0x02, &[])])),
            ),
            eth(
                0x86dd,
                &v6(51, 1, 2, &cat(&[&[17, 1, 0, 0], &[0; 8], &udp(1, 2, &[])])),
            ),
            eth(0x86dd, &v6(59, 1, 2, &[])),
        ],
    )
}

fn tunnels() -> Vec<u8> {
    let inner = v4(6, 10, 20, &tcp(1000, 80, 0x02, &[]));
    let vxlan = cat(&[&[8, 0, 0, 0, 0, 0, 5, 0], &eth4(inner.clone())]);
    pcap(
        1,
        &[
            eth4(v4(47, 1, 2, &cat(&[&[0, 0, 8, 0], &inner]))),
            eth4(v4(17, 1, 2, &udp(50000, 4789, &vxlan))),
            eth4(v4(4, 1, 2, &inner)),
            eth4(v4(41, 1, 2, &v6(17, 10, 20, &udp(53, 3000, &[])))),
        ],
    )
}

fn netflow5() -> Vec<u8> {
    let head = |count: u16, sequence: u32, sampling: u16| {
        let times = words32(&[60_000, 1_700_000_000, 0, sequence]);
        cat(&[
            &[0, 5],
            &count.to_be_bytes(),
            &times,
            &[0, 1],
            &sampling.to_be_bytes(),
        ])
    };
    let record = |src: u8, packets: u32, bytes: u32| {
        let hosts = cat(&[&host(src), &host(2), &[0; 4], &[0, 3, 0, 4]]);
        let sums = words32(&[packets, bytes, 50_000, 59_000]);
        let ports = words16(&[1000, 443]);
        cat(&[
            &hosts,
            &sums,
            &ports,
            &[0, 0x1b, 6, 8],
            &words16(&[64500, 64501]),
            &[24, 16, 0, 0],
        ])
    };
    let two = cat(&[&head(2, 0, 0), &record(1, 3, 300), &record(9, 1, 40)]);
    // One flow is missing before this one, and it is sampled one in ten.
    let one = cat(&[&head(1, 3, 0x400a), &record(1, 2, 200)]);
    exports(2055, &[two, one])
}

fn netflow9() -> Vec<u8> {
    // Addresses, ports, protocol, packets and bytes of four bytes, the sampler.
    let fields = [8, 4, 12, 4, 7, 2, 11, 2, 4, 1, 2, 4, 1, 4, 48, 1];
    let template = set(0, &cat(&[&words16(&[256, 8]), &words16(&fields)]));
    let options = set(
        1,
        &cat(&[&words16(&[257, 4, 8, 1, 4, 48, 1, 34, 4]), &[0, 0]]),
    );
    let sampler = set(257, &cat(&[&[0, 0, 0, 0, 5], &words32(&[100]), &[0, 0, 0]]));
    let record = |src: u8, packets: u32, bytes: u32, sampler: u8| {
        let key = cat(&[&host(src), &host(2), &words16(&[1000, 53]), &[17]]);
        cat(&[&key, &words32(&[packets, bytes]), &[sampler]])
    };
    let data = set(
        256,
        &cat(&[&record(1, 1, 100, 5), &record(3, 2, 80, 0), &[0, 0, 0]]),
    );
    let early = set(300, &[0; 8]);
    exports(
        2055,
        &[
            v9(0, 4, &[early, template, options, sampler]),
            v9(1, 2, &[data]),
        ],
    )
}

fn ipfix_names() -> Vec<u8> {
    // Address, application id, application name of variable length, bytes and packets of 8 and 3.
    let template = set(2, &words16(&[256, 5, 8, 4, 12, 4, 96, 0xffff, 1, 8, 2, 3]));
    // An interface's name, by its number.
    let options = set(3, &words16(&[257, 2, 1, 10, 4, 82, 0xffff]));
    let names = set(257, &cat(&[&words32(&[3]), &[4], b"eth3"]));
    let with_iface = set(2, &words16(&[258, 4, 8, 4, 10, 4, 1, 4, 2, 4]));
    let record = |src: u8, name: &[u8], bytes: u64, packets: u8| {
        let text = cat(&[&[name.len() as u8], name]);
        cat(&[
            &host(src),
            &host(2),
            &text,
            &bytes.to_be_bytes(),
            &[0, 0, packets],
        ])
    };
    let data = set(
        256,
        &cat(&[
            &record(1, b"https", 5_000_000_000, 9),
            &record(3, b"", 60, 1),
        ]),
    );
    let faces = set(258, &cat(&[&host(1), &words32(&[3, 700, 7])]));
    exports(
        4739,
        &[
            ipfix(0, &[template, options, with_iface]),
            ipfix(0, &[names, data, faces]),
        ],
    )
}

/// Flows that differ in what rules look at, from an exporter that says much about each.
fn rules() -> Vec<u8> {
    let fields = [
        (8, 4),
        (12, 4),
        (7, 2),
        (11, 2),
        (4, 1),
        (5, 1),
        (10, 2),
        (14, 2),
        (9, 1),
        (13, 1),
        (16, 4),
        (17, 4),
        (18, 4),
        (234, 4),
        (235, 4),
        (34, 4),
        (1, 4),
        (2, 4),
    ];
    let specs: Vec<u16> = fields.iter().flat_map(|(id, len)| [*id, *len]).collect();
    let template = set(
        2,
        &cat(&[&words16(&[256, fields.len() as u16]), &words16(&specs)]),
    );
    // Ends, ports, protocol and ToS, interfaces, masks, AS numbers, VRFs, rate.
    type Flow = (
        [u8; 2],
        [u16; 2],
        [u8; 2],
        [u16; 2],
        [u8; 2],
        [u32; 2],
        [u32; 2],
        u32,
    );
    let flows: [Flow; 5] = [
        (
            [1, 2],
            [1000, 443],
            [6, 0],
            [1, 2],
            [24, 24],
            [64500, 64501],
            [7, 8],
            0,
        ),
        (
            [2, 1],
            [443, 1000],
            [6, 0],
            [2, 1],
            [24, 24],
            [64501, 64500],
            [8, 7],
            10,
        ),
        (
            [3, 77],
            [5000, 53],
            [17, 184],
            [3, 1],
            [0, 0],
            [0, 0],
            [9, 0],
            0,
        ),
        (
            [130, 2],
            [6000, 22],
            [6, 16],
            [1, 3],
            [25, 32],
            [64999, 0],
            [0, 0],
            0,
        ),
        (
            [200, 4],
            [0, 0],
            [1, 0],
            [4, 2],
            [30, 24],
            [64502, 64501],
            [0, 5],
            0,
        ),
    ];
    let record = |(n, f): (usize, &Flow)| {
        let (ends, ports, kind, faces, masks, systems, vrfs, rate) = f;
        let hop = host(254);
        let sums = [1000 * (n as u32 + 1), n as u32 + 1];
        cat(&[
            &host(ends[0]),
            &host(ends[1]),
            &words16(ports),
            kind,
            &words16(faces),
            masks,
            &words32(systems),
            &hop,
            &words32(vrfs),
            &words32(&[*rate]),
            &words32(&sums),
        ])
    };
    let data: Vec<u8> = flows.iter().enumerate().flat_map(record).collect();
    exports(4739, &[ipfix(0, &[template, set(256, &data)])])
}

fn sflow() -> Vec<u8> {
    let packet = eth4(v4(6, 1, 2, &tcp(1000, 443, 0x10, &[0; 60])));
    // A raw header: Ethernet, frame of 118 bytes on the wire, 4 stripped, what was kept.
    let padded = packet.len().next_multiple_of(4);
    let mut header = cat(&[&words32(&[1, 118, 4, packet.len() as u32]), &packet]);
    header.resize(16 + padded, 0);
    let record = cat(&[&words32(&[1, header.len() as u32]), &header]);
    let sample = |sequence: u32, pool: u32| {
        let head = words32(&[sequence, 3, 400, pool, 0, 3, 4, 1]);
        let body = cat(&[&head, &record]);
        cat(&[&words32(&[1, body.len() as u32]), &body])
    };
    let counters = words32(&[2, 12, 1, 3, 0]);
    let datagram = |sequence: u32, samples: &[Vec<u8>]| {
        let agent = cat(&[&words32(&[5, 1]), &host(200)]);
        let head = words32(&[0, sequence, 1000, samples.len() as u32]);
        cat(&[&agent, &head, &samples.concat()])
    };
    // One datagram is missing before the last.
    let datagrams = [
        datagram(1, &[sample(1, 400), counters, sample(2, 800)]),
        datagram(2, &[sample(3, 1200)]),
        datagram(3, &[sample(4, 1600)]),
        datagram(5, &[sample(5, 2000)]),
    ];
    exports(6343, &datagrams)
}

fn cooked() -> Vec<u8> {
    let head = cat(&[&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0], &[8, 0]]);
    pcap(113, &[cat(&[&head, &query(1)])])
}

fn cooked2() -> Vec<u8> {
    let head = cat(&[
        &[8, 0, 0, 0, 0, 0, 0, 5, 0, 1, 0, 6],
        &[2, 0, 0, 0, 0, 1, 0, 0],
    ]);
    pcap(276, &[cat(&[&head, &query(1)])])
}

fn truncated() -> Vec<u8> {
    let mut file = pcap(1, &[eth4(query(1)), eth4(query(1)), eth4(query(1))]);
    file.truncate(file.len() - 20);
    file
}

pub fn many() -> Vec<u8> {
    // Hosts 1 to 120, each with its number modulo 8 as bytes of payload.
    let packet = |n: u8| v4(17, n, 200, &udp(5000, 53, &vec![0; usize::from(n % 8)]));
    pcap(101, &(1..=120).map(packet).collect::<Vec<_>>())
}

/// The input of a golden test, by the name of its directory.
pub fn input(name: &str) -> Option<Vec<u8>> {
    Some(match name {
        "plain" | "filter" | "bins" | "sum_host" | "formatted" => plain(),
        "vlan" => vlan(),
        "mpls" => mpls(),
        "pppoe" => pppoe(),
        "fragments" => fragments(),
        "extensions" => extensions(),
        "tunnels" => tunnels(),
        "cooked" => cooked(),
        "cooked2" => cooked2(),
        "raw" => pcap(101, &[query(1), v6(17, 1, 2, &udp(1, 2, &[]))]),
        "raw4" => pcap(228, &[query(1)]),
        "null" => pcap(0, &[cat(&[&2u32.to_le_bytes(), &query(1)])]),
        "loop" => pcap(108, &[cat(&[&2u32.to_be_bytes(), &query(1)])]),
        "truncated" => truncated(),
        "netflow5" => netflow5(),
        "netflow9" => netflow9(),
        "ipfix" | "ipfix_iface" => ipfix_names(),
        "sflow" => sflow(),
        "top" => many(),
        name if name.starts_with("rules_") => rules(),
        _ => return None,
    })
}
