//! The tables of services.toml: the one place where a key is declared.

use std::time::Duration;

use super::aws::Aws;
use super::decode::{Decode, Map, Reader, Spanned, SpannedRaw, table};
use super::describe::Shape;
use super::extend::Extends;
use super::forms::{Cpus, DependsOn, OneOrMany, Pairs, Scalar, Size, UlimitSpec, Words};
use super::hooks::Hooks;
use super::include::Include;
use super::mounts::MountSpec;
use super::node::{Node, Value};
use super::ports::Ports;
use crate::model::options::ContainerOptions;
use crate::model::{Kind, PullPolicy, RestartPolicy, WatchAction};

table! {
    /// The top-level keys of services.toml.
    Config "Top level" {
        /// Name of the stack: prefix of its containers, networks and volumes.
        project: Option<Spanned<String>>, default "name of the folder", example r#"project = "taskava""#;
        /// Other files whose services, volumes, networks and `[aws]` become part of the stack.
        include: OneOrMany<Include>, default "none", example r#"include = ["../shop/services.toml", { git = "https://git.example/team/mail.git", rev = "0123456789abcdef0123456789abcdef01234567" }]"#;
        /// The services, by name. Other services reach a service by its name as the host name.
        services: Map<Service>, default "", example "[services.postgres]\nkind = \"postgres\"";
        /// Named volumes with settings. Volumes without settings need no declaration.
        volumes: Map<Volume>, default "", example "[volumes.shared]\nexternal = true";
        /// Networks in addition to `default`.
        networks: Map<Network>, default "", example "[networks.backend]\ninternal = true";
        /// Environment variables for every service that does not set them itself. `${…}` can refer to them too, after the environment and `.env`.
        env: Pairs, default "", example "[env]\nAWS_REGION = \"eu-central-1\"";
        /// AWS resources to create in the emulator.
        aws: Option<SpannedRaw<Aws>>, default "", example "[aws.buckets.uploads]\nversioning = true";
        /// Paths outside the folder of services.toml that services may use.
        allow_outside: Vec<Spanned<String>>, default "none", example r#"allow_outside = ["~/.aws"]"#;
    }
}

