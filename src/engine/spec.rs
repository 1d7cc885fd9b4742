//! Converts a service to requests of the Engine API.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, DeviceRequest, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig,
    HostConfigLogConfig, NetworkingConfig, PortBinding, ResourcesBlkioWeightDevice, ResourcesUlimits,
    RestartPolicy as ApiRestart, RestartPolicyNameEnum, ThrottleDevice,
};
use indexmap::IndexMap;

use super::nameless::Kept;
use super::{labels, mounts};
use crate::model::gpus::Gpus;
use crate::model::options::ContainerOptions;
use crate::model::{Logging, Port, Probe, RestartPolicy, Service, Stack, fingerprint};

/// Rows and columns of a terminal.
pub type Size = (u16, u16);

/// A one-off container.
#[derive(Debug, Clone)]
pub struct OneOffOptions {
    /// Its name.
    pub name: String,
    /// It gets what we send it.
    pub stdin: bool,
    /// In a terminal of this size; none = without a terminal.
    pub tty: Option<Size>,
    /// The engine removes it when it ends.
    pub remove: bool,
}

pub(super) fn console_size((rows, columns): Size) -> Vec<usize> {
    vec![rows.into(), columns.into()]
}

/// The request that creates a service's container.
///
/// `networks`: how many of the service's networks go into the request; engines before API 1.44 take one, the others are
/// connected afterwards. `kept`: the anonymous volumes that it gets; where there is none for a mount without a name,
/// the engine makes one that goes with the container.
pub(super) fn container(
    stack: &Stack,
    service: &Service,
    cause: &str,
    networks: usize,
    kept: &[Kept],
) -> ContainerCreateBody {
    let mut all_labels = labels::of_stack(stack);
    let config = serde_json::json!(fingerprint::fingerprint(stack, service)).to_string();
    all_labels.extend(service.labels.clone());
    all_labels.extend(labels::of_service(&service.name, service.kind, &config));
    all_labels.insert(labels::CAUSE.into(), cause.into());
    if let Some(replica) = &service.replica {
        all_labels.insert(labels::REPLICA_OF.into(), replica.of.to_string());
    }
    let chosen = service.ports.iter().filter_map(|port| Some((port.key(), port.chosen?)));
    let chosen: BTreeMap<String, u16> = chosen.collect();
    if !chosen.is_empty() {
        all_labels.insert(labels::CHOSEN_PORTS.into(), serde_json::json!(chosen).to_string());
    }
    let depends_on = service.depends_on.iter().filter(|(_, on)| on.required);
    let depends_on: Vec<&str> = depends_on.map(|(name, _)| name.as_str()).collect();
    all_labels.insert(labels::DEPENDS.into(), serde_json::json!(depends_on).to_string());
    let endpoints = service.networks.iter().take(networks);
    let endpoints = endpoints.map(|short| (stack.networks[short].name.clone(), endpoint(service, short))).collect();
    ContainerCreateBody {
        image: Some(service.image.clone()),
        hostname: service.hostname.clone(),
        domainname: service.options.domainname.clone(),
        tty: service.options.tty.then_some(true),
        open_stdin: service.options.stdin_open.then_some(true),
        user: service.user.clone(),
        working_dir: service.working_dir.clone(),
        cmd: service.command.clone(),
        entrypoint: service.entrypoint.clone(),
        env: Some(service.env.iter().map(|(name, env)| format!("{name}={}", env.value)).collect()),
        labels: Some(all_labels),
        exposed_ports: Some(exposed_ports(service)),
        stop_signal: service.stop_signal.clone(),
        // For `docker stop`, for an engine that ends itself, and for us when there is no services.toml to say it.
        stop_timeout: Some(i64::try_from(service.stop_timeout.as_millis().div_ceil(1000)).unwrap_or(i64::MAX)),
        healthcheck: healthcheck(service),
        host_config: Some(host_config(stack, service, kept)),
        networking_config: Some(NetworkingConfig { endpoints_config: Some(endpoints) }),
        ..Default::default()
    }
}

