//! What a plugin counts and where its rows go: an aggregation and an output of its name.

use super::bins::{self, Bins};
use super::broker;
use super::compile::{Compiler, copy, push, raw, section};
use super::daemon::Daemon;
use super::database;
use super::key::Value;
use super::name;
use super::parse::Line;
use super::settings::{Plugin, Values};
use crate::base::options::{Options, Place, Raw};
use crate::base::text::nearest;
use crate::config::{Decode, primitive};
use crate::decode;
use crate::record::Field;

/// Memory of a table that is asked over a socket, where pmacct's would be smaller; its default of
/// 128 KiB has room for a few hundred rows.
const LIVE_MIN: u64 = 1 << 20;

/// Such memory where pmacct knows no bound.
const LIVE_MAX: u64 = 64 << 20;

/// Where a client asks for the table of a plugin.
pub const SOCKET: &str = "/tmp/collect.pipe";

/// Adds aggregation and output of the plugin in this place.
pub fn compile(compiler: &mut Compiler<'_>, at: usize) {
    let (Some(plugin), Some(runs)) = (compiler.plugin(at).cloned(), compiler.plugins.get(at))
    else {
        return;
    };
    let name = runs.section.clone();
    let by = primitives(compiler, &plugin);
    aggregate(compiler, &plugin, &name, &by);
    let mut output = section("output", &name, plugin.place);
    let options = &mut output.options;
    match plugin.kind {
        "memory" => live(options, &plugin.values),
        "sqlite3" => database::lite(compiler, options, &plugin, &by),
        "pgsql" | "mysql" => database::server(compiler, options, &plugin, &by),
        "amqp" => broker::amqp(compiler, options, &plugin, &by),
        _ => print(compiler, options, &plugin, &by),
    }
    compiler.file.outputs.push(output);
}

/// Memory of the table of a plugin that is asked over a socket.
pub fn live_size(plugin: &Plugin) -> u64 {
    let values = &plugin.values;
    let size = values.number("imt_mem_pools_size").unwrap_or(8192);
    match values.number("imt_mem_pools_number").unwrap_or(16) {
        0 => LIVE_MAX,
        pools => pools.saturating_mul(size).clamp(LIVE_MIN, 1 << 30),
    }
}

/// A list with commas: its items, trimmed.
fn items(values: &Values, key: &str) -> Vec<String> {
    let text = values.text(key).unwrap_or_default();
    let items = text.split(',').map(str::trim).filter(|i| !i.is_empty());
    items.map(String::from).collect()
}

/// The same, each with its place.
fn placed(line: &Line) -> Vec<(String, Place)> {
    let Value::Text(text) = &line.value else {
        return Vec::new();
    };
    let mut items = Vec::new();
    let mut before = 0u32;
    for part in text.split(',') {
        let blanks = part.chars().take_while(|c| c.is_whitespace()).count();
        let column = before.saturating_add(u32::try_from(blanks).unwrap_or(u32::MAX));
        let mut at = line.value_at;
        if at.line > 0 {
            at.column = at.column.saturating_add(column);
        }
        if !part.trim().is_empty() {
            items.push((part.trim().into(), at));
        }
        let length = u32::try_from(part.chars().count()).unwrap_or(u32::MAX);
        before = before.saturating_add(length).saturating_add(1);
    }
    items
}

/// A list of such items.
fn list(line: &Line) -> Raw {
    let items = placed(line).into_iter();
    Raw::List(items.map(|(item, at)| (Raw::Text(item), at)).collect())
}

fn texts(items: &[String], place: Place) -> Raw {
    let items = items.iter().map(|i| (Raw::Text(i.clone()), place));
    Raw::List(items.collect())
}

/// Fields that no decoder may give, and the keys that make weir give them, one of them each.
const ENGINE: &[(Field, &[&str])] = &[
    (Field::SrcMask, &["networks_file"]),
    (Field::DstMask, &["networks_file"]),
    (Field::SrcAs, &["networks_file"]),
    (Field::DstAs, &["networks_file"]),
    (Field::PeerSrcAs, &["networks_file"]),
    (Field::PeerDstAs, &["networks_file"]),
    (Field::PeerDstIp, &["networks_file"]),
    (Field::Tag, &["pre_tag_map", "post_tag"]),
    (Field::Tag2, &["pre_tag_map", "post_tag2"]),
    (Field::Label, &["pre_tag_map"]),
    (Field::MplsVpnRd, &["flow_to_rd_map"]),
    (Field::SamplingRate, &["sampling_map", "ext_sampling_rate"]),
];

/// What may stand beside a sum of both ends.
const BESIDE_SUM: &[&str] = &["tag", "tag2", "class", "flows"];

