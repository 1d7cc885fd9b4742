//! Carries a plan out and reports what happens. The only place where work is scheduled: bounded concurrency, deadlines,
//! Ctrl-C.

pub mod actual;
pub mod address;
mod apply;
mod chosen_ports;
pub(crate) mod failure;
mod hooks;
pub mod lock;
pub mod objects;
pub mod ports;
pub(crate) mod postgres;
mod postgres_data_check;
pub mod probe;
pub mod process_identity;
pub mod provision;
pub mod ready;
pub mod shutdown;
pub mod signals;
pub mod snapshot;
mod step;
pub mod stop;
pub(crate) mod stream;
pub mod views;
mod wait;

use std::time::Duration;

pub use apply::apply;
pub use lock::Lock;
pub use objects::saves as saves_objects;
pub use shutdown::Shutdown;
pub use stop::observe;
pub use wait::once;

use crate::context;
use crate::diag::Result;
use crate::engine::{Engine, How};
use crate::event::Events;
use crate::model::Stack;
use crate::plan::{self, Observed, Request};

/// The inputs and options of a run.
#[derive(Debug)]
pub struct Run<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// The stack as it should be.
    pub stack: &'a Stack,
    /// The state of the engine before the run.
    pub seen: &'a Observed,
    /// Probes services over the network.
    pub prober: probe::Prober,
    /// Its events.
    pub events: &'a Events,
    /// Whether the user has interrupted.
    pub shutdown: &'a Shutdown,
    /// Limit on all waiting for readiness together, in addition to each service's own.
    pub timeout: Option<Duration>,
    /// Start services even if one of their dependencies failed.
    pub keep_going: bool,
    /// How images are built.
    pub build: How,
    /// Time that every container has to stop; otherwise each service's own.
    pub stop_timeout: Option<Duration>,
    /// Records for the next run, in case this one is cut off.
    pub notes: lock::Notes,
}

impl<'a> Run<'a> {
    /// A run without limits of its own, which nothing comes after.
    ///
    /// # Errors
    /// When services can't be asked from here.
    pub fn new(
        engine: &'a Engine,
        stack: &'a Stack,
        seen: &'a Observed,
        events: &'a Events,
        shutdown: &'a Shutdown,
    ) -> Result<Self> {
        Ok(Self::with_prober(probe::Prober::new(probe::Limits::default())?, engine, stack, seen, events, shutdown))
    }

    /// The same, with a prober that there is already.
    pub fn with_prober(
        prober: probe::Prober,
        engine: &'a Engine,
        stack: &'a Stack,
        seen: &'a Observed,
        events: &'a Events,
        shutdown: &'a Shutdown,
    ) -> Self {
        let (build, notes) = (How::default(), lock::Notes::default());
        Self {
            engine,
            stack,
            seen,
            prober,
            events,
            shutdown,
            timeout: None,
            keep_going: false,
            build,
            stop_timeout: None,
            notes,
        }
    }
}

/// A request with what the builds of its services would be made from. Costs nothing where nothing is built.
///
/// # Errors
/// When a file of a build context can't be read.
pub async fn with_contents(stack: &Stack, request: &Request) -> Result<Request> {
    plan::refuse_unusable(stack, request)?;
    let mut request = request.clone();
    for service in plan::wanted(stack, &request) {
        let (Some(build), name) = (service.build.clone(), service.name.clone()) else { continue };
        let read = tokio::task::spawn_blocking(move || context::content(&build)).await;
        request.contents.insert(name, read.map_err(anyhow::Error::from)??);
    }
    Ok(request)
}
