//! The stack of a command that does not require services.toml: from the file if it can be used, otherwise from labels
//! on the engine. In that case the file's mistakes are warnings, and `-p NAME` works from any folder.

use std::path::{Path, PathBuf};

use super::Context;
use super::inside;
use super::session::{Session, load_options};
use crate::config::FILE;
use crate::diag::{Diagnostic, Error, ErrorKind, Result, Severity};
use crate::engine::Engine;
use crate::event::Event;
use crate::load;
use crate::load::sought::{Sought, is_project};
use crate::model::{ServiceName, Stack, StackName, isolated};
use crate::plan::observed::Container;
use crate::plan::remains::Remnant;
use crate::plan::{Observed, Op, Plan};
use crate::remedy;
use crate::resolve::{name_of_folder, replicas};

/// A stack, and the engine where that had to be asked for it.
#[derive(Debug)]
pub struct Found {
    /// The stack.
    pub stack: Stack,
    /// It is of an engine's labels: no command that needs services.toml can be named as the next one.
    pub by_labels: bool,
    /// Services have as many containers as services.toml says, and not as many as there are.
    exactly: bool,
    engine: Option<Engine>,
}

impl Found {
    /// One that was loaded.
    pub fn of_file(stack: Stack) -> Self {
        Self { stack, by_labels: false, exactly: false, engine: None }
    }

    /// One that was loaded, for a command that makes it so.
    pub fn exactly(stack: Stack) -> Self {
        Self { exactly: true, ..Self::of_file(stack) }
    }

    /// The engine; found now, unless it was before. From then on the stack has as many containers of each service as there
    /// are.
    ///
    /// # Errors
    /// When none answers.
    pub async fn engine(&mut self, context: &Context) -> Result<Engine> {
        let engine = self.connect(context).await?;
        if !self.exactly {
            let further = engine.further_containers(self.stack.name.as_str()).await?;
            replicas::observed(&mut self.stack, further.iter().map(|(name, of)| (name, of)));
        }
        Ok(engine)
    }

    /// The same for a command that lists the containers anyway.
    ///
    /// # Errors
    /// When none answers.
    pub async fn engine_with_containers(&mut self, context: &Context) -> Result<(Engine, Vec<Container>)> {
        let engine = self.connect(context).await?;
        let containers = engine.containers(self.stack.name.as_str()).await?;
        let further = containers.iter().filter_map(|seen| Some((&seen.service, seen.replica_of.as_ref()?)));
        replicas::observed(&mut self.stack, further);
        Ok((engine, containers))
    }

    async fn connect(&mut self, context: &Context) -> Result<Engine> {
        match self.engine.take() {
            Some(engine) => Ok(engine),
            None => Engine::connect(&context.connect_options()).await,
        }
    }

    /// The container of a service, which has to run.
    ///
    /// # Errors
    /// When it does not, with what can be done about it by labels, too.
    pub async fn container(&self, engine: &Engine, service: &ServiceName) -> Result<Container> {
        let found = inside::container(engine, &self.stack, service).await;
        found.map_err(|mut error| {
            if self.by_labels {
                let start = remedy::dev(&["start", service.as_str()]);
                let logs = remedy::dev(&["logs", service.as_str()]);
                error.hints = vec![format!("start it as it is: {start}"), format!("see why: {logs}")];
            }
            error
        })
    }
}

/// What a plan that starts services has to say, and may not do, where they are known by labels alone: they start as they
/// are, and what services.toml says beside that is not known.
///
/// # Errors
/// When there is nothing of the stack; when an emulator would forget resources that nothing here could make
/// again.
pub fn as_they_are(session: &Session<'_>, seen: &Observed, plan: &Plan) -> Result<()> {
    if !session.by_labels {
        return Ok(());
    }
    let name = &session.stack.name;
    if plan.steps.is_empty() && seen.containers.is_empty() {
        let message = format!("{name} has no container on this engine: there is nothing to start");
        return Err(Error::new(ErrorKind::Other, message)
            .hint(format!("where its {FILE} is, and can be used: {}", remedy::dev(&["up"]))));
    }
    let starts = |service: &ServiceName| plan.steps.iter().any(|step| step.op.starts() == Some(service));
    let stopped = plan.steps.iter().filter_map(|step| match &step.op {
        Op::Stop { service, .. } if starts(service) => Some(service),
        _ => None,
    });
    let mut stopped = stopped.filter(|service| session.stack.is_emulator(service));
    if let Some(emulator) = stopped.next() {
        let message =
            format!("{emulator} loses what [aws] declares when it stops, and {FILE} can't be used to create it again");
        return Err(Error::new(ErrorKind::Other, message)
            .hint(format!("fix {FILE}, then run this again; or name the services you mean, without {emulator}")));
    }
    if plan.steps.iter().any(|step| step.op.starts().is_some()) {
        session.events.emit(&Event::Warning {
            message: format!("without {FILE}, services start as they are: `ready`, `hooks` and [aws] are not known"),
            hint: Some(format!("once it can be used: {}", remedy::dev(&["up"]))),
        });
    }
    Ok(())
}

