//! How facts are judged.

use std::path::Path;

use super::engine::{clock, disk, leftovers, loopback, memory, namesakes, pools, rootless};
use super::host::{completions, helpers, inotify, named_twice, open_files};
use super::*;
use crate::engine::connect::ConnectOptions;
use crate::engine::{ContainerInfo, Info};
use crate::model::{Stack, StackName};

fn at(second: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(second).expect("a time")
}

const GIB: u64 = 1 << 30;

#[test]
fn engines_that_leave_loopback_open_are_named() {
    let status = |version, system| loopback(version, system).status;
    for version in ["20.10.24+dfsg1", "26.1.5+dfsg1", "28.3.2", "28.0.0-rc.1"] {
        assert_eq!(status(version, "Debian GNU/Linux 12 (bookworm)"), Status::Warn, "{version}");
        assert_eq!(status(version, "Docker Desktop"), Status::Ok, "{version}");
    }
    for version in ["28.3.3", "28.4.0", "29.0.1", "30.0"] {
        assert_eq!(status(version, "Ubuntu 24.04"), Status::Ok, "{version}");
    }
    assert_eq!(status("dev", "Ubuntu 24.04"), Status::Warn);
    assert!(loopback("20.10.24", "x").found.contains("CVE-2025-54388"));
}

#[test]
fn memory_has_to_do_for_all_services() {
    assert_eq!(memory(8 * GIB, GIB).status, Status::Ok);
    assert_eq!(memory(GIB, 0).status, Status::Warn);
    assert!(memory(4 * GIB, 6 * GIB).found.contains("4.0 GiB"));
    assert_eq!(memory(4 * GIB, 6 * GIB).status, Status::Warn);
}

#[test]
fn clocks_may_differ_by_what_asking_takes() {
    assert_eq!(clock("1970-01-01T00:01:40Z", at(100), at(101)).status, Status::Ok);
    assert_eq!(clock("1970-01-01T00:01:40.5Z", at(98), at(103)).status, Status::Ok);
    assert!(clock("1970-01-01T00:03:00Z", at(100), at(101)).found.contains("79 s ahead"));
    assert!(clock("1970-01-01T00:00:30Z", at(100), at(101)).found.contains("70 s behind"));
    assert_eq!(clock("", at(100), at(101)).status, Status::Ok, "not known is not wrong");
}

#[test]
fn a_rootless_engine_has_no_low_ports() {
    let engine = |rootless| Info { rootless, ..Info::default() };
    assert_eq!(rootless(&engine(false), true), None);
    assert_eq!(rootless(&engine(true), false).map(|check| check.status), Some(Status::Ok));
    assert_eq!(rootless(&engine(true), true).map(|check| check.status), Some(Status::Warn));
}

#[test]
fn disks_and_networks_run_out() {
    assert_eq!(disk("/var/lib/docker", GIB / 2).status, Status::Fail);
    assert_eq!(disk("/var/lib/docker", 3 * GIB).status, Status::Warn);
    assert_eq!(disk("/var/lib/docker", 30 * GIB).status, Status::Ok);
    assert_eq!(pools(5).status, Status::Ok);
    assert_eq!(pools(30).status, Status::Warn);
}

fn of(project: Option<&str>, root: &str, name: &str, compose: Option<&str>) -> ContainerInfo {
    ContainerInfo {
        name: name.into(),
        project: project.map(Into::into),
        root: project.map(|_| root.into()),
        compose: compose.map(Into::into),
        ports: Vec::new(),
    }
}

#[test]
fn stacks_whose_folder_is_gone_are_left_over() {
    let seen =
        [of(Some("a"), "/gone", "a-x", None), of(Some("a"), "/gone", "a-y", None), of(Some("b"), "/here", "b-x", None)];
    let check = leftovers(&seen, |root| root == "/here");
    assert_eq!(check.status, Status::Warn);
    assert!(check.found.ends_with(": a (2 containers)"), "{}", check.found);
    assert_eq!(leftovers(&seen[2..], |root| root == "/here").status, Status::Ok);
}