table! {
    /// A service.
    Service "Services" {
        /// Service that it builds on, of the stack or of another file.
        extends: Option<Extends>, default "none", example r#"extends = { file = "common.toml", service = "base" }"#;
        /// Kind of the service: determines how readiness is probed and which defaults apply.
        kind: Option<Spanned<Kind>>, default "generic", example r#"kind = "postgres""#;
        /// Image to run. With `build`, the name of the image that is built.
        image: Option<Spanned<String>>, default "the kind's own", example r#"image = "postgres:15-alpine""#;
        /// How to build the image: the folder with the Dockerfile, or a table.
        build: Option<Spanned<Build>>, default "not built", example r#"build = "docker/migrate""#;
        /// When to pull the image.
        pull: Option<PullPolicy>, default "missing", example r#"pull = "always""#;
        /// Platform of the image.
        platform: Option<Spanned<String>>, default "the engine's own", example r#"platform = "linux/amd64""#;
        /// Overrides the image's command: a command line (not run by a shell) or a list of arguments.
        command: Option<Spanned<Words>>, default "the image's own", example r#"command = "redis-server --appendonly yes""#;
        /// Overrides the image's entrypoint.
        entrypoint: Option<Words>, default "the image's own", example r#"entrypoint = ["/docker-entrypoint.sh"]"#;
        /// Published ports: `[address:][host:]container[/protocol]`; ranges are allowed. Bound to 127.0.0.1 unless an address is given. Without a host port, a free one is chosen, the same each time as long as it is free.
        ports: Vec<Spanned<Ports>>, default "none", example r#"ports = ["5432:5432", "0.0.0.0:8080:80", 9000]"#;
        /// Environment variables.
        env: Pairs, default "", example r#"env = { POSTGRES_PASSWORD = "${POSTGRES_PASSWORD:-taskava}" }"#;
        /// Files with `NAME=value` lines. `env` overrides them, and later files override earlier ones.
        env_file: OneOrMany<Spanned<String>>, default "none", example r#"env_file = ["docker/api.env"]"#;
        /// Volumes and bind mounts: `source:target[:ro]`. A source that begins with `.`, `/` or `~` is a path on the host.
        volumes: Vec<Spanned<MountSpec>>, default "none", example r#"volumes = ["postgres-data:/var/lib/postgresql/data", "./init:/init:ro"]"#;
        /// Files that are put into the container before each start, with their content.
        files: Vec<Spanned<FileSpec>>, default "none", example r#"files = [{ target = "/etc/app.conf", content = "debug = true" }]"#;
        /// tmpfs mounts (file systems in memory): `target[:options]`.
        tmpfs: OneOrMany<Spanned<String>>, default "none", example r#"tmpfs = ["/tmp:size=64m"]"#;
        /// Services that must be ready before it starts; `started` if it is enough that they run. With a table, also whether they are required, and whether it is restarted with them.
        depends_on: DependsOn, default "nothing", example r#"depends_on = { postgres = "ready", mail = "started", search = { required = false, restart = true } }"#;
        /// Probe that determines when the service is ready.
        ready: Option<Spanned<ReadySpec>>, default "as its kind defines", example r#"ready = { http = "http://:8080/health" }"#;
        /// Health check of the container, which `docker ps` shows. A generic service without `ready` is ready when its command succeeds; other kinds are probed in their own way nevertheless.
        healthcheck: Option<Spanned<HealthSpec>>, default "none; that of the image where it is probed", example r#"healthcheck = { test = "curl -f http://localhost", interval = "10s" }"#;
        /// Profiles of the service. It is started only if one of them is active or an active service depends on it.
        profiles: Vec<Spanned<String>>, default "always active", example r#"profiles = ["app"]"#;
        /// What to do when files change, while `up --watch` or `watch` runs.
        watch: Vec<Spanned<WatchSpec>>, default "nothing", example r#"watch = [{ path = "src", action = "restart" }]"#;
        /// Commands to run inside the container at points of its life.
        hooks: Option<Hooks>, default "none", example r#"hooks = { ready = ["psql -f /seed.sql"] }"#;
        /// Variables that `env` prints for the application, instead of those of the kind. The placeholders `${host}`, `${port}` (the first port) and `${port.5432}` are replaced.
        exports: Map<Spanned<String>>, default "the kind's own", example r#"exports = { SEARCH_URL = "http://${host}:${port.9200}" }"#;
        /// User, and optionally group, to run as: `user[:group]`.
        user: Option<Spanned<Scalar>>, default "the image's own", example r#"user = "1000:1000""#;
        /// Working directory inside the container.
        working_dir: Option<Spanned<String>>, default "the image's own", example r#"working_dir = "/app""#;
        /// Name of the container on the engine, which only one container can have. Isolated stacks give theirs another.
        container_name: Option<Spanned<String>>, default "project and service", example r#"container_name = "my-db""#;
        /// How many containers the service has. Those after the first are called `web-2`, `web-3`, …; the service's name leads to all of them. A host port is a range (`"8000-8002:80"`), or left to the engine.
        replicas: Option<Spanned<u32>>, default "1", example "replicas = 3";
        /// Host name of the container.
        hostname: Option<Spanned<String>>, default "chosen by the engine", example r#"hostname = "db""#;
        /// Networks it joins.
        networks: Vec<Spanned<String>>, default r#"["default"]"#, example r#"networks = ["default", "backend"]"#;
        /// Labels of the container.
        labels: Pairs, default "none", example r#"labels = { team = "core" }"#;
        /// Resource limits by name, as one number or as soft and hard.
        ulimits: Map<UlimitSpec>, default "the engine's own", example "ulimits = { nofile = 65536 }";
        /// Entries for /etc/hosts, as a table or a list of `"host:address"`.
        extra_hosts: Option<Spanned<Hosts>>, default "none", example r#"extra_hosts = { "host.docker.internal" = "host-gateway" }"#;
        /// Signal that stops the container.
        stop_signal: Option<Spanned<String>>, default "the image's own", example r#"stop_signal = "SIGINT""#;
        /// Time to wait after the stop signal before the container is killed. A server with data (PostgreSQL, Redis, LocalStack, MiniStack) gets 60 seconds, and up to 5 minutes while it is visibly working; a value given here applies exactly.
        stop_timeout: Option<Duration>, default "the kind's own (10s or 60s)", example r#"stop_timeout = "30s""#;
        /// Restart policy: what the engine does when the container exits.
        restart: Option<Spanned<RestartPolicy>>, default "no", example r#"restart = "unless-stopped""#;
        /// Limits on memory and CPU.
        resources: Option<Resources>, default "none", example r#"resources = { memory = "512m", cpus = 1.5 }"#;
        /// Size limits of the container's logs.
        logging: Option<Logging>, default "3 files of 10m", example r#"logging = { max_size = "50m", max_files = 2 }"#;
        ..
        /// What the engine takes as it is written.
        options: ContainerOptions;
    }
}

