//! `ps`: one engine call, and every service asked in its own protocol at the same time.

use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use futures_util::future::join_all;
use serde::Serialize;

use crate::cli::by_labels::stack_or_labels;
use crate::cli::session::other_checkout;
use crate::cli::unfinished::Unfinished;
use crate::cli::{Context, block_on, template};
use crate::diag::Result;
use crate::engine::Engine;
use crate::masks::Masks;
use crate::model::{Kind, PublishedPort, Service, ServiceName, Stack};
use crate::plan::observed::{Container, ContainerState};
use crate::run::once::{self, ProbeResult};
use crate::run::probe::{Answer, Limits, Prober};
use crate::run::{self, objects};
use crate::ui::Format;
use crate::ui::style::Paint;
use crate::ui::table::Table;

/// List services with their state, readiness and ports
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these services
    #[arg(value_name = "SERVICE", add = super::completions::services())]
    pub services: Vec<String>,
    /// Include services without a container
    #[arg(short, long)]
    pub all: bool,
    /// Print only container IDs
    #[arg(short = 'q', long = "ids", conflicts_with_all = ["names", "json"])]
    pub ids: bool,
    /// Print only service names
    #[arg(long = "services", conflicts_with = "json")]
    pub names: bool,
    /// Only services in this state: created, running, paused, restarting, exited, dead; repeatable
    #[arg(long, value_name = "STATE", value_parser = PossibleValuesParser::new(ContainerState::ALL.map(ContainerState::as_str)))]
    pub status: Vec<String>,
    /// Same as `--status`: `status=running`
    #[arg(long, value_name = "status=STATE", hide = true, value_parser = filter)]
    pub filter: Vec<String>,
    /// Don't shorten anything to fit the terminal
    #[arg(long)]
    pub no_trunc: bool,
    /// Include services that are no longer in services.toml (the default); `--orphans=false` leaves them out
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    #[arg(action = clap::ArgAction::Set)]
    pub orphans: bool,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// `status=running`
fn filter(text: &str) -> Result<String, String> {
    let state = text.strip_prefix("status=").ok_or("write status=STATE")?.to_lowercase();
    let known = ContainerState::ALL.iter().any(|known| known.as_str() == state);
    if known { Ok(state) } else { Err(format!("invalid variant: {}", &text["status=".len()..])) }
}

