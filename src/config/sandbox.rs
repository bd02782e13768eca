//! `user`, `group`, `sandbox`, and what a configuration needs of the system, so that the rest can
//! be taken from the process.

use super::explain::quote;
use super::{Config, LogTo};
use crate::base::options::{Options, Raw};
use crate::sys::user::{self, Account};
use std::path::{Path, PathBuf};

/// How much is taken from the process once it has started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sandbox {
    /// Nothing.
    Off,
    /// What the kernel can take and the configuration does not need.
    #[default]
    On,
    /// The same, from commands too; what can not be taken keeps weir from starting.
    Strict,
}

impl Sandbox {
    /// As it is configured.
    fn show(self) -> &'static str {
        match self {
            Self::Off => "false",
            Self::On => "true",
            Self::Strict => "\"strict\"",
        }
    }
}

/// The settings as text.
pub(super) fn show(config: &Config, line: &mut dyn FnMut(&str, String)) {
    if let Some(user) = &config.user {
        line("user", quote(&user.name));
    }
    if let Some(group) = &config.group {
        line("group", quote(group));
    }
    line("sandbox", config.sandbox.show().into());
}

/// Takes `user`, `group` and `sandbox` from the top of the file.
pub(super) fn parse(top: &mut Options, config: &mut Config) {
    if let Some(name) = top.text("user").filter(|name| !name.is_empty()) {
        config.user = user::account(&name);
        if config.user.is_none() {
            let message = format!("`user` is {name:?}, which is not in /etc/passwd");
            top.wrong("user", message);
        }
    }
    if let Some(name) = top.text("group").filter(|name| !name.is_empty()) {
        match (&mut config.user, user::group(&name)) {
            (_, None) => {
                let message = format!("`group` is {name:?}, which is not in /etc/group");
                top.wrong("group", message);
            }
            (Some(user), Some(gid)) => {
                user.gid = gid;
                config.group = Some(name);
            }
            (None, _) if !top.has("user") => top.wrong("group", "`group` goes with `user`"),
            (None, _) => {}
        }
    }
    match top.raw("sandbox") {
        None => {}
        Some((Raw::Bool(on), _)) => config.sandbox = if on { Sandbox::On } else { Sandbox::Off },
        Some((Raw::Text(word), _)) => match word.as_str() {
            "strict" => config.sandbox = Sandbox::Strict,
            "1" | "true" | "on" | "yes" => config.sandbox = Sandbox::On,
            "0" | "false" | "off" | "no" => config.sandbox = Sandbox::Off,
            _ => top.wrong("sandbox", wrong(&Raw::Text(word))),
        },
        Some((other, _)) => top.wrong("sandbox", wrong(&other)),
    }
}

fn wrong(given: &Raw) -> String {
    let given = given.show();
    format!("`sandbox` is {given}; it takes true, false or \"strict\"")
}

/// A path that a configuration needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The setting, as messages call it: `output.day.path`.
    pub what: String,
    /// The folder, or the file where there is none to speak of: what is in force for it is in
    /// force for all that is below.
    pub path: PathBuf,
    /// Whether more than reading is done there.
    pub writes: bool,
}

/// What a configuration needs of the system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Files and folders.
    pub paths: Vec<Need>,
    /// The setting that captures frames.
    pub packets: Option<String>,
    /// Settings that listen at ports below 1024.
    pub ports: Option<String>,
    /// The setting with the largest receive buffer, and its bytes.
    pub buffer: Option<(String, u64)>,
    /// The setting that runs commands.
    pub commands: Option<String>,
    /// The setting that connects to other machines.
    pub connects: Option<String>,
    /// The TCP port that is served.
    pub listens: Option<u16>,
}

/// Settings of inputs and outputs that name what is written. All others whose values are paths are
/// read.
const WRITTEN: &[&str] = &["path", "latest", "socket"];

/// Settings whose values are paths, even where they do not begin like one.
const READ: &[&str] = &["file", "allow_file", "password_file", "schema"];

/// Kinds of outputs that stay on this machine.
const LOCAL: &[&str] = &["", "print", "file", "memory", "sqlite"];

/// Kinds of outputs whose schema is one of SQL.
const DATABASES: &[&str] = &["postgres", "mysql"];

