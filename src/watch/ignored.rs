//! What is not watched: what git and the image build ignore, and temporary files of editors and compilers. Reads the
//! ignore files, once each; matching a path is up to the crate `ignore`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::context::{self, Ignore};
use crate::model::Build;

/// Left out everywhere, unless a rule's own `ignore` brings it back with `!`.
const DEFAULTS: &[&str] = &[
    // Version control, dependencies, what compilers and interpreters make.
    ".git",
    ".hg",
    ".svn",
    ".jj",
    "node_modules",
    "target/",
    "__pycache__",
    "*.pyc",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".venv",
    ".gradle",
    ".next",
    ".nuxt",
    ".cache",
    // Editors: their settings, and what they write beside a file while it is saved.
    ".idea",
    ".vscode",
    ".DS_Store",
    "Thumbs.db",
    "4913",
    "*.swp",
    "*.swo",
    "*.swx",
    "*.swpx",
    "*~",
    ".#*",
    "\\#*#",
    "*___jb_tmp___",
    "*___jb_old___",
    ".goutputstream-*",
    "*.kate-swp",
];

/// The patterns of one rule: the defaults, then its own, which may bring something back.
pub(super) fn of_rule(root: &Path, own: &[String]) -> Gitignore {
    let mut builder = GitignoreBuilder::new(root);
    for pattern in DEFAULTS.iter().copied().chain(own.iter().map(String::as_str)) {
        // What can't be understood matches nothing; `check` is where patterns are complained about.
        let _ = builder.add_line(None, pattern);
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

/// What git ignores in a work tree, or would.
#[derive(Debug)]
pub(super) struct GitIgnores {
    /// Where patterns begin to count: the top of the work tree, or the project's folder without one.
    top: PathBuf,
    /// The folder git keeps its own files in.
    git: Option<PathBuf>,
    /// Ignore files of the whole work tree, in addition to `.gitignore` files; later ones take precedence.
    exclude: Vec<PathBuf>,
    /// By the folder they are in; read when they are needed first.
    read: Mutex<HashMap<PathBuf, Option<Arc<Gitignore>>>>,
}

impl GitIgnores {
    /// For a project in this folder.
    pub(super) fn of(project: &Path) -> Self {
        let found = project.ancestors().find(|folder| folder.join(".git").exists());
        let top = found.unwrap_or(project).to_path_buf();
        let git = found.and_then(|top| git_folder(&top.join(".git")));
        let exclude =
            git.iter().flat_map(|git| excludes_file(&top).into_iter().chain([common(git).join("info/exclude")]));
        let exclude = exclude.collect();
        Self { top, git, exclude, read: Mutex::default() }
    }

    /// Ignore files, existing or not, in addition to those called `.gitignore`.
    pub(super) fn exclude(&self) -> &[PathBuf] {
        &self.exclude
    }

    /// Reads everything again when it is needed next.
    pub(super) fn forget(&self) {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// git holds this while it works on files.
    pub(super) fn lock(&self) -> Option<PathBuf> {
        self.git.as_ref().map(|git| git.join("index.lock"))
    }

    /// The folders above this one, itself included, whose .gitignore has a say in it.
    pub(super) fn folders(&self, path: &Path) -> Vec<PathBuf> {
        let inside = path.starts_with(&self.top);
        path.ancestors().take_while(|folder| inside && folder.starts_with(&self.top)).map(Path::to_path_buf).collect()
    }

    /// Whether git ignores a path or something between it and `root`, which is watched explicitly.
    pub(super) fn ignores(&self, root: &Path, path: &Path, is_dir: bool) -> bool {
        // What was built is ignored as a rule. Who watches just that wants to see it.
        let from = if self.is_ignored(root, root.is_dir()) { root } else { &self.top };
        below(root, path).any(|part| self.decides(from, part, is_dir || part != path))
    }

    fn is_ignored(&self, path: &Path, is_dir: bool) -> bool {
        below(&self.top, path).any(|part| self.decides(&self.top, part, is_dir || part != path))
    }

    /// What the nearest .gitignore with an opinion says, none above `from` being asked.
    fn decides(&self, from: &Path, path: &Path, is_dir: bool) -> bool {
        for folder in path.ancestors().skip(1).take_while(|folder| folder.starts_with(from)) {
            if let Some(rules) = self.at(folder) {
                match rules.matched(path, is_dir) {
                    Match::Ignore(_) => return true,
                    Match::Whitelist(_) => return false,
                    Match::None => {}
                }
            }
        }
        false
    }

    fn at(&self, folder: &Path) -> Option<Arc<Gitignore>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = read.get(folder) {
            return known.clone();
        }
        let mut builder = GitignoreBuilder::new(folder);
        let mut any = false;
        // What comes later counts more.
        for exclude in self.exclude.iter().filter(|exclude| folder == self.top && exclude.is_file()) {
            any |= builder.add(exclude).is_none();
        }
        let own = folder.join(".gitignore");
        any |= own.is_file() && builder.add(own).is_none();
        let rules = if any { builder.build().ok().map(Arc::new) } else { None };
        read.insert(folder.to_path_buf(), rules.clone());
        rules
    }
}

/// The parts of a path below a folder, outermost first, the path itself last.
fn below<'a>(root: &'a Path, path: &'a Path) -> impl Iterator<Item = &'a Path> {
    let mut parts: Vec<&Path> = path.ancestors().take_while(|part| *part != root && part.starts_with(root)).collect();
    parts.reverse();
    parts.into_iter()
}

/// `.git` is a folder, or in a linked work tree a file that names one.
fn git_folder(git: &Path) -> Option<PathBuf> {
    if git.is_dir() {
        return Some(git.to_path_buf());
    }
    let text = fs::read_to_string(git).ok()?;
    let named = Path::new(text.trim().strip_prefix("gitdir:")?.trim());
    Some(git.parent()?.join(named))
}

/// The folder that all work trees of a repository have in common.
fn common(git: &Path) -> PathBuf {
    let named = fs::read_to_string(git.join("commondir")).ok();
    named.map_or_else(|| git.to_path_buf(), |named| git.join(named.trim()))
}

/// The user's own file of what git ignores: `core.excludesFile`, wherever that is configured, else git's usual place. git
/// itself is asked: its configuration has includes and conditions.
fn excludes_file(top: &Path) -> Option<PathBuf> {
    let mut git = Command::new("git");
    git.current_dir(top).args(["config", "--type=path", "--get", "core.excludesFile"]).stdin(Stdio::null());
    let said = git.output().ok().filter(|said| said.status.success());
    let named = said.and_then(|said| String::from_utf8(said.stdout).ok()).map(|text| PathBuf::from(text.trim_end()));
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let usual =
        || Some(folder("XDG_CONFIG_HOME").or_else(|| Some(std::env::home_dir()?.join(".config")))?.join("git/ignore"));
    // A relative path is one of the work tree.
    named.filter(|named| !named.as_os_str().is_empty()).map(|named| top.join(named)).or_else(usual)
}

/// What the image build of a service leaves out.
#[derive(Debug)]
pub(super) struct DockerIgnore {
    context: PathBuf,
    rules: Ignore,
}

impl DockerIgnore {
    /// Reads what there is. What can't be read or understood leaves nothing out; the build is where it is complained about.
    pub(super) fn of(build: &Build) -> Self {
        Self { context: build.context.clone(), rules: context::ignore(build).unwrap_or_default() }
    }

    /// Whether the build does not get to see a path. The watched root itself is watched explicitly.
    pub(super) fn ignores(&self, root: &Path, path: &Path) -> bool {
        self.leaves_out(path) && !self.leaves_out(root)
    }

    /// Whether something inside a folder that is left out may be brought back.
    pub(super) fn may_keep_inside(&self, folder: &Path) -> bool {
        self.inside(folder).is_some_and(|folder| self.rules.may_keep_inside(&folder))
    }

    fn leaves_out(&self, path: &Path) -> bool {
        self.inside(path).is_some_and(|path| self.rules.leaves_out(&path))
    }

    /// A path as the patterns have it: below the context, with slashes.
    fn inside(&self, path: &Path) -> Option<String> {
        let parts: Vec<_> = path.strip_prefix(&self.context).ok()?.iter().map(|part| part.to_string_lossy()).collect();
        (!parts.is_empty()).then(|| parts.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_editors_and_compilers_leave_is_nothing() {
        let rules = of_rule(Path::new("/p/src"), &[]);
        for path in [
            ".git/index",
            "a/.main.rs.swp",
            "4913",
            "a/main.rs~",
            ".#main.rs",
            "#main.rs#",
            "main.rs___jb_tmp___",
            "a/node_modules/x/y.js",
            "target/debug/x",
            "a/__pycache__/m.pyc",
        ] {
            let path = Path::new("/p/src").join(path);
            assert!(rules.matched_path_or_any_parents(&path, false).is_ignore(), "{}", path.display());
        }
        for path in ["main.rs", "a/target.rs", "a/49130", "b/git/x", "main.swpx.rs"] {
            let path = Path::new("/p/src").join(path);
            assert!(rules.matched_path_or_any_parents(&path, false).is_none(), "{}", path.display());
        }
    }

    #[test]
    fn a_rule_adds_patterns_and_brings_back() {
        let rules = of_rule(Path::new("/p"), &["*.md".into(), "!target/".into()]);
        assert!(rules.matched_path_or_any_parents("/p/a.md", false).is_ignore());
        assert!(!rules.matched_path_or_any_parents("/p/target/x", false).is_ignore());
    }

    #[test]
    fn git_decides_folder_by_folder() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path();
        fs::create_dir_all(top.join(".git/info")).unwrap();
        fs::create_dir_all(top.join("p/src/gen")).unwrap();
        fs::create_dir_all(top.join("p/dist")).unwrap();
        fs::write(top.join(".git/info/exclude"), "*.mine\n").unwrap();
        fs::write(top.join(".gitignore"), "*.log\n/p/dist/\ngen/\n").unwrap();
        fs::write(top.join("p/src/.gitignore"), "!keep.log\n").unwrap();
        let git = GitIgnores::of(&top.join("p"));
        let src = top.join("p/src");
        let ignores = |path: &str| git.ignores(&src, &src.join(path), false);
        assert!(ignores("a.log") && ignores("gen/x.rs") && ignores("x.mine"));
        assert!(!ignores("keep.log") && !ignores("main.rs"));
        // A folder that is ignored and watched all the same.
        let dist = top.join("p/dist");
        assert!(!git.ignores(&dist, &dist.join("app.js"), false));
        assert_eq!(git.lock(), Some(top.join(".git/index.lock")));
        // Read once, until told otherwise.
        fs::write(top.join(".gitignore"), "").unwrap();
        assert!(ignores("a.log"));
        git.forget();
        assert!(!ignores("a.log"));
    }

    #[test]
    fn what_the_build_does_not_see_is_nothing_either() {
        let ignore =
            |text: &str| DockerIgnore { context: "/p".into(), rules: Ignore::parse(text, ".dockerignore").unwrap() };
        let docs = ignore("# x\n*.md\n**/*.tmp\ndocs\n!docs/api\n");
        let out = |path: &str| docs.ignores(Path::new("/p"), &Path::new("/p").join(path));
        assert!(out("a.md") && out("src/x.tmp") && out("x.tmp") && out("docs/x/y"));
        assert!(!out("src/a.md") && !out("docs/api/x") && !out("main.rs") && !out(""));
        assert!(!docs.ignores(Path::new("/p/docs"), Path::new("/p/docs/x")), "asked for by name");
        assert!(docs.may_keep_inside(Path::new("/p/docs")) && !docs.may_keep_inside(Path::new("/p/src")));
        assert!(!docs.ignores(Path::new("/"), Path::new("/q/a.md")), "outside the context");
    }
}