/// The request that creates a one-off container of a service: without the service's name in its networks, and without the
/// labels that would make it the service's.
pub(super) fn one_off(
    stack: &Stack,
    service: &Service,
    options: &OneOffOptions,
    networks: usize,
) -> ContainerCreateBody {
    let mut body = container(stack, service, "", networks, &[]);
    if let Some(all_labels) = &mut body.labels {
        for label in
            [labels::SERVICE, labels::CONFIG, labels::CAUSE, labels::DEPENDS, labels::REPLICA_OF, labels::CHOSEN_PORTS]
        {
            all_labels.remove(label);
        }
        all_labels.insert(labels::ONEOFF.into(), service.name.to_string());
    }
    let endpoints = body.networking_config.iter_mut().filter_map(|config| config.endpoints_config.as_mut());
    for endpoint in endpoints.flat_map(HashMap::values_mut) {
        // The service's own container has these.
        *endpoint = EndpointSettings { links: endpoint.links.take(), ..Default::default() };
    }
    if let Some(host) = &mut body.host_config {
        host.auto_remove = Some(options.remove);
        host.restart_policy = Some(restart(RestartPolicy::No));
        host.console_size = options.tty.map(console_size);
    }
    ContainerCreateBody {
        tty: Some(options.tty.is_some()),
        open_stdin: Some(options.stdin),
        stdin_once: Some(options.stdin),
        attach_stdin: Some(options.stdin),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".into()]), ..Default::default() }),
        ..body
    }
}

