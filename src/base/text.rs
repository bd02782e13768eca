//! Reading what people write: sizes, durations, names that are nearly right.
