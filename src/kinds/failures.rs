//! Known reasons for failures, as tables: each kind has its own; those of any container are here.

use crate::diag::ErrorKind;
use crate::model::Failure;
use crate::model::reference::Reference;
use crate::model::{MountSource, Service, Stack};

/// A failure that has been seen before.
pub(super) struct FailurePattern {
    /// How it is recognised.
    pub(super) sign: Matcher,
    /// Why it happens. `{service}`, `{image}`, `{line}` (the line that gave it away) are filled in, and `{full}`: which
    /// disk is.
    pub(super) reason: &'static str,
    /// The one command or edit to try next; `{reset}` is how this service gets fresh data, `{room}` how it gets more
    /// room for it, `{login}` the command that logs in at its image's registry.
    pub(super) next: &'static str,
}

/// How a failure is recognised. Texts are compared without regard to case.
pub(super) enum Matcher {
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
    /// The same of one that ended with exit code 0.
    EndedBetween(&'static str, &'static str),
    /// The same of one that still runs.
    StillBetween(&'static str, &'static str),
}

/// Some kinds look for it before what else they say then.
pub(super) const FULL_DISK: FailurePattern =
    FailurePattern { sign: Matcher::Line(&["no space left on device"]), reason: "{full}", next: "{room}" };

const RAISE_MEMORY: &str = "raise `resources.memory` of services.{service} in services.toml";
const TOO_LITTLE_TO_START: &str = "its memory limit is smaller than what the engine needs to start any container";

/// What pulling an image, or making a container of it, can fail with.
pub(super) const IMAGE: &[FailurePattern] = &[
    FailurePattern {
        sign: Matcher::Line(&["no matching manifest"]),
        reason: "{image} is not available for this machine's architecture",
        next: "choose another image, or set `platform` of services.{service} to one it has",
    },
    FailurePattern {
        sign: Matcher::Line(&["does not match the specified platform"]),
        reason: "the local image {image} is for another architecture than `platform` requires",
        next: "choose another image, or remove `platform` of services.{service}",
    },
    FailurePattern {
        sign: Matcher::Line(&["toomanyrequests"]),
        reason: "the registry limits pulls without a login",
        next: LOG_IN,
    },
    FailurePattern {
        sign: Matcher::Line(&["rate limit"]),
        reason: "the registry limits pulls without a login",
        next: LOG_IN,
    },
    FailurePattern {
        sign: Matcher::Line(&["no basic auth credentials"]),
        reason: "the registry requires a login",
        next: LOG_IN,
    },
    FailurePattern {
        sign: Matcher::Line(&["unauthorized"]),
        reason: "the registry does not accept the login, or requires one",
        next: LOG_IN,
    },
    FailurePattern {
        sign: Matcher::Line(&["authentication required"]),
        reason: "the registry does not accept the login, or requires one",
        next: LOG_IN,
    },
    FailurePattern {
        sign: Matcher::Line(&["denied"]),
        reason: "the image does not exist, or pulling it requires a login",
        next: LOG_IN,
    },
    FailurePattern { sign: Matcher::Line(&["manifest unknown"]), reason: NO_SUCH_IMAGE, next: CORRECT_IMAGE },
    FailurePattern { sign: Matcher::Line(&["name unknown"]), reason: NO_SUCH_IMAGE, next: CORRECT_IMAGE },
    FailurePattern { sign: Matcher::Line(&["manifest for", "not found"]), reason: NO_SUCH_IMAGE, next: CORRECT_IMAGE },
    FailurePattern { sign: Matcher::Line(&["no such host"]), reason: NO_WAY_OUT, next: CHECK_NETWORK },
    FailurePattern { sign: Matcher::Line(&["dial tcp"]), reason: NO_WAY_OUT, next: CHECK_NETWORK },
    FailurePattern { sign: Matcher::Line(&["timeout"]), reason: NO_WAY_OUT, next: CHECK_NETWORK },
    FailurePattern { sign: Matcher::Line(&["connection refused"]), reason: NO_WAY_OUT, next: CHECK_NETWORK },
    FailurePattern { sign: Matcher::Line(&[": eof"]), reason: NO_WAY_OUT, next: CHECK_NETWORK },
    FailurePattern {
        sign: Matcher::Line(&["x509"]),
        reason: "the engine does not trust the registry's certificate",
        next: "give the engine the authority's certificate: /etc/docker/certs.d",
    },
    // What else goes wrong with it.
    FailurePattern { sign: Matcher::Line(&["tls: "]), reason: NO_WAY_OUT, next: CHECK_NETWORK },
];

