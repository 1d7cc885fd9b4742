//! Probes over HTTP.

use std::io;
use std::net::SocketAddr;

use serde::Deserialize;

use super::{Answer, LONGEST_ANSWER, Limits, words};
use crate::diag::{ErrorKind, Result};

/// A client that only connects to the given address: no proxy, no redirect, no persistent connection.
pub(crate) fn client(limits: Limits) -> Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .connect_timeout(limits.connect)
        .timeout(limits.connect + limits.answer)
        .build()
        .map_err(|error| crate::diag::Error::from_source(ErrorKind::Other, error.into()))
}

/// A client, and how long one answer may take in all.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) client: &'a reqwest::Client,
    pub(super) limit: std::time::Duration,
}

/// `GET` answers with a status that will do.
pub(super) async fn status(
    http: Asking<'_>,
    address: SocketAddr,
    path: &str,
    good: impl FnOnce(u16) -> bool,
) -> Answer {
    match get(http, address, path).await {
        Ok(response) if good(response.status().as_u16()) => Answer::Ready,
        Ok(response) => Answer::NotYet(format!("HTTP {}", response.status().as_u16())),
        Err(why) => Answer::NotYet(why),
    }
}

/// LocalStack is ready when its READY stage is through and none of the scripts in it failed.
pub(super) async fn localstack(http: Asking<'_>, address: SocketAddr) -> Answer {
    let body = match get(http, address, "/_localstack/init").await {
        Ok(response) if response.status() == 200 => body(response).await,
        Ok(response) => Err(format!("HTTP {}", response.status().as_u16())),
        Err(why) => Err(why),
    };
    match body.map(|body| serde_json::from_slice::<Init>(&body)) {
        Ok(Ok(init)) => init.answer(),
        Ok(Err(_)) => Answer::NotYet("the answer of /_localstack/init is not LocalStack's".into()),
        Err(why) => Answer::NotYet(why),
    }
}

/// What `/_localstack/init` tells.
#[derive(Deserialize)]
struct Init {
    completed: Stages,
    #[serde(default)]
    scripts: Vec<Script>,
}

#[derive(Deserialize)]
struct Stages {
    #[serde(rename = "READY")]
    ready: bool,
}

#[derive(Deserialize)]
struct Script {
    stage: String,
    name: String,
    state: String,
}

impl Init {
    fn answer(&self) -> Answer {
        let script = |state| self.scripts.iter().find(|script| script.state == state);
        if let Some(Script { stage, name, .. }) = script("ERROR") {
            Answer::Never(format!("init script {name} failed ({stage})"))
        } else if self.completed.ready {
            Answer::Ready
        } else if let Some(Script { name, .. }) = script("RUNNING") {
            Answer::NotYet(format!("init script {name} is running"))
        } else {
            Answer::NotYet("LocalStack is starting".into())
        }
    }
}

async fn get(http: Asking<'_>, address: SocketAddr, path: &str) -> Result<reqwest::Response, String> {
    let slash = if path.starts_with('/') { "" } else { "/" };
    http.client
        .get(format!("http://{address}{slash}{path}"))
        .timeout(http.limit)
        .send()
        .await
        .map_err(|error| why(&error))
}

async fn body(mut response: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| why(&error))? {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            return Err("the answer is too long".into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The innermost cause in plain words; what is around it repeats the URL.
fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return if error.is_connect() { "not accepted in time" } else { "accepted, but no answer in time" }.into();
    }
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    match inner.downcast_ref::<io::Error>() {
        Some(error) => words(error),
        None => match inner.to_string() {
            text if text.starts_with("connection closed before") => "accepted, then closed".into(),
            text => text,
        },
    }
}
