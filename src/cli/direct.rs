//! Makes programs on this machine reach the stack directly, even if a proxy is set.

use std::collections::BTreeSet;
use std::ffi::OsString;

use crate::engine::About;
use crate::plan::observed::Container;

/// Variables that name a proxy, in either case.
const PROXIES: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY"];

/// Variables that say what is reached without one. Which of them is read depends on the program.
const DIRECT: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// Where this machine is itself.
const HERE: [&str; 3] = ["127.0.0.1", "localhost", "::1"];

/// Hosts at which the services of a stack are reached from here.
pub(super) fn hosts(about: &About, containers: &[Container]) -> BTreeSet<String> {
    let ports = containers.iter().flat_map(|container| &container.ports);
    let bound = ports.map(|port| port.address).filter(|address| !address.is_unspecified());
    bound.map(|address| address.to_string()).chain([about.host.clone()]).collect()
}

/// Variables for a program that is to reach these hosts directly; none where no proxy is set.
pub(super) fn variables(hosts: &BTreeSet<String>) -> Vec<(String, OsString)> {
    around(hosts, |name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

/// Hosts that a program with our environment would ask a proxy for.
pub(super) fn behind_a_proxy(hosts: &BTreeSet<String>) -> Vec<String> {
    let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if !is_behind(get) {
        return Vec::new();
    }
    let known: Vec<String> = DIRECT.iter().filter_map(|name| get(name)).collect();
    let is_known = |host: &String| known.iter().any(|list| entries(list).any(|entry| entry == host || entry == "*"));
    hosts.iter().filter(|host| !is_known(host)).cloned().collect()
}

fn is_behind(get: impl Fn(&str) -> Option<String>) -> bool {
    PROXIES.iter().any(|name| get(name).is_some() || get(&name.to_ascii_lowercase()).is_some())
}

fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

fn around(hosts: &BTreeSet<String>, get: impl Fn(&str) -> Option<String>) -> Vec<(String, OsString)> {
    if !is_behind(&get) {
        return Vec::new();
    }
    let lists: Vec<String> = DIRECT.iter().filter_map(|name| get(name)).collect();
    let mut all: Vec<&str> = Vec::new();
    let ours = HERE.into_iter().chain(hosts.iter().map(String::as_str));
    for entry in lists.iter().flat_map(|list| entries(list)).chain(ours) {
        if !all.contains(&entry) {
            all.push(entry);
        }
    }
    // Some programs know the star only where it stands alone.
    let all = if all.contains(&"*") { "*".to_owned() } else { all.join(",") };
    DIRECT.iter().map(|name| ((*name).to_owned(), OsString::from(&all))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(set: &[(&str, &str)]) -> Vec<(String, String)> {
        let hosts = BTreeSet::from(["127.0.0.1".to_owned(), "192.0.2.7".to_owned()]);
        let get = |name: &str| set.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned());
        let text = |value: OsString| value.into_string().unwrap();
        around(&hosts, get).into_iter().map(|(name, value)| (name, text(value))).collect()
    }

    #[test]
    fn what_the_user_excludes_stays_and_both_spellings_say_the_same() {
        assert_eq!(found(&[("NO_PROXY", "x")]), [], "no proxy, nothing to say");
        let ours = "127.0.0.1,localhost,::1,192.0.2.7";
        for proxy in ["HTTP_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"] {
            let all = found(&[(proxy, "http://proxy:3128")]);
            assert_eq!(all, [("NO_PROXY".into(), ours.to_owned()), ("no_proxy".into(), ours.to_owned())]);
        }
        let all = found(&[("http_proxy", "p"), ("NO_PROXY", ".corp, localhost"), ("no_proxy", ".other")]);
        assert_eq!(all[0].1, ".corp,localhost,.other,127.0.0.1,::1,192.0.2.7");
        assert_eq!(all[0].1, all[1].1);
        assert_eq!(found(&[("http_proxy", "p"), ("NO_PROXY", "a,*")])[0].1, "*");
    }
}
