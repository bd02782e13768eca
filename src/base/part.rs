//! Parts that a build may lack, as types.
//!
//! A witness is a value that exists only where its part is built. What holds one can not exist
//! elsewhere, so the compiler leaves out whatever would be done with it, and nobody need ask for a
//! feature outside of a registry. Not for parts that are whole modules: those are left out by name.

use super::Maps;
use std::ops::Deref;
use std::sync::Arc;

/// The witness of a part that is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Here(());

impl Here {
    /// The witness.
    pub const fn get() -> Option<Self> {
        Some(Self(()))
    }
}

/// The witness of a part that is not: there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {}

impl Absent {
    /// No witness.
    pub const fn get() -> Option<Self> {
        None
    }
}

/// A value together with the witness of its part.
#[derive(Clone, Debug)]
pub struct Only<W, T>(W, T);

/// What a map holds, for all who use it.
pub type Shared<T> = Only<Maps, Arc<T>>;

impl<W, T> Only<W, T> {
    /// The value, where its part is built.
    pub fn new(witness: W, value: T) -> Self {
        Self(witness, value)
    }

    /// Another value in its place.
    pub fn and_then<U>(self, other: impl FnOnce(T) -> Option<U>) -> Option<Only<W, U>> {
        Some(Only(self.0, other(self.1)?))
    }
}

impl<T> Shared<T> {
    /// What a map holds, unless this build has no maps.
    pub fn of(value: T) -> Option<Self> {
        Maps::get().map(|here| Self::new(here, Arc::new(value)))
    }
}

impl<W, T> Deref for Only<W, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.1
    }
}