/// The primitives of a plugin, as weir takes them.
fn primitives(compiler: &mut Compiler<'_>, plugin: &Plugin) -> Vec<String> {
    let line = plugin.values.line("aggregate");
    let place = line.map_or(plugin.place, |line| line.value_at);
    let mut by: Vec<String> = Vec::new();
    for (item, at) in line.map(placed).unwrap_or_default() {
        let item: String = item.split_whitespace().collect();
        let item = item.to_lowercase();
        let known = compiler.primitive(&item);
        if !known {
            let mut words: Vec<&str> = primitive::words().collect();
            words.extend(compiler.own.iter().map(String::as_str));
            let near = nearest(&item, words);
            let near = near.map(|near| format!("; did you mean `{near}`?"));
            let message = format!("no primitive `{item}`{}", near.unwrap_or_default());
            compiler.wrong(at, message);
        } else if !by.contains(&item) {
            by.push(item);
        }
    }
    if line.is_none() {
        let message = format!("plugin {}: no `aggregate`, so it is src_host", plugin.name);
        compiler.warn(plugin.place, message);
    }
    if by.is_empty() {
        by.push("src_host".into());
    }
    if by.len() > 1 && by.iter().any(|item| item == "none") {
        by.retain(|item| item != "none");
    }
    if let Some(sum) = by.iter().find(|item| item.starts_with("sum_")).cloned() {
        let stays = |item: &String| *item == sum || BESIDE_SUM.contains(&item.as_str());
        let out: Vec<_> = by.iter().filter(|item| !stays(item)).cloned().collect();
        if !out.is_empty() {
            let out = out.join(", ");
            compiler.warn(place, format!("`{sum}` leaves no room for {out}"));
        }
        by.retain(stays);
    }
    by
}

fn aggregate(compiler: &mut Compiler<'_>, plugin: &Plugin, name: &str, by: &[String]) {
    let values = &plugin.values;
    let mut aggregate = section("aggregate", name, plugin.place);
    let options = &mut aggregate.options;
    let place = values
        .line("aggregate")
        .map_or(plugin.place, |l| l.value_at);
    options.push("by", texts(by, place), place, place);
    let (empty, lenient) = compiler.empty(values, by);
    if lenient {
        options.set("absent", Raw::Text("zero".into()));
    }
    if let Some(line) = values.line("aggregate").filter(|_| !empty.is_empty()) {
        let text = format!("nothing tells {} here: empty", empty.join(", "));
        compiler.note(line, &options.section, text);
    }
    times(compiler, options, plugin);
    if let Some(line) = values.line("aggregate_filter") {
        let filters = items(values, "aggregate_filter");
        match filters.as_slice() {
            [one] => push(options, "filter", line, Raw::Text(one.clone())),
            _ => push(options, "filter", line, list(line)),
        }
    }
    for (name, key) in [
        ("tag_filter", "pre_tag_filter"),
        ("tag2_filter", "pre_tag2_filter"),
        ("label_filter", "pre_tag_label_filter"),
        ("preprocess", "print_preprocess"),
    ] {
        if let Some(line) = values.line(key) {
            push(options, name, line, list(line));
        }
    }
    copy(
        options,
        values,
        &[
            ("renormalise", "nfacctd_renormalize"),
            ("tag", "post_tag"),
            ("tag2", "post_tag2"),
            ("preprocess_type", "print_preprocess_type"),
            ("only_ports", "ports_file"),
            ("only_protocols", "protos_file"),
            ("only_tos", "tos_file"),
        ],
    );
    // A map of one plugin stands in for that of all.
    if let Some(line) = values
        .line("pre_tag_map")
        .filter(|line| line.plugin.is_some())
    {
        push(options, "tags", line, raw(&line.value));
    }
    networks(compiler, options, plugin);
    if compiler.settings.daemon == Daemon::Nfacctd {
        options.set("kinds", Raw::Bool(true));
    }
    let to = Raw::List(vec![(Raw::Text(name.into()), plugin.place)]);
    options.push("to", to, plugin.place, plugin.place);
    compiler.file.aggregates.push(aggregate);
}

