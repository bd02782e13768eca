//! A section of a pcapng file, on its way through a [`super::savefile`] buffer: its interfaces,
//! their clocks and drops, its frames. Not for the section's own header, which changes the byte
//! order of all that follows and so belongs to whoever holds the buffer.
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::arithmetic_side_effects, clippy::panic)]

use super::savefile::{BUFFER, BURST, MAX_CLAIM, MAX_FRAME, MAX_INTERFACES, Step, Stop};
use super::{Frame, Link, Peer};
use crate::base::time::Nanos;
use crate::wire::{Error, pcapng};

/// What a section of a pcapng file has said so far.
#[derive(Default)]
pub(super) struct Section {
    /// Byte order of its numbers.
    pub(super) big: bool,
    interfaces: Vec<Interface>,
    /// What interfaces of earlier sections dropped.
    dropped: u64,
}

struct Interface {
    link: Link,
    snaplen: u32,
    clock: pcapng::Clock,
    /// Drops as the packets tell them, and as the statistics do: the same ones, counted twice.
    lost: u64,
    dropped: u64,
}

impl Section {
    /// Packets that all interfaces say were dropped.
    pub(super) fn drops(&self) -> u64 {
        let of = |i: &Interface| i.lost.max(i.dropped);
        self.interfaces
            .iter()
            .map(of)
            .fold(self.dropped, u64::saturating_add)
    }

    /// Begins anew, in the byte order given.
    pub(super) fn begin(&mut self, big: bool) {
        self.dropped = self.drops();
        self.interfaces.clear();
        self.big = big;
    }

    /// Hands out the frames of a pcapng file that are wholly in `window`.
    pub(super) fn frames<const BIG: bool>(
        &mut self,
        window: &[u8],
        to: &mut dyn FnMut(&Frame<'_>),
    ) -> Step {
        let link = Link::Other(u16::MAX);
        let mut frame = Frame {
            bytes: &[],
            wire_len: 0,
            link,
            time: Nanos(0),
            from: Peer::NONE,
        };
        let (mut rest, mut frames) = (window, 0u32);
        let stop = loop {
            if frames == BURST {
                break Stop::Full;
            }
            let (kind, len) = match pcapng::head::<BIG>(rest) {
                Ok(head) => head,
                // The length of a section header may stand in the other byte order.
                Err(_) if rest.starts_with(&pcapng::SECTION.to_be_bytes()) => break Stop::Section,
                Err(Error::Truncated) => break Stop::Short,
                Err(_) => break Stop::Bad("damaged: a block whose length makes no sense".into()),
            };
            if kind == pcapng::SECTION {
                break Stop::Section;
            }
            let Some((block, next)) = rest.split_at_checked(len as usize) else {
                break if len as usize <= BUFFER {
                    Stop::Short
                } else {
                    long_block(kind, len)
                };
            };
            let Ok(body) = pcapng::body::<BIG>(block, len) else {
                break Stop::Bad("damaged: a block whose two lengths differ".into());
            };
            // The usual block has a way of its own, so that the others do not slow it down.
            if kind == pcapng::ENHANCED {
                let Ok(packet) = pcapng::enhanced::<BIG>(body) else {
                    break too_short(kind);
                };
                self.fill_in(&mut frame, packet);
            } else {
                match self.other::<BIG>(kind, body) {
                    Ok(Some(packet)) => self.fill_in(&mut frame, packet),
                    Ok(None) => {
                        rest = next;
                        continue;
                    }
                    Err(Error::Count) => {
                        break Stop::Bad(format!("more than {MAX_INTERFACES} interfaces"));
                    }
                    Err(_) => break too_short(kind),
                }
                if kind == pcapng::SIMPLE {
                    frame.time = Nanos(0);
                }
            }
            if frame.bytes.len() > MAX_FRAME {
                break Stop::Oversize(u64::from(len));
            }
            to(&frame);
            frames = frames.wrapping_add(1);
            rest = next;
        };
        Step {
            used: window.len().saturating_sub(rest.len()),
            frames,
            stop,
        }
    }

    #[inline(always)]
    fn fill_in<'a>(&mut self, frame: &mut Frame<'a>, p: pcapng::Packet<'a>) {
        match self.interfaces.get(p.iface as usize) {
            Some(i) => {
                frame.link = i.link;
                frame.time = i.clock.nanos(p.ticks);
            }
            None => {
                frame.link = Link::Other(u16::MAX);
                frame.time = pcapng::Clock::new(6, 0).nanos(p.ticks);
            }
        }
        frame.bytes = p.bytes.unwrap_or(&[]);
        frame.wire_len = p.wire_len.max(frame.bytes.len() as u32);
        frame.from.iface = p.iface.saturating_add(1);
    }

    /// A block that is no enhanced packet block: takes note of it, or gives its packet.
    #[inline(never)]
    fn other<'a, const BIG: bool>(
        &mut self,
        kind: u32,
        body: &'a [u8],
    ) -> Result<Option<pcapng::Packet<'a>>, Error> {
        match kind {
            pcapng::INTERFACE => {
                let i = pcapng::interface::<BIG>(body)?;
                if self.interfaces.len() >= MAX_INTERFACES {
                    return Err(Error::Count);
                }
                let link = Link::from_linktype(i.linktype);
                let (snaplen, clock) = (i.snaplen, i.clock);
                self.interfaces.push(Interface {
                    link,
                    snaplen,
                    clock,
                    lost: 0,
                    dropped: 0,
                });
                Ok(None)
            }
            pcapng::SIMPLE => {
                let snaplen = self.interfaces.first().map_or(0, |i| i.snaplen);
                let packet = pcapng::simple::<BIG>(body, snaplen)?;
                Ok(Some(packet))
            }
            pcapng::OBSOLETE => {
                let packet = pcapng::obsolete::<BIG>(body)?;
                if let Some(i) = self.interfaces.get_mut(packet.iface as usize) {
                    i.lost = i.lost.saturating_add(u64::from(packet.lost));
                }
                Ok(Some(packet))
            }
            pcapng::STATISTICS => {
                let (iface, dropped) = pcapng::statistics::<BIG>(body)?;
                if let Some(i) = self.interfaces.get_mut(iface as usize) {
                    // They count since the capture began: the latest block has it all.
                    i.dropped = dropped.unwrap_or(i.dropped);
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }
}

#[cold]
fn too_short(kind: u32) -> Stop {
    Stop::Bad(format!("damaged: a block of type {kind} too short"))
}

/// A block that the buffer cannot hold.
#[cold]
fn long_block(kind: u32, len: u32) -> Stop {
    match kind {
        pcapng::ENHANCED | pcapng::SIMPLE | pcapng::OBSOLETE if len <= MAX_CLAIM => {
            Stop::Oversize(u64::from(len))
        }
        pcapng::ENHANCED | pcapng::SIMPLE | pcapng::OBSOLETE => {
            Stop::Bad(format!("damaged: a packet block of {len} bytes"))
        }
        pcapng::INTERFACE => Stop::Bad(format!(
            "an interface description of {len} bytes, more than {BUFFER},"
        )),
        _ => Stop::Skip(u64::from(len)),
    }
}
