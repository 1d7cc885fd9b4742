//! Stacks for tests, from Rust: the services of a services.toml in containers, isolated, ready, and removed after the test.
//!
//! [`testing`] is this crate's interface. A test crate does not need the command line, and TLS only if its engine does:
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
//! // Has its own containers, volumes and ports. Returns when a client can use every service.
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
//! | `cli` (default) | the command `taskava`; not needed for the library |
//! | `encrypt` (default) | encrypted backups, for the command |
//! | `tls` (part of `cli`) | engines on other machines over TLS (`DOCKER_TLS_VERIFY`), PostgreSQL and Redis servers that require TLS |
//!
//! `taskava dev`, the command line, is described in the README. Its modules are not documented here and change without
//! notice.

// Every command: observe, plan, apply. The modules, in reading order (= the order of the data flow):
//
// - diag: errors as data
// - config: text → `Config`
// - model: what a stack is, as plain data
// - kinds: what is specific to PostgreSQL, Redis, LocalStack, …
// - resolve: `Config` → `Stack`, valid by construction
// - load: finds and reads the files of a stack
// - remedy: next commands to type, as they are printed
// - context: the files of a build, and their hashes
// - plan: stack + state of the engine + request → `Plan`
// - byte_channel: bytes from a producer to a consumer that sends them
// - engine: the only module that talks to Docker
// - aws: declared AWS resources → requests to the emulator
// - masks: masks a stack's secrets in text from other programs
// - event: everything that is reported about a run
// - run: carries a plan out
// - logs: reads and merges the logs of containers
// - isolated, gc: stacks of one test run, and removing what crashed runs left behind
// - database: copies of a PostgreSQL database
// - watch: reacts to changed files
// - backup: saves a stack's data and configuration to one portable file, and restores it
// - doctor: checks a machine for problems
// - aws_map: which parts of production the running stack mirrors
// - testing: stacks for tests, from Rust; the part that other packages use
// - compose: converts Docker Compose files to services.toml and back
// - init: the text of a new services.toml
// - ui, cli: the only modules that print and parse arguments

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
