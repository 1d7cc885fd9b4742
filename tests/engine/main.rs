//! The real binary against a real engine.

mod clients;
mod docker;
mod hosts;
mod registry;
mod stack;
mod up;
