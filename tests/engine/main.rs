//! The real binary against a real engine.

mod hosts;
mod registry;
