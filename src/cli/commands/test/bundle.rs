//! The bundle of a failed test run: everything needed to find the cause later or elsewhere. It contains no secret of
//! the stack: everything that is written goes through the same [`Masks`].

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt as _;
use serde_json::Value;

use crate::cli::commands::config;
use crate::diag::Result;
use crate::engine::Engine;
use crate::engine::logs::StreamOptions;
use crate::engine::logs::decode::{LINE_LIMIT, Line, Lines, Origin};
use crate::event::{Event, Events};
use crate::isolated::Isolated;
use crate::masks::{self, Masks};
use crate::ui::json;

/// What is where, and what is not there.
const README: &str = "\
Files of a failed run, kept by `taskava dev test`.

  timeline.jsonl        events with their times, one JSON object per line
  services.toml         the resolved configuration, with variables and defaults applied
  SERVICE.log           the complete log of a service, each line with its time
  SERVICE.inspect.json  its container as the engine reports it (docker inspect)
  engine.json           the engine's version and settings (docker info)

Secrets are masked as ******** in all of these files:

- known secrets of the stack, anywhere, also percent-encoded, escaped in JSON and in Base64: values of variables,
  build arguments and options whose names contain password, token, secret or key; passwords in URLs; secrets, users' passwords
  and secure parameters of [aws]
- what looks like a secret: password=..., \"token\": \"...\", Authorization: ..., passwords in URLs, keys of AWS and GitHub, web
  tokens, private keys

A value shorter than six characters, a common word (password, changeme, ...) and a value that is also the name of a user,
database, service, image, bucket or the like in this stack is only masked where its context shows what it is, because
masking it everywhere would hide too much. Values that a service derives from a secret, such as a hash, are not recognised.
Check the files before you share them.
";

/// Keeps every event as a line of JSON.
#[derive(Debug, Clone, Default)]
pub(super) struct Timeline(Arc<Mutex<String>>);

impl Timeline {
    /// Events that are kept, and go where they went before.
    pub(super) fn and(&self, events: Events) -> Events {
        let timeline = self.clone();
        Events::to(move |event| {
            timeline.note(event);
            events.emit(event);
        })
    }

    /// Keeps an event that is not shown.
    pub(super) fn note(&self, event: &Event) {
        let line = json::event(event, jiff::Timestamp::now());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_str(&line);
    }

    fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Writes everything into a folder.
pub(super) async fn write(
    folder: &Path,
    engine: &Engine,
    isolated: &Isolated,
    timeline: &Timeline,
    masks: &Masks,
) -> Result<()> {
    make_folder(folder)?;
    fs::write(folder.join("README.txt"), README)?;
    fs::write(folder.join("timeline.jsonl"), timeline.text())?;
    let mut resolved = toml::Value::Table(config::resolved(&isolated.stack, false));
    mask(&mut resolved, masks);
    fs::write(folder.join("services.toml"), toml::to_string(&resolved).map_err(anyhow::Error::from)?)?;
    for container in &isolated.containers {
        let name = &container.service;
        if let Ok(seen) = engine.inspect_whole(&container.id).await {
            write_json(&folder.join(format!("{name}.inspect.json")), seen, masks)?;
        }
        write_log(&folder.join(format!("{name}.log")), engine, &container.id, masks).await?;
    }
    write_json(&folder.join("engine.json"), engine.info_whole().await?, masks)
}

/// Everything in `.taskava` is ours and must not be committed.
fn make_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let ours = folder.parent().filter(|parent| parent.file_name().is_some_and(|name| name == ".taskava"));
    match ours.map(|parent| parent.join(".gitignore")) {
        Some(ignore) if !ignore.exists() => fs::write(ignore, "*\n"),
        _ => Ok(()),
    }
}

