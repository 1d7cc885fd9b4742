//! The engine as the tests see it, beside the binary: looks, and does what happens behind its back.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::Docker;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::{ContainerCreateBody, HostConfig, NetworkCreateRequest, PortBinding, VolumeCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptions, ImportImageOptions, InspectContainerOptions, KillContainerOptions, ListContainersOptions,
    ListImagesOptions, ListNetworksOptions, ListVolumesOptions, LogsOptions, RemoveContainerOptions,
    RemoveImageOptions, RemoveVolumeOptions, RenameContainerOptions, RestartContainerOptions, StartContainerOptions,
    StopContainerOptions, TagImageOptions,
};
use futures_util::TryStreamExt;
use sha2::Digest as _;

/// Does something on the engine that `DOCKER_HOST` names.
#[track_caller]
pub(crate) fn engine<T>(work: impl AsyncFnOnce(Docker) -> Result<T, bollard::errors::Error>) -> T {
    try_engine(work).unwrap_or_else(|error| panic!("the engine: {error}"))
}

type Answer<T> = Result<T, bollard::errors::Error>;

fn try_engine<T>(work: impl AsyncFnOnce(Docker) -> Answer<T>) -> Answer<T> {
    run(Docker::connect_with_defaults().expect("an address"), work)
}

/// What is done at the end of a test. A failure of a test that has failed already would end all tests.
fn removed(work: impl AsyncFnOnce(Docker) -> Answer<()>) {
    let removed = try_engine(work);
    assert!(removed.is_ok() || std::thread::panicking(), "the engine: {removed:?}");
}

/// The same on another engine.
pub(crate) fn at<T>(address: &str, work: impl AsyncFnOnce(Docker) -> Answer<T>) -> Answer<T> {
    run(Docker::connect_with_host(address)?, work)
}

fn run<T>(docker: Docker, work: impl AsyncFnOnce(Docker) -> Answer<T>) -> Answer<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(work(docker))
}

fn filter(labels: &[&str]) -> Option<std::collections::HashMap<String, Vec<String>>> {
    Some([("label".to_owned(), labels.iter().map(ToString::to_string).collect())].into())
}

/// A container in a list.
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) state: String,
}

/// All containers with these labels.
pub(crate) fn containers(labels: &[&str]) -> Vec<Container> {
    let options = ListContainersOptions { all: true, filters: filter(labels), ..Default::default() };
    let found = engine(async |docker| docker.list_containers(Some(options)).await);
    let container = |seen: bollard::models::ContainerSummary| Container {
        id: seen.id.unwrap_or_default(),
        name: seen.names.unwrap_or_default().join(","),
        state: seen.state.map(|state| state.to_string()).unwrap_or_default(),
    };
    found.into_iter().map(container).collect()
}

/// A container in detail.
pub(crate) struct Inspected {
    pub(crate) state: String,
    pub(crate) started_at: String,
    pub(crate) env: Vec<String>,
    pub(crate) image: String,
}

/// Looks at a container.
#[track_caller]
pub(crate) fn inspect(id: &str) -> Inspected {
    let seen = engine(async |docker| docker.inspect_container(id, None::<InspectContainerOptions>).await);
    let state = seen.state.unwrap_or_default();
    let config = seen.config.unwrap_or_default();
    Inspected {
        state: state.status.map(|status| status.to_string()).unwrap_or_default(),
        started_at: state.started_at.unwrap_or_default(),
        env: config.env.unwrap_or_default(),
        image: seen.image.unwrap_or_default(),
    }
}

/// The volumes without a name of a container, if it is still there.
pub(crate) fn nameless_volumes(id: &str) -> Vec<String> {
    let seen = try_engine(async |docker| docker.inspect_container(id, None::<InspectContainerOptions>).await);
    let mounts = seen.ok().and_then(|seen| seen.mounts).unwrap_or_default();
    let nameless = |name: &String| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    mounts.into_iter().filter_map(|mount| mount.name).filter(nameless).collect()
}

/// The host port behind a container's TCP port.
#[track_caller]
pub(crate) fn port(id: &str, port: u16) -> u16 {
    let seen = engine(async |docker| docker.inspect_container(id, None::<InspectContainerOptions>).await);
    let ports = seen.network_settings.and_then(|settings| settings.ports).unwrap_or_default();
    let bindings = ports.get(&format!("{port}/tcp")).cloned().flatten().unwrap_or_default();
    let host = bindings.first().and_then(|binding| binding.host_port.clone()).unwrap_or_default();
    host.parse().unwrap_or_else(|_| panic!("port {port} of {id} is not published"))
}

