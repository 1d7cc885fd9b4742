//! What is known of a stack whose services.toml can't be used: its folder and its name. Whether such a stack exists is
//! determined by labels on the engine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::found::{First, Found, compose_file, is_compose};
use super::{LoadOptions, OVERRIDE};
use crate::config::{self, FILE, MAX_BYTES, Variables};
use crate::diag::{Place, Source};
use crate::model::isolated;
use crate::remedy;
use crate::resolve::name_of_folder;

/// Where a stack without a usable services.toml is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sought {
    /// There is a file, and it can't be used.
    File {
        /// Its folder, canonical.
        root: PathBuf,
        /// The `project` that it has, if that much can be read.
        project: Option<String>,
    },
    /// There is none here or above: the stack may have been made from one of these folders, the nearest first.
    Nowhere(Vec<PathBuf>),
    /// A file was named that does not exist: that is a mistake.
    Misnamed,
}

impl Sought {
    /// Looks at what an [`LoadOptions`] names.
    pub fn of(options: &LoadOptions) -> Self {
        let here = std::env::current_dir().unwrap_or_default();
        match Found::of(options, &here) {
            Ok(found) => {
                let root = found.root(&here);
                let first = match &found.first {
                    First::Toml(file) => vec![file.clone()],
                    First::Compose(files, _) if files.is_empty() => compose_file(&root).into_iter().collect(),
                    First::Compose(files, _) => files.clone(),
                };
                // The last one that says it wins.
                let project = first.iter().chain(&found.more).rev().find_map(|file| project(file));
                Self::File { root, project }
            }
            Err(_) if !options.files.is_empty() => Self::Misnamed,
            Err(_) => {
                let here = here.canonicalize().unwrap_or(here);
                Self::Nowhere(here.ancestors().map(Into::into).collect())
            }
        }
    }
}

/// The name of the stack of a folder with a services.toml, as far as that can be read.
pub fn name_in(root: &Path) -> String {
    let files = [root.join(OVERRIDE), root.join(FILE)].into_iter().chain(compose_file(root));
    files.into_iter().find_map(|file| project(&file)).unwrap_or_else(|| name_of_folder(root))
}

/// Whether a folder has files that a stack can be made from.
pub fn is_project(root: &Path) -> bool {
    root.join(FILE).is_file() || compose_file(root).is_some()
}

/// The command that takes down another stack than the current one, from any folder. `root`: the folder in its labels.
pub fn down_of(project: &str, root: &Path) -> String {
    let data: &[&str] = if isolated::is_name(project) { &["-v", "-y"] } else { &[] };
    if is_project(root) {
        // Under the name that it has there, nothing more has to be said.
        let name: &[&str] = if name_in(root) == project { &[] } else { &["-p", project] };
        return remedy::dev_in(root, &[name, &["down"], data].concat());
    }
    // A services.toml where this is typed has other services.
    remedy::dev(&[&["-p", project, "down", "--remove-orphans"], data].concat())
}

/// The `project` of a file that may have mistakes: by its syntax where that is right, else by its line. That of a Compose file
/// is called `name`.
fn project(file: &Path) -> Option<String> {
    let mut bytes = std::fs::read(file).ok()?;
    bytes.truncate(MAX_BYTES);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if is_compose(file) {
        let value = text.lines().find_map(|line| line.strip_prefix("name:"))?.split(" #").next()?;
        let name = value.trim().trim_matches(['"', '\'']);
        return (!name.is_empty() && !name.contains('$')).then(|| name.to_owned());
    }
    let source = Arc::new(Source { name: FILE.into(), text });
    let (config, _) = config::parse(std::slice::from_ref(&source), &Variables::default());
    // What a variable stands for is not known here.
    let taken = |place: &Place| source.text[place.span.clone()].contains('$');
    if let Some(project) = config.project.filter(|project| !taken(&project.place)) {
        return Some(project.value);
    }
    let top = source.text.lines().take_while(|line| !line.trim_start().starts_with('['));
    let value = top.filter_map(|line| line.trim_start().strip_prefix("project")?.trim_start().strip_prefix('='));
    let value = value.last()?.trim_start().strip_prefix(['"', '\''])?;
    let name = value.split(['"', '\'', '#']).next()?.trim();
    (!name.is_empty() && !name.contains('$')).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_read_as_far_as_it_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        for (text, name) in [
            ("project = \"shop\"\n[services.a]\nimage = \"${MISSING:?}\"\n", Some("shop")),
            ("project = 'shop' # ours\n[services.a\n", Some("shop")),
            ("project = \"shop\n[services.a]\n", Some("shop")),
            ("[services.a\nproject = \"no\"\n", None),
            ("project = \"${NAME:?}\"\n[services.a]\nkind = \"redis\"\n", None),
            ("project = 3\n", None),
            ("\u{0}", None),
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(project(&file).as_deref(), name, "{text}");
        }
    }

    #[test]
    fn a_compose_file_calls_it_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("compose.yaml");
        for (text, name) in [
            ("name: shop # ours\nservices: {}\n", Some("shop")),
            ("services: {}\nname: 'shop'\n", Some("shop")),
            ("services:\n  name: {}\n", None),
            ("name: ${NAME}\n", None),
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(project(&file).as_deref(), name, "{text}");
        }
    }

    #[test]
    fn another_stack_is_taken_down_in_its_folder_or_by_its_name() {
        let there = tempfile::tempdir().unwrap();
        let root = there.path().canonicalize().unwrap().join("it's a folder");
        std::fs::create_dir(&root).unwrap();
        assert_eq!(down_of("shop", &root), "taskava dev -p shop down --remove-orphans", "it has no services.toml");
        std::fs::write(root.join(FILE), "project = \"shop\"\n").unwrap();
        let cd = format!(r"cd '{}' && taskava dev", root.display().to_string().replace('\'', r"'\''"));
        assert_eq!(down_of("shop", &root), format!("{cd} down"));
        assert_eq!(down_of("second", &root), format!("{cd} -p second down"));
        assert_eq!(down_of("taskava-t-1", &root), format!("{cd} -p taskava-t-1 down -v -y"));
    }
}
