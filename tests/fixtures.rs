//! services.toml files, right and wrong ones, and what is said about each.
//!
//! `tests/fixtures/bad/NAME.toml` (or `bad/NAME/services.toml` with files beside it) has its diagnostics in `NAME.txt`.
//! After a wanted change: `SNAPSHOTS=overwrite cargo test --test fixtures`, and read the difference.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use taskava::cli::commands::config::resolved;
use taskava::config;
use taskava::diag::{Diagnostic, Error, Severity, Source};
use taskava::load::{self, LoadOptions, Loaded};
use taskava::model::Stack;
use taskava::plan;
use taskava::resolve::{ResolveContext, resolve};
use taskava::ui::errors;

fn fixtures(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new("tests/fixtures").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("the fixtures are there")
        .map(|entry| entry.expect("it can be listed").path())
        .filter_map(|path| match path.is_dir() {
            true => Some(path.join("services.toml")).filter(|path| path.is_file()),
            false => path.extension().is_some_and(|end| end == "toml").then_some(path),
        })
        .collect();
    files.sort();
    files
}

fn load(file: &Path) -> taskava::diag::Result<Loaded> {
    load::stack(&LoadOptions { files: vec![file.into()], ..LoadOptions::default() })
}

fn render(diagnostics: &[Diagnostic]) -> String {
    errors::diagnostics(diagnostics, false).replace(env!("CARGO_MANIFEST_DIR"), "[ROOT]")
}

/// Where the expected text of a fixture is.
fn expected(file: &Path, ending: &str) -> PathBuf {
    match file.file_name().is_some_and(|name| name == "services.toml") {
        true => file.parent().expect("it is in a folder").with_extension(ending),
        false => file.with_extension(ending),
    }
}

#[test]
fn bad_files_are_refused_with_all_their_problems() {
    let files = fixtures("bad");
    assert!(files.len() >= 40, "{} files", files.len());
    for file in files {
        // Some problems only refuse the services that have them.
        let refused = load(&file).and_then(|loaded| plan::refuse_unusable(&loaded.stack, &plan::Request::default()));
        let error = refused.expect_err(&format!("{} is not refused", file.display()));
        assert_eq!(error.kind.exit_code(), 2, "{}", file.display());
        snapbox::assert_data_eq!(
            render(&error.diagnostics),
            snapbox::Data::read_from(&expected(&file, "txt"), None).raw()
        );
    }
}

/// The resolved configuration is compared, and read again: it must mean the same.
#[test]
fn good_files_are_understood() {
    let files = fixtures("ok");
    assert!(files.len() >= 6, "{} files", files.len());
    for file in files {
        let loaded = load(&file).unwrap_or_else(|e| panic!("{}: {e}\n{}", file.display(), render(&e.diagnostics)));
        let stack = loaded.stack;
        let text = render(&loaded.warnings) + &toml::to_string(&resolved(&stack, false)).expect("it is a table");
        let text = text.replace(stack.root.parent().and_then(Path::to_str).expect("it is UTF-8"), "[OK]");
        snapbox::assert_data_eq!(text, snapbox::Data::read_from(&expected(&file, "txt"), None).raw());

        let text = toml::to_string(&resolved(&stack, true)).expect("it is a table");
        let source = Arc::new(Source { name: "resolved".into(), text });
        let (config, mut problems) = config::parse(&[source], &config::Variables::default());
        let around = ResolveContext { root: stack.root.clone(), ..ResolveContext::default() };
        let again = resolve(&config, &around, &mut problems).stack;
        assert!(problems.iter().all(|problem| problem.severity == Severity::Warning), "{}", render(&problems));
        assert_eq!(without_places(again), without_places(stack), "{}", file.display());
    }
}

