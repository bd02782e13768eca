//! libpcap found at run time, so that a build needs no libpcap and a machine only where filters
//! are configured.

#[cfg(test)]
use super::pcap::Run;
use super::pcap::{Api, Close, Compile, FreeCode, GetErr, OpenDead, OpenFile};
use std::ffi::{CStr, c_void};
use std::mem::transmute;
use std::sync::OnceLock;

/// Names by system: Linux distributions and OpenWrt, Debian's own, whoever has the development
/// files or a BSD, macOS.
const NAMES: [&CStr; 5] = [
    c"libpcap.so.1",
    c"libpcap.so.0.8",
    c"libpcap.so",
    c"libpcap.A.dylib",
    c"libpcap.dylib",
];

/// The functions, looked for once; the library stays loaded.
pub(super) fn api() -> Result<Api, String> {
    static API: OnceLock<Result<Api, String>> = OnceLock::new();
    API.get_or_init(load).clone()
}

fn load() -> Result<Api, String> {
    let mut why = String::new();
    for name in NAMES {
        // SAFETY: the name ends with NUL. libpcap's initialisers do nothing that could disturb.
        let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if !library.is_null() {
            // SAFETY: the handle was just opened and is never closed.
            return unsafe { resolve(library) };
        }
        if why.is_empty() {
            why = last_error();
        }
    }
    Err(format!(
        "filter expressions need libpcap, which can not be loaded ({why}): `apt install \
         libpcap0.8`, `opkg install libpcap`, or build with the feature rule-filter-static"
    ))
}

/// The functions in an open library.
///
/// # Safety
/// `library` must be libpcap, open, and stay open.
unsafe fn resolve(library: *mut c_void) -> Result<Api, String> {
    let find = |name: &CStr| {
        // SAFETY: the library is open and the name ends with NUL.
        let address = unsafe { libc::dlsym(library, name.as_ptr()) };
        if address.is_null() {
            let name = name.to_string_lossy();
            return Err(format!(
                "the libpcap found here has no {name}: install a newer one"
            ));
        }
        Ok(address)
    };
    // SAFETY: these are libpcap's functions of these names, with the types its manual gives.
    unsafe {
        Ok(Api {
            open_dead: transmute::<*mut c_void, OpenDead>(find(c"pcap_open_dead")?),
            open_file: transmute::<*mut c_void, OpenFile>(find(c"pcap_fopen_offline")?),
            compile: transmute::<*mut c_void, Compile>(find(c"pcap_compile")?),
            freecode: transmute::<*mut c_void, FreeCode>(find(c"pcap_freecode")?),
            geterr: transmute::<*mut c_void, GetErr>(find(c"pcap_geterr")?),
            close: transmute::<*mut c_void, Close>(find(c"pcap_close")?),
            #[cfg(test)]
            filter: transmute::<*mut c_void, Run>(find(c"bpf_filter")?),
        })
    }
}

/// What the loader says about the last failure.
fn last_error() -> String {
    // SAFETY: the text, where there is one, is valid until the next call of the loader.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "no reason given".into();
    }
    // SAFETY: not null, ends with NUL.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}
