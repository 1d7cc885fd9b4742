//! Probes everything at once: the emulators for each AWS service, PostgreSQL and Redis for version and replicas, web
//! servers for their health, the engine for running containers.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::components::{COMPONENTS, Component, Real};
use super::judge::{Answers, Evidence, line, other_version};
use super::{Declared, Line};
use crate::aws::{AwsError, Emulator, Seen, survey};
use crate::database::Server;
use crate::diag::Result;
use crate::engine::Engine;
use crate::model::aws::{Api, Emulators, NONE, Property, Resource, ResourceKind};
use crate::model::{Kind, Probe, Service, Stack};
use crate::plan::observed::{Container, ContainerState};
use crate::run::probe::{Answer, Limits, Prober, http_client};
use crate::run::provision::running as emulators_that_run;
use crate::run::stream::Stream;
use crate::run::{actual, address, once};

/// How long an emulator may take: LocalStack loads a service when it is first asked.
const PATIENCE: Duration = Duration::from_secs(20);

/// Time limit for all other probes.
const SOON: Duration = Duration::from_secs(3);

/// Longest answer of a Redis that is read.
const LONGEST: u64 = 64 * 1024;

/// Everything that is needed to ask.
struct Asking<'a> {
    engine: &'a Engine,
    stack: &'a Stack,
    containers: &'a [Container],
    http: reqwest::Client,
    prober: Prober,
}

/// An emulator that runs, and what it has of what is declared.
struct Surveyed<'a> {
    emulator: Emulator,
    service: &'a Service,
    declared: Vec<&'a Resource>,
    seen: Seen,
    failed: Vec<(Api, AwsError)>,
}

/// Asks for every component of production what there is of it in a stack.
///
/// # Errors
/// When probing is not possible at all. Services that don't answer are reported in the lines.
pub async fn ask(engine: &Engine, stack: &Stack, containers: &[Container]) -> Result<Vec<Line>> {
    let limits = Limits::default();
    let asking = Asking { engine, stack, containers, http: http_client(limits)?, prober: Prober::new(limits)? };
    let found = emulators_that_run(&engine.about, stack, containers).into_iter();
    let surveyed = join_all(found.map(async |(emulator, service, _)| {
        let declared: Vec<_> = stack.declared_in(&service.name).collect();
        let (seen, failed) = survey(&emulator, &declared).await;
        Surveyed { emulator, service, declared, seen, failed }
    }))
    .await;
    let real = asking.real().await;
    Ok(join_all(COMPONENTS.iter().map(async |component| {
        let api = asking.emulated(component, &surveyed).await;
        let declared = component.api.map(|api| declared(api, &surveyed, stack));
        let real = component.real.map(|wanted| of(&real, wanted));
        line(component, Answers { real, api: component.question.map(|_| api), declared })
    }))
    .await)
}

fn of(real: &[(Real, Evidence)], wanted: Real) -> Evidence {
    let found = real.iter().find(|(real, _)| *real == wanted);
    found.map_or_else(|| Evidence::none("not probed"), |(_, heard)| heard.clone())
}

