//! What exporters tell in options, and what comes of it.
use super::*;

const RATE: &[Field] = &[Field::SamplingRate];

pub(super) fn apart(fields: &[(u16, &[u8])]) -> (Vec<(u16, u16)>, Vec<u8>) {
    let specs = fields.iter().map(|(id, v)| (*id, v.len() as u16)).collect();
    (specs, fields.iter().flat_map(|(_, v)| v.to_vec()).collect())
}

/// Sends an options template and one options record.
pub(super) fn tell(rig: &mut Rig, fields: &[(u16, &[u8])]) {
    let (specs, body) = apart(fields);
    let tpl = set(3, &options_template(400, 1, &specs));
    assert!(rig.feed(&ipfix(&[tpl, set(400, &body)])).is_empty());
}

/// Sends one data record.
pub(super) fn data(rig: &mut Rig, fields: &[(u16, &[u8])]) -> FlowRecord {
    let (specs, body) = apart(fields);
    rig.feed(&ipfix(&[set(2, &template(300, &specs)), set(300, &body)]))[0]
}

#[test]
fn rates_of_samplers_have_ids_of_any_width() {
    let mut rig = Rig::new(RATE);
    tell(
        &mut rig,
        &[(302, &[0, 0, 0, 0, 0, 0, 0, 3]), (34, &[0, 0, 3, 0xe8])],
    );
    assert_eq!(data(&mut rig, &[(48, &[3])]).sampling_rate(), 1000);
    assert_eq!(data(&mut rig, &[(48, &[0, 3])]).sampling_rate(), 1000);
    assert_eq!(
        data(&mut rig, &[(302, &[0, 0, 0, 3])]).sampling_rate(),
        1000
    );
    assert_eq!(data(&mut rig, &[(302, &[0, 0, 0, 4])]).sampling_rate(), 0);
    assert_eq!(
        data(&mut rig, &[(302, &[9]), (50, &[64])]).sampling_rate(),
        64
    );
}

#[test]
fn each_record_of_a_set_has_the_rate_and_the_name_of_its_own_number() {
    let mut rig = Rig::new(&[Field::SamplingRate, Field::InIfaceName]);
    for (sampler, rate) in [(3, 100), (4, 200)] {
        tell(&mut rig, &[(302, &[sampler]), (34, &[rate])]);
    }
    for (iface, name) in [(7, b"up"), (8, b"in")] {
        tell(&mut rig, &[(10, &[iface]), (82, name)]);
    }
    let tpl = set(2, &template(300, &[(302, 1), (10, 1)]));
    let rows = [[3, 7], [3, 7], [4, 9], [4, 8], [5, 8], [3, 9], [3, 7]];
    let all = rig.feed(&ipfix(&[tpl, set(300, rows.as_flattened())]));
    let seen: Vec<_> = all
        .iter()
        .map(|r| (r.sampling_rate(), rig.text(r.in_iface_name())))
        .collect();
    let want = [
        (100, "up"),
        (100, "up"),
        (200, ""),
        (200, "in"),
        (0, "in"),
        (100, ""),
        (100, "up"),
    ];
    assert_eq!(seen, want.map(|(rate, name)| (rate, name.to_owned())));
}

#[test]
fn rates_of_the_whole_exporter_and_their_notations() {
    let mut rig = Rig::new(RATE);
    let scope: (u16, &[u8]) = (149, &[0, 0, 0, 1]);
    tell(
        &mut rig,
        &[scope, (305, &[0, 0, 0, 1]), (306, &[0, 0, 0, 99])],
    );
    assert_eq!(data(&mut rig, &[(4, &[6])]).sampling_rate(), 100);
    tell(
        &mut rig,
        &[scope, (309, &[0, 0, 0, 2]), (310, &[0, 0, 1, 0])],
    );
    assert_eq!(data(&mut rig, &[(4, &[6])]).sampling_rate(), 128);
    tell(
        &mut rig,
        &[scope, (309, &[0, 0, 0, 0]), (310, &[0, 0, 1, 0])],
    );
    assert_eq!(
        data(&mut rig, &[(4, &[6])]).sampling_rate(),
        128,
        "no division by zero"
    );
    tell(&mut rig, &[(10, &[0, 0, 0, 7]), (50, &[0, 0, 0, 10])]);
    assert_eq!(
        data(&mut rig, &[(10, &[0, 7])]).sampling_rate(),
        10,
        "that interface"
    );
    assert_eq!(data(&mut rig, &[(10, &[0, 8])]).sampling_rate(), 128);
}

