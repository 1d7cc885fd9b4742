//! When a service is ready: as declared, otherwise as its kind defines.

use super::Resolver;
use crate::config::decode::{Entry, Spanned};
use crate::config::schema;
use crate::diag::{Diagnostic, Place};
use crate::kinds::{self, Given};
use crate::model::{HealthCheck, Kind, Port, Probe, Protocol, Readiness};

/// As the engine has it. A single line is for the shell.
fn health_check(spec: &schema::HealthSpec) -> HealthCheck {
    let schema::HealthSpec { test, interval, timeout, retries, start_period, start_interval, disable } = spec;
    if *disable == Some(true) {
        return HealthCheck::none();
    }
    let test = match &test.0[..] {
        [line] if line.0 != "NONE" => vec!["CMD-SHELL".into(), line.0.clone()],
        words => words.iter().map(|word| word.0.clone()).collect(),
    };
    HealthCheck {
        test,
        interval: *interval,
        timeout: *timeout,
        retries: *retries,
        start_period: *start_period,
        start_interval: *start_interval,
    }
}

impl Resolver<'_> {
    pub(super) fn readiness(
        &mut self,
        kind: Kind,
        service: &Entry<schema::Service>,
        given: Given<'_>,
        ports: &[Port],
    ) -> Readiness {
        let mut timeout = kinds::defaults(kind).ready_timeout;
        let declared = service.healthcheck.as_ref().filter(|_| kind == Kind::Generic).map(|check| health_check(check));
        if let Some(check) = &declared {
            timeout = timeout.max(check.patience());
        }
        let command = declared.as_ref().and_then(HealthCheck::command);
        let default = || match &command {
            Some(command) => Probe::Exec { command: command.clone() },
            None => kinds::probe(kind, given),
        };
        let Some(ready) = &service.ready else { return Readiness { probe: default(), timeout, interval: None } };
        let tests = self.tests(ready, given, ports);
        if let [_, (second, place, _), ..] = &tests[..] {
            let message = format!("`ready` has more than one test: `{}` and `{second}`", tests[0].0);
            self.error_hint(place, message, "keep the one that shows that a client can use it");
        }
        if let (Kind::Job, Some((test, place, _))) = (kind, tests.first()) {
            let hint = format!("remove `{test}`: services that depend on the job wait until it has exited with code 0");
            self.error_hint(place, "a job has no readiness test", hint);
        }
        for (name, duration) in [("timeout", ready.timeout), ("interval", ready.interval)] {
            if duration.is_some_and(|duration| duration.is_zero()) {
                self.error(&ready.place, format!("`ready.{name}` can't be zero"));
            }
        }
        let probe = tests.into_iter().next().and_then(|(_, _, probe)| probe).unwrap_or_else(default);
        Readiness { probe, timeout: ready.timeout.unwrap_or(timeout), interval: ready.interval }
    }

    /// The container's own health check.
    pub(super) fn healthcheck(&mut self, entry: &Entry<schema::Service>) -> Option<HealthCheck> {
        let written = entry.healthcheck.as_ref()?;
        let check = health_check(written);
        match check.test.split_first() {
            Some((kind, [])) if kind != "NONE" => {
                self.error(&written.place, "the command of the health check is empty");
            }
            Some((kind, _)) if !matches!(kind.as_str(), "CMD" | "CMD-SHELL" | "NONE") => {
                let hint = "begin it with \"CMD\" or \"CMD-SHELL\", or write one line for the shell";
                self.error_hint(&written.place, "the command of the health check is a list of words", hint);
            }
            _ => {}
        }
        Some(check)
    }

    /// All tests that are written, with the probe of those that are right.
    fn tests(
        &mut self,
        ready: &Spanned<schema::ReadySpec>,
        given: Given<'_>,
        ports: &[Port],
    ) -> Vec<(&'static str, Place, Option<Probe>)> {
        let mut tests = Vec::new();
        if let Some(http) = &ready.http {
            tests.push(("http", http.place.clone(), self.http(http, ports)));
        }
        if let Some(tcp) = &ready.tcp {
            for port in &tcp.0 {
                self.check_port(*port, ports, &tcp.place);
            }
            if tcp.0.is_empty() && !ports.iter().any(|port| port.protocol == Protocol::Tcp) {
                let message = "`tcp = true` tests the published ports, but the service publishes none";
                self.error_hint(&tcp.place, message, "name the port inside: `tcp = 8080`");
            }
            tests.push(("tcp", tcp.place.clone(), Some(Probe::Tcp { ports: tcp.0.clone() })));
        }
        if let Some(log) = &ready.log {
            if let Err(error) = regex::Regex::new(log) {
                let reason =
                    error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                self.error(&log.place, format!("`{}` is not a regular expression: {reason}", log.value));
            }
            tests.push(("log", log.place.clone(), Some(Probe::Log { pattern: log.value.clone() })));
        }
        if let Some(exec) = &ready.exec {
            if exec.0.is_empty() {
                self.error(&exec.place, "the command is empty");
            }
            tests.push(("exec", exec.place.clone(), Some(Probe::Exec { command: exec.0.clone() })));
        }
        for (name, kind, test) in [("postgres", Kind::Postgres, &ready.postgres), ("redis", Kind::Redis, &ready.redis)]
        {
            if let Some(test) = test {
                let mut probe = kinds::probe(kind, given);
                if let (Some(asked), Probe::Postgres { port, .. } | Probe::Redis { port, .. }) = (test.0, &mut probe) {
                    self.check_port(asked, ports, &test.place);
                    *port = asked;
                }
                tests.push((name, test.place.clone(), Some(probe)));
            }
        }
        if let Some(smtp) = &ready.smtp {
            let port = smtp.0.unwrap_or(25);
            self.check_port(port, ports, &smtp.place);
            tests.push(("smtp", smtp.place.clone(), Some(Probe::Smtp { port })));
        }
        if let Some(engine) = ready.engine.as_ref().filter(|engine| engine.value) {
            tests.push(("engine", engine.place.clone(), Some(Probe::Engine)));
        }
        tests
    }

    /// `http://:8080/health`, `:8080/health` or, with one published port, `/health`.
    fn http(&mut self, text: &Spanned<String>, ports: &[Port]) -> Option<Probe> {
        let usage = "write the port inside the container and the path: \"http://:8080/health\"";
        let rest = match text.split_once("://") {
            None => text.value.as_str(),
            Some(("http", rest)) => rest,
            Some((scheme, _)) => {
                self.error_hint(&text.place, format!("the test speaks http, not {scheme}"), usage);
                return None;
            }
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
        if !matches!(host, "" | "localhost" | "127.0.0.1") {
            self.error_hint(&text.place, format!("the test probes this service, not `{host}`"), usage);
            return None;
        }
        let published: Vec<u16> = ports.iter().filter(|p| p.protocol == Protocol::Tcp).map(|p| p.container).collect();
        let port = match (port.parse::<u16>(), &published[..]) {
            (Ok(port), _) if port > 0 => port,
            (Err(_), [only]) if port.is_empty() => *only,
            _ => {
                let message =
                    if port.is_empty() { "the test names no port".into() } else { format!("`{port}` is not a port") };
                self.error_hint(&text.place, message, usage);
                return None;
            }
        };
        self.check_port(port, ports, &text.place);
        if path.contains(|c: char| c.is_whitespace() || c.is_control()) {
            self.error(&text.place, format!("`{path}` can't be the path of a URL"));
        }
        Some(Probe::Http { port, path: if path.is_empty() { "/".into() } else { path.into() } })
    }

    /// A port that is not published can be tested from inside only, which is seldom meant when others are published.
    fn check_port(&mut self, port: u16, ports: &[Port], place: &Place) {
        if port == 0 {
            self.error(place, "`0` is not a port: a number from 1 to 65535");
        } else if !ports.is_empty() && !ports.iter().any(|p| p.container == port && p.protocol == Protocol::Tcp) {
            let published: Vec<String> = ports.iter().map(|port| port.container.to_string()).collect();
            let message = format!("the test probes port {port}, which the service doesn't publish");
            let hint = format!("published ports inside the container: {}", published.join(", "));
            self.problems.push(Diagnostic::warning(place.clone(), message).hint(hint));
        }
    }
}
