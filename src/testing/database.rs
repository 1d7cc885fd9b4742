//! A separate database for each test, inside the stack's PostgreSQL: a copy that is created in milliseconds.
//!
//! `database` creates the copies. This module calls it: one thread per stack, with one login, which creates the next
//! copies while no test waits for one.

use std::thread;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender, error::TryRecvError};
use tokio::sync::oneshot;

use super::{Error, ErrorKind, Stack, runtime};
use crate::database::{ForkOptions, InUse, Server};
use crate::diag;
use crate::engine::Engine;
use crate::model::{CopyName, Service};
use crate::plan::observed::Container;

/// Number of copies created in advance.
const READY: usize = 4;

/// PostgreSQL's limit.
const LONGEST_NAME: usize = 63;

/// A copy of the stack's database. It is removed with the stack, or earlier by [`Stack::drop_database`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Its name, which contains the name of the source and, if known, that of the test that requested it:
    /// `shop_fork_1_an_order_is_stored`.
    pub name: String,
    /// Its URL, password included.
    pub url: String,
}

impl Stack {
    /// Copies the database of the stack's first PostgreSQL, in milliseconds.
    ///
    /// The first call copies its current state, even while clients are connected to it; later calls return copies of
    /// that state. So prepare it, then fork. After [`Stack::refresh_forks`], the next call copies the state at that
    /// time.
    ///
    /// # Errors
    /// When there is no PostgreSQL, or it refuses.
    pub async fn fork_database(&self) -> Result<Database, Error> {
        let test = thread::current().name().map(test_in).unwrap_or_default();
        self.ask_forks(|answer| Wish::Fork(test, answer)).await
    }

    /// Drops a copy, even while clients are connected to it.
    ///
    /// # Errors
    /// When it no longer exists.
    pub async fn drop_database(&self, database: Database) -> Result<(), Error> {
        self.ask_forks(|answer| Wish::Drop(database.name, answer)).await
    }

    /// To call after changing the database on purpose: forks created from now on are copies of its current state.
    ///
    /// # Errors
    /// When there is no PostgreSQL, or it refuses.
    pub async fn refresh_forks(&self) -> Result<(), Error> {
        self.ask_forks(Wish::Refresh).await
    }

    async fn ask_forks<T>(&self, wish: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Wish) -> Result<T, Error> {
        let (sender, receiver) = oneshot::channel();
        let gone = || Error::new(ErrorKind::Other, "the thread that copies databases has ended");
        self.forks()?.0.send(wish(sender)).map_err(|_| gone())?;
        receiver.await.map_err(|_| gone())?
    }

    /// The thread that makes the copies; it exists from the first one on.
    fn forks(&self) -> Result<&Forks, Error> {
        if let Some(forks) = self.forks.get() {
            return Ok(forks);
        }
        let none = || Error::new(ErrorKind::Usage, "the stack has no PostgreSQL to fork a database of");
        let service = self.postgres().ok_or_else(none)?.clone();
        let containers = &self.isolated().containers;
        let container = containers.iter().find(|seen| seen.service == service.name).ok_or_else(none)?.clone();
        let place = Place { engine: self.engine.clone(), service, container };
        // Of two that are first, one starts it and the other waits for that.
        Ok(self.forks.get_or_init(|| Forks::start(place)))
    }
}

/// The thread that makes copies of a stack's database. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Forks(UnboundedSender<Wish>);

#[derive(Debug)]
enum Wish {
    /// A copy, for a test of this name.
    Fork(String, oneshot::Sender<Result<Database, Error>>),
    /// A copy is no longer needed.
    Drop(String, oneshot::Sender<Result<(), Error>>),
    /// The database changed.
    Refresh(oneshot::Sender<Result<(), Error>>),
}

/// Where the server is.
#[derive(Debug)]
struct Place {
    engine: Engine,
    service: Service,
    container: Container,
}

