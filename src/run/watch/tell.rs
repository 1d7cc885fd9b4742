//! What is said about a watch as such: why it does not work as one may think.

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
                hint: Some(format!("what is changed outside is changed inside at once; {then}")),
            });
        }
    }
}

/// Why changes have to be looked for.
pub(super) fn trouble(events: &Events, trouble: &Trouble) {
    let looks = "changes are looked for twice a second instead";
    let (message, hint) = match trouble {
        Trouble::Asked => return,
        Trouble::Limit(setting) => {
            let more = if setting.ends_with("instances") { 1024 } else { 1_048_576 };
            let hint = format!("raise it, then watch again: sudo sysctl {setting}={more}");
            (format!("no more folders can be watched, because {setting} is reached; {looks}"), Some(hint))
        }
        Trouble::FileSystem { kind, path } => {
            (format!("{} is on {kind}, which does not tell of changes made elsewhere; {looks}", path.display()), None)
        }
        Trouble::Other(text) => (format!("files can't be watched: {text}; {looks}"), None),
    };
    events.emit(&Event::Warning { message, hint });
}
