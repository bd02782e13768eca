//! agg.
