//! The S3 objects of the application, for emulators that keep everything in memory: saved to a volume before the
//! emulator stops, put back once it is ready and the declared resources exist.
//!
//! They are stored in a folder of the data volume, so they behave like other data: they survive `down`, are part of
//! snapshots, and `down --volumes` removes them. See docs/decisions/13.

mod archive;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, try_join};

use self::archive::{Reader, SUMMARY, Summary, Writer};
use super::{Run, provision};
use crate::aws::objects::{self, Bucket, Entry, Putter, Source};
use crate::aws::{Answer, AwsError, Client};
use crate::byte_channel;
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::Engine;
use crate::event::{Event, counted, size};
use crate::kinds;
use crate::model::aws::Api;
use crate::model::{Kind, Mount, MountSource, Service, ServiceName, Stack};
use crate::plan::observed::{Container, ContainerState};
use crate::plan::{Observed, Op, Plan, Step};

/// The folder in the data volume.
const FOLDER: &str = "taskava-objects";

/// The folder while it is written.
const UNFINISHED: &str = "taskava-objects.new";

/// The folder that another one takes the place of.
const OLD: &str = "taskava-objects.old";

/// A file in the folder: when the emulator was started that has all of it in memory.
const LOADED: &str = "loaded";

/// How many pieces of an archive wait for the engine.
const PIECES: usize = 4;

/// How long an emulator that is to be stopped may take to say whether it has something.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often progress is reported, in versions.
const TELL_EVERY: u64 = 100;

/// An emulator's objects, and where they are kept.
struct Objects<'a> {
    run: &'a Run<'a>,
    step: &'a Step,
    service: &'a Service,
    container: &'a str,
    client: Client,
    /// A folder in a volume; none where it has no volume.
    place: Option<String>,
}

/// Saves what is in the buckets of an emulator that is about to be stopped. What keeps its data by itself, and what
/// belongs to a test run, is left alone.
///
/// # Errors
/// When there is something, but it could not be saved. An emulator that does not answer is no error: what it had is
/// lost, which is reported.
pub(super) async fn save(run: &Run<'_>, step: &Step, service: &Service, container: &str) -> Result<()> {
    let service = &of_container(run.engine, service, container).await?;
    if run.stack.isolation.is_some() || !is_forgetful(run.stack, service) {
        return Ok(());
    }
    let silent = match provision::client(run, service, container, false).await {
        Ok(client) => match in_use(&client).await {
            Ok(false) => return Ok(()),
            Ok(true) => {
                let objects = Objects { run, step, service, container, client, place: place(service) };
                return objects.save().await.map_err(|error| objects.not_saved(error));
            }
            Err(refused) => refused.to_string(),
        },
        Err(error) => error.to_string(),
    };
    run.events.emit(&Event::Warning {
        message: format!("what is in the buckets of {} can't be saved and is lost: {silent}", service.name),
        hint: Some("the next `up` puts back what was saved the last time".into()),
    });
    Ok(())
}

/// Puts back what was saved, unless the emulator has it already.
///
/// # Errors
/// When there is something, but it could not be put back. It stays saved.
pub(super) async fn put_back(
    run: &Run<'_>,
    step: &Step,
    service: &Service,
    container: &str,
    fresh: bool,
) -> Result<()> {
    let service = &of_container(run.engine, service, container).await?;
    if !is_forgetful(run.stack, service) {
        return Ok(());
    }
    let Some(place) = place(service) else { return Ok(()) };
    let Some(summary) = saved(run, container, &place).await? else { return Ok(()) };
    let client = provision::client(run, service, container, fresh).await?;
    let objects = Objects { run, step, service, container, client, place: Some(place) };
    objects.load(&summary).await.map_err(|error| {
        let message = format!("what was saved of the buckets of {} could not be put back: {error}", service.name);
        Error::new(error.kind, message).hint(format!("it stays saved; taskava dev logs {}", service.name))
    })
}

