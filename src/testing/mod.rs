//! Stacks for tests, from Rust: isolated, ready, and removed after the test.
//!
//! ```no_run
//! # async fn test() -> Result<(), taskava::testing::Error> {
//! use taskava::testing::Stack;
//!
//! let stack = Stack::from_file("services.toml").services(["postgres", "redis"]).start().await?;
//! let database = stack.url("postgres"); // postgres://taskava:…@127.0.0.1:32768/taskava_dev
//! # let _ = database;
//! # Ok(())
//! # }
//! ```
//!
//! Each [`Stack`] has containers, volumes and ports of its own, so tests may run side by side. It is removed when it is
//! dropped, also by a panic. One for a whole test binary is a `static`, which Rust never drops; it is removed when the
//! process ends, however it ends:
//!
//! ```no_run
//! use taskava::testing::Stack;
//! use tokio::sync::OnceCell;
//!
//! async fn stack() -> &'static Stack {
//!     static STACK: OnceCell<Stack> = OnceCell::const_new();
//!     let start = || async { Stack::from_file("services.toml").start().await.expect("the stack comes up") };
//!     STACK.get_or_init(start).await
//! }
//! ```
//!
//! `cargo nextest` runs each test in a process of its own, and a `static` is then one stack for each test.
//!
//! For tests that share a stack, [`Stack::fork_database`] gives each a database of its own. Where nothing is asynchronous,
//! [`block_on`] waits.
//!
//! Nothing is printed. With `default-features = false` nothing of the command line is compiled. Work is done on a thread
//! of its own, so it doesn't matter which runtime a test uses. A stack of a process that was killed is removed by a helper
//! process: `taskava` where one is found, else a few lines of shell that need `docker` or `curl`; and by the next stack
//! that is started, here or by `taskava dev test`, or by `taskava dev gc`. `TASKAVA_TEST_KEEP=1` leaves stacks as they are,
//! for a day.

mod database;
mod error;
mod exec;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::task::{self, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::sync::oneshot;

use database::Forks;

pub use database::Database;
pub use error::{Error, ErrorKind};
pub use exec::Output;

use crate::diag;
use crate::engine::Engine;
use crate::engine::connect::ConnectOptions;
use crate::event::Events;
use crate::gc;
use crate::isolated::{self, Isolated, janitor};
use crate::kinds;
use crate::load;
use crate::masks::Masks;
use crate::model::ServiceName;
use crate::run::{Shutdown, actual, address};

/// Options of a stack to start: created by [`Stack::from_file`].
#[derive(Debug, Clone)]
#[must_use = "nothing happens until it is started"]
pub struct Builder {
    options: load::LoadOptions,
    services: Vec<String>,
    timeout: Option<Duration>,
    from_scratch: bool,
    keep: bool,
}

impl Builder {
    /// Start only these services and their dependencies; by default, all active ones.
    pub fn services<S: Into<String>>(mut self, services: impl IntoIterator<Item = S>) -> Self {
        self.services = services.into_iter().map(Into::into).collect();
        self
    }

    /// Enable a profile.
    pub fn profile(mut self, profile: impl Into<String>) -> Self {
        self.options.profiles.push(profile.into());
        self
    }

    /// Sets a variable for `${NAME}` in services.toml, and for services that take `NAME` from the environment. It
    /// overrides a variable of the same name in the environment of the test, which is not changed, and in `.env`. A
    /// later value for a name replaces an earlier one.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.variables.insert(name.into(), value.into());
        self
    }

    /// Fail if not all services are ready within this time; by default, within each service's own timeout.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Initialise all data now, instead of starting from prepared images.
    pub fn from_scratch(mut self) -> Self {
        self.from_scratch = true;
        self
    }

    /// Keep the stack for a day instead of removing it.
    pub fn keep(mut self) -> Self {
        self.keep = true;
        self
    }

    /// Starts the stack; returns when a client can use every service.
    ///
    /// # Errors
    /// When services.toml can't be used, no engine answers, or a service does not become ready: with its last log lines
    /// and the likely reason. In that case nothing is left behind.
    pub async fn start(self) -> Result<Stack, Error> {
        on_a_thread(|| self.bring_up()).await
    }

    async fn bring_up(self) -> Result<Stack, Error> {
        if let Some(missing) = self.options.files.iter().find(|file| !file.exists()) {
            return Err(not_found(missing));
        }
        let stack = load::stack(&self.options)?.stack;
        let services = stack.all_named(&self.services)?;
        let engine = Engine::connect(&ConnectOptions::from_environment(None, None)).await?;
        let options = isolated::IsolatedOptions { services, timeout: self.timeout, from_scratch: self.from_scratch };
        let janitors = |project: &str| janitor::by_whom_there_is(&engine.about.address, project);
        let (events, shutdown) = (Events::default(), Shutdown::default());
        let start = isolated::start(&engine, stack, &options, janitors, &events, &shutdown);
        // What crashed runs left is no reason for this one to fail.
        let (_, started) = futures_util::join!(gc::sweep(&engine), start);
        let isolated = started?;
        if !isolated.is_ready() {
            // It ends up in the log of a job, which may be public.
            let (mut summary, masks) = (isolated.summary.clone().unwrap_or_default(), Masks::of(&isolated.stack));
            summary.failures.iter_mut().for_each(|failure| failure.mask(&masks));
            let error = Error::of_summary(&summary);
            isolated.remove(&engine).await?;
            return Err(error);
        }
        let (found, _) = actual::stack(&engine, &isolated.stack, &isolated.containers).await;
        let variables = kinds::variables(&found, address::published(&engine.about, &isolated.containers));
        let env = variables.into_iter().map(|variable| (variable.name, variable.value)).collect();
        Ok(Stack { engine, isolated: Some(isolated), env, keep: self.keep || is_kept(), forks: OnceLock::new() })
    }
}

