//! The actions in progress: each can be abandoned while it only waits for readiness, and reports when that begins.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::state::{Input, Target};

/// An action of a target; several of one target follow each other, so they are numbered.
type Numbered = (u64, Target);

/// Actions that go on.
#[derive(Debug)]
pub(super) struct Actions {
    number: u64,
    running: BTreeMap<Target, Running>,
    /// Each ends with whether it came to its end.
    futures: FuturesUnordered<LocalBoxFuture<'static, (Numbered, bool)>>,
    worked: UnboundedSender<Numbered>,
    have_worked: UnboundedReceiver<Numbered>,
}

#[derive(Debug)]
struct Running {
    number: u64,
    /// Only readiness is still waited for.
    settling: bool,
    /// Gives it up, when dropped or used.
    abandon: oneshot::Sender<()>,
}

impl Actions {
    pub(super) fn new() -> Self {
        let (worked, have_worked) = unbounded_channel();
        Self { number: 0, running: BTreeMap::new(), futures: FuturesUnordered::new(), worked, have_worked }
    }

    /// Starts one; it calls what it is given when only readiness is still waited for.
    pub(super) fn start(&mut self, who: Target, work: impl AsyncFnOnce(Box<dyn FnOnce()>) + 'static) {
        self.number += 1;
        let (number, tell) = (self.number, self.worked.clone());
        let (abandon, abandoned) = oneshot::channel();
        self.running.insert(who.clone(), Running { number, settling: false, abandon });
        self.futures.push(Box::pin(async move {
            let worker = who.clone();
            let worked = Box::new(move || drop(tell.send((number, worker))));
            tokio::select! {
                () = work(worked) => ((number, who), true),
                _ = abandoned => ((number, who), false),
            }
        }));
    }

    /// Gives one up.
    pub(super) fn abandon(&mut self, who: &Target) {
        if let Some(running) = self.running.remove(who) {
            // It may be over at this very moment.
            let _ = running.abandon.send(());
        }
    }

    /// Whether one is in the middle of its work.
    pub(super) fn any_at_work(&self) -> bool {
        self.running.values().any(|running| !running.settling)
    }

    /// Lets them go on until one has something to tell.
    pub(super) async fn next(&mut self) -> Input {
        loop {
            let told = tokio::select! {
                biased;
                Some(numbered) = self.have_worked.recv() => self.settles(numbered),
                Some((numbered, whole)) = self.futures.next(), if !self.futures.is_empty() => self.ends(numbered, whole),
            };
            if let Some(input) = told {
                return input;
            }
        }
    }

    fn settles(&mut self, (number, who): Numbered) -> Option<Input> {
        let running = self.running.get_mut(&who).filter(|running| running.number == number)?;
        running.settling = true;
        Some(Input::Started(who))
    }

    fn ends(&mut self, (number, who): Numbered, whole: bool) -> Option<Input> {
        if !whole || self.running.get(&who)?.number != number {
            return None;
        }
        self.running.remove(&who);
        Some(Input::Done(who))
    }
}
