//! Prepared stacks: data that was made once, and servers that begin with it. Through the library, as test runs use it.

use std::sync::Arc;

use taskava::engine::Engine;
use taskava::engine::connect::ConnectOptions;
use taskava::event::{Events, Summary};
use taskava::isolated::key::key;
use taskava::isolated::prepared::{PrepareOptions, Prepared, find, prepared};
use taskava::model::{ServiceName, Stack as Model};
use taskava::plan::{self, Request};
use taskava::resolve::prepared::select;
use taskava::run::probe::{Limits, Prober};
use taskava::run::{Run, Shutdown, apply};

use crate::clients::{POSTGRES, ask, postgres};
use crate::docker;
use crate::stack::{Stack, heavy, image, wait_until};

/// A database with an init script, a cache, and a job that fills both.
fn services() -> String {
    let scripts = "volumes = [\"./init:/docker-entrypoint-initdb.d:ro\", ";
    format!(
        r#"{}
[services.redis]
kind = "redis"
image = "image:redis"
ports = ["6379"]
volumes = ["cache:/data"]

[services.seed]
kind = "job"
image = "image:postgres"
env = {{ PGPASSWORD = "secret" }}
command = ["bash", "/job/run.sh"]
volumes = ["./job:/job:ro"]
depends_on = ["postgres", "redis"]
"#,
        POSTGRES.replace("volumes = [", scripts)
    )
}

const JOB: &str = "psql -v ON_ERROR_STOP=1 -h postgres -U app -c 'insert into seeded values (4)' app
exec 3<>/dev/tcp/redis/6379 && printf 'SET key seeded\\r\\n' >&3 && read -r answer <&3 && [ \"${answer%?}\" = +OK ]\n";

fn files(stack: &Stack) {
    stack.file("init/1.sql", "create table seeded as select generate_series(1, 3) as id;");
    stack.file("job/run.sh", JOB);
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

async fn engine() -> Engine {
    Engine::connect(&ConnectOptions::from_environment(None, None)).await.expect("an engine")
}

fn load(stack: &Stack) -> Model {
    let options = taskava::load::LoadOptions {
        files: vec![stack.path().join("services.toml")],
        ..taskava::load::LoadOptions::default()
    };
    taskava::load::stack(&options).expect("a stack").stack
}

/// The stack to bring up, its data in place.
async fn prepare(engine: &Engine, stack: &Model) -> Model {
    let (events, shutdown) = (Events::default(), Shutdown::default());
    let options = PrepareOptions { engine, stack, services: &[], timeout: None, events: &events, shutdown: &shutdown };
    match prepared(&options).await.expect("prepared") {
        Prepared::Stack(stack) => *stack,
        Prepared::Failed(summary) => panic!("{summary:?}"),
    }
}

async fn up(engine: &Engine, stack: &Model) -> Summary {
    let seen = engine.observe(stack).await.expect("seen");
    let plan = plan::up(stack, &seen, &Request::default()).expect("a plan");
    let (events, shutdown, prober) =
        (Events::default(), Shutdown::default(), Prober::new(Limits::default()).expect("one"));
    let (timeout, keep_going) = (None, false);
    let build = taskava::engine::How::default();
    let notes = taskava::run::lock::Notes::default();
    let run = Run {
        build,
        engine,
        stack,
        seen: &seen,
        prober,
        events: &events,
        shutdown: &shutdown,
        timeout,
        keep_going,
        stop_timeout: None,
        notes,
    };
    apply(&run, Arc::new(plan)).await
}

/// The images that were prepared for a test's folder go with it.
struct Images<'a>(&'a Stack);

impl Drop for Images<'_> {
    fn drop(&mut self) {
        let root = self.0.path().canonicalize().expect("a folder");
        let label = format!("dev.taskava.root={}", root.display());
        docker::remove_all(&self.0.label());
        docker::remove_images(&label);
    }
}

