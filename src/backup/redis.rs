//! The keys of a Redis server: each as `DUMP` returns it, with its remaining time to live and a digest of its content,
//! which is compared after the restore.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::Progress;
use super::archive::{PART, Reader, Writer};
use super::resp::{Connection, Reply};
use crate::diag::{Error, ErrorKind, Result};
use crate::event::counted;
use crate::run::stream::Stream;

/// How many keys are asked for at once.
const AT_ONCE: &str = "200";

/// One that was to live no longer than this may be gone already.
const SHORT: i64 = 60_000;

/// What is saved of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// All its keys.
    pub keys: u64,
    /// How many members they are in.
    pub parts: usize,
}

/// Where one is.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its service.
    pub service: String,
    /// Its address from here.
    pub address: SocketAddr,
    /// It speaks TLS.
    pub tls: bool,
    /// Whose login is used; none = the default user's.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<String>,
}

impl Server {
    async fn connect(&self) -> Result<Connection> {
        let failed = |error: io::Error| {
            Error::new(ErrorKind::NotReady, format_args!("can't use {} at {}: {error}", self.service, self.address))
                .hint(format!("taskava dev explain {}", self.service))
        };
        let mut connection = Connection::new(Stream::connect(self.address, self.tls).await.map_err(failed)?);
        if let Some(password) = &self.password {
            let user = self.user.iter().map(String::as_bytes);
            let words: Vec<&[u8]> = std::iter::once(&b"AUTH"[..]).chain(user).chain([password.as_bytes()]).collect();
            connection.one(&words).await.map_err(failed)?;
        }
        connection.one(&[b"PING"]).await.map_err(failed)?;
        Ok(connection)
    }

    /// How many keys it has.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn keys(&self) -> Result<u64> {
        let mut connection = self.connect().await?;
        Ok(databases(&mut connection).await?.iter().map(|(_, keys)| keys).sum())
    }
}

/// The databases that are not empty.
async fn databases(connection: &mut Connection) -> io::Result<Vec<(u32, u64)>> {
    let Reply::Bytes(Some(text)) = connection.one(&[b"INFO", b"keyspace"]).await? else { return Ok(Vec::new()) };
    // `db0:keys=3,expires=0,avg_ttl=0`
    let line = |line: &str| {
        let (database, rest) = line.strip_prefix("db")?.split_once(":keys=")?;
        Some((database.parse().ok()?, rest.split(',').next()?.parse().ok()?))
    };
    Ok(String::from_utf8_lossy(&text).lines().filter_map(line).collect())
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    database: u32,
    /// Milliseconds it still lives; none = it does not expire.
    lives: Option<i64>,
    kind: String,
    key: Vec<u8>,
    value: Vec<u8>,
    digest: [u8; 32],
}

impl Record {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend(self.database.to_le_bytes());
        to.extend(self.lives.unwrap_or(-1).to_le_bytes());
        for bytes in [self.kind.as_bytes(), &self.key, &self.value] {
            to.extend((bytes.len() as u64).to_le_bytes());
            to.extend(bytes);
        }
        to.extend(self.digest);
    }

    fn read(from: &mut &[u8]) -> io::Result<Self> {
        fn array<const N: usize>(from: &mut &[u8]) -> io::Result<[u8; N]> {
            let mut bytes = [0; N];
            from.read_exact(&mut bytes)?;
            Ok(bytes)
        }
        fn bytes(from: &mut &[u8]) -> io::Result<Vec<u8>> {
            let length = usize::try_from(u64::from_le_bytes(array(from)?)).unwrap_or(usize::MAX);
            let (bytes, rest) = from.split_at_checked(length).ok_or(io::ErrorKind::UnexpectedEof)?;
            *from = rest;
            Ok(bytes.to_vec())
        }
        let database = u32::from_le_bytes(array(from)?);
        let lives = Some(i64::from_le_bytes(array(from)?)).filter(|lives| *lives >= 0);
        let kind = String::from_utf8_lossy(&bytes(from)?).into_owned();
        Ok(Self { database, lives, kind, key: bytes(from)?, value: bytes(from)?, digest: array(from)? })
    }
}