/// Bins, and when rows are handed out.
fn times(compiler: &mut Compiler<'_>, options: &mut Options, plugin: &Plugin) {
    let values = &plugin.values;
    let daemon = compiler.settings.daemon;
    let section = options.section.clone();
    // A table that is asked has neither bins nor deliveries.
    if plugin.kind == "memory" {
        copy_flags(options, values, &[("whole_seconds", "timestamps_secs")]);
        return copy_flags(options, values, &[("stitch", "nfacctd_stitching")]);
    }
    let history = values.line("print_history").cloned();
    let bins = values.text("print_history").and_then(bins::read);
    let every = bins.and_then(Bins::every);
    if let (Some(line), Some(every)) = (&history, &every) {
        push(options, "every", line, Raw::Text(every.clone()));
        copy(options, values, &[("offset", "print_history_offset")]);
    }
    if let (Some(line), None) = (&history, &every) {
        let text = "bins are a year long at the most: rows have no bins";
        compiler.note(line, &section, text);
    }
    let refresh = name::refresh(values);
    let length = bins.and_then(Bins::seconds).filter(|_| every.is_some());
    let stays = compiler.settings.core.line("pcap_savefile").is_some();
    // Frames of a savefile bring their time along: all of it is handed out when its bins end.
    if length != Some(refresh) && !stays {
        let line = values.line("print_refresh_time");
        let place = line.map_or(Place::default(), |line| line.value_at);
        let flush = Raw::Text(bins::seconds(refresh));
        options.push("flush", flush, place, place);
    }
    if let (Some(line), false) = (values.line("print_startup_delay"), stays)
        && let Some(delay) = values.number("print_startup_delay").filter(|n| *n > 0)
    {
        push(
            options,
            "flush_delay",
            line,
            Raw::Text(bins::seconds(delay)),
        );
    }
    let new = values.on("nfacctd_time_new");
    if daemon == Daemon::Nfacctd && every.is_some() && !new {
        options.set("time", Raw::Text("start".into()));
    }
    let flags = [
        ("whole_seconds", "timestamps_secs"),
        ("stitch", "nfacctd_stitching"),
    ];
    copy_flags(options, values, &flags);
    if values.on("nfacctd_pro_rating") {
        if every.is_some() && !new {
            copy_flags(options, values, &[("prorate", "nfacctd_pro_rating")]);
        } else if let Some(line) = values.line("nfacctd_pro_rating").cloned() {
            let text =
                "it needs time bins, and the times of the flows rather than of their arrival";
            compiler.note(&line, &section, text);
        }
    }
}

/// Copies flags that are on.
pub fn copy_flags(options: &mut Options, values: &Values, pairs: &[(&str, &str)]) {
    let on: Vec<_> = pairs
        .iter()
        .filter(|(_, key)| values.on(key))
        .copied()
        .collect();
    copy(options, values, &on);
}

/// Where networks and AS numbers come from.
fn networks(compiler: &mut Compiler<'_>, options: &mut Options, plugin: &Plugin) {
    let values = &plugin.values;
    let section = options.section.clone();
    copy(
        options,
        values,
        &[
            ("networks", "networks_file"),
            ("networks_no_mask_if_zero", "networks_no_mask_if_zero"),
        ],
    );
    if options.has("networks") {
        let flags = [
            ("networks_filter", "networks_file_filter"),
            ("networks_no_lpm", "networks_file_no_lpm"),
        ];
        copy_flags(options, values, &flags);
    }
    let file = values.line("networks_file").is_some();
    let mask = values.line("networks_mask").is_some();
    for (name, key) in [("as_from", "nfacctd_as"), ("net_from", "nfacctd_net")] {
        let Some(line) = values.line(key).cloned() else {
            // Packets say nothing of either, so a probe takes both from the file; a collector
            // believes the exporter until it is told not to.
            if file {
                let collects = compiler.settings.daemon.collects();
                let from = if collects { "exporter" } else { "file" };
                options.set(name, Raw::Text(from.into()));
            }
            continue;
        };
        let from = match values.text(key).unwrap_or_default() {
            "netflow" | "sflow" | "false" => "exporter",
            "file" | "true" => "file",
            "longest" | "fallback" => "longest",
            "mask" => "mask",
            _ => {
                let text = "this build knows no routes yet: what the exporter says is taken";
                compiler.note(&line, &section, text);
                continue;
            }
        };
        let needs = match from {
            "file" | "longest" if !file => "networks_file",
            "mask" if !mask => "networks_mask",
            _ => "",
        };
        if needs.is_empty() {
            push(options, name, &line, Raw::Text(from.into()));
        } else {
            let text = format!("it needs `{needs}`; what the exporter says is taken");
            compiler.note(&line, &section, text);
        }
    }
    if mask
        && options
            .given()
            .any(|(n, raw)| n == "net_from" && *raw == Raw::Text("mask".into()))
    {
        copy(options, values, &[("networks_mask", "networks_mask")]);
    } else if let Some(line) = values.line("networks_mask").cloned() {
        compiler.note(&line, &section, "it needs `*_net: mask`");
    }
}