/// Names of all volumes.
pub(crate) fn volumes() -> Vec<String> {
    let found = engine(async |docker| docker.list_volumes(None::<ListVolumesOptions>).await);
    found.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect()
}

/// Everything that carries a label: `container x`, `network y`, `volume z`.
pub(crate) fn left(label: &str) -> Vec<String> {
    let mut left: Vec<String> =
        containers(&[label]).into_iter().map(|seen| format!("container {}", seen.name)).collect();
    let filters = filter(&[label]);
    let networks = ListNetworksOptions { filters: filters.clone() };
    let networks = engine(async |docker| docker.list_networks(Some(networks)).await);
    left.extend(networks.into_iter().map(|seen| format!("network {}", seen.name.unwrap_or_default())));
    let volumes = engine(async |docker| docker.list_volumes(Some(ListVolumesOptions { filters })).await);
    let volumes = volumes.volumes.unwrap_or_default();
    left.extend(volumes.into_iter().map(|seen| format!("volume {}", seen.name)));
    left
}

/// Removes everything that carries a label, for a test that failed. Errors would hide why it did.
pub(crate) fn remove_all(label: &str) {
    let objects = left(label);
    engine(async |docker| {
        for object in objects {
            let _ = match object.split_once(' ') {
                Some(("container", name)) => {
                    let options = RemoveContainerOptions { force: true, v: true, link: false };
                    docker.remove_container(name.trim_start_matches('/'), Some(options)).await
                }
                Some(("network", name)) => docker.remove_network(name).await,
                Some((_, name)) => docker.remove_volume(name, None::<RemoveVolumeOptions>).await,
                None => Ok(()),
            };
        }
        Ok(())
    });
}

/// The images that carry a label: their names, or the ids of those that have none.
pub(crate) fn images(label: &str) -> Vec<String> {
    let options = ListImagesOptions { filters: filter(&[label]), ..Default::default() };
    let found = engine(async |docker| docker.list_images(Some(options)).await);
    found
        .into_iter()
        .flat_map(|mut image| {
            // Engines before 25 say `<none>:<none>`.
            image.repo_tags.retain(|name| !name.starts_with('<'));
            if image.repo_tags.is_empty() { vec![image.id] } else { image.repo_tags }
        })
        .collect()
}

/// Whether there is such an image.
pub(crate) fn has_image(image: &str) -> bool {
    try_engine(async |docker| docker.inspect_image(image).await).is_ok()
}

/// Id of an image, and its labels.
#[track_caller]
pub(crate) fn inspect_image(image: &str) -> (String, BTreeMap<String, String>) {
    let seen = engine(async |docker| docker.inspect_image(image).await);
    let labels = seen.config.and_then(|config| config.labels).unwrap_or_default();
    (seen.id.unwrap_or_default(), labels.into_iter().collect())
}

/// Puts an image with nothing in it on the engine that says it was made so long ago. Returns its id.
pub(crate) fn make_image(name: Option<&str>, labels: &BTreeMap<String, String>, age: Duration) -> String {
    let digest = |data: &[u8]| {
        let hash = sha2::Sha256::digest(data);
        format!("sha256:{}", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    };
    let archive = |files: &[(&str, &[u8])]| {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, data) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(data.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, *data).expect("memory");
        }
        archive.into_inner().expect("memory")
    };
    let layer = archive(&[("made-by", b"a test")]);
    let created = (jiff::Timestamp::now() - age).to_string();
    let config = serde_json::json!({
        "created": created, "os": "linux", "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "config": { "Labels": labels, "Cmd": ["-"] }, "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
        "history": [{ "created": created }],
    });
    let config = config.to_string();
    let manifest =
        serde_json::json!([{ "Config": "config.json", "RepoTags": name.as_slice(), "Layers": ["layer.tar"] }])
            .to_string();
    let whole = [("manifest.json", manifest.as_bytes()), ("config.json", config.as_bytes()), ("layer.tar", &layer)];
    let body = bollard::body_full(archive(&whole).into());
    engine(async |docker| docker.import_image(ImportImageOptions::default(), body, None).try_collect::<Vec<_>>().await);
    digest(config.as_bytes())
}