impl Forks {
    fn start(place: Place) -> Self {
        let (sender, wishes) = mpsc::unbounded_channel();
        let work = move || {
            if let Ok(runtime) = runtime() {
                runtime.block_on(Worker { place, server: None, made: 0, full: true }.work(wishes));
            }
        };
        // Without a thread there is no answer, which callers report.
        drop(thread::Builder::new().name("taskava databases".into()).spawn(work));
        Self(sender)
    }
}

struct Worker {
    place: Place,
    /// The connection; logged in on the first request.
    server: Option<Server>,
    /// How many forks were made.
    made: usize,
    /// As many are ready as should be.
    full: bool,
}

impl Worker {
    /// Handles requests; copies are created in advance while there are none.
    async fn work(mut self, mut wishes: UnboundedReceiver<Wish>) {
        loop {
            let wish = match wishes.try_recv() {
                Err(TryRecvError::Empty) if self.full => wishes.recv().await,
                Err(TryRecvError::Empty) => {
                    // Where that fails, the next fork reports why.
                    let made = self.with_server(async |server| server.fill_one(None).await).await;
                    self.full = !made.unwrap_or(false);
                    continue;
                }
                wish => wish.ok(),
            };
            // The requester may have ended by then.
            match wish {
                None => return,
                Some(Wish::Fork(test, answer)) => drop(answer.send(self.fork(&test).await.map_err(Error::from))),
                Some(Wish::Drop(name, answer)) => {
                    let dropped = self.with_server(async |server| server.drop(std::slice::from_ref(&name)).await).await;
                    drop(answer.send(dropped.map_err(Error::from)));
                }
                Some(Wish::Refresh(answer)) => {
                    let refreshed = self.with_server(async |server| server.refresh(None).await).await;
                    drop(answer.send(refreshed.map_err(Error::from)));
                }
            }
        }
    }

    async fn fork(&mut self, test: &str) -> diag::Result<Database> {
        self.made += 1;
        let made = self.made;
        let options = ForkOptions { pool: Some(READY), in_use: InUse::Dump, ..ForkOptions::default() };
        let fork =
            self.with_server(async |server| server.fork(&fork_name(server.database(), made, test), &options).await);
        let fork = fork.await?;
        self.full = fork.ready.0 >= fork.ready.1;
        Ok(Database { name: fork.database, url: fork.url })
    }

    /// Runs something on the server. The connection is kept; the server may have been restarted since it was opened.
    async fn with_server<T>(&mut self, work: impl AsyncFn(&mut Server) -> diag::Result<T>) -> diag::Result<T> {
        if let Some(server) = &mut self.server {
            match work(server).await {
                Err(_) if server.is_gone() => self.server = None,
                ended => return ended,
            }
        }
        let Place { engine, service, container } = &self.place;
        let mut server = Server::connect(engine, service, container).await?;
        let done = work(&mut server).await;
        self.server = Some(server);
        done
    }
}

/// The test that a thread of this name runs: `cargo test` names threads after the tests that run in them.
fn test_in(thread: &str) -> String {
    let test = thread.rsplit("::").next().unwrap_or_default();
    if matches!(test, "main" | "taskava") || test.starts_with("tokio-") { String::new() } else { test.to_owned() }
}

/// The name of the copy of a database with this number.
fn fork_name(from: &str, number: usize, test: &str) -> CopyName {
    let allowed = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '_' };
    let words = format!("{from}_fork_{number}_{test}").to_ascii_lowercase();
    let name: String = words.chars().map(allowed).take(LONGEST_NAME).collect();
    let name = name.trim_matches('_');
    CopyName::parse(name).expect("letters, digits and `_`, and the first is none of those")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_it_is_a_copy_of_and_for_which_test() {
        let name = |from, thread| fork_name(from, 3, &test_in(thread)).to_string();
        assert_eq!(name("shop", "orders::tests::an_order"), "shop_fork_3_an_order");
        assert_eq!(name("_Shop-é", "main"), "shop___fork_3");
        assert_eq!(name("shop", "tokio-runtime-worker"), "shop_fork_3");
        let long = name("shop", &"x".repeat(80));
        assert_eq!((long.len(), &long[..14]), (63, "shop_fork_3_xx"));
    }
}
