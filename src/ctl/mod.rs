//! Control: what runs beside the data path.

pub mod door;
pub mod frame;
#[cfg(feature = "ctl-http")]
pub mod http;
#[cfg(not(feature = "ctl-http"))]
#[path = "absent.rs"]
pub mod http;
pub mod log;
pub mod metric;
pub mod query;
#[cfg(feature = "sys-sandbox")]
pub mod sandbox;
#[cfg(not(feature = "sys-sandbox"))]
#[path = "sandbox/absent.rs"]
pub mod sandbox;
pub mod shared;
pub mod socket;
#[cfg(feature = "spool")]
mod spool;
#[cfg(not(feature = "spool"))]
#[path = "spool/absent.rs"]
mod spool;
pub mod status;
pub mod timed;

pub use door::Doors;
pub use shared::Shared;
