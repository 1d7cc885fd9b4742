//! Compose files after patterns of public projects, and what `import` makes of each: `tests/fixtures/compose/NAME/` becomes
//! `NAME.toml`, and what is said about it is in `NAME.txt`. After a wanted change:
//! `SNAPSHOTS=overwrite cargo test --test compose`, and read the difference.
//!
//! That the containers are the same as docker compose's is tested with an engine, in `tests/engine/compose.rs`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use snapbox::IntoData as _;

fn fixtures() -> Vec<PathBuf> {
    let listed = std::fs::read_dir("tests/fixtures/compose").expect("the fixtures are there");
    let paths = listed.map(|entry| entry.expect("it can be listed").path());
    let mut folders: Vec<PathBuf> = paths.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("it can be listed").path();
        let target = to.join(path.file_name().expect("it has a name"));
        match path.is_dir() {
            true => copy(&path, &target),
            false => assert!(std::fs::copy(&path, &target).is_ok(), "{}", target.display()),
        }
    }
}

/// The binary in a folder, in surroundings that decide nothing.
fn dev(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskava"));
    command.arg("dev").args(args).current_dir(folder).env_clear().env("HOME", "/nonexistent").output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

/// A copy of a fixture to work in, and the Compose file that has to be named there.
fn workplace(fixture: &Path) -> (tempfile::TempDir, PathBuf, Vec<&'static str>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let inside = folder.path().join(fixture.file_name().expect("it has a name"));
    copy(fixture, &inside);
    let named = if inside.join("local.yml").is_file() { vec!["local.yml"] } else { Vec::new() };
    (folder, inside, named)
}

#[test]
fn what_becomes_of_each() {
    let fixtures = fixtures();
    assert!(fixtures.len() >= 30, "{} fixtures", fixtures.len());
    for fixture in fixtures {
        let (_folder, inside, named) = workplace(&fixture);
        let output = dev(&inside, &[&["import"], &named[..]].concat());
        let root = inside.canonicalize().expect("a folder");
        let said = text(&output.stderr) + &text(&output.stdout);
        let said = said.replace(root.to_str().expect("UTF-8"), "[ROOT]");
        assert_eq!(output.status.code(), Some(0), "{}\n{said}", fixture.display());
        let written = std::fs::read_to_string(inside.join("services.toml")).expect("it was written");
        let expected = |ending| snapbox::Data::read_from(&fixture.with_extension(ending), None).raw();
        snapbox::assert_data_eq!(written, expected("toml"));
        snapbox::assert_data_eq!(said, expected("txt"));
        // What can't be started is refused when it is asked for, and `check` says so.
        let is_refused = fixture.to_string_lossy().ends_with("-refused");
        let check = dev(&inside, &["check"]);
        let code = if is_refused { 2 } else { 0 };
        assert_eq!(check.status.code(), Some(code), "{}\n{}", fixture.display(), text(&check.stderr));
    }
}

/// services.toml → Compose file → services.toml: the same stack.
#[test]
fn there_and_back_is_the_same() {
    for name in ["contract", "override", "everything", "profiles"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let fixtures = Path::new("tests/fixtures/ok");
        if fixtures.join(name).is_dir() {
            copy(&fixtures.join(name), &folder.path().join(name));
        } else {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
            let file = fixtures.join(format!("{name}.toml"));
            std::fs::copy(file, folder.path().join(name).join("services.toml")).expect("a file");
        }
        // One of them uses a folder beside its own.
        copy(&fixtures.join("contract"), &folder.path().join("contract"));
        let inside = folder.path().join(name);
        let run = |args: &[&str]| {
            let output = dev(&inside, args);
            assert_eq!(output.status.code(), Some(0), "{name} {args:?}\n{}", text(&output.stderr));
            text(&output.stdout)
        };
        // The project is called as its folder; `local` and `bridge` are what a driver is that is not named.
        let plain = |text: String| {
            let own = ["project", "driver = \"local\"", "driver = \"bridge\""];
            let lines = text.lines().filter(|line| !own.iter().any(|own| line.starts_with(own)));
            lines.map(|line| format!("{line}\n")).collect::<String>()
        };
        run(&["export", "compose", "--output", "out.yml"]);
        run(&["import", "out.yml", "--output", "round.toml"]);
        let before = plain(run(&["config", "--show-secrets"]));
        let after = plain(run(&["-f", "round.toml", "config", "--show-secrets"]));
        // TOML wants what is short before what has lines of its own: the order of resources is not kept, and means nothing.
        if toml::from_str::<toml::Table>(&after).ok() != toml::from_str(&before).ok() {
            snapbox::assert_data_eq!(after, before.into_data().raw());
        }
    }
}

#[test]
fn variables_beside_a_file_elsewhere_count_for_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let env = "COMPOSE_FILE=docker/web.yaml\nCOMPOSE_PROFILES=full\nCOMPOSE_PROJECT_NAME=shop\nTAG=1.22\n";
    std::fs::write(folder.path().join(".env"), env).expect("a file");
    std::fs::create_dir(folder.path().join("docker")).expect("a folder");
    let web = "image: 'nginx:${TAG}', hostname: '${COMPOSE_PROJECT_NAME}', profiles: [full]";
    let compose = format!("services: {{ web: {{ {web} }} }}\n");
    std::fs::write(folder.path().join("docker/web.yaml"), compose).expect("a file");
    let output = dev(folder.path(), &["import"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let written = std::fs::read_to_string(folder.path().join("docker/services.toml")).expect("a file");
    let expected = "project = \"shop\"\n\n[services.web]\nimage = \"nginx:${TAG-1.22}\"\nhostname = \"shop\"\n";
    assert_eq!(written, expected);
    assert!(text(&output.stderr).contains("`full` are always active, because of COMPOSE_PROFILES in .env"));
}

#[test]
fn an_image_is_mounted_there_and_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mount = "{ type: image, source: 'models:${TAG:-1}', target: /models, image: { subpath: small } }";
    let compose = format!("services: {{ web: {{ image: nginx, volumes: [{mount}] }} }}\n");
    std::fs::write(folder.path().join("compose.yaml"), compose).expect("a file");
    let ok = |args: &[&str]| {
        let output = dev(folder.path(), args);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        std::fs::read_to_string(folder.path().join("services.toml")).expect("a file")
    };
    let first = ok(&["import"]);
    let expected = r#"volumes = [{ image = "models:${TAG:-1}", target = "/models", subpath = "small" }]"#;
    assert!(first.contains(expected), "{first}");
    ok(&["export", "compose", "--output", "compose.yaml", "--force"]);
    let again = ok(&["import", "--force"]);
    assert!(again.contains(expected), "{again}");
}

#[test]
fn what_the_engines_builder_can_not_do_is_one_line_each() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("Dockerfile"), "FROM scratch").expect("a file");
    std::fs::write(folder.path().join("id_rsa"), "a key").expect("a file");
    let build = "context: ., ssh: [default, 'key=./id_rsa', 'agent=./a.sock'], cache_to: [type=inline, 'type=local,dest=x'], \
                 ulimits: { nofile: 10 }, privileged: true, entitlements: [network.host], isolation: process, \
                 additional_contexts: { lib: https://example.test/lib.git }, platforms: [linux/amd64, linux/arm64]";
    let compose = format!("services: {{ web: {{ build: {{ {build} }} }} }}\n");
    std::fs::write(folder.path().join("compose.yaml"), compose).expect("a file");
    let output = dev(folder.path(), &["import"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for what in [
        "`ssh: key=./id_rsa` has no counterpart: add it to an SSH agent with ssh-add, and write: ssh = [\"key\"]",
        "`cache_to: type=local,dest=x` has no counterpart: the engine exports \"type=inline\" only",
        "`build.privileged` has no counterpart: the engine's own builder grants none",
        "`build.entitlements` has no counterpart",
        "`build.isolation` has no counterpart: it only exists on Windows",
        "`additional_contexts: lib=https://example.test/lib.git` has no counterpart: clone or download it",
        "`build.platforms` is left out: it is built for the platform that it runs on; for several: docker buildx",
    ] {
        assert_eq!(said.matches(what).count(), 1, "{what}\n{said}");
    }
    let written = std::fs::read_to_string(folder.path().join("services.toml")).expect("a file");
    let kept = "build = { context = \".\", ssh = [\"default\", \"agent=./a.sock\"], cache_to = [\"type=inline\"], ulimits = { nofile = 10 } }";
    assert!(written.contains("[services.web.build]") || written.contains(kept), "{written}");
}

#[test]
fn limits_of_disks_come_over() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let limits = "weight: 300, weight_device: [{ path: /dev/sda, weight: 400 }], \
                  device_read_bps: [{ path: /dev/sda, rate: 12mb }], device_write_iops: [{ path: /dev/sda, rate: 30 }]";
    let compose = format!("services: {{ web: {{ image: nginx, blkio_config: {{ {limits} }} }} }}\n");
    std::fs::write(folder.path().join("compose.yaml"), compose).expect("a file");
    let output = dev(folder.path(), &["import"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("no counterpart"), "{}", text(&output.stderr));
    let written = std::fs::read_to_string(folder.path().join("services.toml")).expect("a file");
    let lines = "blkio_weight = 300\nblkio_weight_device = { \"/dev/sda\" = 400 }\ndevice_read_bps = { \"/dev/sda\" = \"12mb\" }\n\
                 device_write_iops = { \"/dev/sda\" = 30 }\n";
    assert!(written.contains(lines), "{written}");
}

#[test]
fn nothing_is_overwritten() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let compose = "services: { web: { image: nginx } }\n";
    std::fs::write(folder.path().join("compose.yaml"), compose).expect("a file");
    let code = |args: &[&str]| dev(folder.path(), args).status.code();
    let said = text(&dev(folder.path(), &["init"]).stderr);
    assert!(said.contains("taskava dev import"), "{said}");
    assert_eq!(code(&["import"]), Some(0));
    let written = std::fs::read_to_string(folder.path().join("services.toml")).expect("a file");
    assert_eq!(code(&["import"]), Some(2), "it is there");
    assert_eq!(code(&["init", "--fresh"]), Some(2), "it is there");
    assert_eq!(std::fs::read_to_string(folder.path().join("services.toml")).expect("a file"), written);
    assert_eq!(code(&["import", "--force"]), Some(0));
}