#[test]
fn others_with_the_stacks_names_are_in_the_way() {
    let stack = Stack {
        name: StackName::parse("app").expect("a name"),
        root: "/app".into(),
        services: Default::default(),
        volumes: Default::default(),
        networks: Default::default(),
        aws: Default::default(),
        secrets: Default::default(),
        unusable: Default::default(),
        isolation: None,
    };
    let compose = [of(None, "", "app-db-1", Some("app")), of(None, "", "x-db-1", Some("x"))];
    let check = namesakes(&compose, &stack).expect("a check");
    assert_eq!(check.fix.as_deref(), Some("docker compose -p app down"));
    assert_eq!(namesakes(&compose[1..], &stack), None);
}

#[test]
fn limits_of_the_kernel() {
    assert_eq!(inotify(Some(524_288), Some(512), true).map(|check| check.status), Some(Status::Ok));
    let low = inotify(Some(8192), Some(512), true).expect("a check");
    assert_eq!(low.fix.as_deref(), Some("sudo sysctl fs.inotify.max_user_watches=524288"));
    assert_eq!(inotify(None, None, true), None, "not Linux");
    let limits = |soft: &str| {
        format!("Limit  Soft Limit  Hard Limit  Units\nMax open files            {soft}    4096    files\n")
    };
    assert_eq!(open_files(&limits("256")).map(|check| check.status), Some(Status::Warn));
    assert_eq!(open_files(&limits("1024")).map(|check| check.status), Some(Status::Ok));
    assert_eq!(open_files(&limits("unlimited")).map(|check| check.status), Some(Status::Ok));
    assert_eq!(open_files(""), None);
}

#[test]
fn two_names_for_the_engine_are_one_too_many() {
    let mut options = ConnectOptions { env_host: Some("unix:///a".into()), ..ConnectOptions::default() };
    assert_eq!(named_twice(&options), None);
    options.env_context = Some("colima".into());
    assert!(named_twice(&options).is_some_and(|check| check.found.contains("DOCKER_CONTEXT=colima")));
    options.host = Some("unix:///b".into());
    assert_eq!(named_twice(&options), None, "the flag decides");
}

#[test]
fn credential_helpers_have_to_be_there() {
    let check =
        |json: &str| helpers(json.as_bytes(), Path::new("config.json"), |program| program == "docker-credential-pass");
    assert_eq!(check("{}").status, Status::Ok);
    assert_eq!(check(r#"{"credsStore": "pass"}"#).status, Status::Ok);
    let desktop = check(r#"{"credsStore": "desktop"}"#);
    assert_eq!(desktop.status, Status::Fail);
    assert!(desktop.found.contains("docker-credential-desktop"), "{}", desktop.found);
    assert_eq!(check(r#"{"credHelpers": {"box:5000": "none"}}"#).status, Status::Warn);
    let broken = check(r#"{"auths": {"x": {"auth": "secret""#);
    assert_eq!(broken.status, Status::Fail);
    assert!(!broken.found.contains("secret"), "{}", broken.found);
}

#[test]
fn completions_are_looked_for_where_they_are_put() {
    let home = tempfile::tempdir().expect("a folder");
    let check = completions("/usr/bin/fish", home.path()).expect("a shell that is known");
    assert_eq!(
        check.fix.as_deref(),
        Some(
            "mkdir -p ~/.config/fish/completions && taskava dev completions fish --dynamic > ~/.config/fish/completions/taskava.fish"
        )
    );
    let folder = home.path().join(".config/fish/completions");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("taskava.fish"), "").expect("a file");
    assert_eq!(completions("/usr/bin/fish", home.path()).map(|check| check.status), Some(Status::Ok));
    assert_eq!(completions("/bin/dash", home.path()), None);
    let bash = || completions("/bin/bash", home.path()).expect("a shell that is known");
    let fix = bash().fix.unwrap_or_default();
    let line = fix.strip_prefix("echo '").and_then(|rest| rest.split_once("' >> ~/")).expect("a line for a file");
    std::fs::write(home.path().join(line.1), line.0).expect("a file");
    assert_eq!(bash().status, Status::Ok);
}
