//! Finds the servers of a stack whose data is saved, and their addresses.

use std::io::{Read, Write};

use super::archive::{Reader, Writer};
use super::{Data, Progress, objects, postgres, redis};
use crate::aws::Client;
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::Engine;
use crate::event::counted;
use crate::kinds;
use crate::model::aws::{self, Api};
use crate::model::{Kind, Probe, Service, Stack};
use crate::plan::observed::Container;
use crate::run::actual::{self, Actual};
use crate::run::address;

/// A server whose data can be saved.
#[derive(Debug)]
pub enum Server<'a> {
    /// PostgreSQL.
    Postgres(postgres::Server<'a>),
    /// Redis.
    Redis(redis::Server),
    /// An emulator of S3.
    S3(objects::Server),
}

/// What there is to be saved of a service, as [`Data::kind`] says it.
pub fn kind(stack: &Stack, service: &Service) -> Option<&'static str> {
    match service.kind {
        Kind::Postgres => Some("postgres"),
        Kind::Redis => Some("redis"),
        _ if stack.serves(&service.name, Api::S3) => Some("s3"),
        _ => None,
    }
}

/// The servers of a stack that run, in the order of the file.
///
/// # Errors
/// When one can't be reached from here.
pub async fn running<'a>(engine: &'a Engine, stack: &Stack, containers: &[Container]) -> Result<Vec<Server<'a>>> {
    let services = stack.services.values().filter(|service| kind(stack, service).is_some());
    let up = |service: &Service| containers.iter().find(|seen| seen.service == service.name && seen.is_up()).cloned();
    let mut found = Vec::new();
    for (service, container) in services.filter_map(|service| Some((service, up(service)?))) {
        found.push(Server::new(engine, stack, service, &container).await?);
    }
    Ok(found)
}

impl<'a> Server<'a> {
    /// The server of a service.
    ///
    /// # Errors
    /// When it can't be reached from here.
    pub async fn new(engine: &'a Engine, stack: &Stack, service: &Service, container: &Container) -> Result<Self> {
        let Actual { service, unknown } = actual::service(engine, service, container).await;
        let name = service.name.to_string();
        if let Some(unknown) = unknown {
            return Err(Error::new(ErrorKind::NotReady, unknown));
        }
        let address_of = |port| address::of_port(&engine.about, &service, container, port);
        match service.own.clone() {
            Probe::Postgres { port, user, password, database, .. } => Ok(Self::Postgres(postgres::Server {
                service: name,
                engine,
                container: container.id.clone(),
                env: kinds::client(&service).map(|client| client.env).unwrap_or_default(),
                address: address_of(port)?,
                user: user.unwrap_or_default(),
                password,
                own: database.unwrap_or_default(),
            })),
            Probe::Redis { port: 0, .. } => {
                let message = format!("{name} listens on a unix socket only: its data can't be saved from here");
                Err(Error::new(ErrorKind::Usage, message)
                    .hint(format!("remove `--port 0` from `command` of services.{name}")))
            }
            Probe::Redis { port, user, password, tls, .. } => {
                let address = address_of(port)?;
                Ok(Self::Redis(redis::Server { service: name, address, tls, user, password }))
            }
            _ if kind(stack, &service) == Some("s3") => {
                let address = address_of(aws::port(&service).unwrap_or(4566))?;
                Ok(Self::S3(objects::Server { service: name, client: Client::new(address, stack.region())? }))
            }
            _ => Err(Error::new(ErrorKind::Usage, format_args!("nothing can be saved of {name}"))),
        }
    }

    /// Its service.
    pub fn service(&self) -> &str {
        match self {
            Self::Postgres(server) => &server.service,
            Self::Redis(server) => &server.service,
            Self::S3(server) => &server.service,
        }
    }

    /// The word for its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgres",
            Self::Redis(_) => "redis",
            Self::S3(_) => "s3",
        }
    }

    /// Saves its data.
    ///
    /// # Errors
    /// When it can't be asked, or the file can't be written.
    pub async fn save(&self, to: &mut Writer<impl Write>, progress: &mut Progress) -> Result<Data> {
        match self {
            Self::Postgres(server) => postgres::save(server, to, progress).await.map(Data::Postgres),
            Self::Redis(server) => redis::save(server, to, progress).await.map(Data::Redis),
            Self::S3(server) => objects::save(server, to, progress).await.map(Data::S3),
        }
    }

    /// What there is already where this data would go, in words.
    ///
    /// # Errors
    /// When it can't be asked, or the data is of another kind.
    pub async fn used(&self, data: &Data) -> Result<Vec<String>> {
        match (self, data) {
            (Self::Postgres(server), Data::Postgres(saved)) => {
                let used = server.used(saved).await?;
                Ok(used.into_iter().map(|database| format!("database {database} of {}", server.service)).collect())
            }
            (Self::Redis(server), Data::Redis(_)) => {
                let keys = server.keys().await?;
                Ok((keys > 0).then(|| format!("{} of {}", counted(keys, "key"), server.service)).into_iter().collect())
            }
            (Self::S3(server), Data::S3(saved)) => {
                let used = server.used(saved).await?;
                Ok(used.into_iter().map(|bucket| format!("bucket {bucket} of {}", server.service)).collect())
            }
            _ => Err(self.other(data)),
        }
    }

    /// Restores data, in the place of existing data, and compares it with what was saved. `roles`: the statements that
    /// make a PostgreSQL's. Returns what differs.
    ///
    /// # Errors
    /// When it can't be done, or the data is of another kind.
    pub async fn restore(
        &self,
        data: &Data,
        roles: &[String],
        from: &mut Reader<impl Read>,
        replace: bool,
        progress: &mut Progress,
    ) -> Result<Vec<String>> {
        match (self, data) {
            (Self::Postgres(server), Data::Postgres(saved)) => {
                postgres::restore(server, saved, roles, from, progress).await
            }
            (Self::Redis(server), Data::Redis(saved)) => redis::restore(server, saved, replace, from, progress).await,
            (Self::S3(server), Data::S3(saved)) => objects::restore(server, saved, replace, from, progress).await,
            _ => Err(self.other(data)),
        }
    }

    fn other(&self, data: &Data) -> Error {
        let message = format!("{} is of kind {}, but the data is of {}", self.service(), self.kind(), data.kind());
        Error::new(ErrorKind::Usage, message)
    }
}
