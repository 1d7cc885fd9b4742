//! Images that services.toml builds: with BuildKit, with the classic builder, and not at all when nothing changed.

use std::time::SystemTime;

use bollard::query_parameters::{ListImagesOptions, RemoveImageOptions};
use futures_util::TryStreamExt as _;

use crate::docker;
use crate::stack::{Output, Stack, image, wait_until};

/// A stack whose only service prints what its image was made with. The image goes when this does, after the stack.
struct Built {
    stack: Stack,
    image: Image,
}

/// The image of one test, and those that lost their name to it.
struct Image {
    name: String,
    label: String,
}

impl Drop for Image {
    fn drop(&mut self) {
        docker::engine(async |docker| {
            let filters = Some([("label".to_owned(), vec![self.label.clone()])].into());
            let all = ListImagesOptions { all: true, filters, ..Default::default() };
            for image in docker.list_images(Some(all)).await? {
                let options = RemoveImageOptions { force: true, ..Default::default() };
                // Some go with others.
                let _ = docker.remove_image(&image.id, Some(options), None).await;
            }
            Ok(())
        });
    }
}

impl Built {
    /// With this Dockerfile after its FROM line, and these lines of the service.
    fn new(name: &str, dockerfile: &str, service: &str) -> Self {
        let services = format!("[services.app]\nkind = \"job\"\ncommand = [\"cat\", \"/made\"]\n{service}\n");
        let stack = Stack::new(name, &services);
        let image = Image { name: format!("{}-app:latest", stack.project), label: format!("test={}", stack.project) };
        let built = Self { stack, image };
        built.dockerfile(dockerfile);
        built
    }

    fn dockerfile(&self, text: &str) {
        let from = format!("FROM {}\nLABEL test={}\n", image("image:busybox"), self.stack.project);
        self.stack.file("app/Dockerfile", &format!("{from}{text}\n"));
    }

    /// `up` with the classic builder.
    fn classic(&self, arguments: &[&str]) -> Output {
        let mut command = self.stack.command(arguments);
        crate::stack::Running::start(command.env("DOCKER_BUILDKIT", "0")).finish()
    }

    /// What the job printed.
    fn printed(&self) -> String {
        docker::log(&self.stack.container("app"))
    }

    /// Everything the engine says of the image.
    fn inspected(&self) -> String {
        let name = &self.image.name;
        let image = docker::engine(async |docker| docker.inspect_image(name).await);
        let history = docker::engine(async |docker| docker.image_history(name).await);
        format!("{}\n{}", serde_json::to_string(&image).expect("JSON"), serde_json::to_string(&history).expect("JSON"))
    }
}

/// Lists the context, in a form that is the same wherever it lies.
const LIST: &str = "COPY . /context\nRUN cd /context && find . -type f -o -type l | sort | tr '\\n' ' ' > /made";

#[test]
fn a_secret_reaches_the_step_and_nothing_else() {
    let built = Built::new(
        "secret",
        "ARG VERSION\nRUN --mount=type=secret,id=token wc -c < /run/secrets/token > /made; echo $VERSION >> /made",
        "build = { context = \"app\", args = { VERSION = \"7.1\" }, secrets = { token = \"token.txt\" } }",
    );
    built.stack.file("token.txt", "t0p-s3cret-value");
    let up = built.stack.dev(&["up", "-v"]).ends(0);
    assert_eq!(built.printed().split_whitespace().collect::<Vec<_>>(), ["16", "7.1"]);
    let everything = built.inspected() + &up.stderr + &up.stdout;
    assert!(everything.contains("dev.taskava.build"), "{everything}");
    assert!(!everything.contains("t0p-s3cret-value"), "{everything}");
    assert!(up.stderr.contains("] RUN --mount=type=secret"), "each step is reported: {}", up.stderr);
    built.classic(&["build"]).ends(4).says(&["build secrets need BuildKit", "DOCKER_BUILDKIT"]);
}

