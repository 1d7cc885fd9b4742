//! Recognises in a log that a host name is unknown, and lists the names that exist.

use std::collections::BTreeMap;

use crate::diag::similar;
use crate::model::{Failure, Service, ServiceName, Stack};

/// How programs say that a name leads nowhere: what stands before the name, and what else the line says. Compared
/// without regard to case.
const NAMED: &[(&str, &str)] = &[
    // curl, git
    ("could not resolve host: ", ""),
    // libpq
    ("could not translate host name ", ""),
    // Node.js
    ("getaddrinfo enotfound ", ""),
    ("getaddrinfo eai_again ", ""),
    // Go
    ("lookup ", "no such host"),
    ("lookup ", "server misbehaving"),
    // busybox
    ("bad address ", ""),
    // Java
    ("unknownhostexception: ", ""),
    // wget
    ("unable to resolve host address ", ""),
    // redis-cli, redis-py
    ("could not connect to redis at ", "name or service not known"),
    ("could not connect to redis at ", "temporary failure in name resolution"),
    ("connecting to ", "name or service not known"),
    // ping, nc
    ("ping: ", "name or service not known"),
    ("ping: ", "temporary failure in name resolution"),
    ("unknown host ", ""),
    ("unknown host: ", ""),
];

/// The same from programs that keep the name to themselves.
const NAMELESS: &[&str] = &[
    "name or service not known",
    "temporary failure in name resolution",
    "failed to lookup address information",
    "nodename nor servname provided",
    "no address associated with hostname",
];

/// The likely reason and what to do next, where a service's log says that a name is not known.
pub(super) fn explain(stack: &Stack, service: &Service, failure: &Failure) -> Option<(String, String)> {
    let neighbours = neighbours(stack, service);
    let unknown = failure.log.iter().rev().find_map(|line| named(line));
    let nameless = || {
        let told = failure.log.iter().any(|line| NAMELESS.iter().any(|text| line.to_lowercase().contains(text)));
        told.then(|| in_env(service, &neighbours)).flatten()
    };
    let (name, written) = match unknown {
        Some(name) => {
            let written = env_with(service, &name);
            (name, written)
        }
        None => nameless().map(|(name, variable)| (name, Some(variable)))?,
    };
    let place = match written {
        Some(variable) => format!("`env.{variable}` of services.{}", service.name),
        None => format!("the host name in the configuration of {}", service.name),
    };
    Some(words(service, &neighbours, &name, &place))
}

fn words(service: &Service, neighbours: &BTreeMap<&str, bool>, name: &str, place: &str) -> (String, String) {
    let networks = if service.networks.len() == 1 { "its network" } else { "its networks" };
    if let Some(active) = neighbours.get(name) {
        let reason = format!("`{name}` is a service of this stack, but did not run when it was looked up");
        let next = match active {
            true => format!("add `depends_on = [\"{name}\"]` to services.{}", service.name),
            false => {
                format!("add `depends_on = [\"{name}\"]` to services.{}: its profiles are not active", service.name)
            }
        };
        return (reason, next);
    }
    let all = neighbours.keys().copied().collect::<Vec<_>>().join(", ");
    match similar(name, neighbours.keys().copied()) {
        Some(near) => (
            format!("nothing is called `{name}` on {networks}; there are: {all}"),
            format!("write `{near}` in place of `{name}`: {place}"),
        ),
        // What is outside the stack needs a way out, and nothing of the stack is meant.
        None if name.contains('.') => (
            format!("the engine can't look up `{name}`: it has no such name, or no way to a name server"),
            format!("check {place}, and the network and DNS of the engine"),
        ),
        None if neighbours.is_empty() => (
            format!("nothing is called `{name}` on {networks}, where {} is alone", service.name),
            format!("correct {place}, or put both services on one network: `networks`"),
        ),
        None => (
            format!("nothing is called `{name}` on {networks}; there are: {all}"),
            format!("write one of these names: {place}"),
        ),
    }
}

