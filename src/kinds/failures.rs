//! Known reasons for failures, as tables: each kind has its own, what any container can suffer from is here.

use crate::diag::ErrorKind;
use crate::event::Failure;
use crate::model::{MountSource, Service};

/// A failure that has been seen before.
pub(super) struct Known {
    /// How it is recognised.
    pub(super) sign: Sign,
    /// Why it happens. `{service}`, `{image}`, `{line}` (the line that gave it away) are filled in.
    pub(super) reason: &'static str,
    /// The one command or edit to try next; `{reset}` is how this service gets fresh data.
    pub(super) next: &'static str,
}

/// How a failure is recognised. Texts are compared without regard to case.
pub(super) enum Sign {
    /// A log line, or what the engine said, contains all of these.
    Line(&'static [&'static str]),
    /// The last answer to a probe contains this.
    Answer(&'static str),
    /// The container ended with this code.
    Exit(i64),
    /// The engine ran out of memory for it.
    Oom,
    /// The log has this line, and none with the second text after it: that is how far it came.
    Between(&'static str, &'static str),
}

const RAISE_MEMORY: &str = "raise `resources.memory` of services.{service} in services.toml";
const TOO_LITTLE_TO_START: &str = "its memory limit is smaller than what the engine needs to start any container";

pub(super) const COMMON: &[Known] = &[
    Known { sign: Sign::Oom, reason: "it needed more memory than it may use", next: RAISE_MEMORY },
    Known { sign: Sign::Line(&["unable to set memory limit"]), reason: TOO_LITTLE_TO_START, next: RAISE_MEMORY },
    Known { sign: Sign::Line(&["container init was oom-killed"]), reason: TOO_LITTLE_TO_START, next: RAISE_MEMORY },
    Known {
        sign: Sign::Line(&["exec format error"]),
        reason: "{image} is for another processor architecture, or what it starts is no program",
        next: "choose an image for this machine, or set `platform` of services.{service}",
    },
    Known {
        sign: Sign::Line(&["no space left on device"]),
        reason: "the engine's disk, or a memory file system of the container, is full",
        next: "docker system df shows what uses it, docker system prune removes what is unused",
    },
    Known {
        sign: Sign::Line(&["executable file not found in $path"]),
        reason: "its command does not exist in {image}",
        next: "edit `command` or `entrypoint` of services.{service}",
    },
    Known {
        sign: Sign::Line(&["unable to start container process", "no such file or directory"]),
        reason: "its command does not exist in {image}",
        next: "edit `command` or `entrypoint` of services.{service}",
    },
    Known {
        sign: Sign::Line(&["unable to start container process", "permission denied"]),
        reason: "its command is a file that must not be executed",
        next: "chmod +x the file that `command` or `entrypoint` of services.{service} names",
    },
    Known {
        sign: Sign::Line(&["exec /", ": no such file or directory"]),
        reason: "the script's interpreter (its `#!` line) does not exist in {image}, or its lines end with CR LF",
        next: "correct the first line of the script, or convert its line ends",
    },
    Known {
        sign: Sign::Line(&["address already in use"]),
        reason: "something else in the container already listens on its port",
        next: "edit the port in `command` or `env` of services.{service}",
    },
    Known {
        sign: Sign::Line(&["too many open files"]),
        reason: "it may not open enough files",
        next: "raise `ulimits.nofile` of services.{service}",
    },
    Known {
        sign: Sign::Line(&["read-only file system"]),
        reason: "it writes to a mount that is read-only",
        next: "remove `:ro` from the volume of services.{service} it writes to",
    },
    Known {
        sign: Sign::Exit(126),
        reason: "its command is a file that can't be executed",
        next: "chmod +x the file that `command` or `entrypoint` of services.{service} names",
    },
    Known {
        sign: Sign::Exit(127),
        reason: "a command was not found in {image}",
        next: "edit `command` or `entrypoint` of services.{service}",
    },
    Known {
        sign: Sign::Exit(132),
        reason: "it uses instructions that this processor, or its emulation, does not have",
        next: "choose an image for this machine, or set `platform` of services.{service}",
    },
    Known {
        sign: Sign::Exit(137),
        reason: "it was killed from outside: by hand, or by a system that ran out of memory",
        next: "taskava dev up {service}",
    },
    Known {
        sign: Sign::Exit(139),
        reason: "it crashed with a memory error of its own, or of an emulated architecture",
        next: "taskava dev logs {service}",
    },
    Known { sign: Sign::Exit(143), reason: "it was stopped from outside", next: "taskava dev up {service}" },
    Known {
        sign: Sign::Answer("HTTP 404"),
        reason: "it answers, but not at the path that is asked",
        next: "edit `ready.http` of services.{service}",
    },
    Known {
        sign: Sign::Answer("accepted, then closed"),
        reason: "nothing listens behind the published port: it listens on another one, or on 127.0.0.1 inside",
        next: "make it listen on 0.0.0.0, or edit `ports` of services.{service}",
    },
    Known {
        sign: Sign::Answer("connection refused"),
        reason: "nothing listens on its port",
        next: "taskava dev logs {service}",
    },
];

/// Finds the first known failure that fits: the kind's own before the common ones.
pub(super) fn explain(own: &[Known], data_path: Option<&str>, service: &Service, failure: &mut Failure) {
    let found = own.iter().chain(COMMON).find_map(|known| Some((known, recognise(&known.sign, failure)?)));
    let Some((known, line)) = found else { return };
    let fill = |text: &str| {
        text.replace("{reset}", &reset(service, data_path))
            .replace("{service}", service.name.as_str())
            .replace("{image}", &service.image)
            .replace("{line}", line.trim())
    };
    let (reason, next) = (fill(known.reason), fill(known.next));
    failure.reason = Some(reason);
    failure.next = Some(next);
}

/// The line that gives a failure away; empty where it is no line.
fn recognise<'a>(sign: &Sign, failure: &'a Failure) -> Option<&'a str> {
    let says = |line: &str, text: &str| line.to_lowercase().contains(&text.to_lowercase());
    match sign {
        Sign::Line(texts) => {
            let mut lines = failure.log.iter().rev().chain([&failure.message]);
            lines.find(|line| texts.iter().all(|text| says(line, text))).map(String::as_str)
        }
        Sign::Answer(text) => failure.last_probe.as_deref().filter(|answer| says(answer, text)),
        // One that was never started has an exit code too.
        Sign::Exit(code) => (failure.kind == ErrorKind::Crashed && failure.exit_code == Some(*code)).then_some(""),
        Sign::Oom => failure.oom_killed.then_some(""),
        Sign::Between(begin, end) => {
            let last = failure.log.iter().rev().find(|line| says(line, begin) || says(line, end))?;
            says(last, begin).then_some(last)
        }
    }
}

/// How a service gets fresh data, in words that follow "or".
fn reset(service: &Service, data_path: Option<&str>) -> String {
    let holds_data = |target: &str| data_path.is_some_and(|path| path == target.trim_end_matches('/'));
    match service.mounts.iter().find(|mount| holds_data(&mount.target)).map(|mount| &mount.source) {
        Some(MountSource::Bind(path)) => format!("empty {}", path.display()),
        Some(MountSource::Volume(_)) => "taskava dev down -v {service}".into(),
        Some(MountSource::Anonymous) | None => "taskava dev up --recreate {service}".into(),
    }
}