#[test]
fn both_builders_get_what_dockerignore_leaves() {
    let built = Built::new("ignore", LIST, "build = \"app\"");
    for file in ["a.log", "src/main.rs", "src/b.log", "target/big", "target/keep/this", "with space/ä"] {
        built.stack.file(&format!("app/{file}"), file);
    }
    std::os::unix::fs::symlink("src/main.rs", built.stack.path().join("app/link")).expect("a link");
    built.stack.file("app/.dockerignore", "**/*.log\ntarget\n!target/keep\n.dockerignore\n");
    let expected = "./Dockerfile ./link ./src/main.rs ./target/keep/this ./with space/ä ";
    built.stack.up();
    assert_eq!(built.printed(), expected);
    built.classic(&["build", "--no-cache"]).ends(0).says(&["built with the classic builder: DOCKER_BUILDKIT is 0"]);
    built.stack.up();
    assert_eq!(built.printed(), expected);
    assert!(built.inspected().contains("dev.taskava.build"));
}

#[test]
fn a_dockerfile_that_is_left_out_is_seen_by_no_step_of_either_builder() {
    let built = Built::new("hidden", LIST, "build = \"app\"");
    let stack = &built.stack;
    for file in ["a", "src/b.log", "src/main.rs"] {
        stack.file(&format!("app/{file}"), file);
    }
    // More than goes into one piece, or into what the builder takes at a time.
    stack.file("app/big", &"0123456789abcdef".repeat(20_000));
    std::os::unix::fs::symlink("src/main.rs", stack.path().join("app/link")).expect("a link");
    let lists = format!("{LIST}\nRUN wc -c < /context/big >> /made && cat /context/link >> /made");
    built.dockerfile(&lists);
    let expected = "./a ./big ./link ./src/main.rs 320000\nsrc/main.rs";
    for patterns in ["**/*.log\nDockerfile\n.dockerignore\n", "**/*.log\n.*\n**/Dockerfile*\n"] {
        stack.file("app/.dockerignore", patterns);
        stack.dev(&["build", "--no-cache"]).ends(0);
        stack.up();
        assert_eq!(built.printed(), expected, "{patterns}");
    }
    built.classic(&["build", "--no-cache"]).ends(0);
    stack.up();
    assert_eq!(built.printed(), expected, "the classic builder");

    // A comment makes nothing after `COPY .` run again.
    let once = "COPY . /context\nRUN cat /proc/sys/kernel/random/uuid > /made";
    built.dockerfile(once);
    stack.up();
    let first = built.printed();
    built.dockerfile(&format!("# said again\n{once}"));
    stack.up();
    assert_eq!(built.printed(), first);

    // From outside, it is in no folder of the image either.
    let from = format!("FROM {}\nLABEL test={}\n", image("image:busybox"), stack.project);
    stack.file("elsewhere/Dockerfile", &format!("{from}{LIST}\n"));
    stack.edit("build = \"app\"", "build = { context = \"app\", dockerfile = \"../elsewhere/Dockerfile\" }");
    stack.up();
    assert_eq!(built.printed(), "./a ./big ./link ./src/main.rs ");
}

#[test]
fn only_a_change_of_what_it_is_built_from_builds_again_and_is_named() {
    let built = Built::new("again", LIST, "build = { context = \"app\", args = { A = 1 } }");
    let stack = &built.stack;
    stack.file("app/src/main.rs", "1");
    stack.file("app/.dockerignore", "*.log");
    stack.up();
    let first = stack.container("app");
    stack.file("app/x.log", "ignored");
    let file = std::fs::File::open(stack.path().join("app/src/main.rs")).expect("a file");
    file.set_modified(SystemTime::UNIX_EPOCH).expect("its time");
    stack.dev(&["plan", "--exit-code"]).ends(0);
    stack.up().says(&["nothing to do"]);
    assert_eq!(stack.container("app"), first);

    stack.file("app/src/main.rs", "2");
    let plan = stack.dev(&["plan", "--exit-code"]).ends(10);
    assert!(plan.stdout.contains("build context changed: src/main.rs"), "{}", plan.stdout);
    stack.up();
    let second = stack.container("app");
    assert_ne!(second, first);
    let explained = stack.dev(&["explain", "app"]).ends(0);
    assert!(explained.stdout.contains("build context changed: src/main.rs"), "{}", explained.stdout);

    // `restart` applies edits of services.toml; what only concerns the files is up to `up`.
    stack.file("app/src/main.rs", "3");
    stack.dev(&["restart"]).ends(0);
    stack.edit("A = 1", "A = 2");
    let plan = stack.dev(&["plan"]).ends(0);
    assert!(plan.stdout.contains("build changed: args.A, context (src/main.rs)"), "{}", plan.stdout);
    stack.dev(&["build"]).ends(0);
    stack.up();
    stack.up().says(&["nothing to do"]);
}

