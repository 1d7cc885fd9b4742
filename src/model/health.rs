//! The health check of a container, as the engine has it.

use std::time::Duration;

/// A health check. What is not set is the image's, or the engine's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthCheck {
    /// `CMD` or `CMD-SHELL` and the words; `NONE` = no health check. Empty: the image's own.
    pub test: Vec<String>,
    /// Time between two checks.
    pub interval: Option<Duration>,
    /// Time limit of one.
    pub timeout: Option<Duration>,
    /// Failures until it is unhealthy.
    pub retries: Option<u32>,
    /// Time in which failures do not count.
    pub start_period: Option<Duration>,
    /// Time between two checks in that.
    pub start_interval: Option<Duration>,
}

impl HealthCheck {
    /// No health check, not even the image's.
    pub fn none() -> Self {
        Self { test: vec!["NONE".into()], ..Self::default() }
    }

    /// The command that it runs inside.
    pub fn command(&self) -> Option<Vec<String>> {
        match self.test.split_first()? {
            (kind, words) if kind == "CMD" => Some(words.to_vec()),
            (kind, words) if kind == "CMD-SHELL" => {
                Some(["sh", "-c"].into_iter().map(Into::into).chain(words.iter().cloned()).collect())
            }
            _ => None,
        }
    }

    /// How long it takes at most until the engine gives a container up, within an hour.
    pub fn patience(&self) -> Duration {
        let [interval, timeout] = [self.interval, self.timeout].map(|time| time.unwrap_or(Duration::from_secs(30)));
        let one = interval + timeout.min(Duration::from_secs(5));
        let all = self.start_period.unwrap_or_default() + one * self.retries.unwrap_or(3).min(1000);
        all.min(Duration::from_secs(3600))
    }

    /// Its times by their keys, which Compose has too.
    pub fn times(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        let all = [
            ("interval", self.interval),
            ("timeout", self.timeout),
            ("start_period", self.start_period),
            ("start_interval", self.start_interval),
        ];
        all.into_iter().filter_map(|(key, time)| Some((key, time?)))
    }
}