/// How much of what is declared exists.
fn declared(api: Api, surveyed: &[Surveyed<'_>], stack: &Stack) -> Declared {
    let all = stack.aws.resources.iter().filter(|resource| resource.id.kind.api() == api);
    let there = |resource: &&Resource| surveyed.iter().any(|one| one.seen.existing.contains_key(&resource.id));
    Declared { declared: all.clone().count(), existing: all.filter(there).count() }
}

impl Asking<'_> {
    /// What an emulator says of a component.
    async fn emulated(&self, component: &Component, surveyed: &[Surveyed<'_>]) -> Evidence {
        let Some(question) = component.question else { return Evidence::none("the emulators were not probed") };
        let Some(emulators) = Emulators::of(self.stack) else {
            return Evidence::none("no service of the stack emulates AWS");
        };
        let service = emulators.beside.filter(|_| component.beside).unwrap_or(emulators.main);
        let name = &service.name;
        let Some(asked) = surveyed.iter().find(|one| one.service.name == *name) else {
            return Evidence::none(format!("{name} does not run, or can't be reached"));
        };
        let short = question.action.split('?').next().unwrap_or(question.action);
        let answer = timeout(PATIENCE, asked.emulator.client.question(&question)).await;
        let refused = match answer {
            Ok(Ok(_)) => {
                let mut heard = Evidence {
                    service: vec![name.to_string()],
                    said: Ok(vec![format!("{name} answers {short}")]),
                    gaps: Vec::new(),
                };
                self.more(component, asked, &mut heard).await;
                return heard;
            }
            Ok(Err(refused)) => refused,
            Err(_) => return Evidence::none(format!("{name} did not answer {short} within {}s", PATIENCE.as_secs())),
        };
        Evidence::none(match refused.is_unknown() {
            true if emulators.beside.is_none() && component.beside => {
                format!("{name} answers {short} with 501, and the stack has no service of kind ministack")
            }
            true => format!("{name} answers {short} with 501: it has no such service"),
            false => format!("{name}, asked for {short}: {}", shortened(&refused.to_string())),
        })
    }

    /// What else can be found out about one of them.
    async fn more(&self, component: &Component, asked: &Surveyed<'_>, heard: &mut Evidence) {
        let name = &asked.service.name;
        let Some(api) = component.api else {
            if component.name == "SES v2" {
                self.mail(heard).await;
            }
            return;
        };
        heard.gaps.extend(
            asked
                .failed
                .iter()
                .filter(|(of, _)| *of == api)
                .map(|(_, refused)| format!("{name}: {}", shortened(&refused.to_string()))),
        );
        match api {
            Api::S3 => heard.say(settings(asked, ResourceKind::Bucket)),
            Api::Cognito => heard.say(settings(asked, ResourceKind::UserPool)),
            Api::Ses => self.mail(heard).await,
            Api::Iam => {
                let stranger = asked.emulator.client.as_stranger();
                let let_in = match component.question {
                    Some(question) => stranger.question(&question).await.is_ok(),
                    None => false,
                };
                if let_in {
                    heard
                        .gaps
                        .push("an access key that does not exist was accepted: policies are kept, not enforced".into());
                }
            }
            _ => {}
        }
    }

    /// Whether what is sent arrives somewhere.
    async fn mail(&self, heard: &mut Evidence) {
        for (service, container) in self.services(|service| matches!(service.kind, Kind::Mailhog | Kind::Mailpit)) {
            let asked = once::ask(self.engine, &self.prober, service, container, None).await;
            if asked.is_ok_and(|asked| asked.answer == Answer::Ready) {
                heard.say(vec![format!("{} accepts mail", service.name)]);
                return;
            }
        }
        heard.gaps.push("no mail service answers: mail that is sent is not delivered".into());
    }

    /// Whatever runs here itself.
    async fn real(&self) -> Vec<(Real, Evidence)> {
        let ((edge, application), (database, cache)) = join(self.servers(), join(self.database(), self.cache())).await;
        vec![
            (Real::Edge, edge),
            (Real::Application, application),
            (Real::Database, database),
            (Real::Cache, cache),
            (Real::Network, self.network()),
        ]
    }

    /// Services that run, with their containers.
    fn services(&self, wanted: impl Fn(&Service) -> bool) -> impl Iterator<Item = (&Service, &Container)> {
        self.stack.services.values().filter(move |service| wanted(service)).filter_map(|service| {
            let up = |seen: &&Container| seen.service == service.name && seen.state == ContainerState::Running;
            Some((service, self.containers.iter().find(up)?))
        })
    }

    fn addresses(&self, service: &Service, container: &Container) -> std::collections::BTreeMap<u16, SocketAddr> {
        address::of(&self.engine.about, service, container)
    }

    /// The web server in front, which says who it is; and the containers that are the application.
    async fn servers(&self) -> (Evidence, Evidence) {
        let (mut edge, mut application) = (Evidence::empty(), Evidence::empty());
        let all = self.services(|service| service.kind == Kind::Generic);
        let asked =
            join_all(all.map(async |(service, container)| (service, self.server(service, container).await))).await;
        for (service, (said, server)) in asked {
            let known =
                |name: &&str| service.image.contains(*name) || server.as_ref().is_some_and(|said| said.contains(*name));
            match (FRONTS.iter().any(known), said) {
                (true, Ok(said)) => edge.hear(service, said),
                (false, Ok(said)) => application.hear(service, said),
                (true, Err(why)) => edge.miss(&why),
                (false, Err(why)) => application.miss(&why),
            }
        }
        (
            edge.or("no web server stands in front (one that names itself in its answer, with `ready = { http = … }`)"),
            application.or("no container of the application runs"),
        )
    }

    /// What a service answers to its own health check, and as what software.
    async fn server(
        &self,
        service: &Service,
        container: &Container,
    ) -> (std::result::Result<String, String>, Option<String>) {
        let name = &service.name;
        let Probe::Http { port, path } = &service.ready.probe else { return (Ok(format!("{name} runs")), None) };
        let Some(address) = self.addresses(service, container).get(port).copied() else {
            return (Err(format!("port {port} of {name} can't be reached from here")), None);
        };
        let slash = if path.starts_with('/') { "" } else { "/" };
        match self.http.get(format!("http://{address}{slash}{path}")).send().await {
            Err(_) => (Err(format!("{name} does not answer")), None),
            Ok(answer) => {
                let server =
                    answer.headers().get("server").and_then(|value| value.to_str().ok()).map(str::to_lowercase);
                let status = answer.status();
                let who = server.as_ref().map(|server| format!(" ({server})")).unwrap_or_default();
                let said = format!("{name}{who} answers {path} with {}", status.as_u16());
                (if status.as_u16() < 400 { Ok(said) } else { Err(said) }, server)
            }
        }
    }

    async fn database(&self) -> Evidence {
        let mut heard = Evidence::empty();
        for (service, container) in self.services(|service| service.kind == Kind::Postgres) {
            let asked = timeout(SOON, async { Server::connect(self.engine, service, container).await?.about().await });
            match asked.await {
                Ok(Ok(about)) => {
                    heard.hear(service, format!("{} is PostgreSQL {}", service.name, about.version));
                    heard.gaps.extend(other_version(Real::Database, &about.version));
                    if about.standbys == 0 {
                        heard.gaps.push("no standby follows it: not Multi-AZ".into());
                    }
                }
                Ok(Err(error)) => heard.miss(&error.to_string()),
                Err(_) => heard.miss(&format!("{} does not answer", service.name)),
            }
        }
        heard.or("no service of kind postgres runs")
    }

    async fn cache(&self) -> Evidence {
        let mut heard = Evidence::empty();
        for (service, container) in self.services(|service| service.kind == Kind::Redis) {
            let service = &actual::service(self.engine, service, container).await.service;
            let Probe::Redis { port, user, password, tls, .. } = &service.own else { continue };
            let Some(address) = self.addresses(service, container).get(port).copied() else {
                heard.miss(&format!("port {port} of {} can't be reached from here", service.name));
                continue;
            };
            let login = (user.as_deref(), password.as_deref());
            let info = timeout(SOON, info(address, *tls, login)).await;
            let Ok(Ok(info)) = info else {
                heard.miss(&format!("{} does not answer", service.name));
                continue;
            };
            let Some(version) = field(&info, "redis_version") else {
                heard.miss(&format!("{} does not say what it is: {}", service.name, shortened(&info)));
                continue;
            };
            heard.hear(service, format!("{} is Redis {version}", service.name));
            heard.gaps.extend(other_version(Real::Cache, version));
            if field(&info, "connected_slaves") == Some("0") {
                heard.gaps.push("no replica follows it".into());
            }
            if field(&info, "cluster_enabled") == Some("0") {
                heard.gaps.push("no cluster mode".into());
            }
        }
        heard.or("no service of kind redis runs")
    }

    /// The networks that the stack's containers are in, as the engine tells.
    fn network(&self) -> Evidence {
        let up = self.containers.iter().filter(|container| container.state == ContainerState::Running);
        let mut networks: Vec<_> = up.clone().flat_map(|container| container.networks.keys()).collect();
        networks.sort();
        networks.dedup();
        if networks.is_empty() {
            return Evidence::none("no container is in a network");
        }
        let names: Vec<_> = networks.into_iter().map(String::as_str).collect();
        let said = format!("{} containers in network {}", up.count(), names.join(", "));
        Evidence { service: Vec::new(), said: Ok(vec![said]), gaps: Vec::new() }
    }
}

/// Web servers that stand in front of others.
const FRONTS: [&str; 5] = ["nginx", "caddy", "traefik", "envoy", "haproxy"];

/// Settings that were read back from what is declared: `versioning of 1`.
fn settings(asked: &Surveyed<'_>, kind: ResourceKind) -> Vec<String> {
    let mut found: indexmap::IndexMap<Property, usize> = indexmap::IndexMap::new();
    for resource in asked.declared.iter().filter(|resource| resource.id.kind == kind) {
        for (property, value) in asked.seen.existing.get(&resource.id).into_iter().flatten() {
            if ![NONE, "off", "allowed"].contains(&value.as_str()) && *property != Property::Seed {
                *found.entry(*property).or_default() += 1;
            }
        }
    }
    found.into_iter().map(|(property, count)| format!("{property} of {count}")).collect()
}

/// What Redis tells about itself.
async fn info(address: SocketAddr, tls: bool, login: (Option<&str>, Option<&str>)) -> std::io::Result<String> {
    let mut stream = Stream::connect(address, tls).await?;
    let (user, password) = login;
    if let Some(password) = password {
        let words: Vec<&str> = ["AUTH"].into_iter().chain(user).chain([password]).collect();
        let mut send = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| send.push_str(&format!("${}\r\n{word}\r\n", word.len())));
        stream.write_all(send.as_bytes()).await?;
    }
    stream.write_all(b"INFO\r\nQUIT\r\n").await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'))
}

