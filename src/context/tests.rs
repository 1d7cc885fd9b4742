//! Listings and hashes of real folders.

use std::fs;
use std::path::Path;

use super::*;

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn build(context: &Path, dockerfile: &str) -> Build {
    Build {
        inline: None,
        contexts: Default::default(),
        context: context.into(),
        dockerfile: dockerfile.into(),
        target: None,
        args: Default::default(),
        cache_from: Vec::new(),
        secrets: Default::default(),
        options: Default::default(),
    }
}

fn paths(build: &Build) -> Vec<String> {
    Context::list(build).unwrap().entries.into_iter().map(|entry| entry.path).collect()
}

#[test]
fn what_is_left_out_and_brought_back() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for path in ["Dockerfile", "a.log", "src/main.rs", "src/x.log", "target/debug/deps/a", "target/keep/this", "z"] {
        write(root, path, "x");
    }
    write(root, ".dockerignore", "Dockerfile\n**/*.log\ntarget\n!target/keep\n");
    let expected =
        [".dockerignore", "Dockerfile", "src", "src/main.rs", "target", "target/keep", "target/keep/this", "z"];
    assert_eq!(paths(&build(root, "Dockerfile")), expected, "the Dockerfile is needed, whatever the patterns say");
}

#[test]
fn a_dockerfile_that_is_left_out_is_for_the_builder_alone() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("app");
    for path in ["app/Dockerfile", "app/docker/api.Dockerfile", "app/a", "elsewhere/Dockerfile"] {
        write(folder.path(), path, "x");
    }
    let apart = |dockerfile: &str| {
        let found = Context::without_dockerfile(&build(&root, dockerfile)).unwrap();
        found.map(|(context, dockerfile)| {
            (context.entries.into_iter().map(|entry| entry.path).collect::<Vec<_>>(), dockerfile.path)
        })
    };
    assert_eq!(apart("Dockerfile"), None);
    let all = ["Dockerfile", "a", "docker", "docker/api.Dockerfile"].map(String::from).to_vec();
    assert_eq!(apart("../elsewhere/Dockerfile"), Some((all, OUTSIDE.into())));
    write(&root, ".dockerignore", "Dockerfile\n.dockerignore\ndocker\n");
    assert_eq!(apart("Dockerfile"), Some((vec!["a".into()], "Dockerfile".into())));
    assert_eq!(apart("docker/api.Dockerfile"), Some((vec!["a".into()], "api.Dockerfile".into())));
}

#[test]
fn a_dockerfile_may_have_patterns_of_its_own_and_lie_outside() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("app");
    for path in ["app/docker/api.Dockerfile", "app/a", "app/b", "elsewhere/Dockerfile"] {
        write(folder.path(), path, "x");
    }
    write(&root, ".dockerignore", "a\ndocker");
    write(&root, "docker/api.Dockerfile.dockerignore", "b\ndocker\n.dockerignore");
    let own = build(&root, "docker/api.Dockerfile");
    assert_eq!(paths(&own), ["a", "docker", "docker/api.Dockerfile"]);
    assert_eq!(Context::list(&own).unwrap().dockerfile, "docker/api.Dockerfile");
    assert_eq!(paths(&build(&root, "./docker/../docker/api.Dockerfile")), ["a", "docker", "docker/api.Dockerfile"]);
    let outside = build(&root, "../elsewhere/Dockerfile");
    assert_eq!(paths(&outside), [".dockerignore", "b", OUTSIDE]);
    assert_eq!(Context::list(&outside).unwrap().dockerfile, OUTSIDE);
}

#[test]
#[cfg(unix)]
fn links_are_links_and_sockets_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "Dockerfile", "FROM scratch");
    std::os::unix::fs::symlink("/etc", root.join("link")).unwrap();
    std::os::unix::fs::symlink("no such file", root.join("broken")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    let entries = Context::list(&build(root, "Dockerfile")).unwrap().entries;
    let seen: Vec<_> = entries.into_iter().map(|entry| (entry.path, entry.what)).collect();
    assert_eq!(seen[1], ("broken".into(), What::Link("no such file".into())));
    assert_eq!(seen[2], ("link".into(), What::Link("/etc".into())));
    assert_eq!(seen.len(), 3, "{seen:?}");
}

#[test]
#[cfg(unix)]
fn content_and_mode_count_but_times_do_not() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for number in 0..200 {
        write(root, &format!("files/{number}"), "x");
    }
    write(root, "Dockerfile", "FROM scratch");
    write(root, ".dockerignore", "ignored");
    let build = build(root, "Dockerfile");
    let first = content(&build).unwrap();

    write(root, "ignored", "x");
    fs::File::open(root.join("files/7")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(content(&build).unwrap(), first);
    fs::set_permissions(root.join("files/7"), fs::Permissions::from_mode(0o755)).unwrap();
    let executable = content(&build).unwrap();
    assert_ne!(executable, first);
    write(root, "files/8", "y");
    let edited = content(&build).unwrap();
    assert_ne!(edited, executable);
    write(root, "Dockerfile", "FROM scratch\n");
    assert_ne!(content(&build).unwrap(), edited);
}
