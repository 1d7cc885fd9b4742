//! The real binary against a real engine.

mod change;
mod clients;
mod docker;
mod down;
mod engine_restart;
mod env;
mod failure;
mod hosts;
mod interrupt;
mod lifecycle;
mod logs;
mod many;
mod never_early;
mod never_left;
mod ps;
mod registry;
mod stack;
mod test_command;
mod testing_library;
mod up;