#[test]
fn data_is_made_once_and_each_run_begins_with_it() {
    let _turn = heavy();
    let stack = Stack::new("prepared", &services());
    files(&stack);
    let _images = Images(&stack);
    let model = load(&stack);
    let first = block_on(async { prepare(&engine().await, &model).await });
    assert!(docker::containers(&[&stack.label()]).is_empty(), "all removed");
    block_on(async {
        let engine = engine().await;
        assert!(!first.services.contains_key("seed"));

        // Found again, without making anything.
        let chosen = select(&model, &[]);
        assert_eq!(find(&engine, &model, &chosen).await.expect("asked"), Some(first.clone()));

        let summary = up(&engine, &first).await;
        assert!(summary.ok, "{summary:?}");
    });
    let mut client = postgres(stack.port("postgres", 5432));
    let rows: i64 = client.query_one("select count(*) from seeded", &[]).expect("the rows").get(0);
    assert_eq!((rows, ask(&stack.address("redis", 6379), "STRLEN key")), (4, ":6".into()));
    let log = || docker::log(&stack.container("postgres"));
    wait_until("a log", || log().contains("ready to accept connections").then_some(()));
    assert!(!log().contains("init process"), "{}", log());

    // Each run has its own.
    client.batch_execute("delete from seeded").expect("deleted");
    drop(client);
    docker::remove_all(&stack.label());
    let again = block_on(async {
        let engine = engine().await;
        up(&engine, &prepare(&engine, &model).await).await
    });
    assert!(again.ok, "{again:?}");
    let mut client = postgres(stack.port("postgres", 5432));
    let rows: i64 = client.query_one("select count(*) from seeded", &[]).expect("the rows").get(0);
    assert_eq!(rows, 4);
}

#[test]
fn what_it_was_made_from_is_its_key() {
    let stack = Stack::new("prepared-key", &services());
    files(&stack);
    let now = || {
        let model = load(&stack);
        block_on(async { key(&engine().await, &model, &select(&model, &[])).await.expect("asked") })
    };
    let first = now().expect("a key");
    assert_eq!(now().as_ref(), Some(&first));
    let mut seen = vec![Some(first)];
    let mut is_new = |what: &str| {
        let key = now();
        assert!(key.is_some() && !seen.contains(&key), "{what}");
        seen.push(key);
    };
    stack.file("init/1.sql", "create table seeded (id int);");
    is_new("an init script");
    stack.file("init/2.sql", "select 1;");
    is_new("another init script");
    stack.file("job/run.sh", "exit 0");
    is_new("what a job works with");
    stack.edit("POSTGRES_DB = \"app\"", "POSTGRES_DB = \"app\", LANG = \"C\"");
    is_new("a variable");
    let job = |image: &str| format!("kind = \"job\"\nimage = {image:?}");
    stack.edit(&job(image("image:postgres")), &job("image:busybox"));
    is_new("the image of a job");
    stack.edit("\"bash\", \"/job/run.sh\"", "\"bash\", \"-e\", \"/job/run.sh\"");
    is_new("the command of a job");

    // What is only a matter of this run is not in it.
    let key_before = now();
    stack.edit("ports = [\"6379\"]", "ports = [\"6379\", \"6380\"]");
    assert_eq!(now(), key_before);
    stack.edit(image("image:redis"), "t-no-such-image:1");
    assert_eq!(now(), None, "an image that is not there");
}

#[test]
fn what_fails_while_it_is_made_is_told_and_not_kept() {
    let _turn = heavy();
    let stack = Stack::new("prepared-bad", &services());
    files(&stack);
    stack.file("job/run.sh", "echo broken; exit 3");
    let _images = Images(&stack);
    let model = load(&stack);
    block_on(async {
        let engine = engine().await;
        let (events, shutdown) = (Events::default(), Shutdown::default());
        let options = PrepareOptions {
            engine: &engine,
            stack: &model,
            services: &[],
            timeout: None,
            events: &events,
            shutdown: &shutdown,
        };
        let Prepared::Failed(summary) = prepared(&options).await.expect("asked") else { panic!("it succeeded") };
        let seed = ServiceName::parse("seed").expect("a name");
        assert_eq!((summary.failures[0].service.as_ref(), summary.failures[0].exit_code), (Some(&seed), Some(3)));
        assert_eq!(find(&engine, &model, &select(&model, &[])).await.expect("asked"), None);
    });
}
