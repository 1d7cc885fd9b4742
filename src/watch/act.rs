//! Carries out the rules of a service: builds, copies, restarts, runs commands, in this order and each once.

use std::path::Path;
use std::time::Instant;

use super::context::WatchContext;
use super::filter::Filter;
use super::state::Act;
use super::sync;
use crate::diag::{Error, ErrorKind, Result};
use crate::event::{Event, Summary, WatchDone, millis};
use crate::model::{Failure, Service, ServiceName, Stack, WatchAction, WatchRule};
use crate::plan::{Observed, Request};
use crate::run::failure;

/// The variable in which a command finds the files that changed, relative to its rule's path, one a line; empty when they
/// are too many for a variable. They are on its standard input in any case.
const CHANGED: &str = "TASKAVA_CHANGED";

/// The variable that says how many.
const CHANGED_COUNT: &str = "TASKAVA_CHANGED_COUNT";

/// The longest value, in bytes: the system takes no longer variable than 128 KiB.
const LONGEST: usize = 100 * 1024;

/// What an action has to do, of all that its rules say.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Work {
    rebuild: bool,
    sync: bool,
    restart: bool,
    exec: bool,
}

impl Work {
    fn of<'a>(rules: impl Iterator<Item = &'a WatchRule>) -> Self {
        let mut work = rules.fold(Self::default(), |mut work, rule| {
            match rule.action {
                WatchAction::Restart => work.restart = true,
                WatchAction::Rebuild => work.rebuild = true,
                WatchAction::Sync => work.sync = true,
                WatchAction::SyncRestart => (work.sync, work.restart) = (true, true),
                WatchAction::Exec => work.exec = true,
            }
            work
        });
        // A container that is recreated starts with all files.
        work.restart &= !work.rebuild;
        work
    }

    fn words(self) -> String {
        let all = [(self.rebuild, "rebuild"), (self.sync, "sync"), (self.restart, "restart"), (self.exec, "exec")];
        all.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect::<Vec<_>>().join("+")
    }
}

/// What the events of an action reported.
#[derive(Debug, Default)]
struct Outcome {
    failures: Vec<Failure>,
    output: Option<String>,
}

impl From<Summary> for Outcome {
    fn from(summary: Summary) -> Self {
        Self { failures: summary.failures, output: None }
    }
}

/// Carries an action out and tells about it. `worked` is called when only readiness is still waited for.
pub(super) async fn carry_out(world: &WatchContext, filter: &Filter, act: Act, worked: impl FnOnce()) {
    let began = Instant::now();
    let stack = world.stack();
    let Some(service) = stack.services.get(&act.service) else { return };
    let rules = || act.rules.iter().filter_map(|rule| service.watch.get(*rule));
    let work = Work::of(rules());
    let path = act.changes.first().map(|change| shown(&stack.root, &change.path)).unwrap_or_default();
    let (files, action) = (act.changes.len(), work.words());
    let begins =
        Event::WatchAction { service: service.name.clone(), action: action.clone(), path: path.clone(), files };
    world.events.emit(&begins);
    let mut outcome = Outcome::default();
    if let Err(error) = (Doing { world, filter, service, act: &act }).all(work, worked, &mut outcome).await {
        outcome.failures.push(failure::of_error(Some(service), &error));
    }
    let Outcome { failures, output } = outcome;
    let (service, ms) = (Some(service.name.clone()), millis(began.elapsed()));
    world.events.emit(&Event::WatchDone(WatchDone { service, action, path, files, output, failures, ms }));
}

/// A path as it is shown: from the project's folder.
pub(super) fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

struct Doing<'a> {
    world: &'a WatchContext,
    filter: &'a Filter,
    service: &'a Service,
    act: &'a Act,
}

