//! What is said about an import: in which order, and what is said only once.

use std::collections::HashSet;

use indexmap::IndexMap;

use crate::compose::Note;
use crate::compose::read::Document;

/// Notes as they are shown: what has no counterpart first, then by file and line. What is said of several lines is one note
/// with their number. `text`: the services.toml they are about.
pub(super) fn arranged(mut notes: Vec<Note>, document: &Document, text: &str) -> Vec<Note> {
    let file = |note: &Note| {
        let name = note.place.as_ref().map(|place| place.source.name.clone());
        document.files.iter().position(|file| name.as_ref().is_some_and(|name| file.ends_with(name)))
    };
    notes.sort_by_cached_key(|note| (!note.lost, file(note), note.line()));
    // What several services take from one anchor is written once.
    let mut seen = HashSet::new();
    let mut once: IndexMap<(bool, String, String), (Note, usize)> = IndexMap::new();
    for note in notes {
        let at = note.place.as_ref().map(|place| (place.source.name.clone(), place.span.clone()));
        let key = (note.lost, note.message.clone(), note.remedy.clone());
        if seen.insert((at, key.clone())) {
            once.entry(key).and_modify(|(_, count)| *count += 1).or_insert((note, 1));
        }
    }
    let counted = once.into_values().map(|(mut note, count)| {
        if count > 1 {
            note.message += &format!(" ({count} times, first here)");
        }
        note
    });
    counted.chain(general(text)).collect()
}

/// What holds for the whole file: it behaves as Compose does, where we would rather do otherwise.
fn general(text: &str) -> Vec<Note> {
    let note = |message: &str, remedy: &str| Note {
        place: None,
        number: None,
        lost: false,
        message: message.into(),
        remedy: remedy.into(),
    };
    let mut notes = Vec::new();
    if text.contains("\"0.0.0.0:") {
        let remedy = "`import --loopback`, or leaving out 0.0.0.0, keeps them on this machine";
        notes.push(note("ports are open to the network, as with docker compose", remedy));
    }
    if text.contains("\nadopt = true\n") {
        let remedy = "stop it first, and keep its volumes: docker compose down";
        notes.push(note("data that docker compose has in its volumes is used", remedy));
    }
    if text.contains(" = \"started\"") {
        let remedy = "`depends_on = [\"…\"]` waits until it can be used";
        notes.push(note("some dependencies only have to be started, as with docker compose", remedy));
    }
    notes
}