impl Needs {
    /// Of a configuration.
    pub fn of(config: &Config) -> Self {
        let mut needs = Self::default();
        for (what, path) in [
            ("control", &config.control),
            ("templates", &config.templates),
        ] {
            if let Some(path) = path {
                needs.path(what.into(), path, true);
            }
        }
        if let LogTo::File(path) = &config.log.to {
            needs.path("log.file".into(), path, true);
        }
        for input in &config.inputs {
            needs.input(input);
        }
        for aggregate in &config.aggregates {
            let rules = &aggregate.rules;
            let only = super::rules::ONLY.iter().zip(&rules.only);
            let files = [("tags", &rules.tags), ("networks", &rules.networks)];
            for (key, file) in files
                .into_iter()
                .chain(only.map(|(key, file)| (*key, file)))
            {
                if let Some(file) = file {
                    let what = format!("aggregate.{}.{key}", aggregate.name);
                    needs.path(what, &file.path, false);
                }
            }
        }
        for output in &config.outputs {
            needs.output(output);
        }
        if let Some(port) = config.http.as_deref().and_then(port) {
            needs.listens = Some(port);
            needs.below_1024("http".into(), port);
        }
        needs
    }

    fn input(&mut self, input: &super::Input) {
        let what = |key: &str| format!("input.{}.{key}", input.name);
        let rules = &input.rules;
        for (key, file) in [
            ("tags", &rules.tags),
            ("sampling", &rules.sampling),
            ("rd", &rules.rd),
        ] {
            if let Some(file) = file {
                self.path(what(key), &file.path, false);
            }
        }
        let mut options = input.options.clone();
        if ["capture", "pcap"].contains(&input.kind.as_str()) {
            self.packets = Some(what("kind"));
        }
        if options.has("device") {
            // Before Linux 5.7, that took the right to capture.
            self.packets.get_or_insert(what("device"));
        }
        if let Some(bytes) = options.size("receive_buffer")
            && self.buffer.as_ref().is_none_or(|(_, most)| *most < bytes)
        {
            self.buffer = Some((what("receive_buffer"), bytes));
        }
        let listen = match options.raw("listen") {
            Some((Raw::Text(text), _)) => port(&text),
            Some((Raw::Number(n), _)) => u16::try_from(n).ok(),
            _ => None,
        };
        if let Some(port) = listen {
            self.below_1024(what("listen"), port);
        }
        // The socket of an input is one of the service manager's, by name.
        let given = input.options.given().filter(|(key, _)| *key != "socket");
        self.given(given, &what, &[]);
    }

    fn output(&mut self, output: &super::Output) {
        let what = |key: &str| format!("output.{}.{key}", output.name);
        if let Some(spool) = &output.spool {
            let inside = format!("{}/{}", spool.folder, output.name);
            self.path(what("spool"), &inside, true);
        }
        if output.options.has("trigger") {
            self.commands = Some(what("trigger"));
        }
        if output.kind == "sqlite" {
            self.temporary(what("path"));
        }
        if !LOCAL.contains(&output.kind.as_str()) {
            self.connects = Some(what("kind"));
        }
        // What is a schema of a database is read, and of Avro, written.
        let database = DATABASES.contains(&output.kind.as_str());
        let written: &[&str] = if database { &[] } else { &["schema"] };
        let given = output.options.given();
        let given = given.filter(|(key, _)| !["trigger", "spool"].contains(key));
        self.given(given, &what, written);
    }

