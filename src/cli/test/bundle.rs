//! What is kept of a test run that failed: everything one would have looked at, for somebody who comes later or sits
//! elsewhere. Passwords, tokens and keys are masked; what services log is theirs.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt as _;
use serde_json::Value;

use crate::cli::config;
use crate::diag::Result;
use crate::engine::Engine;
use crate::engine::frames::Lines;
use crate::engine::streams::LogAsk;
use crate::event::{Event, Events};
use crate::model::secret::{MASK, is_secret_name, mask_urls};
use crate::run::isolated::Isolated;
use crate::ui::json;

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
pub(super) async fn write(folder: &Path, engine: &Engine, isolated: &Isolated, timeline: &Timeline) -> Result<()> {
    make_folder(folder)?;
    fs::write(folder.join("timeline.jsonl"), timeline.text())?;
    let resolved = config::resolved(&isolated.stack, false);
    fs::write(folder.join("services.toml"), toml::to_string(&resolved).map_err(anyhow::Error::from)?)?;
    let mut info = engine.info_whole().await?;
    mask(&mut info);
    write_json(&folder.join("engine.json"), &info)?;
    for container in &isolated.containers {
        let name = &container.service;
        if let Ok(mut seen) = engine.inspect_whole(&container.id).await {
            mask(&mut seen);
            write_json(&folder.join(format!("{name}.inspect.json")), &seen)?;
        }
        fs::write(folder.join(format!("{name}.log")), log(engine, &container.id).await)?;
    }
    Ok(())
}

/// Everything in `.taskava` is ours and for nobody's repository.
fn make_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let ours = folder.parent().filter(|parent| parent.file_name().is_some_and(|name| name == ".taskava"));
    match ours.map(|parent| parent.join(".gitignore")) {
        Some(ignore) if !ignore.exists() => fs::write(ignore, "*\n"),
        _ => Ok(()),
    }
}

/// All that a container wrote, each line with its time; what can't be read is left out.
async fn log(engine: &Engine, id: &str) -> Vec<u8> {
    let mut bytes = engine.log_bytes(id, LogAsk { stamped: true, ..LogAsk::default() });
    let (mut lines, mut text) = (Lines::new(true), Vec::new());
    while let Some(Ok(chunk)) = bytes.next().await {
        lines.push(&chunk);
        while lines.advance().is_some() {
            take(&lines, &mut text);
        }
    }
    while lines.finish().is_some() {
        take(&lines, &mut text);
    }
    text
}

fn take(lines: &Lines, text: &mut Vec<u8>) {
    if let Some(line) = lines.line() {
        text.extend_from_slice(line.stamp);
        text.push(b' ');
        text.extend_from_slice(line.text);
        text.push(b'\n');
    }
}

fn write_json(file: &Path, value: &Value) -> Result<()> {
    Ok(fs::write(file, serde_json::to_string_pretty(value).map_err(anyhow::Error::from)? + "\n")?)
}

/// Masks `NAME=value` of secret names, values under secret names, and passwords in URLs, wherever they are.
fn mask(value: &mut Value) {
    match value {
        Value::String(text) => *text = masked(text),
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if is_secret_name(name) && !text.is_empty() => *text = MASK.into(),
                    value => mask(value),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn masked(text: &str) -> String {
    match text.split_once('=') {
        Some((name, value)) if is_secret_name(name) && !value.is_empty() => format!("{name}={MASK}"),
        _ => mask_urls(text).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_are() {
        let mut seen = json!({
            "Config": {"Env": ["POSTGRES_PASSWORD=pw-1", "PATH=/bin", "URL=postgres://u:pw-2@h/d"]},
            "HttpProxy": "http://u:pw-3@proxy", "ApiToken": "pw-4", "Size": 3
        });
        mask(&mut seen);
        let text = seen.to_string();
        assert!(!text.contains("pw-"), "{text}");
        assert!(text.contains("PATH=/bin") && text.contains("\"Size\":3"), "{text}");
    }
}
