//! What Cargo.toml, Cargo.lock and deny.toml promise about dependencies, as far as it can be checked offline and without other tools.
//! Looks at what is compiled for this system; `cargo deny` (scripts/check) covers the others, advisories and sources.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use spdx::{Expression, LicenseItem, ParseMode};

fn cargo(args: &[&str]) -> String {
    let run = Command::new(env!("CARGO")).current_dir(env!("CARGO_MANIFEST_DIR")).args(args).output().expect("cargo");
    assert!(run.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).expect("UTF-8")
}

fn toml(file: &str) -> toml::Table {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect(file);
    text.parse().expect(file)
}

/// Every package of the lock file that this system compiles.
fn packages() -> Vec<Value> {
    let version = cargo(&["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    let args = ["metadata", "--format-version=1", "--offline", "--locked", "--filter-platform", host];
    let mut metadata: Value = serde_json::from_str(&cargo(&args)).expect("JSON");
    let Value::Array(packages) = metadata["packages"].take() else { panic!("no packages") };
    assert!(packages.len() > 100, "only {} packages", packages.len());
    packages
}

fn named(package: &Value) -> String {
    format!("{} {}", package["name"].as_str().expect("a name"), package["version"].as_str().expect("a version"))
}

/// Those among `packages` whose licence these don't satisfy.
fn refused(packages: &[Value], allowed: &BTreeSet<String>) -> Vec<String> {
    let is_allowed = |expression: &str| {
        Expression::parse_mode(expression, ParseMode::LAX).is_ok_and(|parsed| {
            parsed.evaluate(|licence| match (&licence.license, &licence.addition) {
                (LicenseItem::Spdx { id, .. }, None) => allowed.contains(id.name),
                _ => false,
            })
        })
    };
    let refused = packages.iter().filter(|package| !package["license"].as_str().is_some_and(is_allowed));
    refused.map(|package| format!("{}: {}", named(package), package["license"])).collect()
}

#[test]
fn every_licence_is_allowed_and_every_allowed_one_is_needed() {
    let deny = toml("deny.toml");
    let allowed: BTreeSet<String> = deny["licenses"]["allow"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|name| name.as_str().expect("a name").into())
        .collect();
    let packages = packages();
    assert_eq!(refused(&packages, &allowed), [""; 0], "deny.toml does not allow these licences");
    for name in &allowed {
        let mut fewer = allowed.clone();
        fewer.remove(name);
        assert_ne!(refused(&packages, &fewer), [""; 0], "no dependency needs `{name}`: take it out of deny.toml");
    }
}

/// `1.89` or `1.88.0`, comparable.
fn release(version: &str) -> Vec<u32> {
    version.split('.').chain(["0"]).take(3).map(|part| part.parse().expect("a number")).collect()
}

#[test]
fn no_dependency_needs_a_newer_rust_than_this_package() {
    let packages = packages();
    let of = |package: &Value| package["rust_version"].as_str().map(release);
    let own = packages.iter().find(|package| package["name"] == "taskava").and_then(of).expect("rust-version");
    let newer: Vec<String> =
        packages.iter().filter(|one| of(one).is_some_and(|needed| needed > own)).map(named).collect();
    assert_eq!(newer, [""; 0], "raise rust-version in Cargo.toml, or use older versions of these");
}

#[test]
fn clippy_looks_for_what_the_oldest_rust_lacks() {
    let lints = &toml("Cargo.toml")["lints"]["clippy"];
    assert_eq!(lints["incompatible_msrv"].as_str(), Some("warn"));
    // It would take precedence over rust-version.
    assert!(!toml("clippy.toml").contains_key("msrv"));
}
