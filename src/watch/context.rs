//! What actions work on, and how they change the stack: through a plan like every command, under the stack's lock.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Mutex, Notify};

use crate::diag::{Error, Result};
use crate::engine::Engine;
use crate::event::{Event, Events, Summary};
use crate::masks::Masks;
use crate::model::{ServiceName, Stack};
use crate::plan::{self, Observed, Op, Plan, Request};
use crate::run::probe::{Limits, Prober};
use crate::run::{self, Lock, Run, Shutdown, objects};

/// How long an action waits while another run changes the stack.
const PATIENCE: Duration = Duration::from_secs(300);

/// What actions work on.
#[derive(Debug)]
pub(super) struct WatchContext {
    pub(super) engine: Engine,
    /// Where to tell what happens; the secrets of the stack are masked, those of an edited one too.
    pub(super) events: Events,
    /// The same with nothing masked.
    bare: Events,
    /// What `events` is at present.
    masked: Arc<RwLock<Events>>,
    stack: RefCell<Arc<Stack>>,
    prober: Prober,
    /// Who files belong to, by the container they are copied into; of the last one asked for.
    owner: RefCell<Option<(String, (u64, u64))>>,
    /// Taken once for all actions that go on at a time: each changes another service.
    lock: Mutex<Weak<Lock>>,
}

impl WatchContext {
    /// `bare`: nothing is masked yet.
    pub(super) fn new(engine: Engine, bare: Events, stack: Stack) -> Result<Self> {
        let prober = Prober::new(Limits::default())?;
        let masked = Arc::new(RwLock::new(bare.masked(Arc::new(Masks::of(&stack)))));
        let present = masked.clone();
        let events = Events::to(move |event| present.read().unwrap_or_else(PoisonError::into_inner).emit(event));
        let (stack, lock) = (RefCell::new(Arc::new(stack)), Mutex::new(Weak::new()));
        Ok(Self { engine, events, bare, masked, stack, prober, owner: RefCell::default(), lock })
    }

    /// The stack as it should be.
    pub(super) fn stack(&self) -> Arc<Stack> {
        self.stack.borrow().clone()
    }

    /// services.toml was edited.
    pub(super) fn replace(&self, stack: Stack) {
        // Actions in progress, and containers that are not recreated yet, may still refer to the previous stack.
        let before = Masks::of(&self.stack());
        let masked = self.bare.masked(Arc::new(before)).masked(Arc::new(Masks::of(&stack)));
        *self.masked.write().unwrap_or_else(PoisonError::into_inner) = masked;
        *self.stack.borrow_mut() = Arc::new(stack);
    }

    /// Who files in a container belong to. That does not change while it is there.
    pub(super) async fn owner(&self, id: &str) -> Result<(u64, u64)> {
        if let Some((_, owner)) = self.owner.borrow().as_ref().filter(|(known, _)| known == id) {
            return Ok(*owner);
        }
        let owner = self.engine.owner(id).await?;
        *self.owner.borrow_mut() = Some((id.to_owned(), owner));
        Ok(owner)
    }

    async fn lock(&self) -> Result<Rc<Lock>> {
        let mut held = self.lock.lock().await;
        if let Some(lock) = held.upgrade() {
            return Ok(lock);
        }
        let stack = self.stack();
        let (address, shutdown) = (&self.engine.about.address, Shutdown::default());
        let lock = Lock::take(address, stack.name.as_str(), "watch", PATIENCE, &self.events, &shutdown).await?;
        let lock = Rc::new(lock);
        *held = Rc::downgrade(&lock);
        Ok(lock)
    }

    /// Puts back what emulators are owed, as `up` does, so that no action begins before that is done.
    pub(super) async fn settle(&self) -> Result<()> {
        let stack = self.stack();
        let containers = self.engine.containers(stack.name.as_str()).await?;
        let services: Vec<ServiceName> = objects::owed(&self.engine, &stack, &containers).await?.into_iter().collect();
        if services.is_empty() {
            // An empty list would mean all.
            return Ok(());
        }
        let options =
            |_: &Stack, _: &Observed| Ok(Request { services, no_deps: true, start_only: true, ..Request::default() });
        match self.apply(options, || ()).await?.1.failures.into_iter().next() {
            None => Ok(()),
            Some(failed) => {
                let of = failed.service.iter().map(|name| format!("{name}: "));
                let error = Error::new(failed.kind, of.chain([failed.message]).collect::<String>());
                Err(error.hint(failed.next.unwrap_or_else(|| "finish it with: taskava dev up".into())))
            }
        }
    }

    /// Plans and carries the plan out. `worked` is called when only readiness is still waited for; others may change the
    /// stack from then on. Returns the plan, too.
    pub(super) async fn apply(
        &self,
        request: impl FnOnce(&Stack, &Observed) -> Result<Request>,
        worked: impl FnOnce(),
    ) -> Result<(Arc<Plan>, Summary)> {
        let stack = self.stack();
        let lock = self.lock().await?;
        let mut seen = run::observe(&self.engine, &stack).await?;
        seen.owed = objects::owed(&self.engine, &stack, &seen.containers).await?;
        let plan = Arc::new(plan::up(&stack, &seen, &run::with_contents(&stack, &request(&stack, &seen)?).await?)?);
        let over = Arc::new(Notify::new());
        // Leaving lets an action finish its work, and the readiness is not waited for.
        let (events, shutdown) = (self.listener(&plan, over.clone()), Shutdown::default());
        let run = Run::with_prober(self.prober.clone(), &self.engine, &stack, &seen, &events, &shutdown);
        let run = Run { notes: lock.notes(), ..run };
        let mut applying = std::pin::pin!(run::apply(&run, plan.clone()));
        tokio::select! {
            biased;
            summary = &mut applying => return Ok((plan, summary)),
            () = over.notified() => {}
        }
        drop(lock);
        worked();
        Ok((plan.clone(), applying.await))
    }

    /// Passes on what is worth saying in the middle of a log, and notices when only waiting is left.
    fn listener(&self, plan: &Arc<Plan>, over: Arc<Notify>) -> Events {
        let is_work = |op: &Op| !matches!(op, Op::WaitReady { .. });
        let left = AtomicUsize::new(plan.steps.iter().filter(|step| is_work(&step.op)).count());
        if left.load(Ordering::Relaxed) == 0 {
            over.notify_one();
        }
        let (events, plan) = (self.events.clone(), plan.clone());
        Events::to(move |event| match event {
            Event::Warning { .. }
            | Event::LockWaiting { .. }
            | Event::Notice { .. }
            | Event::ServiceStopping { .. } => events.emit(event),
            Event::StepDone { step, .. } | Event::StepFailed { step, .. } | Event::StepSkipped { step, .. }
                if is_work(&plan.step(*step).op) && left.fetch_sub(1, Ordering::Relaxed) == 1 =>
            {
                over.notify_one();
            }
            _ => {}
        })
    }
}