/// Loads the stack, or makes it up from labels.
///
/// # Errors
/// When there is neither a file nor a stack that can be meant; when an engine has to be asked and none answers.
pub async fn stack_or_labels(context: &Context) -> Result<Found> {
    let options = load_options(context);
    let error = match load::stack(&options) {
        Ok(loaded) => match incomplete(&loaded.stack) {
            Some(error) => error,
            None => {
                // What Compose files could not say is for the commands that start something.
                if !loaded.warnings.is_empty() {
                    context.screen.diagnostics(&loaded.warnings);
                }
                return Ok(Found::of_file(loaded.stack));
            }
        },
        Err(error) => error,
    };
    let sought = Sought::of(&options);
    if sought == Sought::Misnamed {
        return Err(error);
    }
    // Whether there is an engine is the smaller question.
    let Ok(engine) = Engine::connect(&context.connect_options()).await else { return Err(error) };
    let stacks = engine.stacks().await?;
    let Some(name) = name(context.project(), &sought, &stacks)? else { return Err(with_names(error, &stacks)) };
    let remains = engine.remains(name.as_str()).await?;
    tell(context, &error, &sought, &name, &stacks);
    let root = match &sought {
        Sought::File { root, .. } => root.clone(),
        _ => root(&name, &remains.roots)?,
    };
    Ok(Found { stack: remains.stack(&name, root), by_labels: true, exactly: true, engine: Some(engine) })
}

/// What an active service lacks: `up` would refuse it, and what runs is what the engine has of it.
fn incomplete(stack: &Stack) -> Option<Error> {
    let of_one = stack.unusable.iter().filter(|one| matches!(&one.services[..], [name] if stack.services[name].active));
    let problems: Vec<Diagnostic> = of_one.map(|one| one.problem.clone()).collect();
    (!problems.is_empty()).then(|| Error::configuration(problems))
}

/// Which stack is meant; none when nothing says so.
fn name(asked: Option<&str>, sought: &Sought, stacks: &[Remnant]) -> Result<Option<StackName>> {
    let of = |folder: &Path| -> Vec<&str> {
        let own = stacks.iter().filter(|stack| stack.roots.contains(folder) && !isolated::is_name(&stack.name));
        own.map(|stack| stack.name.as_str()).collect()
    };
    let (candidates, folder) = match (asked, sought) {
        (Some(name), _) => (vec![name], None),
        (None, Sought::File { project: Some(name), .. }) => (vec![name.as_str()], None),
        (None, Sought::File { root, .. }) => (of(root), Some(root)),
        (None, Sought::Nowhere(folders)) => match folders.iter().find(|folder| !of(folder).is_empty()) {
            Some(folder) => (of(folder), Some(folder)),
            None => return Ok(None),
        },
        (None, Sought::Misnamed) => return Ok(None),
    };
    let usual = folder.map(|folder| name_of_folder(folder)).unwrap_or_default();
    let name = match candidates[..] {
        [] => &*usual,
        [one] => one,
        _ => *candidates.iter().find(|name| **name == usual).ok_or_else(|| several(&candidates))?,
    };
    let parsed = StackName::parse(name);
    parsed.map(Some).map_err(|why| Error::new(ErrorKind::Usage, format_args!("`{name}` can't name a project: {why}")))
}

fn several(names: &[&str]) -> Error {
    let message = format!("{FILE} can't be used, and several stacks were made from this folder: {}", names.join(", "));
    Error::new(ErrorKind::Usage, message).hint(format!("say which one: -p {}", names[0]))
}

