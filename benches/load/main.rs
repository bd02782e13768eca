//! Load for measuring: a capture on standard output, or datagrams to a socket.
//!
//! `cargo run --release --example load -- KIND RECORDS FLOWS > load.pcap`, where KIND is packets,
//! v5, v9, ipfix or sflow; with `--to ADDRESS:PORT` behind it export datagrams are sent instead,
//! as fast as the receiver empties its socket (which must be on this machine, since the length
//! of its queue is looked up). What was written is on standard error, as JSON.

mod traffic;

use std::io::{BufWriter, Write, stdout};
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::time::Duration;
use traffic::{Format, Writer};

/// Bytes that may wait in the receiver's queue as the kernel counts them; half of what a socket has
/// that asks for nothing.
const WINDOW: u64 = 96 << 10;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [kind, records, flows, rest @ ..] = &args[..] else {
        return usage();
    };
    let format = match kind.as_str() {
        "packets" => Format::Packets,
        "v5" => Format::V5,
        "v9" => Format::V9,
        "ipfix" => Format::Ipfix,
        "sflow" => Format::Sflow,
        _ => return usage(),
    };
    let (Ok(records), Ok(flows)) = (records.parse(), flows.parse()) else {
        return usage();
    };
    let mut writer = Writer::new(format, flows);
    let done = match rest {
        [] => capture(&mut writer, records),
        [to, address] if to == "--to" && format != Format::Packets => match address.parse() {
            Ok(address) => send(&mut writer, records, address),
            Err(_) => return usage(),
        },
        _ => return usage(),
    };
    if let Err(e) = done {
        eprintln!("load: {e}");
        return ExitCode::FAILURE;
    }
    let (records, packets, bytes) = (writer.records, writer.packets, writer.bytes);
    eprintln!("{{\"records\":{records},\"packets\":{packets},\"bytes\":{bytes}}}");
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("load packets|v5|v9|ipfix|sflow RECORDS FLOWS [--to ADDRESS:PORT]");
    ExitCode::from(2)
}

/// A pcap file: frames, or datagrams in Ethernet, IPv4 and UDP.
fn capture(writer: &mut Writer, records: u64) -> std::io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 18, stdout().lock());
    out.write_all(&0xa1b2_c3d4u32.to_be_bytes())?;
    out.write_all(&[0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0])?;
    for word in [65_535u32, 1] {
        out.write_all(&word.to_be_bytes())?;
    }
    let (mut body, mut time) = (Vec::new(), 0u64);
    while writer.records < records {
        let before = writer.bytes;
        writer.next(records - writer.records, &mut body);
        let mut len = body.len() as u32;
        // Of packets all headers are captured, and no payload.
        let mut wire = len.max(14 + (writer.bytes - before) as u32);
        let mut head = Vec::new();
        if writer.format != Format::Packets {
            head.extend([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0]);
            head.extend((28 + len as u16).to_be_bytes());
            head.extend([0, 1, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
            head.extend([0x9c, 0x40, 8, 7]);
            head.extend((8 + len as u16).to_be_bytes());
            head.extend([0, 0]);
            len += head.len() as u32;
            wire = len;
        }
        let seconds = 1_700_000_000 + (time / 1_000_000) as u32;
        for word in [seconds, (time % 1_000_000) as u32, len, wire] {
            out.write_all(&word.to_be_bytes())?;
        }
        out.write_all(&head)?;
        out.write_all(&body)?;
        time += 1;
    }
    out.flush()
}

fn send(writer: &mut Writer, records: u64, to: SocketAddr) -> std::io::Result<()> {
    let any: SocketAddr = if to.is_ipv4() {
        ([0; 4], 0).into()
    } else {
        ([0u16; 8], 0).into()
    };
    let socket = UdpSocket::bind(any)?;
    let (mut body, mut sent) = (Vec::new(), 0);
    while writer.records < records {
        if sent % 16 == 0 {
            while waiting(to.port()) > WINDOW {
                std::thread::sleep(Duration::from_micros(50));
            }
        }
        writer.next(records - writer.records, &mut body);
        socket.send_to(&body, to)?;
        sent += 1;
    }
    Ok(())
}

/// Bytes in the receive queue of the fullest UDP socket on `port`, as the kernel tells.
fn waiting(port: u16) -> u64 {
    let of = |file| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let queues = text.lines().filter_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let (_, local) = columns.get(1)?.rsplit_once(':')?;
            let (_, queue) = columns.get(4)?.split_once(':')?;
            let here = u16::from_str_radix(local, 16).ok()? == port;
            u64::from_str_radix(queue, 16).ok().filter(|_| here)
        });
        queues.max().unwrap_or(0)
    };
    of("/proc/net/udp").max(of("/proc/net/udp6"))
}
