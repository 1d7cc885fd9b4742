//! The tables of services.toml: the one place where a key is declared.

use std::time::Duration;

use super::aws::Aws;
use super::decode::{Decode, Map, Reader, Spanned, SpannedRaw, table};
use super::describe::Shape;
use super::forms::{Cpus, DependsOn, OneOrMany, Pairs, Scalar, Size, UlimitSpec, Words};
use super::mounts::MountSpec;
use super::node::{Node, Value};
use super::ports::Ports;
use crate::model::options::ContainerOptions;
use crate::model::{Kind, PullPolicy, RestartPolicy, WatchAction};

table! {
    /// What stands at the top of services.toml.
    Config "Top level" {
        /// Name of the stack: prefix of its containers, networks and volumes.
        project: Option<Spanned<String>>, default "name of the folder", example r#"project = "taskava""#;
        /// The services, by name. The name is the host name under which the other services reach it.
        services: Map<Service>, default "", example "[services.postgres]\nkind = \"postgres\"";
        /// Named volumes that need more than a name. Others need no declaration.
        volumes: Map<Volume>, default "", example "[volumes.shared]\nexternal = true";
        /// Networks besides `default`.
        networks: Map<Network>, default "", example "[networks.backend]\ninternal = true";
        /// Variables for every service that does not set them itself. `${…}` can refer to them too, after the environment and `.env`.
        env: Pairs, default "", example "[env]\nAWS_REGION = \"eu-central-1\"";
        /// AWS resources that are made in the emulator.
        aws: Option<SpannedRaw<Aws>>, default "", example "[aws.buckets.uploads]\nversioning = true";
        /// Paths outside the folder of services.toml that services may use.
        allow_outside: Vec<Spanned<String>>, default "none", example r#"allow_outside = ["~/.aws"]"#;
    }
}