fn without_places(mut stack: Stack) -> Stack {
    // Written out, nothing is taken from a variable.
    stack.secrets.clear();
    for service in stack.services.values_mut() {
        service.place = None;
        service.image_place = None;
        service.ports.iter_mut().for_each(|port| port.place = None);
        service.mounts.iter_mut().for_each(|mount| mount.place = None);
        for value in service.env.values_mut() {
            value.origin.clear();
            // A value that came from a secret variable is a secret; written out, only its name tells.
            value.secret = false;
        }
    }
    stack
}

#[test]
fn every_value_knows_where_it_came_from() {
    let stack = load(Path::new("tests/fixtures/ok/override/services.toml")).expect("it is a good file").stack;
    let origin = |service: &str, name: &str| {
        let origin = &stack.services[service].env[name].origin;
        origin.iter().map(|step| step.replace("tests/fixtures/ok/override/", "")).collect::<Vec<_>>()
    };
    assert_eq!(stack.secrets.iter().collect::<Vec<_>>(), ["s3cret"]);
    assert_eq!(origin("postgres", "POSTGRES_USER"), ["services.toml:5:25"]);
    assert_eq!(origin("postgres", "POSTGRES_PASSWORD"), ["services.toml:5:52", "OVERRIDE_DB_PASSWORD from .env:2"]);
    assert_eq!(origin("postgres", "POSTGRES_DB"), ["services.toml:5:109", "default in services.toml:5:125"]);
    assert_eq!(origin("api", "LEVEL"), ["services.local.toml:7:9", "overrides services.toml:9:87"]);
    assert_eq!(origin("api", "TOKEN"), ["api.env:1"]);
    assert_eq!(origin("api", "REGION"), ["api.env:2"]);
    assert_eq!(origin("postgres", "REGION"), ["[env] services.toml:13:10"]);
    assert!(stack.services["api"].env["DATABASE_URL"].secret, "it holds a password");
    let port = &stack.services["postgres"].ports[0];
    assert_eq!(port.host, Some(15_432));
    assert!(port.place.as_ref().is_some_and(|place| place.to_string().ends_with("services.local.toml:4:10")));
}

#[test]
fn profiles_and_what_they_need_are_active() {
    let active = |profiles: &[&str]| {
        let options = LoadOptions {
            files: vec!["tests/fixtures/ok/profiles.toml".into()],
            profiles: profiles.iter().map(ToString::to_string).collect(),
            ..LoadOptions::default()
        };
        let loaded = load::stack(&options)?;
        plan::refuse_unusable(&loaded.stack, &plan::Request::default())?;
        let active = loaded.stack.services.values().filter(|service| service.active);
        Ok::<_, Error>(active.map(|service| service.name.to_string()).collect::<Vec<_>>())
    };
    assert_eq!(active(&[]).expect("it is a good file"), ["db", "api"], "api needs db");
    assert_eq!(active(&["data"]).expect("it is a good file"), ["db", "cache", "api"]);
    assert_eq!(active(&["new-mail"]).expect("it is a good file"), ["db", "api", "mailpit"]);
    let both = active(&["old-mail", "new-mail"]).expect_err("both publish 1025");
    assert!(both.diagnostics[0].message.starts_with("host port 1025 is already published by `mailhog`"), "{both:?}");
    let unknown = active(&["new-mial"]).expect_err("there is no such profile");
    assert_eq!(unknown.diagnostics[0].hint.as_deref(), Some("did you mean `new-mail`?"));
}

#[test]
fn a_file_that_is_not_there_is_a_usage_error() {
    let error = load(Path::new("tests/fixtures/none.toml")).expect_err("it is not there");
    assert_eq!(error.kind.exit_code(), 2);
    assert!(error.to_string().ends_with("tests/fixtures/none.toml doesn't exist"), "{error}");
}

