//! Carries a plan out.

pub mod probe;
