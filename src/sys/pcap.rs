//! libpcap's filter compiler: an expression in, instructions of classic BPF out.
//!
//! Not for capturing, and not for running filters: `rule::bpf` does that without C code. Whether
//! libpcap is linked, looked for at run time or left out is decided by the features of the build
//! (`sys/mod.rs`). No structure used here contains a `timeval`, so the layouts hold on every
//! target, 32-bit musl included.

use super::libpcap;
use std::ffi::{CStr, CString, c_char, c_int, c_uint};
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// One instruction of classic BPF (`struct bpf_insn`), numbers in native order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Insn {
    /// Class, size, mode and operation.
    pub code: u16,
    /// Instructions to skip when a condition holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

/// `pcap_t`, which only libpcap looks into.
#[repr(C)]
pub(super) struct Handle {
    opaque: [u8; 0],
}

/// `struct bpf_program`.
#[repr(C)]
pub(super) struct RawProgram {
    len: c_uint,
    insns: *mut Insn,
}

const _: () = assert!(size_of::<Insn>() == 8);
const _: () = assert!(size_of::<RawProgram>() == 2 * size_of::<*mut Insn>());

pub(super) type OpenDead = unsafe extern "C" fn(c_int, c_int) -> *mut Handle;
pub(super) type OpenFile = unsafe extern "C" fn(*mut libc::FILE, *mut c_char) -> *mut Handle;
pub(super) type Compile =
    unsafe extern "C" fn(*mut Handle, *mut RawProgram, *const c_char, c_int, u32) -> c_int;
pub(super) type FreeCode = unsafe extern "C" fn(*mut RawProgram);
pub(super) type GetErr = unsafe extern "C" fn(*mut Handle) -> *mut c_char;
pub(super) type Close = unsafe extern "C" fn(*mut Handle);
#[cfg(test)]
pub(super) type Run = unsafe extern "C" fn(*const Insn, *const u8, c_uint, c_uint) -> c_uint;

/// The functions of libpcap that are used.
#[derive(Clone, Copy)]
pub(super) struct Api {
    pub open_dead: OpenDead,
    pub open_file: OpenFile,
    pub compile: Compile,
    pub freecode: FreeCode,
    pub geterr: GetErr,
    pub close: Close,
    /// `bpf_filter`, the interpreter inside `pcap_offline_filter`: for tests to compare with.
    #[cfg(test)]
    pub filter: Run,
}

/// Why there are no instructions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompileError {
    /// There is no libpcap to ask; the text says what to install or build.
    Missing(String),
    /// libpcap's own words about the expression.
    Expression(String),
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(why) | Self::Expression(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for CompileError {}

/// Which bits are the network's is not known of a frame in a file, so `ip broadcast` means the
/// addresses of all ones and all zeros, as it does where others filter savefiles.
const NETMASK: u32 = 0;
/// Bytes of a packet an accepting program asks for; any number but zero means "accept".
const SNAPLEN: c_int = 262_144;

/// Room that libpcap wants for its words.
const PCAP_ERRBUF_SIZE: usize = 256;

/// Longest expression, in bytes. libpcap takes time by the square of the length and more, with
/// its optimiser and without, and an expression is compiled for several link types: 8 kB of
/// addresses take half a second for each, 40 kB minutes and hundreds of megabytes. Ports one by
/// one are worse (200 take five seconds); `portrange` is the way to say those.
pub const EXPRESSION_MAX: usize = 8192;

/// Versions of libpcap before 1.8 keep the state of the parser in globals, and every version may
/// ask the resolver: one expression at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Says why expressions can not be compiled, if they can not.
///
/// # Errors
/// [`CompileError::Missing`].
pub fn available() -> Result<(), CompileError> {
    libpcap::api().map(|_| ()).map_err(CompileError::Missing)
}

/// The optimised program for `expression` on frames of link type `dlt`, a number of libpcap's
/// `DLT_` list. May ask the resolver when the expression contains names of hosts.
///
/// # Errors
/// libpcap is missing or does not accept the expression.
pub fn compile(expression: &str, dlt: c_int) -> Result<Vec<Insn>, CompileError> {
    let api = libpcap::api().map_err(CompileError::Missing)?;
    // SAFETY: no pointers are passed; null is handled.
    compile_by(&api, expression, || unsafe {
        (api.open_dead)(dlt, SNAPLEN)
    })
}

/// As [`compile`], for frames of a savefile in this machine's byte order, by the number of the
/// `LINKTYPE_` list. For the loopback types that is not the same: what stands for IPv6 there
/// depends on the system that wrote the file, and libpcap then takes all such numbers.
///
/// # Errors
/// As [`compile`].
pub fn compile_saved(expression: &str, linktype: u16) -> Result<Vec<Insn>, CompileError> {
    let api = libpcap::api().map_err(CompileError::Missing)?;
    let words = [0xa1b2_c3d4, 0, 0, 0, SNAPLEN as u32, u32::from(linktype)];
    let mut header = [0; 24];
    for (to, word) in header.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_ne_bytes());
    }
    header[4..6].copy_from_slice(&2u16.to_ne_bytes());
    header[6..8].copy_from_slice(&4u16.to_ne_bytes());
    // The header outlives the handle, which is closed when this returns.
    compile_by(&api, expression, || open_saved(&api, &mut header))
}

