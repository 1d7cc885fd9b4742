//! Hashes of a build context that fit into a label, and the names of files that changed.

use std::fs::File;
use std::io::Read;
use std::num::NonZero;
use std::thread;

use sha2::{Digest, Sha256};

use super::{Context, Entry, What, of_folder, unreadable};
use crate::bounded;
use crate::diag::Result;
use crate::model::built::{Content, Item};
use crate::model::{Build, NamedContext};

/// Below this number of files, another thread costs more than it brings.
const WORTH_A_THREAD: usize = 64;

/// Reads all of a build context.
///
/// # Errors
/// As [`Context::list`].
pub fn content(build: &Build) -> Result<Content> {
    let context = Context::list(build)?;
    let dockerfile = match &build.inline {
        Some(text) => text.clone().into_bytes(),
        None => bounded::file(&context.dockerfile_source, bounded::WRITTEN)
            .map_err(|error| unreadable(&context.dockerfile_source, &error))?,
    };
    let mut entries: Vec<Entry> = context.entries;
    entries.retain(|entry| entry.path != context.dockerfile);
    for (name, named) in &build.contexts {
        if let NamedContext::Folder(folder) = named {
            let listed = Context::list(&of_folder(folder))?;
            let files = listed.entries.into_iter().filter(|entry| entry.path != listed.dockerfile);
            entries.extend(files.map(|entry| Entry { path: format!("{name}:{}", entry.path), ..entry }));
        }
    }
    let entries: Vec<&Entry> = entries.iter().collect();
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(entries.len() / WORTH_A_THREAD + 1);
    let items = thread::scope(|scope| {
        let parts: Vec<_> = entries
            .chunks(entries.len().div_ceil(threads).max(1))
            .map(|part| scope.spawn(move || part.iter().map(|entry| item(entry)).collect::<Result<Vec<_>>>()))
            .collect();
        let joined = parts.into_iter().map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.collect::<Result<Vec<_>>>()
    })?;
    Ok(Content::new(&dockerfile, items.concat()))
}

/// What of a file matters to a build: content and mode, not its times.
fn item(entry: &Entry) -> Result<Item> {
    let mut hash = Sha256::new();
    match &entry.what {
        What::Folder => hash.update(b"folder"),
        What::Link(target) => {
            hash.update(b"link ");
            hash.update(target.as_os_str().as_encoded_bytes());
        }
        What::Text(text) => hash.update([b"file ", text.as_bytes()].concat()),
        What::File(_) => {
            hash.update(b"file ");
            let file = File::open(&entry.source).map_err(|error| unreadable(&entry.source, &error))?;
            feed(&mut hash, file).map_err(|error| unreadable(&entry.source, &error))?;
        }
    }
    hash.update(entry.mode.to_be_bytes());
    Ok(Item { path: entry.path.clone(), hash: hash.finalize().into() })
}

fn feed(hash: &mut Sha256, mut file: File) -> std::io::Result<()> {
    let mut buffer = [0; 32 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            length => hash.update(&buffer[..length]),
        }
    }
}