/// The folder that relative paths are relative to. A test may have changed the current folder.
fn folders() -> Vec<PathBuf> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    std::env::current_dir().into_iter().chain(package).collect()
}

fn not_found(file: &Path) -> Error {
    if file.is_absolute() {
        return Error::new(ErrorKind::Usage, format!("{} doesn't exist", file.display()));
    }
    let folders: Vec<String> = folders().iter().map(|folder| folder.display().to_string()).collect();
    let text = format!("no {} in {}, nor in a folder above", file.display(), folders.join(" or "));
    Error::new(ErrorKind::Usage, text)
}

/// Whether the environment requests that stacks are kept.
fn is_kept() -> bool {
    std::env::var("TASKAVA_TEST_KEEP").is_ok_and(|value| !value.is_empty() && value != "0")
}

/// An isolated stack that is ready. Dropping it removes it.
#[derive(Debug)]
pub struct Stack {
    engine: Engine,
    /// None after it was removed.
    isolated: Option<Isolated>,
    env: BTreeMap<String, String>,
    keep: bool,
    /// The thread that copies databases.
    forks: OnceLock<Forks>,
}

impl Stack {
    /// The stack described by this services.toml. A relative path is searched in the current folder and those above, so
    /// that tests of a package find the file of its workspace; then from the folder of the package that `cargo` tests.
    pub fn from_file(file: impl Into<PathBuf>) -> Builder {
        let file: PathBuf = file.into();
        let folders = folders();
        let mut above = folders.iter().flat_map(|folder| folder.ancestors());
        let found = above.find_map(|folder| Some(folder.join(&file)).filter(|path| path.is_file()));
        let options = load::LoadOptions { files: vec![found.unwrap_or(file)], ..load::LoadOptions::default() };
        Builder { options, services: Vec::new(), timeout: None, from_scratch: false, keep: false }
    }

    /// Name of the stack on the engine: `taskava dev -p NAME logs` works on it.
    pub fn name(&self) -> &str {
        self.isolated().stack.name.as_str()
    }

