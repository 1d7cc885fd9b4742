//! The I/O for `config` and `model`: finds services.toml, reads it with its override, `.env` and env files, and checks
//! that the paths it names exist and are inside the project.

mod found;
mod paths;
pub mod pins;
pub mod sought;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind as Io, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{self, Config, MAX_BYTES, Variables, dotenv};
use crate::diag::{Diagnostic, Error, ErrorKind, Place, Result, Severity, Source};
use crate::model::secret::is_secret_name;
use crate::model::{ServiceName, Stack, StackName, Unusable, isolated};
use crate::resolve::isolate::isolate;
use crate::resolve::{EnvFiles, MustBe, PathUse, ResolveContext, resolve};
pub use found::compose_file;
use found::{First, Found};
use paths::{OfService, check_paths};

/// The file next to it that overrides it, for one machine.
pub const OVERRIDE: &str = "services.local.toml";

/// The variable that names a stack that is made from Compose files.
const COMPOSE_PROJECT: &str = "COMPOSE_PROJECT_NAME";

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
    /// All files that were read.
    pub files: Vec<PathBuf>,
    /// services.toml and its overrides, as they were read.
    pub sources: Vec<Arc<Source>>,
    /// The variables that they use, and what each stands for.
    pub variables: BTreeMap<String, String>,
}

/// Finds, reads and resolves a stack. All problems of all its files are reported at once.
pub fn stack(options: &LoadOptions) -> Result<Loaded> {
    let here = std::env::current_dir().map_err(|error| {
        Error::new(ErrorKind::Other, format_args!("the current folder can't be read: {error}"))
            .hint("change to a folder that exists")
    })?;
    let found = Found::of(options, &here)?;
    let mut reading = Reading { here, files: Vec::new(), problems: Vec::new() };
    let mut sources = Vec::new();
    let (mut project, mut notes) = (options.project.clone(), Vec::new());
    let folder = match found.first {
        First::Toml(file) => {
            sources.extend(reading.toml(&file));
            file.parent().unwrap_or(Path::new("/")).to_path_buf()
        }
        First::Compose(files, convert) => {
            let converted = convert(&files, &reading.here, &options.env_files)?;
            let name = converted.files.first().map(|file| reading.shown(file)).unwrap_or_default();
            sources.push(Arc::new(Source { name: format!("{name} as services.toml"), text: converted.text }));
            reading.files.extend(converted.files);
            project = project.or_else(|| std::env::var(COMPOSE_PROJECT).ok().filter(|name| !name.is_empty()));
            notes = converted.notes;
            converted.folder
        }
    };
    // Files named explicitly come after those found.
    let (local, more) = (folder.join(OVERRIDE), found.more);
    if found.with_override && !more.contains(&local) {
        sources.extend(local.exists().then(|| reading.toml(&local)).flatten());
    }
    let before = sources.len();
    sources.extend(more.iter().filter_map(|file| reading.toml(file)));
    let variables = reading.variables(options, &folder)?;
    if sources.is_empty() || sources.len() < before + more.len() {
        return Err(Error::configuration(reading.problems));
    }
    let mut taken = BTreeSet::new();
    let (config, problems) = config::parse_noting(&sources, &variables, &mut taken);
    reading.problems.extend(problems);
    let mut around = ResolveContext {
        root: folder,
        home: std::env::home_dir(),
        // An isolated stack is made from the one that the file describes.
        project: project.filter(|name| !isolated::is_name(name)),
        profiles: options.profiles.clone(),
        scale: options.scale.clone(),
        env_files: BTreeMap::new(),
        secrets: secrets_among(&taken, &variables),
    };
    let parsed = reading.problems.len();
    let (env_files, mut of_services) = reading.env_files(&config, &around, &variables);
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
    let used = taken.into_iter().filter_map(|name| Some((variables.get(&name)?.value.clone(), name)));
    let variables = used.map(|(value, name)| (name, value)).collect();
    Ok(Loaded { stack, warnings: problems, notes, files, sources, variables })
}

/// Values of used variables whose names mark them as secret. The place of the value does not matter: a command has no
/// names.
fn secrets_among(taken: &BTreeSet<String>, variables: &Variables) -> BTreeSet<String> {
    let secret = taken.iter().filter(|name| is_secret_name(name));
    secret.filter_map(|name| variables.get(name)).map(|variable| variable.value.clone()).collect()
}

fn isolated_name(name: &str) -> Result<StackName> {
    StackName::parse(name)
        .map_err(|message| Error::new(ErrorKind::Usage, format_args!("`{name}` can't name a project: {message}")))
}

/// Reads files and collects problems.
struct Reading {
    here: PathBuf,
    files: Vec<PathBuf>,
    problems: Vec<Diagnostic>,
}

