//! Bytes on their way from who makes them to who sends them: a channel with room for a few pieces, whose other end is a
//! stream. Memory does not grow with what passes.

use std::io::{self, Write};

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::sync::mpsc::{self, Sender};

/// How much of what is written goes on at once.
pub(crate) const PIECE: usize = 64 * 1024;

/// A channel in which so many pieces may wait. It ends when the sender is dropped; who wants it to break off instead sends
/// an error.
pub(crate) fn channel(
    room: usize,
) -> (Sender<io::Result<Bytes>>, impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static) {
    let (sender, mut receiver) = mpsc::channel(room);
    (sender, stream::poll_fn(move |cx| receiver.poll_recv(cx)))
}

/// Gathers what is written, and sends it on in pieces; waits while too many are on their way, so not for async code. When
/// nobody listens any more, that is a broken pipe.
pub(crate) struct Writer {
    sender: Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(sender: Sender<io::Result<Bytes>>) -> Self {
        Self { sender, buffer: Vec::with_capacity(PIECE) }
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        self.sender.blocking_send(Ok(piece.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