table! {
    /// One service.
    Service "Services" {
        /// What it is: decides how readiness is tested and which defaults hold.
        kind: Option<Spanned<Kind>>, default "generic", example r#"kind = "postgres""#;
        /// Image to run. With `build`, the name the result gets.
        image: Option<Spanned<String>>, default "the kind's own", example r#"image = "postgres:15-alpine""#;
        /// Builds the image: the folder with the Dockerfile, or a table.
        build: Option<Spanned<Build>>, default "not built", example r#"build = "docker/migrate""#;
        /// When to pull the image.
        pull: Option<PullPolicy>, default "missing", example r#"pull = "always""#;
        /// Platform of the image.
        platform: Option<Spanned<String>>, default "the engine's own", example r#"platform = "linux/amd64""#;
        /// Replaces the image's command: a command line (no shell is involved) or the list of its words.
        command: Option<Spanned<Words>>, default "the image's own", example r#"command = "redis-server --appendonly yes""#;
        /// Replaces the image's entrypoint.
        entrypoint: Option<Words>, default "the image's own", example r#"entrypoint = ["/docker-entrypoint.sh"]"#;
        /// Published ports: `[address:][host:]container[/protocol]`, ranges too. Bound to 127.0.0.1 unless an address is written; without a host port the engine chooses one.
        ports: Vec<Spanned<Ports>>, default "none", example r#"ports = ["5432:5432", "0.0.0.0:8080:80", 9000]"#;
        /// Environment variables.
        env: Pairs, default "", example r#"env = { POSTGRES_PASSWORD = "${POSTGRES_PASSWORD:-taskava}" }"#;
        /// Files of `NAME=value` lines; `env` wins over them, later files over earlier ones.
        env_file: OneOrMany<Spanned<String>>, default "none", example r#"env_file = ["docker/api.env"]"#;
        /// Volumes and bind mounts: `source:target[:ro]`. A source that begins with `.`, `/` or `~` is a path.
        volumes: Vec<Spanned<MountSpec>>, default "none", example r#"volumes = ["postgres-data:/var/lib/postgresql/data", "./init:/init:ro"]"#;
        /// Memory file systems: `target[:options]`.
        tmpfs: OneOrMany<Spanned<String>>, default "none", example r#"tmpfs = ["/tmp:size=64m"]"#;
        /// What must be ready before it starts; `started` where running is enough.
        depends_on: DependsOn, default "nothing", example r#"depends_on = { postgres = "ready", mail = "started" }"#;
        /// When it counts as ready.
        ready: Option<Spanned<ReadySpec>>, default "as its kind defines", example r#"ready = { http = "http://:8080/health" }"#;
        /// Profiles it belongs to; it is left out unless one of them is active or an active service needs it.
        profiles: Vec<Spanned<String>>, default "always active", example r#"profiles = ["app"]"#;
        /// What happens when files change, while `up --watch` or `watch` runs.
        watch: Vec<Spanned<WatchSpec>>, default "nothing", example r#"watch = [{ path = "src", action = "restart" }]"#;
        /// Commands run inside when it has become ready, each time it was started; one that fails is a failure of the service.
        hooks: Option<Hooks>, default "none", example r#"hooks = { ready = ["psql -f /seed.sql"] }"#;
        /// Variables that `env` prints for the application, instead of the kind's own. `${host}`, `${port}` (of the first port) and `${port.5432}` are filled in.
        exports: Map<Spanned<String>>, default "the kind's own", example r#"exports = { SEARCH_URL = "http://${host}:${port.9200}" }"#;
        /// `user[:group]` to run as.
        user: Option<Spanned<Scalar>>, default "the image's own", example r#"user = "1000:1000""#;
        /// Working directory inside.
        working_dir: Option<Spanned<String>>, default "the image's own", example r#"working_dir = "/app""#;
        /// Host name inside.
        hostname: Option<Spanned<String>>, default "chosen by the engine", example r#"hostname = "db""#;
        /// Networks it joins.
        networks: Vec<Spanned<String>>, default r#"["default"]"#, example r#"networks = ["default", "backend"]"#;
        /// Labels of the container.
        labels: Pairs, default "none", example r#"labels = { team = "core" }"#;
        /// Resource limits by name, as one number or as soft and hard.
        ulimits: Map<UlimitSpec>, default "the engine's own", example "ulimits = { nofile = 65536 }";
        /// Lines for /etc/hosts, as a table or a list of `"host:address"`.
        extra_hosts: Option<Spanned<Hosts>>, default "none", example r#"extra_hosts = { "host.docker.internal" = "host-gateway" }"#;
        /// Signal that asks it to stop.
        stop_signal: Option<Spanned<String>>, default "the image's own", example r#"stop_signal = "SIGINT""#;
        /// Time to stop by itself before it is killed. A server with data (PostgreSQL, Redis, LocalStack, MiniStack) has 60 seconds, and up to 5 minutes while it is visibly at work; what is written here holds exactly.
        stop_timeout: Option<Duration>, default "the kind's own (10s or 60s)", example r#"stop_timeout = "30s""#;
        /// What the engine does when it exits.
        restart: Option<Spanned<RestartPolicy>>, default "no", example r#"restart = "unless-stopped""#;
        /// Limits on memory and CPU.
        resources: Option<Resources>, default "none", example r#"resources = { memory = "512m", cpus = 1.5 }"#;
        /// Bound on its logs.
        logging: Option<Logging>, default "3 files of 10m", example r#"logging = { max_size = "50m", max_files = 2 }"#;
        ..
        /// What the engine takes as it is written.
        options: ContainerOptions;
    }
}

table! {
    /// How an image is built.
    BuildSpec "Build" {
        /// Folder that is sent to the builder.
        context: Option<String>, default ".", example r#"context = ".""#;
        /// Dockerfile, relative to the context.
        dockerfile: Option<String>, default "Dockerfile", example r#"dockerfile = "docker/api/Dockerfile""#;
        /// Stage to build.
        target: Option<String>, default "the last one", example r#"target = "dev""#;
        /// Build arguments.
        args: Pairs, default "none", example r#"args = { VERSION = "1.2" }"#;
        /// Images whose layers may be reused.
        cache_from: OneOrMany<String>, default "none", example r#"cache_from = ["registry.example/api:cache"]"#;
        /// Secrets for the build, by id: the file each comes from.
        secrets: Map<String>, default "none", example r#"secrets = { npmrc = ".npmrc" }"#;
    }
}

