//! Pulls from a private registry: a real one with basic auth on the loopback interface, which engines accept without TLS.

use std::io::{BufRead, BufReader, Write};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::query_parameters::{ListImagesOptions, PushImageOptions, RemoveImageOptions, TagImageOptions};
use futures_util::{FutureExt, TryStreamExt};
use taskava::engine::Engine;
use taskava::engine::connect::ConnectOptions;

/// An image that every test machine has, and that is small.
const IMAGE: &str = "taskava/busybox:test";

/// The password of `puller`. Every one of its odd characters stands at each place of a group of three bytes, so that at
/// least one of them becomes a `+` or `/` in base64, whatever comes before.
const PASSWORD: &str = "???>>>~~~:ok";

/// `pusher` with the password `plain`, and `puller`: htpasswd -nbBC 5 USER PASSWORD.
const USERS: &str = "pusher:$2y$05$3vgh6VfZp2R/38TCG9Zvu.GszlCtZIUpVnc1HCQ3/hhy3IlMvI2Dy
puller:$2y$05$S62n2bPoT9NFu/hczsrp6.VfM1WVfvrkArB17C/73YYDt3v.G3ri.
";

/// A registry that knows two users and has one image.
struct Registry {
    process: Child,
    /// `127.0.0.1:port`.
    address: String,
    directory: tempfile::TempDir,
}