#[test]
fn the_project_asked_for_wins() {
    let files: Vec<PathBuf> = vec!["tests/fixtures/ok/minimal.toml".into()];
    let name = |project: Option<&str>| {
        let options = LoadOptions { files: files.clone(), project: project.map(Into::into), ..LoadOptions::default() };
        load::stack(&options).map(|loaded| loaded.stack.name.to_string())
    };
    assert_eq!(name(None).expect("it is a good file"), "ok", "the folder's name");
    assert_eq!(name(Some("mine")).expect("it is a good file"), "mine");
    assert_eq!(name(Some("Mine!")).expect_err("it is no name").kind.exit_code(), 2);
}

/// The real program, in a folder of the fixtures, with nothing of the caller's environment that it would listen to.
fn taskava(folder: &str, arguments: &[&str]) -> snapbox::cmd::OutputAssert {
    let mut command = snapbox::cmd::Command::new(env!("CARGO_BIN_EXE_taskava"));
    for name in ["TASKAVA_FILE", "TASKAVA_PROJECT", "TASKAVA_PROFILES", "CI", "GITHUB_ACTIONS"] {
        command = command.env_remove(name);
    }
    command.arg("dev").args(arguments).current_dir(Path::new("tests/fixtures").join(folder)).assert()
}

#[test]
fn check_finds_the_file_upwards_and_says_what_is_in_it() {
    let valid = "services.toml is valid: 6 services (1 in inactive profiles), 2 volumes\n";
    taskava("ok/contract/docker/api", &["check"]).success().stdout_eq(valid).stderr_eq("");
    taskava("ok/contract", &["check", "--quiet"]).success().stdout_eq("");
    taskava("ok", &["check", "--file", "contract"]).success().stdout_eq(valid);
}

#[test]
fn check_shows_all_problems_on_stderr_and_exits_with_2() {
    taskava("bad", &["check", "--file", "duplicate-key.toml"]).code(2).stdout_eq("").stderr_eq(
        "\
error: `kind` is written twice
 --> duplicate-key.toml:4:1
  |
4 | kind = \"generic\"
  | ^^^^
  |
  = hint: a key or table can be written once: merge the two

error: 1 error in the configuration
",
    );
}

#[test]
fn config_masks_secrets_unless_asked() {
    let masked = taskava("ok/override", &["config"]).success();
    let masked = String::from_utf8_lossy(&masked.get_output().stdout).into_owned();
    assert!(masked.contains("POSTGRES_PASSWORD = \"********\"") && !masked.contains("s3cret"), "{masked}");
    let shown = taskava("ok/override", &["config", "--show-secrets"]).success();
    let shown = String::from_utf8_lossy(&shown.get_output().stdout).into_owned();
    assert!(shown.contains("POSTGRES_PASSWORD = \"s3cret\""), "{shown}");
    taskava("ok/override", &["config", "--services"]).success().stdout_eq("postgres\napi\nadminer\n");
    let json = taskava("ok/override", &["config", "--format", "json"]).success();
    let json: serde_json::Value = serde_json::from_slice(&json.get_output().stdout).expect("it is JSON");
    assert_eq!(json["services"]["postgres"]["ports"][0], "127.0.0.1:15432:5432");
}

#[test]
fn schema_prints_what_is_checked_in() {
    let checked_in = std::fs::read_to_string("docs/services.schema.json").expect("it is checked in");
    taskava("ok", &["schema"]).success().stdout_eq(snapbox::Data::text(checked_in).raw());
}

#[test]
fn what_is_included_is_exported_as_it_is_there() {
    let exported = taskava("ok/include", &["export", "compose"]).success().stderr_eq("");
    let exported = String::from_utf8_lossy(&exported.get_output().stdout).replace('"', "");
    let env_file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ok/include/shop/seed.env");
    for line in [
        // Variables of services.toml stay, those of other files are known to them alone.
        "image: api:${TAG}",
        "FROM: ${OF_MAIN}",
        "POSTGRES_DB: local",
        "COMMAND: $${KEPT} own",
        "REGION: shop-main-main",
        "./shop/init:/init:ro",
        "GREETING: hello",
        &env_file.display().to_string(),
    ] {
        assert!(exported.contains(line), "{line} is not in\n{exported}");
    }
}