/// Puts in the place of an image one with the same name and labels that was made so long ago. Returns its id.
#[track_caller]
pub(crate) fn make_older(image: &str, age: Duration) -> String {
    let labels = inspect_image(image).1;
    untag(image);
    make_image((!image.starts_with("sha256:")).then_some(image), &labels, age)
}

/// Creates a container and does not start it.
pub(crate) fn create(name: &str, image: &str) -> Foreign {
    create_with(name, image, HostConfig::default())
}

/// The same with more of the engine's settings, such as mounts.
pub(crate) fn create_with(name: &str, image: &str, host: HostConfig) -> Foreign {
    let body = ContainerCreateBody { image: Some(image.into()), host_config: Some(host), ..Default::default() };
    let options = CreateContainerOptions { name: Some(name.into()), platform: String::new() };
    Foreign(engine(async |docker| docker.create_container(Some(options), body).await).id)
}

/// Removes the images that carry a label: the snapshots of a stack.
pub(crate) fn remove_images(label: &str) {
    images(label).iter().for_each(|image| remove_image(image));
}

/// Removes an image, if it is there. A container that a janitor is just removing holds its image for a moment.
pub(crate) fn remove_image(image: &str) {
    for _ in 0..240 {
        match try_engine(async |docker| docker.remove_image(image, None::<RemoveImageOptions>, None).await) {
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 409, .. }) => {
                std::thread::sleep(Duration::from_millis(250));
            }
            _ => return,
        }
    }
}

/// Removes a container, and leaves its volumes.
pub(crate) fn remove(id: &str) {
    let options = RemoveContainerOptions { force: true, v: false, link: false };
    engine(async |docker| docker.remove_container(id, Some(options)).await);
}

/// Removes a volume, if it is there.
pub(crate) fn remove_volume(name: &str) {
    let _ = try_engine(async |docker| docker.remove_volume(name, None::<RemoveVolumeOptions>).await);
}

/// Gives a container another name.
pub(crate) fn rename(id: &str, name: &str) {
    engine(async |docker| docker.rename_container(id, RenameContainerOptions { name: name.into() }).await);
}

/// Kills a container: SIGKILL.
pub(crate) fn kill(id: &str) {
    engine(async |docker| docker.kill_container(id, None::<KillContainerOptions>).await);
}

/// Stops a container at once.
pub(crate) fn stop(id: &str) {
    let options = StopContainerOptions { t: Some(0), signal: None };
    engine(async |docker| docker.stop_container(id, Some(options)).await);
}

/// Stops a container at once and starts it, as `docker restart` does.
pub(crate) fn restart(id: &str) {
    let options = RestartContainerOptions { t: Some(0), signal: None };
    engine(async |docker| docker.restart_container(id, Some(options)).await);
}

/// Freezes a container.
pub(crate) fn pause(id: &str) {
    engine(async |docker| docker.pause_container(id).await);
}

/// Lets it go on.
pub(crate) fn unpause(id: &str) {
    engine(async |docker| docker.unpause_container(id).await);
}

/// Gives an image another name.
pub(crate) fn tag(image: &str, repo: &str, tag: &str) {
    let options = TagImageOptions { repo: Some(repo.into()), tag: Some(tag.into()) };
    engine(async |docker| docker.tag_image(image, Some(options)).await);
}

/// A container of no stack, removed when it goes out of scope.
pub(crate) struct Foreign(pub(crate) String);

impl Foreign {
    /// Runs a command; publishes port 80 if a host port is given.
    pub(crate) fn run(name: &str, image: &str, command: &[&str], host_port: Option<u16>) -> Self {
        let binding = |port: u16| PortBinding { host_ip: Some("127.0.0.1".into()), host_port: Some(port.to_string()) };
        let ports = host_port.map(|port| [("80/tcp".to_owned(), Some(vec![binding(port)]))].into());
        let body = ContainerCreateBody {
            image: Some(image.into()),
            cmd: Some(command.iter().map(ToString::to_string).collect()),
            host_config: Some(HostConfig { port_bindings: ports, ..Default::default() }),
            exposed_ports: host_port.map(|_| vec!["80/tcp".to_owned()]),
            ..Default::default()
        };
        let options = CreateContainerOptions { name: Some(name.into()), platform: String::new() };
        let created = engine(async |docker| docker.create_container(Some(options), body).await);
        let foreign = Self(created.id);
        engine(async |docker| docker.start_container(&foreign.0, None::<StartContainerOptions>).await);
        foreign
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let options = RemoveContainerOptions { force: true, v: true, link: false };
        removed(async |docker| docker.remove_container(&self.0, Some(options)).await);
    }
}

