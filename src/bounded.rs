//! Limited reads of input from other programs: a file or response that is too long is an error, instead of filling the
//! memory.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Files that people write: a Dockerfile, docker's configuration, a key. In bytes.
pub(crate) const WRITTEN: u64 = 4 << 20;

fn too_large(most: u64) -> io::Error {
    let most = if most < 1 << 20 { format!("{} KiB", most >> 10) } else { format!("{} MiB", most >> 20) };
    io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {most}"))
}

/// Reads a whole file of limited size.
///
/// # Errors
/// When it can't be read, or is larger.
pub(crate) fn file(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(too_large(most)) } else { Ok(bytes) }
}

/// The same as text.
///
/// # Errors
/// As [`file`], and [`io::ErrorKind::InvalidData`] when it is not UTF-8.
pub(crate) fn text(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(file(path, most)?).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// Reads everything from a source, up to a limit.
///
/// # Errors
/// When it can't be read, or is more.
pub(crate) async fn stream(from: impl AsyncRead + Unpin, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(most + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > most { Err(too_large(most)) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(file(&path, 5).unwrap(), b"12345");
        assert_eq!(file(&path, 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        #[cfg(unix)]
        for most in [1 << 16, WRITTEN] {
            let why = text(Path::new("/dev/zero"), most).unwrap_err().to_string();
            assert_eq!(why, if most == WRITTEN { "it is larger than 4 MiB" } else { "it is larger than 64 KiB" });
        }
        std::fs::write(&path, b"\xff").unwrap();
        assert_eq!(text(&path, 5).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn a_stream_without_an_end_is_one_too() {
        assert_eq!(stream(&b"12345"[..], 5).await.unwrap(), b"12345");
        assert!(stream(tokio::io::repeat(1), 1 << 16).await.is_err());
    }
}
