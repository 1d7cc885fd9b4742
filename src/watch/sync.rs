//! Synchronises a container's files with the host: copies what changed, removes what was deleted.
//!
//! Files are removed with the image's own `rm`, run without a shell: the engine can copy files into a container but not
//! remove them. If the image has no `rm`, the container is recreated and everything is copied, which leaves nothing
//! behind with any image.

use std::fs;
use std::path::{Path, PathBuf};

use super::context::WatchContext;
use super::filter::{Filter, mounted};
use super::state::Act;
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::{Owner, Removal, Upload};
use crate::event::Event;
use crate::model::{Service, ServiceName, WatchAction, WatchRule};
use crate::plan::Request;
use crate::plan::observed::Container;

/// The container of a service.
pub(super) async fn container(world: &WatchContext, service: &ServiceName) -> Result<Container> {
    let containers = world.engine.containers(world.stack().name.as_str()).await?;
    containers.into_iter().find(|seen| seen.service == *service).ok_or_else(|| no_container(service))
}

pub(super) fn no_container(service: &ServiceName) -> Error {
    Error::new(ErrorKind::Other, format_args!("{service} has no container"))
        .hint(format!("start it with: taskava dev up {service}"))
}

fn copies(rule: &WatchRule) -> bool {
    matches!(rule.action, WatchAction::Sync | WatchAction::SyncRestart)
}

/// Copies and removes what an action is about.
pub(super) async fn changes(world: &WatchContext, filter: &Filter, service: &Service, act: &Act) -> Result<()> {
    let container = container(world, &service.name).await?;
    let (mut uploads, mut gone) = (Vec::new(), Vec::new());
    for change in &act.changes {
        for hit in change.hits.iter().filter(|hit| hit.service == service.name) {
            let Some(to) = destination(filter, service, hit.rule, &change.path) else { continue };
            match change.gone {
                true => gone.push(to),
                false => uploads.extend(upload(filter, service, hit.rule, change.path.clone(), to)),
            }
        }
    }
    // First what was removed: a folder may have become a file.
    if !gone.is_empty() && world.engine.remove_files(&container.id, &gone).await? == Removal::NoTool {
        let message = format!("{} has no `rm`: its container is recreated to remove {}", service.name, gone[0]);
        world.events.emit(&Event::Notice { message });
        return make_anew(world, filter, service).await;
    }
    send(world, &container.id, uploads).await
}

async fn send(world: &WatchContext, id: &str, uploads: Vec<Upload>) -> Result<()> {
    if uploads.is_empty() {
        return Ok(());
    }
    let (user, group) = world.owner(id).await?;
    let left_out = world.engine.upload(id, uploads, Owner::Is(user, group)).await?;
    if let Some(first) = left_out.first() {
        let more = if left_out.len() > 1 { format!(" and {} more", left_out.len() - 1) } else { String::new() };
        let path = super::act::shown(&world.stack().root, first);
        world.events.emit(&Event::Warning {
            message: format!("{path}{more} was not copied: a link above leads to another folder"),
            hint: None,
        });
    }
    Ok(())
}

/// A file on its way, which must not turn out to lie elsewhere than in the folder of its rule.
fn upload(filter: &Filter, service: &Service, rule: usize, from: PathBuf, to: String) -> Option<Upload> {
    let root = filter.root(&service.name, rule)?;
    let within = if root.is_dir() { root } else { root.parent()? }.to_path_buf();
    Some(Upload { from, within, to })
}

async fn make_anew(world: &WatchContext, filter: &Filter, service: &Service) -> Result<()> {
    let before = container(world, &service.name).await?.id;
    let name = service.name.clone();
    let options =
        |_: &_, _: &_| Ok(Request { services: vec![name], no_deps: true, recreate: true, ..Request::default() });
    let (_, summary) = world.apply(options, || ()).await?;
    if let Some(failure) = summary.failures.into_iter().next() {
        return Err(Error::new(failure.kind, failure.message));
    }
    if_made_anew(world, filter, service, &before).await
}

/// A new container has what its image has. What was copied into the one before is copied again, with all that may have
/// changed since the image was built.
pub(super) async fn if_made_anew(world: &WatchContext, filter: &Filter, service: &Service, before: &str) -> Result<()> {
    if !service.watch.iter().any(copies) {
        return Ok(());
    }
    let now = container(world, &service.name).await?;
    if now.id == before {
        return Ok(());
    }
    let mut uploads = Vec::new();
    for number in (0..service.watch.len()).filter(|number| copies(&service.watch[*number])) {
        let Some(root) = filter.root(&service.name, number) else { continue };
        let mut files = Vec::new();
        let concerns =
            |path: &Path| filter.hits(path, false).iter().any(|hit| hit.service == service.name && hit.rule == number);
        collect(filter, root, &concerns, &mut files);
        uploads.extend(files.into_iter().filter_map(|from| {
            let to = destination(filter, service, number, &from)?;
            upload(filter, service, number, from, to)
        }));
    }
    send(world, &now.id, uploads).await?;
    if service.watch.iter().any(|rule| rule.action == WatchAction::SyncRestart) {
        let name = service.name.clone();
        let options =
            |_: &_, _: &_| Ok(Request { services: vec![name], no_deps: true, restart: true, ..Request::default() });
        world.apply(options, || ()).await?;
    }
    Ok(())
}

/// All files of a rule.
fn collect(filter: &Filter, path: &Path, concerns: &impl Fn(&Path) -> bool, files: &mut Vec<PathBuf>) {
    let Ok(found) = fs::symlink_metadata(path) else { return };
    if found.is_dir() && filter.walks(path) {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            collect(filter, &entry.path(), concerns, files);
        }
    } else if (found.is_file() || found.is_symlink()) && concerns(path) {
        files.push(path.to_path_buf());
    }
}

/// The target path of a file by a rule; none if it is already visible there through a mount.
fn destination(filter: &Filter, service: &Service, number: usize, path: &Path) -> Option<String> {
    let rule = service.watch.get(number)?;
    if !copies(rule) || mounted(service, rule).is_some() {
        return None;
    }
    let target = rule.target.as_deref()?;
    let inside = path.strip_prefix(filter.root(&service.name, number)?).ok()?;
    let target_folder = target.trim_end_matches('/');
    if !inside.as_os_str().is_empty() {
        return Some(format!("{target_folder}/{}", inside.to_str()?));
    }
    // The rule is about one file: its new name, or the folder it goes into.
    let name = path.file_name()?.to_str()?;
    Some(if target.ends_with('/') { format!("{target_folder}/{name}") } else { target.to_owned() })
}
