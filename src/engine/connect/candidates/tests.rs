//! Which engine is chosen, from what is set and what lies where.

use std::collections::HashMap;

use super::*;

fn ask() -> ConnectOptions {
    ConnectOptions { config_dir: "/home/me/.docker".into(), home: Some("/home/me".into()), ..ConnectOptions::default() }
}

fn decide(options: &ConnectOptions, files: &[(String, &str)]) -> Result<Vec<Candidate>> {
    let files: HashMap<PathBuf, Vec<u8>> = files.iter().map(|(p, t)| (p.into(), t.as_bytes().into())).collect();
    candidates(options, |path: &Path| files.get(path).cloned().ok_or_else(|| Io::NotFound.into()))
}

fn addresses(options: &ConnectOptions, files: &[(String, &str)]) -> Vec<String> {
    let found = decide(options, files).expect("a decision");
    found.iter().map(|candidate| candidate.address.to_string()).collect()
}

fn refusal(options: &ConnectOptions, files: &[(String, &str)]) -> String {
    let error = decide(options, files).expect_err("a refusal");
    assert_eq!(error.kind, ErrorKind::Usage);
    assert!(!error.hints.is_empty(), "{error} says no remedy");
    format!("{error}; {}", error.hints.join("; "))
}

fn some(text: &str) -> Option<String> {
    Some(text.into())
}

fn meta(name: &str, json: &'static str) -> (String, &'static str) {
    (format!("/home/me/.docker/contexts/meta/{}/meta.json", hex(&Sha256::digest(name))), json)
}

const FAR: &str =
    r#"{"Name":"far","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://far:2376","SkipTLSVerify":false}}}"#;
const VM: &str = r#"{"Name":"vm","Endpoints":{"docker":{"Host":"unix:///vm.sock"}}}"#;

fn config(json: &'static str) -> (String, &'static str) {
    ("/home/me/.docker/config.json".into(), json)
}

