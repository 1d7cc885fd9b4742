//! Passphrases. Section "The scrypt recipient type".

use scrypt::Params;
use zeroize::Zeroizing;

use super::Problem;
use super::header::{self, Stanza};
use super::keys::{FileKey, random};

/// First argument of the stanza.
const KIND: &str = "scrypt";

/// Begins the salt of scrypt.
const LABEL: &[u8] = b"age-encryption.org/v1/scrypt";

/// Length of the salt in the stanza.
const SALT: usize = 16;

/// Base-two logarithm of the work factor of new files, as `age` has it: about a second, and 256 MiB of memory.
const WORK: u8 = 18;

/// The most that a file may demand, as `age` has it: sixteen times as much. Each one more doubles time and memory.
pub(super) const MOST_WORK: u8 = 22;

/// A passphrase; never printed.
pub(in crate::backup) struct Passphrase(Zeroizing<String>);

impl Passphrase {
    pub(in crate::backup) fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// The stanza for this passphrase.
    pub(super) fn wrap(&self, file_key: &FileKey) -> Stanza {
        let salt = random::<SALT>();
        let arguments = vec![KIND.to_owned(), header::encode(&salt), WORK.to_string()];
        Stanza { arguments, body: file_key.wrap(&self.wrap_key(&salt, WORK)) }
    }

    /// The file key in a stanza; none if the passphrase is another one, or the stanza of another kind.
    ///
    /// # Errors
    /// When it is of this kind, but invalid, or takes too much work.
    pub(super) fn unwrap(&self, stanza: &Stanza) -> Result<Option<FileKey>, Problem> {
        let Some(arguments) = stanza.arguments_of(KIND) else { return Ok(None) };
        let [salt, work] = arguments else { return Err(Problem::Header("a passphrase has three arguments")) };
        let salt = header::decode(salt).ok_or(Problem::Header("the salt of a passphrase is not 16 bytes of base64"))?;
        let is_number = !work.starts_with('0') && work.bytes().all(|byte| byte.is_ascii_digit());
        let work = work.parse::<u8>().ok().filter(|_| is_number);
        let work = work.ok_or(Problem::Header("the work factor of a passphrase is not a number, or far too large"))?;
        if work > MOST_WORK {
            return Err(Problem::Work(work));
        }
        FileKey::unwrap(&stanza.body, &self.wrap_key(&salt, work))
    }

    fn wrap_key(&self, salt: &[u8; SALT], work: u8) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        let parameters = Params::new(work, 8, 1).expect("not more than MOST_WORK");
        scrypt::scrypt(self.0.as_bytes(), &[LABEL, salt].concat(), &parameters, &mut *key).expect("32 bytes");
        key
    }
}

/// Whether a stanza is one of a passphrase.
pub(super) fn is_one(stanza: &Stanza) -> bool {
    stanza.arguments_of(KIND).is_some()
}
