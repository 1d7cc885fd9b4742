//! MiniStack: provides what LocalStack's community edition lacks, Cognito and SES included.

use super::arguments::Arguments;
use super::spec::{Defaults, KindSpec};
use crate::model::{Probe, Service};

pub(super) const SPEC: KindSpec = KindSpec {
    defaults: Defaults { image: Some("ministackorg/ministack:1.5.33"), ..Defaults::KEEPS_DATA },
    probe,
    is_probe_noise: |line| line.contains("/_ministack/ready"),
    moved_data_path: data_path,
    known_data_path: |service| data_path(service).filter(|_| is_kept(service)),
    declared: |service| service.build.is_none().then(Vec::new),
    ..KindSpec::GENERIC
};

fn probe(arguments: &Arguments<'_>) -> Probe {
    Probe::Ministack { port: Arguments::port(arguments.env("GATEWAY_PORT")).unwrap_or(4566) }
}

/// Where it keeps what it is to keep; nowhere of use unless it is configured.
fn data_path(service: &Service) -> Option<String> {
    service.env.get("STATE_DIR").map(|env| env.value.clone()).filter(|path| path.starts_with('/'))
}

/// Whether it writes its state there by itself.
fn is_kept(service: &Service) -> bool {
    service.env.get("PERSIST_STATE").is_some_and(|env| matches!(env.value.as_str(), "1" | "true"))
}