/// `build` in either form.
#[derive(Debug, Clone, Default)]
pub struct Build(pub BuildSpec);

impl Decode for Build {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::String(context) => Some(Self(BuildSpec { context: Some(context.clone()), ..BuildSpec::default() })),
            Value::Table(_) => BuildSpec::decode(node, reader).map(Self),
            _ => {
                reader.wrong::<Self>(node);
                None
            }
        }
    }
    fn shape() -> Shape {
        Shape::Any(vec![Shape::Text("a folder"), BuildSpec::shape()])
    }
}

table! {
    /// When a service counts as ready. At most one test; without one the kind's own is used. Each question has a limit: 1 s over the network, 5 s for a command inside or a HEALTHCHECK (its own timeout, if that is longer). What gives no answer in that time is ended and asked again, with twice the time.
    ReadySpec "Ready" {
        /// `GET` answers with a status below 400. The port is the one inside the container.
        http: Option<Spanned<String>>, default "", example r#"http = "http://:8080/health""#;
        /// The ports inside accept connections and keep them open; `true` = all published ones.
        tcp: Option<Spanned<TcpTest>>, default "", example "tcp = 6379";
        /// A line that it has written since its last start matches a regular expression, as it was written or without its colours. `^` and `$` are the line's ends. Lines above 64 KiB are looked at in pieces of that length. What still runs when its line was dropped from the log (`logging`) stays ready.
        log: Option<Spanned<String>>, default "", example r#"log = "listening on .*:8080""#;
        /// A command inside exits with 0. One that does not answer in time is killed, with what it started, where the image has a shell.
        exec: Option<Spanned<Words>>, default "", example r#"exec = "pg_isready -q""#;
        /// A PostgreSQL handshake and login succeed.
        postgres: Option<Spanned<PortTest>>, default "", example "postgres = 5432";
        /// Redis answers `PING`.
        redis: Option<Spanned<PortTest>>, default "", example "redis = true";
        /// SMTP greets with 220.
        smtp: Option<Spanned<PortTest>>, default "", example "smtp = 1025";
        /// The image's own HEALTHCHECK says healthy.
        engine: Option<Spanned<bool>>, default "", example "engine = true";
        /// How long until it is given up.
        timeout: Option<Duration>, default "the kind's own (60s)", example r#"timeout = "2m""#;
        /// Longest pause between two tests: from the answer to the next question.
        interval: Option<Duration>, default "100ms", example r#"interval = "1s""#;
    }
}

table! {
    /// What happens when files change.
    WatchSpec "Watch" {
        /// File or folder.
        path: String, default "", example r#"path = "src""#;
        /// What is done: `restart`; `rebuild` the image and recreate the container; `sync`: copy what changed into the container, links as links, and remove what is gone; `sync+restart`; `exec`: run `command` inside.
        action: Option<WatchAction>, default "restart", example r#"action = "sync""#;
        /// Where files go, inside; for `sync` and `sync+restart`. For a single file: its new name, or with a `/` at the end the folder it goes into.
        target: Option<Spanned<String>>, default "", example r#"target = "/app/web""#;
        /// Patterns as in .gitignore, from `path` on, that are left out besides what git and .dockerignore ignore, and what editors and compilers leave (`.git`, `node_modules`, `target`, `__pycache__`, `*.swp`, …). `!` brings something back.
        ignore: OneOrMany<Spanned<String>>, default "none", example r#"ignore = ["*.md", "!target/"]"#;
        /// Command that is run inside, for `exec`. The files that changed are on its standard input, from `path` on, one a line; in its environment, `TASKAVA_CHANGED_COUNT` says how many, and `TASKAVA_CHANGED` has the same lines, or nothing when they are longer than 100 KiB.
        command: Option<Words>, default "", example r#"command = "npm run build""#;
    }
}

table! {
    /// Limits on memory and CPU.
    Resources "Resources" {
        /// Memory; beyond it the container is killed.
        memory: Option<Size>, default "no limit", example r#"memory = "512m""#;
        /// Cores.
        cpus: Option<Cpus>, default "no limit", example "cpus = 1.5";
    }
}

