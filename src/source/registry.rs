//! Every kind of source by name, built in or not.

use super::{Source, SourceError};
use crate::base::options::Options;
use std::sync::Arc;

/// Opens sources of one configured input, once for each worker and again after a failure.
pub trait Opener: Send + Sync {
    /// Opens one source.
    ///
    /// # Errors
    /// What the system said, or what is wrong with the input.
    fn open(&self) -> Result<Box<dyn Source>, SourceError>;
    /// Bytes of the buffers of one source.
    fn memory(&self) -> usize;
    /// Whether frames are datagrams that carry flow records, rather than captured packets.
    fn datagrams(&self) -> bool;
    /// Whether time passes by the clock rather than with the frames.
    fn live(&self) -> bool {
        true
    }
    /// Whether several workers may each open one and share the traffic.
    fn shares(&self) -> bool {
        false
    }
}

/// Reads the settings of an input; none when they are wrong, which `options` then says. `workers`
/// is how many will share it.
pub type Parse = fn(&mut Options, workers: usize) -> Option<Arc<dyn Opener>>;

/// A kind of source.
pub struct Kind {
    /// Its name in the configuration.
    pub name: &'static str,
    /// The feature it needs.
    pub feature: &'static str,
    /// What reads its settings; none where this build has not got it.
    pub parse: Option<Parse>,
}

/// The opener of an input of kind `kind`; problems go to `options`.
pub fn parse(kind: &str, options: &mut Options, workers: usize) -> Option<Arc<dyn Opener>> {
    let found = super::KINDS.iter().find(|k| k.name == kind)?;
    let parse = found.parse?;
    let opener = parse(options, workers)?;
    if workers > 1 && !opener.shares() {
        options.wrong(
            "workers",
            format!("an input of kind \"{kind}\" has one worker"),
        );
        return None;
    }
    Some(opener)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::options::{Place, Raw};

    #[test]
    #[cfg(feature = "src-savefile")]
    fn a_file_has_one_worker() {
        let input = || {
            let mut options = Options::new("input.trace", Place::default());
            options.set("file", Raw::Text("trace.pcap".into()));
            options
        };
        let mut options = input();
        assert!(parse("file", &mut options, 1).is_some());
        assert_eq!(options.finish(), []);
        let mut options = input();
        assert!(parse("file", &mut options, 2).is_none());
        assert!(options.finish()[0].message.contains("one worker"));
        assert!(parse("nosuch", &mut input(), 1).is_none());
    }
}