#[test]
fn a_first_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("package.json"), "{}").expect("a file");
    std::fs::write(folder.path().join(".gitignore"), "dist").expect("a file");
    let output = dev(folder.path(), &["init", "--with", "localstack"]);
    assert!(text(&output.stderr).contains("a Node application"), "{}", text(&output.stderr));
    let ignored = std::fs::read_to_string(folder.path().join(".gitignore")).expect("a file");
    assert_eq!(ignored, "dist\n/services.local.toml\n/.env\n");
    let check = text(&dev(folder.path(), &["check"]).stdout);
    assert!(check.contains("3 services"), "{check}");

    // What the file names is there: its schema, and nothing of this repository.
    let file = std::fs::read_to_string(folder.path().join("services.toml")).expect("a file");
    let schema = file.lines().next().and_then(|line| line.strip_prefix("#:schema ./")).expect("the first line");
    let schema = std::fs::read_to_string(folder.path().join(schema)).expect("the schema");
    assert_eq!(schema, text(&dev(folder.path(), &["schema"]).stdout));
    assert!(!file.contains("docs/"), "{file}");
}

#[test]
fn a_first_file_in_an_empty_folder_is_safe_for_git_and_has_all_that_was_asked_for() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("services.schema.json"), "mine").expect("a file");
    let output = dev(folder.path(), &["init", "--with", "mailpit,mailhog"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("a file");
    assert_eq!(read(".gitignore"), "/services.local.toml\n/.env\n");
    assert_eq!(read("services.schema.json"), "mine", "nothing is overwritten");
    let file = read("services.toml");
    for service in ["postgres", "redis", "mailhog", "mailpit"] {
        assert!(file.lines().any(|line| line == format!("[services.{service}]")), "{service}: {file}");
    }
    assert_eq!(dev(folder.path(), &["check"]).status.code(), Some(0));
}

#[test]
fn what_is_too_much_is_refused_before_it_is_worked_on_and_the_most_is_quick() {
    use std::fmt::Write as _;

    let folder = tempfile::tempdir().expect("a temporary folder");
    let began = std::time::Instant::now();
    let import = |files: &[(&str, String)]| {
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("a file");
        }
        let output = dev(folder.path(), &["import", "--force"]);
        (output.status.code(), text(&output.stderr))
    };
    let services = |many: usize| {
        (0..many).fold(String::from("services:\n"), |mut all, number| {
            let _ = writeln!(all, "  s{number}: {{ image: a }}");
            all
        })
    };
    let (code, said) = import(&[("compose.yaml", services(20_000))]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("20000 services are more than the 500 that are allowed"), "{said}");
    let (code, said) = import(&[
        ("compose.yaml", format!("include: [b.yaml]\n{}", services(300))),
        ("b.yaml", { services(600).replace("  s", "  t").lines().take(301).map(|line| format!("{line}\n")).collect() }),
    ]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("600 services are more than the 500"), "{said}");
    // Thirty files, each of which includes the next one twice.
    let chain: Vec<(String, String)> = (0..30)
        .map(|number| {
            (format!("c{number}.yaml"), format!("include: [c{0}.yaml, c{0}.yaml]\nservices: {{}}\n", number + 1))
        })
        .collect();
    let mut files: Vec<(&str, String)> = chain.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
    files.push(("c30.yaml", "services: { a: { image: a } }\n".into()));
    files.push(("compose.yaml", "include: [c0.yaml]\nservices: {}\n".into()));
    let (code, said) = import(&files);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("more than 500 files are included"), "{said}");
    // Nearly as much as a file may have: 500 services, 25,000 variables with a comment each, 500 notes.
    let mut most = String::from("services:\n");
    for service in 0..500 {
        let _ = writeln!(most, "  s{service}:\n    image: a\n    privileged: true\n    environment:");
        for variable in 0..50 {
            let _ = writeln!(most, "      V{variable}: x # {service}");
        }
    }
    let (code, said) = import(&[("compose.yaml", most)]);
    assert_eq!(code, Some(0), "{said}");
    let took = began.elapsed();
    assert!(took < std::time::Duration::from_secs(30), "{took:?}");
}

