//! What happens when the engine misbehaves: the real binary against a fake engine on a Unix socket, for faults that a
//! real one will not produce on demand.

#![cfg(unix)]

mod connect;
mod escapes;
mod fake;
mod healthy;
mod lifecycle;
mod snapshot;
mod taskava;
mod up;
