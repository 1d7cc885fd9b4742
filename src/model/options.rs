//! Options of a container that the engine takes as they are written. One list: a service's fields, its keys in services.toml with
//! their documentation, its fingerprint, `config`, and Compose files both ways come from it. A new option is an entry here and a
//! line in `engine::spec`, which does not compile without it.

use indexmap::IndexMap;

/// Calls a macro with the list. Of each option: its documentation, its key in services.toml, its type (see [`Written`]), its key in a
/// Compose file, and what the reference says of it. A key of Compose with a dot is a part of another one: `import` and `export` have
/// code of their own for it.
macro_rules! container_options {
    ($then:ident) => {
        $then! {
            /// Runs an init process as PID 1 that forwards signals and reaps zombies.
            init: Flag, compose "init", default "false", example "init = true";
            /// Mounts the container's root file system read-only; volumes and tmpfs stay writable.
            read_only: Flag, compose "read_only", default "false", example "read_only = true";
            /// Gives the container all capabilities and all devices of the engine's machine. What runs in it can do anything there.
            privileged: Flag, compose "privileged", default "false", example "privileged = true";
            /// Security options, such as a seccomp profile.
            security_opt: Set, compose "security_opt", default "the engine's own", example r#"security_opt = ["no-new-privileges:true"]"#;
            /// Devices of the engine's machine: `device[:path inside[:permissions]]`.
            devices: Devices, compose "devices", default "none", example r#"devices = ["/dev/fuse", "/dev/ttyUSB0:/dev/ttyUSB0:rw"]"#;
            /// Rules of the cgroup for devices.
            device_cgroup_rules: Set, compose "device_cgroup_rules", default "none", example r#"device_cgroup_rules = ["c 189:* rmw"]"#;
            /// Kernel parameters of its namespaces.
            sysctls: Pairs, compose "sysctls", default "none", example r#"sysctls = { "net.core.somaxconn" = 1024 }"#;
            /// Network instead of those of the stack: `host`, `none`, that of another service (`service:NAME`) or container (`container:NAME`). Ports are published by the service whose network it is.
            network_mode: Text, compose "network_mode", default "its own", example r#"network_mode = "service:vpn""#;
            /// Services (`NAME[:ro]`) and other containers (`container:NAME[:ro]`) whose volumes and bind mounts it has too.
            volumes_from: Set, compose "volumes_from", default "none", example r#"volumes_from = ["data:ro"]"#;
            /// PID namespace: `host`, `service:NAME` or `container:NAME`.
            pid: Text, compose "pid", default "its own", example r#"pid = "host""#;
            /// IPC namespace: `host`, `shareable`, `private`, `none`, `service:NAME` or `container:NAME`.
            ipc: Text, compose "ipc", default "the engine's own", example r#"ipc = "host""#;
            /// UTS namespace (host name): `host`.
            uts: Text, compose "uts", default "its own", example r#"uts = "host""#;
            /// User namespace: `host` where the engine remaps users.
            userns: Text, compose "userns_mode", default "the engine's own", example r#"userns = "host""#;
            /// Cgroup namespace: `host` or `private`.
            cgroup: Text, compose "cgroup", default "the engine's own", example r#"cgroup = "host""#;
            /// Cgroup under which its own is created.
            cgroup_parent: Text, compose "cgroup_parent", default "the engine's own", example r#"cgroup_parent = "/dev-stack""#;
            /// Groups that its user is in besides its own, by name or number inside.
            group_add: Set, compose "group_add", default "none", example r#"group_add = ["docker", 999]"#;
            /// Container runtime of the engine.
            runtime: Text, compose "runtime", default "the engine's own", example r#"runtime = "runc""#;
            /// Allocates a terminal.
            tty: Flag, compose "tty", default "false", example "tty = true";
            /// Keeps standard input open.
            stdin_open: Flag, compose "stdin_open", default "false", example "stdin_open = true";
            /// Other names under which services reach it, in all its networks.
            aliases: Set, compose "networks.aliases", default "none", example r#"aliases = ["api.test"]"#;
            /// Containers outside of the stack that it reaches under another name, in networks that both are in: `container[:name]`.
            external_links: Set, compose "external_links", default "none", example r#"external_links = ["legacy_db_1:db"]"#;
            /// Fixed IPv4 address in a network that has a `subnet`, by the network's name.
            ipv4_address: Pairs, compose "networks.ipv4_address", default "chosen by the engine", example r#"ipv4_address = { backend = "172.30.0.10" }"#;
            /// Fixed IPv6 address in a network, likewise.
            ipv6_address: Pairs, compose "networks.ipv6_address", default "chosen by the engine", example r#"ipv6_address = { backend = "fd00:30::10" }"#;
            /// MAC address in its first network.
            mac_address: Text, compose "mac_address", default "chosen by the engine", example r#"mac_address = "02:42:ac:11:00:03""#;
            /// Ports that it listens on and does not publish: `port[/protocol]`. Only a description; other services reach all its ports.
            expose: Set, compose "expose", default "none", example r#"expose = [3000, "53/udp"]"#;
            /// Annotations, which the container runtime gets.
            annotations: Pairs, compose "annotations", default "none", example r#"annotations = { "run.oci.keep_original_groups" = "1" }"#;
            /// GPUs of the engine's machine, as for `docker run --gpus`: `all`, a number, or `driver=…`, `count=…`, `device=…` and `capabilities=…`.
            gpus: Gpus, compose "gpus", default "none", example r#"gpus = ["driver=nvidia,device=0,1,capabilities=gpu,utility"]"#;
            /// Memory that is left to it when memory is short.
            memory_reservation: Bytes, compose "mem_reservation", default "none", example r#"memory_reservation = "256m""#;
            /// Memory and swap together; `-1` = swap without a limit.
            memory_swap: Swap, compose "memswap_limit", default "twice the memory", example r#"memory_swap = "1g""#;
            /// From 0 to 100: how readily its memory is swapped out.
            memory_swappiness: Number, compose "mem_swappiness", default "the engine's own", example "memory_swappiness = 10";
            /// Number of processes that it may have.
            pids_limit: Number, compose "pids_limit", default "no limit", example "pids_limit = 200";
            /// From -1000 to 1000: the higher, the sooner it is killed when the machine is out of memory.
            oom_score_adj: Number, compose "oom_score_adj", default "0", example "oom_score_adj = 500";
            /// It is not killed when it is out of memory.
            oom_kill_disable: Flag, compose "oom_kill_disable", default "false", example "oom_kill_disable = true";
            /// Share of CPU time beside other containers; 1024 is usual.
            cpu_shares: Number, compose "cpu_shares", default "1024", example "cpu_shares = 512";
            /// Length of a period of CPU time, in microseconds.
            cpu_period: Number, compose "cpu_period", default "100000", example "cpu_period = 50000";
            /// CPU time in each period, in microseconds.
            cpu_quota: Number, compose "cpu_quota", default "no limit", example "cpu_quota = 25000";
            /// Length of a period of realtime CPU time, in microseconds.
            cpu_rt_period: Number, compose "cpu_rt_period", default "the engine's own", example "cpu_rt_period = 1000000";
            /// Realtime CPU time in each period, in microseconds.
            cpu_rt_runtime: Number, compose "cpu_rt_runtime", default "none", example "cpu_rt_runtime = 950000";
            /// Share of the disks' time beside other containers, from 10 to 1000.
            blkio_weight: Number, compose "blkio_config.weight", default "500", example "blkio_weight = 300";
            /// The same for a device, by its path.
            blkio_weight_device: Rates, compose "blkio_config.weight_device", default "none", example r#"blkio_weight_device = { "/dev/sda" = 400 }"#;
            /// Bytes that it may read from a device in a second, by its path.
            device_read_bps: Rates, compose "blkio_config.device_read_bps", default "no limit", example r#"device_read_bps = { "/dev/sda" = "10m" }"#;
            /// Bytes that it may write to a device in a second.
            device_write_bps: Rates, compose "blkio_config.device_write_bps", default "no limit", example r#"device_write_bps = { "/dev/sda" = "10m" }"#;
            /// Times that it may read from a device in a second.
            device_read_iops: Rates, compose "blkio_config.device_read_iops", default "no limit", example r#"device_read_iops = { "/dev/sda" = 100 }"#;
            /// Times that it may write to a device in a second.
            device_write_iops: Rates, compose "blkio_config.device_write_iops", default "no limit", example r#"device_write_iops = { "/dev/sda" = 100 }"#;
            /// Cores that it may use.
            cpuset: Text, compose "cpuset", default "all", example r#"cpuset = "0,1""#;
            /// Domain name inside.
            domainname: Text, compose "domainname", default "none", example r#"domainname = "example.test""#;
            /// Domains that short host names are looked up in.
            dns_search: List, compose "dns_search", default "the engine's own", example r#"dns_search = ["example.test"]"#;
            /// Options of the resolver.
            dns_opt: List, compose "dns_opt", default "none", example r#"dns_opt = ["ndots:1"]"#;
            /// Size of /dev/shm.
            shm_size: Bytes, compose "shm_size", default "the engine's own (64m)", example r#"shm_size = "256m""#;
            /// Options of the storage driver for its root file system.
            storage_opt: Pairs, compose "storage_opt", default "none", example r#"storage_opt = { size = "10G" }"#;
            /// Driver of its anonymous volumes.
            volume_driver: Text, compose "volume_driver", default "local", example r#"volume_driver = "local""#;
            /// Linux capabilities to add.
            cap_add: Capabilities, compose "cap_add", default "none", example r#"cap_add = ["NET_ADMIN"]"#;
            /// Linux capabilities to drop.
            cap_drop: Capabilities, compose "cap_drop", default "none", example r#"cap_drop = ["ALL"]"#;
            /// DNS servers.
            dns: Addresses, compose "dns", default "the engine's own", example r#"dns = ["1.1.1.1"]"#;
        }
    };
}
pub(crate) use container_options;

