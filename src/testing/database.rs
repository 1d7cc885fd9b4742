//! A database of its own for each test, inside the stack's PostgreSQL: a copy that is made in milliseconds.

use std::hash::{BuildHasher as _, RandomState};

use super::{Error, Stack};
use crate::kinds;
use crate::model::Probe;

/// A copy of the stack's database as it was when it was made. It goes with the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// Its URL, password included.
    pub url: String,
}

impl Stack {
    /// Copies the database of the stack's first PostgreSQL. Nobody may be connected to the one that is copied, so connect
    /// to copies only: prepare it, then fork.
    ///
    /// # Errors
    /// When there is no PostgreSQL, or somebody is connected to the database.
    pub async fn fork_database(&self) -> Result<Database, Error> {
        let service =
            self.postgres().ok_or_else(|| Error("the stack has no PostgreSQL to fork a database of".into()))?;
        let probe = kinds::probe(service.kind, &service.env, service.command.as_deref());
        let Probe::Postgres { port, user, database, .. } = probe else {
            return Err(Error(format!("{} is no PostgreSQL", service.name)));
        };
        let id = self.container(service.name.as_str())?;
        let name = format!("test_{:016x}", RandomState::new().hash_one(std::process::id()));
        let quoted = database.replace('"', "\"\"");
        let statement = format!("CREATE DATABASE \"{name}\" TEMPLATE \"{quoted}\"");
        let port = port.to_string();
        let words = ["psql", "-qX", "-p", &port, "-U", &user, "-d", "template1", "-v", "ON_ERROR_STOP=1", "-c"];
        let command: Vec<String> = words.into_iter().map(String::from).chain([statement]).collect();
        let executed = self.engine.exec(&id, &command).await?;
        if executed.code != 0 {
            return Err(Error(format!("can't fork database {database}: {}", executed.output)));
        }
        let url = self.url(service.name.as_str());
        let server = url.rsplit_once('/').map_or(url, |(server, _)| server);
        Ok(Database { url: format!("{server}/{name}"), name })
    }
}
