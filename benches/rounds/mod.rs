//! What benchmarks share: the five-tuple, and the one row that a command line may ask for.

use weir::record::Field;

/// The usual key.
pub const TUPLE: [Field; 5] = [
    Field::SrcHost,
    Field::DstHost,
    Field::SrcPort,
    Field::DstPort,
    Field::Proto,
];

/// Runs the row that the command line names, for callgrind: in as many rounds of `size` as the
/// count behind the name asks for, ten without one. False when it names none.
pub fn asked(size: usize, row: impl FnOnce(&str, usize) -> Option<f64>) -> bool {
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    let [name, count] = &args[..] else {
        return false;
    };
    let rounds = count.parse::<usize>().unwrap_or(10 * size).div_ceil(size);
    if row(name, rounds).is_none() {
        eprintln!("no row {name}");
        std::process::exit(2);
    }
    true
}
