//! Which files concern what: the rules of a stack's services, and the files from which the stack itself was loaded.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ignore::Match;
use ignore::gitignore::Gitignore;

use super::ignored::{DockerIgnore, GitIgnores, of_rule};
use super::state::Hit;
use crate::context;
use crate::load;
use crate::model::{MountSource, Service, ServiceName, Stack, WatchAction, WatchRule};

/// A lock that git left behind when it was killed must not hold us forever: one of this age counts only while files
/// change.
const GIT_IS_AT_WORK: Duration = Duration::from_secs(10);

/// A checkout of a large repository, on a slow disk, takes minutes, and writes all the time.
const GIT_WRITES: Duration = Duration::from_secs(2);

/// A rule with what it leaves out.
#[derive(Debug)]
struct Watched {
    hit: Hit,
    /// Without links in it, as the system tells paths.
    path: PathBuf,
    own: Gitignore,
    docker: Option<DockerIgnore>,
}

/// Says of a path whom it concerns.
#[derive(Debug)]
pub(super) struct Filter {
    rules: Vec<Watched>,
    /// What containers of the stack can write to.
    writable: Vec<PathBuf>,
    git: GitIgnores,
    /// Files the stack was made from, or would be if they were there.
    stack_files: BTreeSet<PathBuf>,
    /// Files that say what is ignored by a build.
    docker_files: BTreeSet<PathBuf>,
}

impl Filter {
    /// The rules of these services, and the files of the stack.
    pub(super) fn new(stack: &Stack, services: &[ServiceName], files: &[PathBuf]) -> Self {
        let mut rules = Vec::new();
        let mut docker_files = BTreeSet::new();
        for service in services.iter().filter_map(|name| stack.services.get(name)) {
            docker_files.extend(service.build.iter().flat_map(context::ignore_files));
            for (number, rule) in service.watch.iter().enumerate() {
                let path = real(&rule.path);
                let inert = rule.action == WatchAction::Sync;
                let hit = Hit { service: service.name.clone(), rule: number, inert, writable: false };
                let own = of_rule(&path, &rule.ignore);
                let docker = service.build.as_ref().map(DockerIgnore::of);
                rules.push(Watched { hit, path, own, docker });
            }
        }
        // Those that are not there may come: the override of services.toml, and variables of each file.
        let folders: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
        let beside = folders.into_iter().map(|folder| folder.join(".env"));
        let optional: Vec<PathBuf> = beside.chain([load::OVERRIDE, ".env"].map(|name| stack.root.join(name))).collect();
        let stack_files = files.iter().chain(&optional).flat_map(|file| [file.clone(), real(file)]).collect();
        let mounts = stack.services.values().flat_map(|service| &service.mounts).filter(|mount| !mount.read_only);
        let writable = mounts.filter_map(|mount| match &mount.source {
            MountSource::Bind(source) => Some(real(source)),
            _ => None,
        });
        let writable = writable.collect();
        Self { rules, writable, git: GitIgnores::of(&stack.root), stack_files, docker_files }
    }

    /// Whether the stack was made from it.
    pub(super) fn is_of_stack(&self, path: &Path) -> bool {
        self.stack_files.contains(path)
    }