#[test]
fn the_source_that_stands_first_decides() {
    let files = [meta("far", FAR), meta("vm", VM), config(r#"{"currentContext":"far"}"#)];
    let mut options = ask();
    assert_eq!(addresses(&options, &files), ["tcp://far:2376"]);
    options.env_context = some("vm");
    assert_eq!(addresses(&options, &files), ["unix:///vm.sock"]);
    options.env_host = some("tcp://env");
    assert_eq!(addresses(&options, &files), ["tcp://env:2375"]);
    options.context = some("far");
    assert_eq!(addresses(&options, &files), ["tcp://far:2376"]);
    (options.context, options.host) = (None, some("unix:///flag.sock"));
    assert_eq!(addresses(&options, &files), ["unix:///flag.sock"]);
    options.context = some("vm");
    assert!(refusal(&options, &files).contains("--host and --context"));
}

#[test]
fn the_default_context_is_docker_host_or_the_usual_places() {
    let files = [meta("far", FAR), config(r#"{"currentContext":"far"}"#)];
    for options in
        [ConnectOptions { context: some("default"), ..ask() }, ConnectOptions { env_context: some("default"), ..ask() }]
    {
        assert_eq!(addresses(&options, &files)[0], "unix:///var/run/docker.sock");
        let options = ConnectOptions { env_host: some("tcp://env"), ..options };
        assert_eq!(addresses(&options, &files), ["tcp://env:2375"]);
    }
    assert_eq!(addresses(&ask(), &[config(r#"{"currentContext":"default"}"#)])[0], "unix:///var/run/docker.sock");
}

#[test]
#[cfg(unix)]
fn usual_places_include_rootless_and_desktop_sockets() {
    let options = ConnectOptions { runtime_dir: Some("/run/user/1000".into()), ..ask() };
    let places = [
        "unix:///var/run/docker.sock",
        "unix:///run/user/1000/docker.sock",
        "unix:///home/me/.docker/run/docker.sock",
        "unix:///home/me/.docker/desktop/docker.sock",
        "unix:///home/me/.orbstack/run/docker.sock",
        "unix:///home/me/.colima/default/docker.sock",
        "unix:///home/me/.rd/docker.sock",
        "unix:///run/user/1000/podman/podman.sock",
    ];
    assert_eq!(addresses(&options, &[config("{}")]), places);
    let options = ConnectOptions { colima_home: Some("/colima".into()), home: None, runtime_dir: None, ..options };
    assert_eq!(addresses(&options, &[]), ["unix:///var/run/docker.sock", "unix:///colima/default/docker.sock"]);
}

#[test]
fn a_context_lies_under_the_hash_of_its_name() {
    // As the docker command names it: printf colima | sha256sum.
    assert_eq!(hex(&Sha256::digest("colima")), "f24fd3749c1368328e2b149bec149cb6795619f244c5b584e844961215dadd16");
}

#[test]
fn a_context_that_cannot_be_used_says_which_and_where_it_came_from() {
    let named = ConnectOptions { context: some("gone"), ..ask() };
    assert!(refusal(&named, &[]).starts_with(r#"context "gone" (from --context) doesn't exist; list the contexts"#));
    let current = [config(r#"{"currentContext":"gone"}"#)];
    assert!(refusal(&ask(), &current).contains("currentContext in /home/me/.docker/config.json"));
    for (json, what) in
        [("{", "can't be read"), ("{}", "names no Docker engine"), (r#"{"Endpoints":{"docker":{}}}"#, "no host")]
    {
        assert!(refusal(&named, &[meta("gone", json)]).contains(what), "{json}");
    }
    assert!(refusal(&ask(), &[config("{")]).contains("/home/me/.docker/config.json isn't valid"));
}

#[test]
fn a_config_of_somebody_else_does_not_lock_out() {
    let found = candidates(&ask(), |_: &Path| Err(Io::PermissionDenied.into())).expect("a decision");
    assert_eq!(found[0].address.to_string(), "unix:///var/run/docker.sock");
}

fn tls_of(options: &ConnectOptions, files: &[(String, &str)]) -> Option<Tls> {
    match decide(options, files).expect("a decision").remove(0).address {
        Address::Tcp { tls, .. } => tls,
        other => panic!("{other} isn't tcp"),
    }
}

#[test]
fn tls_comes_with_the_context() {
    let dir = format!("/home/me/.docker/contexts/tls/{}/docker", hex(&Sha256::digest("far")));
    let file = |name: &str| (format!("{dir}/{name}.pem"), "pem");
    let options = ConnectOptions { context: some("far"), ..ask() };
    assert_eq!(tls_of(&options, &[meta("far", FAR)]), None);
    let tls = tls_of(&options, &[meta("far", FAR), file("ca")]).expect("tls");
    assert!(tls.verify && tls.ca.is_some() && tls.client.is_none());
    let tls = tls_of(&options, &[meta("far", FAR), file("cert"), file("key")]).expect("tls");
    assert!(tls.ca.is_none() && tls.client.is_some());
    assert!(refusal(&options, &[meta("far", FAR), file("cert")]).contains("key.pem is missing"));
    let trusting = r#"{"Endpoints":{"docker":{"Host":"tcp://far","SkipTLSVerify":true}}}"#;
    assert!(!tls_of(&options, &[meta("far", trusting)]).expect("tls").verify);
    assert_eq!(addresses(&options, &[meta("far", trusting)]), ["tcp://far:2376"]);
}

#[test]
fn tls_comes_from_the_environment() {
    let mut options = ConnectOptions { env_host: some("tcp://env"), cert_path: Some("/certs".into()), ..ask() };
    let files = [("/certs/ca.pem".into(), "pem")];
    assert_eq!(tls_of(&options, &files), None);
    options.tls_verify = true;
    assert!(tls_of(&options, &files).expect("tls").verify);
    assert!(refusal(&options, &[]).contains("DOCKER_CERT_PATH=/certs has no ca.pem"));
    (options.tls_verify, options.tls) = (false, true);
    assert!(!tls_of(&options, &files).expect("tls").verify);
    options.env_host = some("http://env");
    assert_eq!(tls_of(&options, &files), None);
    (options.tls, options.cert_path, options.env_host) = (false, None, some("https://env"));
    assert_eq!(tls_of(&options, &[]).expect("tls").ca, None);
}

#[test]
fn addresses_are_understood_or_refused_with_a_remedy() {
    let address = |text: &str| addresses(&ConnectOptions { host: some(text), ..ask() }, &[]).remove(0);
    for (text, form) in [
        ("tcp://box", "tcp://box:2375"),
        ("tcp://box:1/", "tcp://box:1"),
        ("box:1", "tcp://box:1"),
        ("https://box", "tcp://box:2376"),
        ("tcp://[::1]:2375", "tcp://[::1]:2375"),
        ("tcp://[::1]", "tcp://[::1]:2375"),
        ("npipe:////./pipe/docker_engine", "npipe:////./pipe/docker_engine"),
    ] {
        assert_eq!(address(text), form);
    }
    for text in [
        "tcp://",
        "tcp://box:",
        "tcp://box:0",
        "tcp://box:99999",
        "tcp://box/path",
        "tcp://me@box",
        "[::1",
        "unix://rel",
        "fd://",
    ] {
        let said = refusal(&ConnectOptions { env_host: some(text), ..ask() }, &[]);
        assert!(said.starts_with(&format!("{text:?} (from DOCKER_HOST)")), "{said}");
    }
    let said = refusal(&ConnectOptions { host: some("ssh://me@box:22/run/x.sock"), ..ask() }, &[]);
    assert!(
        said.contains("ssh -nNT -p 22 -L /tmp/docker.sock:/var/run/docker.sock me@box")
            && said.contains("docker context")
    );
}
