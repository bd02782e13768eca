//! Filters in the language of libpcap, on frames and on flow records.
//!
//! An expression is compiled once, by libpcap, for each link type it may meet, and then run by
//! [`bpf`](super::bpf). A record has no bytes to look at, so the headers it tells of are written
//! to the stack as an Ethernet frame and the program runs on those. Not for tags and maps.
//!
//! As always with this language, `host` and `port` see plain IP alone: on tagged or labelled
//! traffic, frames and records alike, they want `vlan and …` or `mpls and …` before them.

mod header;
#[cfg(test)]
mod sample;

use super::bpf::{Program, ProgramError, RawInsn};
use crate::record::{Field, FieldSet, FlowRecord};
use crate::source::{Frame, Link};
use crate::sys::pcap::{self, CompileError};
use std::ffi::c_int;
use std::fmt;

/// Why there is no filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterError {
    /// There is no libpcap to compile it; the text says what to install or build.
    Missing(String),
    /// libpcap does not accept the expression.
    Expression {
        /// The expression.
        text: String,
        /// libpcap's words.
        message: String,
    },
    /// The program is none that may run on every frame.
    Program {
        /// The expression.
        text: String,
        /// What is wrong with the program.
        error: ProgramError,
    },
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(why) => f.write_str(why),
            Self::Expression { text, message } => write!(f, "filter `{text}`: {message}"),
            Self::Program { text, error } => write!(f, "filter `{text}`: {error}"),
        }
    }
}

impl std::error::Error for FilterError {}

/// Link types that weir decodes.
const LINKS: [Link; 8] = [
    Link::Ethernet,
    Link::Raw,
    Link::LinuxSll,
    Link::LinuxSll2,
    Link::Null,
    Link::Loop,
    Link::Ppp,
    Link::PppEther,
];

/// Numbers that link types of savefiles have so far, with some to come.
const LINKTYPES: u16 = 400;

/// Most link types that one filter learns. A file may describe thousands of interfaces, each of
/// another type; no real one has more than a few.
const LEARNT_MAX: usize = 512;

/// What the headers of a frame are made from.
const NEEDS: FieldSet = FieldSet::of(&[
    Field::SrcMac,
    Field::DstMac,
    Field::Vlan,
    Field::InCvlan,
    Field::OutCvlan,
    Field::Cos,
    Field::Etype,
    Field::MplsLabelTop,
    Field::MplsLabelBottom,
    Field::SrcHost,
    Field::DstHost,
    Field::Proto,
    Field::Tos,
    Field::FlowLabel,
    Field::SrcPort,
    Field::DstPort,
    Field::TcpFlags,
]);

/// A compiled expression. The empty one matches everything and needs no libpcap.
#[derive(Clone, Debug)]
pub struct Filter {
    text: String,
    /// By link type; the first is the one [`matches`](Self::matches) takes.
    programs: Vec<(Link, Program)>,
    /// Link types on which the expression has no meaning: none of their frames matches.
    senseless: Vec<Link>,
}

/// The view of a record is an Ethernet frame, and so is what datagrams carry.
fn seen_as(link: Link) -> Link {
    match link {
        Link::Datagram => Link::Ethernet,
        other => other,
    }
}

/// libpcap's number for the link type, which for a few of them is not that of the file format:
/// those whose numbers the systems had not agreed upon when the format was made.
fn dlt(link: Link) -> c_int {
    let openbsd = cfg!(target_os = "openbsd");
    match link {
        Link::Raw if openbsd => 14,
        Link::Raw => 12,
        Link::Loop if openbsd => 12,
        // ATM with LLC, SLIP and PPP of BSD/OS, Classical IP over ATM.
        Link::Other(100) => 11,
        Link::Other(102) => 15,
        Link::Other(103) => 16,
        Link::Other(106) => 19,
        other => c_int::from(seen_as(other).linktype()),
    }
}

/// libpcap's instructions for frames of a link type.
fn instructions(text: &str, link: Link) -> Result<Vec<RawInsn>, CompileError> {
    match link {
        // Loopback, and OpenBSD's `enc`, where numbers of address families differ by system.
        Link::Null | Link::Loop | Link::Other(109) => pcap::compile_saved(text, link.linktype()),
        _ => pcap::compile(text, dlt(link)),
    }
}

fn program(text: &str, link: Link) -> Result<Program, FilterError> {
    let insns = instructions(text, link).map_err(|e| match e {
        CompileError::Missing(why) => FilterError::Missing(why),
        CompileError::Expression(message) => FilterError::Expression {
            text: text.into(),
            message,
        },
    })?;
    Program::new(&insns).map_err(|error| FilterError::Program {
        text: text.into(),
        error,
    })
}

impl Filter {
    /// What matches everything.
    pub const ALL: Self = Self {
        text: String::new(),
        programs: Vec::new(),
        senseless: Vec::new(),
    };

    /// The expression, compiled for nothing yet.
    fn new(expression: &str) -> Self {
        Self {
            text: expression.trim().into(),
            ..Self::ALL
        }
    }

    /// Compiles `expression` for frames of one link type, and for records where it has a meaning
    /// there. `Link::Datagram` means records alone. May ask the resolver for names of hosts.
    ///
    /// # Errors
    /// libpcap is missing, or does not accept the expression on this link type.
    pub fn compile(expression: &str, link: Link) -> Result<Self, FilterError> {
        let mut filter = Self::new(expression);
        if filter.text.is_empty() {
            return Ok(filter);
        }
        let link = seen_as(link);
        filter.programs.push((link, program(&filter.text, link)?));
        if link != Link::Ethernet
            && let Ok(records) = program(&filter.text, Link::Ethernet)
        {
            filter.programs.push((Link::Ethernet, records));
        }
        Ok(filter)
    }

