//! A [`Report`] as metrics in the text format of Prometheus, version 0.0.4.
//!
//! Labels come from the configuration alone, so their number is known. A bounded store is a pair
//! of gauges, `…_used` and `…_max`.

use super::status::{Report, VERSION, deliveries, stages};
use crate::base::FEATURES;
use crate::base::ledger::{Reason, Sum};
use std::fmt::{Display, Write};

/// What is being written.
pub(super) struct Page {
    text: String,
}

impl Page {
    /// Begins a metric.
    pub(super) fn metric(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string can not fail.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        for (n, (label, value)) in labels.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"");
            let value = value.replace('\n', "\\n");
            let open = if n == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{open}{label}=\"{value}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{close} {value}");
    }

    /// A counter or gauge with one sample for each named thing.
    pub(super) fn each<V: Display>(
        &mut self,
        (name, kind, help): (&str, &str, &str),
        label: &str,
        values: impl Iterator<Item = (String, V)>,
    ) {
        self.metric(name, kind, help);
        for (thing, value) in values {
            self.sample(name, &[(label, &thing)], value);
        }
    }
}

/// All metrics.
pub fn text(report: &Report) -> String {
    let mut page = Page {
        text: String::with_capacity(8192),
    };
    build(report, &mut page);
    inputs(report, &mut page);
    stores(report, &mut page);
    aggregates(report, &mut page);
    outputs(report, &mut page);
    maps(report, &mut page);
    page.text
}

fn build(report: &Report, page: &mut Page) {
    page.metric(
        "weir_build_info",
        "gauge",
        "Version and features of this build.",
    );
    let features = FEATURES.iter().filter(|f| f.1).map(|f| f.0);
    let features = features.collect::<Vec<_>>().join(",");
    let labels = [("version", VERSION), ("features", features.as_str())];
    page.sample("weir_build_info", &labels, 1);
    let name = "weir_start_time_seconds";
    page.metric(
        name,
        "gauge",
        "When this weir was started, in seconds since 1970.",
    );
    page.sample(name, &[], report.started.seconds());
    let name = "weir_healthy";
    page.metric(
        name,
        "gauge",
        "Whether all inputs are open and all outputs work.",
    );
    page.sample(name, &[], u8::from(report.troubles().is_empty()));
    let name = "weir_memory_bytes_max";
    page.metric(name, "gauge", "How the memory budget is divided.");
    for (part, bytes) in &report.memory.1 {
        page.sample(name, &[("part", part)], bytes);
    }
    let (used, most, lost) = report.view.symbols;
    for (name, kind, help, value) in [
        (
            "weir_symbol_bytes_used",
            "gauge",
            "Bytes of texts kept.",
            used as u64,
        ),
        (
            "weir_symbol_bytes_max",
            "gauge",
            "Bytes of texts that may be kept.",
            most as u64,
        ),
        (
            "weir_symbol_overflows_total",
            "counter",
            "Texts that found no room.",
            lost,
        ),
    ] {
        page.metric(name, kind, help);
        page.sample(name, &[], value);
    }
}

fn maps(report: &Report, page: &mut Page) {
    type Get = fn(&(String, String, usize, usize, bool)) -> usize;
    let metrics: [(&str, &str, Get); 3] = [
        (
            "weir_map_last_reload_success",
            "Whether the file could be read when that was tried last.",
            |m| usize::from(m.4),
        ),
        (
            "weir_map_entries",
            "Rows of a map that are in force.",
            |m| m.2,
        ),
        (
            "weir_map_refused",
            "Rows of a map that were left out.",
            |m| m.3,
        ),
    ];
    if !report.maps.is_empty() {
        for (name, help, get) in metrics {
            let values = report.maps.iter().map(|map| (map.0.clone(), get(map)));
            page.each((name, "gauge", help), "map", values);
        }
    }
}

