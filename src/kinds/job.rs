//! A job runs to completion: migrations and the like.

use std::time::Duration;

use super::spec::{Defaults, KindSpec};
use crate::model::Probe;

pub(super) const SPEC: KindSpec = KindSpec {
    defaults: Defaults { ready_timeout: Duration::from_secs(600), ..Defaults::UNKNOWN },
    probe: |_| Probe::Exit,
    ..KindSpec::GENERIC
};