#[test]
fn the_step_that_failed_is_shown_with_its_output() {
    let built = Built::new("fails", "RUN echo fine\nRUN echo first; echo second >&2; exit 3", "build = \"app\"");
    let shown = ["RUN echo first; echo second >&2; exit 3", "│ first", "│ second", "fix the Dockerfile"];
    built.stack.dev(&["up"]).ends(4).says(&shown).says(&["[3/3]", "exit code: 3"]);
    built.classic(&["up"]).ends(4).says(&shown).says(&["[4/5]", "returned a non-zero code: 3"]);
    assert_eq!(built.stack.state("app"), "none");

    built.dockerfile("RUNN x");
    built.stack.dev(&["build"]).ends(4).says(&["unknown instruction: RUNN"]);
    built.stack.file("app/.dockerignore", "a\n[b\n");
    built.stack.dev(&["up"]).ends(2).says(&[".dockerignore:2: `[b` is not a pattern"]);
    built.stack.file("app/.dockerignore", "");
    built.stack.file("app/Dockerfile", "FROM 127.0.0.1:9/no/such:1\n");
    built.stack.dev(&["build"]).ends(4).says(&["127.0.0.1:9", "registry can't be reached"]);
}

#[test]
fn an_image_of_several_services_is_built_once_and_targets_are_told_apart() {
    let built = Built::new(
        "shared",
        "",
        "image = \"PROJECT-app\"\nbuild = { context = \"app\", target = \"one\" }\n[services.other]\nkind = \"job\"\nimage = \"PROJECT-app\"\ncommand = [\"cat\", \"/made\"]\n[services.plain]\nkind = \"job\"\nimage = \"image:busybox\"\ncommand = [\"true\"]",
    );
    let stack = &built.stack;
    stack.edit("PROJECT", &stack.project);
    // The label that the image is found by at the end is in both stages.
    let first = format!("FROM {} AS one\nLABEL test={}\nRUN echo one > /made", image("image:busybox"), stack.project);
    stack.file("app/Dockerfile", &format!("{first}\nFROM one AS two\nRUN echo two > /made\n"));
    let up = stack.up();
    assert_eq!(up.stderr.matches("building ").count(), 1, "{}", up.stderr);
    assert_eq!(docker::log(&stack.container("other")), "one\n");
    stack.dev(&["build", "plain"]).ends(2).says(&["plain is not built", "taskava dev pull plain"]);
    stack.dev(&["pull", "app"]).ends(0).says(&["app: left out, it is built"]);
    // A stand-in that no registry has: as with docker compose, that is no failure.
    stack.edit(
        "image = \"image:busybox\"\ncommand = [\"true\"]".replace("image:busybox", image("image:busybox")).as_str(),
        "image = \"taskava/busybox:test\"\npull = \"never\"\ncommand = [\"true\"]",
    );
    for names in [&["pull"][..], &["pull", "plain"]] {
        stack.dev(names).ends(0).says(&["plain: skipped: pull = \"never\"", "nothing to do"]);
    }

    stack.edit("target = \"one\"", "target = \"two\"");
    stack.dev(&["restart", "app", "other"]).ends(0);
    assert_eq!(["app", "other"].map(|name| docker::log(&stack.container(name))), ["two\n", "two\n"]);
}

#[test]
fn ctrl_c_ends_a_build() {
    let built = Built::new("leave", "RUN echo begins; sleep 1000", "build = \"app\"");
    let mut running = built.stack.start(&["up", "-v"]);
    running.wait_for("sleep 1000: begins");
    running.signal("INT");
    let output = running.finish().ends(130);
    assert!(output.took < std::time::Duration::from_secs(60), "{:?}", output.took);
    assert_eq!(built.stack.state("app"), "none");
}

