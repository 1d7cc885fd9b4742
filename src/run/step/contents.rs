//! What must be done inside a service before it is ready: declared AWS resources, saved objects, and hooks.

use super::{Doing, Ended};
use crate::aws;
use crate::diag::Result;
use crate::model::Service;
use crate::run::shutdown::ShutdownLevel;
use crate::run::{actual, failure, hooks, objects, provision};

impl Doing<'_> {
    /// Objects of an emulator in which nothing is declared; in others that comes after what is declared.
    pub(super) async fn put_back(&self, service: &Service, id: &str, fresh: bool) -> Result<()> {
        if !fresh || self.run.stack.declared_in(&service.name).next().is_some() {
            return Ok(());
        }
        objects::put_back(self.run, self.step, service, id, fresh).await
    }

    /// Objects that an emulator which runs already has not got back.
    pub(super) async fn finish_putting_back(&self, service: &Service) -> Result<(), Ended> {
        let putting = async {
            let id = self.container(&service.name)?;
            objects::put_back(self.run, self.step, service, &id, false).await
        };
        tokio::select! {
            put = putting => match put {
                Ok(()) => Ok(()),
                Err(error) => Err(Ended::Failed(Box::new(self.failure(&error).await))),
            },
            () = self.run.shutdown.reached(ShutdownLevel::Stop) => Err(Ended::Cancelled),
        }
    }

    /// Part of readiness: what is declared exists.
    pub(super) async fn provision(&self, service: &Service, prune: bool) -> Result<(), Ended> {
        let fresh = self.known.borrow().started.contains(&service.name);
        let provisioned = async {
            let id = self.container(&service.name)?;
            let service = &actual::read(self.run.engine, service, &id).await;
            provision::provision(self.run, self.step, service, &id, aws::ReconcileOptions { prune, fresh }).await
        };
        tokio::select! {
            provisioned = provisioned => match provisioned {
                Ok(changes) => {
                    self.known.borrow_mut().provisioned += changes;
                    Ok(())
                }
                Err(error) => Err(Ended::Failed(Box::new(self.failure(&error).await))),
            },
            () = self.run.shutdown.reached(ShutdownLevel::Stop) => Err(Ended::Cancelled),
        }
    }

    /// Commands inside that belong to getting ready, each time it was started.
    pub(super) async fn ready_hooks(&self, service: &Service, id: &str) -> Result<(), Ended> {
        if !self.known.borrow().started.contains(&service.name) {
            return Ok(());
        }
        let done = hooks::after_start(self.run.engine, service, id, "ready").await;
        done.map_err(|error| Ended::Failed(Box::new(failure::of_error(Some(service), &error))))
    }

    /// Commands inside as soon as it was started.
    pub(super) async fn post_start_hooks(&self, service: &Service) -> Result<(), Ended> {
        let done = async {
            let id = self.container(&service.name)?;
            hooks::after_start(self.run.engine, service, &id, "post_start").await
        };
        tokio::select! {
            // It did start: what explains failures of that is not asked.
            done = done => done.map_err(|error| Ended::Failed(Box::new(failure::of_error(Some(service), &error)))),
            () = self.run.shutdown.reached(ShutdownLevel::Stop) => Err(Ended::Cancelled),
        }
    }
}
