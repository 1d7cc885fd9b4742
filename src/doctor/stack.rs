//! Checks what services.toml needs: that it is valid, its ports, its images.

use std::io::ErrorKind as Io;
use std::net::{IpAddr, TcpListener};

use futures_util::future::join_all;

use super::{Check, remedy};
use crate::diag::Result;
use crate::engine::Engine;
use crate::event::counted;
use crate::load::Loaded;
use crate::model::{Protocol, Service, Stack};
use crate::plan::observed::Image;
use crate::run::ports;

/// Images that exist for amd64 alone, and the kind that does the same on other machines.
const AMD64_ONLY: [(&str, &str); 1] = [("mailhog/mailhog", "use `kind = \"mailpit\"`, which is available for both")];

/// Where the images that `scripts/images` builds are named.
const STAND_IN: &str = "taskava/";

pub(super) fn file(loaded: &Result<Loaded>) -> Check {
    let name = "services.toml";
    match loaded {
        Ok(loaded) => {
            let stack = &loaded.stack;
            let files: Vec<String> = loaded.files.iter().map(|file| file.display().to_string()).collect();
            let found = format!(
                "stack {}: {}, from {}",
                stack.name,
                counted(stack.services.len() as u64, "service"),
                files.join(", ")
            );
            match loaded.warnings.len() {
                0 => Check::ok(name, found),
                warnings => {
                    Check::warn(name, format!("{found}; {}", counted(warnings as u64, "warning")), "taskava dev check")
                }
            }
        }
        Err(error) => match error.diagnostics.first() {
            Some(first) => {
                let place = first.place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
                let fix = "see every problem with its place: taskava dev check";
                Check::fail(name, format!("{place}{} ({error})", first.message), fix)
            }
            None => Check::fail(name, error.to_string(), remedy(error)),
        },
    }
}

/// A fixed host port that the stack wants.
struct Wanted<'a> {
    address: IpAddr,
    host: u16,
    service: &'a Service,
}

pub(super) async fn ports(engine: Option<&Engine>, stack: &Stack) -> Result<Vec<Check>> {
    let active = stack.services.values().filter(|service| service.active);
    let wanted: Vec<Wanted<'_>> = active
        .flat_map(|service| service.ports.iter().map(move |port| (service, port)))
        .filter(|(_, port)| port.protocol == Protocol::Tcp)
        .filter_map(|(service, port)| Some(Wanted { address: port.address, host: port.host?, service }))
        .collect();
    if wanted.is_empty() {
        return Ok(vec![Check::ok("ports", "the engine chooses all of them")]);
    }
    let taken: Vec<Check> =
        join_all(wanted.iter().map(|wanted| taken(engine, stack, wanted))).await.into_iter().flatten().collect();
    if taken.is_empty() {
        let list: Vec<String> = wanted.iter().map(|wanted| wanted.host.to_string()).collect();
        return Ok(vec![Check::ok("ports", format!("free, or held by this stack: {}", list.join(", ")))]);
    }
    Ok(taken)
}

async fn taken(engine: Option<&Engine>, stack: &Stack, wanted: &Wanted<'_>) -> Option<Check> {
    let Wanted { address, host, service } = wanted;
    let publisher = match engine {
        Some(engine) => engine.publisher(*host, "").await.ok().flatten(),
        None => None,
    };
    let holder = match publisher {
        Some(own) if own.project.as_deref() == Some(stack.name.as_str()) => return None,
        Some(other) => ports::of_publisher(*host, &other, Some(stack)),
        // Where the engine is elsewhere, so are its ports.
        None if engine.is_some_and(|engine| engine.about.host != "127.0.0.1") => return None,
        None => match TcpListener::bind((*address, *host)) {
            Err(error) if error.kind() == Io::AddrInUse => match ports::of_process(*address, *host) {
                Some(holder) => holder,
                None => ports::Holder { text: format!("port {host} is in use"), remedy: None },
            },
            _ => return None,
        },
    };
    let free = holder.remedy.unwrap_or_else(|| "end it".into());
    let other = format!("publish another port: `ports` of [services.{}] in services.local.toml", service.name);
    Some(Check::fail(&format!("port {host}"), holder.text, format!("{free}; or {other}")))
}