/// A volume of no stack, removed when it goes out of scope.
pub(crate) struct ForeignVolume(pub(crate) String);

impl ForeignVolume {
    pub(crate) fn create(name: &str) -> Self {
        Self::labelled(name, &[])
    }

    /// With labels as another tool may copy them.
    pub(crate) fn labelled(name: &str, labels: &[(&str, &str)]) -> Self {
        let labels = Some(labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect());
        let request = VolumeCreateRequest { name: Some(name.into()), labels, ..Default::default() };
        engine(async |docker| docker.create_volume(request).await);
        Self(name.into())
    }
}

impl Drop for ForeignVolume {
    fn drop(&mut self) {
        removed(async |docker| docker.remove_volume(&self.0, None::<RemoveVolumeOptions>).await);
    }
}

/// A network of no stack, removed when it goes out of scope.
pub(crate) struct ForeignNetwork(String);

impl ForeignNetwork {
    pub(crate) fn create(name: &str) -> Self {
        Self::labelled(name, &[])
    }

    /// With labels as another tool may copy them.
    pub(crate) fn labelled(name: &str, labels: &[(&str, &str)]) -> Self {
        let labels = Some(labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect());
        let request = NetworkCreateRequest { name: name.into(), labels, ..Default::default() };
        engine(async |docker| docker.create_network(request).await);
        Self(name.into())
    }
}

impl Drop for ForeignNetwork {
    fn drop(&mut self) {
        removed(async |docker| docker.remove_network(&self.0).await);
    }
}

/// Takes every name off images that begins like this.
pub(crate) fn untag_all(prefix: &str) {
    let images = engine(async |docker| docker.list_images(None::<ListImagesOptions>).await);
    let names = images.into_iter().flat_map(|image| image.repo_tags);
    for name in names.filter(|name| name.starts_with(prefix)) {
        untag(&name);
    }
}

/// Takes a name off an image.
pub(crate) fn untag(reference: &str) {
    engine(async |docker| docker.remove_image(reference, None::<RemoveImageOptions>, None).await);
}

/// What a container wrote so far. The engine lists one that is just being created before it knows its log.
pub(crate) fn log(id: &str) -> String {
    let options = LogsOptions { stdout: true, stderr: true, ..Default::default() };
    let frames = try_engine(async |docker| docker.logs(id, Some(options)).try_collect::<Vec<_>>().await);
    frames.unwrap_or_default().iter().map(ToString::to_string).collect()
}

/// Runs a command in a container and waits for its end.
pub(crate) fn exec(id: &str, command: &[&str]) {
    output(id, command);
}

/// What a command in a container writes.
#[track_caller]
pub(crate) fn output(id: &str, command: &[&str]) -> String {
    let config = CreateExecOptions {
        cmd: Some(command.iter().map(ToString::to_string).collect()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..Default::default()
    };
    engine(async |docker| {
        let exec = docker.create_exec(id, config).await?;
        match docker.start_exec(&exec.id, None).await? {
            StartExecResults::Attached { output, .. } => {
                Ok(output.try_collect::<Vec<_>>().await?.iter().map(ToString::to_string).collect())
            }
            StartExecResults::Detached => Ok(String::new()),
        }
    })
}

/// Makes another network with the name and labels of one, as a run does that was killed at the wrong moment. Engines
/// that refuse it (from 25 on) can't come to that.
pub(crate) fn double_network(name: &str) {
    let filters = Some([("name".to_owned(), vec![name.to_owned()])].into());
    let found = engine(async |docker| docker.list_networks(Some(ListNetworksOptions { filters })).await);
    let labels = found.into_iter().find_map(|seen| seen.labels);
    assert!(labels.is_some(), "no network {name}");
    let request = NetworkCreateRequest { name: name.into(), labels, ..Default::default() };
    let _ = try_engine(async |docker| docker.create_network(request).await);
}

/// Names of the containers that carry these labels.
pub(crate) fn names(labels: &[&str]) -> Vec<String> {
    containers(labels).into_iter().map(|seen| seen.name.trim_start_matches('/').to_owned()).collect()
}