    /// URL of a service, password included: `postgres://…`, `redis://…`, `http://…`.
    ///
    /// # Panics
    /// When there is no such service, or it has no URL; the message lists those that exist. [`Stack::try_url`] does not
    /// panic.
    #[track_caller]
    pub fn url(&self, service: &str) -> &str {
        self.try_url(service).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same as [`Stack::url`], with an error instead of a panic.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when there is no such service, or it has no URL; the message lists those that exist.
    pub fn try_url(&self, service: &str) -> Result<&str, Error> {
        let key = format!("{}_URL", service.to_ascii_uppercase().replace(['-', '.'], "_"));
        self.env.get(&key).map(String::as_str).ok_or_else(|| {
            let known: Vec<&str> = self.env.keys().filter_map(|name| name.strip_suffix("_URL")).collect();
            let text = format!("no URL of `{service}` ({key}); there are: {}", known.join(", "));
            Error::new(ErrorKind::Usage, text)
        })
    }

    /// The host at which published ports are reached: `127.0.0.1`, or the name or address of the machine of a remote engine.
    ///
    /// If the test itself runs in a container of the engine, each service has a different host; [`Stack::address`]
    /// always returns the right one.
    pub fn host(&self) -> &str {
        &self.engine.about.host
    }

    /// The port of [`Stack::host`] at which a client reaches a TCP port of a service: `port("postgres", 5432)` is 32768, for
    /// instance. `port` is the number inside the container, as in `ports` of services.toml.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when no such service runs; [`ErrorKind::Other`] when the port can't be reached, because services.toml does
    /// not publish it.
    pub fn port(&self, service: &str, port: u16) -> Result<u16, Error> {
        self.reach(service, port).map(|(_, port)| port)
    }

    /// Host and port at which a client reaches a TCP port of a service, as
    /// [`TcpStream::connect`](std::net::TcpStream::connect) takes them: `127.0.0.1:32768`.
    ///
    /// # Errors
    /// As [`Stack::port`].
    pub fn address(&self, service: &str, port: u16) -> Result<String, Error> {
        let (host, port) = self.reach(service, port)?;
        Ok(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
    }

    fn reach(&self, service: &str, port: u16) -> Result<(String, u16), Error> {
        self.container(service)?;
        let isolated = self.isolated();
        let service = isolated.stack.services.get(service).expect("its container is of the stack");
        let found = address::published(&self.engine.about, &isolated.containers)(service, port);
        found.ok_or_else(|| address::unreachable(service, port).into())
    }

    /// The variables through which an application finds the stack, as `taskava dev env` prints them; for
    /// [`Command::envs`](std::process::Command::envs).
    pub fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// The log of a service so far, both streams.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when no such service runs.
    pub async fn logs(&self, service: &str) -> Result<String, Error> {
        let (id, engine) = (self.container(service)?, self.engine.clone());
        on_a_thread(|| async move {
            let lines = engine.tail(&id, usize::from(u16::MAX)).await;
            Ok(lines.iter().map(|line| format!("{line}\n")).collect())
        })
        .await
    }

    /// Removes the stack and waits until that is done; dropping it does the same, but can't report a failure.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn stop(mut self) -> Result<(), Error> {
        let Some(work) = self.leave() else { return Ok(()) };
        on_a_thread(|| async { Ok(work.await?) }).await
    }

    fn container(&self, service: &str) -> Result<String, Error> {
        let isolated = self.isolated();
        let found = isolated.containers.iter().find(|seen| seen.service.as_str() == service);
        let none = || {
            // The engine lists them in an order of its own.
            let known: BTreeSet<&str> = isolated.containers.iter().map(|seen| seen.service.as_str()).collect();
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            Error::new(ErrorKind::Usage, format!("no `{service}` runs; there are: {known}"))
        };
        found.map(|seen| seen.id.clone()).ok_or_else(none)
    }

    fn isolated(&self) -> &Isolated {
        self.isolated.as_ref().expect("only leaving takes it")
    }

    /// The first PostgreSQL of the stack.
    fn postgres(&self) -> Option<&crate::model::Service> {
        let isolated = self.isolated();
        let runs = |name: &ServiceName| isolated.containers.iter().any(|seen| seen.service == *name);
        let mut services = isolated.stack.services.values();
        services.find(|service| service.kind == crate::model::Kind::Postgres && runs(&service.name))
    }

    /// What remains to be done at the end.
    fn leave(&mut self) -> Option<impl Future<Output = diag::Result<()>> + use<>> {
        let (isolated, engine, keep) = (self.isolated.take()?, self.engine.clone(), self.keep);
        Some(async move { if keep { isolated.keep(&engine).await } else { isolated.remove(&engine).await } })
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let Some(work) = self.leave() else { return };
        let thread = own_thread().spawn(move || {
            // The janitor goes on with what could not be removed.
            if let Ok(runtime) = runtime() {
                let _ = runtime.block_on(work);
            }
        });
        if let Ok(thread) = thread {
            let _ = thread.join();
        }
    }
}

/// Waits for a future of this module in code that is not asynchronous: in a plain `#[test]`, or for a
/// [`LazyLock`](std::sync::LazyLock). It needs no runtime, and may be called within one.
///
/// ```no_run
/// use std::sync::LazyLock;
/// use taskava::testing::{Stack, block_on};
///
/// static STACK: LazyLock<Stack> =
///     LazyLock::new(|| block_on(Stack::from_file("services.toml").start()).expect("the stack comes up"));
///
/// #[test]
/// fn an_order_is_stored() {
///     let database = block_on(STACK.fork_database()).expect("a copy");
/// # let _ = database;
/// }
/// ```
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    /// Wakes the thread that waits.
    struct Waiting(Thread);
    impl Wake for Waiting {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut work = std::pin::pin!(work);
    let waker = Waker::from(Arc::new(Waiting(thread::current())));
    loop {
        if let Poll::Ready(done) = work.as_mut().poll(&mut task::Context::from_waker(&waker)) {
            return done;
        }
        thread::park();
    }
}

/// A thread that starts stacks. Test programs are built without optimisation, so that futures are moved over the call
/// stack when they are created: the usual 2 MiB are not enough. Memory that is not touched is only reserved.
fn own_thread() -> thread::Builder {
    thread::Builder::new().name("taskava".into()).stack_size(16 * 1024 * 1024)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Runs work on a separate thread with its own runtime; the future is created there.
async fn on_a_thread<T: Send + 'static, F: Future<Output = Result<T, Error>>>(
    work: impl FnOnce() -> F + Send + 'static,
) -> Result<T, Error> {
    let (sender, receiver) = oneshot::channel();
    let thread = move || {
        let result = match runtime() {
            Ok(runtime) => runtime.block_on(work()),
            Err(error) => Err(Error::new(ErrorKind::Other, error.to_string())),
        };
        // The caller no longer waits: the stack is dropped, and so removed.
        drop(sender.send(result));
    };
    let spawned = own_thread().spawn(thread);
    spawned.map_err(|error| Error::new(ErrorKind::Other, format!("can't start a thread: {error}")))?;
    let gone = || Error::new(ErrorKind::Other, "the thread that did it has ended");
    receiver.await.unwrap_or_else(|_| Err(gone()))
}
