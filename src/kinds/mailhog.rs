//! MailHog: no longer maintained, and published for amd64 only. Mailpit is the replacement for everything else.

use super::arguments::Arguments;
use super::failures::{FailurePattern, Matcher};
use super::mail;
use super::spec::{Defaults, KindSpec};
use crate::model::Probe;

pub(super) const SPEC: KindSpec = KindSpec {
    defaults: Defaults { image: Some("mailhog/mailhog:v1.0.1"), ..Defaults::UNKNOWN },
    probe,
    failures: KNOWN,
    is_probe_noise: |line| line.contains("[APIv2] GET /api/v2/messages") || line.contains("[SMTP "),
    ..KindSpec::GENERIC
};

fn probe(arguments: &Arguments<'_>) -> Probe {
    mail::probe(
        arguments,
        &mail::Settings {
            http: (&["-api-bind-addr", "--api-bind-addr"], "MH_API_BIND_ADDR"),
            smtp: (&["-smtp-bind-addr", "--smtp-bind-addr"], "MH_SMTP_BIND_ADDR"),
            web_root: (&["-ui-web-path", "--ui-web-path"], "MH_UI_WEB_PATH"),
            path: "/api/v2/messages?limit=1",
        },
    )
}

const KNOWN: &[FailurePattern] = &[FailurePattern {
    sign: Matcher::Line(&["exec format error"]),
    reason: "MailHog is published for amd64 only, and this machine is another",
    next: "set `kind = \"mailpit\"` and remove `image` of services.{service}: Mailpit has the same ports",
}];
