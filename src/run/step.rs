//! Carries out one step of a plan with engine calls.

mod contents;
mod start;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::time::Instant;

use futures_util::future::LocalBoxFuture;
use tokio::sync::Mutex;

use super::shutdown::ShutdownLevel;
use super::stop::Stop;
use super::{Run, actual, chosen_ports, failure, objects, ports, postgres_data_check, process_identity, views, wait};
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::{Copied, Progress};
use crate::event::{self, Event};
use crate::kinds;
use crate::model::{Failure, MountSource, Service, ServiceName, Volume};
use crate::plan::{Cause, Op, Step, StepId};

/// The state of the stack's containers while a plan is carried out.
#[derive(Debug, Default)]
pub(super) struct RunState {
    /// Container of each service.
    pub(super) containers: HashMap<ServiceName, String>,
    /// Image ID of each of them.
    pub(super) images: HashMap<ServiceName, String>,
    /// Services whose pulled image is the one they already run.
    pub(super) kept: HashMap<ServiceName, bool>,
    /// Volumes that are removed without being saved first.
    pub(super) discarded: BTreeSet<String>,
    /// AWS resources that were created, changed or removed.
    pub(super) provisioned: usize,
    /// Services started by this run, in that order.
    pub(super) started: Vec<ServiceName>,
    /// For containers that had run before: the time of the last log line of that run, by the engine's clock.
    pub(super) earlier: HashMap<ServiceName, jiff::Timestamp>,
    /// Host ports that were chosen for containers.
    pub(super) chosen_ports: BTreeSet<u16>,
    /// Held while views are created: services may share one.
    pub(super) views: Rc<Mutex<()>>,
    /// Those of them whose readiness is a log line.
    pub(super) listening: HashMap<ServiceName, wait::Listening>,
    /// The last answer of each service that a step waits for.
    pub(super) answers: BTreeMap<StepId, String>,
}

/// Why a step did not succeed.
#[derive(Debug)]
pub(super) enum Ended {
    /// It failed.
    Failed(Box<Failure>),
    /// It was interrupted.
    Cancelled,
}

/// Carries a step out; `began` is when the run began.
pub(super) async fn carry_out(
    run: &Run<'_>,
    step: &Step,
    known: &RefCell<RunState>,
    began: Instant,
) -> Result<(), Ended> {
    let doing = Doing { run, step, known, service: step.op.service().and_then(|name| run.stack.services.get(name)) };
    if step.cause == Cause::IfImageChanged && doing.keeps_image().await.unwrap_or(false) && !is_start(&step.op) {
        return Ok(());
    }
    let result = match &step.op {
        Op::WaitReady { service } => return boxed(|| doing.wait_ready(&run.stack.services[service], began)).await,
        Op::Provision { service, prune } => {
            return boxed(|| doing.provision(&run.stack.services[service], *prune)).await;
        }
        Op::Pull { .. } | Op::Build { .. } => {
            tokio::select! {
                fetched = boxed(|| doing.fetch()) => fetched,
                () = run.shutdown.reached(ShutdownLevel::Stop) => return Err(Ended::Cancelled),
            }
        }
        Op::CreateNetwork { network } => match run.stack.network(network) {
            Some(network) => run.engine.create_network(run.stack, network).await,
            None => Err(unknown(network)),
        },
        Op::CreateVolume { volume, place } => {
            // One that is not in services.toml comes back from a snapshot.
            let bare = Volume { name: volume.clone(), ..Volume::default() };
            let volume = run.stack.volume(volume).unwrap_or(&bare);
            run.engine.create_volume(run.stack, volume, place.as_ref()).await
        }
        Op::FillVolume { volume, image, .. } => {
            tokio::select! {
                filled = boxed(|| run.engine.fill_volume(run.stack, volume, image)) => filled,
                () = run.shutdown.reached(ShutdownLevel::Kill) => return Err(Ended::Cancelled),
            }
        }
        Op::SaveVolume { volume, snapshot, services, set, incomplete } => {
            let what = Copied { volume, snapshot, services, set, incomplete: incomplete.as_deref() };
            tokio::select! {
                saved = boxed(|| doing.save_volume(&what)) => saved,
                () = run.shutdown.reached(ShutdownLevel::Kill) => return Err(Ended::Cancelled),
            }
        }
        Op::Begin { intent } => run.engine.begin(run.stack, intent).await,
        Op::Finish { intent } => run.engine.finish(run.stack, intent).await,
        Op::RemoveHelper { helper, .. } => doing.remove_helper(helper).await,
        Op::PutBack { service } => return boxed(|| doing.finish_putting_back(&run.stack.services[service])).await,
        Op::Create { service } => boxed(|| doing.create(&run.stack.services[service])).await,
        Op::CheckData { service, volume } => boxed(|| doing.check_data(&run.stack.services[service], volume)).await,
        Op::Start { service } => {
            let service = &run.stack.services[service];
            match boxed(|| doing.start(service)).await {
                Ok(()) => return boxed(|| doing.post_start_hooks(service)).await,
                failed => failed,
            }
        }
        Op::Stop { service, container } => boxed(|| doing.stop(service, container)).await,
        Op::Remove { service, container } => boxed(|| doing.remove(service, container)).await,
        Op::RemoveNetwork { network } => run.engine.remove_network(run.stack, network).await,
        // A copy that goes on in the engine without its client is waited for.
        Op::RemoveVolume { volume, intent } => {
            tokio::select! {
                removed = boxed(|| run.engine.remove_volume(run.stack, volume, intent.as_ref())) => removed,
                () = run.shutdown.reached(ShutdownLevel::Kill) => return Err(Ended::Cancelled),
            }
        }
    };
    match result {
        Ok(()) => Ok(()),
        Err(error) => Err(Ended::Failed(Box::new(boxed(|| doing.failure(&error)).await))),
    }
}

