//! The I/O for `config` and `model`: finds services.toml, reads it with its override, `.env` and env files, and checks
//! that the paths it names exist and are inside the project.

mod found;
mod git;
mod parts;
mod paths;
pub mod pins;
mod reading;
pub mod sought;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::interpolate::{self, Used};
use crate::config::node::{Node, Value};
use crate::config::scope::{Scope, Scopes};
use crate::config::{self, Variables, dotenv};
use crate::diag::{Diagnostic, Error, ErrorKind, Place, Result, Severity, Source};
use crate::model::secret::is_secret_name;
use crate::model::{Stack, StackName, Unusable, isolated};
use crate::resolve::isolate::isolate;
use crate::resolve::{ResolveContext, absolute, resolve};
pub use found::compose_file;
use found::{First, Found};
use parts::{Parts, put_together};
use paths::{OfService, check_paths};
use reading::Reading;

/// The file next to it that overrides it, for one machine.
pub const OVERRIDE: &str = "services.local.toml";

/// The variable that names a stack that is made from Compose files.
const COMPOSE_PROJECT: &str = "COMPOSE_PROJECT_NAME";

/// Variables of docker compose that nothing reads beside a services.toml, and what says the same.
const OF_COMPOSE: [(&str, &str); 3] = [
    ("COMPOSE_FILE", "-f FILE (or TASKAVA_FILE)"),
    (COMPOSE_PROJECT, "-p NAME (or TASKAVA_PROJECT)"),
    ("COMPOSE_PROFILES", "--profile NAME (or TASKAVA_PROFILES)"),
];

/// Compose files as the text of a services.toml.
#[derive(Debug)]
pub struct Converted {
    /// The folder that paths in it are relative to, canonical.
    pub folder: PathBuf,
    /// Every file that was read.
    pub files: Vec<PathBuf>,
    /// The text.
    pub text: String,
    /// What could not be carried over as it was, the most serious first.
    pub notes: Vec<String>,
}

/// Reads Compose files; without any, the ones docker compose would use in the folder. At last the files that are read instead of
/// `.env`, if any.
pub type Convert = fn(&[PathBuf], &Path, &[PathBuf]) -> Result<Converted>;

/// Options that select a stack.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The files, later ones override key by key; by default services.toml is searched in the current folder and above.
    pub files: Vec<PathBuf>,
    /// Project name; by default the file's, otherwise the folder's.
    pub project: Option<String>,
    /// Active profiles.
    pub profiles: Vec<String>,
    /// How many containers services have, instead of what the file says.
    pub scale: BTreeMap<String, u32>,
    /// Variables that override those of the environment.
    pub variables: BTreeMap<String, String>,
    /// How Compose files are read where there is no services.toml; by default they are not.
    pub convert: Option<Convert>,
    /// Files of variables that are read instead of `.env`, later ones override.
    pub env_files: Vec<PathBuf>,
}

/// A stack and the files it was loaded from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The stack.
    pub stack: Stack,
    /// Warnings about it.
    pub warnings: Vec<Diagnostic>,
    /// What could not be carried over from Compose files, the most serious first.
    pub notes: Vec<String>,
    /// One line about variables of docker compose that are set, and not read here.
    pub unread: Option<String>,
    /// All files that were read.
    pub files: Vec<PathBuf>,
    /// services.toml, its overrides, and the files that they include and extend, as they were read.
    pub sources: Vec<(PathBuf, Arc<Source>)>,
    /// The variables that they use, and what each stands for.
    pub variables: BTreeMap<String, String>,
}

/// The files of a stack, read and put together.
struct Files {
    reading: Reading,
    parts: Parts,
    /// Canonical folder of the first file.
    folder: PathBuf,
    /// The name of the stack that is asked for.
    project: Option<String>,
    /// The variables of services.toml.
    variables: Variables,
    /// It is made from Compose files.
    is_compose: bool,
}

/// Finds and reads the files of a stack.
fn files(options: &LoadOptions) -> Result<Files> {
    let here = std::env::current_dir().map_err(|error| {
        Error::new(ErrorKind::Other, format_args!("the current folder can't be read: {error}"))
            .hint("change to a folder that exists")
    })?;
    let found = Found::of(options, &here)?;
    let mut reading = Reading::new(here);
    let mut texts = Vec::new();
    let (mut project, mut notes) = (options.project.clone(), Vec::new());
    let is_compose = matches!(found.first, First::Compose(..));
    let read = |reading: &mut Reading, file: &Path| Some((file.to_path_buf(), reading.toml(file, None)?));
    let folder = match found.first {
        First::Toml(file) => {
            texts.extend(read(&mut reading, &file));
            file.parent().unwrap_or(Path::new("/")).to_path_buf()
        }
        First::Compose(files, convert) => {
            let converted = convert(&files, &reading.here, &options.env_files)?;
            let first = converted.files.first().cloned().unwrap_or_default();
            let name = format!("{} as services.toml", reading.shown(&first));
            texts.push((first, Arc::new(Source { name, text: converted.text })));
            reading.files.extend(converted.files);
            project = project.or_else(|| std::env::var(COMPOSE_PROJECT).ok().filter(|name| !name.is_empty()));
            notes = converted.notes;
            converted.folder
        }
    };
    // Files named explicitly come after those found.
    let (local, more) = (folder.join(OVERRIDE), found.more);
    if found.with_override && !more.contains(&local) {
        texts.extend(local.exists().then(|| read(&mut reading, &local)).flatten());
    }
    let before = texts.len();
    texts.extend(more.iter().filter_map(|file| read(&mut reading, file)));
    let variables = reading.variables(options, &folder)?;
    if texts.is_empty() || texts.len() < before + more.len() {
        return Err(Error::configuration(reading.problems));
    }
    let main = Scope { around: variables.clone(), folder: folder.clone(), within: folder.clone(), ..Scope::default() };
    let Some(mut parts) = put_together(&mut reading, options, texts, main) else {
        in_order(&mut reading.problems);
        return Err(Error::configuration(reading.problems));
    };
    parts.notes.splice(0..0, notes);
    Ok(Files { reading, parts, folder, project, variables, is_compose })
}