/// As much of an answer as fits into a table.
fn shortened(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 100 { line } else { line.chars().take(99).chain(['…']).collect() }
}

impl Evidence {
    fn empty() -> Self {
        Self { service: Vec::new(), said: Err(String::new()), gaps: Vec::new() }
    }

    /// A service answered.
    fn hear(&mut self, service: &Service, said: String) {
        self.service.push(service.name.to_string());
        match &mut self.said {
            Ok(all) => all.push(said),
            // That another did not is a gap.
            Err(why) => {
                if !why.is_empty() {
                    self.gaps.push(std::mem::take(why));
                }
                self.said = Ok(vec![said]);
            }
        }
    }

    /// A service did not answer.
    fn miss(&mut self, why: &str) {
        match &mut self.said {
            Ok(_) => self.gaps.push(why.to_owned()),
            Err(before) if before.is_empty() => why.clone_into(before),
            Err(before) => *before = format!("{before}; {why}"),
        }
    }

    /// The same; `why` if there was nothing to probe.
    fn or(mut self, why: &str) -> Self {
        if let Err(before) = &mut self.said
            && before.is_empty()
        {
            why.clone_into(before);
        }
        self
    }

    fn say(&mut self, more: Vec<String>) {
        if let Ok(said) = &mut self.said {
            said.extend(more);
        }
    }
}
