//! [`File`]: a configuration as sections of [`Options`], with places. Every syntax makes it.
//!
//! Not for what a setting means.

use crate::base::options::Options;

/// A named section: `[input.NAME]`.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Its settings.
    pub options: Options,
}

/// A file, taken apart.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// Settings before the first section.
    pub top: Options,
    /// `[log]`.
    pub log: Option<Options>,
    /// `[limits]`.
    pub limits: Option<Options>,
    /// `[primitive.NAME]`, in the order of the file; so are the others.
    pub primitives: Vec<Section>,
    /// `[input.NAME]`.
    pub inputs: Vec<Section>,
    /// `[aggregate.NAME]`.
    pub aggregates: Vec<Section>,
    /// `[output.NAME]`.
    pub outputs: Vec<Section>,
}

/// Whether a section may have this name: names end up in file names, table names and labels of
/// metrics.
pub fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !name.is_empty() && name.len() <= 64 && name.chars().all(plain)
}
