//! A row with a value of every kind, for the tests of the formats.

use crate::base::addr::{Ip, Mac};
use crate::base::intern::Interner;
use crate::base::time::Nanos;
use crate::record::custom::Shape;
use crate::record::schema::{Options, Schema};
use crate::record::{Custom, Customs, Field, FlowRecord, Form, Origin, Rd};
use std::sync::Arc;

/// Fields of every kind, out of order.
pub const ALL: [Field; 24] = {
    use Field::*;
    [
        Proto,
        SrcHost,
        DstHost,
        SrcPort,
        DstPort,
        Tos,
        Etype,
        SrcAs,
        SrcMac,
        Vlan,
        TcpFlags,
        PeerDstIp,
        Tag,
        Label,
        Class,
        AsPath,
        MplsVpnRd,
        VrfName,
        MplsLabelStack,
        Srv6SegmentList,
        SamplingDirection,
        FwdStatus,
        TunnelTcpFlags,
        TimestampStart,
    ]
};

/// A schema of `fields` (and the end time when there are many) and one row of it.
pub fn rows(fields: &[Field], binned: bool) -> (Arc<Schema>, Vec<u64>) {
    let mut fields = fields.to_vec();
    if fields.len() == ALL.len() {
        fields.push(Field::TimestampEnd);
    }
    let symbols = Arc::new(Interner::new(4096));
    let mut r = FlowRecord::new();
    r.set_src_host(Ip::v4([192, 0, 2, 1]));
    r.set_dst_host("2001:db8::1".parse::<std::net::IpAddr>().unwrap().into());
    r.set_src_port(51514);
    r.set_dst_port(443);
    r.set_proto(6);
    r.set_tos(46);
    r.set_etype(0x86dd);
    r.set_src_as(4_200_000_001);
    r.set_src_mac(Mac([0, 0x1b, 0x21, 0xa, 0xb, 0xc]));
    r.set_vlan(7);
    r.set_tcp_flags(27);
    r.set_tunnel_tcp_flags(18);
    r.set_tag(u64::MAX);
    r.set_label(symbols.intern(b"a,\"b\"\n"));
    r.set_vrf_name(symbols.intern(b"red"));
    r.set_mpls_label_stack(symbols.intern(b"16001_24"));
    r.set_srv6_segment_list(symbols.intern(b"2001:db8::a_2001:db8::b"));
    let rd = u64::from_be_bytes([0, 0, 0xfd, 0xe8, 0, 0, 0, 100]);
    r.set_mpls_vpn_rd(Rd::new(rd, Origin::Flow).0);
    r.set_fwd_status(64);
    r.set_std_comm(symbols.intern(b"65000:1_65000:2"));
    r.set_src_as_path(symbols.intern(b"64496_{1,2}_65000"));
    r.set_src_host_coords(symbols.intern(b"47.3769,-8.5417"));
    r.set_timestamp_start(Nanos(1_767_322_804_678_901_999));
    r.set_bin(Nanos::new(1_767_322_800, 0));
    (r.packets, r.bytes, r.flows) = (12, 9000, 1);
    let options = Options {
        flows: true,
        binned,
        ..Options::default()
    };
    let schema = Arc::new(Schema::new("sample", &fields, options, symbols));
    let mut row = vec![0; schema.row_words()];
    let (key, counters) = row.split_at_mut(schema.key.len());
    schema.key.pack(&r, key);
    schema.counter.add(&r, counters);
    (schema, row)
}

/// Primitives of the configuration of every form but that of no value, and a row with the values
/// `fill` gives them, as an event where `event` says so.
pub fn customs(event: bool, fill: impl Fn(&mut FlowRecord, &Interner)) -> (Arc<Schema>, Vec<u64>) {
    use Shape::*;
    let list = [
        ("number", Number, Some(4)),
        ("hex", Hex, Some(2)),
        ("ip4", Shape::Ip, Some(4)),
        ("ip6", Shape::Ip, Some(16)),
        ("mac", Shape::Mac, Some(6)),
        ("word", Text, Some(8)),
        ("text", Text, None),
        ("octets", Raw, Some(3)),
        ("raw", Raw, None),
        ("odd", Number, Some(5)),
    ];
    let mut slot = 0;
    let custom = |(name, shape, length): (&str, Shape, Option<u16>)| {
        let form = Form::new(shape, length).unwrap();
        let field = Field::custom(slot).unwrap();
        slot += form.size() / 8;
        Custom::plain(name, (shape, length), form, field)
    };
    let list: Vec<Custom> = list.into_iter().map(custom).collect();
    let mut by: Vec<Field> = list.iter().map(|custom| custom.field).collect();
    by.push(Field::DstPort);
    let symbols = Arc::new(Interner::new(4096));
    let mut r = FlowRecord::new();
    r.set_dst_port(443);
    fill(&mut r, &symbols);
    (r.packets, r.bytes, r.flows) = (12, 9000, 1);
    r.set_record_kind(u8::from(event));
    let options = Options {
        flows: true,
        kinds: true,
        ..Options::default()
    };
    let customs = Arc::new(Customs::new(list));
    let schema = Schema::with_customs("sample", &by, options, symbols, customs);
    let mut row = vec![0; schema.row_words()];
    let (key, counters) = row.split_at_mut(schema.key.len());
    schema.key.pack(&r, key);
    schema.counter.add(&r, counters);
    (Arc::new(schema), row)
}

/// Values for [`customs`].
pub fn values(record: &mut FlowRecord, symbols: &Interner) {
    let sym = |text: &[u8]| u64::from(symbols.intern(text).0);
    let ip6 = "2001:db8::9".parse::<std::net::IpAddr>().unwrap();
    let halves = crate::base::addr::Ip::from(ip6).0;
    let (halves, _) = halves.as_chunks::<8>();
    for (n, word) in [
        1_610_612_736,
        0xab,
        0xc000_0201,
        u64::from_ne_bytes(halves[0]),
        u64::from_ne_bytes(halves[1]),
        0x0001_0203_0405,
        0x6162_2200_0000_0000,
        sym("caf\u{e9}\n".as_bytes()),
        0x0100_ff00_0000_0001,
        sym(&[9, 0xa0]),
        7,
    ]
    .into_iter()
    .enumerate()
    {
        record.set_word(Field::custom(n).unwrap(), word);
    }
}