table! {
    /// How an image is built.
    BuildSpec "Build" {
        /// Folder that is sent to the builder (the build context).
        context: Option<String>, default ".", example r#"context = ".""#;
        /// Dockerfile, relative to the context.
        dockerfile: Option<String>, default "Dockerfile", example r#"dockerfile = "docker/api/Dockerfile""#;
        /// The text of the Dockerfile, instead of a file. A variable of the Dockerfile is written `$${NAME}`.
        dockerfile_inline: Option<String>, default "none", example r#"dockerfile_inline = "FROM busybox:1.37\nCOPY . /app""#;
        /// Build stage to build.
        target: Option<String>, default "the last one", example r#"target = "dev""#;
        /// What the Dockerfile can use by a name of its own, with `FROM NAME`, `COPY --from=NAME` or `RUN --mount=from=NAME`: a folder, `docker-image://IMAGE`, or `service:NAME`, whose image is built before.
        additional_contexts: Pairs, default "none", example r#"additional_contexts = { shared = "../shared", base = "service:base" }"#;
        /// Build arguments.
        args: Pairs, default "none", example r#"args = { VERSION = "1.2" }"#;
        /// Images whose layers may be reused.
        cache_from: OneOrMany<String>, default "none", example r#"cache_from = ["registry.example/api:cache"]"#;
        /// `type=inline`: the image carries what another build needs to use it in `cache_from`. Only BuildKit does that.
        cache_to: OneOrMany<Spanned<String>>, default "none", example r#"cache_to = ["type=inline"]"#;
        /// SSH agents that steps with `RUN --mount=type=ssh` can use, as `ID` or `ID=socket`; without a socket, the one of `SSH_AUTH_SOCK`. Only BuildKit does that.
        ssh: OneOrMany<Spanned<String>>, default "none", example r#"ssh = ["default"]"#;
        /// Build secrets: the file of each, by ID.
        secrets: Map<String>, default "none", example r#"secrets = { npmrc = ".npmrc" }"#;
        /// Further names of the image.
        tags: Vec<String>, default "none", example r#"tags = ["api:dev"]"#;
        /// Labels of the image.
        labels: Pairs, default "none", example r#"labels = { team = "core" }"#;
        /// Network of the steps: `host`, `none` or a network's name.
        network: Option<String>, default "the builder's own", example r#"network = "host""#;
        /// Entries for /etc/hosts while it is built.
        extra_hosts: Option<Hosts>, default "none", example r#"extra_hosts = { "host.docker.internal" = "host-gateway" }"#;
        /// Size of /dev/shm while it is built.
        shm_size: Option<Size>, default "the builder's own", example r#"shm_size = "256m""#;
        /// Resource limits of the steps, as one number or as soft and hard.
        ulimits: Map<UlimitSpec>, default "the builder's own", example "ulimits = { nofile = 65536 }";
        /// Builds every step each time, without the cache.
        no_cache: Option<bool>, default "false", example "no_cache = true";
        /// Looks for newer base images each time.
        pull: Option<bool>, default "false", example "pull = true";
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
    /// When a service is ready. At most one probe; without one, that of the kind is used. Each attempt has a time limit: 1 s over the network, 5 s for a command inside the container or a HEALTHCHECK (its own timeout, if that is longer). An attempt without an answer in that time is ended and repeated with twice the time.
    ReadySpec "Ready" {
        /// A `GET` request is answered with a status below 400. The port is the one inside the container.
        http: Option<Spanned<String>>, default "", example r#"http = "http://:8080/health""#;
        /// The container ports accept connections and keep them open; `true` = all published ports.
        tcp: Option<Spanned<TcpTest>>, default "", example "tcp = 6379";
        /// A log line since the last start matches a regular expression, with or without its colour codes. `^` and `$` match the ends of the line. Lines longer than 64 KiB are matched in pieces of that length. A running service stays ready when its line was dropped from the log (`logging`).
        log: Option<Spanned<String>>, default "", example r#"log = "listening on .*:8080""#;
        /// A command inside the container exits with code 0. A command that does not end in time is killed together with its child processes, if the image has a shell.
        exec: Option<Spanned<Words>>, default "", example r#"exec = "pg_isready -q""#;
        /// The PostgreSQL handshake and login succeed.
        postgres: Option<Spanned<PortTest>>, default "", example "postgres = 5432";
        /// Redis answers `PING`.
        redis: Option<Spanned<PortTest>>, default "", example "redis = true";
        /// The SMTP greeting is 220.
        smtp: Option<Spanned<PortTest>>, default "", example "smtp = 1025";
        /// The image's HEALTHCHECK reports healthy.
        engine: Option<Spanned<bool>>, default "", example "engine = true";
        /// Time after which the start counts as failed.
        timeout: Option<Duration>, default "the kind's own (60s)", example r#"timeout = "2m""#;
        /// Longest pause between two attempts, from an answer to the next attempt.
        interval: Option<Duration>, default "100ms", example r#"interval = "1s""#;
    }
}

table! {
    /// A health check, as in Compose files.
    HealthSpec "Health checks" {
        /// Command: a line for the shell inside, or a list that begins with `CMD` or `CMD-SHELL`.
        test: OneOrMany<Scalar>, default "the image's own", example r#"test = ["CMD", "redis-cli", "ping"]"#;
        /// Time between two checks.
        interval: Option<Duration>, default "30s", example r#"interval = "10s""#;
        /// Time limit of one check.
        timeout: Option<Duration>, default "30s", example r#"timeout = "5s""#;
        /// After so many failures it is unhealthy.
        retries: Option<u32>, default "3", example "retries = 5";
        /// Time at the start in which failures do not count.
        start_period: Option<Duration>, default "0s", example r#"start_period = "30s""#;
        /// Time between two checks during `start_period`.
        start_interval: Option<Duration>, default "5s", example r#"start_interval = "1s""#;
        /// No health check, not even that of the image.
        disable: Option<bool>, default "false", example "disable = true";
    }
}

table! {
    /// A file with its content, as configs and secrets of Compose files have it.
    FileSpec "Files" {
        /// Path inside the container. What is below /run/secrets is masked when it is shown.
        target: String, default "", example r#"target = "/etc/app.conf""#;
        /// Its content.
        content: String, default "", example r#"content = "debug = true""#;
        /// Permissions, in octal.
        mode: Option<Spanned<String>>, default "0444", example r#"mode = "0400""#;
        /// Number of the user that it belongs to.
        uid: Option<u32>, default "0", example "uid = 1000";
        /// Number of the group that it belongs to.
        gid: Option<u32>, default "0", example "gid = 1000";
    }
}

table! {
    /// What to do when files change.
    WatchSpec "Watch" {
        /// File or folder to watch.
        path: String, default "", example r#"path = "src""#;
        /// What to do: `restart`; `rebuild` the image and recreate the container; `sync`: copy changed files into the container (links as links) and remove deleted ones; `sync+restart`; `exec`: run `command` inside the container.
        action: Option<WatchAction>, default "restart", example r#"action = "sync""#;
        /// Target path inside the container, for `sync` and `sync+restart`. For a single file: its new path or, with a `/` at the end, the folder to copy it to.
        target: Option<Spanned<String>>, default "", example r#"target = "/app/web""#;
        /// Patterns of files to ignore, as in .gitignore, relative to `path`. Always ignored are files that git and .dockerignore ignore and files of editors and compilers (`.git`, `node_modules`, `target`, `__pycache__`, `*.swp`, …). `!` includes something again.
        ignore: OneOrMany<Spanned<String>>, default "none", example r#"ignore = ["*.md", "!target/"]"#;
        /// Command to run inside the container, for `exec`. The changed files are passed on its standard input, one per line, relative to `path`. In its environment, `TASKAVA_CHANGED_COUNT` is their number, and `TASKAVA_CHANGED` contains the same lines, or is empty if they are longer than 100 KiB.
        command: Option<Words>, default "", example r#"command = "npm run build""#;
    }
}

table! {
    /// Limits on memory and CPU.
    Resources "Resources" {
        /// Memory limit. A container that exceeds it is killed.
        memory: Option<Size>, default "no limit", example r#"memory = "512m""#;
        /// Number of CPU cores.
        cpus: Option<Cpus>, default "no limit", example "cpus = 1.5";
    }
}

table! {
    /// Size limits of a container's logs.
    Logging "Logging" {
        /// Maximum size of one log file.
        max_size: Option<Spanned<String>>, default "10m", example r#"max_size = "50m""#;
        /// Maximum number of log files.
        max_files: Option<Spanned<u32>>, default "3", example "max_files = 2";
        /// Log driver of the engine. With another than `json-file` and `local`, `logs` shows what the engine keeps beside it, and with `none` nothing.
        driver: Option<String>, default "json-file", example r#"driver = "journald""#;
        /// Options of the driver.
        options: Pairs, default "none", example r#"options = { tag = "api" }"#;
    }
}

table! {
    /// A named volume.
    Volume "Volumes" {
        /// Name on the engine.
        name: Option<Spanned<String>>, default "project and key", example r#"name = "shared-cache""#;
        /// The object is not managed by this stack: it must exist, and is never created or removed.
        external: Option<bool>, default "false", example "external = true";
        /// A volume of this name that something else created, such as docker compose, is used with its data, and never removed. Where there is none, it is created. A stack under another name (`-p`) has a volume of its own instead.
        adopt: Option<bool>, default "false", example "adopt = true";
        /// Volume driver.
        driver: Option<String>, default "local", example r#"driver = "local""#;
        /// Driver options.
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
        /// The object is not managed by this stack: it must exist, and is never created or removed.
        external: Option<bool>, default "false", example "external = true";
        /// Network driver.
        driver: Option<String>, default "bridge", example r#"driver = "bridge""#;
        /// Without access to other networks.
        internal: Option<bool>, default "false", example "internal = true";
        /// Subnet in CIDR notation.
        subnet: Option<Spanned<String>>, default "chosen by the engine", example r#"subnet = "172.30.0.0/24""#;
        /// Where its addresses come from, where a `subnet` does not say enough.
        ipam: Vec<Spanned<AddressPool>>, default "chosen by the engine", example r#"ipam = [{ subnet = "172.30.0.0/24", gateway = "172.30.0.254" }]"#;
        /// With IPv6 addresses.
        ipv6: Option<bool>, default "false", example "ipv6 = true";
        /// Containers outside of the stack may join it, on a swarm.
        attachable: Option<bool>, default "false", example "attachable = true";
        /// Options of the driver.
        options: Pairs, default "none", example r#"options = { "com.docker.network.driver.mtu" = "1400" }"#;
        /// Labels.
        labels: Pairs, default "none", example r#"labels = { team = "core" }"#;
    }
}

table! {
    /// Where the addresses of a network come from.
    AddressPool "Address pools" {
        /// Subnet in CIDR notation.
        subnet: Option<Spanned<String>>, default "chosen by the engine", example r#"subnet = "172.30.0.0/24""#;
        /// Address of the gateway.
        gateway: Option<String>, default "the first one", example r#"gateway = "172.30.0.254""#;
        /// Part of the subnet that containers get addresses from.
        ip_range: Option<String>, default "all of it", example r#"ip_range = "172.30.0.128/25""#;
        /// Addresses that no container gets, by name.
        reserved: Pairs, default "none", example r#"reserved = { router = "172.30.0.5" }"#;
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
