//! The real binary against a real engine.

mod change;
mod clients;
mod compose;
mod docker;
mod down;
mod engine_restart;
mod failure;
mod hosts;
mod interrupt;
mod lifecycle;
mod logs;
mod never_early;
mod ps;
mod registry;
mod stack;
mod up;