#[test]
fn a_compose_file_is_enough() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
    let web = "{ image: 'nginx:${TAG:-1}', container_name: mine, credential_spec: { file: x.json } }";
    write(
        "compose.yaml",
        &format!("name: shop\nservices:\n  web: {web}\n  db: {{ image: 'redis:7', profiles: [full] }}\n"),
    );
    write(".env", "TAG=2\n");
    std::fs::create_dir(folder.path().join("deep")).expect("a folder");
    let run = |at: &str, env: &[(&str, &str)], args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_taskava"));
        command.arg("dev").args(args).current_dir(folder.path().join(at)).env_clear().env("HOME", "/nonexistent");
        let output = command.envs(env.iter().copied()).output().expect("it runs");
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, out, err) = run("", &[], &["check"]);
    assert_eq!((code, &*out), (Some(0), "compose.yaml is valid: 2 services (1 in inactive profiles)\n"), "{err}");
    assert_eq!(err.matches("credential_spec").count(), 1, "{err}");
    let (_, out, err) = run("deep", &[], &["config"]);
    assert!(out.contains("project = \"shop\"") && out.contains("image = \"nginx:2\""), "{out}{err}");
    let services = |env: &[(&str, &str)], args: &[&str]| run("", env, &[args, &["config", "--services"]].concat()).1;
    assert_eq!(services(&[], &[]), "web\n");
    assert_eq!(services(&[("COMPOSE_PROFILES", "full")], &[]), "web\ndb\n");
    assert_eq!(services(&[], &["--profile", "full"]), "web\ndb\n");
    write("other.yml", "services: { only: { image: 'redis:7' } }\n");
    assert_eq!(services(&[], &["-f", "other.yml"]), "only\n");
    assert_eq!(services(&[("COMPOSE_FILE", "other.yml")], &[]), "only\n");
    assert_eq!(services(&[], &["-f", "compose.yaml", "-f", "other.yml"]), "web\nonly\n");
    let project = |env: &[(&str, &str)], args: &[&str]| {
        let out = run("", env, &[args, &["config"]].concat()).1;
        out.lines().next().map(str::to_owned)
    };
    assert_eq!(project(&[("COMPOSE_PROJECT_NAME", "second")], &[]).as_deref(), Some("project = \"second\""));
    assert_eq!(
        project(&[("COMPOSE_PROJECT_NAME", "second")], &["-p", "third"]).as_deref(),
        Some("project = \"third\"")
    );
    write("more.env", "TAG=4\nCOMPOSE_PROFILES=full\nCOMPOSE_FILE=other.yml\n");
    assert_eq!(services(&[], &["--env-file", "more.env"]), "only\n");
    assert_eq!(services(&[], &["--env-file", "more.env", "-f", "compose.yaml"]), "web\ndb\n");
    let out = run("", &[], &["--env-file", ".env", "--env-file", "more.env", "-f", "compose.yaml", "config"]).1;
    assert!(out.contains("image = \"nginx:4\""), "the last one counts: {out}");
    // For this machine, as with services.toml.
    write("services.local.toml", "[services.web]\nimage = \"mine:3\"\n");
    assert!(run("", &[], &["config"]).1.contains("image = \"mine:3\""));
    assert!(!folder.path().join("services.toml").exists(), "nothing is written");
    // What is wrong is said at its place.
    write("compose.yaml", "services:\n  web: { image: a, ports: ['80:http'] }\n");
    let (code, _, err) = run("", &[], &["check"]);
    assert!(code == Some(2) && err.contains("compose.yaml"), "{code:?} {err}");
    // services.toml comes first.
    write("services.toml", "[services.toml]\nimage = \"a:1\"\n");
    assert_eq!(services(&[("COMPOSE_FILE", "other.yml")], &[]), "toml\nweb\n", "the second is of services.local.toml");
}

