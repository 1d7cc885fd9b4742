//! What is mounted into containers, and how: labels, folders of volumes, submounts, memory, images.

use bollard::models::{HostConfig, Mount};
use bollard::query_parameters::InspectContainerOptions;

use crate::docker;
use crate::stack::Stack;

const APP: &str = "[services.app]\nimage = \"image:busybox\"\ncommand = [\"sleep\", \"1000\"]\ninit = true\n";

fn host_config(stack: &Stack) -> HostConfig {
    let id = stack.container("app");
    let seen = docker::engine(async |docker| docker.inspect_container(&id, None::<InspectContainerOptions>).await);
    seen.host_config.expect("it has one")
}

fn api() -> (u32, u32) {
    let said = docker::engine(async |docker| docker.version().await).api_version.expect("a version");
    let (major, minor) = said.split_once('.').expect("two numbers");
    (major.parse().expect("a number"), minor.parse().expect("a number"))
}

#[test]
fn each_mount_is_made_as_it_is_written() {
    let volumes = r#"volumes = [
  "./in:/label:ro,Z",
  "data:/shared-label:z",
  { source = "fresh", target = "/etc", nocopy = true },
  { source = "./in", target = "/flat", read_only = true, recursive = "disabled", propagation = "private" },
  { source = "./made/here", target = "/made", create_host_path = true },
]
tmpfs = ["/memory:size=1m,mode=0710"]
"#;
    let stack = Stack::new("mounts", &format!("{APP}{volumes}"));
    stack.file("in/a", "text");
    stack.up();
    let id = stack.container("app");
    let inside = |script: &str| docker::output(&id, &["sh", "-c", script]);
    assert_eq!(inside("cat /label/a /flat/a"), "texttext");
    assert_eq!(inside("touch /label/b 2>/dev/null || echo no; touch /shared-label/b && echo yes"), "no\nyes\n");
    assert_eq!(inside("ls -d /etc/passwd 2>/dev/null || echo none"), "none\n");
    assert_eq!(inside("stat -c %a /memory; df -k /memory | tail -n1 | awk '{print $2}'"), "710\n1024\n");
    assert!(stack.path().join("made/here").is_dir());
    let host = host_config(&stack);
    let binds = [format!("{}/in:/label:ro,Z", stack.root), format!("{}:/shared-label:rw,z", stack.volume("data"))];
    assert_eq!(host.binds.unwrap_or_default(), binds);
    let mounts = host.mounts.unwrap_or_default();
    let at = |target: &str| mounts.iter().find(|mount| mount.target.as_deref() == Some(target)).cloned();
    let Mount { bind_options, .. } = at("/flat").expect("a mount");
    let options = bind_options.expect("options");
    assert_eq!(
        (options.non_recursive, options.propagation.map(|how| how.to_string())),
        (Some(true), Some("private".into()))
    );
    stack.up();
    assert_eq!(stack.container("app"), id, "nothing to do");
    stack.edit("./in:/label:ro,Z", "./in:/label:ro,z");
    stack.up();
    assert_ne!(stack.container("app"), id);
}

#[test]
fn a_folder_of_a_volume_is_mounted_or_it_is_said() {
    let stack = Stack::new("subpath", &format!("{APP}volumes = [\"data:/all\"]\n"));
    stack.up();
    docker::exec(&stack.container("app"), &["sh", "-c", "mkdir /all/part; touch /all/part/in /all/out"]);
    stack.edit("volumes = [\"data:/all\"]", "volumes = [{ source = \"data\", target = \"/all\", subpath = \"part\" }]");
    let up = stack.up();
    let seen = docker::output(&stack.container("app"), &["ls", "/all"]);
    if api() >= (1, 45) {
        assert_eq!(seen, "in\n");
        assert!(!up.stderr.contains("warning"), "{}", up.stderr);
    } else {
        assert_eq!(seen, "out\npart\n");
        up.says(&["warning: app: all of the volume at /all is mounted: `subpath` needs Docker 26 (API 1.45)"]);
    }
}

#[test]
fn an_image_is_mounted_or_refused_before_anything_is_created() {
    let mount = "volumes = [{ image = \"image:nginx\", target = \"/nginx\", subpath = \"etc/nginx\" }]\n";
    let stack = Stack::new("image-mount", &format!("{APP}{mount}"));
    if api() >= (1, 48) {
        stack.up();
        let seen = docker::output(&stack.container("app"), &["ls", "/nginx"]);
        assert!(seen.contains("nginx.conf"), "{seen}");
        return;
    }
    let (major, minor) = api();
    let image = crate::stack::image("image:nginx");
    for command in [&["up"][..], &["run", "app", "true"]] {
        let refused = stack.dev(command).ends(3);
        assert_eq!(
            refused.stderr,
            format!(
                "error: can't mount image {image} into app: the engine has API {major}.{minor}, and image mounts need 1.48\n\
                 hint: use Docker 28 or newer, or copy what is needed into a volume\n"
            )
        );
        assert_eq!(docker::left(&stack.label()), [""; 0]);
    }
}