#[test]
fn v9_scopes_are_not_elements() {
    let mut rig = Rig::new(&[Field::SamplingRate, Field::InIfaceName, Field::OutIfaceName]);
    // Scope 2 is the interface (and element 2 would be packets); scope 1 is the system.
    let names = be(&[256, 4, 4, 2, 4, 82, 6]);
    let rate = be(&[257, 4, 8, 1, 4, 34, 4, 35, 1]);
    let tpl = set(1, &[names, rate, vec![0, 0]].concat());
    let name = set(256, &[0, 0, 0, 5, b'e', b't', b'h', b'0', 0, 0]);
    let told = set(257, &[192, 0, 2, 1, 0, 0, 0, 32, 2, 0, 0, 0]);
    let flows = set(0, &template(300, &[(10, 2), (14, 2)]));
    let all = rig.feed(&v9(&[tpl, name, told, flows, set(300, &[0, 5, 0, 6])]));
    assert_eq!((all.len(), all[0].sampling_rate()), (1, 32));
    assert_eq!(rig.text(all[0].in_iface_name()), "eth0");
    assert!(!all[0].present.has(Field::OutIfaceName));
}

#[test]
fn applications_and_vrfs_have_names() {
    let wanted = [
        Field::Class,
        Field::VrfName,
        Field::IngressVrfName,
        Field::EgressVrfName,
    ];
    let mut rig = Rig::new(&wanted);
    tell(
        &mut rig,
        &[(95, &[13, 0, 1, 2]), (94, b"text"), (96, b"http\0\0")],
    );
    tell(&mut rig, &[(234, &[0, 0, 0, 2]), (236, b"blue\0\0\0\0")]);
    tell(&mut rig, &[(234, &[0, 0, 0, 3]), (236, b"red")]);
    let vrfs: [(u16, &[u8]); 2] = [(234, &[0, 0, 0, 2]), (235, &[0, 0, 0, 3])];
    let r = data(&mut rig, &[(95, &[13, 0, 1, 2]), vrfs[0], vrfs[1]]);
    assert_eq!(rig.text(r.class()), "http");
    assert_eq!(rig.text(r.ingress_vrf_name()), "blue");
    assert_eq!(rig.text(r.egress_vrf_name()), "red");
    assert_eq!(rig.text(r.vrf_name()), "blue");
    let r = data(&mut rig, &[(95, &[13, 0, 9, 9]), vrfs[1]]);
    assert!(!r.present.has(Field::Class));
    assert_eq!(rig.text(r.vrf_name()), "red");
}

#[test]
fn exporters_may_name_themselves() {
    let mut rig = Rig::new(&[Field::PeerSrcIp, Field::TimestampStart]);
    assert_eq!(data(&mut rig, &[(4, &[6])]).peer_src_ip(), v4(192, 0, 2, 1));
    let boot = (u64::from(EXPORTED) * 1000 - 60_000).to_be_bytes();
    tell(
        &mut rig,
        &[(149, &[0, 0, 0, 1]), (130, &[10, 9, 9, 9]), (160, &boot)],
    );
    let r = data(&mut rig, &[(22, &[0, 0, 0x27, 0x10])]);
    assert_eq!(r.peer_src_ip(), v4(10, 9, 9, 9));
    assert_eq!(r.timestamp_start().seconds(), u64::from(EXPORTED) - 50);
    assert_eq!(
        data(&mut rig, &[(130, &[10, 8, 8, 8])]).peer_src_ip(),
        v4(10, 8, 8, 8)
    );
}

#[test]
fn a_flood_of_options_is_bounded() {
    let mut setup = Setup::new(FieldSet::of(&[Field::InIfaceName]));
    setup.options_max = 32;
    let mut rig = Rig::with(&setup);
    for n in 0..5000u32 {
        tell(&mut rig, &[(10, &n.to_be_bytes()), (82, b"same")]);
    }
    assert!(rig.decoder.options.usage().0 <= 32);
    assert!(rig.dropped(Reason::OptionStore) > 4000);
}
