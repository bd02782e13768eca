//! `weir version`: version and features of this build.

use super::arg::{Args, Command, Flag, Operands};
use super::{licence, out};
use crate::base::FEATURES;
use crate::base::error::Exit;

/// The table of `weir version`.
pub static COMMAND: Command = Command {
    name: "version",
    doc: "Print version and features",
    about: "Prints the version, the target it was built for, and which features it has.",
    operands: Operands::NONE,
    flags: &[
        Flag::switch("licenses", "What is linked in, and under which licences."),
        Flag::switch("sbom", "The same as a bill of materials (CycloneDX, JSON)."),
    ],
    examples: &[],
    run,
};

fn run(args: Args) -> Exit {
    if args.flag("licenses") {
        return out::print(&licence::list());
    }
    if args.flag("sbom") {
        return out::print(&licence::bill());
    }
    let mut text = format!(
        "weir {} ({}-{}, {} bit)\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        std::env::consts::OS,
        usize::BITS
    );
    for (sign, built) in [("+", true), ("-", false)] {
        for (name, has, _) in FEATURES {
            if *has == built {
                text.push_str(&format!("  {sign}{name}\n"));
            }
        }
    }
    out::print(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_features_is_that_of_the_manifest() {
        let manifest = include_str!("../../Cargo.toml");
        let (_, rest) = manifest.split_once("\n[features]\n").unwrap();
        let (features, _) = rest.split_once("\n[").unwrap();
        let mut families: Vec<&str> = features
            .lines()
            .filter_map(|l| l.split_once(" = ").map(|(name, _)| name))
            .filter(|name| !["default", "edge", "collector", "full"].contains(name))
            .collect();
        let mut known: Vec<&str> = FEATURES.iter().map(|f| f.0).collect();
        families.sort_unstable();
        known.sort_unstable();
        assert_eq!(families, known);
    }
}
