//! Logs of containers as raw bytes, and the starts of containers, for as long as the connection lasts. `decode`
//! converts the bytes to lines; `tail` only reads the last lines. Following, ordering and reconnecting are left to
//! `crate::logs`.

pub mod decode;
mod tail;

use std::collections::HashMap;
use std::pin::Pin;

use bollard::errors::Error as Bollard;
use bollard::query_parameters::EventsOptions;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::Version;

use crate::diag::{Error, ErrorKind, Result};
use crate::engine::error::{failed, message, status};
use crate::engine::{Engine, labels};
use crate::model::ServiceName;

/// Which part of a log. Times are nanoseconds since 1970 by the engine's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamOptions {
    /// From this time on, the lines of that very time included.
    pub since: Option<u64>,
    /// Up to this time.
    pub until: Option<u64>,
    /// Number of lines from the end; none = all.
    pub tail: Option<u64>,
    /// Go on with what is written from now on, until the container stops.
    pub follow: bool,
    /// Each line with its time. Costs the engine a fifth of its speed.
    pub stamped: bool,
}

/// Why a log can't be read.
#[derive(Debug)]
pub enum LogError {
    /// Its container was removed, or is being removed.
    Gone,
    /// Its log driver keeps nothing that can be read.
    Unreadable,
    /// The engine failed, or does not answer.
    Failed(Error),
}

/// The bytes of a log, for [`decode::Lines`].
pub type LogBytes = Pin<Box<dyn Stream<Item = Result<Bytes, LogError>> + Send>>;

/// A container was started, or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turned {
    /// Its id.
    pub id: String,
    /// Its service.
    pub service: ServiceName,
    /// Whether its process ended.
    pub ended: bool,
    /// With which code it ended.
    pub exit_code: Option<i64>,
    /// When, in nanoseconds since 1970.
    pub at: Option<i64>,
}

impl Engine {
    /// The bytes of a container's log. Nothing is sent before the stream is polled.
    pub fn log_bytes(&self, id: &str, options: StreamOptions) -> LogBytes {
        let path = log_path(id, options);
        // bollard decodes logs frame by frame, with an allocation for each and without those of the engine (type 3).
        // Its export call gives the bytes as they are, over any transport, so it is led to another path. HTTP/1.0 has
        // no chunks: else each line would be one, and taken apart on its own.
        let docker = self.docker.clone().with_request_modifier(move |mut request| {
            let mut parts = request.uri().clone().into_parts();
            parts.path_and_query = path.parse().ok();
            if let Ok(uri) = http::Uri::from_parts(parts) {
                *request.uri_mut() = uri;
            }
            *request.version_mut() = Version::HTTP_10;
            request
        });
        Box::pin(docker.export_container(id).map(|bytes| bytes.map_err(|error| log_error(&error))))
    }

    /// Starts of a stack's containers, and with `ends` their ends, too, from now on. Ends with the connection. A hint, not
    /// the truth: the list is.
    pub fn turns(&self, project: &str, ends: bool) -> impl Stream<Item = Result<Turned>> + Send + Unpin + use<> {
        let mut filters: HashMap<String, Vec<String>> = labels::filter(project);
        filters.insert("type".into(), vec!["container".into()]);
        let words = if ends { &["start", "die"][..] } else { &["start"] };
        filters.insert("event".into(), words.iter().map(|&word| word.to_owned()).collect());
        let events = self.docker.events(Some(EventsOptions { filters: Some(filters), ..Default::default() }));
        Box::pin(events.filter_map(async |event| match event {
            Ok(event) => {
                let actor = event.actor?;
                let attributes = actor.attributes?;
                let service = ServiceName::parse(attributes.get(labels::SERVICE)?).ok()?;
                let ended = event.action.as_deref() == Some("die");
                let exit_code = attributes.get("exitCode").and_then(|code| code.parse().ok());
                Some(Ok(Turned { id: actor.id?, service, ended, exit_code, at: event.time_nano }))
            }
            Err(error) => Some(Err(failed("can't follow the engine's events", &error))),
        }))
    }

    /// Waits until a container has been started again: until it has another start than `started`, in the engine's words.
    /// `since`: a time before that, in seconds since 1970, so that one that happens just now is not missed.
    ///
    /// # Errors
    /// When the engine no longer answers.
    pub async fn started_again(&self, id: &str, since: i64, started: Option<&str>) -> Result<()> {
        let filters = [("container", id), ("event", "start"), ("type", "container")];
        let filters = filters.map(|(key, value)| (key.to_owned(), vec![value.to_owned()]));
        let options =
            EventsOptions { since: Some(since.to_string()), filters: Some(filters.into()), ..Default::default() };
        let mut events = std::pin::pin!(self.docker.events(Some(options)));
        while let Some(event) = events.next().await {
            event.map_err(|error| failed("can't follow the engine's events", &error))?;
            if self.inspect(id).await?.is_none_or(|seen| seen.started_at.as_deref() != started) {
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Engine, "the engine's event stream ended")
            .hint("is the engine still running? try: taskava dev ps"))
    }

    /// The engine's clock: on a virtual machine it can be far from ours. Ours, if it can't be asked.
    pub async fn now(&self) -> jiff::Timestamp {
        let told = self.docker.info().await.ok().and_then(|info| info.system_time?.parse().ok());
        told.unwrap_or_else(jiff::Timestamp::now)
    }
}

fn log_path(id: &str, options: StreamOptions) -> String {
    let mut path = format!("/containers/{id}/logs?stdout=1&stderr=1");
    let mut time = |name: &str, at: u64| {
        path += &format!("&{name}={}.{:09}", at / 1_000_000_000, at % 1_000_000_000);
    };
    if let Some(since) = options.since {
        time("since", since);
    }
    if let Some(until) = options.until {
        time("until", until);
    }
    if let Some(tail) = options.tail {
        path += &format!("&tail={tail}");
    }
    if options.follow {
        path += "&follow=1";
    }
    if options.stamped {
        path += "&timestamps=1";
    }
    path
}

fn log_error(error: &Bollard) -> LogError {
    let text = message(error);
    match status(error) {
        Some(404 | 409) => LogError::Gone,
        Some(_) if text.contains("does not support reading") => LogError::Unreadable,
        _ => LogError::Failed(failed("can't read the log", error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_nanoseconds() {
        let options = StreamOptions {
            since: Some(1_700_000_000_000_000_012),
            tail: Some(5),
            follow: true,
            ..StreamOptions::default()
        };
        let path = log_path("x", options);
        assert_eq!(path, "/containers/x/logs?stdout=1&stderr=1&since=1700000000.000000012&tail=5&follow=1");
    }
}
