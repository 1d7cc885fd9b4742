//! Builds images: with BuildKit if the engine has it, otherwise with its classic builder. The files of a context are up
//! to `context`, the image's build label up to `model::built`.

mod failure;
mod files;
mod named;
mod proto;
mod send;
mod session;
mod ssh;
mod steps;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bollard::auth::DockerCredentials;
use bollard::errors::Error as Bollard;
use bollard::{BollardRequest, body_try_stream};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{HeaderValue, Method, Request};
use serde::Deserialize;

pub use self::failure::BuildFailed;
use self::failure::build_failed;
use self::files::Files;
use self::session::{Offer, Session};
use self::steps::{Culprit, Steps};
use super::connect::answer;
use super::error::{failed, message, status};
use super::{Builder, Engine, Progress, credentials, hijack, labels};
use crate::context::{self, Context};
use crate::diag::{Error, ErrorKind, Result};
use crate::model::built::Label;
use crate::model::{Build, Service};

/// A build may be silent for as long as its context takes.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest line that a builder may say.
const LONGEST_LINE: usize = 16 * 1024 * 1024;

/// Options of a build, in addition to the service's settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct How {
    /// Don't use the cache.
    pub no_cache: bool,
    /// Look for newer base images.
    pub pull: bool,
    /// Arguments of this build, by name: they override the service's, and the image's label does not have them.
    pub args: Vec<(String, String)>,
}

/// The first thing that went wrong on our side of a build; the engine only sees the consequence.
#[derive(Debug, Clone, Default)]
struct Trouble(Arc<Mutex<Option<Error>>>);

