#![cfg(feature = "rule-map")]

use super::*;

fn list(of: Of, rows: &[&str]) -> (List, Complaints) {
    let (mut reader, mut complaints) = (Reader::new(of), Complaints::default());
    for (n, row) in rows.iter().enumerate() {
        reader.row(n as u32 + 1, 1, row, &mut complaints);
    }
    assert_eq!(reader.refused(), complaints.count());
    (reader.finish(), complaints)
}

fn through(list: List, set: impl Fn(&mut FlowRecord)) -> FlowRecord {
    let mut listed = Listed(Shared::of(list).unwrap());
    let mut batch = Batch::new(listed.needs());
    set(batch.slot());
    listed.enrich(&mut batch);
    batch.records()[0]
}

#[test]
fn what_is_not_listed_becomes_one_value() {
    let (ports, complaints) = list(Of::Ports, &["443", "65535", "443"]);
    assert!(complaints.is_empty() && ports.len() == 2);
    let r = through(ports, |r| {
        r.set_src_port(443);
        r.set_dst_port(444);
    });
    assert_eq!((r.src_port(), r.dst_port()), (443, 0));
    for (value, want) in [(6, 6), (17, 17), (58, 58), (1, 255), (255, 255)] {
        let (protocols, _) = list(Of::Protocols, &["tcp", "17", "ipv6-icmp"]);
        assert_eq!(through(protocols, |r| r.set_proto(value)).proto(), want);
    }
    for (value, want) in [(0, 0), (184, 184), (8, 255)] {
        let (tos, _) = list(Of::Tos, &["0", "184"]);
        assert_eq!(through(tos, |r| r.set_tos(value)).tos(), want);
    }
}

#[test]
fn rows_that_are_none_are_told() {
    for (of, row, said) in [
        (Of::Ports, "0", "a port from 1 to 65535"),
        (Of::Ports, "65536", "a port"),
        (Of::Ports, "+1", "`+1`"),
        (Of::Ports, "http", "`http`"),
        (Of::Protocols, "256", "its number, or its name"),
        (Of::Protocols, "tpc", "`tpc`"),
        (Of::Tos, "256", "from 0 to 255"),
        (Of::Tos, "1 2", "`1 2`"),
    ] {
        let (list, complaints) = list(of, &[row]);
        assert!(list.is_empty());
        assert!(complaints.problems()[0].message.contains(said), "{row}");
    }
    assert_eq!(Of::named("tos"), Some(Of::Tos));
    assert_eq!(Of::named("toes"), None);
}

#[test]
fn fixed_tags_take_the_place_of_others() {
    let mut fixed = Fixed {
        tag: None,
        tag2: Some(u64::MAX),
    };
    assert_eq!(fixed.gives(), FieldSet::of(&[Field::Tag2]));
    let mut batch = Batch::new(FieldSet::of(&[Field::Tag, Field::Tag2]));
    batch.slot().set_tag(1);
    fixed.enrich(&mut batch);
    let r = batch.records()[0];
    assert_eq!((r.tag(), r.tag2()), (1, u64::MAX));
}
