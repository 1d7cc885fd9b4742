//! Runs the hooks of a service inside its container: those after its start, which have to succeed, and those before its
//! stop, which never prevent it.

use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use crate::diag::{Error, ErrorKind, Result};
use crate::engine::{Engine, Executed};
use crate::event::{Event, Events};
use crate::model::{Hook, Service};

/// The exit code of a process that SIGKILL ended.
const KILLED: i64 = 137;

/// How long an engine may take to notice that a container has ended.
const ENDING: Duration = Duration::from_secs(1);

/// Runs all hooks under a key of `hooks` (`post_start`, `ready`).
///
/// # Errors
/// Of the first that fails, as [`ErrorKind::Crashed`]; the others are not run.
pub(super) async fn after_start(engine: &Engine, service: &Service, id: &str, key: &str) -> Result<()> {
    for hook in of(service, key) {
        let executed = engine.exec_hook(id, hook).await?;
        if executed.code != 0 {
            let message = format!("its {} {}", named(hook, key), ended(&executed));
            return Err(Error::new(ErrorKind::Crashed, message).hint(edit(service, key)));
        }
    }
    Ok(())
}

/// Runs the `pre_stop` hooks, all together within a time. What does not succeed is a warning.
pub(super) async fn before_stop(engine: &Engine, events: &Events, service: &Service, id: &str, limit: Duration) {
    let key = "pre_stop";
    let until = Instant::now() + limit;
    for hook in of(service, key) {
        let (hint, hook_named, name) = (edit(service, key), named(hook, key), &service.name);
        let problem = match timeout_at(until, engine.exec_hook(id, hook)).await {
            Ok(Ok(executed)) if executed.code == 0 => continue,
            // One that ends the service itself may be killed with it, or be the last that could be run.
            Ok(Err(_) | Ok(Executed { code: KILLED, .. })) if has_ended(engine, id).await => return,
            Ok(Ok(executed)) => format!("the {hook_named} of {name} {}", ended(&executed)),
            Ok(Err(error)) => format!("the {hook_named} of {name} did not run: {error}"),
            Err(_) => {
                let time = limit.as_secs_f64();
                let message = format!("the {hook_named} of {name} did not end within {time} s; {name} is stopped now");
                let table = format!("[services.{name}] in services.toml");
                let hint = format!("give it more time: `stop_timeout` of {table}");
                events.emit(&Event::Warning { message, hint: Some(hint) });
                return;
            }
        };
        events.emit(&Event::Warning { message: problem, hint: Some(hint) });
    }
}

/// Whether a container has ended, or is just ending: its processes are gone before the engine says so.
async fn has_ended(engine: &Engine, id: &str) -> bool {
    timeout(ENDING, engine.exited(id)).await.is_ok_and(|ended| ended.is_ok())
}

fn ended(executed: &Executed) -> String {
    let colon = if executed.output.is_empty() { "" } else { ": " };
    format!("exited with code {}{colon}{}", executed.code, executed.output)
}

fn of<'a>(service: &'a Service, key: &str) -> &'a [Hook] {
    service.hooks.named().into_iter().find(|(found, _)| *found == key).map_or(&[], |(_, hooks)| hooks)
}

/// `ready hook `psql -f /seed.sql``
fn named(hook: &Hook, key: &str) -> String {
    format!("{key} hook `{}`", hook.command.join(" "))
}

fn edit(service: &Service, key: &str) -> String {
    format!("edit `hooks.{key}` of [services.{}]", service.name)
}
