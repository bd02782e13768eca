//! Bounded store of byte strings: equal content has an equal [`Sym`].