/// What a container is called in a network: its service's name, and its others; with what is fixed of its addresses there.
pub(super) fn endpoint(service: &Service, network: &str) -> EndpointSettings {
    let ContainerOptions { aliases, external_links, ipv4_address, ipv6_address, mac_address, .. } = &service.options;
    let link = |link: &String| if link.contains(':') { link.clone() } else { format!("{link}:{link}") };
    let (ipv4, ipv6) = (ipv4_address.get(network).cloned(), ipv6_address.get(network).cloned());
    let is_first = service.networks.first().is_some_and(|first| first == network);
    let own = std::iter::once(service.name.to_string());
    EndpointSettings {
        aliases: Some(own.chain(aliases.iter().cloned()).collect()),
        links: (!external_links.is_empty()).then(|| external_links.iter().map(link).collect()),
        mac_address: mac_address.clone().filter(|_| is_first),
        ipam_config: (ipv4.is_some() || ipv6.is_some()).then(|| EndpointIpamConfig {
            ipv4_address: ipv4,
            ipv6_address: ipv6,
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// A namespace in the engine's words: a service's is that of its container.
fn namespace(stack: &Stack, written: Option<&String>) -> Option<String> {
    let written = written?;
    let host = written.strip_prefix("service:").and_then(|name| stack.services.get_key_value(name));
    Some(host.map_or_else(|| written.clone(), |(name, _)| format!("container:{}", stack.container_name(name))))
}

/// Whose volumes it has, in the engine's words.
fn volumes_from(stack: &Stack, written: &str) -> String {
    if let Some(other) = written.strip_prefix("container:") {
        return other.into();
    }
    let (name, mode) = written.split_once(':').map_or((written, ""), |(name, mode)| (name, mode));
    let host = stack.services.get_key_value(name);
    let container = host.map_or_else(|| name.to_owned(), |(name, _)| stack.container_name(name));
    if mode.is_empty() { container } else { format!("{container}:{mode}") }
}

/// Those that are published, and those that are only declared.
fn exposed_ports(service: &Service) -> Vec<String> {
    let declared = service.options.expose.iter().map(|port| match port.contains('/') {
        true => port.clone(),
        false => format!("{port}/tcp"),
    });
    let mut all: Vec<String> = service.ports.iter().map(Port::key).chain(declared).collect();
    all.dedup();
    all
}

/// Where we ask ourselves, the image's own health check would only cost: LocalStack's starts a Python every ten seconds.
fn healthcheck(service: &Service) -> Option<HealthConfig> {
    if let Some(check) = &service.healthcheck {
        let nanoseconds = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        return Some(HealthConfig {
            test: (!check.test.is_empty()).then(|| check.test.clone()),
            interval: check.interval.map(nanoseconds),
            timeout: check.timeout.map(nanoseconds),
            retries: check.retries.map(i64::from),
            start_period: check.start_period.map(nanoseconds),
            start_interval: check.start_interval.map(nanoseconds),
        });
    }
    let asks_engine = matches!(service.ready.probe, Probe::Auto | Probe::Engine | Probe::Exit);
    (!asks_engine).then(|| HealthConfig { test: Some(vec!["NONE".into()]), ..Default::default() })
}

#[expect(clippy::too_many_lines, reason = "a line for each field")]
fn host_config(stack: &Stack, service: &Service, kept: &[Kept]) -> HostConfig {
    let some = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
    let map = |pairs: &IndexMap<String, String>| (!pairs.is_empty()).then(|| pairs.clone().into_iter().collect());
    let number = |bytes: Option<u64>| bytes.and_then(|bytes| bytes.try_into().ok());
    let ContainerOptions {
        init,
        read_only,
        privileged,
        security_opt,
        devices,
        device_cgroup_rules,
        sysctls,
        network_mode,
        volumes_from: others,
        pid,
        ipc,
        uts,
        userns,
        cgroup,
        cgroup_parent,
        group_add,
        runtime,
        // Of the container's own configuration, in `container`.
        tty: _,
        stdin_open: _,
        domainname: _,
        expose: _,
        // Of its endpoints.
        aliases: _,
        external_links: _,
        ipv4_address: _,
        ipv6_address: _,
        mac_address: _,
        annotations,
        gpus,
        memory_reservation,
        memory_swap,
        memory_swappiness,
        pids_limit,
        oom_score_adj,
        oom_kill_disable,
        cpu_shares,
        cpu_period,
        cpu_quota,
        cpu_rt_period,
        cpu_rt_runtime,
        blkio_weight,
        blkio_weight_device,
        device_read_bps,
        device_write_bps,
        device_read_iops,
        device_write_iops,
        cpuset,
        dns_search,
        dns_opt,
        shm_size,
        storage_opt,
        volume_driver,
        cap_add,
        cap_drop,
        dns,
    } = &service.options;
    let mut ports: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &service.ports {
        let binding = PortBinding {
            host_ip: Some(port.address.to_string()),
            host_port: Some(port.host.or(port.chosen).map(|host| host.to_string()).unwrap_or_default()),
        };
        ports.entry(port.key()).or_default().get_or_insert_default().push(binding);
    }
    HostConfig {
        port_bindings: Some(ports),
        mounts: Some(mounts::of(stack, service, kept)),
        binds: some(&mounts::binds(stack, service)),
        tmpfs: Some(service.tmpfs.iter().map(|tmpfs| (tmpfs.target.clone(), tmpfs.options.clone())).collect()),
        network_mode: match network_mode {
            Some(_) => namespace(stack, network_mode.as_ref()),
            None => service.networks.first().map(|short| stack.networks[short].name.clone()),
        },
        init: init.then_some(true),
        readonly_rootfs: read_only.then_some(true),
        privileged: privileged.then_some(true),
        security_opt: some(security_opt),
        devices: (!devices.is_empty()).then(|| devices.iter().map(|written| device(written)).collect()),
        device_cgroup_rules: some(device_cgroup_rules),
        sysctls: map(sysctls),
        volumes_from: some(&others.iter().map(|written| volumes_from(stack, written)).collect()),
        pid_mode: namespace(stack, pid.as_ref()),
        ipc_mode: namespace(stack, ipc.as_ref()),
        uts_mode: uts.clone(),
        userns_mode: userns.clone(),
        cgroupns_mode: cgroup.as_deref().and_then(|mode| mode.parse().ok()),
        cgroup_parent: cgroup_parent.clone(),
        group_add: some(group_add),
        runtime: runtime.clone(),
        annotations: map(annotations),
        device_requests: (!gpus.is_empty()).then(|| gpus.iter().map(|written| device_request(written)).collect()),
        memory_reservation: number(*memory_reservation),
        memory_swap: *memory_swap,
        memory_swappiness: *memory_swappiness,
        pids_limit: *pids_limit,
        oom_score_adj: *oom_score_adj,
        oom_kill_disable: oom_kill_disable.then_some(true),
        cpu_shares: *cpu_shares,
        cpu_period: *cpu_period,
        cpu_quota: *cpu_quota,
        cpu_realtime_period: *cpu_rt_period,
        cpu_realtime_runtime: *cpu_rt_runtime,
        blkio_weight: blkio_weight.and_then(|weight| weight.try_into().ok()),
        blkio_weight_device: weights(blkio_weight_device),
        blkio_device_read_bps: rates(device_read_bps),
        blkio_device_write_bps: rates(device_write_bps),
        blkio_device_read_iops: rates(device_read_iops),
        blkio_device_write_iops: rates(device_write_iops),
        cpuset_cpus: cpuset.clone(),
        dns_search: some(dns_search),
        dns_options: some(dns_opt),
        shm_size: number(*shm_size),
        storage_opt: map(storage_opt),
        volume_driver: volume_driver.clone(),
        memory: number(service.memory),
        nano_cpus: number(service.nano_cpus),
        ulimits: Some(service.ulimits.iter().map(ulimit).collect()),
        cap_add: some(cap_add),
        cap_drop: some(cap_drop),
        extra_hosts: some(&service.extra_hosts),
        dns: some(dns),
        restart_policy: Some(restart(service.restart)),
        log_config: Some(log_config(&service.logging)),
        ..Default::default()
    }
}

fn rates(rates: &IndexMap<String, u64>) -> Option<Vec<ThrottleDevice>> {
    let rate = |(path, rate): (&String, &u64)| ThrottleDevice {
        path: Some(path.clone()),
        rate: Some(i64::try_from(*rate).unwrap_or(i64::MAX)),
    };
    (!rates.is_empty()).then(|| rates.iter().map(rate).collect())
}

fn weights(weights: &IndexMap<String, u64>) -> Option<Vec<ResourcesBlkioWeightDevice>> {
    let weight = |(path, weight): (&String, &u64)| ResourcesBlkioWeightDevice {
        path: Some(path.clone()),
        weight: Some(usize::try_from(*weight).unwrap_or(usize::MAX)),
    };
    (!weights.is_empty()).then(|| weights.iter().map(weight).collect())
}

/// The engine's own drivers keep logs in files of a bounded size; others have no such options.
fn log_config(logging: &Logging) -> HostConfigLogConfig {
    let mut config: HashMap<String, String> = logging.options.clone().into_iter().collect();
    if logging.is_bounded() {
        config.entry("max-size".into()).or_insert_with(|| logging.max_size.clone());
        config.entry("max-file".into()).or_insert_with(|| logging.max_files.to_string());
    }
    let driver = logging.driver.clone().unwrap_or_else(|| "json-file".into());
    HostConfigLogConfig { typ: Some(driver), config: Some(config) }
}

/// `device[:path inside[:permissions]]`. With two parts, the second may be the permissions, as docker has it.
fn device(written: &str) -> DeviceMapping {
    let mut parts = written.split(':');
    let on_host = parts.next().unwrap_or_default();
    let (mut inside, mut permissions) = (on_host, "rwm");
    for part in parts {
        *(if part.starts_with('/') { &mut inside } else { &mut permissions }) = part;
    }
    DeviceMapping {
        path_on_host: Some(on_host.into()),
        path_in_container: Some(inside.into()),
        cgroup_permissions: Some(permissions.into()),
    }
}

/// A request for GPUs. One that says nothing of what they must be able to do wants GPUs.
fn device_request(written: &str) -> DeviceRequest {
    let Gpus { driver, count, devices, mut capabilities } = Gpus::parse(written).unwrap_or_default();
    if !capabilities.iter().any(|capability| capability == "gpu") {
        capabilities.insert(0, "gpu".into());
    }
    DeviceRequest {
        driver,
        count: count.or_else(|| devices.is_empty().then_some(-1)),
        device_ids: (!devices.is_empty()).then_some(devices),
        capabilities: Some(vec![capabilities]),
        ..Default::default()
    }
}

fn ulimit((name, limit): (&String, &crate::model::Ulimit)) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.clone()), soft: Some(limit.soft), hard: Some(limit.hard) }
}

fn restart(policy: RestartPolicy) -> ApiRestart {
    let (name, count) = match policy {
        RestartPolicy::No => (RestartPolicyNameEnum::NO, None),
        RestartPolicy::OnFailure(count) => (RestartPolicyNameEnum::ON_FAILURE, Some(i64::from(count))),
        RestartPolicy::Always => (RestartPolicyNameEnum::ALWAYS, None),
        RestartPolicy::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
    };
    ApiRestart { name: Some(name), maximum_retry_count: count }
}
