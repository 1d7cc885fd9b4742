//! `stats`: what the services use, live.

use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use futures_util::future::try_join_all;
use futures_util::stream::SelectAll;
use futures_util::{Stream, StreamExt as _};
use serde::Serialize;

use crate::cli::by_labels::stack_or_labels;
use crate::cli::{Context, block_until_interrupted};
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::Engine;
use crate::engine::stats::Usage;
use crate::event::VERSION;
use crate::model::{ServiceName, Stack};
use crate::ui::Format;
use crate::ui::live::Live;
use crate::ui::table::{Table, stdout_width};

/// Show resource usage of services: CPU, memory, network, disk, processes
///
/// Updated every second until Ctrl-C. CPU is in percent of one core; memory does not include the page cache.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these services
    #[arg(value_name = "SERVICE", add = super::completions::services())]
    pub services: Vec<String>,
    /// Print once and exit
    #[arg(long)]
    pub no_stream: bool,
    /// All services are listed (the default; accepted for compatibility)
    #[arg(short, long, hide = true)]
    pub all: bool,
    /// Nothing is cut off in a pipe; accepted for compatibility
    #[arg(long, hide = true)]
    pub no_trunc: bool,
    /// Print a JSON object per service and second
    #[arg(long)]
    pub json: bool,
}

/// How often it is drawn. The engine reads about as often.
const EVERY: Duration = Duration::from_secs(1);

/// A container and what it uses.
struct Row {
    service: ServiceName,
    id: String,
    usage: Option<Usage>,
}

/// What a container's stream brings: numbers, or at its end nothing.
type Sample = (String, Option<Result<Option<Usage>>>);

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_until_interrupted(show(args, context))
}

async fn show(args: &Args, context: &Context) -> Result<()> {
    let mut found = stack_or_labels(context).await?;
    let engine = found.engine(context).await?;
    let chosen = found.stack.all_named(&args.services)?;
    let stack = found.stack;
    let mut watch = Watch {
        json: args.json || context.format() == Format::Json,
        context,
        stack: &stack,
        engine: &engine,
        chosen,
        rows: Vec::new(),
        streams: SelectAll::new(),
        live: Live::default(),
    };
    if args.no_stream { watch.once().await } else { watch.follow().await }
}

struct Watch<'a> {
    json: bool,
    context: &'a Context,
    stack: &'a Stack,
    engine: &'a Engine,
    chosen: Vec<ServiceName>,
    rows: Vec<Row>,
    streams: SelectAll<Pin<Box<dyn Stream<Item = Sample> + Send>>>,
    live: Live,
}

