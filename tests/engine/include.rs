//! A stack of several files: what is included and extended runs, and `watch` follows edits of each file.

use crate::docker;
use crate::stack::{Stack, image, wait_until};
use crate::watch::Watching;

const SERVICE: &str = "image = \"image:busybox\"\ncommand = [\"sleep\", \"1000\"]\nstop_signal = \"SIGKILL\"\n";

#[test]
fn included_services_run_and_edits_of_their_files_are_applied() {
    let stack = Stack::new(
        "include",
        "include = \"shop\"\n[services.app]\nextends = { file = \"base/base.toml\", service = \"base\" }\n\
         env = { A = \"1\" }\nwatch = [{ path = \"src\" }]\ndepends_on = { cache = \"started\" }\n",
    );
    let file = |name: &str, text: &str| stack.file(name, &text.replace("image:busybox", image("image:busybox")));
    let cache = |level: &str| {
        let more = "volumes = [\"./data:/data:ro\"]\nenv = { FROM = \"${FROM:-none}\", LEVEL = ";
        format!("[services.cache]\n{SERVICE}{more}\"{level}\" }}\n")
    };
    let base = format!("[services.base]\n{SERVICE}");
    file("base/base.toml", &base);
    file("shop/services.toml", &cache("1"));
    file("shop/data/x", "of the shop");
    file("src/main.txt", "0");
    stack.up();
    assert_eq!(stack.dev(&["exec", "cache", "cat", "/data/x"]).ends(0).stdout.trim_end(), "of the shop");

    let watching = Watching::start(&stack, &[]);
    // An edit right after the start may be seen twice, and the second time nothing is left to do.
    let applied = |path: &str, service: &str, variable: &str| {
        wait_until(path, || watching.all("watch-reloaded").iter().any(|told| told["path"] == path).then_some(()));
        let env = docker::inspect(&stack.container(service)).env;
        assert!(env.contains(&variable.to_owned()), "{path}: {env:?}");
    };
    file("shop/services.toml", &cache("2"));
    applied("shop/services.toml", "cache", "LEVEL=2");
    file("base/base.toml", &(base + "env = { B = \"2\" }\n"));
    applied("base/base.toml", "app", "B=2");
    file("shop/.env", "FROM=dotenv\n");
    applied("shop/.env", "cache", "FROM=dotenv");
    let env = docker::inspect(&stack.container("app")).env;
    assert!(env.contains(&"A=1".to_owned()), "{env:?}");
}

#[test]
fn what_is_not_required_may_fail_and_links_and_volumes_of_others_are_there() {
    let stack = Stack::new(
        "optional",
        "[networks.default]\nname = \"NAME/net\"\n\
         [services.broken]\nimage = \"image:busybox\"\ncommand = [\"false\"]\nready = { exec = \"true\" }\n\
         [services.idle]\nimage = \"image:busybox\"\ncommand = [\"sleep\", \"1000\"]\nprofiles = [\"idle\"]\n\
         [services.other]\nimage = \"image:busybox\"\ncommand = [\"sleep\", \"1000\"]\nstop_signal = \"SIGKILL\"\nvolumes = [\"kept:/kept\"]\n\
         [services.app]\nimage = \"image:busybox\"\ncommand = [\"sleep\", \"1000\"]\nstop_signal = \"SIGKILL\"\n\
         external_links = [\"NAME-other:db\"]\nvolumes_from = [\"other:ro\"]\n\
         depends_on = { other = { restart = true }, broken = { required = false }, idle = { required = false } }\n",
    );
    stack.edit("NAME/net", &format!("{}/net", stack.project));
    stack.edit("NAME-other", &format!("{}-other", stack.project));
    let up = stack.dev(&["up"]);
    assert_eq!(up.code, 7, "{}", up.stderr);
    assert_eq!((stack.state("app"), stack.find("idle")), ("running".into(), None));
    let found = stack.dev(&["exec", "app", "ping", "-c", "1", "db"]).ends(0);
    assert!(found.stdout.contains("1 packets received"), "{}", found.stdout);
    stack.dev(&["exec", "other", "touch", "/kept/x"]).ends(0);
    stack.dev(&["exec", "app", "ls", "/kept/x"]).ends(0);
    assert_ne!(stack.dev(&["exec", "app", "touch", "/kept/y"]).code, 0, "it is read-only there");
    let before = docker::inspect(&stack.container("app")).started_at;
    stack.dev(&["restart", "other"]).ends(0);
    assert_ne!(docker::inspect(&stack.container("app")).started_at, before, "it is restarted with it");
    stack.dev(&["down", "-v", "-y"]).ends(0);
}
