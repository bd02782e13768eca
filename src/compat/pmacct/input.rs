//! What a daemon reads: sockets, savefiles, interfaces.

use super::compile::{Compiler, copy, push, raw, section};
use super::daemon::Daemon;
use super::parse::Line;
use super::rows;
use crate::base::options::{Options, Place, Raw};
use crate::rule::map::{self, Value};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Adds the inputs.
pub fn compile(compiler: &mut Compiler<'_>) {
    let daemon = compiler.settings.daemon;
    let core = &compiler.settings.core;
    if core.line("pcap_savefile").is_some() {
        savefile(compiler);
    } else if daemon.collects() {
        socket(compiler);
    } else if let Some(line) = core.line("pcap_interfaces_map").cloned() {
        interfaces(compiler, &line);
    } else {
        let mut options = Options::new("input.pmacctd", Place::default());
        match core.line("pcap_interface") {
            Some(line) => push(&mut options, "interface", line, raw(&line.value)),
            None => {
                options.set("interface", Raw::Text("any".into()));
                let message = "no `pcap_interface`: packets of all interfaces are counted";
                compiler.warn(Place::default(), message);
            }
        }
        capture(compiler, &mut options);
        add(compiler, daemon.name(), options);
    }
}

/// Adds an input with what all inputs of a daemon have in common.
fn add(compiler: &mut Compiler<'_>, name: &str, mut options: Options) {
    let settings = compiler.settings;
    let core = &settings.core;
    let mut pairs = vec![
        ("tags", "pre_tag_map"),
        ("sampling_rate", "nfacctd_ext_sampling_rate"),
    ];
    if settings.daemon.collects() {
        pairs.extend([
            ("rd", "flow_to_rd_map"),
            ("sampling", "sampling_map"),
            ("peer_as", "nfacctd_peer_as"),
            ("ignore_exporter_address", "nfacctd_ignore_exporter_address"),
        ]);
        if compiler.asks("peer_dst_ip") {
            let place = core.place("use_ip_next_hop");
            let next_hop = Raw::Bool(core.on("use_ip_next_hop"));
            options.push("use_next_hop", next_hop, place, place);
        }
    }
    if settings.daemon == Daemon::Nfacctd {
        // As nfacctd reckons times that are told by the uptime of the exporter.
        options.set("uptime_seconds", Raw::Bool(true));
    }
    match settings.daemon {
        Daemon::Nfacctd => pairs.extend([
            ("account_options", "nfacctd_account_options"),
            ("asa_biflow", "tmp_asa_bi_flow"),
        ]),
        // The length of a sampled frame has its layer 2 in it.
        Daemon::Sfacctd => options.set("frame_bytes", Raw::Bool(true)),
        _ => {}
    }
    if settings.daemon != Daemon::Nfacctd && !core.on("aggregate_unknown_etype") {
        options.set("only_ip", Raw::Bool(true));
    }
    copy(&mut options, core, &pairs);
    if settings.daemon.collects() && options.has("tags") && options.has("sampling") {
        // What is told of the sampling map takes the label with it there.
        options.set("first_unlabelled", Raw::Bool(true));
    }
    let mut input = section("input", name, options.place);
    input.options = options;
    compiler.file.inputs.push(input);
}

fn decode(daemon: Daemon) -> Raw {
    Raw::Text(
        match daemon {
            Daemon::Nfacctd => "netflow",
            Daemon::Sfacctd => "sflow",
            _ => "packets",
        }
        .into(),
    )
}

fn savefile(compiler: &mut Compiler<'_>) {
    let settings = compiler.settings;
    let (daemon, core) = (settings.daemon, &settings.core);
    let name = daemon.name();
    let Some(line) = core.line("pcap_savefile") else {
        return;
    };
    let mut options = Options::new(&format!("input.{name}"), line.place);
    options.set("kind", Raw::Text("file".into()));
    push(&mut options, "file", line, raw(&line.value));
    options.set("decode", decode(daemon));
    copy(
        &mut options,
        core,
        &[
            ("delay", "pcap_savefile_delay"),
            ("repeat", "pcap_savefile_replay"),
        ],
    );
    copy(
        &mut compiler.file.top,
        core,
        &[("stay", "pcap_savefile_wait")],
    );
    for key in [
        "nfacctd_port",
        "nfacctd_ip",
        "pcap_interface",
        "pcap_interfaces_map",
    ] {
        let other = core.line(key).filter(|other| other.key.concerns(daemon));
        let Some(other) = other else {
            continue;
        };
        // What pmacct refuses together, weir could only guess at.
        if matches!(key, "nfacctd_ip" | "pcap_interface" | "pcap_interfaces_map") {
            let message = format!(
                "`pcap_savefile` and `{}` exclude each other",
                other.key.name
            );
            compiler.wrong(other.place, message);
        } else {
            let text = "the exports in the savefile are read, to whichever port they went";
            compiler.note(other, &format!("input.{name}"), text);
        }
    }
    filter(compiler, &mut options);
    add(compiler, name, options);
}

