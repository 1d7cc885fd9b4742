//! Databases that are being created. Their comment can only be set afterwards; until then, a setting of the statement
//! that creates one marks it as ours, and a lock of the creating session shows whether it is still in progress. Copies
//! that were cut off are dropped.

use super::template::name as template;
use super::{MARK, Server, comment, identifier, literal, pooled, random, refused};
use crate::diag::Result;

/// How many connections a database allows while it is made: a number that marks it as ours, as no user would choose it.
pub(super) const MAKING: u32 = 1_907_433_521;

impl Server {
    /// Takes the lock under which a database of this name is made.
    pub(super) async fn begin(&mut self, name: &str) -> Result<()> {
        self.run(&format!("SELECT pg_advisory_lock({})", key(name))).await.map(drop)
    }

    /// Lets it go.
    pub(super) async fn end(&mut self, name: &str) -> Result<()> {
        self.run(&format!("SELECT pg_advisory_unlock({})", key(name))).await.map(drop)
    }

    /// Makes one more copy for the pool. Returns its name.
    pub(super) async fn add(&mut self, from: &str) -> Result<String> {
        loop {
            let name = format!("{}{:08x}", pooled(from), random());
            let (new, source) = (identifier(&name), identifier(&template(from)));
            self.begin(&name).await?;
            let create = format!("CREATE DATABASE {new} TEMPLATE {source} CONNECTION LIMIT {MAKING}");
            let made = match self.ask(&create).await? {
                Ok(_) => {
                    let mark = comment(&name, &format!("{MARK}pool of {from}"));
                    // In one transaction: it is one or the other at every moment.
                    self.run(&format!("{mark}; ALTER DATABASE {new} CONNECTION LIMIT -1")).await.map(|_| true)
                }
                Err(refusal) if refusal.code == "42P04" => Ok(false),
                Err(refusal) => Err(refused(&format!("can't copy {from}"), &refusal)),
            };
            self.end(&name).await?;
            if made? {
                return Ok(name);
            }
        }
    }

    /// Drops what is left of databases whose making was cut off. What the server refuses to drop stays.
    pub(super) async fn sweep(&mut self, names: &[String]) -> Result<()> {
        for name in names {
            let lock = format!("SELECT pg_try_advisory_lock({})", key(name));
            if self.run(&lock).await?.first().and_then(|row| row[0].as_deref()) != Some("t") {
                // Another session makes it just now.
                continue;
            }
            // It may have been finished before the lock was had.
            let is_unfinished =
                format!("SELECT FROM pg_database WHERE datname = {} AND datconnlimit = {MAKING}", literal(name));
            if !self.run(&is_unfinished).await?.is_empty() {
                let _ = self.ask(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", identifier(name))).await?;
            }
            self.end(name).await?;
        }
        Ok(())
    }
}

fn key(name: &str) -> String {
    format!("hashtext({})", literal(&format!("{MARK}making {name}")))
}
