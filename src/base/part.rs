//! Parts that a build may lack, as types.
//!
//! A witness is a value that exists only where its part is built. What holds one can not exist
//! elsewhere, so the compiler leaves out whatever would be done with it, and nobody need ask for a
//! feature outside of a registry. Not for parts that are whole modules: those are left out by name.

use super::Maps;
use std::ops::Deref;
use std::sync::Arc;

/// A witness, of either kind.
pub trait Witness: Copy {
    /// Says that what is done from here on is done where the part is built. Whoever has but a
    /// reference to what holds a witness says so by this: behind it the compiler leaves out all,
    /// where there is none.
    fn there(&self);
}

/// The witness of a part that is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Here(());

impl Here {
    /// The witness.
    pub const fn get() -> Option<Self> {
        Some(Self(()))
    }
}

impl Witness for Here {
    #[inline]
    fn there(&self) {}
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

impl Witness for Absent {
    #[inline]
    fn there(&self) {
        match *self {}
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

impl<W: Witness, T> Only<W, T> {
    /// See [`Witness::there`].
    #[inline]
    pub fn there(&self) {
        self.0.there();
    }
}

impl<W: Witness, T> Deref for Only<W, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.0.there();
        &self.1
    }
}