#[test]
fn each_value_of_several_files_knows_its_own() {
    let stack = load(Path::new("tests/fixtures/ok/include/services.toml")).expect("it is a good file").stack;
    let origin = |service: &str, name: &str| {
        let origin = &stack.services[service].env[name].origin;
        origin.iter().map(|step| step.replace("tests/fixtures/ok/include/", "")).collect::<Vec<_>>()
    };
    assert_eq!(origin("db", "POSTGRES_DB"), ["services.local.toml:2:23", "overrides shop/services.toml:11:23"]);
    assert_eq!(
        origin("db", "REGION"),
        ["[env] shop/services.toml:5:10", "TAG from .env:2", "OF_MAIN from .env:3"],
        "the environment of the whole comes first"
    );
    assert_eq!(origin("mail", "GREETING"), ["mail/services.toml:4:20", "GREETING from mail.env:1"]);
    assert_eq!(origin("worker", "LEVEL"), ["services.toml:16:17", "overrides common/base.toml:4:17"]);
    assert_eq!(origin("worker", "FROM"), ["common/base.toml:4:32", "OF_MAIN from .env:3"]);
}

/// A repository with a stack, and its commit; later ones have nothing to do with it.
fn repository(folder: &Path) -> String {
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]).args(arguments);
        let output = command.current_dir(folder).output().expect("git runs");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("it is UTF-8").trim().to_owned()
    };
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        std::fs::write(path, text).expect("written");
    };
    let stack = "include = \"../services.toml\"\n[services.mail]\nextends = { file = \"base.toml\", service = \"base\" }\n\
                 image = \"mail:${TAG}\"\nvolumes = [\"../files:/f\"]\n";
    write("deploy/services.toml", stack);
    write("deploy/.env", "TAG=pinned\n");
    write("deploy/base.toml", "[services.base]\nrestart = \"always\"\n");
    write("services.toml", "allow_outside = [\"/etc\"]\n[services.top]\nimage = \"top:1\"\n");
    write("files/x", "x");
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "one"]);
    let commit = git(&["rev-parse", "HEAD"]);
    write("deploy/.env", "TAG=later\n");
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "two"]);
    commit
}

#[test]
fn a_file_of_a_repository_is_fetched_once_at_its_commit() {
    let folder = tempfile::tempdir().expect("a folder");
    let (repository_folder, cache) = (folder.path().join("mail repo.git"), folder.path().join("cache"));
    std::fs::create_dir_all(&repository_folder).expect("a folder");
    let commit = repository(&repository_folder);
    let write = |include: &str| {
        let text = format!("project = \"p\"\ninclude = [{include}]\n[services.a]\nimage = \"a:1\"\n");
        std::fs::write(folder.path().join("services.toml"), text).expect("written");
    };
    let url = format!("file://{}", repository_folder.display());
    let taskava = |arguments: &[&str]| {
        let command = snapbox::cmd::Command::new(env!("CARGO_BIN_EXE_taskava")).env("XDG_CACHE_HOME", &cache);
        command.env("GIT_DIR", "/nowhere").arg("dev").args(arguments).current_dir(folder.path()).assert()
    };
    let output = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();

    write(&format!("{{ git = \"{url}\", rev = \"{commit}\", path = \"deploy\" }}"));
    let shown = taskava(&["config"]).success().stderr_eq("");
    let shown = output(&shown.get_output().stdout);
    assert!(shown.contains("image = \"mail:pinned\"") && shown.contains("restart = \"always\""), "{shown}");
    assert!(shown.contains("[services.top]") && shown.contains("/files:/f\""), "{shown}");
    let checked = taskava(&["check"]).success();
    assert_eq!(output(&checked.get_output().stdout), "services.toml is valid: 3 services\n");

    let unknown = commit.chars().rev().collect::<String>();
    write(&format!("{{ git = \"{url}\", rev = \"{unknown}\" }}"));
    let refused = taskava(&["check"]).code(2);
    let refused = output(&refused.get_output().stderr);
    assert!(refused.contains(&format!("has no commit {unknown}")) && refused.contains("git ls-remote"), "{refused}");
    write(&format!("{{ git = \"{url}\", rev = \"{commit}\", path = \"../services.toml\" }}"));
    let refused = taskava(&["check"]).code(2);
    let refused = output(&refused.get_output().stderr);
    assert!(refused.contains("is outside the repository"), "{refused}");
    write(&format!("{{ git = \"{url}\", rev = \"{commit}\", path = \"none.toml\" }}"));
    let refused = taskava(&["check"]).code(2);
    let refused = output(&refused.get_output().stderr);
    assert!(refused.contains("the included file `none.toml` doesn't exist"), "{refused}");
    let left: Vec<_> = std::fs::read_dir(
        std::fs::read_dir(cache.join("taskava/git")).expect("listed").next().expect("one").expect("an entry").path(),
    )
    .expect("listed")
    .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
    .collect();
    assert_eq!(left, std::slice::from_ref(&commit), "nothing is left of what failed");

    std::fs::remove_dir_all(&repository_folder).expect("removed");
    write(&format!("{{ git = \"{url}\", rev = \"{commit}\", path = \"deploy/services.toml\" }}"));
    taskava(&["check"]).success();
    write(&format!("{{ git = \"{url}\", rev = \"{unknown}\" }}"));
    let refused = taskava(&["check"]).code(2);
    let refused = output(&refused.get_output().stderr);
    assert!(refused.contains("can't be fetched: "), "{refused}");
}

