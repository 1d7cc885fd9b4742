//! Commits of git repositories, as folders in the user's cache: fetched once with the command `git`, and never changed.

use std::io::ErrorKind as Io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::model::fingerprint_of;
use crate::remedy;

/// What went wrong, and what to do.
pub(super) type Failure = (String, String);

/// Variables by which git would work on another repository than the one it is told, as inside a hook.
const OF_ANOTHER_REPOSITORY: [&str; 7] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
];

/// The folder with the files of a commit, canonical. `rev` is its full hash.
///
/// # Errors
/// When there is no git, the repository can't be reached, it has no such commit, or the cache can't be written.
pub(super) fn commit(url: &str, rev: &str) -> Result<PathBuf, Failure> {
    let rev = rev.to_ascii_lowercase();
    let cache = cache().ok_or_else(|| {
        ("the cache folder is unknown: HOME is not set".to_owned(), "set HOME, or XDG_CACHE_HOME".to_owned())
    })?;
    let name = url.rsplit(['/', ':']).next().unwrap_or_default().trim_end_matches(".git");
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).take(40).collect();
    let parent = cache.join("taskava/git").join(format!("{name}-{}", fingerprint_of(url.as_bytes())));
    let folder = parent.join(&rev);
    if !folder.is_dir() {
        let new = parent.join(format!(".{rev}.{}", std::process::id()));
        let fetched = fetch(url, &rev, &new).and_then(|()| match std::fs::rename(&new, &folder) {
            // Another process was faster.
            Err(_) if folder.is_dir() => Ok(()),
            renamed => renamed.map_err(|error| unwritable(&folder, &error)),
        });
        let _ = std::fs::remove_dir_all(&new);
        fetched?;
    }
    folder.canonicalize().map_err(|error| unwritable(&folder, &error))
}

/// The user's folder for what can be fetched again.
fn cache() -> Option<PathBuf> {
    let named = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let usual = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
    named.or_else(|| Some(std::env::home_dir().filter(|home| home.is_absolute())?.join(usual)))
}

fn unwritable(folder: &Path, error: &std::io::Error) -> Failure {
    let message = format!("{} can't be written: {error}", folder.display());
    (message, "make it writable, or name another cache folder with XDG_CACHE_HOME".into())
}

/// The files of a commit in a new folder.
fn fetch(url: &str, rev: &str, folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    let git = |arguments: &[&str]| run(folder, arguments);
    git(&["init", "--quiet"])?.map_err(|reason| (format!("git can't create a repository: {reason}"), String::new()))?;
    // Not every server hands out any commit by its hash; every one does those of its branches and tags.
    if git(&["fetch", "--quiet", "--no-tags", "--depth=1", "--", url, rev])?.is_err() {
        let all = ["fetch", "--quiet", "--", url, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
        git(&all)?.map_err(|reason| {
            let hint =
                format!("check the address and your access with: git ls-remote {}", remedy::quoted(Path::new(url)));
            (format!("{url} can't be fetched: {reason}"), hint)
        })?;
    }
    git(&["checkout", "--quiet", "--detach", rev])?.map_err(|_| {
        let hint =
            format!("a commit of one of its branches is needed: git ls-remote {}", remedy::quoted(Path::new(url)));
        (format!("{url} has no commit {rev} in its branches and tags"), hint)
    })?;
    // Of a repository only the files count; its history would be another copy of them.
    std::fs::remove_dir_all(folder.join(".git")).map_err(|error| unwritable(folder, &error))
}

/// Runs git in a folder; in the inner result, the last line of what it says went wrong.
fn run(folder: &Path, arguments: &[&str]) -> Result<Result<(), String>, Failure> {
    let mut command = Command::new("git");
    OF_ANOTHER_REPOSITORY.iter().for_each(|name| {
        command.env_remove(name);
    });
    // Without questions, without programs that a repository or its address names, and with messages in English.
    command.args([
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "protocol.ext.allow=never",
        "-c",
        "advice.detachedHead=false",
    ]);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    let output = command.output().map_err(|error| {
        let message = match error.kind() {
            Io::NotFound => "git is needed for what is included from a repository, and is not installed".to_owned(),
            _ => format!("git can't be run: {error}"),
        };
        (message, "install git, or include a copy by its `path`".to_owned())
    })?;
    if output.status.success() {
        return Ok(Ok(()));
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // The first line that names an error says more than what follows from it.
    let line = said.lines().find(|line| line.starts_with("fatal:") || line.starts_with("error:"));
    let line = line.or_else(|| said.lines().rfind(|line| !line.trim().is_empty())).unwrap_or("it failed");
    Ok(Err(line.trim_start_matches("fatal: ").trim_start_matches("error: ").to_owned()))
}
