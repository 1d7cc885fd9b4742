//! The real binary against a real engine.

mod change;
mod clients;
mod docker;
mod down;
mod hosts;
mod never_early;
mod registry;
mod stack;
mod up;
