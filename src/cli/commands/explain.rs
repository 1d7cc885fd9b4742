//! `explain`: why a service is in its state, what caused it, and where each of its values comes from.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::json;

use crate::cli::session::Session;
use crate::cli::unfinished::Unfinished;
use crate::cli::{Context, block_on};
use crate::diag::{Place, Result};
use crate::engine::Inspected;
use crate::kinds;
use crate::model::{EnvValue, Kind, MountSource, PublishedPort, Service, ServiceName, graph, nameless, secret};
use crate::plan::observed::{Container, ContainerState};
use crate::plan::{self, Cause, Intent, Observed, Request};
use crate::run::once::{self, ProbeResult};
use crate::run::probe::{Answer, Limits, Prober};
use crate::ui::Format;

/// How many log lines are shown of a service that is not well.
const LOG_LINES: usize = 10;

/// Explain a service: its state, why it was recreated, where each value comes from
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The service
    #[arg(value_name = "SERVICE", add = super::completions::services())]
    pub service: String,
    /// Show passwords, tokens and keys
    #[arg(long)]
    pub show_secrets: bool,
}

/// What is known of a service.
struct Explained<'a> {
    session: &'a Session<'a>,
    service: &'a Service,
    /// What was cut off while it was at work on its data.
    intents: Vec<Intent>,
    /// Not all that was saved of its buckets is put back.
    owed: bool,
    container: Option<&'a Container>,
    inspected: Option<Inspected>,
    heard: Option<ProbeResult>,
    /// What `up` would do with it, and why.
    next: Vec<(String, Cause)>,
    log: Vec<String>,
    /// Folders inside that get a volume without a name.
    nameless: Vec<String>,
    show_secrets: bool,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let session = Session::open(context).await?;
        let name = session.stack.named(&args.service)?;
        let seen = session.observe().await?;
        let explained = explain(&session, &seen, &name, args.show_secrets).await?;
        if context.format() == Format::Json {
            context.screen.json(&explained.json())?;
        } else {
            context.screen.out(&explained.text())?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn explain<'a>(
    session: &'a Session<'a>,
    seen: &'a Observed,
    name: &'a ServiceName,
    show_secrets: bool,
) -> Result<Explained<'a>> {
    let service = &session.stack.services[name];
    let container = seen.of(name).next();
    let inspected = match container {
        Some(container) => session.engine.inspect(&container.id).await?,
        None => None,
    };
    let request = Request { services: vec![name.clone()], ..Request::default() };
    let intents = seen.intents.iter().filter(|intent| intent.concerns(&session.stack, service));
    let intents: Vec<Intent> = intents.cloned().collect();
    // What `up` refuses because of them is said above; all else is explained.
    let sound = Observed { intents: Vec::new(), ..seen.clone() };
    let plan = match &intents[..] {
        [] => plan::up(&session.stack, seen, &session.with_contents(&request).await?)?,
        _ => plan::up(&session.stack, &sound, &session.with_contents(&request).await?).unwrap_or_default(),
    };
    let of_service = plan.changes().filter(|step| step.op.service() == Some(name));
    let next: Vec<_> = of_service.map(|step| (step.op.to_string(), step.cause.clone())).collect();
    let running = container.filter(|seen| seen.state == ContainerState::Running && service.kind != Kind::Job);
    let heard = match running {
        Some(container) => {
            let prober = Prober::new(Limits::default())?;
            Some(once::ask(&session.engine, &prober, service, container, None).await?)
        }
        None => None,
    };
    let well = match &heard {
        Some(heard) => heard.answer == Answer::Ready,
        None => next.is_empty(),
    };
    let mut log = match container {
        Some(container) if !well => session.engine.tail(&container.id, LOG_LINES).await,
        _ => Vec::new(),
    };
    if !show_secrets {
        log = session.masks.log(&log);
    }
    let declared = seen.images.get(&service.image).map(|image| image.volumes.clone());
    let nameless = nameless::targets(service, &declared.or_else(|| kinds::declared(service)).unwrap_or_default());
    let owed = seen.owed.contains(name);
    Ok(Explained { session, service, intents, owed, container, inspected, heard, next, log, nameless, show_secrets })
}