/// The error for a folder without services.toml, with what can be named.
fn with_names(error: Error, stacks: &[Remnant]) -> Error {
    let names: Vec<&str> = stacks.iter().map(|stack| &*stack.name).filter(|name| !isolated::is_name(name)).collect();
    match names[..] {
        [] => error,
        _ => error.hint(format!("or name a stack that is on this engine with -p NAME: {}", names.join(", "))),
    }
}

/// What can't be used of the file is worth a warning.
fn tell(context: &Context, error: &Error, sought: &Sought, name: &StackName, stacks: &[Remnant]) {
    let screen = &context.screen;
    let warn = |problem: &Diagnostic| Diagnostic { severity: Severity::Warning, ..problem.clone() };
    let known = stacks.iter().any(|stack| stack.name == name.as_str());
    match sought {
        Sought::File { .. } => {
            let mut warnings: Vec<_> = error.diagnostics.iter().map(warn).collect();
            if warnings.is_empty() {
                warnings.push(Diagnostic::warning(None, error.to_string()));
            }
            let message = format!("{FILE} can't be used; using what the engine has of {name}");
            warnings.push(Diagnostic::warning(None, message));
            screen.diagnostics(&warnings);
        }
        _ if !known => {
            let names: Vec<&str> = stacks.iter().map(|stack| &*stack.name).collect();
            let message = format!("there is no {FILE} here, and no stack {name} on this engine");
            let warning = Diagnostic::warning(None, message);
            screen.diagnostics(&[match names[..] {
                [] => warning,
                _ => warning.hint(format!("stacks on it: {}", names.join(", "))),
            }]);
        }
        // It was requested explicitly.
        _ if context.project().is_some() => {}
        _ => {
            screen.diagnostics(&[Diagnostic::warning(None, format!("{error}; using what the engine has of {name}"))]);
        }
    }
}

/// The folder of a stack, by its labels: that of the newest container.
fn root(name: &StackName, roots: &[PathBuf]) -> Result<PathBuf> {
    let living: Vec<&PathBuf> = roots.iter().filter(|root| is_project(root)).collect();
    match living[..] {
        [] => Ok(roots.first().cloned().unwrap_or_default()),
        [one] => Ok(one.clone()),
        [first, second, ..] => {
            let there = remedy::dev_in(first, &["-p", name.as_str(), "ps"]);
            let message = format!("stack {name} belongs to two folders: {} and {}", first.display(), second.display());
            Err(Error::new(ErrorKind::Other, message).hint(format!("change to the one you mean: {there}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stacks() -> Vec<Remnant> {
        let of = |name: &str, root: &str| Remnant { name: name.into(), roots: [PathBuf::from(root)].into() };
        vec![
            of("a", "/w/a"),
            of("b", "/w/b"),
            of("b2", "/w/b"),
            of("c1", "/w/c"),
            of("c2", "/w/c"),
            of("taskava-t-1", "/w"),
        ]
    }

    #[test]
    fn the_stack_is_the_one_that_is_named_else_that_of_the_folder() {
        let file =
            |root: &str, project: Option<&str>| Sought::File { root: root.into(), project: project.map(Into::into) };
        let nowhere = |folder: &str| Sought::Nowhere(Path::new(folder).ancestors().map(Into::into).collect());
        let found = |asked, sought: &Sought| {
            name(asked, sought, &stacks())
                .map(|name| name.map(|name| name.to_string()))
                .map_err(|error| error.to_string())
        };
        let is = |name: &str| Ok(Some(name.to_owned()));
        assert_eq!(found(Some("x"), &nowhere("/")), is("x"));
        assert_eq!(found(None, &file("/w/a", Some("other"))), is("other"), "what is written counts");
        assert_eq!(found(None, &file("/w/a", None)), is("a"));
        assert_eq!(found(None, &file("/w/b", None)), is("b"), "its folder's name");
        assert_eq!(found(None, &file("/w/new", None)), is("new"), "of which there is nothing");
        assert_eq!(found(None, &nowhere("/w/a/src")), is("a"), "the file was deleted");
        assert_eq!(found(None, &nowhere("/w/d")), Ok(None), "stacks of test runs are no project's");
        assert!(found(None, &file("/w/c", None)).unwrap_err().contains("c1, c2"));
        assert!(found(Some("Not A Name"), &nowhere("/")).unwrap_err().contains("can't name a project"));
    }
}
