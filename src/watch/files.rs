//! A thread that reads files, so that reading them blocks nothing else. Results arrive in the order of the requests.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::filter::Filter;
use super::source::{FsEvent, Source, Trouble};
use super::tree::{Changed, Tree, Trust};

/// A question.
#[derive(Debug)]
pub(super) enum Job {
    /// Which of these changed?
    Look(Vec<PathBuf>),
    /// What changed?
    Rescan(Trust),
    /// What changed, and go by these rules from now on.
    Follow(Arc<Filter>),
}

/// What was found.
#[derive(Debug)]
pub(super) struct Answer {
    /// When what was looked at was touched first, as it was given with the question.
    pub(super) since: Duration,
    /// The changes.
    pub(super) changes: Vec<Changed>,
    /// Links that lead to where nothing is watched, as far as they are new.
    pub(super) leading_out: Vec<PathBuf>,
    /// Number of folders and of files that are watched.
    pub(super) size: (usize, usize),
    /// Why files have to be looked for again and again, if they have to.
    pub(super) trouble: Option<Trouble>,
    /// How long it took to look.
    pub(super) took: Duration,
}

/// Where questions go. The thread ends with it.
#[derive(Debug)]
pub(super) struct Files {
    jobs: mpsc::Sender<(Duration, Job)>,
}

impl Files {
    /// Begins to watch. The first answer comes when everything was looked at once.
    pub(super) fn start(
        filter: Arc<Filter>,
        poll: bool,
    ) -> std::io::Result<(Self, UnboundedReceiver<Answer>, UnboundedReceiver<FsEvent>)> {
        let (jobs, asked) = mpsc::channel();
        let (answer, answers) = unbounded_channel();
        let (tell, told) = unbounded_channel();
        std::thread::Builder::new().name("files".into()).spawn(move || serve(filter, poll, tell, &asked, &answer))?;
        Ok((Self { jobs }, answers, told))
    }

    /// Asks.
    pub(super) fn ask(&self, since: Duration, job: Job) {
        // The thread lives as long as this does.
        let _ = self.jobs.send((since, job));
    }
}

fn serve(
    filter: Arc<Filter>,
    poll: bool,
    tell: UnboundedSender<FsEvent>,
    jobs: &mpsc::Receiver<(Duration, Job)>,
    answers: &UnboundedSender<Answer>,
) {
    let began = Instant::now();
    let source = Source::new(poll, filter.roots(), tell);
    let mut tree = Tree::new(filter, source);
    let is_unheard = |tree: &mut Tree, since, changes, began: Instant| {
        let (size, trouble, leading_out) = (tree.size(), tree.trouble().cloned(), tree.take_leading_out());
        answers.send(Answer { since, changes, leading_out, size, trouble, took: began.elapsed() }).is_err()
    };
    if is_unheard(&mut tree, Duration::ZERO, Vec::new(), began) {
        return;
    }
    while let Ok((since, job)) = jobs.recv() {
        let began = Instant::now();
        let changes = match job {
            Job::Look(paths) => tree.look(&paths),
            Job::Rescan(trust) => tree.rescan(trust),
            Job::Follow(filter) => tree.follow(filter),
        };
        if is_unheard(&mut tree, since, changes, began) {
            return;
        }
    }
}
