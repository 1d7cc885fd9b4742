//! Pulls from a private registry: a real one with basic auth on the loopback interface, which engines accept without TLS.

use std::io::{BufRead, BufReader, Write};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::query_parameters::{PushImageOptions, RemoveImageOptions, TagImageOptions};
use futures_util::{FutureExt, TryStreamExt};
use taskava::diag::ErrorKind;
use taskava::engine::Engine;
use taskava::engine::connect::Ask;
use taskava::model::Build;

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
        let options = PushImageOptions { tag: Some("1".into()), ..Default::default() };
        let pusher = DockerCredentials {
            username: Some("pusher".into()),
            password: Some("plain".into()),
            ..DockerCredentials::default()
        };
        let pushed: Result<Vec<_>, _> = docker.push_image(&repo, Some(options), Some(pusher)).try_collect().await;
        pushed.expect("a push");
        self.forget(docker).await.expect("the tag");
    }

    async fn forget(&self, docker: &Docker) -> Result<(), bollard::errors::Error> {
        docker.remove_image(&self.reference(), None::<RemoveImageOptions>, None).await.map(drop)
    }

    /// A directory like `~/.docker` with this `config.json`.
    fn config(&self, name: &str, json: &serde_json::Value) -> Ask {
        let config_dir = self.directory.path().join(name);
        std::fs::create_dir_all(&config_dir).expect("a directory");
        std::fs::write(config_dir.join("config.json"), json.to_string()).expect("a file");
        Ask { config_dir, ..Ask::default() }
    }

    /// One whose `config.json` is as `docker login` writes it.
    fn logged_in(&self, password: &str) -> Ask {
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
    // It is not there when the pull failed, as some tests want it to.
    let _ = registry.forget(&docker).await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

async fn pull(ask: &Ask, reference: &str) -> Result<(), taskava::diag::Error> {
    let engine = Engine::connect(ask).await.expect("an engine");
    engine.pull(reference, None, &mut |_| {}).await
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
async fn without_the_right_password_the_login_is_named() {
    with_registry(async |registry, _| {
        let reference = registry.reference();
        let nobody = registry.config("nobody", &serde_json::json!({}));
        for ask in [nobody, registry.logged_in("wrong")] {
            let error = pull(&ask, &reference).await.expect_err("no way in");
            assert_eq!(error.kind, ErrorKind::Image, "{error}");
            assert!(error.hints.iter().any(|hint| hint.contains("docker login")), "{error}: {:?}", error.hints);
        }
    })
    .await;
}

#[tokio::test]
async fn a_build_may_start_from_a_private_image() {
    with_registry(async |registry, docker| {
        let context = registry.directory.path().join("context");
        std::fs::create_dir(&context).expect("a directory");
        std::fs::write(context.join("Dockerfile"), format!("FROM {}\n", registry.reference())).expect("a file");
        let build = Build {
            context,
            dockerfile: "Dockerfile".into(),
            target: None,
            args: Default::default(),
            cache_from: Vec::new(),
            secrets: Default::default(),
        };
        let name = format!("{}/built:1", registry.address);
        let engine = Engine::connect(&registry.logged_in(PASSWORD)).await.expect("an engine");
        engine.build(&name, &build, None, &mut |_| {}).await.expect("a build");
        docker.remove_image(&name, None::<RemoveImageOptions>, None).await.expect("the image");
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

/// `taskava dev …` on a job made from an image, with a helper in the PATH.
async fn dev(registry: &Registry, image: &str, arguments: &[&str]) -> std::process::Output {
    let home = registry.directory.path();
    let services = format!(
        "project = \"registry-{}\"\nservices.job = {{ kind = \"job\", image = \"{image}\", command = [\"true\"] }}\n",
        image.split_once(':').map(|(_, port)| port.replace(['/', ':'], "-")).unwrap_or_default()
    );
    std::fs::write(home.join("services.toml"), services).expect("a file");
    let path = std::env::var("PATH").expect("a PATH");
    let run = tokio::process::Command::new(env!("CARGO_BIN_EXE_taskava"))
        .arg("dev")
        .args(arguments)
        .current_dir(home)
        .env("PATH", format!("{}:{path}", home.join("bin").display()))
        .env("DOCKER_CONFIG", home.join("helped"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    run.await.expect("it can be started")
}

#[tokio::test]
async fn up_asks_the_credential_helper_of_the_registry() {
    with_registry(async |registry, _| {
        let helpers = serde_json::json!({ &registry.address: "test" });
        registry.config("helped", &serde_json::json!({ "credHelpers": helpers }));
        let bin = registry.directory.path().join("bin");
        let said = |output: &std::process::Output| String::from_utf8_lossy(&output.stderr).into_owned();

        helper(&bin, "echo the keychain is locked >&2; exit 1");
        let locked = dev(registry, &registry.reference(), &["up"]).await;
        assert_eq!(locked.status.code(), Some(4), "{}", said(&locked));
        assert!(said(&locked).contains("docker-credential-test"), "{}", said(&locked));
        assert!(said(&locked).contains("the keychain is locked"), "{}", said(&locked));

        let ask = format!(
            "[ $(cat) = {} ] && echo '{{\"Username\":\"puller\",\"Secret\":\"{PASSWORD}\"}}'",
            registry.address
        );
        helper(&bin, &ask);
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
        fails(registry, &registry.reference(), "the registry wants a login", &login).await;

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