const LOG_IN: &str = "{login}, then: taskava dev up {service}";
const NO_SUCH_IMAGE: &str = "the registry has no image {image}";
const CORRECT_IMAGE: &str = "correct `image` of services.{service}";
const NO_WAY_OUT: &str = "the engine can't reach the registry of {image}";
const CHECK_NETWORK: &str = "check the network, proxy and name server of the engine, then: taskava dev up {service}";

pub(super) const COMMON: &[FailurePattern] = &[
    FailurePattern { sign: Matcher::Oom, reason: "it needed more memory than it may use", next: RAISE_MEMORY },
    FailurePattern {
        sign: Matcher::Line(&["unable to set memory limit"]),
        reason: TOO_LITTLE_TO_START,
        next: RAISE_MEMORY,
    },
    FailurePattern {
        sign: Matcher::Line(&["container init was oom-killed"]),
        reason: TOO_LITTLE_TO_START,
        next: RAISE_MEMORY,
    },
    FailurePattern {
        sign: Matcher::Line(&["exec format error"]),
        reason: "{image} is for another processor architecture, or what it starts is not an executable",
        next: "choose an image for this machine, or set `platform` of services.{service}",
    },
    FULL_DISK,
    FailurePattern {
        sign: Matcher::Line(&["executable file not found in $path"]),
        reason: "its command does not exist in {image}",
        next: "edit `command` or `entrypoint` of services.{service}",
    },
    FailurePattern {
        sign: Matcher::Line(&["unable to start container process", "no such file or directory"]),
        reason: "its command does not exist in {image}",
        next: "edit `command` or `entrypoint` of services.{service}",
    },
    FailurePattern {
        sign: Matcher::Line(&["unable to start container process", "permission denied"]),
        reason: "its command is a file that must not be executed",
        next: "chmod +x the file that `command` or `entrypoint` of services.{service} names",
    },
    FailurePattern {
        sign: Matcher::Line(&["exec /", ": no such file or directory"]),
        reason: "the script's interpreter (its `#!` line) does not exist in {image}, or its lines end with CR LF",
        next: "correct the first line of the script, or convert its line ends",
    },
    FailurePattern {
        sign: Matcher::Line(&["address already in use"]),
        reason: "something else in the container already listens on its port",
        next: "edit the port in `command` or `env` of services.{service}",
    },
    FailurePattern {
        sign: Matcher::Line(&["too many open files"]),
        reason: "it may not open enough files",
        next: "raise `ulimits.nofile` of services.{service}",
    },
    FailurePattern {
        sign: Matcher::Line(&["read-only file system"]),
        reason: "it writes to a mount that is read-only",
        next: "remove `:ro` from the volume of services.{service} it writes to",
    },
    FailurePattern {
        sign: Matcher::Exit(126),
        reason: "its command is a file that can't be executed",
        next: "chmod +x the file that `command` or `entrypoint` of services.{service} names",
    },
    FailurePattern {
        sign: Matcher::Exit(127),
        reason: "a command was not found in {image}",
        next: "edit `command` or `entrypoint` of services.{service}",
    },
    FailurePattern {
        sign: Matcher::Exit(132),
        reason: "it uses instructions that this processor, or its emulation, does not have",
        next: "choose an image for this machine, or set `platform` of services.{service}",
    },
    FailurePattern {
        sign: Matcher::Exit(137),
        reason: "it was killed from outside: by hand, or by a system that ran out of memory",
        next: "taskava dev up {service}",
    },
    FailurePattern {
        sign: Matcher::Exit(139),
        reason: "it crashed with a memory error of its own, or of an emulated architecture",
        next: "taskava dev logs {service}",
    },
    FailurePattern {
        sign: Matcher::Exit(143),
        reason: "it was stopped from outside",
        next: "taskava dev up {service}",
    },
    FailurePattern {
        sign: Matcher::Answer("HTTP 404"),
        reason: "it answers, but not at the probed path",
        next: "edit `ready.http` of services.{service}",
    },
    FailurePattern {
        sign: Matcher::Answer("accepts inside, but not where the engine publishes it"),
        reason: "the engine's forwarder of that port has ended or hangs",
        next: "taskava dev restart {service}",
    },
    FailurePattern {
        sign: Matcher::Answer("accepted, then closed"),
        reason: "nothing listens behind the published port: it listens on another one, or on 127.0.0.1 inside",
        next: "make it listen on 0.0.0.0, or edit `ports` of services.{service}",
    },
    FailurePattern {
        sign: Matcher::Answer("connection refused"),
        reason: "nothing listens on its port",
        next: "taskava dev logs {service}",
    },
];

