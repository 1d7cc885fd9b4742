//! `open`: a service's web page in the browser.

use std::process::{ExitCode, Stdio};
use std::time::Duration;

use tokio::process::Command;

use crate::cli::by_labels::stack_or_labels;
use crate::cli::{Context, block_on};
use crate::diag::{Error, ErrorKind, Result};
use crate::kinds;
use crate::model::{ServiceName, Stack};
use crate::plan::observed::Container;
use crate::run::actual;

/// How long a program that opens browsers is waited for; one that is still there then is the browser itself.
const OPENING: Duration = Duration::from_secs(3);

/// Open a service's web page in the browser
///
/// Prints the URL if there is no browser.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The service
    #[arg(value_name = "SERVICE", add = super::completions::services())]
    pub service: String,
    /// Open the page on this container port
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let mut found = stack_or_labels(context).await?;
        let engine = found.engine(context).await?;
        let name = found.stack.named(&args.service)?;
        let container = found.container(&engine, &name).await?;
        let stack = found.stack;
        let service = actual::service(&engine, &stack.services[&name], &container).await.service;
        let pages = kinds::urls(&service, &engine.about.host, &container.ports, false);
        let page = pages.into_iter().find(|url| url.web && args.port.is_none_or(|port| port == url.port));
        let Some(page) = page else {
            let containers = engine.containers(stack.name.as_str()).await?;
            return Err(no_page(&stack, &name, args.port, &engine.about.host, &containers));
        };
        if browse(&page.url).await {
            context.screen.note(&format!("opened {}", page.url));
        } else {
            context.screen.out(&format!("{}\n", page.url))?;
            context.screen.note("no browser was found; open it yourself");
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn no_page(stack: &Stack, name: &ServiceName, port: Option<u16>, host: &str, containers: &[Container]) -> Error {
    let on = port.map(|port| format!(" on port {port}")).unwrap_or_default();
    let error = Error::new(ErrorKind::Other, format_args!("{name} has no web page{on}"));
    let running = containers.iter().filter(|seen| seen.is_up() && !seen.ports.is_empty());
    let pages = running.filter_map(|seen| {
        let page = kinds::urls(stack.services.get(&seen.service)?, host, &seen.ports, false).into_iter().next()?;
        page.web.then(|| format!("{} ({})", seen.service, page.url))
    });
    let pages: Vec<String> = pages.collect();
    if pages.is_empty() {
        return error
            .hint("no service that runs has one; a port is taken for one by `ready = { http = \"http://:PORT/\" }`");
    }
    error.hint(format!("these have one: {}", pages.join(", ")))
}

/// Opens a page; false where nothing can.
async fn browse(url: &str) -> bool {
    for opener in openers() {
        let Some((program, arguments)) = opener.split_first() else { continue };
        let mut command = Command::new(program);
        command.args(arguments).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(mut child) = command.spawn() else { continue };
        match tokio::time::timeout(OPENING, child.wait()).await {
            Ok(Ok(status)) if status.success() => return true,
            Ok(_) => {}
            Err(_) => return true,
        }
    }
    false
}

/// Programs that open a page, best first.
fn openers() -> &'static [&'static [&'static str]] {
    if cfg!(target_os = "macos") {
        return &[&["open"]];
    }
    if cfg!(windows) {
        return &[&["rundll32", "url.dll,FileProtocolHandler"]];
    }
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if set("WSL_DISTRO_NAME") {
        return &[&["wslview"], &["xdg-open"], &["explorer.exe"]];
    }
    // Without a desktop it would look for a browser that works in a terminal, and take this one.
    if ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"].into_iter().any(set) { &[&["xdg-open"]] } else { &[] }
}
