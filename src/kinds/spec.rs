//! The definition of a kind: one constant per kind, in its own file.

use std::time::Duration;

use super::Login;
use super::arguments::Arguments;
use super::failures::FailurePattern;
use crate::model::{Probe, Service};

/// Everything that is special about a kind. What a kind does not set is that of [`KindSpec::GENERIC`].
pub(super) struct KindSpec {
    /// What it sets where services.toml is silent.
    pub(super) defaults: Defaults,
    /// How it is asked whether it is ready.
    pub(super) probe: fn(&Arguments<'_>) -> Probe,
    /// Logins that it may accept in addition to that of its probe, most likely first.
    pub(super) logins: fn(&Arguments<'_>) -> Vec<Login>,
    /// Why a container of this image, with its environment, would not do what services.toml says.
    pub(super) refuse: fn(&Service, &[String]) -> Option<String>,
    /// Failures that were seen, with the remedy.
    pub(super) failures: &'static [FailurePattern],
    /// Whether a log line was caused by its probe.
    pub(super) is_probe_noise: fn(&str) -> bool,
    /// Where it keeps its data when services.toml says another place than [`Defaults::data_path`].
    pub(super) moved_data_path: fn(&Service) -> Option<String>,
    /// Where it keeps its data; none where that is not known for sure.
    pub(super) known_data_path: fn(&Service) -> Option<String>,
    /// All that it keeps belongs together, so that a part of its folder is of no use by itself.
    pub(super) is_one_database: bool,
    /// The folders that its image declares as volumes, when that is known.
    pub(super) declared: fn(&Service) -> Option<Vec<String>>,
    /// Whether it keeps its data where [`Self::move_data`] says.
    pub(super) is_movable: fn(&Service) -> bool,
    /// Tells it where to keep its data.
    pub(super) move_data: fn(&mut Service, &str),
}

impl KindSpec {
    /// Of something of which nothing is known.
    pub(super) const GENERIC: Self = Self {
        defaults: Defaults::UNKNOWN,
        probe: |_| Probe::Auto,
        logins: |_| Vec::new(),
        refuse: |_, _| None,
        failures: &[],
        is_probe_noise: |_| false,
        moved_data_path: |_| None,
        known_data_path: |_| None,
        is_one_database: false,
        declared: |_| None,
        is_movable: |_| false,
        move_data: |_, _| {},
    };
}

/// What a kind sets where services.toml is silent.
#[derive(Debug, Clone, PartialEq)]
pub struct Defaults {
    /// Image, for kinds that are one product.
    pub image: Option<&'static str>,
    /// How long until it is given up.
    pub ready_timeout: Duration,
    /// Time to stop by itself before it is killed.
    pub stop_timeout: Duration,
    /// The same while it is visibly still at work.
    pub stop_limit: Duration,
    /// It is a server that others leave data with, and saves it when it is asked to stop.
    pub keeps_data: bool,
    /// Where it keeps its data, inside.
    pub data_path: Option<&'static str>,
    /// Takes about a second or more from its start to being ready, so that others are better started after it.
    pub slow_start: bool,
}

impl Defaults {
    /// Of something of which nothing is known.
    pub(super) const UNKNOWN: Self = Self {
        image: None,
        ready_timeout: Duration::from_secs(60),
        // Docker's own.
        stop_timeout: Duration::from_secs(10),
        stop_limit: Duration::from_secs(10),
        keeps_data: false,
        data_path: None,
        slow_start: false,
    };

    /// Of a server with data: how long it saves depends on how much there is. One that is done sooner stops sooner.
    pub(super) const KEEPS_DATA: Self = Self {
        stop_timeout: Duration::from_secs(60),
        stop_limit: Duration::from_secs(300),
        keeps_data: true,
        ..Self::UNKNOWN
    };
}
