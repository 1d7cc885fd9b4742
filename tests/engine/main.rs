//! The real binary against a real engine.

mod change;
mod clients;
mod connect;
mod docker;
mod down;
mod engine_restart;
mod env;
mod events;
mod exec;
mod failure;
mod hosts;
mod interrupt;
mod lifecycle;
mod logs;
mod never_early;
mod ps;
mod pty;
mod registry;
mod run;
mod stack;
mod stats;
mod up;
