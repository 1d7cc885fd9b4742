//! The real binary against a real engine.

mod hosts;