/// Fills in the first known failure of a table that fits.
pub(super) fn explain(table: &[FailurePattern], stack: &Stack, service: &Service, failure: &mut Failure) {
    let found = table.iter().find_map(|known| Some((known, recognise(&known.sign, failure)?)));
    let Some((known, line)) = found else { return };
    let [full, room] = full_disk(stack, service);
    let fill = |text: &str| {
        text.replace("{reset}", &reset(service, super::data_path(service).as_deref()))
            .replace("{full}", full)
            .replace("{room}", room)
            .replace("{login}", &login(&service.image))
            .replace("{service}", service.name.as_str())
            .replace("{image}", &service.image)
            .replace("{line}", line.trim())
    };
    let (reason, next) = (fill(known.reason), fill(known.next));
    failure.reason = Some(reason);
    failure.next = Some(next);
}

/// The line that gives a failure away; empty where it is no line.
fn recognise<'a>(sign: &Matcher, failure: &'a Failure) -> Option<&'a str> {
    let says = |line: &str, text: &str| line.to_lowercase().contains(&text.to_lowercase());
    match sign {
        Matcher::Line(texts) => {
            let mut lines = failure.log.iter().rev().chain([&failure.message]);
            lines.find(|line| texts.iter().all(|text| says(line, text))).map(String::as_str)
        }
        Matcher::Answer(text) => failure.last_probe.as_deref().filter(|answer| says(answer, text)),
        // One that was never started has an exit code too.
        Matcher::Exit(code) => (failure.kind == ErrorKind::Crashed && failure.exit_code == Some(*code)).then_some(""),
        Matcher::Oom => failure.oom_killed.then_some(""),
        Matcher::StillBetween(..) if failure.kind != ErrorKind::NotReady => None,
        Matcher::EndedBetween(..) if failure.exit_code != Some(0) => None,
        Matcher::Between(begin, end) | Matcher::EndedBetween(begin, end) | Matcher::StillBetween(begin, end) => {
            let last = failure.log.iter().rev().find(|line| says(line, begin) || says(line, end))?;
            says(last, begin).then_some(last)
        }
    }
}

/// Which disk is full, and how to get more room: that of a memory file system is set in services.toml.
fn full_disk(stack: &Stack, service: &Service) -> [&'static str; 2] {
    let in_memory = service.mounts.iter().any(|mount| match &mount.source {
        MountSource::Volume(short) => {
            let volume = stack.volumes.get(short);
            volume.is_some_and(|volume| volume.options.get("type").is_some_and(|kind| kind == "tmpfs"))
        }
        MountSource::Bind(_) | MountSource::View { .. } | MountSource::Anonymous | MountSource::Image(_) => false,
    });
    if !service.tmpfs.is_empty() {
        ["a memory file system of the container is full", "raise `size=` in `tmpfs` of services.{service}"]
    } else if in_memory {
        ["a volume in memory is full", "raise `size=` in `options` of that volume under [volumes]; then: {reset}"]
    } else {
        ["the engine's disk is full", "docker system df shows what uses it, docker system prune removes what is unused"]
    }
}

/// The command that logs in where an image comes from.
fn login(image: &str) -> String {
    Reference::of(image).host().map_or("docker login".into(), |host| format!("docker login {host}"))
}

/// How a service gets fresh data, in words that follow "or".
fn reset(service: &Service, data_path: Option<&str>) -> String {
    let holds_data = |target: &str| data_path.is_some_and(|path| path == target.trim_end_matches('/'));
    match service.mounts.iter().find(|mount| holds_data(&mount.target)).map(|mount| &mount.source) {
        Some(MountSource::Bind(path)) => format!("empty {}", path.display()),
        Some(MountSource::Volume(_)) => "taskava dev down -v {service}".into(),
        Some(MountSource::View { .. } | MountSource::Anonymous | MountSource::Image(_)) | None => {
            "taskava dev up -V {service}".into()
        }
    }
}
