//! Control: what runs beside the data path.

pub mod log;