fn live(options: &mut Options, values: &Values) {
    options.set("kind", Raw::Text("memory".into()));
    let place = values.place("imt_path");
    let path = values.text("imt_path").unwrap_or(SOCKET);
    options.push("socket", Raw::Text(path.into()), place, place);
    let place = values.place("imt_mem_pools_number");
    let plugin = Plugin {
        kind: "memory",
        name: String::new(),
        place,
        values: values.clone(),
    };
    let size = live_size(&plugin).div_ceil(1 << 10);
    let size = match size % 1024 {
        0 => format!("{} MiB", size / 1024),
        _ => format!("{size} KiB"),
    };
    options.push("size", Raw::Text(size), place, place);
    shown(options, values);
}

/// How values are shown.
pub fn shown(options: &mut Options, values: &Values) {
    if let Some(line) = values
        .line("timestamps_utc")
        .filter(|_| values.on("timestamps_utc"))
    {
        push(options, "timezone", line, Raw::Text("UTC".into()));
    }
    for (key, word) in [
        ("timestamps_since_epoch", "epoch"),
        ("timestamps_rfc9557", "rfc3339"),
    ] {
        if let Some(line) = values.line(key).filter(|_| values.on(key)) {
            push(options, "times", line, Raw::Text(word.into()));
            break;
        }
    }
    if let Some(line) = values
        .line("print_num_protos")
        .filter(|_| values.on("print_num_protos"))
    {
        push(options, "protocols", line, Raw::Text("numbers".into()));
    }
    copy_flags(options, values, &[("dscp", "tos_encode_as_dscp")]);
}

fn print(compiler: &mut Compiler<'_>, options: &mut Options, plugin: &Plugin, by: &[String]) {
    let values = &plugin.values;
    let path = values.line("print_output_file").cloned();
    let kind = if path.is_some() { "file" } else { "print" };
    options.set("kind", Raw::Text(kind.into()));
    format(compiler, options, values);
    shown(options, values);
    let word = values.text("print_output").unwrap_or("formatted");
    encoded(options, values, word);
    copy_flags(options, values, &[("markers", "print_markers")]);
    match path {
        Some(line) => file(compiler, options, plugin, by, &line),
        None if compiler.settings.core.on("daemonize") => {
            let message = format!(
                "plugin {}: it needs `print_output_file`: a daemon has no standard output",
                plugin.name
            );
            compiler.wrong(plugin.place, message);
        }
        None => {}
    }
}

fn format(compiler: &mut Compiler<'_>, options: &mut Options, values: &Values) {
    let section = options.section.clone();
    let line = values.line("print_output").cloned();
    let word = values.text("print_output").unwrap_or("formatted");
    let (format, counters) = match word {
        "csv" => ("csv", true),
        "event_csv" => ("csv", false),
        "json" => ("json", true),
        "avro" | "avro_bin" => ("avro", true),
        "avro_json" => ("avro-json", true),
        "event_formatted" => ("table", false),
        _ => ("table", true),
    };
    if let (Some(line), "custom") = (&line, word) {
        compiler.note(line, &section, "rows are written as a table");
    }
    let at = line.as_ref().map_or(Place::default(), |line| line.value_at);
    options.push("format", Raw::Text(format.into()), at, at);
    if !counters {
        options.push("counters", Raw::Bool(false), at, at);
    }
    // Only objects have room for the stamps there.
    if matches!(format, "csv" | "table") {
        options.set("stamps", Raw::Bool(false));
    }
    if format == "csv" {
        if let Some(line) = values.line("print_output_separator") {
            let word = match values.text("print_output_separator") {
                Some("\t") => Raw::Text("tab".into()),
                Some(" ") => Raw::Text("space".into()),
                _ => raw(&line.value),
            };
            push(options, "separator", line, word);
        }
        options.set("quotes", Raw::Bool(false));
    }
}

/// How objects look, in the encoding of this word.
pub fn encoded(options: &mut Options, values: &Values, word: &str) {
    if !["json", "avro", "avro_bin", "avro_json"].contains(&word) {
        return;
    }
    let arrays = [
        ("tcpflags", "tcpflags_encode_as_array"),
        ("as_path", "as_path_encode_as_array"),
        ("communities", "bgp_comms_encode_as_array"),
        ("mpls_label_stack", "mpls_label_stack_encode_as_array"),
    ];
    let on: Vec<_> = arrays.iter().filter(|(_, key)| values.on(key)).collect();
    if let Some((_, key)) = on.first() {
        let place = values.place(key);
        let words: Vec<_> = on.iter().map(|(word, _)| word.to_string()).collect();
        options.push("arrays", texts(&words, place), place, place);
    }
    let status = "fwd_status_encode_as_string";
    if let Some(line) = values.line(status).filter(|_| values.on(status)) {
        push(options, "fwd_status", line, Raw::Text("text".into()));
    }
    copy_flags(
        options,
        values,
        &[("label_map", "pre_tag_label_encode_as_map")],
    );
    if word != "json" {
        copy(options, values, &[("schema", "avro_schema_file")]);
    }
}