/// Opens a savefile of no frames; null when there is no memory. `header` must outlive the handle.
fn open_saved(api: &Api, header: &mut [u8; 24]) -> *mut Handle {
    let mut why = [0 as c_char; PCAP_ERRBUF_SIZE];
    // SAFETY: the stream reads `header`, which the caller keeps; libpcap closes the stream with
    // the handle, and leaves it open when it gives none.
    unsafe {
        let file = libc::fmemopen(header.as_mut_ptr().cast(), header.len(), c"rb".as_ptr());
        if file.is_null() {
            return std::ptr::null_mut();
        }
        let handle = (api.open_file)(file, why.as_mut_ptr());
        if handle.is_null() {
            libc::fclose(file);
        }
        handle
    }
}

/// Compiles with the handle that `open` gives, and closes it.
fn compile_by(
    api: &Api,
    expression: &str,
    open: impl FnOnce() -> *mut Handle,
) -> Result<Vec<Insn>, CompileError> {
    if expression.len() > EXPRESSION_MAX {
        let message = format!("the expression has more than {EXPRESSION_MAX} bytes");
        return Err(CompileError::Expression(message));
    }
    let text = CString::new(expression)
        .map_err(|_| CompileError::Expression("the expression contains a NUL byte".into()))?;
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let handle = open();
    if handle.is_null() {
        return Err(CompileError::Expression("libpcap is out of memory".into()));
    }
    let mut raw = RawProgram {
        len: 0,
        insns: std::ptr::null_mut(),
    };
    // SAFETY: the handle is open, `raw` and `text` live until the call returns.
    let code = unsafe { (api.compile)(handle, &mut raw, text.as_ptr(), 1, NETMASK) };
    let result = if code == 0 {
        // SAFETY: libpcap filled `raw`: `len` instructions at `insns`.
        let program = unsafe { copy(&raw) };
        // SAFETY: filled by `compile`, freed once.
        unsafe { (api.freecode)(&mut raw) };
        Ok(program)
    } else {
        // SAFETY: the text lies in the open handle and ends with NUL.
        let message = unsafe { CStr::from_ptr((api.geterr)(handle)) };
        Err(CompileError::Expression(
            message.to_string_lossy().into_owned(),
        ))
    };
    // SAFETY: opened above, closed once; nothing of it is used from here on.
    unsafe { (api.close)(handle) };
    result
}

/// Copies the instructions out.
///
/// # Safety
/// `insns` must point to `len` instructions, or be null.
unsafe fn copy(raw: &RawProgram) -> Vec<Insn> {
    if raw.insns.is_null() {
        return Vec::new();
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(raw.insns, raw.len as usize) }.to_vec()
}

/// What libpcap's own interpreter returns for a program, for tests to compare with. The program
/// must be valid: this is C code that checks no jump.
#[cfg(test)]
pub fn oracle(program: &[Insn], bytes: &[u8], wire_len: u32) -> Result<u32, CompileError> {
    let api = libpcap::api().map_err(CompileError::Missing)?;
    // SAFETY: the program is valid and ends in RET, the length is that of `bytes`.
    Ok(unsafe {
        (api.filter)(
            program.as_ptr(),
            bytes.as_ptr(),
            wire_len,
            bytes.len() as c_uint,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETHERNET: c_int = 1;

    #[test]
    fn an_expression_becomes_instructions_or_a_message() {
        if let Err(missing) = available() {
            assert_eq!(compile("tcp", ETHERNET), Err(missing.clone()));
            assert!(missing.to_string().contains("libpcap"));
            return;
        }
        let program = compile("ip", ETHERNET).unwrap();
        // ldh [12]; jeq #0x800, accept, reject; ret; ret
        let load = Insn {
            code: 0x28,
            jt: 0,
            jf: 0,
            k: 12,
        };
        let test = Insn {
            code: 0x15,
            jt: 0,
            jf: 1,
            k: 0x800,
        };
        assert_eq!(program[..2], [load, test]);
        assert_eq!(program.len(), 4);
        assert!(matches!(
            compile("tcp and and", ETHERNET),
            Err(CompileError::Expression(_))
        ));
        assert!(matches!(
            compile("a\0b", ETHERNET),
            Err(CompileError::Expression(_))
        ));
    }

    #[test]
    fn long_expressions_take_no_minutes_and_longer_ones_are_refused() {
        if available().is_err() {
            return;
        }
        let terms = |n| {
            let term = |i| format!("src host 10.0.{}.{} and dst port {i}", i / 256, i % 256);
            (0..n).map(term).collect::<Vec<_>>().join(" or ")
        };
        let begun = std::time::Instant::now();
        assert!(terms(180).len() < EXPRESSION_MAX);
        assert!(compile(&terms(180), ETHERNET).is_ok());
        assert!(begun.elapsed().as_secs() < 10);
        let refused = compile(&terms(400), ETHERNET);
        assert!(matches!(refused, Err(CompileError::Expression(_))));
        assert!(begun.elapsed().as_secs() < 10);
    }

    #[test]
    fn many_threads_may_compile() {
        if available().is_err() {
            return;
        }
        std::thread::scope(|scope| {
            for port in 1..=8 {
                let expression = format!("tcp port {port} or vlan {port}");
                scope.spawn(move || {
                    let first = compile(&expression, ETHERNET).unwrap();
                    assert!((0..20).all(|_| compile(&expression, ETHERNET).as_ref() == Ok(&first)));
                });
            }
        });
    }
}