/// The value of an option that is not at its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written<'a> {
    /// `true`.
    Flag,
    /// A text.
    Text(&'a str),
    /// A number.
    Number(i64),
    /// A size in bytes.
    Bytes(u64),
    /// Texts whose order does not matter.
    Set(&'a [String]),
    /// Texts in their order.
    List(&'a [String]),
    /// Texts by name.
    Pairs(&'a IndexMap<String, String>),
    /// Numbers by the path of a device.
    Rates(&'a IndexMap<String, u64>),
}

/// A type of options.
pub trait OptionType {
    /// Its name.
    const TYPE: Type;

    /// What a service holds.
    type Value: Default;

    /// The value, unless it is the default.
    fn written(value: &Self::Value) -> Option<Written<'_>>;
}

/// Declares types of options: name, value, and when it is not the default.
macro_rules! option_types {
    ($($(#[$doc:meta])* $name:ident: $value:ty, $given:ident => $written:expr;)*) => {
        /// The types of options.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Type {
            $($(#[$doc])* $name,)*
        }

        $(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}

        impl OptionType for $name {
            const TYPE: Type = Type::$name;
            type Value = $value;

            fn written($given: &Self::Value) -> Option<Written<'_>> {
                $written
            }
        }
        )*
    };
}

option_types! {
    /// On or off.
    Flag: bool, on => on.then_some(Written::Flag);
    /// A text.
    Text: Option<String>, text => text.as_deref().map(Written::Text);
    /// An integer.
    Number: Option<i64>, number => number.map(Written::Number);
    /// A size in bytes, or -1 for no limit.
    Swap: Option<i64>, bytes => bytes.map(Written::Number);
    /// Requests for GPUs ([`super::gpus`]), whose order does not matter.
    Gpus: Vec<String>, texts => (!texts.is_empty()).then_some(Written::Set(texts));
    /// A size in bytes.
    Bytes: Option<u64>, bytes => bytes.map(Written::Bytes);
    /// A list whose order does not matter.
    Set: Vec<String>, texts => (!texts.is_empty()).then_some(Written::Set(texts));
    /// Linux capabilities, whose order does not matter.
    Capabilities: Vec<String>, texts => (!texts.is_empty()).then_some(Written::Set(texts));
    /// Devices, `device[:path inside[:permissions]]`, whose order does not matter.
    Devices: Vec<String>, texts => (!texts.is_empty()).then_some(Written::Set(texts));
    /// One text or a list of them, in their order.
    List: Vec<String>, texts => (!texts.is_empty()).then_some(Written::List(texts));
    /// One IP address or a list of them, in their order.
    Addresses: Vec<String>, texts => (!texts.is_empty()).then_some(Written::List(texts));
    /// Numbers or sizes in bytes by the path of a device.
    Rates: IndexMap<String, u64>, rates => (!rates.is_empty()).then_some(Written::Rates(rates));
    /// A table of texts.
    Pairs: IndexMap<String, String>, pairs => (!pairs.is_empty()).then_some(Written::Pairs(pairs));
}

/// The names of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// In services.toml.
    pub own: &'static str,
    /// In a Compose file.
    pub compose: &'static str,
}

macro_rules! declare {
    ($($(#[doc = $about:literal])* $field:ident: $type:ident, compose $compose:literal, default $default:literal, example $example:literal;)*) => {
        /// Options of a service's container that the engine takes as they are written.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct ContainerOptions {
            $($(#[doc = $about])* pub $field: <$type as OptionType>::Value,)*
        }

        impl ContainerOptions {
            /// All of them, in the order of the reference.
            pub const KEYS: &'static [(Key, Type)] =
                &[$((Key { own: stringify!($field), compose: $compose }, <$type as OptionType>::TYPE)),*];

            /// Those that are not at their default, in the order of the reference.
            pub fn written(&self) -> Vec<(Key, Written<'_>)> {
                let all = [$((Key { own: stringify!($field), compose: $compose }, <$type as OptionType>::written(&self.$field))),*];
                all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
            }
        }
    };
}
container_options!(declare);

impl ContainerOptions {
    /// The services whose namespaces or volumes it uses: they run before it, and it can't stay when their containers are recreated.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        let namespaces = [&self.network_mode, &self.pid, &self.ipc].into_iter().flatten();
        let namespaces = namespaces.filter_map(|written| written.strip_prefix("service:"));
        let volumes = self.volumes_from.iter().filter(|written| !written.starts_with("container:"));
        namespaces.chain(volumes.map(|written| written.split_once(':').map_or(written.as_str(), |(name, _)| name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_at_its_default_is_not_written() {
        assert_eq!(ContainerOptions::default().written(), []);
        let some = ContainerOptions { init: true, dns: vec!["1.1.1.1".into()], ..ContainerOptions::default() };
        let keys: Vec<&str> = some.written().iter().map(|(key, _)| key.own).collect();
        assert_eq!(keys, ["init", "dns"]);
    }
}
