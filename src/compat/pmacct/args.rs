//! The letters of the daemons' command lines, each the same as a key.
//!
//! They come after the file, so they win over it; but the plugins of the file win over those of
//! the command line, as only the first line that names plugins counts.

use super::daemon::Daemon;
use super::parse::Lines;
use crate::base::options::Place;
use std::ffi::OsString;

/// What a letter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    /// Its value is that of this key.
    Key(&'static str),
    /// It gives this key this value.
    Sets(&'static str, &'static str),
    /// It names the file.
    File,
    /// It asks for something in place of running.
    Asks(Ask),
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `-h`.
    Help,
    /// `-V`.
    Version,
    /// `-a`.
    Primitives,
}

/// A letter: who has it, what it does, how the help calls its value, and what the help says.
type Letter = (char, &'static [Daemon], Does, &'static str, &'static str);

use Daemon::{Nfacctd, Pmacctd, Pmbgpd, Pmbmpd, Pmtelemetryd, Sfacctd, Uacctd};

const ALL: &[Daemon] = &Daemon::ALL;
const FLOW: &[Daemon] = &[Pmacctd, Uacctd, Nfacctd, Sfacctd];
const COLLECT: &[Daemon] = &[Nfacctd, Sfacctd];
const PACKET: &[Daemon] = &[Pmacctd, Uacctd];
const REPLAY: &[Daemon] = &[Pmacctd, Nfacctd, Sfacctd];

/// All letters of all daemons.
static LETTERS: &[Letter] = &[
    ('f', ALL, Does::File, "FILE", "the configuration"),
    ('h', ALL, Does::Asks(Ask::Help), "", "print this"),
    ('V', ALL, Does::Asks(Ask::Version), "", "print the version"),
    (
        'a',
        FLOW,
        Does::Asks(Ask::Primitives),
        "",
        "list the primitives",
    ),
    (
        'D',
        ALL,
        Does::Sets("daemonize", "true"),
        "",
        "detach from the terminal",
    ),
    (
        'd',
        ALL,
        Does::Sets("debug", "true"),
        "",
        "write more to the log",
    ),
    (
        'S',
        ALL,
        Does::Key("syslog"),
        "FACILITY",
        "log to the system's log",
    ),
    (
        'F',
        ALL,
        Does::Key("pidfile"),
        "FILE",
        "leave the number of the process there",
    ),
    (
        'T',
        ALL,
        Does::Key("dry_run"),
        "WHAT",
        "`config`: only read; `setup`: open all, then end",
    ),
    (
        'P',
        FLOW,
        Does::Key("plugins"),
        "LIST",
        "plugins: memory, print, sqlite3, pgsql, mysql",
    ),
    (
        'c',
        FLOW,
        Does::Key("aggregate"),
        "LIST",
        "primitives to sum by",
    ),
    (
        'r',
        FLOW,
        Does::Key("print_refresh_time"),
        "SECONDS",
        "time between deliveries",
    ),
    (
        'n',
        FLOW,
        Does::Key("networks_file"),
        "FILE",
        "list of networks",
    ),
    ('t', FLOW, Does::Key("ports_file"), "FILE", "list of ports"),
    (
        'O',
        FLOW,
        Does::Key("print_output"),
        "FORMAT",
        "formatted, csv, json, avro …",
    ),
    (
        'o',
        FLOW,
        Does::Key("print_output_file"),
        "FILE",
        "where rows go",
    ),
    (
        'A',
        FLOW,
        Does::Sets("print_output_file_append", "true"),
        "",
        "add to the file",
    ),
    (
        'E',
        FLOW,
        Does::Key("print_output_separator"),
        "CHARACTER",
        "separator of CSV",
    ),
    (
        'M',
        FLOW,
        Does::Sets("print_markers", "true"),
        "",
        "marks around each delivery",
    ),
    (
        'u',
        FLOW,
        Does::Sets("print_num_protos", "true"),
        "",
        "protocols as numbers",
    ),
    (
        'p',
        FLOW,
        Does::Key("imt_path"),
        "PATH",
        "socket of the table in memory",
    ),
    (
        'b',
        FLOW,
        Does::Key("imt_buckets"),
        "NUMBER",
        "buckets of the table in memory",
    ),
    (
        'm',
        FLOW,
        Does::Key("imt_mem_pools_number"),
        "NUMBER",
        "its pools",
    ),
    (
        's',
        FLOW,
        Does::Key("imt_mem_pools_size"),
        "BYTES",
        "the size of a pool",
    ),
    (
        'R',
        FLOW,
        Does::Sets("nfacctd_renormalize", "true"),
        "",
        "multiply by the sampling rate",
    ),
    (
        'I',
        REPLAY,
        Does::Key("pcap_savefile"),
        "FILE",
        "read a savefile",
    ),
    (
        'W',
        REPLAY,
        Does::Sets("pcap_savefile_wait", "true"),
        "",
        "stay when it has ended",
    ),
    (
        'Z',
        REPLAY,
        Does::Key("pcap_savefile_delay"),
        "SECONDS",
        "wait before each time",
    ),
    (
        'Y',
        REPLAY,
        Does::Key("pcap_savefile_replay"),
        "TIMES",
        "read it so often; 0: for ever",
    ),
    (
        'i',
        &[Pmacctd],
        Does::Key("pcap_interface"),
        "NAME",
        "interface to capture from",
    ),
    (
        'w',
        &[Pmacctd],
        Does::Sets("pcap_interface_wait", "true"),
        "",
        "wait for the interface",
    ),
    (
        'N',
        &[Pmacctd],
        Does::Sets("promisc", "false"),
        "",
        "no promiscuous mode",
    ),
    (
        'z',
        &[Pmacctd],
        Does::Sets("pmacctd_nonroot", "true"),
        "",
        "run without root",
    ),
    (
        'L',
        PACKET,
        Does::Key("snaplen"),
        "BYTES",
        "bytes kept of a packet",
    ),
    (
        'g',
        &[Uacctd],
        Does::Key("uacctd_group"),
        "NUMBER",
        "group of the packet filter",
    ),
    (
        'L',
        COLLECT,
        Does::Key("nfacctd_ip"),
        "ADDRESS",
        "where to listen",
    ),
    (
        'l',
        COLLECT,
        Does::Key("nfacctd_port"),
        "PORT",
        "UDP port to listen at",
    ),
    (
        'L',
        &[Pmbgpd],
        Does::Key("bgp_daemon_ip"),
        "ADDRESS",
        "where to listen",
    ),
    (
        'l',
        &[Pmbgpd],
        Does::Key("bgp_daemon_port"),
        "PORT",
        "TCP port to listen at",
    ),
    (
        'o',
        &[Pmbgpd],
        Does::Key("bgp_daemon_msglog_file"),
        "FILE",
        "live log",
    ),
    (
        'O',
        &[Pmbgpd],
        Does::Key("bgp_table_dump_file"),
        "FILE",
        "dumps",
    ),
    (
        'i',
        &[Pmbgpd],
        Does::Key("bgp_table_dump_refresh_time"),
        "SECONDS",
        "time between dumps",
    ),
    (
        'm',
        &[Pmbgpd],
        Does::Key("bgp_daemon_xconnect_map"),
        "FILE",
        "sessions to pass on",
    ),
    (
        'g',
        &[Pmbgpd],
        Does::Sets("bgp_daemon_lg", "true"),
        "",
        "looking glass",
    ),
    (
        'L',
        &[Pmbmpd],
        Does::Key("bmp_daemon_ip"),
        "ADDRESS",
        "where to listen",
    ),
    (
        'l',
        &[Pmbmpd],
        Does::Key("bmp_daemon_port"),
        "PORT",
        "TCP port to listen at",
    ),
    (
        'o',
        &[Pmbmpd],
        Does::Key("bmp_daemon_msglog_file"),
        "FILE",
        "live log",
    ),
    ('O', &[Pmbmpd], Does::Key("bmp_dump_file"), "FILE", "dumps"),
    (
        'i',
        &[Pmbmpd],
        Does::Key("bmp_dump_refresh_time"),
        "SECONDS",
        "time between dumps",
    ),
    (
        'I',
        &[Pmbmpd],
        Does::Key("pcap_savefile"),
        "FILE",
        "read a savefile",
    ),
    (
        'Z',
        &[Pmbmpd],
        Does::Key("pcap_savefile_delay"),
        "SECONDS",
        "wait before each time",
    ),
    (
        'Y',
        &[Pmbmpd],
        Does::Key("pcap_savefile_replay"),
        "TIMES",
        "read it so often",
    ),
    (
        'R',
        &[Pmbmpd],
        Does::Key("pcap_filter"),
        "EXPRESSION",
        "filter on the savefile",
    ),
    (
        'L',
        &[Pmtelemetryd],
        Does::Key("telemetry_daemon_ip"),
        "ADDRESS",
        "where to listen",
    ),
    (
        't',
        &[Pmtelemetryd],
        Does::Key("telemetry_daemon_port_tcp"),
        "PORT",
        "TCP port",
    ),
    (
        'u',
        &[Pmtelemetryd],
        Does::Key("telemetry_daemon_port_udp"),
        "PORT",
        "UDP port",
    ),
    (
        'o',
        &[Pmtelemetryd],
        Does::Key("telemetry_daemon_msglog_file"),
        "FILE",
        "live log",
    ),
    (
        'O',
        &[Pmtelemetryd],
        Does::Key("telemetry_dump_file"),
        "FILE",
        "dumps",
    ),
    (
        'i',
        &[Pmtelemetryd],
        Does::Key("telemetry_dump_refresh_time"),
        "SECONDS",
        "time between dumps",
    ),
];

/// A command line, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// The configuration.
    pub file: Option<OsString>,
    /// What is asked for in place of running.
    pub ask: Option<Ask>,
    /// Keys with values, in order.
    pub sets: Vec<(&'static str, String)>,
}

fn letter(daemon: Daemon, wanted: char) -> Option<&'static Letter> {
    let mut letters = LETTERS.iter();
    letters.find(|(letter, daemons, ..)| *letter == wanted && daemons.contains(&daemon))
}

