//! Reads the files of a stack, and collects what is wrong with them.

use std::collections::BTreeMap;
use std::io::{ErrorKind as Io, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::paths::{OfService, check_paths};
use super::{LoadOptions, add_environment};
use crate::config::{Config, MAX_BYTES, Variables, dotenv};
use crate::diag::{Diagnostic, Error, ErrorKind, Place, Result, Severity, Source};
use crate::model::ServiceName;
use crate::resolve::{EnvFiles, MustBe, PathUse, ResolveContext};

/// Reads files and collects problems.
pub(super) struct Reading {
    /// Where the command runs.
    pub(super) here: PathBuf,
    /// All files that were read, or could not be.
    pub(super) files: Vec<PathBuf>,
    /// What was found so far.
    pub(super) problems: Vec<Diagnostic>,
    /// Folders with commits of repositories, and how they are shown.
    pub(super) fetched: Vec<(PathBuf, String)>,
}

impl Reading {
    /// With nothing read so far.
    pub(super) fn new(here: PathBuf) -> Self {
        Self { here, files: Vec::new(), problems: Vec::new(), fetched: Vec::new() }
    }

    /// A path as shown: relative to the current folder, if that is shorter.
    pub(super) fn shown(&self, path: &Path) -> String {
        let of_commit =
            |(folder, name): &(PathBuf, String)| Some(format!("{name}:{}", path.strip_prefix(folder).ok()?.display()));
        if let Some(shown) = self.fetched.iter().find_map(of_commit) {
            return shown;
        }
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
    /// `place`: where it is mentioned.
    pub(super) fn toml(&mut self, path: &Path, place: Option<&Place>) -> Option<Arc<Source>> {
        let source = self.text(path, place)?;
        if !source.text.contains("\r\n") {
            return Some(source);
        }
        Some(Arc::new(Source { name: source.name.clone(), text: source.text.replace("\r\n", "\n") }))
    }

    /// Reads a file; `place` is where it is mentioned.
    pub(super) fn text(&mut self, path: &Path, place: Option<&Place>) -> Option<Arc<Source>> {
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
    pub(super) fn variables(&mut self, options: &LoadOptions, folder: &Path) -> Result<Variables> {
        let mut variables = Variables::default();
        for (name, value) in &options.variables {
            variables.add(name, value, "the caller");
        }
        add_environment(&mut variables);
        let files: Vec<PathBuf> = options.env_files.iter().map(|file| self.here.join(file)).collect();
        if let Some(missing) = files.iter().find(|path| !path.is_file()) {
            let message = format!("--env-file: {} doesn't exist", missing.display());
            return Err(
                Error::new(ErrorKind::Usage, message).hint("name a file of variables, or leave it out for .env")
            );
        }
        self.add_variables(&files, folder, &mut variables);
        Ok(variables)
    }

    /// Adds the variables of these files, later ones first; without any, those of `.env` in a folder.
    pub(super) fn add_variables(&mut self, files: &[PathBuf], folder: &Path, variables: &mut Variables) {
        let mut sources: Vec<Arc<Source>> = files.iter().filter_map(|file| self.text(file, None)).collect();
        if files.is_empty() {
            sources.extend(self.optional(&folder.join(".env")));
        }
        // What was added first counts.
        for source in sources.into_iter().rev() {
            let (entries, problems) = dotenv::parse(&source, variables);
            // Other tools read this file too, and not every one of its lines is for us.
            self.problems
                .extend(problems.into_iter().map(|problem| Diagnostic { severity: Severity::Warning, ..problem }));
            // The last of two lines with one name counts, as in a shell.
            for entry in entries.into_iter().rev() {
                variables.add(entry.name, entry.value, format!("{}:{}", source.name, entry.line));
            }
        }
    }

    /// Every env file that a service names, read once.
    pub(super) fn env_files(&mut self, config: &Config, around: &ResolveContext) -> (EnvFiles, Vec<OfService>) {
        let (mut read, mut missing) = (BTreeMap::new(), Vec::new());
        let services = config.services.iter().map(|(name, service)| (ServiceName::parse(name).ok(), service));
        for (service, file) in
            services.flat_map(|(name, service)| service.env_file.0.iter().map(move |file| (name.clone(), file)))
        {
            let path = around.absolute(file, &file.place);
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
                let (entries, problems) = dotenv::parse(&source, &around.scopes.of(&file.place).around);
                self.problems.extend(problems);
                read.insert(path, (source.name.clone(), entries));
            }
        }
        (read, missing)
    }
}
