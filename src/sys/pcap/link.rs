//! libpcap linked into the program, for static binaries and for those who want no surprise.

#[cfg(test)]
use super::pcap::Insn;
use super::pcap::{Api, Handle, RawProgram};
use std::ffi::{c_char, c_int};

#[link(name = "pcap")]
unsafe extern "C" {
    fn pcap_open_dead(dlt: c_int, snaplen: c_int) -> *mut Handle;
    fn pcap_fopen_offline(file: *mut libc::FILE, error: *mut c_char) -> *mut Handle;
    fn pcap_compile(
        handle: *mut Handle,
        program: *mut RawProgram,
        text: *const c_char,
        optimize: c_int,
        netmask: u32,
    ) -> c_int;
    fn pcap_freecode(program: *mut RawProgram);
    fn pcap_geterr(handle: *mut Handle) -> *mut c_char;
    fn pcap_close(handle: *mut Handle);
    #[cfg(test)]
    fn bpf_filter(insns: *const Insn, bytes: *const u8, wire_len: u32, len: u32) -> u32;
}

/// The functions, which are always there.
pub(super) fn api() -> Result<Api, String> {
    Ok(Api {
        open_dead: pcap_open_dead,
        open_file: pcap_fopen_offline,
        compile: pcap_compile,
        freecode: pcap_freecode,
        geterr: pcap_geterr,
        close: pcap_close,
        #[cfg(test)]
        filter: bpf_filter,
    })
}