    /// Settings that only their owner understands.
    fn given<'a>(
        &mut self,
        given: impl Iterator<Item = (&'a str, &'a Raw)>,
        what: &dyn Fn(&str) -> String,
        written: &[&str],
    ) {
        for (key, value) in given {
            let Raw::Text(text) = value else {
                continue;
            };
            let writes = WRITTEN.contains(&key) || written.contains(&key);
            let looks = ["/", "./", "../"].iter().any(|p| text.starts_with(p));
            if writes || READ.contains(&key) || looks {
                self.path(what(key), text, writes);
            }
        }
    }

    /// Adds the folder of a file, up to where its name is made of times or values: a file is often
    /// written, rotated or edited as another one that takes its name.
    pub fn path(&mut self, what: String, path: &str, writes: bool) {
        if path.is_empty() || path == "-" {
            return;
        }
        let fixed = path.find(['%', '$']).map_or(path, |at| &path[..at]);
        let folder = match fixed.rfind('/') {
            Some(0) => "/",
            Some(at) => &fixed[..at],
            None => ".",
        };
        let mut add = |path: PathBuf| {
            let what = what.clone();
            self.paths.push(Need { what, path, writes });
        };
        add(if device(fixed) { fixed } else { folder }.into());
        // What a link leads to is somewhere else.
        if fixed == path
            && let Some(folder) = linked(Path::new(path))
        {
            add(folder);
        }
    }

    /// Where SQLite puts what a large transaction must keep aside.
    fn temporary(&mut self, what: String) {
        let set = ["SQLITE_TMPDIR", "TMPDIR"].into_iter();
        let set = set.filter_map(std::env::var_os).map(PathBuf::from);
        let usual = ["/var/tmp", "/tmp"].into_iter().map(PathBuf::from);
        for path in set.chain(usual).filter(|path| path.is_dir()) {
            self.paths.push(Need {
                what: what.clone(),
                path,
                writes: true,
            });
        }
    }

    fn below_1024(&mut self, what: String, port: u16) {
        if port < 1024 {
            self.ports = Some(what);
        }
    }
}

/// A device is used as it is, and what is beside it is none of our business.
fn device(path: &str) -> bool {
    path.starts_with("/dev/") && Path::new(path).exists()
}

/// The folder of the file that a link leads to, or will lead to once it is there.
fn linked(path: &Path) -> Option<PathBuf> {
    let to = std::fs::read_link(path).ok()?;
    let to = std::fs::canonicalize(path).unwrap_or_else(|_| path.with_file_name("").join(to));
    to.parent().map(Path::to_path_buf)
}

/// The port of an address with a port, or of a port alone.
fn port(text: &str) -> Option<u16> {
    let (_, port) = text.rsplit_once(':').unwrap_or(("", text));
    port.parse().ok()
}

/// Where `account` lacks the right to do what a path is needed for, by owner and mode: the setting
/// and why.
pub fn barred(needs: &Needs, account: &Account) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for need in &needs.paths {
        let path = existing(&need.path);
        if !allows(&path, account, need.writes) {
            let (doing, path) = (if need.writes { "written" } else { "read" }, path.display());
            let why = format!(
                "{path} can not be {doing} by user {} (see its owner and mode)",
                account.name
            );
            if !all.iter().any(|(_, said)| *said == why) {
                all.push((need.what.clone(), why));
            }
        }
    }
    all
}

/// A path, or the nearest folder above that is there.
pub fn existing(path: &Path) -> PathBuf {
    let mut path = path;
    while !path.exists() {
        match path.parent() {
            Some(above) if above.as_os_str().is_empty() => return ".".into(),
            Some(above) => path = above,
            None => break,
        }
    }
    path.into()
}

fn allows(path: &Path, account: &Account, writes: bool) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Ok(meta) = std::fs::metadata(path) else {
        return false;
    };
    let mode = meta.mode();
    let bits = if account.uid == 0 {
        return true;
    } else if meta.uid() == account.uid {
        mode >> 6
    } else if meta.gid() == account.gid || account.groups.contains(&meta.gid()) {
        mode >> 3
    } else {
        mode
    };
    // A folder is entered as well.
    let want = match (meta.is_dir(), writes) {
        (true, true) => 0o3,
        (true, false) => 0o1,
        (false, true) => 0o2,
        (false, false) => 0o4,
    };
    bits & want == want
}

#[cfg(test)]
mod tests {
    use super::super::{explain, native};
    use super::*;

    fn needs(text: &str) -> Needs {
        let outcome = native::parse(text);
        assert_eq!(outcome.problems, [], "{text}");
        Needs::of(&outcome.config)
    }

    const REST: &str = "[aggregate.a]\nby = [\"src_host\"]\nto = [\"o\"]\n";