/// One row.
#[derive(Debug, Serialize)]
struct Row {
    service: ServiceName,
    kind: Kind,
    state: &'static str,
    /// None: nothing can be asked of it.
    ready: Option<bool>,
    /// Why it is not ready; how it is known to be where it did not say so just now.
    reason: Option<String>,
    /// How long it has been in that state: `3m`.
    since: Option<String>,
    /// When its container was made, RFC 3339.
    created_at: Option<String>,
    ports: Vec<PublishedPort>,
    image: String,
    container: Option<String>,
    exit_code: Option<i64>,
    /// Its service is in services.toml no more.
    orphan: bool,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let mut found = stack_or_labels(context).await?;
        let (engine, mut containers) = found.engine_with_containers(context).await?;
        let chosen = found.stack.all_named(&args.services)?;
        let stack = found.stack;
        let project = stack.name.as_str();
        let intents = engine.intents(project).await?;
        run::stop::mark(&engine, project, &mut containers).await?;
        let owed = objects::owed(&engine, &stack, &containers).await?;
        if let Some(other) = other_checkout(&stack, &containers) {
            context.screen.note(&format!("{} runs from another checkout: {other}", stack.name));
        }
        let wanted = |name: &ServiceName| chosen.is_empty() || chosen.contains(name);
        let mut rows = rows(args, &stack, &engine, &containers, wanted).await?;
        let states: Vec<&String> = args.status.iter().chain(&args.filter).collect();
        let is_in = |row: &Row| states.is_empty() || states.iter().any(|state| *state == row.state);
        rows.retain(|row| is_in(row) && (args.orphans || !row.orphan));
        for row in &mut rows {
            let service = stack.services.get(&row.service);
            let half = intents.iter().find(|intent| service.is_some_and(|service| intent.concerns(&stack, service)));
            let back = owed.contains(&row.service).then_some("not all of its objects are put back yet; taskava dev up");
            if let Some(why) = half.map(|intent| format!("{intent} was cut off")).or(back.map(Into::into)) {
                (row.ready, row.reason) = (Some(false), Some(why));
            }
        }
        for intent in &intents {
            context.screen.note(&format!("{}; {}", intent.message(), intent.remedies().join("; ")));
        }
        let owed = owed.iter().map(|service| Unfinished::objects(context, service));
        let unfinished: Vec<_> = intents.iter().map(Unfinished::from).chain(owed).collect();
        show(args, context, &stack, rows, &unfinished)?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn rows(
    args: &Args,
    stack: &Stack,
    engine: &Engine,
    containers: &[Container],
    wanted: impl Fn(&ServiceName) -> bool,
) -> Result<Vec<Row>> {
    let prober = Prober::new(Limits::default())?.without_login();
    let masks = Masks::of(stack);
    let of = |service: &ServiceName| containers.iter().find(|container| container.service == *service);
    let known = stack.services.values().filter(|service| wanted(&service.name)).filter_map(|service| {
        let container = of(&service.name);
        (container.is_some() || args.all).then_some((service, container))
    });
    let known = join_all(known.map(async |(service, container)| match container {
        Some(container) => running((&prober, engine, &masks), service, container).await,
        None => Row {
            state: "missing",
            service: service.name.clone(),
            kind: service.kind,
            image: service.image.clone(),
            ready: None,
            reason: None,
            since: None,
            ports: Vec::new(),
            created_at: None,
            container: None,
            exit_code: None,
            orphan: false,
        },
    }));
    let orphans = containers.iter().filter(|seen| !stack.services.contains_key(&seen.service) && wanted(&seen.service));
    let orphans = orphans.map(|container| row(container, Kind::Generic, true));
    let mut rows = known.await;
    rows.extend(orphans);
    Ok(rows)
}

fn row(container: &Container, kind: Kind, orphan: bool) -> Row {
    Row {
        service: container.service.clone(),
        kind,
        state: container.state.as_str(),
        ready: None,
        reason: None,
        since: since(&container.status),
        ports: container.ports.clone(),
        created_at: jiff::Timestamp::from_second(container.created).ok().map(|at| at.to_string()),
        image: container.image.clone(),
        container: Some(container.id.get(..12).unwrap_or(&container.id).to_owned()),
        exit_code: container.exit_code,
        orphan,
    }
}

async fn running((prober, engine, masks): (&Prober, &Engine, &Masks), service: &Service, container: &Container) -> Row {
    let mut row = row(container, service.kind, false);
    if service.kind == Kind::Job {
        row.ready = (container.state == ContainerState::Exited).then_some(container.exit_code == Some(0));
        return row;
    }
    if container.state != ContainerState::Running {
        // One that ended with 0, and may, has done its work.
        row.ready = Some(service.is_one_shot() && container.exit_code == Some(0));
        return row;
    }
    match once::ask(engine, prober, service, container, None).await {
        Ok(ProbeResult { answer: Answer::Ready, remark }) => {
            row.ready = Some(true);
            row.reason = remark.map(Into::into);
        }
        Ok(ProbeResult { answer: Answer::NotYet(why) | Answer::Never(why), .. }) => {
            row.ready = Some(false);
            row.reason = Some(masks.text(&why).into_owned());
        }
        // The engine was there a moment ago.
        Err(error) => row.reason = Some(error.to_string()),
    }
    row
}

/// `Up 3 minutes (healthy)` → `3m`; `Exited (1) 2 hours ago` → `2h`.
fn since(status: &str) -> Option<String> {
    let rest = status.strip_prefix("Up ").or_else(|| Some(status.split_once(") ")?.1))?;
    let rest = rest.split(" (").next().unwrap_or(rest).trim_end_matches(" ago").to_lowercase();
    let (number, unit) = match rest.rsplit_once(' ') {
        _ if rest.starts_with("less than") => ("0", "s"),
        Some((number, unit)) => (number.trim_start_matches("about ").trim(), unit),
        None => return Some(rest),
    };
    let number = if matches!(number, "a" | "an") { "1" } else { number };
    let unit = if unit.starts_with("month") { "mo" } else { unit.get(..1).unwrap_or(unit) };
    Some(format!("{number}{unit}"))
}

fn show(args: &Args, context: &Context, stack: &Stack, rows: Vec<Row>, unfinished: &[Unfinished<'_>]) -> Result<()> {
    let fields: Vec<_> = rows.iter().map(|row| fields(row, stack)).collect();
    if template::show(context, &fields)? {
        return Ok(());
    }
    // docker compose says --quiet.
    let ids = args.ids || context.global.quiet && !args.names && !args.json;
    if ids || args.names {
        let line = |row: &Row| if ids { row.container.clone() } else { Some(row.service.to_string()) };
        let lines: String = rows.iter().filter_map(line).map(|line| line + "\n").collect();
        return Ok(context.screen.out(&lines)?);
    }
    if args.json || context.format() == Format::Json {
        let value = serde_json::json!({
            "v": crate::event::VERSION,
            "stack": stack.name,
            "services": rows,
            "unfinished": unfinished,
        });
        return Ok(context.screen.json(&value)?);
    }
    if rows.is_empty() && !(args.status.is_empty() && args.filter.is_empty()) {
        return Ok(());
    }
    if rows.is_empty() {
        context.screen.note(&format!("no service of {} is running; start it with: taskava dev up", stack.name));
        return Ok(());
    }
    // It may have been removed behind the stack's back.
    let listed = |name: &ServiceName| rows.iter().any(|row| row.service == *name);
    let is_whole = args.services.is_empty() && args.status.is_empty() && args.filter.is_empty();
    let expected = stack.services.values().filter(|service| service.active && is_whole);
    let missing: Vec<&str> =
        expected.map(|service| &service.name).filter(|name| !listed(name)).map(ServiceName::as_str).collect();
    let paint = Paint(context.screen.color());
    let mut table = Table::new(&["SERVICE", "STATE", "READY", "SINCE", "PORTS", "IMAGE"]);
    for row in rows {
        let state = match row.exit_code {
            Some(code) => format!("{} ({code})", row.state),
            None => row.state.to_owned(),
        };
        // What has ended is worth a look, unless it is a job that did its work.
        let state = if row.exit_code.is_some() && row.ready != Some(true) { paint.warn(&state) } else { state };
        let ready = match (row.ready, &row.reason) {
            _ if row.orphan => "not in services.toml".into(),
            (None, Some(why)) => format!("unknown: {}", crate::ui::sanitise::text(why)),
            (None, None) => "-".into(),
            (Some(true), _) if row.kind == Kind::Job || row.exit_code == Some(0) => "done".into(),
            (Some(true), Some(remark)) => format!("yes: {}", crate::ui::sanitise::text(remark)),
            (Some(true), None) => "yes".into(),
            (Some(false), Some(why)) => format!("no: {}", crate::ui::sanitise::text(why)),
            (Some(false), None) => "no".into(),
        };
        let ports: Vec<String> = row.ports.iter().map(port).collect();
        table.row([row.service.to_string(), state, ready, row.since.unwrap_or_default(), ports.join(", "), row.image]);
    }
    let width = crate::ui::table::stdout_width().filter(|_| !args.no_trunc);
    context.screen.out(&table.render(width, context.screen.color()))?;
    if !missing.is_empty() {
        let names = missing.join(" ");
        context
            .screen
            .note(&format!("without a container: {}; create with: taskava dev up {names}", missing.join(", ")));
    }
    Ok(())
}

/// A row by the names that docker compose has for its fields.
fn fields(row: &Row, stack: &Stack) -> template::Fields {
    let health = match row.ready {
        Some(true) => "healthy",
        Some(false) if row.state == "running" => "starting",
        _ => "",
    };
    let status = match (row.exit_code, &row.since) {
        (Some(code), since) => format!("{} ({code}) {}", row.state, since.as_deref().unwrap_or_default()),
        (None, since) => format!("{} {}", row.state, since.as_deref().unwrap_or_default()),
    };
    let name = row.container.as_ref().map(|_| stack.container_name(&row.service));
    let ports = row.ports.iter().map(port).collect::<Vec<_>>().join(", ");
    let value = serde_json::json!({
        "ID": row.container, "Name": name, "Names": name, "Service": row.service, "Project": stack.name,
        "Image": row.image, "State": row.state, "Status": status.trim(), "Health": health,
        "ExitCode": row.exit_code.unwrap_or(0), "CreatedAt": row.created_at, "RunningFor": row.since,
        "Ports": ports, "Publishers": row.ports,
    });
    value.as_object().cloned().unwrap_or_default()
}

/// `5432→5432`: on 127.0.0.1, as everything is unless an address is written.
fn port(port: &PublishedPort) -> String {
    let host = match port.address {
        std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST) => port.host.to_string(),
        address => std::net::SocketAddr::new(address, port.host).to_string(),
    };
    match port.protocol {
        crate::model::Protocol::Tcp => format!("{host}→{}", port.container),
        crate::model::Protocol::Udp => format!("{host}→{}/udp", port.container),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (status, short) in [
            ("Up Less than a second", "0s"),
            ("Up About a minute (healthy)", "1m"),
            ("Up 3 minutes", "3m"),
            ("Up About an hour", "1h"),
            ("Exited (137) 2 weeks ago", "2w"),
            ("Exited (0) 5 months ago", "5mo"),
        ] {
            assert_eq!(since(status).as_deref(), Some(short), "{status}");
        }
        assert_eq!(since("Created"), None);
    }
}
