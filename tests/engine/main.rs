//! The real binary against a real engine.

mod change;
mod clients;
mod docker;
mod doctor;
mod down;
mod engine_restart;
mod failure;
mod hosts;
mod interrupt;
mod lifecycle;
mod logs;
mod modes;
mod never_early;
mod ps;
mod registry;
mod stack;
mod tiny;
mod traps;
mod up;
