//! Control: what runs beside the data path.

pub mod log;
pub mod shared;

pub use shared::Shared;