#[test]
fn what_was_fetched_cannot_allow_itself_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let repository_folder = folder.path().join("r");
    std::fs::create_dir_all(&repository_folder).expect("a folder");
    std::fs::write(
        repository_folder.join("evil.toml"),
        "allow_outside = [\"/etc\"]\n[services.e]\nimage = \"e:1\"\nvolumes = [\"/etc/hostname:/h\"]\n",
    )
    .expect("written");
    let commit = repository(&repository_folder);
    let text = format!(
        "project = \"p\"\ninclude = {{ git = \"file://{}\", rev = \"{commit}\", path = \"evil.toml\" }}\n",
        repository_folder.display()
    );
    std::fs::write(folder.path().join("services.toml"), text).expect("written");
    let command = snapbox::cmd::Command::new(env!("CARGO_BIN_EXE_taskava")).env("XDG_CACHE_HOME", folder.path());
    let refused = command.args(["dev", "check"]).current_dir(folder.path()).assert().code(2);
    let refused = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(refused.contains("allow it in services.toml: allow_outside = [\"/etc/hostname\"]"), "{refused}");
    assert!(refused.contains(&format!("--> r@{}:evil.toml:4:12", &commit[..12])), "{refused}");
}

#[test]
fn a_compose_file_can_be_included() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("mail")).expect("a folder");
    let compose = "services:\n  mail:\n    image: mail:${TAG}\n    volumes: [./x:/x]\n";
    std::fs::write(folder.path().join("mail/compose.yaml"), compose).expect("written");
    std::fs::write(folder.path().join("mail/.env"), "TAG=7\n").expect("written");
    std::fs::write(folder.path().join("mail/x"), "").expect("written");
    let text = "project = \"p\"\ninclude = \"mail\"\n[services.a]\nimage = \"a:1\"\n";
    std::fs::write(folder.path().join("services.toml"), text).expect("written");
    let command = snapbox::cmd::Command::new(env!("CARGO_BIN_EXE_taskava"));
    let shown = command.args(["dev", "config"]).current_dir(folder.path()).assert().success();
    let shown = String::from_utf8_lossy(&shown.get_output().stdout).into_owned();
    assert!(shown.contains("image = \"mail:7\"") && shown.contains("\"./mail/x:/x\""), "{shown}");
}
