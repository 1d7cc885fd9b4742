//! Encryption of a backup: the only module that uses `age`. Without the feature `encrypt`, `no_encryption` replaces it.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::str::FromStr as _;

use age::secrecy::SecretString;
use age::stream::StreamWriter;
use age::{Decryptor, IdentityFile, Recipient, scrypt, x25519};

use super::sealed::{Keys, Seal, usage};
use crate::bounded;
use crate::diag::{Error, ErrorKind, Result};

/// Encrypts one file.
pub(super) struct Encryptor(age::Encryptor);

/// A file that is encrypted while it is written.
pub(super) struct Encrypted(Box<StreamWriter<BufWriter<File>>>);

/// The encryptor that a seal asks for; none for a file that everybody can read.
///
/// # Errors
/// When a recipient or the file with the passphrase can't be used.
pub(super) fn encryptor(seal: &Seal) -> Result<Option<Encryptor>> {
    let recipients = match seal {
        Seal::Open => return Ok(None),
        Seal::Passphrase(path) => {
            return Ok(Some(Encryptor(age::Encryptor::with_user_passphrase(passphrase(path)?))));
        }
        Seal::Recipients(recipients) => recipients,
    };
    let parse = |text: &String| {
        x25519::Recipient::from_str(text).map_err(|why| {
            usage(format_args!("`{text}` is not an age recipient: {why}"))
                .hint("`age-keygen -o key.txt` makes a key and prints its recipient, age1…")
        })
    };
    let all = recipients.iter().map(parse).collect::<Result<Vec<_>>>()?;
    let encryptor = age::Encryptor::with_recipients(all.iter().map(|recipient| recipient as &dyn Recipient));
    Ok(Some(Encryptor(encryptor.map_err(|error| usage(error.to_string()))?)))
}

impl Encryptor {
    /// Begins to write.
    ///
    /// # Errors
    /// When the file can't be written.
    pub(super) fn begin(self, file: BufWriter<File>) -> io::Result<Encrypted> {
        Ok(Encrypted(Box::new(self.0.wrap_output(file)?)))
    }
}

impl Encrypted {
    /// Writes what is left; without that, the file can't be decrypted.
    ///
    /// # Errors
    /// When it can't be written.
    pub(super) fn finish(self) -> io::Result<BufWriter<File>> {
        self.0.finish()
    }
}

impl Write for Encrypted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// What is in an encrypted file. `path`: for messages.
///
/// # Errors
/// When the key is missing or is another one, or the file is damaged.
pub(super) fn decrypt(file: BufReader<File>, path: &Path, keys: &Keys) -> Result<Box<dyn Read>> {
    let decryptor = Decryptor::new_buffered(file).map_err(|error| cannot(path, &error))?;
    let opened = match (&keys.identity, &keys.passphrase) {
        (_, Some(secret)) => {
            let identity = scrypt::Identity::new(passphrase(secret)?);
            decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity))
        }
        (Some(identity), None) => {
            let wrong = |why: &dyn std::fmt::Display| usage(format_args!("can't use {}: {why}", identity.display()));
            let file = IdentityFile::from_file(identity.to_string_lossy().into_owned()).map_err(|why| wrong(&why))?;
            let identities = file.into_identities().map_err(|why| wrong(&why))?;
            decryptor.decrypt(identities.iter().map(|identity| &**identity as &dyn age::Identity))
        }
        (None, None) => {
            let remedy = if decryptor.is_scrypt() { "--passphrase-file FILE" } else { "--identity FILE" };
            return Err(usage(format_args!("{} is encrypted", path.display())).hint(format!("give the key: {remedy}")));
        }
    };
    Ok(Box::new(opened.map_err(|error| cannot(path, &error))?))
}

fn cannot(path: &Path, error: &age::DecryptError) -> Error {
    Error::new(ErrorKind::Other, format_args!("can't decrypt {}: {error}; nothing was touched", path.display()))
        .hint("is it the right key or passphrase, and the file as it was written?")
}

/// The first line of a file.
fn passphrase(path: &Path) -> Result<SecretString> {
    let text = bounded::text(path, bounded::WRITTEN)
        .map_err(|error| usage(format_args!("can't read {}: {error}", path.display())))?;
    match text.lines().next().unwrap_or_default() {
        "" => Err(usage(format_args!("there is no passphrase in the first line of {}", path.display()))),
        line => Ok(SecretString::from(line.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::backup::sealed::{Output, open};

    #[test]
    fn only_who_has_the_key_can_read() {
        use age::secrecy::ExposeSecret as _;
        let folder = tempfile::tempdir().unwrap();
        let (place, key) = (folder.path().join("a"), folder.path().join("key"));
        let identity = x25519::Identity::generate();
        fs::write(&key, identity.to_string().expose_secret()).unwrap();
        let seal = Seal::Recipients(vec![identity.to_public().to_string()]);
        let mut output = Output::create(&place, false, &seal).unwrap();
        output.write_all(b"secret").unwrap();
        output.finish().unwrap();
        let file = fs::read(&place).unwrap();
        assert!(!file.windows(6).any(|window| window == b"secret"));
        let keys = Keys { identity: Some(key), passphrase: None };
        let mut text = String::new();
        open(&place, &keys).unwrap().1.read_to_string(&mut text).unwrap();
        assert_eq!(text, "secret");
        let without = open(&place, &Keys::default()).err().unwrap();
        assert!(without.hints[0].contains("--identity"), "{without}");
        // Cut short: found when it is read.
        fs::write(&place, &file[..file.len() - 1]).unwrap();
        assert!(open(&place, &keys).unwrap().1.read_to_string(&mut text).is_err());
        let seal = Seal::Recipients(vec!["age1nonsense".into()]);
        assert_eq!(Output::create(&place, true, &seal).unwrap_err().kind, ErrorKind::Usage);
    }
}