fn file(
    compiler: &mut Compiler<'_>,
    options: &mut Options,
    plugin: &Plugin,
    by: &[String],
    line: &Line,
) {
    let values = &plugin.values;
    named(compiler, options, ("path", line), values, by);
    let path = options.given().find(|(name, _)| *name == "path");
    if matches!(path, Some((_, Raw::Text(text))) if text.contains("${peer_src_ip}")) {
        options.set("underscores", Raw::Bool(true));
    }
    let append = values.on("print_output_file_append");
    let place = values.place("print_output_file_append");
    options.push("append", Raw::Bool(append), place, place);
    if !append {
        // A savefile's bins are handed out one after the other, and no bin may wipe out another.
        let savefile = compiler.settings.core.line("pcap_savefile").is_some();
        let word = if savefile { "replace" } else { "overwrite" };
        options.set("existing", Raw::Text(word.into()));
    }
    if let Some(line) = values.line("print_latest_file").cloned() {
        named(compiler, options, ("latest", &line), values, by);
    }
    copy(
        options,
        values,
        &[
            ("trigger", "print_trigger_exec"),
            ("owner", "files_uid"),
            ("group", "files_gid"),
        ],
    );
    copy_flags(
        options,
        values,
        &[("empty_files", "print_write_empty_file")],
    );
    let umask = values.number("files_umask").unwrap_or(0o77);
    let place = values.place("files_umask");
    let mode = Raw::Text(format!("{:04o}", 0o666 & !umask));
    options.push("mode", mode, place, place);
}

/// A setting that is a name with times and variables.
pub fn named(
    compiler: &mut Compiler<'_>,
    options: &mut Options,
    (setting, line): (&str, &Line),
    values: &Values,
    by: &[String],
) {
    let Value::Text(given) = &line.value else {
        return;
    };
    match name::translate(given, values, by) {
        Ok(name) => push(options, setting, line, Raw::Text(name)),
        Err(why) => {
            compiler.wrong(line.value_at, format!("`{}` {why}", line.key.name));
            // So that it is not missed as well.
            let name = given.replace('%', "%%").replace('$', "$$");
            push(options, setting, line, Raw::Text(name));
        }
    }
}

impl Compiler<'_> {
    /// Whether a word is a primitive.
    fn primitive(&self, word: &str) -> bool {
        primitive::words().any(|known| known == word) || self.own.iter().any(|own| own == word)
    }

    /// Which of the primitives have nobody to give them, so their columns stay empty; and whether
    /// that holds for any or may yet turn out.
    fn empty<'b>(&self, values: &Values, by: &'b [String]) -> (Vec<&'b str>, bool) {
        let packets = !self.settings.daemon.collects();
        let decode = match self.settings.daemon {
            Daemon::Nfacctd => Decode::Netflow,
            Daemon::Sfacctd => Decode::Sflow,
            _ => Decode::Packet,
        };
        let given = decode::gives(decode, !packets);
        let keys = |field| ENGINE.iter().find(|(of, _)| *of == field);
        let made = |field: Field| match field {
            Field::SrcNet | Field::DstNet => true,
            field if given.has(field) => true,
            field => keys(field)
                .is_some_and(|(_, keys)| keys.iter().any(|key| values.line(key).is_some())),
        };
        let empty = |word: &&str| match Field::by_name(word) {
            Some(field) => field.info().giver.missing().is_some() || !made(field),
            None => packets && *word == "flows",
        };
        // What is in a file is known only when it is read.
        let fields = by.iter().filter_map(|word| Field::by_name(word));
        let later = fields.filter(|f| !given.has(*f)).any(|f| keys(f).is_some());
        let words: Vec<_> = by.iter().map(String::as_str).filter(empty).collect();
        let lenient = later || !words.is_empty();
        (words, lenient)
    }

    /// Whether any plugin that runs asks for a primitive.
    pub fn asks(&self, primitive: &str) -> bool {
        (0..self.plugins.len()).any(|at| {
            let plugin = self.plugin(at);
            plugin.is_some_and(|p| {
                let mut items = items(&p.values, "aggregate").into_iter();
                items.any(|i| i.eq_ignore_ascii_case(primitive))
            })
        })
    }
}