impl Registry {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let users = directory.path().join("htpasswd");
        std::fs::write(&users, USERS).expect("a file");
        let config = serde_json::json!({
            "version": 0.1,
            "log": { "level": "info" },
            "storage": { "filesystem": { "rootdirectory": directory.path().join("data") } },
            "http": { "addr": "127.0.0.1:0" },
            "auth": { "htpasswd": { "realm": "test", "path": users } },
        });
        let file = directory.path().join("config.yml");
        std::fs::write(&file, config.to_string()).expect("a file");
        let mut process = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("docker-registry in the PATH: apt-get install docker-registry");
        let mut log = BufReader::new(process.stderr.take().expect("piped")).lines().map_while(Result::ok);
        let address = log.find_map(|line| Some(line.split_once("listening on ")?.1.split('"').next()?.to_owned()));
        // It would stop at a full pipe.
        std::thread::spawn(move || log.for_each(drop));
        Self { process, address: address.expect("the registry listens"), directory }
    }

    fn reference(&self) -> String {
        format!("{}/app:1", self.address)
    }

    /// Puts the image there, and takes it away from the engine again.
    async fn fill(&self, docker: &Docker) {
        let repo = format!("{}/app", self.address);
        let tag = TagImageOptions { repo: Some(repo.clone()), tag: Some("1".into()) };
        docker.tag_image(IMAGE, Some(tag)).await.expect("taskava/busybox:test, which scripts/test makes");
        self.push(docker).await;
        self.forget(docker).await.expect("the tag");
    }

    /// Puts what has the image's name there.
    async fn push(&self, docker: &Docker) {
        let repo = format!("{}/app", self.address);
        let options = PushImageOptions { tag: Some("1".into()), ..Default::default() };
        let pusher = DockerCredentials {
            username: Some("pusher".into()),
            password: Some("plain".into()),
            ..DockerCredentials::default()
        };
        let pushed: Result<Vec<_>, _> = docker.push_image(&repo, Some(options), Some(pusher)).try_collect().await;
        pushed.expect("a push");
    }

    async fn forget(&self, docker: &Docker) -> Result<(), bollard::errors::Error> {
        docker.remove_image(&self.reference(), None::<RemoveImageOptions>, None).await.map(drop)
    }

    /// Takes every name of this registry off the engine's images: tags, and digests that were pulled. Names and never ids,
    /// since the image behind one may be that of all tests.
    async fn forget_all(&self, docker: &Docker) {
        let images = docker.list_images(None::<ListImagesOptions>).await.expect("a list");
        let names = images.into_iter().flat_map(|image| [image.repo_tags, image.repo_digests].concat());
        for name in names.filter(|name| name.starts_with(&format!("{}/", self.address))) {
            // The last tag takes the digest along.
            let _ = docker.remove_image(&name, None::<RemoveImageOptions>, None).await;
        }
    }

    /// A directory like `~/.docker` with this `config.json`.
    fn config(&self, name: &str, json: &serde_json::Value) -> ConnectOptions {
        let config_dir = self.directory.path().join(name);
        std::fs::create_dir_all(&config_dir).expect("a directory");
        std::fs::write(config_dir.join("config.json"), json.to_string()).expect("a file");
        ConnectOptions { config_dir, ..ConnectOptions::default() }
    }

    /// One whose `config.json` is as `docker login` writes it.
    fn logged_in(&self, password: &str) -> ConnectOptions {
        let auth = STANDARD.encode(format!("puller:{password}"));
        let auths = serde_json::json!({ &self.address: { "auth": auth } });
        self.config(password, &serde_json::json!({ "auths": auths }))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a test with a filled registry, and leaves no image behind.
async fn with_registry(test: impl AsyncFnOnce(&Registry, &Docker)) {
    let docker = Docker::connect_with_unix_defaults().expect("an engine");
    let registry = Registry::start();
    registry.fill(&docker).await;
    let outcome = AssertUnwindSafe(test(&registry, &docker)).catch_unwind().await;
    registry.forget_all(&docker).await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

async fn pull(options: &ConnectOptions, reference: &str) -> Result<(), taskava::diag::Error> {
    let engine = Engine::connect(options).await.expect("an engine");
    engine.pull(reference, None, None, &mut |_| {}).await
}

#[tokio::test]
async fn a_password_with_odd_characters_reaches_the_registry() {
    with_registry(async |registry, _| {
        let reference = registry.reference();
        pull(&registry.logged_in(PASSWORD), &reference).await.expect("a pull");
    })
    .await;
}

#[tokio::test]
async fn a_build_may_start_from_a_private_image() {
    with_registry(async |registry, docker| {
        let home = registry.directory.path();
        std::fs::create_dir(home.join("context")).expect("a directory");
        std::fs::write(home.join("context/Dockerfile"), format!("FROM {}\n", registry.reference())).expect("a file");
        let name = format!("{}/built:1", registry.address);
        let services = format!("services.job = {{ image = \"{name}\", build = \"context\" }}");
        for buildkit in ["1", "0"] {
            let options = registry.logged_in(PASSWORD);
            let built =
                dev_with(registry, &services, &options, &[("DOCKER_BUILDKIT", buildkit)], &["build", "--pull"]).await;
            assert_eq!(built.status.code(), Some(0), "{}", said(&built));
            docker.remove_image(&name, None::<RemoveImageOptions>, None).await.expect("the image");
            let without_login = registry.config("without-login", &serde_json::json!({}));
            let refused =
                dev_with(registry, &services, &without_login, &[("DOCKER_BUILDKIT", buildkit)], &["build", "--pull"])
                    .await;
            assert_eq!(refused.status.code(), Some(4), "{}", said(&refused));
            assert!(said(&refused).contains("docker login"), "{}", said(&refused));
        }
    })
    .await;
}

#[tokio::test]
async fn frozen_runs_what_was_locked_and_nothing_else() {
    with_registry(async |registry, docker| {
        let home = registry.directory.path();
        let services = &job(&registry.reference());
        let options = registry.logged_in(PASSWORD);
        let run = async |arguments: &[&str], code: i32, words: &[&str]| {
            let output = dev_with(registry, services, &options, &[], arguments).await;
            assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
            for word in words {
                assert!(said(&output).contains(word), "{arguments:?}: no {word:?} in {}", said(&output));
            }
        };
        let lock = home.join("services.lock");
        run(&["up", "--frozen"], 2, &["services.lock can't be read: it doesn't exist", "taskava dev lock"]).await;
        run(&["lock"], 0, &[]).await;
        let locked = std::fs::read_to_string(&lock).expect("a lock file");
        assert!(
            locked.contains(&format!("\"{}\" = \"{}/app@sha256:", registry.reference(), registry.address)),
            "{locked}"
        );
        run(&["up", "--frozen"], 0, &["done"]).await;
        run(&["up", "--frozen"], 0, &["nothing to do"]).await;
        run(&["lock"], 0, &[]).await;
        assert_eq!(std::fs::read_to_string(&lock).expect("a lock file"), locked);

        // Another image under the same tag, on the registry too.
        let first = docker.inspect_image(&registry.reference()).await.expect("the image").id;
        std::fs::create_dir(home.join("context")).expect("a directory");
        std::fs::write(home.join("context/Dockerfile"), format!("FROM {IMAGE}\nLABEL other=1\n")).expect("a file");
        let build = format!("services.job = {{ image = \"{}\", build = \"context\" }}", registry.reference());
        let built = dev_with(registry, &build, &options, &[], &["build"]).await;
        assert_eq!(built.status.code(), Some(0), "{}", said(&built));
        registry.push(docker).await;
        run(&["up", "--frozen"], 4, &["but the lock file requires", "--frozen --pull always"]).await;
        run(&["up", "--frozen", "--pull", "always"], 0, &[]).await;
        let again = docker.inspect_image(&registry.reference()).await.expect("the image").id;
        assert_eq!(again, first, "the registry has another one by now");
        run(&["pull"], 0, &["pulled"]).await;
        assert_ne!(docker.inspect_image(&registry.reference()).await.expect("the image").id, first);

        std::fs::write(&lock, "version = 1\n[images]\n\"a:1\" = \"a@sha256:00\"\n").expect("a file");
        run(&["up", "--frozen"], 2, &["services.lock:3:9", "not a digest"]).await;
        std::fs::write(&lock, "version = 1\n").expect("a file");
        run(&["up", "--frozen"], 4, &["is not in the lock file"]).await;
        run(&["down", "-v", "-y"], 0, &[]).await;
    })
    .await;
}

#[tokio::test]
async fn what_came_from_no_registry_is_not_locked() {
    with_registry(async |registry, _| {
        let services = format!("services.job = {{ kind = \"job\", image = \"{IMAGE}\" }}");
        let options = registry.logged_in(PASSWORD);
        let locked = dev_with(registry, &services, &options, &[], &["lock"]).await;
        assert_eq!(locked.status.code(), Some(0), "{}", said(&locked));
        assert!(said(&locked).contains("is not locked: it was not pulled from a registry"), "{}", said(&locked));
    })
    .await;
}

/// Puts a credential helper called `test` into a directory. By another process: a file that this one has open for writing
/// can't be run while a test beside this one starts a process, which holds it open too for a moment.
fn helper(directory: &Path, script: &str) {
    let mut install = Command::new("install")
        .args(["-D", "-m", "755", "/dev/stdin"])
        .arg(directory.join("docker-credential-test"))
        .stdin(Stdio::piped())
        .spawn()
        .expect("coreutils");
    let mut stdin = install.stdin.take().expect("piped");
    writeln!(stdin, "#!/bin/sh\n{script}").expect("install reads");
    drop(stdin);
    assert!(install.wait().expect("a child").success());
}

/// A job made from an image.
fn job(image: &str) -> String {
    format!("services.job = {{ kind = \"job\", image = \"{image}\", command = [\"true\"] }}\n")
}

/// `taskava dev …` on a job made from an image, with a helper in the PATH.
async fn dev(registry: &Registry, image: &str, arguments: &[&str]) -> std::process::Output {
    let options = ConnectOptions { config_dir: registry.directory.path().join("helped"), ..ConnectOptions::default() };
    dev_with(registry, &job(image), &options, &[], arguments).await
}

/// `taskava dev …` on these services, with these credentials and variables.
async fn dev_with(
    registry: &Registry,
    services: &str,
    options: &ConnectOptions,
    env: &[(&str, &str)],
    arguments: &[&str],
) -> std::process::Output {
    let home = registry.directory.path();
    // The tests of this file run at the same time.
    let project = registry.address.replace(['.', ':'], "-");
    std::fs::write(home.join("services.toml"), format!("project = \"r-{project}\"\n{services}")).expect("a file");
    let path = std::env::var("PATH").expect("a PATH");
    let run = tokio::process::Command::new(env!("CARGO_BIN_EXE_taskava"))
        .arg("dev")
        .args(arguments)
        .current_dir(home)
        .env("PATH", format!("{}:{path}", home.join("bin").display()))
        .env("DOCKER_CONFIG", &options.config_dir)
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    run.await.expect("it can be started")
}

/// What a command said.
fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn up_asks_the_credential_helper_of_the_registry() {
    with_registry(async |registry, _| {
        let helpers = serde_json::json!({ &registry.address: "test" });
        registry.config("helped", &serde_json::json!({ "credHelpers": helpers }));
        let bin = registry.directory.path().join("bin");
        helper(&bin, "echo the keychain is locked >&2; exit 1");
        let locked = dev(registry, &registry.reference(), &["up"]).await;
        assert_eq!(locked.status.code(), Some(4), "{}", said(&locked));
        assert!(said(&locked).contains("docker-credential-test"), "{}", said(&locked));
        assert!(said(&locked).contains("the keychain is locked"), "{}", said(&locked));

        let options = format!(
            "[ $(cat) = {} ] && echo '{{\"Username\":\"puller\",\"Secret\":\"{PASSWORD}\"}}'",
            registry.address
        );
        helper(&bin, &options);
        let helped = dev(registry, &registry.reference(), &["up"]).await;
        let down = dev(registry, &registry.reference(), &["down", "-v", "-y"]).await;
        assert_eq!(helped.status.code(), Some(0), "{}", said(&helped));
        assert!(!said(&helped).contains(PASSWORD), "{}", said(&helped));
        assert_eq!(down.status.code(), Some(0), "{}", said(&down));
    })
    .await;
}

/// The report of an `up` that fails for want of an image, for programs; for people it has to say the same.
async fn fails(registry: &Registry, image: &str, reason: &str, next: &str) {
    let json = dev(registry, image, &["--format", "json", "up"]).await;
    let stdout = String::from_utf8_lossy(&json.stdout);
    assert_eq!(json.status.code(), Some(4), "{stdout}");
    let summary: serde_json::Value = serde_json::from_str(stdout.lines().last().expect("lines")).expect("JSON");
    let failure = &summary["failures"][0];
    assert_eq!((&failure["kind"], &failure["service"]), (&"image".into(), &"job".into()), "{failure}");
    assert!(failure["message"].to_string().contains(image), "{failure}");
    assert!(failure["reason"].to_string().contains(reason), "{failure}");
    assert!(failure["next"].to_string().contains(next), "{failure}");

    let text = dev(registry, image, &["up"]).await;
    let stderr = String::from_utf8_lossy(&text.stderr);
    assert_eq!(text.status.code(), Some(4), "{stderr}");
    for words in ["✘ job", image, "likely reason:", reason, "next:", next] {
        assert!(stderr.contains(words), "no {words:?} in\n{stderr}");
    }
    let down = dev(registry, image, &["down", "-v", "-y"]).await;
    assert_eq!(down.status.code(), Some(0));
}

#[tokio::test]
async fn up_says_whether_an_image_is_denied_or_missing() {
    with_registry(async |registry, _| {
        registry.config("helped", &serde_json::json!({}));
        let login = format!("docker login {}, then: taskava dev up job", registry.address);
        fails(registry, &registry.reference(), "the registry requires a login", &login).await;

        let auth = |password: &str| {
            let auth = STANDARD.encode(format!("puller:{password}"));
            serde_json::json!({ "auths": { &registry.address: { "auth": auth } } })
        };
        registry.config("helped", &auth("wrong"));
        fails(registry, &registry.reference(), "does not accept the login", &login).await;

        registry.config("helped", &auth(PASSWORD));
        let missing = format!("{}/app:2", registry.address);
        fails(registry, &missing, &format!("the registry has no image {missing}"), "correct `image` of services.job")
            .await;
    })
    .await;
}

#[tokio::test]
async fn a_built_image_is_pushed_with_the_login_of_docker() {
    with_registry(async |registry, docker| {
        let image = format!("{}/pushed:1", registry.address);
        let build = format!("{{ dockerfile_inline = \"FROM {IMAGE}\\nLABEL pushed=yes\" }}");
        let services = format!("services.web = {{ image = \"{image}\", build = {build} }}\n");
        let without_login = registry.config("without-login", &serde_json::json!({}));
        let login = serde_json::json!({ &registry.address: { "auth": STANDARD.encode("pusher:plain") } });
        let pusher = registry.config("pusher", &serde_json::json!({ "auths": login }));
        let run = async |options: &ConnectOptions, arguments: &[&str]| {
            let output = dev_with(registry, &services, options, &[], arguments).await;
            (output.status.code(), said(&output))
        };
        assert_eq!(run(&without_login, &["build"]).await.0, Some(0));
        let (code, refused) = run(&without_login, &["push"]).await;
        assert_eq!(code, Some(4), "{refused}");
        assert!(refused.contains(&format!("docker login {}", registry.address)), "{refused}");
        let (code, refused) = run(&without_login, &["push", "--ignore-push-failures"]).await;
        assert_eq!(code, Some(0), "{refused}");
        assert!(refused.contains("warning: "), "{refused}");
        assert!(pull(&registry.logged_in(PASSWORD), &image).await.is_err(), "nothing was pushed");
        let (code, pushed) = run(&pusher, &["push"]).await;
        assert_eq!(code, Some(0), "{pushed}");
        assert!(pushed.contains(&format!("web: pushing {image}")) && pushed.contains("web: pushed"), "{pushed}");
        docker.remove_image(&image, None::<RemoveImageOptions>, None).await.expect("the tag");
        pull(&registry.logged_in(PASSWORD), &image).await.expect("it is in the registry");
    })
    .await;
}
