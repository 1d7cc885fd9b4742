//! Encryption of a backup in the `age` format: from paths and options to keys, and messages. Without the feature `encrypt`,
//! `no_encryption` replaces it.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use zeroize::Zeroizing;

use super::age::{self, Decryptor, Identity, Key, Passphrase, Problem, Recipient, Target};
use super::sealed::{Keys, Seal, usage};
use crate::bounded;
use crate::diag::{Error, ErrorKind, Result};

/// Encrypts one file.
pub(super) struct Encryptor(age::Encryptor);

/// A file that is encrypted while it is written.
pub(super) struct Encrypted(Box<age::Writer<BufWriter<File>>>);

/// The encryptor that a seal asks for; none for a file that everyone can read.
///
/// # Errors
/// When a recipient or the file with the passphrase can't be used.
pub(super) fn encryptor(seal: &Seal) -> Result<Option<Encryptor>> {
    let target = match seal {
        Seal::Open => return Ok(None),
        Seal::Passphrase(path) => Target::Passphrase(passphrase(path)?),
        Seal::Recipients(recipients) => {
            let parse = |text: &String| {
                text.parse::<Recipient>().map_err(|why| {
                    usage(format_args!("`{text}` is not an age recipient: {why}"))
                        .hint("`age-keygen -o key.txt` makes a key and prints its recipient, age1…")
                })
            };
            Target::Recipients(recipients.iter().map(parse).collect::<Result<_>>()?)
        }
    };
    let encryptor = age::Encryptor::new(&target).map_err(|error| usage(format_args!("can't encrypt: {error}")))?;
    Ok(Some(Encryptor(encryptor)))
}

impl Encryptor {
    /// Begins to write.
    ///
    /// # Errors
    /// When the file can't be written.
    pub(super) fn begin(self, file: BufWriter<File>) -> io::Result<Encrypted> {
        Ok(Encrypted(Box::new(self.0.begin(file)?)))
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
    let decryptor = Decryptor::new(file).map_err(|error| cannot(path, &error))?;
    let key = match (&keys.identity, &keys.passphrase) {
        (_, Some(secret)) => Key::Passphrase(passphrase(secret)?),
        (Some(file), None) => Key::Identities(identities(file)?),
        (None, None) => {
            let remedy = if decryptor.needs_passphrase() { "--passphrase-file FILE" } else { "--identity FILE" };
            return Err(usage(format_args!("{} is encrypted", path.display())).hint(format!("give the key: {remedy}")));
        }
    };
    Ok(Box::new(decryptor.decrypt(&key).map_err(|error| cannot(path, &error))?))
}

fn cannot(path: &Path, error: &Problem) -> Error {
    Error::new(ErrorKind::Other, format_args!("can't decrypt {}: {error}; nothing was touched", path.display()))
        .hint("is it the right key or passphrase, and the file as it was written?")
}

/// The text of a file with a secret.
fn secret(path: &Path) -> Result<Zeroizing<String>> {
    let text = bounded::text(path, bounded::WRITTEN);
    text.map(Zeroizing::new).map_err(|error| usage(format_args!("can't read {}: {error}", path.display())))
}

/// The first line of a file.
fn passphrase(path: &Path) -> Result<Passphrase> {
    match secret(path)?.lines().next().unwrap_or_default() {
        "" => Err(usage(format_args!("there is no passphrase in the first line of {}", path.display()))),
        line => Ok(Passphrase::new(line)),
    }
}

/// The secret keys of a file as `age-keygen` writes it: one in each line, and comments. A line is never printed.
fn identities(path: &Path) -> Result<Vec<Identity>> {
    let mut identities = Vec::new();
    for (number, line) in
        secret(path)?.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
    {
        let identity = line.parse().map_err(|why| {
            let (path, number) = (path.display(), number + 1);
            usage(format_args!("can't use {path}: line {number} is not a secret key (AGE-SECRET-KEY-1…): {why}"))
        })?;
        identities.push(identity);
    }
    match identities.is_empty() {
        true => Err(usage(format_args!("there is no secret key (AGE-SECRET-KEY-1…) in {}", path.display()))),
        false => Ok(identities),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::backup::sealed::{Output, open};

    /// A pair of keys that `age-keygen` made.
    const SECRET: &str = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
    const PUBLIC: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

    #[test]
    fn only_with_the_key_it_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let (place, key) = (folder.path().join("a"), folder.path().join("key"));
        fs::write(&key, format!("# created: today\n# public key: {PUBLIC}\r\n\n{SECRET}\n")).unwrap();
        let seal = Seal::Recipients(vec![PUBLIC.into()]);
        let mut output = Output::create(&place, false, &seal).unwrap();
        output.write_all(b"secret").unwrap();
        output.finish().unwrap();
        let file = fs::read(&place).unwrap();
        assert!(!file.windows(6).any(|window| window == b"secret"));
        let keys = Keys { identity: Some(key.clone()), passphrase: None };
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
        // A file that holds something else is named with the line, and not shown.
        for (text, expected) in [("# nothing\n", "no secret key"), ("#\nhunter2\n", "line 2 is not a secret key")] {
            fs::write(&key, text).unwrap();
            let error = open(&place, &keys).err().unwrap();
            assert!(error.to_string().contains(expected) && !error.to_string().contains("hunter2"), "{error}");
        }
    }
}