table! {
    /// Bound on a container's logs.
    Logging "Logging" {
        /// Size of one file.
        max_size: Option<Spanned<String>>, default "10m", example r#"max_size = "50m""#;
        /// Number of files.
        max_files: Option<Spanned<u32>>, default "3", example "max_files = 2";
    }
}

table! {
    /// Commands run at points of a service's life.
    Hooks "Hooks" {
        /// Run inside when it becomes ready, each time it was started.
        ready: Vec<Spanned<Words>>, default "none", example r#"ready = ["psql -f /seed.sql"]"#;
    }
}

table! {
    /// A named volume.
    Volume "Volumes" {
        /// Name on the engine.
        name: Option<Spanned<String>>, default "project and key", example r#"name = "shared-cache""#;
        /// Not this stack's: must exist, is never created or removed.
        external: Option<bool>, default "false", example "external = true";
        /// Volume driver.
        driver: Option<String>, default "local", example r#"driver = "local""#;
        /// Options of the driver.
        options: Pairs, default "none", example r#"options = { type = "tmpfs", device = "tmpfs" }"#;
        /// Labels.
        labels: Pairs, default "none", example r#"labels = { team = "core" }"#;
    }
}

table! {
    /// A network.
    Network "Networks" {
        /// Name on the engine.
        name: Option<Spanned<String>>, default "project and key", example r#"name = "shared""#;
        /// Not this stack's: must exist, is never created or removed.
        external: Option<bool>, default "false", example "external = true";
        /// Network driver.
        driver: Option<String>, default "bridge", example r#"driver = "bridge""#;
        /// Without a way out.
        internal: Option<bool>, default "false", example "internal = true";
        /// Address range.
        subnet: Option<Spanned<String>>, default "chosen by the engine", example r#"subnet = "172.30.0.0/24""#;
        /// Labels.
        labels: Pairs, default "none", example r#"labels = { team = "core" }"#;
    }
}

/// `true`, a port or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpTest(pub Vec<u16>);

impl Decode for TcpTest {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::Boolean(true) => Some(Self(Vec::new())),
            Value::Array(_) => Vec::decode(node, reader).map(Self),
            Value::Integer(_) => u16::decode(node, reader).map(|port| Self(vec![port])),
            _ => {
                reader.wrong::<Self>(node);
                None
            }
        }
    }
    fn shape() -> Shape {
        Shape::Any(vec![u16::shape(), Shape::List(Box::new(u16::shape())), Shape::Boolean])
    }
}

/// `true` for the usual port, or a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortTest(pub Option<u16>);

impl Decode for PortTest {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::Boolean(true) => Some(Self(None)),
            Value::Integer(_) => u16::decode(node, reader).map(|port| Self(Some(port))),
            _ => {
                reader.wrong::<Self>(node);
                None
            }
        }
    }
    fn shape() -> Shape {
        Shape::Any(vec![u16::shape(), Shape::Boolean])
    }
}

/// `"host:address"` lines.
#[derive(Debug, Clone, Default)]
pub struct Hosts(pub Vec<String>);

impl Decode for Hosts {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        let lines: Vec<String> = match &node.value {
            Value::Table(_) => {
                let map = Map::<String>::decode(node, reader)?;
                map.into_iter().map(|(host, address)| format!("{host}:{}", address.value)).collect()
            }
            _ => Vec::decode(node, reader)?,
        };
        for line in &lines {
            let address = line.split_once(':').map(|(_, address)| address);
            if !address.is_some_and(|a| a == "host-gateway" || a.parse::<std::net::IpAddr>().is_ok()) {
                reader.error(&node.place, format_args!("`{line}` is not a host and its address")).hint =
                    Some("write \"host:10.0.0.1\" or \"host.docker.internal:host-gateway\"".into());
            }
        }
        Some(Self(lines))
    }
    fn shape() -> Shape {
        Shape::Any(vec![
            Shape::Map(Box::new(Shape::Text("an address"))),
            Shape::List(Box::new(Shape::Text("a string"))),
        ])
    }
}