#[test]
fn the_dockerfile_of_services_toml_is_built_by_both_builders() {
    let inline = "build = { context = \"app\", dockerfile_inline = \"\"\"\nFROM image:busybox\nLABEL test=LABEL\nARG WHO=you\n\
                  COPY . /context\nRUN cd /context && (ls; echo $${WHO} ${FROM:-me}) | tr '\\\\n' ' ' > /made\n\"\"\" }";
    let built = Built::new("inline", "", inline);
    built.stack.edit("LABEL test=LABEL", &format!("LABEL test={}", built.stack.project));
    built.stack.file("app/file", "");
    std::fs::remove_file(built.stack.path().join("app/Dockerfile")).expect("a file");
    built.stack.up();
    assert_eq!(built.printed(), "file you me ");
    built.stack.dev(&["plan", "--exit-code"]).ends(0);
    built.stack.edit("echo $", "echo then $");
    let plan = built.stack.dev(&["plan", "--exit-code"]).ends(10).stdout;
    assert!(plan.contains("build changed: dockerfile"), "{plan}");
    built.classic(&["build"]).ends(0);
    built.stack.up();
    assert_eq!(built.printed(), "file then you me ");
    built.stack.edit("RUN cd", "RUN false && cd");
    built.stack.dev(&["build"]).ends(4).says(&["with its `dockerfile_inline`: "]);
}

#[test]
fn a_step_talks_to_an_ssh_agent_of_this_machine() {
    use std::io::{Read as _, Write as _};
    // A line that is longer than a message of the session.
    const ANSWER: usize = 100_000;
    let talk = "import os, socket; s = socket.socket(socket.AF_UNIX); s.connect(os.environ['SSH_AUTH_SOCK']); \
                s.sendall(b'ping' * 20000); s.shutdown(socket.SHUT_WR); \
                open('/made', 'w').write(str(len(b''.join(iter(lambda: s.recv(4096), b'')))))";
    // A step that an earlier run has done is taken from the cache.
    let unlike = std::process::id();
    let inline = format!(
        "build = {{ context = \"app\", ssh = [\"default\", \"other=agent/socket\"], dockerfile_inline = \"\"\"\n\
         FROM image:python\nLABEL test=LABEL\nRUN --mount=type=ssh,id=other : {unlike}; python3 -c \"{talk}\"\n\"\"\" }}"
    );
    let built = Built::new("ssh", "", &inline);
    built.stack.edit("LABEL test=LABEL", &format!("LABEL test={}", built.stack.project));
    std::fs::create_dir(built.stack.path().join("agent")).expect("a folder");
    let socket = built.stack.path().join("agent/socket");
    let agent = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let answering = std::thread::spawn(move || {
        let (mut connection, _) = agent.accept().expect("a connection");
        let mut asked = Vec::new();
        connection.read_to_end(&mut asked).expect("all of it");
        connection.write_all(&vec![b'x'; ANSWER]).expect("it listens");
        asked
    });
    let run = |agent: Option<&std::path::Path>, arguments: &[&str]| {
        let mut command = built.stack.command(arguments);
        match agent {
            Some(agent) => command.env("SSH_AUTH_SOCK", agent),
            None => command.env_remove("SSH_AUTH_SOCK"),
        };
        crate::stack::Running::start(&mut command).finish()
    };
    run(None, &["build"]).ends(4).says(&["no SSH agent runs for `ssh = [\"default\"]`", "ssh-add"]);
    let key = built.stack.file("key", "a key");
    run(Some(&key), &["build"]).ends(4).says(&["key is not the socket of an SSH agent", "ssh-add"]);
    run(Some(&socket), &["up"]).ends(0);
    assert_eq!(answering.join().expect("an agent"), b"ping".repeat(20_000));
    assert_eq!(built.printed(), ANSWER.to_string());
    built.classic(&["build"]).ends(4).says(&["SSH agents need BuildKit"]);
}

