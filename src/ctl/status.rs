//! [`Report`]: how a running weir does, as text for people and as JSON.
//!
//! Every stage of the ledger of each input, aggregation and output, each bounded store with its
//! maximum, and what fails. Not for Prometheus: that is `metric`'s.

use super::sandbox::Confined;
use super::{Shared, spool};
use crate::base::ledger::{Reason, Sum};
use crate::base::text::{one_line, show_size};
use crate::base::time::Nanos;
use crate::pipeline::{Pipeline, View};
use crate::sink::live::{self, Usage};
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Most bytes of a reason, which may hold a server's words.
const WHY: usize = 1024;

/// How long workers get to publish fresh numbers; what they published last will do after that.
const PUBLISH: Duration = Duration::from_millis(200);

/// How a running weir does.
#[derive(Clone, Debug)]
pub struct Report {
    /// When it was started.
    pub started: Nanos,
    /// How long it runs.
    pub uptime: Duration,
    /// Name and kind of each input.
    pub inputs: Vec<(String, String)>,
    /// Name of each aggregation.
    pub aggregates: Vec<String>,
    /// Name and kind of each output, and how full it is where it is a live table.
    pub outputs: Vec<(String, String, Option<Usage>)>,
    /// Files of rules: the setting that names each, its path, rows in force, rows left out, and
    /// whether it could be read when that was tried last.
    pub maps: Vec<(String, String, usize, usize, bool)>,
    /// The memory budget and its parts, in bytes.
    pub memory: (u64, Vec<(String, usize)>),
    /// What was taken from the process at its start.
    pub confined: Option<Arc<Confined>>,
    /// The numbers, by place in the configuration.
    pub view: View,
}

impl Report {
    /// What is known without asking the workers.
    pub fn of(pipeline: &Pipeline, started: Nanos, uptime: Duration) -> Self {
        let config = &pipeline.config;
        let outputs = config.outputs.iter().map(|o| {
            let usage = live::find(&o.name).map(|table| table.usage());
            (o.name.clone(), o.kind.clone(), usage)
        });
        let parts = pipeline.plan.parts.iter();
        Self {
            started,
            uptime,
            inputs: (config.inputs.iter())
                .map(|i| (i.name.clone(), i.kind.clone()))
                .collect(),
            aggregates: config.aggregates.iter().map(|a| a.name.clone()).collect(),
            outputs: outputs.collect(),
            maps: maps(pipeline),
            memory: (
                config.memory,
                parts.map(|p| (p.name.clone(), p.bytes)).collect(),
            ),
            confined: None,
            view: pipeline.view(),
        }
    }

    /// Fresh numbers; none where there is no pipeline.
    pub fn fresh(shared: &Shared) -> Option<Self> {
        shared.soon(Pipeline::refresh)?;
        let until = Instant::now() + PUBLISH;
        while shared.with(Pipeline::obeyed) == Some(false) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        let (started, uptime) = shared.uptime();
        let report = shared.soon(|pipeline| Self::of(pipeline, started, uptime))?;
        Some(Self {
            confined: shared.confined(),
            ..report
        })
    }

    /// What is wrong, in words; empty when all is well.
    pub fn troubles(&self) -> Vec<String> {
        let mut all = Vec::new();
        for ((name, kind), input) in self.inputs.iter().zip(&self.view.inputs) {
            if input.failed {
                all.push(format!("input {name}: could not be read to its end"));
            } else if !input.open && kind != "file" {
                all.push(format!("input {name}: not open"));
            }
        }
        for ((name, ..), output) in self.outputs.iter().zip(&self.view.outputs) {
            if let Some(why) = &output.failing {
                all.push(format!("output {name}: {}", one_line(why, WHY)));
            }
            if let Some(why) = output.spool.as_ref().and_then(|s| s.trouble.as_ref()) {
                all.push(format!("output {name}: the spool takes no rows: {why}"));
            }
            if let Some(why) = output.spool.as_ref().and_then(|s| s.unread.as_ref()) {
                all.push(format!("output {name}: the spool gives no rows: {why}"));
            }
        }
        all
    }

