//! Inspects a data directory before a server starts on it.
//!
//! PostgreSQL's first start can be cut off: the image's entrypoint runs initdb, then a temporary server for the init
//! scripts. An interruption in between leaves a `PG_VERSION` file, and the next start takes that for a finished
//! database: it starts, empty, without the user's role and scripts, and without an error (docker-library/postgres,
//! `docker-entrypoint.sh`: `DATABASE_ALREADY_EXISTS` only checks for that file).

use std::io;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};

use super::{Run, process_identity, snapshot};
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::{Copied, Engine};
use crate::event::Event;
use crate::kinds;
use crate::model::Service;

/// Objects that users make have numbers from here on, and so have their files and folders (`FirstNormalObjectId`).
const FIRST_OF_USERS: u64 = 16_384;

/// Length of a header in an archive, and what the length of everything in it is a multiple of.
const BLOCK: u64 = 512;

/// What is in a data directory.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// Nothing, or what a server may start on.
    Fine,
    /// A first boot of the image that was cut off: nothing of the user's.
    HalfBooted,
    /// It has never been started, but is not what a first boot leaves either.
    Doubtful,
}

/// Looks into the volume of a service that is about to start. A first boot that was cut off is discarded, after what is there
/// was saved: true, and the container is gone.
///
/// # Errors
/// When it is neither that nor whole, and when the engine refuses.
pub(super) async fn discard_half_booted(run: &Run<'_>, service: &Service, id: &str, volume: &str) -> Result<bool> {
    match look(run.engine, service, id).await? {
        Found::Fine => return Ok(false),
        Found::HalfBooted => {}
        Found::Doubtful => {
            let name = &service.name;
            let message = format!(
                "the data of {name} in volume {volume} is incomplete: no server ever started on it, and it is not a first start \
                 that was cut off; it is left as it is"
            );
            return Err(Error::new(ErrorKind::Other, message)
                .hint("restore the data: taskava dev snapshot list, taskava dev snapshot restore NAME")
                .hint(format!("or start without it (a snapshot is taken first): taskava dev down -v {name}")));
        }
    }
    let (engine, stack) = (run.engine, run.stack);
    let kept = snapshot::auto_name();
    let set = [volume.to_owned()];
    let what = Copied { volume, snapshot: &kept, services: service.name.as_str(), set: &set, incomplete: None };
    engine.save_volume(stack, &what, &process_identity::machine()).await?;
    engine.remove_service(stack, &service.name, id, true).await?;
    engine.remove_volume(stack, volume, None).await?;
    // One without a name comes with the container.
    if let Some(volume) = stack.volume(volume) {
        engine.create_volume(stack, volume, None).await?;
    }
    run.events.emit(&Event::Warning {
        message: format!(
            "the first start of {} was cut off half-way; volume {volume} held no finished database and was recreated",
            service.name
        ),
        hint: Some(format!("what was in it is in snapshot {kept}")),
    });
    Ok(true)
}

/// The server writes its command line to `postmaster.opts` each time it starts. The temporary one's of a first boot has
/// `listen_addresses=''`. None there: no server ever started, as after initdb, but also in a copy that is not whole. A
/// directory restored from a base backup has no such file either, but has `backup_label` or `backup_manifest`.
async fn look(engine: &Engine, service: &Service, container: &str) -> Result<Found> {
    let Some(seen) = engine.inspect(container).await? else { return Ok(Found::Fine) };
    // Its image may say where.
    let Some(path) = kinds::data_path(&service.with_env(&seen.env)) else { return Ok(Found::Fine) };
    let read = |file: &str| {
        let path = format!("{path}/{file}");
        async move { engine.read_file(container, &path).await }
    };
    if read("PG_VERSION").await?.is_none() {
        return Ok(Found::Fine);
    }
    if let Some(options) = read("postmaster.opts").await? {
        let temporary = is_temporary_server(service, &String::from_utf8_lossy(&options));
        return Ok(if temporary { Found::HalfBooted } else { Found::Fine });
    }
    if read("backup_label").await?.is_some() || read("backup_manifest").await?.is_some() {
        return Ok(Found::Fine);
    }
    let names = names(Box::pin(engine.pack(container, &path))).await;
    Ok(judge(&names.map_err(|error| Error::new(ErrorKind::Other, format_args!("can't look into {path}: {error}")))?))
}

