//! The textual header: parsed and written, and its checksum. Sections "Header" to "ABNF definition of file header".
//!
//! What the stanzas mean is left to `x25519` and `scrypt`.

use std::io::{BufRead, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use ring::hmac::{HMAC_SHA256, Key as MacKey, sign, verify};

use super::keys::FileKey;
use super::{Problem, scrypt};

/// The version line, without its line feed.
const VERSION: &str = "age-encryption.org/v1";

/// Columns at which the body of a stanza is wrapped.
const COLUMNS: usize = 64;

/// Longest header that is read or written, in bytes: ten thousand recipients. The specification has no limit, but memory
/// has one.
const LONGEST: u64 = 1 << 20;

/// A recipient stanza: the file key for one recipient.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stanza {
    /// The kind of recipient first.
    pub(super) arguments: Vec<String>,
    pub(super) body: Vec<u8>,
}

impl Stanza {
    /// What follows the kind of the recipient, if it is of this kind.
    pub(super) fn arguments_of(&self, kind: &str) -> Option<&[String]> {
        self.arguments.split_first().filter(|(first, _)| *first == kind).map(|(_, rest)| rest)
    }
}

/// A header that was read.
pub(super) struct Header {
    pub(super) stanzas: Vec<Stanza>,
    /// Everything up to `---`, as it was read.
    text: Vec<u8>,
    mac: [u8; 32],
}

impl Header {
    /// Compares the checksum, in constant time.
    pub(super) fn verify(&self, file_key: &FileKey) -> Result<(), Problem> {
        verify(&mac_key(file_key), &self.text, &self.mac).map_err(|_| Problem::Mac)
    }
}

/// Section "Header MAC".
fn mac_key(file_key: &FileKey) -> MacKey {
    MacKey::new(HMAC_SHA256, &*file_key.derive(&[], b"header"))
}

/// Canonical base64 without padding (section "Conventions used in this document") of a value of this length.
pub(super) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    BASE64.decode(text).ok()?.try_into().ok()
}

pub(super) fn encode(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// The header for these recipients.
///
/// # Errors
/// When there is none, or they are too many to be read again.
pub(super) fn write(stanzas: &[Stanza], file_key: &FileKey) -> Result<Vec<u8>, Problem> {
    if stanzas.is_empty() {
        return Err(Problem::Header("it has no recipient"));
    }
    let mut text = format!("{VERSION}\n");
    for stanza in stanzas {
        text += &format!("-> {}\n", stanza.arguments.join(" "));
        let body = encode(&stanza.body);
        let (lines, rest) = body.as_bytes().as_chunks::<COLUMNS>();
        for line in lines.iter().map(<[u8; COLUMNS]>::as_slice).chain([rest]) {
            text.extend(line.iter().map(|byte| char::from(*byte)));
            text.push('\n');
        }
    }
    text += "---";
    let mac = sign(&mac_key(file_key), text.as_bytes());
    text += &format!(" {}\n", encode(mac.as_ref()));
    if text.len() as u64 > LONGEST { Err(TOO_LONG) } else { Ok(text.into_bytes()) }
}

const TOO_LONG: Problem = Problem::Header("it is longer than 1 MiB");

/// Reads a header, and nothing behind it.
///
/// # Errors
/// When it can't be read, or differs from the specification in any byte.
pub(super) fn read(from: &mut impl BufRead) -> Result<Header, Problem> {
    let mut lines = Lines { from, text: Vec::new() };
    if lines.next()? != VERSION {
        return Err(Problem::Header("it is of another version of the age format"));
    }
    let mut stanzas = Vec::new();
    loop {
        let start = lines.text.len();
        let line = lines.next()?;
        if let Some(mac) = line.strip_prefix("--- ") {
            let mac = decode(mac).ok_or(Problem::Header("the checksum (MAC) is not 32 bytes of base64"))?;
            if stanzas.is_empty() {
                return Err(Problem::Header("it has no recipient"));
            }
            // Section "scrypt recipient stanza": never with another one.
            if stanzas.len() > 1 && stanzas.iter().any(scrypt::is_one) {
                return Err(Problem::Header("it has a passphrase and other recipients"));
            }
            let mut text = lines.text;
            text.truncate(start + "---".len());
            return Ok(Header { stanzas, text, mac });
        }
        let arguments = line.strip_prefix("-> ").ok_or(Problem::Header("a line is neither a recipient nor the end"))?;
        let arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
        // VCHAR of RFC 5234.
        if !arguments.iter().all(|one| !one.is_empty() && one.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(Problem::Header("an argument of a recipient is empty, or has a character that is not allowed"));
        }
        stanzas.push(Stanza { arguments, body: body(&mut lines)? });
    }
}

/// The body of a stanza, which ends with a line of less than [`COLUMNS`] characters.
fn body(lines: &mut Lines<'_, impl BufRead>) -> Result<Vec<u8>, Problem> {
    let mut text = String::new();
    loop {
        let line = lines.next()?;
        if line.len() > COLUMNS {
            return Err(Problem::Header("a line of a recipient's body is too long"));
        }
        text += line;
        if line.len() < COLUMNS {
            return BASE64
                .decode(text)
                .map_err(|_| Problem::Header("the body of a recipient is not canonical base64 without padding"));
        }
    }
}

/// Lines that are kept as they were read.
struct Lines<'a, R> {
    from: &'a mut R,
    text: Vec<u8>,
}

impl<R: BufRead> Lines<'_, R> {
    /// The next one, without its line feed.
    fn next(&mut self) -> Result<&str, Problem> {
        let start = self.text.len();
        let most = LONGEST - start as u64;
        (&mut *self.from).take(most).read_until(b'\n', &mut self.text)?;
        match self.text[start..].strip_suffix(b"\n") {
            Some(line) => str::from_utf8(line).map_err(|_| Problem::Header("it is not text")),
            None if self.text.len() as u64 >= LONGEST => Err(TOO_LONG),
            None => Err(Problem::Header("the file ends in it")),
        }
    }
}
