//! Every kind of sink by name, built in or not.

use super::Sink;
use crate::base::options::Options;
use crate::base::zone::Zone;

/// What a sink may know of its surroundings.
#[derive(Clone, Debug)]
pub struct Context {
    /// Name of the output in the configuration.
    pub name: String,
    /// Zone of printed times and of names with time in them.
    pub zone: Zone,
    /// What nobody can guess, drawn at each start; zero where the same input must give the same
    /// bytes.
    pub seed: u64,
    /// Whether rows that an earlier run left in a file that was not complete come again, out of
    /// a spool that has all of them.
    pub again: bool,
}

/// A sink whose settings have been read, to be opened by its own thread.
pub trait Opener: Send {
    /// Opens it. What may fail for now (a locked file, a server that is away) fails in
    /// [`Sink::write`] instead and is retried.
    ///
    /// # Errors
    /// What can never work, in words.
    fn open(self: Box<Self>, context: &Context) -> Result<Box<dyn Sink>, String>;
    /// Bytes it takes beside its queue.
    fn memory(&self) -> usize {
        0
    }
    /// The setting that says where rows go, if all go to one place that has the columns of one
    /// aggregation.
    fn columns(&self) -> Option<&'static str> {
        None
    }
}

/// Reads the settings of an output; none when they are wrong, which `options` then says.
pub type Parse = fn(&mut Options) -> Option<Box<dyn Opener>>;

/// A kind of sink.
pub struct Kind {
    /// Its name in the configuration.
    pub name: &'static str,
    /// The feature it needs.
    pub feature: &'static str,
    /// What reads its settings; none where this build has not got it.
    pub parse: Option<Parse>,
}

/// The opener of an output of kind `kind`; problems go to `options`.
pub fn parse(kind: &str, options: &mut Options) -> Option<Box<dyn Opener>> {
    let found = super::KINDS.iter().find(|k| k.name == kind)?;
    found.parse.and_then(|parse| parse(options))
}