impl Trouble {
    fn note(&self, error: Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Why BuildKit did not build.
enum Declined {
    /// The engine has none, and says so like this.
    NotThere(String),
    Failed(Error),
}

impl From<Error> for Declined {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Engine {
    /// Builds the image of a service, and notes in its label what it was built from. Says something when the user should
    /// know how it was done.
    ///
    /// # Errors
    /// [`ErrorKind::Image`] with the step that failed and the last lines of its output; [`ErrorKind::Engine`] when the
    /// engine is gone.
    pub async fn build(&self, service: &Service, how: How, tell: &mut dyn FnMut(Progress)) -> Result<Option<String>> {
        let built = self.build_with_either(service, how, tell).await;
        match built {
            // What a build prints when its engine stops is the builder's, not the Dockerfile's.
            Err(error) if error.kind == ErrorKind::Image => match answer(self.docker.ping()).await {
                Err(gone) if status(&gone).is_none() => {
                    Err(failed(format_args!("the engine went away while it built {}", service.image), &gone))
                }
                _ => Err(error),
            },
            built => built,
        }
    }

    async fn build_with_either(
        &self,
        service: &Service,
        how: How,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<Option<String>> {
        let Some(build) = &service.build else { return Ok(None) };
        let asked = build.clone();
        let content =
            tokio::task::spawn_blocking(move || context::content(&asked)).await.map_err(anyhow::Error::from)??;
        let mut own = build.clone();
        // What the builder takes for it.
        own.args.extend(own.options.inline_cache.then(|| ("BUILDKIT_INLINE_CACHE".into(), "1".into())));
        own.args.extend(how.args.iter().cloned());
        if own.contexts.is_empty() {
            return self.build_one(service, &own, how, content.label(service), tell).await;
        }
        let folders = self.images_of_folders(service, build, tell).await?;
        let built = match named::staged(&own, &folders) {
            Ok(staged) => self.build_one(service, &staged, how, content.label(service), tell).await,
            Err(error) => Err(error),
        };
        self.forget(&folders).await;
        built
    }

    /// Builds what is one context and one Dockerfile.
    async fn build_one(
        &self,
        service: &Service,
        build: &Build,
        how: How,
        label: Label,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<Option<String>> {
        let work = Work { engine: self, service, build, how, label };
        let why = match self.builder() {
            Builder::Classic(why) => why.to_owned(),
            Builder::BuildKit => match work.buildkit(tell).await {
                Ok(()) => return Ok(None),
                Err(Declined::Failed(error)) => return Err(error),
                Err(Declined::NotThere(why)) => why,
            },
        };
        let missing = [("build secrets", !build.secrets.is_empty()), ("SSH agents", !build.options.ssh.is_empty())];
        if let Some((what, _)) = missing.into_iter().find(|(_, asked)| *asked) {
            let message = format!("can't build {}: {what} need BuildKit, but {why}", service.image);
            return Err(Error::new(ErrorKind::Image, message)
                .hint("use BuildKit: unset DOCKER_BUILDKIT, or upgrade the engine"));
        }
        work.classic(tell).await?;
        Ok(Some(format!("{}: built with the classic builder: {why}", service.name)))
    }

    /// Which builder to try: as for docker, `DOCKER_BUILDKIT` decides, then what the engine prefers.
    fn builder(&self) -> Builder {
        match std::env::var("DOCKER_BUILDKIT").as_deref() {
            Ok("0" | "false") => Builder::Classic("DOCKER_BUILDKIT is 0"),
            Ok("1" | "true") => Builder::BuildKit,
            _ => self.about.builder,
        }
    }
}

/// One build.
struct Work<'a> {
    engine: &'a Engine,
    service: &'a Service,
    build: &'a Build,
    how: How,
    /// What the image is to say of itself.
    label: Label,
}

impl Work<'_> {
    async fn buildkit(&self, tell: &mut dyn FnMut(Progress)) -> Result<(), Declined> {
        let trouble = Trouble::default();
        let build = self.build.clone();
        let apart = tokio::task::spawn_blocking(move || Context::without_dockerfile(&build)).await;
        let apart = apart.map_err(|error| Error::from(anyhow::Error::from(error))).flatten()?;
        let dockerfile = apart.as_ref().map(|(_, dockerfile)| dockerfile.path.clone());
        let offer = Offer {
            files: apart.map(|(context, dockerfile)| Files { context, dockerfile }),
            agents: ssh::agents(&self.service.image, self.build)?,
            secrets: self.build.secrets.iter().map(|(id, path)| (id.clone(), path.clone())).collect(),
            config_dir: self.engine.config_dir.clone(),
            trouble: trouble.clone(),
        };
        let session = Session::open(&self.engine.address, offer).await.map_err(|error| match status(&error) {
            Some(_) => Declined::NotThere(format!("the engine opens no session for BuildKit: {}", message(&error))),
            None => Declined::Failed(failed("can't open a session for BuildKit", &error)),
        })?;
        let mut query = vec![("version", "2".to_owned()), ("session", session.id.clone())];
        query.extend(self.query());
        match self.run(query, None, dockerfile, &trouble, tell).await {
            Err(Ended::Refused(status, text)) if text.to_lowercase().contains("buildkit") => {
                Err(Declined::NotThere(format!("the engine refuses BuildKit with status {status}: {text}")))
            }
            ended => Ok(self.ended(ended, &trouble).await?),
        }
    }

    async fn classic(&self, tell: &mut dyn FnMut(Progress)) -> Result<()> {
        let trouble = Trouble::default();
        let dockerfile = context::dockerfile(self.build).unwrap_or_default();
        let found = credentials::for_build(&self.engine.config_dir, &dockerfile).await?;
        let found: HashMap<String, DockerCredentials> =
            found.into_iter().map(|(registry, found)| (registry, found.into_bollard())).collect();
        let logins = URL_SAFE.encode(serde_json::to_vec(&found).map_err(anyhow::Error::from)?);
        let mut query = vec![("rm", "1".to_owned()), ("forcerm", "1".to_owned())];
        query.extend(self.query());
        let ended = self.run(query, Some(&logins), None, &trouble, tell).await;
        self.ended(ended, &trouble).await
    }

    /// What both builders receive.
    fn query(&self) -> Vec<(&'static str, String)> {
        let Build { target, args, cache_from, options, .. } = self.build;
        let mut label: HashMap<&str, String> =
            options.labels.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        label.insert(labels::BUILD, json(&self.label));
        let mut query = vec![("t", self.service.image.clone()), ("labels", json(&label))];
        query.extend((!args.is_empty()).then(|| ("buildargs", json(args))));
        query.extend((!cache_from.is_empty()).then(|| ("cachefrom", json(cache_from))));
        query.extend(target.clone().map(|target| ("target", target)));
        query.extend(self.service.platform.clone().map(|platform| ("platform", platform)));
        query.extend((self.how.no_cache || options.no_cache).then(|| ("nocache", "1".into())));
        query.extend((self.how.pull || options.pull).then(|| ("pull", "1".into())));
        query.extend(options.tags.iter().map(|tag| ("t", tag.clone())));
        query.extend(options.network.clone().map(|network| ("networkmode", network)));
        query.extend((!options.extra_hosts.is_empty()).then(|| ("extrahosts", options.extra_hosts.join(","))));
        let limits = options.ulimits.iter().map(|(name, limit)| Limit { name, soft: limit.soft, hard: limit.hard });
        let limits: Vec<Limit<'_>> = limits.collect();
        query.extend((!limits.is_empty()).then(|| ("ulimits", json(&limits))));
        query.extend(options.shm_size.map(|size| ("shmsize", size.to_string())));
        query
    }

    /// Sends the context, and listens until the builder has nothing more to say. `logins`: for the classic builder, and only
    /// there; `asked`: the files are asked for in the session, and the Dockerfile is called so there.
    async fn run(
        &self,
        mut query: Vec<(&str, String)>,
        logins: Option<&str>,
        asked: Option<String>,
        trouble: &Trouble,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), Ended> {
        let classic = logins.is_some();
        let body = match asked {
            Some(dockerfile) => {
                query.extend([("remote", "client-session".to_owned()), ("dockerfile", dockerfile)]);
                bollard::body_full(Bytes::new())
            }
            None => {
                let build = self.build.clone();
                let context = tokio::task::spawn_blocking(move || Context::list(&build)).await;
                let context = context.map_err(|error| Error::from(anyhow::Error::from(error))).flatten();
                let context = context.map_err(Ended::Ours)?;
                query.push(("dockerfile", context.dockerfile.clone()));
                body_try_stream(send::archive(context, trouble.clone()))
            }
        };
        let mut request = Request::post(format!("/build?{}", hijack::query(&query)))
            .header("content-type", "application/x-tar")
            .body(body)
            .expect("an encoded query");
        if let Some(logins) = logins {
            let mut value = HeaderValue::from_str(logins).expect("base64 is valid in a header");
            value.set_sensitive(true);
            request.headers_mut().insert("x-registry-config", value);
        }
        let mut said = self.engine.raw(request);
        let (mut steps, mut buffer) = (Steps::default(), Vec::new());
        while let Some(bytes) = said.next().await {
            let bytes = bytes.map_err(|error| match status(&error) {
                Some(status) if buffer.is_empty() => Ended::Refused(status, message(&error)),
                _ => Ended::Failed(message(&error), steps.culprit("", classic)),
            })?;
            buffer.extend_from_slice(&bytes);
            let complete = memchr::memrchr(b'\n', &buffer).map_or(0, |end| end + 1);
            for line in buffer[..complete].split(|byte| *byte == b'\n') {
                let Ok(said) = serde_json::from_slice::<Said>(line) else { continue };
                if let Some(error) = said.error() {
                    let culprit = steps.culprit(&error, classic);
                    return Err(Ended::Failed(error, culprit));
                }
                said.take_in(&mut steps, tell);
            }
            buffer.drain(..complete);
            if buffer.len() > LONGEST_LINE {
                return Err(Ended::Failed("the builder's answer can't be read".into(), None));
            }
        }
        Ok(())
    }

    /// What the end means: whether the image is there decides.
    async fn ended(&self, ended: Result<(), Ended>, trouble: &Trouble) -> Result<()> {
        let failed =
            |text: &str, culprit: Option<Culprit>| build_failed(&self.service.image, self.build, text, culprit);
        match ended {
            Err(Ended::Ours(error)) => Err(error),
            Err(Ended::Refused(_, text)) => Err(trouble.take().unwrap_or_else(|| failed(&text, None))),
            Err(Ended::Failed(text, culprit)) => Err(trouble.take().unwrap_or_else(|| failed(&text, culprit))),
            // One that was there before says something else of itself.
            Ok(()) => match self.engine.image(&self.service.image).await? {
                Some(image) if image.build.as_ref() == Some(&self.label) => Ok(()),
                _ => Err(trouble.take().unwrap_or_else(|| failed("the build was cut off", None))),
            },
        }
    }
}

/// A limit of the steps, in the engine's words.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Limit<'a> {
    name: &'a str,
    soft: i64,
    hard: i64,
}

/// How a build ended that did not succeed.
enum Ended {
    /// The engine did not begin; its status and words.
    Refused(u16, String),
    /// It failed in the builder's words, at a step if one is to blame.
    Failed(String, Option<Culprit>),
    /// It failed on our side.
    Ours(Error),
}

/// A line of a builder's answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    stream: Option<String>,
    status: Option<String>,
    id: Option<String>,
    aux: Option<serde_json::Value>,
    error: Option<String>,
    error_detail: Option<Detail>,
}

#[derive(Debug, Deserialize)]
struct Detail {
    message: Option<String>,
}

impl Said {
    fn error(&self) -> Option<String> {
        let detail = self.error_detail.as_ref().and_then(|detail| detail.message.clone());
        detail.or_else(|| self.error.clone())
    }