impl Watch<'_> {
    fn wants(&self, service: &ServiceName) -> bool {
        self.chosen.is_empty() || self.chosen.contains(service)
    }

    async fn running(&self) -> Result<Vec<(String, ServiceName)>> {
        let containers = self.engine.containers(self.stack.name.as_str()).await?;
        let running = containers.into_iter().filter(|seen| seen.is_up() && self.wants(&seen.service));
        let running: Vec<_> = running.map(|seen| (seen.id, seen.service)).collect();
        if running.is_empty() {
            let message = format!("no service of {} is running; start it with: taskava dev up", self.stack.name);
            self.context.screen.note(&message);
        }
        Ok(running)
    }

    async fn once(&mut self) -> Result<()> {
        let running = self.running().await?;
        let engine = self.engine;
        let read = running.into_iter().map(async |(id, service)| {
            let usage = engine.usage_once(&id).await?;
            Ok::<_, Error>(Row { service, id, usage })
        });
        self.rows = try_join_all(read).await?;
        self.sort();
        if self.json {
            return self.rows.iter().try_for_each(|row| self.line(row));
        }
        if self.rows.is_empty() { Ok(()) } else { Ok(self.context.screen.out(&self.table())?) }
    }

    async fn follow(&mut self) -> Result<()> {
        // Before the list is read, so that no start falls between.
        let mut starts = self.engine.turns(self.stack.name.as_str(), false);
        let first = tokio::select! {
            biased;
            start = starts.next() => start,
            () = tokio::time::sleep(Duration::from_millis(1)) => None,
        };
        for (id, service) in self.running().await? {
            self.add(id, service);
        }
        if let Some(start) = first.transpose()?.filter(|start| self.wants(&start.service)) {
            self.add(start.id, start.service);
        }
        let mut tick = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                Some(sample) = self.streams.next() => self.take(sample)?,
                start = starts.next() => match start.transpose()? {
                    Some(start) if self.wants(&start.service) => self.add(start.id, start.service),
                    Some(_) => {}
                    None => return Err(Error::new(ErrorKind::Engine, "lost the connection to the engine")
                        .hint("is the engine still running? try: taskava dev ps")),
                },
                _ = tick.tick() => self.draw()?,
            }
        }
    }

    fn add(&mut self, id: String, service: ServiceName) {
        if self.rows.iter().any(|row| row.id == id) {
            return;
        }
        let (of, end) = (id.clone(), id.clone());
        let samples = self.engine.usage(&id).map(move |usage| (of.clone(), Some(usage)));
        let end = futures_util::stream::once(async move { (end, None) });
        self.streams.push(Box::pin(samples.chain(end)));
        self.rows.push(Row { service, id, usage: None });
        self.sort();
    }

    /// In the order of the file.
    fn sort(&mut self) {
        let services = &self.stack.services;
        self.rows.sort_by_key(|row| (services.get_index_of(&row.service).unwrap_or(usize::MAX), row.id.clone()));
    }

    fn take(&mut self, (id, usage): Sample) -> Result<()> {
        let Some(usage) = usage.transpose()? else {
            self.rows.retain(|row| row.id != id);
            return Ok(());
        };
        let Some(at) = self.rows.iter().position(|row| row.id == id) else { return Ok(()) };
        self.rows[at].usage = usage;
        if self.json { self.line(&self.rows[at]) } else { Ok(()) }
    }

    fn draw(&mut self) -> Result<()> {
        // Before the first numbers are there, there is nothing to show.
        if self.json || (!self.rows.is_empty() && self.rows.iter().all(|row| row.usage.is_none())) {
            return Ok(());
        }
        let table = self.table();
        Ok(self.context.screen.redraw(&mut self.live, &table)?)
    }

    fn table(&self) -> String {
        let mut table =
            Table::new(&["SERVICE", "CPU", "MEMORY", "LIMIT", "%", "NET IN/OUT", "DISK READ/WRITTEN", "PIDS"]);
        for Row { service, usage, .. } in &self.rows {
            let Some(usage) = usage else {
                table.row([service.as_str(), "-"]);
                continue;
            };
            table.row([
                service.to_string(),
                usage.cpu_percent.map_or_else(|| "-".into(), |percent| format!("{percent:.1}%")),
                bytes(usage.memory),
                bytes(usage.memory_limit),
                format!("{:.1}%", usage.memory_percent()),
                format!("{} / {}", bytes(usage.received), bytes(usage.sent)),
                format!("{} / {}", bytes(usage.read), bytes(usage.written)),
                usage.pids.to_string(),
            ]);
        }
        table.render(stdout_width(), self.context.screen.color())
    }

    /// A container that does not run has no line.
    fn line(&self, row: &Row) -> Result<()> {
        #[derive(Serialize)]
        struct Line<'a> {
            v: u32,
            ts: &'a str,
            service: &'a ServiceName,
            container: &'a str,
            cpu_percent: Option<f64>,
            memory: u64,
            memory_limit: u64,
            memory_percent: f64,
            net_received: u64,
            net_sent: u64,
            block_read: u64,
            block_written: u64,
            pids: u64,
        }
        let Some(usage) = &row.usage else { return Ok(()) };
        Ok(self.context.screen.json(&Line {
            v: VERSION,
            ts: &usage.at,
            service: &row.service,
            container: row.id.get(..12).unwrap_or(&row.id),
            cpu_percent: usage.cpu_percent.map(|percent| (percent * 100.0).round() / 100.0),
            memory: usage.memory,
            memory_limit: usage.memory_limit,
            memory_percent: (usage.memory_percent() * 100.0).round() / 100.0,
            net_received: usage.received,
            net_sent: usage.sent,
            block_read: usage.read,
            block_written: usage.written,
            pids: usage.pids,
        })?)
    }
}

/// `512 B`, `1.5 MiB`.
fn bytes(count: u64) -> String {
    let mut units = ["KiB", "MiB", "GiB", "TiB", "PiB"].into_iter();
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let mut amount = count as f64;
    let mut unit = "B";
    while amount >= 1024.0 {
        let Some(next) = units.next() else { break };
        (amount, unit) = (amount / 1024.0, next);
    }
    if unit == "B" { format!("{count} B") } else { format!("{amount:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_for_people() {
        assert_eq!([0, 1023, 1024, 1_572_864, 3 << 30].map(bytes), ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "3.0 GiB"]);
    }
}
