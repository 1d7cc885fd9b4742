//! Interprets the engine's errors.

use bollard::errors::Error as Bollard;

use crate::diag::{Error, ErrorKind};

/// The HTTP status of an answer that was an error.
pub(super) fn status(error: &Bollard) -> Option<u16> {
    match error {
        Bollard::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// The engine's own words, without our library's around them.
pub(super) fn message(error: &Bollard) -> String {
    match error {
        Bollard::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        Bollard::DockerStreamError { error } => error.trim().to_owned(),
        Bollard::RequestTimeoutError => "the engine did not answer in time".into(),
        other => causes(other),
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

/// An engine call failed: says what was tried, and sorts by what the user can do about it.
pub(super) fn failed(what: impl std::fmt::Display, error: &Bollard) -> Error {
    let text = message(error);
    let failed = Error::new(kind(error, &text), format_args!("{what}: {text}"));
    if failed.is_out_of_files() {
        // The engine is there: it is this process that can't open a connection.
        return Error { kind: ErrorKind::Other, ..failed };
    }
    let kind = failed.kind;
    match hint(&text) {
        Some(hint) => failed.hint(hint),
        None if kind == ErrorKind::Engine => failed.hint("is the engine still running? try: taskava dev ps"),
        None => failed,
    }
}

fn kind(error: &Bollard, text: &str) -> ErrorKind {
    match error {
        Bollard::DockerResponseServerError { .. } if is_port_taken(text) => ErrorKind::Port,
        Bollard::DockerResponseServerError { .. } if is_image(text) => ErrorKind::Image,
        Bollard::DockerResponseServerError { .. } if cannot_run(text) => ErrorKind::Crashed,
        Bollard::DockerResponseServerError { .. } | Bollard::DockerStreamError { .. } => ErrorKind::Other,
        Bollard::RequestTimeoutError
        | Bollard::HyperResponseError { .. }
        | Bollard::HyperLegacyError { .. }
        | Bollard::IOError { .. } => ErrorKind::Engine,
        _ => ErrorKind::Other,
    }
}

/// Whether the engine could not publish a port because something holds it already.
pub(super) fn is_port_taken(text: &str) -> bool {
    text.contains("port is already allocated")
        || text.contains("address already in use")
        || text.contains("ports are not available")
}

/// Whether the image does not exist, or not for the requested platform.
fn is_image(text: &str) -> bool {
    text.contains("No such image") || text.contains("does not match the specified platform")
}

/// Whether the engine had everything but could not run the command: for the user, it crashed before its first line.
fn cannot_run(text: &str) -> bool {
    text.contains("runtime create failed") || text.contains("executable file not found")
}

fn hint(text: &str) -> Option<&'static str> {
    if text.contains("non-overlapping IPv4 address pool") {
        return Some(
            "the engine is out of network addresses; see `docker network ls`, remove unused networks, or give [networks.default] a subnet",
        );
    }
    if text.contains("No such image") {
        return Some("the image was removed meanwhile; run the command again");
    }
    if text.contains("failed to start shim") && text.contains("file exists") {
        return Some("the engine was killed while it started this container; recreate it: taskava dev up --recreate");
    }
    if text.contains("no space left on device") {
        return Some("the engine's disk is full; `docker system df` shows what takes the room");
    }
    None
}