    /// Whether it says what is ignored.
    pub(super) fn is_of_ignores(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| name == ".gitignore")
            || self.docker_files.contains(path)
            || self.git.exclude().iter().any(|file| file == path)
    }

    /// The rules a path concerns.
    pub(super) fn hits(&self, path: &Path, is_dir: bool) -> Vec<Hit> {
        let concerned = self.rules.iter().filter(|rule| rule.concerns(&self.git, path, is_dir));
        let mut hits: Vec<Hit> = concerned.map(|rule| rule.hit.clone()).collect();
        if !hits.is_empty() && self.writable.iter().any(|folder| path.starts_with(folder)) {
            hits.iter_mut().for_each(|hit| hit.writable = true);
        }
        hits
    }

    /// Whether any service watches a path. A name that is gone may have been a folder's.
    pub(super) fn wants(&self, path: &Path) -> bool {
        self.is_of_stack(path)
            || self.is_of_ignores(path)
            || self.rules.iter().any(|rule| rule.concerns(&self.git, path, false))
    }

    /// Whether something in a folder may concern a rule or the stack's files.
    pub(super) fn walks(&self, folder: &Path) -> bool {
        self.rules.iter().any(|rule| rule.walks(&self.git, folder))
    }

    /// What a rule watches, without links in it.
    pub(super) fn root(&self, service: &ServiceName, rule: usize) -> Option<&Path> {
        let found = self.rules.iter().find(|watched| watched.hit.service == *service && watched.hit.rule == rule);
        found.map(|watched| watched.path.as_path())
    }

    /// Files and folders of the rules.
    pub(super) fn roots(&self) -> impl Iterator<Item = &Path> {
        self.rules.iter().map(|rule| rule.path.as_path())
    }

    /// The files that are known one by one, there or not.
    pub(super) fn single_files(&self) -> impl Iterator<Item = &Path> {
        self.stack_files.iter().map(PathBuf::as_path)
    }

    /// Folders whose own entries matter, in addition to the rules' folders.
    pub(super) fn single_folders(&self) -> BTreeSet<PathBuf> {
        let parents = self.roots().chain(self.single_files()).chain(self.docker_files.iter().map(PathBuf::as_path));
        let parents = parents.chain(self.git.exclude().iter().map(PathBuf::as_path));
        let parents = parents.filter_map(Path::parent).filter(|folder| folder.is_dir());
        let mut folders: BTreeSet<PathBuf> = parents.map(Path::to_path_buf).collect();
        folders.extend(self.roots().flat_map(|root| self.git.folders(root)).filter(|path| path.is_dir()));
        folders
    }

    /// Reads again what git ignores.
    pub(super) fn forget(&self) {
        self.git.forget();
    }

    /// Whether git is in the middle of changing files; `quiet`: for how long none has changed.
    pub(super) fn git_is_at_work(&self, quiet: Duration) -> bool {
        let since = self.git.lock().and_then(|lock| std::fs::metadata(lock).ok()?.modified().ok());
        let age = since.and_then(|since| SystemTime::now().duration_since(since).ok());
        age.is_some_and(|age| is_at_work(age, quiet))
    }
}

/// Whether a lock of git of this age means that git is at work.
fn is_at_work(age: Duration, quiet: Duration) -> bool {
    age < GIT_IS_AT_WORK || quiet < GIT_WRITES
}

impl Watched {
    fn concerns(&self, git: &GitIgnores, path: &Path, is_dir: bool) -> bool {
        path == self.path || (path.starts_with(&self.path) && !self.ignores(git, path, is_dir))
    }

    fn walks(&self, git: &GitIgnores, folder: &Path) -> bool {
        if folder == self.path {
            return true;
        }
        let left_out = || match &self.docker {
            Some(docker) if docker.may_keep_inside(folder) => self.own_or_git(git, folder, true),
            _ => self.ignores(git, folder, true),
        };
        folder.starts_with(&self.path) && !left_out()
    }

    fn ignores(&self, git: &GitIgnores, path: &Path, is_dir: bool) -> bool {
        let by_docker = |docker: &DockerIgnore| docker.ignores(&self.path, path);
        self.own_or_git(git, path, is_dir) || self.docker.as_ref().is_some_and(by_docker)
    }

    fn own_or_git(&self, git: &GitIgnores, path: &Path, is_dir: bool) -> bool {
        match self.own.matched_path_or_any_parents(path, is_dir) {
            Match::Ignore(_) => true,
            Match::Whitelist(_) => false,
            Match::None => git.ignores(&self.path, path, is_dir),
        }
    }
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

/// What a `sync` rule finds at its target: the same files, because they are mounted there already.
pub(super) fn mounted<'a>(service: &'a Service, rule: &WatchRule) -> Option<&'a str> {
    let target = rule.target.as_deref()?;
    service.mounts.iter().find_map(|mount| {
        let MountSource::Bind(source) = &mount.source else { return None };
        let same = rule.path.starts_with(source) && Path::new(target).starts_with(&mount.target);
        same.then_some(mount.target.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_lock_of_git_counts_while_files_change() {
        let at_work = |age, quiet| is_at_work(Duration::from_secs(age), Duration::from_secs(quiet));
        assert!(at_work(1, 9) && at_work(60, 0) && at_work(60, 1));
        assert!(!at_work(10, 2) && !at_work(600, 60));
    }
}