fn socket(compiler: &mut Compiler<'_>) {
    let settings = compiler.settings;
    let (daemon, core) = (settings.daemon, &settings.core);
    let name = daemon.name();
    let standard = match daemon {
        Daemon::Sfacctd => 6343,
        _ => 2100,
    };
    let line = core.line("nfacctd_port").or(core.line("nfacctd_ip"));
    let place = line.map_or(Place::default(), |line| line.place);
    let mut options = Options::new(&format!("input.{name}"), place);
    options.set("kind", Raw::Text("udp".into()));
    let any = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let address = core.text("nfacctd_ip").and_then(|ip| ip.parse().ok());
    let port = core.number("nfacctd_port").unwrap_or(standard);
    let listen = SocketAddr::new(address.unwrap_or(any), port as u16);
    options.push("listen", Raw::Text(listen.to_string()), place, place);
    options.set("decode", decode(daemon));
    copy(
        &mut options,
        core,
        &[
            ("receive_buffer", "nfacctd_pipe_size"),
            ("allow_file", "nfacctd_allow_file"),
            ("device", "nfacctd_interface"),
            ("only_ipv6", "nfacctd_ipv6_only"),
        ],
    );
    add(compiler, name, options);
}

/// What captures of any interface have in common.
fn capture(compiler: &mut Compiler<'_>, options: &mut Options) {
    let core = &compiler.settings.core;
    options.set("kind", Raw::Text("capture".into()));
    options.set("decode", decode(Daemon::Pmacctd));
    match core.line("snaplen") {
        Some(line) => push(options, "snap", line, raw(&line.value)),
        None => options.set("snap", Raw::Number(128)),
    }
    copy(
        options,
        core,
        &[("promiscuous", "promisc"), ("ring", "nfacctd_pipe_size")],
    );
    if !options.has("direction") {
        copy(options, core, &[("direction", "pcap_direction")]);
    }
    index(compiler, options);
    filter(compiler, options);
}

/// Which interface frames are said to have come in by.
fn index(compiler: &mut Compiler<'_>, options: &mut Options) {
    let core = &compiler.settings.core;
    let Some(line) = core.line("pcap_ifindex").cloned() else {
        if compiler.asks("in_iface") {
            options.set("index", Raw::Number(0));
        }
        return;
    };
    match core.text("pcap_ifindex") {
        Some("none") => push(options, "index", &line, Raw::Number(0)),
        Some("hash") => {
            let text = "the system's own number of the interface is taken";
            compiler.note(&line, &options.section.clone(), text);
        }
        // The system's is what there is by itself; that of the map is set with its row.
        _ => {}
    }
}

fn filter(compiler: &mut Compiler<'_>, options: &mut Options) {
    if compiler.settings.daemon == Daemon::Pmacctd {
        copy(
            options,
            &compiler.settings.core,
            &[("filter", "pcap_filter")],
        );
    }
}

/// One input for each row of a map of interfaces.
fn interfaces(compiler: &mut Compiler<'_>, line: &Line) {
    let core = &compiler.settings.core;
    if let Some(other) = core.line("pcap_interface") {
        let message = "`pcap_interface` and `pcap_interfaces_map` exclude each other";
        compiler.wrong(other.place, message);
    }
    let path = compiler
        .settings
        .core
        .text("pcap_interfaces_map")
        .unwrap_or_default();
    let Some(kind) = map::kind("pcap_interfaces_map") else {
        return;
    };
    let rows = match rows::read(path, kind, compiler.open) {
        Ok((rows, bad)) => {
            for message in bad {
                compiler.warn(line.value_at, message);
            }
            rows
        }
        Err(why) => return compiler.wrong(line.value_at, why),
    };
    let mut taken = Vec::new();
    for row in rows {
        let Some(interface) = row.text("ifname") else {
            continue;
        };
        let name = super::compile::section_name(interface, &taken);
        taken.push(name.clone());
        let mut options = Options::new(&format!("input.{name}"), line.place);
        let at = line.value_at;
        options.push("interface", Raw::Text(interface.into()), at, at);
        if let Some(Value::Word(word)) = row.item("direction").map(|item| &item.value) {
            options.push("direction", Raw::Text((*word).into()), at, at);
        }
        let mapped = core.text("pcap_ifindex") == Some("map");
        let index = row.item("ifindex").filter(|_| mapped);
        if let Some(Value::Number(index)) = index.map(|item| &item.value) {
            options.push("index", Raw::Number(*index as i64), at, at);
        }
        capture(compiler, &mut options);
        add(compiler, &name, options);
    }
    if taken.is_empty() {
        compiler.wrong(line.value_at, format!("{path} names no interface"));
    }
}
