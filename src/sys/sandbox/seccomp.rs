//! seccomp: which system calls a thread and all that it starts may still make.
//!
//! The filter refuses what weir never does, rather than listing what it does: that list would be
//! one for each processor, C library and database, and a call that is missing in it a defect on
//! somebody's router. A refused call fails with EPERM.

use super::Allowed;
use crate::sys::{check, rights};
use std::io;

/// Numbers of the machine in `seccomp_data.arch` (`EM_…`), for processors whose system calls the
/// filter was written for.
const MACHINE: Option<u32> = if cfg!(target_arch = "x86_64") {
    Some(62)
} else if cfg!(target_arch = "x86") {
    Some(3)
} else if cfg!(target_arch = "arm") {
    Some(40)
} else if cfg!(target_arch = "aarch64") {
    Some(183)
} else if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
    Some(8)
} else if cfg!(target_arch = "powerpc") {
    Some(20)
} else if cfg!(target_arch = "powerpc64") {
    Some(21)
} else if cfg!(any(target_arch = "riscv32", target_arch = "riscv64")) {
    Some(243)
} else {
    None
};

/// Width and byte order, as they are added to the machine's number (`__AUDIT_ARCH_…`).
const WIDTH: u32 = if cfg!(target_pointer_width = "64") {
    0x8000_0000
} else {
    0
};
const ORDER: u32 = if cfg!(target_endian = "little") {
    0x4000_0000
} else {
    0
};

/// What weir never does, whatever is configured: other processes, mounts and namespaces, kernel
/// modules and programs in the kernel, keys, io_uring, the machine as a whole.
const NEVER: &[libc::c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fsconfig,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_open_by_handle_at,
    libc::SYS_personality,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_kexec_file_load,
    #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
    libc::SYS_iopl,
    #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
    libc::SYS_ioperm,
    #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
    libc::SYS_modify_ldt,
];

/// New namespaces among the flags of `clone`.
const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;

/// Offsets in `struct seccomp_data`: number, machine, the lower half of the first argument.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const FIRST: u32 = if cfg!(target_endian = "little") {
    16
} else {
    20
};

/// Calls of the x32 interface begin here on x86-64; nobody has a use for it.
const X32: u32 = 0x4000_0000;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
/// A call whose flags lie in memory can not be judged: C libraries take `clone` when it is absent.
const MISSING: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