pub(super) async fn images(engine: &Engine, stack: &Stack) -> Result<Vec<Check>> {
    let (info, seen) = tokio::join!(
        engine.info(),
        join_all(
            stack
                .services
                .values()
                .filter(|service| service.active)
                .map(async |service| { Ok((service, engine.image(&service.image).await?)) })
        )
    );
    let seen = seen.into_iter().collect::<Result<Vec<_>>>()?;
    let missing: Vec<&Service> =
        seen.iter().filter(|(service, image)| image.is_none() && service.build.is_none()).map(|(s, _)| *s).collect();
    // One attempt says whether there is a way; each would cost its own.
    let reachable = match missing.first() {
        Some(service) => tokio::time::timeout(super::LIMIT * 3 / 4, engine.can_pull(&service.image)).await.map_or_else(
            |_| Err("its registry does not answer".to_owned()),
            |asked| asked.map_err(|error| error.to_string()),
        ),
        None => Ok(()),
    };
    let mut checks = vec![presence(&seen, &missing, &reachable)];
    checks.extend(foreign(&seen, &info?.architecture));
    Ok(checks)
}

/// What was cut off and left data that is not whole. Nothing is said where there is none.
pub(super) async fn unfinished(engine: &Engine, stack: &Stack) -> Result<Vec<Check>> {
    let intents = engine.intents(stack.name.as_str()).await?;
    Ok(intents.iter().map(|intent| Check::fail("data", intent.message(), intent.remedies().join("; "))).collect())
}

type Seen<'a> = (&'a Service, Option<Image>);

fn presence(seen: &[Seen<'_>], missing: &[&Service], reachable: &Result<(), String>) -> Check {
    let names = |services: &[&Service]| services.iter().map(|s| s.image.as_str()).collect::<Vec<_>>().join(", ");
    let stand_ins: Vec<&Service> =
        seen.iter().map(|(service, _)| *service).filter(|service| service.image.starts_with(STAND_IN)).collect();
    let suffix = match stand_ins.len() {
        0 => String::new(),
        _ => format!("; stand-ins: {}", names(&stand_ins)),
    };
    match reachable {
        _ if missing.is_empty() => Check::ok("images", format!("all exist locally, or are built{suffix}")),
        Ok(()) => Check::ok("images", format!("to be pulled: {}; the registry answers{suffix}", names(missing))),
        Err(why) => Check::fail(
            "images",
            format!("missing: {}; {why}", names(missing)),
            "check the engine's network, proxy and login (docker login); without a registry: scripts/images",
        ),
    }
}

fn foreign(seen: &[Seen<'_>], architecture: &str) -> Vec<Check> {
    let of = |(service, image): &Seen<'_>| {
        let wrong = match image {
            Some(image) => !image.architecture.is_empty() && image.architecture != architecture,
            None => false,
        };
        let known = AMD64_ONLY.iter().find(|(name, _)| service.image.starts_with(name) && architecture != "amd64");
        if service.platform.is_some() || !(wrong || known.is_some()) {
            return None;
        }
        let its = image.as_ref().map_or("amd64", |image| &*image.architecture);
        let found =
            format!("{} is for {its}, the engine is {architecture}: it runs emulated, if at all", service.image);
        let fix = match known {
            Some((_, fix)) => format!("services.{}: {fix}", service.name),
            None => format!(
                "choose an image for {architecture}, or confirm it with `platform` of services.{}",
                service.name
            ),
        };
        Some(Check::warn("architecture", found, fix))
    };
    seen.iter().filter_map(of).collect()
}
