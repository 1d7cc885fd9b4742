//! Mailpit.

use super::arguments::Arguments;
use super::mail;
use super::spec::{Defaults, KindSpec};
use crate::model::Probe;

pub(super) const SPEC: KindSpec = KindSpec {
    defaults: Defaults { image: Some("axllent/mailpit:v1.27.11"), ..Defaults::UNKNOWN },
    probe,
    ..KindSpec::GENERIC
};

fn probe(arguments: &Arguments<'_>) -> Probe {
    mail::probe(
        arguments,
        &mail::Settings {
            http: (&["-l", "--listen"], "MP_UI_BIND_ADDR"),
            smtp: (&["-s", "--smtp"], "MP_SMTP_BIND_ADDR"),
            web_root: (&["--webroot"], "MP_WEBROOT"),
            path: "/readyz",
        },
    )
}
