//! The real binary against a real engine.

mod change;
mod clients;
mod docker;
mod down;
mod failure;
mod hosts;
mod interrupt;
mod never_early;
mod registry;
mod stack;
mod up;
