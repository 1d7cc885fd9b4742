//! The payload: chunks of 64 KiB, each with its number and whether it is the last one. Section "Payload".
//!
//! One chunk is held in memory. Nothing of a chunk is given out before its tag was verified.

use std::io::{self, Read, Write};

use ring::aead::{Aad, LessSafeKey, Nonce};
use zeroize::Zeroizing;

use super::keys::cipher;

/// Length of a chunk before it is encrypted.
const CHUNK: usize = 64 << 10;

/// Length of the tag of Poly1305.
const TAG: usize = 16;

/// Encrypts and decrypts one chunk after the other.
struct Stream {
    cipher: LessSafeKey,
    /// Number of the next chunk.
    number: u64,
}

impl Stream {
    fn new(key: &[u8; 32]) -> Self {
        Self { cipher: cipher(key), number: 0 }
    }

    /// Eleven bytes of the chunk's number, big endian, and one that is 1 for the last chunk.
    fn nonce(&self, last: bool) -> Nonce {
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&self.number.to_be_bytes());
        nonce[11] = last.into();
        Nonce::assume_unique_for_key(nonce)
    }

    fn advance(&mut self) {
        self.number = self.number.checked_add(1).expect("no file has 2^64 chunks");
    }
}

/// Encrypts what is written to it.
pub(in crate::backup) struct Writer<W> {
    stream: Stream,
    /// What was written and not yet encrypted: at most a chunk, which may be the last one.
    plain: Zeroizing<Vec<u8>>,
    to: W,
    /// A chunk could not be written: where the output ends is unknown.
    failed: bool,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(key: &[u8; 32], to: W) -> Self {
        let plain = Zeroizing::new(Vec::with_capacity(CHUNK + TAG));
        Self { stream: Stream::new(key), plain, to, failed: false }
    }

    /// Writes the last chunk; without it the file can't be decrypted.
    ///
    /// # Errors
    /// When it can't be written.
    pub(in crate::backup) fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        Ok(self.to)
    }

    fn seal(&mut self, last: bool) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier part could not be written"));
        }
        // Until it succeeded: what is left in `plain` otherwise is encrypted already.
        self.failed = true;
        let nonce = self.stream.nonce(last);
        let sealed = self.stream.cipher.seal_in_place_append_tag(nonce, Aad::empty(), &mut *self.plain);
        sealed.expect("a chunk is not too long");
        self.stream.advance();
        self.to.write_all(&self.plain)?;
        self.plain.clear();
        self.failed = false;
        Ok(())
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        // Only now it is known that a full chunk is not the last one.
        if self.failed || self.plain.len() == CHUNK {
            self.seal(false)?;
        }
        let taken = bytes.len().min(CHUNK - self.plain.len());
        self.plain.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    /// What does not fill a chunk stays here until [`Self::finish`].
    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Decrypts what is read from it. Its end is that of the whole, intact file; anything else is an error, which every
/// further call repeats.
pub(in crate::backup) struct Reader<R> {
    stream: Stream,
    from: R,
    /// A chunk as it was read.
    sealed: Box<[u8]>,
    /// The decrypted chunk, of which `given` bytes were given out.
    plain: Zeroizing<Vec<u8>>,
    given: usize,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    /// Another chunk has to follow.
    More,
    /// The last chunk was decrypted; nothing may follow it.
    Last,
    End,
    Failed(io::ErrorKind, &'static str),
}

impl<R: Read> Reader<R> {
    pub(super) fn new(key: &[u8; 32], from: R) -> Self {
        let sealed = vec![0; CHUNK + TAG].into_boxed_slice();
        let plain = Zeroizing::new(Vec::with_capacity(CHUNK + TAG));
        Self { stream: Stream::new(key), from, sealed, plain, given: 0, state: State::More }
    }

    /// As many bytes as there are, up to a chunk.
    fn fill(&mut self) -> io::Result<usize> {
        let mut length = 0;
        while length < self.sealed.len() {
            match self.from.read(&mut self.sealed[length..]) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(length)
    }

    /// Decrypts a chunk into `plain`, if it is intact and in its place.
    fn open(&mut self, length: usize, last: bool) -> bool {
        self.plain.clear();
        self.plain.extend_from_slice(&self.sealed[..length]);
        let nonce = self.stream.nonce(last);
        let opened = self.stream.cipher.open_in_place(nonce, Aad::empty(), &mut self.plain).map(|plain| plain.len());
        // Without the tag; of a chunk that is not intact nothing is given out.
        self.plain.truncate(opened.unwrap_or(0));
        opened.is_ok()
    }

    /// The state after this one, with the next chunk in `plain`.
    fn advance(&mut self, state: State) -> io::Result<State> {
        let invalid = |why| Ok(State::Failed(io::ErrorKind::InvalidData, why));
        let length = self.fill()?;
        if matches!(state, State::Last) {
            return if length == 0 { Ok(State::End) } else { invalid("the encrypted file has data behind its end") };
        }
        if length == 0 {
            return Ok(State::Failed(io::ErrorKind::UnexpectedEof, "the encrypted file is cut short"));
        }
        let full = length == self.sealed.len();
        // A chunk that is not full can only be the last one, and a full one may be.
        let last = if full && self.open(length, false) {
            false
        } else if self.open(length, true) {
            true
        } else {
            return invalid("the encrypted file is damaged or cut short");
        };
        if last && self.plain.is_empty() && self.stream.number > 0 {
            return invalid("the last part of the encrypted file is empty");
        }
        self.stream.advance();
        Ok(if last { State::Last } else { State::More })
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        while self.given == self.plain.len() {
            let state = match self.state {
                State::End => return Ok(0),
                State::Failed(kind, why) => return Err(io::Error::new(kind, why)),
                state @ (State::More | State::Last) => state,
            };
            self.plain.clear();
            self.given = 0;
            self.state = State::Failed(io::ErrorKind::Other, "the encrypted file can't be read");
            self.state = self.advance(state)?;
        }
        let given = into.len().min(self.plain.len() - self.given);
        into[..given].copy_from_slice(&self.plain[self.given..][..given]);
        self.given += given;
        Ok(given)
    }
}
