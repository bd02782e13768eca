//! Licences in a build without the list.

use crate::base::without;

/// Says what is missing.
pub fn list() -> String {
    format!(
        "weir: MIT\nfor all that is linked in: {}\n",
        without("cmd-gen")
    )
}

/// Says what is missing.
pub fn bill() -> String {
    list()
}