/// A future on the heap, created in a separate frame: all of them in one frame would be too much for the call stack of
/// a test's thread, in a build without optimisation.
fn boxed<'a, T, F: Future<Output = T> + 'a>(make: impl FnOnce() -> F) -> LocalBoxFuture<'a, T> {
    Box::pin(make())
}

/// The error for a plan of another stack.
fn unknown(name: &str) -> Error {
    Error::new(ErrorKind::Other, format_args!("{name} is not part of this stack"))
}

fn is_missing_network(error: &Error) -> bool {
    let text = error.to_string();
    text.contains("network ") && text.contains("not found")
}

fn is_start(op: &Op) -> bool {
    matches!(op, Op::Start { .. })
}

/// Folders that mounts ask for. Where that is not possible, or the engine is on another machine, it creates them itself, as
/// its own user.
fn create_folders(service: &Service) {
    for mount in service.mounts.iter().filter(|mount| mount.options.create) {
        if let MountSource::Bind(path) | MountSource::View { of: path, .. } = &mount.source {
            let _ = std::fs::create_dir_all(path);
        }
    }
}

struct Doing<'a> {
    run: &'a Run<'a>,
    step: &'a Step,
    known: &'a RefCell<RunState>,
    service: Option<&'a Service>,
}

impl Doing<'_> {
    fn container(&self, service: &ServiceName) -> Result<String> {
        let found = self.known.borrow().containers.get(service).cloned();
        found.ok_or_else(|| Error::new(ErrorKind::Other, format_args!("{service} has no container")))
    }

    /// Whether the pulled image is the one that the container already runs.
    async fn keeps_image(&self) -> Result<bool> {
        let Some(service) = self.service else { return Ok(false) };
        if let Some(kept) = self.known.borrow().kept.get(&service.name) {
            return Ok(*kept);
        }
        let before = self.known.borrow().images.get(&service.name).cloned();
        let now = self.run.engine.image(&service.image).await?.map(|image| image.id);
        let kept = before.is_some() && before == now;
        self.known.borrow_mut().kept.insert(service.name.clone(), kept);
        Ok(kept)
    }

    async fn fetch(&self) -> Result<()> {
        let mut tell = |progress: Progress| {
            let Progress { layer, text, current, total } = progress;
            self.run.events.emit(&Event::StepProgress { step: self.step.id, layer, text, current, total });
        };
        match &self.step.op {
            Op::Pull { image, pinned, .. } => {
                let platform = self.service.and_then(|service| service.platform.as_deref());
                self.run.engine.pull(image, pinned.as_deref(), platform, &mut tell).await
            }
            Op::Build { image, .. } => {
                // It may be the image of another service too.
                let Some(builder) = self.run.stack.builder(image) else { return Err(unknown(image)) };
                if let Some(message) = self.run.engine.build(builder, self.run.build.clone(), &mut tell).await? {
                    self.run.events.emit(&Event::Notice { message });
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn create(&self, service: &Service) -> Result<()> {
        let image = self.run.engine.image(&service.image).await?;
        if let Some(why) = image.as_ref().and_then(|image| kinds::refuse(service, &image.env)) {
            return Err(Error::new(ErrorKind::Usage, why));
        }
        let declared = image.map(|image| image.volumes).unwrap_or_default();
        let (engine, stack, cause) = (self.run.engine, self.run.stack, self.step.cause.to_string());
        let turn = self.known.borrow().views.clone();
        create_folders(service);
        let viewing = views::settle(engine, stack, service, self.run.events, &turn).await?;
        let service = viewing.as_ref().unwrap_or(service);
        let service = &chosen_ports::choose(self.run, service, &mut self.known.borrow_mut().chosen_ports);
        let mut created = engine.create(stack, service, &declared, &cause).await;
        if created.as_ref().is_err_and(is_missing_network) {
            // Removed since it was looked at.
            for network in service.networks.iter().map(|short| &stack.networks[short]).filter(|seen| !seen.external) {
                engine.create_network(stack, network).await?;
            }
            created = engine.create(stack, service, &declared, &cause).await;
        }
        let (id, warnings) = created?;
        for message in warnings {
            self.run.events.emit(&Event::Warning { message: format!("{}: {message}", service.name), hint: None });
        }
        self.known.borrow_mut().containers.insert(service.name.clone(), id);
        Ok(())
    }

    async fn remove(&self, service: &ServiceName, container: &str) -> Result<()> {
        let engine = self.run.engine;
        if matches!(self.step.cause, Cause::OneOff { .. }) {
            return engine.remove(container, service).await;
        }
        let claims = self.step.cause != Cause::Duplicate;
        for volume in engine.remove_service(self.run.stack, service, container, claims).await? {
            self.run.events.emit(&Event::Warning {
                message: format!("{service}: data of a removed container is still in volume {volume}"),
                hint: Some(format!("remove it with: docker volume rm {volume}")),
            });
        }
        Ok(())
    }

    async fn save_volume(&self, what: &Copied<'_>) -> Result<()> {
        let saved = self.run.engine.save_volume(self.run.stack, what, &process_identity::machine()).await?;
        let Copied { volume, snapshot, .. } = what;
        let message = match saved {
            Some(size) if self.step.cause == Cause::BeforeLoss => {
                format!(
                    "{volume}: {} saved; restore it with: taskava dev snapshot restore {snapshot}",
                    event::size(size)
                )
            }
            // What the step says is enough; the list has the size.
            Some(_) => return Ok(()),
            None => format!("{volume} is empty: nothing to save"),
        };
        self.run.events.emit(&Event::Notice { message });
        Ok(())
    }

    async fn check_data(&self, service: &Service, volume: &str) -> Result<()> {
        let id = self.container(&service.name)?;
        match postgres_data_check::discard_half_booted(self.run, service, &id, volume).await? {
            true => self.create(service).await,
            false => Ok(()),
        }
    }

    /// A running service is kept if the port that its successor needs is in use.
    async fn check_ports(&self) -> Result<()> {
        let (Some(service), Cause::ConfigChanged { fields }) = (self.service, &self.step.cause) else { return Ok(()) };
        if !fields.iter().any(|field| field == "ports") {
            return Ok(());
        }
        // Services of one stack may change their ports with each other.
        let held: Vec<_> = self.run.seen.containers.iter().flat_map(|seen| seen.ports.iter().copied()).collect();
        match ports::unavailable(self.run.engine, service, &held) {
            Some(port) => {
                let message = format!("can't move {} to port {port}: it is in use", service.name);
                Err(self.port_taken(service, Error::new(ErrorKind::Port, message)).await)
            }
            None => Ok(()),
        }
    }

    async fn stop(&self, name: &ServiceName, container: &str) -> Result<()> {
        self.check_ports().await?;
        // What a container of `run` runs is not what hooks are about.
        let stop = Stop { hooks: !matches!(self.step.cause, Cause::OneOff { .. }), ..Stop::of(self.run) };
        let discarded = |service: &Service| {
            objects::is_discarded(self.run.stack, self.run.seen, service, &self.known.borrow().discarded)
        };
        // Where an earlier run has sent the signal, it has saved them before.
        let saves = self.run.shutdown.hurry() < ShutdownLevel::Kill && !stop.is_under_way(self.run.seen, container);
        if let Some(service) = self.service.filter(|service| saves && !discarded(service)) {
            tokio::select! {
                saved = objects::save(self.run, self.step, service, container) => saved?,
                () = self.run.shutdown.reached(ShutdownLevel::Kill) => {}
            }
        }
        stop.stop(container, name, self.service).await
    }

    async fn wait_ready(&self, service: &Service, began: Instant) -> Result<(), Ended> {
        let id = match self.container(&service.name) {
            Ok(id) => id,
            Err(error) => return Err(Ended::Failed(Box::new(failure::of_error(Some(service), &error)))),
        };
        let tell = |text: String| {
            self.known.borrow_mut().answers.insert(self.step.id, text.clone());
            let (layer, current, total) = (None, None, None);
            self.run.events.emit(&Event::StepProgress { step: self.step.id, layer, text, current, total });
        };
        let fresh = self.known.borrow().started.contains(&service.name);
        let listening = self.known.borrow_mut().listening.remove(&service.name);
        let service = &actual::read(self.run.engine, service, &id).await;
        tokio::select! {
            ready = wait::ready(self.run, service, &id, (fresh, listening), began, &tell) => match ready {
                Ok(()) => match self.put_back(service, &id, fresh).await {
                    Ok(()) => self.ready_hooks(service, &id).await,
                    Err(error) => Err(Ended::Failed(Box::new(self.failure(&error).await))),
                },
                Err(mut failed) => {
                    self.explain(service, Some(&id), &mut failed).await;
                    failed.mask(&actual::masks(self.run.stack, service));
                    Err(Ended::Failed(failed))
                }
            },
            () = self.run.shutdown.reached(ShutdownLevel::Stop) => Err(Ended::Cancelled),
        }
    }

    async fn remove_helper(&self, name: &str) -> Result<()> {
        match self.run.seen.helpers.iter().find(|helper| helper.name == name) {
            Some(helper) => self.run.engine.remove_helper(helper).await,
            None => Ok(()),
        }
    }

    /// Adds the container's state and log of this run.
    async fn explain(&self, service: &Service, id: Option<&str>, failed: &mut Failure) {
        let earlier = self.known.borrow().earlier.get(&service.name).copied();
        failure::explain(self.run.engine, self.run.stack, service, id, earlier, failed).await;
    }

    async fn failure(&self, error: &Error) -> Failure {
        let mut failed = failure::of_error(self.service, error);
        if let Some(service) = self.service {
            match self.step.op {
                Op::Start { .. } if error.kind == ErrorKind::Crashed => {
                    let id = self.container(&service.name).ok();
                    self.explain(service, id.as_deref(), &mut failed).await;
                }
                Op::Pull { .. } | Op::Create { .. } | Op::Start { .. } => {
                    kinds::explain(self.run.stack, service, &mut failed);
                }
                _ => {}
            }
        }
        if failed.next.is_none() {
            failed.next = self.service.map(|service| format!("taskava dev explain {}", service.name));
        }
        failed
    }
}