fn step(code: u16, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

/// Families of sockets that weir has a use for: its own, addresses and interfaces of the system.
fn families(allowed: &Allowed) -> Vec<u32> {
    let families = [
        libc::AF_UNIX,
        libc::AF_INET,
        libc::AF_INET6,
        libc::AF_NETLINK,
    ];
    let packets = allowed.packets.then_some(libc::AF_PACKET);
    let all = families.into_iter().chain(packets);
    all.map(|family| family as u32).collect()
}

/// The filter, for this machine.
fn program(machine: u32, allowed: &Allowed) -> Vec<libc::sock_filter> {
    let mut program = vec![
        step(LOAD, ARCH, 0, 0),
        step(EQUAL, machine, 1, 0),
        step(RETURN, REFUSE, 0, 0),
        step(LOAD, NUMBER, 0, 0),
    ];
    if cfg!(target_arch = "x86_64") {
        program.push(step(AT_LEAST, X32, 0, 1));
        program.push(step(RETURN, REFUSE, 0, 0));
    }
    // The call that opens a socket is judged by its family, and nothing else of it.
    let families = families(allowed);
    let all = families.len() as u8;
    program.push(step(EQUAL, libc::SYS_socket as u32, 0, all + 3));
    program.push(step(LOAD, FIRST, 0, 0));
    for (at, family) in (0..all).zip(families) {
        program.push(step(EQUAL, family, all - at, 0));
    }
    program.push(step(RETURN, REFUSE, 0, 0));
    program.push(step(RETURN, ALLOW, 0, 0));
    program.push(step(EQUAL, libc::SYS_clone as u32, 0, 4));
    program.push(step(LOAD, FIRST, 0, 0));
    program.push(step(ANY_BIT, NAMESPACES, 0, 1));
    program.push(step(RETURN, REFUSE, 0, 0));
    program.push(step(RETURN, ALLOW, 0, 0));
    program.push(step(EQUAL, libc::SYS_clone3 as u32, 0, 1));
    program.push(step(RETURN, MISSING, 0, 0));
    let start: &[libc::c_long] = if allowed.programs {
        &[]
    } else {
        &[libc::SYS_execve, libc::SYS_execveat]
    };
    let refused: Vec<u32> = NEVER.iter().chain(start).map(|n| *n as u32).collect();
    let count = refused.len() as u8;
    for (at, number) in (0..count).zip(refused) {
        program.push(step(EQUAL, number, count - at, 0));
    }
    program.push(step(RETURN, ALLOW, 0, 0));
    program.push(step(RETURN, REFUSE, 0, 0));
    program
}

/// Takes all system calls from this thread that weir has no use for. Says what is in force.
///
/// # Errors
/// `Unsupported` where the kernel has no filters, or nobody knows this processor's.
pub fn limit_calls(allowed: &Allowed) -> io::Result<String> {
    let unsupported = |why: &str| io::Error::new(io::ErrorKind::Unsupported, why);
    let machine = MACHINE.ok_or_else(|| unsupported("no filter for this processor"))?;
    let mut program = program(machine | WIDTH | ORDER, allowed);
    let filter = libc::sock_fprog {
        len: program.len() as libc::c_ushort,
        filter: program.as_mut_ptr(),
    };
    rights::no_more()?;
    // By prctl and not seccomp: the same, and kernels before 3.17 know it too.
    let mode = libc::SECCOMP_MODE_FILTER as libc::c_ulong;
    // SAFETY: the kernel copies the program, which is as long as is said.
    let set = check(unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const filter) });
    match set {
        Ok(_) => {}
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {
            return Err(unsupported("the kernel has no filters of system calls"));
        }
        Err(e) => return Err(e),
    }
    let count = NEVER.len();
    let programs = if allowed.programs {
        ""
    } else {
        ", starting programs"
    };
    // There, one call with its arguments in memory can stand for that of sockets.
    let lacks = if cfg!(any(target_arch = "x86", target_arch = "powerpc")) {
        "; lacks families behind `socketcall`"
    } else {
        ""
    };
    Ok(format!(
        "refuses {count} calls{programs}, sockets of other families{lacks}"
    ))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Runs the filter as the kernel would.
    fn judge(program: &[libc::sock_filter], data: [u32; 16]) -> u32 {
        let (mut at, mut a) = (0, 0);
        loop {
            let s = program[at];
            at += 1;
            let jump = |yes: bool| usize::from(if yes { s.jt } else { s.jf });
            match s.code {
                LOAD => a = data[s.k as usize / 4],
                EQUAL => at += jump(a == s.k),
                AT_LEAST => at += jump(a >= s.k),
                ANY_BIT => at += jump(a & s.k != 0),
                RETURN => return s.k,
                other => panic!("instruction {other}"),
            }
        }
    }

    fn asked(allowed: &Allowed, machine: u32, call: libc::c_long, first: i32) -> u32 {
        let mut data = [0; 16];
        data[0] = call as u32;
        data[1] = machine;
        data[FIRST as usize / 4] = first as u32;
        judge(&program(7, allowed), data)
    }

    #[test]
    fn every_path_through_the_filter_ends_as_it_says() {
        let none = Allowed::default();
        let all = Allowed {
            programs: true,
            packets: true,
            ..Allowed::default()
        };
        for allowed in [&none, &all] {
            for call in NEVER {
                assert_eq!(asked(allowed, 7, *call, 0), REFUSE, "{call}");
            }
            let daily = [
                libc::SYS_read,
                libc::SYS_openat,
                libc::SYS_close,
                libc::SYS_futex,
                libc::SYS_renameat2,
                libc::SYS_exit_group,
            ];
            for call in daily {
                assert_eq!(asked(allowed, 7, call, 0), ALLOW, "{call}");
                assert_eq!(asked(allowed, 8, call, 0), REFUSE, "another machine's");
            }
            for family in [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6] {
                assert_eq!(asked(allowed, 7, libc::SYS_socket, family), ALLOW);
            }
            for family in [libc::AF_VSOCK, libc::AF_ALG, libc::AF_BLUETOOTH, -1] {
                assert_eq!(asked(allowed, 7, libc::SYS_socket, family), REFUSE);
            }
            assert_eq!(asked(allowed, 7, libc::SYS_clone3, 0), MISSING);
            let thread = libc::CLONE_VM | libc::CLONE_THREAD;
            assert_eq!(asked(allowed, 7, libc::SYS_clone, thread), ALLOW);
            let user = thread | libc::CLONE_NEWUSER;
            assert_eq!(asked(allowed, 7, libc::SYS_clone, user), REFUSE);
        }
        for (allowed, as_said) in [(&none, REFUSE), (&all, ALLOW)] {
            let packet = asked(allowed, 7, libc::SYS_socket, libc::AF_PACKET);
            assert_eq!(packet, as_said);
            for call in [libc::SYS_execve, libc::SYS_execveat] {
                assert_eq!(asked(allowed, 7, call, 0), as_said);
            }
        }
    }
}
