//! Stacks for tests, from Rust: the services of a services.toml in containers, isolated, ready, and gone when the test is.
//!
//! [`testing`] is this crate's interface. A test crate needs no command line, and TLS only where its engine does:
//!
//! ```toml
//! [dev-dependencies]
//! taskava = { path = "…", default-features = false }
//! ```
//!
//! ```no_run
//! use taskava::testing::{Error, Stack};
//!
//! # async fn an_order_is_stored() -> Result<(), Error> {
//! // Containers, volumes and ports of its own. Returns when a client can use every service.
//! let stack = Stack::from_file("services.toml").services(["postgres", "redis"]).env("LOG_LEVEL", "debug").start().await?;
//!
//! let url = stack.url("postgres"); // postgres://shop:…@127.0.0.1:32768/shop
//! let port = stack.port("redis", 6379)?; // 32769, at stack.host()
//! let database = stack.fork_database().await?; // a private copy for this test, in milliseconds: database.url
//!
//! let keys = stack.exec("redis", ["redis-cli", "DBSIZE"]).await?;
//! assert_eq!((keys.code, keys.stdout.trim()), (0, "0"));
//! # let _ = (url, port, database);
//! # Ok(())
//! # }
//! // Dropping the stack removes it; so does a panic, and the end of the process.
//! ```
//!
//! | feature | what it adds |
//! |---|---|
//! | `cli` (default) | the command `taskava`; a library does without |
//! | `encrypt` (default) | encrypted backups, for the command |
//! | `tls` (part of `cli`) | engines on other machines over TLS (`DOCKER_TLS_VERIFY`), PostgreSQL and Redis that take nothing else |
//!
//! `taskava dev`, the command line, is described in the README. What it is made of is not documented here and changes
//! without notice.

// One sentence for every command: observe, plan, apply. The modules, in reading order (= the order of the data flow):
//
// - diag: what can go wrong, as data
// - config: text → `Config`
// - model: `Config` → `Stack`, valid by construction
// - kinds: what is special about PostgreSQL, Redis, LocalStack, …
// - load: finds and reads the files behind a stack
// - remedy: commands to type next, as they are printed
// - context: the files of a build, and what they amount to
// - plan: stack + what is there + request → `Plan`
// - pieces: bytes on their way from who makes them to who sends them
// - engine: the only place that knows Docker
// - aws: declared AWS resources → requests to the emulator
// - event: everything that can be told about a run
// - run: carries a plan out
// - backup: a stack's data and configuration in one portable file, and back
// - doctor: looks for everything that a new machine can get wrong
// - testing: stacks for tests, from Rust; the part that other packages use
// - compose: Docker Compose files, to services.toml and back
// - starter: the text of a first services.toml
// - ui, cli: the only places that print and parse arguments

#[doc(hidden)]
pub mod aws;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod aws_map;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod backup;
mod bounded;
mod byte_channel;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod compose;
#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod context;
#[doc(hidden)]
pub mod database;
#[doc(hidden)]
pub mod diag;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod doctor;
#[doc(hidden)]
pub mod engine;
#[doc(hidden)]
pub mod event;
#[doc(hidden)]
pub mod gc;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod init;
#[doc(hidden)]
pub mod isolated;
#[doc(hidden)]
pub mod kinds;
#[doc(hidden)]
pub mod load;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod logs;
#[doc(hidden)]
pub mod masks;
#[doc(hidden)]
pub mod model;
#[doc(hidden)]
pub mod plan;
#[doc(hidden)]
pub mod remedy;
#[doc(hidden)]
pub mod resolve;
#[doc(hidden)]
pub mod run;
pub mod testing;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod ui;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod watch;
