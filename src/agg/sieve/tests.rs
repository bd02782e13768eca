//! Tests of the sieve: each check and action, what samples stand for, and the law of its page.

#![cfg(feature = "rule-preprocess")]

use super::*;
use crate::base::intern::Interner;
use crate::record::schema::Options;
use crate::record::{Field, FlowRecord};
use proptest::prelude::*;
use std::sync::Arc;

fn schema() -> Schema {
    let options = Options {
        flows: true,
        ..Options::default()
    };
    let symbols = Arc::new(Interner::new(0));
    Schema::new("t", &[Field::SrcPort, Field::TcpFlags], options, symbols)
}

/// Rows of (packets, bytes, flows); the port is the place.
fn rows(counters: &[(u64, u64, u64)]) -> Vec<Vec<u64>> {
    let schema = schema();
    let row = |(port, (packets, bytes, flows)): (usize, &(u64, u64, u64))| {
        let mut r = FlowRecord::new();
        r.set_src_port(port as u16);
        (r.packets, r.bytes, r.flows) = (*packets, *bytes, *flows);
        let mut row = vec![0; schema.row_words()];
        let (key, counters) = row.split_at_mut(schema.key.len());
        schema.key.pack(&r, key);
        schema.counter.add(&r, counters);
        row
    };
    counters.iter().enumerate().map(row).collect()
}

/// What passes of rows that are together: port, packets, bytes, flows.
fn sift(sieve: &mut Sieve, rows: &[Vec<u64>], diverts: bool) -> Vec<(u64, u64, u64, u64)> {
    let schema = schema();
    sieve.gather(|| rows.iter().map(Vec::as_slice));
    let mut passed = Vec::new();
    for row in rows {
        let mut row = row.clone();
        if sieve.judge(&mut row, diverts) {
            let number = |what| schema.column(what).unwrap().number(&row);
            passed.push((
                number(What::Field(Field::SrcPort)),
                number(What::Packets),
                number(What::Bytes),
                number(What::Flows),
            ));
        }
    }
    let page = sieve.page;
    assert_eq!(page.imbalance(), (0, 0), "{page:?}");
    let gone = page.removed.records + page.diverted.records;
    assert_eq!(page.taken.records, gone + page.passed.records);
    passed
}

fn sieve(rules: Rules) -> Sieve {
    Sieve::new(
        Sieves::get().unwrap(),
        rules,
        &schema(),
        7,
        Sifted::default(),
    )
}

/// Ports of the rows that pass.
fn ports(rules: Rules, counters: &[(u64, u64, u64)]) -> Vec<u64> {
    let passed = sift(&mut sieve(rules), &rows(counters), false);
    passed.iter().map(|row| row.0).collect()
}

#[test]
fn each_check_keeps_what_it_says() {
    use Measure::*;
    // Packets, bytes, flows.
    let counters = [(10, 1000, 2), (9, 999, 1), (0, 0, 0), (11, 1100, 11)];
    for (check, want) in [
        (Check::Least(Packets, 10), &[0, 3][..]),
        (Check::Least(Flows, 2), &[0, 3]),
        (Check::Least(Bytes, 1000), &[0, 3]),
        // 999 bytes of 9 packets are 111 each, the others 100.
        (Check::Least(PacketSize, 101), &[1]),
        (Check::Least(FlowSize, 5), &[0, 1]),
        (Check::Below(Packets, 10), &[1, 2]),
        (Check::Below(Flows, 2), &[1, 2]),
        (Check::Below(Bytes, 1000), &[1, 2]),
        (Check::Below(PacketSize, 101), &[0, 2, 3]),
        (Check::Below(FlowSize, 5), &[2, 3]),
    ] {
        for all in [false, true] {
            let rules = Rules {
                all,
                checks: vec![check],
                ..Rules::default()
            };
            assert_eq!(ports(rules, &counters), want, "{check:?}");
        }
    }
}

#[test]
fn any_or_all_and_only_when_there_are_many() {
    let checks = vec![
        Check::Least(Measure::Packets, 10),
        Check::Least(Measure::Bytes, 1000),
    ];
    let counters = [(10, 1, 1), (1, 1000, 1), (10, 1000, 1), (1, 1, 1)];
    let rules = |all, least_rows| Rules {
        all,
        least_rows,
        checks: checks.clone(),
        times: 2,
        ..Rules::default()
    };
    assert_eq!(ports(rules(false, 0), &counters), [0, 1, 2]);
    assert_eq!(ports(rules(true, 0), &counters), [2]);
    assert_eq!(ports(rules(true, 4), &counters), [2]);
    // Too few for it: all pass, as they are.
    let passed = sift(&mut sieve(rules(true, 5)), &rows(&counters), false);
    assert_eq!(passed.len(), 4);
    assert_eq!(passed[2], (2, 10, 1000, 1));
}

#[test]
fn actions_change_what_passes_and_the_page_says_how() {
    let rules = Rules {
        checks: vec![Check::Least(Measure::Packets, 2)],
        times: 10,
        each: -30,
        ..Rules::default()
    };
    let mut sieve = sieve(rules);
    let counters = [(2, 100, 1), (1, 5000, 1), (3, 50, 1)];
    let passed = sift(&mut sieve, &rows(&counters), false);
    // 1000 bytes less 20 packets of 30; 500 less 900 is nothing.
    assert_eq!(passed, [(0, 20, 400, 1), (2, 30, 0, 1)]);
    let page = sieve.page;
    assert_eq!(
        page.taken,
        Sum {
            records: 3,
            packets: 6,
            bytes: 5150
        }
    );
    assert_eq!(
        page.removed,
        Sum {
            records: 1,
            packets: 1,
            bytes: 5000
        }
    );
    assert_eq!(
        page.passed,
        Sum {
            records: 2,
            packets: 50,
            bytes: 400
        }
    );
    assert_eq!((page.raised.packets, page.raised.bytes), (45, 300));
    assert_eq!((page.lowered.packets, page.lowered.bytes), (0, 50));
    // What is wanted elsewhere goes there as it was.
    let passed = sift(&mut sieve, &rows(&counters), true);
    assert_eq!((passed.len(), sieve.page.diverted.bytes), (2, 5000));
}