/// The whole configuration as it is written, before variables are put in: those of services.toml. What other files say of theirs
/// is settled, as nothing else knows them.
///
/// # Errors
/// As [`stack`], as far as the files can't be read.
pub fn written(options: &LoadOptions) -> Result<Node> {
    let Files { parts: Parts { mut root, scopes, .. }, .. } = files(options)?;
    let home = std::env::home_dir();
    let settle = |node: &mut Node, scopes: &Scopes| {
        if let (Value::String(text), Some(scope)) = (&mut node.value, scopes.elsewhere(&node.place)) {
            *text = absolute(&scope.folder, home.as_deref(), text).display().to_string();
        }
    };
    interpolate::settle(&mut root, &scopes);
    if let Some(Value::Table(services)) = root.get_mut("services").map(|services| &mut services.value) {
        for env_file in services.values_mut().filter_map(|item| item.node.get_mut("env_file")) {
            match &mut env_file.value {
                Value::Array(items) => items.iter_mut().for_each(|item| settle(item, &scopes)),
                _ => settle(env_file, &scopes),
            }
        }
    }
    Ok(root)
}

/// Finds, reads and resolves a stack. All problems of all its files are reported at once.
pub fn stack(options: &LoadOptions) -> Result<Loaded> {
    let Files { mut reading, parts, folder, project, variables, is_compose } = files(options)?;
    let Parts { root, scopes, mut used, texts: sources, notes } = parts;
    let found = std::mem::take(&mut reading.problems);
    let (config, problems) = config::understand(root, &scopes, found, &mut used);
    reading.problems = problems;
    let mut around = ResolveContext {
        root: folder,
        home: std::env::home_dir(),
        // An isolated stack is made from the one that the file describes.
        project: project.filter(|name| !isolated::is_name(name)),
        profiles: options.profiles.clone(),
        scale: options.scale.clone(),
        env_files: BTreeMap::new(),
        secrets: secrets_among(&used),
        scopes,
    };
    let parsed = reading.problems.len();
    let (env_files, mut of_services) = reading.env_files(&config, &around);
    around.env_files = env_files;
    let Reading { files, mut problems, .. } = reading;
    let mut resolved = resolve(&config, &around, &mut problems);
    of_services.extend(check_paths(&config, &around, &resolved.paths));
    let mut meant = Vec::new();
    for OfService { service, role, problem } in of_services {
        let Some(service) = service.and_then(|name| resolved.stack.services.get_mut(&name)) else {
            meant.push(problem);
            continue;
        };
        // As docker compose does where there is nothing to build it from.
        if role.is_of_build() && service.image_place.is_some() {
            service.build = None;
            let hint = "its `image` is pulled instead";
            meant.push(Diagnostic { severity: Severity::Warning, ..problem }.hint(hint));
        } else if problem.severity == Severity::Warning {
            meant.push(problem);
        } else {
            // What is asked for has to be complete, and nothing else: a missing file is no reason to refuse `down`.
            resolved.stack.unusable.push(Unusable { services: vec![service.name.clone()], problem });
        }
    }
    let has_errors = |problems: &[Diagnostic]| problems.iter().any(|problem| problem.severity == Severity::Error);
    if has_errors(&problems) || has_errors(&meant) {
        // Everything at once, where something has to be corrected anyway.
        meant.extend(resolved.stack.problems_of(|name| resolved.stack.services[name].active).cloned());
    }
    // Those of services.toml come before those of the files that it names.
    drop(problems.splice(parsed..parsed, meant));
    in_order(&mut problems);
    if has_errors(&problems) {
        return Err(Error::configuration(problems));
    }
    let stack = match options.project.as_deref().filter(|name| isolated::is_name(name)) {
        Some(name) => isolate(resolved.stack, isolated_name(name)?, None),
        None => resolved.stack,
    };
    let unread = if is_compose { None } else { unread(options, &used) };
    // The same name may stand for something else in an included file.
    let value = |(name, values): (String, BTreeSet<String>)| {
        let own = variables.get(&name).map(|variable| variable.value.clone());
        Some((name, own.or_else(|| values.into_iter().next())?))
    };
    let variables = used.into_iter().filter_map(value).collect();
    Ok(Loaded { stack, warnings: problems, notes, unread, files, sources, variables })
}