/// What a service can call by name, and whether it is active.
fn neighbours<'a>(stack: &'a Stack, service: &Service) -> BTreeMap<&'a str, bool> {
    let beside = |other: &&Service| {
        other.name != service.name && other.networks.iter().any(|network| service.networks.contains(network))
    };
    stack.services.values().filter(beside).map(|other| (ServiceName::as_str(&other.name), other.active)).collect()
}

/// The name that a line says is unknown.
fn named(line: &str) -> Option<String> {
    let lower = line.to_lowercase();
    NAMED.iter().find_map(|(before, also)| {
        let at = lower.find(before)? + before.len();
        let rest = lower[at..].trim_start_matches(['"', '\'', '`', '‘', '“', '(']);
        let end = rest.find(|c: char| !(c.is_alphanumeric() || "-_.".contains(c))).unwrap_or(rest.len());
        let name = rest[..end].trim_end_matches('.');
        (lower.contains(also) && is_name(name)).then(|| name.to_owned())
    })
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.contains(char::is_alphabetic) && text.parse::<std::net::IpAddr>().is_err()
}

/// The variable that has this host.
fn env_with(service: &Service, name: &str) -> Option<String> {
    let has = |value: &str| host(value).is_some_and(|host| host.eq_ignore_ascii_case(name));
    service.env.iter().find(|(_, env)| has(&env.value)).map(|(variable, _)| variable.clone())
}

/// A host in the environment that the network does not know, and the variable it is in.
fn in_env(service: &Service, neighbours: &BTreeMap<&str, bool>) -> Option<(String, String)> {
    service.env.iter().find_map(|(variable, env)| {
        let is_host = env.value.contains("://") || variable.to_uppercase().ends_with("HOST");
        let host = host(&env.value).filter(|_| is_host)?.to_lowercase();
        let is_own = host == service.name.as_str() || host == "localhost" || host.contains('.');
        (!is_own && is_name(&host) && neighbours.get(&*host) != Some(&true)).then(|| (host, variable.clone()))
    })
}

/// `db` of `postgres://user:pass@db:5432/app`, `db:5432` and `db`.
fn host(value: &str) -> Option<&str> {
    let rest = value.split_once("://").map_or(value, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?.split(':').next()?;
    (!host.is_empty() && !host.contains(char::is_whitespace)).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_say_it_in_many_ways() {
        for line in [
            "curl: (6) Could not resolve host: postgress",
            "fatal: unable to access 'http://postgress/x/': Could not resolve host: postgress",
            "psql: error: could not translate host name \"postgress\" to address: Name or service not known",
            "Error: getaddrinfo ENOTFOUND postgress",
            "Error: getaddrinfo EAI_AGAIN postgress postgress:5432",
            "dial tcp: lookup postgress on 127.0.0.11:53: no such host",
            "wget: bad address 'postgress:5432'",
            "java.net.UnknownHostException: postgress: Name or service not known",
            "wget: unable to resolve host address ‘postgress’",
            "Could not connect to Redis at postgress:6379: Name or service not known",
            "redis.exceptions.ConnectionError: Error -2 connecting to postgress:6379. Name or service not known.",
            "ping: postgress: Name or service not known",
        ] {
            assert_eq!(named(line).as_deref(), Some("postgress"), "{line}");
        }
        for line in ["lookup table of postgress built", "connecting to postgress:5432", "bad address '10.0.0.1'", ""] {
            assert_eq!(named(line), None, "{line}");
        }
    }

    #[test]
    fn the_host_of_a_value() {
        for value in ["postgres://user:p%40ss@db:5432/app?x=y", "db:5432", "db", "redis://db", "http://db/path@x"] {
            assert_eq!(host(value), Some("db"), "{value}");
        }
        assert_eq!(host(""), None);
        assert_eq!(host("a b"), None);
    }
}