    /// As text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string can not fail.
        let _ = self.write_text(&mut text);
        text
    }

    fn write_text(&self, to: &mut String) -> std::fmt::Result {
        let uptime = show_time(self.uptime);
        writeln!(to, "weir {VERSION}, up {uptime}")?;
        for trouble in self.troubles() {
            writeln!(to, "! {trouble}")?;
        }
        for ((name, kind), input) in self.inputs.iter().zip(&self.view.inputs) {
            let page = &input.ledger;
            let open = if input.open { "" } else { ", not open" };
            writeln!(to, "\ninput {name} ({kind}{open})")?;
            let frames = (page.frames, show_size(page.frame_bytes));
            writeln!(to, "  read       {} frames, {}", frames.0, frames.1)?;
            writeln!(to, "  decoded    {}", show(&page.decoded, "records"))?;
            for reason in Reason::ALL {
                let drop = page.dropped(*reason);
                if drop.units > 0 {
                    let bytes = show_size(drop.bytes);
                    writeln!(
                        to,
                        "  dropped    {} {} ({bytes})",
                        drop.units,
                        reason.name()
                    )?;
                }
            }
            for (what, lost) in [
                ("lost before us by the kernel", page.kernel_lost),
                ("lost before us, say sequence numbers", page.sequence_lost),
                ("lost before us, say agents", page.agent_lost),
                ("passed over by design", page.passed_over),
            ] {
                if lost > 0 {
                    writeln!(to, "  {lost} {what}")?;
                }
            }
            for (name, used, most) in &input.usage {
                writeln!(to, "  {name:<14} {used} of {most}")?;
            }
        }
        for (name, (page, (used, most))) in self.aggregates.iter().zip(&self.view.aggregates) {
            writeln!(to, "\naggregate {name}")?;
            for (stage, sum, unit) in stages(page) {
                if sum != Sum::default() || ["offered", "flushed", "passed"].contains(&stage) {
                    writeln!(to, "  {stage:<10} {}", show(&sum, unit))?;
                }
            }
            let full = page.full;
            writeln!(to, "  entries    {used} of {most}, full {full} times")?;
            let (packets, bytes) = page.imbalance();
            if (packets, bytes) != (0, 0) {
                let (packets, bytes) = (packets as i64, bytes as i64);
                writeln!(to, "  IMBALANCE  {packets} packets, {bytes} bytes")?;
            }
        }
        self.write_outputs(to)?;
        for (name, path, rows, refused, fresh) in &self.maps {
            writeln!(to, "\nmap {name} ({path})")?;
            writeln!(to, "  rows       {rows} in force, {refused} left out")?;
            if !fresh {
                writeln!(to, "! could not be read again; this is what it held before")?;
            }
        }
        let (used, most, lost) = self.view.symbols;
        writeln!(to, "\ntexts {used} of {most} bytes, {lost} found no room")?;
        writeln!(to, "memory {} at the most", show_size(self.memory.0))?;
        match &self.confined {
            Some(confined) => confined.text(to),
            None => Ok(()),
        }
    }

    fn write_outputs(&self, to: &mut String) -> std::fmt::Result {
        for ((name, kind, usage), output) in self.outputs.iter().zip(&self.view.outputs) {
            writeln!(to, "\noutput {name} ({kind})")?;
            let page = &output.delivery;
            for (stage, sum) in deliveries(page) {
                if sum != Sum::default() || stage == "written" {
                    writeln!(to, "  {stage:<10} {}", show(&sum, "rows"))?;
                }
            }
            let (used, most) = output.queue;
            let (used, most) = (show_size(used as u64), show_size(most as u64));
            writeln!(to, "  queue      {used} of {most}")?;
            if let Some(spool) = &output.spool {
                spool::text(spool, to)?;
            }
            if page.retries > 0 {
                writeln!(to, "  retries    {}", page.retries)?;
            }
            if let Some(why) = &output.failing {
                writeln!(to, "  failing    {}", one_line(why, WHY))?;
            }
            if let Some(live) = usage {
                let (used, most) = (show_size(live.used as u64), show_size(live.most as u64));
                writeln!(to, "  table      {} rows, {used} of {most}", live.rows)?;
                if live.folded > 0 {
                    writeln!(to, "  folded     {} rows for want of room", live.folded)?;
                }
            }
        }
        Ok(())
    }

    /// As one JSON object on one line.
    pub fn json(&self) -> String {
        let mut out = format!(
            "{{\"version\":\"{VERSION}\",\"started\":{},\"uptime_seconds\":{},\"healthy\":{},",
            self.started.seconds(),
            self.uptime.as_secs(),
            self.troubles().is_empty()
        );
        let troubles = self.troubles();
        let troubles = troubles.iter().map(|t| quote(t)).collect::<Vec<_>>();
        out.push_str(&format!(
            "\"troubles\":[{}],\"inputs\":[",
            troubles.join(",")
        ));
        let inputs = self.inputs.iter().zip(&self.view.inputs).map(json_input);
        out.push_str(&inputs.collect::<Vec<_>>().join(","));
        out.push_str("],\"aggregates\":[");
        let aggregates = self.aggregates.iter().zip(&self.view.aggregates);
        out.push_str(&aggregates.map(json_aggregate).collect::<Vec<_>>().join(","));
        out.push_str("],\"outputs\":[");
        let outputs = self.outputs.iter().zip(&self.view.outputs);
        out.push_str(&outputs.map(json_output).collect::<Vec<_>>().join(","));
        out.push_str("],\"maps\":[");
        let maps = self.maps.iter().map(|(name, path, rows, refused, fresh)| {
            let (name, path) = (quote(name), quote(path));
            format!(
                "{{\"name\":{name},\"path\":{path},\"rows\":{rows},\"refused\":{refused},\
                 \"fresh\":{fresh}}}"
            )
        });
        out.push_str(&maps.collect::<Vec<_>>().join(","));
        let (used, most, lost) = self.view.symbols;
        out.push_str(&format!(
            "],\"symbols\":{{\"used\":{used},\"max\":{most},\"overflows\":{lost}}},\
             \"memory\":{{\"max\":{},\"parts\":{{",
            self.memory.0
        ));
        let parts = self.memory.1.iter();
        let parts = parts.map(|(name, bytes)| format!("{}:{bytes}", quote(name)));
        out.push_str(&parts.collect::<Vec<_>>().join(","));
        out.push_str("}}");
        if let Some(confined) = &self.confined {
            out.push_str(&format!(",\"sandbox\":{}", confined.json()));
        }
        out.push_str("}\n");
        out
    }
}