/// Which variables of docker compose the environment has that nothing reads, and what to use instead of each. One whose option is
/// given, or that the file takes itself, needs no mention.
fn unread(options: &LoadOptions, used: &Used) -> Option<String> {
    let given = [!options.files.is_empty(), options.project.is_some(), !options.profiles.is_empty()];
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let unread = OF_COMPOSE.iter().zip(given);
    let unread = unread.filter(|((name, _), given)| !given && is_set(name) && !used.contains_key(*name));
    let (names, instead): (Vec<&str>, Vec<&str>) = unread.map(|(one, _)| *one).unzip();
    let verb = if names.len() == 1 { "is" } else { "are" };
    let line = || format!("{} {verb} not read beside a services.toml: use {}", names.join(", "), instead.join(", "));
    (!names.is_empty()).then(line)
}

/// Values of used variables whose names mark them as secret. The place of the value does not matter: a command has no
/// names.
fn secrets_among(used: &Used) -> BTreeSet<String> {
    used.iter().filter(|(name, _)| is_secret_name(name)).flat_map(|(_, values)| values.iter().cloned()).collect()
}

fn isolated_name(name: &str) -> Result<StackName> {
    StackName::parse(name)
        .map_err(|message| Error::new(ErrorKind::Usage, format_args!("`{name}` can't name a project: {message}")))
}

/// By file and place, so that the list reads like the files; without duplicates and mere consequences.
pub(crate) fn in_order(problems: &mut Vec<Diagnostic>) {
    // What is said about a place inside a string is about its interpolation, and one about the whole string is its consequence.
    let inner: Vec<Place> = problems.iter().filter_map(|problem| problem.place.clone()).collect();
    let contains = |outer: &Place, inner: &Place| {
        let string = outer.source.text[outer.span.clone()].starts_with(['"', '\'']);
        let within = outer.span.start < inner.span.start && inner.span.end <= outer.span.end;
        string && within && Arc::ptr_eq(&outer.source, &inner.source)
    };
    problems
        .retain(|problem| problem.place.as_ref().is_none_or(|place| !inner.iter().any(|inner| contains(place, inner))));
    let mut files: Vec<String> = Vec::new();
    for place in problems.iter().filter_map(|problem| problem.place.as_ref()) {
        if !files.contains(&place.source.name) {
            files.push(place.source.name.clone());
        }
    }
    problems.sort_by_key(|problem| {
        problem.place.as_ref().map(|place| (files.iter().position(|name| *name == place.source.name), place.span.start))
    });
    problems.dedup();
}

/// The variables of a file like `.env`, in their order; it may use those of the environment.
///
/// # Errors
/// When it can't be read, or has a mistake.
pub fn read_env_file(path: &Path) -> Result<Vec<(String, String)>> {
    let here = std::env::current_dir()?;
    let path = here.join(path);
    let mut reading = Reading::new(here);
    let mut variables = Variables::default();
    add_environment(&mut variables);
    let entries = reading.text(&path, None).map(|source| {
        let (entries, problems) = dotenv::parse(&source, &variables);
        reading.problems.extend(problems);
        entries
    });
    if !reading.problems.is_empty() {
        return Err(Error::configuration(reading.problems));
    }
    Ok(entries.unwrap_or_default().into_iter().map(|entry| (entry.name, entry.value)).collect())
}

/// Adds the process's environment to variables, which come first.
pub(crate) fn add_environment(variables: &mut Variables) {
    for (name, value) in std::env::vars_os() {
        if let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) {
            variables.add(name, value, "environment");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FILE;

    #[test]
    fn secret_variables_are_known_where_they_are_used() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        let text = r#"
# Once it was ${COMMENT_PASSWORD}.
[services.a]
image = "a:1"
command = ["a", "${COMMAND_PASSWORD}", "${NONE:-${DEFAULT_PASSWORD}}", "${PLAIN}", "$${ESCAPED_PASSWORD}"]
"#;
        let names = ["COMMENT_PASSWORD", "COMMAND_PASSWORD", "DEFAULT_PASSWORD", "PLAIN", "ESCAPED_PASSWORD"];
        let dotenv = names.map(|name| format!("{name}=value-of-{name}\n")).concat();
        std::fs::write(&file, text).unwrap();
        std::fs::write(folder.path().join(".env"), dotenv).unwrap();
        let loaded = stack(&LoadOptions { files: vec![file], ..LoadOptions::default() }).unwrap();
        let secrets: Vec<&str> = loaded.stack.secrets.iter().map(String::as_str).collect();
        assert_eq!(secrets, ["value-of-COMMAND_PASSWORD", "value-of-DEFAULT_PASSWORD"]);
    }
}
