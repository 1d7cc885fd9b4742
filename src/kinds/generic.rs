//! The generic kind: a service of which only the ports are known.

use super::failures::{FailurePattern, Matcher};
use super::spec::KindSpec;

pub(super) const SPEC: KindSpec = KindSpec { failures: KNOWN, ..KindSpec::GENERIC };

const KNOWN: &[FailurePattern] = &[FailurePattern {
    sign: Matcher::Exit(0),
    reason: "it ended by itself, although a service should keep running",
    next: "set `kind = \"job\"` of services.{service} if that is what it is; else edit its `command`",
}];
