//! A job runs to completion: migrations and the like.

use std::time::Duration;

use super::Defaults;

pub(super) const DEFAULTS: Defaults = Defaults { ready_timeout: Duration::from_secs(600), ..Defaults::UNKNOWN };
