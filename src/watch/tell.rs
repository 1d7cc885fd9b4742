//! Warnings about a watch itself: why it may not work as expected.

use std::path::PathBuf;

use super::act::shown;
use super::filter::mounted;
use super::source::Trouble;
use crate::event::{Event, Events};
use crate::model::{ServiceName, Stack, WatchAction};

/// Rules that copy what is mounted already.
pub(super) fn mounts(events: &Events, stack: &Stack, services: &[ServiceName]) {
    for service in services.iter().filter_map(|name| stack.services.get(name)) {
        for rule in &service.watch {
            let Some(target) = mounted(service, rule) else { continue };
            let path = shown(&stack.root, &rule.path);
            let then = match rule.action {
                WatchAction::SyncRestart => "make the action `restart`",
                _ => "leave the rule out, or make its action `restart`",
            };
            events.emit(&Event::Warning {
                message: format!("{}: {path} is mounted at {target} already; it is not copied", service.name),
                hint: Some(format!("changes on the host are visible in the container at once; {then}")),
            });
        }
    }
}

/// How many links are named at a time.
const NAMED: usize = 3;

/// Links to files and folders outside of what is watched.
pub(super) fn links(events: &Events, stack: &Stack, links: &[PathBuf]) {
    if links.is_empty() {
        return;
    }
    let names: Vec<String> = links.iter().take(NAMED).map(|link| shown(&stack.root, link)).collect();
    let more = if links.len() > NAMED { format!(" and {} more", links.len() - NAMED) } else { String::new() };
    let (lead, are) = if links.len() == 1 { ("leads", "is a link") } else { ("lead", "are links") };
    events.emit(&Event::Warning {
        message: format!(
            "{}{more} {are} that {lead} out of the watched folders: changes there are not detected, and `sync` copies links as links",
            names.join(", ")
        ),
        hint: Some("watch the target of the link with a rule of its own, with its real location as `path`".into()),
    });
}

/// Why changes have to be looked for.
pub(super) fn trouble(events: &Events, trouble: &Trouble) {
    let looks = "changes are polled for twice a second instead";
    let (message, hint) = match trouble {
        Trouble::Asked => return,
        Trouble::Limit(setting) => {
            let more = if setting.ends_with("instances") { 1024 } else { 1_048_576 };
            let hint = format!("raise it, then watch again: sudo sysctl {setting}={more}");
            (format!("no more folders can be watched, because {setting} is reached; {looks}"), Some(hint))
        }
        Trouble::FileSystem { kind, path } => {
            (format!("{} is on {kind}, which does not report changes made elsewhere; {looks}", path.display()), None)
        }
        Trouble::Other(text) => (format!("files can't be watched: {text}; {looks}"), None),
    };
    events.emit(&Event::Warning { message, hint });
}
