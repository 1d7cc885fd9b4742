//! What is different here from docker compose 5: for each of its commands and options that is not the same, what to type, or
//! what it means here. Everything else of `compose_reference.tsv` is accepted as it is; a test checks that, and
//! docs/compose.md is generated from both.

use Here::{Instead, Note};

/// What there is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Here {
    /// It is refused, with what to type.
    Instead(&'static str),
    /// It is accepted; that is what is to be known about it.
    Note(&'static str),
}

/// Command (empty: the global options; `*`: every one), option (empty: the command itself), and what there is here.
pub(super) const HABITS: &[(&str, &str, Here)] = &[
    ("", "--all-resources", Note("accepted; all volumes and networks of services.toml count")),
    ("", "--ansi", Note("same as `--color`")),
    ("", "--no-ansi", Note("same as `--color never`")),
    ("", "--parallel", Note("accepted; what does not depend on each other is done at once")),
    ("", "--progress", Note("same as `--format`, and `quiet` as `--quiet`")),
    ("", "--project-directory", Note("the folder with the services.toml to use")),
    ("", "--version", Note("`-v` is `--verbose` here")),
    ("*", "--compatibility", Instead("leave it out: a container is always called PROJECT-SERVICE")),
    ("*", "--dry-run", Instead("taskava dev plan up, or --dry-run after `up`, `create` or `down`")),
    ("*", "--insecure-registry", Instead("leave it out: it is a setting of the engine (`insecure-registries`)")),
    ("*", "--workdir", Instead("--project-directory FOLDER")),
    ("*", "--interactive=false", Instead("--no-stdin")),
    ("*", "--no-tty=false", Instead("-t")),
    ("*", "--tty=false", Instead("-T")),
    ("*", "--prune=false", Instead("leave it out: nothing is removed before `taskava dev gc`")),
    ("*", "--menu=false", Instead("leave it out: there is no menu")),
    // Commands.
    ("alpha", "", Instead("taskava dev plan for dry-run, taskava dev watch for watch; the others are not available")),
    ("bridge", "", Instead("taskava dev export compose, then docker compose bridge on that file")),
    ("publish", "", Instead("taskava dev export compose, then docker compose publish with that file")),
    // Of docker itself, and words that are tried.
    ("inspect", "", Instead("taskava dev explain SERVICE")),
    ("list", "", Instead("taskava dev ls, or taskava dev ps")),
    ("prune", "", Instead("taskava dev gc")),
    ("recreate", "", Instead("taskava dev up --recreate")),
    ("shell", "", Instead("taskava dev exec SERVICE sh")),
    // Options, by command.
    ("build", "", Note("builds in any case; `up` builds what changed")),
    ("build", "--builder", Instead("`docker buildx use BUILDER`: the engine's own builder is used")),
    ("build", "--check", Instead("docker build --check FOLDER")),
    ("build", "--compress", Instead("leave it out: only changed files are sent")),
    ("build", "--force-rm", Instead("leave it out: BuildKit keeps no containers")),
    ("build", "--memory", Instead("leave it out: BuildKit has no limit")),
    ("build", "-m", Instead("leave it out: BuildKit has no limit")),
    ("build", "--no-rm", Instead("leave it out: BuildKit keeps no containers")),
    ("build", "--parallel", Instead("leave it out: images are built at once")),
    ("build", "--print", Instead("taskava dev config shows each service's `build`")),
    ("build", "--provenance", Instead("docker buildx build --provenance …: images here are for development")),
    ("build", "--sbom", Instead("docker buildx build --sbom …: images here are for development")),
    ("build", "--ssh", Instead("`secrets` of the service's `build` in services.toml, with the key's file")),
    ("config", "", Note("prints TOML, secrets masked; `export compose` prints a Compose file")),
    ("config", "--environment", Note("the variables that services.toml uses, secrets masked on a terminal")),
    ("config", "--format", Note("`json`; for `yaml` there is `export compose`")),
    ("config", "--lock-image-digests", Instead("taskava dev lock")),
    ("config", "--models", Instead("leave it out: services.toml has no models")),
    ("config", "--no-consistency", Instead("leave it out; taskava dev check shows every mistake at once")),
    (
        "config",
        "--no-env-resolution",
        Instead("leave it out: taskava dev explain SERVICE shows where each value is from"),
    ),
    ("config", "--no-interpolate", Instead("leave it out: services.toml itself has the variables")),
    ("config", "--no-normalize", Instead("leave it out: services.toml itself is what was written")),
    ("config", "--no-path-resolution", Instead("leave it out: paths inside the project are shown relative to it")),
    ("config", "--resolve-image-digests", Instead("taskava dev lock")),
    ("config", "--variables", Instead("taskava dev config --environment")),
    ("convert", "", Note("same as `config`")),
    ("cp", "--all", Instead("docker cp, for containers of `taskava dev run --no-rm SERVICE`")),
    ("exec", "--workdir", Note("the same")),
    ("run", "--workdir", Note("the same")),
    ("down", "--volumes", Note("asks first on a terminal, and saves the data as a snapshot; `-y`, `--no-snapshot`")),
    ("kill", "--remove-orphans", Instead("taskava dev up --remove-orphans")),
    ("pull", "", Note("all at once")),
    ("pull", "--ignore-buildable", Note("accepted; images that are built are always skipped")),
    ("pull", "--no-parallel", Note("accepted; images are pulled at once")),
    ("pull", "--parallel", Instead("leave it out: images are pulled at once")),
    ("push", "", Note("images of services with `build` and `image`")),
    ("restart", "", Note("applies changes in services.toml; waits until ready")),
    ("restart", "--no-deps", Note("accepted; dependencies are always left alone")),
    ("rm", "--all", Note("accepted")),
    ("rm", "--volumes", Note("anonymous volumes only; saved as a snapshot first")),
    ("run", "", Note("waits until dependencies are ready; the container is removed unless `--no-rm` is given")),
    ("run", "--rm", Note("the default, except with `--detach`")),
    ("run", "--use-aliases", Instead("leave it out: the service's name leads to the service's own container")),
    ("start", "", Note("waits until ready")),
    ("start", "--wait", Note("the default")),
    ("stats", "--format", Note("`table` and `json`; not templates")),
    ("stats", "--all", Note("accepted")),
    ("stats", "--no-trunc", Note("accepted; nothing is cut off")),
    ("up", "", Note("returns when all services are ready; `--follow` stays with the logs")),
    ("up", "--always-recreate-deps", Instead("taskava dev up --recreate, without names")),
    ("up", "--attach", Note("implies `--follow`")),
    ("up", "--attach-dependencies", Note("implies `--follow`")),
    ("up", "--detach", Note("the default")),
    ("up", "--menu", Instead("leave it out: --watch reacts to changes, --follow shows the logs")),
    ("up", "--quiet-build", Note("accepted; a build is one line, unless `--verbose` is given")),
    ("up", "--quiet-pull", Note("accepted; a pull is one line, unless `--verbose` is given")),
    (
        "up",
        "--timeout",
        Note("`--timeout` is the time until all is ready, as `--wait-timeout`; `-t`, `--stop-timeout` to stop"),
    ),
    ("up", "--wait", Note("the default")),
    ("up", "--yes", Note("accepted; nothing is asked")),
    ("version", "", Note("and of the engine")),
    ("watch", "", Note("the stack has to be up; `up --watch` does both")),
    ("watch", "--no-up", Note("the default")),
    ("watch", "--prune", Instead("leave it out; taskava dev gc, for images that are no longer used")),
];

/// What there is of a command (an empty option), or of its option.
pub(super) fn here(command: &str, option: &str) -> Option<Here> {
    let of = |wanted: &str| HABITS.iter().find(|(of, word, _)| *of == wanted && *word == option);
    of(command).or_else(|| of("*")).map(|(_, _, here)| *here)
}

/// What to type for a command or an option that is refused.
pub(super) fn refused(command: &str, option: &str) -> Option<&'static str> {
    match here(command, option) {
        Some(Instead(remedy)) => Some(remedy),
        Some(Note(_)) | None => None,
    }
}