impl Given {
    /// Takes a command line apart, without the name of the program.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(daemon: Daemon, args: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut given = Self::default();
        let mut args = args.into_iter();
        let mut trailing = Vec::new();
        while let Some(arg) = args.next() {
            let text = arg.to_string_lossy().into_owned();
            let Some(letters) = text.strip_prefix('-').filter(|_| trailing.is_empty()) else {
                trailing.push(text);
                continue;
            };
            if letters == "-" {
                trailing.extend(args.by_ref().map(|a| a.to_string_lossy().into_owned()));
            } else {
                given.letters(daemon, letters, &mut args)?;
            }
        }
        match trailing.join(" ") {
            none if none.is_empty() => {}
            filter if daemon == Pmacctd => given.sets.push(("pcap_filter", filter)),
            other => {
                return Err(format!(
                    "`{other}` is no option; {daemon} takes none behind them"
                ));
            }
        }
        Ok(given)
    }

    /// One argument: letters behind a dash, of which the last may have a value.
    fn letters(
        &mut self,
        daemon: Daemon,
        letters: &str,
        args: &mut impl Iterator<Item = OsString>,
    ) -> Result<(), String> {
        let mut rest = letters.chars();
        while let Some(wanted) = rest.next() {
            let Some((_, _, does, value, _)) = letter(daemon, wanted) else {
                return Err(format!("{daemon} has no option -{wanted}"));
            };
            if value.is_empty() {
                match does {
                    Does::Sets(key, value) => self.sets.push((key, (*value).into())),
                    Does::Asks(ask) => self.ask = self.ask.or(Some(*ask)),
                    _ => {}
                }
                continue;
            }
            let value = match rest.as_str() {
                "" => args.next(),
                value => Some(value.into()),
            };
            let Some(value) = value else {
                return Err(format!("-{wanted} needs a value"));
            };
            match does {
                Does::File => self.file = Some(value),
                Does::Key(key) => self.sets.push((key, value.to_string_lossy().into_owned())),
                _ => {}
            }
            return Ok(());
        }
        Ok(())
    }

    /// Adds what is set to the lines of the file.
    pub fn assign(&self, lines: &mut Lines) {
        for (key, value) in &self.sets {
            lines.assign(key, None, value, Place::default(), Place::default());
        }
    }
}