fn maps(pipeline: &Pipeline) -> Vec<(String, String, usize, usize, bool)> {
    let rules = pipeline.rules();
    let maps = rules.maps.iter();
    maps.map(|m| {
        (
            m.name.clone(),
            m.path.clone(),
            m.content.len(),
            m.refused,
            m.fresh,
        )
    })
    .collect()
}

/// The stages of an aggregation's page, with what their records are; those of rows on their way
/// to the outputs only where something is done to them there.
pub fn stages(page: &crate::base::ledger::Account) -> Vec<(&'static str, Sum, &'static str)> {
    let mut stages = vec![
        ("offered", page.offered, "records"),
        ("copied", page.copied, "records"),
        ("filtered", page.filtered, "records"),
        ("doubled", page.doubled, "records"),
        ("folded", page.folded, "records"),
        ("refused", page.refused, "records"),
        ("evicted", page.evicted, "rows"),
        ("open", page.open, "rows"),
        ("flushed", page.flushed, "rows"),
    ];
    if let Some(sifted) = &page.sifted {
        stages.extend([
            ("judged", sifted.taken, "rows"),
            ("raised", sifted.raised, "rows"),
            ("lowered", sifted.lowered, "rows"),
            ("removed", sifted.removed, "rows"),
            ("diverted", sifted.diverted, "rows"),
            ("passed", sifted.passed, "rows"),
        ]);
    }
    stages
}

