//! The Redis protocol: sends commands and reads replies, many at once. Enough for saving and restoring keys.

use std::io;

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use crate::run::stream::Stream;

/// The longest value Redis has, and some more.
const LONGEST: usize = 600 << 20;
/// A reply is nested no deeper than this.
const DEEPEST: usize = 8;

/// What Redis answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// A word or a number.
    Word(String),
    /// Bytes; none where there is nothing.
    Bytes(Option<Vec<u8>>),
    /// Several.
    List(Vec<Self>),
    /// A refusal.
    Error(String),
}

impl Reply {
    /// As a number.
    pub(super) fn number(&self) -> Option<i64> {
        match self {
            Self::Word(word) => word.parse().ok(),
            _ => None,
        }
    }

    /// A digest of the content. `sorted`: its order means nothing, in groups of so many.
    pub(super) fn digest(&self, groups: Option<usize>) -> [u8; 32] {
        let mut bytes = Vec::new();
        match (self, groups) {
            (Self::List(items), Some(groups)) => {
                let flat = |items: &[Self]| {
                    let mut bytes = Vec::new();
                    items.iter().for_each(|item| item.flatten(&mut bytes));
                    bytes
                };
                let mut all: Vec<Vec<u8>> = items.chunks(groups.max(1)).map(flat).collect();
                all.sort_unstable();
                bytes.extend(all.concat());
            }
            _ => self.flatten(&mut bytes),
        }
        Sha256::digest(&bytes).into()
    }

    fn flatten(&self, into: &mut Vec<u8>) {
        let mut add = |kind: u8, bytes: &[u8]| {
            into.push(kind);
            into.extend((bytes.len() as u64).to_le_bytes());
            into.extend(bytes);
        };
        match self {
            Self::Word(word) | Self::Error(word) => add(b'w', word.as_bytes()),
            Self::Bytes(None) => add(b'n', b""),
            Self::Bytes(Some(bytes)) => add(b'b', bytes),
            Self::List(items) => {
                add(b'l', &(items.len() as u64).to_le_bytes());
                items.iter().for_each(|item| item.flatten(into));
            }
        }
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    out: Vec<u8>,
    asked: usize,
}

impl Connection {
    /// A connection over this stream.
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, out: Vec::new(), asked: 0 }
    }

    /// Adds a command to those that are sent next.
    pub(super) fn add(&mut self, words: &[&[u8]]) {
        self.out.extend(format!("*{}\r\n", words.len()).bytes());
        for word in words {
            self.out.extend(format!("${}\r\n", word.len()).bytes());
            self.out.extend(*word);
            self.out.extend(b"\r\n");
        }
        self.asked += 1;
    }

    /// Sends what was added; a reply to each.
    pub(super) async fn ask(&mut self) -> io::Result<Vec<Reply>> {
        let (out, asked) = (std::mem::take(&mut self.out), std::mem::take(&mut self.asked));
        let (reader, mut writer) = tokio::io::split(&mut self.stream);
        // Nothing comes after the last reply, so nothing is lost with the buffer.
        let mut reader = BufReader::with_capacity(64 * 1024, reader);
        // Both at once: a server that can't get rid of its answers reads no more.
        let replies = async {
            let mut replies = Vec::with_capacity(asked);
            for _ in 0..asked {
                replies.push(read(&mut reader, 0).await?);
            }
            io::Result::Ok(replies)
        };
        let send = async {
            writer.write_all(&out).await?;
            writer.flush().await
        };
        let (sent, replies) = tokio::join!(send, replies);
        sent?;
        replies
    }

    /// Sends one command; a refusal is an error.
    pub(super) async fn one(&mut self, words: &[&[u8]]) -> io::Result<Reply> {
        self.add(words);
        match self.ask().await?.pop() {
            Some(Reply::Error(refused)) => Err(io::Error::other(refused)),
            Some(reply) => Ok(reply),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

type Reading<'a> = std::pin::Pin<Box<dyn Future<Output = io::Result<Reply>> + 'a>>;

fn read<R: tokio::io::AsyncBufRead + Unpin>(from: &mut R, depth: usize) -> Reading<'_> {
    Box::pin(async move {
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "not an answer of Redis");
        let mut line = String::new();
        from.take(64 * 1024).read_line(&mut line).await?;
        let Some(line) = line.strip_suffix("\r\n") else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        let (kind, rest) = line.split_at_checked(1).ok_or_else(wrong)?;
        let length = || rest.parse::<i64>().map_err(|_| wrong());
        match kind {
            "+" | ":" => Ok(Reply::Word(rest.into())),
            "-" => Ok(Reply::Error(rest.into())),
            "$" | "*" if length()? < 0 => Ok(Reply::Bytes(None)),
            "$" => {
                let length = usize::try_from(length()?).ok().filter(|length| *length <= LONGEST).ok_or_else(wrong)?;
                let mut bytes = vec![0; length + 2];
                from.read_exact(&mut bytes).await?;
                bytes.truncate(length);
                Ok(Reply::Bytes(Some(bytes)))
            }
            "*" if depth < DEEPEST => {
                let mut items = Vec::new();
                for _ in 0..length()? {
                    items.push(read(&mut *from, depth + 1).await?);
                }
                Ok(Reply::List(items))
            }
            _ => Err(wrong()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn parse(text: &[u8]) -> io::Result<Reply> {
        read(&mut &text[..], 0).await
    }

    #[tokio::test]
    async fn replies_of_every_kind() {
        let bytes = |text: &str| Reply::Bytes(Some(text.into()));
        assert_eq!(parse(b"+OK\r\n").await.unwrap(), Reply::Word("OK".into()));
        assert_eq!(parse(b":-2\r\n").await.unwrap().number(), Some(-2));
        assert_eq!(parse(b"$-1\r\n").await.unwrap(), Reply::Bytes(None));
        assert_eq!(parse(b"$4\r\na\r\nb\r\n").await.unwrap(), bytes("a\r\nb"));
        assert_eq!(parse(b"-ERR no\r\n").await.unwrap(), Reply::Error("ERR no".into()));
        let nested = parse(b"*2\r\n*1\r\n$1\r\nx\r\n:1\r\n").await.unwrap();
        assert_eq!(nested, Reply::List(vec![Reply::List(vec![bytes("x")]), Reply::Word("1".into())]));
        for broken in [&b""[..], b"+OK", b"$5\r\nab\r\n", b"$9999999999\r\n", b"HTTP/1.1 200\r\n"] {
            assert!(parse(broken).await.is_err());
        }
    }

    #[test]
    fn order_counts_only_where_it_means_something() {
        let list = |items: &[&str]| Reply::List(items.iter().map(|item| Reply::Bytes(Some((*item).into()))).collect());
        let (one, other) = (list(&["a", "1", "b", "2"]), list(&["b", "2", "a", "1"]));
        assert_ne!(one.digest(None), other.digest(None));
        assert_eq!(one.digest(Some(2)), other.digest(Some(2)));
        assert_ne!(one.digest(Some(2)), list(&["a", "2", "b", "1"]).digest(Some(2)));
        assert_ne!(list(&["ab"]).digest(None), list(&["a", "b"]).digest(None));
    }
}