impl Doing<'_> {
    async fn all(&self, work: Work, worked: impl FnOnce(), outcome: &mut Outcome) -> Result<()> {
        // What comes after the start must not be given up with the waiting.
        let mut worked = Some(worked).filter(|_| !work.exec);
        let mut worked = move || worked.take().map_or((), |worked| worked());
        if work.rebuild {
            *outcome = self.rebuild(&mut worked).await?;
        } else if work.sync {
            sync::changes(self.world, self.filter, self.service, self.act).await?;
        }
        if work.restart {
            *outcome = self.restart(&mut worked).await?;
        }
        if work.exec && outcome.failures.is_empty() {
            self.exec(outcome).await?;
        }
        Ok(())
    }

    async fn restart(&self, worked: &mut impl FnMut()) -> Result<Outcome> {
        let name = &self.service.name;
        let options = |_: &_, seen: &Observed| {
            must_exist(name, seen)?;
            Ok(Request { services: vec![name.clone()], no_deps: true, restart: true, ..Request::default() })
        };
        Ok(self.world.apply(options, worked).await?.1.into())
    }

    async fn rebuild(&self, worked: &mut impl FnMut()) -> Result<Outcome> {
        let name = &self.service.name;
        let before = sync::container(self.world, name).await.map(|container| container.id);
        let options = |stack: &Stack, seen: &Observed| {
            must_exist(name, seen)?;
            let services = stack.replicas(name).filter(|name| seen.of(name).next().is_some()).cloned().collect();
            Ok(Request { services, no_deps: true, build: true, ..Request::default() })
        };
        let outcome: Outcome = self.world.apply(options, worked).await?.1.into();
        if outcome.failures.is_empty() && before.is_ok() {
            sync::if_made_anew(self.world, self.filter, self.service, &before?).await?;
        }
        Ok(outcome)
    }

    /// Runs the commands of the rules, each with the files that concern it.
    async fn exec(&self, outcome: &mut Outcome) -> Result<()> {
        let container = sync::container(self.world, &self.service.name).await?;
        for number in &self.act.rules {
            let Some(rule) = self.service.watch.get(*number) else { continue };
            let (WatchAction::Exec, Some(command)) = (rule.action, &rule.command) else { continue };
            let concerned =
                self.act.changes.iter().filter(|change| {
                    change.hits.iter().any(|hit| hit.service == self.service.name && hit.rule == *number)
                });
            let root = self.filter.root(&self.service.name, *number).unwrap_or(&rule.path);
            let names: Vec<String> = concerned.map(|change| within(root, &change.path)).collect();
            let (count, list) = (names.len(), names.join("\n"));
            let fits = if list.len() > LONGEST { "" } else { &list };
            let env = vec![format!("{CHANGED}={fits}"), format!("{CHANGED_COUNT}={count}")];
            let input = if list.is_empty() { list } else { list + "\n" };
            let done = self.world.engine.exec_with(&container.id, command, env, input.into()).await?;
            if !done.output.is_empty() {
                let output = outcome.output.get_or_insert_default();
                output.push_str(&done.output);
                output.push('\n');
            }
            if done.code != 0 {
                let message = format!("`{}` ended with code {}", in_short(command), done.code);
                return Err(Error::new(ErrorKind::Crashed, message));
            }
        }
        Ok(())
    }
}

/// A command as a name of one line: a script has many.
fn in_short(command: &[String]) -> String {
    const LONGEST_NAME: usize = 60;
    let text = command.join(" ");
    let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(LONGEST_NAME) {
        Some((end, _)) => format!("{} …", text[..end].trim_end()),
        None => text,
    }
}

/// The path of a file from its rule's; of a rule for one file, its name.
fn within(root: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(root).ok().filter(|inside| !inside.as_os_str().is_empty());
    let name = || path.file_name().map(Path::new);
    inside.or_else(name).unwrap_or(path).display().to_string()
}

/// Who took a service down does not want it back because of a file.
fn must_exist(service: &ServiceName, seen: &Observed) -> Result<()> {
    if seen.of(service).next().is_none() {
        return Err(sync::no_container(service));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(action: WatchAction) -> WatchRule {
        WatchRule { path: "/p".into(), action, target: None, ignore: Vec::new(), command: None }
    }

    #[test]
    fn rules_that_are_carried_out_together_do_each_thing_once() {
        let words = |actions: &[WatchAction]| {
            let rules: Vec<_> = actions.iter().map(|action| rule(*action)).collect();
            Work::of(rules.iter()).words()
        };
        assert_eq!(words(&[WatchAction::Sync, WatchAction::Restart, WatchAction::Restart]), "sync+restart");
        assert_eq!(words(&[WatchAction::SyncRestart, WatchAction::Exec]), "sync+restart+exec");
        assert_eq!(words(&[WatchAction::Rebuild, WatchAction::Restart, WatchAction::Exec]), "rebuild+exec");
    }

    #[test]
    fn a_command_gets_names_from_its_rules_folder() {
        assert_eq!(within(Path::new("/p/init"), Path::new("/p/init/a/b.sql")), "a/b.sql");
        assert_eq!(within(Path::new("/p/one.sql"), Path::new("/p/one.sql")), "one.sql");
    }
}
