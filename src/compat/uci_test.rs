use super::*;
use crate::pipeline::Plan;

const NETWORK_FILE: &str = "
config interface 'loopback'
	option device 'lo'

config device
	option name 'br-lan'
	option type 'bridge'
	list ports 'lan1'

config interface 'lan'
	option device 'br-lan'
	option proto 'static'

config interface 'old'
	option type 'bridge'
	option ifname 'eth0.1'

config interface 'wan'
	option device 'wan'
	option proto 'pppoe'

config interface 'wan6'
	option device '@wan'
	option proto 'dhcpv6'
";

const GOOD: &str = r#"
package weir

config weir 'main'
	option enabled '1'
	option memory '4M'
	option control /var/run/weir.sock

config log
	option level "warn"

config input 'house'     # what the house does
	option kind 'udp'
	option listen '[::1]:2055'
	option batch '16'
	list allow '192.0.2.0/24'
	list allow '2001:db8::/32'

config input 'off'
	option enabled '0'
	option kind 'nonsense'

config aggregate 'machines'
	list by 'src_host'
	list by 'dst_host'
	option every '60'
	option full fold
	list to 'files'

config output 'files'
	option kind 'file'
	option path '/tmp/weir-%Y.csv'
	option append 'yes'
"#;

/// What is wrong, the plan included, as `line: message`.
fn wrong(text: &str) -> Vec<String> {
    let outcome = parse(text, NETWORK_FILE);
    let mut found = outcome.problems;
    found.extend(Plan::new(&outcome.config).err().unwrap_or_default());
    found.sort_by_key(|p| p.place);
    found.dedup();
    let shown = found
        .iter()
        .map(|p| format!("{}: {}", p.place.line, p.message));
    shown.collect()
}

#[test]
fn a_file_of_openwrt_is_told_from_toml() {
    assert!(is(GOOD) && is("config weir main") && is("# x\n\n  config input\n"));
    assert!(!is("memory = \"1M\"\n") && !is("[config]\n") && !is("config = 1") && !is(""));
}

#[test]
fn sections_and_types_are_those_of_toml() {
    let outcome = parse(GOOD, NETWORK_FILE);
    assert_eq!(wrong(GOOD), [""; 0]);
    let toml = r#"
        memory = "4M"
        control = "/var/run/weir.sock"
        [log]
        level = "warn"
        [input.house]
        kind = "udp"
        listen = "[::1]:2055"
        batch = 16
        allow = ["192.0.2.0/24", "2001:db8::/32"]
        [aggregate.machines]
        by = ["src_host", "dst_host"]
        every = 60
        full = "fold"
        to = ["files"]
        [output.files]
        kind = "file"
        path = "/tmp/weir-%Y.csv"
        append = true
    "#;
    let want = native::parse(toml);
    assert_eq!(want.problems, []);
    let show = crate::config::explain::show;
    // Texts are shown as they were written.
    let plain = |text: String| text.replace('"', "").replace("= yes", "= true");
    assert_eq!(plain(show(&outcome.config)), plain(show(&want.config)));
}

#[test]
fn mistakes_have_their_line_and_their_setting() {
    let text = GOOD.replace("batch '16'", "batch 'many'");
    let found = wrong(&text);
    assert!(
        found[0].starts_with("15: `batch` is \"many\"; it takes a whole number"),
        "{found:?}"
    );
    let text = GOOD.replace("option append 'yes'", "option append 'perhaps'");
    assert!(wrong(&text)[0].contains("`append` is \"perhaps\"; it takes true or false"));
    let text = GOOD.replace("option enabled '1'", "option enabled 'perhaps'");
    assert!(wrong(&text)[0].contains("`enabled` is `perhaps`; it takes 1 or 0"));
    let text = GOOD.replace("option full fold", "option ful fold");
    let found = wrong(&text);
    assert!(
        found[0].starts_with("27: ") && found[0].contains("`full`"),
        "{found:?}"
    );
    for (text, want) in [
        (
            &GOOD.replace("config output", "config outputs")[..],
            "did you mean `output`?",
        ),
        ("config input 'a b'\n", "a name has letters"),
        (
            "config input 'a'\nconfig input 'a'\n",
            "two sections input 'a'",
        ),
        ("option x 'y'\n", "stands in no section"),
        ("config\n", "a type and perhaps a name"),
        ("config input 'x\n", "is not closed"),
        ("configure input x\n", "begins no statement"),
    ] {
        let found = wrong(text);
        assert!(found.iter().any(|w| w.contains(want)), "{want}: {found:?}");
    }
}

#[test]
fn logical_interfaces_are_their_devices() {
    let all = devices(NETWORK_FILE);
    let of = |name: &str| all.iter().find(|(n, _)| n == name).map(|(_, d)| d.as_str());
    assert_eq!(of("lan"), Some("br-lan"));
    assert_eq!(of("old"), Some("br-old"));
    assert_eq!(of("wan"), Some("pppoe-wan"));
    assert_eq!(of("wan6"), Some("pppoe-wan"));
    assert_eq!(of("eth7"), None);
}

#[test]
fn words_are_quoted_as_openwrt_quotes_them() {
    let mut problems = Vec::new();
    let text = "a 'b c'\"d\\\"e\" f\\ g # not\nh 'i\nj';k \\\n l\n";
    let words = statements(text, &mut problems);
    let words: Vec<Vec<&str>> = words
        .iter()
        .map(|s| s.iter().map(|(w, _)| w.as_str()).collect())
        .filter(|s: &Vec<&str>| !s.is_empty())
        .collect();
    assert_eq!(
        words,
        [
            vec!["a", "b cd\"e", "f g"],
            vec!["h", "i\nj"],
            vec!["k", "l"]
        ]
    );
    assert_eq!(problems, []);
}

#[test]
fn nothing_panics_whatever_is_cut_off() {
    for end in 0..GOOD.len() {
        if let Some(text) = GOOD.get(..end) {
            let _ = parse(text, NETWORK_FILE);
        }
    }
}
