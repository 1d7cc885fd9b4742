//! How many packages a build compiles. Each one costs time in every build, so one more is a decision: raise a limit here on purpose,
//! or find another way.
//!
//! Counted are the different packages in what `cargo tree -e normal,build` prints, this one among them: what is compiled
//! on Linux to use it, without what only its own tests need.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// The packages of a build with these options, each with its version.
fn packages(folder: &str, options: &[&str]) -> BTreeSet<String> {
    let tree = ["tree", "--locked", "--offline", "--prefix", "none"];
    let output = Command::new(env!("CARGO"))
        .args(tree)
        .args(options)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // What was printed before is marked with ` (*)`.
    let lines = String::from_utf8(output.stdout).expect("text");
    lines.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).filter(|line| !line.is_empty()).collect()
}

#[track_caller]
fn at_most(limit: usize, packages: &BTreeSet<String>) {
    let list: Vec<&str> = packages.iter().map(String::as_str).collect();
    assert!(packages.len() <= limit, "{} packages, {limit} are allowed:\n{}", packages.len(), list.join("\n"));
}

/// Names of packages.
fn names(packages: &BTreeSet<String>) -> BTreeSet<&str> {
    packages.iter().filter_map(|package| package.split(' ').next()).collect()
}

#[test]
fn a_test_crate_compiles_few_packages_and_none_of_the_command_line() {
    // As the example resolves them, whose own packages (`postgres`, `tokio` with more features) are not below taskava.
    let all = packages("examples/rust-tests", &["--edges", "normal,build,dev", "--package", "taskava"]);
    assert!(names(&all).contains("bollard"), "{all:?}");
    at_most(121, &all);
    let command_line = [
        "annotate-snippets",
        "clap",
        "console",
        "granit-parser",
        "ignore",
        "indicatif",
        "notify",
        "rustls",
        "x25519-dalek",
    ];
    let found: Vec<_> = names(&all).into_iter().filter(|name| command_line.contains(name)).collect();
    assert_eq!(found, [""; 0]);
    at_most(136, &packages("", &["--edges", "normal,build", "--no-default-features", "--features", "tls"]));
}

#[test]
fn the_command_line_compiles_few_packages() {
    let without_encryption = packages("", &["--edges", "normal,build", "--no-default-features", "--features", "cli"]);
    assert!(names(&without_encryption).contains("clap"), "{without_encryption:?}");
    assert!(!names(&without_encryption).contains("x25519-dalek"), "{without_encryption:?}");
    at_most(173, &without_encryption);
    at_most(185, &packages("", &["--edges", "normal,build"]));
}