impl Reading {
    /// A path as shown: relative to the current folder, if that is shorter.
    fn shown(&self, path: &Path) -> String {
        let here = self.here.canonicalize().unwrap_or_else(|_| self.here.clone());
        match path.strip_prefix(&here) {
            Ok(inside) => inside.display().to_string(),
            Err(_) => {
                let up = here.ancestors().skip(1).take(3).enumerate().find_map(|(level, folder)| {
                    let inside = path.strip_prefix(folder).ok()?;
                    Some(Path::new(&"../".repeat(level + 1)).join(inside).display().to_string())
                });
                let full = path.display().to_string();
                up.filter(|up| up.len() < full.len()).unwrap_or(full)
            }
        }
    }

    /// Reads an optional file.
    fn optional(&mut self, path: &Path) -> Option<Arc<Source>> {
        if path.exists() { self.text(path, None) } else { None }
    }

    /// Reads a services.toml. Windows line ends have no effect, also in multi-line strings.
    fn toml(&mut self, path: &Path) -> Option<Arc<Source>> {
        let source = self.text(path, None)?;
        if !source.text.contains("\r\n") {
            return Some(source);
        }
        Some(Arc::new(Source { name: source.name.clone(), text: source.text.replace("\r\n", "\n") }))
    }

    /// Reads a file; `place` is where it is mentioned.
    fn text(&mut self, path: &Path, place: Option<&Place>) -> Option<Arc<Source>> {
        let name = self.shown(path);
        let mut bytes = Vec::new();
        let read = std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes));
        self.files.push(path.to_path_buf());
        if let Err(error) = read {
            let reason = match error.kind() {
                Io::NotFound => "it doesn't exist".into(),
                Io::IsADirectory => "it is a folder".into(),
                Io::PermissionDenied => "permission denied".into(),
                _ => error.to_string(),
            };
            self.problems.push(Diagnostic::error(place.cloned(), format!("{name} can't be read: {reason}")));
            return None;
        }
        if bytes.len() > MAX_BYTES {
            let message = format!("{name} is larger than {} MiB", MAX_BYTES >> 20);
            self.problems.push(Diagnostic::error(place.cloned(), message));
            return None;
        }
        match String::from_utf8(bytes) {
            Ok(text) => Some(Arc::new(Source { name, text })),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let place = Place { source: Arc::new(Source { name, text }), span: at..at + '\u{fffd}'.len_utf8() };
                let hint = "save the file as UTF-8";
                self.problems.push(Diagnostic::error(place, "the text is not valid UTF-8").hint(hint));
                None
            }
        }
    }

    /// Those that are given, the process environment, then `.env` or the files that are read instead of it.
    ///
    /// # Errors
    /// When one of these files doesn't exist.
    fn variables(&mut self, options: &LoadOptions, folder: &Path) -> Result<Variables> {
        let mut variables = Variables::default();
        for (name, value) in &options.variables {
            variables.add(name, value, "the caller");
        }
        add_environment(&mut variables);
        let mut sources = Vec::new();
        if options.env_files.is_empty() {
            sources.extend(self.optional(&folder.join(".env")));
        }
        for file in &options.env_files {
            let path = self.here.join(file);
            if !path.is_file() {
                let message = format!("--env-file: {} doesn't exist", path.display());
                return Err(
                    Error::new(ErrorKind::Usage, message).hint("name a file of variables, or leave it out for .env")
                );
            }
            sources.extend(self.text(&path, None));
        }
        // What was added first counts.
        for source in sources.into_iter().rev() {
            let (entries, problems) = dotenv::parse(&source, &variables);
            // Other tools read this file too, and not every one of its lines is for us.
            self.problems
                .extend(problems.into_iter().map(|problem| Diagnostic { severity: Severity::Warning, ..problem }));
            // The last of two lines with one name counts, as in a shell.
            for entry in entries.into_iter().rev() {
                variables.add(entry.name, entry.value, format!("{}:{}", source.name, entry.line));
            }
        }
        Ok(variables)
    }

    /// Every env file that a service names, read once.
    fn env_files(
        &mut self,
        config: &Config,
        around: &ResolveContext,
        variables: &Variables,
    ) -> (EnvFiles, Vec<OfService>) {
        let (mut read, mut missing) = (BTreeMap::new(), Vec::new());
        let services = config.services.iter().map(|(name, service)| (ServiceName::parse(name).ok(), service));
        for (service, file) in
            services.flat_map(|(name, service)| service.env_file.0.iter().map(move |file| (name.clone(), file)))
        {
            let path = around.absolute(file);
            let inside = PathUse {
                path: path.clone(),
                written: file.value.clone(),
                role: "env file",
                must_be: MustBe::File,
                place: file.place.clone(),
                service,
            };
            let problems = check_paths(config, around, &[inside]);
            if !problems.is_empty() {
                missing.extend(problems);
            } else if !read.contains_key(&path)
                && let Some(source) = self.text(&path, Some(&file.place))
            {
                let (entries, problems) = dotenv::parse(&source, variables);
                self.problems.extend(problems);
                read.insert(path, (source.name.clone(), entries));
            }
        }
        (read, missing)
    }
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
    let mut reading = Reading { here, files: Vec::new(), problems: Vec::new() };
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