    fn take_in(&self, steps: &mut Steps, tell: &mut dyn FnMut(Progress)) {
        if self.id.as_deref() == Some("moby.buildkit.trace") {
            let trace = self.aux.as_ref().and_then(serde_json::Value::as_str);
            steps.trace(&trace.and_then(|trace| STANDARD.decode(trace).ok()).unwrap_or_default(), tell);
        } else if let Some(text) = &self.stream {
            steps.output(text, tell);
        } else if let Some(status) = &self.status {
            tell(Progress { layer: None, text: status.clone(), current: None, total: None });
        }
    }
}

impl Engine {
    /// The bytes of the answer to a request that bollard has no call for, or decodes too early: its export call, which gives
    /// bytes as they are over any transport, is led there.
    fn raw(&self, request: BollardRequest) -> impl Stream<Item = Result<Bytes, Bollard>> + Unpin + use<> {
        let request = Mutex::new(Some(request));
        let docker = self.docker.clone().with_timeout(PATIENCE).with_request_modifier(move |mut given| {
            let Some(request) = request.lock().unwrap_or_else(PoisonError::into_inner).take() else { return given };
            let (parts, body) = request.into_parts();
            let mut uri = given.uri().clone().into_parts();
            uri.path_and_query = parts.uri.path_and_query().cloned();
            *given.method_mut() = Method::POST;
            if let Ok(uri) = http::Uri::from_parts(uri) {
                *given.uri_mut() = uri;
            }
            given.headers_mut().extend(parts.headers);
            *given.body_mut() = body;
            given
        });
        docker.export_container("")
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("texts only")
}

#[cfg(test)]
mod tests;
