//! The spools of the outputs, in status and metrics.

use super::metric::Page;
use super::status::{Report, json_sum, quote};
use crate::base::ledger::Sum;
use crate::base::text::show_size;
use crate::base::time::wall;
use crate::pipeline::backlog::Health;
use crate::spool::REASONS;
use std::fmt::Write;

/// Seconds since the oldest rows that wait were written.
fn oldest(spool: &Health) -> u64 {
    let since = spool.usage.oldest;
    since.map_or(0, |since| since.age(wall()).as_secs())
}

/// As lines of the status.
pub fn text(spool: &Health, to: &mut String) -> std::fmt::Result {
    let usage = &spool.usage;
    let (used, most) = (show_size(usage.used), show_size(usage.most));
    writeln!(to, "  spool      {used} of {most}")?;
    if usage.waiting.records > 0 {
        writeln!(to, "  oldest     {} s", oldest(spool))?;
    }
    if usage.wear > 0 || usage.wear_most.is_some() {
        let most = usage
            .wear_most
            .map(|most| format!(" of {}", show_size(most)));
        let wear = show_size(usage.wear);
        writeln!(
            to,
            "  today      {wear}{} written",
            most.unwrap_or_default()
        )?;
    }
    for (why, sum) in REASONS.iter().zip(&usage.given_up) {
        if sum.records > 0 {
            writeln!(to, "  given up   {} rows, {why}", sum.records)?;
        }
    }
    if usage.damaged > 0 {
        writeln!(to, "  damaged    {}", show_size(usage.damaged))?;
    }
    if let Some(why) = &spool.trouble {
        writeln!(to, "  no spool   {why}")?;
    }
    match &spool.unread {
        Some(why) => writeln!(to, "  unread     {why}"),
        None => Ok(()),
    }
}

/// As a member of the output's object in JSON, with the comma before it.
pub fn json(spool: &Health) -> String {
    let usage = &spool.usage;
    let reasons = REASONS.iter().zip(&usage.given_up);
    let reasons = reasons.map(|(why, sum)| format!("\"{why}\":{}", json_sum(sum)));
    let most = usage
        .wear_most
        .map_or("null".into(), |most| most.to_string());
    format!(
        ",\"spool\":{{\"used\":{},\"max\":{},\"oldest_seconds\":{},\"wear\":{},\"wear_max\":{most},\
         \"damaged\":{},\"given_up\":{{{}}},\"trouble\":{},\"unread\":{}}}",
        usage.used,
        usage.most,
        oldest(spool),
        usage.wear,
        usage.damaged,
        reasons.collect::<Vec<_>>().join(","),
        (spool.trouble.as_deref()).map_or_else(|| "null".into(), quote),
        (spool.unread.as_deref()).map_or_else(|| "null".into(), quote),
    )
}

/// Reads a number of a spool that has it.
type Of = fn(&Health) -> Option<u64>;

/// Metrics with one number for each output.
const PLAIN: [(&str, &str, &str, Of); 7] = [
    (
        "weir_spool_up",
        "gauge",
        "Whether the disk takes rows.",
        |s| Some(u64::from(s.trouble.is_none())),
    ),
    (
        "weir_spool_bytes_used",
        "gauge",
        "Bytes of the spool on the disk.",
        |s| Some(s.usage.used),
    ),
    (
        "weir_spool_bytes_max",
        "gauge",
        "Bytes that it may take.",
        |s| Some(s.usage.most),
    ),
    (
        "weir_spool_oldest_seconds",
        "gauge",
        "Age of the oldest rows that wait there.",
        |s| Some(oldest(s)),
    ),
    (
        "weir_spool_wear_bytes_used",
        "gauge",
        "Bytes written to it today.",
        |s| Some(s.usage.wear),
    ),
    (
        "weir_spool_wear_bytes_max",
        "gauge",
        "Bytes that may be written in a day.",
        |s| s.usage.wear_most,
    ),
    (
        "weir_spool_damaged_bytes_total",
        "counter",
        "Bytes of it that were damaged.",
        |s| Some(s.usage.damaged),
    ),
];

/// As metrics.
pub fn metrics(report: &Report, page: &mut Page) {
    let spools = report.outputs.iter().zip(&report.view.outputs);
    let spools = spools.filter_map(|((name, ..), health)| Some((name, health.spool.as_ref()?)));
    let all = || spools.clone();
    if all().next().is_none() {
        return;
    }
    for (name, kind, help, get) in PLAIN {
        let values = all().filter_map(|(output, spool)| Some((output.clone(), get(spool)?)));
        page.each((name, kind, help), "output", values);
    }
    type Get = fn(&Sum) -> u64;
    let parts: [(&str, Get); 3] = [
        ("rows", |s| s.records),
        ("packets", |s| s.packets),
        ("bytes", |s| s.bytes),
    ];
    for (part, get) in parts {
        let name = format!("weir_spool_given_up_{part}_total");
        page.metric(&name, "counter", "What the spool gave up, by reason.");
        for (output, spool) in all() {
            for (why, sum) in REASONS.iter().zip(&spool.usage.given_up) {
                let labels = [("output", output.as_str()), ("reason", *why)];
                page.sample(&name, &labels, get(sum));
            }
        }
    }
}
