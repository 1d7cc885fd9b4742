//! `taskava dev`: a local development orchestrator. One command from clone to a ready stack.
//!
//! One sentence for every command: observe, plan, apply. The modules, in reading order (= the order of the data flow):
//!
//! - [`diag`]: what can go wrong, as data
//! - [`config`]: text → `Config`
//! - [`model`]: `Config` → [`model::Stack`], valid by construction
//! - [`kinds`]: what is special about PostgreSQL, Redis, LocalStack, …
//! - [`load`]: finds and reads the files behind a stack
//! - [`remedy`]: commands to type next, as they are printed
//! - [`context`]: the files of a build, and what they amount to
//! - [`plan`]: stack + what is there + request → [`plan::Plan`]
//! - `pieces`: bytes on their way from who makes them to who sends them
//! - [`engine`]: the only place that knows Docker
//! - `http_client`: HTTP to what runs in a stack
//! - [`aws`]: declared AWS resources → requests to the emulator
//! - [`event`]: everything that can be told about a run
//! - [`run`]: carries a plan out
//! - `backup`: a stack's data and configuration in one portable file, and back
//! - `doctor`: looks for everything that a new machine can get wrong
//! - [`testing`]: stacks for tests, from Rust; the part that other packages use
//! - `compose`: Docker Compose files, to services.toml and back
//! - `starter`: the text of a first services.toml
//! - `ui`, `cli`: the only places that print and parse arguments

pub mod aws;
#[cfg(feature = "cli")]
pub mod backup;
mod bounded;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod compose;
pub mod config;
pub mod context;
pub mod diag;
#[cfg(feature = "cli")]
pub mod doctor;
pub mod engine;
pub mod event;
mod http_client;
pub mod kinds;
pub mod load;
pub mod model;
mod pieces;
pub mod plan;
pub mod remedy;
pub mod run;
#[cfg(feature = "cli")]
pub mod starter;
pub mod testing;
#[cfg(feature = "cli")]
pub mod ui;