#[test]
fn a_folder_of_compose_files_becomes_a_table() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, service) in [
        ("one", "image: a"),
        ("two", "image: a, credential_spec: { file: x }"),
        ("three", "image: a, ports: ['1:http']"),
    ] {
        std::fs::create_dir(folder.path().join(name)).expect("a folder");
        let text = format!("services: {{ web: {{ {service} }} }}\n");
        std::fs::write(folder.path().join(name).join("compose.yaml"), text).expect("a file");
    }
    let mut command = Command::new("scripts/compose-corpus");
    let command = command.arg(folder.path()).env("TASKAVA", env!("CARGO_BIN_EXE_taskava"));
    let output = command.env("TASKAVA_PEER", "none").output().expect("it runs");
    let table = text(&output.stdout);
    for row in [
        "one/compose.yaml | 1 | same |",
        "two/compose.yaml | 1 | said | 1 |",
        "three/compose.yaml | 1 | refused | error: ",
    ] {
        assert!(table.contains(row), "{row}\n{table}{}", text(&output.stderr));
    }
    assert!(table.ends_with("3 files: 1 same, 1 said, 1 refused; 0 that docker compose refuses.\n"), "{table}");
}

/// What docker compose itself would need more for than an engine.
#[test]
fn what_has_no_container_is_said_in_a_line_each() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let compose = "services:\n  web: { image: nginx, models: [llm], label_file: none.labels, networks: [back],\n    \
                   labels: { 'map.${STAGE}': kept }, depends_on: { gone: { condition: service_started, required: false } } }\n\
                   networks: { back: { name: team/back } }\nmodels: { llm: { model: ai/some } }\n";
    std::fs::write(folder.path().join("compose.yaml"), compose).expect("a file");
    let said = dev(folder.path(), &["import"]);
    assert_eq!(said.status.code(), Some(0), "{}", text(&said.stderr));
    let said = text(&said.stderr);
    assert_eq!(said.matches("models").count(), 1, "{said}");
    assert!(said.contains("`models` has no counterpart (2 times, first here): run the model outside"), "{said}");
    assert!(said.contains("the label file `none.labels` can't be read: ") && !said.contains("gone"), "{said}");
    let written = std::fs::read_to_string(folder.path().join("services.toml")).expect("a file");
    assert!(written.contains("\"map.${STAGE}\" = \"kept\"") && written.contains("name = \"team/back\""), "{written}");
    assert_eq!(dev(folder.path(), &["check"]).status.code(), Some(0), "{written}");
}
