//! Files in the age format, version 1 (<https://age-encryption.org/v1>): encrypted to X25519 recipients or with a
//! passphrase, written and read as streams.
//!
//! The comments name the section of the specification (<https://c2sp.org/age>) that each part follows. What it leaves to
//! other programs: ASCII armor, post-quantum and tagged recipients, plugins, SSH keys.

mod header;
mod keys;
mod scrypt;
mod stream;
#[cfg(test)]
mod tests;
mod x25519;

use std::fmt;
use std::io::{self, BufRead, Write};

use ring::hkdf;
use zeroize::Zeroizing;

use header::{Header, Stanza};
use keys::{FileKey, random};
pub(super) use scrypt::Passphrase;
pub(super) use stream::{Reader, Writer};
pub(super) use x25519::{Identity, Recipient};

/// Length of the nonce at the beginning of the payload. Section "Payload".
const NONCE: usize = 16;

/// Why a file can't be encrypted or decrypted. What the payload lacks is found later, by [`Reader`].
#[derive(Debug)]
pub(super) enum Problem {
    /// It can't be read.
    Io(io::Error),
    /// A recipient is a point of low order, with which anyone could compute the shared secret.
    Recipient,
    /// It does not follow the specification.
    Header(&'static str),
    /// The passphrase takes more work than [`scrypt::MOST_WORK`].
    Work(u8),
    /// None of the keys, or not this passphrase, is one that the file was encrypted to.
    NoMatch,
    /// The header was changed after it was written.
    Mac,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Recipient => f.write_str("a recipient does not belong to a secret key: it is a point of low order"),
            Self::Header(why) => write!(f, "its header is invalid: {why}"),
            Self::Work(log_n) => {
                write!(f, "its passphrase has a work factor of 2^{log_n}, 2^{} is the most", scrypt::MOST_WORK)
            }
            Self::NoMatch => f.write_str("it was encrypted to another key or passphrase"),
            Self::Mac => f.write_str("its header was changed: the checksum (MAC) is another one"),
        }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What decrypts a file.
pub(super) enum Key {
    Passphrase(Passphrase),
    Identities(Vec<Identity>),
}

/// What a file is encrypted to.
pub(super) enum Target {
    Passphrase(Passphrase),
    Recipients(Vec<Recipient>),
}

/// Encrypts one file, with a file key of its own.
pub(super) struct Encryptor {
    header: Vec<u8>,
    nonce: [u8; NONCE],
    payload_key: Zeroizing<[u8; 32]>,
}

impl Encryptor {
    /// Wraps a new file key for the target. Sections "File key" and "Header".
    ///
    /// # Errors
    /// When no recipient is given, or the header would be longer than is read.
    pub(super) fn new(target: &Target) -> Result<Self, Problem> {
        let file_key = FileKey::random();
        let stanzas = match target {
            Target::Passphrase(passphrase) => vec![passphrase.wrap(&file_key)],
            Target::Recipients(recipients) => {
                recipients.iter().map(|recipient| recipient.wrap(&file_key)).collect::<Result<Vec<Stanza>, _>>()?
            }
        };
        let header = header::write(&stanzas, &file_key)?;
        let nonce = random::<NONCE>();
        let payload_key = file_key.derive(&nonce, b"payload");
        Ok(Self { header, nonce, payload_key })
    }

    /// Writes the header; the payload follows with what is written to the result.
    ///
    /// # Errors
    /// When it can't be written.
    pub(super) fn begin<W: Write>(self, mut to: W) -> io::Result<Writer<W>> {
        to.write_all(&self.header)?;
        to.write_all(&self.nonce)?;
        Ok(Writer::new(&self.payload_key, to))
    }
}

/// A file whose header was read, and nothing of its payload.
pub(super) struct Decryptor<R> {
    header: Header,
    nonce: [u8; NONCE],
    payload: R,
}

impl<R: BufRead> Decryptor<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When it can't be read or is invalid.
    pub(super) fn new(mut from: R) -> Result<Self, Problem> {
        let header = header::read(&mut from)?;
        let mut nonce = [0; NONCE];
        from.read_exact(&mut nonce).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Problem::Header("the file ends with it"),
            _ => Problem::Io(error),
        })?;
        Ok(Self { header, nonce, payload: from })
    }

    /// Whether it was encrypted with a passphrase.
    pub(super) fn needs_passphrase(&self) -> bool {
        self.header.stanzas.iter().any(scrypt::is_one)
    }

    /// The payload, decrypted while it is read.
    ///
    /// # Errors
    /// When the key does not match, or the header was changed.
    pub(super) fn decrypt(self, key: &Key) -> Result<Reader<R>, Problem> {
        let stanzas = &self.header.stanzas;
        let file_key = match key {
            Key::Passphrase(passphrase) => first(stanzas, |stanza| passphrase.unwrap(stanza))?,
            Key::Identities(identities) => {
                first(identities, |identity| first(stanzas, |stanza| identity.unwrap(stanza)))?
            }
        };
        let file_key = file_key.ok_or(Problem::NoMatch)?;
        self.header.verify(&file_key)?;
        Ok(Reader::new(&file_key.derive(&self.nonce, b"payload"), self.payload))
    }
}

/// The first file key that one of these gives.
fn first<T>(all: &[T], unwrap: impl Fn(&T) -> Result<Option<FileKey>, Problem>) -> Result<Option<FileKey>, Problem> {
    for one in all {
        if let Some(key) = unwrap(one)? {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

/// HKDF-SHA-256 with 32 bytes of output. Section "Conventions used in this document", RFC 5869.
fn derive(secret: &[u8], salt: &[u8], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(secret)
        .expand(&[info], hkdf::HKDF_SHA256)
        .and_then(|output| output.fill(&mut *key))
        .expect("32 bytes are one block of SHA-256");
    key
}