fn inputs(report: &Report, page: &mut Page) {
    let all = || report.inputs.iter().map(|i| &i.0).zip(&report.view.inputs);
    let up = all().map(|(name, i)| (name.clone(), u8::from(i.open)));
    page.each(
        ("weir_input_up", "gauge", "Whether the input is open."),
        "input",
        up,
    );
    type Get = fn(&crate::base::ledger::Intake) -> u64;
    let counters: [(&str, &str, Get); 9] = [
        ("weir_frames_total", "Frames or datagrams read.", |p| {
            p.frames
        }),
        ("weir_frame_bytes_total", "Their bytes on the wire.", |p| {
            p.frame_bytes
        }),
        ("weir_records_total", "Records decoded.", |p| {
            p.decoded.records
        }),
        ("weir_packets_total", "Packets of those records.", |p| {
            p.decoded.packets
        }),
        ("weir_bytes_total", "Bytes of those records.", |p| {
            p.decoded.bytes
        }),
        (
            "weir_kernel_lost_total",
            "Frames the kernel dropped before us.",
            |p| p.kernel_lost,
        ),
        (
            "weir_agent_lost_total",
            "Samples that sFlow agents dropped.",
            |p| p.agent_lost,
        ),
        (
            "weir_agent_pool_total",
            "Packets that sFlow agents could have sampled.",
            |p| p.agent_pool,
        ),
        (
            "weir_passed_over_total",
            "Items passed over by design.",
            |p| p.passed_over,
        ),
    ];
    for (name, help, get) in counters {
        let values = all().map(|(input, view)| (input.clone(), get(&view.ledger)));
        page.each((name, "counter", help), "input", values);
    }
    // What comes late is taken off again, which a counter must not do.
    let lost = all().map(|(input, view)| (input.clone(), view.ledger.sequence_lost));
    let help = "Missing by gaps in sequence numbers, as far as it is known now.";
    page.each(("weir_sequence_lost", "gauge", help), "input", lost);
    drops(report, page);
}

fn drops(report: &Report, page: &mut Page) {
    let all = || report.inputs.iter().map(|i| &i.0).zip(&report.view.inputs);
    for (name, help, bytes) in [
        (
            "weir_dropped_total",
            "Units that could not be decoded, by reason.",
            false,
        ),
        ("weir_dropped_bytes_total", "Bytes of those units.", true),
    ] {
        page.metric(name, "counter", help);
        for (input, view) in all() {
            for reason in Reason::ALL {
                let drop = view.ledger.dropped(*reason);
                let labels = [("input", input.as_str()), ("reason", reason.name())];
                page.sample(name, &labels, if bytes { drop.bytes } else { drop.units });
            }
        }
    }
}

/// Bounded stores of decoders: `weir_templates_used`, `weir_templates_max`, and so on.
fn stores(report: &Report, page: &mut Page) {
    let mut names: Vec<&str> = Vec::new();
    for (name, ..) in report.view.inputs.iter().flat_map(|i| &i.usage) {
        if !names.contains(name) {
            names.push(name);
        }
    }
    for store in names {
        for (end, max) in [("used", false), ("max", true)] {
            let name = format!("weir_{store}_{end}");
            page.metric(&name, "gauge", "Entries of a bounded store of the decoder.");
            for ((input, _), view) in report.inputs.iter().zip(&report.view.inputs) {
                let found = view.usage.iter().find(|(known, ..)| *known == store);
                if let Some((_, used, most)) = found {
                    let value = if max { most } else { used };
                    page.sample(&name, &[("input", input)], value);
                }
            }
        }
    }
}

fn aggregates(report: &Report, page: &mut Page) {
    let all = || report.aggregates.iter().zip(&report.view.aggregates);
    type Get = fn(&Sum) -> u64;
    let parts: [(&str, &str, Get); 3] = [
        (
            "records",
            "Records (rows where evicted, open or flushed)",
            |s| s.records,
        ),
        ("packets", "Packets", |s| s.packets),
        ("bytes", "Bytes", |s| s.bytes),
    ];
    for (part, what, get) in parts {
        let name = format!("weir_aggregate_{part}_total");
        page.metric(
            &name,
            "counter",
            &format!("{what} of each stage of an aggregation."),
        );
        for (aggregate, (account, _)) in all() {
            for (stage, sum, _) in stages(account).iter().filter(|s| s.0 != "open") {
                let labels = [("aggregate", aggregate.as_str()), ("stage", stage)];
                page.sample(&name, &labels, get(sum));
            }
        }
        let name = format!("weir_aggregate_open_{part}");
        let open = all().map(|(aggregate, (account, _))| (aggregate.clone(), get(&account.open)));
        let help = format!("{what} in open tables.");
        page.each((&name, "gauge", &help), "aggregate", open);
    }
    let used = all().map(|(name, (_, usage))| (name.clone(), usage.0));
    let metric = (
        "weir_table_entries_used",
        "gauge",
        "Rows in the open table.",
    );
    page.each(metric, "aggregate", used);
    let most = all().map(|(name, (_, usage))| (name.clone(), usage.1));
    let metric = ("weir_table_entries_max", "gauge", "Rows that it may have.");
    page.each(metric, "aggregate", most);
    let name = "weir_table_full_total";
    page.metric(
        name,
        "counter",
        "What a full table did: early flushes, records folded, rows evicted, records refused.",
    );
    for (aggregate, (account, _)) in all() {
        for (action, count) in [
            ("flush", account.full),
            ("fold", account.folded.records),
            ("evict", account.evicted.records),
            ("refuse", account.refused.records),
        ] {
            let labels = [("aggregate", aggregate.as_str()), ("action", action)];
            page.sample(name, &labels, count);
        }
    }
    let rest = all().map(|(name, (account, _))| (name.clone(), account.imbalance().1 as i64));
    let help = "Bytes that the ledger does not account for; not zero is a defect.";
    page.each(
        ("weir_aggregate_imbalance_bytes", "gauge", help),
        "aggregate",
        rest,
    );
}

