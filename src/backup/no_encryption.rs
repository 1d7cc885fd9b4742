//! Replaces `encryption` in a build without the feature `encrypt`: backups are written and read unencrypted, and
//! encrypted ones are refused.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use super::sealed::{Keys, Seal, usage};
use crate::diag::{Error, Result};

/// Never made.
pub(super) enum Encryptor {}

/// Never made.
pub(super) enum Encrypted {}

pub(super) fn encryptor(seal: &Seal) -> Result<Option<Encryptor>> {
    if seal.is_closed() { Err(missing("it can't encrypt a backup")) } else { Ok(None) }
}

impl Encryptor {
    pub(super) fn begin(self, _: BufWriter<File>) -> io::Result<Encrypted> {
        match self {}
    }
}

impl Encrypted {
    pub(super) fn finish(self) -> io::Result<BufWriter<File>> {
        match self {}
    }
}

impl Write for Encrypted {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        match *self {}
    }

    fn flush(&mut self) -> io::Result<()> {
        match *self {}
    }
}

pub(super) fn decrypt(_: BufReader<File>, path: &Path, _: &Keys) -> Result<Box<dyn Read>> {
    Err(missing(&format!("it can't read {}, which is encrypted", path.display())))
}

fn missing(what: &str) -> Error {
    usage(format_args!("this taskava was built without encryption: {what}"))
        .hint("build it with the feature `encrypt`, which is on by default")
}
