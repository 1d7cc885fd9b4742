//! Serves the files of a build to BuildKit over its session, on request: the files visible to the build's steps and the
//! Dockerfile separately. Only for builds whose Dockerfile must not be visible to any step; an archive would have both
//! in one folder.
//!
//! The protocol is that of BuildKit's own client (`fsutil`): all files are announced in order, then the builder
//! requests the content of those it needs, by number.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};

use super::proto::{self, Value};
use crate::byte_channel;
use crate::context::{Context, Entry, What};

/// Kinds of packets.
const ANNOUNCE: u64 = 0;
const ASK: u64 = 1;
const CONTENT: u64 = 2;
const END: u64 = 3;

/// Kinds of files and special permissions, as Go numbers them.
const FOLDER: u32 = 1 << 31;
const LINK: u32 = 1 << 27;
const SET_USER: u32 = 1 << 23;
const SET_GROUP: u32 = 1 << 22;
const STICKY: u32 = 1 << 20;

/// How much of a file is sent in one packet.
const PIECE: usize = 32 * 1024;

/// The longest packet that is listened to.
const LONGEST: usize = 64 * 1024;

/// What is handed out.
#[derive(Debug)]
pub(super) struct Files {
    /// What steps see.
    pub(super) context: Context,
    /// The Dockerfile, under the name that the builder receives.
    pub(super) dockerfile: Entry,
}

impl Files {
    /// The files that a call asks for.
    fn asked(&self, call: &HeaderMap) -> Vec<&Entry> {
        let all = |name: &str| call.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect::<Vec<_>>();
        match all("dir-name").first() {
            Some(&"dockerfile") => vec![&self.dockerfile],
            // What its patterns leave out is left out already.
            _ if all("followpaths") == [".dockerignore"] => Vec::new(),
            _ => self.context.entries.iter().collect(),
        }
    }

    /// Answers a call of the builder, until it has all it wants.
    pub(super) async fn serve(
        &self,
        call: Request<h2::RecvStream>,
        respond: &mut SendResponse<Bytes>,
    ) -> io::Result<()> {
        let entries = self.asked(call.headers());
        let mut to = Sending::begin(respond)?;
        for entry in &entries {
            to.packet(ANNOUNCE, &proto::write(2, &announced(entry))).await?;
        }
        to.packet(ANNOUNCE, &[]).await?;
        let mut from = Receiving::new(call.into_body());
        while let Some(packet) = from.next().await? {
            let number = |field: u64| {
                let found = proto::fields(&packet).find(|(number, _)| *number == field);
                found.map_or(0, |(_, value)| Value::number(value))
            };
            match number(1) {
                ASK => {
                    let asked = usize::try_from(number(3)).ok().and_then(|id| entries.get(id));
                    let asked = asked.ok_or_else(|| io::Error::other("it requests a file that does not exist"))?;
                    self.content(asked, number(3), &mut to).await?;
                }
                END => {
                    to.packet(END, &[]).await?;
                    break;
                }
                _ => {}
            }
        }
        to.end()
    }

    async fn content(&self, entry: &Entry, id: u64, to: &mut Sending) -> io::Result<()> {
        if let What::Text(text) = &entry.what {
            for piece in text.as_bytes().chunks(PIECE) {
                to.packet(CONTENT, &[number(3, id), proto::write(4, piece)].concat()).await?;
            }
            return to.packet(CONTENT, &number(3, id)).await;
        }
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", entry.source.display()));
        let folder = if entry.source == self.dockerfile.source {
            std::path::Path::new("/")
        } else {
            self.context.folder_of(entry)
        };
        let file = byte_channel::open_within(folder, &entry.source).map_err(named)?;
        let mut file: File = file.ok_or_else(|| named(io::Error::other("it was replaced by a link")))?;
        let mut piece = vec![0; PIECE];
        loop {
            let length = file.read(&mut piece).map_err(named)?;
            let content = [number(3, id), proto::write(4, &piece[..length])].concat();
            // An empty piece is the end of the file.
            to.packet(CONTENT, if length == 0 { &content[..content.len() - 2] } else { &content }).await?;
            if length == 0 {
                return Ok(());
            }
        }
    }
}