/// All that a container wrote, each line with its time; what can't be read is left out.
async fn write_log(file: &Path, engine: &Engine, id: &str, masks: &Masks) -> io::Result<()> {
    let mut bytes = engine.log_bytes(id, StreamOptions { stamped: true, ..StreamOptions::default() });
    let (mut lines, mut log) = (Lines::new(true), Log::new(BufWriter::new(File::create(file)?), masks));
    while let Some(Ok(chunk)) = bytes.next().await {
        lines.push(&chunk);
        while lines.advance().is_some() {
            lines.line().map_or(Ok(()), |line| log.line(line))?;
        }
    }
    while lines.finish().is_some() {
        lines.line().map_or(Ok(()), |line| log.line(line))?;
    }
    log.finish()?.flush()
}

/// A log on its way into a file. The streams of a container are writers of their own.
struct Log<'a, W> {
    to: W,
    streams: [Stream<'a>; 3],
    out: Vec<u8>,
}

struct Stream<'a> {
    lines: masks::Lines<'a>,
    /// The time of its last line.
    stamp: Vec<u8>,
}

impl<'a, W: io::Write> Log<'a, W> {
    fn new(to: W, masks: &'a Masks) -> Self {
        let stream = || Stream { lines: masks.lines(), stamp: Vec::new() };
        Self { to, streams: [stream(), stream(), stream()], out: Vec::new() }
    }

    fn line(&mut self, line: Line<'_>) -> io::Result<()> {
        let stream = match line.origin {
            Origin::Stdout => 0,
            Origin::Stderr => 1,
            Origin::Engine => 2,
        };
        let Stream { lines, stamp } = &mut self.streams[stream];
        stamp.clear();
        stamp.extend_from_slice(line.stamp);
        stamp.push(b' ');
        self.out.clear();
        self.out.extend_from_slice(stamp);
        if line.text.len() < LINE_LIMIT {
            lines.line(line.text, &mut self.out);
        } else {
            // It goes on in the next one, and a secret may, too.
            lines.piece(line.text, &mut self.out);
        }
        self.out.push(b'\n');
        self.to.write_all(&self.out)
    }

    fn finish(mut self) -> io::Result<W> {
        for Stream { lines, stamp } in &mut self.streams {
            if lines.finish(stamp) {
                stamp.push(b'\n');
                self.to.write_all(stamp)?;
            }
        }
        Ok(self.to)
    }
}

fn write_json(file: &Path, mut value: Value, masks: &Masks) -> Result<()> {
    masks.json(&mut value);
    Ok(fs::write(file, serde_json::to_string_pretty(&value).map_err(anyhow::Error::from)? + "\n")?)
}

/// Masks what has a name or place of its own that says nothing of it.
fn mask(value: &mut toml::Value, masks: &Masks) {
    match value {
        toml::Value::String(text) => *text = masks.text(text).into_owned(),
        toml::Value::Array(items) => items.iter_mut().for_each(|item| mask(item, masks)),
        toml::Value::Table(table) => table.iter_mut().for_each(|(_, value)| mask(value, masks)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_do_not_end_each_others_lines() {
        let masks = Masks::default();
        let mut log = Log::new(Vec::new(), &masks);
        let mut add = |origin, text: &[u8]| log.line(Line { at: 0, stamp: b"T", origin, text }).unwrap();
        add(Origin::Stdout, b"-----BEGIN PRIVATE KEY-----");
        add(Origin::Stderr, b"meanwhile password=pw");
        add(Origin::Stdout, b"MIIE");
        add(Origin::Stderr, &vec![b'x'; LINE_LIMIT]);
        add(Origin::Stdout, b"-----END PRIVATE KEY-----");
        let text = String::from_utf8(log.finish().unwrap()).unwrap();
        let [key, password, masked, long, end, rest] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
        assert_eq!((key, masked, end), ("T -----BEGIN PRIVATE KEY-----", "T ********", "T -----END PRIVATE KEY-----"));
        assert_eq!(password, "T meanwhile password=********");
        assert_eq!(long.len() + rest.len(), LINE_LIMIT + 2 * "T ".len());
    }
}
