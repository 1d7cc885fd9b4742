//! What is common to the tests: how a service looks of which a test says only what matters.

mod clients;
mod endpoints;
mod exports;
mod failures;
mod probes;

use std::time::Duration;

use indexmap::IndexMap;

use super::*;
use crate::model::{EnvValue, Logging, PullPolicy, Readiness, RestartPolicy, ServiceName, StackName};

fn env(pairs: &[(&str, &str)]) -> IndexMap<String, EnvValue> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).into(), EnvValue { value: (*value).into(), origin: Vec::new(), secret: false }))
        .collect()
}

fn service(kind: Kind, env: IndexMap<String, EnvValue>) -> Service {
    let probe = probe(kind, Given::declared(&env, None, None));
    Service {
        name: ServiceName::parse("db").unwrap(),
        place: None,
        kind,
        active: true,
        profiles: Vec::new(),
        image_place: None,
        image: defaults(kind).image.unwrap_or("app:1").into(),
        build: None,
        pull: PullPolicy::Missing,
        platform: None,
        command: None,
        entrypoint: None,
        env,
        ports: Vec::new(),
        mounts: Vec::new(),
        files: Vec::new(),
        tmpfs: Vec::new(),
        depends_on: IndexMap::new(),
        healthcheck: None,
        own: probe.clone(),
        ready: Readiness { probe, timeout: Duration::from_secs(60), interval: None },
        watch: Vec::new(),
        user: None,
        working_dir: None,
        container_name: None,
        replicas: 1,
        replica: None,
        hostname: None,
        networks: vec!["default".into()],
        labels: IndexMap::new(),
        ulimits: IndexMap::new(),
        extra_hosts: Vec::new(),
        stop_signal: None,
        stop_timeout: Duration::from_secs(10),
        stop_limit: Duration::from_secs(10),
        restart: RestartPolicy::No,
        memory: None,
        nano_cpus: None,
        logging: Logging { max_size: "10m".into(), max_files: 3, driver: None, options: Default::default() },
        exports: IndexMap::new(),
        hooks: Default::default(),
        options: crate::model::options::ContainerOptions::default(),
    }
}

/// A service with this command.
fn started_with(kind: Kind, env: IndexMap<String, EnvValue>, command: &[&str]) -> Service {
    let command: Vec<String> = command.iter().map(ToString::to_string).collect();
    let own = probe(kind, Given::declared(&env, None, Some(&command)));
    let ready = Readiness { probe: own.clone(), timeout: Duration::from_secs(60), interval: None };
    Service { own, ready, command: Some(command), ..service(kind, env) }
}

/// A stack of these services.
fn stack(services: impl IntoIterator<Item = Service>) -> Stack {
    Stack {
        name: StackName::parse("p").unwrap(),
        root: "/p".into(),
        services: services.into_iter().map(|service| (service.name.clone(), service)).collect(),
        volumes: IndexMap::new(),
        networks: IndexMap::new(),
        aws: crate::model::aws::Aws::default(),
        secrets: Default::default(),
        unusable: Default::default(),
        isolation: None,
    }
}