/// The emulators that run and have not got back all that was saved of their buckets: that was cut off, or they were
/// restarted since by another than this program. Two to four calls for each that can have something, all at once.
///
/// # Errors
/// When the engine does not answer.
pub async fn owed(engine: &Engine, stack: &Stack, containers: &[Container]) -> Result<BTreeSet<ServiceName>> {
    if stack.isolation.is_some() {
        return Ok(BTreeSet::new());
    }
    let up = containers.iter().filter(|seen| seen.state == ContainerState::Running);
    let asked = up.filter_map(|seen| {
        let service = stack.services.get(&seen.service)?;
        stack.serves(&service.name, Api::S3).then_some((service, &seen.id))
    });
    let asked = asked.map(async |(service, id)| {
        let seen = match engine.inspect(id).await {
            Ok(Some(seen)) if seen.running => seen,
            // It ended meanwhile.
            Ok(_) => return Ok(None),
            Err(error) if error.kind == ErrorKind::Engine => return Err(error),
            // What can't be looked at is no reason not to stop it.
            Err(_) => return Ok(None),
        };
        let service = &service.with_env(&seen.env);
        let Some(place) = place(service).filter(|_| is_forgetful(stack, service)) else { return Ok(None) };
        let (loaded, summary) = (format!("{place}/{FOLDER}/{LOADED}"), format!("{place}/{FOLDER}/{SUMMARY}"));
        let loaded = match engine.read_file(id, &loaded).await {
            Err(error) if error.kind == ErrorKind::Engine => return Err(error),
            Err(_) => return Ok(None),
            Ok(loaded) => loaded,
        };
        let started = seen.started_at.unwrap_or_default();
        let is_owed = match loaded {
            Some(loaded) => loaded != started.as_bytes(),
            None => {
                let new = format!("{place}/{UNFINISHED}/{SUMMARY}");
                let (old, new) = try_join!(engine.read_file(id, &summary), engine.read_file(id, &new))?;
                old.or(new).is_some()
            }
        };
        Ok(is_owed.then(|| service.name.clone()))
    });
    Ok(try_join_all(asked).await?.into_iter().flatten().collect())
}

/// Whether there may be something; asked with less patience than an emulator has while it begins.
async fn in_use(client: &Client) -> Answer<bool> {
    let message = format!("no answer in {} s", PATIENCE.as_secs());
    let silent = AwsError { status: 0, code: String::new(), message };
    tokio::time::timeout(PATIENCE, objects::in_use(client)).await.unwrap_or(Err(silent))
}

/// Whether a service is asked for S3 and forgets what it has when it stops.
fn is_forgetful(stack: &Stack, service: &Service) -> bool {
    let is_on = |name: &str| service.env.get(name).is_some_and(|value| matches!(value.value.as_str(), "1" | "true"));
    stack.serves(&service.name, Api::S3)
        && !(service.kind == Kind::Ministack && is_on("PERSIST_STATE") && is_on("S3_PERSIST"))
}

/// A service with the variables of its container: its image sets some, too.
async fn of_container(engine: &Engine, service: &Service, id: &str) -> Result<Service> {
    Ok(engine.inspect(id).await?.map_or_else(|| service.clone(), |seen| service.with_env(&seen.env)))
}

/// A folder of a service that outlives its container.
fn place(service: &Service) -> Option<String> {
    mounted(service).map(|(path, _)| path)
}

/// That folder, and what it is in.
fn mounted(service: &Service) -> Option<(String, &MountSource)> {
    let path = kinds::data_path(service)?;
    let is_in = |mount: &&Mount| Path::new(&path).starts_with(&mount.target);
    let mount = service.mounts.iter().filter(is_in).max_by_key(|mount| mount.target.len())?;
    let keeps = !mount.read_only && mount.source != MountSource::Anonymous;
    keeps.then(|| (path.trim_end_matches('/').to_owned(), &mount.source))
}

/// Whether what would be saved is about to be removed.
pub(super) fn is_discarded(stack: &Stack, seen: &Observed, service: &Service, discarded: &BTreeSet<String>) -> bool {
    let service = seen.on_image(service);
    let Some((_, MountSource::Volume(short))) = mounted(&service) else { return false };
    discarded.contains(&stack.volumes[short].name)
}

/// The emulators whose buckets are saved, if there is something in them, before a plan stops them.
pub fn saves<'a>(stack: &'a Stack, seen: &'a Observed, plan: &'a Plan) -> impl Iterator<Item = &'a ServiceName> {
    let removed = plan.steps.iter().filter_map(|step| match &step.op {
        Op::RemoveVolume { volume, .. } => Some(volume.clone()),
        _ => None,
    });
    let saved = |volume: &String| {
        plan.steps.iter().any(|step| matches!(&step.op, Op::SaveVolume { volume: of, .. } if of == volume))
    };
    let discarded: BTreeSet<String> = removed.filter(|volume| !saved(volume)).collect();
    plan.steps.iter().filter_map(move |step| match &step.op {
        Op::Stop { service, .. } if stack.isolation.is_none() => {
            let known = stack.services.get(service)?;
            let on_image = seen.on_image(known);
            let kept = mounted(&on_image).is_some() && !is_discarded(stack, seen, known, &discarded);
            (kept && is_forgetful(stack, &on_image)).then_some(service)
        }
        _ => None,
    })
}

