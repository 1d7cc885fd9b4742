//! Carries a plan out.

pub mod probe;
pub mod ready;