#[test]
fn steps_have_their_limits_and_an_image_carries_its_cache() {
    let built = Built::new(
        "limits",
        "RUN ulimit -n > /made",
        "build = { context = \"app\", ulimits = { nofile = { soft = 123, hard = 456 } }, cache_to = [\"type=inline\"] }",
    );
    built.stack.up();
    let said = docker::engine(async |docker| docker.version().await).api_version.expect("a version");
    // Docker 23 and newer.
    if said.as_str() >= "1.42" {
        assert_eq!(built.printed(), "123\n");
    }
    let name = &built.image.name;
    let saved = docker::engine(async |docker| docker.export_image(name).try_collect::<Vec<_>>().await).concat();
    assert!(memchr::memmem::find(&saved, b"moby.buildkit.cache.v0").is_some(), "no cache in {} bytes", saved.len());
    built.classic(&["build", "--no-cache"]).ends(0);
    built.stack.up();
    assert_eq!(built.printed(), "123\n");
}

#[test]
fn a_dockerfile_uses_folders_images_and_other_services_by_name() {
    let services = r#"
[services.base]
kind = "job"
build = { context = "base", dockerfile_inline = "FROM image:busybox\nLABEL test=LABEL\nRUN echo base one > /base\n" }
command = "true"
[services.app]
kind = "job"
image = "IMAGE"
command = ["cat", "/made"]
depends_on = ["base"]
build = { context = "app", additional_contexts = { shared = "shared", tools = "docker-image://image:busybox", own = "service:base" } }
"#;
    let stack = Stack::new("contexts", &services.replace("image:busybox", image("image:busybox")));
    let name = format!("{}-app:made", stack.project);
    stack.edit("IMAGE", &name);
    stack.edit("LABEL test=LABEL", &format!("LABEL test={}", stack.project));
    stack.file("base/none", "");
    stack.file("app/file", "context");
    stack.file("shared/file", "shared one");
    stack.file("shared/left-out", "");
    stack.file("shared/.dockerignore", "left-out");
    stack.file(
        "app/Dockerfile",
        &format!(
            "ARG NOTHING\nFROM own AS mine\nCOPY file /context\nFROM tools\nLABEL test={}\nCOPY --from=shared . /shared\n\
             COPY --from=0 /base /context /\nCOPY . /app\n\
             RUN (cat /base /context /shared/file; ls /shared /app) | tr '\\n' ' ' > /made\n",
            stack.project
        ),
    );
    let made = |stack: &Stack| {
        let container = stack.container("app");
        wait_until("it has ended", || (stack.state("app") == "exited").then_some(()));
        docker::log(&container)
    };
    stack.up();
    // The context itself has nothing of the others.
    assert_eq!(made(&stack), "base one contextshared one/app: Dockerfile file  /shared: file ");
    assert!(!docker::names(&[]).iter().any(|name| name.contains("taskava-context")));
    stack.dev(&["plan", "--exit-code"]).ends(0);
    assert!(!docker::has_image("taskava-context"), "what a folder was made into is gone");

    stack.file("shared/file", "shared two");
    let plan = stack.dev(&["plan"]).ends(0).stdout;
    assert!(plan.contains("build context changed: shared:file"), "{plan}");
    stack.up();
    assert!(made(&stack).contains("shared two"));
    stack.edit("base one", "base two");
    let plan = stack.dev(&["plan"]).ends(0).stdout;
    assert!(plan.contains("build changed: additional_contexts"), "{plan}");
    stack.up();
    assert!(made(&stack).contains("base two"));
    stack.dev(&["plan", "--exit-code"]).ends(0);

    // The classic builder, too, and what the image is built on comes first.
    let mut command = stack.command(&["build", "app"]);
    let built = crate::stack::Running::start(command.env("DOCKER_BUILDKIT", "0")).finish().ends(0);
    assert!(built.stderr.find("base").is_some_and(|base| built.stderr[base..].contains("app")), "{}", built.stderr);
    stack.edit("service:base", "service:app");
    stack.dev(&["check"]).ends(2).says(&["is built on itself"]);
    stack.edit("service:app", "service:base");
    stack.dev(&["down", "--rmi", "all"]).ends(0);
    docker::remove_images(&format!("test={}", stack.project));
}
