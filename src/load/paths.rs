//! Whether the paths that a configuration uses exist, are what they have to be, and are inside the project.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::diag::Diagnostic;
use crate::model::ServiceName;
use crate::resolve::{MustBe, PathUse, ResolveContext};

/// A problem with a path, and the service it belongs to, if any.
pub(super) struct OfService {
    pub(super) service: Option<ServiceName>,
    pub(super) role: Role,
    pub(super) problem: Diagnostic,
}

/// What is wrong with the paths that a configuration uses.
pub(super) fn check_paths(config: &Config, around: &ResolveContext, paths: &[PathUse]) -> Vec<OfService> {
    let real = |path: &Path| path.canonicalize().ok();
    let allowed = config.allow_outside.iter().filter_map(|path| real_or_will_be(&around.absolute(path, &path.place)));
    let allowed: Vec<PathBuf> = allowed.collect();
    let (mut problems, mut wrong_folders) = (Vec::new(), Vec::<&Path>::new());
    for used in paths {
        let (role, written) = (used.role, &used.written);
        // What is inside a folder that does not exist needs no mention.
        if used.must_be == MustBe::File && wrong_folders.iter().any(|folder| used.path.starts_with(folder)) {
            continue;
        }
        let before = problems.len();
        let of = |problem: Diagnostic| OfService { service: used.service.clone(), role: Role(role), problem };
        let there = real(&used.path);
        let is_new = there.is_none() && used.must_be == MustBe::Created;
        let found = if is_new { real_or_will_be(&used.path) } else { there };
        let Some(path) = found else {
            let mut problem = Diagnostic::error(used.place.clone(), format!("the {role} `{written}` doesn't exist"));
            problem = problem.label(format!("looked at {}", used.path.display()));
            problems.push(of(problem));
            wrong_folders.extend((used.must_be == MustBe::Folder).then_some(&*used.path));
            continue;
        };
        let wrong = match used.must_be {
            MustBe::File => !path.is_file(),
            MustBe::Folder => !path.is_dir(),
            MustBe::Anything | MustBe::Created => false,
        };
        if wrong {
            let kind = if used.must_be == MustBe::File { "file" } else { "folder" };
            let message = format!("the {role} `{written}` is not a {kind}");
            problems.push(of(Diagnostic::error(used.place.clone(), message)));
        } else if !path.starts_with(&around.root)
            && !path.starts_with(&around.scopes.of(&used.place).within)
            && !allowed.iter().any(|allowed| path.starts_with(allowed))
        {
            let message = format!("the {role} `{written}` is outside the project, at {}", path.display());
            let hint = match around.scopes.elsewhere(&used.place) {
                Some(scope) if scope.is_fetched => {
                    format!("if that is intended, allow it in services.toml: allow_outside = [\"{}\"]", path.display())
                }
                _ => format!("if that is intended, allow it at the top of the file: allow_outside = [\"{written}\"]"),
            };
            problems.push(of(Diagnostic::error(used.place.clone(), message).hint(hint)));
        } else if is_new {
            let message = format!("the {role} `{written}` doesn't exist: `up` creates the folder");
            problems.push(of(Diagnostic::warning(used.place.clone(), message)));
        }
        wrong_folders.extend((used.must_be == MustBe::Folder && problems.len() > before).then_some(&*used.path));
    }
    problems
}

/// What a path is for, as [`PathUse::role`] has it.
pub(super) struct Role(&'static str);

impl Role {
    /// Whether only a build needs it.
    pub(super) fn is_of_build(&self) -> bool {
        matches!(self.0, "build context" | "additional build context" | "dockerfile" | "build secret")
    }
}

/// A path without links, as far as it exists.
fn real_or_will_be(path: &Path) -> Option<PathBuf> {
    path.ancestors().find_map(|folder| {
        let rest = path.strip_prefix(folder).ok()?;
        Some(folder.canonicalize().ok()?.join(rest))
    })
}