/// The help of a daemon.
pub fn help(daemon: Daemon) -> String {
    let mut text = format!("Usage: weir pmacct {daemon} [OPTION]...\n\n");
    for (letter, daemons, does, value, doc) in LETTERS {
        if daemons.contains(&daemon) {
            let key = match does {
                Does::Key(key) | Does::Sets(key, _) => format!(" ({key})"),
                _ => String::new(),
            };
            text.push_str(&format!("  -{letter} {value:12} {doc}{key}\n"));
        }
    }
    if daemon == Pmacctd {
        text.push_str("\nWhat stands behind the options is a capture filter.\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::key;
    use super::*;

    fn parse(daemon: Daemon, line: &str) -> Result<Given, String> {
        Given::parse(daemon, line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn letters_become_keys() {
        let given = parse(
            Pmacctd,
            "-Dd -f x.conf -P print -c src_host,dst_host -ieth0 port 53",
        );
        let given = given.unwrap();
        assert_eq!(given.file, Some("x.conf".into()));
        let want = [
            ("daemonize", "true"),
            ("debug", "true"),
            ("plugins", "print"),
            ("aggregate", "src_host,dst_host"),
            ("pcap_interface", "eth0"),
            ("pcap_filter", "port 53"),
        ];
        let got: Vec<_> = given.sets.iter().map(|(k, v)| (*k, v.as_str())).collect();
        assert_eq!(got, want);
        let given = parse(Nfacctd, "-L 127.0.0.1 -l 2055 -V").unwrap();
        assert_eq!(given.sets[0], ("nfacctd_ip", "127.0.0.1".into()));
        assert_eq!(given.ask, Some(Ask::Version));
    }

    #[test]
    fn what_is_no_option_is_said() {
        let said = |daemon, line| parse(daemon, line).unwrap_err();
        assert_eq!(said(Nfacctd, "-i eth0"), "nfacctd has no option -i");
        assert_eq!(said(Nfacctd, "-f"), "-f needs a value");
        assert!(said(Nfacctd, "port 53").contains("takes none"));
        assert_eq!(said(Pmbgpd, "-a"), "pmbgpd has no option -a");
    }

    #[test]
    fn every_letter_stands_for_a_key_of_its_daemon() {
        for (n, (letter, daemons, does, value, doc)) in LETTERS.iter().enumerate() {
            assert!(!doc.is_empty());
            for daemon in *daemons {
                let twice = LETTERS[..n].iter();
                assert!(
                    !twice
                        .clone()
                        .any(|l| l.0 == *letter && l.1.contains(daemon))
                );
                match does {
                    Does::Key(key) | Does::Sets(key, _) => {
                        let key = key::find(key).unwrap();
                        assert!(key.concerns(*daemon), "-{letter} of {daemon}: {}", key.name);
                    }
                    Does::File => assert!(!value.is_empty()),
                    Does::Asks(_) => assert!(value.is_empty()),
                }
                assert!(help(*daemon).contains(&format!("  -{letter} ")));
            }
        }
    }
}
