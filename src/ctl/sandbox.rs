//! [`Sandbox`]: takes from the process what the configuration has no use for, before there is a
//! second thread, and knows later what is still let through.

use super::status::quote;
use crate::config::sandbox::{Need, Needs, existing};
use crate::config::{self, Config};
use crate::sys::rights::{self, Rights};
use crate::sys::sandbox::{Allowed, limit_calls, limit_paths};
use crate::sys::user;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is in force, for whoever asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confined {
    /// Name, or number, of the user that the process is; its number, and its group's.
    pub user: (String, u32, u32),
    /// What it may do beyond its user; none where that is not known.
    pub rights: Option<Rights>,
    /// Whether it can not get more by starting programs.
    pub no_new_privs: bool,
    /// What is refused of system calls; or why nothing is.
    pub seccomp: Result<String, String>,
    /// Which paths and ports are let through; or why all are.
    pub landlock: Result<String, String>,
}

impl Confined {
    /// In one line.
    pub fn line(&self) -> String {
        let on = |is: bool| if is { "on" } else { "off" };
        format!(
            "runs as {}; capabilities {}, no_new_privs {}, seccomp {}, landlock {}",
            self.user.0,
            self.capabilities(),
            on(self.no_new_privs),
            on(self.seccomp.is_ok()),
            on(self.landlock.is_ok())
        )
    }

    fn capabilities(&self) -> String {
        self.rights.map_or("unknown".into(), Rights::show)
    }

    /// As a part of the status.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn text(&self, to: &mut String) -> std::fmt::Result {
        let (name, uid, gid) = &self.user;
        writeln!(to, "\nsandbox")?;
        writeln!(to, "  user           {name} ({uid}, group {gid})")?;
        writeln!(to, "  capabilities   {}", self.capabilities())?;
        let no = if self.no_new_privs { "on" } else { "off" };
        writeln!(to, "  no_new_privs   {no}")?;
        for (name, state) in [("seccomp", &self.seccomp), ("landlock", &self.landlock)] {
            match state {
                Ok(what) => writeln!(to, "  {name:<14} on: {what}")?,
                Err(why) => writeln!(to, "  {name:<14} off: {why}")?,
            }
        }
        Ok(())
    }

    /// As a JSON object.
    pub fn json(&self) -> String {
        let (name, uid, gid) = &self.user;
        let state = |state: &Result<String, String>| {
            let (Ok(says) | Err(says)) = state;
            format!("{{\"on\":{},\"says\":{}}}", state.is_ok(), quote(says))
        };
        let (names, more) = self.rights.map(Rights::names).unwrap_or_default();
        let names: Vec<_> = names.into_iter().map(quote).collect();
        format!(
            "{{\"user\":{},\"uid\":{uid},\"gid\":{gid},\"capabilities\":[{}],\
             \"capabilities_more\":{more},\"no_new_privs\":{},\"seccomp\":{},\"landlock\":{}}}",
            quote(name),
            names.join(","),
            self.no_new_privs,
            state(&self.seccomp),
            state(&self.landlock),
        )
    }
}

/// What was taken from the process, and what is let through.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// For whoever asks.
    pub confined: Arc<Confined>,
    /// What is worth a line in the log, once there is one.
    pub notes: Vec<String>,
    allowed: Allowed,
    given_up: Rights,
}

/// Folders that C libraries, the calendar and libpcap read.
const SYSTEM: &[&str] = &[
    "/etc", "/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/proc", "/sys", "/dev",
];

impl Sandbox {
    /// Takes from the process what the configuration and `also` do not need: to be called before
    /// there is a second thread. Where something can not be taken, the status says so.
    ///
    /// # Errors
    /// When the user can not be changed, or with `"strict"`, something not be taken.
    pub fn enter(config: &Config, also: &[Need]) -> Result<Self, String> {
        let mut needs = Needs::of(config);
        needs.paths.extend_from_slice(also);
        let had = rights::permitted().unwrap_or_default();
        let strict = config.sandbox == config::Sandbox::Strict;
        // Commands have what their parent has, and what they do is not ours to know.
        let commands = needs.commands.clone().filter(|_| !strict);
        let mut notes = Vec::new();
        change_user(config, &needs, commands.is_none(), &mut notes)?;
        let allowed = allowed(&needs);
        let (mut seccomp, mut landlock) = match (&commands, config.sandbox) {
            (_, config::Sandbox::Off) => both("`sandbox` is false"),
            (Some(what), _) => both(&format!(
                "`{what}` runs commands, which would be confined as well; \"strict\" does that"
            )),
            (None, _) => {
                if let Err(e) = rights::no_more() {
                    notes.push(format!("no_new_privs: {e}"));
                }
                // In this order: the filter of calls could refuse those that limit paths.
                let paths = limit_paths(&allowed).map_err(|e| e.to_string());
                (limit_calls(&allowed).map_err(|e| e.to_string()), paths)
            }
        };
        for (what, state) in [("seccomp", &mut seccomp), ("landlock", &mut landlock)] {
            if let (true, Err(why)) = (strict, state) {
                return Err(format!("`sandbox` is \"strict\": no {what}: {why}"));
            }
        }
        let ((uid, gid), has) = (user::current(), rights::permitted().ok());
        if strict && uid == 0 {
            return Err(
                "`sandbox` is \"strict\", and weir runs as root: `user` names who else".into(),
            );
        }
        let name = user::name(uid).unwrap_or_else(|| uid.to_string());
        Ok(Self {
            confined: Arc::new(Confined {
                user: (name, uid, gid),
                rights: has,
                no_new_privs: rights::is_no_more(),
                seccomp,
                landlock,
            }),
            notes,
            allowed,
            given_up: had.without(has.unwrap_or_default()),
        })
    }

