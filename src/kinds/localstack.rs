//! LocalStack, community edition.

use std::time::Duration;

use super::arguments::Arguments;
use super::failures::{FailurePattern, Matcher};
use super::spec::{Defaults, KindSpec};
use crate::model::Probe;

/// Where it keeps its data, inside.
const DATA: &str = "/var/lib/localstack";

pub(super) const SPEC: KindSpec = KindSpec {
    defaults: Defaults {
        // The last version that runs without an account.
        image: Some("localstack/localstack:4.14.0"),
        ready_timeout: Duration::from_secs(120),
        data_path: Some(DATA),
        slow_start: true,
        ..Defaults::KEEPS_DATA
    },
    probe,
    failures: KNOWN,
    is_probe_noise: |line| line.contains(": GET /_localstack/init => "),
    known_data_path: |service| service.entrypoint.is_none().then(|| DATA.into()),
    declared: |service| service.build.is_none().then(|| vec![DATA.into()]),
    ..KindSpec::GENERIC
};

fn probe(arguments: &Arguments<'_>) -> Probe {
    // It may listen on several; the first is as good as any.
    let listen = arguments.env("GATEWAY_LISTEN").and_then(|listen| listen.split(',').next());
    // That of images before version 3, which do not set the other one.
    let listen = listen.or(arguments.env("EDGE_PORT").filter(|_| arguments.is_whole()));
    Probe::Localstack { port: Arguments::port(listen).unwrap_or(4566) }
}

const NEEDS_ACCOUNT: &str = "this version of LocalStack needs an account and its LOCALSTACK_AUTH_TOKEN";
const PIN: &str = "set `image = \"localstack/localstack:4.14.0\"` of services.{service}, the last that runs without";

const KNOWN: &[FailurePattern] = &[
    FailurePattern { sign: Matcher::Exit(55), reason: NEEDS_ACCOUNT, next: PIN },
    FailurePattern { sign: Matcher::Line(&["license activation failed"]), reason: NEEDS_ACCOUNT, next: PIN },
    FailurePattern {
        sign: Matcher::Line(&["[errno 13]", "/etc/localstack/init/"]),
        reason: "an init script may not be executed: {line}",
        next: "chmod +x the script, then: taskava dev up --recreate {service}",
    },
    FailurePattern {
        sign: Matcher::Line(&["[errno 2]", "/etc/localstack/init/"]),
        reason: "an init script has Windows line ends (CR LF), or its `#!` line names a program that is not there: {line}",
        next: "convert its line ends (`dos2unix`, `*.sh text eol=lf` in .gitattributes), then: taskava dev up --recreate {service}",
    },
    FailurePattern {
        sign: Matcher::Line(&["[errno 8]", "/etc/localstack/init/"]),
        reason: "an init script has no `#!` line: {line}",
        next: "begin it with `#!/bin/bash`, then: taskava dev up --recreate {service}",
    },
    FailurePattern {
        sign: Matcher::Answer("init script"),
        reason: "a script in /etc/localstack/init failed or does not end",
        next: "taskava dev logs {service}",
    },
    FailurePattern {
        sign: Matcher::Line(&["not a number", "specified port"]),
        reason: "a port in its environment is not a number: {line}",
        next: "edit `env.GATEWAY_LISTEN` of services.{service}",
    },
];
