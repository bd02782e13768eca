//! In place of the log where it is not built in: there is none, so nothing can be done to it.

use super::{Place, Reason, Settings, Shut, Trouble, Usage};
use crate::base::ledger::Sum;
use crate::base::time::Nanos;
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// None: see the log that can be.
pub fn memory(_: &Settings, _: u64) -> u64 {
    0
}

/// Is not there: whoever holds it can not be either, and what he would do is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Built {}

impl Built {
    /// It is not.
    pub fn here() -> Option<Self> {
        None
    }
}

/// A log that can not be.
pub enum Log {}

#[allow(missing_docs, reason = "see the log that can be")]
impl Log {
    /// Never.
    ///
    /// # Errors
    /// That it is not built in.
    pub fn open(_: &Settings, _: Nanos) -> Result<Self, Shut> {
        Err(Shut::Refused(crate::base::without("spool")))
    }

    pub fn append(&mut self, _: &[u8], _: Sum, _: Nanos, _: super::Keep) -> Result<Place, Trouble> {
        match *self {}
    }

    pub fn next(&mut self, _: &mut Vec<u8>) -> std::io::Result<Option<(Place, Sum)>> {
        match *self {}
    }

    pub fn is_earlier(&self, _: Place) -> bool {
        match *self {}
    }

    pub fn has_earlier(&self) -> bool {
        match *self {}
    }

    pub fn holds(&self, _: Place) -> bool {
        match *self {}
    }

    pub fn distrust(&mut self, _: &Arc<File>) {
        match *self {}
    }

    pub fn ack(&mut self, _: Place) {
        match *self {}
    }

    pub fn lose(&mut self, _: Place, _: Sum, _: Reason) {
        match *self {}
    }

    pub fn pass(&mut self, _: Sum) {
        match *self {}
    }

    pub fn expire(&mut self, _: Nanos, _: Instant) -> Option<Duration> {
        match *self {}
    }

    pub fn unsynced(&mut self, _: Instant) -> (Vec<Arc<File>>, Option<Duration>) {
        match *self {}
    }

    pub fn usage(&self) -> Usage {
        match *self {}
    }

    pub fn found(&self) -> Sum {
        match *self {}
    }

    pub fn close(self) -> std::io::Result<()> {
        match self {}
    }
}