    /// What of a configuration's needs is not let through, a line for each.
    pub fn refuses(&self, needs: &Needs) -> Vec<String> {
        let mut all = Vec::new();
        if self.confined.landlock.is_ok() {
            self.refused_paths(needs, &mut all);
        }
        let mut refuse = |what: &Option<String>, is: bool, doing: &str| {
            if let Some(what) = what.as_ref().filter(|_| is) {
                all.push(format!("`{what}` {doing}"));
            }
        };
        let gave = |right: Rights| self.given_up.within(right) != Rights::NONE;
        let limited = self.confined.seccomp.is_ok() || self.confined.landlock.is_ok();
        let packets = limited && !self.allowed.packets;
        refuse(
            &needs.packets,
            packets || gave(Rights::PACKETS),
            "captures packets (CAP_NET_RAW)",
        );
        refuse(
            &needs.ports,
            gave(Rights::PORTS),
            "listens at a port below 1024 (CAP_NET_BIND_SERVICE)",
        );
        refuse(
            &needs.commands,
            limited && !self.allowed.programs,
            "runs commands",
        );
        let ports = self.confined.landlock.is_ok();
        refuse(
            &needs.connects,
            ports && !self.allowed.connects,
            "connects to others",
        );
        if let Some(port) = needs.listens.filter(|_| ports)
            && self.allowed.listens != Some(port)
        {
            all.push(format!("`http` serves at port {port}"));
        }
        all
    }

    fn refused_paths(&self, needs: &Needs, all: &mut Vec<String>) {
        let real = |path: &Path| {
            existing(path)
                .canonicalize()
                .unwrap_or_else(|_| path.into())
        };
        let lies = |path: &Path, folders: &[PathBuf]| {
            folders.iter().any(|folder| path.starts_with(real(folder)))
        };
        for need in &needs.paths {
            let path = real(&need.path);
            let may = lies(&path, &self.allowed.writes)
                || (!need.writes && lies(&path, &self.allowed.reads));
            if !may {
                let doing = if need.writes { "writes in" } else { "reads" };
                all.push(format!("`{}` {doing} {}", need.what, need.path.display()));
            }
        }
    }
}

fn both(why: &str) -> (Result<String, String>, Result<String, String>) {
    (Err(why.into()), Err(why.into()))
}

/// The capabilities that a configuration needs.
fn needed(needs: &Needs) -> Rights {
    let granted = || {
        let text = std::fs::read_to_string("/proc/sys/net/core/rmem_max");
        text.ok().and_then(|text| text.trim().parse::<u64>().ok())
    };
    let large = |bytes: u64| granted().is_none_or(|most| bytes > most);
    let mut rights = Rights::NONE;
    for (is, right) in [
        (needs.packets.is_some(), Rights::PACKETS),
        (needs.ports.is_some(), Rights::PORTS),
        (
            needs
                .buffer
                .as_ref()
                .is_some_and(|(_, bytes)| large(*bytes)),
            Rights::BUFFERS,
        ),
    ] {
        if is {
            rights = rights.with(right);
        }
    }
    rights
}