    #[test]
    fn needs_are_those_of_the_configuration() {
        let plain = needs(&format!(
            "control = \"/run/weir/sock\"\n[input.i]\nkind = \"udp\"\nlisten = \"[::]:2055\"\n\
             {REST}[output.o]\nkind = \"file\"\npath = \"/var/lib/weir/%Y/x-$peer_src_ip.csv\"\n"
        ));
        let paths = |needs: &Needs| -> Vec<(String, bool)> {
            let all = needs.paths.iter();
            let mut all: Vec<_> = all
                .map(|n| (n.path.display().to_string(), n.writes))
                .collect();
            all.sort_unstable();
            all
        };
        let own = |list: &[(&str, bool)]| -> Vec<(String, bool)> {
            list.iter()
                .map(|(path, writes)| ((*path).into(), *writes))
                .collect()
        };
        assert_eq!(
            paths(&plain),
            own(&[("/run/weir", true), ("/var/lib/weir", true)])
        );
        let rest = Needs {
            paths: Vec::new(),
            ..plain
        };
        assert_eq!(rest, Needs::default());
        let much = needs(&format!(
            "http = \"127.0.0.1:80\"\ntemplates = \"t\"\n[input.i]\nkind = \"udp\"\nlisten = 514\n\
             receive_buffer = \"1 MiB\"\nallow_file = \"allowed\"\n[input.c]\nkind = \"capture\"\n\
             interface = \"lo\"\n{REST}[output.o]\nkind = \"postgres\"\nhost = \"db\"\n\
             password_file = \"/etc/secret/pg\"\n[output.f]\nkind = \"file\"\n\
             path = \"/dev/null\"\n\
             trigger = \"gzip $WEIR_FILE\"\nlatest = \"/srv/latest\"\n[log]\nto = \"file\"\n\
             file = \"/var/log/weir.log\"\n"
        ));

        let want = [
            (".", false),
            (".", true),
            ("/dev/null", true),
            ("/etc/secret", false),
            ("/srv", true),
            ("/var/log", true),
        ];
        assert_eq!(paths(&much), own(&want));
        assert_eq!(much.listens, Some(80));
        assert_eq!(much.packets.as_deref(), Some("input.c.kind"));
        assert_eq!(much.ports.as_deref(), Some("http"));
        assert_eq!(
            much.buffer,
            Some(("input.i.receive_buffer".into(), 1 << 20))
        );
        assert_eq!(much.commands.as_deref(), Some("output.f.trigger"));
        assert_eq!(much.connects.as_deref(), Some("output.o.kind"));
    }

    #[test]
    fn sqlite_has_room_for_what_it_keeps_aside() {
        let mut needs = Needs::default();
        needs.temporary("output.o.path".into());
        let tmp = |n: &Need| n.writes && n.path == Path::new("/tmp");
        assert!(needs.paths.iter().any(tmp), "{needs:?}");
    }

    #[test]
    fn settings_are_shown_and_judged() {
        let rest = format!(
            "[input.i]\nkind = \"udp\"\nlisten = \"[::]:2055\"\n{REST}[output.o]\nkind = \"print\"\n"
        );
        let outcome = native::parse(&format!(
            "user = \"root\"\ngroup = \"0\"\nsandbox = \"strict\"\n{rest}"
        ));
        assert_eq!(outcome.problems, []);
        let shown = explain::show(&outcome.config);
        for line in ["user = \"root\"", "group = \"0\"", "sandbox = \"strict\""] {
            assert!(shown.lines().any(|l| l == line), "{shown}");
        }
        for (wrong, said) in [
            ("user = \"no one here\"", "not in /etc/passwd"),
            ("user = \"root\"\ngroup = \"no such\"", "not in /etc/group"),
            ("group = \"0\"", "goes with `user`"),
            ("sandbox = \"some\"", "true, false or \"strict\""),
            ("sandbox = 3", "true, false or \"strict\""),
        ] {
            let problems = native::parse(&format!("{wrong}\n{rest}")).problems;
            assert!(
                problems.iter().any(|p| p.message.contains(said)),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn who_may_not_write_is_told_where() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("not/there");
        let mut needs = Needs::default();
        needs.path("control".into(), at.to_str().unwrap(), true);
        let mut account = user::account("12345").unwrap();
        let told = barred(&needs, &account);
        assert_eq!(told.len(), 1);
        let place = dir.path().display().to_string();
        assert!(
            told[0]
                .1
                .starts_with(&format!("{place} can not be written by user 12345"))
        );
        (account.uid, account.gid) = {
            use std::os::unix::fs::MetadataExt;
            let meta = std::fs::metadata(dir.path()).unwrap();
            (meta.uid(), meta.gid())
        };
        assert_eq!(barred(&needs, &account), []);
    }
}