/// initdb makes all its folders before anything else, and nothing with a number that is the users'. A copy in the order of
/// names has the databases before the folders that follow.
fn judge(names: &[String]) -> Found {
    let has = |folder: &str| names.iter().any(|name| name.split('/').nth(1) == Some(folder));
    let number = |part: &str| part.split(['.', '_']).next().and_then(|part| part.parse::<u64>().ok());
    let of_users = |name: &String| {
        let mut parts = name.split('/').skip(1);
        parts.next() == Some("base") && parts.filter_map(number).any(|number| number >= FIRST_OF_USERS)
    };
    let is_initdb = has("global") && (has("pg_wal") || has("pg_xlog")) && !names.iter().any(of_users);
    if is_initdb { Found::HalfBooted } else { Found::Doubtful }
}

/// The names in an archive as it streams by.
async fn names(mut archive: impl Stream<Item = io::Result<Bytes>> + Unpin) -> io::Result<Vec<String>> {
    let (mut names, mut buffer, mut skip) = (Vec::new(), BytesMut::new(), 0_u64);
    while let Some(bytes) = archive.next().await {
        buffer.extend_from_slice(&bytes?);
        loop {
            let skipped = buffer.len().min(usize::try_from(skip).unwrap_or(usize::MAX));
            drop(buffer.split_to(skipped));
            skip -= skipped as u64;
            if buffer.len() < BLOCK as usize {
                break;
            }
            let block = buffer.split_to(BLOCK as usize);
            if block.iter().all(|byte| *byte == 0) {
                continue;
            }
            let header = tar::Header::from_byte_slice(&block);
            names.push(header.path()?.to_string_lossy().into_owned());
            skip = header.entry_size()?.next_multiple_of(BLOCK);
        }
    }
    Ok(names)
}

fn is_temporary_server(service: &Service, options: &str) -> bool {
    let wanted = service.command.iter().flatten().any(|word| word.contains("listen_addresses"));
    let bare: String = options.chars().filter(|c| !matches!(c, '"' | '\'')).collect();
    let nowhere = bare.split_whitespace().any(|word| word.ends_with("listen_addresses="));
    // pg_upgrade starts its servers like that, too, on data that matters.
    let upgrade = bare.split_whitespace().any(|word| word == "-b");
    nowhere && !wanted && !upgrade
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn judged(names: &[&str]) -> Found {
        judge(&names.iter().map(|name| format!("data/{name}")).collect::<Vec<_>>())
    }

    #[test]
    fn only_what_initdb_alone_makes_is_a_first_boot() {
        let made = ["", "PG_VERSION", "base/", "base/1/", "base/1/1259", "base/1/1259_fsm", "global/", "pg_wal/"];
        assert_eq!(judged(&made), Found::HalfBooted);
        assert_eq!(judged(&made[..6]), Found::Doubtful, "a copy that got that far");
        assert_eq!(judged(&[&made[..], &["base/16384/"]].concat()), Found::Doubtful, "a database of the user's");
        assert_eq!(judged(&[&made[..], &["base/5/16385"]].concat()), Found::Doubtful, "a table of the user's");
        assert_eq!(judged(&[&made[..], &["base/5/24576_vm"]].concat()), Found::Doubtful);
        assert_eq!(judged(&[&made[..], &["base/5/24576.1"]].concat()), Found::Doubtful);
    }

    #[tokio::test]
    async fn names_are_read_from_an_archive_in_pieces() {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, size) in [("data/PG_VERSION", 3), ("data/base/1/1259", 1000), ("data/global/x", 0)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(size);
            archive.append_data(&mut header, path, io::repeat(7).take(size)).unwrap();
        }
        let archive = archive.into_inner().unwrap();
        for length in [1, 511, 700, 100_000] {
            let pieces = archive.chunks(length).map(|piece| Ok(Bytes::copy_from_slice(piece)));
            let names = names(futures_util::stream::iter(pieces.collect::<Vec<_>>())).await.unwrap();
            assert_eq!(names, ["data/PG_VERSION", "data/base/1/1259", "data/global/x"]);
        }
    }
}