/// Asks for the content of a key; `DUMP` of the same content differs from time to time.
fn content(connection: &mut Connection, kind: &str, key: &[u8]) {
    match kind {
        "string" => connection.add(&[b"GET", key]),
        "list" => connection.add(&[b"LRANGE", key, b"0", b"-1"]),
        "set" => connection.add(&[b"SMEMBERS", key]),
        "hash" => connection.add(&[b"HGETALL", key]),
        "zset" => connection.add(&[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"]),
        "stream" => connection.add(&[b"XRANGE", key, b"-", b"+"]),
        _ => connection.add(&[b"TYPE", key]),
    }
}

/// In groups of how many the order of a content means nothing.
fn groups(kind: &str) -> Option<usize> {
    match kind {
        "set" => Some(1),
        "hash" => Some(2),
        _ => None,
    }
}

/// Saves all keys.
///
/// # Errors
/// When it can't be asked, or the file can't be written.
pub async fn save(server: &Server, to: &mut Writer<impl Write>, progress: &mut Progress) -> Result<Saved> {
    progress.begin(format!("saving {}", server.service));
    let mut connection = server.connect().await?;
    let (mut saved, mut part) = (Saved { keys: 0, parts: 0 }, Vec::new());
    for (database, _) in databases(&mut connection).await? {
        connection.one(&[b"SELECT", database.to_string().as_bytes()]).await?;
        let (mut cursor, mut seen) = (b"0".to_vec(), std::collections::HashSet::new());
        loop {
            let reply = connection.one(&[b"SCAN", &cursor, b"COUNT", AT_ONCE.as_bytes()]).await?;
            let (next, mut keys) = scanned(reply).ok_or_else(|| io::Error::other("not an answer of Redis"))?;
            // SCAN may give a key twice.
            keys.retain(|key| seen.insert(short(key)));
            for record in records(&mut connection, database, keys).await? {
                record.write(&mut part);
                saved.keys += 1;
                if part.len() >= PART {
                    flush(server, &mut part, &mut saved, to, progress)?;
                }
            }
            cursor = next;
            if cursor == b"0" {
                break;
            }
        }
    }
    if !part.is_empty() {
        flush(server, &mut part, &mut saved, to, progress)?;
    }
    Ok(saved)
}

/// Enough of a key to tell it from others.
fn short(key: &[u8]) -> [u8; 16] {
    use sha2::Digest as _;
    let digest: [u8; 32] = sha2::Sha256::digest(key).into();
    std::array::from_fn(|at| digest[at])
}

fn flush(
    server: &Server,
    part: &mut Vec<u8>,
    saved: &mut Saved,
    to: &mut Writer<impl Write>,
    progress: &mut Progress,
) -> Result<()> {
    to.member(&format!("redis/{}/{:06}", server.service, saved.parts), part)?;
    progress.add(part.len());
    saved.parts += 1;
    part.clear();
    Ok(())
}

fn scanned(reply: Reply) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let Reply::List(both) = reply else { return None };
    let [Reply::Bytes(Some(cursor)), Reply::List(keys)] = <[Reply; 2]>::try_from(both).ok()? else { return None };
    let bytes = |reply| match reply {
        Reply::Bytes(bytes) => bytes,
        _ => None,
    };
    Some((cursor, keys.into_iter().filter_map(bytes).collect()))
}

/// Keys as they are now, each at one moment. One that went away meanwhile is left out.
async fn records(connection: &mut Connection, database: u32, keys: Vec<Vec<u8>>) -> Result<Vec<Record>> {
    keys.iter().for_each(|key| connection.add(&[b"TYPE", key]));
    let kinds = connection.ask().await?;
    let mut records = Vec::new();
    for (key, kind) in keys.into_iter().zip(kinds) {
        let Reply::Word(kind) = kind else { continue };
        connection.add(&[b"MULTI"]);
        connection.add(&[b"DUMP", &key]);
        connection.add(&[b"PTTL", &key]);
        content(connection, &kind, &key);
        connection.add(&[b"EXEC"]);
        // One by one: values may be large, and this is how many are in memory.
        let Some(Reply::List(all)) = connection.ask().await?.pop() else { continue };
        let [Reply::Bytes(Some(value)), lives, content] = &all[..] else { continue };
        if let Reply::Error(refused) = content {
            return Err(io::Error::other(format!("{}: {refused}", String::from_utf8_lossy(&key))).into());
        }
        let lives = lives.number().filter(|lives| *lives >= 0);
        let digest = content.digest(groups(&kind));
        records.push(Record { database, lives, kind, key, value: value.clone(), digest });
    }
    Ok(records)
}

/// Puts all keys back into one that is empty, and compares each with what was saved. Returns what differs.
///
/// # Errors
/// When it can't be asked, or does not take a key.
pub async fn restore(
    server: &Server,
    saved: &Saved,
    replace: bool,
    from: &mut Reader<impl Read>,
    progress: &mut Progress,
) -> Result<Vec<String>> {
    progress.begin(format!("restoring {}", server.service));
    let mut connection = server.connect().await?;
    if replace {
        connection.one(&[b"FLUSHALL"]).await?;
    }
    let (mut differences, mut keys) = (Vec::new(), 0);
    for _ in 0..saved.parts {
        let Some((_, part)) = from.member()? else { break };
        let mut rest = &part[..];
        while !rest.is_empty() {
            let record = Record::read(&mut rest)?;
            put(&mut connection, server, &record, &mut differences).await?;
            keys += 1;
        }
        progress.add(part.len());
    }
    if keys != saved.keys {
        differences.push(format!("{}: {} instead of {}", server.service, counted(keys, "key"), saved.keys));
    }
    Ok(differences)
}

async fn put(
    connection: &mut Connection,
    server: &Server,
    record: &Record,
    differences: &mut Vec<String>,
) -> Result<()> {
    let name = || format!("{} {} {}", server.service, record.database, String::from_utf8_lossy(&record.key));
    connection.add(&[b"SELECT", record.database.to_string().as_bytes()]);
    let lives = record.lives.unwrap_or(0).to_string();
    connection.add(&[b"RESTORE", &record.key, lives.as_bytes(), &record.value]);
    content(connection, &record.kind, &record.key);
    connection.add(&[b"PTTL", &record.key]);
    let replies = connection.ask().await?;
    let [selected, restored, content, lives] = &replies[..] else { return Ok(()) };
    for refused in [selected, restored] {
        if let Reply::Error(refused) = refused {
            let error =
                Error::new(ErrorKind::Other, format_args!("{} does not take {}: {refused}", server.service, name()));
            return Err(error.hint("is it an older version of Redis than the one that was saved?"));
        }
    }
    let gone = lives.number() == Some(-2);
    if gone && record.lives.is_some_and(|lives| lives < SHORT) {
        return Ok(());
    }
    let eternal = lives.number() == Some(-1);
    if content.digest(groups(&record.kind)) != record.digest || eternal == record.lives.is_some() {
        differences.push(name());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_and_short_ones_are_refused() {
        let record = Record {
            database: 3,
            lives: Some(5),
            kind: "hash".into(),
            key: b"a\0b".to_vec(),
            value: vec![1; 300],
            digest: [9; 32],
        };
        let (mut bytes, other) = (Vec::new(), Record { lives: None, ..record.clone() });
        record.write(&mut bytes);
        other.write(&mut bytes);
        let mut rest = &bytes[..];
        assert_eq!((Record::read(&mut rest).unwrap(), Record::read(&mut rest).unwrap()), (record, other));
        assert!(rest.is_empty() && Record::read(&mut &bytes[..100]).is_err());
    }
}