#[test]
fn a_sample_by_size_stands_for_all_that_is_small() {
    let rules = Rules {
        sample: Some(Sample::Size(1000)),
        ..Rules::default()
    };
    let mut sieve = sieve(rules);
    let counters: Vec<_> = (0..100).map(|n| (5, 90 + n % 20, 1)).collect();
    let small: u64 = counters.iter().map(|c| c.1).sum();
    let mut passed = sift(&mut sieve, &rows(&counters), false);
    assert_eq!(passed.len() as u64, small / 1000);
    assert!(
        passed
            .iter()
            .all(|row| row.2 == 1000 && row.1.abs_diff(50) <= 6)
    );
    // What nothing stands for yet is not forgotten with the flush, and large rows are as they are.
    passed = sift(
        &mut sieve,
        &rows(&[(7, 5000, 2), (1, 1000 - small % 1000, 1)]),
        false,
    );
    assert_eq!(passed[0], (0, 7, 5000, 2));
    assert_eq!(passed[1].2, 1000);
    assert_eq!(sieve.page.passed.bytes, sieve.page.taken.bytes);
}

#[test]
fn a_sample_of_fixed_size_prefers_what_is_large() {
    let rules = Rules {
        sample: Some(Sample::Count(10)),
        ..Rules::default()
    };
    let counters: Vec<_> = (0..200)
        .map(|n| (1, if n < 5 { 1 << 20 } else { 100 }, 1))
        .collect();
    let rows = rows(&counters);
    let mut total = 0;
    for seed in 0..200 {
        let mut sieve = Sieve::new(
            Sieves::get().unwrap(),
            rules.clone(),
            &schema(),
            seed,
            Sifted::default(),
        );
        let passed = sift(&mut sieve, &rows, false);
        assert_eq!(passed.len(), 10);
        let large = passed.iter().filter(|row| row.0 < 5);
        assert_eq!(large.count(), 5);
        total += passed.iter().map(|row| row.2).sum::<u64>() - (5 << 20);
        // Again the same.
        let again = sift(
            &mut Sieve::new(
                Sieves::get().unwrap(),
                rules.clone(),
                &schema(),
                seed,
                Sifted::default(),
            ),
            &rows,
            false,
        );
        assert_eq!(again, passed);
    }
    // On the average the small ones that are taken stand for all of them: 195 × 100 bytes.
    let mean = total / 200;
    assert!(mean.abs_diff(19_500) < 1000, "{mean}");
    // Few enough rows all pass.
    assert_eq!(sift(&mut sieve(rules), &rows[..10], false).len(), 10);
}

#[test]
fn checks_and_a_sample_together() {
    let counters: Vec<_> = (0..50).map(|n| (n, 100, 1)).collect();
    let rules = |all| Rules {
        all,
        checks: vec![Check::Least(Measure::Packets, 40)],
        sample: Some(Sample::Count(3)),
        ..Rules::default()
    };
    // Any: what passes the check, and a sample of the rest. All: a sample of what passes it.
    let any = ports(rules(false), &counters);
    assert_eq!(
        (any.len(), any.iter().filter(|p| **p >= 40).count()),
        (13, 10)
    );
    let all = ports(rules(true), &counters);
    assert_eq!(
        (all.len(), all.iter().filter(|p| **p >= 40).count()),
        (3, 3)
    );
    assert_eq!(rules(true).memory(), 32);
    assert!(rules(true).removes() && !rules(true).wants_flows());
}

fn checks() -> impl Strategy<Value = Check> {
    use Measure::*;
    let measure = prop_oneof![
        Just(Packets),
        Just(Flows),
        Just(Bytes),
        Just(PacketSize),
        Just(FlowSize)
    ];
    (measure, 1u64..2000, any::<bool>()).prop_map(|(measure, n, least)| match least {
        true => Check::Least(measure, n),
        false => Check::Below(measure, n),
    })
}

proptest! {
    /// Whatever it does, the page accounts for every packet and byte, and with checks alone what
    /// passes is what passed.
    #[test]
    fn the_page_balances(
        counters in prop::collection::vec((any::<u64>(), any::<u64>(), 0u64..9), 0..40),
        small in prop::collection::vec((0u64..50, 0u64..5000, 0u64..9), 0..40),
        checks in prop::collection::vec(checks(), 0..4),
        sample in prop_oneof![
            Just(None),
            (1u64..10_000).prop_map(|n| Some(Sample::Size(n))),
            (1u64..20).prop_map(|n| Some(Sample::Count(n))),
        ],
        (all, least_rows, times, each, diverts) in any::<(bool, u8, u32, i32, bool)>(),
    ) {
        let least_rows = u64::from(least_rows % 50);
        let rules = Rules { all, least_rows, checks, sample, times, each };
        let mut sieve = sieve(rules.clone());
        for counters in [&counters, &small, &counters] {
            let rows = rows(counters);
            let passed = sift(&mut sieve, &rows, diverts);
            if let (Some(Sample::Count(n)), true) = (rules.sample, sieve.works) {
                let open = rows.iter().filter(|row| sieve.open(row)).count();
                let decided = rows.len() - open;
                let most = open.min(n as usize) + if all { 0 } else { decided };
                prop_assert!(passed.len() <= most);
            }
        }
    }
}