impl Explained<'_> {
    fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |key: &str, value: &str| {
            let _ = writeln!(text, "{key:<12}{value}");
        };
        let service = self.service;
        line("service", &format!("{} ({})", service.name, service.kind.as_str()));
        if let Some(place) = &service.place {
            line("declared", &place.to_string());
        }
        line("state", &self.state());
        for intent in &self.intents {
            line("data", &intent.message());
            intent.remedies().iter().for_each(|remedy| line("", remedy));
        }
        if self.owed {
            let objects = Unfinished::objects(self.session.context, &service.name);
            line("data", &objects.message);
            line("", &format!("finish it with: {}", objects.finish));
        }
        line("ready", &self.ready());
        if let Some(container) = self.container {
            line("container", &format!("{} {}", container.name, container.id.get(..12).unwrap_or_default()));
            line("made", &made(container));
        }
        line("image", &with_place(&service.image, service.image_place.as_ref()));
        for port in &service.ports {
            let host = port.host.map_or_else(|| "any".into(), |host| host.to_string());
            let same = |seen: &&PublishedPort| (seen.container, seen.protocol) == (port.container, port.protocol);
            let published = self.container.and_then(|container| container.ports.iter().find(same));
            let now = published.filter(|seen| port.host != Some(seen.host)).map(|seen| format!(", now {}", seen.host));
            let now = now.unwrap_or_default();
            let text = format!("{}:{host} → {}/{}{now}", port.address, port.container, port.protocol.as_str());
            line("port", &with_place(&text, port.place.as_ref()));
        }
        for mount in &service.mounts {
            let source = match &mount.source {
                MountSource::Volume(short) => format!("volume {}", self.session.stack.volumes[short].name),
                MountSource::Bind(path) => path.display().to_string(),
                MountSource::Image(image) => format!("image {image}"),
                MountSource::View { of, .. } => format!("view of {}", of.display()),
                // Listed below, with what the image declares.
                MountSource::Anonymous => continue,
            };
            let text = format!("{source} → {}{}", mount.target, if mount.read_only { " (read-only)" } else { "" });
            line("mount", &with_place(&text, mount.place.as_ref()));
        }
        for target in &self.nameless {
            let place = nameless::Place { service: service.name.clone(), target: target.clone() };
            let volume = place.volume(&self.session.stack.name);
            line("mount", &format!("volume {volume} → {target}  (anonymous; kept until down -v or up -V)"));
        }
        line("would do", &self.would_do());
        for (name, on) in &service.depends_on {
            let required = if on.required { "" } else { ", not required" };
            let restart = if on.restart { ", restarted with it" } else { "" };
            line("waits for", &format!("{name} ({}{required}{restart})", on.condition.as_str()));
        }
        let dependents = graph::dependents(&self.session.stack, &service.name);
        if !dependents.is_empty() {
            let names: Vec<&str> = dependents.iter().map(|name| name.as_str()).collect();
            line("needed by", &names.join(", "));
        }
        for (name, env) in &service.env {
            line("env", &format!("{name} = {}  ({})", self.shown(env), env.origin.join(" ← ")));
        }
        if !self.log.is_empty() {
            line("last log", "");
            for log in &self.log {
                line("", &crate::ui::sanitise::text(log));
            }
        }
        text
    }

    fn json(&self) -> serde_json::Value {
        let env = self.service.env.iter().map(
            |(name, env)| json!({ "name": name, "value": self.shown(env), "secret": env.secret, "origin": env.origin }),
        );
        let owed = self.owed.then(|| Unfinished::objects(self.session.context, &self.service.name));
        let unfinished: Vec<_> = self.intents.iter().map(Unfinished::from).chain(owed).collect();
        let next: Vec<_> = self.next.iter().map(|(op, cause)| json!({ "op": op, "cause": cause })).collect();
        json!({
            "v": crate::event::VERSION,
            "service": self.service.name,
            "kind": self.service.kind,
            "declared": self.service.place.as_ref().map(ToString::to_string),
            "state": self.container.map(|container| container.state),
            "ready": self.ready(),
            "unfinished": unfinished,
            "made_because": self.container.map(|container| &container.cause),
            "image": self.service.image,
            "image_from": self.service.image_place.as_ref().map(ToString::to_string),
            "would_do": next,
            "env": env.collect::<Vec<_>>(),
            "log": self.log,
        })
    }

    fn shown<'s>(&self, env: &'s EnvValue) -> Cow<'s, str> {
        if self.show_secrets { Cow::Borrowed(&env.value) } else { secret::shown(env) }
    }

    fn state(&self) -> String {
        let Some(container) = self.container else { return "no container".into() };
        // The engine's words, `Up 3 minutes`, `Exited (1) 2 hours ago`; it has none for what never ran.
        let words = if container.status.is_empty() { container.state.as_str() } else { &container.status };
        let mut state = words.to_lowercase();
        let Some(seen) = &self.inspected else { return state };
        if seen.oom_killed {
            state.push_str("; killed because it ran out of memory");
        }
        if let Some(error) = &seen.error {
            let _ = write!(state, "; the engine says: {error}");
        }
        if seen.restarts > 0 {
            let _ = write!(state, "; restarted {} times by the engine", seen.restarts);
        }
        state
    }

    fn ready(&self) -> String {
        let probe = self.service.ready.describe();
        let shown = |why: &str| {
            let why = if self.show_secrets { why.into() } else { self.session.masks.text(why) };
            crate::ui::sanitise::text(&why)
        };
        let heard = self.heard.as_ref().map(|heard| (&heard.answer, heard.remark));
        match (heard, self.container) {
            (Some((Answer::Ready, None)), _) => format!("yes ({probe})"),
            (Some((Answer::Ready, Some(remark))), _) => format!("yes: {remark} ({probe})"),
            (Some((Answer::NotYet(why), _)), _) => format!("not yet: {} ({probe})", shown(why)),
            (Some((Answer::Never(why), _)), _) => format!("no, and waiting will not help: {} ({probe})", shown(why)),
            (None, Some(container))
                if (self.service.kind == Kind::Job || self.service.is_one_shot()) && container.exit_code == Some(0) =>
            {
                "done".into()
            }
            (None, Some(container)) if container.is_up() => format!("runs ({probe})"),
            (None, _) => format!("no ({probe})"),
        }
    }

    fn would_do(&self) -> String {
        if self.next.is_empty() {
            return "nothing: it matches services.toml".into();
        }
        let step = |(op, cause): &(String, Cause)| match cause {
            Cause::Follows | Cause::Replaced | Cause::Gate { .. } => op.clone(),
            cause => format!("{op} ({cause})"),
        };
        self.next.iter().map(step).collect::<Vec<_>>().join(", ")
    }
}

/// A value and where it was set; one that was not set is the kind's default.
fn with_place(text: &str, place: Option<&Place>) -> String {
    match place {
        Some(place) => format!("{text}  ({place})"),
        None => format!("{text}  (default)"),
    }
}

fn made(container: &Container) -> String {
    let at = jiff::Timestamp::from_second(container.created).map(|at| at.to_zoned(jiff::tz::TimeZone::system()));
    let at = at.map_or_else(|_| String::new(), |at| at.strftime("%Y-%m-%d %H:%M:%S %Z").to_string());
    let why = if container.cause.is_empty() { "unknown" } else { &container.cause };
    format!("{at}, because: {why}")
}
