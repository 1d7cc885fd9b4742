//! Starts a container; what the engine refuses is explained, or mended where it can be.

use super::{Doing, boxed, is_missing_network, unknown};
use crate::diag::{Error, ErrorKind, Result};
use crate::model::Service;
use crate::run::{chosen_ports, ports, wait};

impl Doing<'_> {
    pub(super) async fn start(&self, service: &Service) -> Result<()> {
        let id = self.container(&service.name)?;
        self.equip(service, &id).await?;
        // Noted before: a start that is cut off may have happened.
        self.known.borrow_mut().started.push(service.name.clone());
        if self.run.seen.containers.iter().any(|seen| seen.id == id)
            && let Some(at) = self.run.engine.last_line_at(&id).await
        {
            self.known.borrow_mut().earlier.insert(service.name.clone(), at);
        }
        let mut started = self.run.engine.start(&id, &service.name).await;
        if started.as_ref().is_err_and(|error| error.to_string().contains("is ambiguous")) {
            for short in &service.networks {
                self.run.engine.settle_network(self.run.stack, &self.run.stack.networks[short].name).await?;
            }
            started = self.run.engine.start(&id, &service.name).await;
        }
        match started {
            Ok(()) => Ok(()),
            Err(error) if error.kind == ErrorKind::Port && chosen_ports::is_about_one(self.run, service, &error) => {
                boxed(|| self.start_on_other_ports(service, id)).await
            }
            Err(error) if error.kind == ErrorKind::Port => Err(self.port_taken(service, error).await),
            Err(error) if is_out_of_addresses(&error) => Err(self.full_network(service, &error)),
            // Another process removed it since it was looked at.
            Err(error) if is_missing_network(&error) => {
                Err(error.hint("run the command again: containers of a network that was removed are recreated"))
            }
            Err(error) => Err(error),
        }
    }

    /// What a container gets before it is started.
    async fn equip(&self, service: &Service, id: &str) -> Result<()> {
        // Each time, so that a run that was cut off before it is made up for.
        self.run.engine.put_files(id, &service.files).await?;
        // Where that is not possible there is still the log.
        if let Ok(Some(listening)) = wait::Listening::begin(self.run.engine, service, id).await {
            self.known.borrow_mut().listening.insert(service.name.clone(), listening);
        }
        Ok(())
    }

    /// A host port that was chosen for a container was taken since: the container is created again with others.
    async fn start_on_other_ports(&self, service: &Service, id: String) -> Result<()> {
        self.run.engine.remove_service(self.run.stack, &service.name, &id, true).await?;
        self.create(service).await?;
        let id = self.container(&service.name)?;
        self.equip(service, &id).await?;
        match self.run.engine.start(&id, &service.name).await {
            Err(error) if error.kind == ErrorKind::Port => Err(self.port_taken(service, error).await),
            started => started,
        }
    }

    /// The same message for each service, so that they become one report.
    fn full_network(&self, service: &Service, error: &Error) -> Error {
        let text = error.to_string();
        let named = |short: &&String| text.contains(&self.run.stack.networks[*short].name);
        let Some(short) = service.networks.iter().find(named).or(service.networks.first()) else {
            return unknown(&text);
        };
        let network = &self.run.stack.networks[short];
        let hint = match &network.subnet {
            Some(subnet) => format!(
                "write a larger `subnet` than {subnet} in [networks.{short}], or leave it out: the engine chooses one then"
            ),
            None => format!("write a larger one: `subnet = \"10.99.0.0/16\"` in [networks.{short}]"),
        };
        Error::new(ErrorKind::Other, format_args!("network {} has no free address", network.name)).hint(hint)
    }

    pub(super) async fn port_taken(&self, service: &Service, error: Error) -> Error {
        let name = &service.name;
        let other = format!("publish another port: `ports` of [services.{name}] in services.local.toml");
        match ports::holder(self.run.engine, self.run.stack, service).await {
            Some(holder) => {
                let free = holder.remedy.unwrap_or_else(|| "end it".into());
                let message = format!("can't start {name}: {}", holder.text);
                Error::new(ErrorKind::Port, message).hint(format!("{free}; or {other}"))
            }
            None => error.hint(other),
        }
    }
}

/// In the words of Docker 20.10 ("no available IPv4 addresses on this network's address pools") and of later ones.
fn is_out_of_addresses(error: &Error) -> bool {
    let text = error.to_string();
    text.contains("no available") && text.contains("address")
}