fn outputs(report: &Report, page: &mut Page) {
    let all = || report.outputs.iter().zip(&report.view.outputs);
    type Get = fn(&Sum) -> u64;
    let parts: [(&str, &str, Get); 3] = [
        ("rows", "Rows", |s| s.records),
        ("packets", "Packets", |s| s.packets),
        ("bytes", "Bytes", |s| s.bytes),
    ];
    for (part, what, get) in parts {
        let name = format!("weir_output_{part}_total");
        page.metric(
            &name,
            "counter",
            &format!("{what} of each stage of an output."),
        );
        for ((output, ..), health) in all() {
            let all = deliveries(&health.delivery);
            let now = |result| matches!(result, "queued" | "spooled");
            for (result, sum) in all.iter().filter(|s| !now(s.0)) {
                let labels = [("output", output.as_str()), ("result", result)];
                page.sample(&name, &labels, get(sum));
            }
        }
        let name = format!("weir_output_queued_{part}");
        let queued = all().map(|(o, health)| (o.0.clone(), get(&health.delivery.queued)));
        let help = format!("{what} waiting in memory.");
        page.each((&name, "gauge", &help), "output", queued);
        let name = format!("weir_output_spooled_{part}");
        let spooled = all().map(|(o, health)| (o.0.clone(), get(&health.delivery.spooled)));
        let help = format!("{what} waiting on the disk alone.");
        page.each((&name, "gauge", &help), "output", spooled);
    }
    healths(report, page);
    super::spool::metrics(report, page);
    tables(report, page);
}

fn healths(report: &Report, page: &mut Page) {
    let all = || report.outputs.iter().zip(&report.view.outputs);
    type Of = fn(&crate::pipeline::outlet::Health) -> u64;
    let rest: [(&str, &str, &str, Of); 5] = [
        (
            "weir_output_up",
            "gauge",
            "Whether the last attempt was a success.",
            |h| u64::from(h.failing.is_none()),
        ),
        (
            "weir_output_retries_total",
            "counter",
            "Attempts that failed.",
            |h| h.delivery.retries,
        ),
        ("weir_queue_bytes_used", "gauge", "Bytes waiting.", |h| {
            h.queue.0 as u64
        }),
        (
            "weir_queue_bytes_max",
            "gauge",
            "Bytes that may wait.",
            |h| h.queue.1 as u64,
        ),
        (
            "weir_output_last_success_timestamp_seconds",
            "gauge",
            "When rows were stored last.",
            |h| h.last_success.seconds(),
        ),
    ];
    for (name, kind, help, get) in rest {
        let values = all().map(|(output, health)| (output.0.clone(), get(health)));
        page.each((name, kind, help), "output", values);
    }
}

/// Live tables.
fn tables(report: &Report, page: &mut Page) {
    type Live = fn(&crate::sink::live::Usage) -> u64;
    let tables: [(&str, &str, &str, Live); 4] = [
        ("weir_live_rows", "gauge", "Rows of a live table.", |u| {
            u.rows as u64
        }),
        (
            "weir_live_bytes_used",
            "gauge",
            "Bytes of a live table.",
            |u| u.used as u64,
        ),
        (
            "weir_live_bytes_max",
            "gauge",
            "Bytes that it may take.",
            |u| u.most as u64,
        ),
        (
            "weir_live_folded_total",
            "counter",
            "Rows that found no room in it.",
            |u| u.folded,
        ),
    ];
    if report.outputs.iter().any(|(.., usage)| usage.is_some()) {
        for (name, kind, help, get) in tables {
            let values = report.outputs.iter();
            let values = values.filter_map(|(n, _, u)| u.map(|usage| (n.clone(), get(&usage))));
            page.each((name, kind, help), "output", values);
        }
    }
}