    /// Compiles `expression` for inputs that only tell their link type while they are read, or have
    /// several: for the first that weir decodes and where it has a meaning, which shows that it is
    /// right. [`learn`](Self::learn) adds others when they come: a long expression takes libpcap
    /// seconds for each. An expression without a meaning on a link type (`ether host` without
    /// Ethernet) matches no frame there.
    ///
    /// # Errors
    /// libpcap is missing, or accepts the expression on no link type.
    pub fn everywhere(expression: &str) -> Result<Self, FilterError> {
        let mut filter = Self::new(expression);
        if filter.text.is_empty() {
            return Ok(filter);
        }
        let mut first = None;
        for link in LINKS {
            match program(&filter.text, link) {
                Ok(program) => {
                    filter.programs.push((link, program));
                    return Ok(filter);
                }
                Err(e) => {
                    filter.senseless.push(link);
                    first = first.or(Some(e));
                }
            }
        }
        first.map_or(Ok(Self::ALL), |e| filter.elsewhere().ok_or(e))
    }

    /// Looks for a link type on which an expression has a meaning that has none where weir
    /// decodes (`type mgt`, which is of wireless frames). Nothing when there is none.
    fn elsewhere(mut self) -> Option<Self> {
        let mut others = (0..LINKTYPES).map(Link::from_linktype);
        let link = others.find(|link| self.learn(*link))?;
        self.senseless.retain(|l| LINKS.contains(l) || *l == link);
        Some(self)
    }

    /// Compiles the expression for one link type more, once; whether it has a meaning there. May
    /// ask the resolver, so nothing for every frame: see [`judge`](Self::judge).
    #[cold]
    pub fn learn(&mut self, link: Link) -> bool {
        let link = seen_as(link);
        if self.knows(link) || self.senseless.contains(&link) {
            return self.knows(link);
        }
        if self.programs.len().saturating_add(self.senseless.len()) < LEARNT_MAX
            && let Ok(program) = program(&self.text, link)
        {
            self.programs.push((link, program));
            return true;
        }
        if self.senseless.len() < LEARNT_MAX {
            self.senseless.push(link);
        }
        false
    }

    /// The expression.
    pub fn expression(&self) -> &str {
        &self.text
    }

    /// Whether everything matches, so that nobody need ask.
    #[inline]
    pub fn is_all(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether the filter can tell about frames of this link type.
    pub fn knows(&self, link: Link) -> bool {
        self.is_all() || self.program(seen_as(link)).is_some()
    }

    /// Fields a record must have for [`matches_record`](Self::matches_record) to tell right: all
    /// of the headers, because a tag or label that is there decides where the rest is.
    pub fn needs(&self) -> FieldSet {
        match self.is_all() {
            true => FieldSet::EMPTY,
            false => NEEDS,
        }
    }

    /// Bytes it takes once it has met all link types that weir decodes.
    pub fn size(&self) -> usize {
        let programs = self.programs.iter().map(|(_, program)| program.size());
        let most = programs.max().unwrap_or_default();
        size_of::<Self>() + self.text.len() + most * LINKS.len().max(self.programs.len())
    }

    #[inline]
    fn program(&self, link: Link) -> Option<&Program> {
        self.programs
            .iter()
            .find(|(l, _)| *l == link)
            .map(|(_, p)| p)
    }

    /// Whether captured bytes of the link type given to [`compile`](Self::compile) match.
    /// `wire_len` is the length on the wire, which `len`, `greater` and `less` mean.
    #[inline]
    pub fn matches(&self, bytes: &[u8], wire_len: u32) -> bool {
        match self.programs.first() {
            Some((_, program)) => program.run(bytes, wire_len) != 0,
            None => true,
        }
    }

    /// Whether a frame matches, by its own link type; nothing when the filter has to
    /// [`learn`](Self::learn) that one first. A datagram matches, since it is the records within
    /// that are to be asked.
    #[inline]
    pub fn judge(&self, frame: &Frame<'_>) -> Option<bool> {
        if self.is_all() || frame.link == Link::Datagram {
            return Some(true);
        }
        match self.program(frame.link) {
            Some(program) => Some(program.run(frame.bytes, frame.wire_len) != 0),
            None if self.gives_up(frame.link) => Some(false),
            None => None,
        }
    }

    /// Whether there is nothing to learn about this link type.
    #[cold]
    fn gives_up(&self, link: Link) -> bool {
        self.senseless.contains(&link) || self.senseless.len() >= LEARNT_MAX
    }

    /// Whether a frame matches, by its own link type. A link type the expression was not or
    /// could not be compiled for does not match.
    #[inline]
    pub fn matches_frame(&self, frame: &Frame<'_>) -> bool {
        self.judge(frame).unwrap_or(false)
    }

    /// Whether the frame that the record tells of matches: its headers as far as the record has
    /// them, and the mean length of its packets. Wants [`needs`](Self::needs) decoded.
    #[inline]
    pub fn matches_record(&self, record: &FlowRecord) -> bool {
        if self.is_all() {
            return true;
        }
        let Some(program) = self.program(Link::Ethernet) else {
            return false;
        };
        let frame = header::Headers::of(record);
        program.run(frame.bytes(), frame.wire_len()) != 0
    }
}

#[cfg(test)]
mod test;