/// Becomes the configured user, and gives up the capabilities that nothing needs. `alone` when
/// there are no commands, which keep what their user can have.
fn change_user(
    config: &Config,
    needs: &Needs,
    alone: bool,
    notes: &mut Vec<String>,
) -> Result<(), String> {
    let (uid, _) = user::current();
    let had = rights::permitted().unwrap_or_default();
    let mut keep = needed(needs);
    let other = config.user.as_ref().filter(|account| account.uid != uid);
    let off = config.sandbox == config::Sandbox::Off;
    match other {
        Some(account) if uid == 0 => {
            if alone {
                bound(keep);
            }
            let told = |e| format!("can not become user {}: {e}", account.name);
            rights::keep().map_err(told)?;
            user::become_account(account).map_err(told)?;
        }
        Some(account) => notes.push(format!(
            "`user` is {}, which only root can become: weir goes on as {}",
            account.name,
            user::name(uid).unwrap_or_else(|| uid.to_string())
        )),
        None => {}
    }
    if off && (other.is_none() || uid != 0) {
        return Ok(());
    }
    if user::current().0 == 0 {
        // Root without these is kept out of other users' folders, which nobody expects.
        keep = keep.with(Rights::FILES);
        if alone {
            bound(keep);
        }
    }
    let keep = keep.within(had);
    let changed = user::current().0 != uid;
    match rights::hold(keep) {
        // What was kept over the change of the user is in force from here on only.
        Err(e) if changed => Err(format!("capabilities: {e}")),
        // A service manager may refuse the call; then what it gave is what there is.
        Err(e) if keep != had => {
            notes.push(format!("capabilities without use can not be given up: {e}"));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// In a container root may lack the right to do that; then what is not held can come back through
/// programs alone, and those are refused.
fn bound(rights: Rights) {
    let _ = rights::bound(rights);
}

/// What a configuration lets through.
fn allowed(needs: &Needs) -> Allowed {
    let mut reads: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    // Where these lead elsewhere; the second is often replaced, and then is another file.
    reads.extend(std::fs::canonicalize("/etc/localtime"));
    if needs.connects.is_some()
        && let Ok(file) = std::fs::canonicalize("/etc/resolv.conf")
    {
        reads.extend(file.parent().map(Path::to_path_buf));
    }
    let mut writes: Vec<PathBuf> = vec!["/dev/null".into()];
    for need in &needs.paths {
        let list = if need.writes { &mut writes } else { &mut reads };
        list.push(existing(&need.path));
    }
    for list in [&mut reads, &mut writes] {
        list.sort_unstable();
        list.dedup();
    }
    Allowed {
        reads,
        writes,
        programs: needs.commands.is_some(),
        packets: needs.packets.is_some(),
        listens: needs.listens,
        connects: needs.connects.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(what: &str, path: &str, writes: bool) -> Need {
        Need {
            what: what.into(),
            path: path.into(),
            writes,
        }
    }

    fn sandbox(needs: &Needs) -> Sandbox {
        Sandbox {
            confined: Arc::new(Confined {
                user: ("weir".into(), 990, 991),
                rights: Some(Rights::PACKETS),
                no_new_privs: true,
                seccomp: Ok("refuses".into()),
                landlock: Ok("version \"7\"".into()),
            }),
            notes: Vec::new(),
            allowed: allowed(needs),
            given_up: Rights::PORTS,
        }
    }

    #[test]
    fn what_was_not_needed_at_the_start_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        std::fs::create_dir(at("in")).unwrap();
        let mut needs = Needs::default();
        needs
            .paths
            .push(need("output.a.path", &at("in/folder"), true));
        let held = sandbox(&needs);
        assert_eq!(held.refuses(&needs), Vec::<String>::new());
        needs
            .paths
            .push(need("output.b.path", &at("in/other"), true));
        needs
            .paths
            .push(need("input.a.tags", "/etc/weir/maps", false));
        needs.paths.push(need("input.a.rd", &at("in"), false));
        assert_eq!(held.refuses(&needs), Vec::<String>::new());
        needs.paths.push(need("output.c.path", &at("out"), true));
        needs.paths.push(need("output.d.path", "/etc", true));
        needs.packets = Some("input.c.kind".into());
        needs.ports = Some("input.p.listen".into());
        needs.commands = Some("output.c.trigger".into());
        needs.connects = Some("output.e.kind".into());
        needs.listens = Some(9090);
        let told = held.refuses(&needs);
        let out = at("out");
        assert_eq!(
            told,
            [
                format!("`output.c.path` writes in {out}"),
                "`output.d.path` writes in /etc".into(),
                "`input.c.kind` captures packets (CAP_NET_RAW)".into(),
                "`input.p.listen` listens at a port below 1024 (CAP_NET_BIND_SERVICE)".into(),
                "`output.c.trigger` runs commands".into(),
                "`output.e.kind` connects to others".into(),
                "`http` serves at port 9090".into(),
            ]
        );
    }

    #[test]
    fn what_is_in_force_is_said_in_text_and_json() {
        let mut confined = (*sandbox(&Needs::default()).confined).clone();
        confined.landlock = Err("the kernel has no \"Landlock\"".into());
        let mut text = String::new();
        confined.text(&mut text).unwrap();
        for line in [
            "  user           weir (990, group 991)",
            "  capabilities   CAP_NET_RAW",
            "  no_new_privs   on",
            "  seccomp        on: refuses",
            "  landlock       off: the kernel has no \"Landlock\"",
        ] {
            assert!(text.lines().any(|l| l == line), "{text}");
        }
        let json = confined.json();
        for part in [
            "\"user\":\"weir\",\"uid\":990,\"gid\":991,\"capabilities\":[\"CAP_NET_RAW\"]",
            "\"no_new_privs\":true",
            "\"seccomp\":{\"on\":true,\"says\":\"refuses\"}",
            "\"landlock\":{\"on\":false,\"says\":\"the kernel has no \\\"Landlock\\\"\"}",
        ] {
            assert!(json.contains(part), "{json}");
        }
        assert!(confined.line().contains("seccomp on, landlock off"));
    }
}