/// The stages of an output's page.
pub fn deliveries(page: &crate::base::ledger::Delivery) -> [(&'static str, Sum); 7] {
    [
        ("offered", page.offered),
        ("recovered", page.recovered),
        ("queued", page.queued),
        ("spooled", page.spooled),
        ("written", page.written),
        ("dropped", page.dropped),
        ("given_up", page.given_up),
    ]
}

fn show(sum: &Sum, unit: &str) -> String {
    let bytes = show_size(sum.bytes);
    format!("{} {unit}, {} packets, {bytes}", sum.records, sum.packets)
}

/// A duration as people read it: `3d 4h`, `12m 5s`.
pub fn show_time(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let at = units.iter().position(|(_, u)| seconds >= *u).unwrap_or(3);
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (name, unit) in units.iter().skip(at).take(2) {
        parts.push(format!("{}{name}", rest / unit));
        rest %= unit;
    }
    parts.join(" ")
}

pub(super) fn json_sum(sum: &Sum) -> String {
    let (records, packets, bytes) = (sum.records, sum.packets, sum.bytes);
    format!("{{\"records\":{records},\"packets\":{packets},\"bytes\":{bytes}}}")
}

fn json_input(
    ((name, kind), input): (&(String, String), &crate::pipeline::worker::InputView),
) -> String {
    let page = &input.ledger;
    let dropped = Reason::ALL.iter().filter(|r| page.dropped(**r).units > 0);
    let dropped = dropped.map(|reason| {
        let drop = page.dropped(*reason);
        let (units, bytes) = (drop.units, drop.bytes);
        format!(
            "\"{}\":{{\"units\":{units},\"bytes\":{bytes}}}",
            reason.name()
        )
    });
    let stores = input.usage.iter();
    let stores =
        stores.map(|(name, used, most)| format!("\"{name}\":{{\"used\":{used},\"max\":{most}}}"));
    format!(
        "{{\"name\":{},\"kind\":{},\"open\":{},\"failed\":{},\"frames\":{},\"frame_bytes\":{},\
         \"decoded\":{},\"dropped\":{{{}}},\"kernel_lost\":{},\"sequence_lost\":{},\
         \"agent_lost\":{},\"agent_pool\":{},\"passed_over\":{},\"stores\":{{{}}}}}",
        quote(name),
        quote(kind),
        input.open,
        input.failed,
        page.frames,
        page.frame_bytes,
        json_sum(&page.decoded),
        dropped.collect::<Vec<_>>().join(","),
        page.kernel_lost,
        page.sequence_lost,
        page.agent_lost,
        page.agent_pool,
        page.passed_over,
        stores.collect::<Vec<_>>().join(","),
    )
}

fn json_aggregate(
    (name, (page, (used, most))): (&String, &(crate::base::ledger::Account, (usize, usize))),
) -> String {
    let stages = stages(page);
    let stages = stages.iter();
    let stages = stages.map(|(stage, sum, _)| format!("\"{stage}\":{}", json_sum(sum)));
    let (packets, bytes) = page.imbalance();
    format!(
        "{{\"name\":{},{},\"entries\":{{\"used\":{used},\"max\":{most}}},\"full\":{},\
         \"imbalance\":{{\"packets\":{},\"bytes\":{}}}}}",
        quote(name),
        stages.collect::<Vec<_>>().join(","),
        page.full,
        packets as i64,
        bytes as i64,
    )
}

fn json_output(
    ((name, kind, usage), output): (
        &(String, String, Option<Usage>),
        &crate::pipeline::outlet::Health,
    ),
) -> String {
    let stages = deliveries(&output.delivery);
    let stages = stages.iter();
    let stages = stages.map(|(stage, sum)| format!("\"{stage}\":{}", json_sum(sum)));
    let live = usage.map_or_else(String::new, |live| {
        format!(
            ",\"table\":{{\"rows\":{},\"used\":{},\"max\":{},\"folded\":{}}}",
            live.rows, live.used, live.most, live.folded
        )
    });
    format!(
        "{{\"name\":{},\"kind\":{},{},\"retries\":{},\"queue\":{{\"used\":{},\"max\":{}}},\
         \"failing\":{},\"last_success\":{}{live}{}}}",
        quote(name),
        quote(kind),
        stages.collect::<Vec<_>>().join(","),
        output.delivery.retries,
        output.queue.0,
        output.queue.1,
        (output.failing.as_deref()).map_or_else(|| "null".into(), quote),
        output.last_success.seconds(),
        output.spool.as_ref().map(spool::json).unwrap_or_default(),
    )
}

/// A JSON string.
pub fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests;
