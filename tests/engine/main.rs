//! The real binary against a real engine.

mod change;
mod clients;
mod compose;
mod db;
mod docker;
mod down;
mod engine_restart;
mod env;
mod failure;
mod hosts;
mod interrupt;
mod lifecycle;
mod logs;
mod never_early;
mod ps;
mod registry;
mod snapshot;
mod stack;
mod tiny;
mod traps;
mod up;
mod watch;