/// What the builder receives of a file. No times, no owners: they are not what makes another image.
fn announced(entry: &Entry) -> Vec<u8> {
    let bits = [(0o4000, SET_USER), (0o2000, SET_GROUP), (0o1000, STICKY)];
    let special = bits.iter().filter(|(bit, _)| entry.mode & bit != 0).fold(0, |all, (_, special)| all | special);
    let mode = entry.mode & 0o777 | special;
    let stat =
        [proto::write(1, entry.path.as_bytes()), number(6, entry.modified.saturating_mul(1_000_000_000))].concat();
    let rest = match &entry.what {
        What::Folder => number(2, (mode | FOLDER).into()),
        What::Text(text) => [number(2, mode.into()), number(5, text.len() as u64)].concat(),
        What::File(size) => [number(2, mode.into()), number(5, *size)].concat(),
        What::Link(to) => {
            let to = to.as_os_str().as_encoded_bytes();
            [number(2, (0o777 | LINK).into()), proto::write(7, to)].concat()
        }
    };
    [stat, rest].concat()
}

/// A field that is a number.
fn number(field: u8, mut number: u64) -> Vec<u8> {
    let mut out = vec![field << 3];
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
    out
}

/// Where messages go.
pub(super) struct Sending(h2::SendStream<Bytes>);

impl Sending {
    /// Begins to answer a call.
    pub(super) fn begin(respond: &mut SendResponse<Bytes>) -> io::Result<Self> {
        let mut head = Response::new(());
        head.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        respond.send_response(head, false).map(Self).map_err(io::Error::other)
    }

    /// Ends the answer: all went well.
    pub(super) fn end(&mut self) -> io::Result<()> {
        let mut end = HeaderMap::new();
        end.insert("grpc-status", HeaderValue::from_static("0"));
        self.0.send_trailers(end).map_err(io::Error::other)
    }

    async fn packet(&mut self, kind: u64, rest: &[u8]) -> io::Result<()> {
        let kind = if kind == ANNOUNCE { Vec::new() } else { number(1, kind) };
        self.message(&[&kind, rest].concat()).await
    }

    /// Sends a message in its frame. Waits until the builder accepts more.
    pub(super) async fn message(&mut self, message: &[u8]) -> io::Result<()> {
        let mut frame = BytesMut::with_capacity(message.len() + 5);
        frame.put_u8(0);
        frame.put_u32(u32::try_from(message.len()).map_err(io::Error::other)?);
        frame.put_slice(message);
        let mut frame = frame.freeze();
        while frame.has_remaining() {
            self.0.reserve_capacity(frame.len());
            let room = std::future::poll_fn(|cx| self.0.poll_capacity(cx)).await;
            let room = room.ok_or(io::ErrorKind::BrokenPipe)?.map_err(io::Error::other)?;
            let now = frame.split_to(room.min(frame.len()));
            self.0.send_data(now, false).map_err(io::Error::other)?;
        }
        Ok(())
    }
}

/// Where messages come from.
pub(super) struct Receiving {
    body: h2::RecvStream,
    have: BytesMut,
    packets: VecDeque<Bytes>,
}

impl Receiving {
    pub(super) fn new(body: h2::RecvStream) -> Self {
        Self { body, have: BytesMut::new(), packets: VecDeque::new() }
    }

    /// The next message; none when the builder has nothing more to say.
    pub(super) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(packet) = self.packets.pop_front() {
                return Ok(Some(packet));
            }
            let Some(piece) = self.body.data().await else { return Ok(None) };
            let piece = piece.map_err(io::Error::other)?;
            self.body.flow_control().release_capacity(piece.len()).map_err(io::Error::other)?;
            self.have.extend_from_slice(&piece);
            while self.have.len() >= 5 {
                let length = u32::from_be_bytes([self.have[1], self.have[2], self.have[3], self.have[4]]) as usize;
                if length > LONGEST || self.have[0] != 0 {
                    return Err(io::Error::other("its request can't be read"));
                }
                if self.have.len() < 5 + length {
                    break;
                }
                self.have.advance(5);
                self.packets.push_back(self.have.split_to(length).freeze());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_announced_as_go_describes_them() {
        let entry = |what, mode| Entry { path: "a/b".into(), source: "/x".into(), what, mode, modified: 1 };
        let read = |entry: &Entry, field: u64| {
            let bytes = announced(entry);
            proto::fields(&bytes).find(|(number, _)| *number == field).map(|(_, value)| (value.number(), value.text()))
        };
        let file = entry(What::File(300), 0o4755);
        assert_eq!(read(&file, 1), Some((0, "a/b".into())));
        assert_eq!(read(&file, 2).map(|(mode, _)| mode), Some(u64::from(0o755 | SET_USER)));
        assert_eq!(read(&file, 5).map(|(size, _)| size), Some(300));
        assert_eq!(read(&file, 6).map(|(time, _)| time), Some(1_000_000_000));
        assert_eq!(read(&entry(What::Folder, 0o755), 2).map(|(mode, _)| mode), Some(u64::from(0o755 | FOLDER)));
        let link = entry(What::Link("../to".into()), 0o777);
        assert_eq!(read(&link, 7), Some((0, "../to".into())));
    }
}