/// What is saved in a place.
async fn saved(run: &Run<'_>, container: &str, place: &str) -> Result<Option<Summary>> {
    let read = async |folder: &str| run.engine.read_file(container, &format!("{place}/{folder}/{SUMMARY}")).await;
    let mut found = read(FOLDER).await?;
    // The summary is written last: a new folder that has one is whole, and was only not put in its place.
    if found.is_none() && read(UNFINISHED).await?.is_some() {
        let command = ["sh", "-c", &format!("cd {place:?} && mv {UNFINISHED} {FOLDER}")].map(String::from);
        run.engine.exec(container, &command).await?;
        found = read(FOLDER).await?;
    }
    let broken = |error: serde_json::Error| {
        Error::new(ErrorKind::Other, format_args!("what was saved in {place}/{FOLDER} can't be read: {error}"))
    };
    found.map(|text| serde_json::from_slice(&text).map_err(broken)).transpose()
}

impl Objects<'_> {
    async fn save(&self) -> Result<()> {
        let Some(place) = &self.place else { return self.tell_what_is_lost().await };
        let before = saved(self.run, self.container, place).await?;
        if let Some(before) = &before {
            // What was not put back yet would be gone otherwise.
            self.load(before).await?;
        }
        let buckets = self.buckets().await?;
        if buckets.is_empty() && before.is_none() {
            return Ok(());
        }
        let summary = self.write(place, buckets).await?;
        let (name, count, bytes) = (&self.service.name, counted(summary.versions, "object"), size(summary.bytes));
        if summary.versions > 0 {
            let message = format!("{name}: {count} in its buckets saved ({bytes}); `up` puts them back");
            self.run.events.emit(&Event::Notice { message });
        }
        Ok(())
    }

    async fn buckets(&self) -> Result<Vec<Bucket>> {
        objects::buckets(&self.client).await.map_err(|refused| refused_by(self.service, &refused))
    }

    async fn write(&self, place: &str, buckets: Vec<Bucket>) -> Result<Summary> {
        let started = self.started().await?;
        let now = self.run.engine.now().await.as_second();
        let (sender, sent) = byte_channel::channel(PIECES);
        let broken = sender.clone();
        let writing = async {
            let written = async {
                let mut archive = Writer::new(UNFINISHED, sender).await?;
                let mut all = std::pin::pin!(objects::objects(&self.client, &buckets));
                let mut count = 0;
                while let Some(object) = all.next().await {
                    archive.add(object.map_err(|refused| io::Error::other(refused.to_string()))?).await?;
                    count += 1;
                    self.tell(count, None);
                }
                archive.file(LOADED, started.as_bytes()).await?;
                archive.end(buckets.clone(), now).await
            };
            let written: io::Result<Summary> = written.await;
            if let Err(error) = &written {
                // Lets the request break off instead of ending as if that were all.
                let _ = broken.send(Err(io::Error::new(error.kind(), error.to_string()))).await;
            }
            drop(broken);
            written
        };
        let (written, sent) = tokio::join!(writing, self.run.engine.unpack(self.container, place, sent));
        let summary = match written {
            // The engine stopped reading: its response explains why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                sent?;
                return Err(error.into());
            }
            written => written?,
        };
        sent?;
        // One of the two is whole at every moment.
        let script = format!(
            "cd {place:?} && rm -rf {OLD} && {{ [ ! -e {FOLDER} ] || mv {FOLDER} {OLD}; }} && mv {UNFINISHED} {FOLDER} && rm -rf {OLD}"
        );
        self.shell(&script).await?;
        Ok(summary)
    }

    async fn shell(&self, script: &str) -> Result<()> {
        let command = ["sh", "-c", script].map(Into::into);
        let done = self.run.engine.exec(self.container, &command).await?;
        match done.code {
            0 => Ok(()),
            code => {
                Err(Error::new(ErrorKind::Other, format_args!("`{script}` exited with code {code}: {}", done.output)))
            }
        }
    }

    /// When the emulator was started: what it has in memory is no older.
    async fn started(&self) -> Result<String> {
        let seen = self.run.engine.inspect(self.container).await?;
        Ok(seen.and_then(|seen| seen.started_at).unwrap_or_default())
    }

    /// Puts back what was saved, unless that was done since the emulator was started.
    async fn load(&self, summary: &Summary) -> Result<()> {
        let Some(place) = &self.place else { return Ok(()) };
        let started = self.started().await?;
        let loaded = self.run.engine.read_file(self.container, &format!("{place}/{FOLDER}/{LOADED}")).await?;
        if loaded.is_some_and(|loaded| loaded == started.as_bytes()) {
            return Ok(());
        }
        let put = self.read(place, summary).await?;
        self.note_loaded(place, &started).await?;
        if put > 0 {
            let age = age(self.run.engine.now().await.as_second() - summary.saved);
            let message =
                format!("{}: {} put back, as they were saved {age} ago", self.service.name, counted(put, "object"));
            self.run.events.emit(&Event::Notice { message });
        }
        Ok(())
    }

    /// Puts back everything that was saved. Returns how many versions were not there.
    async fn read(&self, place: &str, summary: &Summary) -> Result<u64> {
        let answered = |refused: AwsError| refused_by(self.service, &refused);
        let putter = Putter::open(&self.client, &summary.buckets).await.map_err(answered)?;
        let archive = self.run.engine.pack(self.container, &format!("{place}/{FOLDER}"));
        let mut archive =
            Progress { objects: self, archive: Reader::new(Box::pin(archive)), count: 0, of: summary.versions };
        let put = putter.put_all(&mut archive, answered).await?;
        if archive.count != summary.versions {
            let message = format!("only {} of {} are there", archive.count, counted(summary.versions, "object"));
            return Err(Error::new(ErrorKind::Other, message));
        }
        putter.close().await.map_err(answered)?;
        Ok(put)
    }

    async fn note_loaded(&self, place: &str, started: &str) -> Result<()> {
        let (sender, sent) = byte_channel::channel(PIECES);
        let writing = async {
            let archive = Writer::new(FOLDER, sender).await?;
            archive.file(LOADED, started.as_bytes()).await
        };
        let (written, sent) = tokio::join!(writing, self.run.engine.unpack(self.container, place, sent));
        sent?;
        Ok(written?)
    }

    /// It has no volume: like other data without one, its objects go.
    async fn tell_what_is_lost(&self) -> Result<()> {
        let buckets = self.buckets().await?;
        let all = objects::objects(&self.client, &buckets).try_fold(0, async |count, _| Ok(count + 1)).await;
        let count: u64 = all.map_err(|refused| refused_by(self.service, &refused))?;
        if count == 0 {
            return Ok(());
        }
        let name = &self.service.name;
        let hint = match kinds::data_path(self.service) {
            Some(path) => format!("volumes = [\"{name}-data:{path}\"]"),
            None => format!("env.STATE_DIR = \"/state\" and volumes = [\"{name}-data:/state\"]"),
        };
        self.run.events.emit(&Event::Warning {
            message: format!("{name} has no volume: what is in its buckets is lost: {}", counted(count, "object")),
            hint: Some(format!("to keep it the next time, add to [services.{name}]: {hint}")),
        });
        Ok(())
    }

    fn not_saved(&self, error: Error) -> Error {
        let name = &self.service.name;
        Error::new(error.kind, format_args!("what is in the buckets of {name} could not be saved: {error}")).hint(
            format!(
                "it is still running; to discard what is in its buckets: docker stop {}, then run the command again",
                self.run.stack.container_name(name)
            ),
        )
    }

    fn tell(&self, count: u64, total: Option<u64>) {
        if count.is_multiple_of(TELL_EVERY) {
            let (layer, text) = (None, format!("{count} objects"));
            self.run.events.emit(&Event::StepProgress { step: self.step.id, layer, text, current: Some(count), total });
        }
    }
}

/// An archive that is put back; tells how far it is.
struct Progress<'a, S> {
    objects: &'a Objects<'a>,
    archive: Reader<S>,
    /// How many versions were read.
    count: u64,
    /// How many there should be.
    of: u64,
}

impl<S: Stream<Item = io::Result<Bytes>> + Unpin> Source for Progress<'_, S> {
    async fn next(&mut self) -> io::Result<Option<Entry>> {
        let entry = self.archive.next().await?;
        if entry.is_some() {
            self.count += 1;
            self.objects.tell(self.count, Some(self.of));
        }
        Ok(entry)
    }

    async fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        self.archive.chunk().await
    }
}

fn refused_by(service: &Service, refused: &AwsError) -> Error {
    Error::new(ErrorKind::Other, format_args!("{}: {refused}", service.name))
}

/// `12 seconds`, `3 minutes`, …
fn age(seconds: i64) -> String {
    let (count, unit) = match seconds.max(0) {
        seconds @ 0..120 => (seconds, "second"),
        seconds @ 120..7200 => (seconds / 60, "minute"),
        seconds @ 7200..172_800 => (seconds / 3600, "hour"),
        seconds => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}
