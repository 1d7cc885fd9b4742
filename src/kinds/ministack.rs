//! MiniStack: what LocalStack's community edition lacks, Cognito and SES among it.

use super::Defaults;
use super::arguments::Arguments;
use crate::model::Probe;

pub(super) const DEFAULTS: Defaults = Defaults { image: Some("ministackorg/ministack:1.5.33"), ..Defaults::KEEPS_DATA };

pub(super) fn probe(arguments: &Arguments<'_>) -> Probe {
    Probe::Ministack { port: Arguments::port(arguments.env("GATEWAY_PORT")).unwrap_or(4566) }
}
